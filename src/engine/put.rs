//! Putting and deleting: what the caller's side does before the writer.

use std::sync::mpsc;

use crate::engine::Engine;
use crate::engine::article::{Article, ArticleId};
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::find::{Duplicate, RESULTS_DEFAULT};
use crate::engine::parallel;
use crate::engine::prepare::Prepared;
use crate::engine::revision::Revision;
use crate::engine::scope::Scope;
use crate::engine::story::StoryId;
use crate::engine::watch::record::Resolution;
use crate::engine::writer::{Job, PutJob};
use crate::index::Filter;
use crate::matching::overlap::Relation;

/// Teasers that a put names, at most: those seen most often.
pub const RESOLVED_NAMED_MAX: usize = 100;

/// An article to be stored.
#[derive(Debug, Clone)]
pub struct PutRequest {
    /// The article.
    pub article: Article,
    /// What to do where it has a duplicate.
    pub on_duplicate: OnDuplicate,
    /// The weakest relation that makes a duplicate for that.
    pub relation_min: Relation,
    /// Which articles are named, and count for that.
    pub scope: Scope,
    /// Duplicates that are named, at most.
    pub max_duplicates: usize,
}

/// What a put does where the article has a duplicate in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Stores it.
    Store,
    /// Leaves the store as it is.
    Skip,
    /// Stores it without its text.
    StoreWithoutText,
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The id was new.
    Created,
    /// The content was stored already.
    Unchanged,
    /// Other content under this id was replaced.
    Replaced,
    /// Not stored.
    Skipped,
}

/// What came of a put.
#[derive(Debug, Clone, PartialEq)]
pub struct PutAnswer {
    /// The id.
    pub id: ArticleId,
    /// What was done.
    pub outcome: PutOutcome,
    /// Articles stored before this one that it is related to.
    pub duplicates: Vec<Duplicate>,
    /// The story that it is in; `None` if it was skipped.
    pub story: Option<StoryId>,
    /// Teasers that waited for it, most often seen first, at most [`RESOLVED_NAMED_MAX`].
    pub resolved: Vec<Resolution>,
    /// How it replaced the content before it.
    pub revision: Option<Revision>,
    /// Whether it was stored without its text because it is a duplicate.
    pub stored_without_text: bool,
}

impl PutRequest {
    /// Stores an article whatever it is a duplicate of.
    pub fn of(article: Article) -> Self {
        Self {
            article,
            on_duplicate: OnDuplicate::Store,
            relation_min: Relation::Duplicate,
            scope: Scope::all(),
            max_duplicates: RESULTS_DEFAULT,
        }
    }
}

impl PutAnswer {
    /// Of nothing done yet.
    pub(super) fn of(id: ArticleId) -> Self {
        Self {
            id,
            outcome: PutOutcome::Skipped,
            duplicates: Vec::new(),
            story: None,
            resolved: Vec::new(),
            revision: None,
            stored_without_text: false,
        }
    }
}

impl Engine {
    /// Stores articles; what is answered is on the disk and found by the next
    /// call. Articles of one call are stored in their order.
    pub fn put(&self, requests: Vec<PutRequest>) -> Vec<Result<PutAnswer, EngineError>> {
        let mut results: Vec<Result<PutAnswer, EngineError>> =
            requests.iter().map(|_| Err(EngineError::Stopped)).collect();
        let (reply, written) = mpsc::channel();
        let prepared = parallel::each(requests, |it| prepare(it, &self.core));
        for (at, job) in prepared.into_iter().enumerate() {
            let sent = job.map_err(EngineError::from).and_then(|it| {
                let Ready { prepared, on_duplicate, relation_min, filter, max_duplicates } = it;
                let reply = reply.clone();
                self.writer.send(Job::Put(Box::new(PutJob {
                    prepared,
                    on_duplicate,
                    relation_min,
                    filter,
                    max_duplicates,
                    at,
                    reply,
                })))
            });
            if let (Err(error), Some(place)) = (sent, results.get_mut(at)) {
                *place = Err(error);
            }
        }
        drop(reply);
        for (at, result) in written {
            if let Some(place) = results.get_mut(at) {
                *place = result;
            }
        }
        results
    }

    /// Deletes an article; no later answer names it.
    pub fn delete(&self, id: &ArticleId) -> Result<(), EngineError> {
        let (reply, deleted) = mpsc::channel();
        self.writer.send(Job::Delete { id: id.clone(), reply })?;
        deleted.recv().unwrap_or(Err(EngineError::Stopped))
    }
}

/// An article that needs nothing but the writer.
struct Ready {
    prepared: Prepared,
    on_duplicate: OnDuplicate,
    relation_min: Relation,
    filter: Filter,
    max_duplicates: usize,
}

fn prepare(request: PutRequest, core: &Core) -> Result<Ready, Invalid> {
    let PutRequest { article, on_duplicate, relation_min, scope, max_duplicates } = request;
    if article.expires.is_some_and(|it| it.unix_ms() <= core.clock.unix_ms()) {
        let allowed = "a time that is yet to come".to_owned();
        return Err(Invalid::new("article.expire_time", Problem::OutOfRange { allowed }));
    }
    let prepared = Prepared::new(article, core.dictionary.get(), core.keeps_text)
        .map_err(|it| it.within("article"))?;
    let filter = scope.around(&prepared.features.facets)?;
    Ok(Ready { prepared, on_duplicate, relation_min, filter, max_duplicates })
}
