//! Standing text of a site, learnt from the store: what stands word for word in
//! several stored articles that have nothing else to do with each other.

use crate::engine::article::ArticleId;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::record::Features;
use crate::engine::teaser::TEASER_TOKENS_MAX;
use crate::hash::{HashMap, HashSet};
use crate::index::keys::ANCHOR_STRIDE;
use crate::index::{self, Filter, TeaserQuery, Wanted};
use crate::matching::runs;
use crate::shingle::{self, SHINGLE_TOKENS};
use crate::store::ArticleNumber;
use crate::text::tokens::TokenHash;

/// Articles in which a text stands for it to be standing text, at least.
const ARTICLES_MIN: usize = 3;
/// Share of one of these articles that another one has too, besides the text, less
/// than this: what stands in copies of one article is no standing text.
const REST_IN_COMMON_END: f64 = 0.3;
/// Shingles of an article besides the text, at least, for it to be another one.
const REST_SHINGLES_MIN: f64 = 20.0;
/// Articles that are read for a text, at most: those that share most with it.
const READ_MAX: usize = 16;

impl Core {
    /// Which of the texts are standing text among the articles that pass the
    /// filter, `own` left out. A text of ten words or more is always found, a
    /// shorter one if an anchor falls on it; one of more than
    /// [`TEASER_TOKENS_MAX`] tokens is none.
    pub(super) fn standing(
        &self,
        texts: &[&[TokenHash]],
        filter: &Filter,
        own: &HashSet<&ArticleId>,
    ) -> Result<Vec<bool>, EngineError> {
        let mut flags = vec![false; texts.len()];
        let open = self.frequent(texts, filter)?;
        let shingles: Vec<Vec<u64>> =
            open.iter().filter_map(|at| Some(shingle::shingles(texts.get(*at)?))).collect();
        let wanted = Wanted::Whole { articles_min: ARTICLES_MIN };
        let queries: Vec<TeaserQuery<'_>> =
            shingles.iter().map(|shingles| TeaserQuery { shingles, filter, wanted }).collect();
        let mut proposals =
            if queries.is_empty() { Vec::new() } else { self.index.teasers(&queries)? };
        for proposal in &mut proposals {
            proposal.candidates.truncate(READ_MAX);
        }
        let mut asked: HashMap<ArticleNumber, Vec<&[TokenHash]>> = HashMap::default();
        for (text, proposal) in open.iter().filter_map(|at| texts.get(*at)).zip(&proposals) {
            for number in &proposal.candidates {
                asked.entry(*number).or_default().push(text);
            }
        }
        // Most share a phrase with the text, and have not even all of its words.
        let may_hold = |number: ArticleNumber, bytes: &[u8]| {
            let mut texts = asked.get(&number).into_iter().flatten();
            texts.any(|it| Features::may_have(bytes, self.dictionary.get(), it))
        };
        let features = self.features_where(asked.keys().copied(), may_hold)?;
        for ((at, shingles), proposal) in open.iter().zip(&shingles).zip(&proposals) {
            let (Some(text), Some(flag)) = (texts.get(*at), flags.get_mut(*at)) else { continue };
            let holders = proposal.candidates.iter().filter_map(|it| features.get(it));
            let holds = |it: &Features| runs::place_of(text, it.fields.text()).is_some();
            let holders = holders.filter(|it| !own.contains(&it.id) && holds(it));
            *flag = are_unrelated(holders, shingles.len());
        }
        Ok(flags)
    }

    /// Which of the texts may stand in enough articles, told by a few shingles in a
    /// row: every article that has all of the text has an anchor among them.
    fn frequent(&self, texts: &[&[TokenHash]], filter: &Filter) -> Result<Vec<usize>, EngineError> {
        let can_be = |it: &&[TokenHash]| !it.is_empty() && it.len() <= TEASER_TOKENS_MAX;
        let asked = texts.iter().enumerate().filter(|(_, it)| can_be(it));
        let asked: Vec<(usize, Vec<u64>)> =
            asked.map(|(at, it)| (at, shingle::shingles(middle(it)))).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = Wanted::Frequencies;
        let queries: Vec<TeaserQuery<'_>> =
            asked.iter().map(|(_, shingles)| TeaserQuery { shingles, filter, wanted }).collect();
        let proposals = self.index.teasers(&queries)?;
        let asked = asked.into_iter().zip(&proposals);
        let frequent = asked.filter(|(_, it)| index::may_be_in(&it.frequencies, ARTICLES_MIN));
        Ok(frequent.map(|((at, _), _)| at).collect())
    }
}

/// As many words in the middle of a text as have two anchors in every article that has
/// the text; all of a shorter one. One anchor is shared by chance where there are many
/// articles.
fn middle(text: &[TokenHash]) -> &[TokenHash] {
    const WORDS: usize = SHINGLE_TOKENS + 2 * ANCHOR_STRIDE - 1;
    let start = text.len().saturating_sub(WORDS) / 2;
    text.get(start..start + WORDS).unwrap_or(text)
}

/// Whether there are enough articles of which no two are alike but for a text of
/// so many shingles.
fn are_unrelated<'a>(articles: impl Iterator<Item = &'a Features>, text_shingles: usize) -> bool {
    let mut apart: Vec<&Features> = Vec::with_capacity(ARTICLES_MIN);
    for article in articles {
        if apart.iter().all(|it| rest_in_common(it, article, text_shingles) < REST_IN_COMMON_END) {
            apart.push(article);
        }
        if apart.len() == ARTICLES_MIN {
            return true;
        }
    }
    false
}

/// Of two articles without a text that both have, the share of the smaller one that
/// is in the other, estimated from their sketches. All of it where little is left:
/// an article that is nothing but the text is a copy of it.
fn rest_in_common(a: &Features, b: &Features, text_shingles: usize) -> f64 {
    let jaccard = a.minhash.estimated_jaccard(&b.minhash);
    let (left, right) = (a.shingle_count as f64, b.shingle_count as f64);
    let text = text_shingles as f64;
    let rest = left.min(right) - text;
    if rest < REST_SHINGLES_MIN {
        return 1.0;
    }
    let shared = jaccard * (left + right) / (1.0 + jaccard);
    (shared - text).max(0.0) / rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::article::{Article, ArticleId};
    use crate::engine::prepare::Prepared;

    fn features(text: &str) -> Features {
        let article = Article::of(ArticleId::new("a").unwrap(), text.to_owned());
        Prepared::new(article, None, true).unwrap().features
    }

    fn words(of: &str, count: usize) -> String {
        (0..count).map(|it| format!("{of}{it}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn briefs_with_a_long_common_end_are_unrelated_and_copies_are_not() {
        let end = words("end", 60);
        let briefs: Vec<Features> = ["a", "b", "c"]
            .iter()
            .map(|it| features(&format!("{} {end}", words(it, 40))))
            .collect();
        assert!(are_unrelated(briefs.iter(), 58));
        assert!(!are_unrelated(briefs.iter().take(2), 58), "two are too few");
        let bare: Vec<Features> =
            ["a", "b", "c"].iter().map(|it| features(&format!("{} {end}", words(it, 5)))).collect();
        assert!(!are_unrelated(bare.iter(), 58), "nothing but the text");
        let copies: Vec<Features> = ["x", "y", "z"]
            .iter()
            .map(|it| features(&format!("{} {} {end}", words(it, 10), words("same", 150))))
            .collect();
        assert!(!are_unrelated(copies.iter(), 58));
    }

    #[test]
    fn the_middle_of_a_text_is_as_long_as_two_anchors_ask_for() {
        let text: Vec<u32> = (0..30).collect();
        assert_eq!(middle(&text), &text[6..24]);
        assert_eq!(middle(&text[..18]), &text[..18]);
        assert_eq!(middle(&text[..7]), &text[..7]);
        assert!(middle(&[]).is_empty());
    }
}
