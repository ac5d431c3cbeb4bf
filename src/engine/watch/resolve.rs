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
    let proposed = parallel::parts(articles, |part| {
        Ok(part.iter().map(|it| Proposed::of(core, *it)).collect::<Vec<_>>())
    })?;
    let numbers = proposed.iter().flat_map(|it| &it.teasers);
    let keys: Vec<(Space, Vec<u8>)> =
        numbers.map(|it| (Space::Teaser, ordered_32(*it).to_vec())).collect();
    let mut rows = core.store.each_row(&keys)?.into_iter();
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    for (at, proposed) in proposed.iter().enumerate() {
        for (teaser, row) in proposed.teasers.iter().zip(rows.by_ref()) {
            let Some(row) = row else { continue };
            let text = StandingTeaser::decode(&row)?.text;
            waiting.push(Waiting { at, teaser: *teaser, text, proposed });
        }
    }
    let read = parallel::each(waiting, |it| it.read(core));
    let read: Vec<Read<'_>> = read.into_iter().flatten().collect();
    let asked: Vec<Asked<'_>> = read
        .iter()
        .map(|it| Asked { tokens: &it.tokens, filter: it.filter, max_results: 1 })
        .collect();
    let answers = core.match_teasers(&asked, Depth::Terms)?;
    let mut resolved: Vec<Vec<Resolved>> = articles.iter().map(|_| Vec::new()).collect();
    for (read, answer) in read.iter().zip(answers) {
        if let Some(matched) = answer.matches.into_iter().next()
            && matched.verdict == Verdict::Match
            && let Some(resolved) = resolved.get_mut(read.at)
        {
            resolved.push((read.teaser, matched));
        }
    }
    Ok(resolved)
}

/// An article, and the teasers that may be its.
struct Proposed<'a> {
    fields: &'a FieldTokens,
    terms: Vec<Term>,
    filter: Filter,
    teasers: Vec<u32>,
}

/// A teaser that may be an article's.
struct Waiting<'a> {
    at: usize,
    teaser: u32,
    text: String,
    proposed: &'a Proposed<'a>,
}

/// One that probably is.
struct Read<'a> {
    at: usize,
    teaser: u32,
    tokens: Tokens,
    filter: &'a Filter,
}

impl<'a> Proposed<'a> {
    fn of(core: &Core, (number, fields): (ArticleNumber, &'a FieldTokens)) -> Self {
        let mut shingles = shingle::shingles(fields.whole());
        shingles.sort_unstable();
        shingles.dedup();
        let terms = term::distinct(fields.leading());
        let teasers = core.standing.propose(ArrivalQuery { shingles: &shingles, terms: &terms });
        let filter = Filter { numbers: number.0..number.0.saturating_add(1), ..Filter::all() };
        Self { fields, terms, filter, teasers }
    }
}

impl<'a> Waiting<'a> {
    fn read(self, core: &Core) -> Option<Read<'a>> {
        let Self { at, teaser, text, proposed } = self;
        let tokens = read_teaser(&text, &core.cues).ok()?;
        let may_belong = may_belong(&tokens, proposed.fields, &proposed.terms);
        may_belong.then_some(Read { at, teaser, tokens, filter: &proposed.filter })
    }
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
