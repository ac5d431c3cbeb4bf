//! The shelf: teasers that wait, as rows, and what they are found by. Only the writer
//! puts on it and takes from it.

use prost::Message;

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::rows::{Counter, KEYS_END, key, ordered_32, ordered_64, u32_at, u64_at};
use crate::engine::teaser::read_teaser;
use crate::engine::watch::record::{SIGHTINGS_MAX, Sighting, StandingTeaser, TeaserId};
use crate::index::standing::StandingKeys;
use crate::store::draft::Draft;
use crate::store::{Row, Space};
use crate::text::cues::Cues;
use crate::text::tokens::TokenHash;

/// Rows read at a time at start.
const BATCH: usize = 10_000;
/// Commits whose changes are told to other nodes; who has missed more reads all teasers.
const LOG_ROWS: u64 = 8192;

/// Changes of the shelf that the index learns of once they are committed.
#[derive(Debug, Default)]
pub(in crate::engine) struct ShelfChanges {
    added: Vec<Change>,
    removed: Vec<Change>,
}

/// A teaser that comes or goes.
#[derive(Debug)]
struct Change {
    number: u32,
    text: String,
    keys: StandingKeys,
}

/// The changes of one commit, as other nodes learn of them: a protobuf message.
#[derive(Clone, PartialEq, Message)]
struct LogRow {
    #[prost(message, repeated, tag = "1")]
    added: Vec<LogItem>,
    #[prost(message, repeated, tag = "2")]
    removed: Vec<LogItem>,
}

/// A teaser in it.
#[derive(Clone, PartialEq, Message)]
struct LogItem {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(string, tag = "2")]
    text: String,
}

impl ShelfChanges {
    pub(in crate::engine) fn apply(self, core: &Core) {
        for Change { number, keys, .. } in self.added {
            core.standing.insert(number, &keys);
        }
        // A teaser may have come and gone in one commit.
        for Change { number, keys, .. } in self.removed {
            core.standing.remove(number, &keys);
        }
    }

    /// Tells other nodes. Gives where they are to read on.
    pub(in crate::engine) fn log(&self, draft: &mut Draft) -> Result<Option<u64>, EngineError> {
        if self.added.is_empty() && self.removed.is_empty() {
            return Ok(None);
        }
        let item = |it: &Change| LogItem { number: it.number, text: it.text.clone() };
        let row = LogRow {
            added: self.added.iter().map(item).collect(),
            removed: self.removed.iter().map(item).collect(),
        };
        let at = Counter::ShelfNext.next(draft)?;
        draft.set(Space::ShelfLog, ordered_64(at), row.encode_to_vec());
        if let Some(old) = at.checked_sub(LOG_ROWS) {
            draft.unset(Space::ShelfLog, ordered_64(old));
        }
        Ok(Some(at + 1))
    }
}

/// What other nodes have changed.
pub(in crate::engine) struct News {
    rows: Vec<LogRow>,
    /// Where to read on.
    next: u64,
}

/// What they have changed since row `seen` of the log; `None` if that is too much to be told.
pub(in crate::engine) fn news(core: &Core, seen: u64) -> Result<Option<News>, EngineError> {
    let next = Counter::ShelfNext.stored(core.store.as_ref())?;
    if next.saturating_sub(seen) > LOG_ROWS / 2 {
        return Ok(None);
    }
    let (start, end) = (ordered_64(seen), ordered_64(next));
    let mut news = News { rows: Vec::new(), next: seen };
    for (key, row) in core.store.rows(Space::ShelfLog, &start[..]..&end[..], usize::MAX)? {
        // One before it is still to be seen.
        if u64_at(&key, 0) != Some(news.next) {
            break;
        }
        news.next += 1;
        let row = LogRow::decode(row.as_slice());
        news.rows.push(row.map_err(|it| EngineError::DamagedRow {
            what: "change of the teasers that wait",
            problem: it.to_string(),
        })?);
    }
    Ok(Some(news))
}

/// Brings the index up to date with it; gives where to read on.
pub(in crate::engine) fn learn(core: &Core, news: News) -> u64 {
    for row in news.rows {
        for it in &row.added {
            core.standing.insert(it.number, &standing_keys(&it.text, &core.cues));
        }
        for it in &row.removed {
            core.standing.remove(it.number, &standing_keys(&it.text, &core.cues));
        }
    }
    news.next
}

/// Brings the index up to date with what other nodes have changed since row `seen` of the
/// log; gives where to read on.
pub(in crate::engine) fn follow(core: &Core, seen: u64) -> Result<u64, EngineError> {
    if let Some(news) = news(core, seen)? {
        return Ok(learn(core, news));
    }
    let next = Counter::ShelfNext.stored(core.store.as_ref())?;
    core.standing.clear();
    open(core)?;
    Ok(next)
}

/// Fills the index from the rows.
pub(in crate::engine) fn open(core: &Core) -> Result<(), EngineError> {
    let mut start = Vec::new();
    loop {
        let rows = core.store.rows(Space::Teaser, &start[..]..&KEYS_END[..], BATCH)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        start = key([last, &[0]]);
        let keys = crate::engine::parallel::parts(&rows, |part| {
            part.iter().map(|row| keys_of(row, &core.cues)).collect()
        })?;
        for (number, keys) in keys {
            core.standing.insert(number, &keys);
        }
    }
}

fn keys_of((key, value): &Row, cues: &Cues) -> Result<(u32, StandingKeys), EngineError> {
    Ok((number_of(key)?, standing_keys(&StandingTeaser::decode(value)?.text, cues)))
}

fn standing_keys(text: &str, cues: &Cues) -> StandingKeys {
    // A text that waits was read before; cues may have changed since.
    let tokens = read_teaser(text, cues).map(|it| it.hashes).unwrap_or_default();
    StandingKeys::of(&tokens)
}

fn number_of(key: &[u8]) -> Result<u32, EngineError> {
    let problem = || "its key is too short".to_owned();
    u32_at(key, 0)
        .ok_or_else(|| EngineError::DamagedRow { what: "standing teaser", problem: problem() })
}

/// A teaser, and where it was seen.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Seen<'a> {
    pub(in crate::engine) text: &'a str,
    pub(in crate::engine) tokens: &'a [TokenHash],
    pub(in crate::engine) sighting: Sighting,
    /// When the service is told of it.
    pub(in crate::engine) now_ms: u64,
}

/// The number of a teaser that waits.
pub(in crate::engine) fn find(draft: &Draft, id: TeaserId) -> Result<Option<u32>, EngineError> {
    let row = draft.row(Space::TeaserId, &id.0)?;
    row.map(|it| number_of(&it)).transpose()
}

/// Puts a teaser on the shelf, or counts it once more.
pub(in crate::engine) fn see(
    draft: &mut Draft,
    changes: &mut ShelfChanges,
    seen: Seen<'_>,
) -> Result<TeaserId, EngineError> {
    let Seen { text, tokens, sighting, now_ms } = seen;
    let id = TeaserId::of(tokens);
    let at_ms = sighting.last_seen_ms;
    if let Some(number) = find(draft, id)?
        && let Some(row) = draft.row(Space::Teaser, &ordered_32(number))?
    {
        let mut teaser = StandingTeaser::decode(&row)?;
        unset_orders(draft, number, &teaser);
        teaser.times_seen += 1;
        teaser.first_seen_ms = teaser.first_seen_ms.min(at_ms);
        teaser.last_seen_ms = teaser.last_seen_ms.max(at_ms);
        teaser.noted_ms = now_ms;
        add_sighting(&mut teaser.sightings, sighting);
        set(draft, number, &teaser);
        return Ok(id);
    }
    let teaser = StandingTeaser {
        id,
        text: text.to_owned(),
        times_seen: 1,
        first_seen_ms: at_ms,
        last_seen_ms: at_ms,
        noted_ms: now_ms,
        sightings: vec![sighting],
    };
    add(draft, changes, (&teaser, StandingKeys::of(tokens)))?;
    Ok(id)
}

/// Puts a teaser on the shelf that stood on another.
pub(in crate::engine) fn put(
    draft: &mut Draft,
    changes: &mut ShelfChanges,
    teaser: &StandingTeaser,
    cues: &Cues,
) -> Result<(), EngineError> {
    add(draft, changes, (teaser, standing_keys(&teaser.text, cues)))
}

fn add(
    draft: &mut Draft,
    changes: &mut ShelfChanges,
    (teaser, keys): (&StandingTeaser, StandingKeys),
) -> Result<(), EngineError> {
    let number = u32::try_from(Counter::TeaserNext.next(draft)?).unwrap_or(u32::MAX);
    draft.set(Space::TeaserId, teaser.id.0, ordered_32(number));
    set(draft, number, teaser);
    Counter::Teasers.next(draft)?;
    changes.added.push(Change { number, text: teaser.text.clone(), keys });
    Ok(())
}

/// Takes a teaser off the shelf, if it is there.
pub(in crate::engine) fn take(
    (draft, changes): (&mut Draft, &mut ShelfChanges),
    number: u32,
    cues: &Cues,
) -> Result<Option<StandingTeaser>, EngineError> {
    let Some(row) = draft.row(Space::Teaser, &ordered_32(number))? else { return Ok(None) };
    let teaser = StandingTeaser::decode(&row)?;
    unset_orders(draft, number, &teaser);
    draft.unset(Space::Teaser, ordered_32(number));
    draft.unset(Space::TeaserId, teaser.id.0);
    let count = Counter::Teasers.get(draft)?;
    Counter::Teasers.set(draft, count.saturating_sub(1));
    let (text, keys) = (teaser.text.clone(), standing_keys(&teaser.text, cues));
    changes.removed.push(Change { number, text, keys });
    Ok(Some(teaser))
}

/// The numbers of the teasers that the service was told of last before a time, the longest
/// ago first, and of as many more as are too many.
pub(in crate::engine) fn stale(
    draft: &Draft,
    before_ms: u64,
    (count_max, teasers_max): (usize, u64),
) -> Result<Vec<u32>, EngineError> {
    let too_many = Counter::Teasers.get(draft)?.saturating_sub(teasers_max);
    let too_many = usize::try_from(too_many).unwrap_or(usize::MAX).min(count_max);
    let mut rows =
        draft.rows(Space::TeaserBySeen, &[][..]..&ordered_64(before_ms)[..], count_max)?;
    if rows.len() < too_many {
        rows = draft.rows(Space::TeaserBySeen, &[][..]..&KEYS_END[..], too_many)?;
    }
    rows.iter().map(|(key, _)| number_of(key.get(8..).unwrap_or_default())).collect()
}

fn set(draft: &mut Draft, number: u32, teaser: &StandingTeaser) {
    draft.set(Space::Teaser, ordered_32(number), teaser.encode());
    draft.set(Space::TeaserBySeen, seen_key(teaser, number), []);
    draft.set(Space::TeaserByTimes, times_key(teaser, number), []);
}

fn unset_orders(draft: &mut Draft, number: u32, teaser: &StandingTeaser) {
    draft.unset(Space::TeaserBySeen, seen_key(teaser, number));
    draft.unset(Space::TeaserByTimes, times_key(teaser, number));
}

pub(in crate::engine) fn seen_key(teaser: &StandingTeaser, number: u32) -> Vec<u8> {
    key([&ordered_64(teaser.noted_ms), &ordered_32(number)])
}

/// Most often first.
pub(in crate::engine) fn times_key(teaser: &StandingTeaser, number: u32) -> Vec<u8> {
    key([&ordered_64(u64::MAX - teaser.times_seen), &ordered_32(number)])
}

/// The key of a resolution.
pub(in crate::engine) fn sequence_key(sequence: u64) -> [u8; 8] {
    ordered_64(sequence)
}

/// The key of a teaser, from its key by times.
pub(in crate::engine) fn after_times(key: &[u8]) -> &[u8] {
    key.get(8..).unwrap_or_default()
}

fn add_sighting(sightings: &mut Vec<Sighting>, new: Sighting) {
    let same = |it: &&mut Sighting| {
        let Sighting { page_url, link_url, site, .. } = &new;
        (&it.page_url, &it.link_url, &it.site) == (page_url, link_url, site)
    };
    if let Some(known) = sightings.iter_mut().find(same) {
        known.times_seen += new.times_seen;
        known.first_seen_ms = known.first_seen_ms.min(new.first_seen_ms);
        known.last_seen_ms = known.last_seen_ms.max(new.last_seen_ms);
    } else if sightings.len() < SIGHTINGS_MAX {
        sightings.push(new);
    }
}
