//! Records: the bytes of an article and of what is computed from it.

use prost::Message;

use crate::engine::article::{Article, ArticleId, UnixTime};
use crate::engine::error::EngineError;
use crate::index::keys::{FieldTokens, Keys};
use crate::index::{Entry, Facets};
use crate::sketch::Sketch;
use crate::sketch::minhash::{self, MinHash};
use crate::sketch::simhash::SimHash;
use crate::store::ArticleNumber;

/// An article and when it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArticle {
    /// As it was given.
    pub article: Article,
    /// Milliseconds since the Unix epoch.
    pub stored_ms: u64,
}

/// What is computed from an article, and what answers need of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// The article's id.
    pub id: ArticleId,
    /// XXH3 of all its fields: equal where the content is.
    pub content_print: u128,
    /// What filters look at.
    pub facets: Facets,
    /// Sketches of the text.
    pub sketch: Sketch,
    /// Distinct shingles of the text.
    pub shingle_count: usize,
    /// Tokens of the fields.
    pub fields: FieldTokens,
}

/// `Part::Article`: a protobuf message, so that fields can be added.
#[derive(Clone, PartialEq, Message)]
struct ArticleRecord {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    url: String,
    #[prost(string, tag = "4")]
    site: String,
    #[prost(string, tag = "5")]
    language: String,
    #[prost(string, tag = "6")]
    title: String,
    #[prost(string, tag = "7")]
    description: String,
    #[prost(string, tag = "8")]
    text: String,
    #[prost(message, optional, tag = "9")]
    published: Option<TimeRecord>,
    #[prost(uint64, tag = "10")]
    stored_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct TimeRecord {
    #[prost(sint64, tag = "1")]
    seconds: i64,
    #[prost(uint32, tag = "2")]
    nanos: u32,
}

/// Version of both parts.
const FORMAT: u8 = 2;

impl StoredArticle {
    /// The bytes of `Part::Article`.
    pub fn encode(article: &Article, stored_ms: u64) -> Vec<u8> {
        let Article { id, url, site, language, title, description, text, published } = article;
        let record = ArticleRecord {
            format: u32::from(FORMAT),
            id: id.as_str().to_owned(),
            url: url.clone(),
            site: site.clone(),
            language: language.clone(),
            title: title.clone(),
            description: description.clone(),
            text: text.clone(),
            published: published.map(|it| TimeRecord { seconds: it.seconds(), nanos: it.nanos() }),
            stored_ms,
        };
        record.encode_to_vec()
    }

    /// From the bytes of `Part::Article`.
    pub fn decode(number: ArticleNumber, bytes: &[u8]) -> Result<Self, EngineError> {
        let damaged = |problem: String| EngineError::Damaged { number: number.0, problem };
        let record = ArticleRecord::decode(bytes).map_err(|it| damaged(it.to_string()))?;
        let ArticleRecord {
            format,
            id,
            url,
            site,
            language,
            title,
            description,
            text,
            published,
            stored_ms,
        } = record;
        if format != u32::from(FORMAT) {
            return Err(damaged(format!("its format is {format}, not {FORMAT}")));
        }
        let time = |it: TimeRecord| UnixTime::new("published", it.seconds, i64::from(it.nanos));
        let article = Article {
            id: ArticleId::new(id).map_err(|it| damaged(it.to_string()))?,
            url,
            site,
            language,
            title,
            description,
            text,
            published: published.map(time).transpose().map_err(|it| damaged(it.to_string()))?,
        };
        Ok(Self { article, stored_ms })
    }
}

/// What tells two contents of one id apart: all fields, not when it was stored.
pub fn content_print(article: &Article) -> u128 {
    crate::hash::persistent_128(&StoredArticle::encode(article, 0))
}

// Layout of `Part::Features`, little-endian, no padding:
//
// | offset            | bytes   | what                                        |
// |-------------------|---------|---------------------------------------------|
// | 0                 | 1       | format, 2                                   |
// | 1                 | 16      | content print                               |
// | 17                | 8       | SimHash                                     |
// | 25                | 512     | MinHash, 128 values of 4 bytes              |
// | 537               | 4       | site hash                                   |
// | 541               | 4       | language hash                               |
// | 545               | 8       | published, seconds; the least i64 for none  |
// | 553               | 4       | distinct shingles of the text               |
// | 557               | 4 x 4   | id bytes I, tokens of title T, of           |
// |                   |         | description D, of text B                    |
// | 573               | I       | id, UTF-8                                   |
// | 573 + I           | 4 x ... | T + D + B token hashes                      |
impl Features {
    /// The bytes of `Part::Features`.
    pub fn encode(&self) -> Vec<u8> {
        let Self { id, content_print, facets, sketch, shingle_count, fields } = self;
        let Facets { site, language, published_s } = facets;
        let FieldTokens { title, description, text } = fields;
        let tokens = title.len() + description.len() + text.len();
        let mut out = Vec::with_capacity(573 + id.as_str().len() + 4 * tokens);
        out.push(FORMAT);
        out.extend_from_slice(&content_print.to_le_bytes());
        out.extend_from_slice(&sketch.simhash.bits().to_le_bytes());
        for value in sketch.minhash.values() {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&site.to_le_bytes());
        out.extend_from_slice(&language.to_le_bytes());
        out.extend_from_slice(&published_s.unwrap_or(i64::MIN).to_le_bytes());
        let lengths = [id.as_str().len(), title.len(), description.len(), text.len()];
        for len in std::iter::once(*shingle_count).chain(lengths) {
            out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend_from_slice(id.as_str().as_bytes());
        for token in title.iter().chain(description).chain(text) {
            out.extend_from_slice(&token.to_le_bytes());
        }
        out
    }

    /// From the bytes of `Part::Features`.
    pub fn decode(number: ArticleNumber, bytes: &[u8]) -> Result<Self, EngineError> {
        let mut reader = Reader { bytes };
        reader.features().map_err(|problem| EngineError::Damaged { number: number.0, problem })
    }

    /// As the index takes it.
    pub fn entry(&self, number: ArticleNumber) -> Entry {
        let keys = Keys::of_article(&self.fields, self.sketch);
        Entry { number, keys, facets: self.facets }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn features(&mut self) -> Result<Features, String> {
        let [format] = self.array()?;
        if format != FORMAT {
            return Err(format!("its format is {format}, not {FORMAT}"));
        }
        let content_print = u128::from_le_bytes(self.array()?);
        let simhash = SimHash::from_bits(u64::from_le_bytes(self.array()?));
        let mut values = [0; minhash::VALUES];
        for value in &mut values {
            *value = self.u32()?;
        }
        let sketch = Sketch { minhash: MinHash::from_values(values), simhash };
        let (site, language) = (self.u32()?, self.u32()?);
        let published = i64::from_le_bytes(self.array()?);
        let published_s = (published != i64::MIN).then_some(published);
        let shingle_count = self.u32()? as usize;
        let [id, title, description, text] =
            [self.u32()?, self.u32()?, self.u32()?, self.u32()?].map(|it| it as usize);
        let id = std::str::from_utf8(self.take(id)?).map_err(|it| it.to_string())?;
        let features = Features {
            id: ArticleId::new(id).map_err(|it| it.to_string())?,
            content_print,
            facets: Facets { site, language, published_s },
            sketch,
            shingle_count,
            fields: FieldTokens {
                title: self.tokens(title)?,
                description: self.tokens(description)?,
                text: self.tokens(text)?,
            },
        };
        if !self.bytes.is_empty() {
            return Err(format!("{} bytes stand behind its end", self.bytes.len()));
        }
        Ok(features)
    }

    fn take(&mut self, len: usize) -> Result<&[u8], String> {
        let (taken, rest) =
            self.bytes.split_at_checked(len).ok_or_else(|| "it is cut short".to_owned())?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "it is cut short".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn tokens(&mut self, count: usize) -> Result<Vec<u32>, String> {
        let bytes = self.take(count.saturating_mul(4))?;
        let four = |it: &[u8]| it.try_into().map(u32::from_le_bytes).unwrap_or_default();
        Ok(bytes.chunks_exact(4).map(four).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBER: ArticleNumber = ArticleNumber(7);

    fn features() -> Features {
        Features {
            id: ArticleId::new("é1").unwrap(),
            content_print: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
            facets: Facets { site: 5, language: 6, published_s: Some(-2) },
            sketch: Sketch {
                minhash: MinHash::from_values(std::array::from_fn(|it| u32::try_from(it).unwrap())),
                simhash: SimHash::from_bits(0x1122_3344_5566_7788),
            },
            shingle_count: 9,
            fields: FieldTokens { title: vec![1], description: vec![], text: vec![2, 0xffff_ffff] },
        }
    }

    #[test]
    fn features_have_the_bytes_of_their_layout() {
        let bytes = features().encode();
        assert_eq!(bytes.len(), 573 + 3 + 12);
        assert_eq!(bytes[..4], [2, 0x10, 0x0f, 0x0e]);
        assert_eq!(bytes[17..25], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        assert_eq!(bytes[533..537], [127, 0, 0, 0]);
        assert_eq!(bytes[537..545], [5, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(bytes[545..553], [0xfe, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(bytes[553..573], [9, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[573..], [0xc3, 0xa9, b'1', 1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(Features::decode(NUMBER, &bytes).unwrap(), features());
    }

    #[test]
    fn articles_come_back_as_they_were_given() {
        let article = Article {
            id: ArticleId::new("a").unwrap(),
            url: "u".into(),
            site: "s".into(),
            language: "l".into(),
            title: "t".into(),
            description: "d".into(),
            text: "x".into(),
            published: Some(UnixTime::new("", 1, 2).unwrap()),
        };
        let bytes = StoredArticle::encode(&article, 9);
        let golden = b"\x08\x02\x12\x01a\x1a\x01u\x22\x01s\x2a\x01l\x32\x01t\x3a\x01d\x42\x01x\
                       \x4a\x04\x08\x02\x10\x02\x50\x09";
        assert_eq!(bytes, golden);
        let expected = StoredArticle { article: article.clone(), stored_ms: 9 };
        assert_eq!(StoredArticle::decode(NUMBER, &bytes).unwrap(), expected);
        let other = Article { published: None, ..article.clone() };
        assert_ne!(content_print(&article), content_print(&other));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_and_never_a_panic(at in 0_usize..588, flip in 1_u8.., cut in 0_usize..588) {
            let mut bytes = features().encode();
            prop_assert!(Features::decode(NUMBER, &bytes[..cut]).is_err());
            bytes[at] ^= flip;
            drop(Features::decode(NUMBER, &bytes));
            drop(StoredArticle::decode(NUMBER, &bytes));
        }
    }
}
