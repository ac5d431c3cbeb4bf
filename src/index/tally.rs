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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
    }
}
