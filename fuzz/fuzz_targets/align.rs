//! Alignment, against the table of the textbook (Sellers 1980). The first byte is the
//! length of the pattern, the second the size of the alphabet; the rest is tokens.
#![no_main]

use doublon::matching::align::{Pattern, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [length, alphabet, tokens @ ..] = input else { return };
    let alphabet = u32::from(*alphabet) + 1;
    let tokens: Vec<u32> = tokens.iter().map(|it| u32::from(*it) % alphabet).collect();
    let (pattern, text) = tokens.split_at(tokens.len().min(usize::from(*length)));

    let ready = Pattern::new(pattern);
    let place = ready.best_place(text);
    assert_eq!(place, by_table(pattern, text));
    let pairs = ready.matched(text, place);
    assert!(pairs.iter().all(|(a, b)| pattern[*a] == text[*b]));
    assert_eq!(cost(pattern.len(), place.end, &pairs), place.distance);
});

fn by_table(pattern: &[u32], text: &[u32]) -> Place {
    let mut column: Vec<usize> = (0..=pattern.len()).collect();
    let mut best = Place { distance: pattern.len(), end: 0 };
    for (end, token) in text.iter().enumerate() {
        let mut diagonal = 0;
        for row in 1..column.len() {
            let changed = diagonal + usize::from(pattern[row - 1] != *token);
            diagonal = column[row];
            column[row] = changed.min(diagonal + 1).min(column[row - 1] + 1);
        }
        let distance = column[pattern.len()];
        if distance < best.distance {
            best = Place { distance, end: end + 1 };
        }
    }
    best
}

/// Edits of the alignment that has these pairs, which ascend; the text before the first
/// one costs nothing.
fn cost(pattern: usize, end: usize, pairs: &[(usize, usize)]) -> usize {
    let (mut cost, mut next) = (0, None);
    for (a, b) in pairs {
        cost += match next {
            None => *a,
            Some((x, y)) => gap(x, *a).max(gap(y, *b)),
        };
        next = Some((a + 1, b + 1));
    }
    cost + next.map_or(pattern, |(x, y)| gap(x, pattern).max(gap(y, end)))
}

fn gap(from: usize, to: usize) -> usize {
    to.checked_sub(from).expect("places ascend")
}
