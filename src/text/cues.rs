//! Cues: the phrases by which pages say what a line is, in many languages. The
//! built-in ones are read from `cues/*.txt`; a file of the same format adds more.
//!
//! A file has sections, `[label]` and the like, of one phrase a line; `#` begins
//! a comment line. Phrases are compared in normal form, so that case, accents
//! and punctuation do not count.

use std::sync::LazyLock;

use crate::hash::{HashMap, HashSet};
use crate::text::tokens::{TokenHash, Tokens};

const BUILTIN: [&str; 5] = [
    include_str!("cues/continue.txt"),
    include_str!("cues/label.txt"),
    include_str!("cues/end.txt"),
    include_str!("cues/prompt.txt"),
    include_str!("cues/credit.txt"),
];

/// The phrases of all sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cues {
    /// `[continue]`: the links at the end of a blurb.
    pub continues: Phrases,
    /// `[label]`: the headings of lists of other articles.
    pub labels: Phrases,
    /// `[end]`: the headings behind which the article is over.
    pub ends: Phrases,
    /// `[prompt]`: what asks the reader for something.
    pub prompts: Phrases,
    /// `[credit]`: who took a picture.
    pub credits: Phrases,
}

/// A set of phrases, each as its token hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Phrases {
    all: HashSet<Vec<TokenHash>>,
    /// The lengths of those that begin with a token, and of those that end with it,
    /// descending: most tokens of a text do neither.
    beginning: HashMap<TokenHash, Vec<usize>>,
    ending: HashMap<TokenHash, Vec<usize>>,
}

/// A line of a file of cues that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct CueError {
    /// The first line is 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: CueProblem,
}

/// What is wrong with a line of a file of cues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CueProblem {
    /// A heading that names no section.
    #[error("{0} is no section, it must be [continue], [label], [end], [prompt] or [credit]")]
    UnknownSection(String),
    /// A phrase above the first heading.
    #[error("{0:?} stands in no section: put it below a heading such as [label]")]
    OutsideSection(String),
    /// A phrase that no line can have.
    #[error("{0:?} has no letter and no digit")]
    WithoutTokens(String),
}

impl Cues {
    /// The built-in ones.
    pub fn builtin() -> &'static Self {
        static CUES: LazyLock<Cues> = LazyLock::new(|| {
            let mut cues = Cues::default();
            for file in BUILTIN {
                let errors = cues.add(file);
                debug_assert!(errors.is_ok(), "{errors:?}");
            }
            cues
        });
        &CUES
    }

    /// Adds those of a file, and says which lines cannot be read.
    pub fn add(&mut self, file: &str) -> Result<(), Vec<CueError>> {
        let mut errors = Vec::new();
        let mut section = None;
        for (at, line) in file.lines().enumerate() {
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let problem = if line.starts_with('[') && line.ends_with(']') {
                section = Some(line);
                self.section(line).is_none().then(|| CueProblem::UnknownSection(line.to_owned()))
            } else {
                match section.map(|it| self.section(it)) {
                    None => Some(CueProblem::OutsideSection(line.to_owned())),
                    // The heading itself has been reported.
                    Some(None) => None,
                    Some(Some(phrases)) => {
                        (!phrases.insert(line)).then(|| CueProblem::WithoutTokens(line.to_owned()))
                    }
                }
            };
            errors.extend(problem.map(|problem| CueError { line: at + 1, problem }));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn section(&mut self, heading: &str) -> Option<&mut Phrases> {
        match heading {
            "[continue]" => Some(&mut self.continues),
            "[label]" => Some(&mut self.labels),
            "[end]" => Some(&mut self.ends),
            "[prompt]" => Some(&mut self.prompts),
            "[credit]" => Some(&mut self.credits),
            _ => None,
        }
    }
}

impl Phrases {
    /// The length in tokens of the longest phrase that `tokens` begins with.
    pub fn prefix(&self, tokens: &[TokenHash]) -> Option<usize> {
        let lengths = self.beginning.get(tokens.first()?)?;
        self.longest(lengths, |length| tokens.get(..length))
    }

    /// The length in tokens of the longest phrase that `tokens` ends with.
    pub fn suffix(&self, tokens: &[TokenHash]) -> Option<usize> {
        let lengths = self.ending.get(tokens.last()?)?;
        self.longest(lengths, |length| tokens.get(tokens.len().checked_sub(length)?..))
    }

    /// The length in tokens of the longest phrase that begins at `at`.
    pub fn prefix_at(&self, tokens: &[TokenHash], at: usize) -> Option<usize> {
        self.prefix(tokens.get(at..)?)
    }

    fn longest<'a>(
        &self,
        lengths: &[usize],
        part: impl Fn(usize) -> Option<&'a [TokenHash]>,
    ) -> Option<usize> {
        let is_phrase = |it: &usize| part(*it).is_some_and(|it| self.all.contains(it));
        lengths.iter().copied().find(is_phrase)
    }

    /// Whether the phrase has a token, so that it could be added.
    fn insert(&mut self, phrase: &str) -> bool {
        let tokens = Tokens::of(phrase).hashes;
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return false };
        for lengths in
            [self.beginning.entry(*first).or_default(), self.ending.entry(*last).or_default()]
        {
            if let Err(place) = lengths.binary_search_by(|it| tokens.len().cmp(it)) {
                lengths.insert(place, tokens.len());
            }
        }
        self.all.insert(tokens);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_files_is_a_phrase() {
        for file in BUILTIN {
            assert_eq!(Cues::default().add(file), Ok(()));
        }
        let cues = Cues::builtin();
        for (phrases, min) in [
            (&cues.continues, 40),
            (&cues.labels, 400),
            (&cues.ends, 250),
            (&cues.prompts, 600),
            (&cues.credits, 120),
        ] {
            assert!(phrases.all.len() > min, "{} phrases", phrases.all.len());
        }
    }

    #[test]
    fn phrases_are_found_at_both_ends_and_within_whatever_their_case() {
        let cues = Cues::builtin();
        let tokens = Tokens::of("A LIRE AUSSI : le reste").hashes;
        assert_eq!(cues.labels.prefix(&tokens), Some(3));
        let tokens = Tokens::of("le texte... Lire la suite").hashes;
        assert_eq!(cues.continues.suffix(&tokens), Some(3));
        assert_eq!(cues.labels.prefix(&[]), None);
        let tokens = Tokens::of("© 2024 Le Phare. Tous droits réservés.").hashes;
        assert_eq!(cues.prompts.prefix_at(&tokens, 3), Some(3));
        assert_eq!(cues.prompts.prefix_at(&tokens, 9), None);
    }

    #[test]
    fn a_file_adds_phrases_and_every_line_that_cannot_be_read_is_told() {
        let mut cues = Cues::builtin().clone();
        let phrase = Tokens::of("Vom selben Autor").hashes;
        assert_eq!(cues.labels.prefix(&phrase), None);
        assert_eq!(cues.add("\u{feff}# ours\n\n[label]\r\n vom selben Autor \n"), Ok(()));
        assert_eq!(cues.labels.prefix(&phrase), Some(3));
        let errors = cues.add("lost\n[label]\nfine\n...\n[labels]\nnot told\n").unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.iter().map(|it| it.line).collect::<Vec<_>>(), [1, 4, 5]);
        assert!(told.iter().any(|it| it.contains("[labels] is no section")), "{told:?}");
    }
}
