//! SimHash (Charikar 2002; Manku, Jain and Das Sarma 2007): 64 bits, each the
//! majority of that bit over the token hashes, every occurrence with one vote.
//! Texts whose words are nearly the same differ in few bits, also where an
//! edit of every few words leaves no shingle whole.

use pulp::{Arch, Simd, WithSimd};

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

impl SimHash {
    /// Of a sequence of tokens. A tie of votes gives 0.
    pub fn of(tokens: &[TokenHash]) -> Self {
        Self(Arch::new().dispatch(Kernel { tokens }))
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

struct Kernel<'a> {
    tokens: &'a [TokenHash],
}

impl WithSimd for Kernel<'_> {
    type Output = u64;

    #[expect(clippy::inline_always, reason = "the vector instructions hold within one function")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> u64 {
        let mut votes = Votes { planes: [0; PLANES] };
        let (groups, rest) = self.tokens.as_chunks::<GROUP>();
        for group in groups {
            votes.add(&group_bits(group, GROUP));
        }
        let mut last = [0; GROUP];
        if let Some(last) = last.get_mut(..rest.len()) {
            last.copy_from_slice(rest);
        }
        votes.add(&group_bits(&last, rest.len()));
        votes.above(self.tokens.len() / 2)
    }
}

/// The votes of the first `count` tokens; none of those behind.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[expect(clippy::indexing_slicing, reason = "iterators are calls where units are compiled apart")]
#[inline(always)]
fn group_bits(tokens: &[TokenHash; GROUP], count: usize) -> [u64; GROUP] {
    let mut bits = [0; GROUP];
    let mut at = 0;
    while at < GROUP {
        bits[at] = if at < count { token_bits(tokens[at]) } else { 0 };
        at += 1;
    }
    bits
}

/// The votes of a token, one a bit.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn token_bits(token: TokenHash) -> u64 {
    hash::mix(u64::from(token))
}

/// Tokens that are added up at once.
const GROUP: usize = 16;
/// Votes are counted up to 2^32, more than a text can have tokens.
const PLANES: usize = 32;

/// The votes for each of 64 bits, all counters side by side: plane p holds bit p
/// of every counter, so that one logical operation works on all 64 of them.
struct Votes {
    planes: [u64; PLANES],
}

impl Votes {
    /// Adds the bits of a group: a tree of full adders (Harley and Seal's count),
    /// whose carry of 16 then ripples through the planes above.
    #[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
    #[inline(always)]
    fn add(&mut self, group: &[u64; GROUP]) {
        let [ones, twos, fours, eights, above @ ..] = &mut self.planes;
        let carries_2: [u64; GROUP / 2] = add_pairs(ones, group);
        let carries_4: [u64; GROUP / 4] = add_pairs(twos, &carries_2);
        let carries_8: [u64; GROUP / 8] = add_pairs(fours, &carries_4);
        let [mut carry] = add_pairs(eights, &carries_8);
        for plane in above {
            if carry == 0 {
                break;
            }
            (*plane, carry) = (*plane ^ carry, *plane & carry);
        }
    }

    /// The bits with more votes than `bound`.
    fn above(&self, bound: usize) -> u64 {
        let (mut above, mut equal) = (0, u64::MAX);
        for (place, plane) in self.planes.iter().enumerate().rev() {
            if (bound >> place) & 1 == 1 {
                equal &= plane;
            } else {
                above |= equal & plane;
                equal &= !plane;
            }
        }
        above
    }
}

/// Adds votes to a plane by twos: the sum stays, the carry of each two is given.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[expect(clippy::indexing_slicing, reason = "iterators are calls where units are compiled apart")]
#[inline(always)]
fn add_pairs<const VOTES: usize, const PAIRS: usize>(
    sum: &mut u64,
    votes: &[u64; VOTES],
) -> [u64; PAIRS] {
    const { assert!(VOTES == 2 * PAIRS) };
    let mut carries = [0; PAIRS];
    let mut at = 0;
    while at < PAIRS {
        let (a, b) = (votes[2 * at], votes[2 * at + 1]);
        let half = *sum ^ a;
        carries[at] = (*sum & a) | (half & b);
        *sum = half ^ b;
        at += 1;
    }
    carries
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
