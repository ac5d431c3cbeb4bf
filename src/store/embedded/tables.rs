//! The tables of the embedded store.

use std::ops::Range;

use redb::{
    AccessGuard, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};

use crate::store::damage::Damage;
use crate::store::embedded::pack_keys::PackKeys;
use crate::store::embedded::packer::{Packer, seal_packs, take};
use crate::store::embedded::{failed, seal};
use crate::store::pack::{self, Pack};
use crate::store::{ArticleNumber, Part, Row, Space, State, StoreError, Write};

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const IDS: TableDefinition<'_, &str, u32> = TableDefinition::new("ids");
const ARTICLES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("articles");
const FEATURES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("features");
pub(super) const REMOVED: TableDefinition<'_, u64, (u32, &[u8])> = TableDefinition::new("removed");
const KEPT: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("kept");
const ROWS: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("sealed_rows");
/// Rows as they were before they had seals.
pub(super) const BARE_ROWS: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("rows");

pub(super) const META_FORMAT: &str = "format";
const META_IDENTITY: &str = "identity";
const META_COUNT: &str = "count";
const META_NEXT: &str = "next";
const META_REMOVALS: &str = "removals";
const META_FORGOTTEN: &str = "forgotten";
/// Changes so far: by this it is seen whether one that was in doubt is stored.
const META_SEQUENCE: &str = "sequence";
/// XXH3 of the others, so that none of them is taken for another number.
const META_SUM: &str = "sum";
const META_SUMMED: [&str; 6] =
    [META_FORMAT, META_IDENTITY, META_COUNT, META_NEXT, META_REMOVALS, META_FORGOTTEN];
/// The keys of what is kept, and of its seal.
const KEPT_KEY: u32 = 0;
const KEPT_SEAL_KEY: u32 = 1;

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
    pub(super) meta: ReadOnlyTable<&'static str, u64>,
    pub(super) ids: ReadOnlyTable<&'static str, u32>,
    pub(super) articles: ReadOnlyTable<u32, &'static [u8]>,
    pub(super) features: ReadOnlyTable<u32, &'static [u8]>,
    pub(super) removed: ReadOnlyTable<u64, (u32, &'static [u8])>,
    pub(super) kept: ReadOnlyTable<u32, &'static [u8]>,
    pub(super) rows: ReadOnlyTable<(u8, &'static [u8]), &'static [u8]>,
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
            rows: transaction.open_table(ROWS).map_err(failed)?,
        })
    }

    pub(super) fn table(&self, part: Part) -> &ReadOnlyTable<u32, &'static [u8]> {
        match part {
            Part::Article => &self.articles,
            Part::Features => &self.features,
        }
    }

    /// The pack that begins here.
    pub(super) fn pack_at(&self, part: Part, key: u32) -> Result<Option<PackRow>, StoreError> {
        Ok(self.table(part).get(key).map_err(failed)?.map(|pack| (key, pack)))
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

    pub(super) fn sequence(&self) -> Result<u64, StoreError> {
        meta(&self.meta, META_SEQUENCE)
    }

    pub(super) fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(kept) = self.kept.get(KEPT_KEY).map_err(failed)? else { return Ok(None) };
        let seal = self.kept.get(KEPT_SEAL_KEY).map_err(failed)?;
        let sealed = [kept.value(), seal.as_ref().map_or(&[][..], |it| it.value())].concat();
        let opened = seal::open(&[], &sealed);
        let kept = opened.ok_or(StoreError::Damaged("its dictionary is not what was written"))?;
        Ok(Some(kept.to_vec()))
    }

    /// What is known of the whole is what was written.
    pub(super) fn check_meta(&self) -> Result<(), StoreError> {
        let is_sound = meta(&self.meta, META_SUM)? == meta_sum(&self.meta)?;
        if is_sound {
            Ok(())
        } else {
            Err(StoreError::Damaged("its counts are not what was written"))
        }
    }

    /// What was removed and is remembered.
    pub(super) fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        let rows = self.removed.iter().map_err(failed)?;
        rows.map(|row| {
            let (place, value) = row.map_err(failed)?;
            let (number, sealed) = value.value();
            let features = open_removed(place.value(), number, sealed);
            let lost = StoreError::Damaged("what it remembers of removals is not what was written");
            Ok((ArticleNumber(number), features.ok_or(lost)?.to_vec()))
        })
        .collect()
    }

    pub(super) fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.rows.get((space as u8, key)).map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let opened = open_row(space as u8, key, row.value());
        let damage = || Damage::Row { space, key: key.to_vec() };
        opened.map(|it| Some(it.to_vec())).ok_or_else(|| StoreError::DamagedRow(damage()))
    }

    /// Tells of each row that is not what was written.
    pub(super) fn check_rows(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        for row in self.rows.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (space, key) = key.value();
            if open_row(space, key, value.value()).is_none() {
                let known = Space::ALL.into_iter().find(|it| *it as u8 == space);
                let space = known.unwrap_or(Space::Counter);
                found(Damage::Row { space, key: key.to_vec() });
            }
        }
        Ok(())
    }

    pub(super) fn rows(
        &self,
        (space, keys): (Space, Range<&[u8]>),
        count_max: usize,
        found_damage: &mut dyn FnMut(Damage),
    ) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        if keys.start >= keys.end || count_max == 0 {
            return Ok(found);
        }
        let range = (space as u8, keys.start)..(space as u8, keys.end);
        for row in self.rows.range(range).map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (_, key) = key.value();
            match open_row(space as u8, key, value.value()) {
                Some(value) => found.push((key.to_vec(), value.to_vec())),
                None => found_damage(Damage::Row { space, key: key.to_vec() }),
            }
            if found.len() == count_max {
                break;
            }
        }
        Ok(found)
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

fn open_row<'a>(space: u8, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    seal::open(&[&[space], key], sealed)
}

fn open_removed(place: u64, number: u32, sealed: &[u8]) -> Option<&[u8]> {
    seal::open(&[&place.to_le_bytes(), &number.to_le_bytes()], sealed)
}

/// A pack that is what was written under its key.
pub(super) fn open_pack(key: u32, bytes: &[u8]) -> Result<Pack<'_>, pack::Damage> {
    let pack = Pack::of(bytes)?;
    if pack.first() == Some(key) { Ok(pack) } else { Err("a pack of records has another key") }
}

fn meta_sum(table: &impl ReadableTable<&'static str, u64>) -> Result<u64, StoreError> {
    let mut bytes = Vec::with_capacity(META_SUMMED.len() * 8);
    for name in META_SUMMED {
        bytes.extend_from_slice(&meta(table, name)?.to_le_bytes());
    }
    Ok(crate::hash::persistent_64(&bytes))
}

fn meta(table: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(table.get(name).map_err(failed)?.map_or(0, |it| it.value()))
}

fn next(table: &impl ReadableTable<&'static str, u64>) -> Result<ArticleNumber, StoreError> {
    Ok(ArticleNumber(u32::try_from(meta(table, META_NEXT)?).unwrap_or(u32::MAX)))
}

/// The tables, open for writing.
pub(super) struct Tables<'a> {
    pub(super) meta: Table<'a, &'static str, u64>,
    pub(super) ids: Table<'a, &'static str, u32>,
    pub(super) articles: Table<'a, u32, &'static [u8]>,
    pub(super) features: Table<'a, u32, &'static [u8]>,
    pub(super) removed: Table<'a, u64, (u32, &'static [u8])>,
    pub(super) kept: Table<'a, u32, &'static [u8]>,
    pub(super) rows: Table<'a, (u8, &'static [u8]), &'static [u8]>,
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
            rows: transaction.open_table(ROWS).map_err(failed)?,
        })
    }

    /// The format; `None` of new tables.
    pub(super) fn format(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.meta.get(META_FORMAT).map_err(failed)?.map(|it| it.value()))
    }

    /// Says in new tables what they are.
    pub(super) fn begin(&mut self, format: u32) -> Result<(), StoreError> {
        self.set(META_IDENTITY, crate::hash::random_64())?;
        self.set(META_FORMAT, u64::from(format))
    }

    /// Seals what had no seals; the rows are given.
    pub(super) fn take_over(
        &mut self,
        format: u32,
        rows: &impl ReadableTable<(u8, &'static [u8]), &'static [u8]>,
    ) -> Result<(), StoreError> {
        seal_packs(&mut self.articles)?;
        seal_packs(&mut self.features)?;
        for row in rows.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (space, key) = key.value();
            let sealed = seal::seal(&[&[space], key], value.value());
            self.rows.insert((space, key), sealed.as_slice()).map_err(failed)?;
        }
        let removed = self.removed.iter().map_err(failed)?;
        let bare: Result<Vec<(u64, u32, Vec<u8>)>, StoreError> = removed
            .map(|row| {
                let (place, value) = row.map_err(failed)?;
                let (number, features) = value.value();
                Ok((place.value(), number, features.to_vec()))
            })
            .collect();
        for (place, number, features) in bare? {
            self.remember(place, (number, &features))?;
        }
        let kept = self.kept.get(KEPT_KEY).map_err(failed)?.map(|it| it.value().to_vec());
        if let Some(kept) = kept {
            self.keep(&kept)?;
        }
        self.set(META_FORMAT, u64::from(format))
    }

    /// To be called at the end of every change.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        let sum = meta_sum(&self.meta)?;
        self.set(META_SUM, sum)
    }

    /// Does all of the writes; `remembers` what is removed. `keys` learns of new packs of
    /// features.
    pub(super) fn write(
        &mut self,
        writes: &[Write],
        remembers: bool,
        keys: &PackKeys,
    ) -> Result<(), StoreError> {
        let removed = self.remove(writes, remembers, keys)?;
        let inserted = self.insert(writes, keys)?;
        let count = meta(&self.meta, META_COUNT)?;
        self.set(META_COUNT, (count + inserted).saturating_sub(removed))?;
        for write in writes {
            match write {
                Write::Set { space, key, value } => {
                    let sealed = seal::seal(&[&[*space as u8], key], value);
                    let key = (*space as u8, key.as_slice());
                    self.rows.insert(key, sealed.as_slice()).map_err(failed)?;
                }
                Write::Unset { space, key } => {
                    self.rows.remove((*space as u8, key.as_slice())).map_err(failed)?;
                }
                Write::Reserve { next: reserved } => {
                    let next = next(&self.meta)?.max(*reserved);
                    self.set(META_NEXT, u64::from(next.0))?;
                }
                Write::Insert { .. } | Write::Remove { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) fn forget_removed(&mut self, before: u64) -> Result<(), StoreError> {
        self.removed.retain_in(..before, |_, _| false).map_err(failed)?;
        let forgotten = meta(&self.meta, META_FORGOTTEN)?.max(before);
        self.set(META_FORGOTTEN, forgotten)
    }

    pub(super) fn count_change(&mut self, sequence: u64) -> Result<(), StoreError> {
        self.set(META_SEQUENCE, sequence)
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let sealed = seal::seal(&[], bytes);
        let (kept, seal) = sealed.split_at(bytes.len());
        self.kept.insert(KEPT_KEY, kept).map_err(failed)?;
        self.kept.insert(KEPT_SEAL_KEY, seal).map_err(failed).map(drop)
    }

    fn remember(&mut self, place: u64, (number, features): (u32, &[u8])) -> Result<(), StoreError> {
        let sealed = seal::seal(&[&place.to_le_bytes(), &number.to_le_bytes()], features);
        self.removed.insert(place, (number, sealed.as_slice())).map_err(failed).map(drop)
    }

    /// Inserts in a row fill packs together. Gives their number.
    fn insert(&mut self, writes: &[Write], keys: &PackKeys) -> Result<u64, StoreError> {
        let mut articles = Packer::at_the_end_of(&mut self.articles, ARTICLES_PACK_BYTES, None)?;
        let mut features =
            Packer::at_the_end_of(&mut self.features, FEATURES_PACK_BYTES, Some(keys))?;
        let (mut count, mut next) = (0, next(&self.meta)?.0);
        for write in writes {
            if let Write::Insert { number, id, article, features: computed } = write {
                self.ids.insert(id.as_str(), number.0).map_err(failed)?;
                articles.push(number.0, article)?;
                features.push(number.0, computed)?;
                count += 1;
                next = number.0.saturating_add(1);
            }
        }
        articles.flush()?;
        features.flush()?;
        self.set(META_NEXT, u64::from(next))?;
        Ok(count)
    }

    /// Removes the records that are there. Gives their number.
    fn remove(
        &mut self,
        writes: &[Write],
        remembers: bool,
        keys: &PackKeys,
    ) -> Result<u64, StoreError> {
        let mut numbers = Vec::new();
        for write in writes {
            if let Write::Remove { number, id } = write {
                let named = self.ids.get(id.as_str()).map_err(failed)?.map(|it| it.value());
                if named == Some(number.0) {
                    self.ids.remove(id.as_str()).map_err(failed)?;
                }
                numbers.push(number.0);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        take(&mut self.articles, &numbers, None)?;
        let taken = take(&mut self.features, &numbers, Some(keys))?;
        if remembers && !taken.is_empty() {
            let place = meta(&self.meta, META_REMOVALS)?;
            for (place, (number, features)) in (place..).zip(&taken) {
                self.remember(place, (*number, features))?;
            }
            self.set(META_REMOVALS, place + taken.len() as u64)?;
        }
        Ok(taken.len() as u64)
    }

    fn set(&mut self, name: &str, value: u64) -> Result<(), StoreError> {
        self.meta.insert(name, value).map_err(failed).map(drop)
    }
}
