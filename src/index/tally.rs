//! A rough count of article numbers, in little memory: a number is counted at least as
//! often as it came. Of the thousands that share a phrase with a text, nearly all come
//! once or twice, and need not be looked at (a counting filter, Fan et al. 1998, with one
//! hash).

const COUNTERS: usize = 1 << COUNTER_BITS;
const COUNTER_BITS: u32 = 15;

/// How often numbers came, at most.
#[derive(Debug)]
pub(super) struct Tally(Vec<u8>);

impl Tally {
    /// Of these numbers.
    pub(super) fn of(numbers: &[u32]) -> Self {
        let mut tally = Self(vec![0; COUNTERS]);
        tally.add(numbers);
        tally
    }

    /// Counts more of them.
    pub(super) fn add(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(counter) = self.0.get_mut(place(*number)) {
                *counter = counter.saturating_add(1);
            }
        }
    }

    /// Whether a number may have come so often.
    #[inline]
    pub(super) fn may_have(&self, number: u32, count: u8) -> bool {
        self.0.get(place(number)).is_none_or(|it| *it >= count)
    }
}

#[inline]
fn place(number: u32) -> usize {
    // Fibonacci hashing.
    (number.wrapping_mul(0x9e37_79b9) >> (u32::BITS - COUNTER_BITS)) as usize
}

/// A set of numbers that is emptied at no cost: those of earlier rounds count as none.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Numbers, each below its round.
    slots: Vec<u64>,
    round: u32,
    len: usize,
}

impl Rounds {
    /// With room for some.
    pub(super) fn new() -> Self {
        Self { slots: vec![0; COUNTERS / 8], round: 0, len: 0 }
    }

    /// Empties it.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        self.len = 0;
    }

    /// Whether a number was not in it; it is then.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        if 2 * (self.len + 1) > self.slots.len() {
            self.grow();
        }
        let is_new = put(&mut self.slots, self.round, number);
        self.len += usize::from(is_new);
        is_new
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = vec![0; 2 * self.slots.len()];
        for slot in &self.slots {
            if crate::hash::high_half(*slot) == self.round {
                put(&mut larger, self.round, crate::hash::low_half(*slot));
            }
        }
        self.slots = larger;
    }
}

/// Puts a number where it is looked for; slots of other rounds are free.
#[inline]
fn put(slots: &mut [u64], round: u32, number: u32) -> bool {
    let own = u64::from(round) << 32 | u64::from(number);
    let mask = slots.len() - 1;
    let mut at = place(number) & mask;
    while let Some(slot) = slots.get_mut(at) {
        if *slot == own {
            return false;
        }
        if crate::hash::high_half(*slot) != round {
            *slot = own;
            return true;
        }
        at = (at + 1) & mask;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_number_is_counted_less_often_than_it_came(
            numbers in proptest::collection::vec(0_u32..3000, 0..900),
            more in proptest::collection::vec(0_u32..30, 0..900),
        ) {
            let mut tally = Tally::of(&numbers);
            tally.add(&more);
            let mut counts: BTreeMap<u32, u8> = BTreeMap::new();
            for number in numbers.iter().chain(&more) {
                let count = counts.entry(*number).or_default();
                *count = count.saturating_add(1);
            }
            prop_assert!(counts.iter().all(|(number, count)| tally.may_have(*number, *count)));
            let others = (10_000..20_000).filter(|it| tally.may_have(*it, 3)).count();
            prop_assert!(others < 500, "{}", others);
        }

        #[test]
        fn each_round_is_a_set(
            rounds in proptest::collection::vec(proptest::collection::vec(0_u32..6000, 0..5000), 0..4),
        ) {
            let mut set = Rounds::new();
            for numbers in rounds {
                set.begin();
                let mut model = BTreeSet::new();
                for number in numbers {
                    prop_assert_eq!(set.insert(number), model.insert(number));
                }
            }
        }
    }
}
