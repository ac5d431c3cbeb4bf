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
const CHARACTER_BYTES: u32 = 3;
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
        let (mut end, mut first) = (0_u32, None);
        for at in 0..=last {
            let (gap, len) = reader.span()?;
            let start = u32::try_from(i64::from(end).checked_add(gap)?).ok()?;
            end = start.checked_add(len)?;
            if at == tokens.start {
                first = Some(start);
            }
        }
        Some(ByteSpan { start: first?, end })
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
            (0, _) if len == CHARACTER_BYTES => self.push(CHARACTER),
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

struct HalfByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl HalfByteReader<'_> {
    #[inline]
    fn span(&mut self) -> Option<(i64, u32)> {
        match self.next()? {
            0 => {
                let gap = self.number()?;
                let gap = (gap >> 1).cast_signed() ^ -((gap & 1).cast_signed());
                Some((gap, u32::try_from(self.number()?).ok()?))
            }
            BEHIND_TWO => Some((2, u32::from(self.next()?))),
            CHARACTER => Some((0, CHARACTER_BYTES)),
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

    proptest! {
        #[test]
        fn ascending_places_come_back(steps in proptest::collection::vec((0_u32..40, 0_u32..70_000), 1..80)) {
            let mut end = 0;
            let spans: Vec<ByteSpan> = steps.iter().map(|(gap, len)| {
                let start = end + gap;
                end = start + len;
                ByteSpan { start, end }
            }).collect();
            let packed = PackedSpans::of(&spans);
            for (at, span) in spans.iter().enumerate() {
                prop_assert_eq!(packed.span(at..at + 1), Some(*span));
            }
        }

        #[test]
        fn damage_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..90) {
            let found = PackedSpans::from_bytes(&bytes).span(at / 2..at);
            prop_assert!(at > 0 || found.is_none());
        }
    }
}
