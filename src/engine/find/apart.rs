//! Standing text of a site, which makes no duplicates: two short articles that end
//! in the same paragraphs as everything else on the site are two.

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::{Question, Related, sort};
use crate::hash::HashSet;
use crate::index::Filter;
use crate::matching::overlap::Overlap;
use crate::matching::runs::shared_runs;
use crate::shingle;
use crate::text::tokens::TokenHash;

/// Jaccard similarity from which on two texts have no rest that could tell them
/// apart.
const CHECKED_JACCARD_END: f64 = 0.8;
/// Runs of shared words that are looked at, and those of them that are looked up:
/// the longest.
const RUNS_MAX: usize = 256;
const RUNS_LOOKED_UP_MAX: usize = 4;
/// Words of a run that is looked up, at least.
const RUN_WORDS_MIN: usize = 16;
/// Words at each end of a run that may be shared by chance.
const RUN_MARGIN: usize = 3;
/// Shingles of each text behind its standing text, at least: fewer do not tell
/// what it is about.
const REST_MIN: usize = 20;

/// A run of words that a text shares with one of its relatives.
struct Shared<'a> {
    question: usize,
    relative: usize,
    words: &'a [TokenHash],
}

impl Core {
    /// Relates texts by what is left of both without the site's standing text, and
    /// drops those that are not related then.
    pub(super) fn leave_standing_text_out(
        &self,
        questions: &[Question<'_>],
        found: &mut [Vec<Related<'_>>],
    ) -> Result<(), EngineError> {
        let shared = shared(questions, found);
        if shared.is_empty() {
            return Ok(());
        }
        // Copies share the same runs, so that each is looked up once.
        let texts: HashSet<&[TokenHash]> = shared.iter().map(|it| trimmed(it.words)).collect();
        let texts: Vec<&[TokenHash]> = texts.into_iter().collect();
        let found_standing = self.standing(&texts, &Filter::all(), &HashSet::default())?;
        let standing: HashSet<&[TokenHash]> =
            texts.into_iter().zip(found_standing).filter(|it| it.1).map(|it| it.0).collect();
        let is_standing = |it: &&Shared<'_>| standing.contains(trimmed(it.words));
        let mut pairs: Vec<&Shared<'_>> = shared.iter().filter(is_standing).collect();
        pairs.sort_by_key(|it| (it.question, it.relative));
        for pair in pairs.chunk_by(|a, b| (a.question, a.relative) == (b.question, b.relative)) {
            let gone: HashSet<u64> =
                pair.iter().flat_map(|it| shingle::shingles(it.words)).collect();
            let place =
                pair.first().and_then(|it| found.get_mut(it.question)?.get_mut(it.relative));
            if let Some(relative) = place {
                relative.overlap = rest(relative.overlap, gone.len());
            }
        }
        for related in found {
            related.retain_mut(|it| match it.overlap.relation() {
                Some(relation) => {
                    it.relation = relation;
                    true
                }
                None => false,
            });
            sort(related);
        }
        Ok(())
    }
}

/// What is left of an overlap without so many shingles that both have; the overlap
/// itself where too little is left.
fn rest(overlap: Overlap, standing: usize) -> Overlap {
    let Overlap { shared, left, right } = overlap;
    if left.min(right) < standing + REST_MIN {
        return overlap;
    }
    Overlap {
        shared: shared.saturating_sub(standing),
        left: left - standing,
        right: right - standing,
    }
}

fn trimmed(words: &[TokenHash]) -> &[TokenHash] {
    words.get(RUN_MARGIN..words.len() - RUN_MARGIN).unwrap_or(words)
}

/// The long runs of words that each text shares with each of its relatives.
fn shared<'a>(questions: &[Question<'a>], found: &[Vec<Related<'_>>]) -> Vec<Shared<'a>> {
    let mut out = Vec::new();
    for (question, (asked, related)) in questions.iter().zip(found).enumerate() {
        let tokens = &asked.subject.tokens;
        for (relative, it) in related.iter().enumerate() {
            if it.overlap.jaccard() >= CHECKED_JACCARD_END
                || it.overlap.left.min(it.overlap.right) < RUN_WORDS_MIN + REST_MIN
            {
                continue;
            }
            let mut runs = shared_runs(tokens, it.features.fields.text(), RUNS_MAX);
            runs.retain(|it| it.len >= RUN_WORDS_MIN);
            runs.sort_by_key(|it| std::cmp::Reverse(it.len));
            let longest = runs.into_iter().take(RUNS_LOOKED_UP_MAX);
            out.extend(longest.filter_map(|run| {
                let words = tokens.get(run.left..run.left + run.len)?;
                Some(Shared { question, relative, words })
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_decides_only_where_there_is_enough_of_it() {
        let overlap = Overlap { shared: 60, left: 100, right: 90 };
        assert_eq!(rest(overlap, 60), Overlap { shared: 0, left: 40, right: 30 });
        assert_eq!(rest(overlap, 70), Overlap { shared: 0, left: 30, right: 20 });
        assert_eq!(rest(overlap, 71), overlap);
    }
}
