//! Records, packs of them and heads of checkpoints: any bytes are read or refused, and
//! what is written comes back.
#![no_main]

use doublon::engine::article::{Article, ArticleId, UnixTime};
use doublon::engine::record::{Dictionary, Features, FieldSpans, PackedSpans, StoredArticle};
use doublon::fuzzing;
use doublon::index::Facets;
use doublon::index::keys::FieldTokens;
use doublon::shingle;
use doublon::sketch::minhash::{MinHash, ShortMinHash};
use doublon::sketch::simhash::SimHash;
use doublon::store::ArticleNumber;
use doublon::text::ByteSpan;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

const NUMBER: ArticleNumber = ArticleNumber(7);
const TOKENS_MAX: usize = 300;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let input = &mut Unstructured::new(bytes);
    match kind % 6 {
        0 => read_features(bytes),
        1 => read_article(bytes),
        2 => read_pack(bytes),
        3 => read_head(bytes),
        4 => drop(write_features(input)),
        _ => drop(write_article(input)),
    }
});

/// What is read is as good as what was written: it can be asked, and written again.
fn read_features(bytes: &[u8]) {
    // The same bytes are the dictionary.
    for dictionary in [None, Some(Dictionary::from_bytes(bytes))] {
        let Ok(read) = Features::decode(NUMBER, bytes, dictionary.as_ref()) else { continue };
        assert!(read.fields.whole().len() <= 8 * bytes.len());
        for spans in [&read.spans.title, &read.spans.description, &read.spans.text] {
            if let Some(span) = spans.span(0..3) {
                assert!(span.start <= span.end || spans.span(0..1).is_some());
            }
        }
        drop(read.entry(NUMBER));
        let again = read.encode(dictionary.as_ref());
        assert_eq!(Features::decode(NUMBER, &again, dictionary.as_ref()).ok(), Some(read));
    }
}

fn read_article(bytes: &[u8]) {
    let Ok(read) = StoredArticle::decode(NUMBER, bytes) else { return };
    let again = StoredArticle::encode(read.article.clone(), read.stored_ms);
    assert_eq!(StoredArticle::decode(NUMBER, &again).ok(), Some(read));
}

fn read_pack(bytes: &[u8]) {
    if let Ok(records) = fuzzing::unpack(bytes) {
        assert!(records.len() <= bytes.len() / 8);
        assert!(records.iter().all(|it| it.1.len() <= bytes.len()));
        for (number, _) in &records {
            drop(fuzzing::unpack_one(bytes, *number));
        }
    }
    // The bytes as records, by their lengths.
    let mut rest = bytes;
    let mut records = Vec::new();
    while let Some((length, behind)) = rest.split_first() {
        let (record, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        let last = records.last().map_or(0, |it: &(u32, Vec<u8>)| it.0);
        records.push((last + 1 + u32::from(*length), record.to_vec()));
        rest = behind;
    }
    let packed = fuzzing::pack(&records);
    for (number, record) in &records {
        assert_eq!(fuzzing::unpack_one(&packed, *number), Ok(Some(record.clone())));
    }
    assert_eq!(fuzzing::unpack(&packed), Ok(records));
}

/// No fuzzer finds the checksum: here it is made.
fn read_head(bytes: &[u8]) {
    let as_it_is = fuzzing::checkpoint_head_again(bytes);
    assert!(as_it_is.is_none_or(|it| bytes.starts_with(&it[..8])));
    let mut said = b"dblnidx\0\x01\0\0\0\0\0\0\0".to_vec();
    said.extend(bytes.iter().chain([0; 56].iter()).take(56));
    let sum = doublon::hash::persistent_64(&said);
    said.extend_from_slice(&sum.to_le_bytes());
    let again = fuzzing::checkpoint_head_again(&said).expect("it has the layout");
    // All but a number that is none.
    assert!(again[..24] == said[..24] && again[32..72] == said[32..72]);
    assert_eq!(fuzzing::checkpoint_head_again(&again), Some(again));
}

fn write_features(input: &mut Unstructured<'_>) -> Result<()> {
    let mut fields = Vec::new();
    let mut spans = Vec::new();
    for _ in 0..3 {
        let (tokens, places) = field(input)?;
        fields.push(tokens);
        spans.push(places);
    }
    let [title, description, text] = &fields[..] else { return Ok(()) };
    let [in_title, in_description, in_text] = &spans[..] else { return Ok(()) };
    let shingles = shingle::shingles(text);
    let features = Features {
        id: id(input)?,
        content_print: input.arbitrary()?,
        facets: Facets {
            site: input.arbitrary()?,
            language: input.arbitrary()?,
            published_s: Some(input.arbitrary()?).filter(|it| *it != i64::MIN),
        },
        simhash: SimHash::from_bits(input.arbitrary()?),
        minhash: ShortMinHash::of(&MinHash::of(&shingles)),
        shingle_count: shingles.len(),
        fields: FieldTokens::new(title, description, text),
        spans: FieldSpans {
            title: PackedSpans::of(in_title),
            description: PackedSpans::of(in_description),
            text: PackedSpans::of(in_text),
        },
    };
    let known: Vec<u8> = text.iter().step_by(2).flat_map(|it| it.to_le_bytes()).collect();
    for dictionary in [None, Some(Dictionary::from_bytes(&known))] {
        let bytes = features.encode(dictionary.as_ref());
        let read = Features::decode(NUMBER, &bytes, dictionary.as_ref());
        let read = read.expect("it was written");
        assert_eq!(read, features);
        for (at, span) in in_text.iter().enumerate() {
            assert_eq!(read.spans.text.span(at..at + 1), Some(*span));
        }
    }
    Ok(())
}

/// Tokens with their places, of which two may share one.
fn field(input: &mut Unstructured<'_>) -> Result<(Vec<u32>, Vec<ByteSpan>)> {
    let (mut tokens, mut spans) = (Vec::new(), Vec::new());
    let mut last = ByteSpan::default();
    while tokens.len() < TOKENS_MAX && !input.is_empty() {
        let (byte, gap, length): (u8, u8, u8) = input.arbitrary()?;
        match byte {
            0 => break,
            1..=9 => tokens.push(input.arbitrary()?),
            _ => tokens.push(u32::from(byte)),
        }
        if gap != 255 {
            let start = last.end + u32::from(gap);
            last = ByteSpan { start, end: start + u32::from(length) + 1 };
        } else if last.is_empty() {
            last.end = 1;
        }
        spans.push(last);
    }
    Ok((tokens, spans))
}

fn write_article(input: &mut Unstructured<'_>) -> Result<()> {
    let seconds = input.int_in_range(UnixTime::SECONDS_MIN..=UnixTime::SECONDS_MAX)?;
    let time = UnixTime::new("", seconds, input.int_in_range(0..=999_999_999)?);
    let article = Article {
        id: id(input)?,
        url: input.arbitrary()?,
        site: input.arbitrary()?,
        language: input.arbitrary()?,
        title: input.arbitrary()?,
        description: input.arbitrary()?,
        text: input.arbitrary()?,
        published: if input.arbitrary()? { time.clone().ok() } else { None },
        expires: if input.arbitrary()? { time.ok() } else { None },
    };
    let stored_ms = input.arbitrary()?;
    let bytes = StoredArticle::encode(article.clone(), stored_ms);
    let read = StoredArticle::decode(NUMBER, &bytes).expect("it was written");
    assert_eq!(read, StoredArticle { article, stored_ms });
    Ok(())
}

fn id(input: &mut Unstructured<'_>) -> Result<ArticleId> {
    let name: &str = input.arbitrary()?;
    let fallback = || ArticleId::new("a").expect("it is short");
    Ok(ArticleId::new(name).unwrap_or_else(|_| fallback()))
}
