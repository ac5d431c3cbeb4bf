//! Shingles: every run of [`SHINGLE_TOKENS`] tokens, as one 64-bit hash.
//!
//! The hash is linear in the token hashes, then mixed: hash(t0, t1, t2) =
//! mix(t0 C0 + t1 C1 + t2 C2) modulo 2^64, with odd constants. Token hashes
//! are uniform already, so this keeps shingles apart as well as a hash of
//! their text would.

use pulp::{Arch, Simd, WithSimd};

use crate::hash;
use crate::text::tokens::TokenHash;

/// Tokens a shingle.
pub const SHINGLE_TOKENS: usize = 3;

/// The hash of a shingle.
pub type Shingle = u64;

const FACTORS: [u64; SHINGLE_TOKENS] =
    [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];

/// The shingles of a text, in the order of their first token. A text with
/// fewer than [`SHINGLE_TOKENS`] tokens is one shingle of them all; an empty
/// one has none.
pub fn shingles(tokens: &[TokenHash]) -> Vec<Shingle> {
    if tokens.is_empty() {
        return Vec::new();
    }
    if tokens.len() < SHINGLE_TOKENS {
        return vec![shingle(tokens)];
    }
    let mut found = vec![0; tokens.len() - (SHINGLE_TOKENS - 1)];
    Arch::new().dispatch(Kernel { tokens, found: &mut found });
    found
}

struct Kernel<'a> {
    tokens: &'a [TokenHash],
    found: &'a mut [Shingle],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "the vector instructions hold within one function")]
    #[expect(clippy::indexing_slicing, reason = "all three are as long as what is found")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let count = self.found.len();
        let from = |at: usize| self.tokens.get(at..at + count).unwrap_or_default();
        let (first, second, third) = (from(0), from(1), from(2));
        if first.len() != count || second.len() != count || third.len() != count {
            return;
        }
        let mut at = 0;
        while at < count {
            let sum = sum_three(first[at], second[at], third[at]);
            self.found[at] = hash::mix(sum);
            at += 1;
        }
    }
}

/// The sum for [`SHINGLE_TOKENS`] tokens.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn sum_three(a: TokenHash, b: TokenHash, c: TokenHash) -> u64 {
    let [first, second, third] = FACTORS;
    (SHINGLE_TOKENS as u64)
        .wrapping_add(u64::from(a).wrapping_mul(first))
        .wrapping_add(u64::from(b).wrapping_mul(second))
        .wrapping_add(u64::from(c).wrapping_mul(third))
}

fn shingle(tokens: &[TokenHash]) -> Shingle {
    let sum = tokens.iter().zip(FACTORS).fold(tokens.len() as u64, |sum, (token, factor)| {
        sum.wrapping_add(u64::from(*token).wrapping_mul(factor))
    });
    hash::mix(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_length_count() {
        assert_ne!(shingles(&[1, 2, 3]), shingles(&[3, 2, 1]));
        assert_ne!(shingles(&[1, 2]), shingles(&[1, 2, 0]));
        assert_eq!(shingles(&[1, 2, 3, 4]).len(), 2);
        assert_eq!(shingles(&[1]).len(), 1);
        assert!(shingles(&[]).is_empty());
    }

    #[test]
    fn vectors_find_what_single_shingles_are() {
        let tokens: Vec<u32> = (0..100).map(|it| hash::low_half(hash::mix(it))).collect();
        let single: Vec<u64> = tokens.windows(SHINGLE_TOKENS).map(shingle).collect();
        assert_eq!(shingles(&tokens), single);
    }

    #[test]
    fn shingle_hashes_are_pinned() {
        assert_eq!(
            shingles(&[1, 2, 3, 4]),
            [17_072_217_228_156_889_238, 5_557_848_230_887_998_944]
        );
    }
}
