//! Packs: several records as one value, so that they fill the pages of the database.
//! A record alone takes a page of 4 KiB, or of 8, however much of it is left over.
//!
//! | bytes  | what                                                              |
//! |--------|-------------------------------------------------------------------|
//! | 4      | number of records N, little-endian as all                         |
//! | 8 x N  | the number of each record, ascending, and the end of its bytes,   |
//! |        | counted from the first record's start                             |
//! | ...    | the bytes of the records                                          |
//! | 8      | XXH3 of all before                                                |

use crate::hash;

const COUNT_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;
const SUM_BYTES: usize = 8;
const CUT: Damage = "a pack of records is cut short";

/// A pack that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pack<'a> {
    entries: &'a [[u8; ENTRY_BYTES]],
    records: &'a [u8],
}

/// What is wrong with a pack.
pub(crate) type Damage = &'static str;

impl<'a> Pack<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (said, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(CUT)?;
        if hash::persistent_64(said) != u64::from_le_bytes(*sum) {
            return Err("a pack of records is not what was written");
        }
        Self::of_bare(said)
    }

    /// One without its checksum, as packs were before they had one.
    pub(crate) fn of_bare(bytes: &'a [u8]) -> Result<Self, Damage> {
        let (count, rest) = bytes.split_first_chunk::<COUNT_BYTES>().ok_or(CUT)?;
        let count = u32::from_le_bytes(*count) as usize;
        let entries_bytes = count.checked_mul(ENTRY_BYTES).ok_or(CUT)?;
        let (entries, records) = rest.split_at_checked(entries_bytes).ok_or(CUT)?;
        let pack = Self { entries: entries.as_chunks().0, records };
        let end = pack.entries.last().map_or(0, |it| entry(*it).1 as usize);
        if end == records.len() { Ok(pack) } else { Err(CUT) }
    }

    /// The bytes of a record.
    pub(crate) fn get(self, number: u32) -> Result<Option<&'a [u8]>, Damage> {
        let found = self.entries.binary_search_by_key(&number, |it| entry(*it).0);
        found.ok().map(|at| self.record(at)).transpose()
    }

    /// All records with their numbers, ascending.
    pub(crate) fn records(self) -> impl Iterator<Item = Result<(u32, &'a [u8]), Damage>> {
        let numbers = self.entries.iter().map(|it| entry(*it).0);
        numbers.enumerate().map(move |(at, number)| Ok((number, self.record(at)?)))
    }

    /// The least number.
    pub(crate) fn first(self) -> Option<u32> {
        self.entries.first().map(|it| entry(*it).0)
    }

    /// The greatest number.
    pub(crate) fn last(self) -> Option<u32> {
        self.entries.last().map(|it| entry(*it).0)
    }

    fn record(self, at: usize) -> Result<&'a [u8], Damage> {
        let end = |at: usize| self.entries.get(at).map(|it| entry(*it).1 as usize);
        let start = if at == 0 { Some(0) } else { end(at - 1) };
        let range = start.zip(end(at)).map(|(start, end)| start..end);
        range.and_then(|it| self.records.get(it)).ok_or("a pack of records is damaged")
    }
}

fn entry(bytes: [u8; ENTRY_BYTES]) -> (u32, u32) {
    let [n0, n1, n2, n3, e0, e1, e2, e3] = bytes;
    (u32::from_le_bytes([n0, n1, n2, n3]), u32::from_le_bytes([e0, e1, e2, e3]))
}

/// A pack in the making.
#[derive(Debug, Default)]
pub(crate) struct PackBuilder {
    entries: Vec<u8>,
    records: Vec<u8>,
    first: Option<u32>,
}

impl PackBuilder {
    /// Appends a record; its number is greater than those before.
    pub(crate) fn push(&mut self, number: u32, record: &[u8]) {
        self.first.get_or_insert(number);
        self.records.extend_from_slice(record);
        let end = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.entries.extend_from_slice(&number.to_le_bytes());
        self.entries.extend_from_slice(&end.to_le_bytes());
    }

    /// Bytes of the pack with one more record of so many bytes.
    pub(crate) fn bytes_with(&self, record: usize) -> usize {
        COUNT_BYTES + self.entries.len() + ENTRY_BYTES + self.records.len() + record + SUM_BYTES
    }

    /// The number of its first record; `None` where it has none.
    pub(crate) fn first(&self) -> Option<u32> {
        self.first
    }

    /// The pack.
    pub(crate) fn finish(self) -> Vec<u8> {
        let count = u32::try_from(self.entries.len() / ENTRY_BYTES).unwrap_or(u32::MAX);
        let count = count.to_le_bytes();
        let mut bytes = [&count[..], &self.entries, &self.records].concat();
        bytes.extend_from_slice(&hash::persistent_64(&bytes).to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(records: &[(u32, &[u8])]) -> Vec<u8> {
        let mut builder = PackBuilder::default();
        for (number, record) in records {
            builder.push(*number, record);
        }
        builder.finish()
    }

    #[test]
    fn records_come_back_by_their_numbers() {
        let bytes = pack(&[(3, b"abc"), (5, b""), (9, b"de")]);
        assert_eq!(bytes[..4], [3, 0, 0, 0]);
        assert_eq!(bytes[4..12], [3, 0, 0, 0, 3, 0, 0, 0]);
        let pack = Pack::of(&bytes).unwrap();
        assert_eq!(pack.get(3).unwrap(), Some(&b"abc"[..]));
        assert_eq!(pack.get(5).unwrap(), Some(&b""[..]));
        assert_eq!(pack.get(4).unwrap(), None);
        assert_eq!(pack.last(), Some(9));
        let all: Vec<_> = pack.records().map(Result::unwrap).collect();
        assert_eq!(all, [(3, &b"abc"[..]), (5, b""), (9, b"de")]);
    }

    /// As it was written before there were checksums.
    fn without_sum(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - SUM_BYTES);
        bytes
    }

    #[test]
    fn a_pack_without_a_checksum_is_read() {
        let bytes = without_sum(pack(&[(3, b"abc"), (5, b"")]));
        assert!(Pack::of(&bytes).is_err());
        assert_eq!(Pack::of_bare(&bytes).unwrap().get(3).unwrap(), Some(&b"abc"[..]));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let whole = pack(&[(3, b"abc"), (5, b""), (9, b"de")]);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(Pack::of(&bytes).is_err(), "{at} {bit}");
            }
            assert!(Pack::of(&whole[..at]).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0_usize..33, flip in 1_u8.., cut in 0_usize..33) {
            let mut bytes = without_sum(pack(&[(3, b"abc"), (5, b""), (9, b"de")]));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= flip;
            }
            let cut = cut.min(bytes.len());
            for bytes in [&bytes[..], &bytes[..cut]] {
                if let Ok(pack) = Pack::of_bare(bytes) {
                    let found = [pack.get(5), pack.get(3)];
                    prop_assert!(found.iter().flatten().flatten().all(|it| it.len() < 33));
                    prop_assert!(pack.records().count() < 5);
                }
            }
        }
    }
}
