//! The phrases by which pages announce other articles, read from `cues.txt`:
//! headings of lists ("Lire aussi") and the links at the end of a blurb
//! ("Read more").

use std::sync::LazyLock;

use crate::hash::HashSet;
use crate::text::tokens::{TokenHash, Tokens};

static CUES: LazyLock<Cues> = LazyLock::new(|| Cues::read(include_str!("cues.txt")));

/// A set of phrases, each as its token hashes.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    phrases: HashSet<Vec<TokenHash>>,
    tokens_max: usize,
}

#[derive(Debug, Default)]
struct Cues {
    labels: Phrases,
    continues: Phrases,
}

/// The headings of lists of other articles.
pub(super) fn labels() -> &'static Phrases {
    &CUES.labels
}

/// The links at the end of a blurb.
pub(super) fn continues() -> &'static Phrases {
    &CUES.continues
}

impl Phrases {
    /// The length in tokens of the longest phrase that `tokens` begins with.
    pub(super) fn prefix(&self, tokens: &[TokenHash]) -> Option<usize> {
        self.longest(tokens, |length| tokens.get(..length))
    }

    /// The length in tokens of the longest phrase that `tokens` ends with.
    pub(super) fn suffix(&self, tokens: &[TokenHash]) -> Option<usize> {
        self.longest(tokens, |length| tokens.get(tokens.len() - length..))
    }

    fn longest<'a>(
        &self,
        tokens: &[TokenHash],
        part: impl Fn(usize) -> Option<&'a [TokenHash]>,
    ) -> Option<usize> {
        let longest = self.tokens_max.min(tokens.len());
        (1..=longest).rev().find(|it| part(*it).is_some_and(|it| self.phrases.contains(it)))
    }

    fn insert(&mut self, phrase: &str) {
        let tokens = Tokens::of(phrase).hashes;
        self.tokens_max = self.tokens_max.max(tokens.len());
        self.phrases.insert(tokens);
    }
}

impl Cues {
    fn read(file: &str) -> Self {
        let mut cues = Self::default();
        let mut section = "";
        for line in file.lines().map(str::trim) {
            match line {
                "" => {}
                _ if line.starts_with('#') => {}
                "[label]" | "[continue]" => section = line,
                _ if section == "[label]" => cues.labels.insert(line),
                _ => cues.continues.insert(line),
            }
        }
        cues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_file_is_a_phrase() {
        let cues = Cues::read(include_str!("cues.txt"));
        assert!(cues.labels.phrases.len() > 200 && cues.continues.phrases.len() > 40);
        let phrases = cues.labels.phrases.iter().chain(&cues.continues.phrases);
        assert!(phrases.into_iter().all(|it| !it.is_empty()));
    }

    #[test]
    fn phrases_are_found_at_both_ends_whatever_their_case() {
        let tokens = Tokens::of("A LIRE AUSSI : le reste").hashes;
        assert_eq!(labels().prefix(&tokens), Some(3));
        let tokens = Tokens::of("le texte... Lire la suite").hashes;
        assert_eq!(continues().suffix(&tokens), Some(3));
        assert_eq!(labels().prefix(&[]), None);
    }
}
