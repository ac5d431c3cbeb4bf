//! The turn to write, where other nodes write too, and what the writer learns of what
//! they wrote.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::error::EngineError;
use crate::engine::expiry;
use crate::engine::rows::Counter;
use crate::engine::transfer::import::Progress;
use crate::engine::watch::shelf::{self, News};
use crate::engine::writer::{Committer, Job};
use crate::index::Entry;
use crate::index::keys::Keys;
use crate::store::{ArticleNumber, RowKey, Store};

/// Jobs of one commit for which what they ask is asked ahead, at most: of more, a round trip
/// less is less than the work for it.
const PREFETCHED_MAX: usize = 8;

/// What is known of what other nodes write.
#[derive(Debug, Default)]
pub(in crate::engine) struct Others {
    /// Where the log of teasers that came and went is read on.
    pub(in crate::engine) shelf_seen: u64,
    /// Whether this node wrote last.
    pub(super) wrote_last: bool,
    /// Whether others have written what it has not looked at.
    pub(super) is_behind: bool,
    /// Whether something of a commit was sent that is not stored.
    pub(in crate::engine) has_sent: bool,
    /// Counters as the last commit left them, as long as nobody else writes.
    pub(in crate::engine) counters: BTreeMap<RowKey, Option<Vec<u8>>>,
}

/// Ends the turn to write.
pub(super) struct TurnGuard {
    store: Arc<dyn Store>,
    /// Whether all that was done in it is committed, or nothing was.
    pub(super) is_clean: Cell<bool>,
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        self.store.end(self.is_clean.get());
    }
}

impl Committer {
    /// Learns of teasers without a turn, in a moment in which nobody has one: what is half done
    /// may be taken back.
    pub(super) fn follow(&mut self) {
        match self.quiet_news() {
            Ok(Some(news)) => self.others.shelf_seen = shelf::learn(&self.core, news),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "what others wrote is looked at later"),
        }
        self.core.notify();
    }

    fn quiet_news(&self) -> Result<Option<News>, EngineError> {
        let store = &self.core.store;
        let Some(turn) = store.quiet()? else { return Ok(None) };
        let news = shelf::news(&self.core, self.others.shelf_seen)?;
        Ok(news.filter(|_| matches!(store.quiet(), Ok(Some(it)) if it == turn)))
    }

    /// Removes what interrupted commits left: first what it would be found by.
    pub(super) fn sweep(&self) -> Result<(), EngineError> {
        let Some(orphans) = self.core.store.orphans()? else { return Ok(()) };
        let mut entries = Vec::new();
        for (number, features) in &orphans.features {
            // What was written by half is found by nothing that could be told.
            entries.extend(self.core.decode(*number, features).ok().map(|it| it.entry(*number)));
        }
        self.core.index.remove(&entries)?;
        self.core.store.forget_orphans(&orphans)?;
        tracing::info!(records = entries.len(), "removed what an interrupted commit left");
        Ok(())
    }

    /// Says what the jobs will ask for.
    pub(super) fn prefetch(&self, jobs: &[Job]) {
        if self.core.is_far() && are_few(jobs) {
            self.core.store.prefetch(&ids(jobs), &[], false);
            self.prefetch_lists(jobs);
        }
    }

    fn prefetch_lists(&self, jobs: &[Job]) {
        let keys: Vec<&Keys> = jobs.iter().filter_map(Job::keys).collect();
        if !keys.is_empty() {
            self.core.index.prefetch(&keys);
        }
    }

    /// What is found of articles that are stored.
    fn entries(&self, numbers: Vec<ArticleNumber>) -> Result<Vec<Entry>, EngineError> {
        Ok(self.core.features(numbers)?.iter().map(|it| it.1.entry(*it.0)).collect())
    }

    /// Takes the turn to write, and learns what others have written since the last one.
    pub(super) fn begin(&mut self, jobs: &[Job]) -> Result<Option<TurnGuard>, EngineError> {
        let Some(turn) = self.core.store.begin(!jobs.is_empty())? else { return Ok(None) };
        let guard = TurnGuard { store: Arc::clone(&self.core.store), is_clean: Cell::new(false) };
        if let Some(next) = turn.next {
            self.next = next.0;
        }
        self.others.has_sent = false;
        self.core.index.set_news(&[]);
        self.others.is_behind |= turn.is_foreign;
        if !turn.redone.is_empty() {
            self.core.index.restore(&self.entries(turn.redone)?)?;
        }
        if self.others.is_behind {
            self.catch_up(jobs, turn.news)?;
        }
        Ok(Some(guard))
    }

    /// Learns what others have written. Where what was asked ahead is of use, what they have put
    /// in since is added to it.
    fn catch_up(
        &mut self,
        jobs: &[Job],
        news: Option<Vec<ArticleNumber>>,
    ) -> Result<(), EngineError> {
        self.others.wrote_last = false;
        self.others.counters.clear();
        let core = &self.core;
        let own = [Progress::row(), expiry::row()];
        let rows: Vec<RowKey> = Counter::rows().into_iter().chain(own).collect();
        core.store.prefetch(&ids(jobs), &rows, core.dictionary.get().is_none());
        match news {
            _ if !are_few(jobs) => {}
            Some(news) => {
                let keys: Vec<&Keys> = jobs.iter().filter_map(Job::keys).collect();
                if !keys.is_empty() {
                    core.index.prefetch_candidates(&keys)?;
                }
                core.index.set_news(&self.entries(news)?);
            }
            None => self.prefetch_lists(jobs),
        }
        self.others.shelf_seen = shelf::follow(&self.core, self.others.shelf_seen)?;
        self.is_importing = Progress::under_way(self.core.store.as_ref())?.is_some();
        if self.core.words()?.is_some() {
            self.learner = None;
        }
        self.core.notify();
        self.others.is_behind = false;
        Ok(())
    }
}

/// Whether jobs are so few that what they ask is asked ahead.
fn are_few(jobs: &[Job]) -> bool {
    !jobs.is_empty() && jobs.len() <= PREFETCHED_MAX
}

/// The ids of the articles that jobs are about.
fn ids(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().filter_map(|it| Some(it.id()?.as_str())).collect()
}
