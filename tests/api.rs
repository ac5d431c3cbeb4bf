//! The contract over the wire: every RPC, errors with reason and field, streams
//! that outlive a bad item, health and reflection.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use doublon::api::v1;
use doublon::api::v1::doublon_service_client::DoublonServiceClient;
use doublon::service::Settings;
use support::{Server, put_request, settings};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

const TEXT: &str = "The lighthouse keeper of Port Lannec has written down every storm of the last \
                    forty years, and on Friday her notebooks go on show in the harbour hall.";
const MIB: usize = 1 << 20;

async fn raw(server: &Server) -> DoublonServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    DoublonServiceClient::new(endpoint.connect().await.unwrap())
        .max_encoding_message_size(usize::MAX)
}

/// Code, reason and field at fault.
fn facts(status: &Status) -> (Code, String, String) {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "doublon");
    let violations = status.get_details_bad_request().map(|it| it.field_violations);
    let field = violations.unwrap_or_default().first().map(|it| it.field.clone());
    let reason = info.reason.strip_prefix("ERROR_REASON_").unwrap().to_owned();
    (status.code(), reason, field.unwrap_or_default())
}

#[tokio::test]
async fn bad_fields_are_named_with_their_reason() {
    let server = Server::in_memory().await;
    let mut client = raw(&server).await;
    let long = "word ".repeat(MIB / 5 + 1);
    let seconds = 253_402_300_800; // the year 10000
    let time = prost_types::Timestamp { seconds, nanos: 0 };
    let dated = |it: v1::PutArticleRequest| {
        let article = it.article.map(|it| v1::Article { published_time: Some(time), ..it });
        v1::PutArticleRequest { article, ..Default::default() }
    };
    for (request, reason, field) in [
        (put_request("a", ""), "FIELD_MISSING", "article.text"),
        (put_request("a", "…!?"), "TEXT_WITHOUT_TOKENS", "article.text"),
        (put_request("a", &long), "FIELD_TOO_LONG", "article.text"),
        (put_request("", TEXT), "FIELD_MISSING", "article.article_id"),
        (put_request(&"i".repeat(513), TEXT), "FIELD_TOO_LONG", "article.article_id"),
        (dated(put_request("a", TEXT)), "FIELD_OUT_OF_RANGE", "article.published_time"),
        (v1::PutArticleRequest::default(), "FIELD_MISSING", "article"),
        (
            v1::PutArticleRequest { on_duplicate: 9, ..put_request("a", TEXT) },
            "FIELD_OUT_OF_RANGE",
            "on_duplicate",
        ),
    ] {
        let status = client.put_article(request).await.unwrap_err();
        let expected = (Code::InvalidArgument, reason.to_owned(), field.to_owned());
        assert_eq!(facts(&status), expected, "{}", status.message());
    }
    let teaser = |text: &str| v1::MatchTeaserRequest { text: text.into(), ..Default::default() };
    let status = client.match_teaser(teaser(&"mot ".repeat(1025))).await.unwrap_err();
    assert_eq!(status.message(), "text has 1025 tokens, the limit is 1024: shorten it");
    client.match_teaser(teaser(&"mot ".repeat(1024))).await.unwrap();
    let status = client
        .list_articles(v1::ListArticlesRequest { page_token: "x".into(), ..Default::default() });
    assert_eq!(facts(&status.await.unwrap_err()).1, "PAGE_TOKEN_INVALID");
    let missing = v1::GetArticleRequest { article_id: "nobody".into() };
    let status = client.get_article(missing).await.unwrap_err();
    assert_eq!(facts(&status), (Code::NotFound, "ARTICLE_NOT_FOUND".into(), String::new()));
    server.stop().await;
}

#[tokio::test]
async fn limits_hold_at_their_edge() {
    let mut server = Server::in_memory().await;
    let text = format!("{TEXT} {}", "x".repeat(MIB - TEXT.len() - 1));
    assert_eq!(text.len(), MIB);
    let id = "i".repeat(512);
    assert_eq!(server.put(&id, &text).await.outcome(), v1::PutOutcome::Created);
    let stored = server.client.get_article(&id).await.unwrap();
    assert_eq!(stored.article.unwrap().text, text);
    server.stop().await;
}

#[tokio::test]
async fn a_put_is_found_by_the_next_call_and_a_deletion_is_not() {
    let mut server = Server::in_memory().await;
    assert_eq!(server.put("a", TEXT).await.outcome(), v1::PutOutcome::Created);
    assert_eq!(server.put("a", TEXT).await.outcome(), v1::PutOutcome::Unchanged);
    let answer = server.put("b", &format!("{TEXT} Entry is free.")).await;
    assert_eq!(answer.duplicates[0].article_id, "a");
    assert_eq!(answer.duplicates[0].relation(), v1::Relation::Duplicate);
    assert_eq!(server.put("a", TEXT).await.duplicates, [], "named is what was stored before");

    let other = "Nine otters were counted on the Brackwell canal this winter, more than ever.";
    assert_eq!(server.put("a", other).await.outcome(), v1::PutOutcome::Replaced);
    let ids = |found: Vec<v1::Duplicate>| -> Vec<String> {
        found.into_iter().map(|it| it.article_id).collect()
    };
    assert_eq!(ids(server.duplicates(TEXT).await), ["b"]);
    assert_eq!(ids(server.duplicates(other).await), ["a"]);
    assert_eq!(server.teaser(other).await.matches[0].article_id, "a");

    server.client.delete_article("a").await.unwrap();
    assert!(server.client.delete_article("a").await.unwrap_err().is_not_found());
    assert!(server.duplicates(other).await.is_empty());
    assert_eq!(server.teaser(other).await.verdict(), v1::TeaserVerdict::NoMatch);
    let stats = server.client.stats().await.unwrap();
    assert_eq!((stats.article_count, stats.band_posting_count), (1, 32));
    server.client.delete_article("b").await.unwrap();
    let stats = server.client.stats().await.unwrap();
    assert_eq!(
        (stats.article_count, stats.anchor_posting_count, stats.band_posting_count),
        (0, 0, 0)
    );
    server.stop().await;
}

#[tokio::test]
async fn as_many_results_come_as_are_asked_for() {
    let mut server = Server::in_memory().await;
    for at in 0..110 {
        server.put(&format!("copy-{at}"), &format!("{TEXT} Copy {at}.")).await;
    }
    let text = TEXT.to_owned();
    let teaser =
        v1::MatchTeaserRequest { text: text.clone(), max_results: 100, ..Default::default() };
    assert_eq!(server.client.match_teaser(teaser).await.unwrap().matches.len(), 100);
    let subject = Some(v1::find_duplicates_request::Subject::Text(text));
    let find = v1::FindDuplicatesRequest { subject, max_results: 100, ..Default::default() };
    assert_eq!(server.client.find_duplicates(find).await.unwrap().duplicates.len(), 100);
    server.stop().await;
}

#[tokio::test]
async fn duplicates_are_skipped_on_request_one_by_one_and_at_once() {
    let server = Server::in_memory().await;
    let puts = (0..60).map(|at| {
        let mut request = put_request(&format!("copy-{at}"), &format!("{TEXT} Copy number {at}."));
        request.on_duplicate = v1::OnDuplicate::Skip.into();
        let mut client = server.client.clone();
        tokio::spawn(async move { client.put_article(request).await.unwrap() })
    });
    let tasks: Vec<_> = puts.collect();
    let mut created = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        if answer.outcome() == v1::PutOutcome::Created {
            created += 1;
        } else {
            assert_eq!(answer.outcome(), v1::PutOutcome::Skipped);
            assert_eq!(answer.duplicates.len(), 1);
        }
    }
    assert_eq!(created, 1);
    server.stop().await;
}

/// A longer text that has all of the article ranks before its duplicate.
#[tokio::test]
async fn a_duplicate_is_skipped_though_another_relation_ranks_first() {
    let mut server = Server::in_memory().await;
    let filler = (0..90).map(|it| format!("w{it}")).collect::<Vec<_>>().join(" ");
    server.put("longer", &format!("{TEXT} {filler}")).await;
    server.put("edited", &TEXT.replace("Friday", "Sunday")).await;
    let request = v1::PutArticleRequest {
        on_duplicate: v1::OnDuplicate::Skip.into(),
        max_duplicates: 1,
        ..put_request("again", TEXT)
    };
    let answer = server.client.put_article(request).await.unwrap();
    assert_eq!(answer.outcome(), v1::PutOutcome::Skipped);
    assert_eq!(answer.duplicates[0].article_id, "edited");
    assert_eq!(server.duplicates(TEXT).await[0].article_id, "longer");
    server.stop().await;
}

/// What a stream replaces is no reason to leave out what comes behind it.
#[tokio::test]
async fn content_that_is_replaced_in_the_same_stream_hides_no_other() {
    let mut server = Server::in_memory().await;
    server.put("x", TEXT).await;
    let other = "Nine otters were counted on the Brackwell canal this winter, more than ever.";
    let items = [("x", other), ("y", TEXT)].map(|(id, text)| v1::PutArticlesRequest {
        put: Some(v1::PutArticleRequest {
            on_duplicate: v1::OnDuplicate::Skip.into(),
            ..put_request(id, text)
        }),
    });
    let answers = server.client.put_articles(tokio_stream::iter(items)).await.unwrap();
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 2);
    assert_eq!(server.duplicates(TEXT).await[0].article_id, "y");
    server.stop().await;
}

#[tokio::test]
async fn a_bad_item_ends_no_stream_and_answers_keep_their_order() {
    let server = Server::in_memory().await;
    let mut client = server.client.clone();
    let items = (0..500).map(|at| {
        let text = if at % 7 == 3 { String::new() } else { format!("{TEXT} Number {at}.") };
        v1::PutArticlesRequest { put: Some(put_request(&format!("a{at}"), &text)) }
    });
    let answers = client.put_articles(tokio_stream::iter(items.collect::<Vec<_>>())).await.unwrap();
    let answers: Vec<_> = answers.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(answers.len(), 500);
    for (at, answer) in answers.into_iter().enumerate() {
        match answer.outcome.unwrap() {
            v1::put_articles_response::Outcome::Result(it) => {
                assert_eq!(it.article_id, format!("a{at}"));
                assert_eq!(it.duplicates.is_empty(), at == 0, "{at}");
            }
            v1::put_articles_response::Outcome::Error(it) => {
                assert_eq!(at % 7, 3);
                assert_eq!(it.code, i32::from(Code::InvalidArgument));
                assert_eq!(it.details.len(), 2, "ErrorInfo and BadRequest");
            }
        }
    }
    let teasers = ["", "Nine otters were counted on the canal this cold winter", TEXT];
    let items = teasers.map(|text| v1::MatchTeasersRequest {
        r#match: Some(v1::MatchTeaserRequest { text: text.into(), ..Default::default() }),
    });
    let answers = client.match_teasers(tokio_stream::iter(items)).await.unwrap();
    let answers: Vec<_> = answers.collect::<Result<Vec<_>, _>>().await.unwrap();
    let verdicts: Vec<_> = answers
        .into_iter()
        .map(|it| match it.outcome.unwrap() {
            v1::match_teasers_response::Outcome::Result(it) => Some(it.verdict()),
            v1::match_teasers_response::Outcome::Error(_) => None,
        })
        .collect();
    assert_eq!(verdicts, [None, Some(v1::TeaserVerdict::NoMatch), Some(v1::TeaserVerdict::Match)]);
    server.stop().await;
}

#[tokio::test]
async fn filters_and_pages_of_the_list() {
    let mut server = Server::in_memory().await;
    for at in 0..25_i64 {
        let mut request = put_request(&format!("a{at:02}"), &format!("{TEXT} Number {at}."));
        let article = request.article.as_mut().unwrap();
        article.site = if at % 2 == 0 { "www.Even.org".into() } else { "odd.org".into() };
        article.language = "en-GB".into();
        article.published_time = Some(prost_types::Timestamp { seconds: at, nanos: 0 });
        server.client.put_article(request).await.unwrap();
    }
    let filter = v1::Filter {
        sites: vec!["even.org".into()],
        languages: vec!["EN".into()],
        published_start_time: Some(prost_types::Timestamp { seconds: 4, nanos: 0 }),
        published_end_time: Some(prost_types::Timestamp { seconds: 20, nanos: 0 }),
        ..Default::default()
    };
    let (mut ids, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let filter = Some(filter.clone());
        let request =
            v1::ListArticlesRequest { page_size: 3, page_token, filter, include_text: false };
        let page = server.client.list_articles(request).await.unwrap();
        assert!(page.articles.len() <= 3 && page.articles.iter().all(|it| it.text.is_empty()));
        ids.extend(page.articles.into_iter().map(|it| it.article_id));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids, ["a04", "a06", "a08", "a10", "a12", "a14", "a16", "a18"]);
    assert!(pages > 2);
    let request = v1::MatchTeaserRequest {
        text: format!("{TEXT} Number 7."),
        filter: Some(filter),
        max_results: 100,
        ..Default::default()
    };
    let answer = server.client.match_teaser(request).await.unwrap();
    let mut found: Vec<_> = answer.matches.into_iter().map(|it| it.article_id).collect();
    found.sort();
    assert_eq!(found, ids);
    server.stop().await;
}

#[tokio::test]
async fn signatures_and_comparisons() {
    let mut server = Server::in_memory().await;
    let sign =
        |text: &str, kind: v1::TextKind| v1::SignRequest { text: text.into(), kind: kind.into() };
    let whole = server.client.sign(sign(TEXT, v1::TextKind::Article)).await.unwrap();
    assert_eq!((whole.minhash.len(), whole.token_count, whole.shingle_count), (128, 28, 26));
    assert_eq!(whole.parameters.unwrap().version, 2);
    let cut = server.client.sign(sign("One two three fo...", v1::TextKind::Teaser)).await.unwrap();
    assert_eq!(cut.token_count, 3);
    server.put("a", TEXT).await;
    let stored = server.client.get_article("a").await.unwrap();
    assert_eq!(stored.signature.unwrap(), whole);
    let compare = |a: &str, b: &str| v1::CompareRequest { a_text: a.into(), b_text: b.into() };
    let longer = format!("First of all. {TEXT}");
    let same = server.client.compare(compare(TEXT, &longer)).await.unwrap();
    assert_eq!(same.relation(), v1::Relation::Duplicate);
    assert!((same.containment_a_in_b - 1.0).abs() < 1e-9 && same.containment_b_in_a < 1.0);
    let [aligned] = same.aligned_spans.as_slice() else { panic!("{same:?}") };
    assert_eq!(support::slice(TEXT, aligned.a_span), &TEXT[..TEXT.len() - 1]);
    assert_eq!(aligned.b_span.unwrap().start_byte, 14);
    let other = server.client.compare(compare(TEXT, "Nothing in common at all")).await.unwrap();
    assert_eq!(other.relation(), v1::Relation::Unrelated);
    server.stop().await;
}

#[tokio::test]
async fn health_and_reflection_share_the_port() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let server = Server::in_memory().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    for service in ["", "doublon.v1.DoublonService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = HealthClient::new(channel.clone()).check(request).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::iter([ask]))
        .await
        .unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|it| it.name).collect();
    assert!(names.contains(&"doublon.v1.DoublonService".to_owned()), "{names:?}");
    server.stop().await;
}

/// Short articles that end as everything on their site ends are not duplicates; a
/// copy of one of them is.
#[tokio::test]
async fn the_standing_text_of_a_site_makes_no_duplicates() {
    let mut server = Server::in_memory().await;
    let end = "Subscribe to the Valbrume Courier and read every local story before anybody \
               else does. Our newsroom works for its readers alone, and it takes no money from \
               companies or parties. A subscription costs less than one coffee a week, and you \
               can cancel it at any time from the page of your account or by a letter to us.";
    let briefs = [
        "A cyclist was hurt on Monday at the corner of Mill Street when a van door opened. She \
         was taken to the hospital of Port Lannec and may go home on Wednesday, her sister says.",
        "The public library stays closed until Friday because water came through the roof of the \
         children's room. About four hundred picture books are drying in the gym of the school.",
        "Three goats that had escaped from a farm near Brackwell were found at the bus stop last \
         night. The driver of the late bus gave them an apple each and called their owner at once.",
        "The town will plant sixty lime trees along the canal this winter, says the head gardener. \
         Residents who want to adopt one can sign a list at the town hall until the end of May.",
    ];
    for (number, brief) in briefs.iter().enumerate() {
        server.put(&format!("brief-{number}"), &format!("{brief} {end}")).await;
    }
    let found = server.duplicates(&format!("{} {end}", briefs[3])).await;
    let ids: Vec<&str> = found.iter().map(|it| it.article_id.as_str()).collect();
    assert_eq!(ids, ["brief-3"], "its own text, and no other brief");
    let recrawled = format!("{} {end}", briefs[3].replace("sixty", "seventy"));
    let found = server.duplicates(&recrawled).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].relation(), v1::Relation::Duplicate);
    server.stop().await;
}

#[tokio::test]
async fn without_texts_no_word_of_an_article_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { keeps_text: false, ..settings(Some(folder.path().to_owned())) };
    let mut server = Server::run(settings).await;
    for text in ["alphaword betaword gammaword and more", "alphaword betaword deltaword and more"] {
        let mut put = put_request("a", text);
        let article = put.article.as_mut().unwrap();
        article.title = "Epsilonword in the title".into();
        article.description = format!("Zetaword in the description of {text}");
        server.client.put_article(put).await.unwrap();
    }
    assert_eq!(server.client.list_revisions("a").await.unwrap().revisions.len(), 1);
    let found = server.teaser("Epsilonword in the title").await;
    assert_eq!(found.matches[0].article_id, "a");
    server.stop().await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap().to_ascii_lowercase();
        for word in ["alphaword", "deltaword", "epsilonword", "zetaword"] {
            let is_there = bytes.windows(word.len()).any(|it| it == word.as_bytes());
            assert!(!is_there, "{word}");
        }
    }
}

#[tokio::test]
async fn without_texts_all_answers_are_the_same() {
    let (mut with, mut without) = (Server::in_memory().await, Server::without_texts().await);
    let other = "Seen from the harbour hall the storms of forty years look small, the keeper says.";
    let page = format!("{other}\n\n{TEXT}\n\nRead more\nThe lighthouse keeper of Port Lannec...");
    let mut answers = Vec::new();
    for server in [&mut with, &mut without] {
        server.put("keeper", TEXT).await;
        let copy = server.put("copy", &TEXT.replace("Friday", "Monday")).await;
        let mut client = raw(server).await;
        let teaser = v1::MatchTeaserRequest {
            text: "has written down every storm of the last for...".into(),
            ..Default::default()
        };
        let matched = client.match_teaser(teaser).await.unwrap().into_inner();
        assert_eq!(matched.matches[0].article_span.unwrap().start_byte, 37);
        let page = v1::AnalyzePageRequest { text: page.clone(), ..Default::default() };
        let page = client.analyze_page(page).await.unwrap().into_inner();
        let get = v1::GetArticleRequest { article_id: "keeper".into() };
        let got = client.get_article(get).await.unwrap().into_inner();
        answers.push((format!("{copy:?} {matched:?} {page:?} {:?}", got.signature), got.article));
    }
    assert_eq!(answers[0].0, answers[1].0);
    let text = |at: usize| answers[at].1.as_ref().unwrap().text.clone();
    assert_eq!((text(0).as_str(), text(1).as_str()), (TEXT, ""));
    with.stop().await;
    without.stop().await;
}
