//! Teasers that wait for their articles: the mirror of the anchor index. The teaser's
//! side is sparse, the article's is dense: it looks up all its shingles and the terms it
//! begins with. A proposal is no answer.

use std::sync::{PoisonError, RwLock};

use crate::hash::HashMap;
use crate::index::postings::{POPULAR_ABOVE, Posting, Postings, postings_of};
use crate::matching::verdict::STANDING_SIMILARITY_MIN;
use crate::shingle;
use crate::shingle::SHINGLE_TOKENS;
use crate::term;
use crate::term::Term;
use crate::text::tokens::TokenHash;

/// Of the shingles of a long teaser, one in this many is kept: more than a shingle has
/// words, so that a changed word spoils one of them at most.
const STRIDE: usize = 4;
/// Shingles up to which a teaser is short, and all are kept.
const SHORT_SHINGLES: usize = 12;
/// Of the shingles kept of a teaser, an article must have one in so many.
const EDITED_ONE_IN: usize = 3;
/// Terms of a teaser that are kept, at most.
const TERMS_MAX: usize = 64;
/// Postings of shingles that an article follows, the rarest shingles first.
const ANCHOR_POSTINGS_MAX: usize = 6144;
/// Of the postings of one shingle that many teasers have, at most.
const POPULAR_FOLLOWED_MAX: usize = 512;
/// Postings of terms that an article follows, the rarest terms first.
const TERM_POSTINGS_MAX: usize = 2048;
/// Anchors of a teaser up to which one shared with an article is enough; of others, at
/// least two are.
const SINGLE_MAX: usize = 1;
/// Share of a teaser's terms that must be among those of an article that are followed.
const TERMS_SHARE_MIN: f64 = 0.35;
/// Shared terms of a teaser in other words, at least.
const SHARED_TERMS_MIN: u32 = 4;
/// Teasers that terms propose to one article, at most.
const BY_TERMS_MAX: usize = 16;

/// What a teaser that waits is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingKeys {
    anchors: Vec<u64>,
    terms: Vec<Term>,
    needs: Needs,
}

/// What an article must have of a teaser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Needs {
    anchors: u16,
    terms: u16,
}

/// An article's side.
#[derive(Debug, Clone, Copy)]
pub struct ArrivalQuery<'a> {
    /// The distinct shingles of its fields in a row.
    pub shingles: &'a [u64],
    /// The distinct terms of its title, description and lead.
    pub terms: &'a [Term],
}

/// Teasers that wait, under their numbers.
#[derive(Debug)]
pub struct StandingIndex {
    anchors: Postings,
    /// Anchors of teasers of which one is enough.
    singles: Postings,
    terms: Postings,
    needs: RwLock<HashMap<u32, Needs>>,
}

impl Default for StandingIndex {
    fn default() -> Self {
        Self {
            anchors: Postings::new(),
            singles: Postings::new(),
            terms: Postings::new(),
            needs: RwLock::default(),
        }
    }
}

impl StandingKeys {
    /// Of a teaser's tokens. An article in which it stands has, of the kept shingles, all
    /// but those that the words changed at [`STANDING_SIMILARITY_MIN`] can spoil.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
    pub fn of(tokens: &[TokenHash]) -> Self {
        let shingles = shingle::shingles(tokens);
        let is_short = shingles.len() <= SHORT_SHINGLES;
        let (stride, spoilt) = if is_short { (1, SHINGLE_TOKENS) } else { (STRIDE, 1) };
        let mut anchors: Vec<u64> = shingles.into_iter().step_by(stride).collect();
        // As in alignment: an edit less at the edge is one candidate more.
        let edits = ((1.0 - STANDING_SIMILARITY_MIN) * tokens.len() as f64 + 1e-6) as usize;
        let all = anchors.len();
        anchors.sort_unstable();
        anchors.dedup();
        let repeated = all - anchors.len();
        let standing = anchors.len().saturating_sub(edits * spoilt + repeated);
        // Fewer, so that one with more words changed is found too.
        let least = if anchors.len() <= SINGLE_MAX { 1 } else { 2 };
        let needed = standing.min(anchors.len().div_ceil(EDITED_ONE_IN)).max(least);
        let mut terms = term::distinct([tokens]);
        terms.truncate(TERMS_MAX);
        let needed_terms = (TERMS_SHARE_MIN * terms.len() as f64).ceil() as u16;
        let needs = Needs {
            anchors: u16::try_from(needed).unwrap_or(u16::MAX),
            terms: needed_terms.max(SHARED_TERMS_MIN as u16),
        };
        Self { anchors, terms, needs }
    }
}

impl StandingIndex {
    /// Adds a teaser.
    pub fn insert(&self, number: u32, keys: &StandingKeys) {
        self.needs.write().unwrap_or_else(PoisonError::into_inner).insert(number, keys.needs);
        self.change(number, keys, Postings::insert);
    }

    /// Removes a teaser, given as it was inserted.
    pub fn remove(&self, number: u32, keys: &StandingKeys) {
        self.needs.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        self.change(number, keys, Postings::remove);
    }

    fn change(&self, number: u32, keys: &StandingKeys, act: impl Fn(&Postings, &[Posting])) {
        act(self.anchors_of(keys), &postings_of(&keys.anchors, number).collect::<Vec<_>>());
        act(&self.terms, &postings_of(&keys.terms, number).collect::<Vec<_>>());
    }

    /// Forgets all.
    pub fn clear(&self) {
        for postings in [&self.anchors, &self.singles, &self.terms] {
            postings.clear();
        }
        self.needs.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Teasers.
    pub fn len(&self) -> usize {
        self.needs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no teaser waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        let needs = self.needs.read().unwrap_or_else(PoisonError::into_inner);
        let slot = size_of::<(u32, Needs)>() + 1;
        let postings = [&self.anchors, &self.singles, &self.terms];
        postings.map(|it| it.sizes().1).iter().sum::<u64>() + (needs.capacity() * slot) as u64
    }

    /// The numbers of the teasers that may belong to an article, ascending: all that stand
    /// in it with similarity of [`STANDING_SIMILARITY_MIN`], but for those with nothing but
    /// stock phrases, and a few that share its terms.
    pub fn propose(&self, query: ArrivalQuery<'_>) -> Vec<u32> {
        let needs = self.needs.read().unwrap_or_else(PoisonError::into_inner);
        if needs.is_empty() {
            return Vec::new();
        }
        let enough = |it: &(u32, u32), needed: fn(Needs) -> u16| {
            needs.get(&it.0).is_some_and(|needs| it.1 >= u32::from(needed(*needs)))
        };
        let anchors = votes(&self.anchors, query.shingles, ANCHOR_POSTINGS_MAX);
        let anchored = counted(&anchors, 2).filter(|it| enough(it, |it| it.anchors));
        let mut proposed: Vec<u32> = anchored.map(|it| it.0).collect();
        proposed.extend(votes(&self.singles, query.shingles, ANCHOR_POSTINGS_MAX));
        let terms = votes(&self.terms, query.terms, TERM_POSTINGS_MAX);
        let mut by_terms: Vec<(u32, u32)> = counted(&terms, SHARED_TERMS_MIN)
            .filter(|it| enough(it, |it| it.terms))
            .map(|(number, votes)| (u32::MAX - votes, number))
            .collect();
        by_terms.sort_unstable();
        proposed.extend(by_terms.into_iter().map(|it| it.1).take(BY_TERMS_MAX));
        proposed.sort_unstable();
        proposed.dedup();
        proposed
    }

    fn anchors_of(&self, keys: &StandingKeys) -> &Postings {
        if keys.anchors.len() <= SINGLE_MAX { &self.singles } else { &self.anchors }
    }
}

/// The numbers that keys have, once for each of the keys, ascending: those of the rarest
/// keys, at most so many.
fn votes(postings: &Postings, keys: &[u64], count_max: usize) -> Vec<u32> {
    let found = postings.find(keys);
    let mut ranked: Vec<(u32, usize)> =
        found.frequencies(0..keys.len()).zip(0..).filter(|it| it.0 > 0).collect();
    ranked.sort_unstable();
    let mut votes = Vec::with_capacity(count_max);
    for (frequency, at) in ranked {
        let left = count_max.saturating_sub(votes.len());
        if left == 0 {
            break;
        }
        if frequency <= POPULAR_ABOVE {
            votes.extend(found.numbers(at).iter().take(left));
        } else if let Some(key) = keys.get(at) {
            postings.each(*key, 0, left.min(POPULAR_FOLLOWED_MAX), |number| {
                votes.push(number);
                true
            });
        }
    }
    votes.sort_unstable();
    votes
}

/// Each number that stands there so often, and how often.
fn counted(sorted: &[u32], count_min: u32) -> impl Iterator<Item = (u32, u32)> {
    sorted
        .chunk_by(|a, b| a == b)
        .filter_map(|it| Some((*it.first()?, u32::try_from(it.len()).ok()?)))
        .filter(move |it| it.1 >= count_min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proposed(index: &StandingIndex, article: &[u32]) -> Vec<u32> {
        let mut shingles = shingle::shingles(article);
        shingles.sort_unstable();
        shingles.dedup();
        index.propose(ArrivalQuery { shingles: &shingles, terms: &term::distinct([article]) })
    }

    proptest! {
        /// Words as numbers; one in ten of the teaser is another word in the article.
        #[test]
        fn a_teaser_with_a_tenth_of_its_words_changed_is_proposed(
            len in 3_usize..80, seed in 0_u32..1000, others in 0_u32..200,
        ) {
            let index = StandingIndex::default();
            let teaser: Vec<u32> = (0..80).take(len).map(|it| 2 * (seed * 7919 + it * 31)).collect();
            index.insert(7, &StandingKeys::of(&teaser));
            for other in 0..others {
                let words: Vec<u32> = (0..12).map(|it| 2 * (900_000 + other * 100 + it)).collect();
                index.insert(100 + other, &StandingKeys::of(&words));
            }
            let mut article: Vec<u32> = (0..40).map(|it| 2 * it + 5_000_000).collect();
            let edits = len / 10;
            for (at, word) in teaser.iter().enumerate() {
                let is_edited = edits > 0 && at % 10 == 3 && at / 10 < edits;
                article.push(if is_edited { 7_000_000 + *word } else { *word });
            }
            article.extend((0..40).map(|it| 2 * it + 6_000_000));
            prop_assert!(proposed(&index, &article).contains(&7));
            let unlike: Vec<u32> = (0..100).map(|it| 2 * it + 8_000_000).collect();
            prop_assert!(proposed(&index, &unlike).is_empty());
            index.remove(7, &StandingKeys::of(&teaser));
            prop_assert!(!proposed(&index, &article).contains(&7));
            prop_assert_eq!(index.len(), others as usize);
        }
    }

    #[test]
    fn a_teaser_in_other_words_is_proposed_by_its_terms() {
        let index = StandingIndex::default();
        let teaser: Vec<u32> = (1..=20).map(|it| 2 * it).collect();
        index.insert(1, &StandingKeys::of(&teaser));
        let reordered: Vec<u32> = teaser.iter().rev().flat_map(|it| [*it, 1000 + it]).collect();
        assert_eq!(proposed(&index, &reordered), [1]);
        let some: Vec<u32> = teaser.iter().take(5).flat_map(|it| [*it, 1000 + it]).collect();
        assert!(proposed(&index, &some).is_empty(), "five of twenty terms are too few");
    }
}
