//! Why the engine refused or failed.

use std::sync::Arc;

use crate::index::IndexError;
use crate::store::StoreError;

/// Why a call failed. One failed commit answers many callers, so it can be
/// cloned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The input is outside what is accepted; nothing was done.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No article has this id.
    #[error("no article has the id {0:?}")]
    ArticleNotFound(String),
    /// The store failed; a write is not stored.
    #[error("{0}")]
    Store(Arc<StoreError>),
    /// The index failed.
    #[error("{0}")]
    Index(Arc<IndexError>),
    /// A record cannot be read.
    #[error("the record of article number {number} is damaged: {problem}")]
    Damaged {
        /// The record.
        number: u32,
        /// What is wrong with it.
        problem: String,
    },
    /// A row beside the records cannot be read.
    #[error("the row of a {what} is damaged: {problem}")]
    DamagedRow {
        /// What it is about.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No teaser that waits has this id.
    #[error("no teaser with the id {0:?} waits for its article")]
    TeaserNotFound(String),
    /// No story has this id.
    #[error("no story has the id {0:?}")]
    StoryNotFound(String),
    /// An import goes into a store that has held something.
    #[error(
        "the store is not empty: import into a server with a new --data-dir, or add the articles with `doublon put --jsonl`"
    )]
    NotEmpty,
    /// Nothing else is written before an import is complete.
    #[error(
        "an import is under way: run `doublon import` again until it is complete, or start with a new --data-dir"
    )]
    ImportUnderWay,
    /// Lines that do not follow on those that were taken in.
    #[error(
        "the lines begin behind line {position}, and {expected} are taken in: import again, one at a time"
    )]
    OtherPosition {
        /// Lines before those that came.
        position: u64,
        /// Lines that are taken in.
        expected: u64,
    },
    /// What was taken in is not what stands before the lines that came.
    #[error(
        "what was imported so far is not what the file has before it, as where an export was resumed after its import had begun: import it into a new --data-dir"
    )]
    OtherExport,
    /// Lines of an import that was not begun.
    #[error("no import is under way: send the first line of the export first")]
    NoImport,
    /// The last line of an export came, and not all before it.
    #[error("the export says that it has {article_count} articles, {came} came: export again")]
    IncompleteExport {
        /// Articles that came.
        came: u64,
        /// As its last line says.
        article_count: u64,
    },
    /// What comes behind a cursor has been forgotten.
    #[error(
        "what comes behind the cursor r{0} is not remembered: list the teasers, then watch without a cursor"
    )]
    CursorExpired(u64),
    /// The writer has stopped, or ended this commit in a panic.
    #[error("the service is stopping, or failed at this: retry, and see the server's log")]
    Stopped,
}

/// A field that is outside what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Invalid {
    /// The field, as a path in the request.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is required.
    #[error("is missing or empty: give a value")]
    Missing,
    /// It is over its limit.
    #[error("has {actual} {unit}, the limit is {limit}: shorten it")]
    TooLong {
        /// What it has.
        actual: usize,
        /// What it may have.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
    /// It is not in its range.
    #[error("is out of range: it must be {allowed}")]
    OutOfRange {
        /// The range, in words.
        allowed: String,
    },
    /// It has nothing to compare.
    #[error("has no letter and no digit, so there is nothing to compare: leave it out")]
    WithoutTokens,
    /// Lines of an export have one that is none.
    #[error("cannot be read on at line {number}: {problem}")]
    NotALine {
        /// From 1.
        number: u64,
        /// Why.
        problem: String,
    },
    /// It is not a page token.
    #[error("is not a page token of this service: start the list again")]
    NotAPageToken,
}

impl Invalid {
    /// About a field.
    pub fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self { field: field.into(), problem }
    }

    /// The same, within a message of this name.
    #[must_use]
    pub fn within(self, message: &str) -> Self {
        Self { field: format!("{message}.{}", self.field), problem: self.problem }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<IndexError> for EngineError {
    fn from(error: IndexError) -> Self {
        Self::Index(Arc::new(error))
    }
}
