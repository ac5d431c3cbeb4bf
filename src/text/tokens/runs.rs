//! Where words begin and end, 64 bytes at a time and without a branch a byte:
//! runs of ASCII letters and digits, of "&" and of all that is not ASCII. What
//! lies between runs is between words in every script, so that each run is read
//! for itself. Owns no normal form.

use crate::hash::ShortBytes;

const BLOCK_BYTES: usize = 64;
const LANES: usize = 8;
/// A byte of 1 in each lane of a machine word.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each lane.
const TOPS: u64 = ONES << 7;

/// Finds the runs of a text, and has each read.
pub(super) trait Visit {
    /// Takes a run: its first byte and the one behind its last.
    fn run(&mut self, start: usize, end: usize);
}

/// Visits each run.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
pub(super) fn each(bytes: &[u8], visit: &mut impl Visit) {
    let mut open = None;
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    for (index, block) in blocks.iter().enumerate() {
        open = each_of_block(index * BLOCK_BYTES, inside(block), open, visit);
    }
    // At least one byte of the last block is behind the text: it ends a run.
    let mut last = [0; BLOCK_BYTES];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    each_of_block(bytes.len() - rest.len(), inside(&last), open, visit);
}

/// Visits the runs that end in a block, by the bits of the bytes inside: `open`
/// is where a run began that reaches into it, and given is where one began that
/// reaches beyond.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn each_of_block(
    base: usize,
    inside: u64,
    mut open: Option<usize>,
    visit: &mut impl Visit,
) -> Option<usize> {
    let behind = (inside << 1) | u64::from(open.is_some());
    let (mut starts, mut ends) = (inside & !behind, behind & !inside);
    while ends != 0 {
        let start = open.take().unwrap_or_else(|| base + take_lowest(&mut starts));
        visit.run(start, base + take_lowest(&mut ends));
    }
    open.or_else(|| (starts != 0).then(|| base + take_lowest(&mut starts)))
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn take_lowest(bits: &mut u64) -> usize {
    let lowest = bits.trailing_zeros() as usize;
    *bits &= bits.wrapping_sub(1);
    lowest
}

/// Whether a byte is between words wherever it stands.
#[inline]
pub(super) fn is_between(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && byte != b'&'
}

/// A bit for each byte that is not [`is_between`].
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn inside(block: &[u8; BLOCK_BYTES]) -> u64 {
    let (words, _) = block.as_chunks::<LANES>();
    words
        .iter()
        .rev()
        .fold(0, |bits, word| (bits << LANES) | inside_word(u64::from_le_bytes(*word)))
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn inside_word(word: u64) -> u64 {
    // Lanes of at most 127, to which a summand of at most 128 does not carry.
    let low = word & !TOPS;
    // The top bit of a lane: whether it is at least `bound`.
    let from =
        |lanes: u64, bound: u8| lanes.wrapping_add(ONES.wrapping_mul(u64::from(0x80 - bound)));
    let within = |lanes, first, last: u8| from(lanes, first) & !from(lanes, last + 1);
    let letters = within(low | (ONES << 5), b'a', b'z');
    let others = within(low, b'0', b'9') | within(low, b'&', b'&');
    let tops = (letters | others | word) & TOPS;
    // Gathers the tops in the highest byte: each lands on a bit of its own.
    (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// The run in lower case where it is all ASCII letters and digits, and short.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
pub(super) fn short_ascii(bytes: &[u8], start: usize, end: usize) -> Option<ShortBytes> {
    let len = end - start;
    let mask = *MASKS.get(len)?;
    let rest = bytes.get(start..)?;
    let window = rest.first_chunk().map_or_else(|| padded(rest), |it| u128::from_le_bytes(*it));
    // In ASCII this lowers letters and leaves digits.
    let lower = (window | LOWER) & mask;
    // A letter or digit has bit 4 or 6, "&" has neither; bit 7 is not ASCII's.
    let is_plain = (lower | (lower << 2)) & !(lower >> 1) & BITS_6 & mask == BITS_6 & mask;
    let len = u32::try_from(len).unwrap_or_default();
    is_plain.then_some(ShortBytes { bytes: lower, len })
}

const SHORT_BYTES_MAX: usize = 16;
const LOWER: u128 = (u128::MAX / 0xff) << 5;
const BITS_6: u128 = (u128::MAX / 0xff) << 6;

/// The lowest so many bytes.
const MASKS: [u128; SHORT_BYTES_MAX + 1] = masks();

#[expect(clippy::indexing_slicing, reason = "iterators do not run in constants")]
const fn masks() -> [u128; SHORT_BYTES_MAX + 1] {
    let mut masks = [0; SHORT_BYTES_MAX + 1];
    let mut len = 1;
    while len <= SHORT_BYTES_MAX {
        masks[len] = (masks[len - 1] << 8) | 0xff;
        len += 1;
    }
    masks
}

/// Fewer than 16 bytes, at the end of the text.
#[cold]
fn padded(rest: &[u8]) -> u128 {
    rest.iter().rev().fold(0, |word, byte| (word << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Visit for Vec<std::ops::Range<usize>> {
        fn run(&mut self, start: usize, end: usize) {
            self.push(start..end);
        }
    }

    proptest! {
        #[test]
        fn runs_are_what_lies_between(bytes in proptest::collection::vec(any::<u8>(), 0..400), words: bool) {
            let bytes: Vec<u8> =
                bytes.iter().map(|it| if words && it % 8 > 0 { b'a' + it % 26 } else { *it }).collect();
            let mut found = Vec::new();
            each(&bytes, &mut found);
            let mut inside = vec![false; bytes.len()];
            for run in &found {
                prop_assert!(!run.is_empty());
                inside[run.clone()].fill(true);
            }
            prop_assert!(found.windows(2).all(|it| it[0].end < it[1].start));
            let expected: Vec<bool> = bytes.iter().map(|it| !is_between(*it)).collect();
            prop_assert_eq!(inside, expected);
        }

        #[test]
        fn short_words_are_lowered(text in "[a-zA-Z0-9&é]{1,20}", behind in ".{0,20}") {
            let whole = format!("{text}{behind}");
            let short = short_ascii(whole.as_bytes(), 0, text.len());
            let plain = text.len() <= 16 && text.bytes().all(|it| it.is_ascii_alphanumeric());
            let lower = short.map(|it| it.bytes.to_le_bytes()[..it.len as usize].to_vec());
            prop_assert_eq!(lower, plain.then(|| text.to_ascii_lowercase().into_bytes()));
        }
    }
}
