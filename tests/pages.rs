//! What doublon is for, shown on pages of our own writing in French, English,
//! German, Chinese and Arabic, over the real service.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use doublon::api::v1::{
    AnalyzePageRequest, AnalyzePageResponse, MatchKind, Relation, SegmentKind, TeaserVerdict,
};
use doublon::text::cues::Cues;
use support::{SamplePage, Server, put_request, sample, slice, words};

const LANGUAGES: [&str; 5] = ["fr", "en", "de", "zh", "ar"];

#[tokio::test]
async fn a_page_is_split_as_its_author_would_split_it() {
    let mut server = Server::in_memory().await;
    for language in LANGUAGES {
        let page = SamplePage::read(&format!("page.{language}.tsv"));
        let answer = server.page(&page.text).await;
        let found: Vec<(SegmentKind, String)> =
            answer.segments.iter().map(|it| (it.kind(), it.text.clone())).collect();
        assert_eq!(found, page.kinds, "{language}");
        assert!(answer.body_duplicates.is_empty());
        for segment in answer.segments {
            assert_eq!(slice(&page.text, segment.span), segment.text);
            let is_teaser =
                matches!(segment.kind(), SegmentKind::Teaser | SegmentKind::TeaserHeadline);
            assert_eq!(segment.teaser.is_some(), is_teaser, "{}", segment.text);
            if segment.kind() == SegmentKind::Teaser {
                assert_eq!(segment.teaser.unwrap().verdict(), TeaserVerdict::NoMatch);
            }
        }
    }
    server.stop().await;
}

/// A teaser cut from the body matches it however it is written; the teasers of
/// the page itself still match nothing.
#[tokio::test]
async fn a_teaser_of_the_body_is_found_and_the_pages_own_are_not() {
    let mut server = Server::in_memory().await;
    for language in LANGUAGES {
        let page = SamplePage::read(&format!("page.{language}.tsv"));
        let body = page.body();
        server.put(language, &body).await;
        let cut = cut_in_a_word(&body, 170);
        for teaser in [
            format!("{cut}..."),
            format!("{cut}…"),
            cut.to_owned(),
            straight(cut),
            format!("{}...", cut.to_uppercase()),
            format!("{}...", without_accents(cut)),
            two_words_changed(cut),
        ] {
            let answer = server.teaser(&teaser).await;
            assert_eq!(answer.verdict(), TeaserVerdict::Match, "{teaser}");
            let found = &answer.matches[0];
            assert_eq!(found.article_id, language);
            let place = slice(&body, found.article_span);
            assert!(body.starts_with(place) || teaser == two_words_changed(cut), "{place}");
            assert!(place.len() * 10 >= cut.len() * 7, "{place}");
            assert!(
                teaser.starts_with(slice(&teaser, found.teaser_span))
                    || found.kind() == MatchKind::Edited
            );
        }
        let answer = server.page(&page.text).await;
        assert_eq!(answer.body_duplicates[0].relation(), Relation::Duplicate);
        for segment in answer.segments.iter().filter(|it| it.kind() == SegmentKind::Teaser) {
            let verdict = segment.teaser.as_ref().unwrap().verdict();
            assert_eq!(verdict, TeaserVerdict::NoMatch, "{}", segment.text);
        }
    }
    server.stop().await;
}

/// Once the article that a blurb belongs to is stored, each copy of the blurb
/// on the page matches it, and no other teaser does.
#[tokio::test]
async fn a_blurb_matches_the_article_that_goes_on_from_it() {
    let mut server = Server::in_memory().await;
    for language in LANGUAGES {
        let page = SamplePage::read(&format!("page.{language}.tsv"));
        server.put(language, &sample(&format!("article.{language}.txt"))).await;
        let blurb = page.of_kind(SegmentKind::Teaser)[0];
        let answer = server.page(&page.text).await;
        let found: Vec<_> = answer.segments.iter().map(|it| (it.kind(), it.text.clone())).collect();
        assert_eq!(found, page.kinds, "{language}: the store changes no line");
        for segment in answer.segments.iter().filter(|it| it.kind() == SegmentKind::Teaser) {
            let teaser = segment.teaser.as_ref().unwrap();
            if segment.text == blurb {
                assert_eq!(teaser.verdict(), TeaserVerdict::Match, "{blurb}");
                assert_eq!(teaser.matches[0].article_id, language);
                assert_eq!(teaser.matches[0].article_span.unwrap().start_byte, 0);
            } else {
                assert_eq!(teaser.verdict(), TeaserVerdict::NoMatch, "{}", segment.text);
            }
        }
    }
    server.stop().await;
}

/// The same article recrawled with a few words changed and other teasers around
/// it is a duplicate, though the pages differ.
#[tokio::test]
async fn a_recrawled_body_is_a_duplicate() {
    let mut server = Server::in_memory().await;
    for language in ["fr", "en", "de", "zh"] {
        let page = SamplePage::read(&format!("page.{language}.tsv"));
        let variant = SamplePage::read(&format!("variant.{language}.tsv"));
        assert_ne!(page.body(), variant.body());
        server.put(language, &page.body()).await;
        let answer = server.page(&variant.text).await;
        let body: Vec<&str> = answer
            .segments
            .iter()
            .filter(|it| it.kind() == SegmentKind::Body)
            .map(|it| it.text.as_str())
            .collect();
        assert_eq!(body, variant.of_kind(SegmentKind::Body), "{language}");
        let [duplicate] = answer.body_duplicates.as_slice() else { panic!("{answer:?}") };
        assert_eq!(duplicate.article_id, language);
        assert_eq!(duplicate.relation(), Relation::Duplicate);
        assert!((0.5..1.0).contains(&duplicate.jaccard), "{}", duplicate.jaccard);
    }
    server.stop().await;
}

/// A line that three articles have which are not alike is the site's, not the
/// article's; in two, or in copies of one, it may be anything.
#[tokio::test]
async fn standing_text_is_learnt_from_the_store() {
    const STANDING: &str = "The Lantern has been printed on recycled paper by the cooperative of \
        Harrowmere since the spring of 1974 and belongs to its readers.";
    let mut server = Server::in_memory().await;
    let page = SamplePage::read("page.en.tsv");
    let paragraph = page.of_kind(SegmentKind::Body)[2];
    let text = page.text.replace(paragraph, &format!("{paragraph}\n{STANDING}"));
    let articles = ["article.en.txt", "article.de.txt", "article.fr.txt"].map(sample);
    for copy in 0..4 {
        let text = format!("{}\n{STANDING}", articles[0]);
        server.put_of("lantern.example", &format!("copy {copy}"), &text).await;
    }
    let kind_of = |answer: &AnalyzePageResponse| {
        answer.segments.iter().find(|it| it.text == STANDING).unwrap().kind()
    };
    for (at, article) in articles.iter().enumerate().skip(1) {
        assert_ne!(kind_of(&server.page(&text).await), SegmentKind::Other, "{at}");
        let text = format!("{article}\n{STANDING}");
        server.put_of("www.Lantern.example", &at.to_string(), &text).await;
    }
    let answer = server.page(&text).await;
    assert_eq!(kind_of(&answer), SegmentKind::Other);
    let body: Vec<&str> = answer
        .segments
        .iter()
        .filter(|it| it.kind() == SegmentKind::Body)
        .map(|it| it.text.as_str())
        .collect();
    assert_eq!(body, page.of_kind(SegmentKind::Body));
    for (site, is_its_own) in [("lantern.example", true), ("other.example", false)] {
        let request =
            AnalyzePageRequest { text: text.clone(), site: site.to_owned(), ..Default::default() };
        let answer = server.client.analyze_page(request).await.unwrap();
        assert_eq!(kind_of(&answer) == SegmentKind::Other, is_its_own, "{site}");
    }
    // It is no less standing text where it is some article's title as well.
    for (id, article) in [("home", words(9000, 150)), ("own", page.body())] {
        put_titled(&mut server, id, STANDING, &article).await;
        assert_eq!(kind_of(&server.page(&text).await), SegmentKind::Other);
    }
    server.stop().await;
}

/// What articles are called is what it is, whoever quotes it and whatever is stored.
#[tokio::test]
async fn a_title_and_a_matched_headline_are_no_standing_text() {
    let mut server = Server::in_memory().await;
    let page = SamplePage::read("page.en.tsv");
    let (title, headline) =
        (page.of_kind(SegmentKind::Title)[0], page.of_kind(SegmentKind::TeaserHeadline)[0]);
    let kind_of = |answer: &AnalyzePageResponse, line: &str| {
        answer.segments.iter().find(|it| it.text == line).unwrap().kind()
    };
    for at in 0..4 {
        let text = format!("{title}\n{headline}\n{}", words(3000 + 500 * at, 200));
        server.put(&format!("quotes {at}"), &text).await;
    }
    let otters = format!("{} {}", page.of_kind(SegmentKind::Teaser)[0], words(7000, 100));
    for (id, called, text) in
        [("none", "", words(1, 100)), ("own", title, page.body()), ("otters", headline, otters)]
    {
        put_titled(&mut server, id, called, &text).await;
        let answer = server.page(&page.text).await;
        assert_eq!(kind_of(&answer, title), SegmentKind::Title, "{id}");
        assert_eq!(kind_of(&answer, headline), SegmentKind::TeaserHeadline, "{id}");
    }
    server.stop().await;
}

async fn put_titled(server: &mut Server, id: &str, title: &str, text: &str) {
    let mut put = put_request(id, text);
    let article = put.article.as_mut().unwrap();
    title.clone_into(&mut article.title);
    "lantern.example".clone_into(&mut article.site);
    server.client.put_article(put).await.unwrap();
}

/// However often a teaser stands on a page, whole or cut, it is answered once.
#[tokio::test]
async fn the_same_teaser_is_one_teaser() {
    let mut server = Server::in_memory().await;
    let page = SamplePage::read("page.fr.tsv");
    server.put("fr", &sample("article.fr.txt")).await;
    let blurb = page.of_kind(SegmentKind::Teaser)[0];
    let shorter = format!("{}...", cut_in_a_word(blurb, 120));
    let text = page.text.replacen(blurb, &shorter, 1);
    let answer = server.page(&text).await;
    let places: Vec<u32> =
        (0..).zip(&answer.segments).filter(|it| it.1.teaser.is_some()).map(|it| it.0).collect();
    let mut told: Vec<u32> =
        answer.teasers.iter().flat_map(|it| it.segment_indexes.clone()).collect();
    told.sort_unstable();
    assert_eq!(told, places, "every teaser stands in one group");
    let same: Vec<_> = answer.teasers.iter().filter(|it| it.segment_indexes.len() > 1).collect();
    let [same] = same.as_slice() else { panic!("{:?}", answer.teasers) };
    let texts: Vec<&str> = same
        .segment_indexes
        .iter()
        .map(|at| answer.segments[usize::try_from(*at).unwrap()].text.as_str())
        .collect();
    assert_eq!(texts, [shorter.as_str(), blurb]);
    let whole = same.answer.as_ref().unwrap();
    assert_eq!(whole.matches[0].article_id, "fr");
    let longest = answer.segments.iter().find(|it| it.text == blurb).unwrap();
    assert_eq!(Some(whole), longest.teaser.as_ref());
    let firsts: Vec<u32> = answer.teasers.iter().map(|it| it.segment_indexes[0]).collect();
    assert!(firsts.is_sorted(), "in page order");
    server.stop().await;
}

/// A label that only a user's file of cues knows makes a list of what follows.
#[tokio::test]
async fn a_label_can_be_added() {
    let page = SamplePage::read("page.de.tsv");
    let label = page.of_kind(SegmentKind::SectionLabel)[0];
    let text = page.text.replace(label, "Aus derselben Feder");
    let kinds_of = async |cues: Cues| {
        let mut server = Server::start_with(None, cues).await;
        let answer = server.page(&text).await;
        server.stop().await;
        answer.segments.iter().map(|it| (it.kind(), it.text.clone())).collect::<Vec<_>>()
    };
    let kind = |kinds: &[(SegmentKind, String)]| {
        kinds.iter().find(|it| it.1 == "Aus derselben Feder").unwrap().0
    };
    let mut cues = Cues::builtin().clone();
    assert_ne!(kind(&kinds_of(cues.clone()).await), SegmentKind::SectionLabel);
    cues.add("[label]\naus derselben feder\n").unwrap();
    let kinds = kinds_of(cues).await;
    assert_eq!(kind(&kinds), SegmentKind::SectionLabel);
    let found: Vec<SegmentKind> = kinds.iter().map(|it| it.0).collect();
    let expected: Vec<SegmentKind> = page.kinds.iter().map(|it| it.0).collect();
    assert_eq!(found, expected);
}

/// The first `bytes` of a text, ended inside a word where the script has words.
fn cut_in_a_word(text: &str, bytes: usize) -> &str {
    let is_cut = |at: &usize| {
        let (before, after) = text.split_at(*at);
        before.ends_with(char::is_alphanumeric) && after.starts_with(char::is_alphanumeric)
    };
    let at = (bytes..text.len()).filter(|it| text.is_char_boundary(*it)).find(is_cut).unwrap();
    &text[..at]
}

fn straight(text: &str) -> String {
    text.replace('’', "'").replace(['“', '”'], "\"")
}

fn without_accents(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfd().filter(|it| !matches!(it, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{655}')).collect()
}

/// Replaces the fourth and the ninth word, or characters of a text without
/// spaces.
fn two_words_changed(text: &str) -> String {
    if text.contains(' ') {
        let words = text.split(' ').enumerate();
        let changed = words.map(|(at, word)| if at == 3 || at == 8 { "xylophone" } else { word });
        return changed.collect::<Vec<_>>().join(" ");
    }
    let characters = text.chars().enumerate();
    characters.map(|(at, it)| if at == 3 || at == 8 { '鑫' } else { it }).collect()
}
