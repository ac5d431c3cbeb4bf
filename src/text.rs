//! Text: the normal form, tokens with their place in the submitted bytes,
//! truncation marks, and the split of a page into segments. Pure; knows no
//! hash but a token's, no store and no article.

pub mod cues;
pub mod normal;
pub mod page;
pub mod tokens;
pub mod truncation;

use serde::{Deserialize, Serialize};

/// A place in a submitted UTF-8 text. At most 4 GiB; every text that doublon
/// takes is far below.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct ByteSpan {
    /// First byte, inclusive.
    pub start: u32,
    /// Byte behind the last one.
    pub end: u32,
}

impl ByteSpan {
    /// From offsets that are known to be within a text of at most 4 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        let offset = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        Self { start: offset(start), end: offset(end) }
    }

    /// Number of bytes.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether it has no byte.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// As a range of offsets.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes of `text` at this place; empty where the span is not of this
    /// text.
    pub fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or_default()
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}
