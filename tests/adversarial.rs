//! Texts that are made to cost more than they should: what they take stays in proportion
//! to their length. Counted here; time is measured by `cargo bench --bench adversarial`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "../benches/support/hostile.rs"]
mod hostile;

use std::sync::Arc;

use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId, TEXT_BYTES_MAX};
use doublon::engine::find::{Duplicate, FindRequest, Target};
use doublon::engine::page::PageRequest;
use doublon::engine::put::PutRequest;
use doublon::engine::sign;
use doublon::engine::teaser::{TeaserAnswer, TeaserRequest};
use doublon::engine::{Engine, Options};
use doublon::index::keys::{FieldTokens, Keys};
use doublon::index::memory::MemoryIndex;
use doublon::index::{CANDIDATES_MAX, Entry, Filter, Index, NearQuery, TERM_CANDIDATES_MAX};
use doublon::index::{TeaserQuery, TermQuery, Wanted, keys};
use doublon::matching::verdict::Verdict;
use doublon::sketch::Sketch;
use doublon::store::ArticleNumber;
use doublon::store::embedded::EmbeddedStore;
use doublon::text::cues::Cues;
use doublon::text::page::{self, Block};
use doublon::text::tokens::{Tokens, normal_form};
use doublon::{shingle, term};

use crate::hostile::Hostile;

/// Bytes of the hostile texts: enough for what is quadratic to be seen.
const BYTES: usize = 48 << 10;
/// Bytes of the index, and of the store, for each byte of a text, at most: there may be
/// two tokens a byte, of which one in eight is an anchor where all differ.
const INDEX_BYTES_PER_BYTE: u64 = 4;
const STORE_BYTES_PER_BYTE: u64 = 16;
/// The same for the lines of a page, of which there may be one for two bytes.
const LINES_BYTES_PER_BYTE: usize = 128;
/// What an empty index and an empty store take, and what they take ahead.
const FREE_BYTES: u64 = 1 << 20;

#[test]
fn what_a_text_takes_is_in_proportion_to_its_length() {
    for kind in Hostile::all() {
        let (name, text) = (kind.name, kind.text(BYTES));
        let tokens = Tokens::of(&text);
        assert!(tokens.len() <= 2 * text.len(), "{name}: {}", tokens.len());
        // Three bytes that stand for four words of five letters in Arabic are the most.
        assert!(normal_form(&text).len() <= 12 * text.len(), "{name}");
        let blocks = page::blocks(&text, Cues::builtin());
        let in_lines: usize = blocks.iter().map(|it| it.tokens.len()).sum();
        let heap = |it: &Block| 4 * it.tokens.hashes.capacity() + 8 * it.tokens.spans.capacity();
        let of_blocks = size_of::<Block>() * blocks.capacity();
        let taken = of_blocks + blocks.iter().map(heap).sum::<usize>();
        assert!(taken <= LINES_BYTES_PER_BYTE * text.len(), "{name}: {taken}");
        assert!(in_lines <= tokens.len() && blocks.len() <= text.len() / 2 + 1, "{name}");

        let engine = engine();
        put(&engine, "a", &text);
        let stats = engine.stats().unwrap();
        let bytes = text.len() as u64;
        assert!(stats.index.bytes <= FREE_BYTES + INDEX_BYTES_PER_BYTE * bytes, "{name}");
        assert!(stats.store_bytes <= FREE_BYTES + STORE_BYTES_PER_BYTE * bytes, "{name}");
        assert!(stats.index.anchor_postings <= tokens.len() as u64, "{name}");
    }
}

#[test]
fn a_hostile_text_is_answered_like_any_other() {
    for kind in Hostile::all() {
        let (name, text) = (kind.name, kind.text(BYTES / 8));
        let engine = engine();
        put(&engine, "a", &text);
        let found = find(&engine, &text);
        assert_eq!(found[0].id.as_str(), "a", "{name}");
        assert!((found[0].overlap.jaccard() - 1.0).abs() < 1e-9, "{name}");
        let same = sign::compare(&text, &text).unwrap();
        assert!(same.aligned.len() <= sign::ALIGNED_SPANS_MAX, "{name}");
        assert!((same.estimated_jaccard - 1.0).abs() < 1e-9, "{name}");
        let request = PageRequest::of(text.clone());
        let lines = text.lines().filter(|it| !it.trim().is_empty()).count();
        assert_eq!(engine.analyze_page(&request).unwrap().segments.len(), lines, "{name}");
        // 900 tokens at most, fewer than a teaser may have.
        let start: String = text.chars().take(150).collect();
        assert!(teaser(&engine, &start).matches.len() <= 5, "{name}");
    }
}

/// At the limit of a text: one word, and as many as there is room for.
#[test]
fn the_longest_texts_are_stored_and_found() {
    let engine = engine();
    for name in ["one endless word", "distinct words"] {
        let kind = Hostile::all().into_iter().find(|it| it.name == name).unwrap();
        let text = kind.text(TEXT_BYTES_MAX);
        put(&engine, name, &text);
        assert_eq!(find(&engine, &text)[0].id.as_str(), name);
    }
    let stats = engine.stats().unwrap();
    let bytes = 2 * TEXT_BYTES_MAX as u64;
    assert!(stats.index.bytes <= FREE_BYTES + INDEX_BYTES_PER_BYTE * bytes, "{stats:?}");
    assert!(stats.store_bytes <= 2 * FREE_BYTES + STORE_BYTES_PER_BYTE * bytes, "{stats:?}");
}

/// A million distinct tokens are more than a text has; the parts below take them.
#[test]
fn a_million_distinct_tokens_are_one_set() {
    let tokens: Vec<u32> = (0..1_000_000_u32).map(|it| it.wrapping_mul(0x9e37_79b1)).collect();
    let shingles = shingle::shingles(&tokens);
    let keys = Keys::of_question(&shingles, Sketch::of(&tokens, &shingles));
    assert!(keys.anchors.len() <= keys::PROBES_MAX);
    let stored = Keys::of_article(&FieldTokens::new(&[], &[], &tokens), keys.sketch);
    let sparse = shingles.len() / keys::ANCHOR_STRIDE + keys::DENSE_TOKENS;
    assert!(stored.anchors.len() <= sparse && stored.terms.len() <= keys::LEAD_TOKENS);
}

const STOCK: &str = "Subscribe now to read all of our articles without any limit for one month";

/// Words that no other article has.
fn own_words(number: u32, count: u32) -> String {
    let words: Vec<String> = (0..count).map(|it| format!("w{}", number * 1000 + it)).collect();
    words.join(" ")
}

#[test]
fn a_sentence_of_thousands_of_articles_proposes_few_and_hides_none() {
    const ARTICLES: u32 = 1500;
    let index = MemoryIndex::default();
    for number in 0..ARTICLES {
        let text = format!("{} {STOCK} {}", own_words(number, 20), own_words(number, 40));
        index.insert(&[entry(number, &text)]).unwrap();
    }
    // A list takes a byte or two for each article that has the phrase.
    let counts = index.counts();
    assert!(counts.bytes < FREE_BYTES + 2000 * u64::from(ARTICLES), "{counts:?}");
    let filter = Filter::all();
    let tokens = Tokens::of(STOCK).hashes;
    let shingles = shingle::shingles(&tokens);
    let wanted = Wanted::Parts;
    let query = TeaserQuery { shingles: &shingles, filter: &filter, wanted };
    let found = &index.teasers(&[query]).unwrap()[0];
    assert!(found.candidates.len() <= CANDIDATES_MAX);
    assert!(found.frequencies.iter().all(|it| *it == ARTICLES));
    let terms = term::distinct([&tokens[..]]);
    let found = &index.terms(&[TermQuery { terms: &terms, filter: &filter }]).unwrap()[0];
    assert!(found.candidates.len() <= TERM_CANDIDATES_MAX);
    assert!(near(&index, STOCK).len() <= CANDIDATES_MAX);
    // An article is found by what is its own, first of all.
    for number in [0, 777, ARTICLES - 1] {
        let blurb = format!("{STOCK} {}", own_words(number, 12));
        let shingles = shingle::shingles(&Tokens::of(&blurb).hashes);
        let query = TeaserQuery { shingles: &shingles, filter: &filter, wanted };
        assert_eq!(index.teasers(&[query]).unwrap()[0].candidates[0], ArticleNumber(number));
        let text = format!("{} {STOCK} {}", own_words(number, 20), own_words(number, 40));
        assert_eq!(near(&index, &text)[0], ArticleNumber(number));
    }
}

#[test]
fn texts_with_one_sketch_propose_few_and_hide_none() {
    // More than a block of SimHash is followed for.
    const ARTICLES: u32 = 2200;
    let index = MemoryIndex::default();
    let copied = own_words(900_000, 120);
    for number in 0..ARTICLES {
        index.insert(&[entry(number, &copied)]).unwrap();
    }
    // The same words in another order: one SimHash, other shingles.
    let words: Vec<String> = (0..120).map(|it| format!("p{it}")).collect();
    let permuted = |number: u32| {
        let mut words = words.clone();
        words.sort_by_key(|it| doublon::hash::persistent_64(format!("{number} {it}").as_bytes()));
        words.join(" ")
    };
    for number in 0..ARTICLES {
        index.insert(&[entry(ARTICLES + number, &permuted(number))]).unwrap();
    }
    index.insert(&[entry(2 * ARTICLES, &own_words(7, 120))]).unwrap();
    let counts = index.counts();
    assert!(counts.bytes < FREE_BYTES + 2 * 2000 * u64::from(ARTICLES), "{counts:?}");

    let found = near(&index, &copied);
    assert!((1..=CANDIDATES_MAX).contains(&found.len()));
    assert!(found.iter().all(|it| it.0 < ARTICLES));
    for number in [0, 1500, ARTICLES - 1] {
        let found = near(&index, &permuted(number));
        assert!(found.len() <= CANDIDATES_MAX);
        assert_eq!(found[0], ArticleNumber(ARTICLES + number));
    }
    assert!(near(&index, &permuted(ARTICLES + 5)).len() <= CANDIDATES_MAX);
    assert_eq!(near(&index, &own_words(7, 120)), [ArticleNumber(2 * ARTICLES)]);
}

/// Many copies of one text, and one that has only its stock sentence: through the engine.
#[test]
fn many_copies_are_answered_within_the_limits() {
    let engine = engine();
    let text = format!("{STOCK}. {}", own_words(1, 80));
    let requests = (0..300).map(|it| request(&format!("copy-{it}"), &text)).collect();
    for answer in engine.put(requests) {
        assert!(answer.unwrap().duplicates.len() <= 10);
    }
    put(&engine, "own", &format!("{STOCK}. {}", own_words(2, 80)));
    let found = find(&engine, &text);
    assert!(found.len() == 10 && found.iter().all(|it| it.id.as_str().starts_with("copy-")));
    assert_eq!(find(&engine, &own_words(2, 80))[0].id.as_str(), "own");
    let answer = teaser(&engine, &own_words(2, 20));
    assert_eq!((answer.verdict, answer.matches[0].id.as_str()), (Verdict::Match, "own"));
    assert!(teaser(&engine, STOCK).matches.len() <= 5);
}

fn engine() -> Engine {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    Engine::open(store, index, Options::new(Clock::manual(0)), |_, _| {}).unwrap()
}

fn request(id: &str, text: &str) -> PutRequest {
    let article = Article::of(ArticleId::new(id).unwrap(), text.to_owned());
    PutRequest::of(article)
}

fn put(engine: &Engine, id: &str, text: &str) {
    engine.put(vec![request(id, text)]).remove(0).unwrap();
}

fn find(engine: &Engine, text: &str) -> Vec<Duplicate> {
    let request = FindRequest::of(Target::Text(text.to_owned()));
    engine.find_duplicates(&[request]).remove(0).unwrap().duplicates
}

fn teaser(engine: &Engine, text: &str) -> TeaserAnswer {
    engine.match_teasers(vec![TeaserRequest::of(text)]).remove(0).unwrap()
}

fn entry(number: u32, text: &str) -> Entry {
    let tokens = Tokens::of(text).hashes;
    let sketch = Sketch::of(&tokens, &shingle::shingles(&tokens));
    let keys = Keys::of_article(&FieldTokens::new(&[], &[], &tokens), sketch);
    Entry { number: ArticleNumber(number), keys, facets: keys::facets("", "", "", None) }
}

fn near(index: &MemoryIndex, text: &str) -> Vec<ArticleNumber> {
    let tokens = Tokens::of(text).hashes;
    let shingles = shingle::shingles(&tokens);
    let keys = Keys::of_question(&shingles, Sketch::of(&tokens, &shingles));
    let filter = Filter::all();
    let query = NearQuery { keys: &keys, shingle_count: shingles.len(), filter: &filter };
    index.near(&[query]).unwrap().remove(0)
}
