//! What a commit appends to the groups of its postings, and sets beside them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use redis::Value;

use crate::cluster::Command;
use crate::hash::HashMap;
use crate::index::cluster::fetched::{COLUMN_BYTES, Column};
use crate::index::cluster::group::{self, Kind, Posting};
use crate::index::cluster::{COLUMNS_TOGETHER, ClusterIndex, Shared, keys_of};
use crate::index::{Entry, IndexError};

/// Appends, also where there is no memory left.
const APPEND_FULL: &str = r"#!lua flags=allow-oom
return redis.call('APPEND', KEYS[1], ARGV[1])
";

/// Articles of a commit in the making.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) entries: BTreeMap<u32, Entry>,
    /// What others have put in since the lists were read that this turn goes by.
    pub(super) news: BTreeMap<u32, Entry>,
    pub(super) by_key: HashMap<(Kind, u64), Vec<u32>>,
}

impl Staged {
    pub(super) fn insert(&mut self, entry: &Entry) {
        self.add(entry);
        self.entries.insert(entry.number.0, entry.clone());
    }

    pub(super) fn add_news(&mut self, entry: &Entry) {
        self.add(entry);
        self.news.insert(entry.number.0, entry.clone());
    }

    fn add(&mut self, entry: &Entry) {
        for key in keys_of(entry) {
            self.by_key.entry(key).or_default().push(entry.number.0);
        }
    }

    /// Says whether it was there.
    pub(super) fn remove(&mut self, entry: &Entry) -> bool {
        let Some(entry) = self.entries.remove(&entry.number.0) else { return false };
        self.take_keys(&entry);
        true
    }

    pub(super) fn forget_news(&mut self) {
        for entry in std::mem::take(&mut self.news).into_values() {
            self.take_keys(&entry);
        }
    }

    fn take_keys(&mut self, entry: &Entry) {
        for key in keys_of(entry) {
            if let Some(numbers) = self.by_key.get_mut(&key) {
                numbers.retain(|it| *it != entry.number.0);
            }
        }
    }
}

/// What is appended to groups.
pub(super) type Postings = BTreeMap<(Kind, u64), Vec<u8>>;

impl ClusterIndex {
    /// Counts postings that come or go. About: what is tried again is counted again.
    pub(super) fn count(&self, groups: &Postings, is_gone: bool) -> Vec<Command> {
        let mut count_of: BTreeMap<Kind, i64> = BTreeMap::new();
        for ((kind, _), bytes) in groups {
            let count = i64::try_from(bytes.len() / kind.bytes()).unwrap_or(0);
            *count_of.entry(*kind).or_default() += if is_gone { -count } else { count };
        }
        let count = |(kind, count): (Kind, i64)| {
            let key = self.postings_key();
            Command::new("HINCRBY", &key).arg(kind.letter().to_string()).arg(count)
        };
        count_of.into_iter().map(count).collect()
    }

    pub(super) fn postings_key(&self) -> Vec<u8> {
        self.shared.cluster.key("{turn}:postings")
    }

    /// Where a column is.
    pub(super) fn column(&self, number: u32) -> (Vec<u8>, usize) {
        let key = self.shared.cluster.key(format_args!("c:{}", number / COLUMNS_TOGETHER));
        (key, (number % COLUMNS_TOGETHER) as usize * COLUMN_BYTES)
    }

    /// The postings, those of a group together.
    pub(super) fn postings(&self, entries: &[Entry], is_gone: bool) -> Postings {
        let mut groups = Postings::new();
        for entry in entries {
            let simhash = entry.keys.sketch.simhash;
            for (kind, key) in keys_of(entry) {
                let place = self.shared.groups.place(kind, key);
                let bytes = groups.entry((kind, place.group)).or_default();
                group::append(bytes, place, entry.number.0, Posting { simhash, is_gone });
            }
        }
        groups
    }

    /// Sets columns, and counts postings.
    pub(super) fn beside(
        &self,
        entries: &[Entry],
        groups: &Postings,
        is_gone: bool,
    ) -> Vec<Command> {
        let columns = entries.iter().map(|entry| {
            let (key, start) = self.column(entry.number.0);
            let bytes = if is_gone { [0; COLUMN_BYTES] } else { Column::of(entry).encode() };
            Command::new("SETRANGE", &key).arg(start).arg(&bytes[..])
        });
        columns.chain(self.count(groups, is_gone)).collect()
    }

    /// Appends postings, and sets what stands beside them.
    pub(super) fn append(
        &self,
        entries: &[Entry],
        groups: &Postings,
        is_gone: bool,
    ) -> Vec<Command> {
        let key = |it: &(Kind, u64)| self.shared.groups.key(it.0, it.1);
        let append =
            groups.iter().map(|(group, bytes)| Command::new("APPEND", &key(group)).arg(&bytes[..]));
        append.chain(self.beside(entries, groups, is_gone)).collect()
    }

    /// Appends where there is no memory left: what frees it in the end, or was acknowledged.
    pub(super) fn append_always(&self, groups: &Postings) -> Result<(), IndexError> {
        let key = |it: &(Kind, u64)| self.shared.groups.key(it.0, it.1);
        let append = groups
            .iter()
            .map(|(group, bytes)| Command::script(APPEND_FULL, &[&key(group)]).arg(&bytes[..]));
        self.shared.cluster.write(&append.collect::<Vec<_>>())?;
        Ok(())
    }
}

impl Shared {
    /// Looks at how much groups have by now.
    pub(super) fn have_grown(&self, groups: &Postings, replies: &[Value]) {
        for ((group, bytes), reply) in groups.iter().zip(replies) {
            if let Value::Int(len) = reply {
                let len = usize::try_from(*len).unwrap_or(0);
                self.tidy.has_grown(*group, bytes.len(), len);
            }
        }
        self.counted_ms.store(0, Ordering::Release);
    }
}
