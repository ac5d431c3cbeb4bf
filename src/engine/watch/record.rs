//! Teasers that wait, and what became of them, as rows: protobuf messages, so that
//! fields can be added.

use std::fmt;

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::engine::article::ArticleId;
use crate::engine::error::EngineError;
use crate::engine::teaser::{Field, TeaserMatch};
use crate::hash;
use crate::matching::verdict::{Kind, Verdict};
use crate::text::ByteSpan;
use crate::text::tokens::TokenHash;

/// Pages of a teaser that are remembered, at most: the first ones.
pub const SIGHTINGS_MAX: usize = 16;
/// Bytes of a teaser's id.
pub const TEASER_ID_BYTES: usize = 16;

/// The name of a teaser: the XXH3 of its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TeaserId(pub [u8; TEASER_ID_BYTES]);

/// A teaser that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingTeaser {
    /// Its name.
    pub id: TeaserId,
    /// As it was first given.
    pub text: String,
    /// How often it was seen.
    pub times_seen: u64,
    /// When it was seen first, in milliseconds since the Unix epoch.
    pub first_seen_ms: u64,
    /// When it was seen last.
    pub last_seen_ms: u64,
    /// When the service was told of it last.
    pub noted_ms: u64,
    /// Where, at most [`SIGHTINGS_MAX`].
    pub sightings: Vec<Sighting>,
}

/// A page on which a teaser was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// The page; empty where it is not known, as are the next two.
    pub page_url: String,
    /// Where the teaser links to.
    pub link_url: String,
    /// The site of the page.
    pub site: String,
    /// How often it was seen there.
    pub times_seen: u64,
    /// When it was seen there first.
    pub first_seen_ms: u64,
    /// When it was seen there last.
    pub last_seen_ms: u64,
}

/// A teaser that waited, and its article.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// Its place in the order of all.
    pub sequence: u64,
    /// As it waited.
    pub teaser: StandingTeaser,
    /// The article, and where the teaser stands in it.
    pub matched: TeaserMatch,
    /// When the article came.
    pub resolved_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct TeaserRecord {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(uint64, tag = "3")]
    times_seen: u64,
    #[prost(uint64, tag = "4")]
    first_seen_ms: u64,
    #[prost(uint64, tag = "5")]
    last_seen_ms: u64,
    #[prost(message, repeated, tag = "6")]
    sightings: Vec<SightingRecord>,
    #[prost(uint64, tag = "7")]
    noted_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct SightingRecord {
    #[prost(string, tag = "1")]
    page_url: String,
    #[prost(string, tag = "2")]
    link_url: String,
    #[prost(string, tag = "3")]
    site: String,
    #[prost(uint64, tag = "4")]
    last_seen_ms: u64,
    /// 0 in rows that were written before it was counted, as is the next.
    #[prost(uint64, tag = "5")]
    times_seen: u64,
    #[prost(uint64, tag = "6")]
    first_seen_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ResolutionRecord {
    #[prost(message, optional, tag = "1")]
    teaser: Option<TeaserRecord>,
    #[prost(message, optional, tag = "2")]
    matched: Option<MatchRecord>,
    #[prost(uint64, tag = "3")]
    resolved_ms: u64,
    #[prost(uint64, tag = "4")]
    sequence: u64,
}

#[derive(Clone, PartialEq, Message)]
struct MatchRecord {
    #[prost(string, tag = "1")]
    article_id: String,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(uint32, tag = "3")]
    field: u32,
    #[prost(double, tag = "4")]
    confidence: f64,
    #[prost(double, tag = "5")]
    similarity: f64,
    #[prost(double, tag = "6")]
    evidence_bits: f64,
    #[prost(uint32, repeated, tag = "7")]
    spans: Vec<u32>,
}

const KINDS: [Kind; 3] = [Kind::Verbatim, Kind::Edited, Kind::Rewritten];
const FIELDS: [Field; 3] = [Field::Title, Field::Description, Field::Body];

impl TeaserId {
    /// Of a teaser's words, without what stands at or behind its truncation.
    pub fn of(tokens: &[TokenHash]) -> Self {
        let bytes: Vec<u8> = tokens.iter().flat_map(|it| it.to_le_bytes()).collect();
        Self(hash::persistent_128(&bytes).to_le_bytes())
    }

    /// From hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * TEASER_ID_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|it| {
            // The digits stand as the bytes do.
            let mut bytes = it.to_le_bytes();
            bytes.reverse();
            Self(bytes)
        })
    }

    fn of_record(bytes: &[u8]) -> Result<Self, EngineError> {
        Ok(Self(bytes.try_into().map_err(|_| damaged("its id has another length"))?))
    }
}

impl TryFrom<String> for TeaserId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a teaser's id has 32 hexadecimal digits")
    }
}

impl From<TeaserId> for String {
    fn from(id: TeaserId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TeaserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|it| write!(f, "{it:02x}"))
    }
}

impl StandingTeaser {
    /// The bytes of its row.
    pub fn encode(&self) -> Vec<u8> {
        self.record().encode_to_vec()
    }

    /// From the bytes of its row.
    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        Self::of_record(TeaserRecord::decode(bytes).map_err(|it| damaged(&it.to_string()))?)
    }

    fn record(&self) -> TeaserRecord {
        let Self { id, text, times_seen, first_seen_ms, last_seen_ms, noted_ms, sightings } =
            self.clone();
        let sighting = |it: Sighting| {
            let Sighting { page_url, link_url, site, times_seen, first_seen_ms, last_seen_ms } = it;
            SightingRecord { page_url, link_url, site, last_seen_ms, times_seen, first_seen_ms }
        };
        TeaserRecord {
            id: id.0.to_vec(),
            text,
            times_seen,
            first_seen_ms,
            last_seen_ms,
            sightings: sightings.into_iter().map(sighting).collect(),
            noted_ms,
        }
    }

    fn of_record(record: TeaserRecord) -> Result<Self, EngineError> {
        let TeaserRecord { id, text, times_seen, first_seen_ms, last_seen_ms, sightings, noted_ms } =
            record;
        let sighting = |it: SightingRecord| {
            let SightingRecord { page_url, link_url, site, last_seen_ms, .. } = it;
            let first_seen_ms = if it.times_seen == 0 { last_seen_ms } else { it.first_seen_ms };
            let times_seen = it.times_seen.max(1);
            Sighting { page_url, link_url, site, times_seen, first_seen_ms, last_seen_ms }
        };
        Ok(Self {
            id: TeaserId::of_record(&id)?,
            text,
            times_seen,
            first_seen_ms,
            last_seen_ms,
            noted_ms,
            sightings: sightings.into_iter().map(sighting).collect(),
        })
    }
}

impl Resolution {
    /// The bytes of its row.
    pub fn encode(&self) -> Vec<u8> {
        let Self { sequence, teaser, matched, resolved_ms } = self;
        let kind = KINDS.iter().position(|it| *it == matched.kind).unwrap_or(0);
        let field = FIELDS.iter().position(|it| *it == matched.field).unwrap_or(0);
        let spans = [matched.teaser_span, matched.article_span];
        let record = ResolutionRecord {
            teaser: Some(teaser.record()),
            matched: Some(MatchRecord {
                article_id: matched.id.as_str().to_owned(),
                kind: small(kind),
                field: small(field),
                confidence: matched.confidence,
                similarity: matched.similarity,
                evidence_bits: matched.evidence_bits,
                spans: spans.iter().flat_map(|it| [it.start, it.end]).collect(),
            }),
            resolved_ms: *resolved_ms,
            sequence: *sequence,
        };
        record.encode_to_vec()
    }

    /// From the bytes of its row.
    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let record = ResolutionRecord::decode(bytes).map_err(|it| damaged(&it.to_string()))?;
        let ResolutionRecord { teaser, matched, resolved_ms, sequence } = record;
        let teaser = StandingTeaser::of_record(teaser.ok_or_else(|| damaged("it has no teaser"))?)?;
        let it = matched.ok_or_else(|| damaged("it has no match"))?;
        let &[a, b, c, d] = it.spans.as_slice() else { return Err(damaged("it has no spans")) };
        let matched = TeaserMatch {
            id: ArticleId::new(it.article_id).map_err(|it| damaged(&it.to_string()))?,
            verdict: Verdict::Match,
            confidence: it.confidence,
            kind: *KINDS.get(it.kind as usize).ok_or_else(|| damaged("it has another kind"))?,
            field: *FIELDS.get(it.field as usize).ok_or_else(|| damaged("it has another field"))?,
            similarity: it.similarity,
            evidence_bits: it.evidence_bits,
            teaser_span: ByteSpan { start: a, end: b },
            article_span: ByteSpan { start: c, end: d },
        };
        Ok(Self { sequence, teaser, matched, resolved_ms })
    }
}

fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(0)
}

fn damaged(problem: &str) -> EngineError {
    EngineError::DamagedRow { what: "standing teaser", problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolution() -> Resolution {
        let sighting = Sighting {
            page_url: "http://p".into(),
            link_url: String::new(),
            site: "s".into(),
            times_seen: 2,
            first_seen_ms: 4,
            last_seen_ms: 5,
        };
        Resolution {
            sequence: 9,
            teaser: StandingTeaser {
                id: TeaserId::of(&[1, 2]),
                text: "é...".into(),
                times_seen: 3,
                first_seen_ms: 4,
                last_seen_ms: 5,
                noted_ms: 8,
                sightings: vec![sighting],
            },
            matched: TeaserMatch {
                id: ArticleId::new("a").unwrap(),
                verdict: Verdict::Match,
                confidence: 0.5,
                kind: Kind::Edited,
                field: Field::Body,
                similarity: 0.9,
                evidence_bits: 31.5,
                teaser_span: ByteSpan { start: 0, end: 2 },
                article_span: ByteSpan { start: 7, end: 9 },
            },
            resolved_ms: 6,
        }
    }

    #[test]
    fn rows_come_back_and_damage_is_an_error() {
        let resolution = resolution();
        let bytes = resolution.encode();
        assert_eq!(Resolution::decode(&bytes).unwrap(), resolution);
        let teaser = resolution.teaser.encode();
        assert_eq!(StandingTeaser::decode(&teaser).unwrap(), resolution.teaser);
        for cut in 1..bytes.len() {
            assert_ne!(Resolution::decode(&bytes[..cut]).ok().as_ref(), Some(&resolution));
        }
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = TeaserId::of(&[1, 2]);
        assert_eq!(TeaserId::parse(&id.to_string()), Some(id));
        assert_eq!(id.to_string().len(), 32);
        assert_ne!(id, TeaserId::of(&[2, 1]));
        for bad in ["", "xyz", &"g".repeat(32), &"+".repeat(32)] {
            assert_eq!(TeaserId::parse(bad), None, "{bad}");
        }
    }
}
