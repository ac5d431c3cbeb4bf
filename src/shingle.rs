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
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let behind = |count| self.tokens.get(count..).unwrap_or_default();
        let tokens = self.tokens.iter().zip(behind(1)).zip(behind(2));
        for (found, ((a, b), c)) in self.found.iter_mut().zip(tokens) {
            *found = shingle(&[*a, *b, *c]);
        }
    }
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
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
    fn shingle_hashes_are_pinned() {
        assert_eq!(
            shingles(&[1, 2, 3, 4]),
            [17_072_217_228_156_889_238, 5_557_848_230_887_998_944]
        );
    }
}
