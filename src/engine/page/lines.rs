//! The lines of a page as teasers: which are looked up each by itself, and what is
//! known of those that are not.
//!
//! A line that stands in an article which the body is related to is answered by the
//! body's question: it is the page's own. It is looked up only if it turns out to be
//! a teaser all the same. Equal lines are looked up once.

use crate::engine::article::ArticleId;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::page::{MATCHED_LINES_MAX, Page, Relative, is_teaser};
use crate::engine::teaser::{Asked, Depth, Field, TEASER_TOKENS_MAX, TeaserAnswer};
use crate::hash::{HashMap, HashSet};
use crate::matching::overlap::Relation;
use crate::matching::runs;
use crate::matching::verdict::{TEASER_WORDS_MIN, Verdict};
use crate::shingle::{self, SHINGLE_TOKENS, Shingle};
use crate::text::page::SegmentKind;
use crate::text::tokens::{TokenHash, Tokens};

/// Lines of a page that match one article without being its teaser: from this
/// many on, the page shares text with that article.
const SHARED_LINES_MIN: usize = 3;

/// What is known of the lines as teasers.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Default)]
struct Line {
    /// Whether it can be a teaser.
    is_open: bool,
    /// The relatives of the body that it stands in, by their place among these.
    holders: Vec<usize>,
    /// Whether one of them is the page's own.
    is_own: bool,
    /// Whether it is the title of one that is the page's own.
    is_own_title: bool,
    answer: Option<TeaserAnswer>,
}

impl Lines {
    /// Of a page whose body has these relatives.
    pub(super) fn new(page: Page<'_>, body: &[Relative]) -> Self {
        let mut lines = vec![Line::default(); page.blocks.len()];
        let can_be = |it: &Tokens| !it.is_empty() && it.len() <= TEASER_TOKENS_MAX;
        let open = lines.iter_mut().zip(page.blocks).filter(|(_, it)| can_be(&it.tokens));
        let mut asked = Vec::new();
        for (line, block) in open.take(MATCHED_LINES_MAX) {
            line.is_open = true;
            if block.words >= TEASER_WORDS_MIN {
                asked.push((line, block.tokens.hashes.as_slice()));
            }
        }
        let mut search = Search::new(asked.iter().map(|it| it.1));
        for (at, (duplicate, fields)) in body.iter().enumerate() {
            let is_own = duplicate.relation != Relation::Overlaps;
            for field in [fields.text(), fields.title(), fields.description()] {
                search.enter(field);
                for (line, words) in &mut asked {
                    if line.holders.last() != Some(&at) && search.finds(words) {
                        line.holders.push(at);
                        line.is_own |= is_own;
                    }
                }
            }
            for (line, words) in asked.iter_mut().filter(|_| is_own) {
                line.is_own_title |= *words == fields.title();
            }
        }
        Self { lines }
    }

    /// Whether a line is the title of the page's own article.
    pub(super) fn is_own_title(&self, at: usize) -> bool {
        self.lines.get(at).is_some_and(|it| it.is_own_title)
    }

    /// Whether a line is the title, or a part of it, of the article whose blurb stands
    /// behind it.
    pub(super) fn is_headline(&self, at: usize) -> bool {
        let best = |at: usize| {
            let answer = self.lines.get(at)?.answer.as_ref();
            answer.filter(|it| it.verdict == Verdict::Match)?.matches.first()
        };
        let headline = best(at).filter(|it| it.field == Field::Title);
        headline.zip(best(at + 1)).is_some_and(|(headline, blurb)| headline.id == blurb.id)
    }

    /// Which lines are teasers of an article that is not the page's own. The page's
    /// own are those that its body is related to, which `own` gives, and those that
    /// several of its lines stand in.
    pub(super) fn foreign<'a>(
        &'a self,
        body: &'a [Relative],
        mut own: HashSet<&'a ArticleId>,
    ) -> Vec<bool> {
        let mut counts: HashMap<&ArticleId, usize> = HashMap::default();
        for line in &self.lines {
            let held = line.holders.iter().filter_map(|at| Some(&body.get(*at)?.0.id));
            let held = held.filter(|_| line.answer.is_none());
            let matched = line.answer.iter().flat_map(|it| &it.matches).map(|it| &it.id);
            for id in matched.chain(held) {
                *counts.entry(id).or_default() += 1;
            }
        }
        own.extend(counts.into_iter().filter(|it| it.1 >= SHARED_LINES_MIN).map(|it| it.0));
        let is_foreign = |answer: &TeaserAnswer| {
            answer.verdict == Verdict::Match
                && !answer.matches.iter().any(|it| own.contains(&it.id))
        };
        self.lines.iter().map(|it| it.answer.as_ref().is_some_and(is_foreign)).collect()
    }

    pub(super) fn into_answers(self) -> impl Iterator<Item = Option<TeaserAnswer>> {
        self.lines.into_iter().map(|it| it.answer)
    }

    fn places(&self, is_asked: impl Fn(usize, &Line) -> bool) -> Vec<usize> {
        let open = self.lines.iter().enumerate().filter(|(_, it)| it.is_open);
        open.filter(|(at, it)| is_asked(*at, it)).map(|it| it.0).collect()
    }
}

impl Core {
    /// Looks for the articles in which lines stand word for word, where that can say
    /// whose they are.
    pub(super) fn match_standing(
        &self,
        page: Page<'_>,
        lines: &mut Lines,
    ) -> Result<(), EngineError> {
        let words = |at: usize| page.blocks.get(at).map_or(0, |it| it.words);
        let asked = lines.places(|at, it| !it.is_own && words(at) >= TEASER_WORDS_MIN);
        self.match_lines(page, lines, (&asked, Depth::Words))
    }

    /// Looks for the articles of all lines that are teasers by these kinds and have
    /// none yet, by their terms where they stand in none.
    pub(super) fn match_all(
        &self,
        page: Page<'_>,
        lines: &mut Lines,
        kinds: &[SegmentKind],
    ) -> Result<(), EngineError> {
        let asked = lines.places(|at, it| {
            let is_teaser = kinds.get(at).is_some_and(|it| is_teaser(*it));
            is_teaser && it.answer.as_ref().is_none_or(|it| it.matches.is_empty())
        });
        self.match_lines(page, lines, (&asked, Depth::Terms))
    }

    fn match_lines(
        &self,
        page: Page<'_>,
        lines: &mut Lines,
        (asked, depth): (&[usize], Depth),
    ) -> Result<(), EngineError> {
        let mut ranks: HashMap<&str, usize> = HashMap::default();
        let mut teasers: Vec<Asked<'_>> = Vec::with_capacity(asked.len());
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(asked.len());
        for at in asked {
            let Some(block) = page.blocks.get(*at) else { continue };
            let rank = *ranks.entry(block.span.of(&page.request.text)).or_insert(teasers.len());
            if rank == teasers.len() {
                let (tokens, filter) = (&block.tokens, page.filter);
                teasers.push(Asked { tokens, filter, max_results: page.max_results() });
            }
            places.push((*at, rank));
        }
        if teasers.is_empty() {
            return Ok(());
        }
        let answers = self.match_teasers(&teasers, depth)?;
        for (at, rank) in places {
            if let (Some(line), Some(answer)) = (lines.lines.get_mut(at), answers.get(rank)) {
                line.answer = Some(answer.clone());
            }
        }
        Ok(())
    }
}

/// Tokens that are looked through for lines from where they may begin, at most. A page has
/// three times its own length of them, unless it is made of what it does not end as.
const SEARCHED_TOKENS_MAX: usize = 1 << 26;

/// Looks for many lines in one field after the other, each of which is read once for the
/// beginnings of all lines.
struct Search<'a> {
    beginnings: HashSet<Shingle>,
    field: &'a [TokenHash],
    /// Where each of the beginnings stands first.
    first: HashMap<Shingle, usize>,
    tokens_left: usize,
}

impl<'a> Search<'a> {
    fn new<'w>(lines: impl Iterator<Item = &'w [TokenHash]>) -> Self {
        let beginnings = lines.filter_map(beginning).collect();
        let first = HashMap::default();
        Self { beginnings, field: &[], first, tokens_left: SEARCHED_TOKENS_MAX }
    }

    fn enter(&mut self, field: &'a [TokenHash]) {
        self.field = field;
        self.first.clear();
        for (at, shingle) in shingle::shingles(field).into_iter().enumerate() {
            if self.beginnings.contains(&shingle) {
                self.first.entry(shingle).or_insert(at);
            }
        }
    }

    /// Whether the words stand in the field as they are.
    fn finds(&mut self, words: &[TokenHash]) -> bool {
        let from = match beginning(words) {
            Some(it) => self.first.get(&it).copied(),
            None => Some(0),
        };
        let Some(behind) = from.and_then(|it| self.field.get(it..)) else { return false };
        if self.tokens_left == 0 {
            return false;
        }
        let found = runs::place_of(words, behind);
        self.tokens_left = self.tokens_left.saturating_sub(found.unwrap_or(behind.len()));
        found.is_some()
    }
}

/// The first shingle of a line; `None` where it has fewer tokens than one.
fn beginning(words: &[TokenHash]) -> Option<Shingle> {
    shingle::shingles(words.get(..SHINGLE_TOKENS)?).first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::find::Duplicate;
    use crate::engine::page::PageRequest;
    use crate::engine::story::StoryId;
    use crate::index::Filter;
    use crate::index::keys::FieldTokens;
    use crate::matching::overlap::Overlap;
    use crate::store::ArticleNumber;
    use crate::text::cues::Cues;
    use crate::text::page;

    fn relative(id: &str, relation: Relation, text: &str) -> Relative {
        let duplicate = Duplicate {
            id: ArticleId::new(id).unwrap(),
            number: ArticleNumber(0),
            story: StoryId(0),
            relation,
            overlap: Overlap { shared: 0, left: 0, right: 0 },
            simhash_distance_bits: 0,
        };
        (duplicate, FieldTokens::new(&[], &[], &Tokens::of(text).hashes))
    }

    fn answer(id: &str) -> TeaserAnswer {
        let span = crate::text::ByteSpan::new(0, 1);
        let found = crate::engine::teaser::TeaserMatch {
            id: ArticleId::new(id).unwrap(),
            verdict: Verdict::Match,
            confidence: 1.0,
            kind: crate::matching::verdict::Kind::Verbatim,
            field: Field::Body,
            similarity: 1.0,
            evidence_bits: 30.0,
            teaser_span: span,
            article_span: span,
        };
        let (verdict, matches) = (Verdict::Match, vec![found]);
        TeaserAnswer { verdict, matches, evidence_bits_min: 20.0, id: None }
    }

    #[test]
    fn words_are_found_wherever_they_stand_and_within_the_limit() {
        let tokens = |text: &str| Tokens::of(text).hashes;
        let field = tokens("a b c x a b c d e f a b");
        let lines = ["a b c d", "b c x", "a b c x y", "e f a b", "f a b a", "f a"].map(tokens);
        let mut search = Search::new(lines.iter().map(Vec::as_slice));
        search.enter(&field);
        let found = lines.each_ref().map(|it| search.finds(it));
        assert_eq!(found, [true, true, false, true, false, true]);
        search.enter(&lines[1]);
        assert_eq!(
            lines.each_ref().map(|it| search.finds(it)),
            [false, true, false, false, false, false]
        );
        search.tokens_left = 0;
        assert!(!search.finds(&lines[1]));
    }

    #[test]
    fn lines_of_the_page_s_own_article_are_not_asked_for_and_its_relatives_are_told_apart() {
        let own = [
            "The ferry sails again in spring",
            "The council has found the money",
            "Two ferrymen are to be hired",
        ];
        let foreign = "Otters are back on the canal";
        let text = [&own[..], &[foreign, "Share"]].concat().join("\n");
        let request = PageRequest::of(text);
        let filter = Filter::all();
        let blocks = page::blocks(&request.text, Cues::builtin());
        let page = Page { request: &request, filter: &filter, blocks: &blocks };
        let whole = own.join(". ");
        let body = [
            relative("own", Relation::Duplicate, &whole),
            relative("near", Relation::Overlaps, &whole),
        ];
        let mut lines = Lines::new(page, &body);
        let flags: Vec<bool> = lines.lines.iter().map(|it| it.is_own).collect();
        assert_eq!(flags, [true, true, true, false, false]);
        let overlapping = Lines::new(page, &body[1..]);
        assert!(overlapping.lines.iter().all(|it| !it.is_own), "it may be another's teaser");

        // Three lines stand in "near" as well, so that a line of it is no teaser.
        let foreign_of = |lines: &Lines| {
            let own: HashSet<&ArticleId> = [&body[0].0.id].into_iter().collect();
            lines.foreign(&body, own)
        };
        lines.lines[3].answer = Some(answer("near"));
        assert_eq!(foreign_of(&lines), [false; 5]);
        lines.lines[3].answer = Some(answer("another"));
        assert_eq!(foreign_of(&lines), [false, false, false, true, false]);
    }
}
