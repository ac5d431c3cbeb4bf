//! The candidates of one question and what speaks for each. Knows columns, and not
//! where postings come from.

use crate::index::propose::Facts;
use crate::index::{CANDIDATES_MAX, Filter};
use crate::store::ArticleNumber;

/// Candidates that a question weighs, at most.
pub(super) const WEIGHED_MAX: usize = 4096;
const SLOTS_MIN: usize = 64;
const EMPTY: u64 = u64::MAX;

/// Numbers with their votes: an open-addressing table of at most half its slots, a
/// number above its votes.
pub(super) struct Votes<'a, C> {
    filter: &'a Filter,
    columns: &'a C,
    /// Whether only numbers are filtered, so that no facets are looked at.
    is_open: bool,
    slots: Vec<u64>,
    len: usize,
}

impl<C> Clone for Votes<'_, C> {
    fn clone(&self) -> Self {
        let Self { filter, columns, is_open, slots, len } = self;
        Self { filter, columns, is_open: *is_open, slots: slots.clone(), len: *len }
    }
}

impl<'a, C: Facts> Votes<'a, C> {
    pub(super) fn new(filter: &'a Filter, columns: &'a C) -> Self {
        let Filter { sites, other_than_site, languages, published_s, numbers: _ } = filter;
        let is_open = sites.is_empty()
            && other_than_site.is_none()
            && languages.is_empty()
            && published_s.is_none();
        Self { filter, columns, is_open, slots: vec![EMPTY; SLOTS_MIN], len: 0 }
    }

    /// Number of candidates.
    pub(super) fn len(&self) -> usize {
        self.len
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
        let at = self.place(number);
        let Some(slot) = self.slots.get_mut(at) else { return false };
        if *slot != EMPTY {
            *slot += u64::from(weight);
            return true;
        }
        if self.len == WEIGHED_MAX {
            return false;
        }
        *slot = slot_of(number, weight);
        self.len += 1;
        if 2 * self.len > self.slots.len() {
            self.grow();
        }
        true
    }

    /// Counts `weight` for an article that is among them.
    #[inline]
    pub(super) fn confirm(&mut self, number: u32, weight: u32) {
        let at = self.place(number);
        if let Some(slot) = self.slots.get_mut(at)
            && *slot != EMPTY
        {
            *slot += u64::from(weight);
        }
    }

    /// Counts `weight` for those among them that a list has.
    pub(super) fn confirm_where(&mut self, is_listed: impl Fn(u32) -> bool, weight: u32) {
        for slot in self.slots.iter_mut().filter(|it| **it != EMPTY) {
            if is_listed(parts(*slot).0) {
                *slot += u64::from(weight);
            }
        }
    }

    /// Forgets all but those with most votes.
    pub(super) fn keep_best(&mut self, count: usize) {
        if self.len <= count {
            return;
        }
        let best = best_of(self.each(), count);
        self.slots.fill(EMPTY);
        self.len = best.len();
        for (number, votes) in best {
            let at = self.place(number.0);
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = slot_of(number.0, votes);
            }
        }
    }

    /// The candidates that `accept` takes by number and votes, each with its votes, most
    /// votes first, then the oldest.
    pub(super) fn ranked(&self, accept: impl Fn(u32, u32) -> bool) -> Vec<(ArticleNumber, u32)> {
        best_of(self.each().filter(|it| accept(it.0, it.1)), CANDIDATES_MAX)
    }

    fn each(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.slots.iter().filter(|it| **it != EMPTY).map(|it| parts(*it))
    }

    /// Where a number stands, or would.
    #[inline]
    fn place(&self, number: u32) -> usize {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing: the upper bits of the product are spread.
        let hash = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut at = usize::try_from(hash).unwrap_or(0) & mask;
        while self.slots.get(at).is_some_and(|it| *it != EMPTY && parts(*it).0 != number) {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![EMPTY; self.slots.len() * 4];
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.into_iter().filter(|it| *it != EMPTY) {
            let at = self.place(parts(slot).0);
            if let Some(place) = self.slots.get_mut(at) {
                *place = slot;
            }
        }
    }
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
