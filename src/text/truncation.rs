//! Truncation: the marks and links that end a blurb ("...", "[…]", "Read
//! more"), and the word that they cut.

use crate::text::ByteSpan;
use crate::text::cues::Cues;
use crate::text::normal;
use crate::text::tokens::Tokens;

/// A blurb without its truncation mark and the word that was cut.
#[derive(Debug, Clone)]
pub struct Blurb {
    /// What is left of its tokens.
    pub tokens: Tokens,
    /// Whether a mark or a link said that the text goes on elsewhere.
    pub truncated: bool,
}

/// Reads a blurb.
///
/// A mark that touches the last word may have cut it, so that word is left
/// out; a mark behind a space has not. A character of a script without spaces
/// is whole either way.
pub fn blurb(text: &str, cues: &Cues) -> Blurb {
    let mut tokens = Tokens::of(text);
    let truncated = cut(text, &mut tokens, cues);
    Blurb { tokens, truncated }
}

/// Leaves out of a text's tokens what [`blurb`] leaves out, all of it at the end, and
/// says whether the text goes on elsewhere.
pub fn cut(text: &str, tokens: &mut Tokens, cues: &Cues) -> bool {
    let mut truncated = drop_continue_link(text, tokens, cues);
    let gap = gap_after(text, tokens, text.len());
    if let Some(mark) = first_mark(gap) {
        truncated = true;
        if mark == 0 && tokens.len() > 1 && ends_in_word(text, tokens) {
            tokens.drop_last();
        }
    }
    truncated
}

/// Drops "Read more" and its like from the end, where punctuation or a line
/// break sets it apart from the sentence.
fn drop_continue_link(text: &str, tokens: &mut Tokens, cues: &Cues) -> bool {
    let Some(length) = cues.continues.suffix(&tokens.hashes) else { return false };
    let kept = tokens.len() - length;
    let Some(link) = tokens.spans.get(kept).filter(|_| kept > 0) else { return false };
    let start = tokens.spans.get(kept - 1).map_or(0, |it| it.end as usize);
    let gap = ByteSpan::new(start, link.start as usize).of(text);
    let set_apart = gap.contains('\n') || gap.chars().any(|it| !it.is_whitespace());
    for _ in 0..if set_apart { length } else { 0 } {
        tokens.drop_last();
    }
    set_apart
}

/// What stands between the last token and `end`.
fn gap_after<'a>(text: &'a str, tokens: &Tokens, end: usize) -> &'a str {
    let start = tokens.spans.last().map_or(0, |it| it.end as usize);
    ByteSpan::new(start, end).of(text)
}

/// Where in a gap the first truncation mark begins.
fn first_mark(gap: &str) -> Option<usize> {
    const MARKS: [&str; 6] = ["..", "…", ". . .", "&hellip;", "&#8230;", "&#x2026;"];
    // Most texts end in a full stop at most, and six searches take longer than to see that.
    if gap.len() < 2 {
        return None;
    }
    MARKS.iter().filter_map(|it| gap.find(it)).min()
}

fn ends_in_word(text: &str, tokens: &Tokens) -> bool {
    let last = tokens.spans.last().map_or("", |it| it.of(text));
    !last.chars().next().is_some_and(normal::is_spaceless)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens;

    #[test]
    fn marks_and_links_end_a_blurb() {
        for (text, kept, truncated) in [
            ("un deux trois...", "un deux", true),
            ("un deux trois ...", "un deux trois", true),
            ("un deux tro…", "un deux", true),
            ("un deux trois […]", "un deux trois", true),
            ("un deux trois [...]", "un deux trois", true),
            ("un deux trois (...)", "un deux trois", true),
            ("un deux tro&hellip;", "un deux", true),
            ("un deux trois… Lire la suite", "un deux", true),
            ("un deux trois. Lire la suite »", "un deux trois", true),
            ("un deux trois\nRead more", "un deux trois", true),
            ("She likes to read more", "she likes to read more", false),
            ("Read more", "read more", false),
            ("un deux trois.", "un deux trois", false),
            ("今天天气很好...", "今 天 天 气 很 好", true),
            ("un...", "un", true),
            ("天。阅读全文", "天", true),
            ("詳細…続きを読む", "詳 細", true),
            ("...", "", true),
            ("", "", false),
        ] {
            let blurb = blurb(text, Cues::builtin());
            let words = blurb.tokens.spans.iter().map(|it| tokens::normal_form(it.of(text)));
            assert_eq!(words.collect::<Vec<_>>().join(" "), kept, "{text}");
            assert_eq!(blurb.truncated, truncated, "{text}");
            assert!(blurb.tokens.words() <= blurb.tokens.len(), "{text}");
        }
    }
}
