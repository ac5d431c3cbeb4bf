//! Pseudo-words with the frequencies of a language: a few short ones make up
//! most of a text, and most words are rare. Knows no articles.

use crate::hash;

/// Words of the vocabulary, as a power of two: a draw takes its bits.
const VOCABULARY_BITS: u32 = 16;
const VOCABULARY: usize = 1 << VOCABULARY_BITS;
/// Ranks below these have one, two and three syllables, the others four.
const SYLLABLE_RANKS: [usize; 3] = [30, 2_000, 20_000];
const ONSETS: [&str; 20] = [
    "b", "c", "d", "f", "g", "h", "j", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "br",
    "pl", "gr",
];
const VOWELS: [u8; 5] = *b"aeiou";
/// Syllables of a name.
const NAME_SYLLABLES: usize = 4;
/// A prime by which ranks are spread over the words of their length: it has no
/// factor in common with the number of syllables, so that no two ranks meet.
const SPREAD: u64 = 7_919;

/// Words by rank, drawn with Zipf's frequencies: the n-th is as frequent as 1/n.
#[derive(Debug)]
pub(super) struct Vocabulary {
    words: Vec<Word>,
    slots: Vec<Slot>,
}

/// A word in as many bytes as all, so that it is copied at once: its letters and zeros, and
/// how many letters they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Word {
    letters: [u8; WORD_BYTES],
    count: u8,
}

/// Bytes of a word: four syllables have twelve letters.
const WORD_BYTES: usize = 15;

impl Word {
    fn of(rank: usize) -> Self {
        let shorter = SYLLABLE_RANKS.iter().filter(|it| **it <= rank).count();
        let mut word = Vec::new();
        push_syllables(&mut word, rank as u64 * SPREAD, shorter + 1);
        let mut letters = [0; WORD_BYTES];
        letters.iter_mut().zip(&word).for_each(|(to, from)| *to = *from);
        Self { letters, count: u8::try_from(word.len()).unwrap_or(u8::MAX) }
    }
}

/// One column of the alias method (Walker 1977, Vose 1991): it stands for a word,
/// and lends the rest of its height to a more frequent one.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Of 2^32: how much of the column is its own.
    own: u32,
    alias: u32,
}

impl Vocabulary {
    pub(super) fn new() -> Self {
        let words = (0..VOCABULARY).map(Word::of).collect();
        Self { words, slots: slots() }
    }

    /// Appends the word that 64 random bits draw.
    pub(super) fn push(&self, out: &mut Vec<u8>, random: u64) {
        let Some(Word { letters, count }) = self.words.get(self.rank(random)) else { return };
        let start = out.len();
        out.extend_from_slice(letters);
        out.truncate(start + usize::from(*count));
    }

    fn rank(&self, random: u64) -> usize {
        let at = hash::high_half(random) >> (32 - VOCABULARY_BITS);
        let slot = self.slots.get(at as usize).copied().unwrap_or_default();
        (if hash::low_half(random) < slot.own { at } else { slot.alias }) as usize
    }
}

/// Appends a name that hardly anything else has, its first letter not yet large.
pub(super) fn push_name(out: &mut Vec<u8>, random: u64) {
    push_syllables(out, random, NAME_SYLLABLES);
}

fn push_syllables(out: &mut Vec<u8>, value: u64, count: usize) {
    let mut rest = value;
    for _ in 0..count {
        let (onset, vowel) = (rest % 20, rest / 20 % 5);
        rest /= 100;
        let onset = ONSETS.get(usize::try_from(onset).unwrap_or(0)).copied().unwrap_or("b");
        out.extend_from_slice(onset.as_bytes());
        out.push(VOWELS.get(usize::try_from(vowel).unwrap_or(0)).copied().unwrap_or(b'a'));
    }
}

fn slots() -> Vec<Slot> {
    let total: f64 = (1..=VOCABULARY).map(|rank| 1.0 / rank as f64).sum();
    let mut heights: Vec<f64> =
        (1..=VOCABULARY).map(|rank| VOCABULARY as f64 / total / rank as f64).collect();
    let mut slots = vec![Slot { own: u32::MAX, alias: 0 }; VOCABULARY];
    // Frequent words come first: what they have above 1 fills the columns of rare
    // ones, from the last on, until they fit into a column themselves.
    let mut high = 0;
    let mut low: Vec<usize> = (0..VOCABULARY).filter(|it| heights.get(*it) < Some(&1.0)).collect();
    while let Some(at) = low.pop() {
        while heights.get(high).is_some_and(|it| *it < 1.0) {
            high += 1;
        }
        let height = heights.get(at).copied().unwrap_or_default();
        let (Some(slot), Some(lender)) = (slots.get_mut(at), heights.get_mut(high)) else { break };
        *slot = Slot { own: of_32_bits(height), alias: u32::try_from(high).unwrap_or_default() };
        *lender -= 1.0 - height;
        if *lender < 1.0 {
            low.push(high);
            high += 1;
        }
    }
    slots
}

#[expect(clippy::cast_possible_truncation, reason = "clamped")]
#[expect(clippy::cast_sign_loss, reason = "clamped")]
fn of_32_bits(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_words_are_the_same() {
        let words = Vocabulary::new().words;
        let distinct: hash::HashSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), VOCABULARY);
    }

    #[test]
    fn draws_follow_zipf() {
        let vocabulary = Vocabulary::new();
        let draws = 1_000_000;
        let mut counts = hash::HashMap::<usize, u32>::default();
        for at in 0..draws {
            *counts.entry(vocabulary.rank(hash::mix(at))).or_default() += 1;
        }
        let total: f64 = (1..=VOCABULARY).map(|rank| 1.0 / rank as f64).sum();
        for rank in [1_usize, 2, 10, 100] {
            let expected = draws as f64 / total / rank as f64;
            let seen = f64::from(counts[&(rank - 1)]);
            assert!((seen - expected).abs() < 6.0 * expected.sqrt(), "{rank}: {seen} {expected}");
        }
    }
}
