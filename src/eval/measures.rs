//! Measures: precision, recall and F1, thresholds and curves, agreement of
//! clusterings, overlap of bags of words. Pure.

use std::hash::Hash;

use serde::Serialize;

use crate::hash::HashMap;

/// Counts of a yes-or-no question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// True, and said so.
    pub hits: usize,
    /// True, and not said.
    pub misses: usize,
    /// Not true, and said.
    pub false_alarms: usize,
}

/// A threshold and what holds at it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestF1 {
    /// The greatest F1.
    pub best_f1: f64,
    /// The score from which on a pair counts, inclusive.
    pub threshold: f64,
}

/// A point of a precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The score from which on an answer counts, inclusive.
    pub threshold: f64,
    /// Share of what counts that is right.
    pub precision: f64,
    /// Share of what is right that counts.
    pub recall: f64,
}

/// `part` of `whole`; 0 of nothing.
pub fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The mean; 0 of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0_usize), |(s, n), it| (s + it, n + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// The harmonic mean of precision and recall.
pub fn f1(precision: f64, recall: f64) -> f64 {
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

impl Confusion {
    /// Counts one question.
    pub fn count(&mut self, truth: bool, said: bool) {
        match (truth, said) {
            (true, true) => self.hits += 1,
            (true, false) => self.misses += 1,
            (false, true) => self.false_alarms += 1,
            (false, false) => {}
        }
    }

    /// Share of what was said that is true.
    pub fn precision(self) -> f64 {
        share(self.hits, self.hits + self.false_alarms)
    }

    /// Share of what is true that was said.
    pub fn recall(self) -> f64 {
        share(self.hits, self.hits + self.misses)
    }

    /// Their harmonic mean.
    pub fn f1(self) -> f64 {
        f1(self.precision(), self.recall())
    }
}

/// What holds at each distinct score, from the greatest down.
pub fn curve(scored: &[(f64, bool)]) -> Vec<CurvePoint> {
    let truths = scored.iter().filter(|it| it.1).count();
    recall_curve(scored, truths)
}

/// The same where `truths` are to be found, of which some have no score.
pub fn recall_curve(scored: &[(f64, bool)], truths: usize) -> Vec<CurvePoint> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut hits, mut said) = (0, 0);
    let mut points = Vec::new();
    for group in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        said += group.len();
        hits += group.iter().filter(|it| it.1).count();
        let threshold = group.first().map_or(0.0, |it| it.0);
        let (precision, recall) = (share(hits, said), share(hits, truths));
        points.push(CurvePoint { threshold, precision, recall });
    }
    points
}

/// The threshold with the greatest F1.
pub fn best_f1(scored: &[(f64, bool)]) -> BestF1 {
    let points = curve(scored).into_iter();
    let at_each =
        points.map(|it| BestF1 { best_f1: f1(it.precision, it.recall), threshold: it.threshold });
    let none = BestF1 { best_f1: 0.0, threshold: 0.0 };
    at_each.fold(none, |best, it| if it.best_f1 > best.best_f1 { it } else { best })
}

/// The mean precision over the steps of the recall.
pub fn average_precision(scored: &[(f64, bool)]) -> f64 {
    let mut last = 0.0;
    let mut sum = 0.0;
    for point in curve(scored) {
        sum += point.precision * (point.recall - last);
        last = point.recall;
    }
    sum
}

/// Precision and recall of a bag of things against another, repeats counted.
pub fn bag_overlap<T: Hash + Eq + Copy>(found: &[T], truth: &[T]) -> (f64, f64) {
    let mut left: HashMap<T, usize> = HashMap::default();
    for it in truth {
        *left.entry(*it).or_default() += 1;
    }
    let mut shared = 0;
    for it in found {
        if let Some(count) = left.get_mut(it).filter(|it| **it > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    (share(shared, found.len()), share(shared, truth.len()))
}

/// The parts into which links join things: for each thing the least number of
/// its part.
pub fn components(count: usize, links: impl IntoIterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..count).collect();
    for (a, b) in links {
        let (a, b) = (root(&parents, a), root(&parents, b));
        if let Some(parent) = parents.get_mut(a.max(b)) {
            *parent = a.min(b);
        }
    }
    (0..count).map(|it| root(&parents, it)).collect()
}

fn root(parents: &[usize], of: usize) -> usize {
    let mut at = of;
    while let Some(parent) = parents.get(at).filter(|it| **it != at) {
        at = *parent;
    }
    at
}

/// Agreement of two clusterings of the same things, corrected for chance: 1 where
/// they are the same, about 0 where they have nothing in common (Hubert and
/// Arabie 1985).
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> f64 {
    let pairs = |count: usize| count as f64 * (count as f64 - 1.0) / 2.0;
    let sums =
        |sizes: HashMap<(usize, usize), usize>| -> f64 { sizes.into_values().map(pairs).sum() };
    let sizes = |keys: &mut dyn Iterator<Item = (usize, usize)>| {
        let mut sizes: HashMap<(usize, usize), usize> = HashMap::default();
        keys.for_each(|it| *sizes.entry(it).or_default() += 1);
        sizes
    };
    let both = sums(sizes(&mut a.iter().copied().zip(b.iter().copied())));
    let left = sums(sizes(&mut a.iter().map(|it| (*it, 0))));
    let right = sums(sizes(&mut b.iter().map(|it| (*it, 0))));
    let all = pairs(a.len());
    if all == 0.0 {
        return 1.0;
    }
    let expected = left * right / all;
    let greatest = f64::midpoint(left, right);
    if (greatest - expected).abs() < f64::EPSILON {
        return 1.0;
    }
    (both - expected) / (greatest - expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn confusion_gives_the_usual_figures() {
        let mut counts = Confusion::default();
        for (truth, said) in [(true, true), (true, true), (true, false), (false, true)] {
            counts.count(truth, said);
        }
        near(counts.precision(), 2.0 / 3.0);
        near(counts.recall(), 2.0 / 3.0);
        near(counts.f1(), 2.0 / 3.0);
        near(Confusion::default().f1(), 0.0);
    }

    #[test]
    fn the_best_threshold_is_found_among_ties() {
        let scored = [(0.9, true), (0.8, true), (0.8, false), (0.3, false), (0.2, true)];
        let best = best_f1(&scored);
        near(best.threshold, 0.2);
        near(best.best_f1, f1(0.6, 1.0));
        near(average_precision(&scored), 1.0 / 3.0 + 2.0 / 9.0 + 0.2);
        near(best_f1(&[]).best_f1, 0.0);
        near(recall_curve(&scored, 6).last().unwrap().recall, 0.5);
    }

    #[test]
    fn bags_count_repeats() {
        assert_eq!(bag_overlap(&[1, 1, 2], &[1, 2, 2, 3]), (2.0 / 3.0, 0.5));
        assert_eq!(bag_overlap::<u32>(&[], &[]), (0.0, 0.0));
    }

    #[test]
    fn links_make_components() {
        assert_eq!(components(6, [(0, 3), (3, 5), (1, 2)]), [0, 1, 1, 0, 4, 0]);
    }

    #[test]
    fn the_rand_index_is_one_for_equal_and_zero_for_chance() {
        near(adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 3, 3]), 1.0);
        near(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]), -0.5);
        near(
            adjusted_rand_index(&[0, 0, 0, 1, 1, 1], &[0, 0, 1, 1, 2, 2]),
            0.242_424_242_424_242_4,
        );
        near(adjusted_rand_index(&[], &[]), 1.0);
    }
}
