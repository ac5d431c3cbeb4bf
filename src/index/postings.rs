//! Posting lists in memory: from a 64-bit key to the numbers of the articles
//! that have it.
//!
//! [`TABLES`] tables under one lock, which is held for microseconds: a question looks all
//! its keys up at once, and the writer puts in some postings of a commit in the order of
//! the tables. So an article is there in part until all are; it counts only with its
//! record. A lock of its own for each table would cost a question two atomic operations a
//! key. Table and tag together are 40 bits of the key: in a table of 10^9 postings one look-up in
//! a thousand meets a stranger's posting, which costs a verification and no
//! wrong answer.

use std::hint::black_box;
use std::ops::Range;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::hash;
use crate::index::numbers::Numbers;
use crate::index::propose::{Facts, Lists};
use crate::index::slots::Slots;
use crate::index::table::{Run, Table};
use crate::index::votes::Votes;

/// A key with more postings is popular: its postings are not followed one by one
/// where there is other evidence.
pub(super) const POPULAR_ABOVE: u32 = 32;

/// Postings of one key that are looked at to find those that pass a filter, at
/// most.
pub(super) const VISITED_MAX: usize = 16_384;
/// Keys that are looked up, or put in, under one lock, at most.
const LOCKED_KEYS_MAX: usize = 512;
/// Homes of a table that grows before it is locked.
const HOMES_LARGE: usize = 4096;
/// Slots that most look-ups, and most changes, read from a home on.
const SEARCHED_SLOTS: usize = 10;
const CHANGED_SLOTS: usize = 25;
const LINE_BYTES: usize = 64;

pub(super) const TABLES: usize = 1 << TABLE_BITS;
const TABLE_BITS: u32 = 8;

/// A key, and the number of an article that has it.
pub(super) type Posting = (u64, u32);

/// The postings of an article.
pub(super) fn postings_of(keys: &[u64], number: u32) -> impl Iterator<Item = Posting> + '_ {
    keys.iter().map(move |key| (*key, number))
}

/// Posting lists.
#[derive(Debug)]
pub(super) struct Postings {
    tables: RwLock<Vec<Table>>,
    /// Held while postings are put in or taken out.
    writer: Mutex<()>,
}

/// What was found under keys, in their order.
#[derive(Debug, Default)]
pub(super) struct Found {
    keys: Vec<FoundKey>,
    numbers: Vec<u32>,
}

/// What was found under a key: its numbers, unless it is popular.
#[derive(Debug, Clone, Copy)]
struct FoundKey {
    frequency: u32,
    start: u32,
}

/// A number that belongs to a list.
#[derive(Debug, Clone, Copy)]
struct Listed {
    table: usize,
    /// Its place there.
    list: usize,
    number: u32,
}

fn empty() -> Vec<Table> {
    (0..).take(TABLES).map(Table::new).collect()
}

impl Postings {
    pub(super) fn new() -> Self {
        Self { tables: RwLock::new(empty()), writer: Mutex::new(()) }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        *self.write() = empty();
    }

    /// Adds postings; once where they are there already.
    pub(super) fn insert(&self, postings: &[Posting]) {
        self.change(postings, grown, |tables, postings| {
            let mut listed: Vec<Listed> = Vec::new();
            for (key, number) in postings {
                let place = table_of(*key);
                let Some(table) = tables.get_mut(place) else { continue };
                let list = table.insert_unless_listed(tag_of(*key), *number);
                listed.extend(list.map(|list| Listed { table: place, list, number: *number }));
            }
            peek_lists(tables, &listed);
            for Listed { table, list, number } in listed {
                if let Some(list) = tables.get_mut(table).and_then(|it| it.lists.get_mut(list)) {
                    list.insert(number);
                }
            }
        });
    }

    /// Removes postings, if they are there.
    pub(super) fn remove(&self, postings: &[Posting]) {
        let grow_none = |_: &[Table], _: &[Posting]| Vec::new();
        self.change(postings, grow_none, |tables, postings| {
            for (key, number) in postings {
                if let Some(table) = tables.get_mut(table_of(*key)) {
                    table.remove(tag_of(*key), *number);
                }
            }
        });
    }

    /// Looks keys up.
    pub(super) fn find(&self, keys: &[u64]) -> Found {
        let mut found =
            Found { keys: Vec::with_capacity(keys.len()), numbers: Vec::with_capacity(keys.len()) };
        for keys in keys.chunks(LOCKED_KEYS_MAX) {
            let tables = self.read();
            peek(&tables, keys.iter().copied(), SEARCHED_SLOTS);
            found.push_all(keys.iter().map(|key| run(&tables, *key)));
        }
        found
    }

    /// Calls `visit` with the numbers of a key from `first` on, ascending, until it has
    /// accepted `count_max` or seen [`VISITED_MAX`].
    pub(super) fn each(
        &self,
        key: u64,
        first: u32,
        count_max: usize,
        mut visit: impl FnMut(u32) -> bool,
    ) {
        let (mut seen, mut accepted) = (0, 0);
        let mut visit = |number| {
            seen += 1;
            accepted += usize::from(visit(number));
            accepted < count_max && seen < VISITED_MAX
        };
        match run(&self.read(), key) {
            Run::Few(few) => {
                let mut numbers = few.numbers().iter().copied().skip_while(|it| *it < first);
                while numbers.next().is_some_and(&mut visit) {}
            }
            Run::List(numbers) => numbers.each_from(first, visit),
        }
    }

    /// Counts `weight` for every article of a key that is a candidate already.
    pub(super) fn confirm<C: Facts>(&self, key: u64, votes: &mut Votes<'_, C>, weight: u32) {
        match run(&self.read(), key) {
            Run::Few(few) => {
                few.numbers().iter().for_each(|it| votes.confirm(*it, weight));
            }
            Run::List(Numbers::Gaps(gaps)) => {
                gaps.iter().for_each(|it| votes.confirm(it, weight));
            }
            Run::List(Numbers::Bitmap(bitmap)) => {
                votes.confirm_where(|it| bitmap.numbers.contains(it), weight);
            }
        }
    }

    /// Postings, and bytes of memory.
    pub(super) fn sizes(&self) -> (u64, u64) {
        let tables = self.read();
        let own = (tables.capacity() * size_of::<Table>()) as u64;
        tables
            .iter()
            .fold((0, own), |(count, bytes), table| (count + table.count(), bytes + table.bytes()))
    }

    /// Changes in the order of the tables, so that what is fetched is near what was. Readers
    /// wait for the change itself only, not for a table that grows, nor for what most
    /// changes have to fetch from memory.
    fn change(
        &self,
        postings: &[Posting],
        grow: impl Fn(&[Table], &[Posting]) -> Vec<(usize, Slots)>,
        act: impl Fn(&mut [Table], &[Posting]),
    ) {
        let postings = by_table(postings);
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for postings in postings.chunks(LOCKED_KEYS_MAX) {
            let grown = {
                let tables = self.read();
                peek(&tables, postings.iter().map(|it| it.0), CHANGED_SLOTS);
                grow(&tables, postings)
            };
            let mut replaced = Vec::with_capacity(grown.len());
            let mut tables = self.write();
            for (place, grown) in grown {
                replaced.extend(tables.get_mut(place).map(|it| it.adopt(grown)));
            }
            act(&mut tables, postings);
            drop(tables);
            drop(replaced);
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Vec<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Vec<Table>> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists for Postings {
    fn find(&self, keys: &[u64]) -> Found {
        Self::find(self, keys)
    }

    #[inline]
    fn each(&self, key: u64, first: u32, count_max: usize, visit: impl FnMut(u32) -> bool) {
        Self::each(self, key, first, count_max, visit);
    }

    fn confirm<C: Facts>(&self, key: u64, votes: &mut Votes<'_, C>, weight: u32) {
        Self::confirm(self, key, votes, weight);
    }
}

impl Found {
    /// What some lists have: of each the number of postings, and its numbers.
    pub(super) fn of<'a>(lists: impl Iterator<Item = (u32, &'a [u32])>) -> Self {
        let mut found = Self::default();
        for (frequency, numbers) in lists {
            let start = u32::try_from(found.numbers.len()).unwrap_or(u32::MAX);
            if frequency <= POPULAR_ABOVE {
                found.numbers.extend_from_slice(numbers);
            }
            found.keys.push(FoundKey { frequency, start });
        }
        found
    }

    /// In how many articles each key is.
    pub(super) fn frequencies(&self, keys: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        self.keys.get(keys).unwrap_or_default().iter().map(|it| it.frequency)
    }

    /// The numbers of all keys but popular ones.
    pub(super) fn all_numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The numbers of a key; none of a popular one.
    #[inline]
    pub(super) fn numbers(&self, key: usize) -> &[u32] {
        let Some(FoundKey { frequency, start }) = self.keys.get(key) else { return &[] };
        let len = if *frequency > POPULAR_ABOVE { 0 } else { *frequency };
        self.numbers.get(*start as usize..(start + len) as usize).unwrap_or_default()
    }

    /// Adds what was found. Lists are read behind all others, so that the cache misses of
    /// finding them overlap.
    fn push_all<'a>(&mut self, runs: impl Iterator<Item = Run<'a>>) {
        let mut lists: Vec<(usize, &Numbers)> = Vec::new();
        for run in runs {
            let start = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            match run {
                Run::Few(few) => self.numbers.extend_from_slice(few.numbers()),
                Run::List(list) => lists.push((self.keys.len(), list)),
            }
            let end = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            self.keys.push(FoundKey { frequency: end - start, start });
        }
        for (at, list) in &lists {
            if let Some(key) = self.keys.get_mut(*at) {
                key.frequency = list.len();
            }
        }
        lists.retain(|it| it.1.len() <= POPULAR_ABOVE);
        black_box(lists.iter().fold(0, |all, it| all ^ it.1.end().first().unwrap_or(&0)));
        for (at, list) in lists {
            if let Some(key) = self.keys.get_mut(at) {
                key.start = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
                list.each_from(0, |it| {
                    self.numbers.push(it);
                    true
                });
            }
        }
    }
}

/// Postings in the order of their tables, those of one as they were.
fn by_table(postings: &[Posting]) -> Vec<Posting> {
    let mut places = vec![0_usize; TABLES];
    let tables = postings.iter().map(|it| table_of(it.0));
    for table in tables.clone() {
        places.get_mut(table).into_iter().for_each(|it| *it += 1);
    }
    let mut before = 0;
    for place in &mut places {
        before += std::mem::replace(place, before);
    }
    let mut ordered = vec![Posting::default(); postings.len()];
    for (table, posting) in tables.zip(postings) {
        let Some(place) = places.get_mut(table) else { continue };
        ordered.get_mut(*place).into_iter().for_each(|it| *it = *posting);
        *place += 1;
    }
    ordered
}

/// Lets the cache misses of look-ups overlap: finds first where the keys are at home, then
/// reads the memory of so many slots there with nothing in between, so that as much is
/// fetched at once as the processor can wait for.
fn peek(tables: &[Table], keys: impl Iterator<Item = u64>, slots: usize) {
    let memory = |key: u64| tables.get(table_of(key)).map(|it| it.memory(tag_of(key), slots));
    let homes: Vec<&[u8]> = keys.filter_map(memory).collect();
    let byte = |home: &[u8], at: usize| home.get(at).copied().unwrap_or(0);
    let all = homes.iter().fold(0, |all, home| {
        let first = byte(home, 0) ^ byte(home, LINE_BYTES) ^ byte(home, 2 * LINE_BYTES);
        all ^ first ^ home.last().unwrap_or(&0)
    });
    black_box(all);
}

/// The same for the ends of lists.
fn peek_lists(tables: &[Table], listed: &[Listed]) {
    let list = |it: &Listed| tables.get(it.table).and_then(|table| table.lists.get(it.list));
    let ends: Vec<&[u8]> = listed.iter().filter_map(list).map(Numbers::end).collect();
    black_box(ends.iter().fold(0, |all, it| all ^ it.first().unwrap_or(&0)));
}

/// The tables that are to grow before they take these postings, which are in their order;
/// the small ones do so by the way.
fn grown(tables: &[Table], postings: &[Posting]) -> Vec<(usize, Slots)> {
    let by_table = postings.chunk_by(|a, b| table_of(a.0) == table_of(b.0));
    let grown = by_table.filter_map(|of_table| {
        let place = table_of(of_table.first()?.0);
        let table = tables.get(place).filter(|it| it.slots.homes() > HOMES_LARGE)?;
        table.is_full_with(of_table.len()).then(|| (place, table.grown()))
    });
    grown.collect()
}

#[inline]
fn run(tables: &[Table], key: u64) -> Run<'_> {
    tables.get(table_of(key)).map_or(Run::NONE, |table| table.find(tag_of(key)))
}

#[inline]
fn table_of(key: u64) -> usize {
    usize::try_from(key >> (u64::BITS - TABLE_BITS)).unwrap_or(0)
}

#[inline]
fn tag_of(key: u64) -> u32 {
    // The greatest tag would make a slot of all ones, which says empty.
    hash::low_half(key).min(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(postings: &Postings, key: u64) -> Vec<u32> {
        let mut found = Vec::new();
        postings.each(key, 0, usize::MAX, |it| {
            found.push(it);
            true
        });
        found
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_sets(
            steps in proptest::collection::vec((0..4_u8, 0_u64..12, 0_u32..90), 0..1500),
        ) {
            let postings = Postings::new();
            let mut model: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); 12];
            let key = |tag: u64| if tag < 6 { tag } else { u64::MAX - tag };
            for (step, tag, number) in steps {
                let set = &mut model[usize::try_from(tag).unwrap()];
                if step > 0 {
                    postings.insert(&[(key(tag), number)]);
                    set.insert(number);
                } else {
                    postings.remove(&[(key(tag), number)]);
                    set.remove(&number);
                }
            }
            let keys: Vec<u64> = (0..12).map(key).collect();
            let found = postings.find(&keys);
            for (at, set) in model.iter().enumerate() {
                prop_assert!(all(&postings, keys[at]).iter().eq(set));
                let is_popular = set.len() > POPULAR_ABOVE as usize;
                prop_assert!(is_popular || found.numbers(at).iter().eq(set));
                prop_assert!(!is_popular || found.numbers(at).is_empty());
            }
            prop_assert!(found.frequencies(0..12).map(|it| it as usize).eq(model.iter().map(BTreeSet::len)));
            let count: usize = model.iter().map(BTreeSet::len).sum();
            prop_assert_eq!(postings.sizes().0, count as u64);
        }
    }

    proptest! {
        #[test]
        fn postings_that_go_together_are_those_that_go_one_by_one(
            postings in proptest::collection::vec((0_u64..40, 0_u32..60), 0..3000),
            gone in proptest::collection::vec((0_u64..40, 0_u32..60), 0..3000),
        ) {
            // Few keys have many postings; some share a table, and some a tag too.
            let key = |it: u64| ((it % 8) << 56) | (it / 8 % 3);
            let of = |it: &[(u64, u32)]| it.iter().map(|it| (key(it.0), it.1)).collect::<Vec<_>>();
            let (postings, gone) = (of(&postings), of(&gone));
            let (together, single) = (Postings::new(), Postings::new());
            together.insert(&postings);
            together.remove(&gone);
            for posting in &postings {
                single.insert(&[*posting]);
            }
            for posting in &gone {
                single.remove(&[*posting]);
            }
            for key in (0..40).map(key) {
                prop_assert_eq!(all(&together, key), all(&single, key));
            }
            prop_assert_eq!(together.sizes().0, single.sizes().0);
        }
    }

    #[test]
    fn tables_grow_before_they_take_what_does_not_fit() {
        let postings = Postings::new();
        // All in one table, which is large when the last of them come.
        let key = |it: u32| u64::from(hash::low_half(hash::mix(u64::from(it) + 1)));
        let homes = || postings.read()[0].slots.homes();
        let mut growths = 0;
        for from in (0..60_000).step_by(1000) {
            for from in [from, from + 500] {
                let new: Vec<Posting> = (from..from + 500).map(|it| (key(it), it)).collect();
                let next = grown(&postings.read(), &by_table(&new)).pop();
                let expected = next.as_ref().map_or_else(homes, |it| it.1.homes());
                let is_large = homes() > HOMES_LARGE;
                growths += usize::from(next.is_some());
                postings.insert(&new);
                assert!(!is_large || homes() == expected, "it grew while it was locked");
            }
        }
        assert!(growths > 5 && postings.sizes().0 == 60_000);
        let found = postings.find(&(0..60_000).map(key).collect::<Vec<_>>());
        assert!((0..60_000).all(|it| found.numbers(it).contains(&u32::try_from(it).unwrap())));
        let before = homes();
        postings.remove(&(0..60_000).map(|it| (key(it), it)).collect::<Vec<_>>());
        assert_eq!((postings.sizes().0, homes()), (0, before));
    }

    #[test]
    fn a_posting_takes_about_nine_bytes() {
        let postings = Postings::new();
        for number in 0..400_000 {
            postings.insert(&[(hash::mix(u64::from(number) + 1), number)]);
        }
        let (count, bytes) = postings.sizes();
        assert_eq!(count, 400_000);
        let own = (TABLES * size_of::<Table>()) as u64;
        assert!(bytes - own < 10 * count, "{bytes}");
    }
}
