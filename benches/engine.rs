//! End to end on an engine whose records are in memory: puts, near-duplicates,
//! teasers and pages: `cargo bench --bench engine`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use doublon::clock::Clock;
use doublon::engine::find::{FindRequest, Target};
use doublon::engine::page::PageRequest;
use doublon::engine::put::{PutAnswer, PutOutcome};
use doublon::engine::teaser::{TeaserAnswer, TeaserRequest};
use doublon::engine::{Engine, Options};
use doublon::index::memory::MemoryIndex;
use doublon::matching::verdict::Verdict;
use doublon::store::embedded::EmbeddedStore;

use crate::support::Texts;
use crate::support::records::put_request;

/// Articles that are stored, measured and as a smoke test.
const ARTICLES: (u32, u32) = (5_000, 10);
/// Requests of one call.
const BATCH: (u32, u32) = (256, 4);
/// Of the teasers, those that are found, at least: a few are too common.
const TEASERS_FOUND_MIN: f64 = 0.9;

/// Lengths of texts, in quarters of an article, whose cost is compared.
const QUARTERS: [usize; 4] = [1, 4, 16, 64];
/// Articles of each length that are stored, measured and as a smoke test.
const LONG_ARTICLES: (u32, u32) = (512, 4);
/// Requests of one call with texts of each length.
const LONG_BATCH: (u32, u32) = (64, 2);

fn main() {
    let texts = Texts::default();
    let mut criterion = support::criterion();
    by_question(&mut criterion, &texts);
    by_length(&mut criterion, &texts);
    criterion.final_summary();
}

fn open() -> Engine {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    Engine::open(store, index, Options::new(Clock::system()), |_, _| {}).unwrap()
}

/// Each kind of question, with articles of 5.6 KB.
fn by_question(criterion: &mut Criterion, texts: &Texts) {
    let count = support::size(ARTICLES.0, ARTICLES.1);
    let batch = support::size(BATCH.0, BATCH.1);
    let engine = open();
    let numbers: Vec<u32> = (0..count).collect();
    for numbers in numbers.chunks(BATCH.0 as usize) {
        let answers = put(&engine, numbers.iter().map(|it| (*it, texts.article(*it))));
        assert!(answers.iter().all(|it| it.outcome == PutOutcome::Created));
    }

    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(u64::from(batch)));

    let contents = [1, 2]
        .map(|it| (0..batch).map(|at| texts.article(it * 1_000_000 + at)).collect::<Vec<String>>());
    puts(&mut group, &engine, count, &contents);
    let asked = 0..batch.min(count);
    finds(&mut group, &engine, asked.clone().map(|it| texts.near_copy(it)));
    teasers(&mut group, &engine, asked.map(|it| texts.teaser(it)));

    let page = PageRequest::of(texts.page(0));
    let answer = engine.analyze_page(&page).unwrap();
    assert_eq!(answer.body_duplicates.first().unwrap().id.as_str(), "0");
    group.throughput(Throughput::Elements(1));
    group.bench_function("analyse a page", |bencher| {
        bencher.iter(|| black_box(engine.analyze_page(black_box(&page))));
    });
    group.finish();
}

/// How the cost of an article, and of a teaser of 30 words, grows with the articles' length.
fn by_length(criterion: &mut Criterion, texts: &Texts) {
    let count = support::size(LONG_ARTICLES.0, LONG_ARTICLES.1);
    let batch = support::size(LONG_BATCH.0, LONG_BATCH.1);
    for quarters in QUARTERS {
        let article = |number: u32| long_article(texts, number, quarters);
        let engine = open();
        put(&engine, (0..count).map(|it| (it, article(it))));
        let bytes: usize = (0..batch).map(|it| article(it).len()).sum();
        let kilobytes = bytes as f64 / f64::from(batch) / 1e3;
        let mut group = criterion.benchmark_group(format!("articles of {kilobytes:.1} KB"));
        group.throughput(Throughput::Elements(u64::from(batch)));

        let contents = [1, 2]
            .map(|it| (0..batch).map(|at| article(it * 10_000 + at)).collect::<Vec<String>>());
        puts(&mut group, &engine, count, &contents);
        finds(&mut group, &engine, (0..batch).map(article));
        teasers(&mut group, &engine, (0..batch).map(|it| middle(&article(it))));
        group.finish();
    }
}

/// Puts other content under the same ids each time, from `first` on: the store does not grow.
fn puts(
    group: &mut BenchmarkGroup<'_, WallTime>,
    engine: &Engine,
    first: u32,
    contents: &[Vec<String>; 2],
) {
    let mut contents = contents.iter().cycle();
    group.bench_function("put, replacing", |bencher| {
        bencher.iter(|| {
            let texts = contents.next().unwrap();
            let answers = put(engine, (first..).zip(texts.iter().cloned()));
            assert!(answers.iter().all(|it| it.duplicates.is_empty()));
        });
    });
}

/// Finds the articles from number 0 on.
fn finds(
    group: &mut BenchmarkGroup<'_, WallTime>,
    engine: &Engine,
    texts: impl Iterator<Item = String>,
) {
    let asked: Vec<FindRequest> = texts.map(|it| FindRequest::of(Target::Text(it))).collect();
    for (number, found) in engine.find_duplicates(&asked).into_iter().enumerate() {
        let found = found.unwrap();
        assert_eq!(found.duplicates.first().unwrap().id.as_str(), number.to_string());
    }
    group.bench_function("find duplicates", |bencher| {
        bencher.iter(|| black_box(engine.find_duplicates(black_box(&asked))));
    });
}

/// Matches teasers of the articles from number 0 on.
fn teasers(
    group: &mut BenchmarkGroup<'_, WallTime>,
    engine: &Engine,
    texts: impl Iterator<Item = String>,
) {
    let asked: Vec<TeaserRequest> = texts.map(TeaserRequest::of).collect();
    let answers = engine.match_teasers(asked.clone()).into_iter().map(Result::unwrap);
    let right = (0..).zip(answers).filter(|(number, it)| is_match(*number, it)).count();
    assert!(right as f64 >= TEASERS_FOUND_MIN * asked.len() as f64, "{right}");
    group.bench_function("match teasers", |bencher| {
        bencher.iter(|| black_box(engine.match_teasers(black_box(asked.clone()))));
    });
}

/// So many quarters of an article: of several, one behind the other, where one has not as
/// many.
fn long_article(texts: &Texts, number: u32, quarters: usize) -> String {
    let whole = (0..).map(|at| texts.article(number * 64 + at));
    let text: String = whole.take(quarters.div_ceil(4)).collect::<Vec<_>>().join("\n");
    if quarters.is_multiple_of(4) {
        return text;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.get(..words.len() * quarters / 4).unwrap_or(&words).join(" ")
}

/// A blurb of 30 words from the middle of an article.
fn middle(article: &str) -> String {
    let words: Vec<&str> = article.split_whitespace().collect();
    let start = words.len() / 2;
    words.get(start..start + 30).unwrap().join(" ") + " ..."
}

fn put(engine: &Engine, articles: impl Iterator<Item = (u32, String)>) -> Vec<PutAnswer> {
    let requests = articles.map(|(number, text)| put_request(number, &text)).collect();
    engine.put(requests).into_iter().map(Result::unwrap).collect()
}

fn is_match(number: u32, answer: &TeaserAnswer) -> bool {
    answer.verdict == Verdict::Match
        && answer.matches.first().is_some_and(|it| it.id.as_str() == number.to_string())
}
