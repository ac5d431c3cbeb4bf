//! Overlap: exact Jaccard similarity and containment of two shingle sets, and
//! the relation that follows.

use crate::hash::HashMap;
use crate::shingle::Shingle;

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

/// What the first text is to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
pub struct ShingleSet {
    ranks: HashMap<Shingle, usize>,
}

impl ShingleSet {
    /// Of a text's shingles, in any order, with or without repeats.
    pub fn of(shingles: &[Shingle]) -> Self {
        let mut ranks =
            HashMap::with_capacity_and_hasher(shingles.len(), ahash::RandomState::default());
        for shingle in shingles {
            let rank = ranks.len();
            ranks.entry(*shingle).or_insert(rank);
        }
        Self { ranks }
    }

    /// Number of distinct shingles.
    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// What it shares with another text: that one's shingles, in any order, with
    /// or without repeats, and how many of them are distinct.
    pub fn overlap(&self, others: &[Shingle], distinct: usize) -> Overlap {
        let mut seen = vec![false; self.ranks.len()];
        let mut shared = 0;
        for rank in others.iter().filter_map(|it| self.ranks.get(it)) {
            if let Some(seen @ false) = seen.get_mut(*rank) {
                *seen = true;
                shared += 1;
            }
        }
        Overlap { shared, left: self.len(), right: distinct }
    }
}

impl Overlap {
    /// Shared shingles by those of either, 0 to 1; 0 for empty sets.
    pub fn jaccard(self) -> f64 {
        share(self.shared, self.left + self.right - self.shared)
    }

    /// Share of the first set that is in the second.
    pub fn left_in_right(self) -> f64 {
        share(self.shared, self.left)
    }

    /// Share of the second set that is in the first.
    pub fn right_in_left(self) -> f64 {
        share(self.shared, self.right)
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
    use super::*;

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

    #[test]
    fn shares_are_exact() {
        let overlap = overlap([7, 1, 3, 5, 3], [9, 8, 3, 4, 5, 6, 3]);
        assert_eq!(overlap, Overlap { shared: 2, left: 4, right: 6 });
        assert!((overlap.jaccard() - 0.25).abs() < 1e-12);
        assert!((overlap.left_in_right() - 0.5).abs() < 1e-12);
        assert!((overlap.right_in_left() - 1.0 / 3.0).abs() < 1e-12);
    }
}
