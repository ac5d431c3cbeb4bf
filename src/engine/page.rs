//! Pages: the split by cues, then what the store knows: first of the body, then of
//! the lines that are not told by it ([`lines`]), then of standing text.

mod lines;
mod repeated;

use crate::engine::Engine;
use crate::engine::article::{ArticleId, UnixTime, check_text};
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::find::{Duplicate, Question, Subject};
use crate::engine::page::lines::Lines;
use crate::engine::scope::Scope;
use crate::engine::teaser::{MATCHES_DEFAULT, TeaserAnswer, TeaserRequest, Watch};
use crate::engine::watch::refuse_filter;
use crate::hash::HashSet;
use crate::index::keys::FieldTokens;
use crate::index::{Filter, keys};
use crate::matching::overlap::Relation;
use crate::matching::verdict::TEASER_WORDS_MIN;
use crate::text::ByteSpan;
use crate::text::page::{self, Block, Known, SegmentKind};
use crate::text::tokens::TokenHash;

/// Lines of a page that are matched with the store, at most: the first ones.
pub const MATCHED_LINES_MAX: usize = 2000;
/// Matches and duplicates by which the split is decided, however few the answer
/// gives.
const DECIDED_BY: usize = 16;

/// A page to be split.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Its visible text, a block a line.
    pub text: String,
    /// Among which articles.
    pub scope: Scope,
    /// At most this many matches a teaser, and duplicates of the body.
    pub max_results: usize,
    /// Its site, whose standing text is looked for; empty where it is not known,
    /// then it is looked for among all articles.
    pub site: String,
    /// When it was published or seen; now, if that is not given.
    pub seen: Option<UnixTime>,
    /// Where it was seen, if its teasers are to be waited for.
    pub watch: Option<Watch>,
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
    /// Its teasers are watched if that is asked for.
    pub fn analyze_page(&self, request: &PageRequest) -> Result<PageAnswer, EngineError> {
        check_text("text", &request.text)?;
        let about = request.about();
        about.check()?;
        if request.watch.is_some() && !request.scope.is_open() {
            return Err(refuse_filter().into());
        }
        let filter = request.scope.around(&about.facets(&self.core.clock))?;
        let mut answer = self.split(request, &filter)?;
        if request.watch.is_some() {
            self.watch_all(request, &mut answer);
        }
        Ok(answer)
    }

    fn split(&self, request: &PageRequest, filter: &Filter) -> Result<PageAnswer, EngineError> {
        let blocks = page::blocks(&request.text, &self.core.cues);
        if blocks.iter().all(|it| it.tokens.is_empty()) {
            return Err(Invalid::new("text", Problem::WithoutTokens).into());
        }
        let page = Page { request, filter, blocks: &blocks };
        let first = page::split(&blocks, &[]);
        let body = self.core.body_relatives(page, &first)?;
        let mut lines = Lines::new(page, &body);
        self.core.match_standing(page, &mut lines)?;
        let known = self.core.known(page, &first, (&lines, &body))?;
        // Most of what a store knows of a page is what its cues say already.
        let is_new = known.iter().any(|it| *it != Known::Nothing);
        let kinds = if is_new { page::split(&blocks, &known) } else { first.clone() };
        let has_first_body = kinds.iter().zip(&first).all(|(a, b)| is_body(*a) == is_body(*b));
        let body = if has_first_body { body } else { self.core.body_relatives(page, &kinds)? };
        let duplicates = body.into_iter().map(|it| it.0).take(request.max_results);
        let body_duplicates = duplicates.collect();
        let segments = self.core.segments(page, kinds, lines)?;
        let matched: Vec<usize> =
            (0..segments.len()).filter(|at| has_teaser(&segments, *at)).collect();
        let teasers = repeated::groups(&blocks, &matched)
            .into_iter()
            .map(|(segments, longest)| PageTeaser { segments, longest });
        Ok(PageAnswer { teasers: teasers.collect(), segments, body_duplicates })
    }

    /// Watches each teaser once, by its longest segment. One that could not be watched
    /// has no id.
    fn watch_all(&self, request: &PageRequest, answer: &mut PageAnswer) {
        let PageAnswer { segments, teasers, .. } = answer;
        let requests = teasers.iter().map(|it| {
            let span = segments.get(it.longest).map(|it| it.span);
            let text = span.map_or("", |it| it.of(&request.text));
            TeaserRequest { text: text.to_owned(), ..request.about() }
        });
        let watched = self.watch_teasers(requests.collect());
        for (teaser, watched) in teasers.iter().zip(watched) {
            let id = watched.ok().and_then(|it| it.id);
            for at in &teaser.segments {
                if let Some(answer) = segments.get_mut(*at).and_then(|it| it.teaser.as_mut()) {
                    answer.id = id;
                }
            }
        }
    }
}

impl PageRequest {
    /// Of a text, among all articles.
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            scope: Scope::all(),
            max_results: MATCHES_DEFAULT,
            site: String::new(),
            seen: None,
            watch: None,
        }
    }

    /// Its teasers, but for their texts.
    fn about(&self) -> TeaserRequest {
        TeaserRequest {
            text: String::new(),
            scope: self.scope.clone(),
            max_results: self.max_results,
            site: self.site.clone(),
            seen: self.seen,
            watch: self.watch.clone(),
        }
    }
}

/// A page and its lines.
#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    request: &'a PageRequest,
    filter: &'a Filter,
    blocks: &'a [Block],
}

impl Page<'_> {
    /// Answers that a question about a line or about the body gets.
    fn max_results(self) -> usize {
        self.request.max_results.max(DECIDED_BY)
    }
}

/// An article that the body is related to, and its tokens.
type Relative = (Duplicate, FieldTokens);

impl Core {
    /// What the body of the page is related to.
    fn body_relatives(
        &self,
        page: Page<'_>,
        kinds: &[SegmentKind],
    ) -> Result<Vec<Relative>, EngineError> {
        let body: Vec<TokenHash> = page::tokens_of(page.blocks, kinds, SegmentKind::Body).collect();
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let subject = Subject::of(&body);
        self.find_relatives(Question {
            subject: &subject,
            filter: page.filter,
            without: None,
            max_results: page.max_results(),
        })
    }

    /// What the store knows of each line, from the first split, the answers to the
    /// lines as teasers and the relatives of the body.
    fn known(
        &self,
        page: Page<'_>,
        first: &[SegmentKind],
        (lines, body): (&Lines, &[Relative]),
    ) -> Result<Vec<Known>, EngineError> {
        let own = body.iter().map(|it| &it.0).filter(|it| it.relation != Relation::Overlaps);
        let own: HashSet<&ArticleId> = own.map(|it| &it.id).collect();
        let site = keys::site_key(&page.request.site, "");
        let sites = if site == 0 { Vec::new() } else { vec![site] };
        let filter = Filter { sites, ..Filter::all() };
        // The title of the page's own article and a headline before its own blurb are what
        // they are, whoever quotes them: for each, a row of articles that share a phrase
        // with it was read.
        let is_told = |at: usize, kind: SegmentKind| match kind {
            SegmentKind::Other => true,
            SegmentKind::Title => lines.is_own_title(at),
            SegmentKind::TeaserHeadline => lines.is_own_title(at) || lines.is_headline(at),
            SegmentKind::Body | SegmentKind::Teaser | SegmentKind::SectionLabel => false,
        };
        let asked: Vec<(usize, &[TokenHash])> = page
            .blocks
            .iter()
            .zip(first)
            .enumerate()
            .take(MATCHED_LINES_MAX)
            .filter(|(at, (block, kind))| can_stand(block) && !is_told(*at, **kind))
            .map(|(at, (block, _))| (at, block.tokens.hashes.as_slice()))
            .collect();
        let texts: Vec<&[TokenHash]> = asked.iter().map(|it| it.1).collect();
        let standing = self.standing(&texts, &filter, &own)?;
        let mut known: Vec<Known> = lines
            .foreign(body, own)
            .into_iter()
            .map(|it| if it { Known::Foreign } else { Known::Nothing })
            .collect();
        for ((at, _), _) in asked.into_iter().zip(standing).filter(|it| it.1) {
            if let Some(known) = known.get_mut(at) {
                *known = Known::Standing;
            }
        }
        Ok(known)
    }

    /// The lines as they are answered. Those that are teasers and stand in no
    /// article word for word are looked for by their terms.
    fn segments(
        &self,
        page: Page<'_>,
        kinds: Vec<SegmentKind>,
        mut lines: Lines,
    ) -> Result<Vec<Segment>, EngineError> {
        self.match_all(page, &mut lines, &kinds)?;
        let lines = page.blocks.iter().zip(kinds).zip(lines.into_answers());
        let segment = |((block, kind), answer): ((&Block, SegmentKind), Option<TeaserAnswer>)| {
            let mut teaser = answer.filter(|_| is_teaser(kind));
            if let Some(teaser) = &mut teaser {
                teaser.matches.truncate(page.request.max_results);
            }
            Segment { kind, span: block.span, teaser }
        };
        Ok(lines.map(segment).collect())
    }
}

fn is_body(kind: SegmentKind) -> bool {
    kind == SegmentKind::Body
}

fn is_teaser(kind: SegmentKind) -> bool {
    matches!(kind, SegmentKind::Teaser | SegmentKind::TeaserHeadline)
}

/// A blurb that is cut is a teaser, wherever else it stands.
fn can_stand(line: &Block) -> bool {
    !line.truncated && line.tokens.words() >= TEASER_WORDS_MIN
}

fn has_teaser(segments: &[Segment], at: usize) -> bool {
    segments.get(at).is_some_and(|it| it.teaser.is_some())
}
