//! Damage: what was found not to be as it was written. Each is named once in the log, and
//! counted.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::store::{ArticleNumber, Part, Space};

/// Damages that are told apart, at most.
const NAMED_MAX: usize = 10_000;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A file, or a part of it.
    File {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// One part of a record.
    Record {
        /// Whether it is the article; else what is computed from it.
        is_article: bool,
        /// The record.
        number: ArticleNumber,
        /// What is wrong with it.
        problem: String,
    },
    /// A row.
    Row {
        /// What it is about.
        space: Space,
        /// Its key.
        key: Vec<u8>,
    },
}

impl Damage {
    /// Of a record.
    pub fn of_record(part: Part, number: ArticleNumber, problem: impl Into<String>) -> Self {
        Self::Record { is_article: part == Part::Article, number, problem: problem.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, problem } => write!(f, "{name}: {problem}"),
            Self::Record { is_article, number, problem } => {
                let part = if *is_article { "article" } else { "what is computed of article" };
                write!(f, "{part} number {}: {problem}", number.0)
            }
            Self::Row { space, key } => {
                write!(f, "row of {space:?} with the key ")?;
                key.iter().try_for_each(|it| write!(f, "{it:02x}"))?;
                f.write_str(": it is not what was written")
            }
        }
    }
}

/// What was found while questions were answered.
#[derive(Debug, Default)]
pub struct DamageLog {
    named: Mutex<BTreeSet<Damage>>,
}

impl DamageLog {
    /// Names a damage in the log, the first time.
    pub fn note(&self, damage: Damage) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED_MAX && !named.contains(&damage) {
            tracing::error!(%damage, "damage: it is left out of answers, see `doublon verify`");
            named.insert(damage);
        }
    }

    /// Damages that were found.
    pub fn count(&self) -> u64 {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}
