//! The best path through the lines of a page: one article, which begins once,
//! may be interrupted, and ends once. A local alignment with affine gaps
//! (Smith and Waterman 1981, Gotoh 1982), of lines with "part of the article".

/// What it costs, in words, to leave a block out of the article, and each line of
/// the block. A block must be that bad to be worth an interruption: single lines
/// are taken out by what they are, not by their sum.
const GAP_COST: i64 = 120;
const GAP_LINE_COST: i64 = 1;

/// The lines of a path and the sum of their scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) sum: i64,
    pub(super) lines: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Inside,
    Gap,
    After,
}

/// The best sums of paths that end in each state behind a line.
#[derive(Debug, Clone, Copy)]
struct Sums {
    inside: i64,
    gap: i64,
    after: i64,
}

/// From which state each state was reached at a line; before the article there
/// is no other way.
#[derive(Debug, Clone, Copy)]
struct Steps {
    inside: State,
    gap: State,
    after: State,
}

/// No path leads there; far enough from the least number to be added to.
const NEVER: i64 = i64::MIN / 2;

/// The path with the greatest sum; it has at least one line, where there is one.
pub(super) fn best(scores: &[i64]) -> Path {
    let mut sums = Sums { inside: NEVER, gap: NEVER, after: NEVER };
    let mut steps = Vec::with_capacity(scores.len());
    for score in scores {
        let (inside, from_inside) =
            greatest([(0, State::Before), (sums.inside, State::Inside), (sums.gap, State::Gap)]);
        let (gap, from_gap) =
            greatest([(sums.inside - GAP_COST, State::Inside), (sums.gap, State::Gap)]);
        let (after, from_after) =
            greatest([(sums.inside, State::Inside), (sums.after, State::After)]);
        steps.push(Steps { inside: from_inside, gap: from_gap, after: from_after });
        sums = Sums {
            inside: inside.saturating_add(*score),
            gap: (gap - GAP_LINE_COST).max(NEVER),
            after,
        };
    }
    let (sum, end) = greatest([(sums.after, State::After), (sums.inside, State::Inside)]);
    Path { sum: if steps.is_empty() { 0 } else { sum }, lines: trace(&steps, end) }
}

/// The first of the greatest.
fn greatest<const N: usize>(ways: [(i64, State); N]) -> (i64, State) {
    let first = (NEVER, State::Inside);
    ways.into_iter().fold(first, |best, way| if way.0 > best.0 { way } else { best })
}

fn trace(steps: &[Steps], end: State) -> Vec<bool> {
    let mut lines = vec![false; steps.len()];
    let mut state = end;
    for (line, step) in lines.iter_mut().zip(steps).rev() {
        *line = state == State::Inside;
        state = match state {
            State::Before => State::Before,
            State::Inside => step.inside,
            State::Gap => step.gap,
            State::After => step.after,
        };
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(scores: &[i64]) -> Vec<usize> {
        let path = best(scores);
        (0..scores.len()).filter(|it| path.lines[*it]).collect()
    }

    #[test]
    fn the_best_run_is_found() {
        assert_eq!(chosen(&[-3, 40, -10, 60, -80, 30]), [1, 2, 3]);
        assert_eq!(chosen(&[-3, -1, -2]), [1]);
        assert_eq!(best(&[]), Path { sum: 0, lines: Vec::new() });
    }

    #[test]
    fn a_block_that_costs_more_than_a_gap_is_left_out() {
        assert_eq!(chosen(&[200, -50, -90, -60, 300]), [0, 4]);
        assert_eq!(chosen(&[200, -50, -60, 300]), [0, 1, 2, 3]);
    }

    proptest! {
        /// No run and no pair of runs has a greater sum than the path.
        #[test]
        fn no_other_path_is_better(scores in proptest::collection::vec(-90_i64..90, 1..14)) {
            let path = best(&scores);
            let sum = |from: usize, to: usize| scores[from..to].iter().sum::<i64>();
            let end = scores.len();
            let mut most = i64::MIN;
            for a in 0..end {
                for b in a + 1..=end {
                    most = most.max(sum(a, b));
                    for c in b + 1..end {
                        let gap = i64::try_from(c - b).unwrap() * GAP_LINE_COST + GAP_COST;
                        for d in c + 1..=end {
                            most = most.max(sum(a, b) + sum(c, d) - gap);
                        }
                    }
                }
            }
            prop_assert!(path.sum >= most);
            let lines = path.lines.iter().zip(&scores).filter(|it| *it.0).map(|it| it.1);
            prop_assert!(lines.sum::<i64>() >= path.sum);
        }
    }
}
