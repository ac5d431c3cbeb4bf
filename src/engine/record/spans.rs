//! The places of tokens in few bits: the bytes between a token and the one before,
//! and its own bytes, in half bytes. With them an answer says where a match stands
//! without the text, which may not be kept.
//!
//! | half bytes          | bytes before the token | bytes of the token |
//! |---------------------|------------------------|--------------------|
//! | 1 to 12             | 1                      | 1 to 12            |
//! | 13, n               | 2                      | n                  |
//! | 14                  | 0                      | 3                  |
//! | 15, n               | 3                      | n                  |
//! | 0, number, number   | zigzag                 | any                |
//!
//! n is 1 to 15. A number is three bits a half byte, lowest first, and the fourth
//! bit where more follow. The bytes before a token are fewer than none where it
//! shares its character with the token before.

use std::ops::Range;

use crate::text::ByteSpan;

const NEXT_TO_SPACE_END: u32 = 12;
const BEHIND_TWO: u8 = 13;
const CHARACTER: u8 = 14;
const BEHIND_THREE: u8 = 15;
/// Bytes of a character of most scripts without spaces.
const CHARACTER_BYTES: u8 = 3;
/// Half bytes of a number of 33 bits, at most.
const NUMBER_DIGITS: u32 = 11;

/// The places of the tokens of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedSpans(Box<[u8]>);

impl PackedSpans {
    /// Of ascending spans.
    pub fn of(spans: &[ByteSpan]) -> Self {
        let mut out = HalfBytes { bytes: Vec::with_capacity(spans.len()), half: false };
        let mut end = 0;
        for span in spans {
            let gap = i64::from(span.start) - i64::from(end);
            let len = span.end.saturating_sub(span.start);
            out.push_span(gap, len);
            end = span.end;
        }
        Self(out.bytes.into_boxed_slice())
    }

    /// From the bytes of an earlier one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The place of a range of tokens; `None` where it is empty or there are not so
    /// many.
    pub fn span(&self, tokens: Range<usize>) -> Option<ByteSpan> {
        let last = tokens.end.checked_sub(1).filter(|it| *it >= tokens.start)?;
        let mut reader = HalfByteReader { bytes: &self.0, at: 0 };
        let before = reader.skip(tokens.start)?;
        let (gap, len) = reader.span()?;
        let start = before.checked_add(gap)?;
        let end =
            start.checked_add(i64::from(len))?.checked_add(reader.skip(last - tokens.start)?)?;
        Some(ByteSpan { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }
}

struct HalfBytes {
    bytes: Vec<u8>,
    half: bool,
}

impl HalfBytes {
    fn push_span(&mut self, gap: i64, len: u32) {
        let short = u8::try_from(len).ok().filter(|it| (1..=15).contains(it));
        match (gap, short) {
            (1, Some(short)) if len <= NEXT_TO_SPACE_END => self.push(short),
            (2, Some(short)) => {
                self.push(BEHIND_TWO);
                self.push(short);
            }
            (0, Some(CHARACTER_BYTES)) => self.push(CHARACTER),
            (3, Some(short)) => {
                self.push(BEHIND_THREE);
                self.push(short);
            }
            _ => {
                self.push(0);
                self.push_number(((gap << 1) ^ (gap >> 63)).cast_unsigned());
                self.push_number(u64::from(len));
            }
        }
    }

    fn push_number(&mut self, mut value: u64) {
        loop {
            let digit = u8::try_from(value & 7).unwrap_or_default();
            value >>= 3;
            self.push(digit | if value > 0 { 8 } else { 0 });
            if value == 0 {
                return;
            }
        }
    }

    fn push(&mut self, half: u8) {
        match self.bytes.last_mut() {
            Some(last) if self.half => *last |= half << 4,
            _ => self.bytes.push(half),
        }
        self.half = !self.half;
    }
}

/// What is begun where a byte begins: nothing, or a token of which the half byte with its
/// length is to come.
const BEGUN_NONE: u8 = 0;
const BEGUN_TWO: u8 = 1;
const BEGUN_THREE: u8 = 2;
const BEGUN_KINDS: u8 = 3;

/// What a byte says.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Tokens that end in it, 0 to 2.
    tokens: u8,
    /// Bytes of these, and before them.
    bytes: u8,
    /// What it leaves begun.
    begun: u8,
}

/// For each kind of beginning and each byte what it says; `None` where a number is in it.
static STEPS: [[Option<Step>; 256]; BEGUN_KINDS as usize] = steps();

#[expect(clippy::indexing_slicing, reason = "iterators do not run in constants")]
const fn steps() -> [[Option<Step>; 256]; BEGUN_KINDS as usize] {
    let mut steps = [[None; 256]; BEGUN_KINDS as usize];
    let mut begun = 0;
    while begun < BEGUN_KINDS {
        let mut byte = 0_u8;
        loop {
            let start = Step { tokens: 0, bytes: 0, begun };
            if let Some(step) = then(start, byte & 15) {
                steps[begun as usize][byte as usize] = then(step, byte >> 4);
            }
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        begun += 1;
    }
    steps
}

/// A step and the half byte behind it.
const fn then(step: Step, half: u8) -> Option<Step> {
    let gap_and_len = match (step.begun, half) {
        (BEGUN_NONE, 0) => return None,
        (BEGUN_NONE, BEHIND_TWO) => return Some(Step { begun: BEGUN_TWO, ..step }),
        (BEGUN_NONE, BEHIND_THREE) => return Some(Step { begun: BEGUN_THREE, ..step }),
        (BEGUN_NONE, CHARACTER) => CHARACTER_BYTES,
        (BEGUN_NONE, len) => 1 + len,
        (BEGUN_TWO, len) => 2 + len,
        (_, len) => 3 + len,
    };
    let Step { tokens, bytes, .. } = step;
    Some(Step { tokens: tokens + 1, bytes: bytes + gap_and_len, begun: BEGUN_NONE })
}

struct HalfByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl HalfByteReader<'_> {
    /// Reads the places of `count` tokens; gives the bytes from before the first to behind
    /// the last.
    fn skip(&mut self, mut count: usize) -> Option<i64> {
        let mut passed = 0_i64;
        while count > 0 {
            let (tokens, bytes) = self.skip_by_bytes(count);
            count -= tokens;
            passed = passed.checked_add(bytes)?;
            if count > 0 {
                let (gap, len) = self.span()?;
                passed = passed.checked_add(gap)?.checked_add(i64::from(len))?;
                count -= 1;
            }
        }
        Some(passed)
    }

    /// Reads places two half bytes at a time, of `most` tokens at most, up to one that
    /// [`STEPS`] do not know; gives their number and the bytes that they take.
    fn skip_by_bytes(&mut self, most: usize) -> (usize, i64) {
        let (mut tokens, mut passed) = (0, 0_i64);
        if !self.at.is_multiple_of(2) {
            return (tokens, passed);
        }
        let mut at = self.at / 2;
        let mut begun = BEGUN_NONE;
        while tokens + 2 <= most {
            let byte = self.bytes.get(at).map(|it| usize::from(*it));
            let step =
                STEPS.get(usize::from(begun)).zip(byte).and_then(|(it, byte)| *it.get(byte)?);
            let Some(step) = step else { break };
            tokens += usize::from(step.tokens);
            passed += i64::from(step.bytes);
            begun = step.begun;
            at += 1;
        }
        // A token that is begun only is read again.
        self.at = 2 * at - usize::from(begun != BEGUN_NONE);
        (tokens, passed)
    }

    #[inline]
    fn span(&mut self) -> Option<(i64, u32)> {
        match self.next()? {
            0 => {
                let gap = self.number()?;
                let gap = (gap >> 1).cast_signed() ^ -((gap & 1).cast_signed());
                Some((gap, u32::try_from(self.number()?).ok()?))
            }
            BEHIND_TWO => Some((2, u32::from(self.next()?))),
            CHARACTER => Some((0, u32::from(CHARACTER_BYTES))),
            BEHIND_THREE => Some((3, u32::from(self.next()?))),
            len => Some((1, u32::from(len))),
        }
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for digit in 0..NUMBER_DIGITS {
            let half = self.next()?;
            value |= u64::from(half & 7) << (3 * digit);
            if half & 8 == 0 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at / 2)?;
        let half = if self.at.is_multiple_of(2) { byte & 15 } else { byte >> 4 };
        self.at += 1;
        Some(half)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::tokens::Tokens;

    #[test]
    fn a_text_of_words_takes_half_a_byte_a_token() {
        let text = "the keeper writes down every storm of the year ".repeat(20);
        let packed = PackedSpans::of(&Tokens::of(&text).spans);
        assert!(packed.bytes().len() < 95, "{}", packed.bytes().len());
    }

    #[test]
    fn the_places_of_all_kinds_of_texts_come_back() {
        let text = "  L’été, « 3½ % » — 今天天气 a\u{301}b &eacute;t&eacute; ... (donaudampfschifffahrt) ﬁn ภาษาไทย";
        let spans = Tokens::of(text).spans;
        let packed = PackedSpans::of(&spans);
        for from in 0..spans.len() {
            for to in from + 1..=spans.len() {
                let expected = ByteSpan { start: spans[from].start, end: spans[to - 1].end };
                assert_eq!(packed.span(from..to), Some(expected), "{from}..{to}");
            }
        }
        assert_eq!(packed.span(2..2), None);
        assert_eq!(packed.span(0..spans.len() + 2), None);
    }

    /// Places by the bytes before each, and its own.
    fn ascending(steps: &[(u32, u32)]) -> Vec<ByteSpan> {
        let mut end = 0;
        let place = |(gap, len): &(u32, u32)| {
            let start = end + gap;
            end = start + len;
            ByteSpan { start, end }
        };
        steps.iter().map(place).collect()
    }

    proptest! {
        #[test]
        fn ascending_places_come_back(steps in proptest::collection::vec((0_u32..40, 0_u32..70_000), 1..80)) {
            let spans = ascending(&steps);
            let packed = PackedSpans::of(&spans);
            for (at, span) in spans.iter().enumerate() {
                prop_assert_eq!(packed.span(at..at + 1), Some(*span));
            }
        }

        #[test]
        fn places_like_those_of_words_come_back(
            steps in proptest::collection::vec((0_u32..5, 1_u32..20), 1..80),
            range in (0_usize..80, 0_usize..80),
        ) {
            let spans = ascending(&steps);
            let expected = spans.get(range.0..range.1).and_then(|it| Some(it.first()?.to(*it.last()?)));
            prop_assert_eq!(PackedSpans::of(&spans).span(range.0..range.1), expected);
        }

        #[test]
        fn two_half_bytes_at_a_time_say_what_one_says(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            from in 0_usize..4,
            count in 0_usize..60,
        ) {
            let (mut whole, mut single) =
                (HalfByteReader { bytes: &bytes, at: from }, HalfByteReader { bytes: &bytes, at: from });
            let expected = (0..count).try_fold(0_i64, |passed, _| {
                let (gap, len) = single.span()?;
                passed.checked_add(gap)?.checked_add(i64::from(len))
            });
            prop_assert_eq!(whole.skip(count), expected);
            if expected.is_some() {
                prop_assert_eq!(whole.at, single.at);
            }
        }

        #[test]
        fn damage_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..90) {
            let found = PackedSpans::from_bytes(&bytes).span(at / 2..at);
            prop_assert!(at > 0 || found.is_none());
        }
    }
}
