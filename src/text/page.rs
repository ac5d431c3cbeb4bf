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
/// Words of a line that speaks for the article if it ends a sentence.
const SENTENCE_WORDS_MIN: usize = 5;
/// Words of a line that count for the article, at most: one long line does not
/// outweigh everything between it and the article.
const SCORED_WORDS_MAX: usize = 80;
/// Words of a headline, at most.
const HEADLINE_WORDS_MAX: usize = 30;
/// Words of a teaser, at least.
const TEASER_WORDS_MIN: usize = 4;
/// Words of a line in a list of teasers that is a blurb without ending a
/// sentence.
const BLURB_WORDS_MIN: usize = 18;
/// Words of paragraphs behind a label by which the article goes on there.
const RESUMED_WORDS_MIN: usize = 150;
/// Words a paragraph behind a label has on average where the article goes on.
const RESUMED_PARAGRAPH_WORDS_MIN: usize = 25;
/// Lines before the article among which its title is looked for.
const TITLE_LINES_MAX: usize = 15;
/// Share of a title's words that the article has.
const TITLE_SHARE_MIN: f64 = 0.4;

/// Says what each line is. `foreign` has a flag a block: whether the store knows
/// it as the teaser of an article that is not the page's own.
pub fn split(blocks: &[Block], foreign: &[bool]) -> Vec<SegmentKind> {
    let lists = lists(blocks);
    let scores: Vec<i64> = blocks
        .iter()
        .zip(&lists)
        .enumerate()
        .map(|(at, (block, in_list))| score(block, *in_list, is_set(foreign, at)))
        .collect();
    let body = best_run(&scores);
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
    let is_sentence = block.words >= SENTENCE_WORDS_MIN && block.ends_sentence;
    match block.label {
        Label::Heading => return -25,
        Label::Inline => return -10,
        Label::None => {}
    }
    if block.truncated || block.repeated || foreign {
        -10 - words.min(30)
    } else if in_list {
        -4 - words / 2
    } else if block.words >= PARAGRAPH_WORDS_MIN || is_sentence {
        words
    } else {
        -8
    }
}

/// The run of scores with the greatest sum; where none is above zero, the best
/// single one, unless it is a label's or a teaser's.
fn best_run(scores: &[i64]) -> Range<usize> {
    let mut best = (0, 0..0);
    let (mut sum, mut start) = (0, 0);
    for (at, score) in scores.iter().enumerate() {
        sum += score;
        if sum > best.0 {
            best = (sum, start..at + 1);
        }
        if sum <= 0 {
            (sum, start) = (0, at + 1);
        }
    }
    if best.0 > 0 {
        return best.1;
    }
    let single = scores.iter().enumerate().filter(|(_, score)| **score >= -8).max_by_key(|it| it.1);
    single.map_or(0..0, |(at, _)| at..at + 1)
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
