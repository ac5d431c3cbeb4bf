//! doublon's side of `benches/peers/run`: writes the articles and questions that
//! all are measured on, measures itself on them, and prints one JSON object.
//!
//! `DOUBLON_PEERS_DIR` is the folder to write to; `DOUBLON_PEERS_ARTICLES` the
//! number of articles. Run by itself or by `cargo test` it uses a few articles
//! and a temporary folder.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on fails")]

mod support;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use doublon::clock::Clock;
use doublon::engine::find::{FindRequest, Target};
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::{Engine, Options};
use doublon::index::Index;
use doublon::index::memory::MemoryIndex;
use doublon::matching::verdict::Verdict;
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::store::embedded::EmbeddedStore;
use doublon::text::tokens::Tokens;
use serde_json::{Value, json};

use crate::support::Texts;
use crate::support::records::{entry, put_request};

/// Measurements of each thing; their median counts.
const RUNS: usize = 5;
/// Articles put at once, as a stream's batch.
const BATCH: usize = 256;
/// Questions of each kind, at most.
const QUESTIONS_MAX: u32 = 200;

/// What all are measured on.
struct Inputs {
    articles: Vec<String>,
    /// Near-duplicates of the articles with the same place.
    copies: Vec<String>,
    /// Cut from the articles with the same place.
    teasers: Vec<String>,
    /// Near-duplicates and teasers of articles that are not stored.
    strange_copies: Vec<String>,
    strange_teasers: Vec<String>,
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var("DOUBLON_PEERS_DIR");
    let folder = folder.as_deref().map_or_else(|_| temporary.path(), Path::new);
    let count = std::env::var("DOUBLON_PEERS_ARTICLES").map_or(12, |it| it.parse().unwrap());
    let inputs = Inputs::new(count);
    inputs.write(folder);
    println!("{}", figures(&inputs));
}

fn figures(inputs: &Inputs) -> Value {
    let Inputs { articles, copies, teasers, strange_copies, strange_teasers } = inputs;
    let tokens: Vec<Vec<u32>> = articles.iter().map(|it| Tokens::of(it).hashes).collect();
    let engine = engine(articles);
    let near_recall = recall(&near(&engine, copies));
    let teaser_recall = recall(&match_all(&engine, teasers));
    let teaser_false = false_matches(&match_all(&engine, strange_teasers));
    assert!(near_recall > 0.99 && teaser_recall > 0.9 && teaser_false < 0.1);
    json!({
        "name": "doublon",
        "sign": rate(articles, |it| sign(&Tokens::of(it).hashes)),
        "sign_tokens": rate(&tokens, |it| sign(it)),
        "index": articles.len() as f64 * rate(&[()], |()| index(articles)),
        "put": articles.len() as f64 * rate(&[()], |()| self::engine(articles)),
        "near": copies.len() as f64 * rate(&[()], |()| near(&engine, copies)),
        "near_recall": near_recall,
        "near_false": false_matches(&near(&engine, strange_copies)),
        "teaser": teasers.len() as f64 * rate(&[()], |()| match_all(&engine, teasers)),
        "teaser_recall": teaser_recall,
        "teaser_false": teaser_false,
        "bytes": index(articles).counts().bytes / articles.len() as u64,
    })
}

impl Inputs {
    fn new(count: u32) -> Self {
        let texts = Texts::default();
        let questions = count.min(QUESTIONS_MAX);
        let strange = count..count + questions;
        Self {
            articles: (0..count).map(|it| texts.article(it)).collect(),
            copies: (0..questions).map(|it| texts.near_copy(it)).collect(),
            teasers: (0..questions).map(|it| texts.teaser(it)).collect(),
            strange_copies: strange.clone().map(|it| texts.near_copy(it)).collect(),
            strange_teasers: strange.map(|it| texts.teaser(it)).collect(),
        }
    }

    fn write(&self, folder: &Path) {
        let Self { articles, copies, teasers, strange_copies, strange_teasers } = self;
        let all = json!({
            "articles": articles,
            "copies": copies,
            "teasers": teasers,
            "strange_copies": strange_copies,
            "strange_teasers": strange_teasers,
        });
        fs::write(folder.join("inputs.json"), all.to_string()).unwrap();
    }
}

/// Items a second, by the median of [`RUNS`].
fn rate<T, R>(items: &[T], work: impl Fn(&T) -> R) -> f64 {
    let clock = Clock::system();
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = clock.elapsed();
            for item in items {
                black_box(work(item));
            }
            clock.since(start).as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    items.len() as f64 / seconds.get(RUNS / 2).unwrap()
}

fn sign(tokens: &[u32]) -> Sketch {
    Sketch::of(tokens, &shingle::shingles(tokens))
}

/// The index alone, as the peers' are: no record, no text.
fn index(articles: &[String]) -> MemoryIndex {
    let index = MemoryIndex::default();
    for (number, text) in (0..).zip(articles) {
        index.insert(&[entry(number, text)]).unwrap();
    }
    index
}

fn engine(articles: &[String]) -> Engine {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    let engine = Engine::open(store, index, Options::new(Clock::system()), |_, _| {}).unwrap();
    let numbered: Vec<(u32, &String)> = (0..).zip(articles).collect();
    for batch in numbered.chunks(BATCH) {
        let requests = batch.iter().map(|(number, text)| put_request(*number, text)).collect();
        engine.put(requests).into_iter().for_each(|it| drop(it.unwrap()));
    }
    engine
}

/// The ids that are found for each text, one question a call.
fn near(engine: &Engine, texts: &[String]) -> Vec<Vec<String>> {
    let ask = |text: &String| {
        let request = FindRequest::of(Target::Text(text.clone()));
        let found = engine.find_duplicates(&[request]).remove(0).unwrap();
        found.duplicates.into_iter().map(|it| it.id.as_str().to_owned()).collect()
    };
    texts.iter().map(ask).collect()
}

/// The same for teasers: what is MATCH.
fn match_all(engine: &Engine, texts: &[String]) -> Vec<Vec<String>> {
    let ask = |text: &String| {
        let request = TeaserRequest::of(text.clone());
        let answer = engine.match_teasers(vec![request]).remove(0).unwrap();
        let matches = answer.matches.into_iter().filter(|it| it.verdict == Verdict::Match);
        matches.map(|it| it.id.as_str().to_owned()).collect()
    };
    texts.iter().map(ask).collect()
}

/// The share of texts that find their article.
fn recall(found: &[Vec<String>]) -> f64 {
    let right = found.iter().enumerate().filter(|(at, ids)| ids.contains(&at.to_string()));
    right.count() as f64 / found.len() as f64
}

/// The share of texts without an article that find one.
fn false_matches(found: &[Vec<String>]) -> f64 {
    found.iter().filter(|it| !it.is_empty()).count() as f64 / found.len() as f64
}
