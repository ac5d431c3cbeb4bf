//! Putting and deleting: what the caller's side does before and after the
//! writer.

use std::sync::{Arc, mpsc};

use crate::engine::Engine;
use crate::engine::article::{Article, ArticleId};
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, Question, answers};
use crate::engine::parallel;
use crate::engine::prepare::Prepared;
use crate::engine::writer::{Job, PutJob, Written};
use crate::index::Filter;
use crate::matching::overlap::Relation;

/// An article to be stored.
#[derive(Debug, Clone)]
pub struct PutRequest {
    /// The article.
    pub article: Article,
    /// What to do where it has a duplicate.
    pub on_duplicate: OnDuplicate,
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
}

impl Engine {
    /// Stores articles; what is answered is on the disk and found by the next
    /// call. Articles of one call are stored in their order.
    pub fn put(&self, requests: Vec<PutRequest>) -> Vec<Result<PutAnswer, EngineError>> {
        let mut results: Vec<Option<Result<Placed, EngineError>>> = vec![None; requests.len()];
        let (reply, written) = mpsc::channel();
        for (at, job) in
            parallel::each(requests, |it| prepare(it, &self.core)).into_iter().enumerate()
        {
            let sent = job.and_then(|(prepared, skips_duplicates, max_duplicates)| {
                let reply = reply.clone();
                let job = PutJob { prepared, skips_duplicates, max_duplicates, at, reply };
                self.writer.send(Job::Put(job))
            });
            if let (Err(error), Some(place)) = (sent, results.get_mut(at)) {
                *place = Some(Err(error));
            }
        }
        drop(reply);
        for (at, result) in written {
            if let Some(place) = results.get_mut(at) {
                *place = Some(result);
            }
        }
        let placed = results.into_iter().map(|it| it.unwrap_or(Err(EngineError::Stopped)));
        self.name_duplicates(&placed.collect::<Vec<_>>())
    }

    /// Deletes an article; no later answer names it.
    pub fn delete(&self, id: &ArticleId) -> Result<(), EngineError> {
        let (reply, deleted) = mpsc::channel();
        self.writer.send(Job::Delete { id: id.clone(), reply })?;
        deleted.recv().unwrap_or(Err(EngineError::Stopped))
    }

    /// Looks for the duplicates of what was stored, among what was stored
    /// before it: so each put of two at once sees the other, or is seen by it.
    fn name_duplicates(
        &self,
        placed: &[Result<Placed, EngineError>],
    ) -> Vec<Result<PutAnswer, EngineError>> {
        let filters: Vec<Filter> = placed.iter().map(Placed::filter).collect();
        let questions: Vec<Question<'_>> = placed
            .iter()
            .zip(&filters)
            .filter_map(|(it, filter)| it.as_ref().ok()?.question(filter))
            .collect();
        let mut found = answers(self.core.find(&questions), questions.len());
        placed
            .iter()
            .map(|it| {
                let it = it.as_ref().map_err(Clone::clone)?;
                let duplicates = match &it.written {
                    Written::Skipped(duplicates) => duplicates.clone(),
                    Written::Stored { .. } => found.next().unwrap_or(Ok(Vec::new()))?,
                };
                let outcome = it.written.outcome();
                Ok(PutAnswer { id: it.prepared.id().clone(), outcome, duplicates })
            })
            .collect()
    }
}

/// What needs neither the store nor the writer.
fn prepare(request: PutRequest, core: &Core) -> Result<(Arc<Prepared>, bool, usize), EngineError> {
    let PutRequest { article, on_duplicate, max_duplicates } = request;
    let prepared = Prepared::new(article, core.dictionary.get(), core.keeps_text)
        .map_err(|it| it.within("article"))?;
    Ok((Arc::new(prepared), on_duplicate == OnDuplicate::Skip, max_duplicates))
}

/// An article, and where the writer put it.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) prepared: Arc<Prepared>,
    pub(super) max_duplicates: usize,
    pub(super) written: Written,
}

impl Placed {
    fn filter(placed: &Result<Self, EngineError>) -> Filter {
        let number = match placed {
            Ok(Self { written: Written::Stored { number, .. }, .. }) => number.0,
            _ => 0,
        };
        Filter { numbers: 0..number, ..Filter::all() }
    }

    fn question<'a>(&'a self, filter: &'a Filter) -> Option<Question<'a>> {
        let Written::Stored { number, .. } = self.written else { return None };
        Some(Question {
            subject: &self.prepared.subject,
            filter,
            without: Some(number),
            max_results: self.max_duplicates,
        })
    }
}

impl Written {
    fn outcome(&self) -> PutOutcome {
        match self {
            Self::Stored { outcome, .. } => *outcome,
            Self::Skipped(_) => PutOutcome::Skipped,
        }
    }
}

/// The duplicates for which an article is skipped: those that are DUPLICATE.
pub(super) fn skip_reasons(found: Vec<Duplicate>) -> Vec<Duplicate> {
    found.into_iter().filter(|it| it.relation == Relation::Duplicate).collect()
}
