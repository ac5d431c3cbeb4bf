//! Terms: the words of a text, whatever their order. In a script that writes no
//! spaces, two characters in a row stand for a word.

use crate::hash;
use crate::text::tokens::{TokenHash, is_character};

/// The hash of a term.
pub type Term = u64;

/// The terms of a text, in the order of their first token, with repeats. A
/// character that stands alone between words is none.
pub fn terms(tokens: &[TokenHash]) -> impl Iterator<Item = Term> + '_ {
    term_places(tokens).map(|it| it.1)
}

/// The same, each with the index of its first token.
pub fn term_places(tokens: &[TokenHash]) -> impl Iterator<Item = (usize, Term)> + '_ {
    let nexts = tokens.iter().skip(1).copied().map(Some).chain([None]);
    tokens.iter().zip(nexts).enumerate().filter_map(|(at, (token, next))| {
        if !is_character(*token) {
            return Some((at, hash::mix(u64::from(*token))));
        }
        let next = next.filter(|it| is_character(*it))?;
        Some((at, hash::mix((u64::from(*token) << 32) | u64::from(next))))
    })
}

/// The distinct terms of several texts, ascending.
pub fn distinct<'a>(texts: impl IntoIterator<Item = &'a [TokenHash]>) -> Vec<Term> {
    let mut all: Vec<Term> = texts.into_iter().flat_map(terms).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens::Tokens;

    fn count(text: &str) -> usize {
        terms(&Tokens::of(text).hashes).count()
    }

    #[test]
    fn words_are_terms_and_so_are_two_characters_in_a_row() {
        assert_eq!(count("La mairie de Lyon"), 4);
        assert_eq!(count("今天天气"), 3);
        assert_eq!(count("iPhone 发布会 2026"), 4);
        assert_eq!((count("天"), count("")), (0, 0));
    }

    #[test]
    fn order_counts_within_a_term_only() {
        let of = |text: &str| distinct([Tokens::of(text).hashes.as_slice()]);
        assert_eq!(of("la mairie la"), of("Mairie LA"));
        assert_ne!(of("天气"), of("气天"));
    }
}
