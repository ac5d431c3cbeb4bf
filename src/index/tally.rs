//! A rough count of article numbers, in little memory: a number is counted at least as
//! often as it came. Of the thousands that share a phrase with a text, nearly all come
//! once or twice, and need not be looked at (a counting filter, Fan et al. 1998, with one
//! hash).

const COUNTERS: usize = 1 << COUNTER_BITS;
const COUNTER_BITS: u32 = 15;

/// How often a number can be counted.
const COUNT_MAX: u8 = SEEN - 1;
/// Says of a counter that it has counted one of the numbers that count once.
const SEEN: u8 = 1 << 7;

/// How often numbers came, at most.
#[derive(Debug)]
pub(super) struct Tally(Vec<u8>);

impl Tally {
    /// Of these numbers.
    pub(super) fn of(numbers: &[u32]) -> Self {
        let mut tally = Self(vec![0; COUNTERS]);
        for number in numbers {
            tally.change(*number, |it| (it + 1).min(COUNT_MAX));
        }
        tally
    }

    /// Counts more of them; each once, however often it is here.
    pub(super) fn add_once(&mut self, numbers: &[u32]) {
        for number in numbers {
            let count = |it: u8| if it < SEEN { (it + 1).min(COUNT_MAX) | SEEN } else { it };
            self.change(*number, count);
        }
        for number in numbers {
            self.change(*number, |it| it & COUNT_MAX);
        }
    }

    /// Takes a number for one that came as often as can be counted.
    pub(super) fn mark(&mut self, number: u32) {
        self.change(number, |_| COUNT_MAX);
    }

    /// Whether a number may have come so often, which is at most [`COUNT_MAX`].
    #[inline]
    pub(super) fn may_have(&self, number: u32, count: u8) -> bool {
        debug_assert!(count <= COUNT_MAX);
        self.0.get(place(number)).is_none_or(|it| *it >= count)
    }

    #[inline]
    fn change(&mut self, number: u32, change: impl Fn(u8) -> u8) {
        if let Some(counter) = self.0.get_mut(place(number)) {
            *counter = change(*counter);
        }
    }
}

#[inline]
fn place(number: u32) -> usize {
    // Fibonacci hashing.
    (number.wrapping_mul(0x9e37_79b9) >> (u32::BITS - COUNTER_BITS)) as usize
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
            windows in proptest::collection::vec(proptest::collection::vec(0_u32..30, 0..90), 0..200),
        ) {
            let mut tally = Tally::of(&numbers);
            for window in &windows {
                tally.add_once(window);
            }
            let mut counts: BTreeMap<u32, u8> = BTreeMap::new();
            let once = windows.iter().flat_map(|it| it.iter().copied().collect::<BTreeSet<u32>>());
            for number in numbers.iter().copied().chain(once) {
                let count = counts.entry(number).or_default();
                *count = (*count + 1).min(COUNT_MAX);
            }
            prop_assert!(counts.iter().all(|(number, count)| tally.may_have(*number, *count)));
            let others = (10_000..20_000).filter(|it| tally.may_have(*it, 3)).count();
            prop_assert!(others < 500, "{}", others);
        }
    }

    #[test]
    fn a_number_counts_once_a_window_unless_it_is_marked() {
        let mut tally = Tally::of(&[7]);
        tally.add_once(&[7, 8, 7, 7]);
        assert!(tally.may_have(7, 2) && !tally.may_have(7, 3) && !tally.may_have(8, 2));
        tally.mark(8);
        assert!(tally.may_have(8, COUNT_MAX));
    }
}
