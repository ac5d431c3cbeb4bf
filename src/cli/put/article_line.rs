//! An article as one line of JSON, under the names that crawlers' tools write.

use doublon::api::v1;
use serde::Deserialize;

use crate::cli::filter::time;
use crate::cli::json;

/// The fields that are understood: doublon's own names, and those of trafilatura
/// (`source`, `source-hostname`, `excerpt`) and newspaper4k (`publish_date`,
/// `meta_description`, `meta_lang`). Others are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a JSON object with the fields of an article")]
struct ArticleLine {
    id: Option<Id>,
    article_id: Option<Id>,
    url: Option<String>,
    /// A URL in what trafilatura writes; elsewhere it may be anything.
    source: Option<serde_json::Value>,
    site: Option<String>,
    hostname: Option<String>,
    #[serde(rename = "source-hostname")]
    source_hostname: Option<String>,
    meta_site_name: Option<String>,
    language: Option<String>,
    lang: Option<String>,
    meta_lang: Option<String>,
    title: Option<String>,
    description: Option<String>,
    lead: Option<String>,
    excerpt: Option<String>,
    meta_description: Option<String>,
    text: Option<String>,
    published: Option<String>,
    published_time: Option<String>,
    date: Option<String>,
    publish_date: Option<String>,
    expire_time: Option<String>,
}

/// Some tools number their articles.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

/// Reads a line. An article without an id gets its URL as one, or, without a
/// URL, the hash of its text.
pub(super) fn read(line: &str) -> Result<v1::Article, String> {
    let line: ArticleLine = json::read_object("article", line)?;
    let source = line.source.and_then(|it| it.as_str().map(str::to_owned));
    let url = first([line.url, source.filter(|it| it.contains("://"))]);
    let text = line.text.unwrap_or_default();
    let published = first([line.published, line.published_time, line.date, line.publish_date]);
    let published_time = match published.as_str() {
        "" => None,
        published => Some(time(published)?),
    };
    let expire_time = match line.expire_time.as_deref() {
        None | Some("") => None,
        Some(it) => Some(time(it)?),
    };
    let article_id = match line.id.or(line.article_id) {
        Some(Id::Text(id)) => id,
        Some(Id::Number(id)) => id.to_string(),
        None if url.is_empty() => super::content_id(&text),
        None => url.clone(),
    };
    Ok(v1::Article {
        article_id,
        url,
        site: first([line.site, line.hostname, line.source_hostname, line.meta_site_name]),
        language: first([line.language, line.lang, line.meta_lang]),
        title: line.title.unwrap_or_default(),
        description: first([line.description, line.lead, line.excerpt, line.meta_description]),
        text,
        published_time,
        stored_time: None,
        expire_time,
    })
}

/// The first value that is there and not empty.
fn first<const N: usize>(values: [Option<String>; N]) -> String {
    values.into_iter().flatten().find(|it| !it.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_tools_are_understood() {
        for line in [
            r#"{"id":"a","url":"https://e.fr/1","title":"T","description":"D","text":"X","lang":"fr","published":"2026-01-02T03:04:05Z","site":"e.fr"}"#,
            r#"{"id":"a","url":"https://e.fr/1","title":"T","lead":"D","text":"X","language":"fr","date":"2026-01-02T03:04:05+00:00","hostname":"e.fr","author":null}"#,
            r#"{"id":"a","source":"https://e.fr/1","title":"T","excerpt":"D","text":"X","language":"fr","date":"2026-01-02T03:04:05Z","hostname":null,"source-hostname":"e.fr"}"#,
            r#"{"id":"a","url":"https://e.fr/1","title":"T","meta_description":"D","text":"X","meta_lang":"fr","publish_date":"2026-01-02T03:04:05","meta_site_name":"e.fr","tags":[1]}"#,
        ] {
            let article = read(line).unwrap();
            assert_eq!(article.article_id, "a", "{line}");
            assert_eq!(article.url, "https://e.fr/1", "{line}");
            assert_eq!(article.site, "e.fr", "{line}");
            assert_eq!(article.language, "fr", "{line}");
            assert_eq!(
                (article.title.as_str(), article.description.as_str()),
                ("T", "D"),
                "{line}"
            );
            assert_eq!(article.published_time.unwrap().seconds, 1_767_323_045, "{line}");
        }
    }

    #[test]
    fn an_article_without_an_id_gets_one_that_stays() {
        assert_eq!(
            read(r#"{"url":"https://e.fr/1","text":"X"}"#).unwrap().article_id,
            "https://e.fr/1"
        );
        assert_eq!(read(r#"{"id":7,"text":"X"}"#).unwrap().article_id, "7");
        let (a, b) =
            (read(r#"{"text":"X"}"#).unwrap(), read(r#"{"text":"X","title":"T"}"#).unwrap());
        assert_eq!(a.article_id, b.article_id);
        assert!(a.article_id.starts_with("xxh3-"));
        assert_eq!(read(r#"{"id":"","text":"X"}"#).unwrap().article_id, "");
        let corpus = read(r#"{"id":"a","source":"corpus","text":"X"}"#).unwrap();
        assert_eq!(corpus.url, "");
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        assert!(read("{").unwrap_err().contains("not an article as a JSON object"));
        assert!(read(r#"["a", "u"]"#).unwrap_err().contains("not an article as a JSON object"));
        assert!(read(r#"{"id":"a","text":3}"#).unwrap_err().contains("invalid type"));
        assert!(
            read(r#"{"id":"a","date":"yesterday"}"#)
                .unwrap_err()
                .contains("\"yesterday\" is not a time")
        );
        assert!(
            read(r#"{"id":"a","expire_time":"soon"}"#)
                .unwrap_err()
                .contains("\"soon\" is not a time")
        );
        let expiring = read(r#"{"id":"a","expire_time":"2026-01-02"}"#).unwrap();
        assert_eq!(expiring.expire_time.unwrap().seconds, 1_767_312_000);
        assert!(
            read(r#"{"id":"a","date":"+025025-01-02"}"#)
                .unwrap_err()
                .contains("\"+025025-01-02\" is not in the years 1 to 9999")
        );
        assert_eq!(
            read(r#"{"id":"a","date":"2026-01-02"}"#).unwrap().published_time.unwrap().nanos,
            0
        );
    }
}
