//! One table of postings: from a 32-bit tag to the numbers of the articles that
//! have it. Knows neither keys nor locks.
//!
//! Slots, tag above number, by *ordered* linear probing (Amble and Knuth
//! 1974): a tag's home is monotone in the tag, and slots never wrap around, so that
//! all slots stand in ascending order, with gaps. A search ends at the first greater
//! slot, and the postings of a tag stand together. So the table may be fuller than one
//! that is searched up to a gap.

use crate::hash;
use crate::index::numbers::Numbers;
use crate::index::slots::{EMPTY, LISTS_FROM, NARROW_HOMES_MIN, Slots};
use crate::store::ArticleNumber;

const _: () = assert!(ArticleNumber::MAX.0 < LISTS_FROM);

/// Postings of a tag that stand in the table itself, at most. From here on a list
/// takes less memory, what belongs to it included.
pub(super) const PLAIN_MAX: usize = 10;
/// A list of so many postings goes back into the table: fewer than [`PLAIN_MAX`], so
/// that one posting that comes and goes moves nothing.
const PLAIN_AGAIN: usize = 6;

/// Share of the homes that are used, at most, in tenths: the mean is lower by what a
/// table grows by.
const LOAD_TENTHS: usize = 9;
pub(super) const HOMES_MIN: usize = 8;
/// Stands for the place of a list, where lists are given in the order of their tags.
pub(super) const LISTED: u32 = u32::MAX;

/// Postings by tag.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) slots: Slots,
    pub(super) used: usize,
    /// Lists, each where the slot of its tag says.
    pub(super) lists: Vec<Numbers>,
    /// Places of lists that are not in use, and empty.
    free: Vec<u32>,
    /// Makes tables grow at different times: together they would all be full, or all
    /// be too large.
    salt: u32,
    /// Homes from which on the slots are narrow.
    narrow_homes_min: usize,
}

/// The postings of one tag.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run<'a> {
    /// At most [`PLAIN_MAX`].
    Few(Few),
    /// Many.
    List(&'a Numbers),
}

impl Run<'_> {
    /// Without postings.
    pub(super) const NONE: Self = Self::Few(Few { len: 0, numbers: [0; PLAIN_MAX] });
}

/// A few numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Few {
    len: usize,
    numbers: [u32; PLAIN_MAX],
}

impl Few {
    /// All of them, ascending.
    #[inline]
    pub(super) fn numbers(&self) -> &[u32] {
        self.numbers.get(..self.len).unwrap_or_default()
    }
}

#[expect(clippy::indexing_slicing, reason = "there is a list where a slot says so")]
impl Table {
    pub(super) fn new(salt: u32) -> Self {
        Self {
            slots: Slots::default(),
            used: 0,
            lists: Vec::new(),
            free: Vec::new(),
            salt,
            narrow_homes_min: NARROW_HOMES_MIN,
        }
    }

    /// The memory in which a tag is looked for, if it is within so many slots of its home.
    #[inline]
    pub(super) fn memory(&self, tag: u32, slots: usize) -> &[u8] {
        self.slots.memory(self.slots.home(tag), slots)
    }

    /// The postings of a tag.
    #[inline]
    pub(super) fn find(&self, tag: u32) -> Run<'_> {
        let (_, few) = self.run(tag);
        match few.numbers() {
            [list] if *list >= LISTS_FROM => {
                self.lists.get(place(*list)).map_or(Run::NONE, Run::List)
            }
            _ => Run::Few(few),
        }
    }

    /// Adds a posting; once where it is there already. No article has a number from
    /// [`LISTS_FROM`] on.
    pub(super) fn insert(&mut self, tag: u32, number: u32) {
        if let Some(list) = self.insert_unless_listed(tag, number) {
            self.lists[list].insert(number);
        }
    }

    /// The same, but where the tag has a list: gives its place.
    #[must_use]
    pub(super) fn insert_unless_listed(&mut self, tag: u32, number: u32) -> Option<usize> {
        if number >= LISTS_FROM {
            return None;
        }
        if self.is_full_with(1) {
            let grown = self.grown();
            self.adopt(grown);
        }
        let (start, few) = self.run(tag);
        if let [list] = few.numbers()
            && *list >= LISTS_FROM
        {
            return Some(place(*list));
        }
        let below = few.numbers().iter().take_while(|it| **it < number).count();
        if few.numbers().get(below) == Some(&number) {
            return None;
        }
        if few.len < PLAIN_MAX {
            self.slots.open(start + below, slot(tag, number));
            self.used += 1;
        } else {
            self.list_apart(tag, &few, number);
        }
        None
    }

    /// Removes a posting, if it is there.
    pub(super) fn remove(&mut self, tag: u32, number: u32) {
        let first = self.slots.get(self.slots.first_not_below(slot(tag, 0)));
        let list = hash::low_half(first);
        if hash::high_half(first) != tag || list < LISTS_FROM {
            return self.clear(slot(tag, number));
        }
        let numbers = &mut self.lists[place(list)];
        numbers.remove(number);
        if numbers.len() as usize <= PLAIN_AGAIN {
            let numbers = std::mem::take(numbers);
            self.free.push(list - LISTS_FROM);
            self.clear(first);
            numbers.iter().for_each(|it| self.insert(tag, it));
        }
    }

    /// A table of so many homes with these slots and lists, if they are as they are
    /// looked for: ascending, with no more of one tag than belong here, and a list for
    /// each that says so by [`LISTED`].
    pub(super) fn of(
        salt: u32,
        homes: usize,
        (listed, lists): (&[u32], Vec<Numbers>),
        ascending: impl Iterator<Item = u64>,
    ) -> Option<Self> {
        let listed_count = listed.len();
        let listed = listed.iter();
        let mut checked =
            Checked { ascending, listed, lists: 0, last: None, run: 0, used: 0, is_sound: true };
        let slots = Slots::of(homes, NARROW_HOMES_MIN, &mut checked);
        let Checked { mut listed, used, is_sound, .. } = checked;
        let is_whole = is_sound && listed.next().is_none() && lists.len() == listed_count;
        let (free, narrow_homes_min) = (Vec::new(), NARROW_HOMES_MIN);
        is_whole.then_some(Self { slots, used, lists, free, salt, narrow_homes_min })
    }

    /// The list of a slot that has one.
    pub(super) fn list(&self, slot: u64) -> Option<&Numbers> {
        self.lists.get(place(hash::low_half(slot)))
    }

    /// Postings.
    pub(super) fn count(&self) -> u64 {
        let listed: u64 = self.lists.iter().map(|it| u64::from(it.len())).sum();
        (self.used + self.free.len() - self.lists.len()) as u64 + listed
    }

    /// Bytes on the heap, besides the table itself.
    pub(super) fn bytes(&self) -> u64 {
        let lists: usize = self.lists.iter().map(Numbers::bytes).sum();
        let entries =
            self.lists.capacity() * size_of::<Numbers>() + self.free.capacity() * size_of::<u32>();
        (self.slots.bytes() + entries + lists) as u64
    }

    /// Where the slots of a tag start, and the numbers in them.
    #[inline]
    fn run(&self, tag: u32) -> (usize, Few) {
        let start = self.slots.first_not_below(slot(tag, 0));
        let mut few = Few { len: 0, numbers: [0; PLAIN_MAX] };
        few.len = self.slots.each_number(start, tag, |at, number| {
            if let Some(it) = few.numbers.get_mut(at) {
                *it = number;
            }
        });
        (start, few)
    }

    /// Moves the few postings of a tag, and one more, to a list of their own.
    fn list_apart(&mut self, tag: u32, few: &Few, number: u32) {
        let mut numbers = Numbers::default();
        for it in few.numbers() {
            numbers.insert(*it);
            self.clear(slot(tag, *it));
        }
        numbers.insert(number);
        let list = if let Some(list) = self.free.pop() {
            self.lists[list as usize] = numbers;
            list
        } else {
            if self.lists.len() == self.lists.capacity() {
                self.lists.reserve_exact(1 + self.lists.len() / 8);
            }
            self.lists.push(numbers);
            u32::try_from(self.lists.len() - 1).unwrap_or(u32::MAX)
        };
        // A slot has room for as many lists as a table has room for tags of.
        let list = slot(tag, list.saturating_add(LISTS_FROM));
        self.slots.open(self.slots.first_not_below(slot(tag, 0)), list);
        self.used += 1;
    }

    /// Takes a slot out, and moves those behind it up, so that none is away from its
    /// home behind a gap.
    fn clear(&mut self, slot: u64) {
        let at = self.slots.first_not_below(slot);
        if self.slots.get(at) != slot {
            return;
        }
        let is_away = |at, it| it != EMPTY && self.slots.home(hash::high_half(it)) < at;
        let behind = self.slots.count_while(at + 1, is_away);
        self.slots.close(at..at + 1 + behind);
        self.used -= 1;
    }

    /// Whether the table is to grow before it takes so many more.
    #[inline]
    pub(super) fn is_full_with(&self, more: usize) -> bool {
        10 * (self.used + more) > LOAD_TENTHS * self.slots.homes()
    }

    /// The slots of the table, with more homes by an eighth, more or less.
    pub(super) fn grown(&self) -> Slots {
        let homes = self.slots.homes();
        let random = hash::mix((homes as u64) << 32 | u64::from(self.salt)) >> 60;
        let parts = usize::try_from(random).unwrap_or(0) + 8;
        let homes = (homes + homes * parts / 128 + 1).max(HOMES_MIN);
        self.slots.grown(homes, self.narrow_homes_min)
    }

    /// Takes grown slots of this table; returns those that it had.
    pub(super) fn adopt(&mut self, grown: Slots) -> Slots {
        std::mem::replace(&mut self.slots, grown)
    }
}

/// Slots that come from elsewhere, as long as they are sound.
struct Checked<'a, I> {
    ascending: I,
    /// Tags that have lists, and how many of them came.
    listed: std::slice::Iter<'a, u32>,
    lists: u32,
    last: Option<u64>,
    /// Slots of the last tag.
    run: usize,
    used: usize,
    is_sound: bool,
}

impl<I: Iterator<Item = u64>> Iterator for Checked<'_, I> {
    type Item = u64;

    #[expect(clippy::inline_always, reason = "a start is as fast as the loop around it")]
    #[inline(always)]
    fn next(&mut self) -> Option<u64> {
        let given = self.ascending.next()?;
        let (tag, number) = (hash::high_half(given), hash::low_half(given));
        let is_next = self.last.is_some_and(|it| hash::high_half(it) == tag);
        self.run = if is_next { self.run + 1 } else { 1 };
        self.is_sound &= self.last < Some(given) && self.run <= PLAIN_MAX;
        self.last = Some(given);
        let mut own = given;
        if number >= LISTS_FROM {
            self.is_sound &= number == LISTED && self.listed.next() == Some(&tag);
            own = slot(tag, LISTS_FROM.saturating_add(self.lists));
            self.lists = self.lists.saturating_add(1);
        }
        self.used += usize::from(self.is_sound);
        self.is_sound.then_some(own)
    }
}

/// The place of the list that stands for a number.
#[inline]
fn place(list: u32) -> usize {
    (list - LISTS_FROM) as usize
}

#[inline]
fn slot(tag: u32, number: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(number)
}

#[cfg(test)]
impl Table {
    /// All postings, by tag and number.
    pub(super) fn all(&self) -> Vec<(u32, u32)> {
        let mut tags = std::collections::BTreeSet::new();
        self.slots.each_used(|it| tags.extend([hash::high_half(it)]));
        let of = |tag| match self.find(tag) {
            Run::Few(few) => few.numbers().iter().map(|it| (tag, *it)).collect(),
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
    use crate::index::slots::EMPTY;

    fn frequency(table: &Table, tag: u32) -> usize {
        match table.find(tag) {
            Run::Few(few) => few.numbers().len(),
            Run::List(numbers) => numbers.len() as usize,
        }
    }

    fn all(table: &Table, tag: u32) -> BTreeSet<u32> {
        match table.find(tag) {
            Run::Few(few) => few.numbers().iter().copied().collect(),
            Run::List(numbers) => numbers.iter().collect(),
        }
    }

    /// All that ordered probing promises.
    fn check(table: &Table) {
        let slots: Vec<u64> = (0..table.slots.len()).map(|at| table.slots.get(at)).collect();
        let used: Vec<(usize, u64)> =
            slots.iter().copied().enumerate().filter(|it| it.1 != EMPTY).collect();
        assert_eq!(used.len(), table.used);
        assert!(used.is_sorted_by(|a, b| a.1 < b.1));
        for (at, slot) in used {
            let home = table.slots.home(hash::high_half(slot));
            assert!(slots[home..=at].iter().all(|it| *it != EMPTY));
        }
    }

    /// Adds to a set or takes from it, and does the same in a table.
    fn change(table: &mut Table, tag: u32, set: &mut BTreeSet<u32>, is_new: bool, number: u32) {
        if is_new {
            table.insert(tag, number);
            set.insert(number);
        } else {
            table.remove(tag, number);
            set.remove(&number);
        }
    }

    const SPREAD: u32 = 6000;

    /// A table with tags all over, of which the slots are narrow: it has homes enough
    /// for a slot to be a few dozen behind its own.
    fn narrow() -> Table {
        let mut table = Table { narrow_homes_min: 1 << 12, ..Table::new(1) };
        spread().for_each(|tag| table.insert(tag, 5));
        assert!(table.slots.is_narrow());
        table
    }

    fn spread() -> impl Iterator<Item = u32> {
        (0..SPREAD).map(|it| it * (u32::MAX / SPREAD) + 100)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

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
                change(&mut table, tag_of(tag), set, step > 0, number);
                prop_assert_eq!(&all(&table, tag_of(tag)), &*set);
            }
            check(&table);
            for (tag, set) in (0..).zip(&model) {
                prop_assert_eq!(&all(&table, tag_of(tag)), set);
                prop_assert_eq!(frequency(&table, tag_of(tag)), set.len());
            }
            let count: usize = model.iter().map(BTreeSet::len).sum();
            prop_assert_eq!(table.count(), count as u64);
        }

        /// The same where slots are narrow, at least at first: with `tags` up to 3 they
        /// stay near home, with more they are pushed too far away for their place to
        /// tell their tag. Numbers up to `bits` and a little more cross what is narrow.
        #[test]
        fn it_is_one_with_narrow_slots(
            steps in proptest::collection::vec((0..3_u8, 0_u32..12, 0_u32..40), 0..300),
            tags in 1_u32..=12,
            bits in prop_oneof![Just(8), Just(24), Just(32)],
            grows in any::<bool>(),
        ) {
            let mut table = narrow();
            let mut model: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); 12];
            // In the first homes, those of the middle, and the last.
            let tag_of = |tag: u32| match tag % 3 {
                0 => tag,
                1 => (1 << 31) - 6 + tag,
                _ => u32::MAX - 1 - tag,
            };
            let last = u32::try_from((7_u64 << (bits - 3)) - 1).unwrap() - 20;
            for (step, tag, number) in steps {
                let (tag, number) = (tag % tags, (last + number).min(LISTS_FROM - 1));
                change(&mut table, tag_of(tag), &mut model[tag as usize], step > 0, number);
                prop_assert_eq!(&all(&table, tag_of(tag)), &model[tag as usize]);
            }
            if grows {
                let grown = table.grown();
                table.adopt(grown);
            }
            check(&table);
            for (tag, set) in (0..).zip(&model) {
                prop_assert_eq!(&all(&table, tag_of(tag)), set);
            }
            prop_assert!(spread().all(|tag| all(&table, tag) == BTreeSet::from([5])));
            let count: usize = model.iter().map(BTreeSet::len).sum();
            prop_assert_eq!(table.count(), (count + SPREAD as usize) as u64);
            prop_assert!(table.slots.is_narrow() || bits > 8 || tags > 3);
        }
    }

    #[test]
    fn slots_are_narrow_while_they_can_be() {
        // Greater numbers.
        let last = (7 << 21) - 1;
        let mut table = narrow();
        table.insert(7, last);
        assert!(table.slots.is_narrow());
        table.insert(9, last + 1);
        assert!(!table.slots.is_narrow());
        assert_eq!([7, 9].map(|tag| all(&table, tag)), [last, last + 1].map(|it| [it].into()));
        check(&table);

        // Numbers that are soon too great.
        let mut table = narrow();
        table.insert(7, last);
        let grown = table.grown();
        table.adopt(grown);
        assert!(!table.slots.is_narrow());
        check(&table);

        // Slots too far from home, which are nearer in a larger table; lists are not
        // what makes a table wide.
        let mut table = narrow();
        (200..400).for_each(|tag| table.insert(tag, 3));
        (0..20).for_each(|number| table.insert(1000, number));
        assert!(!table.slots.is_narrow() && table.lists.len() == 1);
        check(&table);
        for _ in 0..30 {
            let grown = table.grown();
            table.adopt(grown);
        }
        assert!(table.slots.is_narrow());
        check(&table);
        assert!((200..400).all(|tag| all(&table, tag) == [3].into()));
    }

    #[test]
    fn removing_all_leaves_no_trace() {
        for narrow_homes_min in [NARROW_HOMES_MIN, 1 << 12] {
            let mut table = Table { narrow_homes_min, ..Table::new(7) };
            let tags = |number: u32| {
                (0..50_u64)
                    .map(move |it| hash::high_half(hash::mix(u64::from(number) % 40 + it * 64)))
            };
            for number in 0..200 {
                tags(number).for_each(|tag| table.insert(tag, number));
            }
            check(&table);
            for number in 0..200 {
                tags(number).for_each(|tag| table.remove(tag, number));
                check(&table);
            }
            assert!(table.used == 0 && table.lists.len() == table.free.len());
            table.slots.each_used(|it| panic!("{it} is left"));
        }
    }
}
