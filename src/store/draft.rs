//! Rows as they will be when a commit is done: what the writer reads of them, changes,
//! and reads again before it commits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

use crate::store::{Row, RowKey, Space, Store, StoreError, Write, prefix_end};

/// Changes of rows that are not committed yet.
#[derive(Debug)]
pub struct Draft {
    under: Arc<dyn Store>,
    /// The value that a row will have; `None` where it is removed.
    changed: BTreeMap<RowKey, Option<Vec<u8>>>,
    writes_over_damage: bool,
    /// Rows that were read: nothing else changes them as long as the draft lives.
    read: RefCell<BTreeMap<RowKey, Option<Vec<u8>>>>,
    /// Rows that begin with some bytes, all of which were read.
    read_prefixes: RefCell<BTreeMap<RowKey, Vec<Row>>>,
}

impl Draft {
    /// No change yet.
    pub fn new(under: Arc<dyn Store>) -> Self {
        Self {
            under,
            changed: BTreeMap::new(),
            writes_over_damage: false,
            read: RefCell::default(),
            read_prefixes: RefCell::default(),
        }
    }

    /// The same for the writer: a row that is damaged counts as none, so that what is
    /// written is written.
    pub fn over_damage(under: Arc<dyn Store>) -> Self {
        Self { writes_over_damage: true, ..Self::new(under) }
    }

    /// Reads rows together that will be asked for.
    pub fn fetch(&self, keys: impl IntoIterator<Item = RowKey>) -> Result<(), StoreError> {
        if !self.under.is_shared() {
            // One look after the other costs as much.
            return Ok(());
        }
        let is_new =
            |it: &RowKey| !self.changed.contains_key(it) && !self.read.borrow().contains_key(it);
        let mut keys: Vec<RowKey> = keys.into_iter().filter(is_new).collect();
        keys.sort_unstable();
        keys.dedup();
        if !keys.is_empty() {
            let rows = self.under.each_row(&keys)?;
            self.read.borrow_mut().extend(keys.into_iter().zip(rows));
        }
        Ok(())
    }

    /// Reads rows together that begin with some bytes.
    pub fn fetch_prefixes(
        &self,
        prefixes: impl IntoIterator<Item = RowKey>,
    ) -> Result<(), StoreError> {
        if !self.under.is_shared() {
            return Ok(());
        }
        let is_new = |it: &RowKey| !self.read_prefixes.borrow().contains_key(it);
        let prefixes: Vec<RowKey> = prefixes.into_iter().filter(is_new).collect();
        if !prefixes.is_empty() {
            let rows = self.under.each_prefix(&prefixes)?;
            self.read_prefixes.borrow_mut().extend(prefixes.into_iter().zip(rows));
        }
        Ok(())
    }

    /// Rows of a space as they are known to be, for a draft that follows this one.
    pub fn known(&self, space: Space) -> BTreeMap<RowKey, Option<Vec<u8>>> {
        let read = self.read.borrow();
        let all = read.iter().chain(&self.changed).filter(|it| it.0.0 == space);
        all.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// Takes over what is known from the draft before.
    #[must_use]
    pub fn knowing(self, rows: BTreeMap<RowKey, Option<Vec<u8>>>) -> Self {
        self.read.borrow_mut().extend(rows);
        self
    }

    /// The row with this key.
    pub fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let place = (space, key.to_vec());
        if let Some(changed) = self.changed.get(&place) {
            return Ok(changed.clone());
        }
        if let Some(read) = self.read.borrow().get(&place) {
            return Ok(read.clone());
        }
        let row = match self.under.row(space, key) {
            // What a counter was cannot be had again.
            Err(StoreError::DamagedRow(damage))
                if self.writes_over_damage && space != Space::Counter =>
            {
                self.under.damage().note(damage);
                None
            }
            row => row?,
        };
        self.read.borrow_mut().insert(place, row.clone());
        Ok(row)
    }

    /// The rows of a space whose keys are in a range, ascending, at most `count_max`.
    pub fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let (start, end) = (keys.start.to_vec(), keys.end.to_vec());
        if start >= end {
            return Ok(Vec::new());
        }
        let range = (Bound::Included((space, start)), Bound::Excluded((space, end)));
        let changed: Vec<_> = self.changed.range(range).collect();
        // Each change takes the place of one stored row at most.
        let known = self.read_prefixes.borrow().get(&(space, keys.start.to_vec())).cloned();
        let stored = match known.filter(|_| keys.end == prefix_end(keys.start)) {
            Some(rows) => rows,
            None => self.under.rows(space, keys, count_max.saturating_add(changed.len()))?,
        };
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for ((_, key), value) in changed {
            match value {
                Some(value) => drop(rows.insert(key.clone(), value.clone())),
                None => drop(rows.remove(key)),
            }
        }
        Ok(rows.into_iter().take(count_max).collect())
    }

    /// Sets a row.
    pub fn set(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changed.insert((space, key.into()), Some(value.into()));
    }

    /// Removes a row.
    pub fn unset(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.changed.insert((space, key.into()), None);
    }

    /// The changes, as writes.
    pub fn into_writes(self) -> impl Iterator<Item = Write> {
        self.changed.into_iter().map(|((space, key), value)| match value {
            Some(value) => Write::Set { space, key, value },
            None => Write::Unset { space, key },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::EmbeddedStore;

    #[test]
    fn a_draft_is_read_as_what_it_will_be() {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory().unwrap());
        let mut draft = Draft::new(Arc::clone(&store));
        for key in ["a", "b", "c"] {
            draft.set(Space::Story, key, "1");
        }
        draft.set(Space::Member, "b", "other");
        let writes: Vec<Write> = draft.into_writes().collect();
        store.commit(&writes).unwrap();
        let mut draft = Draft::new(Arc::clone(&store));
        draft.unset(Space::Story, "a");
        draft.set(Space::Story, "b", "2");
        draft.set(Space::Story, "d", "2");
        let keys = |draft: &Draft, count| -> Vec<(String, String)> {
            let rows = draft.rows(Space::Story, &b"a"[..]..&b"z"[..], count).unwrap();
            let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
            rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(keys(&draft, 9), [pair("b", "2"), pair("c", "1"), pair("d", "2")]);
        assert_eq!(keys(&draft, 1), [pair("b", "2")]);
        assert_eq!(draft.row(Space::Story, b"a").unwrap(), None);
        assert_eq!(draft.row(Space::Story, b"c").unwrap().unwrap(), b"1");
        assert!(draft.rows(Space::Story, &b"z"[..]..&b"a"[..], 9).unwrap().is_empty());
        let writes: Vec<Write> = draft.into_writes().collect();
        store.commit(&writes).unwrap();
        assert_eq!(keys(&Draft::new(store), 9), [pair("b", "2"), pair("c", "1"), pair("d", "2")]);
    }
}
