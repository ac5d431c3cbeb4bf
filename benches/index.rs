//! The index in memory and the store, by their size: `cargo bench --bench index`. A
//! million articles take about 3 GB and some minutes. With `DOUBLON_BENCH_LARGE=1` also
//! how the time of a teaser grows from 100,000 to ten million articles, which takes
//! about 16 GB.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]
#![allow(clippy::indexing_slicing, reason = "there are two sizes and fifteen measurements")]

mod support;

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use doublon::hash;
use doublon::index::keys;
use doublon::index::keys::Keys;
use doublon::index::memory::MemoryIndex;
use doublon::index::{Entry, Filter, Index, NearQuery, TeaserQuery, TermQuery, Wanted};
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::sketch::minhash::MinHash;
use doublon::sketch::simhash::SimHash;
use doublon::store::embedded::EmbeddedStore;
use doublon::store::{ArticleNumber, Part, Store, Write};
use doublon::term;

use crate::support::{Random, records};

/// Sizes of the index, measured.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const SIZE_SMOKE: u32 = 50;
/// Sizes between which growth is measured, and those of the smoke run.
const GROWTH: [u32; 2] = [100_000, 10_000_000];
const GROWTH_SMOKE: [u32; 2] = [50, 200];
/// Anchors of an article whose keys are synthetic, as many as a machine of 24 GB holds of
/// ten million; and shingles of a teaser, of which one in eight is an anchor.
const ANCHORS: u64 = 120;
const TEASER_SHINGLES: u64 = 28;
/// Teasers of one measurement, and measurements.
const TEASERS: u32 = 2_000;
const MEASUREMENTS: usize = 15;
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
    if !support::is_measured() {
        growth(GROWTH_SMOKE);
    } else if std::env::var("DOUBLON_BENCH_LARGE").is_ok_and(|it| it == "1") {
        growth(GROWTH);
        return;
    }
    for size in sizes {
        index_of(&mut criterion, size);
    }
    commits(&mut criterion);
    criterion.final_summary();
}

/// How the time of a teaser grows with the index: the ratio of the medians.
fn growth(sizes: [u32; 2]) {
    let index = MemoryIndex::default();
    let mut filled = 0;
    let medians = sizes.map(|size| {
        fill(&index, filled..size);
        filled = size;
        median_of_teasers(&index, size)
    });
    let ratio = medians[1] / medians[0];
    println!(
        "a teaser at {} articles: {:.2} us, at {}: {:.2} us, ratio {ratio:.2}; {} bytes an article",
        sizes[0],
        medians[0],
        sizes[1],
        medians[1],
        index.counts().bytes / u64::from(sizes[1]),
    );
}

/// Articles whose keys are random numbers, without terms, which no teaser looks up.
fn fill(index: &MemoryIndex, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut random = Random::new((6 << 40) + u64::from(number));
        let mut anchors: Vec<u64> = (0..ANCHORS).map(|at| anchor(number, at)).collect();
        anchors.sort_unstable();
        let values = std::array::from_fn(|_| hash::low_half(random.next()));
        let minhash = MinHash::from_values(values);
        let sketch = Sketch { minhash, simhash: SimHash::from_bits(random.next()) };
        let keys = Keys { anchors, terms: Vec::new(), sketch };
        let facets = keys::facets("", "", "", None);
        index.insert(&[Entry { number: ArticleNumber(number), keys, facets }]).unwrap();
    }
}

/// The anchor of an article; one in 32 is a phrase that many have.
fn anchor(number: u32, at: u64) -> u64 {
    let own = hash::mix((u64::from(number) << 8) + at + 1);
    if own.is_multiple_of(32) { hash::mix(own >> 44) } else { own }
}

fn median_of_teasers(index: &MemoryIndex, size: u32) -> f64 {
    let filter = Filter::all();
    let mut micros: Vec<f64> = (0..MEASUREMENTS as u64)
        .map(|round| {
            let teasers: Vec<(u32, Vec<u64>)> = (0..TEASERS)
                .map(|it| {
                    let random = hash::mix((round << 32) + u64::from(it) + 1);
                    let number = hash::low_half(random % u64::from(size));
                    let shingle = |at| {
                        if at % 8 == 0 {
                            anchor(number, at)
                        } else {
                            hash::mix(random ^ (at << 50))
                        }
                    };
                    (number, (0..TEASER_SHINGLES).map(shingle).collect())
                })
                .collect();
            #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
            let start = std::time::Instant::now();
            for (number, shingles) in &teasers {
                let query = TeaserQuery { shingles, filter: &filter, wanted: Wanted::Parts };
                let proposal = index.teasers(&[query]).unwrap().remove(0);
                assert_eq!(proposal.candidates.first(), Some(&ArticleNumber(*number)));
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(TEASERS)
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    micros[MEASUREMENTS / 2]
}

/// The tokens of an article: Zipf's law without the spelling, which is slow.
fn tokens(number: u32) -> Vec<u32> {
    let mut random = Random::new((5 << 40) + u64::from(number));
    (0..ARTICLE_TOKENS)
        .map(|_| hash::low_half(hash::mix(u64::from(random.rank(VOCABULARY)) + 1)) & !1)
        .collect()
}

fn entry(number: u32) -> Entry {
    records::entry_of(number, &tokens(number))
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
        let wanted = Wanted::Parts;
        let query = TeaserQuery { shingles: &it.teaser, filter: &filter, wanted };
        index.teasers(&[query]).unwrap().remove(0)
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
