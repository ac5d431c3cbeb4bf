//! Standing teasers: those that found no article wait for it, and are told of when it
//! comes. The same words are one teaser, wherever they were seen.

pub mod record;
pub(super) mod resolve;
pub(super) mod shelf;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::rows::{self, Listing};
use crate::engine::teaser::{TeaserAnswer, TeaserRequest, read_teaser};
use crate::engine::watch::record::{Resolution, StandingTeaser, TeaserId};
use crate::engine::watch::shelf::{after_times, sequence_key};
use crate::engine::writer::{Job, WatchJob};
use crate::index::keys;
use crate::store::Space;
use crate::text::tokens::Tokens;

/// Teasers that wait, at most, by default. Beyond it, the one seen longest ago yields.
pub const TEASERS_MAX_DEFAULT: u64 = 1_000_000;
/// How long they wait, by default.
pub const TEASER_RETENTION_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Resolutions that one call gives, at most.
pub const RESOLUTIONS_MAX: usize = 256;

/// From where on a listener is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The oldest that is remembered.
    Oldest,
    /// What comes next.
    Now,
    /// Behind a cursor.
    Cursor(u64),
}

impl Engine {
    /// Matches teasers, remembers those that have their article as references to it, and
    /// lets the others wait; what is answered is on the disk.
    pub fn watch_teasers(
        &self,
        requests: Vec<TeaserRequest>,
    ) -> Vec<Result<TeaserAnswer, EngineError>> {
        let count = requests.len();
        let (reply, answered) = mpsc::channel();
        let mut results: Vec<Result<TeaserAnswer, EngineError>> =
            (0..count).map(|_| Err(EngineError::Stopped)).collect();
        for (at, request) in requests.into_iter().enumerate() {
            let sent = self.check_watch(&request).map_err(EngineError::from).and_then(|tokens| {
                let reply = reply.clone();
                self.writer.send(Job::Watch(Box::new(WatchJob { request, tokens, at, reply })))
            });
            if let (Err(error), Some(place)) = (sent, results.get_mut(at)) {
                *place = Err(error);
            }
        }
        drop(reply);
        for (at, result) in answered {
            if let Some(place) = results.get_mut(at) {
                *place = result;
            }
        }
        results
    }

    fn check_watch(&self, request: &TeaserRequest) -> Result<Tokens, Invalid> {
        if !request.scope.is_open() {
            return Err(refuse_filter());
        }
        request.check()?;
        read_teaser(&request.text, &self.core.cues)
    }

    /// Waits no longer for a teaser's article.
    pub fn delete_teaser(&self, id: TeaserId) -> Result<(), EngineError> {
        let (reply, deleted) = mpsc::channel();
        self.writer.send(Job::DeleteTeaser { id, reply })?;
        deleted.recv().unwrap_or(Err(EngineError::Stopped))
    }

    /// A page of the teasers that wait, most often seen first. `sites` are those on which
    /// they were seen; none lets all pass.
    pub fn list_teasers(
        &self,
        token: &str,
        page_size: usize,
        sites: &[u32],
    ) -> Result<Listing<StandingTeaser>, EngineError> {
        let store = &self.core.store;
        let passes = |teaser: &StandingTeaser| {
            sites.is_empty()
                || teaser.sightings.iter().any(|it| sites.contains(&keys::site_key(&it.site, "")))
        };
        let all = (Space::TeaserByTimes, &[][..]);
        rows::list(store.as_ref(), all, (token, page_size), |key, _| {
            let Some(row) = store.row(Space::Teaser, after_times(key))? else { return Ok(None) };
            Ok(Some(StandingTeaser::decode(&row)?).filter(passes))
        })
    }

    /// The cursor of the first resolution that is given from there on.
    pub fn cursor(&self, since: Since) -> Result<u64, EngineError> {
        let (first, next) = self.core.remembered()?;
        match since {
            Since::Now => Ok(next),
            Since::Oldest => Ok(first),
            Since::Cursor(cursor) if (first..=next).contains(&cursor) => Ok(cursor),
            Since::Cursor(cursor) => Err(EngineError::CursorExpired(cursor)),
        }
    }

    /// What was resolved from a cursor on, in order, at most [`RESOLUTIONS_MAX`].
    pub fn resolutions(&self, cursor: u64) -> Result<Vec<Resolution>, EngineError> {
        self.cursor(Since::Cursor(cursor))?;
        let (start, end) = (sequence_key(cursor), sequence_key(u64::MAX));
        let rows =
            self.core.store.rows(Space::Resolution, &start[..]..&end[..], RESOLUTIONS_MAX)?;
        let resolved = rows.iter().map(|(_, row)| Resolution::decode(row));
        let resolved: Vec<Resolution> = resolved.collect::<Result<_, _>>()?;
        // Where nodes share a store, a later one may be seen before an earlier one is.
        let in_a_row = resolved.into_iter().zip(cursor..).take_while(|(it, at)| it.sequence == *at);
        Ok(in_a_row.map(|it| it.0).collect())
    }

    /// Calls `listener` after every commit in which teasers were resolved. Only the first
    /// listener that is given is called.
    pub fn on_resolutions(&self, listener: impl Fn() + Send + Sync + 'static) {
        drop(self.core.listener.set(Listener(Arc::new(listener))));
    }
}

/// A teaser that is watched waits for any article.
pub(super) fn refuse_filter() -> Invalid {
    let allowed = "empty where `watch` is set: a teaser waits for whatever article has it";
    Invalid::new("filter", Problem::OutOfRange { allowed: allowed.to_owned() })
}

/// What is called after teasers were resolved.
#[derive(Clone)]
pub(super) struct Listener(pub(super) Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}
