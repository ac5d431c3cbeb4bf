//! What a part of an import changes: what its lines say, and what is derived from it.

use crate::engine::commit::{Commit, Done, Removed};
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::record;
use crate::engine::rows::{self, Counter};
use crate::engine::story::change;
use crate::engine::transfer::import::{
    ImportJob, Imported, Incoming, Item, Progress, add_to_digest,
};
use crate::engine::transfer::line::{End, Head, Kept, Line};
use crate::engine::watch::shelf::{self, sequence_key};
use crate::engine::{reference, revision};
use crate::hash::HashSet;
use crate::index::Entry;
use crate::store::{ArticleNumber, Part, Space, Write};

/// Records read at a time.
const BATCH: usize = 1000;

impl Commit<'_> {
    /// Takes in a part, and answers.
    pub(super) fn import(&mut self, job: ImportJob) -> Done {
        let ImportJob { position, digest, items, at, reply } = job;
        let core = self.committer.core.clone();
        let next = self.committer.next;
        let result = self.take_in((position, digest), items).and_then(|(writes, progress)| {
            core.index.insert(&self.inserted)?;
            self.store(writes)?;
            self.committer.is_importing = !progress.is_complete;
            if progress.is_complete {
                // What was resolved before is told from now on.
                core.notify();
            }
            let Progress { position, is_complete, .. } = progress;
            let article_count = core.store.record_count()?;
            Ok(Imported { position, article_count, is_complete })
        });
        let changes = self.inserted.len() + self.removed.len();
        let result = result.inspect_err(|error| {
            self.committer.next = next;
            self.words.clear();
            if matches!(error, EngineError::Store(_) | EngineError::Index(_)) {
                self.undo(&core, error);
            }
        });
        let is_stored = result.is_ok();
        drop(reply.send((at, result)));
        let words = std::mem::take(&mut self.words);
        let changes = if is_stored { changes as u64 } else { 0 };
        Done { changes, is_stored, words, has_more: false }
    }

    /// The writes of the items, and how far the import will have come.
    fn take_in(
        &mut self,
        (position, before): (u64, Option<u64>),
        items: Vec<(u64, Item)>,
    ) -> Result<(Vec<Write>, Progress), EngineError> {
        let count = items.len() as u64;
        let hashes: Vec<u64> = items.iter().map(|it| it.0).collect();
        let mut items = (position + 1..).zip(items.into_iter().map(|it| it.1)).peekable();
        let known = Progress::get(&self.draft)?;
        let begins = |it: &(u64, Item)| matches!(it, (1, Item::Other(Line::Export(_))));
        let mut progress = if let Some((_, Item::Other(Line::Export(head)))) = items.next_if(begins)
        {
            match known {
                Some(known) if known.id == head.id => return Ok((Vec::new(), known)),
                known => self.begin(head, known.as_ref())?,
            }
        } else {
            known.filter(|it| !it.is_complete).ok_or(EngineError::NoImport)?
        };
        if progress.position != position {
            return Err(EngineError::OtherPosition { position, expected: progress.position });
        }
        if before.is_some_and(|it| it != progress.digest) {
            return Err(EngineError::OtherExport);
        }
        let items: Vec<(u64, Item)> = items.collect();
        // Numbers that were passed over where nodes share a store are an import's to use.
        let store = self.committer.core.store.as_ref();
        self.numbers_from = if store.is_shared() {
            store.numbers_end()?
        } else {
            ArticleNumber(self.committer.next)
        };
        self.check_ids(&items)?;
        let mut writes = Vec::new();
        for (number, item) in items {
            if progress.is_complete {
                return Err(refused(number, "it stands behind the last one"));
            }
            match item {
                Item::Article(it) => self.bring(*it, &mut writes)?,
                Item::Other(Line::Export(_)) => {
                    return Err(refused(number, "an export begins within another"));
                }
                Item::Other(Line::Damaged(it)) => progress.lost += u64::from(it.number.is_some()),
                Item::Other(Line::End(end)) => {
                    self.end(end, progress.lost, &mut writes)?;
                    progress.is_complete = true;
                }
                Item::Other(Line::Kept(it)) => self.keep_only(&it)?,
                Item::Other(line) => self.bring_row(line)?,
            }
        }
        progress.position += count;
        progress.digest = hashes.into_iter().fold(progress.digest, add_to_digest);
        progress.set(&mut self.draft);
        Ok((writes, progress))
    }

    fn begin(&self, head: Head, known: Option<&Progress>) -> Result<Progress, EngineError> {
        if known.is_some_and(|it| !it.is_complete) {
            return Err(EngineError::ImportUnderWay);
        }
        let store = self.committer.core.store.as_ref();
        let has_held = [Counter::TeaserNext, Counter::ResolutionNext]
            .into_iter()
            .map(|it| it.stored(store))
            .sum::<Result<u64, _>>()?;
        if store.numbers_end()? > ArticleNumber(0) || has_held > 0 {
            return Err(EngineError::NotEmpty);
        }
        Ok(Progress { id: head.id, position: 0, is_complete: false, lost: 0, digest: 0 })
    }

    fn bring(&mut self, incoming: Incoming, writes: &mut Vec<Write>) -> Result<(), EngineError> {
        let Incoming { number, stored_ms, prepared } = incoming;
        if number < self.numbers_from || number > ArticleNumber::MAX {
            let allowed = format!("{} to {}, ascending", self.numbers_from.0, ArticleNumber::MAX.0);
            return Err(Invalid::new("number", Problem::OutOfRange { allowed }).into());
        }
        self.numbers_from = ArticleNumber(number.0 + 1);
        self.committer.next = self.committer.next.max(number.0 + 1);
        let expires_s = prepared.expires_s;
        let expiry = self.committer.limits.expiry;
        expiry.stored(&mut self.draft, number, (stored_ms, expires_s))?;
        if self.committer.is_learning() {
            self.words.push(prepared.features.fields.whole().to_vec());
        }
        let id = prepared.id().as_str().to_owned();
        let mut article = prepared.content;
        record::stamp(&mut article, stored_ms);
        let facets = prepared.features.facets;
        self.inserted.push(Entry { number, keys: prepared.keys, facets });
        writes.push(Write::Insert { number, id, article, features: prepared.computed });
        Ok(())
    }

    fn bring_row(&mut self, line: Line) -> Result<(), EngineError> {
        match line {
            Line::Revision(it) => revision::set(&mut self.draft, &it.article, &it.revision),
            Line::Reference(it) => reference::set(&mut self.draft, it)?,
            Line::Story(it) => change::set_story(&mut self.draft, it.id, None, &it.story)?,
            Line::Member(it) => {
                let number = ArticleNumber(it.number);
                change::set_member(&mut self.draft, it.story, number, &it.member);
            }
            Line::Teaser(it) => {
                let cues = &self.committer.core.cues;
                shelf::put(&mut self.draft, &mut self.shelf, &it, cues)?;
            }
            Line::Resolution(it) => {
                self.draft.set(Space::Resolution, sequence_key(it.sequence), it.encode());
            }
            // Are seen to by themselves.
            Line::Export(_)
            | Line::Article(_)
            | Line::Kept(_)
            | Line::Damaged(_)
            | Line::End(_) => {}
        }
        Ok(())
    }

    /// Removes the articles that were deleted between the two parts of a resumed export.
    fn keep_only(&mut self, kept: &Kept) -> Result<(), EngineError> {
        let core = self.committer.core.clone();
        let is_kept = |number: u32| {
            let at = kept.ranges.partition_point(|it| it.1 < number);
            kept.ranges.get(at).is_some_and(|it| it.0 <= number)
        };
        let mut after = kept.from.checked_sub(1).map(ArticleNumber);
        loop {
            let records = core.store.scan(Part::Features, after, BATCH)?;
            let Some((last, _)) = records.last() else { return Ok(()) };
            after = Some(*last);
            for (number, bytes) in records {
                if number.0 > kept.up_to {
                    return Ok(());
                }
                if !is_kept(number.0) {
                    let features = core.decode(number, &bytes)?;
                    // Its revisions come again with the content that took its place.
                    rows::forget(&mut self.draft, Space::Revision, &features.id)?;
                    self.removed.push(Removed { number, features, is_replaced: false, left: None });
                }
            }
        }
    }

    /// Refuses an id that is there already.
    fn check_ids(&self, items: &[(u64, Item)]) -> Result<(), EngineError> {
        let articles = items.iter().filter_map(|(line, item)| match item {
            Item::Article(it) => Some((line, it.prepared.id().as_str())),
            Item::Other(_) => None,
        });
        let (lines, ids): (Vec<&u64>, Vec<&str>) = articles.unzip();
        let known = self.committer.core.store.numbers(&ids)?;
        let mut seen = HashSet::default();
        for ((line, id), known) in lines.into_iter().zip(ids).zip(known) {
            if known.is_some() || !seen.insert(id) {
                return Err(refused(*line, "an article has its id already"));
            }
        }
        Ok(())
    }

    fn end(&mut self, end: End, lost: u64, writes: &mut Vec<Write>) -> Result<(), EngineError> {
        let End { article_count, next_number, resolution_first, resolution_next } = end;
        let stored = self.committer.core.store.record_count()? + self.inserted.len() as u64;
        let came = stored.saturating_sub(self.removed.len() as u64);
        if !(article_count.saturating_sub(lost)..=article_count).contains(&came) {
            return Err(EngineError::IncompleteExport { came, article_count });
        }
        let next = next_number.max(self.committer.next);
        writes.push(Write::Reserve { next: ArticleNumber(next) });
        self.committer.next = next;
        Counter::ResolutionFirst.set(&mut self.draft, resolution_first);
        Counter::ResolutionNext.set(&mut self.draft, resolution_next);
        Ok(())
    }
}

fn refused(number: u64, problem: &str) -> EngineError {
    Invalid::new("lines", Problem::NotALine { number, problem: problem.to_owned() }).into()
}
