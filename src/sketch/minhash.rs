//! MinHash (Broder 1997): the share of equal values in two sketches estimates
//! the Jaccard similarity of the sets.
//!
//! The i-th hash of a shingle x is lo(x) + `a_i` hi(x) modulo 2^32, where lo and
//! hi are the halves of x and the `a_i` are fixed, odd and random. For uniform x
//! any two of these hashes are independent but for their lowest bits (double hashing, as
//! in Kirsch and Mitzenmacher 2006), so that the estimate has the variance of
//! 128 independent permutations, J (1 - J) / 128, while one takes a multiply
//! and an add.

use pulp::{Arch, Simd, WithSimd};

use crate::hash;

/// Values of a sketch.
pub const VALUES: usize = 128;
/// Bands of the index: finds J = 0.7 with probability .9998, J = 0.5 with .87.
pub const BANDS: usize = 32;
/// Values a band.
pub const BAND_VALUES: usize = VALUES / BANDS;

/// Vectors of values that are held in one pass over the shingles: with what they
/// are computed from they fill the 16 registers of AVX2.
const VECTORS: usize = 8;

const MULTIPLIERS: [u32; VALUES] = multipliers();

/// The MinHash of a set of shingles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinHash([u32; VALUES]);

impl MinHash {
    /// Of a set, in any order, with or without repeats. Every value of the
    /// empty set is `u32::MAX`.
    pub fn of(shingles: &[u64]) -> Self {
        let mut values = [u32::MAX; VALUES];
        Arch::new().dispatch(Kernel { shingles, values: &mut values });
        Self(values)
    }

    /// From the values of an earlier sketch.
    #[expect(clippy::large_types_passed_by_value, reason = "it is kept")]
    pub fn from_values(values: [u32; VALUES]) -> Self {
        Self(values)
    }

    /// The values.
    pub fn values(&self) -> &[u32; VALUES] {
        &self.0
    }

    /// Estimates the Jaccard similarity, 0 to 1 in steps of 1/128.
    pub fn estimated_jaccard(&self, other: &Self) -> f64 {
        let equal = self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count();
        equal as f64 / VALUES as f64
    }

    /// One key a band: equal where the band's values are equal.
    pub fn band_keys(&self) -> impl Iterator<Item = u64> {
        self.0.chunks_exact(BAND_VALUES).enumerate().map(|(band, values)| {
            values
                .iter()
                .fold(hash::mix(band as u64 + 1), |key, value| hash::mix(key ^ u64::from(*value)))
        })
    }
}

/// The lowest byte of each value of a [`MinHash`] (b-bit minwise hashing, Li and König
/// 2010): a quarter of the bytes, for estimates that are nearly as good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortMinHash([u8; VALUES]);

impl ShortMinHash {
    /// Of a sketch.
    pub fn of(minhash: &MinHash) -> Self {
        Self(minhash.0.map(|it| it.to_le_bytes()[0]))
    }

    /// From the bytes of an earlier one.
    pub fn from_bytes(bytes: [u8; VALUES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; VALUES] {
        &self.0
    }

    /// Estimates the Jaccard similarity, 0 to 1: of two values that differ one pair in
    /// 256 has the same byte, which is taken out.
    pub fn estimated_jaccard(&self, other: &Self) -> f64 {
        const BY_CHANCE: f64 = 1.0 / 256.0;
        let equal = self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count();
        let share = equal as f64 / VALUES as f64;
        ((share - BY_CHANCE) / (1.0 - BY_CHANCE)).max(0.0)
    }
}

struct Kernel<'a> {
    shingles: &'a [u64],
    values: &'a mut [u32; VALUES],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "the vector instructions hold within one function")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // 128 is a multiple of every vector's lanes, and so nothing is left over.
        let (values, _) = S::as_mut_simd_u32s(self.values);
        let (multipliers, _) = S::as_simd_u32s(&MULTIPLIERS);
        let (values, _) = values.as_chunks_mut::<VECTORS>();
        let (multipliers, _) = multipliers.as_chunks::<VECTORS>();
        for (values, multipliers) in values.iter_mut().zip(multipliers) {
            minimise(simd, self.shingles, multipliers, values);
        }
    }
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[expect(clippy::indexing_slicing, reason = "iterators are calls where units are compiled apart")]
#[inline(always)]
fn minimise<S: Simd>(
    simd: S,
    shingles: &[u64],
    multipliers: &[S::u32s; VECTORS],
    values: &mut [S::u32s; VECTORS],
) {
    let mut least = *values;
    for shingle in shingles {
        let low = simd.splat_u32s(hash::low_half(*shingle));
        let high = simd.splat_u32s(hash::high_half(*shingle));
        let mut at = 0;
        while at < VECTORS {
            let hashed = simd.add_u32s(low, simd.mul_u32s(multipliers[at], high));
            least[at] = simd.min_u32s(least[at], hashed);
            at += 1;
        }
    }
    *values = least;
}

#[expect(clippy::indexing_slicing, reason = "iterators do not run in constants")]
const fn multipliers() -> [u32; VALUES] {
    let mut found = [0; VALUES];
    let mut i = 0;
    while i < VALUES {
        found[i] = hash::low_half(hash::mix(hash::SEED.wrapping_add(i as u64))) | 1;
        i += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(from: u64, to: u64) -> Vec<u64> {
        (from..to).map(|it| hash::mix(it + 1)).collect()
    }

    #[test]
    fn multipliers_are_distinct() {
        let distinct: hash::HashSet<u32> = MULTIPLIERS.into_iter().collect();
        assert_eq!(distinct.len(), VALUES);
    }

    #[test]
    fn every_value_is_the_least_of_its_hash() {
        let shingles = set(0, 777);
        let sketch = MinHash::of(&shingles);
        for (value, multiplier) in sketch.values().iter().zip(MULTIPLIERS) {
            let hashes = shingles.iter().map(|it| {
                hash::low_half(*it).wrapping_add(multiplier.wrapping_mul(hash::high_half(*it)))
            });
            assert_eq!(Some(*value), hashes.min());
        }
    }

    /// The mean error over many pairs stays near zero and its spread within
    /// that of 128 independent permutations, for long and for short texts.
    #[test]
    fn the_estimate_is_unbiased_and_within_its_bound() {
        for (size, shared) in [(1000, 500), (1000, 900), (30, 15), (30, 25), (300, 30)] {
            let jaccard = shared as f64 / (2 * size - shared) as f64;
            let trials = 400;
            let errors: Vec<f64> = (0..trials)
                .map(|trial| {
                    let start = trial * 10_000;
                    let a = MinHash::of(&set(start, start + size));
                    let b = MinHash::of(&set(start + size - shared, start + 2 * size - shared));
                    a.estimated_jaccard(&b) - jaccard
                })
                .collect();
            let mean = errors.iter().sum::<f64>() / trials as f64;
            let variance = errors.iter().map(|it| it * it).sum::<f64>() / trials as f64;
            let expected = jaccard * (1.0 - jaccard) / VALUES as f64;
            assert!(mean.abs() < 4.0 * (expected / trials as f64).sqrt(), "{size} {shared} {mean}");
            assert!(variance < 1.3 * expected, "{size} {shared} {variance} {expected}");
        }
    }

    /// Bands meet as often as the theory of independent values says.
    #[test]
    fn bands_meet_at_their_rate() {
        for (shared, jaccard) in [(667, 0.5), (824, 0.7)] {
            let trials = 400;
            let met = (0..trials)
                .filter(|trial| {
                    let start = trial * 10_000;
                    let a = MinHash::of(&set(start, start + 1000));
                    let b = MinHash::of(&set(start + 1000 - shared, start + 2000 - shared));
                    a.band_keys().zip(b.band_keys()).any(|(a, b)| a == b)
                })
                .count();
            let expected = 1.0 - f64::powi(1.0 - f64::powi(jaccard, 4), 32);
            let rate = met as f64 / trials as f64;
            assert!((rate - expected).abs() < 0.06, "{jaccard}: {rate}, expected {expected}");
        }
    }
}
