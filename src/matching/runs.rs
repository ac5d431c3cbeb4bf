//! Runs: the stretches of words that stand in two texts, wherever they stand.

use std::ops::Range;

use crate::hash::HashMap;
use crate::matching::align::Pattern;
use crate::shingle;
use crate::shingle::SHINGLE_TOKENS;
use crate::text::tokens::TokenHash;

/// A stretch of equal tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its first token in the first text.
    pub left: usize,
    /// Its first token in the second text.
    pub right: usize,
    /// Number of tokens.
    pub len: usize,
}

/// The runs of at least a shingle, in the order of the first text; at most
/// `count_max`. Each token of the first text is in one run at most. Where a
/// shingle stands several times in the second text, the run before is carried
/// on if it can be, and the first place is taken if not.
pub fn shared_runs(left: &[TokenHash], right: &[TokenHash], count_max: usize) -> Vec<Run> {
    let mut places: HashMap<u64, usize> = HashMap::default();
    for (index, shingle) in shingle::shingles(right).into_iter().enumerate() {
        places.entry(shingle).or_insert(index);
    }
    let shingles = shingle::shingles(left);
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while runs.len() < count_max
        && let Some(shingle) = shingles.get(at)
    {
        let found = places.get(shingle).map(|place| {
            let further = runs.last().map(|it| it.right + at - it.left);
            let on_line = further.filter(|it| equal_tokens(left, right, at, *it) >= SHINGLE_TOKENS);
            let right_at = on_line.unwrap_or(*place);
            Run { left: at, right: right_at, len: equal_tokens(left, right, at, right_at) }
        });
        match found.filter(|it| it.len > 0) {
            Some(run) => {
                at += run.len;
                runs.push(run);
            }
            None => at += 1,
        }
    }
    runs
}

/// Where some words stand in a text as they are, the first place. `None` for no words.
pub fn place_of(words: &[TokenHash], text: &[TokenHash]) -> Option<usize> {
    let (first, rest) = words.split_first()?;
    let end = (text.len() + 1).checked_sub(words.len())?;
    let mut compared = 0;
    let mut at = 0;
    while let Some(next) = text.get(at..end)?.iter().position(|it| it == first) {
        at += next;
        let behind = text.get(at + 1..).unwrap_or_default();
        let equal = rest.iter().zip(behind).take_while(|(a, b)| a == b).count();
        if equal == rest.len() {
            return Some(at);
        }
        // A text of few different words is read once more by what does not start over.
        compared += equal;
        if compared > text.len() {
            let place = Pattern::new(words).best_place(text);
            return (place.distance == 0).then(|| place.end - words.len());
        }
        at += 1;
    }
    None
}

/// The maximal ranges of the first index in which both indexes of the pairs go
/// up by one.
pub fn consecutive(pairs: &[(usize, usize)]) -> Vec<Range<usize>> {
    pairs
        .chunk_by(|a, b| a.0 + 1 == b.0 && a.1 + 1 == b.1)
        .filter_map(|chunk| Some(chunk.first()?.0..chunk.last()?.0 + 1))
        .collect()
}

fn equal_tokens(left: &[TokenHash], right: &[TokenHash], l: usize, r: usize) -> usize {
    let (left, right) = (left.get(l..).unwrap_or_default(), right.get(r..).unwrap_or_default());
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_stand_where_a_window_is_equal_to_them(
            words in proptest::collection::vec(0_u32..3, 1..9),
            text in proptest::collection::vec(0_u32..3, 0..80),
        ) {
            let expected = text.windows(words.len()).position(|it| it == words);
            prop_assert_eq!(place_of(&words, &text), expected);
        }
    }

    #[test]
    fn words_are_found_in_a_text_of_few_different_words() {
        let text = [vec![1; 5000], vec![2]].concat();
        assert_eq!(place_of(&text[4000..], &text), Some(4000));
        assert_eq!(place_of(&[vec![1; 900], vec![3]].concat(), &text), None);
        assert_eq!(place_of(&[], &text), None);
    }

    #[test]
    fn runs_are_maximal_and_follow_the_line() {
        let left = [1, 2, 3, 4, 9, 9, 5, 6, 7, 8];
        let right = [0, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 1, 2, 3];
        let expected = [Run { left: 0, right: 1, len: 4 }, Run { left: 6, right: 7, len: 4 }];
        assert_eq!(shared_runs(&left, &right, 10), expected);
        assert_eq!(shared_runs(&left, &right, 1), expected[..1]);
        assert!(shared_runs(&[1, 2], &[3, 4], 10).is_empty());
        assert_eq!(shared_runs(&[1, 2], &[1, 2], 10), [Run { left: 0, right: 0, len: 2 }]);
        assert!(shared_runs(&[], &[1], 10).is_empty());
    }

    #[test]
    fn repeats_carry_the_run_on() {
        let left = [5, 5, 5, 1, 2, 3, 5, 5, 5];
        assert_eq!(shared_runs(&left, &left, 10), [Run { left: 0, right: 0, len: 9 }]);
    }

    #[test]
    fn consecutive_pairs_make_ranges() {
        assert_eq!(consecutive(&[(0, 4), (1, 5), (3, 6), (4, 8), (5, 9)]), [0..2, 3..4, 4..6]);
        assert!(consecutive(&[]).is_empty());
    }
}
