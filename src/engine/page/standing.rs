//! Standing text of a site, learnt from the store: lines that stand word for word
//! in several stored articles which have nothing else to do with each other, nor
//! with the page's article.

use crate::engine::article::ArticleId;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::record::Features;
use crate::engine::teaser::TEASER_TOKENS_MAX;
use crate::hash::HashSet;
use crate::index::{Filter, TeaserQuery};
use crate::matching::verdict::TEASER_WORDS_MIN;
use crate::shingle;
use crate::text::page::Block;

/// Articles in which a line of standing text stands, at least.
const ARTICLES_MIN: usize = 3;
/// Estimated Jaccard similarity of two of these articles, fewer than this: what
/// stands in copies of one article is no standing text.
const JACCARD_END: f64 = 0.3;
/// Articles that are read for a line, at most: those that share most with it.
const READ_MAX: usize = 16;

impl Core {
    /// Which of the lines, by their places in `blocks`, are standing text among
    /// the articles that pass the filter, `own` left out. A line of ten words or
    /// more is always found, a shorter one if an anchor falls on it.
    pub(super) fn standing(
        &self,
        blocks: &[Block],
        lines: &[usize],
        filter: &Filter,
        own: &HashSet<&ArticleId>,
    ) -> Result<Vec<bool>, EngineError> {
        let mut flags = vec![false; blocks.len()];
        let lines: Vec<(usize, &Block)> = lines
            .iter()
            .filter_map(|at| Some((*at, blocks.get(*at)?)))
            .filter(|(_, it)| can_stand(it))
            .collect();
        let shingles: Vec<Vec<u64>> =
            lines.iter().map(|(_, it)| shingle::shingles(&it.tokens.hashes)).collect();
        let queries: Vec<TeaserQuery<'_>> =
            shingles.iter().map(|shingles| TeaserQuery { shingles, filter }).collect();
        let mut proposals = self.index.teasers(&queries)?;
        for proposal in &mut proposals {
            let candidates = &mut proposal.candidates;
            candidates.truncate(if candidates.len() < ARTICLES_MIN { 0 } else { READ_MAX });
        }
        let features = self.features(proposals.iter().flat_map(|it| it.candidates.clone()))?;
        for ((at, line), proposal) in lines.into_iter().zip(&proposals) {
            let holders = proposal.candidates.iter().filter_map(|it| features.get(it));
            let holders = holders.filter(|it| !own.contains(&it.id) && holds(it, line));
            if let Some(flag) = flags.get_mut(at) {
                *flag = are_unrelated(holders);
            }
        }
        Ok(flags)
    }
}

/// A blurb that is cut is a teaser, wherever else it stands.
fn can_stand(line: &Block) -> bool {
    !line.truncated
        && line.tokens.words() >= TEASER_WORDS_MIN
        && line.tokens.len() <= TEASER_TOKENS_MAX
}

/// Whether an article has a line word for word.
fn holds(article: &Features, line: &Block) -> bool {
    article.fields.text.windows(line.tokens.len()).any(|it| it == line.tokens.hashes)
}

/// Whether there are enough articles no two of which are alike.
fn are_unrelated<'a>(articles: impl Iterator<Item = &'a Features>) -> bool {
    let mut apart: Vec<&Features> = Vec::with_capacity(ARTICLES_MIN);
    for article in articles {
        let jaccard = |it: &&Features| it.sketch.minhash.estimated_jaccard(&article.sketch.minhash);
        if apart.iter().all(|it| jaccard(it) < JACCARD_END) {
            apart.push(article);
        }
        if apart.len() == ARTICLES_MIN {
            return true;
        }
    }
    false
}
