//! The index in memory and the store, by their size: `cargo bench --bench index`;
//! with `DOUBLON_BENCH_LARGE=1` also at a million articles, which takes about
//! 3 GB and some minutes.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

mod support;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use doublon::hash;
use doublon::index::keys;
use doublon::index::keys::{FieldTokens, Keys};
use doublon::index::memory::MemoryIndex;
use doublon::index::{Entry, Filter, Index, NearQuery, TeaserQuery, TermQuery};
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::store::embedded::EmbeddedStore;
use doublon::store::{ArticleNumber, Part, Store, Write};
use doublon::term;

use crate::support::Random;

/// Sizes of the index, measured.
const SIZES: [u32; 2] = [1_000, 100_000];
const SIZE_LARGE: u32 = 1_000_000;
const SIZE_SMOKE: u32 = 50;
/// Questions of one pass.
const QUESTIONS: u32 = 64;
/// Articles that are inserted, or committed, at once.
const BATCH: u32 = 256;
/// Tokens of an article, and of a teaser.
const ARTICLE_TOKENS: usize = 900;
const TEASER_TOKENS: std::ops::Range<usize> = 300..330;
/// Words of the vocabulary.
const VOCABULARY: u32 = 200_000;
/// Bytes of a record's parts: an article's fields, and its features.
const ARTICLE_BYTES: usize = 300;
const FEATURE_BYTES: usize = 4_300;

fn main() {
    let mut criterion = support::criterion();
    let sizes = support::size(SIZES.to_vec(), vec![SIZE_SMOKE]);
    let large =
        support::is_measured() && std::env::var("DOUBLON_BENCH_LARGE").is_ok_and(|it| it == "1");
    for size in sizes.into_iter().chain(large.then_some(SIZE_LARGE)) {
        index_of(&mut criterion, size);
    }
    commits(&mut criterion);
    criterion.final_summary();
}

/// The tokens of an article: Zipf's law without the spelling, which is slow.
fn tokens(number: u32) -> Vec<u32> {
    let mut random = Random::new((5 << 40) + u64::from(number));
    (0..ARTICLE_TOKENS)
        .map(|_| hash::low_half(hash::mix(u64::from(random.rank(VOCABULARY)) + 1)) & !1)
        .collect()
}

fn entry(number: u32) -> Entry {
    let tokens = tokens(number);
    let sketch = Sketch::of(&tokens, &shingle::shingles(&tokens));
    let fields = FieldTokens { text: tokens, ..FieldTokens::default() };
    Entry {
        number: ArticleNumber(number),
        keys: Keys::of_article(&fields, sketch),
        facets: keys::facets("", "", "", None),
    }
}

/// What is asked about an article.
struct Question {
    number: ArticleNumber,
    keys: Keys,
    shingle_count: usize,
    teaser: Vec<u64>,
    terms: Vec<u64>,
}

impl Question {
    fn about(number: u32) -> Self {
        let tokens = tokens(number);
        let shingles = shingle::shingles(&tokens);
        let teaser = tokens.get(TEASER_TOKENS).unwrap_or_default();
        Self {
            number: ArticleNumber(number),
            keys: Keys::of_question(&shingles, Sketch::of(&tokens, &shingles)),
            shingle_count: shingles.len(),
            teaser: shingle::shingles(teaser),
            terms: term::distinct([tokens.get(..40).unwrap_or_default()]),
        }
    }
}

fn filled(size: u32) -> MemoryIndex {
    let index = MemoryIndex::default();
    let numbers: Vec<u32> = (0..size).collect();
    for batch in numbers.chunks(BATCH as usize) {
        index.insert(&batch.iter().map(|it| entry(*it)).collect::<Vec<_>>()).unwrap();
    }
    index
}

fn index_of(criterion: &mut Criterion, size: u32) {
    let index = filled(size);
    let step = (size / QUESTIONS).max(1);
    let numbers = (0..size).step_by(step as usize);
    let questions: Vec<Question> = numbers.map(Question::about).collect();
    let filter = Filter::all();
    let near = |it: &Question| {
        let query = NearQuery { keys: &it.keys, shingle_count: it.shingle_count, filter: &filter };
        index.near(&[query]).unwrap().remove(0)
    };
    let teaser = |it: &Question| {
        index.teasers(&[TeaserQuery { shingles: &it.teaser, filter: &filter }]).unwrap().remove(0)
    };
    let terms = |it: &Question| {
        index.terms(&[TermQuery { terms: &it.terms, filter: &filter }]).unwrap().remove(0)
    };
    for it in &questions {
        assert_eq!(near(it).first(), Some(&it.number));
        assert_eq!(teaser(it).candidates.first(), Some(&it.number));
        assert!(terms(it).candidates.contains(&it.number));
    }
    assert_eq!(index.counts().articles, u64::from(size));

    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(questions.len() as u64));
    group.bench_function(BenchmarkId::new("near", size), |bencher| {
        bencher.iter(|| questions.iter().for_each(|it| drop(black_box(near(it)))));
    });
    group.bench_function(BenchmarkId::new("teasers", size), |bencher| {
        bencher.iter(|| questions.iter().for_each(|it| drop(black_box(teaser(it)))));
    });
    group.bench_function(BenchmarkId::new("terms", size), |bencher| {
        bencher.iter(|| questions.iter().for_each(|it| drop(black_box(terms(it)))));
    });

    // Inserted and removed again, so that the size stays.
    let new: Vec<Entry> = (size..size + BATCH.min(size)).map(entry).collect();
    group.throughput(Throughput::Elements(new.len() as u64));
    group.bench_function(BenchmarkId::new("insert and remove", size), |bencher| {
        bencher.iter(|| {
            index.insert(black_box(&new)).unwrap();
            index.remove(&new).unwrap();
        });
    });
    group.finish();
}

/// Commits of one article and of many, each durable.
fn commits(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), 64 << 20).unwrap();
    let mut next = 0;
    let mut group = criterion.benchmark_group("store");
    for count in [1, support::size(BATCH, 8)] {
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(BenchmarkId::new("commit", count), |bencher| {
            let writes = || {
                let writes: Vec<Write> = (next..next + count).map(write).collect();
                next += count;
                writes
            };
            let commit = |writes: Vec<Write>| store.commit(&writes).unwrap();
            bencher.iter_batched(writes, commit, BatchSize::PerIteration);
        });
    }
    group.finish();
    assert_eq!(store.record_count().unwrap(), u64::from(next));
    let mut last = 0;
    let mut visit = |_, bytes: &[u8]| last = bytes.len();
    store.read(Part::Features, &[ArticleNumber(next - 1)], &mut visit).unwrap();
    assert_eq!(last, FEATURE_BYTES);
}

fn write(number: u32) -> Write {
    Write::Insert {
        number: ArticleNumber(number),
        id: format!("https://example.com/{number}"),
        article: vec![b'a'; ARTICLE_BYTES],
        features: vec![b'f'; FEATURE_BYTES],
    }
}
