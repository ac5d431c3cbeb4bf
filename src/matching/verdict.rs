//! The verdict on a teaser: what similarity and evidence amount to.

use serde::{Deserialize, Serialize};

/// Similarity from which on a teaser stands in an article, inclusive: its evidence
/// alone makes a MATCH. Below, its terms decide.
pub const STANDING_SIMILARITY_MIN: f64 = 0.9;
/// Similarity of VERBATIM, inclusive: one word in twenty.
pub const VERBATIM_SIMILARITY_MIN: f64 = 0.95;
/// Similarity of EDITED, inclusive.
pub const EDITED_SIMILARITY_MIN: f64 = 0.4;
/// Confidence of a MATCH by terms, inclusive.
pub const MATCH_CONFIDENCE_MIN: f64 = 0.65;
/// Confidence of a MATCH by terms alone, in other words, inclusive: overwhelming.
pub const REWRITTEN_MATCH_CONFIDENCE_MIN: f64 = 0.995;
/// Confidence of a POSSIBLE by terms, inclusive.
pub const POSSIBLE_CONFIDENCE_MIN: f64 = 0.25;
/// Words below which no teaser is answered.
pub const TEASER_WORDS_MIN: usize = 4;

/// Whether a teaser has its article, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has.
    Match,
    /// It may have.
    Possible,
    /// It has not.
    NoMatch,
    /// It is too short or too common to tell.
    InsufficientEvidence,
}

/// How a teaser stands in its article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Word for word.
    Verbatim,
    /// With some words changed.
    Edited,
    /// In other words.
    Rewritten,
}

/// The probability that a teaser which stands in an article with so many bits of
/// evidence stands there by no chance. Among `population` articles, one in
/// 2^(bits - log2 population) would have as much by chance.
pub fn standing_confidence(bits: f64, population_bits: f64) -> f64 {
    1.0 / (1.0 + (population_bits - bits).exp2())
}

/// The verdict that follows from the confidence in the best article by its terms.
pub fn of_confidence(confidence: f64, kind: Kind) -> Verdict {
    let match_min = match kind {
        Kind::Verbatim | Kind::Edited => MATCH_CONFIDENCE_MIN,
        Kind::Rewritten => REWRITTEN_MATCH_CONFIDENCE_MIN,
    };
    if confidence >= match_min {
        Verdict::Match
    } else if confidence >= POSSIBLE_CONFIDENCE_MIN {
        Verdict::Possible
    } else {
        Verdict::NoMatch
    }
}

/// The kind of a match with this similarity.
pub fn kind(similarity: f64) -> Kind {
    if similarity >= VERBATIM_SIMILARITY_MIN {
        Kind::Verbatim
    } else if similarity >= EDITED_SIMILARITY_MIN {
        Kind::Edited
    } else {
        Kind::Rewritten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_and_kinds_change_at_their_bounds() {
        for (confidence, kind, verdict) in [
            (0.65, Kind::Edited, Verdict::Match),
            (0.649, Kind::Edited, Verdict::Possible),
            (0.995, Kind::Rewritten, Verdict::Match),
            (0.994, Kind::Rewritten, Verdict::Possible),
            (0.25, Kind::Rewritten, Verdict::Possible),
            (0.249, Kind::Verbatim, Verdict::NoMatch),
        ] {
            assert_eq!(of_confidence(confidence, kind), verdict, "{confidence} {kind:?}");
        }
        assert_eq!(kind(0.95), Kind::Verbatim);
        assert_eq!(kind(0.949), Kind::Edited);
        assert_eq!(kind(0.4), Kind::Edited);
        assert_eq!(kind(0.399), Kind::Rewritten);
    }

    #[test]
    fn chance_is_even_where_the_bits_are_those_of_the_population() {
        assert!((standing_confidence(20.0, 20.0) - 0.5).abs() < 1e-9);
        assert!(standing_confidence(26.0, 20.0) > 0.98);
        assert!(standing_confidence(500.0, 20.0) <= 1.0);
    }
}
