//! Blocks: the lines of a page, each with what can be seen of it alone and
//! beside the others.

use crate::hash;
use crate::hash::HashMap;
use crate::text::ByteSpan;
use crate::text::cues::{Cues, Phrases};
use crate::text::tokens::{TokenHash, Tokens};
use crate::text::truncation;

/// A line of a page that is not blank.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "signs that a line may have in any combination")]
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
    /// Whether it ends as a sentence does, or goes on in the next line.
    pub ends_sentence: bool,
    /// Whether it announces other articles.
    pub label: Label,
    /// Whether it is the heading of what comes after an article: comments, tags.
    pub ends_article: bool,
    /// Whether it asks the reader for something, or is the site's own notice.
    pub prompt: bool,
    /// Whether it is a caption that names who took the picture.
    pub caption: bool,
    /// Whether it is a short line with a time of day: a byline, or a comment's.
    pub clock: bool,
    /// Signs that stand between links, as in "Home | News", at most
    /// three.
    pub separators: usize,
    /// Whether it is an item of a list that is marked as one, or a quotation.
    pub marked: bool,
    /// Whether a list may follow: it ends in a colon.
    pub introduces: bool,
    /// By which lines that begin alike are found; `None` in a short line.
    pub beginning: Option<u64>,
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

/// Separators of a line that count.
const SEPARATORS_MAX: usize = 3;
/// Tokens that a heading may have behind a label: "Most read in local sports".
const HEADING_REST_MAX: usize = 3;
/// Tokens of a label that has others behind it, without a colon, at least; and
/// words of that line, at most.
const OPEN_LABEL_MIN: usize = 2;
const OPEN_HEADING_WORDS_MAX: usize = 8;
/// Tokens that a headline has behind an inline label, at least.
const INLINE_REST_MIN: usize = 3;
/// Tokens behind "Tags:" and the like, at most.
const END_REST_MAX: usize = 12;
/// A prompt of n tokens speaks for a line of at most this many times n * n.
const PROMPT_REACH: usize = 6;
/// Tokens of a line in which prompts are looked for, at most.
const PROMPTED_TOKENS_MAX: usize = 400;
/// A credit stands among the last tokens of a caption that ends no sentence.
const CREDIT_FROM_END: usize = 6;
/// Behind a bracket it may stand a little further from the end of any line.
const BRACKETED_CREDIT_FROM_END: usize = 8;
/// Words of a line with a time of day, fewer than this.
const CLOCK_WORDS_END: usize = 16;
/// Words of a wrapped line, at least.
const WRAPPED_WORDS_MIN: usize = 6;
/// Bytes that are looked at together.
const ROW_BYTES: usize = 32;
/// Tokens by which lines that begin alike are found.
const REPEATED_TOKENS: usize = 8;

/// The lines of a page.
pub fn blocks(page: &str, cues: &Cues) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut start = 0;
    while let Some(rest) = page.get(start..).filter(|it| !it.is_empty()) {
        let length = line_length(rest);
        let line = rest.get(..length).unwrap_or(rest);
        let text = line.trim();
        if !text.is_empty() {
            let offset = start + (line.len() - line.trim_start().len());
            blocks.push(block(text, offset, cues));
        }
        start += length;
    }
    mark_wrapped(page, &mut blocks);
    mark_repeated(&mut blocks);
    blocks
}

/// Bytes of the first line, with the character that ends it: one of those from line
/// feed to carriage return, or U+2028 or U+2029.
fn line_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let length = |at: usize| match bytes.get(at..)? {
        [b'\n'..=b'\r', ..] => Some(at + 1),
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => Some(at + 3),
        _ => None,
    };
    places(bytes, |it| matches!(it, b'\n'..=b'\r' | 0xe2)).find_map(length).unwrap_or(text.len())
}

/// Where the bytes are that are wanted. A row of them is looked at together, by vectors,
/// which is fast where few of many are wanted.
fn places(bytes: &[u8], is_wanted: impl Fn(u8) -> bool + Copy) -> impl Iterator<Item = usize> {
    let rows = bytes.chunks(ROW_BYTES).zip((0..).step_by(ROW_BYTES));
    let has_one = move |row: &[u8]| row.iter().fold(false, |has, it| has | is_wanted(*it));
    rows.filter(move |it| has_one(it.0)).flat_map(move |(row, start)| {
        (start..).zip(row).filter(move |it| is_wanted(*it.1)).map(|it| it.0)
    })
}

/// A line is read once: what is cut off its end as off a blurb's goes last.
fn block(text: &str, offset: usize, cues: &Cues) -> Block {
    let line = Line { text, tokens: Tokens::of(text), ends_sentence: ends_sentence(text) };
    let (label, ends_article) = (line.label(&cues.labels), line.ends_article(&cues.ends));
    let (prompt, caption) = (line.is_prompt(&cues.prompts), line.is_caption(&cues.credits));
    let Line { mut tokens, ends_sentence, .. } = line;
    let truncated = truncation::cut(text, &mut tokens, cues);
    let words = tokens.words();
    Block {
        span: ByteSpan::new(offset, offset + text.len()),
        words,
        truncated,
        ends_sentence,
        label,
        ends_article,
        prompt,
        caption,
        clock: words < CLOCK_WORDS_END && has_clock(text),
        separators: separators(text),
        marked: text.starts_with(|it: char| MARKERS.contains(&it) || it.is_numeric()),
        introduces: text.ends_with(COLONS),
        beginning: beginning(&tokens.hashes),
        repeated: false,
        tokens,
    }
}

const COLONS: [char; 2] = [':', '：'];
/// What items of a list and quotations begin with.
const MARKERS: [char; 15] =
    ['•', '*', '-', '–', '—', '·', '▪', '■', '●', '+', '"', '“', '„', '«', '「'];
/// What sets a label apart from what it labels.
const APART: [char; 11] = [':', '：', '>', '»', '–', '—', '|', '-', '→', '►', '▶'];

/// A line with all of its tokens.
struct Line<'a> {
    text: &'a str,
    tokens: Tokens,
    ends_sentence: bool,
}

impl<'a> Line<'a> {
    fn label(&self, labels: &Phrases) -> Label {
        let Some(length) = labels.prefix(&self.tokens.hashes) else { return Label::None };
        let rest = self.tokens.len() - length;
        let is_short = rest <= HEADING_REST_MAX;
        let is_open = length >= OPEN_LABEL_MIN
            && self.tokens.words() <= OPEN_HEADING_WORDS_MAX
            && !self.ends_sentence;
        if rest == 0 || (is_short && self.text.ends_with(COLONS)) {
            Label::Heading
        } else if rest >= INLINE_REST_MIN && self.behind(length).starts_with(APART) {
            Label::Inline
        } else if is_short && is_open {
            Label::Heading
        } else {
            Label::None
        }
    }

    fn ends_article(&self, ends: &Phrases) -> bool {
        let from = self.leading_number();
        let Some(length) = ends.prefix_at(&self.tokens.hashes, from).map(|it| from + it) else {
            return false;
        };
        let behind = self.behind(length);
        let is_apart = behind.starts_with(|it: char| APART.contains(&it) || it == '(')
            || behind.starts_with(|it: char| it.is_ascii_digit());
        let rest = self.tokens.len() - length;
        let is_open = length >= OPEN_LABEL_MIN && rest <= HEADING_REST_MAX && !self.ends_sentence;
        rest == 0 || (rest <= END_REST_MAX && is_apart) || is_open
    }

    /// Tokens of a number at the start, as in "33 comments".
    fn leading_number(&self) -> usize {
        let is_number = |it: &&ByteSpan| it.of(self.text).chars().all(char::is_numeric);
        self.tokens.spans.iter().take_while(is_number).count()
    }

    fn is_prompt(&self, prompts: &Phrases) -> bool {
        let reached = |length: usize| self.tokens.len() <= PROMPT_REACH * length * length;
        let line = &self.tokens.hashes;
        self.text.contains('©')
            || (line.len() <= PROMPTED_TOKENS_MAX
                && (0..line.len()).any(|at| prompts.prefix_at(line, at).is_some_and(reached)))
    }

    fn is_caption(&self, credits: &Phrases) -> bool {
        let end = self.tokens.len();
        let is_credited = |at: usize| {
            let Some(length) = credits.prefix_at(&self.tokens.hashes, at) else { return false };
            let from_end = end - at;
            let behind = self.behind(at + length);
            let leads = at == 0
                && (length >= OPEN_LABEL_MIN || behind.starts_with([':', '：', '/', '／', '|']));
            let closes =
                from_end <= CREDIT_FROM_END && (!self.ends_sentence || behind.starts_with(COLONS));
            let bracketed = from_end <= BRACKETED_CREDIT_FROM_END
                && self.before(at).ends_with(['(', '（', '/', '／', '|', '©']);
            leads || closes || bracketed
        };
        let tail = end.saturating_sub(BRACKETED_CREDIT_FROM_END)..end;
        (0..end.min(1)).chain(tail).any(is_credited)
    }

    /// What stands before this token, without blanks between.
    fn before(&self, token: usize) -> &'a str {
        let end = self.tokens.spans.get(token).map_or(0, |it| it.start as usize);
        self.text.get(..end).unwrap_or_default().trim_end()
    }

    /// What stands behind the first tokens, without blanks between.
    fn behind(&self, length: usize) -> &'a str {
        let end = self.tokens.span(0..length).map_or(0, |it| it.end as usize);
        self.text.get(end..).unwrap_or_default().trim_start()
    }
}

/// How many of | » › • · > and / there are, at most [`SEPARATORS_MAX`].
fn separators(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_one = |at: &usize| match bytes.get(*at..).unwrap_or_default() {
        [byte, ..] if byte.is_ascii() => matches!(byte, b'|' | b'>' | b'/'),
        // "»" and "·", then "•" and "›".
        from => matches!(from, [0xc2, 0xbb | 0xb7, ..] | [0xe2, 0x80, 0xa2 | 0xba, ..]),
    };
    let may_be = |it: u8| matches!(it, b'|' | b'>' | b'/' | 0xc2 | 0xe2);
    places(bytes, may_be).filter(is_one).take(SEPARATORS_MAX).count()
}

/// Whether there is a time of day, as 7:45 or 19h30.
fn has_clock(text: &str) -> bool {
    text.as_bytes().windows(4).any(
        |it| matches!(it, [a, b':' | b'h', c, d] if [a, c, d].iter().all(|it| it.is_ascii_digit())),
    )
}

/// Whether the last character that is not a closing quote or bracket ends a
/// sentence, in any script.
fn ends_sentence(text: &str) -> bool {
    let closers = ['"', '\'', '”', '’', '»', ')', ']', '」', '』', '）', '“', ' ', '\u{A0}'];
    text.trim_end_matches(closers).ends_with([
        '.', '!', '?', '…', '。', '！', '？', '।', '॥', '۔', '؟', '።', '၊', '။', '។', '｡',
    ])
}

/// A line that goes on in lower case is part of a wrapped paragraph.
fn mark_wrapped(page: &str, blocks: &mut [Block]) {
    let begins_low: Vec<bool> =
        blocks.iter().map(|it| it.span.of(page).starts_with(char::is_lowercase)).collect();
    for (block, goes_on) in blocks.iter_mut().zip(begins_low.iter().skip(1)) {
        block.ends_sentence |= *goes_on && block.words >= WRAPPED_WORDS_MIN;
    }
}

fn mark_repeated(blocks: &mut [Block]) {
    // The words of the longest line that begins so, and of the second longest.
    let mut seen: HashMap<u64, (usize, usize)> = HashMap::default();
    for block in blocks.iter() {
        if let Some(key) = block.beginning {
            let (first, second) = seen.entry(key).or_default();
            *second = (*second).max(block.words.min(*first));
            *first = (*first).max(block.words);
        }
    }
    for block in blocks.iter_mut() {
        let found = block.beginning.and_then(|it| seen.get(&it));
        block.repeated = found.is_some_and(|(_, second)| 5 * second >= 4 * block.words);
    }
}

fn beginning(tokens: &[TokenHash]) -> Option<u64> {
    let first = tokens.get(..REPEATED_TOKENS)?;
    Some(first.iter().fold(0, |key, token| hash::mix(key ^ u64::from(*token))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_keep_their_place() {
        let page = "\n  Un titre\r\n\n\tDeux é \u{2028}Trois…\u{0B}“4”\u{2029}•5\u{0C}6";
        let lines: Vec<&str> =
            blocks(page, Cues::builtin()).iter().map(|it| it.span.of(page)).collect();
        assert_eq!(lines, ["Un titre", "Deux é", "Trois…", "“4”", "•5", "6"]);
        assert!(blocks(" \n\t\n", Cues::builtin()).is_empty());
    }

    proptest! {
        #[test]
        fn places_are_those_that_are_found_byte_by_byte(
            bytes in proptest::collection::vec(0_u8..6, 0..4 * ROW_BYTES),
        ) {
            let expected: Vec<usize> = (0..bytes.len()).filter(|it| bytes[*it] == 3).collect();
            prop_assert_eq!(places(&bytes, |it| it == 3).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn lines_and_signs_are_told_in_every_row() {
        for before in 0..3 * ROW_BYTES {
            let text = format!("{}–\u{2028}»", "a".repeat(before));
            assert_eq!(line_length(&text), before + 6);
            assert_eq!(separators(&text), 1, "{before}");
        }
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
            ("Most read in local sports", Label::Heading),
            ("Most read in local sports today.", Label::None),
        ] {
            assert_eq!(blocks(line, Cues::builtin())[0].label, expected, "{line}");
        }
    }

    #[test]
    fn signs_are_seen_in_a_line() {
        let block = |line: &str| blocks(line, Cues::builtin()).remove(0);
        for line in ["Comments", "33 comments", "Comments are now closed for this story"] {
            assert!(block(line).ends_article, "{line}");
        }
        for line in ["Kommentare (33)", "Tags: harbour, ferry", "Bình luận"] {
            assert!(block(line).ends_article, "{line}");
        }
        assert!(!block("Comments by the mayor drew laughter.").ends_article);
        for line in ["Share", "© Le Phare", "Sign up for our newsletter and get it every week"] {
            assert!(block(line).prompt, "{line}");
        }
        assert!(!block("She printed the share of the harvest on a small card.").prompt);
        for line in ["Foto: Ina Marl", "The ferry on Monday (Reuters/Ada Lum)", "The ferry. Getty"]
        {
            assert!(block(line).caption, "{line}");
        }
        assert!(!block("He told Reuters that the ferry would sail again in spring.").caption);
        assert!(block("By Ada Lum | 14 March, 07:40").clock && !block("A vote of 7:4").clock);
        assert_eq!(block("Home | News | Sport | Weather | More").separators, SEPARATORS_MAX);
        for separator in ['|', '»', '›', '•', '·', '>', '/'] {
            assert_eq!(block(&format!("Home {separator} News")).separators, 1, "{separator}");
        }
        assert_eq!(block("“Été” – ¡adiós! … ‘7’").separators, 0);
    }

    #[test]
    fn a_wrapped_line_is_part_of_a_sentence() {
        let page =
            "The ferry will sail again in spring, nine\nyears after the flood.\nHome\nlog in";
        let flags: Vec<bool> =
            blocks(page, Cues::builtin()).iter().map(|it| it.ends_sentence).collect();
        assert_eq!(flags, [true, true, false, false]);
    }

    #[test]
    fn a_blurb_that_stands_twice_is_repeated_and_its_article_is_not() {
        let blurb = "le conseil a voté hier soir la création de ce jardin";
        let page = format!(
            "{blurb}...\n{blurb}...\nautre chose\n{blurb} et bien plus encore, au \
                            bord du fleuve, pour les enfants des écoles du quartier nord"
        );
        let flags: Vec<bool> =
            blocks(&page, Cues::builtin()).iter().map(|it| it.repeated).collect();
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
