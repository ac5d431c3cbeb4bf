//! How a slot of a narrow row is packed: what is left out of it is told by its place.

use crate::hash;
use crate::index::slots::{EMPTY, LISTS_FROM};

/// A narrow slot, little-endian: 24 bits of a number, and the lower 24 bits of a tag.
pub(super) type Packed = [u8; 6];

pub(super) const PACKED_EMPTY: Packed = [u8::MAX; 6];
/// Bits of a number, and of a tag.
pub(super) const HALF: u32 = 24;
pub(super) const HALF_MASK: u64 = (1 << HALF) - 1;
pub(super) const WORD_EMPTY: u64 = (1 << (2 * HALF)) - 1;
/// Tags that a slot's own may be below the top of its place: with what the next home
/// adds, half of those that 24 bits tell apart, so that the slots which a search passes
/// are told from those that end it by what is left of them.
const BELOW_TOP: u64 = 7 << (HALF - 4);
/// Homes of a narrow row, at least: fewer have too many tags each.
pub(super) const HOMES_MIN: usize = 1 << (32 + 4 - HALF);
/// What stands for [`LISTS_FROM`].
const PACKED_LISTS_FROM: u32 = 7 << (HALF - 3);
/// Numbers from which on a new row is wide, before it must be: otherwise all tables
/// would have to be rewritten for one article.
const NEAR_WIDE: u32 = 13 << (HALF - 4);

/// Where slots of a narrow row stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// Tags of one home, in 2^-24.
    step: u64,
}

impl Places {
    pub(super) fn of(homes: usize) -> Self {
        Self { step: (1_u64 << (32 + HALF)).div_ceil(homes.max(1) as u64) }
    }

    /// A tag that no slot at a place exceeds, in 2^-24. The sum of the rounding is less
    /// than a tag or two, and upwards.
    #[inline]
    pub(super) fn top(self, at: usize) -> u64 {
        self.step.wrapping_mul(at as u64 + 1)
    }

    /// The slots of a part of a row that begins at a place, empty ones too.
    #[inline]
    pub(super) fn unpacked(self, at: usize, part: &[Packed]) -> impl Iterator<Item = u64> + '_ {
        let mut top = self.top(at);
        part.iter().map(move |it| {
            let slot = unpack(*it, top);
            top = top.wrapping_add(self.step);
            slot
        })
    }

    /// Whether a slot can stand at a place and be known again.
    #[inline]
    pub(super) fn hold(self, at: usize, slot: u64) -> bool {
        let top = self.top(at);
        let below_top = (top >> HALF).wrapping_sub(slot >> 32);
        below_top < BELOW_TOP && unpack(pack(slot), top) == slot
    }
}

/// The slot of which this is left: its tag is the greatest that does not exceed the
/// top.
#[inline]
pub(super) fn unpack(packed: Packed, top: u64) -> u64 {
    let packed = word(packed);
    if packed == WORD_EMPTY {
        return EMPTY;
    }
    let top = top >> HALF;
    let tag = top.wrapping_sub(top.wrapping_sub(packed >> HALF) & HALF_MASK);
    (tag << 32) | number(packed)
}

/// The number of a packed slot, which is not empty.
#[inline]
pub(super) fn number(word: u64) -> u64 {
    let number = word & HALF_MASK;
    let is_list = number >= u64::from(PACKED_LISTS_FROM);
    if is_list { number + u64::from(LISTS_FROM - PACKED_LISTS_FROM) } else { number }
}

#[inline]
pub(super) fn word(packed: Packed) -> u64 {
    let [low @ .., fifth, sixth] = packed;
    // Two loads, which the compiler does not see in eight bytes of which two are 0.
    u64::from(u32::from_le_bytes(low)) | u64::from(u16::from_le_bytes([fifth, sixth])) << 32
}

/// What is left of a slot in a narrow row; what cannot be left is not what it was.
#[inline]
pub(super) fn pack(slot: u64) -> Packed {
    if slot == EMPTY {
        return PACKED_EMPTY;
    }
    let number = match hash::low_half(slot) {
        list @ LISTS_FROM.. => list - LISTS_FROM + PACKED_LISTS_FROM,
        number => number,
    };
    let packed = ((slot >> 32 & HALF_MASK) << HALF) | (u64::from(number) & HALF_MASK);
    let [packed @ .., _, _] = packed.to_le_bytes();
    packed
}

pub(super) fn is_near_wide(slot: u64) -> bool {
    (NEAR_WIDE..LISTS_FROM).contains(&hash::low_half(slot))
}
