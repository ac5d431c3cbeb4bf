//! Ranks: distinct hashes numbered in the order in which they came. A flat table, since
//! every word of every text is looked up in one.

use std::sync::LazyLock;

use crate::hash;

/// Spreads keys over the slots. Drawn at random in every process, so that nobody can
/// craft texts whose words meet in one slot.
static FACTOR: LazyLock<u64> = LazyLock::new(|| hash::random_64() | 1);

const SIZE_BITS_MIN: u32 = 4;

/// Distinct keys and their ranks.
#[derive(Debug, Clone)]
pub struct Ranks<K> {
    keys: Vec<K>,
    /// Ranks from 1 on; 0 is empty. At most half of them are taken.
    slots: Vec<u32>,
    shift: u32,
    factor: u64,
}

impl<K: Copy + Eq + Into<u64>> Ranks<K> {
    /// With room for so many keys.
    pub fn with_capacity(count: usize) -> Self {
        let mut ranks = Self { keys: Vec::new(), slots: Vec::new(), shift: 0, factor: *FACTOR };
        ranks.resize(count);
        ranks
    }

    /// Of these keys, some of which may be the same.
    pub fn of(keys: &[K]) -> Self {
        let mut ranks = Self::with_capacity(keys.len());
        for key in keys {
            ranks.insert(*key);
        }
        ranks
    }

    /// The distinct keys by rank.
    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// Number of distinct keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The rank of a key, which it gets if it has none, and whether it is new.
    #[inline]
    pub fn insert(&mut self, key: K) -> (usize, bool) {
        let is_full = 2 * self.keys.len() >= self.slots.len();
        let at = self.slot(key);
        match self.slots.get_mut(at) {
            Some(slot @ 0) if !is_full => {
                let rank = self.keys.len();
                self.keys.push(key);
                *slot = u32::try_from(rank + 1).unwrap_or(u32::MAX);
                (rank, true)
            }
            Some(0) | None => {
                self.resize(2 * self.keys.len());
                self.insert(key)
            }
            Some(slot) => (*slot as usize - 1, false),
        }
    }

    /// The rank of a key.
    #[inline]
    pub fn get(&self, key: K) -> Option<usize> {
        (*self.slots.get(self.slot(key))? as usize).checked_sub(1)
    }

    /// The slot that a key has, or would have.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits of a hash")]
    fn slot(&self, key: K) -> usize {
        let mut at = (key.into().wrapping_mul(self.factor) >> self.shift) as usize;
        while let Some(rank) = self.slots.get(at) {
            let taken = (*rank as usize).checked_sub(1).and_then(|it| self.keys.get(it));
            if taken.is_none_or(|it| *it == key) {
                break;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    fn resize(&mut self, count: usize) {
        let size_bits = (2 * count + 2).next_power_of_two().trailing_zeros().max(SIZE_BITS_MIN);
        self.shift = u64::BITS - size_bits;
        self.slots = vec![0; 1 << size_bits];
        for rank in 0..self.keys.len() {
            let Some(key) = self.keys.get(rank).copied() else { break };
            let at = self.slot(key);
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = u32::try_from(rank + 1).unwrap_or(u32::MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranks_are_the_order_of_first_occurrences(
            keys in proptest::collection::vec(0_u32..400, 0..900), room in 0_usize..600, other in 0_u32..500,
        ) {
            let mut ranks = Ranks::with_capacity(room);
            let mut model: Vec<u32> = Vec::new();
            for key in &keys {
                let known = model.iter().position(|it| it == key);
                if known.is_none() {
                    model.push(*key);
                }
                prop_assert_eq!(ranks.insert(*key), (known.unwrap_or(model.len() - 1), known.is_none()));
            }
            prop_assert_eq!(ranks.keys(), &model);
            prop_assert_eq!(ranks.get(other), model.iter().position(|it| *it == other));
        }
    }
}
