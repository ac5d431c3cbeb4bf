//! Which records a commit writes and removes.

use crate::engine::article::ArticleId;
use crate::engine::commit::{Commit, Delete, Put, PutPlan, Removed, Watched};
use crate::engine::error::EngineError;
use crate::engine::expiry;
use crate::engine::put::{PutAnswer, PutOutcome};
use crate::engine::record::{self, Features, StoredArticle};
use crate::engine::writer::{Job, PutJob};
use crate::hash::{HashMap, HashSet};
use crate::index::Entry;
use crate::store::{ArticleNumber, StoreError, Write};

/// What an id names now.
type Known = HashMap<ArticleId, (ArticleNumber, Features)>;

impl Commit<'_> {
    /// Says which records are to be written and removed, unless it is
    /// decided otherwise.
    pub(super) fn plan(&mut self) -> Result<Vec<Write>, EngineError> {
        let mut known = self.known()?;
        let mut writes = Vec::with_capacity(self.puts.len());
        for at in 0..self.puts.len() {
            self.plan_put(at, &mut known, &mut writes)?;
        }
        for delete in &mut self.deletes {
            if let Some((number, features)) = known.remove(&delete.id) {
                writes.push(removal(number, &features));
                self.removed.push(Removed { number, features, is_replaced: false, left: None });
            } else {
                let id = delete.id.as_str();
                // One that is stored, but cannot be read, says so.
                delete.result = Err(match self.committer.core.named(id) {
                    Err(error) => error,
                    Ok(_) => EngineError::ArticleNotFound(id.to_owned()),
                });
            }
        }
        Ok(writes)
    }

    /// Articles that have expired are deleted too.
    pub(super) fn expire(&mut self, writes: &mut Vec<Write>) -> Result<(), EngineError> {
        let core = &self.committer.core;
        let due =
            self.committer.limits.expiry.due(core.store.as_ref(), &mut self.draft, self.now_ms)?;
        self.has_more |= due.len() >= expiry::EXPIRED_MAX;
        let gone: HashSet<ArticleNumber> = self.removed.iter().map(|it| it.number).collect();
        let mut features = core.features(due.iter().copied())?;
        for number in due {
            let Some(features) = features.remove(&number) else { continue };
            if gone.contains(&number) {
                continue;
            }
            let unchanged = PutPlan::Unchanged(number);
            if self.puts.iter().any(|it| it.plan == unchanged) {
                // It is answered as stored, and goes with the next commit.
                expiry::put_off(&mut self.draft, number, self.now_ms);
                continue;
            }
            writes.push(removal(number, &features));
            self.removed.push(Removed { number, features, is_replaced: false, left: None });
        }
        Ok(())
    }

    pub(super) fn take(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            match job {
                Job::Put(job) => {
                    let answer = PutAnswer::of(job.prepared.id().clone());
                    self.puts.push(Put { job, plan: PutPlan::Skip, answer });
                }
                Job::Delete { id, reply } => {
                    self.deletes.push(Delete { id, reply, result: Ok(()) });
                }
                Job::Import(job) => self.import = Some(job),
                Job::Watch(job) => self.watches.push(Watched { job, answer: None }),
                Job::DeleteTeaser { id, reply } => {
                    self.teaser_deletes.push(Delete { id, reply, result: Ok(()) });
                }
            }
        }
    }

    fn known(&self) -> Result<Known, EngineError> {
        let core = &self.committer.core;
        let ids = self.puts.iter().map(|it| it.job.prepared.id());
        let ids: Vec<&ArticleId> = ids.chain(self.deletes.iter().map(|it| &it.id)).collect();
        let names: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        let numbers = core.store.numbers(&names)?;
        let mut features = core.features(numbers.iter().copied().flatten())?;
        let known = ids.into_iter().zip(numbers).filter_map(|(id, number)| {
            let number = number?;
            Some((id.clone(), (number, features.remove(&number)?)))
        });
        Ok(known.collect())
    }

    fn plan_put(
        &mut self,
        at: usize,
        known: &mut Known,
        writes: &mut Vec<Write>,
    ) -> Result<(), EngineError> {
        let number = ArticleNumber(self.committer.next);
        let Some(Put { job, plan, answer }) = self.puts.get_mut(at) else { return Ok(()) };
        let PutJob { prepared, .. } = &mut **job;
        let old = known.remove(prepared.id());
        if let Some((number, old)) = &old
            && old.content_print == prepared.features.content_print
        {
            *plan = PutPlan::Unchanged(*number);
            answer.outcome = PutOutcome::Unchanged;
            return Ok(());
        }
        if number > ArticleNumber::MAX {
            return Err(StoreError::NumbersUsedUp.into());
        }
        self.committer.next += 1;
        let replaces = old.as_ref().map(|it| it.0);
        answer.outcome = if old.is_some() { PutOutcome::Replaced } else { PutOutcome::Created };
        if let Some((number, features)) = old {
            writes.push(removal(number, &features));
            self.removed.push(Removed { number, features, is_replaced: true, left: None });
        }
        *plan = PutPlan::Store { number, replaces };
        let mut article = std::mem::take(&mut prepared.content);
        record::stamp(&mut article, self.now_ms);
        let (keys, facets) = (prepared.keys.clone(), prepared.features.facets);
        self.inserted.push(Entry { number, keys, facets });
        writes.push(Write::Insert {
            number,
            id: prepared.id().as_str().to_owned(),
            article,
            features: std::mem::take(&mut prepared.computed),
        });
        Ok(())
    }

    /// A new record as it is written; none if it was skipped.
    pub(super) fn as_decided(&self, insert: Write) -> Result<Option<Write>, EngineError> {
        match insert {
            Write::Insert { number, .. } if self.skipped.contains(&number) => Ok(None),
            Write::Insert { number, id, article, features } if self.textless.contains(&number) => {
                let StoredArticle { mut article, stored_ms } =
                    StoredArticle::decode(number, &article)?;
                article.text.clear();
                let article = StoredArticle::encode(article, stored_ms);
                Ok(Some(Write::Insert { number, id, article, features }))
            }
            Write::Insert { .. }
            | Write::Remove { .. }
            | Write::Set { .. }
            | Write::Unset { .. }
            | Write::Reserve { .. } => Ok(Some(insert)),
        }
    }
}

fn removal(number: ArticleNumber, features: &Features) -> Write {
    Write::Remove { number, id: features.id.as_str().to_owned() }
}
