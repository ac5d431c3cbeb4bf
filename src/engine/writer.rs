//! The writer: one thread through which every change goes, so that all of them have one
//! order. It takes what has gathered while the last commit was under way, and commits it
//! as one (group commit).

mod turn;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::engine::article::ArticleId;
use crate::engine::checkpoint::Checkpoints;
use crate::engine::commit::Commit;
use crate::engine::commit::doubt::Doubt;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::expiry::Expiry;
use crate::engine::prepare::Prepared;
use crate::engine::put::{OnDuplicate, PutAnswer};
use crate::engine::record::Learner;
use crate::engine::teaser::{TeaserAnswer, TeaserRequest};
use crate::engine::transfer::import::{ImportJob, Progress};
use crate::engine::watch::record::TeaserId;
use crate::engine::watch::shelf;
use crate::engine::writer::turn::Others;
use crate::hash::HashSet;
use crate::index::Filter;
use crate::index::keys::Keys;
use crate::matching::overlap::Relation;
use crate::text::tokens::Tokens;

/// Jobs that wait for the writer, at most; callers wait beyond that.
const QUEUE_JOBS_MAX: usize = 512;
/// With nothing to write, the writer looks after what is due this often.
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// The same while there are jobs.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A store that fails is logged so often, at most: its disk may be full, and the log's.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Jobs of one commit, at most.
const COMMIT_JOBS_MAX: usize = 1024;
/// Bytes of records of one commit, from which on no job is added.
const COMMIT_BYTES: usize = 32 << 20;

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    Put(Box<PutJob>),
    Delete {
        id: ArticleId,
        reply: Sender<Result<(), EngineError>>,
    },
    Watch(Box<WatchJob>),
    DeleteTeaser {
        id: TeaserId,
        reply: Sender<Result<(), EngineError>>,
    },
    /// Stands alone in its commit.
    Import(Box<ImportJob>),
}

/// An article to write, and where the answer goes.
#[derive(Debug)]
pub(super) struct PutJob {
    pub(super) prepared: Prepared,
    pub(super) on_duplicate: OnDuplicate,
    pub(super) relation_min: Relation,
    /// Which articles are named and count as duplicates.
    pub(super) filter: Filter,
    pub(super) max_duplicates: usize,
    /// Its place in the caller's batch.
    pub(super) at: usize,
    pub(super) reply: Sender<(usize, Result<PutAnswer, EngineError>)>,
}

/// A teaser to watch, and where the answer goes.
#[derive(Debug)]
pub(super) struct WatchJob {
    pub(super) request: TeaserRequest,
    pub(super) tokens: Tokens,
    /// Its place in the caller's batch.
    pub(super) at: usize,
    pub(super) reply: Sender<(usize, Result<TeaserAnswer, EngineError>)>,
}

/// What is kept for how long, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) expiry: Expiry,
    pub(super) teaser_retention: Duration,
    pub(super) teasers_max: u64,
}

/// The sending side; stops the thread when dropped, after all that was sent.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        core: Core,
        limits: Limits,
        (checkpoints, shelf_seen): (Option<Checkpoints>, u64),
    ) -> Result<Self, EngineError> {
        let next = core.store.next_number()?.0.max(core.index.numbers_end());
        let import = Progress::under_way(core.store.as_ref())?;
        if let Some(Progress { position, .. }) = &import {
            tracing::warn!(lines = position, "an import is not complete: nothing else is written");
        }
        let is_importing = import.is_some();
        let (jobs, queue) = sync_channel(QUEUE_JOBS_MAX);
        // Threads of its own: those of the common pool may wait for it.
        let pool = rayon::ThreadPoolBuilder::new().build().map_err(|_| EngineError::Stopped)?;
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let mut committer = Committer::new(core, (next, limits), checkpoints, is_importing);
                committer.others.shelf_seen = shelf_seen;
                pool.install(move || committer.run(&queue));
            })
            .map_err(|_| EngineError::Stopped)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Waits while the queue is full.
    pub(super) fn send(&self, job: Job) -> Result<(), EngineError> {
        let sent = self.jobs.as_ref().and_then(|it| it.send(job).ok());
        sent.ok_or(EngineError::Stopped)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What lives as long as the writer's thread.
pub(super) struct Committer {
    pub(super) core: Core,
    pub(super) limits: Limits,
    /// The number of the next content.
    pub(super) next: u32,
    /// A job that has to wait for the commit before it.
    carried: Option<Job>,
    /// Until the store has a dictionary.
    learner: Option<Learner>,
    /// Where the index has a folder.
    checkpoints: Option<Checkpoints>,
    /// When it was last looked for what is due; `None` if more of it is known to be.
    swept: Option<Duration>,
    /// Teasers that are matched again when there is nothing else to do.
    pub(super) recheck: Recheck,
    /// A commit of which it is not known whether it is stored.
    pub(super) doubt: Option<Doubt>,
    /// Whether nothing but an import is written.
    pub(super) is_importing: bool,
    /// What is known of what other nodes write.
    pub(super) others: Others,
    /// Whether a commit ended in a panic, so that what became of it is not known.
    has_panicked: bool,
    /// When a failure was logged last.
    failure_logged: Option<Duration>,
}

/// How far the teasers that wait were matched again.
#[derive(Debug, Default)]
pub(super) struct Recheck {
    /// The key behind the last one.
    pub(super) from: Vec<u8>,
    /// The number of the next content when the round began.
    pub(super) begun: u32,
    /// The same of the last round that came to its end.
    pub(super) done: u32,
}

impl Committer {
    fn new(
        core: Core,
        (next, limits): (u32, Limits),
        checkpoints: Option<Checkpoints>,
        is_importing: bool,
    ) -> Self {
        let learner = core.dictionary.get().is_none().then(Learner::default);
        let recheck = Recheck::default();
        let (carried, swept, doubt, failure_logged) = (None, None, None, None);
        Self {
            core,
            limits,
            next,
            carried,
            learner,
            checkpoints,
            swept,
            recheck,
            doubt,
            is_importing,
            others: Others { wrote_last: true, ..Others::default() },
            has_panicked: false,
            failure_logged,
        }
    }

    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let first = match self.carried.take() {
                Some(job) => Ok(job),
                None if self.swept.is_none() => {
                    queue.try_recv().map_err(|_| RecvTimeoutError::Timeout)
                }
                None => queue.recv_timeout(IDLE_LOOK),
            };
            let (jobs, is_idle) = match first {
                Ok(job) => (self.gather(job, queue), false),
                Err(RecvTimeoutError::Timeout) => (Vec::new(), true),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (changes, is_stored) = self.work_on(jobs, is_idle);
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.after_commit(&self.core, changes, is_stored);
            }
        }
        if let Some(checkpoints) = self.checkpoints {
            checkpoints.close(&self.core);
        }
    }

    /// The same as [`Self::work`], after a panic too: its callers learn that it failed, and
    /// the next commit is another one.
    fn work_on(&mut self, jobs: Vec<Job>, is_idle: bool) -> (u64, bool) {
        if let Err(error) = self.settle() {
            self.log_failure(&error);
            Commit::new(self).refuse(jobs, error);
            self.swept = Some(self.core.clock.elapsed());
            return (0, false);
        }
        let work = AssertUnwindSafe(|| self.work(jobs, is_idle));
        catch_unwind(work).unwrap_or_else(|_| {
            tracing::error!("a commit ended in a panic, the writer goes on");
            self.has_panicked = true;
            self.swept = Some(self.core.clock.elapsed());
            // The index may lack what was committed, or have what was not: candidates
            // without a record do not count, but a teaser that waits must be found.
            let opened = catch_unwind(AssertUnwindSafe(|| shelf::open(&self.core)));
            if !matches!(opened, Ok(Ok(()))) {
                tracing::error!("teasers may wait in vain until the next start");
            }
            (0, false)
        })
    }

    /// Learns what became of a commit that was in doubt.
    fn settle(&mut self) -> Result<(), EngineError> {
        if self.doubt.is_none() && !self.has_panicked {
            return Ok(());
        }
        let is_stored = self.core.store.recover()?.unwrap_or(false);
        // A part of an import gives its numbers back where it fails.
        self.next = self.next.max(self.core.store.next_number()?.0);
        self.has_panicked = false;
        if let Some(doubt) = self.doubt.take() {
            doubt.settle(&self.core, is_stored);
        }
        Ok(())
    }

    pub(super) fn log_failure(&mut self, error: &EngineError) {
        let now = self.core.clock.elapsed();
        let logged = self.failure_logged;
        if logged.is_none_or(|it| now.saturating_sub(it) >= FAILURE_LOG_INTERVAL) {
            tracing::error!(%error, "a commit failed, none of it was acknowledged");
            self.failure_logged = Some(now);
        }
    }

    /// Does what has gathered, and what is due. Gives the number of changes, and whether
    /// they are stored.
    fn work(&mut self, jobs: Vec<Job>, is_idle: bool) -> (u64, bool) {
        let now = self.core.clock.elapsed();
        let sweeps = self.swept.is_none_or(|it| now.saturating_sub(it) >= SWEEP_INTERVAL);
        if jobs.is_empty() && !sweeps && !is_idle {
            return (0, true);
        }
        self.prefetch(&jobs);
        let turn = match self.begin(&jobs) {
            Ok(Some(turn)) => turn,
            // Another node sees to what is due.
            Ok(None) => {
                self.swept = Some(now);
                self.follow();
                return (0, true);
            }
            Err(error) => {
                self.log_failure(&error);
                Commit::new(self).refuse(jobs, error);
                self.swept = Some(now);
                return (0, false);
            }
        };
        if !matches!(jobs.as_slice(), [Job::Import(_)]) && self.is_importing() {
            // Nothing expires either, for what refers to it is still to come.
            self.swept = Some(now);
            Commit::new(self).refuse(jobs, EngineError::ImportUnderWay);
            turn.is_clean.set(true);
            return (0, true);
        }
        // Of the nodes that share a store, one looks again at teasers that wait.
        let rechecks = is_idle && self.others.wrote_last;
        if rechecks && let Err(error) = self.sweep() {
            tracing::warn!(%error, "what an interrupted commit left is removed later");
        }
        let mut commit = Commit::new(self);
        let done = commit.run(jobs, (sweeps, rechecks));
        turn.is_clean.set(done.is_stored || !self.others.has_sent);
        self.others.wrote_last |= done.changes > 0;
        if sweeps {
            self.swept = (!done.has_more).then_some(now);
        }
        self.learn(&done.words);
        (done.changes, done.is_stored)
    }

    /// Whether nothing but an import is written. How its last part ended may not have been
    /// known at once.
    fn is_importing(&mut self) -> bool {
        if self.is_importing
            && let Ok(import) = Progress::under_way(self.core.store.as_ref())
        {
            self.is_importing = import.is_some();
        }
        self.is_importing
    }

    /// Makes the dictionary when enough articles have been seen. It is kept before
    /// the first record that uses it can be made.
    fn learn(&mut self, stored: &[Vec<u32>]) {
        let Some(learner) = &mut self.learner else { return };
        let Some(dictionary) = stored.iter().find_map(|it| learner.add(it)) else { return };
        self.learner = None;
        match self.core.store.keep(&dictionary.to_bytes()) {
            // Another node may have been first.
            Ok(()) if self.core.store.is_shared() => {
                if let Err(error) = self.core.words() {
                    tracing::warn!(%error, "the dictionary is read when it is needed");
                }
            }
            Ok(()) => drop(self.core.dictionary.set(dictionary)),
            Err(error) => {
                tracing::warn!(%error, "the dictionary was not kept, another start learns it again");
            }
        }
    }

    /// Whether the words of what is stored are still to be learnt from.
    pub(super) fn is_learning(&self) -> bool {
        self.learner.is_some()
    }

    /// Takes what has gathered, up to a job about an article that one before is about.
    fn gather(&mut self, first: Job, queue: &Receiver<Job>) -> Vec<Job> {
        let mut ids = HashSet::default();
        let mut jobs: Vec<Job> = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            let is_alone = matches!(job, Job::Import(_));
            let has_to_wait = job.id().is_some_and(|it| !ids.insert(it.clone()));
            if has_to_wait || (is_alone && !jobs.is_empty()) {
                self.carried = Some(job);
                break;
            }
            bytes += job.bytes();
            jobs.push(job);
            let is_full = is_alone || jobs.len() >= COMMIT_JOBS_MAX || bytes >= COMMIT_BYTES;
            next = if is_full { None } else { queue.try_recv().ok() };
        }
        jobs
    }
}

impl Job {
    /// What near-duplicates of its article are looked for by.
    fn keys(&self) -> Option<&Keys> {
        match self {
            Self::Put(put) => Some(put.prepared.subject.keys()),
            Self::Delete { .. } | Self::Watch(_) | Self::DeleteTeaser { .. } | Self::Import(_) => {
                None
            }
        }
    }

    /// The article that it is about.
    fn id(&self) -> Option<&ArticleId> {
        match self {
            Self::Put(put) => Some(put.prepared.id()),
            Self::Delete { id, .. } => Some(id),
            Self::Watch(_) | Self::DeleteTeaser { .. } | Self::Import(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put(put) => put.prepared.content.len() + put.prepared.computed.len(),
            Self::Watch(watch) => watch.request.text.len(),
            Self::Delete { .. } | Self::DeleteTeaser { .. } | Self::Import(_) => 0,
        }
    }
}
