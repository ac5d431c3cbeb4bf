//! The body: the article's path without the lines that are something else by
//! what they are (captions, bylines, prompts, headlines in a row), and with the standfirst
//! above it.

use crate::hash::HashSet;
use crate::text::page::block::{Block, Label};
use crate::text::page::list::Regions;
use crate::text::page::{Known, PROMPT_WORDS_MAX, is_set, known_of};
use crate::text::tokens::TokenHash;

/// Headlines of other articles stand in rows: this many lines at least, each of
/// this many words, that end no sentence.
const ROW_LINES_MIN: usize = 2;
const ROW_WORDS_MIN: usize = 7;
const ROW_WORDS_MAX: usize = 25;
/// Rows are taken out if they have at most one in this many words of the article:
/// where there is more of them, it is an article of lists.
const ROWS_PART: usize = 5;
/// Lines before the article among which its standfirst is looked for.
const STANDFIRST_LINES_MAX: usize = 15;
/// Words of a standfirst.
const STANDFIRST_WORDS_MIN: usize = 20;
const STANDFIRST_WORDS_MAX: usize = 80;
/// Share of a standfirst's words that the article has: one part in so many.
const STANDFIRST_SHARED_PART: usize = 2;

/// Which lines are the body, by the path of the article.
pub(super) fn body(
    blocks: &[Block],
    regions: &Regions,
    known: &[Known],
    path: Vec<bool>,
) -> Vec<bool> {
    let start = path.iter().position(|it| *it).unwrap_or_default();
    let mut body = path;
    for (at, (flag, block)) in body.iter_mut().zip(blocks).enumerate() {
        let elsewhere = is_set(&regions.lists, at)
            || is_set(&regions.after, at)
            || is_set(&regions.listed_elsewhere, at)
            || known_of(known, at) != Known::Nothing;
        *flag &= !elsewhere && !is_foreign_matter(block);
    }
    take_out_rows(blocks, &mut body);
    add_standfirst(blocks, regions, known, &mut body, start);
    body
}

/// Whether a line within the article is none of it.
fn is_foreign_matter(block: &Block) -> bool {
    block.label != Label::None
        || block.caption
        || (block.clock && !block.ends_sentence)
        || (block.prompt && block.words <= PROMPT_WORDS_MAX)
        || (block.repeated && !block.ends_sentence)
}

fn take_out_rows(blocks: &[Block], body: &mut [bool]) {
    let rows = rows(blocks);
    let words_of = |lines: &dyn Fn(usize) -> bool| -> usize {
        blocks.iter().enumerate().filter(|(at, _)| lines(*at)).map(|it| it.1.words).sum()
    };
    let in_rows = words_of(&|at| is_set(body, at) && is_set(&rows, at));
    if in_rows * ROWS_PART <= words_of(&|at| is_set(body, at)) {
        for (flag, in_row) in body.iter_mut().zip(&rows) {
            *flag &= !in_row;
        }
    }
}

/// Which lines stand in a row of headlines. What a colon introduces, and items
/// that are marked as such, are a list of the article's own.
fn rows(blocks: &[Block]) -> Vec<bool> {
    let is_headline = |it: &Block| {
        !it.ends_sentence
            && !it.marked
            && !it.introduces
            && (ROW_WORDS_MIN..=ROW_WORDS_MAX).contains(&it.words)
    };
    let mut flags = Vec::with_capacity(blocks.len());
    let mut introduced = false;
    for lines in blocks.chunk_by(|a, b| is_headline(a) == is_headline(b)) {
        let is_row = lines.len() >= ROW_LINES_MIN && lines.iter().all(is_headline) && !introduced;
        flags.extend(lines.iter().map(|_| is_row));
        introduced = lines.last().is_some_and(|it| it.introduces);
    }
    flags
}

/// The standfirst is a long sentence shortly before the article with words in
/// common with it: bylines, dates and captions stand between.
fn add_standfirst(
    blocks: &[Block],
    regions: &Regions,
    known: &[Known],
    body: &mut [bool],
    start: usize,
) {
    let may_be_one = |at: &usize| {
        let Some(block) = blocks.get(*at) else { return false };
        let is_free = !is_set(&regions.lists, *at)
            && !is_set(&regions.after, *at)
            && known_of(known, *at) == Known::Nothing
            && !block.repeated
            && !block.truncated
            && !block.prompt
            && !is_foreign_matter(block);
        let is_long = (STANDFIRST_WORDS_MIN..=STANDFIRST_WORDS_MAX).contains(&block.words);
        is_free && is_long && block.ends_sentence
    };
    let lines: Vec<usize> =
        (start.saturating_sub(STANDFIRST_LINES_MAX)..start).filter(may_be_one).collect();
    if lines.is_empty() {
        return;
    }
    let in_body = blocks.iter().zip(body.iter()).filter(|(_, in_body)| **in_body);
    let words: HashSet<TokenHash> =
        in_body.flat_map(|(block, _)| block.tokens.hashes.iter().copied()).collect();
    for at in lines {
        let (Some(block), Some(flag)) = (blocks.get(at), body.get_mut(at)) else { continue };
        let shared = block.tokens.hashes.iter().filter(|it| words.contains(it)).count();
        *flag |= shared * STANDFIRST_SHARED_PART >= block.tokens.len();
    }
}
