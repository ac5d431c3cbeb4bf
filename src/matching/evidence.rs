//! Evidence: how unlikely shared words are by chance, in bits, by their rarity
//! among the stored articles.
//!
//! A shingle that `d` of `n` articles have counts -log2 of its share. The
//! store is taken as part of a background of [`PRIOR_ARTICLES`] more, so that
//! a phrase is not called common because the store is small. In a run of
//! matched words the rarest shingle counts in full and each other one a third:
//! neighbours share all but one of their words.

use std::sync::LazyLock;

use crate::shingle::SHINGLE_TOKENS;

/// Articles of the background that the store is taken as a part of.
pub const PRIOR_ARTICLES: f64 = 4096.0;

/// What a match needs above log2 of the number of articles: with this many
/// bits more, one chance match is expected among 64 stores of its size.
pub const MARGIN_BITS: f64 = 6.0;

/// What it counts that a teaser is all of an article's title, besides its words: they
/// could stand in hundreds of places.
pub const WHOLE_TITLE_BITS: f64 = 6.0;

/// Numbers whose logarithms are looked up: most phrases of a teaser are in few articles.
const SMALL_END: usize = 256;

/// log2 of each of them; that of 0 is not asked for.
static SMALL_LOG2: LazyLock<[f64; SMALL_END]> =
    LazyLock::new(|| std::array::from_fn(|it| (it as f64).log2()));

/// Bits of terms by their frequencies, in the order of these.
///
/// A term counts -log2 of its share among the articles that have the most frequent
/// of the terms. That one is a function word in any text but a headline, so these
/// are about the articles in the text's language: a word is not called rare because
/// the store has little in its language, or little at all.
pub fn term_bits(frequencies: &[u32]) -> Vec<f64> {
    let most = frequencies.iter().copied().max().unwrap_or(0);
    let bits = |frequency: u32| (f64::from(most + 1) / f64::from(frequency.max(1))).log2();
    frequencies.iter().map(|it| bits(*it)).collect()
}

/// Weighs shingles by their rarity in a store of a known size.
#[derive(Debug, Clone, Copy)]
pub struct Rarity {
    population_bits: f64,
}

impl Rarity {
    /// In a store of this many articles.
    pub fn new(article_count: u64) -> Self {
        Self { population_bits: (article_count as f64 + PRIOR_ARTICLES).log2() }
    }

    /// The bits of one shingle that this many articles have.
    pub fn bits(self, article_frequency: u32) -> f64 {
        let frequency = article_frequency.max(1);
        let small = SMALL_LOG2.get(frequency as usize).copied();
        let frequency_bits = small.unwrap_or_else(|| f64::from(frequency).log2());
        (self.population_bits - frequency_bits).max(0.0)
    }

    /// log2 of the number of articles, those of the background included.
    pub fn population_bits(self) -> f64 {
        self.population_bits
    }

    /// What a match needs.
    pub fn bits_min(self) -> f64 {
        self.population_bits() + MARGIN_BITS
    }

    /// The bits of runs of matched words. `frequencies` has one value a
    /// shingle of the teaser; `runs` are ranges of its tokens.
    pub fn bits_of_runs(
        self,
        frequencies: &[u32],
        runs: impl IntoIterator<Item = std::ops::Range<usize>>,
    ) -> f64 {
        runs.into_iter().map(|run| self.bits_of_run(frequencies, run)).sum()
    }

    fn bits_of_run(self, frequencies: &[u32], run: std::ops::Range<usize>) -> f64 {
        let end = (run.end + 1).saturating_sub(SHINGLE_TOKENS);
        let shingles = frequencies.get(run.start..end.min(frequencies.len())).unwrap_or_default();
        let bits: Vec<f64> = shingles.iter().map(|it| self.bits(*it)).collect();
        let rarest = bits.iter().copied().fold(0.0, f64::max);
        let all: f64 = bits.iter().sum();
        rarest + (all - rarest) / SHINGLE_TOKENS as f64
    }
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::*;

    #[test]
    fn rare_words_weigh_more_and_stock_phrases_nothing() {
        let rarity = Rarity::new(1_000_000);
        assert!(rarity.bits(1) > 19.0);
        assert!((rarity.bits(1) - rarity.bits(2) - 1.0).abs() < 1e-9);
        assert!(rarity.bits(1_000_000) < 0.01);
        assert!((rarity.bits(0) - rarity.bits(1)).abs() < f64::EPSILON);
        for frequency in 1..2 * u32::try_from(SMALL_END).unwrap() {
            let share = (1_000_000.0 + PRIOR_ARTICLES) / f64::from(frequency);
            assert!((rarity.bits(frequency) - share.log2()).abs() < 1e-9, "{frequency}");
        }
    }

    #[test]
    fn five_rare_words_are_enough_or_four_of_a_title_and_three_are_not_in_any_store() {
        for articles in [0, 1, 10_000, 100_000_000] {
            let rarity = Rarity::new(articles);
            let bits = |words: usize| rarity.bits_of_runs(&vec![1; words - 2], once(0..words));
            assert!(bits(5) >= rarity.bits_min(), "{articles}");
            assert!(bits(4) + WHOLE_TITLE_BITS >= rarity.bits_min(), "{articles}");
            assert!(bits(3) < rarity.bits_min(), "{articles}");
        }
    }

    #[test]
    fn terms_weigh_by_their_share_of_the_most_frequent_one() {
        let bits = term_bits(&[1023, 511, 1, 0]);
        assert!((bits[0] - (1024.0_f64 / 1023.0).log2()).abs() < 1e-9);
        assert!((bits[2] - 10.0).abs() < 1e-9 && (bits[3] - 10.0).abs() < 1e-9);
        assert!(bits[1] > 1.0 && bits[1] < 1.01);
        assert!(
            term_bits(&[1, 1, 0]).iter().all(|it| *it <= 1.0),
            "little is known, little counts"
        );
        assert!(term_bits(&[]).is_empty());
    }

    #[test]
    fn a_run_counts_only_its_own_shingles() {
        let rarity = Rarity::new(0);
        assert!(rarity.bits_of_runs(&[1; 10], [0..2, 5..7]).abs() < f64::EPSILON);
        let whole = rarity.bits_of_runs(&[1; 10], once(0..12));
        assert!(whole > rarity.bits_of_runs(&[1; 10], once(0..6)));
        assert!(rarity.bits_of_runs(&[1; 2], once(0..100)) > 0.0);
    }
}
