//! Anchors, overlap, alignment and page splitting, in one thread:
//! `cargo bench --bench matching`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that cannot go on fails")]

mod support;

use std::hint::black_box;

use criterion::Throughput;
use doublon::index::keys::{ANCHOR_STRIDE, DENSE_TOKENS, FieldTokens, Keys};
use doublon::matching::align::Pattern;
use doublon::matching::overlap::{Overlap, SharedBound, ShingleSet};
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::text::cues::Cues;
use doublon::text::page;
use doublon::text::page::SegmentKind;
use doublon::text::tokens::Tokens;
use doublon::text::truncation;

use crate::support::Texts;

/// Texts of one pass, measured and as a smoke test.
const TEXTS: (u32, u32) = (100, 3);
/// Of the teasers of a seeded page, those that are split off, at least: one in
/// four begins within a sentence and looks like nothing.
const TEASERS_FOUND_MIN: usize = 2;

fn main() {
    let texts = Texts::default();
    let count = support::size(TEXTS.0, TEXTS.1);
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("matching");
    group.throughput(Throughput::Elements(u64::from(count)));

    let signed: Vec<(FieldTokens, Sketch)> =
        (0..count).map(|it| fields(&texts.article(it))).collect();
    for (fields, sketch) in &signed {
        check_anchors(fields, sketch);
    }
    group.bench_function("keys of an article", |bencher| {
        bencher.iter(|| {
            for (fields, sketch) in &signed {
                black_box(Keys::of_article(black_box(fields), *sketch));
            }
        });
    });

    let articles: Vec<(FieldTokens, ShingleSet)> =
        signed.into_iter().map(|(it, _)| (it.clone(), set(it.text()))).collect();
    let bounds: Vec<SharedBound> =
        articles.iter().map(|(fields, _)| SharedBound::of(fields.text())).collect();
    let may_share = |at: usize, other: usize| {
        let (left, right) = (articles[at].1.len(), articles[other].1.len());
        bounds[at].may_share(articles[other].0.text(), Overlap::shared_min(left, right))
    };
    let next = |at: usize| (at + 1) % articles.len();
    assert!((0..articles.len()).all(|at| may_share(at, at) && !may_share(at, next(at))));
    group.bench_function("unrelated article told by the bound", |bencher| {
        bencher.iter(|| (0..articles.len()).filter(|at| may_share(*at, next(*at))).count());
    });
    group.bench_function("related article counted", |bencher| {
        bencher.iter(|| {
            for (fields, set) in &articles {
                black_box(set.overlap(&shingle::shingles(black_box(fields.text())), set.len()));
            }
        });
    });

    let cues = Cues::builtin();
    let teasers: Vec<Vec<u32>> =
        (0..count).map(|it| truncation::blurb(&texts.teaser(it), cues).tokens.hashes).collect();
    for (teaser, (article, _)) in teasers.iter().zip(&articles) {
        assert_eq!(align(teaser, article.text()), (0, teaser.len()));
    }
    group.bench_function("teaser aligned with its article", |bencher| {
        bencher.iter(|| {
            for (teaser, (article, _)) in teasers.iter().zip(&articles) {
                black_box(align(black_box(teaser), article.text()));
            }
        });
    });

    let pages: Vec<String> = (0..count).map(|it| texts.page(it)).collect();
    for (page, (article, _)) in pages.iter().zip(&articles) {
        check_page(page, article.text(), cues);
    }
    group.bench_function("page to segments", |bencher| {
        bencher.iter(|| {
            for page in &pages {
                black_box(page::split(&page::blocks(black_box(page), cues), &[]));
            }
        });
    });
    group.finish();
    criterion.final_summary();
}

fn fields(text: &str) -> (FieldTokens, Sketch) {
    let tokens = Tokens::of(text).hashes;
    let sketch = Sketch::of(&tokens, &shingle::shingles(&tokens));
    (FieldTokens::new(&[], &[], &tokens), sketch)
}

fn set(tokens: &[u32]) -> ShingleSet {
    ShingleSet::of(&shingle::shingles(tokens))
}

/// The distance to the best place, and the tokens that match there.
fn align(teaser: &[u32], article: &[u32]) -> (usize, usize) {
    let pattern = Pattern::new(teaser);
    let place = pattern.best_place(article);
    (place.distance, pattern.matched(article, place).len())
}

/// Every run that is long enough meets an anchor.
fn check_anchors(fields: &FieldTokens, sketch: &Sketch) {
    let anchors = Keys::of_article(fields, *sketch).anchors;
    let shingles = shingle::shingles(fields.text());
    for run in shingles.windows(ANCHOR_STRIDE) {
        assert!(run.iter().any(|it| anchors.binary_search(it).is_ok()));
    }
    assert!(anchors.len() <= DENSE_TOKENS + shingles.len() / ANCHOR_STRIDE + 1);
}

/// The body is the article, nearly.
fn check_page(page: &str, article: &[u32], cues: &Cues) {
    let blocks = page::blocks(page, cues);
    let kinds = page::split(&blocks, &[]);
    let body = page::tokens_of(&blocks, &kinds, SegmentKind::Body);
    let share = body.count() as f64 / article.len() as f64;
    assert!((0.9..1.1).contains(&share), "{share}");
    let teasers = kinds.iter().filter(|it| **it == SegmentKind::Teaser).count();
    assert!(teasers >= TEASERS_FOUND_MIN, "{teasers}");
}
