//! Overlap: exact Jaccard similarity and containment of two shingle sets, and
//! the relation that follows.

use std::cmp::Ordering;

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

impl Overlap {
    /// Of two sets, each ascending and without repeats.
    pub fn of(left: &[Shingle], right: &[Shingle]) -> Self {
        let mut shared = 0;
        let (mut a, mut b) = (left.iter().peekable(), right.iter().peekable());
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            match x.cmp(y) {
                Ordering::Less => drop(a.next()),
                Ordering::Greater => drop(b.next()),
                Ordering::Equal => {
                    shared += 1;
                    a.next();
                    b.next();
                }
            }
        }
        Self { shared, left: left.len(), right: right.len() }
    }

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

    fn set(range: std::ops::Range<u64>) -> Vec<u64> {
        range.collect()
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
            (0..0, 0..10, None),
            (0..0, 0..0, None),
        ] {
            let overlap = Overlap::of(&set(left.clone()), &set(right.clone()));
            assert_eq!(overlap.relation(), relation, "{left:?} {right:?}");
        }
    }

    #[test]
    fn shares_are_exact() {
        let overlap = Overlap::of(&[1, 3, 5, 7], &[3, 4, 5, 6, 8, 9]);
        assert_eq!(overlap, Overlap { shared: 2, left: 4, right: 6 });
        assert!((overlap.jaccard() - 0.25).abs() < 1e-12);
        assert!((overlap.left_in_right() - 0.5).abs() < 1e-12);
        assert!((overlap.right_in_left() - 1.0 / 3.0).abs() < 1e-12);
    }
}
