//! SimHash (Charikar 2002; Manku, Jain and Das Sarma 2007): 64 bits, each the
//! majority of that bit over the token hashes, every occurrence with one vote.
//! Texts whose words are nearly the same differ in few bits, also where an
//! edit of every few words leaves no shingle whole.

use crate::hash;
use crate::text::tokens::TokenHash;

/// Bits of a sketch.
pub const BITS: usize = 64;
/// Blocks of the index.
pub const BLOCKS: usize = 4;
/// The greatest distance that the block index is sure to find: with one block
/// more than this, one block stays equal.
pub const DISTANCE_BITS_MAX: u32 = 3;

/// The SimHash of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimHash(u64);

/// Byte b, its bits spread over eight bytes of 0 or 1.
const SPREAD: [u64; 256] = spread();

impl SimHash {
    /// Of a sequence of tokens. A tie of votes gives 0.
    pub fn of(tokens: &[TokenHash]) -> Self {
        let mut votes = [0_u32; BITS];
        // A byte counts up to 255 votes before it is added up.
        for part in tokens.chunks(255) {
            let mut counts = [0_u64; 8];
            for token in part {
                let bits = hash::mix(u64::from(*token)).to_le_bytes();
                for (count, byte) in counts.iter_mut().zip(bits) {
                    *count += SPREAD.get(usize::from(byte)).copied().unwrap_or_default();
                }
            }
            let bytes = counts.iter().flat_map(|it| it.to_le_bytes());
            for (vote, byte) in votes.iter_mut().zip(bytes) {
                *vote += u32::from(byte);
            }
        }
        let majority = tokens.len() as u64;
        let bits = votes
            .iter()
            .rev()
            .fold(0, |bits, vote| (bits << 1) | u64::from(2 * u64::from(*vote) > majority));
        Self(bits)
    }

    /// From the bits of an earlier sketch.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Bits in which two sketches differ, 0 to 64.
    pub fn distance_bits(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }

    /// The blocks of 16 bits, each with its number above: two sketches within
    /// [`DISTANCE_BITS_MAX`] share at least one.
    pub fn block_keys(self) -> [u32; BLOCKS] {
        const WIDTH: usize = BITS / BLOCKS;
        std::array::from_fn(|block| {
            let bits = hash::low_half(self.0 >> (block * WIDTH)) & 0xffff;
            (u32::try_from(block).unwrap_or_default() << WIDTH) | bits
        })
    }
}

#[expect(clippy::indexing_slicing, reason = "iterators do not run in constants")]
const fn spread() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= ((byte as u64 >> bit) & 1) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_counting(tokens: &[TokenHash]) -> u64 {
        (0..64).fold(0, |bits, bit| {
            let ones = tokens.iter().filter(|it| (hash::mix(u64::from(**it)) >> bit) & 1 == 1);
            bits | (u64::from(2 * ones.count() > tokens.len()) << bit)
        })
    }

    proptest! {
        #[test]
        fn each_bit_is_the_majority(tokens in proptest::collection::vec(any::<u32>(), 0..1200)) {
            prop_assert_eq!(SimHash::of(&tokens).bits(), by_counting(&tokens));
        }

        #[test]
        fn near_sketches_share_a_block(bits: u64, flips in proptest::collection::vec(0..64, 0..=3)) {
            let other = flips.iter().fold(bits, |it, flip| it ^ (1_u64 << flip));
            let (a, b) = (SimHash::from_bits(bits), SimHash::from_bits(other));
            prop_assert!(a.distance_bits(b) <= DISTANCE_BITS_MAX);
            prop_assert!(a.block_keys().iter().zip(b.block_keys()).any(|(a, b)| *a == b));
        }
    }
}
