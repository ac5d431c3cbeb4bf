//! An article, and the limits of every field that callers give.

use serde::{Deserialize, Serialize};

use crate::engine::error::{Invalid, Problem};
use crate::index::{Facets, keys};

/// Bytes of a text.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of an id.
pub const ID_BYTES_MAX: usize = 512;
/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 8 << 10;
/// Bytes of a site's name.
pub const SITE_BYTES_MAX: usize = 512;
/// Bytes of a language tag.
pub const LANGUAGE_BYTES_MAX: usize = 64;
/// Bytes of a title.
pub const TITLE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a description.
pub const DESCRIPTION_BYTES_MAX: usize = 64 << 10;

/// The caller's name for an article: 1 to [`ID_BYTES_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArticleId(String);

/// A point in time, in the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime {
    seconds: i64,
    nanos: u32,
}

/// An article as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// The caller's name for it.
    pub id: ArticleId,
    /// Where it was fetched; empty where it is not known, as in the next four.
    pub url: String,
    /// The site it belongs to.
    pub site: String,
    /// BCP 47 language tag.
    pub language: String,
    /// Headline.
    pub title: String,
    /// Standfirst.
    pub description: String,
    /// Body.
    pub text: String,
    /// When it was published.
    pub published: Option<UnixTime>,
    /// When it is to be deleted.
    pub expires: Option<UnixTime>,
}

impl ArticleId {
    /// Checks the length.
    pub fn new(id: impl Into<String>) -> Result<Self, Invalid> {
        let id = id.into();
        check_present("article_id", &id)?;
        check_bytes("article_id", &id, ID_BYTES_MAX)?;
        Ok(Self(id))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for ArticleId {
    type Error = Invalid;

    fn try_from(id: String) -> Result<Self, Invalid> {
        Self::new(id)
    }
}

impl From<ArticleId> for String {
    fn from(id: ArticleId) -> Self {
        id.0
    }
}

impl UnixTime {
    /// The first second of the year 1.
    pub const SECONDS_MIN: i64 = -62_135_596_800;
    /// The last second of the year 9999.
    pub const SECONDS_MAX: i64 = 253_402_300_799;

    /// From seconds since the Unix epoch and nanoseconds within the second.
    pub fn new(field: &str, seconds: i64, nanos: i64) -> Result<Self, Invalid> {
        let in_range = (Self::SECONDS_MIN..=Self::SECONDS_MAX).contains(&seconds);
        match u32::try_from(nanos) {
            Ok(nanos) if in_range && nanos < 1_000_000_000 => Ok(Self { seconds, nanos }),
            _ => {
                let allowed = "a time in the years 1 to 9999 with 0 to 999,999,999 nanoseconds";
                Err(Invalid::new(field, Problem::OutOfRange { allowed: allowed.to_owned() }))
            }
        }
    }

    /// Seconds since the Unix epoch.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Milliseconds since the Unix epoch; 0 before it.
    pub fn unix_ms(self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        seconds * 1000 + u64::from(self.nanos / 1_000_000)
    }

    /// Nanoseconds within the second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }
}

impl Article {
    /// Of which nothing but the text is known.
    pub fn of(id: ArticleId, text: impl Into<String>) -> Self {
        Self {
            id,
            url: String::new(),
            site: String::new(),
            language: String::new(),
            title: String::new(),
            description: String::new(),
            text: text.into(),
            published: None,
            expires: None,
        }
    }

    /// Checks the length of every field. Whether the text has a token is seen
    /// when it is read.
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_but_text()?;
        check_text("text", &self.text)
    }

    /// The same for an article whose text was not kept.
    pub fn check_but_text(&self) -> Result<(), Invalid> {
        check_bytes("url", &self.url, URL_BYTES_MAX)?;
        check_bytes("site", &self.site, SITE_BYTES_MAX)?;
        check_bytes("language", &self.language, LANGUAGE_BYTES_MAX)?;
        check_bytes("title", &self.title, TITLE_BYTES_MAX)?;
        check_bytes("description", &self.description, DESCRIPTION_BYTES_MAX)
    }

    /// Leaves out what is written in it.
    pub(super) fn drop_texts(&mut self) {
        for text in [&mut self.title, &mut self.description, &mut self.text] {
            text.clear();
        }
    }

    /// What filters look at.
    pub fn facets(&self) -> Facets {
        let published_s = self.published.map(UnixTime::seconds);
        keys::facets(&self.site, &self.url, &self.language, published_s)
    }
}

/// Checks that a text is there and within [`TEXT_BYTES_MAX`].
pub fn check_text(field: &str, text: &str) -> Result<(), Invalid> {
    check_present(field, text)?;
    check_bytes(field, text, TEXT_BYTES_MAX)
}

fn check_present(field: &str, value: &str) -> Result<(), Invalid> {
    if value.is_empty() { Err(Invalid::new(field, Problem::Missing)) } else { Ok(()) }
}

pub(super) fn check_bytes(field: &str, value: &str, limit: usize) -> Result<(), Invalid> {
    if value.len() > limit {
        let problem = Problem::TooLong { actual: value.len(), limit, unit: "bytes" };
        return Err(Invalid::new(field, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_their_edge_and_fail_one_past() {
        assert!(ArticleId::new("x".repeat(ID_BYTES_MAX)).is_ok());
        let error = ArticleId::new("x".repeat(ID_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(error.to_string(), "article_id has 513 bytes, the limit is 512: shorten it");
        assert!(ArticleId::new("").unwrap_err().to_string().contains("missing or empty"));
        assert!(check_text("text", &"x".repeat(TEXT_BYTES_MAX)).is_ok());
        assert!(check_text("text", &"x".repeat(TEXT_BYTES_MAX + 1)).is_err());
        for (seconds, nanos, ok) in [
            (UnixTime::SECONDS_MIN, 0, true),
            (UnixTime::SECONDS_MIN - 1, 0, false),
            (UnixTime::SECONDS_MAX, 999_999_999, true),
            (UnixTime::SECONDS_MAX + 1, 0, false),
            (0, 1_000_000_000, false),
            (0, -1, false),
        ] {
            assert_eq!(UnixTime::new("t", seconds, nanos).is_ok(), ok, "{seconds} {nanos}");
        }
    }
}
