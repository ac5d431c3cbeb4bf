//! The writer: one thread through which every change goes, so that puts and
//! deletes have one order. It takes what has gathered while the last commit
//! was under way, and commits it as one (group commit). The index follows a
//! commit before it is acknowledged.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::engine::article::ArticleId;
use crate::engine::checkpoint::Checkpoints;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, Question};
use crate::engine::prepare::Prepared;
use crate::engine::put::{Placed, PutOutcome, skip_reasons};
use crate::engine::record::{self, Features, Learner};
use crate::hash::{HashMap, HashSet};
use crate::index::{CANDIDATES_MAX, Entry, Filter};
use crate::store::{ArticleNumber, StoreError, Write};

/// Jobs that wait for the writer, at most; callers wait beyond that.
const QUEUE_JOBS_MAX: usize = 512;
/// With nothing to write, the writer looks after its checkpoint this often.
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// Jobs of one commit, at most.
const COMMIT_JOBS_MAX: usize = 1024;
/// Bytes of records of one commit, from which on no job is added.
const COMMIT_BYTES: usize = 32 << 20;
/// Estimated Jaccard similarity from which on two articles of one commit may
/// be duplicates: the later one waits for the next commit. 0.5 is estimated
/// below this a few times in a million.
const MAYBE_DUPLICATE: f64 = 0.3;

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    Put(PutJob),
    Delete { id: ArticleId, reply: Sender<Result<(), EngineError>> },
}

/// An article to write, and where the answer goes.
#[derive(Debug)]
pub(super) struct PutJob {
    pub(super) prepared: Arc<Prepared>,
    pub(super) skips_duplicates: bool,
    pub(super) max_duplicates: usize,
    /// Its place in the caller's batch.
    pub(super) at: usize,
    pub(super) reply: Sender<(usize, Result<Placed, EngineError>)>,
}

/// What the writer did with an article.
#[derive(Debug, Clone)]
pub(super) enum Written {
    Stored { outcome: PutOutcome, number: ArticleNumber },
    Skipped(Vec<Duplicate>),
}

/// The sending side; stops the thread when dropped, after all that was sent.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(core: Core, checkpoints: Option<Checkpoints>) -> Result<Self, EngineError> {
        let next = core.store.next_number()?.0.max(core.index.numbers_end());
        let (jobs, queue) = sync_channel(QUEUE_JOBS_MAX);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || Committer::new(core, next, checkpoints).run(&queue))
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

struct Committer {
    core: Core,
    /// The number of the next content.
    next: u32,
    /// A job that has to wait for the commit before it.
    carried: Option<Job>,
    /// Until the store has a dictionary.
    learner: Option<Learner>,
    /// Where the index has a folder.
    checkpoints: Option<Checkpoints>,
}

/// What an id names now.
type Known = HashMap<ArticleId, (ArticleNumber, Features)>;

/// One commit in the making.
#[derive(Debug, Default)]
struct Plan {
    writes: Vec<Write>,
    inserted: Vec<Entry>,
    removed: Vec<Entry>,
    answers: Vec<Answer>,
}

#[derive(Debug)]
enum Answer {
    Put(PutJob, Result<Written, EngineError>),
    Delete(Sender<Result<(), EngineError>>, Result<(), EngineError>),
}

impl Committer {
    fn new(core: Core, next: u32, checkpoints: Option<Checkpoints>) -> Self {
        let learner = core.dictionary.get().is_none().then(Learner::default);
        Self { core, next, carried: None, learner, checkpoints }
    }

    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let first = match self.carried.take() {
                Some(job) => Ok(job),
                None => queue.recv_timeout(IDLE_LOOK),
            };
            let (changes, is_stored) = match first {
                Ok(job) => self.work(job, queue),
                Err(RecvTimeoutError::Timeout) => (0, true),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.after_commit(&self.core, changes, is_stored);
            }
        }
        if let Some(checkpoints) = self.checkpoints {
            checkpoints.close(&self.core);
        }
    }

    /// Does what has gathered. Gives the number of changes, and whether they are
    /// stored.
    fn work(&mut self, first: Job, queue: &Receiver<Job>) -> (u64, bool) {
        let jobs = self.gather(first, queue);
        let plan = match self.plan(jobs) {
            Ok(plan) => plan,
            Err((answers, error)) => Plan { answers: failed(answers, &error), ..Plan::default() },
        };
        self.learn(&plan);
        let changes = plan.writes.len() as u64;
        (changes, self.commit(plan))
    }

    /// Makes the dictionary when enough articles have been seen. It is kept before
    /// the first record that uses it can be made.
    fn learn(&mut self, plan: &Plan) {
        let Some(learner) = &mut self.learner else { return };
        let stored = plan.answers.iter().filter_map(Answer::stored);
        let mut learnt = stored.filter_map(|put| learner.add(put.prepared.features.fields.whole()));
        let Some(dictionary) = learnt.next() else { return };
        self.learner = None;
        match self.core.store.keep(&dictionary.to_bytes()) {
            Ok(()) => drop(self.core.dictionary.set(dictionary)),
            Err(error) => {
                tracing::warn!(%error, "the dictionary was not kept, another start learns it again");
            }
        }
    }

    /// Takes what has gathered, up to a job that must see the ones before it.
    fn gather(&mut self, first: Job, queue: &Receiver<Job>) -> Vec<Job> {
        let mut ids = HashSet::default();
        let mut jobs: Vec<Job> = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            if !ids.insert(job.id().clone()) || job.may_duplicate_one_of(&jobs) {
                self.carried = Some(job);
                break;
            }
            bytes += job.bytes();
            jobs.push(job);
            let is_full = jobs.len() >= COMMIT_JOBS_MAX || bytes >= COMMIT_BYTES;
            next = if is_full { None } else { queue.try_recv().ok() };
        }
        jobs
    }

    /// Decides what each job does. Where the store cannot be read, gives the
    /// jobs back with the reason.
    fn plan(&mut self, jobs: Vec<Job>) -> Result<Plan, (Vec<Job>, EngineError)> {
        let mut known = match self.known(&jobs) {
            Ok(known) => known,
            Err(error) => return Err((jobs, error)),
        };
        let mut plan = Plan::default();
        for job in jobs {
            let old = known.remove(job.id());
            let answer = match job {
                Job::Put(put) => {
                    let written = self.plan_put(&put, old, &mut plan);
                    Answer::Put(put, written)
                }
                Job::Delete { id, reply } => {
                    let result = match old {
                        Some(old) => {
                            plan.remove(&id, old);
                            Ok(())
                        }
                        None => Err(EngineError::ArticleNotFound(id.as_str().to_owned())),
                    };
                    Answer::Delete(reply, result)
                }
            };
            plan.answers.push(answer);
        }
        Ok(plan)
    }

    fn known(&self, jobs: &[Job]) -> Result<Known, EngineError> {
        let ids: Vec<&str> = jobs.iter().map(|it| it.id().as_str()).collect();
        let numbers = self.core.store.numbers(&ids)?;
        let mut features = self.core.features(numbers.iter().copied().flatten())?;
        let named = jobs.iter().zip(numbers).filter_map(|(job, number)| {
            let number = number?;
            Some((job.id().clone(), (number, features.remove(&number)?)))
        });
        Ok(named.collect())
    }

    fn plan_put(
        &mut self,
        put: &PutJob,
        old: Option<(ArticleNumber, Features)>,
        plan: &mut Plan,
    ) -> Result<Written, EngineError> {
        let features = &put.prepared.features;
        if let Some((number, old)) = &old
            && old.content_print == features.content_print
        {
            return Ok(Written::Stored { outcome: PutOutcome::Unchanged, number: *number });
        }
        if put.skips_duplicates {
            let own = old.as_ref().map(|it| it.0);
            let mut reasons = self.duplicates(put, own)?;
            // What this commit removes is no reason, though the index has it still.
            reasons.retain(|it| !plan.removes(&it.id));
            reasons.truncate(put.max_duplicates);
            if !reasons.is_empty() {
                return Ok(Written::Skipped(reasons));
            }
        }
        let number = ArticleNumber(self.next);
        if number > ArticleNumber::MAX {
            return Err(StoreError::NumbersUsedUp.into());
        }
        self.next += 1;
        let outcome = if old.is_some() { PutOutcome::Replaced } else { PutOutcome::Created };
        if let Some(old) = old {
            plan.remove(&features.id, old);
        }
        let mut article = put.prepared.content.clone();
        record::stamp(&mut article, self.core.clock.unix_ms());
        plan.writes.push(Write::Insert {
            number,
            id: features.id.as_str().to_owned(),
            article,
            features: put.prepared.computed.clone(),
        });
        let (keys, facets) = (put.prepared.keys.clone(), features.facets);
        plan.inserted.push(Entry { number, keys, facets });
        Ok(Written::Stored { outcome, number })
    }

    fn duplicates(
        &self,
        put: &PutJob,
        own: Option<ArticleNumber>,
    ) -> Result<Vec<Duplicate>, EngineError> {
        let question = Question {
            subject: &put.prepared.subject,
            filter: &Filter::all(),
            without: own,
            // Other relations may rank before the one that counts.
            max_results: CANDIDATES_MAX,
        };
        Ok(skip_reasons(self.core.find(&[question])?.into_iter().flatten().collect()))
    }

    /// Commits, brings the index up to date, then answers. Whether that went well.
    fn commit(&self, plan: Plan) -> bool {
        let Plan { writes, inserted, removed, answers } = plan;
        let done = self.write(&writes, &inserted, &removed);
        for answer in answers {
            answer.send(&done);
        }
        done.is_ok()
    }

    /// The index gets what is new before the commit and loses what is old after
    /// it. A candidate counts only with its record, so the commit alone decides
    /// which of two contents a reader finds, but for one that looked up its
    /// candidates before.
    fn write(
        &self,
        writes: &[Write],
        inserted: &[Entry],
        removed: &[Entry],
    ) -> Result<(), EngineError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.core.index.insert(inserted)?;
        if let Err(error) = self.core.store.commit(writes) {
            tracing::error!(%error, writes = writes.len(), "a commit failed, nothing of it is stored");
            self.core.index.remove(inserted)?;
            return Err(error.into());
        }
        self.core.index.remove(removed)?;
        Ok(())
    }
}

impl Plan {
    fn removes(&self, article: &ArticleId) -> bool {
        self.writes
            .iter()
            .any(|it| matches!(it, Write::Remove { id, .. } if id == article.as_str()))
    }

    fn remove(&mut self, id: &ArticleId, (number, features): (ArticleNumber, Features)) {
        self.writes.push(Write::Remove { number, id: id.as_str().to_owned() });
        self.removed.push(features.entry(number));
    }
}

impl Job {
    fn id(&self) -> &ArticleId {
        match self {
            Self::Put(put) => put.prepared.id(),
            Self::Delete { id, .. } => id,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put(put) => put.prepared.content.len() + put.prepared.computed.len(),
            Self::Delete { .. } => 0,
        }
    }

    /// Whether this job leaves duplicates out and may be one of an earlier job
    /// that is not in the index yet.
    fn may_duplicate_one_of(&self, jobs: &[Self]) -> bool {
        let Self::Put(put) = self else { return false };
        let sketch = put.prepared.subject.sketch();
        put.skips_duplicates
            && jobs.iter().any(|it| match it {
                Self::Put(other) => {
                    let theirs = other.prepared.subject.sketch();
                    sketch.minhash.estimated_jaccard(&theirs.minhash) >= MAYBE_DUPLICATE
                }
                Self::Delete { .. } => false,
            })
    }
}

impl Answer {
    /// The article that is stored, if one is.
    fn stored(&self) -> Option<&PutJob> {
        match self {
            Self::Put(put, Ok(written)) if written.is_a_write() => Some(put),
            Self::Put(..) | Self::Delete(..) => None,
        }
    }

    /// Sends the answer; if the commit failed, what it would have written has
    /// failed. A caller that has gone does not want it.
    fn send(self, done: &Result<(), EngineError>) {
        match self {
            Self::Put(put, written) => {
                let result = written.and_then(|written| {
                    if written.is_a_write() {
                        done.clone()?;
                    }
                    let PutJob { prepared, max_duplicates, .. } = &put;
                    let (prepared, max_duplicates) = (Arc::clone(prepared), *max_duplicates);
                    Ok(Placed { prepared, max_duplicates, written })
                });
                drop(put.reply.send((put.at, result)));
            }
            Self::Delete(reply, deleted) => drop(reply.send(deleted.and_then(|()| done.clone()))),
        }
    }
}

impl Written {
    fn is_a_write(&self) -> bool {
        match self {
            Self::Stored { outcome, .. } => *outcome != PutOutcome::Unchanged,
            Self::Skipped(_) => false,
        }
    }
}

fn failed(jobs: Vec<Job>, error: &EngineError) -> Vec<Answer> {
    let answer = |job| match job {
        Job::Put(put) => Answer::Put(put, Err(error.clone())),
        Job::Delete { reply, .. } => Answer::Delete(reply, Err(error.clone())),
    };
    jobs.into_iter().map(answer).collect()
}
