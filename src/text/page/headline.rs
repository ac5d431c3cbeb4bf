//! Headlines of other articles, which stand before their blurbs, and the title of
//! the page's own.

use crate::ranks::Ranks;
use crate::text::page;
use crate::text::page::{Block, SegmentKind};
use crate::text::tokens::TokenHash;

/// Words of a headline, at most.
const HEADLINE_WORDS_MAX: usize = 30;
/// Lines before the article among which its title is looked for.
const TITLE_LINES_MAX: usize = 15;
/// Share of a title's words that the article has.
const TITLE_SHARE_MIN: f64 = 0.4;

/// A headline stands right before its blurb.
pub(super) fn mark_headlines(blocks: &[Block], kinds: &mut [SegmentKind]) {
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
pub(super) fn unmark_stray_headlines(lists: &[bool], kinds: &mut [SegmentKind]) {
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
pub(super) fn mark_title(blocks: &[Block], kinds: &mut [SegmentKind], body_start: usize) {
    let is_free = |at: &usize| {
        let words = blocks.get(*at).map_or(0, |it| it.words);
        kinds.get(*at) == Some(&SegmentKind::Other) && (3..=HEADLINE_WORDS_MAX).contains(&words)
    };
    let from = body_start.saturating_sub(TITLE_LINES_MAX);
    let free: Vec<usize> = (from..body_start).filter(is_free).collect();
    if free.is_empty() {
        return;
    }
    let lines = free.into_iter().filter_map(|at| Some((at, &blocks.get(at)?.tokens.hashes)));
    let lines: Vec<(usize, &Vec<TokenHash>)> = lines.collect();
    // The lines have fewer words than most articles: theirs are sought among its.
    let words: Vec<TokenHash> = lines.iter().flat_map(|it| it.1).copied().collect();
    let sought = Ranks::of(&words);
    let mut found = vec![false; sought.len()];
    let body = page::tokens_of(blocks, kinds, SegmentKind::Body);
    for rank in body.filter_map(|it| sought.get(it)) {
        found.get_mut(rank).into_iter().for_each(|it| *it = true);
    }
    let is_found = |it: &&TokenHash| sought.get(**it).and_then(|it| found.get(it)) == Some(&true);
    let mut best = (TITLE_SHARE_MIN, None);
    for (at, tokens) in lines {
        let shared = tokens.iter().filter(is_found).count();
        let share = shared as f64 / tokens.len() as f64;
        if share >= best.0 {
            best = (share, Some(at));
        }
    }
    if let Some(kind) = best.1.and_then(|at| kinds.get_mut(at)) {
        *kind = SegmentKind::Title;
    }
}
