//! A long list of article numbers. Knows not what they are listed for.
//!
//! Up to [`GAPS_MAX`] numbers it holds the gaps between them, each in as few bytes as
//! it needs (LEB128): 1 to 3 bytes a number, however far they are strewn. Beyond, it
//! is a compressed bitmap, which is searched without reading all of it.

use roaring::RoaringBitmap;

/// Numbers of a list that are held as gaps, at most: reading so many takes about a
/// microsecond.
const GAPS_MAX: u32 = 1024;
/// What the heap takes for an allocation, besides its bytes.
const ALLOCATION_BYTES: usize = 16;
/// What a container of a bitmap takes, besides its values.
const CONTAINER_BYTES: usize = 40 + ALLOCATION_BYTES;

/// Numbers, ascending, each once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    Gaps(Gaps),
    Bitmap(Bitmap),
}

/// Numbers as a bitmap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bitmap {
    pub(super) numbers: RoaringBitmap,
    /// How many they are: the bitmap would have to look all over its memory.
    len: u32,
}

impl Bitmap {
    pub(super) fn of(numbers: RoaringBitmap) -> Self {
        let len = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        Self { numbers, len }
    }

    fn insert(&mut self, number: u32) {
        self.len += u32::from(self.numbers.insert(number));
    }

    fn remove(&mut self, number: u32) {
        self.len -= u32::from(self.numbers.remove(number));
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Gaps(Gaps::default())
    }
}

impl Numbers {
    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Gaps(gaps) => gaps.len,
            Self::Bitmap(bitmap) => bitmap.len,
        }
    }

    /// The greatest; `None` of none.
    pub(super) fn last(&self) -> Option<u32> {
        match self {
            Self::Gaps(gaps) => (gaps.len > 0).then_some(gaps.last),
            Self::Bitmap(bitmap) => bitmap.numbers.max(),
        }
    }

    /// The memory that a number is added to, if it is the greatest; that of a bitmap is not
    /// known from outside.
    pub(super) fn end(&self) -> &[u8] {
        match self {
            Self::Gaps(gaps) => gaps.bytes.last().map_or(&[], std::slice::from_ref),
            Self::Bitmap(_) => &[],
        }
    }

    /// Adds a number; once where it is there already.
    pub(super) fn insert(&mut self, number: u32) {
        match self {
            Self::Gaps(gaps) => {
                gaps.insert(number);
                if gaps.len > GAPS_MAX {
                    *self = Self::Bitmap(Bitmap::of(gaps.iter().collect()));
                }
            }
            Self::Bitmap(bitmap) => bitmap.insert(number),
        }
    }

    /// Removes a number, if it is there.
    pub(super) fn remove(&mut self, number: u32) {
        match self {
            Self::Gaps(gaps) => gaps.remove(number),
            Self::Bitmap(bitmap) => {
                bitmap.remove(number);
                if bitmap.len <= GAPS_MAX / 2 {
                    *self = Self::Gaps(Gaps::of(bitmap.numbers.iter()));
                }
            }
        }
    }

    /// All numbers.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Self::Gaps(gaps) => Box::new(gaps.iter()),
            Self::Bitmap(bitmap) => Box::new(bitmap.numbers.iter()),
        }
    }

    /// Calls `visit` with each number from `first` on while it says so.
    #[inline]
    pub(super) fn each_from(&self, first: u32, mut visit: impl FnMut(u32) -> bool) {
        match self {
            Self::Gaps(gaps) => {
                let mut numbers = gaps.iter().skip_while(|it| *it < first);
                while numbers.next().is_some_and(&mut visit) {}
            }
            Self::Bitmap(bitmap) => {
                let mut numbers = bitmap.numbers.iter();
                numbers.advance_to(first);
                let mut some = [0; 128];
                while let some = &*numbers.next_many(&mut some)
                    && !some.is_empty()
                    && some.iter().copied().all(&mut visit)
                {}
            }
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Gaps(gaps) => gaps.bytes.capacity() + ALLOCATION_BYTES,
            Self::Bitmap(bitmap) => {
                let is = bitmap.numbers.statistics();
                let values = is.n_bytes_array_containers
                    + is.n_bytes_run_containers
                    + is.n_bytes_bitset_containers;
                let containers = CONTAINER_BYTES * is.n_containers as usize;
                containers + usize::try_from(values).unwrap_or(usize::MAX)
            }
        }
    }
}

/// Numbers as the gaps between them; the first is the gap from 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Gaps {
    pub(super) bytes: Vec<u8>,
    pub(super) len: u32,
    pub(super) last: u32,
}

impl Gaps {
    /// Of numbers, ascending.
    pub(super) fn of(numbers: impl Iterator<Item = u32>) -> Self {
        let mut gaps = Self::default();
        numbers.for_each(|it| gaps.push(it));
        gaps
    }

    /// Of their bytes, if these are what they say.
    pub(super) fn checked(bytes: Vec<u8>, len: u32, last: u32) -> Option<Self> {
        let gaps = Self { bytes, len, last };
        let mut numbers = gaps.iter();
        let mut before = None;
        for _ in 0..len {
            let number = numbers.next().filter(|it| before < Some(*it))?;
            before = Some(number);
        }
        let is_whole = numbers.bytes.is_empty() && before.unwrap_or(0) == last;
        is_whole.then_some(gaps)
    }

    #[inline]
    pub(super) fn iter(&self) -> GapsIter<'_> {
        GapsIter { bytes: &self.bytes, number: 0 }
    }

    fn insert(&mut self, number: u32) {
        if self.len == 0 || number > self.last {
            self.push(number);
            return;
        }
        let (before, start, found, end) = self.place(number);
        if found != number {
            let mut gaps = Vec::with_capacity(2 * GAP_BYTES);
            push_gap(&mut gaps, number - before);
            push_gap(&mut gaps, found - number);
            self.bytes.splice(start..end, gaps);
            self.len += 1;
        }
    }

    fn remove(&mut self, number: u32) {
        if self.len == 0 || number > self.last {
            return;
        }
        let (before, start, found, end) = self.place(number);
        if found != number {
            return;
        }
        self.len -= 1;
        if number == self.last {
            self.bytes.truncate(start);
            self.last = before;
            return;
        }
        let mut rest = GapsIter { bytes: self.bytes.get(end..).unwrap_or_default(), number };
        let Some(next) = rest.next() else { return };
        let end = self.bytes.len() - rest.bytes.len();
        let mut gap = Vec::with_capacity(GAP_BYTES);
        push_gap(&mut gap, next - before);
        self.bytes.splice(start..end, gap);
    }

    /// The first number that is not below another one, which is at most the last: the
    /// number before it, where its gap starts, the number itself, where its gap ends.
    fn place(&self, number: u32) -> (u32, usize, u32, usize) {
        let mut numbers = self.iter();
        loop {
            let (before, start) = (numbers.number, self.bytes.len() - numbers.bytes.len());
            let Some(found) = numbers.next() else { return (before, start, number, start) };
            if found >= number {
                return (before, start, found, self.bytes.len() - numbers.bytes.len());
            }
        }
    }

    fn push(&mut self, number: u32) {
        if self.bytes.capacity() - self.bytes.len() < GAP_BYTES {
            self.bytes.reserve_exact(2 * GAP_BYTES + self.bytes.len() / 8);
        }
        push_gap(&mut self.bytes, number - self.last);
        self.last = number;
        self.len += 1;
    }
}

/// Bytes of a gap, at most.
const GAP_BYTES: usize = 5;

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time are what is asked for")]
fn push_gap(bytes: &mut Vec<u8>, mut gap: u32) {
    while gap >= 0x80 {
        bytes.push(gap as u8 | 0x80);
        gap >>= 7;
    }
    bytes.push(gap as u8);
}

#[derive(Debug)]
pub(super) struct GapsIter<'a> {
    bytes: &'a [u8],
    number: u32,
}

impl Iterator for GapsIter<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let (first, mut rest) = self.bytes.split_first()?;
        let mut gap = u32::from(*first & 0x7f);
        let (mut last, mut shift) = (*first, 7);
        while last & 0x80 != 0
            && let Some((next, behind)) = rest.split_first()
        {
            gap |= u32::from(*next & 0x7f).wrapping_shl(shift);
            (last, rest, shift) = (*next, behind, shift + 7);
        }
        self.bytes = rest;
        self.number = self.number.wrapping_add(gap);
        Some(self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            steps in proptest::collection::vec((0..3_u8, 0..40_u32, 0..32_u32), 0..600),
        ) {
            let mut numbers = Numbers::default();
            let mut model = BTreeSet::new();
            for (step, low, shift) in steps {
                let number = (low << shift).min(u32::MAX - 1);
                if step > 0 {
                    numbers.insert(number);
                    model.insert(number);
                } else {
                    numbers.remove(number);
                    model.remove(&number);
                }
                prop_assert_eq!(numbers.len() as usize, model.len());
            }
            prop_assert!(numbers.iter().eq(model.iter().copied()));
            let mut seen = Vec::new();
            numbers.each_from(1000, |it| { seen.push(it); true });
            prop_assert!(seen.into_iter().eq(model.range(1000..).copied()));
        }
    }

    #[test]
    fn it_becomes_a_bitmap_and_gaps_again() {
        let mut numbers = Numbers::default();
        let all: Vec<u32> = (0..3 * GAPS_MAX).map(|it| it * 70).collect();
        for number in &all {
            numbers.insert(*number);
        }
        assert!(matches!(numbers, Numbers::Bitmap(_)) && numbers.iter().eq(all.iter().copied()));
        let between = [all[5] + 1, all[7], all[9] + 1, all[9] + 1];
        for number in between {
            numbers.insert(number);
        }
        assert_eq!(numbers.len() as usize, all.len() + 2);
        for number in between.into_iter().filter(|it| *it != all[7]) {
            numbers.remove(number);
        }
        assert_eq!((numbers.len() as usize, numbers.last()), (all.len(), all.last().copied()));
        for number in all.iter().skip(50) {
            numbers.remove(*number);
        }
        assert!(matches!(numbers, Numbers::Gaps(_)));
        assert!(numbers.iter().eq(all.iter().take(50).copied()));
    }
}
