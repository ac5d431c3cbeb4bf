//! A commit of which it is not known whether it is stored, because the store failed and
//! could not be opened again yet. Until it is known, nothing else is written.

use crate::engine::commit::{Commit, Removed};
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::watch::shelf::ShelfChanges;
use crate::engine::writer::Job;
use crate::index::Entry;
use crate::store::StoreError;

/// What the index learns when it is known.
pub(in crate::engine) struct Doubt {
    inserted: Vec<Entry>,
    removed: Vec<Entry>,
    shelf: ShelfChanges,
}

impl Doubt {
    /// Brings the index up to date.
    pub(in crate::engine) fn settle(self, core: &Core, is_stored: bool) {
        tracing::warn!(is_stored, "it is known now what became of the commit that was in doubt");
        let gone = if is_stored { &self.removed } else { &self.inserted };
        if let Err(error) = core.index.remove(gone) {
            tracing::error!(%error, "the index proposes articles that are not stored");
        }
        if is_stored {
            self.shelf.apply(core);
            // Listeners read what was resolved, if anything was.
            core.notify();
        }
    }
}

impl Commit<'_> {
    /// Answers all jobs with an error, and does nothing.
    pub(in crate::engine) fn refuse(mut self, jobs: Vec<Job>, error: EngineError) {
        self.take(jobs);
        self.answer(&Err(error));
    }

    /// After a commit that has failed.
    pub(super) fn undo(&mut self, core: &Core, error: &EngineError) {
        self.committer.log_failure(error);
        let is_in_doubt = matches!(error, EngineError::Store(it) if matches!(
            **it,
            StoreError::InDoubt(_)
                | StoreError::ClusterInDoubt(_)
                | StoreError::TurnEnded
                | StoreError::TurnLost
        ));
        if is_in_doubt {
            let entry = |it: &Removed| it.features.entry(it.number);
            self.committer.doubt = Some(Doubt {
                inserted: std::mem::take(&mut self.inserted),
                removed: self.removed.iter().map(entry).collect(),
                shelf: std::mem::take(&mut self.shelf),
            });
        } else if let Err(error) = core.index.remove(&self.inserted) {
            tracing::error!(%error, "the index proposes articles that are not stored");
        }
    }
}
