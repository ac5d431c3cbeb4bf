//! Records: the bytes of an article and of what is computed from it.

mod dictionary;
mod spans;
mod tokens;

use prost::Message;

use crate::engine::article::{Article, ArticleId, UnixTime};
use crate::engine::error::EngineError;
pub use crate::engine::record::dictionary::Dictionary;
pub(super) use crate::engine::record::dictionary::Learner;
pub use crate::engine::record::spans::PackedSpans;
use crate::index::keys::{FieldTokens, Keys};
use crate::index::{Entry, Facets};
use crate::shingle;
use crate::sketch::Sketch;
use crate::sketch::minhash::ShortMinHash;
use crate::sketch::simhash::SimHash;
use crate::store::ArticleNumber;
use crate::text::tokens::TokenHash;

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
    /// `SimHash` of the text.
    pub simhash: SimHash,
    /// `MinHash` of the text, as far as estimates need it.
    pub minhash: ShortMinHash,
    /// Distinct shingles of the text.
    pub shingle_count: usize,
    /// Tokens of the fields.
    pub fields: FieldTokens,
    /// Where they stand in the fields.
    pub spans: FieldSpans,
}

/// The places of an article's tokens in its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSpans {
    /// In the title.
    pub title: PackedSpans,
    /// In the description.
    pub description: PackedSpans,
    /// In the text.
    pub text: PackedSpans,
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
    #[prost(message, optional, tag = "11")]
    expires: Option<TimeRecord>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct TimeRecord {
    #[prost(sint64, tag = "1")]
    seconds: i64,
    #[prost(uint32, tag = "2")]
    nanos: u32,
}

/// Of what the store gives as no bytes.
const NOT_AS_WRITTEN: &str = "it is not what was written";
/// Version of both parts.
const FORMAT: u8 = 3;

impl StoredArticle {
    /// The bytes of `Part::Article`.
    pub fn encode(article: Article, stored_ms: u64) -> Vec<u8> {
        let mut bytes = content(article);
        stamp(&mut bytes, stored_ms);
        bytes
    }

    /// From the bytes of `Part::Article`.
    pub fn decode(number: ArticleNumber, bytes: &[u8]) -> Result<Self, EngineError> {
        let damaged = |problem: String| EngineError::Damaged { number: number.0, problem };
        if bytes.is_empty() {
            return Err(damaged(NOT_AS_WRITTEN.to_owned()));
        }
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
            expires,
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
            expires: expires.map(time).transpose().map_err(|it| damaged(it.to_string()))?,
        };
        Ok(Self { article, stored_ms })
    }
}

/// The message but for the time at which the article was stored: equal where the
/// content is.
pub fn content(article: Article) -> Vec<u8> {
    let Article { id, url, site, language, title, description, text, published, expires } = article;
    let time = |it: UnixTime| TimeRecord { seconds: it.seconds(), nanos: it.nanos() };
    let record = ArticleRecord {
        format: u32::from(FORMAT),
        id: id.into_string(),
        url,
        site,
        language,
        title,
        description,
        text,
        published: published.map(time),
        stored_ms: 0,
        expires: expires.map(time),
    };
    record.encode_to_vec()
}

/// Appends the time, in milliseconds since the Unix epoch, to what [`content`] gave.
pub fn stamp(content: &mut Vec<u8>, stored_ms: u64) {
    // Fields may stand in any order.
    prost::encoding::uint64::encode(10, &stored_ms, content);
}

/// What tells two contents of one id apart.
pub fn content_print(content: &[u8]) -> u128 {
    crate::hash::persistent_128(content)
}

// Layout of `Part::Features`, little-endian, no padding:
//
// | offset | bytes  | what                                                          |
// |--------|--------|---------------------------------------------------------------|
// | 0      | 1      | format, 3                                                     |
// | 1      | 16     | content print                                                 |
// | 17     | 8      | SimHash                                                       |
// | 25     | 128    | the lowest byte of each value of the MinHash                  |
// | 153    | 4      | site hash                                                     |
// | 157    | 4      | language hash                                                 |
// | 161    | 8      | published, seconds; the least i64 for none                    |
// | 169    | 4      | distinct shingles of the text                                 |
// | 173    | 4 x 7  | id bytes I; tokens of title, description and text; bytes of   |
// |        |        | their places P                                                |
// | 201    | 1      | 1 where the store's dictionary is used, else 0                |
// | 202    | I      | id, UTF-8                                                     |
// | ...    | P      | places of the tokens (`spans.rs`), field by field             |
// | ...    | ...    | tokens of all fields in a row (`tokens.rs`)                   |
impl Features {
    /// The bytes of `Part::Features`, with the store's dictionary if it has one.
    pub fn encode(&self, dictionary: Option<&Dictionary>) -> Vec<u8> {
        let Self { id, content_print, facets, simhash, minhash, shingle_count, fields, spans } =
            self;
        let Facets { site, language, published_s } = facets;
        let [title, description, text] = [fields.title(), fields.description(), fields.text()];
        let places = [spans.title.bytes(), spans.description.bytes(), spans.text.bytes()];
        let mut out = Vec::with_capacity(256 + id.as_str().len() + 4 * fields.whole().len());
        out.push(FORMAT);
        out.extend_from_slice(&content_print.to_le_bytes());
        out.extend_from_slice(&simhash.bits().to_le_bytes());
        out.extend_from_slice(minhash.bytes());
        out.extend_from_slice(&site.to_le_bytes());
        out.extend_from_slice(&language.to_le_bytes());
        out.extend_from_slice(&published_s.unwrap_or(i64::MIN).to_le_bytes());
        let counts = [*shingle_count, id.as_str().len()];
        let lengths = [title.len(), description.len(), text.len()];
        for len in counts.into_iter().chain(lengths).chain(places.map(<[u8]>::len)) {
            out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.push(u8::from(dictionary.is_some()));
        out.extend_from_slice(id.as_str().as_bytes());
        for bytes in places {
            out.extend_from_slice(bytes);
        }
        let none = Dictionary::none();
        tokens::encode(fields.whole(), dictionary.unwrap_or(none), &mut out);
        out
    }

    /// From the bytes of `Part::Features`.
    pub fn decode(
        number: ArticleNumber,
        bytes: &[u8],
        dictionary: Option<&Dictionary>,
    ) -> Result<Self, EngineError> {
        let mut reader = Reader { bytes };
        reader
            .features(dictionary)
            .map_err(|problem| EngineError::Damaged { number: number.0, problem })
    }

    /// Whether an article may have all of these tokens, told without decoding what else it
    /// has. Bytes that are no features may: whoever decodes them says what they are.
    pub fn may_have(bytes: &[u8], dictionary: Option<&Dictionary>, tokens: &[TokenHash]) -> bool {
        let mut reader = Reader { bytes };
        let Ok(head) = reader.head(dictionary) else { return true };
        tokens::may_have(reader, (head.dictionary, head.tokens), tokens)
    }

    /// As the index takes it.
    pub fn entry(&self, number: ArticleNumber) -> Entry {
        let keys = Keys::of_article(&self.fields, self.sketch());
        Entry { number, keys, facets: self.facets }
    }

    /// The sketches of the text, computed again.
    pub fn sketch(&self) -> Sketch {
        Sketch::of(self.fields.text(), &shingle::shingles(self.fields.text()))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

/// What stands before the tokens.
struct Head<'a> {
    content_print: u128,
    simhash: SimHash,
    minhash: ShortMinHash,
    facets: Facets,
    shingle_count: usize,
    id: &'a [u8],
    /// Bytes of the places of each field's tokens.
    places: [&'a [u8]; 3],
    /// Tokens of the title and of the description.
    title: usize,
    description: usize,
    /// Tokens of all fields.
    tokens: usize,
    dictionary: &'a Dictionary,
}

impl<'a> Reader<'a> {
    fn features(&mut self, dictionary: Option<&Dictionary>) -> Result<Features, String> {
        let head = self.head(dictionary)?;
        let id = std::str::from_utf8(head.id).map_err(|it| it.to_string())?;
        let id = ArticleId::new(id).map_err(|it| it.to_string())?;
        let tokens = tokens::decode(self, head.dictionary, head.tokens)?;
        if !self.bytes.is_empty() {
            return Err(format!("{} bytes stand behind its end", self.bytes.len()));
        }
        let [title, description, text] = head.places.map(PackedSpans::from_bytes);
        Ok(Features {
            id,
            content_print: head.content_print,
            facets: head.facets,
            simhash: head.simhash,
            minhash: head.minhash,
            shingle_count: head.shingle_count,
            fields: FieldTokens::in_a_row(tokens, head.title, head.description),
            spans: FieldSpans { title, description, text },
        })
    }

    fn head<'d>(&mut self, dictionary: Option<&'d Dictionary>) -> Result<Head<'d>, String>
    where
        'a: 'd,
    {
        if self.bytes.is_empty() {
            return Err(NOT_AS_WRITTEN.to_owned());
        }
        let [format] = self.array()?;
        if format != FORMAT {
            return Err(format!("its format is {format}, not {FORMAT}"));
        }
        let content_print = u128::from_le_bytes(self.array()?);
        let simhash = SimHash::from_bits(u64::from_le_bytes(self.array()?));
        let minhash = ShortMinHash::from_bytes(self.array()?);
        let (site, language) = (self.u32()?, self.u32()?);
        let published = i64::from_le_bytes(self.array()?);
        let published_s = (published != i64::MIN).then_some(published);
        let facets = Facets { site, language, published_s };
        let mut counts = [0; 8];
        for count in &mut counts {
            *count = self.u32()? as usize;
        }
        let [shingle_count, id, title, description, text, of_title, of_description, of_text] =
            counts;
        let dictionary = match self.array()? {
            [0] => Dictionary::none(),
            _ => dictionary.ok_or("it uses a dictionary that the store does not have")?,
        };
        let id = self.take(id)?;
        let places = [self.take(of_title)?, self.take(of_description)?, self.take(of_text)?];
        let tokens = title.checked_add(description).and_then(|it| it.checked_add(text));
        let tokens = tokens.ok_or("it has too many tokens")?;
        Ok(Head {
            content_print,
            simhash,
            minhash,
            facets,
            shingle_count,
            id,
            places,
            title,
            description,
            tokens,
            dictionary,
        })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::tokens::Tokens;

    const NUMBER: ArticleNumber = ArticleNumber(7);

    fn dictionary_of(tokens: &[TokenHash]) -> Dictionary {
        let bytes: Vec<u8> = tokens.iter().flat_map(|it| it.to_le_bytes()).collect();
        Dictionary::from_bytes(&bytes)
    }

    fn features() -> Features {
        let spans = |text| PackedSpans::of(&Tokens::of(text).spans);
        Features {
            id: ArticleId::new("é1").unwrap(),
            content_print: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
            facets: Facets { site: 5, language: 6, published_s: Some(-2) },
            simhash: SimHash::from_bits(0x1122_3344_5566_7788),
            minhash: ShortMinHash::from_bytes(std::array::from_fn(|it| u8::try_from(it).unwrap())),
            shingle_count: 9,
            fields: FieldTokens::new(&[1], &[], &[2, 0xffff_ffff]),
            spans: FieldSpans { title: spans("t"), text: spans("a bc"), ..FieldSpans::default() },
        }
    }

    #[test]
    fn features_have_the_bytes_of_their_layout() {
        let bytes = features().encode(None);
        assert_eq!(bytes[..4], [3, 0x10, 0x0f, 0x0e]);
        assert_eq!(bytes[17..25], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        assert_eq!(bytes[151..161], [126, 127, 5, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(bytes[161..169], [0xfe, 255, 255, 255, 255, 255, 255, 255]);
        let counts = [9, 3, 1, 0, 2, 2, 0, 2].map(u32::to_le_bytes).concat();
        assert_eq!(bytes[169..201], counts);
        assert_eq!(bytes[201..205], [0, 0xc3, 0xa9, b'1']);
        assert_eq!(bytes[205..209], [0, 1, 0, 0x21]);
        let tokens = [0, 255, 1, 0, 0, 0, 255, 2, 0, 0, 0, 255, 255, 255, 255, 255];
        assert_eq!(bytes[209..], tokens);
        assert_eq!(Features::decode(NUMBER, &bytes, None).unwrap(), features());
        let dictionary = dictionary_of(&[2, 1]);
        let short = features().encode(Some(&dictionary));
        assert_eq!(short[201], 1);
        assert_eq!(short[209..], [0, 1, 0, 255, 255, 255, 255, 255]);
        assert_eq!(Features::decode(NUMBER, &short, Some(&dictionary)).unwrap(), features());
        assert!(Features::decode(NUMBER, &short, None).is_err());
        for (bytes, known) in [(&bytes, None), (&short, Some(&dictionary))] {
            let may_have = |tokens: &[TokenHash]| Features::may_have(bytes, known, tokens);
            assert!(may_have(&[1, 2]) && may_have(&[u32::MAX, 1, 2]) && may_have(&[]));
            assert!(!may_have(&[3]) && !may_have(&[1, 2, u32::MAX, 3]));
        }
        assert!(Features::may_have(&short, None, &[3]), "nobody can tell");
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
            expires: None,
        };
        let bytes = StoredArticle::encode(article.clone(), 9);
        let golden = b"\x08\x03\x12\x01a\x1a\x01u\x22\x01s\x2a\x01l\x32\x01t\x3a\x01d\x42\x01x\
                       \x4a\x04\x08\x02\x10\x02\x50\x09";
        assert_eq!(bytes, golden);
        let expected = StoredArticle { article: article.clone(), stored_ms: 9 };
        assert_eq!(StoredArticle::decode(NUMBER, &bytes).unwrap(), expected);
        let other = Article { published: None, ..article.clone() };
        assert_ne!(content(article), content(other));
    }

    #[test]
    fn of_many_tokens_the_rarest_are_looked_for() {
        let known: Vec<TokenHash> = (0..1000).collect();
        let dictionary = dictionary_of(&known);
        let fields = FieldTokens::new(&[900], &[300], &[1, 2, 3, 400, 900, 77_777]);
        let bytes = Features { fields, ..features() }.encode(Some(&dictionary));
        let may_have = |tokens: &[TokenHash]| Features::may_have(&bytes, Some(&dictionary), tokens);
        assert!(may_have(&[77_777, 1, 2, 3, 300, 400, 900]));
        assert!(!may_have(&[1, 2, 3, 300, 400, 900, 77_778]) && !may_have(&[1, 2, 3, 400, 999]));
        assert!(may_have(&[5, 400, 900, 300, 77_777]), "the most frequent is not asked for");
    }

    proptest! {
        #[test]
        fn what_an_article_has_it_may_have(
            known in proptest::collection::vec(0_u32..400, 0..300),
            tokens in proptest::collection::vec(0_u32..500, 0..300),
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..9),
        ) {
            let dictionary = Some(dictionary_of(&known)).filter(|_| !known.is_empty());
            let fields = FieldTokens::new(&[], &[], &tokens);
            let bytes = Features { fields, ..features() }.encode(dictionary.as_ref());
            let picked: Vec<u32> = picks.iter().filter(|_| !tokens.is_empty()).map(|it| *it.get(&tokens)).collect();
            prop_assert!(Features::may_have(&bytes, dictionary.as_ref(), &picked));
        }

        #[test]
        fn damage_is_an_error_and_never_a_panic(at in 0_usize..225, flip in 1_u8.., cut in 0_usize..225) {
            let mut bytes = features().encode(None);
            prop_assert!(Features::decode(NUMBER, &bytes[..cut], None).is_err());
            bytes[at] ^= flip;
            drop(Features::decode(NUMBER, &bytes, None));
            let dictionary = dictionary_of(&[2, 1]);
            Features::may_have(&bytes, None, &[1, 2, 3]);
            Features::may_have(&bytes, Some(&dictionary), &[1, 2, 3]);
            drop(StoredArticle::decode(NUMBER, &bytes));
        }
    }
}
