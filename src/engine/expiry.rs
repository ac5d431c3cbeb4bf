//! Expiry: which articles are to be deleted by now, because their own time or that of all
//! is over.
//!
//! Numbers ascend with time, so that a row now and then says from which number on articles
//! were stored when; only an article with a time of its own has a row of its own.

use std::time::Duration;

use crate::engine::error::EngineError;
use crate::engine::rows::{KEYS_END, key, ordered_32, ordered_64, u32_at};
use crate::store::draft::Draft;
use crate::store::{ArticleNumber, Part, RowKey, Space, Store};

/// Articles that are deleted in one commit because they expired, at most.
pub(super) const EXPIRED_MAX: usize = 512;
/// How much longer than it must an article is kept, as a part of the retention, and at
/// least and at most.
const GRAIN_PART: u32 = 1000;
const GRAIN_MIN: Duration = Duration::from_secs(1);
const GRAIN_MAX: Duration = Duration::from_secs(3600);

/// Rows of all articles that are looked at together, at most.
const ROWS_MAX: usize = 1000;
/// The counter of when the last row ends.
const LAST: &[u8] = b"stored_until";

/// When articles expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    /// How long after it was stored; `None` for never.
    pub(super) retention: Option<Duration>,
}

impl Expiry {
    fn grain_ms(self) -> u64 {
        let grain = self.retention.map_or(GRAIN_MAX, |it| it / GRAIN_PART);
        ms(grain.clamp(GRAIN_MIN, GRAIN_MAX))
    }

    /// Says when an article is stored.
    pub(super) fn stored(
        self,
        draft: &mut Draft,
        number: ArticleNumber,
        (now_ms, expires_s): (u64, Option<i64>),
    ) -> Result<(), EngineError> {
        if let Some(expires_s) = expires_s {
            draft.set(Space::Expiry, expiry_key(expires_s, number), []);
        }
        if stored_until(draft)?.is_none_or(|it| now_ms >= it) {
            let until_ms = now_ms + self.grain_ms();
            draft.set(Space::StoredAt, ordered_32(number.0), until_ms.to_le_bytes());
            draft.set(Space::Counter, LAST, until_ms.to_le_bytes());
        }
        Ok(())
    }

    /// The articles that have expired, at most [`EXPIRED_MAX`]. What is noted of them is
    /// unset.
    pub(super) fn due(
        self,
        store: &dyn Store,
        draft: &mut Draft,
        now_ms: u64,
    ) -> Result<Vec<ArticleNumber>, EngineError> {
        let mut due = own(draft, now_ms)?;
        let left = EXPIRED_MAX - due.len();
        if let Some(retention) = self.retention
            && left > 0
        {
            let before_ms = now_ms.saturating_sub(ms(retention));
            due.extend(of_all(store, draft, (before_ms, left))?);
        }
        due.sort_unstable();
        due.dedup();
        Ok(due)
    }
}

/// Has an article that is due looked at again by the next commit that looks.
pub(super) fn put_off(draft: &mut Draft, number: ArticleNumber, now_ms: u64) {
    let seconds = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    draft.set(Space::Expiry, expiry_key(seconds, number), []);
}

/// Those whose own time is over.
fn own(draft: &mut Draft, now_ms: u64) -> Result<Vec<ArticleNumber>, EngineError> {
    let seconds = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    let end = expiry_key(seconds.saturating_add(1), ArticleNumber(0));
    let rows = draft.rows(Space::Expiry, &[][..]..&end[..], EXPIRED_MAX)?;
    let numbers = rows.iter().filter_map(|(key, _)| u32_at(key, 8)).map(ArticleNumber).collect();
    for (key, _) in rows {
        draft.unset(Space::Expiry, key);
    }
    Ok(numbers)
}

/// The first of those that were stored before a time.
fn of_all(
    store: &dyn Store,
    draft: &mut Draft,
    (before_ms, count_max): (u64, usize),
) -> Result<Vec<ArticleNumber>, EngineError> {
    let rows = draft.rows(Space::StoredAt, &[][..]..&KEYS_END[..], ROWS_MAX)?;
    let until_ms = |value: &[u8]| value.try_into().map_or(0, u64::from_le_bytes);
    let mut over = rows.iter().take_while(|(_, value)| until_ms(value) <= before_ms).count();
    if over == ROWS_MAX {
        // There may be others behind the last.
        over -= 1;
    }
    if over == 0 {
        return Ok(Vec::new());
    }
    // Up to where the next ones begin; all, if there are none.
    let (over, others) = rows.split_at(over);
    let end = others.first().and_then(|it| u32_at(&it.0, 0)).unwrap_or(u32::MAX);
    let numbers = store.scan(Part::Features, None, count_max)?.into_iter().map(|it| it.0);
    let numbers: Vec<ArticleNumber> = numbers.take_while(|it| it.0 < end).collect();
    if numbers.len() < count_max {
        for (key, _) in over {
            draft.unset(Space::StoredAt, key.clone());
        }
    }
    Ok(numbers)
}

/// Until when articles are covered by the last row.
/// Where it stands when the last row ends.
pub(super) fn row() -> RowKey {
    (Space::Counter, LAST.to_vec())
}

fn stored_until(draft: &Draft) -> Result<Option<u64>, EngineError> {
    let row = draft.row(Space::Counter, LAST)?;
    Ok(row.and_then(|it| it.try_into().ok()).map(u64::from_le_bytes))
}

fn expiry_key(expires_s: i64, number: ArticleNumber) -> Vec<u8> {
    let seconds = u64::try_from(expires_s).unwrap_or(0);
    key([&ordered_64(seconds), &ordered_32(number.0)])
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
