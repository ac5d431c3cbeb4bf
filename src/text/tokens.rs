//! Tokens: the words of a text in normal form, as hashes, each with the bytes
//! it came from.
//!
//! A token is a maximal run of letters and digits; in scripts that write no
//! spaces each character, with its marks, is one. HTML entities are read as
//! what they stand for.
//!
//! A short word of ASCII is lowered and hashed in a register ([`runs`]); all
//! else is read character by character, those that [`normal::table`] knows by its
//! word. A property test holds both to the general path.

mod runs;

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use crate::hash;
use crate::hash::ShortBytes;
use crate::text::ByteSpan;
use crate::text::normal;
use crate::text::normal::{Entry, Piece, TABLE_END};
use crate::text::tokens::runs::Visit;

/// The hash of a token's normal form: 31 bits of XXH3 under the project's seed,
/// and in the lowest bit whether it is a character of a script without spaces
/// ([`is_character`]). 31 bits tell the words of all languages apart well enough:
/// nothing is decided by one word.
pub type TokenHash = u32;

/// Whether a token is a single character of a script without spaces, and so only
/// part of a word.
#[inline]
pub fn is_character(token: TokenHash) -> bool {
    token & 1 == 1
}

fn token_hash(word: &[u8], spaceless: bool) -> TokenHash {
    (hash::persistent_32(word) & !1) | u32::from(spaceless)
}

#[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
#[inline(always)]
fn short_token_hash(word: ShortBytes) -> TokenHash {
    hash::persistent_32_short(word) & !1
}

/// The tokens of a text, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The hash of each token.
    pub hashes: Vec<TokenHash>,
    /// Where each token came from. Spans ascend; two tokens share one where a
    /// single character, as "½", stands for both.
    pub spans: Vec<ByteSpan>,
}

impl Tokens {
    /// Reads a text.
    pub fn of(text: &str) -> Self {
        let mut tokens = Self {
            hashes: Vec::with_capacity(text.len() / 6),
            spans: Vec::with_capacity(text.len() / 6),
        };
        each_token(text, &mut tokens);
        tokens
    }

    /// The same without any fast path: what [`Tokens::of`] is held to.
    pub(crate) fn by_general_path(text: &str) -> Self {
        static GENERAL: [Entry; TABLE_END] = [Entry::General; TABLE_END];
        let mut tokens = Self::default();
        Reader::new(&GENERAL, &mut tokens).run(text, 0, text.len());
        tokens
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether the text has no letter and no digit.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// About how many words the text has: two characters of a script without
    /// spaces count as one.
    pub fn words(&self) -> usize {
        self.len() - self.hashes.iter().filter(|it| is_character(**it)).count() / 2
    }

    /// Leaves out the last token.
    pub fn drop_last(&mut self) {
        self.hashes.pop();
        self.spans.pop();
    }

    /// The bytes from the first of `range` to the last; `None` where the range
    /// is empty or reaches past the last token.
    pub fn span(&self, range: Range<usize>) -> Option<ByteSpan> {
        let covered = self.spans.get(range)?;
        Some(covered.first()?.to(*covered.last()?))
    }
}

/// The normal form of a whole text: its tokens with single spaces between.
/// Idempotent.
pub fn normal_form(text: &str) -> String {
    let mut words = Words(String::with_capacity(text.len()));
    each_token(text, &mut words);
    words.0
}

/// Takes tokens in their order.
trait Sink {
    /// A token with its normal form in UTF-8, its place, and whether it is a
    /// character of a script without spaces.
    fn word(&mut self, word: &[u8], span: ByteSpan, spaceless: bool);

    /// A token of a few bytes, of a script with spaces.
    fn short(&mut self, word: ShortBytes, span: ByteSpan) {
        let bytes = word.bytes.to_le_bytes();
        self.word(bytes.get(..word.len as usize).unwrap_or_default(), span, false);
    }
}

impl Sink for Tokens {
    fn word(&mut self, word: &[u8], span: ByteSpan, spaceless: bool) {
        self.hashes.push(token_hash(word, spaceless));
        self.spans.push(span);
    }

    #[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
    #[inline(always)]
    fn short(&mut self, word: ShortBytes, span: ByteSpan) {
        self.hashes.push(short_token_hash(word));
        self.spans.push(span);
    }
}

/// Words with single spaces between.
struct Words(String);

impl Sink for Words {
    fn word(&mut self, word: &[u8], _: ByteSpan, _: bool) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(&String::from_utf8_lossy(word));
    }
}

fn each_token(text: &str, sink: &mut impl Sink) {
    let reader = Reader::new(normal::table(), sink);
    Arch::new().dispatch(Reading { text, reader, read_to: 0 });
}

/// A text that is being read, run by run.
struct Reading<'t, 'a, S> {
    text: &'t str,
    reader: Reader<'a, S>,
    /// What is before it is read: an entity reaches behind the end of its run.
    read_to: usize,
}

impl<S: Sink> WithSimd for Reading<'_, '_, S> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
    #[inline(always)]
    fn with_simd<V: Simd>(mut self, _: V) {
        let bytes = self.text.as_bytes();
        runs::each(bytes, &mut self);
    }
}

impl<S: Sink> Visit for Reading<'_, '_, S> {
    #[expect(clippy::inline_always, reason = "compiled once for each set of vector instructions")]
    #[inline(always)]
    fn run(&mut self, start: usize, end: usize) {
        if start < self.read_to {
            return;
        }
        let bytes = self.text.as_bytes();
        if let Some(word) = runs::short_ascii(bytes, start, end) {
            self.reader.sink.short(word, ByteSpan::new(start, end));
        } else if let Some(rest) = self.reader.table_run(bytes, start..end) {
            self.read_to = self.reader.run(self.text, rest, end);
        }
    }
}

/// The longest entity of HTML 5 has 33 bytes with its "&" and ";".
const ENTITY_BYTES_MAX: usize = 33;

/// What an HTML entity at the start of `text` stands for, and its bytes.
fn entity(text: &str) -> Option<(String, usize)> {
    let name = text.as_bytes().get(1..)?;
    let is_name = |it: &u8| it.is_ascii_alphanumeric() || *it == b'#';
    let length = name.iter().take(ENTITY_BYTES_MAX).position(|it| !is_name(it))?;
    if name.get(length) != Some(&b';') {
        return None;
    }
    let written = text.get(..length + 2)?;
    let decoded = html_escape::decode_html_entities(written);
    (decoded != written).then(|| (decoded.into_owned(), written.len()))
}

/// The code of the first character, and its bytes, if these are at most three.
#[inline]
fn decoded(bytes: &[u8]) -> Option<(usize, usize)> {
    let tail = |at: usize| bytes.get(at).map(|it| usize::from(it & 0x3f));
    match *bytes.first()? {
        first @ ..0x80 => Some((usize::from(first), 1)),
        first @ 0xc0..0xe0 => Some((usize::from(first & 0x1f) << 6 | tail(1)?, 2)),
        first @ 0xe0..0xf0 => Some((usize::from(first & 0xf) << 12 | tail(1)? << 6 | tail(2)?, 3)),
        _ => None,
    }
}

/// A word in a register, as it is read.
#[derive(Default)]
struct ShortWord {
    bytes: u128,
    len: u32,
    start: usize,
    end: usize,
}

impl ShortWord {
    /// Adds what a character gives; `false` if that is too long for the register.
    #[inline]
    fn push(&mut self, bytes: u32, len: u8, at: usize, length: usize) -> bool {
        if len == 0 {
            return true;
        }
        if self.len == 0 {
            self.start = at;
        }
        if self.len + u32::from(len) > 16 {
            return false;
        }
        self.bytes |= u128::from(bytes) << (8 * self.len);
        self.len += u32::from(len);
        self.end = at + length;
        true
    }

    #[inline]
    fn finish(&mut self, sink: &mut impl Sink) {
        if self.len > 0 {
            let word = ShortBytes { bytes: self.bytes, len: self.len };
            sink.short(word, ByteSpan::new(self.start, self.end));
            *self = Self::default();
        }
    }
}

struct Reader<'a, S> {
    table: &'static [Entry; TABLE_END],
    sink: &'a mut S,
    /// The token so far, in normal form.
    word: Vec<u8>,
    /// Marks since the last letter, to be put into canonical order, by their classes.
    marks: Vec<(u8, char)>,
    span: ByteSpan,
    spaceless: bool,
}

impl<'a, S: Sink> Reader<'a, S> {
    fn new(table: &'static [Entry; TABLE_END], sink: &'a mut S) -> Self {
        Self {
            table,
            sink,
            word: Vec::with_capacity(64),
            marks: Vec::new(),
            span: ByteSpan::default(),
            spaceless: false,
        }
    }

    /// Reads the words of a run as long as the table knows all their characters
    /// and each fits a register. Gives where the first one begins that is not so;
    /// nothing of that one is read.
    fn table_run(&mut self, bytes: &[u8], run: Range<usize>) -> Option<usize> {
        let mut word = ShortWord::default();
        let mut at = run.start;
        let mut start = at;
        while at < run.end {
            let Some((code, length)) = bytes.get(at..).and_then(decoded) else {
                return Some(start);
            };
            match self.table.get(code) {
                Some(Entry::Break) if code != usize::from(b'&') => {
                    word.finish(self.sink);
                    start = at + length;
                }
                Some(Entry::Bytes { len, bytes }) => {
                    if !word.push(u32::from_le_bytes(*bytes), *len, at, length) {
                        return Some(start);
                    }
                }
                _ => return Some(start),
            }
            at += length;
        }
        word.finish(self.sink);
        None
    }

    /// Reads a run by its characters, and on to the next byte that is between
    /// words. Gives where that is.
    fn run(&mut self, text: &str, start: usize, end: usize) -> usize {
        let bytes = text.as_bytes();
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            if at >= end && runs::is_between(byte) {
                break;
            }
            if byte == b'&'
                && let Some((decoded, length)) = text.get(at..).and_then(entity)
            {
                let span = ByteSpan::new(at, at + length);
                decoded.chars().for_each(|it| self.character(it, span));
                at += length;
                continue;
            }
            let Some(character) = text.get(at..).and_then(|it| it.chars().next()) else { break };
            let end = at + character.len_utf8();
            self.character(character, ByteSpan::new(at, end));
            at = end;
        }
        self.finish_token();
        at
    }

    fn character(&mut self, character: char, span: ByteSpan) {
        match self.table.get(character as usize) {
            Some(Entry::Break) => self.finish_token(),
            Some(Entry::Bytes { len, bytes }) => {
                // The table knows no letter of a script without spaces.
                if *len > 0 {
                    self.start_letter(span, false);
                    self.word.extend_from_slice(bytes.get(..usize::from(*len)).unwrap_or_default());
                }
            }
            Some(Entry::General) | None => self.general(character, span),
        }
    }

    fn general(&mut self, character: char, span: ByteSpan) {
        if normal::is_plain_han(character) {
            return self.piece(Piece::Letter(character), span);
        }
        let is_mark = is_combining_mark(character);
        let mut any = false;
        if !(is_mark && normal::is_dropped_mark(character)) {
            // One character may stand for eighteen, most of which the table knows.
            normal::parts(character, |part| match self.table.get(part as usize) {
                Some(Entry::Break | Entry::Bytes { len: 1.., .. }) => {
                    any = true;
                    self.character(part, span);
                }
                Some(Entry::Bytes { len: 0, .. }) => {}
                Some(Entry::General) | None => normal::pieces_of_part(part, &mut |piece| {
                    any = true;
                    self.piece(piece, span);
                }),
            });
        }
        // A dropped diacritic belongs to the word it stands in; an ignored
        // character does not.
        if !any && is_mark {
            self.extend_span(span);
        }
    }

    fn piece(&mut self, piece: Piece, span: ByteSpan) {
        match piece {
            Piece::Break => self.finish_token(),
            Piece::Mark(mark) => self.mark(mark, span),
            Piece::Letter(letter) => {
                self.start_letter(span, normal::is_spaceless(letter));
                push(&mut self.word, letter);
            }
        }
    }

    fn start_letter(&mut self, span: ByteSpan, spaceless: bool) {
        if spaceless || self.spaceless {
            self.finish_token();
        }
        if self.word.is_empty() {
            self.span = span;
            self.spaceless = spaceless;
        } else {
            self.flush_marks();
            self.span = self.span.to(span);
        }
    }

    fn mark(&mut self, mark: char, span: ByteSpan) {
        if !self.word.is_empty() {
            self.marks.push((canonical_combining_class(mark), mark));
            self.span = self.span.to(span);
        }
    }

    fn extend_span(&mut self, span: ByteSpan) {
        if !self.word.is_empty() && is_adjacent(self.span, span) {
            self.span = self.span.to(span);
        }
    }

    #[inline]
    fn flush_marks(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        self.marks.sort_by_key(|it| it.0);
        for (_, mark) in self.marks.drain(..) {
            push(&mut self.word, mark);
        }
    }

    fn finish_token(&mut self) {
        if !self.word.is_empty() {
            self.flush_marks();
            self.sink.word(&self.word, self.span, self.spaceless);
            self.word.clear();
        }
        self.spaceless = false;
    }
}

fn is_adjacent(word: ByteSpan, next: ByteSpan) -> bool {
    word.end == next.start
}

fn push(word: &mut Vec<u8>, character: char) {
    word.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Sink for Vec<(Vec<u8>, ByteSpan, bool)> {
        fn word(&mut self, word: &[u8], span: ByteSpan, spaceless: bool) {
            self.push((word.to_vec(), span, spaceless));
        }
    }

    /// Texts that mix scripts, marks, entities and separators.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-zA-Z0-9 ,.'’«»-]{0,12}",
            "[à-ÿÀ-ßœŒıİşŁđ]{0,6}",
            "[\u{0300}-\u{036f}\u{3099}\u{094d}\u{093c}\u{0e31}-\u{0e3a}\u{ad}\u{200b}\u{200d}]{0,3}",
            "[\u{4e00}-\u{4e40}\u{3041}-\u{3060}ก-ฮ]{0,6}",
            "[א-תء-ي\u{064b}-\u{0655}क-ह\u{093e}-\u{094d}가-각]{0,6}",
            Just("&eacute;".to_owned()),
            Just("&amp;&#39;&hellip;&bogus;&#x1F600;&".to_owned()),
            ".{0,5}",
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|it| it.concat())
    }

    proptest! {
        #[test]
        fn normal_form_is_idempotent(text in texts()) {
            let once = normal_form(&text);
            prop_assert_eq!(normal_form(&once), once);
        }

        #[test]
        fn spans_ascend_and_give_their_token_again(text in texts()) {
            let tokens = Tokens::of(&text);
            let mut last = ByteSpan::default();
            for (hash, span) in tokens.hashes.iter().zip(&tokens.spans) {
                prop_assert!(span.start >= last.start && span.end >= last.end);
                prop_assert!(!span.is_empty() && text.get(span.range()).is_some());
                prop_assert!(Tokens::of(span.of(&text)).hashes.contains(hash));
                last = *span;
            }
        }

        #[test]
        fn the_fast_paths_give_what_the_general_path_gives(text in texts()) {
            static GENERAL: [Entry; TABLE_END] = [Entry::General; TABLE_END];
            let (mut fast, mut general) = (Vec::new(), Vec::new());
            each_token(&text, &mut fast);
            Reader::new(&GENERAL, &mut general).run(&text, 0, text.len());
            prop_assert_eq!(&fast, &general);
            prop_assert_eq!(Tokens::of(&text), Tokens::by_general_path(&text));
        }
    }

    #[test]
    fn every_character_alone_is_idempotent() {
        for character in ('\0'..=char::MAX).filter(|it| !it.is_ascii()) {
            let once = normal_form(&format!("a{character}b"));
            assert_eq!(normal_form(&once), once, "{:x}", u32::from(character));
        }
    }

    #[test]
    fn words_of_all_scripts() {
        for (text, expected) in [
            ("L’Espagne, d'abord", "l espagne d abord"),
            ("AT&amp;T &eacute;t&#233; caf&#xE9;&nbsp;!", "at t ete cafe"),
            ("R&D; &unknown; a&b", "r d unknown a b"),
            ("今天天气", "今 天 天 气"),
            ("iPhone发布", "iphone 发 布"),
            ("ที่นี่", "ที่ นี่"),
            ("हिन्दी में", "हिन्दी में"),
            ("3,5 % — ½", "3 5 1 2"),
            ("co\u{AD}opérer", "cooperer"),
            ("🙂 \u{0301}…", ""),
        ] {
            let normal: String = expected.split(' ').map(normal_form).collect::<Vec<_>>().join(" ");
            assert_eq!(normal_form(text), normal, "{text}");
        }
    }

    #[test]
    fn spans_are_of_the_submitted_text() {
        let text = "Le caf&eacute; d’E\u{0301}te\u{0301}.";
        let words: Vec<&str> = Tokens::of(text).spans.iter().map(|it| it.of(text)).collect();
        assert_eq!(words, ["Le", "caf&eacute;", "d", "E\u{0301}te\u{0301}"]);
    }

    #[test]
    fn long_words_and_deep_marks_take_linear_time() {
        assert_eq!(Tokens::of(&"a".repeat(1 << 20)).len(), 1);
        let deep = format!("क{}", "\u{094d}\u{093c}".repeat(200_000));
        assert_eq!(Tokens::of(&deep).len(), 1);
    }
}
