//! Alignment: where in a text a pattern stands with the fewest words changed,
//! added or left out.
//!
//! The end and the distance come from Myers' bit-parallel approximate string
//! matching (Myers 1999, in blocks of 64 as Hyyro 2003 has it): all of the
//! pattern, anywhere in the text, 64 words of the pattern a machine word. The
//! words that match come from plain dynamic programming over the window that
//! this leaves.

use std::cell::OnceCell;

use crate::ranks::Ranks;
use crate::text::tokens::TokenHash;

const WORD_BITS: usize = 64;

/// The best place of a pattern in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Edit distance in words: substitutions, insertions and deletions.
    pub distance: usize,
    /// Index behind the last token of the place.
    pub end: usize,
}

/// A pattern made ready to be looked for in many texts.
#[derive(Debug)]
pub struct Pattern<'a> {
    tokens: &'a [TokenHash],
    /// Made for the first text that has no copy of the pattern.
    masks: OnceCell<Masks>,
}

impl<'a> Pattern<'a> {
    /// Makes a pattern ready: time and memory in proportion to its length
    /// times its blocks of 64.
    pub fn new(tokens: &'a [TokenHash]) -> Self {
        Self { tokens, masks: OnceCell::new() }
    }

    /// Blocks of 64 tokens that the pattern has: steps a token of the text.
    pub fn blocks(&self) -> usize {
        blocks(self.tokens)
    }

    /// The place with the smallest distance, the first of them where several
    /// have it. Time: the length of the text times the blocks of the pattern; far less
    /// where the text has a copy of it.
    pub fn best_place(&self, text: &[TokenHash]) -> Place {
        if let Some(end) = self.first_copy(text) {
            return Place { distance: 0, end };
        }
        let masks = self.masks.get_or_init(|| Masks::of(self.tokens));
        let mut column = vec![Vertical { plus: u64::MAX, minus: 0 }; masks.blocks];
        let last = (self.tokens.len() + WORD_BITS - 1) % WORD_BITS;
        let mut distance = self.tokens.len();
        let mut best = Place { distance, end: 0 };
        for (index, token) in text.iter().enumerate() {
            let step = match (column.as_mut_slice(), masks.row(*token)) {
                // Most teasers have one block.
                ([block], [mask]) => advance_block(block, *mask, Step::Level, last),
                (column, row) => advance(column, row, last),
            };
            match step {
                Step::Up => distance += 1,
                Step::Down => distance -= 1,
                Step::Level => {}
            }
            if distance < best.distance {
                best = Place { distance, end: index + 1 };
                if distance == 0 {
                    break;
                }
            }
        }
        best
    }

    /// The end of the first copy of the pattern.
    fn first_copy(&self, text: &[TokenHash]) -> Option<usize> {
        let [first, second, ..] = self.tokens else { return None };
        let seconds = text.get(1..)?;
        let mut from = 0;
        loop {
            // Nearly all of the time goes into this comparison.
            let pairs = text.get(from..)?.iter().zip(seconds.get(from..)?);
            let at = from + pairs.into_iter().position(|(a, b)| a == first && b == second)?;
            if text.get(at..)?.starts_with(self.tokens) {
                return Some(at + self.tokens.len());
            }
            from = at + 1;
        }
    }

    /// The pairs of equal tokens, in the pattern and in the text, of a best
    /// alignment that ends at `place`; both indexes ascend. Time and memory:
    /// the length of the pattern times that of the window, which is at most
    /// twice the pattern; only the length where they are equal.
    pub fn matched(&self, text: &[TokenHash], place: Place) -> Vec<(usize, usize)> {
        if place.distance == 0 {
            let start = place.end.saturating_sub(self.tokens.len());
            return (0..self.tokens.len()).map(|it| (it, start + it)).collect();
        }
        let start = place.end.saturating_sub(self.tokens.len() + place.distance);
        let window = text.get(start..place.end).unwrap_or_default();
        let mut pairs = trace(self.tokens, window);
        for (_, at) in &mut pairs {
            *at += start;
        }
        pairs
    }
}

/// For each token of a pattern, a bit for each place where it stands.
#[derive(Debug)]
struct Masks {
    blocks: usize,
    ranks: Ranks<TokenHash>,
    /// A row of `blocks` masks a token, by its rank; the first is that of all others.
    rows: Vec<u64>,
}

impl Masks {
    fn of(tokens: &[TokenHash]) -> Self {
        let blocks = blocks(tokens);
        let ranks = Ranks::of(tokens);
        let mut rows = vec![0; blocks * (ranks.len() + 1)];
        for (index, token) in tokens.iter().enumerate() {
            let row = ranks.get(*token).map_or(0, |it| it + 1);
            if let Some(word) = rows.get_mut(row * blocks + index / WORD_BITS) {
                *word |= 1 << (index % WORD_BITS);
            }
        }
        Self { blocks, ranks, rows }
    }

    #[inline]
    fn row(&self, token: TokenHash) -> &[u64] {
        let start = self.ranks.get(token).map_or(0, |it| it + 1) * self.blocks;
        self.rows.get(start..start + self.blocks).unwrap_or_default()
    }
}

/// Words of the machine that a pattern takes.
fn blocks(pattern: &[TokenHash]) -> usize {
    pattern.len().div_ceil(WORD_BITS)
}

/// Vertical differences of one block of 64 rows: where the distance grows and
/// where it shrinks from one row to the next.
#[derive(Debug, Clone, Copy)]
struct Vertical {
    plus: u64,
    minus: u64,
}

/// The change of the distance from one column to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Down,
    Level,
    Up,
}

/// Moves all blocks on by one token of the text. The first row stays at zero:
/// a match may begin anywhere.
#[inline]
fn advance(column: &mut [Vertical], mask: &[u64], last: usize) -> Step {
    let mut carry = Step::Level;
    let blocks = column.len();
    for (index, (block, mask)) in column.iter_mut().zip(mask).enumerate() {
        let top = if index + 1 == blocks { last } else { WORD_BITS - 1 };
        carry = advance_block(block, *mask, carry, top);
    }
    carry
}

#[inline]
fn advance_block(block: &mut Vertical, mask: u64, carry: Step, top: usize) -> Step {
    let Vertical { plus, minus } = *block;
    let vertical_zero = mask | minus;
    let mask = mask | u64::from(carry == Step::Down);
    let horizontal_zero = ((mask & plus).wrapping_add(plus) ^ plus) | mask;
    let mut up = minus | !(horizontal_zero | plus);
    let mut down = plus & horizontal_zero;
    let out = match ((up >> top) & 1, (down >> top) & 1) {
        (1, _) => Step::Up,
        (_, 1) => Step::Down,
        _ => Step::Level,
    };
    up = (up << 1) | u64::from(carry == Step::Up);
    down = (down << 1) | u64::from(carry == Step::Down);
    block.plus = down | !(vertical_zero | up);
    block.minus = up & vertical_zero;
    out
}

/// Aligns all of the pattern with an end of the window, and gives the equal
/// pairs.
fn trace(pattern: &[TokenHash], window: &[TokenHash]) -> Vec<(usize, usize)> {
    let width = window.len() + 1;
    let rows = distances(pattern, window);
    let at =
        |row: usize, column: usize| rows.get(row * width + column).copied().unwrap_or(u16::MAX);
    let (mut row, mut column) = (pattern.len(), window.len());
    let mut pairs = Vec::with_capacity(pattern.len());
    while row > 0 {
        let here = at(row, column);
        let equal = column > 0 && pattern.get(row - 1) == window.get(column - 1);
        if equal && at(row - 1, column - 1) == here {
            pairs.push((row - 1, column - 1));
            (row, column) = (row - 1, column - 1);
        } else if column > 0 && at(row - 1, column - 1).saturating_add(1) == here {
            (row, column) = (row - 1, column - 1);
        } else if at(row - 1, column).saturating_add(1) == here {
            row -= 1;
        } else {
            column -= 1;
        }
    }
    pairs.reverse();
    pairs
}

/// The table of edit distances, row by row; the first row is zero, since a
/// match may begin anywhere.
fn distances(pattern: &[TokenHash], window: &[TokenHash]) -> Vec<u16> {
    let width = window.len() + 1;
    let mut rows = vec![0_u16; width * (pattern.len() + 1)];
    for (index, token) in pattern.iter().enumerate() {
        let (done, todo) = rows.split_at_mut(width * (index + 1));
        let above = done.get(width * index..).unwrap_or_default();
        let mut left = u16::try_from(index + 1).unwrap_or(u16::MAX);
        let mut row = todo.iter_mut();
        if let Some(first) = row.next() {
            *first = left;
        }
        for ((cell, pair), other) in row.zip(above.windows(2)).zip(window) {
            let &[diagonal, above] = pair else { continue };
            let changed = diagonal.saturating_add(u16::from(token != other));
            left = changed.min(left.min(above).saturating_add(1));
            *cell = left;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The best place by the textbook's table.
    fn by_table(pattern: &[TokenHash], text: &[TokenHash]) -> Place {
        let width = text.len() + 1;
        let rows = distances(pattern, text);
        let last = &rows[pattern.len() * width..];
        let distance = usize::from(*last.iter().min().unwrap());
        let end = last.iter().position(|it| usize::from(*it) == distance).unwrap();
        Place { distance, end }
    }

    proptest! {
        #[test]
        fn bits_find_what_the_table_finds(
            pattern in proptest::collection::vec(0_u32..6, 1..200),
            text in proptest::collection::vec(0_u32..6, 0..300),
        ) {
            let place = Pattern::new(&pattern).best_place(&text);
            prop_assert_eq!(place, by_table(&pattern, &text));
        }

        #[test]
        fn matched_pairs_are_equal_ascend_and_explain_the_distance(
            pattern in proptest::collection::vec(0_u32..9, 1..150),
            text in proptest::collection::vec(0_u32..9, 0..200),
        ) {
            let ready = Pattern::new(&pattern);
            let place = ready.best_place(&text);
            let pairs = ready.matched(&text, place);
            prop_assert!(pairs.iter().all(|(a, b)| pattern[*a] == text[*b] && *b < place.end));
            prop_assert!(pairs.windows(2).all(|it| it[0].0 < it[1].0 && it[0].1 < it[1].1));
            prop_assert!(pairs.len() + place.distance >= pattern.len());
        }
    }

    #[test]
    fn an_exact_copy_is_found_where_it_stands() {
        let text: Vec<u32> = (0..1000).collect();
        let pattern = &text[400..530];
        let ready = Pattern::new(pattern);
        let place = ready.best_place(&text);
        assert_eq!(place, Place { distance: 0, end: 530 });
        let pairs: Vec<_> = (0..130).map(|it| (it, it + 400)).collect();
        assert_eq!(ready.matched(&text, place), pairs);
    }
}
