//! Raw text to signature, and its steps, in one thread: `cargo bench --bench sign`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on fails")]

mod support;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use doublon::matching::overlap::ShingleSet;
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::sketch::minhash::MinHash;
use doublon::sketch::simhash::SimHash;
use doublon::text::tokens::{Tokens, normal_form};

use crate::support::Texts;

/// Articles of one pass, measured and as a smoke test.
const ARTICLES: (u32, u32) = (200, 3);
/// An estimate of 128 values is off by .044 at most in the mean: this is five
/// times that.
const JACCARD_ERROR_MAX: f64 = 0.22;

fn signature(text: &str) -> Sketch {
    let tokens = Tokens::of(text);
    Sketch::of(&tokens.hashes, &shingle::shingles(&tokens.hashes))
}

fn main() {
    let texts = Texts::default();
    let count = support::size(ARTICLES.0, ARTICLES.1);
    let articles: Vec<String> = (0..count).map(|it| texts.article(it)).collect();
    check(&texts, &articles);

    let tokens: Vec<Vec<u32>> = articles.iter().map(|it| Tokens::of(it).hashes).collect();
    let shingles: Vec<Vec<u64>> = tokens.iter().map(|it| shingle::shingles(it)).collect();
    let mut criterion = support::criterion();
    let mut group = criterion.benchmark_group("sign");
    let bytes: usize = articles.iter().map(String::len).sum();
    group.throughput(Throughput::Bytes(bytes as u64));
    each(&mut group, "text to tokens", &articles, |it| Tokens::of(it));
    each(&mut group, "tokens to shingles", &tokens, |it| shingle::shingles(it));
    each(&mut group, "shingles to MinHash", &shingles, |it| MinHash::of(it));
    each(&mut group, "tokens to SimHash", &tokens, |it| SimHash::of(it));
    each(&mut group, "tokens to signature", &tokens, |it| Sketch::of(it, &shingle::shingles(it)));
    each(&mut group, "raw text to signature", &articles, |it| signature(it));
    group.finish();
    criterion.final_summary();
}

fn each<T, R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    inputs: &[T],
    work: impl Fn(&T) -> R,
) {
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for input in inputs {
                black_box(work(black_box(input)));
            }
        });
    });
}

/// The signature is that of the words, whatever the typography, and estimates
/// what the shingles say.
fn check(texts: &Texts, articles: &[String]) {
    for (number, article) in (0..).zip(articles.iter().take(5)) {
        let tokens = Tokens::of(article);
        let normal = normal_form(article);
        assert_eq!(tokens.len(), normal.split(' ').count());
        assert!((800..1100).contains(&tokens.len()) && (5500..5900).contains(&article.len()));
        assert_eq!(signature(article), signature(&normal));

        let copy = texts.near_copy(number);
        let (left, right) = (signature(article), signature(&copy));
        let estimated = left.minhash.estimated_jaccard(&right.minhash);
        let set = |text: &str| shingle::shingles(&Tokens::of(text).hashes);
        let others = set(&copy);
        let overlap = ShingleSet::of(&set(article)).overlap(&others, ShingleSet::of(&others).len());
        assert!((0.7..0.95).contains(&overlap.jaccard()), "{}", overlap.jaccard());
        assert!((estimated - overlap.jaccard()).abs() < JACCARD_ERROR_MAX, "{estimated}");
        assert!(left.simhash.distance_bits(right.simhash) < 16);
    }
}
