//! Sketches: the MinHash and the SimHash of a text, and the parameters that
//! travel with them. A sketch proposes; it never decides.

pub mod minhash;
pub mod simhash;

use crate::hash;
use crate::shingle::SHINGLE_TOKENS;
use crate::sketch::minhash::MinHash;
use crate::sketch::simhash::SimHash;
use crate::text::tokens::TokenHash;

/// Version of normal form, tokens, hashes and sketches together. A change to
/// any value that a text gets raises it.
pub const VERSION: u32 = 2;

/// What a sketch was computed with. Two sketches compare only if these are
/// equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// [`VERSION`].
    pub version: u32,
    /// Tokens a shingle.
    pub shingle_tokens: usize,
    /// Values of a MinHash.
    pub minhash_values: usize,
    /// Bands of the MinHash index.
    pub band_count: usize,
    /// MinHash values a band.
    pub band_values: usize,
    /// Bits of a SimHash.
    pub simhash_bits: usize,
    /// Seed of the hashes.
    pub seed: u64,
}

/// The parameters of this build.
pub const PARAMETERS: Parameters = Parameters {
    version: VERSION,
    shingle_tokens: SHINGLE_TOKENS,
    minhash_values: minhash::VALUES,
    band_count: minhash::BANDS,
    band_values: minhash::BAND_VALUES,
    simhash_bits: simhash::BITS,
    seed: hash::SEED,
};

/// Both sketches of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sketch {
    /// Of the text's shingles.
    pub minhash: MinHash,
    /// Of the text's tokens.
    pub simhash: SimHash,
}

impl Sketch {
    /// Of a text with these tokens and these shingles; repeats of a shingle do
    /// not count, repeats of a token do.
    pub fn of(tokens: &[TokenHash], shingles: &[u64]) -> Self {
        Self { minhash: MinHash::of(shingles), simhash: SimHash::of(tokens) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shingle;
    use crate::text::tokens::Tokens;

    #[test]
    fn golden_values_pin_the_signature() {
        let text = "Le conseil municipal a voté, hier soir, la création d’une « forêt \
                    urbaine » de 2 400 arbres ; 市议会昨晚投票决定。";
        let tokens = Tokens::of(text).hashes;
        let sketch = Sketch::of(&tokens, &shingle::shingles(&tokens));
        assert_eq!(tokens.len(), 26);
        assert_eq!(
            sketch.minhash.values()[..4],
            [101_935_697, 291_465_083, 85_595_504, 86_804_285]
        );
        assert_eq!(
            sketch.minhash.values()[124..],
            [93_063_688, 132_480_828, 131_221_483, 180_548_841]
        );
        assert_eq!(sketch.simhash.bits(), 4_857_840_547_498_528_267);
    }
}
