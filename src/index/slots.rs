//! The memory of a table's slots, all of them empty at first.
//!
//! Large tables are mappings of their own. They grow by being replaced, and among
//! thousands of such allocations a heap keeps holes that nothing fits in: it took
//! three quarters more than it held. And the kernel can give a mapping huge pages,
//! without which most probes of a table of gigabytes miss the TLB too.

use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

/// What stands in a slot that is not used; above all that are.
pub(super) const EMPTY: u64 = u64::MAX;

/// Slots from which on a table is a mapping, and the slots of a page, of which a mapping
/// has full ones.
const MAPPED_MIN: usize = 1 << 13;
const PAGE: usize = 1 << 9;

/// Slots.
#[derive(Debug)]
pub(super) struct Slots(Memory);

#[derive(Debug)]
enum Memory {
    Heap(Vec<u64>),
    Mapped(MmapMut),
}

impl Slots {
    /// At least so many.
    pub(super) fn empty(len: usize) -> Self {
        let mut slots = Self::allocate(len);
        slots.fill(EMPTY);
        slots
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[u64]>(self)
    }

    fn allocate(len: usize) -> Self {
        if len >= MAPPED_MIN {
            let bytes = len.next_multiple_of(PAGE) * size_of::<u64>();
            if let Ok(map) = MmapMut::map_anon(bytes) {
                // Where there are no huge pages, small ones do.
                map.advise(Advice::HugePage).ok();
                return Self(Memory::Mapped(map));
            }
        }
        Self(Memory::Heap(vec![EMPTY; len]))
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self(Memory::Heap(Vec::new()))
    }
}

impl Deref for Slots {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        match &self.0 {
            Memory::Heap(slots) => slots,
            Memory::Mapped(map) => bytemuck::cast_slice(map),
        }
    }
}

impl DerefMut for Slots {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        match &mut self.0 {
            Memory::Heap(slots) => slots,
            Memory::Mapped(map) => bytemuck::cast_slice_mut(map),
        }
    }
}
