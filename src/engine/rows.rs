//! Keys and counters of rows, and the pages of lists of them. Numbers stand in keys with
//! the highest byte first, so that keys sort as they do.

use crate::engine::article::ArticleId;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::hash;
use crate::store::draft::Draft;
pub(super) use crate::store::{KEYS_END, prefix_end};
use crate::store::{RowKey, Space, Store, StoreError, View};

/// Rows that one page of a list looks at, at most, however few of them pass.
const SCANNED_MAX: usize = 10_000;
/// Rows read at a time.
const BATCH: usize = 100;
/// Bytes of the first part of a key that is of an article.
pub(super) const PREFIX_BYTES: usize = 16;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    /// The number of the next teaser.
    TeaserNext,
    /// Teasers that wait.
    Teasers,
    /// The first resolution that is remembered.
    ResolutionFirst,
    /// The next resolution.
    ResolutionNext,
    /// Stories of two members or more.
    Stories,
    /// The next row of [`Space::ShelfLog`].
    ShelfNext,
}

impl Counter {
    /// All of them.
    pub(super) const ALL: [Self; 6] = [
        Self::TeaserNext,
        Self::Teasers,
        Self::ResolutionFirst,
        Self::ResolutionNext,
        Self::Stories,
        Self::ShelfNext,
    ];

    /// The rows of all of them.
    pub(super) fn rows() -> [RowKey; 6] {
        Self::ALL.map(|it| (Space::Counter, it.key().to_vec()))
    }

    pub(super) fn key(self) -> &'static [u8] {
        match self {
            Self::TeaserNext => b"teaser_next",
            Self::Teasers => b"teasers",
            Self::ResolutionFirst => b"resolution_first",
            Self::ResolutionNext => b"resolution_next",
            Self::Stories => b"stories",
            Self::ShelfNext => b"shelf_next",
        }
    }

    /// Refuses a store of which one is damaged: nothing could be written.
    pub(super) fn check_all(store: &dyn Store) -> Result<(), StoreError> {
        Self::ALL.into_iter().try_for_each(|it| it.stored(store).map(drop))
    }

    /// As it is stored.
    pub(super) fn stored(self, store: &dyn Store) -> Result<u64, StoreError> {
        Ok(number(store.row(Space::Counter, self.key())?))
    }

    /// As a view has it.
    pub(super) fn viewed(self, view: &dyn View) -> Result<u64, StoreError> {
        Ok(number(view.row(Space::Counter, self.key())?))
    }

    /// As it will be.
    pub(super) fn get(self, draft: &Draft) -> Result<u64, StoreError> {
        Ok(number(draft.row(Space::Counter, self.key())?))
    }

    pub(super) fn set(self, draft: &mut Draft, value: u64) {
        draft.set(Space::Counter, self.key(), value.to_le_bytes());
    }

    /// Adds one; gives the number before.
    pub(super) fn next(self, draft: &mut Draft) -> Result<u64, StoreError> {
        let value = self.get(draft)?;
        self.set(draft, value + 1);
        Ok(value)
    }
}

fn number(row: Option<Vec<u8>>) -> u64 {
    row.and_then(|it| it.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A number in a key.
#[expect(clippy::big_endian_bytes, reason = "keys sort as the numbers do")]
pub(super) fn ordered_32(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// A long number in a key.
#[expect(clippy::big_endian_bytes, reason = "keys sort as the numbers do")]
pub(super) fn ordered_64(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// A key of parts in a row.
pub(super) fn key<const N: usize>(parts: [&[u8]; N]) -> Vec<u8> {
    parts.concat()
}

/// The number that a key has from `at` on.
#[expect(clippy::big_endian_bytes, reason = "keys sort as the numbers do")]
pub(super) fn u32_at(key: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?))
}

/// The long number that a key has from `at` on.
#[expect(clippy::big_endian_bytes, reason = "keys sort as the numbers do")]
pub(super) fn u64_at(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
}

/// The first part of keys that are of an article, whatever its content.
pub(super) fn article_prefix(id: &ArticleId) -> [u8; PREFIX_BYTES] {
    hash::persistent_128(id.as_str().as_bytes()).to_le_bytes()
}

/// Removes the rows of a space that are of an article.
pub(super) fn forget(draft: &mut Draft, space: Space, id: &ArticleId) -> Result<(), EngineError> {
    let start = article_prefix(id);
    let end = prefix_end(&start);
    for (key, _) in draft.rows(space, &start[..]..&end[..], usize::MAX)? {
        draft.unset(space, key);
    }
    Ok(())
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// What the next page takes; `None` on the last one.
    pub next: Option<String>,
}

/// A page of the rows of a space that begin with a prefix: those that `read` makes an
/// item of. The token of a page is the last key of the page before, in hexadecimal.
pub(super) fn list<T>(
    store: &dyn Store,
    (space, prefix): (Space, &[u8]),
    (token, page_size): (&str, usize),
    mut read: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, EngineError>,
) -> Result<Listing<T>, EngineError> {
    let mut start = match parse_token(token)? {
        Some(last) if last.starts_with(prefix) => behind(&last),
        Some(_) => return Err(Invalid::new("page_token", Problem::NotAPageToken).into()),
        None => prefix.to_vec(),
    };
    let end = prefix_end(prefix);
    let (mut items, mut scanned) = (Vec::new(), 0);
    loop {
        let rows = store.rows(space, &start[..]..&end[..], BATCH)?;
        let is_last = rows.len() < BATCH;
        for (key, value) in rows {
            items.extend(read(&key, &value)?);
            scanned += 1;
            start = behind(&key);
            if items.len() == page_size || scanned == SCANNED_MAX {
                let more = !store.rows(space, &start[..]..&end[..], 1)?.is_empty();
                return Ok(Listing { items, next: more.then(|| token_of(&key)) });
            }
        }
        if is_last {
            return Ok(Listing { items, next: None });
        }
    }
}

fn behind(key: &[u8]) -> Vec<u8> {
    self::key([key, &[0]])
}

fn token_of(key: &[u8]) -> String {
    key.iter().flat_map(|it| [it >> 4, it & 15]).filter_map(digit).collect()
}

fn digit(value: u8) -> Option<char> {
    char::from_digit(u32::from(value), 16)
}

fn parse_token(token: &str) -> Result<Option<Vec<u8>>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let refused = || Invalid::new("page_token", Problem::NotAPageToken);
    let digits: Option<Vec<u8>> = token
        .bytes()
        .map(|it| char::from(it).to_digit(16).and_then(|it| u8::try_from(it).ok()))
        .collect();
    let digits = digits.filter(|it| it.len() % 2 == 0 && it.len() <= 2 * KEYS_END.len());
    let (pairs, _) = digits.as_deref().ok_or_else(refused)?.as_chunks::<2>();
    Ok(Some(pairs.iter().map(|[high, low]| high << 4 | low).collect()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Write;
    use crate::store::embedded::EmbeddedStore;

    #[test]
    fn pages_of_rows_have_each_row_once_and_stay_within_the_prefix() {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let mut draft = Draft::new(Arc::clone(&store));
        for number in 0..250_u32 {
            draft.set(Space::Member, key([&[7], &ordered_32(number)]), [0]);
            draft.set(Space::Member, key([&[8], &ordered_32(number)]), [0]);
        }
        store.commit(&draft.into_writes().collect::<Vec<Write>>()).unwrap();
        for (page_size, strict) in [(1, 1), (7, 1), (100, 3), (250, 1), (1000, 2)] {
            let (mut token, mut all, mut pages) = (String::new(), Vec::new(), 0);
            loop {
                let read = |key: &[u8], _: &[u8]| Ok(u32_at(key, 1).filter(|it| it % strict == 0));
                let page =
                    list(store.as_ref(), (Space::Member, &[7]), (&token, page_size), read).unwrap();
                all.extend(page.items);
                pages += 1;
                match page.next {
                    Some(next) => token = next,
                    None => break,
                }
            }
            let expected: Vec<u32> = (0..250).filter(|it| it % strict == 0).collect();
            assert_eq!(all, expected);
            assert_eq!(pages, expected.len().div_ceil(page_size).max(1), "{page_size}");
        }
        for bad in ["x", "0", "08", &"00".repeat(65), "é0"] {
            let read = |_: &[u8], _: &[u8]| Ok(Some(()));
            assert!(list(store.as_ref(), (Space::Member, &[7]), (bad, 9), read).is_err(), "{bad}");
        }
    }
}
