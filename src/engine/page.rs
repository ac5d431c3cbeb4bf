//! Pages: the split by cues, then what the store knows of each line.

mod repeated;

use crate::engine::Engine;
use crate::engine::article::{ArticleId, SITE_BYTES_MAX, check_bytes, check_text};
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::find::{Duplicate, Question, Subject};
use crate::engine::teaser::{TEASER_TOKENS_MAX, TeaserAnswer, TeaserRequest};
use crate::hash::{HashMap, HashSet};
use crate::index::{Filter, keys};
use crate::matching::overlap::Relation;
use crate::matching::verdict::{TEASER_WORDS_MIN, Verdict};
use crate::text::ByteSpan;
use crate::text::page::{self, Block, Known, SegmentKind};
use crate::text::tokens::TokenHash;

/// Lines of a page that are matched with the store, at most: the first ones.
pub const MATCHED_LINES_MAX: usize = 2000;
/// Matches and duplicates by which the split is decided, however few the answer
/// gives.
const DECIDED_BY: usize = 16;
/// Lines of a page that match one article without being its teaser: from this
/// many on, the page shares text with that article.
const SHARED_LINES_MIN: usize = 3;

/// A page to be split.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Its visible text, a block a line.
    pub text: String,
    /// Among which articles.
    pub filter: Filter,
    /// At most this many matches a teaser, and duplicates of the body.
    pub max_results: usize,
    /// Its site, whose standing text is looked for; empty where it is not known,
    /// then it is looked for among all articles.
    pub site: String,
}

/// What on a page is what.
#[derive(Debug, Clone, PartialEq)]
pub struct PageAnswer {
    /// The lines that are not blank, in order.
    pub segments: Vec<Segment>,
    /// What the body is related to.
    pub body_duplicates: Vec<Duplicate>,
    /// The teasers, each once, in the order of their first segments.
    pub teasers: Vec<PageTeaser>,
}

/// A teaser that stands on a page, once or more.
#[derive(Debug, Clone, PartialEq)]
pub struct PageTeaser {
    /// The places of its segments, ascending.
    pub segments: Vec<usize>,
    /// Which of them has most words; its answer is the teaser's.
    pub longest: usize,
}

/// A line of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// What it is.
    pub kind: SegmentKind,
    /// Its place in the page.
    pub span: ByteSpan,
    /// Whose teaser it is, if it is one.
    pub teaser: Option<TeaserAnswer>,
}

impl Engine {
    /// Splits a page, matches its teasers, and looks for duplicates of its body.
    pub fn analyze_page(&self, request: &PageRequest) -> Result<PageAnswer, EngineError> {
        check_text("text", &request.text)?;
        check_bytes("site", &request.site, SITE_BYTES_MAX)?;
        let blocks = page::blocks(&request.text, &self.core.cues);
        if blocks.iter().all(|it| it.tokens.is_empty()) {
            return Err(Invalid::new("text", Problem::WithoutTokens).into());
        }
        let answers = self.match_lines(request, &blocks)?;
        let first = page::split(&blocks, &[]);
        let duplicates = self.body_duplicates(request, &blocks, &first)?;
        let known = self.known(request, &blocks, &first, (&answers, &duplicates))?;
        let kinds = page::split(&blocks, &known);
        let mut body_duplicates = if kinds == first {
            duplicates
        } else {
            self.body_duplicates(request, &blocks, &kinds)?
        };
        body_duplicates.truncate(request.max_results);
        let segments = self.segments(request, &blocks, kinds, answers)?;
        let matched: Vec<usize> =
            (0..segments.len()).filter(|at| has_teaser(&segments, *at)).collect();
        let teasers = repeated::groups(&blocks, &matched)
            .into_iter()
            .map(|(segments, longest)| PageTeaser { segments, longest });
        Ok(PageAnswer { teasers: teasers.collect(), segments, body_duplicates })
    }

    /// What the store knows of each line, from the first split, the answers to all
    /// lines as teasers and the duplicates of the body.
    fn known(
        &self,
        request: &PageRequest,
        blocks: &[Block],
        first: &[SegmentKind],
        (answers, duplicates): (&[Option<TeaserAnswer>], &[Duplicate]),
    ) -> Result<Vec<Known>, EngineError> {
        let related = duplicates.iter().filter(|it| it.relation != Relation::Overlaps);
        let related: HashSet<&ArticleId> = related.map(|it| &it.id).collect();
        let site = keys::site_key(&request.site, "");
        let sites = if site == 0 { Vec::new() } else { vec![site] };
        let filter = Filter { sites, ..Filter::all() };
        let asked: Vec<(usize, &[TokenHash])> = blocks
            .iter()
            .zip(first)
            .enumerate()
            .take(MATCHED_LINES_MAX)
            .filter(|(_, (block, kind))| **kind != SegmentKind::Other && can_stand(block))
            .map(|(at, (block, _))| (at, block.tokens.hashes.as_slice()))
            .collect();
        let texts: Vec<&[TokenHash]> = asked.iter().map(|it| it.1).collect();
        let found = self.core.standing(&texts, &filter, &related)?;
        let mut standing = vec![false; blocks.len()];
        for ((at, _), found) in asked.into_iter().zip(found) {
            if let Some(flag) = standing.get_mut(at) {
                *flag = found;
            }
        }
        let foreign = foreign(answers, related);
        let known = standing.into_iter().zip(foreign).map(|it| match it {
            (true, _) => Known::Standing,
            (false, true) => Known::Foreign,
            (false, false) => Known::Nothing,
        });
        Ok(known.collect())
    }

    /// The lines as they are answered. Those that are teasers and stand in no
    /// article word for word are looked for by their terms.
    fn segments(
        &self,
        request: &PageRequest,
        blocks: &[Block],
        kinds: Vec<SegmentKind>,
        mut answers: Vec<Option<TeaserAnswer>>,
    ) -> Result<Vec<Segment>, EngineError> {
        let is_teaser =
            |it: &SegmentKind| matches!(it, SegmentKind::Teaser | SegmentKind::TeaserHeadline);
        let open: Vec<usize> = (0..blocks.len())
            .filter(|at| kinds.get(*at).is_some_and(is_teaser))
            .filter(|at| matches!(answers.get(*at), Some(Some(it)) if it.matches.is_empty()))
            .collect();
        let teasers = teasers(request, blocks, &open);
        for (at, answer) in open.into_iter().zip(self.match_teasers(&teasers)) {
            if let Some(place) = answers.get_mut(at) {
                *place = Some(answer?);
            }
        }
        let lines = blocks.iter().zip(kinds).zip(answers);
        let segment = |((block, kind), answer): ((&Block, SegmentKind), Option<TeaserAnswer>)| {
            let mut teaser = answer.filter(|_| is_teaser(&kind));
            if let Some(teaser) = &mut teaser {
                teaser.matches.truncate(request.max_results);
            }
            Segment { kind, span: block.span, teaser }
        };
        Ok(lines.map(segment).collect())
    }

    /// Every line as a teaser that stands in an article; `None` where it cannot be
    /// one.
    fn match_lines(
        &self,
        request: &PageRequest,
        blocks: &[Block],
    ) -> Result<Vec<Option<TeaserAnswer>>, EngineError> {
        let can_be = |it: &Block| !it.tokens.is_empty() && it.tokens.len() <= TEASER_TOKENS_MAX;
        let lines: Vec<usize> = blocks
            .iter()
            .enumerate()
            .filter(|(_, it)| can_be(it))
            .map(|it| it.0)
            .take(MATCHED_LINES_MAX)
            .collect();
        let teasers = teasers(request, blocks, &lines);
        let mut answers = vec![None; blocks.len()];
        for (at, answer) in lines.into_iter().zip(self.match_standing(&teasers)) {
            if let Some(place) = answers.get_mut(at) {
                *place = Some(answer?);
            }
        }
        Ok(answers)
    }

    fn body_duplicates(
        &self,
        request: &PageRequest,
        blocks: &[Block],
        kinds: &[SegmentKind],
    ) -> Result<Vec<Duplicate>, EngineError> {
        let body = page::tokens_of(blocks, kinds, SegmentKind::Body);
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let subject = Subject::of(&body);
        let question = Question {
            subject: &subject,
            filter: &request.filter,
            without: None,
            max_results: request.max_results.max(DECIDED_BY),
        };
        Ok(self.core.find(&[question])?.into_iter().next().unwrap_or_default())
    }
}

/// These lines as teasers.
fn teasers(request: &PageRequest, blocks: &[Block], lines: &[usize]) -> Vec<TeaserRequest> {
    let lines = lines.iter().filter_map(|at| blocks.get(*at));
    let teaser = |it: &Block| TeaserRequest {
        text: it.span.of(&request.text).to_owned(),
        filter: request.filter.clone(),
        max_results: request.max_results.max(DECIDED_BY),
    };
    lines.map(teaser).collect()
}

/// A blurb that is cut is a teaser, wherever else it stands.
fn can_stand(line: &Block) -> bool {
    !line.truncated && line.tokens.words() >= TEASER_WORDS_MIN
}

fn has_teaser(segments: &[Segment], at: usize) -> bool {
    segments.get(at).is_some_and(|it| it.teaser.is_some())
}

/// Which lines are teasers of an article that is not the page's own. The page's
/// own are those that its body is related to, which `own` gives, and those that
/// several of its lines stand in.
fn foreign<'a>(answers: &'a [Option<TeaserAnswer>], mut own: HashSet<&'a ArticleId>) -> Vec<bool> {
    let mut lines: HashMap<&ArticleId, usize> = HashMap::default();
    for it in answers.iter().flatten().flat_map(|it| &it.matches) {
        *lines.entry(&it.id).or_default() += 1;
    }
    own.extend(lines.into_iter().filter(|it| it.1 >= SHARED_LINES_MIN).map(|it| it.0));
    let is_foreign = |answer: &TeaserAnswer| {
        answer.verdict == Verdict::Match && !answer.matches.iter().any(|it| own.contains(&it.id))
    };
    answers.iter().map(|it| it.as_ref().is_some_and(is_foreign)).collect()
}
