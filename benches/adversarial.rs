//! Texts that are made to cost more than they should, beside prose of the same length:
//! `cargo bench --bench adversarial`. Printed are nanoseconds a byte at each size,
//! and how many times those of prose that is; "!" where that is more than 4, or where a byte
//! of the longest text takes more than twice a byte of the shortest.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]
#![allow(clippy::indexing_slicing, reason = "there are three sizes")]

mod support;

use std::hint::black_box;
use std::sync::Arc;

use doublon::clock::Clock;
use doublon::engine::find::{FindRequest, Target};
use doublon::engine::page::PageRequest;
use doublon::engine::sign;
use doublon::engine::{Engine, Options};
use doublon::index::memory::MemoryIndex;
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::store::embedded::EmbeddedStore;
use doublon::text::cues::Cues;
use doublon::text::page;
use doublon::text::tokens::Tokens;

use crate::support::Texts;
use crate::support::hostile::Hostile;
use crate::support::records::put_request;

/// Bytes of the texts, measured and as a smoke test: up to the limit, but for what is put
/// between the halves of one.
const SIZES: [usize; 3] = [64 << 10, 256 << 10, (1 << 20) - 8];
const SIZES_SMOKE: [usize; 3] = [1 << 10, 2 << 10, 4 << 10];
/// Measurements, of which the least counts.
const ROUNDS: usize = 7;
/// More than so many times the time of prose is said.
const RATIO_MAX: f64 = 4.0;
/// More than so many times the time of a byte of the shortest text, too.
const GROWTH_MAX: f64 = 2.0;

/// What is done with a text; the engine has a copy of it.
type Work = fn(&Engine, &str);

const WORKS: [(&str, Work); 6] = [
    ("sign", |_, text| {
        let tokens = Tokens::of(text).hashes;
        black_box(Sketch::of(&tokens, &shingle::shingles(&tokens)));
    }),
    ("split", |_, text| {
        let blocks = page::blocks(text, Cues::builtin());
        black_box(page::split(&blocks, &[]));
    }),
    ("compare", |_, text| {
        let middle = text.len() / 2;
        let middle = (middle..text.len()).find(|it| text.is_char_boundary(*it)).unwrap();
        let turned = format!("{} x {}", &text[middle..], &text[..middle]);
        black_box(sign::compare(text, &turned)).unwrap();
    }),
    ("put", |_, text| {
        let engine = engine();
        assert!(engine.put(vec![put_request(1, text)])[0].is_ok());
    }),
    ("find", |engine, text| {
        let request = FindRequest::of(Target::Text(text.to_owned()));
        assert!(engine.find_duplicates(&[request])[0].is_ok());
    }),
    ("page", |engine, text| {
        let request = PageRequest::of(text);
        assert!(engine.analyze_page(&request).is_ok());
    }),
];

fn main() {
    let texts = Texts::default();
    let sizes = support::size(SIZES, SIZES_SMOKE);
    let prose = measured(sizes, |bytes| prose(&texts, bytes));
    report("prose", &prose, &prose);
    for kind in Hostile::all() {
        report(kind.name, &measured(sizes, |bytes| kind.text(bytes)), &prose);
    }
}

/// Articles in a row.
fn prose(texts: &Texts, bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        text.push_str(&texts.article(number));
        text.push('\n');
        if text.len() >= bytes {
            break;
        }
    }
    let end = (0..=bytes).rev().find(|it| text.is_char_boundary(*it)).unwrap();
    text.truncate(end);
    text
}

/// Nanoseconds a byte, by work and size.
fn measured(sizes: [usize; 3], text: impl Fn(usize) -> String) -> Vec<[f64; 3]> {
    let texts = sizes.map(text);
    let engines = texts.each_ref().map(|text| {
        let engine = engine();
        assert!(engine.put(vec![put_request(1, text)])[0].is_ok());
        engine
    });
    let clock = Clock::system();
    let time = |work: Work, at: usize| {
        let start = clock.elapsed();
        work(&engines[at], &texts[at]);
        clock.since(start).as_secs_f64() * 1e9 / texts[at].len() as f64
    };
    let rounds = support::size(ROUNDS, 1);
    let least = |work, at| (0..rounds).map(|_| time(work, at)).fold(f64::MAX, f64::min);
    WORKS.iter().map(|(_, work)| [0, 1, 2].map(|at| least(*work, at))).collect()
}

fn engine() -> Engine {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    Engine::open(store, index, Options::new(Clock::system()), |_, _| {}).unwrap()
}

fn report(name: &str, times: &[[f64; 3]], prose: &[[f64; 3]]) {
    for (((work, _), times), prose) in WORKS.iter().zip(times).zip(prose) {
        let ratios = [0, 1, 2].map(|at| times[at] / prose[at]);
        let is_slow = ratios[2] > RATIO_MAX || times[2] > GROWTH_MAX * times[0];
        let mark = if is_slow { "!" } else { " " };
        println!(
            "{mark} {name:28} {work:8} {:9.1} {:9.1} {:9.1} ns/byte  x {:6.2} {:6.2} {:6.2}",
            times[0], times[1], times[2], ratios[0], ratios[1], ratios[2],
        );
    }
}
