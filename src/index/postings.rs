//! Posting lists in memory: from a 64-bit key to the numbers of the articles
//! that have it.
//!
//! An open-addressing table of 64-bit slots, each a 32-bit tag and a 32-bit
//! number, in [`SHARDS`] shards that lock apart. Shard and tag together are 40
//! bits of the key: in a table of 10^9 postings one look-up in a thousand meets
//! a stranger's posting, which costs a verification and no wrong answer. A key
//! with more than [`PLAIN_MAX`] postings moves to a compressed bitmap of its
//! own, so that stock phrases make no probe clusters.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use roaring::RoaringBitmap;

use crate::hash;
use crate::hash::HashMap;

/// Postings of a key that stand in the table itself, at most.
pub(super) const PLAIN_MAX: usize = 32;

/// Postings of one key that are looked at to find those that pass a filter, at
/// most.
const VISITED_MAX: usize = 16_384;

const SHARDS: usize = 256;
const EMPTY: u64 = u64::MAX;
/// In place of a number: the postings are in a bitmap.
const POPULAR: u32 = u32::MAX;
const CAPACITY_MIN: usize = 16;

/// Posting lists.
#[derive(Debug)]
pub(super) struct Postings {
    shards: Vec<RwLock<Shard>>,
}

impl Postings {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    /// Adds a posting; once where it is there already.
    pub(super) fn insert(&self, key: u64, number: u32) {
        if let Some(mut shard) = self.write(key) {
            shard.insert(tag_of(key), number);
        }
    }

    /// Removes a posting, if it is there.
    pub(super) fn remove(&self, key: u64, number: u32) {
        if let Some(mut shard) = self.write(key) {
            shard.remove(tag_of(key), number);
        }
    }

    /// Reads the postings of a key.
    pub(super) fn with<R>(&self, key: u64, read: impl FnOnce(List<'_>) -> R) -> R {
        let shard = self.shards.get(shard_of(key)).map(read_lock);
        match &shard {
            Some(shard) => read(shard.list(tag_of(key))),
            None => read(List::Plain { numbers: [0; PLAIN_MAX], len: 0 }),
        }
    }

    /// Postings, and bytes of memory.
    pub(super) fn sizes(&self) -> (u64, u64) {
        self.shards.iter().map(read_lock).fold((0, 0), |(count, bytes), shard| {
            let (more, size) = shard.sizes();
            (count + more, bytes + size)
        })
    }

    fn write(&self, key: u64) -> Option<RwLockWriteGuard<'_, Shard>> {
        let shard = self.shards.get(shard_of(key))?;
        Some(shard.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The postings of one key.
#[derive(Debug)]
pub(super) enum List<'a> {
    /// A few: the first `len` numbers.
    Plain { numbers: [u32; PLAIN_MAX], len: usize },
    /// Many.
    Popular(&'a RoaringBitmap),
}

impl List<'_> {
    /// Number of postings.
    pub(super) fn frequency(&self) -> u32 {
        match self {
            Self::Plain { len, .. } => u32::try_from(*len).unwrap_or(u32::MAX),
            Self::Popular(bitmap) => u32::try_from(bitmap.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether the key has more postings than one follows one by one.
    pub(super) fn is_popular(&self) -> bool {
        matches!(self, Self::Popular(_))
    }

    /// Whether a number is in it.
    pub(super) fn contains(&self, number: u32) -> bool {
        match self {
            Self::Plain { numbers, len } => numbers.iter().take(*len).any(|it| *it == number),
            Self::Popular(bitmap) => bitmap.contains(number),
        }
    }

    /// Calls `visit` with each number from `first` on, ascending where there
    /// are many, until it has accepted `count_max` or seen [`VISITED_MAX`].
    pub(super) fn each(&self, first: u32, count_max: usize, mut visit: impl FnMut(u32) -> bool) {
        let mut left = count_max;
        let mut visit = |number| {
            left -= usize::from(visit(number));
            left > 0
        };
        match self {
            Self::Plain { numbers, len } => {
                let mut numbers = numbers.iter().take(*len).copied().filter(|it| *it >= first);
                while numbers.next().is_some_and(&mut visit) {}
            }
            Self::Popular(bitmap) => {
                let mut numbers = bitmap.iter();
                numbers.advance_to(first);
                let mut numbers = numbers.take(VISITED_MAX);
                while numbers.next().is_some_and(&mut visit) {}
            }
        }
    }
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<u64>,
    used: usize,
    popular: HashMap<u32, RoaringBitmap>,
}

#[expect(clippy::indexing_slicing, reason = "a probe stays below the table's length")]
impl Shard {
    fn insert(&mut self, tag: u32, number: u32) {
        if 5 * (self.used + 1) > 4 * self.slots.len() {
            self.grow();
        }
        let mut at = self.home(tag);
        let mut count = 0;
        while self.slots[at] != EMPTY {
            let (other, found) = parts(self.slots[at]);
            if other == tag {
                if found == POPULAR {
                    self.popular.entry(tag).or_default().insert(number);
                    return;
                }
                if found == number {
                    return;
                }
                count += 1;
            }
            at = self.next(at);
        }
        if count < PLAIN_MAX {
            self.slots[at] = slot(tag, number);
            self.used += 1;
        } else {
            self.make_popular(tag, number);
        }
    }

    fn make_popular(&mut self, tag: u32, number: u32) {
        let mut bitmap = RoaringBitmap::new();
        if let List::Plain { numbers, len } = self.list(tag) {
            for number in numbers.into_iter().take(len) {
                bitmap.insert(number);
                self.clear(tag, number);
            }
        }
        bitmap.insert(number);
        self.popular.insert(tag, bitmap);
        let mut at = self.home(tag);
        while self.slots[at] != EMPTY {
            at = self.next(at);
        }
        self.slots[at] = slot(tag, POPULAR);
        self.used += 1;
    }

    fn remove(&mut self, tag: u32, number: u32) {
        let Some(bitmap) = self.popular.get_mut(&tag) else { return self.clear(tag, number) };
        bitmap.remove(number);
        if bitmap.is_empty() {
            self.popular.remove(&tag);
            self.clear(tag, POPULAR);
        }
    }

    /// Empties the slot of a posting, and moves those behind it up, so that no
    /// probe meets a gap.
    fn clear(&mut self, tag: u32, number: u32) {
        if self.slots.is_empty() {
            return;
        }
        let mut gap = self.home(tag);
        while self.slots[gap] != slot(tag, number) {
            if self.slots[gap] == EMPTY {
                return;
            }
            gap = self.next(gap);
        }
        let mut at = self.next(gap);
        while self.slots[at] != EMPTY {
            let home = self.home(parts(self.slots[at]).0);
            let stays = if gap <= at { gap < home && home <= at } else { gap < home || home <= at };
            if !stays {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = self.next(at);
        }
        self.slots[gap] = EMPTY;
        self.used -= 1;
    }

    fn list(&self, tag: u32) -> List<'_> {
        let (mut numbers, mut len) = ([0; PLAIN_MAX], 0);
        if self.slots.is_empty() {
            return List::Plain { numbers, len };
        }
        let mut at = self.home(tag);
        while self.slots[at] != EMPTY {
            let (other, number) = parts(self.slots[at]);
            if other == tag {
                if number == POPULAR
                    && let Some(bitmap) = self.popular.get(&tag)
                {
                    return List::Popular(bitmap);
                }
                if let Some(place) = numbers.get_mut(len) {
                    *place = number;
                    len += 1;
                }
            }
            at = self.next(at);
        }
        List::Plain { numbers, len }
    }

    /// Makes the table larger by a quarter; at most four fifths are used.
    fn grow(&mut self) {
        let capacity = (self.slots.len() * 5 / 4).max(CAPACITY_MIN).max(self.slots.len() + 2);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; capacity]);
        for slot in old.into_iter().filter(|it| *it != EMPTY) {
            let mut at = self.home(parts(slot).0);
            while self.slots[at] != EMPTY {
                at = self.next(at);
            }
            self.slots[at] = slot;
        }
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        usize::try_from((u64::from(tag) * self.slots.len() as u64) >> 32).unwrap_or(0)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    fn sizes(&self) -> (u64, u64) {
        let popular: u64 = self.popular.values().map(RoaringBitmap::len).sum();
        let bitmaps: usize = self.popular.values().map(RoaringBitmap::serialized_size).sum();
        let entries = self.popular.capacity() * (size_of::<(u32, RoaringBitmap)>() + 1);
        let plain = self.used - self.popular.len();
        let bytes = self.slots.capacity() * size_of::<u64>() + bitmaps + entries;
        (plain as u64 + popular, bytes as u64)
    }
}

fn read_lock(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
fn shard_of(key: u64) -> usize {
    usize::try_from(key >> 56).unwrap_or(0)
}

#[inline]
fn tag_of(key: u64) -> u32 {
    // The greatest tag would make a slot of all ones, which says empty.
    hash::low_half(key).min(u32::MAX - 1)
}

#[inline]
fn slot(tag: u32, number: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(number)
}

#[inline]
fn parts(slot: u64) -> (u32, u32) {
    (hash::high_half(slot), hash::low_half(slot))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(postings: &Postings, key: u64) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        postings.with(key, |list| list.each(0, usize::MAX, |it| found.insert(it)));
        found
    }

    proptest! {
        /// Few tags, near each other, in one shard: clusters, wrap-around,
        /// popular keys and their end.
        #[test]
        fn it_is_a_map_of_sets(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..12, 0_u32..90), 0..1500),
        ) {
            let postings = Postings::new();
            let mut model: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); 12];
            let key = |tag: u64| if tag < 6 { tag } else { u64::from(u32::MAX) - tag };
            for (insert, tag, number) in steps {
                let set = &mut model[usize::try_from(tag).unwrap()];
                if insert {
                    postings.insert(key(tag), number);
                    set.insert(number);
                } else {
                    postings.remove(key(tag), number);
                    set.remove(&number);
                }
            }
            for (tag, set) in model.iter().enumerate() {
                prop_assert_eq!(&all(&postings, key(tag as u64)), set);
            }
            let count: usize = model.iter().map(BTreeSet::len).sum();
            prop_assert_eq!(postings.sizes().0, count as u64);
        }
    }

    #[test]
    fn removing_all_leaves_no_trace() {
        let postings = Postings::new();
        let keys = |number: u32| (0..50_u64).map(move |it| hash::mix(u64::from(number) % 40 + it));
        for number in 0..200 {
            keys(number).for_each(|key| postings.insert(key, number));
        }
        for number in 0..200 {
            keys(number).for_each(|key| postings.remove(key, number));
        }
        assert_eq!(postings.sizes().0, 0);
        for shard in &postings.shards {
            let shard = read_lock(shard);
            assert!(shard.used == 0 && shard.popular.is_empty());
            assert!(shard.slots.iter().all(|it| *it == EMPTY));
        }
    }

    #[test]
    fn a_posting_takes_about_ten_bytes() {
        let postings = Postings::new();
        for number in 0..400_000 {
            postings.insert(hash::mix(u64::from(number) + 1), number);
        }
        let (count, bytes) = postings.sizes();
        assert_eq!(count, 400_000);
        assert!(bytes < 13 * count, "{bytes}");
    }
}
