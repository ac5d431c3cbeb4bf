//! Postings of many keys in one string, to which nodes append.
//!
//! A group has the postings of all keys that begin with the same bits. Layout of a posting: a
//! tag of 23 bits of its key with a bit above that says that it is gone (3 bytes), the article
//! number (4 bytes), and, of a SimHash block, the whole SimHash (8 bytes); all
//! little-endian. Numbers are never given twice, so a group is a set with additions and
//! removals in any order, any of them more than once: a 2P-set (Shapiro et al. 2011). What
//! was appended is folded now and then: what is gone goes, and of a key with more postings than
//! its bound the oldest stay and the others are counted. The count is a posting with
//! [`COUNTED`] as its number, and behind it one without a tag whose number is the count.

use std::collections::BTreeMap;

use crate::hash;
use crate::sketch::simhash::SimHash;

/// Bits of a tag.
const TAG_BITS: u32 = 23;
const TAG_MASK: u32 = (1 << TAG_BITS) - 1;
const GONE: u32 = 1 << TAG_BITS;
/// The number of a posting that says that a count follows.
pub(super) const COUNTED: u32 = u32::MAX;
/// Postings of a group, as planned. More take less memory, fewer less of the network.
const GROUP_POSTINGS: u64 = 32;
/// The least bits that tell groups apart: with those of the tag as many as the index in memory
/// has, nearly.
const GROUP_BITS_MIN: u32 = 16;
const GROUP_BITS_MAX: u32 = 36;

/// What postings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Anchor,
    Band,
    Block,
    Term,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Anchor, Self::Band, Self::Block, Self::Term];

    pub(super) fn letter(self) -> char {
        match self {
            Self::Anchor => 'A',
            Self::Band => 'B',
            Self::Block => 'S',
            Self::Term => 'T',
        }
    }

    /// Postings of an article, about.
    fn planned(self) -> u64 {
        match self {
            Self::Anchor => 118,
            Self::Band => 32,
            Self::Block => 4,
            Self::Term => 53,
        }
    }

    /// Postings of one key that are listed, at most: the oldest. Others are counted.
    pub(super) fn listed_max(self) -> usize {
        match self {
            Self::Anchor | Self::Band => 2048,
            Self::Block => 2049,
            Self::Term => 8192,
        }
    }

    /// Bytes of a posting.
    pub(super) fn bytes(self) -> usize {
        if self == Self::Block { 15 } else { 7 }
    }
}

/// Which group a key is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Groups {
    prefix: String,
    bits: BTreeMap<Kind, u32>,
}

/// A group, and what tells a key within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) group: u64,
    pub(super) tag: u32,
}

impl Place {
    /// Whether two keys are in one group.
    pub(super) fn is_beside(self, other: Self) -> bool {
        (self.kind, self.group) == (other.kind, other.group)
    }
}

impl Groups {
    /// For a store that is planned for so many articles.
    pub(super) fn new(prefix: &str, articles: u64) -> Self {
        let bits = Kind::ALL.map(|kind| {
            let groups = (articles * kind.planned() / GROUP_POSTINGS).max(1);
            (kind, groups.ilog2().clamp(GROUP_BITS_MIN, GROUP_BITS_MAX))
        });
        Self { prefix: prefix.to_owned(), bits: bits.into_iter().collect() }
    }

    pub(super) fn place(&self, kind: Kind, key: u64) -> Place {
        let mixed = hash::mix(key);
        let bits = self.bits.get(&kind).copied().unwrap_or(GROUP_BITS_MIN);
        Place { kind, group: mixed >> (u64::BITS - bits), tag: hash::low_half(mixed) & TAG_MASK }
    }

    pub(super) fn key(&self, kind: Kind, group: u64) -> Vec<u8> {
        format!("{}:{}:{group:x}", self.prefix, kind.letter()).into_bytes()
    }
}

/// A posting as it is appended.
pub(super) fn append(bytes: &mut Vec<u8>, place: Place, number: u32, posting: Posting) {
    let gone = if posting.is_gone { GONE } else { 0 };
    let [a, b, c, _] = (place.tag | gone).to_le_bytes();
    bytes.extend([a, b, c]);
    bytes.extend(number.to_le_bytes());
    if place.kind == Kind::Block {
        bytes.extend(posting.simhash.bits().to_le_bytes());
    }
}

/// What a posting says beside its key and number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posting {
    pub(super) simhash: SimHash,
    pub(super) is_gone: bool,
}

/// The postings of one key.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct List {
    /// Ascending, each once.
    pub(super) numbers: Vec<u32>,
    /// How many more there are.
    pub(super) others: u32,
    /// Of blocks, the SimHash of each.
    pub(super) simhashes: Vec<u64>,
}

impl List {
    /// Number of postings.
    pub(super) fn frequency(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX).saturating_add(self.others)
    }

    /// Adds one that is greater than all others.
    pub(super) fn push(&mut self, number: u32) {
        if self.numbers.last().is_none_or(|it| *it < number) {
            self.numbers.push(number);
        } else if let Err(at) = self.numbers.binary_search(&number) {
            self.numbers.insert(at, number);
        }
    }
}

/// A posting as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    tag: u32,
    number: u32,
    /// Sorts behind what says that it is there.
    is_gone: bool,
    simhash: u64,
}

/// The lists of a group, of the tags that are wanted.
pub(super) fn lists(
    kind: Kind,
    bytes: &[u8],
    is_wanted: impl Fn(u32) -> bool,
) -> BTreeMap<u32, List> {
    let mut lists: BTreeMap<u32, List> = BTreeMap::new();
    let mut read: Vec<Read> = Vec::new();
    let mut counted = None;
    for posting in bytes.chunks_exact(kind.bytes()).filter_map(|it| read_posting(kind, it)) {
        if let Some(tag) = counted.take() {
            if is_wanted(tag) {
                let others = &mut lists.entry(tag).or_default().others;
                *others = others.saturating_add(posting.number);
            }
        } else if posting.number == COUNTED {
            counted = Some(posting.tag);
        } else if is_wanted(posting.tag) {
            read.push(posting);
        }
    }
    read.sort_unstable();
    for same in read.chunk_by(|a, b| (a.tag, a.number) == (b.tag, b.number)) {
        let (Some(first), Some(last)) = (same.first(), same.last()) else { continue };
        let of_tag = lists.entry(first.tag).or_default();
        match (first.is_gone, last.is_gone) {
            (_, false) => {
                of_tag.numbers.push(first.number);
                of_tag.simhashes.extend((kind == Kind::Block).then_some(first.simhash));
            }
            // One of those that are only counted.
            (true, true) => of_tag.others = of_tag.others.saturating_sub(1),
            (false, true) => {}
        }
    }
    lists.retain(|_, list| list.frequency() > 0);
    lists
}

/// The list of one tag of a group.
pub(super) fn list(kind: Kind, bytes: &[u8], tag: u32) -> List {
    let whole = || lists(kind, bytes, |it| it == tag).remove(&tag).unwrap_or_default();
    if kind == Kind::Block {
        return whole();
    }
    // Most groups have nothing but plain postings.
    let mut numbers = Vec::new();
    for posting in bytes.chunks_exact(kind.bytes()).filter_map(|it| read_posting(kind, it)) {
        if posting.number == COUNTED || (posting.tag == tag && posting.is_gone) {
            return whole();
        }
        if posting.tag == tag {
            numbers.push(posting.number);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    List { numbers, others: 0, simhashes: Vec::new() }
}

/// The same group with as few bytes as it needs.
pub(super) fn folded(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (tag, list) in lists(kind, bytes, |_| true) {
        let place = Place { kind, group: 0, tag };
        let listed = list.numbers.len().min(kind.listed_max());
        let mut simhashes = list.simhashes.iter();
        for number in list.numbers.iter().take(listed) {
            let simhash = SimHash::from_bits(simhashes.next().copied().unwrap_or_default());
            append(&mut out, place, *number, Posting { simhash, is_gone: false });
        }
        let others = list.frequency() - u32::try_from(listed).unwrap_or(u32::MAX);
        if others > 0 {
            let none = Posting { simhash: SimHash::from_bits(0), is_gone: false };
            append(&mut out, place, COUNTED, none);
            append(&mut out, Place { tag: 0, ..place }, others, none);
        }
    }
    out
}

fn read_posting(kind: Kind, bytes: &[u8]) -> Option<Read> {
    let (tag, rest) = bytes.split_first_chunk::<3>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let [a, b, c] = *tag;
    let tag = u32::from_le_bytes([a, b, c, 0]);
    let simhash = match kind {
        Kind::Block => u64::from_le_bytes(*rest.first_chunk()?),
        Kind::Anchor | Kind::Band | Kind::Term => 0,
    };
    Some(Read {
        tag: tag & TAG_MASK,
        number: u32::from_le_bytes(*number),
        is_gone: tag & GONE != 0,
        simhash,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn posting(is_gone: bool) -> Posting {
        Posting { simhash: SimHash::from_bits(0x0102_0304_0506_0708), is_gone }
    }

    #[test]
    fn postings_are_as_they_were() {
        let groups = Groups::new("doublon", 1_000_000);
        let place = groups.place(Kind::Anchor, 42);
        assert_eq!(groups.key(place.kind, place.group), b"doublon:A:14eb3d");
        assert_eq!((place.group, place.tag), (1_370_941, 7_501_346));
        let mut bytes = Vec::new();
        append(&mut bytes, Place { tag: 0x01_0203, ..place }, 7, posting(false));
        append(&mut bytes, Place { tag: 0x01_0203, ..place }, 7, posting(true));
        assert_eq!(bytes, [3, 2, 1, 7, 0, 0, 0, 3, 2, 0x81, 7, 0, 0, 0]);
        let mut bytes = Vec::new();
        append(&mut bytes, Place { kind: Kind::Block, group: 0, tag: 1 }, 7, posting(false));
        assert_eq!(bytes, [1, 0, 0, 7, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_key_with_more_postings_than_its_bound_keeps_the_oldest_and_counts_all() {
        let bound = u32::try_from(Kind::Band.listed_max()).unwrap();
        let place = Place { kind: Kind::Band, group: 0, tag: 5 };
        let mut bytes = Vec::new();
        for number in (0..bound + 10).rev() {
            append(&mut bytes, place, number, posting(false));
        }
        let mut bytes = folded(Kind::Band, &bytes);
        assert_eq!(bytes.len(), (Kind::Band.listed_max() + 2) * 7);
        append(&mut bytes, place, bound + 10, posting(false));
        append(&mut bytes, place, 3, posting(true));
        append(&mut bytes, place, bound + 4, posting(true));
        let bytes = folded(Kind::Band, &bytes);
        let list = lists(Kind::Band, &bytes, |_| true).remove(&5).unwrap();
        assert_eq!(list.frequency(), bound + 9);
        assert!(list.numbers.iter().take(4).eq(&[0, 1, 2, 4]));
        assert!(lists(Kind::Band, &bytes, |it| it != 5).is_empty());
    }

    proptest! {
        /// Additions and removals of numbers that are given once, in any order and any of
        /// them twice, folded at any time.
        #[test]
        fn a_group_is_a_set_whatever_the_order(
            steps in proptest::collection::vec((0_u32..3, 0_u32..20, any::<bool>(), 0_u8..8), 0..80),
        ) {
            for kind in Kind::ALL {
                let mut bytes = Vec::new();
                let (mut added, mut gone) = (BTreeSet::new(), BTreeSet::new());
                for (tag, number, is_gone, fold) in &steps {
                    let place = Place { kind, group: 0, tag: *tag };
                    append(&mut bytes, place, *number, posting(*is_gone));
                    if *is_gone { gone.insert((*tag, *number)); } else { added.insert((*tag, *number)); }
                    // Once folded, what is gone is forgotten, and is not added again.
                    if *fold == 0 && gone.iter().all(|it| added.contains(it)) && !*is_gone {
                        let before = lists(kind, &bytes, |_| true);
                        prop_assert_eq!(&lists(kind, &folded(kind, &bytes), |_| true), &before);
                    }
                }
                let expected: Vec<(u32, u32)> = added.difference(&gone).copied().collect();
                let found: Vec<(u32, u32)> = lists(kind, &bytes, |_| true)
                    .into_iter()
                    .flat_map(|(tag, it)| it.numbers.into_iter().map(move |number| (tag, number)))
                    .collect();
                prop_assert_eq!(found, expected);
                for tag in 0..3 {
                    let all = lists(kind, &bytes, |_| true).remove(&tag).unwrap_or_default();
                    prop_assert_eq!(list(kind, &bytes, tag), all);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for kind in Kind::ALL {
                let again = folded(kind, &folded(kind, &bytes));
                prop_assert_eq!(again, folded(kind, &bytes));
            }
        }
    }
}
