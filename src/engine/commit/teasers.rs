//! Teasers in a commit: those whose article arrives, those that are watched, and those
//! that have waited long enough.

use crate::engine::commit::{Commit, PutPlan, Watched};
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::put::RESOLVED_NAMED_MAX;
use crate::engine::reference;
use crate::engine::rows::{Counter, KEYS_END, key, ordered_32, u32_at};
use crate::engine::teaser::{Asked, Depth, TeaserAnswer, TeaserMatch, read_teaser};
use crate::engine::watch::record::{Resolution, Sighting, StandingTeaser, TeaserId};
use crate::engine::watch::resolve::{self, Resolved};
use crate::engine::watch::shelf::{self, Seen, sequence_key};
use crate::engine::writer::WatchJob;
use crate::index::Filter;
use crate::index::keys::{self, FieldTokens};
use crate::matching::verdict::Verdict;
use crate::store::{ArticleNumber, Space};
use crate::text::tokens::Tokens;

/// Teasers and resolutions that are forgotten in one commit, at most.
const FORGOTTEN_MAX: usize = 1024;
/// Teasers that are matched again in one idle moment, at most.
const RECHECKED_MAX: usize = 1024;

impl Commit<'_> {
    /// Does all of it, in this order.
    pub(super) fn settle_teasers(
        &mut self,
        core: &Core,
        (sweeps, is_idle): (bool, bool),
    ) -> Result<(), EngineError> {
        self.resolve_arrivals(core)?;
        self.delete_teasers(core)?;
        self.watch(core)?;
        if sweeps || !self.watches.is_empty() {
            self.forget(core)?;
        }
        if is_idle { self.recheck(core) } else { Ok(()) }
    }

    fn resolve_arrivals(&mut self, core: &Core) -> Result<(), EngineError> {
        if core.standing.is_empty() {
            return Ok(());
        }
        let stored = self.puts.iter().enumerate().filter_map(|(at, it)| match it.plan {
            PutPlan::Store { number, .. } => Some((at, (number, &it.job.prepared.features.fields))),
            PutPlan::Unchanged(_) | PutPlan::Skip => None,
        });
        let (places, articles): (Vec<usize>, Vec<(ArticleNumber, &FieldTokens)>) = stored.unzip();
        let arrived = resolve::arrivals(core, &articles)?;
        self.fetch_resolved(&arrived)?;
        for (at, resolved) in places.into_iter().zip(arrived) {
            let mut resolutions = Vec::new();
            for (teaser, matched) in resolved {
                resolutions.extend(self.resolve(core, teaser, matched)?);
            }
            resolutions.sort_by_key(|it| std::cmp::Reverse(it.teaser.times_seen));
            resolutions.truncate(RESOLVED_NAMED_MAX);
            if let Some(put) = self.puts.get_mut(at) {
                put.answer.resolved = resolutions;
            }
        }
        Ok(())
    }

    /// Reads together what is known of the teasers that have found their articles.
    fn fetch_resolved(&self, arrived: &[Vec<Resolved>]) -> Result<(), EngineError> {
        let draft = &self.draft;
        let numbers = arrived.iter().flatten().map(|it| (Space::Teaser, ordered_32(it.0).to_vec()));
        draft.fetch(numbers)?;
        let mut keys = Vec::new();
        for (number, matched) in arrived.iter().flatten() {
            let Some(row) = draft.row(Space::Teaser, &ordered_32(*number))? else { continue };
            let teaser = StandingTeaser::decode(&row)?;
            for sighting in &teaser.sightings {
                keys.extend(reference::keys(&matched.id, &sighting.page_url, teaser.id));
            }
        }
        Ok(draft.fetch(keys)?)
    }

    /// A teaser that waits has found its article; `None` if it waits no longer.
    fn resolve(
        &mut self,
        core: &Core,
        number: u32,
        matched: TeaserMatch,
    ) -> Result<Option<Resolution>, EngineError> {
        let place = (&mut self.draft, &mut self.shelf);
        let Some(teaser) = shelf::take(place, number, &core.cues)? else { return Ok(None) };
        let named = (teaser.id, teaser.text.as_str());
        for sighting in &teaser.sightings {
            reference::refer(&mut self.draft, &matched.id, named, sighting)?;
        }
        let sequence = Counter::ResolutionNext.next(&mut self.draft)?;
        let resolution = Resolution { sequence, teaser, matched, resolved_ms: self.now_ms };
        self.draft.set(Space::Resolution, sequence_key(sequence), resolution.encode());
        self.has_resolved = true;
        Ok(Some(resolution))
    }

    fn delete_teasers(&mut self, core: &Core) -> Result<(), EngineError> {
        for delete in &mut self.teaser_deletes {
            let number = shelf::find(&self.draft, delete.id)?;
            let taken = match number {
                Some(number) => {
                    shelf::take((&mut self.draft, &mut self.shelf), number, &core.cues)?
                }
                None => None,
            };
            if taken.is_none() {
                delete.result = Err(EngineError::TeaserNotFound(delete.id.to_string()));
            }
        }
        Ok(())
    }

    /// Matches what is watched with the store as it will be, so that no article comes
    /// between an answer and the wait.
    fn watch(&mut self, core: &Core) -> Result<(), EngineError> {
        let filter = Filter::all();
        let asked: Vec<Asked<'_>> = self
            .watches
            .iter()
            .map(|it| Asked {
                tokens: &it.job.tokens,
                filter: &filter,
                max_results: it.job.request.max_results,
            })
            .collect();
        let answers = core.match_teasers(&asked, Depth::Terms)?;
        self.fetch_watched(core, &answers)?;
        for (at, mut answer) in answers.into_iter().enumerate() {
            let Some(Watched { job, .. }) = self.watches.get(at) else { continue };
            let id = TeaserId::of(&job.tokens.hashes);
            let sighting = sighting(job, core);
            match (answer.verdict, answer.matches.first().cloned()) {
                (Verdict::Match, Some(best)) => {
                    let named = (id, job.request.text.as_str());
                    reference::refer(&mut self.draft, &best.id, named, &sighting)?;
                    if let Some(number) = shelf::find(&self.draft, id)? {
                        self.resolve(core, number, best)?;
                    }
                    answer.id = Some(id);
                }
                (Verdict::InsufficientEvidence, _) => {}
                _ => {
                    let (text, tokens) = (job.request.text.as_str(), job.tokens.hashes.as_slice());
                    let seen = Seen { text, tokens, sighting, now_ms: self.now_ms };
                    answer.id = Some(shelf::see(&mut self.draft, &mut self.shelf, seen)?);
                }
            }
            if let Some(watched) = self.watches.get_mut(at) {
                watched.answer = Some(answer);
            }
        }
        Ok(())
    }

    /// Reads together what is known of the teasers that are watched, and of the pages that
    /// they stand on.
    fn fetch_watched(&self, core: &Core, answers: &[TeaserAnswer]) -> Result<(), EngineError> {
        let ids = self.watches.iter().map(|it| TeaserId::of(&it.job.tokens.hashes));
        let ids: Vec<TeaserId> = ids.collect();
        let watched = ids.iter().map(|it| (Space::TeaserId, it.0.to_vec()));
        let referred = self.watches.iter().zip(&ids).zip(answers).flat_map(|((it, id), answer)| {
            let best = answer.matches.first().filter(|_| answer.verdict == Verdict::Match);
            let page_url = sighting(&it.job, core).page_url;
            best.map(|best| reference::keys(&best.id, &page_url, *id)).into_iter().flatten()
        });
        self.draft.fetch(Counter::rows().into_iter().chain(watched).chain(referred))?;
        let mut numbers = Vec::new();
        for id in ids {
            numbers.extend(shelf::find(&self.draft, id)?);
        }
        Ok(self.draft.fetch(numbers.iter().map(|it| (Space::Teaser, ordered_32(*it).to_vec())))?)
    }

    /// Teasers that were seen too long ago, and those beyond what is kept; resolutions
    /// likewise.
    fn forget(&mut self, core: &Core) -> Result<(), EngineError> {
        let limits = self.committer.limits;
        let retention_ms = u64::try_from(limits.teaser_retention.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.now_ms.saturating_sub(retention_ms);
        let bounds = (FORGOTTEN_MAX, limits.teasers_max);
        let stale = shelf::stale(&self.draft, before_ms, bounds)?;
        self.has_more |= stale.len() == FORGOTTEN_MAX;
        for number in stale {
            shelf::take((&mut self.draft, &mut self.shelf), number, &core.cues)?;
        }
        let first = Counter::ResolutionFirst.get(&self.draft)?;
        let next = Counter::ResolutionNext.get(&self.draft)?;
        let kept_from = next.saturating_sub(limits.teasers_max);
        let rows = self.draft.rows(Space::Resolution, &[][..]..&KEYS_END[..], FORGOTTEN_MAX)?;
        let mut start = first;
        for (key, row) in rows {
            if start >= kept_from && Resolution::decode(&row)?.resolved_ms >= before_ms {
                break;
            }
            self.draft.unset(Space::Resolution, key);
            start += 1;
        }
        if start > first {
            Counter::ResolutionFirst.set(&mut self.draft, start);
        }
        Ok(())
    }

    /// Matches some of the teasers that wait again: what a growing store knows of words
    /// changes, and terms propose only some of an arriving article's teasers.
    fn recheck(&mut self, core: &Core) -> Result<(), EngineError> {
        let next = self.committer.next;
        let recheck = &self.committer.recheck;
        if recheck.done == next || core.standing.is_empty() {
            return Ok(());
        }
        let from = recheck.from.clone();
        let rows = core.store.rows(Space::Teaser, &from[..]..&KEYS_END[..], RECHECKED_MAX)?;
        let recheck = &mut self.committer.recheck;
        if from.is_empty() {
            recheck.begun = next;
        }
        match rows.last() {
            Some((last, _)) if rows.len() == RECHECKED_MAX => recheck.from = key([last, &[0]]),
            _ => {
                recheck.from.clear();
                recheck.done = recheck.begun;
            }
        }
        let mut read: Vec<(u32, Tokens)> = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            let tokens = read_teaser(&StandingTeaser::decode(row)?.text, &core.cues);
            read.extend(u32_at(key, 0).zip(tokens.ok()));
        }
        let filter = Filter::all();
        let asked: Vec<Asked<'_>> = read
            .iter()
            .map(|it| Asked { tokens: &it.1, filter: &filter, max_results: 1 })
            .collect();
        let answers = core.match_teasers(&asked, Depth::Terms)?;
        for ((number, _), answer) in read.iter().zip(answers) {
            if let (Verdict::Match, Some(best)) =
                (answer.verdict, answer.matches.into_iter().next())
            {
                self.resolve(core, *number, best)?;
            }
        }
        Ok(())
    }
}

fn sighting(job: &WatchJob, core: &Core) -> Sighting {
    let watch = job.request.watch.clone().unwrap_or_default();
    let site = keys::site_name(&job.request.site, &watch.page_url).to_owned();
    let seen_ms = job.request.seen_ms(&core.clock);
    Sighting {
        page_url: watch.page_url,
        link_url: watch.link_url,
        site,
        times_seen: 1,
        first_seen_ms: seen_ms,
        last_seen_ms: seen_ms,
    }
}
