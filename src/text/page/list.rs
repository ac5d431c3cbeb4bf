//! Regions of a page: the lists of teasers behind their labels, and what follows
//! the article behind a heading such as "Comments".

use crate::hash::HashSet;
use crate::text::page::block::{Block, Label};

/// Words of a line that speaks for an article by its length alone.
const PARAGRAPH_WORDS_MIN: usize = 12;
/// Words of paragraphs behind a label by which the article goes on there.
const RESUMED_WORDS_MIN: usize = 100;
/// Words a paragraph behind a label has on average where the article goes on.
const RESUMED_PARAGRAPH_WORDS_MIN: usize = 25;
/// Words of paragraphs before a heading that ends an article, at least: the same
/// words at the top of a page are a link to what they name.
const ENDED_WORDS_MIN: usize = 150;

/// A flag a line for each kind of region.
#[derive(Debug, Clone)]
pub(super) struct Regions {
    /// In a list of teasers.
    pub(super) lists: Vec<bool>,
    /// Behind the end of the article.
    pub(super) after: Vec<bool>,
    /// Repeated in a list of teasers, so that it is one wherever it stands.
    pub(super) listed_elsewhere: Vec<bool>,
}

impl Regions {
    pub(super) fn of(blocks: &[Block]) -> Self {
        let lists = lists(blocks);
        let listed: HashSet<u64> = blocks
            .iter()
            .zip(&lists)
            .filter(|(_, in_list)| **in_list)
            .filter_map(|(block, _)| block.beginning)
            .collect();
        let is_listed =
            |it: &Block| it.repeated && it.beginning.is_some_and(|it| listed.contains(&it));
        let listed_elsewhere = blocks.iter().map(is_listed).collect();
        Self { lists, after: after(blocks), listed_elsewhere }
    }

    /// The same where nothing that looks like a list is one.
    pub(super) fn without_lists(&self) -> Self {
        let none = vec![false; self.lists.len()];
        Self { lists: none.clone(), after: self.after.clone(), listed_elsewhere: none }
    }

    /// Takes these lines out of the lists.
    pub(super) fn unlist(&mut self, lines: &[bool]) {
        for flags in [&mut self.lists, &mut self.listed_elsewhere] {
            for (flag, _) in flags.iter_mut().zip(lines).filter(|(_, chosen)| **chosen) {
                *flag = false;
            }
        }
    }
}

/// Whether a line is long enough, and complete enough, to be told from a
/// headline, a link or a blurb without looking around.
pub(super) fn is_paragraph(block: &Block) -> bool {
    !block.truncated
        && !block.repeated
        && block.label == Label::None
        && block.words >= PARAGRAPH_WORDS_MIN
        && (block.ends_sentence || block.words >= 2 * PARAGRAPH_WORDS_MIN)
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

/// Which lines stand behind the end of the article, its heading included.
fn after(blocks: &[Block]) -> Vec<bool> {
    let (mut words, mut ended) = (0, false);
    blocks
        .iter()
        .map(|block| {
            ended |= block.ends_article && words >= ENDED_WORDS_MIN;
            words += if is_paragraph(block) { block.words } else { 0 };
            ended
        })
        .collect()
}
