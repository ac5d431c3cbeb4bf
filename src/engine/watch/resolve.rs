//! Which teasers that wait belong to an article that arrives: the shelf's index proposes,
//! the question that teasers ask decides, among this article alone.

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::parallel;
use crate::engine::rows::ordered_32;
use crate::engine::teaser::{Asked, Depth, TeaserMatch, read_teaser};
use crate::engine::watch::record::StandingTeaser;
use crate::index::Filter;
use crate::index::keys::FieldTokens;
use crate::index::standing::ArrivalQuery;
use crate::matching::align::Pattern;
use crate::matching::verdict::{EDITED_SIMILARITY_MIN, Verdict};
use crate::shingle;
use crate::store::{ArticleNumber, Space};
use crate::term::{self, Term};
use crate::text::tokens::Tokens;

/// Share of the terms of a teaser in other words that its article leads with: overwhelming,
/// as a MATCH in other words is.
const REWRITTEN_TERMS_MIN: f64 = 0.6;

/// A teaser that waits, by its number, and where it stands in an article.
pub(in crate::engine) type Resolved = (u32, TeaserMatch);

/// The teasers that belong to each of some articles, which are in the index and the store.
pub(in crate::engine) fn arrivals(
    core: &Core,
    articles: &[(ArticleNumber, &FieldTokens)],
) -> Result<Vec<Vec<Resolved>>, EngineError> {
    parallel::parts(articles, |part| part.iter().map(|it| arrival(core, *it)).collect())
}

fn arrival(
    core: &Core,
    (number, fields): (ArticleNumber, &FieldTokens),
) -> Result<Vec<Resolved>, EngineError> {
    let mut shingles = shingle::shingles(fields.whole());
    shingles.sort_unstable();
    shingles.dedup();
    let terms = term::distinct(fields.leading());
    let proposed = core.standing.propose(ArrivalQuery { shingles: &shingles, terms: &terms });
    if proposed.is_empty() {
        return Ok(Vec::new());
    }
    let filter = Filter { numbers: number.0..number.0.saturating_add(1), ..Filter::all() };
    let mut read = Vec::new();
    for teaser in proposed {
        let row = core.store.row(Space::Teaser, &ordered_32(teaser))?;
        let Some(row) = row else { continue };
        if let Ok(tokens) = read_teaser(&StandingTeaser::decode(&row)?.text, &core.cues)
            && may_belong(&tokens, fields, &terms)
        {
            read.push((teaser, tokens));
        }
    }
    let asked: Vec<Asked<'_>> =
        read.iter().map(|(_, tokens)| Asked { tokens, filter: &filter, max_results: 1 }).collect();
    let answers = core.match_teasers(&asked, Depth::Terms)?;
    let resolved = read.iter().zip(answers).filter_map(|((teaser, _), answer)| {
        let matched = answer.matches.into_iter().next()?;
        (matched.verdict == Verdict::Match).then_some((*teaser, matched))
    });
    Ok(resolved.collect())
}

/// Whether a teaser may be answered MATCH with an article, told by the two alone: much of
/// it stands there, or nearly all of its words are among those that the article leads
/// with.
fn may_belong(teaser: &Tokens, fields: &FieldTokens, leading: &[Term]) -> bool {
    let edits = Pattern::new(&teaser.hashes).best_place(fields.whole()).distance;
    let similarity = 1.0 - edits as f64 / (teaser.len() as f64).max(1.0);
    if similarity >= EDITED_SIMILARITY_MIN {
        return true;
    }
    let terms = term::distinct([teaser.hashes.as_slice()]);
    let shared = terms.iter().filter(|it| leading.binary_search(it).is_ok()).count();
    shared as f64 >= REWRITTEN_TERMS_MIN * terms.len() as f64
}
