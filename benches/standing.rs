//! Teasers that wait: what it costs to find those of an arriving article among them, beside
//! what the near-duplicate query of the same article costs: `cargo bench --bench standing`.
//! Ten million teasers and a million articles take about 5 GB and some minutes.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]
#![allow(clippy::indexing_slicing, reason = "places are within their bounds by construction")]

mod support;

use std::hint::black_box;
use std::time::Instant;

use doublon::hash;
use doublon::index::keys::Keys;
use doublon::index::memory::MemoryIndex;
use doublon::index::standing::{ArrivalQuery, StandingIndex, StandingKeys};
use doublon::index::{Filter, Index, NearQuery};
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::term;

use crate::support::{Random, records};

/// Articles in the index, and teasers that wait, measured and as a smoke test.
const ARTICLES: (u32, u32) = (1_000_000, 100);
const TEASERS: (u32, u32) = (10_000_000, 1000);
/// Sizes at which it is measured, as shares of all teasers.
const STEPS: [u32; 4] = [100, 10, 3, 1];
const ARTICLE_TOKENS: usize = 900;
const TEASER_TOKENS: usize = 30;
const VOCABULARY: u32 = 200_000;
/// Articles of one measurement, and measurements.
const ASKED: u32 = 200;
const ROUNDS: u32 = 5;
/// Where the teasers of arriving articles stand in them.
const PLACE: usize = 301;

fn main() {
    let articles = support::size(ARTICLES.0, ARTICLES.1);
    let teasers = support::size(TEASERS.0, TEASERS.1);
    let index = MemoryIndex::default();
    for number in 0..articles {
        let entry = records::entry_of(number, &tokens(u64::from(number), ARTICLE_TOKENS));
        index.insert(&[entry]).unwrap();
    }
    let near = median(|number| near(&index, number));
    println!("near-duplicate query, {articles} articles: {near:.1} us");
    let standing = StandingIndex::default();
    let mut filled = 0;
    for step in STEPS {
        let size = teasers / step;
        for number in filled..size {
            standing.insert(number, &StandingKeys::of(&teaser(number)));
        }
        filled = size;
        let arrival = median(|number| arrival(&standing, number, size));
        println!(
            "arriving article, {size} teasers wait: {arrival:.1} us, {:.2} of the query; {} bytes a teaser",
            arrival / near,
            standing.bytes() / u64::from(size),
        );
    }
}

/// The tokens of a text: Zipf's law without the spelling.
fn tokens(number: u64, count: usize) -> Vec<u32> {
    let mut random = Random::new((5 << 40) + number);
    (0..count)
        .map(|_| hash::low_half(hash::mix(u64::from(random.rank(VOCABULARY)) + 1)) & !1)
        .collect()
}

/// A teaser: of an article that comes, one in a thousand; else of one that does not.
fn teaser(number: u32) -> Vec<u32> {
    if number.is_multiple_of(1000) {
        let article = tokens(arriving(number / 1000), ARTICLE_TOKENS);
        return article[PLACE..PLACE + TEASER_TOKENS].to_vec();
    }
    tokens((1 << 36) + u64::from(number), TEASER_TOKENS)
}

/// The number of an article that is not in the index.
fn arriving(number: u32) -> u64 {
    (1 << 35) + u64::from(number)
}

/// The median over rounds of the mean microseconds.
fn median(measure: impl Fn(u32) -> f64) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let numbers = round * ASKED..(round + 1) * ASKED;
            numbers.map(&measure).sum::<f64>() / f64::from(ASKED)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn micros(act: impl FnOnce()) -> f64 {
    let start = Instant::now();
    act();
    start.elapsed().as_secs_f64() * 1e6
}

fn near(index: &MemoryIndex, number: u32) -> f64 {
    let tokens = tokens(arriving(number), ARTICLE_TOKENS);
    let shingles = shingle::shingles(&tokens);
    let keys = Keys::of_question(&shingles, Sketch::of(&tokens, &shingles));
    let filter = Filter::all();
    let query = NearQuery { keys: &keys, shingle_count: shingles.len(), filter: &filter };
    micros(|| drop(black_box(index.near(&[query]).unwrap())))
}

fn arrival(standing: &StandingIndex, number: u32, size: u32) -> f64 {
    let tokens = tokens(arriving(number), ARTICLE_TOKENS);
    let mut shingles = shingle::shingles(&tokens);
    shingles.sort_unstable();
    shingles.dedup();
    let terms = term::distinct([&tokens[..64]]);
    let query = ArrivalQuery { shingles: &shingles, terms: &terms };
    let mut found = Vec::new();
    let micros = micros(|| found = black_box(standing.propose(query)));
    let own = number * 1000;
    assert!(own >= size || found.contains(&own), "the article's teaser is found");
    micros
}
