//! The slots of a table, in a row: 64 bits each, a tag above a number, ascending, with
//! gaps. Knows how they are packed into memory, and not what the numbers are.
//!
//! A tag has a home, and its slot stands there or a little behind. So the place of a
//! slot says about what its tag is, and a *narrow* row leaves out the upper eight bits
//! of the tag (quotienting, Knuth 1973): 48 bits a slot, with 24 of the number. A row
//! is *wide*, 64 bits a slot, while it is small, so that a few places are many tags, or
//! where a number needs more than 24 bits. A narrow row becomes wide by itself when it
//! has to hold what it cannot.
//!
//! Large rows are mappings of their own. They grow by being replaced, and among
//! thousands of such allocations a heap keeps holes that nothing fits in: it took
//! three quarters more than it held. And the kernel can give a mapping huge pages,
//! without which most probes of a table of gigabytes miss the TLB too.

mod packed;

use std::ops::{ControlFlow, Deref, DerefMut, Range};

use bytemuck::Pod;
use memmap2::{Advice, MmapMut};

use crate::hash;
use crate::index::slots::packed::{
    HALF, HALF_MASK, HOMES_MIN, PACKED_EMPTY, Packed, Places, WORD_EMPTY, is_near_wide, number,
    pack, unpack, word,
};

/// What stands in a slot that is not used; above all that are.
pub(super) const EMPTY: u64 = u64::MAX;
/// What is no number from here on: the postings are in a list of their own, whose place
/// is so far above.
pub(super) const LISTS_FROM: u32 = 7 << (u32::BITS - 3);

/// Homes from which on a row is narrow: fewer are too few for a slot's place to tell
/// its tag, so that the row would soon be wide again.
pub(super) const NARROW_HOMES_MIN: usize = 1 << 15;

/// Slots behind the last home, at first, for what is pushed out of it.
const TAIL: usize = 8;
/// Slots from which on a row is a mapping, and by how many such a row is longer than
/// another.
const MAPPED_MIN: usize = 1 << 13;
const MAPPED_STEP: usize = 1 << 9;

/// Slots in a row.
#[derive(Debug)]
pub(super) struct Slots {
    /// Slots that are the home of a tag: all but the last few.
    homes: usize,
    row: Row,
}

#[derive(Debug)]
enum Row {
    Wide(Memory<u64>),
    Narrow(Memory<Packed>, Places),
}

impl Slots {
    /// So many, at least, all of them empty.
    fn empty(homes: usize, len: usize, is_narrow: bool) -> Self {
        let row = if is_narrow {
            Row::Narrow(Memory::filled(len, PACKED_EMPTY), Places::of(homes))
        } else {
            Row::Wide(Memory::filled(len, EMPTY))
        };
        Self { homes, row }
    }

    /// Ascending slots, each at its home or behind the one before.
    pub(super) fn of(
        homes: usize,
        narrow_homes_min: usize,
        mut ascending: impl Iterator<Item = u64>,
    ) -> Self {
        let mut slots = Self::empty(homes, homes + TAIL, homes >= narrow_homes_min.max(HOMES_MIN));
        let (mut next, left) = slots.fill_narrow(&mut ascending);
        for slot in left.into_iter().chain(ascending) {
            let at = slots.home(hash::high_half(slot)).max(next);
            if at >= slots.len() {
                slots.lengthen();
            }
            if !slots.holds(at, slot) || is_near_wide(slot) {
                slots.widen();
            }
            slots.set(at, slot);
            next = at + 1;
        }
        slots
    }

    /// Takes slots for as long as an empty narrow row can hold them; all that most rows
    /// are made of. Gives the place behind the last one, and the slot that did not fit.
    fn fill_narrow(&mut self, ascending: &mut impl Iterator<Item = u64>) -> (usize, Option<u64>) {
        let homes = self.homes as u64;
        let Row::Narrow(slots, places) = &mut self.row else { return (0, None) };
        let (slots, places): (&mut [Packed], Places) = (slots, *places);
        let mut next = 0;
        // By one call, of which the compiler makes one loop with what gives the slots.
        let left = ascending.try_for_each(|slot| {
            let home = (u64::from(hash::high_half(slot)) * homes) >> 32;
            let at = usize::try_from(home).unwrap_or(usize::MAX).max(next);
            match slots.get_mut(at) {
                Some(packed) if places.hold(at, slot) && !is_near_wide(slot) => {
                    *packed = pack(slot);
                    next = at + 1;
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(slot),
            }
        });
        (next, left.break_value())
    }

    /// Slots that are the home of a tag.
    pub(super) fn homes(&self) -> usize {
        self.homes
    }

    /// Where a tag's slot stands, or behind.
    #[inline]
    pub(super) fn home(&self, tag: u32) -> usize {
        usize::try_from((u64::from(tag) * self.homes as u64) >> 32).unwrap_or(0)
    }

    pub(super) fn len(&self) -> usize {
        match &self.row {
            Row::Wide(slots) => slots.len(),
            Row::Narrow(slots, _) => slots.len(),
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        match &self.row {
            Row::Wide(slots) => size_of_val::<[u64]>(slots),
            Row::Narrow(slots, _) => size_of_val::<[Packed]>(slots),
        }
    }

    /// The slot at a place; empty behind the last.
    #[inline]
    pub(super) fn get(&self, at: usize) -> u64 {
        match &self.row {
            Row::Wide(slots) => slots.get(at).copied().unwrap_or(EMPTY),
            Row::Narrow(slots, places) => {
                slots.get(at).map_or(EMPTY, |it| unpack(*it, places.top(at)))
            }
        }
    }

    /// The memory of so many slots from a place on, or of those that are there.
    #[inline]
    pub(super) fn memory(&self, at: usize, count: usize) -> &[u8] {
        match &self.row {
            Row::Wide(slots) => bytemuck::cast_slice(part(slots, at, count)),
            Row::Narrow(slots, _) => bytemuck::cast_slice(part(slots, at, count)),
        }
    }

    /// Calls `each` with all that are not empty.
    pub(super) fn each_used(&self, each: impl FnMut(u64)) {
        match &self.row {
            Row::Wide(slots) => slots.iter().copied().filter(|it| *it != EMPTY).for_each(each),
            Row::Narrow(slots, places) => {
                places.unpacked(0, slots).filter(|it| *it != EMPTY).for_each(each);
            }
        }
    }

    /// The same slots in a row of so many homes.
    pub(super) fn grown(&self, homes: usize, narrow_homes_min: usize) -> Self {
        match &self.row {
            Row::Wide(slots) => {
                Self::of(homes, narrow_homes_min, slots.iter().copied().filter(|it| *it != EMPTY))
            }
            Row::Narrow(slots, places) => Self::of(
                homes,
                narrow_homes_min,
                places.unpacked(0, slots).filter(|it| *it != EMPTY),
            ),
        }
    }

    /// How many slots from a place on pass, each with its place, before one does not.
    #[inline]
    pub(super) fn count_while(&self, at: usize, mut is: impl FnMut(usize, u64) -> bool) -> usize {
        match &self.row {
            Row::Wide(slots) => {
                let rest = slots.get(at..).unwrap_or_default();
                rest.iter().enumerate().take_while(|(on, it)| is(at + on, **it)).count()
            }
            Row::Narrow(slots, places) => {
                let rest = slots.get(at..).unwrap_or_default();
                let unpacked = places.unpacked(at, rest).enumerate();
                unpacked.take_while(|(on, it)| is(at + on, *it)).count()
            }
        }
    }

    /// Where the first slot stands that is not below another one.
    #[inline]
    pub(super) fn first_not_below(&self, bound: u64) -> usize {
        let at = self.home(hash::high_half(bound));
        at + match &self.row {
            Row::Wide(slots) => count_below(slots.get(at..).unwrap_or_default(), bound),
            Row::Narrow(slots, _) => {
                count_packed_below(slots.get(at..).unwrap_or_default(), word(pack(bound)))
            }
        }
    }

    /// Calls `each` with the numbers of the slots from a place on that have a tag, where
    /// its first one stands, if any; how many there are.
    #[inline]
    pub(super) fn each_number(
        &self,
        at: usize,
        tag: u32,
        mut each: impl FnMut(usize, u32),
    ) -> usize {
        match &self.row {
            Row::Wide(slots) => {
                let rest = slots.get(at..).unwrap_or_default().iter();
                let run = rest.take_while(|it| hash::high_half(**it) == tag).enumerate();
                run.map(|(on, it)| each(on, hash::low_half(*it))).count()
            }
            Row::Narrow(slots, _) => {
                let rest = slots.get(at..).unwrap_or_default().iter().map(|it| word(*it));
                let tag = u64::from(tag) & HALF_MASK;
                let run = rest.take_while(|it| *it >> HALF == tag && *it != WORD_EMPTY).enumerate();
                run.map(|(on, it)| each(on, hash::low_half(number(it)))).count()
            }
        }
    }

    /// Puts a slot in front of the one at a place, which moves up with those behind it.
    pub(super) fn open(&mut self, at: usize, slot: u64) {
        let gap = self.first_empty(at);
        if gap == self.len() {
            self.lengthen();
        }
        // Those behind have greater tags: they hold if even this one did there.
        let is_held = self.holds(gap, slot)
            || self.holds(at, slot) && (at..gap).all(|it| self.holds(it + 1, self.get(it)));
        if !is_held {
            self.widen();
        }
        match &mut self.row {
            Row::Wide(slots) => slots.copy_within(at..gap, at + 1),
            Row::Narrow(slots, _) => slots.copy_within(at..gap, at + 1),
        }
        self.set(at, slot);
    }

    /// Takes the first slot of a range out; the others move down, and leave the last
    /// one empty.
    pub(super) fn close(&mut self, range: Range<usize>) {
        let Range { start, end } = range;
        match &mut self.row {
            Row::Wide(slots) => slots.copy_within(start + 1..end, start),
            Row::Narrow(slots, _) => slots.copy_within(start + 1..end, start),
        }
        self.set(end - 1, EMPTY);
    }

    #[cfg(test)]
    pub(super) fn is_narrow(&self) -> bool {
        matches!(self.row, Row::Narrow(..))
    }

    #[inline]
    fn set(&mut self, at: usize, slot: u64) {
        match &mut self.row {
            Row::Wide(slots) => slots.get_mut(at).map(|it| *it = slot),
            Row::Narrow(slots, _) => slots.get_mut(at).map(|it| *it = pack(slot)),
        };
    }

    /// Whether a slot can stand at a place and be known again.
    #[inline]
    fn holds(&self, at: usize, slot: u64) -> bool {
        match &self.row {
            Row::Wide(_) => true,
            Row::Narrow(_, places) => places.hold(at, slot),
        }
    }

    fn first_empty(&self, at: usize) -> usize {
        match &self.row {
            Row::Wide(slots) => first_empty(slots, at, |it| *it == EMPTY),
            Row::Narrow(slots, _) => first_empty(slots, at, |it| word(*it) == WORD_EMPTY),
        }
    }

    /// Adds some slots behind the last.
    fn lengthen(&mut self) {
        let len = self.len() + TAIL;
        match &mut self.row {
            Row::Wide(slots) => *slots = slots.longer(len, EMPTY),
            Row::Narrow(slots, _) => *slots = slots.longer(len, PACKED_EMPTY),
        }
    }

    fn widen(&mut self) {
        if let Row::Narrow(slots, places) = &self.row {
            let mut wide = Memory::filled(slots.len(), EMPTY);
            for (wide, slot) in wide.iter_mut().zip(places.unpacked(0, slots)) {
                *wide = slot;
            }
            self.row = Row::Wide(wide);
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self { homes: 0, row: Row::Wide(Memory::Heap(Vec::new())) }
    }
}

/// The memory of a row.
#[derive(Debug)]
enum Memory<T> {
    Heap(Vec<T>),
    Mapped(MmapMut),
}

impl<T: Pod> Memory<T> {
    /// So many slots, at least.
    fn filled(len: usize, empty: T) -> Self {
        let mut memory = Self::allocate(len, empty);
        memory.fill(empty);
        memory
    }

    fn allocate(len: usize, empty: T) -> Self {
        if len >= MAPPED_MIN {
            let bytes = len.next_multiple_of(MAPPED_STEP) * size_of::<T>();
            if let Ok(map) = MmapMut::map_anon(bytes) {
                // Where there are no huge pages, small ones do.
                map.advise(Advice::HugePage).ok();
                return Self::Mapped(map);
            }
        }
        Self::Heap(vec![empty; len])
    }

    /// The same with some more behind.
    fn longer(&self, len: usize, empty: T) -> Self {
        let mut longer = Self::filled(len, empty);
        if let Some(front) = longer.get_mut(..self.len()) {
            front.copy_from_slice(self);
        }
        longer
    }
}

impl<T: Pod> Deref for Memory<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Heap(slots) => slots,
            Self::Mapped(map) => bytemuck::cast_slice(map),
        }
    }
}

impl<T: Pod> DerefMut for Memory<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Heap(slots) => slots,
            Self::Mapped(map) => bytemuck::cast_slice_mut(map),
        }
    }
}

#[inline]
fn part<T>(slots: &[T], at: usize, count: usize) -> &[T] {
    slots.get(at..slots.len().min(at + count)).unwrap_or_default()
}

/// How many slots stand before one that is not below another.
#[inline]
fn count_below(slots: &[u64], bound: u64) -> usize {
    slots.iter().take_while(|it| **it < bound).count()
}

/// The same of packed slots, from the home of `bound` on: their tags are nearer to its
/// own than half of what they can tell apart.
#[inline]
fn count_packed_below(slots: &[Packed], bound: u64) -> usize {
    let is_below = |it: u64| it.wrapping_sub(bound) & (1 << (2 * HALF - 1)) != 0;
    let words = slots.iter().map(|it| word(*it));
    words.take_while(|it| *it != WORD_EMPTY && is_below(*it)).count()
}

/// Where the first empty slot from a place on stands, or the end. Four at a time,
/// because there are some ten before a gap.
#[inline]
fn first_empty<T>(slots: &[T], at: usize, is_empty: impl Fn(&T) -> bool) -> usize {
    let rest = slots.get(at..).unwrap_or_default();
    let (fours, _) = rest.as_chunks::<4>();
    let full = fours.iter().take_while(|it| !it.iter().any(&is_empty)).count() * 4;
    let behind = rest.iter().skip(full).take_while(|it| !is_empty(it)).count();
    at + full + behind
}
