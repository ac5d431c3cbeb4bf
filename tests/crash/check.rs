//! Whether a server that was started again has what was acknowledged, and nothing half.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use doublon::api::v1;
use doublon::client::Client;
use doublon::clock::Clock;
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::{Engine, Options};
use doublon::index::memory::MemoryIndex;
use doublon::store::embedded::{EmbeddedStore, FILE_NAME};

use crate::writer::{Known, Random, Writer, id, teaser, text};

/// Articles whose words are asked for, beside those that were under way.
const SAMPLE: usize = 24;

/// Changes that were under way: those that were done, and those that were not.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UnderWay {
    pub(crate) done: u64,
    pub(crate) not_done: u64,
}

/// Checks everything, and takes what is there as what was acknowledged.
pub(crate) async fn check(
    client: &mut Client,
    writers: &mut [Writer],
    random: &mut Random,
) -> UnderWay {
    let mut stored = articles(client).await;
    let mut waiting = teasers(client).await;
    let references = references(client).await;
    let mut under_way = UnderWay::default();
    let mut asked = Vec::new();
    for writer in &mut *writers {
        for (number, known) in &mut writer.articles {
            let id = id(writer.name, *number);
            let content = stored.remove(&id);
            let is_text = |it: &u32| content.as_ref() == Some(&text(writer.name, *number, *it));
            let revisions = [known.acknowledged, known.maybe.flatten()];
            let found = revisions.into_iter().flatten().find(is_text);
            assert_eq!(content.is_some(), found.is_some(), "{id} has the content of no put");
            assert!(known.allows(&found), "{id}: {known:?} was acknowledged, {found:?} is there");
            if let Some(maybe) = known.maybe {
                let count =
                    if found == maybe { &mut under_way.done } else { &mut under_way.not_done };
                *count += 1;
                asked.extend(revisions.into_iter().flatten().map(|it| (writer.name, *number, it)));
            }
            known.settle(found);
        }
        let Writer { name, articles, teasers, .. } = writer;
        for (number, known) in teasers {
            let waits = waiting.remove(&teaser(*name, *number, 0));
            assert!(known.allows(&waits), "teaser {name} {number}: {known:?}, waits: {waits}");
            let article = articles.get(number).and_then(|it| it.acknowledged);
            assert!(!(waits && article.is_some()), "{name} {number} waits for what is there");
            if known.acknowledged && !waits {
                // It has gone with the put, so that it is a reference of its article.
                assert!(references.contains(&teaser(*name, *number, 0)), "{name} {number}");
            }
            known.settle(waits);
        }
    }
    assert!(stored.is_empty(), "nobody put {stored:?}");
    assert!(waiting.is_empty(), "nobody gave {waiting:?}");
    asked.extend(sample(writers, random));
    for (writer, number, revision) in asked {
        let known = writers.iter().find(|it| it.name == writer).map(|it| &it.articles[&number]);
        let is_there = known.is_some_and(|it| it.acknowledged == Some(revision));
        found_by_its_words(client, (writer, number, revision), is_there).await;
    }
    under_way
}

fn sample(writers: &[Writer], random: &mut Random) -> Vec<(u32, u32, u32)> {
    let all: Vec<(u32, u32, u32)> = writers
        .iter()
        .flat_map(|it| it.articles.iter().map(|(number, known)| (it.name, *number, known)))
        // Of what was deleted, its first revision is asked for.
        .map(|(name, number, known)| (name, number, known.acknowledged.unwrap_or(0)))
        .collect();
    if all.is_empty() {
        return all;
    }
    (0..SAMPLE).map(|_| all[random.below(all.len() as u64) as usize]).collect()
}

async fn found_by_its_words(
    client: &mut Client,
    (writer, number, revision): (u32, u32, u32),
    is_there: bool,
) {
    let id = id(writer, number);
    let text = text(writer, number, revision);
    let request = v1::MatchTeaserRequest {
        text: teaser(writer, number, revision),
        ..v1::MatchTeaserRequest::default()
    };
    let matched = client.match_teaser(request).await.unwrap();
    let is_matched = matched.matches.iter().any(|it| it.article_id == id);
    assert_eq!(is_matched, is_there, "the teaser of {id}, {revision}: {matched:?}");
    let subject = v1::find_duplicates_request::Subject::Text(text);
    let request = v1::FindDuplicatesRequest { subject: Some(subject), ..Default::default() };
    let found = client.find_duplicates(request).await.unwrap().duplicates;
    let is_found = found.iter().any(|it| it.article_id == id && it.jaccard > 0.999);
    assert_eq!(is_found, is_there, "the text of {id}, {revision}: {found:?}");
    let stored = client.get_article(&id).await.map(|it| it.article.unwrap().text);
    let is_got = stored.is_ok_and(|it| it.contains(&teaser(writer, number, revision)));
    assert_eq!(is_got, is_there, "{id}, {revision}");
}

async fn articles(client: &mut Client) -> BTreeMap<String, String> {
    let (mut all, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = v1::ListArticlesRequest {
            page_size: 1000,
            page_token,
            include_text: true,
            ..v1::ListArticlesRequest::default()
        };
        let page = client.list_articles(request).await.unwrap();
        for it in page.articles {
            let id = it.article_id;
            assert!(all.insert(id.clone(), it.text).is_none(), "{id} is there twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// The texts of those that wait.
async fn teasers(client: &mut Client) -> BTreeSet<String> {
    let (mut all, mut page_token) = (BTreeSet::new(), String::new());
    loop {
        let request = v1::ListTeasersRequest { page_size: 1000, page_token, ..Default::default() };
        let page = client.list_teasers(request).await.unwrap();
        for it in page.teasers {
            assert!(!it.sightings.is_empty(), "{it:?} was seen nowhere");
            assert!(all.insert(it.text.clone()), "{it:?} waits twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// The texts of those that were resolved, and whose article is there.
async fn references(client: &mut Client) -> BTreeSet<String> {
    let (mut all, mut page_token) = (BTreeSet::new(), String::new());
    loop {
        let request =
            v1::ListReferencesRequest { page_size: 1000, page_token, ..Default::default() };
        let page = client.list_references(request).await.unwrap();
        all.extend(page.references.into_iter().map(|it| it.text));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// The records as they are, with an index that is made from them alone.
pub(crate) fn rebuilt(folder: &Path) -> (tempfile::TempDir, Engine) {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
    let store = Arc::new(EmbeddedStore::open(copy.path(), 1 << 20).unwrap());
    let index = Arc::new(MemoryIndex::default());
    let options = Options::new(Clock::system());
    (copy, Engine::open(store, index, options, |_, _| {}).unwrap())
}

/// Whether a server answers as an index that was made from the records alone.
pub(crate) async fn compare(
    client: &mut Client,
    rebuilt: &Engine,
    (writers, random): (&[Writer], &mut Random),
) {
    let stats = client.stats().await.unwrap();
    let expected = rebuilt.stats().unwrap();
    let of_server = [
        stats.article_count,
        stats.anchor_posting_count,
        stats.band_posting_count,
        stats.term_posting_count,
        stats.story_count,
        stats.standing_teaser_count,
        stats.standing_index_bytes,
    ];
    let of_records = [
        expected.article_count,
        expected.index.anchor_postings,
        expected.index.band_postings,
        expected.index.term_postings,
        expected.stories,
        expected.standing_teasers,
        expected.standing_bytes,
    ];
    assert_eq!(of_server, of_records, "the index is not that of the records");
    for (writer, number, revision) in sample(writers, random) {
        let text = teaser(writer, number, revision);
        let request = v1::MatchTeaserRequest { text: text.clone(), ..Default::default() };
        let answer = client.match_teaser(request).await.unwrap();
        let expected = rebuilt.match_teasers(vec![TeaserRequest::of(text)]).remove(0).unwrap();
        let of_server: Vec<(String, f64, f64)> = answer
            .matches
            .into_iter()
            .map(|it| (it.article_id, it.similarity, it.evidence_bits))
            .collect();
        let of_records: Vec<(String, f64, f64)> = expected
            .matches
            .iter()
            .map(|it| (it.id.as_str().to_owned(), it.similarity, it.evidence_bits))
            .collect();
        assert_eq!(of_server, of_records);
    }
}

/// What is known of nothing that was under way.
pub(crate) fn is_settled<T>(known: &Known<T>) -> bool {
    known.maybe.is_none()
}
