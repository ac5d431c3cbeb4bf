//! A table of an index's image: any words are read or refused, in memory that is in
//! proportion to them, and what is read is written as the same table again.
//!
//! The words come behind a first one that says how many of them are the slots.
#![no_main]

use doublon::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (slots, bytes) = input;
    let words: Vec<u64> = bytes.chunks(8).map(word).collect();
    let (slots, lists) = words.split_at(words.len().min(usize::from(slots)));
    let Some((slots, lists)) = fuzzing::table_again(slots, lists) else { return };
    assert_eq!(fuzzing::table_again(&slots, &lists), Some((slots, lists)));
});

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}
