//! One table of postings: from a 32-bit tag to the numbers of the articles that
//! have it. Knows neither keys nor locks.
//!
//! Slots of 64 bits, tag above number, by *ordered* linear probing (Amble and Knuth
//! 1974): a tag's home is monotone in the tag, and slots never wrap around, so that
//! all slots stand in ascending order, with gaps. A search ends at the first greater
//! slot, and the postings of a tag are one slice. So the table may be fuller than one
//! that is searched up to a gap.

use crate::hash;
use crate::index::numbers::Numbers;
use crate::index::slots::{EMPTY, Slots};

/// Postings of a tag that stand in the table itself, at most. From here on a list
/// takes less memory, what belongs to it included.
pub(super) const PLAIN_MAX: usize = 10;
/// A list of so many postings goes back into the table: fewer than [`PLAIN_MAX`], so
/// that one posting that comes and goes moves nothing.
const PLAIN_AGAIN: usize = 6;

/// Share of the homes that are used, at most, in tenths: the mean is lower by what a
/// table grows by.
const LOAD_TENTHS: usize = 9;
const HOMES_MIN: usize = 8;
/// Slots behind the last home, at first, for what is pushed out of it.
const TAIL: usize = 8;

/// In place of a number: the postings are in a list of their own.
const LISTED: u32 = u32::MAX;

/// Postings by tag.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) slots: Slots,
    /// Slots that are the home of a tag: all but the last few.
    pub(super) homes: usize,
    pub(super) used: usize,
    /// Tags that have a list, ascending.
    pub(super) listed: Vec<u32>,
    /// Their lists, in the same order.
    pub(super) lists: Vec<Numbers>,
    /// Makes tables grow at different times: together they would all be full, or all
    /// be too large.
    pub(super) salt: u32,
}

/// The postings of one tag.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run<'a> {
    /// A few: slots, of which the low halves are numbers, ascending.
    Slots(&'a [u64]),
    /// Many.
    List(&'a Numbers),
}

impl Run<'_> {
    /// Number of postings.
    pub(super) fn frequency(&self) -> u32 {
        match self {
            Self::Slots(slots) => u32::try_from(slots.len()).unwrap_or(u32::MAX),
            Self::List(numbers) => numbers.len(),
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "a probe stays below the table's length")]
impl Table {
    pub(super) fn new(salt: u32) -> Self {
        Self { salt, ..Self::default() }
    }

    /// What stands where a tag is looked for, and `ahead` slots on: reading it for many
    /// tags before these are looked up lets their cache misses overlap.
    #[inline]
    pub(super) fn peek(&self, tag: u32, ahead: usize) -> u64 {
        let at = self.home(tag) + ahead;
        self.slots.get(at).copied().unwrap_or(EMPTY)
    }

    /// The postings of a tag.
    #[inline]
    pub(super) fn find(&self, tag: u32) -> Run<'_> {
        let start = self.first_not_below(self.home(tag), slot(tag, 0));
        let rest = self.slots.get(start..).unwrap_or_default();
        let len = rest.iter().take_while(|it| hash::high_half(**it) == tag).count();
        let run = &rest[..len];
        match run {
            [only] if hash::low_half(*only) == LISTED => {
                self.lists.get(self.place_of_list(tag)).map_or(Run::Slots(&[]), Run::List)
            }
            _ => Run::Slots(run),
        }
    }

    /// Adds a posting; once where it is there already.
    pub(super) fn insert(&mut self, tag: u32, number: u32) {
        if self.is_full_with(1) {
            let grown = self.grown();
            self.adopt(grown);
        }
        let start = self.first_not_below(self.home(tag), slot(tag, 0));
        let run = self.slots[start..].iter().take_while(|it| hash::high_half(**it) == tag);
        let run = run.count();
        if run == 1 && self.slots[start] == slot(tag, LISTED) {
            let at = self.place_of_list(tag);
            self.lists[at].insert(number);
            return;
        }
        let at = self.first_not_below(start, slot(tag, number));
        if self.slots.get(at) == Some(&slot(tag, number)) {
            return;
        }
        if run < PLAIN_MAX {
            self.open(at, slot(tag, number));
        } else {
            self.list_apart(tag, start..start + run, number);
        }
    }

    /// Removes a posting, if it is there.
    pub(super) fn remove(&mut self, tag: u32, number: u32) {
        if self.slots.is_empty() {
            return;
        }
        let start = self.first_not_below(self.home(tag), slot(tag, 0));
        if self.slots.get(start) != Some(&slot(tag, LISTED)) {
            return self.clear(slot(tag, number));
        }
        let at = self.place_of_list(tag);
        let numbers = &mut self.lists[at];
        numbers.remove(number);
        if numbers.len() as usize <= PLAIN_AGAIN {
            self.listed.remove(at);
            let numbers = self.lists.remove(at);
            self.clear(slot(tag, LISTED));
            numbers.iter().for_each(|it| self.insert(tag, it));
        }
    }

    /// The table with its slots counted, if they are as they are looked for.
    pub(super) fn checked(mut self) -> Option<Self> {
        if self.homes > self.slots.len() {
            return None;
        }
        let mut listed = self.listed.iter();
        let (mut last, mut next_gap) = (None, 0);
        for (at, slot) in self.slots.iter().enumerate() {
            if *slot == EMPTY {
                next_gap = at + 1;
                continue;
            }
            let tag = hash::high_half(*slot);
            let home = self.home(tag);
            if last >= Some(*slot) || home < next_gap || home > at {
                return None;
            }
            if hash::low_half(*slot) == LISTED && listed.next() != Some(&tag) {
                return None;
            }
            last = Some(*slot);
            self.used += 1;
        }
        let is_whole = listed.next().is_none() && self.lists.len() == self.listed.len();
        is_whole.then_some(self)
    }

    /// Postings.
    pub(super) fn count(&self) -> u64 {
        let listed: u64 = self.lists.iter().map(|it| u64::from(it.len())).sum();
        (self.used - self.lists.len()) as u64 + listed
    }

    /// Bytes on the heap, besides the table itself.
    pub(super) fn bytes(&self) -> u64 {
        let lists: usize = self.lists.iter().map(Numbers::bytes).sum();
        let entries = self.lists.capacity() * size_of::<Numbers>()
            + self.listed.capacity() * size_of::<u32>();
        (self.slots.bytes() + entries + lists) as u64
    }

    /// Where the list of a tag stands, or would. Tags are spread evenly, so that it is
    /// near where its share of all tags says.
    fn place_of_list(&self, tag: u32) -> usize {
        let share = (u64::from(tag) * self.listed.len() as u64) >> 32;
        let guess = usize::try_from(share).unwrap_or(0);
        let (below, above) = self.listed.split_at(guess);
        let back = below.iter().rev().take_while(|it| **it >= tag).count();
        let on = above.iter().take_while(|it| **it < tag).count();
        guess + on - back
    }

    /// Where the first slot from `at` on stands that is not below another one.
    #[inline]
    fn first_not_below(&self, at: usize, bound: u64) -> usize {
        let rest = self.slots.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|it| **it < bound).count()
    }

    /// Puts a slot in front of the one at a place, which moves up with those behind it.
    fn open(&mut self, at: usize, slot: u64) {
        let gap = if let Some(behind) = first_empty(&self.slots[at..]) {
            at + behind
        } else {
            let end = self.slots.len();
            self.slots = longer(&self.slots);
            end
        };
        self.slots.copy_within(at..gap, at + 1);
        self.slots[at] = slot;
        self.used += 1;
    }

    /// Moves the postings of a tag, and one more, to a list of their own.
    fn list_apart(&mut self, tag: u32, run: std::ops::Range<usize>, number: u32) {
        let mut numbers = Numbers::default();
        for _ in run.clone() {
            // The one behind it moves up.
            let slot = self.slots[run.start];
            numbers.insert(hash::low_half(slot));
            self.clear(slot);
        }
        numbers.insert(number);
        let at = self.place_of_list(tag);
        if self.lists.len() == self.lists.capacity() {
            self.lists.reserve_exact(1 + self.lists.len() / 8);
        }
        self.lists.insert(at, numbers);
        self.listed.insert(at, tag);
        let at = self.first_not_below(self.home(tag), slot(tag, 0));
        self.open(at, slot(tag, LISTED));
    }

    /// Takes a slot out, and moves those behind it up, so that none is away from its
    /// home behind a gap.
    fn clear(&mut self, slot: u64) {
        let at = self.first_not_below(self.home(hash::high_half(slot)), slot);
        if self.slots.get(at) != Some(&slot) {
            return;
        }
        let mut end = at + 1;
        while let Some(next) = self.slots.get(end)
            && *next != EMPTY
            && self.home(hash::high_half(*next)) < end
        {
            end += 1;
        }
        self.slots.copy_within(at + 1..end, at);
        self.slots[end - 1] = EMPTY;
        self.used -= 1;
    }

    /// Whether the table is to grow before it takes so many more.
    #[inline]
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        10 * (self.used + more) > LOAD_TENTHS * self.homes
    }

    /// The slots of the table, and a number of homes that is larger by an eighth, more
    /// or less.
    pub(super) fn grown(&self) -> Grown {
        let random = hash::mix((self.homes as u64) << 32 | u64::from(self.salt)) >> 60;
        let parts = usize::try_from(random).unwrap_or(0) + 8;
        let homes = (self.homes + self.homes * parts / 128 + 1).max(HOMES_MIN);
        let mut slots = Slots::empty(homes + TAIL);
        let mut next = 0;
        for slot in self.slots.iter().copied().filter(|it| *it != EMPTY) {
            let at = home(hash::high_half(slot), homes).max(next);
            if at == slots.len() {
                slots = longer(&slots);
            }
            slots[at] = slot;
            next = at + 1;
        }
        Grown { slots, homes }
    }

    /// Takes grown slots of this table; returns those that it had.
    pub(super) fn adopt(&mut self, grown: Grown) -> Slots {
        self.homes = grown.homes;
        std::mem::replace(&mut self.slots, grown.slots)
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        home(tag, self.homes)
    }
}

/// The slots of a table that are to replace those that it has.
#[derive(Debug)]
pub(super) struct Grown {
    slots: Slots,
    homes: usize,
}

/// The same slots with some more behind.
fn longer(slots: &Slots) -> Slots {
    let mut longer = Slots::empty(slots.len() + TAIL);
    if let Some(front) = longer.get_mut(..slots.len()) {
        front.copy_from_slice(slots);
    }
    longer
}

#[inline]
fn home(tag: u32, homes: usize) -> usize {
    usize::try_from((u64::from(tag) * homes as u64) >> 32).unwrap_or(0)
}

/// Four at a time, because there are some ten before a gap.
#[inline]
fn first_empty(slots: &[u64]) -> Option<usize> {
    let (fours, _) = slots.as_chunks::<4>();
    let full = fours.iter().take_while(|it| it.iter().all(|it| *it != EMPTY)).count() * 4;
    let behind = slots.get(full..)?.iter().position(|it| *it == EMPTY)?;
    Some(full + behind)
}

#[inline]
fn slot(tag: u32, number: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(number)
}

#[cfg(test)]
impl Table {
    /// All postings, by tag and number.
    pub(super) fn all(&self) -> Vec<(u32, u32)> {
        let slots = self.slots.iter().copied().filter(|it| *it != EMPTY);
        let tags = slots.map(hash::high_half).collect::<std::collections::BTreeSet<u32>>();
        let of = |tag| match self.find(tag) {
            Run::Slots(slots) => slots.iter().map(|it| (tag, hash::low_half(*it))).collect(),
            Run::List(numbers) => numbers.iter().map(|it| (tag, it)).collect::<Vec<_>>(),
        };
        tags.into_iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(table: &Table, tag: u32) -> BTreeSet<u32> {
        match table.find(tag) {
            Run::Slots(slots) => slots.iter().map(|it| hash::low_half(*it)).collect(),
            Run::List(numbers) => numbers.iter().collect(),
        }
    }

    /// All that ordered probing promises.
    fn check(table: &Table) {
        let used: Vec<(usize, u64)> =
            table.slots.iter().copied().enumerate().filter(|it| it.1 != EMPTY).collect();
        assert_eq!(used.len(), table.used);
        assert!(used.is_sorted_by(|a, b| a.1 < b.1));
        for (at, slot) in used {
            let home = table.home(hash::high_half(slot));
            assert!(table.slots[home..=at].iter().all(|it| *it != EMPTY));
        }
    }

    proptest! {
        /// Few tags, near each other, at both ends: clusters, an overflowing end, lists
        /// and their end.
        #[test]
        fn it_is_a_map_of_sets(
            steps in proptest::collection::vec((0..3_u8, 0_u32..12, 0_u32..40), 0..1500),
        ) {
            let mut table = Table::new(1);
            let mut model: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); 12];
            let tag_of = |tag: u32| if tag < 6 { tag } else { u32::MAX - tag };
            for (step, tag, number) in steps {
                let set = &mut model[tag as usize];
                if step > 0 {
                    table.insert(tag_of(tag), number);
                    set.insert(number);
                } else {
                    table.remove(tag_of(tag), number);
                    set.remove(&number);
                }
                prop_assert_eq!(&all(&table, tag_of(tag)), &*set);
            }
            check(&table);
            for (tag, set) in (0..).zip(&model) {
                prop_assert_eq!(&all(&table, tag_of(tag)), set);
                prop_assert_eq!(table.find(tag_of(tag)).frequency() as usize, set.len());
            }
            let count: usize = model.iter().map(BTreeSet::len).sum();
            prop_assert_eq!(table.count(), count as u64);
        }
    }

    #[test]
    fn removing_all_leaves_no_trace() {
        let mut table = Table::new(7);
        let tags = |number: u32| {
            (0..50_u64).map(move |it| hash::high_half(hash::mix(u64::from(number) % 40 + it)))
        };
        for number in 0..200 {
            tags(number).for_each(|tag| table.insert(tag, number));
        }
        check(&table);
        for number in 0..200 {
            tags(number).for_each(|tag| table.remove(tag, number));
            check(&table);
        }
        assert!(table.used == 0 && table.lists.is_empty());
        assert!(table.slots.iter().all(|it| *it == EMPTY));
    }
}
