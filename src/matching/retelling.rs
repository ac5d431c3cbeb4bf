//! Retelling: how far the words of a teaser, wherever they stand, single out one
//! article. For teasers that say in other words what their article says.
//!
//! Every term counts by its rarity ([`evidence::term_bits`]). An article's
//! *support* is the bits of the teaser's terms that it has anywhere, plus those it
//! has in title, description or lead once more. What tells is the support of the
//! best article, how much of the teaser it covers, how many words stand in the same
//! order, and the margin to the runner-up. The weights of these are fitted
//! (logistic regression): eight numbers, `docs/accuracy.md` says how.

use std::ops::Range;

use crate::hash::HashMap;
use crate::matching::evidence;
use crate::term::{Term, term_places, terms};
use crate::text::tokens::{TokenHash, is_character};

/// Tokens of an article within which a teaser's terms are shown.
const WINDOW_TOKENS: usize = 64;

/// Articles that have the most frequent term, at least: as many as are stored in
/// the teaser's language, about. With fewer, rarity says little.
const LANGUAGE_ARTICLES_MIN: u32 = 16;
/// Where rarity says little, the confidence by similarity, inclusive: seven tenths of
/// the words in order are the article's own text, three fifths may be.
const UNKNOWN_CONFIDENCES: [(f64, f64); 2] = [(0.7, 0.95), (0.6, 0.5)];

/// A teaser's terms and their bits.
#[derive(Debug)]
pub struct Retold {
    places: HashMap<Term, usize>,
    bits: Vec<f64>,
    total: f64,
    is_known: bool,
}

/// What of a teaser's terms an article has.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Support {
    /// Bits of the terms that it has anywhere.
    pub whole: f64,
    /// Bits of those in title, description or lead.
    pub leading: f64,
    /// Terms that it has.
    pub terms: usize,
}

/// What is known of the best article for a teaser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// 1 less the edit distance in words by the teaser's words, 0 to 1.
    pub similarity: f64,
    /// Its support.
    pub support: Support,
    /// Bits of the support of the runner-up; 0 where there is none.
    pub runner_up_bits: f64,
}

/// Weights of the features by which [`Retold::confidence`] is fitted.
const INTERCEPT: f64 = -9.52;
const SIMILARITY: f64 = -9.49;
const SIMILARITY_SQUARED: f64 = 14.34;
const COVERAGE: f64 = 2.03;
const LEADING_COVERAGE: f64 = -5.15;
const MARGIN: f64 = 10.33;
const STRENGTH: f64 = 4.15;
const LENGTH: f64 = -4.38;

impl Support {
    /// What ranks the candidates.
    pub fn bits(self) -> f64 {
        self.whole + self.leading
    }
}

impl Retold {
    /// Of distinct terms and their frequencies.
    pub fn new(terms: &[Term], frequencies: &[u32]) -> Self {
        let bits = evidence::term_bits(frequencies);
        let places = terms.iter().enumerate().map(|(at, term)| (*term, at)).collect();
        let most = frequencies.iter().copied().max().unwrap_or(0);
        Self { places, total: bits.iter().sum(), bits, is_known: most >= LANGUAGE_ARTICLES_MIN }
    }

    /// The probability that the teaser is this article's, 0 to 1. With few articles
    /// in its language no word is known to be rare, and only the order of the words
    /// speaks.
    pub fn confidence(&self, case: Case) -> f64 {
        let Case { similarity, support, runner_up_bits } = case;
        if !self.is_known {
            let found = UNKNOWN_CONFIDENCES.iter().find(|it| similarity >= it.0);
            return found.map_or(0.0, |it| it.1);
        }
        if self.total <= 0.0 || support.bits() <= 0.0 {
            return 0.0;
        }
        let margin = (support.bits() - runner_up_bits) / support.bits().max(1.0);
        let logit = INTERCEPT
            + SIMILARITY * similarity
            + SIMILARITY_SQUARED * similarity * similarity
            + COVERAGE * support.whole / self.total
            + LEADING_COVERAGE * support.leading / self.total
            + MARGIN * margin
            + STRENGTH * support.bits().ln_1p()
            + LENGTH * (self.bits.len() as f64).ln();
        1.0 / (1.0 + (-logit).exp())
    }

    /// What an article with these fields has: first those whose terms the index
    /// knows.
    pub fn support(&self, leading: &[&[TokenHash]], rest: &[TokenHash]) -> Support {
        let mut seen = vec![false; self.bits.len()];
        let mut support = Support::default();
        for field in leading {
            self.count(field, &mut seen, &mut support);
        }
        support.leading = support.whole;
        self.count(rest, &mut seen, &mut support);
        support
    }

    /// The window of a text with most bits, from its first term to its last; `None`
    /// where the text has no term of the teaser.
    pub fn densest(&self, text: &[TokenHash]) -> Option<(f64, Range<usize>)> {
        let hits: Vec<(usize, usize)> = term_places(text)
            .filter_map(|(at, term)| Some((at, *self.places.get(&term)?)))
            .collect();
        let mut counts = vec![0_u32; self.bits.len()];
        let (mut bits, mut from) = (0.0, 0);
        let mut best: Option<(f64, Range<usize>)> = None;
        for (index, (at, place)) in hits.iter().enumerate() {
            bits += self.enter(&mut counts, *place);
            while let Some((first, gone)) = hits.get(from).filter(|it| it.0 + WINDOW_TOKENS <= *at)
            {
                debug_assert!(first < at && from < index);
                bits -= self.leave(&mut counts, *gone);
                from += 1;
            }
            let start = hits.get(from).map_or(*at, |it| it.0);
            if best.as_ref().is_none_or(|it| bits > it.0) {
                let tokens = if text.get(*at).copied().is_some_and(is_character) { 2 } else { 1 };
                best = Some((bits, start..at + tokens));
            }
        }
        best
    }

    fn enter(&self, counts: &mut [u32], place: usize) -> f64 {
        let Some(count) = counts.get_mut(place) else { return 0.0 };
        *count += 1;
        if *count == 1 { self.bits.get(place).copied().unwrap_or(0.0) } else { 0.0 }
    }

    fn leave(&self, counts: &mut [u32], place: usize) -> f64 {
        let Some(count) = counts.get_mut(place) else { return 0.0 };
        *count -= 1;
        if *count == 0 { self.bits.get(place).copied().unwrap_or(0.0) } else { 0.0 }
    }

    fn count(&self, field: &[TokenHash], seen: &mut [bool], support: &mut Support) {
        for place in terms(field).filter_map(|it| self.places.get(&it)) {
            if let (Some(seen @ false), Some(bits)) = (seen.get_mut(*place), self.bits.get(*place))
            {
                *seen = true;
                support.whole += bits;
                support.terms += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term;
    use crate::text::tokens::Tokens;

    fn tokens(text: &str) -> Vec<TokenHash> {
        Tokens::of(text).hashes
    }

    fn retold(teaser: &[TokenHash]) -> Retold {
        let terms = term::distinct([teaser]);
        let mut frequencies = vec![1; terms.len()];
        frequencies[0] = 10_000;
        Retold::new(&terms, &frequencies)
    }

    const TEASER: &str = "Valbrume votes to bring back its cable ferry, lost to the flood of 2017";
    const LEAD: &str = "The cable ferry at Valbrume will return, the council has voted";
    const REST: &str = "It was lost to a flood in 2017 and its hull lies on the left bank";

    #[test]
    fn support_counts_each_term_once_and_the_lead_twice() {
        let retold = retold(&tokens(TEASER));
        let (lead, rest) = (tokens(LEAD), tokens(REST));
        let support = retold.support(&[&lead], &rest);
        let (only_lead, all) = (retold.support(&[&lead], &[]), retold.support(&[], &rest));
        assert!((support.leading - only_lead.whole).abs() < 1e-9);
        assert!(support.whole > only_lead.whole && support.whole < only_lead.whole + all.whole);
        assert!((retold.support(&[&lead, &lead], &lead).whole - only_lead.whole).abs() < 1e-9);
    }

    #[test]
    fn confidence_grows_with_the_margin_and_shrinks_with_what_is_missing() {
        let retold = retold(&tokens(TEASER));
        let support = retold.support(&[&tokens(LEAD)], &tokens(REST));
        let case = Case { similarity: 0.2, support, runner_up_bits: 20.0 };
        let sure = retold.confidence(case);
        let close = retold.confidence(Case { runner_up_bits: 0.9 * support.bits(), ..case });
        let thin = retold.support(&[&tokens("Valbrume votes on the budget")], &[]);
        let thin = retold.confidence(Case { support: thin, ..case });
        assert!(sure > close && close > 0.0 && sure < 1.0, "{sure} {close}");
        assert!(sure > thin, "{sure} {thin}");
        let few = Retold::new(&[1, 2, 3], &[15, 1, 1]);
        assert!(few.confidence(case).abs() < f64::EPSILON);
        assert!((few.confidence(Case { similarity: 0.6, ..case }) - 0.5).abs() < f64::EPSILON);
        let nothing = Case { support: Support::default(), ..case };
        assert!(retold.confidence(nothing).abs() < f64::EPSILON);
    }

    #[test]
    fn the_densest_window_is_found() {
        let retold = retold(&tokens("cable ferry Valbrume"));
        let filler = "word ".repeat(100);
        let text = tokens(&format!("cable {filler} the cable ferry at Valbrume {filler} ferry"));
        let (_, range) = retold.densest(&text).unwrap();
        assert_eq!(range, 102..106);
        assert!(retold.densest(&tokens("nothing of it")).is_none());
    }
}
