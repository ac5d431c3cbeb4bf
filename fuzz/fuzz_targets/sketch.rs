//! Sketches of any tokens and shingles, and of any bytes: against the definition, and
//! what they estimate.
#![no_main]

use doublon::hash;
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::sketch::minhash::{BANDS, MinHash, ShortMinHash, VALUES};
use doublon::sketch::simhash::{BITS, DISTANCE_BITS_MAX, SimHash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let tokens: Vec<u32> = bytes.chunks(4).map(token).collect();
    let (left, right) = tokens.split_at(tokens.len().min(usize::from(cut)));
    let (a, b, both) = (sketch(left), sketch(right), union(left, right));

    // The least of a union is the less of the least of its parts.
    let less = std::array::from_fn(|it| a.minhash.values()[it].min(b.minhash.values()[it]));
    assert_eq!(both, MinHash::from_values(less));
    assert!(a.minhash.band_keys().count() == BANDS);
    for (a, b) in [(a.minhash, b.minhash), (a.minhash, a.minhash), (raw(bytes), b.minhash)] {
        let estimate = a.estimated_jaccard(&b);
        assert!((0.0..=1.0).contains(&estimate) && estimate == b.estimated_jaccard(&a));
        let (a, b) = (ShortMinHash::of(&a), ShortMinHash::of(&b));
        assert_eq!(ShortMinHash::from_bytes(*a.bytes()), a);
        assert!((0.0..=1.0).contains(&a.estimated_jaccard(&b)));
        assert!(a.estimated_jaccard(&b) >= estimate - 1.0 / 128.0);
    }
    assert!(a.minhash.estimated_jaccard(&a.minhash) == 1.0);

    assert_eq!(a.simhash.bits(), by_counting(left));
    let distance = a.simhash.distance_bits(b.simhash);
    assert!(distance as usize <= BITS);
    let shared = a.simhash.block_keys().iter().zip(b.simhash.block_keys()).any(|(a, b)| *a == b);
    assert!(shared || distance > DISTANCE_BITS_MAX);
    assert_eq!(SimHash::from_bits(a.simhash.bits()), a.simhash);
});

fn sketch(tokens: &[u32]) -> Sketch {
    Sketch::of(tokens, &shingle::shingles(tokens))
}

fn union(left: &[u32], right: &[u32]) -> MinHash {
    MinHash::of(&[shingle::shingles(right), shingle::shingles(left)].concat())
}

fn token(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |token, byte| (token << 8) | u32::from(*byte))
}

fn raw(bytes: &[u8]) -> MinHash {
    let mut bytes = bytes.iter().cycle();
    MinHash::from_values([(); VALUES].map(|()| bytes.next().map_or(0, |it| u32::from(*it))))
}

fn by_counting(tokens: &[u32]) -> u64 {
    let votes: Vec<u64> = tokens.iter().map(|it| hash::mix(u64::from(*it))).collect();
    (0..BITS).fold(0, |bits, bit| {
        let ones = votes.iter().filter(|it| (**it >> bit) & 1 == 1).count();
        bits | (u64::from(2 * ones > tokens.len()) << bit)
    })
}
