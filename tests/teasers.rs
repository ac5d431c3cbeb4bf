//! Teasers as sites write them: short, edited and in other words, on articles of
//! our own writing (`tests/eval`), over the real service.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use doublon::api::v1::{self, MatchKind, TeaserVerdict};
use serde_json::Value;
use support::{Server, field, put_request, rows, slice, with_articles, words};

#[tokio::test]
async fn titles_of_four_rare_words_match_and_stock_phrases_are_too_thin() {
    let mut server = Server::in_memory().await;
    let body = "Nine otters were counted on the canal this winter, more than in any year since the \
                mills were closed and the water was cleaned.";
    for number in 0..200 {
        let mut put = put_request(&number.to_string(), &format!("{body} Count number {number}."));
        put.article.as_mut().unwrap().title = if number == 7 {
            "Otters conquer Brackwell canal".into()
        } else {
            "Coronavirus: the state of the pandemic".into()
        };
        server.client.put_article(put).await.unwrap();
    }
    let answer = server.teaser("Otters conquer Brackwell canal").await;
    assert_eq!(answer.verdict(), TeaserVerdict::Match, "{answer:?}");
    assert_eq!(answer.matches[0].article_id, "7");
    assert_eq!(answer.matches[0].field(), v1::ArticleField::Title);
    for thin in ["Coronavirus: the state of the pandemic", "Otters conquer Brackwell", "canal"] {
        let verdict = server.teaser(thin).await.verdict();
        assert_eq!(verdict, TeaserVerdict::InsufficientEvidence, "{thin}");
    }
    server.stop().await;
}

/// Every answer to a teaser in other words is its article, most are found, and the
/// places that are shown are within the texts.
#[tokio::test]
async fn teasers_in_other_words_find_their_article_by_its_rare_words() {
    let mut server = with_articles("en").await;
    let bodies: Vec<Value> = rows("articles.jsonl");
    let (mut asked, mut rewritten) = (0, 0);
    for row in rows("teasers.jsonl").iter().filter(|it| it["lang"] == "en") {
        if row["suspect_generic"] == true {
            continue;
        }
        asked += 1;
        let teaser = field(row, "teaser");
        let answer = server.teaser(&teaser).await;
        let Some(found) = answer.matches.first() else { continue };
        assert_eq!(found.article_id, field(row, "article_id"), "{teaser}");
        assert!((0.25..=1.0).contains(&found.confidence), "{}", found.confidence);
        let article = bodies.iter().find(|it| it["id"] == found.article_id.as_str()).unwrap();
        let place = match found.field() {
            v1::ArticleField::Title => field(article, "title"),
            v1::ArticleField::Description => field(article, "lead"),
            v1::ArticleField::Body | v1::ArticleField::Unspecified => field(article, "text"),
        };
        assert!(!slice(&place, found.article_span).is_empty());
        assert!(!slice(&teaser, found.teaser_span).is_empty());
        rewritten += usize::from(found.kind() == MatchKind::Rewritten);
    }
    assert!(asked > 60 && rewritten >= 10, "{rewritten} of {asked}");
    server.stop().await;
}

/// In a store that has few articles in a language, no word is known to be rare, and
/// nothing is guessed.
#[tokio::test]
async fn a_store_with_little_in_a_language_does_not_guess() {
    let mut server = with_articles("vi").await;
    let other = "Hội đồng thị xã thông qua việc xây cầu mới bắc qua sông ở phía nam thành phố";
    let verdict = server.teaser(other).await.verdict();
    assert_eq!(verdict, TeaserVerdict::NoMatch);
    server.stop().await;
}

/// A filter that keeps the teaser's article out makes no other article likelier.
#[tokio::test]
async fn a_filter_does_not_make_a_stranger_the_best() {
    let mut server = with_articles("en").await;
    let other = rows("articles.jsonl").into_iter().find(|it| it["lang"] == "en").unwrap();
    let mut put = put_request("stranger", &field(&other, "text").replace("the", "a"));
    put.article.as_mut().unwrap().site = "stranger.example".into();
    server.client.put_article(put).await.unwrap();
    let id = field(&other, "id");
    let foreign = rows("teasers.jsonl").into_iter().filter(|it| {
        it["lang"] == "en" && it["suspect_generic"] != true && field(it, "article_id") != id
    });
    for row in foreign {
        let filter = v1::Filter { sites: vec!["stranger.example".into()], ..Default::default() };
        let request = v1::MatchTeaserRequest {
            text: field(&row, "teaser"),
            filter: Some(filter),
            max_results: 1,
            ..Default::default()
        };
        let answer = server.client.match_teaser(request).await.unwrap();
        assert!(answer.matches.is_empty(), "{} {answer:?}", field(&row, "teaser"));
    }
    server.stop().await;
}

/// Forty articles have an agency's text, and another one has five of its words in a row.
#[tokio::test]
async fn a_text_of_many_is_found_beside_an_article_that_has_a_phrase_of_it() {
    let mut server = Server::in_memory().await;
    for copy in 0..40 {
        server.put(&format!("copy {copy}"), &words(0, 200)).await;
    }
    server.put("stranger", &format!("{} {}", words(105, 5), words(5000, 100))).await;
    let answer = server.teaser(&words(100, 24)).await;
    assert_eq!((answer.verdict(), answer.matches.len()), (TeaserVerdict::Match, 5));
    assert!(answer.matches.iter().all(|it| it.article_id.starts_with("copy")), "{answer:?}");
    let edited = words(0, 24).replace("w12 ", "edited ");
    server.put("edited", &format!("{edited} {}", words(24, 176))).await;
    let answer = server.teaser(&edited).await;
    assert_eq!((answer.matches[0].article_id.as_str(), answer.matches.len()), ("edited", 5));
    server.stop().await;
}
