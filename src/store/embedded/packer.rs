//! How records are packed into the tables.

use redb::{ReadableTable as _, Table};

use crate::store::StoreError;
use crate::store::embedded::failed;
use crate::store::embedded::pack_keys::PackKeys;
use crate::store::embedded::tables::open_pack;
use crate::store::pack::{Pack, PackBuilder};

/// Gives packs that have none their checksums.
pub(super) fn seal_packs(table: &mut Table<'_, u32, &'static [u8]>) -> Result<(), StoreError> {
    let keys = table.iter().map_err(failed)?.map(|row| row.map(|it| it.0.value()));
    let keys: Vec<u32> = keys.collect::<Result<_, _>>().map_err(failed)?;
    for key in keys {
        let mut sealed = PackBuilder::default();
        if let Some(bare) = table.get(key).map_err(failed)? {
            for record in Pack::of_bare(bare.value()).map_err(StoreError::Damaged)?.records() {
                let (number, record) = record.map_err(StoreError::Damaged)?;
                sealed.push(number, record);
            }
        }
        table.insert(key, sealed.finish().as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Appends records to the packs of a table.
pub(super) struct Packer<'a, 'txn> {
    table: &'a mut Table<'txn, u32, &'static [u8]>,
    bytes_max: usize,
    pack: PackBuilder,
    /// Learns where packs begin.
    keys: Option<&'a PackKeys>,
}

impl<'a, 'txn> Packer<'a, 'txn> {
    /// Goes on with the last pack, unless that is damaged: it stays as it is.
    pub(super) fn at_the_end_of(
        table: &'a mut Table<'txn, u32, &'static [u8]>,
        bytes_max: usize,
        keys: Option<&'a PackKeys>,
    ) -> Result<Self, StoreError> {
        let mut pack = PackBuilder::default();
        if let Some((key, last)) = table.last().map_err(failed)?
            && last.value().len() < bytes_max
            && let Ok(last) = open_pack(key.value(), last.value())
        {
            for record in last.records() {
                let (number, record) = record.map_err(StoreError::Damaged)?;
                pack.push(number, record);
            }
        }
        Ok(Self { table, bytes_max, pack, keys })
    }

    pub(super) fn push(&mut self, number: u32, record: &[u8]) -> Result<(), StoreError> {
        if self.pack.bytes_with(record.len()) > self.bytes_max {
            self.flush()?;
        }
        self.pack.push(number, record);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let pack = std::mem::take(&mut self.pack);
        if let Some(first) = pack.first() {
            self.table.insert(first, pack.finish().as_slice()).map_err(failed)?;
            if let Some(keys) = self.keys {
                keys.add(first);
            }
        }
        Ok(())
    }
}

/// Takes records out of their packs, each pack once; `numbers` ascend. Gives those that
/// were there. Packs that are damaged stay as they are; `keys` forgets those that go.
pub(super) fn take(
    table: &mut Table<'_, u32, &'static [u8]>,
    numbers: &[u32],
    keys: Option<&PackKeys>,
) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let mut taken = Vec::new();
    let mut left = numbers;
    while let Some(number) = left.first() {
        let (before, mut rest) = (taken.len(), PackBuilder::default());
        let key = {
            let row = table.range(..=*number).map_err(failed)?.next_back();
            let Some((key, pack)) = row.transpose().map_err(failed)? else {
                left = left.get(1..).unwrap_or_default();
                continue;
            };
            let Ok(pack) = open_pack(key.value(), pack.value()) else {
                left = left.get(1..).unwrap_or_default();
                continue;
            };
            let end = pack.last().unwrap_or(*number).max(*number);
            let (here, others) = left.split_at(left.partition_point(|it| *it <= end));
            left = others;
            for record in pack.records() {
                let (found, record) = record.map_err(StoreError::Damaged)?;
                if here.binary_search(&found).is_ok() {
                    taken.push((found, record.to_vec()));
                } else {
                    rest.push(found, record);
                }
            }
            key.value()
        };
        if taken.len() == before {
            continue;
        }
        // A pack is found by the first of its numbers, so that it moves with it.
        table.remove(key).map_err(failed)?;
        if let Some(keys) = keys {
            keys.remove(key);
        }
        if let Some(first) = rest.first() {
            table.insert(first, rest.finish().as_slice()).map_err(failed)?;
        }
    }
    Ok(taken)
}
