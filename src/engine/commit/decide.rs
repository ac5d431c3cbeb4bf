//! What a put finds, whether it is stored, and what follows from that for stories,
//! revisions, references and expiry.

use crate::engine::commit::{Commit, Put, PutPlan, Removed};
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, Question};
use crate::engine::put::{OnDuplicate, PutOutcome};
use crate::engine::record::StoredArticle;
use crate::engine::revision::{Content, Revision};
use crate::engine::rows::Counter;
use crate::engine::story::change::{self, Joining, Left};
use crate::engine::{revision, rows, story};
use crate::hash::HashMap;
use crate::index::{CANDIDATES_MAX, Filter};
use crate::store::{ArticleNumber, Space};

/// What was found for a put.
struct Found {
    /// Among the articles that pass its filter.
    named: Vec<Duplicate>,
    /// Among all, if that is more.
    all: Option<Vec<Duplicate>>,
}

impl Commit<'_> {
    /// Decides what is stored, and what follows.
    pub(super) fn decide(&mut self, core: &Core) -> Result<(), EngineError> {
        let mut found = self.find(core)?;
        for (at, found) in found.iter_mut().enumerate() {
            self.decide_put(at, found)?;
        }
        self.fetch_rows(&found)?;
        self.leave_stories(core)?;
        for (at, found) in found.into_iter().enumerate() {
            self.join_story(core, at, found)?;
        }
        self.name_stories()?;
        self.note_changes(core)
    }

    /// The relatives of what is put, among what was put before it.
    fn find(&self, core: &Core) -> Result<Vec<Found>, EngineError> {
        let filters: Vec<(Filter, Filter)> = self.puts.iter().map(Put::filters).collect();
        let mut questions = Vec::with_capacity(self.puts.len());
        for (put, (named, all)) in self.puts.iter().zip(&filters) {
            questions.push(put.question(named));
            if put.has_filter() {
                questions.push(put.question(all));
            }
        }
        let mut found = core.find(&questions)?.into_iter();
        let found = self.puts.iter().map(|put| {
            let named = found.next().unwrap_or_default();
            let all = put.has_filter().then(|| found.next().unwrap_or_default());
            Found { named, all }
        });
        Ok(found.collect())
    }

    /// Whether an article is stored, and with its text, in the order of the puts.
    fn decide_put(&mut self, at: usize, found: &mut Found) -> Result<(), EngineError> {
        let is_there = |it: &Duplicate| !self.skipped.contains(&it.number);
        found.named.retain(is_there);
        if let Some(all) = &mut found.all {
            all.retain(is_there);
        }
        let Some(Put { job, plan, answer }) = self.puts.get_mut(at) else { return Ok(()) };
        let PutPlan::Store { number, replaces } = *plan else { return Ok(()) };
        let is_reason = |it: &&Duplicate| it.relation <= job.relation_min;
        let mut reasons = found.named.iter().filter(is_reason).cloned().peekable();
        match job.on_duplicate {
            OnDuplicate::Skip if reasons.peek().is_some() => {
                answer.outcome = PutOutcome::Skipped;
                answer.duplicates = reasons.take(job.max_duplicates).collect();
                *plan = PutPlan::Skip;
                self.skipped.insert(number);
                // What it would have replaced stays.
                self.removed.retain(|it| Some(it.number) != replaces);
                let entry = self.inserted.iter().find(|it| it.number == number);
                self.committer.core.index.remove(entry.map_or(&[], std::slice::from_ref))?;
            }
            OnDuplicate::StoreWithoutText if reasons.peek().is_some() => {
                answer.stored_without_text = true;
                self.textless.insert(number);
            }
            OnDuplicate::Store | OnDuplicate::Skip | OnDuplicate::StoreWithoutText => {}
        }
        Ok(())
    }

    /// Reads together what will be looked at.
    fn fetch_rows(&self, found: &[Found]) -> Result<(), EngineError> {
        let draft = &self.draft;
        if found.iter().any(|it| !it.named.is_empty() || it.all.is_some())
            || !self.removed.is_empty()
        {
            draft.fetch(Counter::rows())?;
        }
        let named = found.iter().flat_map(|it| it.named.iter().chain(it.all.iter().flatten()));
        let removed = || self.removed.iter().map(|it| it.number);
        let unchanged = self.puts.iter().filter_map(|it| match it.plan {
            PutPlan::Unchanged(number) => Some(number),
            PutPlan::Store { .. } | PutPlan::Skip => None,
        });
        let all = named.map(|it| it.number).chain(removed()).chain(unchanged);
        story::fetch_stories(draft, all)?;
        story::fetch_members(draft, removed())?;
        let prefixes = self.removed.iter().flat_map(|it| {
            let prefix = rows::article_prefix(&it.features.id).to_vec();
            [(Space::Reference, prefix.clone()), (Space::Revision, prefix)]
        });
        Ok(draft.fetch_prefixes(prefixes)?)
    }

    fn leave_stories(&mut self, core: &Core) -> Result<(), EngineError> {
        for removed in &mut self.removed {
            removed.left = Some(change::leave(core, &mut self.draft, removed.number)?);
        }
        Ok(())
    }

    fn join_story(&mut self, core: &Core, at: usize, found: Found) -> Result<(), EngineError> {
        let Some(Put { job, plan, answer }) = self.puts.get_mut(at) else { return Ok(()) };
        let Found { named, all } = found;
        match plan {
            PutPlan::Store { number, replaces } => {
                let left = |it: &Removed| (Some(it.number) == *replaces).then_some(it.left?);
                let before: Option<Left> = self.removed.iter().find_map(left);
                let joining = Joining {
                    number: *number,
                    subject: &job.prepared.subject,
                    facets: job.prepared.features.facets,
                    duplicates: all.as_deref().unwrap_or(&named),
                    before,
                    now_ms: self.now_ms,
                };
                answer.story = Some(change::join(core, &mut self.draft, &joining)?);
            }
            PutPlan::Unchanged(number) => {
                answer.story = Some(story::story_of(&self.draft, *number)?);
            }
            PutPlan::Skip => return Ok(()),
        }
        answer.duplicates = named;
        answer.duplicates.truncate(job.max_duplicates);
        Ok(())
    }

    /// The stories of what was found, now that they are decided.
    fn name_stories(&mut self) -> Result<(), EngineError> {
        for put in &mut self.puts {
            for duplicate in &mut put.answer.duplicates {
                duplicate.story = story::story_of(&self.draft, duplicate.number)?;
            }
        }
        Ok(())
    }

    /// Revisions, references and expiry.
    fn note_changes(&mut self, core: &Core) -> Result<(), EngineError> {
        for removed in self.removed.iter().filter(|it| !it.is_replaced) {
            let id = &removed.features.id;
            rows::forget(&mut self.draft, Space::Reference, id)?;
            rows::forget(&mut self.draft, Space::Revision, id)?;
        }
        let replaced = self.removed.iter().filter(|it| it.is_replaced).map(|it| it.number);
        let before = self.committer.core.articles(replaced)?;
        let expiry = self.committer.limits.expiry;
        for put in &mut self.puts {
            let PutPlan::Store { number, replaces } = put.plan else { continue };
            let expires_s = put.job.prepared.expires_s;
            expiry.stored(&mut self.draft, number, (self.now_ms, expires_s))?;
            let Some(old) =
                replaces.and_then(|it| self.removed.iter().find(|old| old.number == it))
            else {
                continue;
            };
            let Some(revision) = revision_of(&before, old, (core, put, number))? else {
                continue;
            };
            let kept = revision::keep(&mut self.draft, put.job.prepared.id(), revision)?;
            put.answer.revision = Some(kept);
        }
        Ok(())
    }
}

fn revision_of(
    before: &HashMap<ArticleNumber, StoredArticle>,
    old: &Removed,
    (core, put, number): (&Core, &Put, ArticleNumber),
) -> Result<Option<Revision>, EngineError> {
    let after = core.articles([number])?;
    let (Some(before), Some(after)) = (before.get(&old.number), after.get(&number)) else {
        return Ok(None);
    };
    let before = Content { stored: before, features: &old.features };
    let after = Content { stored: after, features: &put.job.prepared.features };
    Ok(Some(Revision::between(before, after)))
}

impl Put {
    /// Where its content is, or will be.
    fn number(&self) -> Option<ArticleNumber> {
        match self.plan {
            PutPlan::Unchanged(number) | PutPlan::Store { number, .. } => Some(number),
            PutPlan::Skip => None,
        }
    }

    fn has_filter(&self) -> bool {
        self.job.filter != Filter::all()
    }

    /// What was put before it: those that pass its own filter, and all.
    fn filters(&self) -> (Filter, Filter) {
        let numbers = 0..self.number().map_or(0, |it| it.0);
        let named = Filter { numbers: numbers.clone(), ..self.job.filter.clone() };
        (named, Filter { numbers, ..Filter::all() })
    }

    fn question<'a>(&'a self, filter: &'a Filter) -> Question<'a> {
        let decides = self.job.on_duplicate != OnDuplicate::Store;
        Question {
            subject: &self.job.prepared.subject,
            filter,
            without: self.number(),
            // Relations that do not count may rank before the one that does.
            max_results: if decides { CANDIDATES_MAX } else { self.job.max_duplicates },
        }
    }
}
