//! The tables of the embedded store, and how records are packed into them.

use redb::{
    AccessGuard, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};

use crate::store::embedded::{FORMAT, failed};
use crate::store::pack::{Pack, PackBuilder};
use crate::store::{ArticleNumber, Part, State, StoreError, Write};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const IDS: TableDefinition<'_, &str, u32> = TableDefinition::new("ids");
const ARTICLES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("articles");
const FEATURES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("features");
const REMOVED: TableDefinition<'_, u64, (u32, &[u8])> = TableDefinition::new("removed");
const KEPT: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("kept");

const META_FORMAT: &str = "format";
const META_IDENTITY: &str = "identity";
const META_COUNT: &str = "count";
const META_NEXT: &str = "next";
const META_REMOVALS: &str = "removals";
const META_FORGOTTEN: &str = "forgotten";

/// What redb keeps beside a value in its page.
const PAGE_HEAD_BYTES: usize = 64;
/// Bytes of a pack, at most, unless one record has more. Features are read one by one
/// by every question, so that their packs are small; articles are read in rows.
const FEATURES_PACK_BYTES: usize = (16 << 10) - PAGE_HEAD_BYTES;
const ARTICLES_PACK_BYTES: usize = (64 << 10) - PAGE_HEAD_BYTES;

/// The key of a pack and its bytes.
type PackRow = (u32, AccessGuard<'static, &'static [u8]>);

/// The tables, open for reading as of one commit.
#[derive(Debug)]
pub(super) struct Snapshot {
    meta: ReadOnlyTable<&'static str, u64>,
    pub(super) ids: ReadOnlyTable<&'static str, u32>,
    articles: ReadOnlyTable<u32, &'static [u8]>,
    features: ReadOnlyTable<u32, &'static [u8]>,
    pub(super) removed: ReadOnlyTable<u64, (u32, &'static [u8])>,
    kept: ReadOnlyTable<u32, &'static [u8]>,
}

impl Snapshot {
    pub(super) fn of(database: &Database) -> Result<Self, StoreError> {
        let transaction = database.begin_read().map_err(failed)?;
        Ok(Self {
            meta: transaction.open_table(META).map_err(failed)?,
            ids: transaction.open_table(IDS).map_err(failed)?,
            articles: transaction.open_table(ARTICLES).map_err(failed)?,
            features: transaction.open_table(FEATURES).map_err(failed)?,
            removed: transaction.open_table(REMOVED).map_err(failed)?,
            kept: transaction.open_table(KEPT).map_err(failed)?,
        })
    }

    pub(super) fn table(&self, part: Part) -> &ReadOnlyTable<u32, &'static [u8]> {
        match part {
            Part::Article => &self.articles,
            Part::Features => &self.features,
        }
    }

    /// The pack in which a record is, if it is there, and the pack's key.
    pub(super) fn pack_of(&self, part: Part, number: u32) -> Result<Option<PackRow>, StoreError> {
        let row = self.table(part).range(..=number).map_err(failed)?.next_back();
        let row = row.transpose().map_err(failed)?;
        Ok(row.map(|(key, pack)| (key.value(), pack)))
    }

    pub(super) fn count(&self) -> Result<u64, StoreError> {
        meta(&self.meta, META_COUNT)
    }

    pub(super) fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kept.get(0).map_err(failed)?.map(|it| it.value().to_vec()))
    }

    pub(super) fn state(&self) -> Result<State, StoreError> {
        Ok(State {
            identity: meta(&self.meta, META_IDENTITY)?,
            next: next(&self.meta)?,
            removals: meta(&self.meta, META_REMOVALS)?,
            forgotten: meta(&self.meta, META_FORGOTTEN)?,
        })
    }
}

fn meta(table: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(table.get(name).map_err(failed)?.map_or(0, |it| it.value()))
}

fn next(table: &impl ReadableTable<&'static str, u64>) -> Result<ArticleNumber, StoreError> {
    Ok(ArticleNumber(u32::try_from(meta(table, META_NEXT)?).unwrap_or(u32::MAX)))
}

/// The tables, open for writing.
pub(super) struct Tables<'a> {
    meta: Table<'a, &'static str, u64>,
    ids: Table<'a, &'static str, u32>,
    articles: Table<'a, u32, &'static [u8]>,
    features: Table<'a, u32, &'static [u8]>,
    removed: Table<'a, u64, (u32, &'static [u8])>,
    kept: Table<'a, u32, &'static [u8]>,
}

impl<'a> Tables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            meta: transaction.open_table(META).map_err(failed)?,
            ids: transaction.open_table(IDS).map_err(failed)?,
            articles: transaction.open_table(ARTICLES).map_err(failed)?,
            features: transaction.open_table(FEATURES).map_err(failed)?,
            removed: transaction.open_table(REMOVED).map_err(failed)?,
            kept: transaction.open_table(KEPT).map_err(failed)?,
        })
    }

    /// Checks the format, or writes it into new tables.
    pub(super) fn prepare(mut self) -> Result<(), StoreError> {
        let found = self.meta.get(META_FORMAT).map_err(failed)?.map(|it| it.value());
        match found {
            Some(format) if format == u64::from(FORMAT) => Ok(()),
            Some(format) => {
                let found = u32::try_from(format).unwrap_or(u32::MAX);
                Err(StoreError::Format { found, expected: FORMAT })
            }
            None => {
                let identity = crate::hash::random_64();
                self.set(META_IDENTITY, identity)?;
                self.set(META_FORMAT, u64::from(FORMAT))
            }
        }
    }

    /// Does all of the writes in order; `remembers` what is removed.
    pub(super) fn write(&mut self, writes: &[Write], remembers: bool) -> Result<(), StoreError> {
        let mut count = meta(&self.meta, META_COUNT)?;
        let mut next = next(&self.meta)?.0;
        let inserts = |it: &&Write| matches!(it, Write::Insert { .. });
        let mut rest = writes;
        // Inserts in a row fill packs together.
        while !rest.is_empty() {
            let (new, others) = rest.split_at(rest.iter().take_while(inserts).count());
            rest = others;
            self.insert(new)?;
            count += new.len() as u64;
            if let Some(Write::Insert { number, .. }) = new.last() {
                next = number.0.saturating_add(1);
            }
            if let Some((Write::Remove { number, id }, others)) = rest.split_first() {
                rest = others;
                count -= u64::from(self.remove(*number, id, remembers)?);
            }
        }
        self.set(META_COUNT, count)?;
        self.set(META_NEXT, u64::from(next))
    }

    pub(super) fn forget_removed(&mut self, before: u64) -> Result<(), StoreError> {
        self.removed.retain_in(..before, |_, _| false).map_err(failed)?;
        let forgotten = meta(&self.meta, META_FORGOTTEN)?.max(before);
        self.set(META_FORGOTTEN, forgotten)
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.kept.insert(0, bytes).map_err(failed).map(drop)
    }

    fn insert(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut articles = Packer::at_the_end_of(&mut self.articles, ARTICLES_PACK_BYTES)?;
        let mut features = Packer::at_the_end_of(&mut self.features, FEATURES_PACK_BYTES)?;
        for write in writes {
            if let Write::Insert { number, id, article, features: computed } = write {
                self.ids.insert(id.as_str(), number.0).map_err(failed)?;
                articles.push(number.0, article)?;
                features.push(number.0, computed)?;
            }
        }
        articles.flush()?;
        features.flush()
    }

    /// Whether the record was there.
    fn remove(
        &mut self,
        number: ArticleNumber,
        id: &str,
        remembers: bool,
    ) -> Result<bool, StoreError> {
        let named = self.ids.get(id).map_err(failed)?.map(|it| it.value());
        if named == Some(number.0) {
            self.ids.remove(id).map_err(failed)?;
        }
        take(&mut self.articles, number.0)?;
        let features = take(&mut self.features, number.0)?;
        if let Some(features) = features.as_ref().filter(|_| remembers) {
            let place = meta(&self.meta, META_REMOVALS)?;
            self.removed.insert(place, (number.0, features.as_slice())).map_err(failed)?;
            self.set(META_REMOVALS, place + 1)?;
        }
        Ok(features.is_some())
    }

    fn set(&mut self, name: &str, value: u64) -> Result<(), StoreError> {
        self.meta.insert(name, value).map_err(failed).map(drop)
    }
}

/// Appends records to the packs of a table.
struct Packer<'a, 'txn> {
    table: &'a mut Table<'txn, u32, &'static [u8]>,
    bytes_max: usize,
    pack: PackBuilder,
}

impl<'a, 'txn> Packer<'a, 'txn> {
    /// Goes on with the last pack.
    fn at_the_end_of(
        table: &'a mut Table<'txn, u32, &'static [u8]>,
        bytes_max: usize,
    ) -> Result<Self, StoreError> {
        let mut pack = PackBuilder::default();
        if let Some((_, last)) = table.last().map_err(failed)?
            && last.value().len() < bytes_max
        {
            for record in Pack::of(last.value()).map_err(StoreError::Damaged)?.records() {
                let (number, record) = record.map_err(StoreError::Damaged)?;
                pack.push(number, record);
            }
        }
        Ok(Self { table, bytes_max, pack })
    }

    fn push(&mut self, number: u32, record: &[u8]) -> Result<(), StoreError> {
        if self.pack.bytes_with(record.len()) > self.bytes_max {
            self.flush()?;
        }
        self.pack.push(number, record);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let pack = std::mem::take(&mut self.pack);
        if let Some(first) = pack.first() {
            self.table.insert(first, pack.finish().as_slice()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Takes a record out of its pack.
fn take(
    table: &mut Table<'_, u32, &'static [u8]>,
    number: u32,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (mut taken, mut rest) = (None, PackBuilder::default());
    let key = {
        let row = table.range(..=number).map_err(failed)?.next_back();
        let Some((key, pack)) = row.transpose().map_err(failed)? else { return Ok(None) };
        for record in Pack::of(pack.value()).map_err(StoreError::Damaged)?.records() {
            let (found, record) = record.map_err(StoreError::Damaged)?;
            if found == number {
                taken = Some(record.to_vec());
            } else {
                rest.push(found, record);
            }
        }
        key.value()
    };
    if taken.is_none() {
        return Ok(None);
    }
    // A pack is found by the first of its numbers, so that it moves with it.
    table.remove(key).map_err(failed)?;
    if let Some(first) = rest.first() {
        table.insert(first, rest.finish().as_slice()).map_err(failed)?;
    }
    Ok(taken)
}
