//! Records as they will be when a commit is done: by this the writer asks about articles
//! that are not stored yet, with the same questions as about those that are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::store::cluster::Orphans;
use crate::store::damage::{Damage, DamageLog};
use crate::store::{
    ArticleNumber, Part, Row, RowKey, Space, State, Store, StoreError, Turn, View, Write,
};

/// A store with some records more, and some less. It cannot be written to.
#[derive(Debug)]
pub struct PendingStore {
    under: Arc<dyn Store>,
    /// The writes with new records, by number; `None` for what is removed.
    changed: BTreeMap<ArticleNumber, Option<Write>>,
}

impl PendingStore {
    /// What `under` will be. Only inserts and removals count.
    pub fn new(under: Arc<dyn Store>, writes: Vec<Write>) -> Self {
        let mut changed = BTreeMap::new();
        for write in writes {
            match write {
                Write::Insert { number, .. } => drop(changed.insert(number, Some(write))),
                Write::Remove { number, .. } => drop(changed.insert(number, None)),
                Write::Set { .. } | Write::Unset { .. } | Write::Reserve { .. } => {}
            }
        }
        Self { under, changed }
    }

    /// The inserts, by number.
    pub fn into_inserts(self) -> impl Iterator<Item = Write> {
        self.changed.into_values().flatten()
    }

    fn record(write: &Write, part: Part) -> &[u8] {
        match (write, part) {
            (Write::Insert { article, .. }, Part::Article) => article,
            (Write::Insert { features, .. }, Part::Features) => features,
            _ => &[],
        }
    }
}

impl Store for PendingStore {
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError> {
        self.under.numbers(ids)
    }

    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        let mut stored = Vec::with_capacity(numbers.len());
        for number in numbers {
            match self.changed.get(number) {
                Some(Some(write)) => visit(*number, Self::record(write, part)),
                Some(None) => {}
                None => stored.push(*number),
            }
        }
        self.under.read(part, &stored, visit)
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.under.scan(part, after, count_max)
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.under.row(space, key)
    }

    fn each_row(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.under.each_row(keys)
    }

    fn each_prefix(&self, prefixes: &[RowKey]) -> Result<Vec<Vec<Row>>, StoreError> {
        self.under.each_prefix(prefixes)
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.under.rows(space, keys, count_max)
    }

    fn begin(&self, _: bool) -> Result<Option<Turn>, StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn end(&self, _: bool) {}

    fn orphans(&self) -> Result<Option<Orphans>, StoreError> {
        self.under.orphans()
    }

    fn forget_orphans(&self, _: &Orphans) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn is_shared(&self) -> bool {
        self.under.is_shared()
    }

    fn quiet(&self) -> Result<Option<u64>, StoreError> {
        self.under.quiet()
    }

    fn prefetch(&self, ids: &[&str], rows: &[RowKey], kept: bool) {
        self.under.prefetch(ids, rows, kept);
    }

    fn for_writer(&self) -> Option<Arc<dyn Store>> {
        self.under.for_writer()
    }

    fn commit(&self, _: &[Write]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn next_number(&self) -> Result<ArticleNumber, StoreError> {
        self.under.next_number()
    }

    fn numbers_end(&self) -> Result<ArticleNumber, StoreError> {
        self.under.numbers_end()
    }

    fn record_count(&self) -> Result<u64, StoreError> {
        self.under.record_count()
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        self.under.bytes()
    }

    fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.under.removed()
    }

    fn forget_removed(&self, _: u64) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.under.kept()
    }

    fn keep(&self, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn recover(&self) -> Result<Option<bool>, StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn state(&self) -> Result<State, StoreError> {
        self.under.state()
    }

    fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        self.under.check(found)
    }

    fn copy(&self, take: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), StoreError> {
        self.under.copy(take)
    }

    fn view(&self) -> Result<Arc<dyn View>, StoreError> {
        self.under.view()
    }

    fn damage(&self) -> &DamageLog {
        self.under.damage()
    }
}
