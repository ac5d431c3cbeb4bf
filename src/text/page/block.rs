//! Blocks: the lines of a page, each with what can be seen of it alone and
//! beside the others.

use crate::hash;
use crate::hash::HashMap;
use crate::text::ByteSpan;
use crate::text::cues;
use crate::text::tokens::{TokenHash, Tokens};
use crate::text::truncation;

/// A line of a page that is not blank.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its place in the page, without the blanks around it.
    pub span: ByteSpan,
    /// Its tokens, without a truncation mark and the word that was cut. Spans
    /// are within the line.
    pub tokens: Tokens,
    /// About how many words it has.
    pub words: usize,
    /// Whether it ends in a truncation mark.
    pub truncated: bool,
    /// Whether it ends as a sentence does.
    pub ends_sentence: bool,
    /// Whether it announces other articles.
    pub label: Label,
    /// Whether its beginning stands elsewhere on the page in a line that is
    /// about as long, or longer.
    pub repeated: bool,
}

/// How a line announces other articles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// It does not.
    None,
    /// It is the heading of a list.
    Heading,
    /// It is a label and a headline in one: "Lire aussi : ...".
    Inline,
}

/// Tokens that a heading may have behind a label that ends in a colon.
const HEADING_REST_MAX: usize = 3;
/// Tokens that a headline has behind an inline label, at least.
const INLINE_REST_MIN: usize = 3;
/// Tokens by which lines that begin alike are found.
const REPEATED_TOKENS: usize = 8;

/// The lines of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut start = 0;
    for line in page.split_inclusive(['\n', '\r', '\u{2028}', '\u{2029}', '\u{0B}', '\u{0C}']) {
        let text = line.trim();
        if !text.is_empty() {
            let offset = start + (line.len() - line.trim_start().len());
            blocks.push(block(text, offset));
        }
        start += line.len();
    }
    mark_repeated(&mut blocks);
    blocks
}

fn block(text: &str, offset: usize) -> Block {
    let blurb = truncation::blurb(text);
    Block {
        span: ByteSpan::new(offset, offset + text.len()),
        words: blurb.tokens.words(),
        truncated: blurb.truncated,
        ends_sentence: ends_sentence(text),
        label: label(text),
        repeated: false,
        tokens: blurb.tokens,
    }
}

fn label(text: &str) -> Label {
    let tokens = Tokens::of(text);
    let Some(length) = cues::labels().prefix(&tokens.hashes) else { return Label::None };
    let rest = tokens.len() - length;
    let label_end = tokens.span(0..length).map_or(0, |it| it.end as usize);
    let behind = text.get(label_end..).unwrap_or_default().trim_start();
    let set_apart = behind.starts_with([':', '：', '>', '»', '–', '—', '|', '-', '→', '►', '▶']);
    if rest == 0 || (rest <= HEADING_REST_MAX && text.ends_with([':', '：'])) {
        Label::Heading
    } else if set_apart && rest >= INLINE_REST_MIN {
        Label::Inline
    } else {
        Label::None
    }
}

/// Whether the last character that is not a closing quote or bracket ends a
/// sentence, in any script.
fn ends_sentence(text: &str) -> bool {
    let closers = ['"', '\'', '”', '’', '»', ')', ']', '」', '』', '）', '“', ' ', '\u{A0}'];
    text.trim_end_matches(closers).ends_with([
        '.', '!', '?', '…', '。', '！', '？', '।', '॥', '۔', '؟', '።', '၊', '။', '។', '｡',
    ])
}

fn mark_repeated(blocks: &mut [Block]) {
    // The words of the longest line that begins so, and of the second longest.
    let mut seen: HashMap<u64, (usize, usize)> = HashMap::default();
    for block in blocks.iter() {
        if let Some(key) = beginning(&block.tokens.hashes) {
            let (first, second) = seen.entry(key).or_default();
            *second = (*second).max(block.words.min(*first));
            *first = (*first).max(block.words);
        }
    }
    for block in blocks.iter_mut() {
        let found = beginning(&block.tokens.hashes).and_then(|it| seen.get(&it));
        block.repeated = found.is_some_and(|(_, second)| 5 * second >= 4 * block.words);
    }
}

fn beginning(tokens: &[TokenHash]) -> Option<u64> {
    let first = tokens.get(..REPEATED_TOKENS)?;
    Some(first.iter().fold(0, |key, token| hash::mix(key ^ u64::from(*token))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_place() {
        let page = "\n  Un titre\r\n\n\tDeux é \u{2028}Trois";
        let lines: Vec<&str> = blocks(page).iter().map(|it| it.span.of(page)).collect();
        assert_eq!(lines, ["Un titre", "Deux é", "Trois"]);
        assert!(blocks(" \n\t\n").is_empty());
    }

    #[test]
    fn labels_are_headings_or_inline() {
        for (line, expected) in [
            ("Aller plus loin", Label::Heading),
            ("À LIRE AUSSI :", Label::Heading),
            ("Ces articles devraient vous intéresser :", Label::Heading),
            ("Lire aussi : la mairie ouvre un jardin", Label::Inline),
            ("Read more about gardens in our city", Label::None),
            ("関連記事", Label::Heading),
            ("Lesen Sie auch", Label::Heading),
            ("Related", Label::Heading),
            ("Related parties filed a claim.", Label::None),
        ] {
            assert_eq!(label(line), expected, "{line}");
        }
    }

    #[test]
    fn a_blurb_that_stands_twice_is_repeated_and_its_article_is_not() {
        let blurb = "le conseil a voté hier soir la création de ce jardin";
        let page = format!(
            "{blurb}...\n{blurb}...\nautre chose\n{blurb} et bien plus encore, au \
                            bord du fleuve, pour les enfants des écoles du quartier nord"
        );
        let flags: Vec<bool> = blocks(&page).iter().map(|it| it.repeated).collect();
        assert_eq!(flags, [true, true, false, false]);
    }

    #[test]
    fn sentences_end_in_all_scripts() {
        for line in ["Fin.", "« Fin ! »", "完了。", "समाप्त।", "انتهى؟", "(Ende.)"]
        {
            assert!(ends_sentence(line), "{line}");
        }
        assert!(!ends_sentence("Un titre") && !ends_sentence(""));
    }
}
