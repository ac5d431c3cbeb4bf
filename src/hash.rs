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

/// 1 to 16 bytes in a register: the first is the lowest, those behind the last
/// are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortBytes {
    /// The bytes.
    pub bytes: u128,
    /// Number of bytes, 1 to 16.
    pub len: u32,
}

/// [`persistent_32`] of a few bytes that are in a register already: the same
/// value without a call, a copy or a look at memory.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
pub fn persistent_32_short(short: ShortBytes) -> u32 {
    let ShortBytes { bytes, len } = short;
    debug_assert!((1..=16).contains(&len));
    let low = low_word(bytes);
    low_half(match len {
        ..=3 => xxh3_to_3(low, len),
        4..=8 => xxh3_to_8(low, len),
        _ => xxh3_to_16(low, low_word(bytes >> (8 * (len - 8))), len),
    })
}

const XXH3_FACTOR: u64 = 0x9fb2_1c65_1e98_df25;

/// The first words of XXH3's default secret, those that short inputs use.
const SECRET: [u64; 7] = [
    0xbe4b_a423_396c_feb8,
    0x1cad_21f7_2c81_017c,
    0xdb97_9083_e96d_d4de,
    0x1f67_b3b7_a4a4_4072,
    0x78e5_c0cc_4ee6_79cb,
    0x2172_ffcc_7dd0_5a82,
    0x8e24_43f7_7446_08b8,
];

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn xxh3_to_3(low: u64, len: u32) -> u64 {
    let [secret, ..] = SECRET;
    let flip = u64::from(low_half(secret) ^ high_half(secret)).wrapping_add(SEED);
    let (first, middle) = (low & 0xff, (low >> (8 * (len >> 1))) & 0xff);
    let last = low >> (8 * (len - 1));
    let mut x = ((first << 16) | (middle << 24) | last | (u64::from(len) << 8)) ^ flip;
    x = (x ^ (x >> 33)).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    x = (x ^ (x >> 29)).wrapping_mul(0x1656_67b1_9e37_79f9);
    x ^ (x >> 32)
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn xxh3_to_8(low: u64, len: u32) -> u64 {
    let [_, a, b, ..] = SECRET;
    let seed = SEED ^ (u64::from(low_half(SEED).swap_bytes()) << 32);
    let last = (low >> (8 * (len - 4))) & 0xffff_ffff;
    let mut x = last.wrapping_add(low << 32) ^ (a ^ b).wrapping_sub(seed);
    x = (x ^ x.rotate_left(49) ^ x.rotate_left(24)).wrapping_mul(XXH3_FACTOR);
    x = (x ^ (x >> 35).wrapping_add(u64::from(len))).wrapping_mul(XXH3_FACTOR);
    x ^ (x >> 28)
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn xxh3_to_16(first: u64, last: u64, len: u32) -> u64 {
    let [_, _, _, before, behind, before_last, behind_last] = SECRET;
    let first = first ^ (before ^ behind).wrapping_add(SEED);
    let last = last ^ (before_last ^ behind_last).wrapping_sub(SEED);
    let product = u128::from(first) * u128::from(last);
    let folded = low_word(product) ^ low_word(product >> 64);
    let mut x =
        u64::from(len).wrapping_add(first.swap_bytes()).wrapping_add(last).wrapping_add(folded);
    x = (x ^ (x >> 37)).wrapping_mul(0x1656_6791_9e37_79f9);
    x ^ (x >> 32)
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low word is what is asked for")]
const fn low_word(value: u128) -> u64 {
    value as u64
}

/// A number that is another one in every process, and at every call.
pub fn random_64() -> u64 {
    ahash::RandomState::new().hash_one(0)
}

/// 128 bits of XXH3 under [`SEED`]: tells contents apart without comparing
/// them.
pub fn persistent_128(bytes: &[u8]) -> u128 {
    xxh3::xxh3_128_with_seed(bytes, SEED)
}

/// A bijection of 64 bits that spreads every input bit over all output bits.
/// It is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, variant 13
/// of Stafford).
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
pub const fn mix(value: u64) -> u64 {
    let mut x = value;
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Bits 0 to 31.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
pub const fn low_half(value: u64) -> u32 {
    value as u32
}

/// Bits 32 to 63.
#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
pub const fn high_half(value: u64) -> u32 {
    low_half(value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_a_register_hash_as_bytes_in_memory() {
        for round in 0..2000 {
            let bytes = u128::from(mix(round + 1)) << 64 | u128::from(mix(!round));
            for len in 1..=16 {
                let bytes = bytes & (u128::MAX >> (128 - 8 * len));
                let memory = &bytes.to_le_bytes()[..len as usize];
                let short = ShortBytes { bytes, len };
                assert_eq!(persistent_32_short(short), persistent_32(memory), "{memory:?}");
            }
        }
    }

    #[test]
    fn persistent_hashes_are_pinned() {
        assert_eq!(persistent_64(b"doublon"), 10_087_109_947_900_108_946);
        assert_eq!(persistent_32(b"doublon"), 3_336_904_850);
        assert_eq!(persistent_128(b"doublon"), 306_195_457_398_539_888_525_794_679_455_853_254_107);
        assert_eq!(mix(1), 6_238_072_747_940_578_789);
    }
}
