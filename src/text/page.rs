//! Page splitting: which lines of a page's text are the article, and which are
//! teasers, labels and the rest.
//!
//! The cues hold in many languages: headings of lists ("Lire aussi"), truncation
//! marks, a blurb that stands twice on the page, a headline before its blurb,
//! the length of lines and the ends of sentences. Every line gets a score for
//! being part of the article; the article is the run of lines with the greatest
//! sum. What only a store can know, that a line is another article's teaser,
//! comes in as a flag a line.

mod block;

use std::ops::Range;

pub use crate::text::page::block::{Block, Label, blocks};

use crate::hash::HashSet;
use crate::text::tokens::TokenHash;

/// What a line of a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Part of the page's own article.
    Body,
    /// A blurb of another article.
    Teaser,
    /// The headline of another article.
    TeaserHeadline,
    /// The heading of a list of teasers.
    SectionLabel,
    /// The headline of the page's own article.
    Title,
    /// Anything else.
    Other,
}

/// Words of a line that speaks for the article by its length alone.
const PARAGRAPH_WORDS_MIN: usize = 12;
// What a line costs or brings, in words. A line that ends a sentence pays little
// for being in the article, so that short paragraphs stay in it; one that does
// not, a headline or a link, must be long. Chosen on the real pages of
// `shared/data/dev` among seven settings: token F1 of bodies between .86 and .98
// by origin, above or near the best run of lines of 12 words everywhere.
const SENTENCE_COST: i64 = 6;
const SHORT_SENTENCE_COST_MAX: i64 = 3;
const LINE_COST: i64 = 18;
const SHORT_LINE_COST_MAX: i64 = 12;
const TEASER_COST: i64 = 10;
const TEASER_WORDS_SCORED_MAX: i64 = 30;
const LISTED_COST: i64 = 4;
const HEADING_COST: i64 = 25;
const INLINE_COST: i64 = 10;
/// Words of a line that count for the article, at most: one long line does not
/// outweigh everything between it and the article.
const SCORED_WORDS_MAX: usize = 80;
/// Words of a headline, at most.
const HEADLINE_WORDS_MAX: usize = 30;
/// Words of a teaser, at least.
const TEASER_WORDS_MIN: usize = 4;
/// Words of a line in a list of teasers that is a blurb if it ends a sentence;
/// a shorter sentence there is a notice.
const SENTENCE_BLURB_WORDS_MIN: usize = 8;
/// Words of a line in a list of teasers that is a blurb without ending a
/// sentence.
const BLURB_WORDS_MIN: usize = 18;
/// Words of paragraphs behind a label by which the article goes on there.
const RESUMED_WORDS_MIN: usize = 150;
/// Words a paragraph behind a label has on average where the article goes on.
const RESUMED_PARAGRAPH_WORDS_MIN: usize = 25;
/// How much more the text of a list must be than that of the article to be the
/// article itself.
const LIST_TO_BODY: i64 = 2;
/// Lines before the article among which its title is looked for.
const TITLE_LINES_MAX: usize = 15;
/// Share of a title's words that the article has.
const TITLE_SHARE_MIN: f64 = 0.4;

/// Says what each line is. `foreign` has a flag a block: whether the store knows
/// it as the teaser of an article that is not the page's own.
pub fn split(blocks: &[Block], foreign: &[bool]) -> Vec<SegmentKind> {
    let mut lists = lists(blocks);
    let mut body = best_run(&scores(blocks, &lists, foreign));
    let without_lists = best_run(&scores(blocks, &[], foreign));
    if without_lists.sum >= LIST_TO_BODY * body.sum {
        // What looked like a list is most of the text: it is the article.
        lists.get_mut(without_lists.lines).unwrap_or_default().fill(false);
        body = best_run(&scores(blocks, &lists, foreign));
    }
    let body = body.lines;
    let mut kinds: Vec<SegmentKind> = (0..blocks.len())
        .map(|at| {
            let Some(block) = blocks.get(at) else { return SegmentKind::Other };
            let facts = Facts {
                in_body: body.contains(&at),
                in_list: is_set(&lists, at),
                foreign: is_set(foreign, at),
            };
            kind(block, facts)
        })
        .collect();
    mark_headlines(blocks, &mut kinds);
    unmark_stray_headlines(&lists, &mut kinds);
    mark_title(blocks, &mut kinds, body.start);
    kinds
}

/// The tokens of the lines of one kind, joined in their order.
pub fn tokens_of(blocks: &[Block], kinds: &[SegmentKind], kind: SegmentKind) -> Vec<TokenHash> {
    let chosen = blocks.iter().zip(kinds).filter(|(_, it)| **it == kind);
    chosen.flat_map(|(block, _)| block.tokens.hashes.iter().copied()).collect()
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    in_body: bool,
    in_list: bool,
    foreign: bool,
}

fn is_set(flags: &[bool], at: usize) -> bool {
    flags.get(at).copied().unwrap_or(false)
}

/// Which lines stand in a list of teasers: behind a label, up to the next one,
/// unless the article goes on there. Where it does, the lines before its first
/// paragraph are still the list.
fn lists(blocks: &[Block]) -> Vec<bool> {
    let mut flags = vec![false; blocks.len()];
    let labels: Vec<usize> = blocks
        .iter()
        .enumerate()
        .filter(|(_, it)| it.label == Label::Heading)
        .map(|it| it.0)
        .collect();
    for (index, label) in labels.iter().enumerate() {
        let end = labels.get(index + 1).copied().unwrap_or(blocks.len());
        let region = blocks.get(label + 1..end).unwrap_or_default();
        let listed = match first_resumed(region) {
            Some(first) => label + 1..label + 1 + first,
            None => label + 1..end,
        };
        flags.get_mut(listed).unwrap_or_default().fill(true);
    }
    flags
}

/// Where behind a label the article goes on, if it does.
fn first_resumed(region: &[Block]) -> Option<usize> {
    let paragraphs: Vec<&Block> = region.iter().filter(|it| is_paragraph(it)).collect();
    let words: usize = paragraphs.iter().map(|it| it.words).sum();
    let truncated = region.iter().filter(|it| it.truncated).count();
    let resumed = words >= RESUMED_WORDS_MIN
        && words >= RESUMED_PARAGRAPH_WORDS_MIN * paragraphs.len()
        && 3 * truncated <= paragraphs.len();
    if resumed { region.iter().position(is_paragraph) } else { None }
}

fn is_paragraph(block: &Block) -> bool {
    !block.truncated
        && !block.repeated
        && block.label == Label::None
        && block.words >= PARAGRAPH_WORDS_MIN
        && (block.ends_sentence || block.words >= 2 * PARAGRAPH_WORDS_MIN)
}

/// What speaks for a line being part of the article, and against it, in words.
fn score(block: &Block, in_list: bool, foreign: bool) -> i64 {
    let words = i64::try_from(block.words.min(SCORED_WORDS_MAX)).unwrap_or(0);
    match block.label {
        Label::Heading => return -HEADING_COST,
        Label::Inline => return -INLINE_COST,
        Label::None => {}
    }
    if block.truncated || foreign || (block.repeated && !block.ends_sentence) {
        -TEASER_COST - words.min(TEASER_WORDS_SCORED_MAX)
    } else if in_list {
        -LISTED_COST - words / 2
    } else if block.repeated {
        0
    } else if block.ends_sentence {
        (words - SENTENCE_COST).max(-SHORT_SENTENCE_COST_MAX)
    } else {
        (words - LINE_COST).max(-SHORT_LINE_COST_MAX)
    }
}

fn scores(blocks: &[Block], lists: &[bool], foreign: &[bool]) -> Vec<i64> {
    let lines = blocks.iter().enumerate();
    lines.map(|(at, block)| score(block, is_set(lists, at), is_set(foreign, at))).collect()
}

/// A run of lines and the sum of its scores.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    sum: i64,
    lines: Range<usize>,
}

/// The run of scores with the greatest sum; where none is above zero, the best
/// single one.
fn best_run(scores: &[i64]) -> Run {
    let mut best = Run { sum: 0, lines: 0..0 };
    let (mut sum, mut start) = (0, 0);
    for (at, score) in scores.iter().enumerate() {
        sum += score;
        if sum > best.sum {
            best = Run { sum, lines: start..at + 1 };
        }
        if sum <= 0 {
            (sum, start) = (0, at + 1);
        }
    }
    if best.sum > 0 {
        return best;
    }
    let single = scores.iter().enumerate().max_by_key(|it| it.1);
    single.map_or(best, |(at, sum)| Run { sum: *sum, lines: at..at + 1 })
}

fn kind(block: &Block, facts: Facts) -> SegmentKind {
    match block.label {
        Label::Heading => return SegmentKind::SectionLabel,
        Label::Inline => return SegmentKind::TeaserHeadline,
        Label::None => {}
    }
    let is_teaser =
        facts.foreign || facts.in_list || block.repeated || (block.truncated && !facts.in_body);
    let is_blurb = block.ends_sentence || block.truncated || block.words >= BLURB_WORDS_MIN;
    let is_notice =
        block.ends_sentence && !block.truncated && block.words < SENTENCE_BLURB_WORDS_MIN;
    if facts.in_list && is_notice {
        return SegmentKind::Other;
    }
    match (is_teaser && block.words >= TEASER_WORDS_MIN, facts.in_body) {
        (true, _) if is_blurb => SegmentKind::Teaser,
        (true, _) => SegmentKind::TeaserHeadline,
        (false, true) if !facts.in_list => SegmentKind::Body,
        (false, _) => SegmentKind::Other,
    }
}

/// A headline stands right before its blurb.
fn mark_headlines(blocks: &[Block], kinds: &mut [SegmentKind]) {
    for at in 0..blocks.len().saturating_sub(1) {
        let Some(block) = blocks.get(at) else { continue };
        let before_blurb = kinds.get(at + 1) == Some(&SegmentKind::Teaser);
        let is_headline = (2..=HEADLINE_WORDS_MAX).contains(&block.words) && !block.truncated;
        if let Some(kind @ SegmentKind::Other) = kinds.get_mut(at)
            && before_blurb
            && is_headline
        {
            *kind = SegmentKind::TeaserHeadline;
        }
    }
}

/// In a list whose blurbs have no headlines, what looks like headlines behind the
/// last blurb is none: a prompt, or the foot of the page.
fn unmark_stray_headlines(lists: &[bool], kinds: &mut [SegmentKind]) {
    let mut end = 0;
    for region in lists.chunk_by(|a, b| a == b) {
        let start = end;
        end += region.len();
        let Some(kinds) = kinds.get_mut(start..end).filter(|_| region.first() == Some(&true))
        else {
            continue;
        };
        let has_pair =
            kinds.windows(2).any(|it| it == [SegmentKind::TeaserHeadline, SegmentKind::Teaser]);
        let last_blurb = kinds.iter().rposition(|it| *it == SegmentKind::Teaser);
        if let Some(last) = last_blurb.filter(|_| !has_pair) {
            for kind in kinds.iter_mut().skip(last).filter(|it| **it == SegmentKind::TeaserHeadline)
            {
                *kind = SegmentKind::Other;
            }
        }
    }
}

/// The title is the line shortly before the article that has most words in
/// common with it.
fn mark_title(blocks: &[Block], kinds: &mut [SegmentKind], body_start: usize) {
    let body: HashSet<TokenHash> =
        tokens_of(blocks, kinds, SegmentKind::Body).into_iter().collect();
    let from = body_start.saturating_sub(TITLE_LINES_MAX);
    let mut best = (TITLE_SHARE_MIN, None);
    for at in from..body_start {
        let Some(block) = blocks.get(at) else { continue };
        let is_free = kinds.get(at) == Some(&SegmentKind::Other);
        let tokens = &block.tokens.hashes;
        if !is_free || !(3..=HEADLINE_WORDS_MAX).contains(&block.words) {
            continue;
        }
        let shared = tokens.iter().filter(|it| body.contains(it)).count();
        let share = shared as f64 / tokens.len() as f64;
        if share >= best.0 {
            best = (share, Some(at));
        }
    }
    if let Some(kind) = best.1.and_then(|at| kinds.get_mut(at)) {
        *kind = SegmentKind::Title;
    }
}
