//! Hashes. What persists or travels (tokens, signatures, content prints) uses
//! XXH3 with the fixed [`SEED`]; maps in memory use ahash, seeded at random
//! in every process, so that nobody can craft keys that collide in them.

use xxhash_rust::xxh3;

/// Seed of every persistent hash. Part of the sketch parameters: changing it
/// changes every signature and every record.
pub const SEED: u64 = 0x00d0_0b10_2025_0001;

/// A map for memory only: its order and its hashes differ in every process.
#[expect(clippy::disallowed_types, reason = "the one place that names std's map")]
pub type HashMap<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;

/// A set for memory only, as [`HashMap`].
pub type HashSet<K> = std::collections::HashSet<K, ahash::RandomState>;

/// 64 bits of XXH3 under [`SEED`].
pub fn persistent_64(bytes: &[u8]) -> u64 {
    xxh3::xxh3_64_with_seed(bytes, SEED)
}

/// The low half of [`persistent_64`].
pub fn persistent_32(bytes: &[u8]) -> u32 {
    low_half(persistent_64(bytes))
}

/// 128 bits of XXH3 under [`SEED`]: tells contents apart without comparing
/// them.
pub fn persistent_128(bytes: &[u8]) -> u128 {
    xxh3::xxh3_128_with_seed(bytes, SEED)
}

/// A bijection of 64 bits that spreads every input bit over all output bits.
/// It is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13
/// of Stafford).
#[inline]
pub const fn mix(value: u64) -> u64 {
    let mut x = value;
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Bits 0 to 31.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
pub const fn low_half(value: u64) -> u32 {
    value as u32
}

/// Bits 32 to 63.
#[inline]
pub const fn high_half(value: u64) -> u32 {
    low_half(value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persistent_hashes_are_pinned() {
        assert_eq!(persistent_64(b"doublon"), 10_087_109_947_900_108_946);
        assert_eq!(persistent_32(b"doublon"), 3_336_904_850);
        assert_eq!(persistent_128(b"doublon"), 306_195_457_398_539_888_525_794_679_455_853_254_107);
        assert_eq!(mix(1), 6_238_072_747_940_578_789);
    }
}
