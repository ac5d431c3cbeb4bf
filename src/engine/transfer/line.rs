//! The lines of an export: one JSON object each, whose `type` says what it is about. They
//! are described in `docs/export.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::article::{Article, ArticleId, UnixTime};
use crate::engine::record::StoredArticle;
use crate::engine::reference::Reference;
use crate::engine::revision::Revision;
use crate::engine::story::StoryId;
use crate::engine::story::record::{Member, Story};
use crate::engine::watch::record::{Resolution, StandingTeaser};

/// Version of the lines: an import reads all up to this one.
pub(in crate::engine) const FORMAT: u32 = 1;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::engine) enum Line {
    /// The first one.
    Export(Head),
    /// Of the articles before it, those that are still there. Stands where an export was
    /// resumed.
    Kept(Kept),
    Article(Box<ArticleLine>),
    Revision(RevisionLine),
    Reference(Reference),
    Story(StoryLine),
    Member(MemberLine),
    Teaser(StandingTeaser),
    Resolution(Resolution),
    /// Something that could not be read.
    Damaged(Damaged),
    /// The last one.
    End(End),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct Head {
    pub(in crate::engine) format: u32,
    /// The doublon that wrote it.
    pub(in crate::engine) version: String,
    /// Drawn at random: what is resumed is of the same export.
    pub(in crate::engine) id: String,
    /// What tells the store from others.
    pub(in crate::engine) store: String,
    /// Articles when it was begun.
    pub(in crate::engine) article_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct Kept {
    /// The first number that it is about.
    pub(in crate::engine) from: u32,
    /// The last one.
    pub(in crate::engine) up_to: u32,
    /// Numbers, from the first up to and with the second, ascending.
    pub(in crate::engine) ranges: Vec<(u32, u32)>,
}

/// An article: under the names that `doublon put --jsonl` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct ArticleLine {
    pub(in crate::engine) number: u32,
    pub(in crate::engine) id: ArticleId,
    pub(in crate::engine) stored_ms: u64,
    url: String,
    site: String,
    language: String,
    title: String,
    description: String,
    /// Empty where it was not kept.
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
    /// What was computed from the text, where that was not kept: `Part::Features`
    /// without a dictionary, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    features: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct RevisionLine {
    pub(in crate::engine) article: ArticleId,
    pub(in crate::engine) revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct StoryLine {
    pub(in crate::engine) id: StoryId,
    pub(in crate::engine) story: Story,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct MemberLine {
    pub(in crate::engine) story: StoryId,
    pub(in crate::engine) number: u32,
    pub(in crate::engine) member: Member,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct Damaged {
    /// The article that is lost, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) number: Option<u32>,
    pub(in crate::engine) problem: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct End {
    pub(in crate::engine) article_count: u64,
    /// The number of the next content.
    pub(in crate::engine) next_number: u32,
    /// The first resolution that is remembered.
    pub(in crate::engine) resolution_first: u64,
    /// The next one.
    pub(in crate::engine) resolution_next: u64,
}

/// What the first line of every version says.
#[derive(Debug, Deserialize)]
struct Any {
    r#type: String,
    #[serde(default)]
    format: u32,
}

impl Line {
    /// Reads a line, the first of an export or another.
    pub(in crate::engine) fn read(line: &[u8], is_first: bool) -> Result<Self, String> {
        let unreadable = |it: serde_json::Error| {
            // The line's own number is known; within it there is only a column.
            it.to_string().replace(" at line 1 column ", " at column ")
        };
        if is_first {
            let any: Any = serde_json::from_slice(line).map_err(unreadable)?;
            if any.r#type != "export" {
                return Err("an export begins with a line of the type \"export\"".to_owned());
            }
            if any.format > FORMAT {
                return Err(format!(
                    "the export has format {}, this doublon reads formats up to {FORMAT}: use a newer one",
                    any.format
                ));
            }
        }
        serde_json::from_slice(line).map_err(unreadable)
    }
}

impl ArticleLine {
    /// Of an article, with its features if its text was not kept.
    pub(in crate::engine) fn of(
        number: u32,
        stored: StoredArticle,
        features: Option<&[u8]>,
    ) -> Self {
        let StoredArticle { article, stored_ms } = stored;
        let Article { id, url, site, language, title, description, text, published, expires } =
            article;
        Self {
            number,
            id,
            stored_ms,
            url,
            site,
            language,
            title,
            description,
            text,
            published: published.map(written),
            expire_time: expires.map(written),
            features: features.map(|it| STANDARD.encode(it)),
        }
    }

    /// The article, and its features if it has no text.
    pub(in crate::engine) fn into_article(self) -> Result<(Article, Option<Vec<u8>>), String> {
        let Self { id, url, site, language, title, description, text, .. } = self;
        let time = |name: &str, it: Option<String>| it.map(|it| read_time(name, &it)).transpose();
        let features = self.features.map(|it| STANDARD.decode(it)).transpose();
        let article = Article {
            id,
            url,
            site,
            language,
            title,
            description,
            text,
            published: time("published", self.published)?,
            expires: time("expire_time", self.expire_time)?,
        };
        Ok((article, features.map_err(|it| format!("features: {it}"))?))
    }
}

/// In RFC 3339.
fn written(time: UnixTime) -> String {
    let nanos = i32::try_from(time.nanos()).unwrap_or(0);
    Timestamp { seconds: time.seconds(), nanos }.to_string()
}

fn read_time(name: &str, text: &str) -> Result<UnixTime, String> {
    let time: Timestamp = text.parse().map_err(|_| format!("{name}: {text:?} is not a time"))?;
    UnixTime::new(name, time.seconds, i64::from(time.nanos)).map_err(|it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_which_format_it_has() {
        let head =
            r#"{"type":"export","format":1,"version":"1","id":"a","store":"b","article_count":2}"#;
        assert!(matches!(Line::read(head.as_bytes(), true), Ok(Line::Export(_))));
        let newer = r#"{"type":"export","format":2,"new":{}}"#;
        let problem = Line::read(newer.as_bytes(), true).unwrap_err();
        assert!(problem.contains("format 2, this doublon reads formats up to 1"), "{problem}");
        let other = Line::read(br#"{"type":"article","id":"a"}"#, true).unwrap_err();
        assert!(other.contains("begins with"), "{other}");
        for bad in ["", "[]", "{", r#"{"type":"new"}"#, r#"{"type":"end","more":1}"#, "\u{0}"] {
            assert!(Line::read(bad.as_bytes(), false).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_article_comes_back_and_is_one_for_put() {
        let article = Article {
            id: ArticleId::new("é\"").unwrap(),
            url: "u".into(),
            site: "s".into(),
            language: "l".into(),
            title: "t\n".into(),
            description: "d".into(),
            text: "x\u{0}\u{202E}".into(),
            published: Some(UnixTime::new("", -62_135_596_800, 0).unwrap()),
            expires: Some(UnixTime::new("", 253_402_300_799, 999_999_999).unwrap()),
        };
        let stored = StoredArticle { article: article.clone(), stored_ms: 7 };
        let line = Line::Article(Box::new(ArticleLine::of(3, stored, Some(&[1, 2, 255]))));
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.starts_with(r#"{"type":"article","number":3,"id":"é\"","stored_ms":7,"#));
        assert!(text.contains(r#""expire_time":"9999-12-31T23:59:59.999999999Z""#), "{text}");
        let Line::Article(read) = Line::read(text.as_bytes(), false).unwrap() else { panic!() };
        assert_eq!((read.number, read.stored_ms), (3, 7));
        assert_eq!(read.into_article().unwrap(), (article, Some(vec![1, 2, 255])));
    }
}
