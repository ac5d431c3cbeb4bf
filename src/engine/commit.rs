//! One commit: what each job does is decided, by what is stored and by the jobs before
//! it; all of it is written at once; then it is answered.
//!
//! The index gets new articles before anything is decided, so that jobs of one commit
//! see each other. A candidate counts only with its record, which others see when the
//! commit is done: so that alone decides which of two contents a reader finds, but for
//! one that looked up its candidates before.

mod articles;
mod decide;
pub(super) mod doubt;
mod import;
mod teasers;

use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::engine::article::ArticleId;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::put::PutAnswer;
use crate::engine::record::Features;
use crate::engine::story::change::Left;
use crate::engine::teaser::TeaserAnswer;
use crate::engine::transfer::import::ImportJob;
use crate::engine::watch::record::TeaserId;
use crate::engine::watch::shelf::ShelfChanges;
use crate::engine::writer::{Committer, Job, PutJob, WatchJob};
use crate::hash::HashSet;
use crate::index::Entry;
use crate::store::draft::Draft;
use crate::store::pending::PendingStore;
use crate::store::{ArticleNumber, Space, Store, Write};

/// A commit in the making.
pub(super) struct Commit<'a> {
    committer: &'a mut Committer,
    /// Milliseconds since the Unix epoch.
    now_ms: u64,
    draft: Draft,
    shelf: ShelfChanges,
    inserted: Vec<Entry>,
    removed: Vec<Removed>,
    /// New contents that are not stored after all, because they are duplicates.
    skipped: HashSet<ArticleNumber>,
    /// Those that are stored without their texts.
    textless: HashSet<ArticleNumber>,
    puts: Vec<Put>,
    deletes: Vec<Delete<ArticleId>>,
    watches: Vec<Watched>,
    teaser_deletes: Vec<Delete<TeaserId>>,
    /// A part of an import, which is a commit by itself.
    import: Option<Box<ImportJob>>,
    /// The least number that its next article may have.
    numbers_from: ArticleNumber,
    /// The words of the articles that it brings, while they are learnt from.
    words: Vec<Vec<u32>>,
    has_resolved: bool,
    has_more: bool,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Done {
    pub(super) changes: u64,
    pub(super) is_stored: bool,
    /// Whether more is due than one commit does.
    pub(super) has_more: bool,
    /// The words of the articles that were stored, while they are learnt from.
    pub(super) words: Vec<Vec<u32>>,
}

/// An article that is put, and what is known of it.
struct Put {
    job: Box<PutJob>,
    plan: PutPlan,
    answer: PutAnswer,
}

/// What a put does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PutPlan {
    /// Nothing: the content is there under this number.
    Unchanged(ArticleNumber),
    /// Stores the content under this number, and removes the one before it.
    Store { number: ArticleNumber, replaces: Option<ArticleNumber> },
    /// Nothing: it is a duplicate.
    Skip,
}

/// A content that is removed.
struct Removed {
    number: ArticleNumber,
    features: Features,
    /// Whether other content takes its place.
    is_replaced: bool,
    left: Option<Left>,
}

/// Something to delete, and what came of it.
struct Delete<Id> {
    id: Id,
    reply: Sender<Result<(), EngineError>>,
    result: Result<(), EngineError>,
}

/// A teaser to watch, and its answer.
struct Watched {
    job: Box<WatchJob>,
    answer: Option<TeaserAnswer>,
}

/// The writes of records, and the store as it will be.
struct Prospect {
    core: Core,
    store: Arc<PendingStore>,
}

impl<'a> Commit<'a> {
    pub(super) fn new(committer: &'a mut Committer) -> Self {
        let known = std::mem::take(&mut committer.others.counters);
        let draft = committer.core.draft_over_damage().knowing(known);
        let now_ms = committer.core.clock.unix_ms();
        Self {
            committer,
            now_ms,
            draft,
            shelf: ShelfChanges::default(),
            inserted: Vec::new(),
            removed: Vec::new(),
            skipped: HashSet::default(),
            textless: HashSet::default(),
            puts: Vec::new(),
            deletes: Vec::new(),
            watches: Vec::new(),
            teaser_deletes: Vec::new(),
            import: None,
            numbers_from: ArticleNumber(0),
            words: Vec::new(),
            has_resolved: false,
            has_more: false,
        }
    }

    /// Does the jobs, and what is due if it `sweeps`; when it `is_idle`, it looks again
    /// at teasers that wait.
    pub(super) fn run(&mut self, jobs: Vec<Job>, (sweeps, is_idle): (bool, bool)) -> Done {
        self.take(jobs);
        if let Some(job) = self.import.take() {
            return self.import(*job);
        }
        let planned = self.plan();
        let planned = planned.and_then(|mut writes| {
            if sweeps {
                self.expire(&mut writes)?;
            }
            Ok(writes)
        });
        let (changes, result) = match planned {
            Ok(writes) => self.write(writes, (sweeps, is_idle)),
            Err(error) => (0, Err(error)),
        };
        let words = if result.is_ok() { self.stored_words() } else { Vec::new() };
        let is_stored = result.is_ok();
        self.answer(&result);
        if self.has_resolved && is_stored {
            self.committer.core.notify();
        }
        Done { changes, is_stored, has_more: self.has_more && is_stored, words }
    }

    fn write(
        &mut self,
        writes: Vec<Write>,
        (sweeps, is_idle): (bool, bool),
    ) -> (u64, Result<(), EngineError>) {
        let core = self.committer.core.clone();
        let store = Arc::new(PendingStore::new(Arc::clone(&core.store), writes));
        let pending: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let prospect = Prospect { core: Core { store: pending, ..core.clone() }, store };
        let mut result = core.index.insert(&self.inserted).map_err(EngineError::from);
        if result.is_ok() {
            result = self.decide(&prospect.core);
        }
        if result.is_ok() {
            result = self.settle_teasers(&prospect.core, (sweeps, is_idle));
        }
        let changes = self.inserted.len() - self.skipped.len() + self.removed.len();
        if result.is_ok() {
            result = self.commit(prospect);
        }
        if let Err(error) = &result {
            self.undo(&core, error);
            return (0, result);
        }
        (changes as u64, result)
    }

    /// Writes all that was decided.
    fn commit(&mut self, prospect: Prospect) -> Result<(), EngineError> {
        let Prospect { core: reader, store } = prospect;
        drop(reader);
        let mut writes = Vec::new();
        // Nobody reads it any more.
        let inserts = Arc::try_unwrap(store).map_err(|_| EngineError::Stopped)?.into_inserts();
        for insert in inserts {
            writes.extend(self.as_decided(insert)?);
        }
        self.store(writes)
    }

    /// Writes these, what is removed and the rows, and brings the index up to date.
    fn store(&mut self, inserts: Vec<Write>) -> Result<(), EngineError> {
        let core = &self.committer.core;
        let mut draft = std::mem::replace(&mut self.draft, core.draft_over_damage());
        let told = if core.store.is_shared() { self.shelf.log(&mut draft)? } else { None };
        let counters = draft.known(Space::Counter);
        let removals = self.removed.iter().map(|it| {
            let id = it.features.id.as_str().to_owned();
            Write::Remove { number: it.number, id }
        });
        let writes: Vec<Write> = removals.chain(inserts).chain(draft.into_writes()).collect();
        if writes.is_empty() {
            self.committer.others.counters = counters;
            return Ok(());
        }
        self.committer.others.has_sent = true;
        core.index.flush()?;
        core.store.commit(&writes)?;
        self.committer.others.has_sent = false;
        self.committer.others.counters = counters;
        if let Some(told) = told {
            self.committer.others.shelf_seen = told;
        }
        let removed: Vec<Entry> =
            self.removed.iter().map(|it| it.features.entry(it.number)).collect();
        if let Err(error) = core.index.remove(&removed) {
            tracing::error!(%error, "the index proposes articles that are not stored");
        }
        std::mem::take(&mut self.shelf).apply(core);
        Ok(())
    }

    fn stored_words(&self) -> Vec<Vec<u32>> {
        if !self.committer.is_learning() {
            return Vec::new();
        }
        let stored = self.puts.iter().filter(|it| matches!(it.plan, PutPlan::Store { .. }));
        stored.map(|it| it.job.prepared.features.fields.whole().to_vec()).collect()
    }

    /// Sends the answers; if the commit failed, what it would have written has failed. A
    /// caller that has gone does not want it.
    fn answer(&mut self, result: &Result<(), EngineError>) {
        for Put { job, answer, .. } in self.puts.drain(..) {
            drop(job.reply.send((job.at, result.clone().map(|()| answer))));
        }
        for Watched { job, answer } in self.watches.drain(..) {
            let answer = result.clone().and_then(|()| answer.ok_or(EngineError::Stopped));
            drop(job.reply.send((job.at, answer)));
        }
        if let Some(job) = self.import.take() {
            let answer = result.clone().and(Err(EngineError::Stopped));
            drop(job.reply.send((job.at, answer)));
        }
        for Delete { reply, result: own, .. } in self.deletes.drain(..) {
            drop(reply.send(own.and_then(|()| result.clone())));
        }
        for Delete { reply, result: own, .. } in self.teaser_deletes.drain(..) {
            drop(reply.send(own.and_then(|()| result.clone())));
        }
    }
}
