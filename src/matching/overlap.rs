//! Overlap: exact Jaccard similarity and containment of two shingle sets, and
//! the relation that follows. A bound from above tells most unrelated texts without
//! counting.

use crate::ranks::Ranks;
use crate::shingle::{SHINGLE_TOKENS, Shingle};
use crate::text::tokens::TokenHash;

/// Jaccard similarity of a DUPLICATE, inclusive.
pub const DUPLICATE_JACCARD_MIN: f64 = 0.5;
/// Containment of CONTAINS and of `CONTAINED_IN`, inclusive.
pub const CONTAINMENT_MIN: f64 = 0.8;
/// The greater containment of OVERLAPS, inclusive.
pub const OVERLAP_MIN: f64 = 0.2;

/// How many shingles two sets share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Shingles in both.
    pub shared: usize,
    /// Shingles of the first.
    pub left: usize,
    /// Shingles of the second.
    pub right: usize,
}

/// Shingles that two texts share in any relation but DUPLICATE, inclusive: one
/// common phrase does not relate a short text to a long one.
pub const SHARED_MIN: usize = 5;

/// What the first text is to the second, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// The same text, edited.
    Duplicate,
    /// The first has most of the second, and more.
    Contains,
    /// The second has most of the first, and more.
    ContainedIn,
    /// One has a good part of the other.
    Overlaps,
}

/// The distinct shingles of a text, made ready to be compared with many texts.
#[derive(Debug, Clone)]
pub struct ShingleSet(Ranks<Shingle>);

impl ShingleSet {
    /// Of a text's shingles, in any order, with or without repeats.
    pub fn of(shingles: &[Shingle]) -> Self {
        Self(Ranks::of(shingles))
    }

    /// Number of distinct shingles.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it shares with another text: that one's shingles, in any order, with
    /// or without repeats, and how many of them are distinct.
    pub fn overlap(&self, others: &[Shingle], distinct: usize) -> Overlap {
        let mut seen = vec![false; self.len()];
        let mut shared = 0;
        for rank in others.iter().filter_map(|it| self.0.get(*it)) {
            if let Some(seen @ false) = seen.get_mut(rank) {
                *seen = true;
                shared += 1;
            }
        }
        Overlap { shared, left: self.len(), right: distinct }
    }
}

/// Bounds from above how many shingles a text shares with others, at a tenth of the
/// price of counting them: a bit for each print of three tokens. What it lets through
/// is counted; what it does not cannot be related, whatever the prints.
#[derive(Debug, Clone)]
pub struct SharedBound {
    words: Vec<u64>,
    shift: u32,
}

/// Bits a token, about: one shingle in so many has another one's bit by chance.
const PRINT_BITS: usize = 32;
/// log2 of the bits, at most, since more fit no cache, and at least, so that a short
/// text is not hit by chance all over a long one.
const SIZE_BITS_MAX: u32 = 20;
const SIZE_BITS_MIN: u32 = 14;
/// log2 of the bits of a word.
const WORD_BITS: u32 = 6;
/// Shingles that are looked up before it is asked whether the rest can matter.
const PART: usize = 64;

impl SharedBound {
    /// Of the tokens of a text.
    pub fn of(tokens: &[TokenHash]) -> Self {
        let wanted = (PRINT_BITS * tokens.len()).next_power_of_two().trailing_zeros();
        let size_bits = wanted.clamp(SIZE_BITS_MIN, SIZE_BITS_MAX);
        let mut words = vec![0_u64; 1 << (size_bits - WORD_BITS)];
        let shift = u32::BITS - size_bits;
        for print in prints(tokens) {
            let bit = print >> shift;
            if let Some(word) = words.get_mut((bit >> WORD_BITS) as usize) {
                *word |= 1 << (bit & 63);
            }
        }
        Self { words, shift }
    }

    /// Whether the text may share so many shingles with one of these tokens; where it
    /// does, this is `true`.
    pub fn may_share(&self, others: &[TokenHash], shared_min: usize) -> bool {
        if others.len() < SHINGLE_TOKENS {
            return shared_min <= 1;
        }
        let (mut hits, mut rest) = (0, others.len() + 1 - SHINGLE_TOKENS);
        let mut start = 0;
        while hits < shared_min && hits + rest >= shared_min && rest > 0 {
            let count = rest.min(PART);
            let end = start + count + SHINGLE_TOKENS - 1;
            hits += self.hits(others.get(start..end).unwrap_or_default());
            rest -= count;
            start += count;
        }
        hits >= shared_min
    }

    #[inline]
    fn hits(&self, tokens: &[TokenHash]) -> usize {
        let hits = prints(tokens).map(|print| {
            let bit = print >> self.shift;
            let word = self.words.get((bit >> WORD_BITS) as usize).copied().unwrap_or(0);
            (word >> (bit & 63)) & 1
        });
        usize::try_from(hits.fold(0, u64::wrapping_add)).unwrap_or(usize::MAX)
    }
}

/// A print of every shingle: equal where the shingles are. Tokens are hashes already.
#[inline]
fn prints(tokens: &[TokenHash]) -> impl Iterator<Item = u32> {
    let from = |at: usize| tokens.get(at..).unwrap_or_default().iter();
    let rows = from(0).zip(from(1)).zip(from(2));
    rows.map(|((a, b), c)| a ^ b.rotate_left(11) ^ c.rotate_left(22))
}

impl Overlap {
    /// Shared shingles by those of either, 0 to 1; 0 for empty sets.
    pub fn jaccard(self) -> f64 {
        share(self.shared, self.left + self.right - self.shared)
    }

    /// Shingles that two sets of these sizes share in any relation, at least.
    pub fn shared_min(left: usize, right: usize) -> usize {
        // J of half and fewer than SHARED_MIN shared: three sizes of the shared part.
        if left + right <= 3 * SHARED_MIN {
            return 0;
        }
        // Rounded down, so that no rounding of the share counts.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part")]
        let part = (OVERLAP_MIN * left.min(right) as f64) as usize;
        part.max(SHARED_MIN)
    }

    /// Share of the first set that is in the second.
    pub fn left_in_right(self) -> f64 {
        share(self.shared, self.left)
    }

    /// Share of the second set that is in the first.
    pub fn right_in_left(self) -> f64 {
        share(self.shared, self.right)
    }

    /// With the sides exchanged.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { left: self.right, right: self.left, ..self }
    }

    /// The greater of the two containments.
    pub fn containment_max(self) -> f64 {
        self.left_in_right().max(self.right_in_left())
    }

    /// The relation; `None` where the texts have little in common.
    pub fn relation(self) -> Option<Relation> {
        if self.jaccard() >= DUPLICATE_JACCARD_MIN {
            Some(Relation::Duplicate)
        } else if self.shared < SHARED_MIN {
            None
        } else if self.right_in_left() >= CONTAINMENT_MIN {
            Some(Relation::Contains)
        } else if self.left_in_right() >= CONTAINMENT_MIN {
            Some(Relation::ContainedIn)
        } else if self.containment_max() >= OVERLAP_MIN {
            Some(Relation::Overlaps)
        } else {
            None
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::{self, HashSet};
    use crate::shingle;

    fn overlap(
        left: impl IntoIterator<Item = u64>,
        right: impl IntoIterator<Item = u64>,
    ) -> Overlap {
        let (left, right): (Vec<u64>, Vec<u64>) =
            (left.into_iter().collect(), right.into_iter().collect());
        ShingleSet::of(&left).overlap(&right, ShingleSet::of(&right).len())
    }

    #[test]
    fn relations_by_their_bounds() {
        for (left, right, relation) in [
            (0..100, 0..100, Some(Relation::Duplicate)),
            (0..150, 50..200, Some(Relation::Duplicate)), // Jaccard 100/200
            (0..149, 50..200, Some(Relation::Overlaps)),
            (0..300, 0..100, Some(Relation::Contains)),
            (0..100, 0..300, Some(Relation::ContainedIn)),
            (0..100, 20..320, Some(Relation::ContainedIn)), // .8 of it
            (0..100, 21..320, Some(Relation::Overlaps)),
            (0..100, 80..400, Some(Relation::Overlaps)), // .2 of it
            (0..100, 81..400, None),
            (0..6, 2..300, None),                        // four shared
            (0..6, 1..300, Some(Relation::ContainedIn)), // five
            (0..3, 0..5, Some(Relation::Duplicate)),
            (0..0, 0..10, None),
            (0..0, 0..0, None),
        ] {
            assert_eq!(
                overlap(left.clone(), right.clone()).relation(),
                relation,
                "{left:?} {right:?}"
            );
        }
    }

    /// Nothing that is related has fewer in common than the bound.
    #[test]
    fn fewer_than_the_least_that_counts_are_no_relation() {
        for left in 0..60 {
            for right in 0..60 {
                let least = Overlap::shared_min(left, right);
                for shared in 0..least.min(left.min(right) + 1) {
                    let overlap = Overlap { shared, left, right };
                    assert_eq!(overlap.relation(), None, "{overlap:?}");
                }
            }
        }
        assert_eq!(Overlap::shared_min(1000, 900), 180);
    }

    proptest! {
        #[test]
        fn what_is_shared_may_be_shared(
            left in proptest::collection::vec(0_u32..8, 0..300),
            right in proptest::collection::vec(0_u32..8, 0..300),
        ) {
            let theirs = shingle::shingles(&right);
            let set = ShingleSet::of(&shingle::shingles(&left));
            let shared = set.overlap(&theirs, ShingleSet::of(&theirs).len()).shared;
            prop_assert!(SharedBound::of(&left).may_share(&right, shared));
        }

        #[test]
        fn a_set_is_what_a_hash_set_is(
            left in proptest::collection::vec(0_u64..90, 0..120),
            right in proptest::collection::vec(0_u64..90, 0..120),
        ) {
            let set = ShingleSet::of(&left);
            let (a, b): (HashSet<u64>, HashSet<u64>) =
                (left.into_iter().collect(), right.iter().copied().collect());
            let shared = a.intersection(&b).count();
            let overlap = Overlap { shared, left: a.len(), right: b.len() };
            prop_assert_eq!(set.overlap(&right, b.len()), overlap);
        }
    }

    #[test]
    fn texts_that_share_little_are_bounded_near_it() {
        let words = |from: u64| -> Vec<u32> {
            (from..from + 900).map(|it| hash::low_half(hash::mix(it + 1))).collect()
        };
        let (left, right) = (words(0), [&words(0)[..50], &words(5000)].concat());
        let bound = SharedBound::of(&left);
        assert!(bound.may_share(&right, 48) && !bound.may_share(&right, 120));
    }

    #[test]
    fn shares_are_exact() {
        let overlap = overlap([7, 1, 3, 5, 3], [9, 8, 3, 4, 5, 6, 3]);
        assert_eq!(overlap, Overlap { shared: 2, left: 4, right: 6 });
        assert!((overlap.jaccard() - 0.25).abs() < 1e-12);
        assert!((overlap.left_in_right() - 0.5).abs() < 1e-12);
        assert!((overlap.right_in_left() - 1.0 / 3.0).abs() < 1e-12);
    }
}
