//! Page splitting: which lines of a page's text are the article, and which are
//! teasers, labels and the rest.
//!
//! The cues hold in many languages: headings of lists ("Lire aussi") and of what
//! follows an article ("Comments"), truncation marks, prompts, a blurb that
//! stands twice on the page, a headline before its blurb, the length of lines and
//! the ends of sentences. Every line gets a score for being part of the article;
//! the article is the path of lines with the greatest sum, which may leave out a
//! block between two parts. What only a store can know, that a line is another
//! article's teaser or the site's standing text, comes in for each line.

mod block;
mod headline;
mod list;
mod path;
mod score;
mod trim;

pub use crate::text::page::block::{Block, Label, blocks};

use crate::text::page::list::Regions;
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

/// What a store knows of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// It is the teaser of an article that is not the page's own.
    Foreign,
    /// It is the site's own: it stands in articles that have nothing in common.
    Standing,
}

/// Words of a teaser, at least.
const TEASER_WORDS_MIN: usize = 4;
/// Words of a line in a list of teasers that is a blurb if it ends a sentence;
/// a shorter sentence there is a notice.
const SENTENCE_BLURB_WORDS_MIN: usize = 8;
/// Words of a line in a list of teasers that is a blurb without ending a
/// sentence.
const BLURB_WORDS_MIN: usize = 18;
/// Words of a prompt, at most: a longer line is more than that.
const PROMPT_WORDS_MAX: usize = 30;
/// How much more the text of a list must be than that of the article to be the
/// article itself.
const LIST_TO_BODY: i64 = 2;

/// Says what each line is. `known` has what a store knows of each; nothing behind
/// its end.
pub fn split(blocks: &[Block], known: &[Known]) -> Vec<SegmentKind> {
    let mut regions = Regions::of(blocks);
    let mut article = path::best(&score::scores(blocks, &regions, known));
    let without_lists = path::best(&score::scores(blocks, &regions.without_lists(), known));
    if without_lists.sum >= LIST_TO_BODY * article.sum {
        // What looked like a list is most of the text: it is the article.
        regions.unlist(&without_lists.lines);
        article = without_lists;
    }
    let start = article.lines.iter().position(|it| *it).unwrap_or_default();
    let body = trim::body(blocks, &regions, known, article.lines);
    let mut kinds: Vec<SegmentKind> = blocks
        .iter()
        .enumerate()
        .map(|(at, block)| {
            let facts = Facts {
                in_body: is_set(&body, at),
                in_list: is_set(&regions.lists, at),
                known: known_of(known, at),
            };
            kind(block, facts)
        })
        .collect();
    headline::mark_headlines(blocks, &mut kinds);
    headline::unmark_stray_headlines(&regions.lists, &mut kinds);
    headline::mark_title(blocks, &mut kinds, start);
    kinds
}

/// The tokens of the lines of one kind, joined in their order.
pub fn tokens_of(
    blocks: &[Block],
    kinds: &[SegmentKind],
    kind: SegmentKind,
) -> impl Iterator<Item = TokenHash> {
    let chosen = blocks.iter().zip(kinds).filter(move |(_, it)| **it == kind);
    chosen.flat_map(|(block, _)| block.tokens.hashes.iter().copied())
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    in_body: bool,
    in_list: bool,
    known: Known,
}

fn is_set(flags: &[bool], at: usize) -> bool {
    flags.get(at).copied().unwrap_or(false)
}

fn known_of(known: &[Known], at: usize) -> Known {
    known.get(at).copied().unwrap_or_default()
}

fn kind(block: &Block, facts: Facts) -> SegmentKind {
    match block.label {
        Label::Heading => return SegmentKind::SectionLabel,
        Label::Inline => return SegmentKind::TeaserHeadline,
        Label::None => {}
    }
    if facts.known == Known::Standing {
        return SegmentKind::Other;
    }
    if facts.in_body {
        return SegmentKind::Body;
    }
    let is_foreign = facts.known == Known::Foreign;
    let is_teaser = is_foreign || facts.in_list || block.repeated || block.truncated;
    let is_blurb = block.ends_sentence || block.truncated || block.words >= BLURB_WORDS_MIN;
    let is_notice = block.ends_sentence && block.words < SENTENCE_BLURB_WORDS_MIN;
    let is_prompt = block.prompt && block.words <= PROMPT_WORDS_MAX;
    if !is_foreign && !block.truncated && (is_prompt || (facts.in_list && is_notice)) {
        return SegmentKind::Other;
    }
    match is_teaser && block.words >= TEASER_WORDS_MIN {
        true if is_blurb => SegmentKind::Teaser,
        true => SegmentKind::TeaserHeadline,
        false => SegmentKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::cues::Cues;

    const STANDFIRST: &str = "After nine years without a ferry the village of Valbrume gets its boat \
        back, and the council has found the money for a new cable and two ferrymen.";
    const FIRST: &str = "The ferry of Valbrume will sail again in spring, nine years after the flood \
        that carried off its cable. The council voted on Monday night, by a large majority, for the \
        money that the boat and the new cable need, and for the pay of two ferrymen, who are to be \
        hired before the winter and trained by the man who had the post before them.";
    const SECOND: &str = "Since that flood the people of the village have driven eighteen kilometres \
        by the bridge to reach the school, the chemist or the market on Thursdays. The yard that \
        built the hull sixty years ago will now replace the deck of oak, both winches and the motor, \
        and hang the new cable two metres higher, out of the reach of all but the worst floods.";
    const COMMENT: &str = "I remember the old boat very well and cannot wait to cross the river on it \
        again with my grandchildren, whatever the opposition has to say about the number of \
        passengers, which nobody has ever counted in all these years as far as I know anyway.";

    /// The lines of the body, by their place among all.
    fn body_of(lines: &[&str]) -> Vec<usize> {
        let blocks = blocks(&lines.join("\n"), Cues::builtin());
        let kinds = split(&blocks, &[]);
        (0..kinds.len()).filter(|it| kinds[*it] == SegmentKind::Body).collect()
    }

    #[test]
    fn comments_are_not_the_article_however_many() {
        let head = ["The ferry sails again", FIRST, SECOND, "Comments (3)"];
        let comments = ["Posted by ferrywoman, 10:21", COMMENT].repeat(20);
        assert_eq!(body_of(&[&head[..], &comments].concat()), [1, 2]);
        // The same words above the article are a link to them.
        assert_eq!(body_of(&["Comments", "The ferry sails again", FIRST, SECOND]), [2, 3]);
    }

    #[test]
    fn a_standfirst_is_part_of_the_article_whatever_stands_between() {
        let lines =
            ["The ferry sails again", STANDFIRST, "By Ada Lum, 14 March, 07:40", FIRST, SECOND];
        assert_eq!(body_of(&lines), [1, 3, 4]);
        let other = "Whoever buys cherries at quay markets this summer pays twice what growers got \
            for theirs last year; frost during blossom took nearly everything south of here.";
        assert_eq!(
            body_of(&["The ferry sails again", other, "14 March, 07:40", FIRST, SECOND]),
            [3, 4]
        );
    }

    #[test]
    fn what_interrupts_an_article_is_taken_out_of_it() {
        for interruption in [
            &["The quay of Valbrume on the day of the flood. Photo: Ada Lum"][..],
            &["Advertisement"],
            &["Sign up for our newsletter", "Share this article"],
            &["Read also: the lighthouse of Port-Lannec looks for a keeper"],
            &[
                "Otters raise their young on the canal for the first time",
                "Night bus drivers vote on a new rota this week",
            ],
        ] {
            let lines = [&[FIRST][..], interruption, &[SECOND, STANDFIRST]].concat();
            let end = lines.len();
            assert_eq!(body_of(&lines), [0, end - 2, end - 1], "{interruption:?}");
        }
    }

    #[test]
    fn headings_lists_and_quotations_of_an_article_stay_in_it() {
        for part in [
            &["What the boat will cost"][..],
            &["“We can see the church from the kitchen.”"],
            &["The price of a crossing:", "Pedestrians: free", "Bicycles: free", "Cars: two euros"],
            &[
                "- The deck of oak is replaced before the winter",
                "- The cable hangs two metres higher",
            ],
        ] {
            let lines = [&[FIRST][..], part, &[SECOND]].concat();
            assert_eq!(body_of(&lines), (0..lines.len()).collect::<Vec<_>>(), "{part:?}");
        }
    }

    #[test]
    fn an_article_that_stands_twice_is_an_article() {
        let body = body_of(&["Home", FIRST, SECOND, "Print", FIRST, SECOND]);
        assert!(body.starts_with(&[1, 2]), "{body:?}");
    }

    /// A blurb without a truncation mark that a list below repeats is not taken
    /// for the beginning of the article.
    #[test]
    fn a_blurb_that_a_list_repeats_is_a_teaser_wherever_it_stands() {
        let blurb = "Uninhabited for more than thirty years, the lighthouse of Port-Lannec will soon \
            have light in its windows again: its owners look for a keeper.";
        let lines = ["A keeper for the light", blurb, FIRST, SECOND, "Related stories", blurb];
        assert_eq!(body_of(&lines), [2, 3]);
    }
}
