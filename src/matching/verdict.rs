//! The verdict on a teaser: what similarity and evidence amount to.

/// Similarity of a MATCH, inclusive: at 0.6 all verbatim teasers of the
/// measured data are right.
pub const MATCH_SIMILARITY_MIN: f64 = 0.6;
/// Similarity of a POSSIBLE, inclusive.
pub const POSSIBLE_SIMILARITY_MIN: f64 = 0.45;
/// Similarity of VERBATIM, inclusive: one word in twenty.
pub const VERBATIM_SIMILARITY_MIN: f64 = 0.95;
/// Share of the bits of a MATCH that a POSSIBLE needs, inclusive.
pub const POSSIBLE_BITS_SHARE: f64 = 0.75;
/// Words below which no teaser is answered.
pub const TEASER_WORDS_MIN: usize = 5;

/// Whether a teaser has its article, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Word for word.
    Verbatim,
    /// With some words changed.
    Edited,
}

/// The verdict for one article, from the share of the teaser's words that
/// stand there, and what these weigh against what a match needs.
pub fn verdict(similarity: f64, bits: f64, bits_min: f64) -> Verdict {
    if similarity >= MATCH_SIMILARITY_MIN && bits >= bits_min {
        Verdict::Match
    } else if similarity >= POSSIBLE_SIMILARITY_MIN && bits >= POSSIBLE_BITS_SHARE * bits_min {
        Verdict::Possible
    } else {
        Verdict::NoMatch
    }
}

/// The kind of a match with this similarity.
pub fn kind(similarity: f64) -> Kind {
    if similarity >= VERBATIM_SIMILARITY_MIN { Kind::Verbatim } else { Kind::Edited }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_similarity_and_evidence_count() {
        for (similarity, bits, expected) in [
            (1.0, 20.0, Verdict::Match),
            (0.6, 20.0, Verdict::Match),
            (0.59, 90.0, Verdict::Possible),
            (1.0, 19.9, Verdict::Possible),
            (1.0, 14.9, Verdict::NoMatch),
            (0.44, 90.0, Verdict::NoMatch),
        ] {
            assert_eq!(verdict(similarity, bits, 20.0), expected, "{similarity} {bits}");
        }
    }
}
