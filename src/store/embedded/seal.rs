//! Seals: eight bytes behind a value that say whether it is what was written, under the
//! key that it is found by.

use crate::hash;

const SEAL_BYTES: usize = 8;

/// The value with its seal.
pub(super) fn seal(key: &[&[u8]], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + SEAL_BYTES);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&sum(key, value));
    sealed
}

/// The value, if it is what was sealed under this key.
pub(super) fn open<'a>(key: &[&[u8]], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (value, seal) = sealed.split_last_chunk::<SEAL_BYTES>()?;
    (*seal == sum(key, value)).then_some(value)
}

fn sum(key: &[&[u8]], value: &[u8]) -> [u8; SEAL_BYTES] {
    let mut whole = Vec::with_capacity(value.len() + 64);
    for part in key {
        whole.extend_from_slice(part);
    }
    whole.extend_from_slice(value);
    hash::persistent_64(&whole).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_fits_its_value_under_its_key_only() {
        let sealed = seal(&[b"k", b"1"], b"value");
        assert_eq!(open(&[b"k", b"1"], &sealed), Some(&b"value"[..]));
        assert_eq!(open(&[b"k", b"2"], &sealed), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(open(&[b"k", b"1"], &damaged), None);
            assert_eq!(open(&[b"k", b"1"], &sealed[..at]), None);
        }
    }
}
