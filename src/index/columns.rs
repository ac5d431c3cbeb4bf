//! What the index knows of each article number: whether there is such an article,
//! its facets, its SimHash, and how many anchors it has.

use std::ops::Range;

use crate::hash;
use crate::index::propose::Facts;
use crate::index::{Entry, Facets};
use crate::sketch::simhash::SimHash;

/// What is known of a number, but for its SimHash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) site: u32,
    pub(super) language: u32,
    /// [`TIME_UNKNOWN`] where it is not known.
    pub(super) published_s: i64,
    /// [`ABSENT`] where there is no such article.
    pub(super) anchor_count: u32,
}

/// Words of a column and its SimHash, where they are written as words.
pub(super) const COLUMN_WORDS: usize = 4;
const TIME_UNKNOWN: i64 = i64::MIN;
const ABSENT: u32 = u32::MAX;

const NO_COLUMN: Column =
    Column { site: 0, language: 0, published_s: TIME_UNKNOWN, anchor_count: ABSENT };

/// The columns of all numbers, from 0 on.
#[derive(Debug, Default)]
pub(super) struct Columns {
    all: Vec<Column>,
    /// Apart, because a question looks at thousands of them and at little else.
    simhashes: Vec<u64>,
}

impl Columns {
    /// Sets the columns of articles; returns how many were not there.
    pub(super) fn insert(&mut self, entries: &[Entry]) -> u64 {
        let end = entries.iter().map(|it| it.number.0 as usize + 1).max().unwrap_or(0);
        resize(&mut self.all, end, NO_COLUMN);
        resize(&mut self.simhashes, end, 0);
        let mut new = 0;
        for entry in entries {
            if let Some(column) = self.all.get_mut(entry.number.0 as usize) {
                new += u64::from(!column.is_present());
                *column = Column::of(entry);
            }
            if let Some(simhash) = self.simhashes.get_mut(entry.number.0 as usize) {
                *simhash = entry.keys.sketch.simhash.bits();
            }
        }
        new
    }

    /// Forgets articles; returns how many were there.
    pub(super) fn remove(&mut self, entries: &[Entry]) -> u64 {
        let mut gone = 0;
        for entry in entries {
            if let Some(column) = self.all.get_mut(entry.number.0 as usize) {
                gone += u64::from(column.is_present());
                *column = NO_COLUMN;
            }
        }
        gone
    }

    /// One above the greatest number that has been.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Articles.
    pub(super) fn present(&self) -> u64 {
        self.all.iter().filter(|it| it.is_present()).count() as u64
    }

    /// The columns of some numbers as words, [`COLUMN_WORDS`] each.
    pub(super) fn words(&self, numbers: Range<usize>) -> Vec<u64> {
        let all = self.all.get(numbers.clone()).unwrap_or_default();
        let simhashes = self.simhashes.get(numbers).unwrap_or_default();
        let words = all.iter().zip(simhashes).flat_map(|(column, simhash)| {
            let Column { site, language, published_s, anchor_count } = *column;
            let facets = (u64::from(site) << 32) | u64::from(language);
            [facets, published_s.cast_unsigned(), u64::from(anchor_count), *simhash]
        });
        words.collect()
    }

    /// Sets the columns of the numbers from `start` on.
    pub(super) fn set_words(&mut self, start: usize, words: &[u64]) {
        let (columns, _) = words.as_chunks::<COLUMN_WORDS>();
        resize(&mut self.all, start + columns.len(), NO_COLUMN);
        resize(&mut self.simhashes, start + columns.len(), 0);
        let all = self.all.iter_mut().zip(&mut self.simhashes).skip(start);
        for ((column, own), [facets, published_s, anchor_count, simhash]) in all.zip(columns) {
            *column = Column {
                site: hash::high_half(*facets),
                language: hash::low_half(*facets),
                published_s: published_s.cast_signed(),
                anchor_count: hash::low_half(*anchor_count),
            };
            *own = *simhash;
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> u64 {
        let simhashes = self.simhashes.capacity() * size_of::<u64>();
        (self.all.capacity() * size_of::<Column>() + simhashes) as u64
    }

    #[inline]
    fn column(&self, number: u32) -> &Column {
        self.all.get(number as usize).unwrap_or(&NO_COLUMN)
    }
}

impl Facts for Columns {
    #[inline]
    fn facets(&self, number: u32) -> Facets {
        let column = self.column(number);
        let is_known = column.published_s != TIME_UNKNOWN;
        Facets {
            site: column.site,
            language: column.language,
            published_s: is_known.then_some(column.published_s),
        }
    }

    #[inline]
    fn simhash(&self, number: u32) -> SimHash {
        SimHash::from_bits(self.simhashes.get(number as usize).copied().unwrap_or_default())
    }

    #[inline]
    fn anchor_count(&self, number: u32) -> u32 {
        let column = self.column(number);
        if column.is_present() { column.anchor_count } else { 0 }
    }
}

impl Column {
    pub(super) fn is_present(&self) -> bool {
        self.anchor_count != ABSENT
    }

    fn of(entry: &Entry) -> Self {
        let Entry { number: _, keys, facets } = entry;
        let Facets { site, language, published_s } = *facets;
        Self {
            site,
            language,
            published_s: published_s.unwrap_or(TIME_UNKNOWN),
            anchor_count: u32::try_from(keys.anchors.len()).unwrap_or(ABSENT).min(ABSENT - 1),
        }
    }
}

/// Makes room for numbers below `end`, by an eighth more where room is short: doubling
/// would leave a quarter empty, on average.
fn resize<T: Clone>(all: &mut Vec<T>, end: usize, absent: T) {
    if end > all.capacity() {
        all.reserve_exact((end - all.len()).max(all.len() / 8));
    }
    if end > all.len() {
        all.resize(end, absent);
    }
}
