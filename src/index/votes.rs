//! The candidates of one question and what speaks for each. Knows columns, and not
//! where postings come from.

use crate::index::propose::Facts;
use crate::index::{CANDIDATES_MAX, Filter};
use crate::store::ArticleNumber;

/// Candidates that a question weighs, at most.
pub(super) const WEIGHED_MAX: usize = 4096;
const SLOTS_MIN: usize = 128;

/// Numbers with their votes in the order in which they came, each a number above its
/// votes, and an open-addressing table of at most half its slots that says where they are.
pub(super) struct Votes<'a, C> {
    filter: &'a Filter,
    columns: &'a C,
    /// Whether only numbers are filtered, so that no facets are looked at.
    is_open: bool,
    counts: Vec<u64>,
    /// Places in the counts from 1 on; 0 is empty.
    slots: Vec<u16>,
}

const _: () = assert!(WEIGHED_MAX <= u16::MAX as usize);

impl<C> Clone for Votes<'_, C> {
    fn clone(&self) -> Self {
        let Self { filter, columns, is_open, counts, slots } = self;
        let (counts, slots) = (counts.clone(), slots.clone());
        Self { filter, columns, is_open: *is_open, counts, slots }
    }
}

impl<'a, C: Facts> Votes<'a, C> {
    pub(super) fn new(filter: &'a Filter, columns: &'a C) -> Self {
        let Filter { sites, other_than_site, languages, published_s, numbers: _ } = filter;
        let is_open = sites.is_empty()
            && other_than_site.is_none()
            && languages.is_empty()
            && published_s.is_none();
        Self { filter, columns, is_open, counts: Vec::new(), slots: vec![0; SLOTS_MIN] }
    }

    /// Number of candidates.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The candidates.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.each().map(|it| it.0)
    }

    /// Whether an article passes the filter.
    #[inline]
    pub(super) fn passes(&self, number: u32) -> bool {
        self.filter.numbers.contains(&number)
            && (self.is_open || self.filter.passes(number, &self.columns.facets(number)))
    }

    /// Counts `weight` for an article, if it passes the filter and there is room for it.
    #[inline]
    pub(super) fn add(&mut self, number: u32, weight: u32) -> bool {
        if !self.passes(number) {
            return false;
        }
        match self.place(number) {
            Place::Count(at) => self.count(at, weight),
            Place::Slot(_) if self.counts.len() == WEIGHED_MAX => return false,
            Place::Slot(slot) => {
                self.counts.push(slot_of(number, weight));
                self.point(slot, self.counts.len());
                if 2 * self.counts.len() > self.slots.len() {
                    self.lay_out(4 * self.slots.len());
                }
            }
        }
        true
    }

    /// Counts `weight` for an article that is among them.
    #[inline]
    pub(super) fn confirm(&mut self, number: u32, weight: u32) {
        if let Place::Count(at) = self.place(number) {
            self.count(at, weight);
        }
    }

    /// Counts `weight` for those among them that a list has.
    pub(super) fn confirm_where(&mut self, is_listed: impl Fn(u32) -> bool, weight: u32) {
        for count in self.counts.iter_mut().filter(|it| is_listed(parts(**it).0)) {
            *count += u64::from(weight);
        }
    }

    /// Forgets all but those with most votes.
    pub(super) fn keep_best(&mut self, count: usize) {
        if self.len() <= count {
            return;
        }
        let best = best_of(self.each(), count);
        self.counts = best.into_iter().map(|(number, votes)| slot_of(number.0, votes)).collect();
        self.lay_out(self.slots.len());
    }

    /// The candidates that `accept` takes by number and votes, each with its votes, most
    /// votes first, then the oldest.
    pub(super) fn ranked(&self, accept: impl Fn(u32, u32) -> bool) -> Vec<(ArticleNumber, u32)> {
        best_of(self.each().filter(|it| accept(it.0, it.1)), CANDIDATES_MAX)
    }

    fn each(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.counts.iter().map(|it| parts(*it))
    }

    #[inline]
    fn count(&mut self, at: usize, weight: u32) {
        if let Some(count) = self.counts.get_mut(at) {
            *count += u64::from(weight);
        }
    }

    /// Lets a slot say where the count is that came so many-th.
    #[inline]
    fn point(&mut self, slot: usize, place: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = u16::try_from(place).unwrap_or(u16::MAX);
        }
    }

    /// Where the count of a number is, or the slot that would say so.
    #[inline]
    fn place(&self, number: u32) -> Place {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing: the upper bits of the product are spread.
        let hash = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut slot = usize::try_from(hash).unwrap_or(0) & mask;
        loop {
            let place = usize::from(self.slots.get(slot).copied().unwrap_or(0));
            let Some(at) = place.checked_sub(1) else { return Place::Slot(slot) };
            if self.counts.get(at).is_none_or(|it| parts(*it).0 == number) {
                return Place::Count(at);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Makes a table of so many slots.
    #[cold]
    fn lay_out(&mut self, slots: usize) {
        self.slots = vec![0; slots];
        for at in 0..self.counts.len() {
            let number = self.counts.get(at).map_or(0, |it| parts(*it).0);
            if let Place::Slot(slot) = self.place(number) {
                self.point(slot, at + 1);
            }
        }
    }
}

/// Where a number is.
enum Place {
    /// Among the counts.
    Count(usize),
    /// Nowhere: in which slot it would be.
    Slot(usize),
}

/// The `count` with most votes, most votes first, then the oldest.
fn best_of(found: impl Iterator<Item = (u32, u32)>, count: usize) -> Vec<(ArticleNumber, u32)> {
    let mut found: Vec<u64> = found.map(|(number, votes)| slot_of(!votes, number)).collect();
    if found.len() > count {
        found.select_nth_unstable(count);
        found.truncate(count);
    }
    found.sort_unstable();
    let (votes, numbers): (Vec<_>, Vec<_>) = found.into_iter().map(parts).unzip();
    numbers.into_iter().map(ArticleNumber).zip(votes.into_iter().map(|it: u32| !it)).collect()
}

#[inline]
fn slot_of(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

#[inline]
fn parts(slot: u64) -> (u32, u32) {
    (crate::hash::high_half(slot), crate::hash::low_half(slot))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::index::columns::Columns;

    proptest! {
        #[test]
        fn they_are_a_map_of_sums(
            steps in proptest::collection::vec((0_u8..3, 0_u32..2000, 1_u32..50), 0..3000),
            kept in 1_usize..200,
        ) {
            let (filter, columns) = (Filter { numbers: 0..1900, ..Filter::all() }, Columns::default());
            let mut votes = Votes::new(&filter, &columns);
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for (step, number, weight) in steps {
                if step > 0 {
                    prop_assert_eq!(votes.add(number, weight), number < 1900);
                    if number < 1900 {
                        *model.entry(number).or_default() += weight;
                    }
                } else {
                    votes.confirm(number, weight);
                    model.entry(number).and_modify(|it| *it += weight);
                }
            }
            let best = |count: usize, model: &BTreeMap<u32, u32>| {
                let mut best: Vec<(u32, u32)> = model.iter().map(|it| (*it.0, *it.1)).collect();
                best.sort_by_key(|it| (std::cmp::Reverse(it.1), it.0));
                best.truncate(count);
                best
            };
            let ranked = |votes: &Votes<'_, Columns>| -> Vec<(u32, u32)> {
                votes.ranked(|_, _| true).into_iter().map(|it| (it.0.0, it.1)).collect()
            };
            prop_assert_eq!(votes.len(), model.len());
            prop_assert_eq!(ranked(&votes), best(CANDIDATES_MAX, &model));
            votes.keep_best(kept);
            let mut model: BTreeMap<u32, u32> = best(kept, &model).into_iter().collect();
            votes.confirm_where(|it| it % 2 == 0, 1000);
            model.iter_mut().filter(|it| it.0 % 2 == 0).for_each(|it| *it.1 += 1000);
            prop_assert_eq!(ranked(&votes), best(CANDIDATES_MAX, &model));
        }
    }

    #[test]
    fn no_more_than_can_be_weighed_are_taken() {
        let (filter, columns) = (Filter::all(), Columns::default());
        let mut votes = Votes::new(&filter, &columns);
        let end = u32::try_from(WEIGHED_MAX).unwrap();
        assert!((0..end).all(|it| votes.add(it * 7, 1)));
        assert!(!votes.add(3, 1) && votes.add(7, 1));
        assert_eq!(votes.len(), WEIGHED_MAX);
        assert_eq!(votes.ranked(|_, votes| votes > 1), [(ArticleNumber(7), 2)]);
    }
}
