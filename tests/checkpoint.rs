//! The index at start: a checkpoint and what has changed since give what the records
//! give, whatever happened in between.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId};
use doublon::engine::checkpoint::FILE_NAME;
use doublon::engine::put::PutRequest;
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::{Engine, Options};
use doublon::index::Counts;
use doublon::index::memory::MemoryIndex;
use doublon::store::embedded::EmbeddedStore;
use tempfile::TempDir;

/// Opens a folder; gives the engine and how many records were read for the index.
fn open(folder: &Path) -> (Engine, u64) {
    let store = Arc::new(EmbeddedStore::open(folder, 1 << 20).unwrap());
    let (mut read, mut last) = (0, None);
    let index = Arc::new(MemoryIndex::default());
    let options = Options { folder: Some(folder.to_owned()), ..Options::new(Clock::system()) };
    let engine = Engine::open(store, index, options, |done, total| {
        read = done - last.unwrap_or(0).min(done);
        last = last.or(Some(0));
        assert!(done <= total, "{done} of {total}");
    })
    .unwrap();
    (engine, read)
}

fn id(number: u32) -> ArticleId {
    ArticleId::new(format!("article-{number}")).unwrap()
}

/// Words that belong to one article and one revision of it.
fn text(number: u32, revision: u32) -> String {
    let word = |it: u32| format!("w{}x{}", number * 31 + it % 7, revision * 1000 + number + it);
    (0..60).map(word).collect::<Vec<_>>().join(" ") + " and the same end of all"
}

fn put(engine: &Engine, numbers: impl IntoIterator<Item = u32>, revision: u32) {
    let request = |number: u32| {
        let article = Article {
            id: id(number),
            url: String::new(),
            site: "example.org".to_owned(),
            language: "en".to_owned(),
            title: format!("Title {number} of revision {revision}"),
            description: String::new(),
            text: text(number, revision),
            published: None,
            expires: None,
        };
        PutRequest { max_duplicates: 0, ..PutRequest::of(article) }
    };
    let requests = numbers.into_iter().map(request).collect();
    engine.put(requests).into_iter().for_each(|it| drop(it.unwrap()));
}

fn delete(engine: &Engine, numbers: impl IntoIterator<Item = u32>) {
    numbers.into_iter().for_each(|it| engine.delete(&id(it)).unwrap());
}

/// The id of the article that a teaser of this text belongs to.
fn owner(engine: &Engine, number: u32, revision: u32) -> Option<String> {
    let words: Vec<String> =
        text(number, revision).split(' ').skip(10).take(25).map(str::to_owned).collect();
    let request = TeaserRequest::of(words.join(" "));
    let answer = engine.match_teasers(vec![request]).remove(0).unwrap();
    answer.matches.first().map(|it| it.id.as_str().to_owned())
}

fn sizes(counts: Counts) -> [u64; 4] {
    let Counts { articles, anchor_postings, band_postings, term_postings, .. } = counts;
    [articles, anchor_postings, band_postings, term_postings]
}

/// The files as they are, as a crash would leave them.
fn crashed(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// What the records alone give, without any checkpoint.
fn rebuilt(folder: &Path) -> [u64; 4] {
    let copy = crashed(folder);
    fs::remove_file(copy.path().join(FILE_NAME)).ok();
    let (engine, _) = open(copy.path());
    sizes(engine.stats().unwrap().index)
}

#[test]
fn a_start_reads_the_checkpoint_and_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = open(folder.path());
    put(&engine, 0..300, 0);
    delete(&engine, [7, 8]);
    let before = sizes(engine.stats().unwrap().index);
    drop(engine);
    let (engine, read) = open(folder.path());
    assert_eq!(read, 0);
    assert_eq!(sizes(engine.stats().unwrap().index), before);
    assert_eq!(rebuilt_of(engine, &folder), before);
}

fn rebuilt_of(engine: Engine, folder: &TempDir) -> [u64; 4] {
    drop(engine);
    rebuilt(folder.path())
}

#[test]
fn what_changed_between_checkpoint_and_crash_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = open(folder.path());
    put(&engine, 0..200, 0);
    drop(engine);
    let (engine, _) = open(folder.path());
    put(&engine, 200..260, 0); // new
    put(&engine, 10..20, 1); // replaced
    delete(&engine, 30..40); // deleted, in the checkpoint
    put(&engine, 300..310, 0);
    delete(&engine, 300..305); // deleted, not in the checkpoint
    put(&engine, 12..14, 2); // replaced twice
    let copy = crashed(folder.path());
    let (again, _) = open(copy.path());
    let expected = sizes(engine.stats().unwrap().index);
    assert_eq!(sizes(again.stats().unwrap().index), expected);
    for (number, revision, is_there) in [
        (5, 0, true),
        (230, 0, true),
        (10, 0, false),
        (10, 1, true),
        (12, 1, false),
        (12, 2, true),
        (35, 0, false),
        (302, 0, false),
        (307, 0, true),
    ] {
        let expected = is_there.then(|| id(number).as_str().to_owned());
        assert_eq!(owner(&again, number, revision), expected, "{number} {revision}");
    }
    // And once more: a crash before a new checkpoint, then one after it.
    put(&again, 400..410, 0);
    let second = crashed(copy.path());
    drop(again);
    for folder in [second.path(), copy.path()] {
        let (engine, _) = open(folder);
        assert_eq!(engine.stats().unwrap().article_count, 200 + 60 - 10 + 5 + 10);
        let found = sizes(engine.stats().unwrap().index);
        drop(engine);
        assert_eq!(found, rebuilt(folder));
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = open(folder.path());
    put(&engine, 0..100, 0);
    drop(engine);
    let path = folder.path().join(FILE_NAME);
    let good = fs::read(&path).unwrap();
    let earlier = crashed(folder.path());
    let (engine, _) = open(folder.path());
    delete(&engine, [3, 4, 5]);
    let expected = sizes(engine.stats().unwrap().index);
    drop(engine);
    let later = fs::read(&path).unwrap();
    // Of a later state than the records: a folder of which only a part was put back.
    fs::write(earlier.path().join(FILE_NAME), &later).unwrap();
    let (engine, read) = open(earlier.path());
    assert_eq!((read, engine.stats().unwrap().index.articles), (100, 100));
    drop(engine);
    let mut flipped = later.clone();
    flipped[later.len() / 2] ^= 1;
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()));
    let foreign = fs::read(other.path().join(FILE_NAME)).unwrap_or_default();
    for (what, bytes) in [
        ("cut", &later[..later.len() - 1]),
        ("cut in the middle", &later[..later.len() / 2]),
        ("empty", &[]),
        ("flipped", &flipped),
        ("of another store", &foreign),
        ("longer", &[&later[..], b"x"].concat()),
    ] {
        fs::write(&path, bytes).unwrap();
        let (engine, read) = open(folder.path());
        assert_eq!(read, 97, "{what}");
        assert_eq!(sizes(engine.stats().unwrap().index), expected, "{what}");
        drop(engine);
    }
    // An earlier one of the same records, when the removals since are forgotten.
    fs::write(&path, &good).unwrap();
    let (engine, _) = open(folder.path());
    assert_eq!(sizes(engine.stats().unwrap().index), expected);
}
