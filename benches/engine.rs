//! End to end on an engine whose records are in memory: puts, near-duplicates,
//! teasers and pages: `cargo bench --bench engine`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::Throughput;
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

fn main() {
    let texts = Texts::default();
    let count = support::size(ARTICLES.0, ARTICLES.1);
    let batch = support::size(BATCH.0, BATCH.1);
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    let engine = Engine::open(store, index, Options::new(Clock::system()), |_, _| {}).unwrap();
    let numbers: Vec<u32> = (0..count).collect();
    for numbers in numbers.chunks(BATCH.0 as usize) {
        let answers = put(&engine, numbers.iter().map(|it| (*it, texts.article(*it))));
        assert!(answers.iter().all(|it| it.outcome == PutOutcome::Created));
    }

    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(u64::from(batch)));

    // Other content under the same ids each time: the store does not grow.
    let mut round = 0;
    let contents: Vec<Vec<String>> = (1..=2)
        .map(|it| (0..batch).map(|at| texts.article(it * 1_000_000 + at)).collect())
        .collect();
    group.bench_function("put, replacing", |bencher| {
        bencher.iter(|| {
            round += 1;
            let texts = contents.iter().cycle().nth(round % 2).unwrap();
            let answers = put(&engine, (count..).zip(texts.iter().cloned()));
            assert!(answers.iter().all(|it| it.duplicates.is_empty()));
        });
    });

    let copies: Vec<FindRequest> =
        (0..batch.min(count)).map(|it| find(texts.near_copy(it))).collect();
    for (number, found) in engine.find_duplicates(&copies).into_iter().enumerate() {
        let found = found.unwrap();
        assert_eq!(found.duplicates.first().unwrap().id.as_str(), number.to_string());
    }
    group.bench_function("find duplicates", |bencher| {
        bencher.iter(|| black_box(engine.find_duplicates(black_box(&copies))));
    });

    let teasers: Vec<TeaserRequest> =
        (0..batch.min(count)).map(|it| teaser(texts.teaser(it))).collect();
    let answers = engine.match_teasers(teasers.clone()).into_iter().map(Result::unwrap);
    let right = (0..).zip(answers).filter(|(number, it)| is_match(*number, it)).count();
    assert!(right as f64 >= TEASERS_FOUND_MIN * teasers.len() as f64, "{right}");
    group.bench_function("match teasers", |bencher| {
        bencher.iter(|| black_box(engine.match_teasers(black_box(teasers.clone()))));
    });

    let page = PageRequest::of(texts.page(0));
    let answer = engine.analyze_page(&page).unwrap();
    assert_eq!(answer.body_duplicates.first().unwrap().id.as_str(), "0");
    group.throughput(Throughput::Elements(1));
    group.bench_function("analyse a page", |bencher| {
        bencher.iter(|| black_box(engine.analyze_page(black_box(&page))));
    });
    group.finish();
    criterion.final_summary();
}

fn put(engine: &Engine, articles: impl Iterator<Item = (u32, String)>) -> Vec<PutAnswer> {
    let requests = articles.map(|(number, text)| put_request(number, &text)).collect();
    engine.put(requests).into_iter().map(Result::unwrap).collect()
}

fn find(text: String) -> FindRequest {
    FindRequest::of(Target::Text(text))
}

fn teaser(text: String) -> TeaserRequest {
    TeaserRequest::of(text)
}

fn is_match(number: u32, answer: &TeaserAnswer) -> bool {
    answer.verdict == Verdict::Match
        && answer.matches.first().is_some_and(|it| it.id.as_str() == number.to_string())
}
