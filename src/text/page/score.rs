//! What speaks for a line being part of the article, and against it, in words.
//!
//! The constants were set on the development pages by coordinate descent on the
//! mean of token F1 over the six origins of bodies, on one half of the sites and
//! then on the other (`docs/design.md`, "Pages"). Where the halves agreed the
//! value is theirs, rounded; where they did not, the one that stood before.

use crate::text::page::block::{Block, Label};
use crate::text::page::list::Regions;
use crate::text::page::{Known, is_set, known_of};

/// What a line costs before its words count. A line that ends a sentence pays
/// little for being in the article, so that short paragraphs stay in it; one that
/// does not, a headline or a link, must be long.
const SENTENCE_COST: i64 = 2;
const SHORT_SENTENCE_COST_MAX: i64 = 3;
const LINE_COST: i64 = 12;
const SHORT_LINE_COST_MAX: i64 = 8;
/// Words of a line that count for the article, at most: one long line does not
/// outweigh everything between it and the article.
const SCORED_WORDS_MAX: usize = 80;
/// A blurb costs this and its words, up to a limit.
const TEASER_COST: i64 = 10;
const TEASER_WORDS_SCORED_MAX: i64 = 30;
/// A line in a list of teasers costs this and half of its words.
const LISTED_COST: i64 = 4;
const HEADING_COST: i64 = 25;
const INLINE_COST: i64 = 10;
/// A line behind the heading that ends the article.
const AFTER_COST: i64 = 20;
/// A prompt is worth nothing, less this; standing text as much.
const PROMPT_COST: i64 = 25;
/// A byline or the head of a comment, and what it costs the lines around it: a
/// comment is a paragraph but for them.
const CLOCK_COST: i64 = 10;
const NEAR_CLOCK_COST: i64 = 5;
const NEAR_LINES: usize = 2;
const NEAR_CLOCKS_MAX: usize = 2;
/// What a sign between links costs.
const SEPARATOR_COST: i64 = 1;
/// A sentence that stands twice speaks for the article with this part of its
/// words: it may be a blurb or a quotation of the text.
const REPEATED_PART: i64 = 4;

/// The score of each line.
pub(super) fn scores(blocks: &[Block], regions: &Regions, known: &[Known]) -> Vec<i64> {
    (0..blocks.len())
        .filter_map(|at| {
            let block = blocks.get(at)?;
            if let Some(cost) = cost_elsewhere(block, at, regions, known_of(known, at)) {
                return Some(-cost);
            }
            Some(score(block, clocks_near(blocks, at)))
        })
        .collect()
}

/// What a line costs that is something else than the article; `None` if it need
/// not be.
fn cost_elsewhere(block: &Block, at: usize, regions: &Regions, known: Known) -> Option<i64> {
    match block.label {
        Label::Heading => return Some(HEADING_COST),
        Label::Inline => return Some(INLINE_COST),
        Label::None => {}
    }
    if known == Known::Standing {
        return Some(PROMPT_COST);
    }
    let words = words(block);
    let is_teaser = block.truncated
        || known == Known::Foreign
        || is_set(&regions.listed_elsewhere, at)
        || (block.repeated && !block.ends_sentence);
    if is_teaser {
        Some(TEASER_COST + words.min(TEASER_WORDS_SCORED_MAX))
    } else if is_set(&regions.lists, at) {
        Some(LISTED_COST + words / 2)
    } else if is_set(&regions.after, at) {
        Some(AFTER_COST)
    } else {
        None
    }
}

/// The score of a line that may be part of the article.
fn score(block: &Block, clocks_near: i64) -> i64 {
    let words = words(block);
    if block.repeated {
        return (words - SENTENCE_COST) / REPEATED_PART;
    }
    let alone = if block.ends_sentence {
        (words - SENTENCE_COST).max(-SHORT_SENTENCE_COST_MAX)
    } else {
        (words - LINE_COST).max(-SHORT_LINE_COST_MAX)
    };
    let separators = i64::try_from(block.separators).unwrap_or(0) * SEPARATOR_COST;
    let clock = if block.clock { CLOCK_COST } else { 0 };
    let score = alone - separators - clock - clocks_near * NEAR_CLOCK_COST;
    if block.prompt { score.min(0) - PROMPT_COST } else { score }
}

fn clocks_near(blocks: &[Block], at: usize) -> i64 {
    let end = blocks.len().min(at + NEAR_LINES + 1);
    let near = blocks.get(at.saturating_sub(NEAR_LINES)..end).unwrap_or_default();
    let clocks = near.iter().filter(|it| it.clock).take(NEAR_CLOCKS_MAX).count();
    i64::try_from(clocks).unwrap_or(0)
}

fn words(block: &Block) -> i64 {
    i64::try_from(block.words.min(SCORED_WORDS_MAX)).unwrap_or(0)
}
