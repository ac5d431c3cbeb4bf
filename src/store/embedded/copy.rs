//! A copy of all that one commit left, as bytes, and the file that is made of them.
//!
//! | bytes | what                                                                   |
//! |-------|------------------------------------------------------------------------|
//! | 8     | `dblncpy\0`                                                            |
//! | 4     | the format of the tables, little-endian as all                         |
//! | ...   | entries: the table (1), the length of the key (4), the key, the length |
//! |       | of the value (4), the value; keys of one table ascend                  |
//! | 1     | 0xff                                                                   |
//! | 8     | number of entries                                                      |
//! | 8     | XXH3 of the XXH3 of all entries before the last, and of the last       |

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use redb::{Database, ReadableTable};

use crate::hash;
use crate::store::StoreError;
use crate::store::embedded::tables::{Snapshot, Tables};
use crate::store::embedded::{FILE_NAME, FORMAT, NEW_SUFFIX, failed};

const MAGIC: &[u8; 8] = b"dblncpy\0";
const END: u8 = 0xff;
/// Bytes of a part of the copy, as soon as there are so many.
const CHUNK_BYTES: usize = 1 << 20;
const CUT: StoreError = StoreError::Damaged("the copy is cut short");

/// Gives the copy part by part; stops when a part is not taken.
pub(super) fn write(
    snapshot: &Snapshot,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), StoreError> {
    let mut chunk = [&MAGIC[..], &FORMAT.to_le_bytes()].concat();
    let (mut count, mut sum) = (0_u64, 0_u64);
    let is_whole = snapshot.entries(&mut |entry| {
        let bytes = encode(entry);
        (count, sum) = (count + 1, chain(sum, &bytes));
        chunk.extend_from_slice(&bytes);
        chunk.len() < CHUNK_BYTES || take(std::mem::take(&mut chunk))
    })?;
    if is_whole {
        chunk.push(END);
        chunk.extend_from_slice(&count.to_le_bytes());
        chunk.extend_from_slice(&sum.to_le_bytes());
        take(chunk);
    }
    Ok(())
}

/// Makes the file in a folder that has none, of the parts that `next` gives.
pub(super) fn read(
    folder: &Path,
    next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<(), StoreError> {
    let unusable = |it: std::io::Error| StoreError::Folder {
        folder: folder.display().to_string(),
        problem: it.to_string(),
    };
    let path = folder.join(FILE_NAME);
    if path.exists() {
        return Err(unusable(std::io::Error::other("it has articles already: give a new folder")));
    }
    fs::create_dir_all(folder).map_err(unusable)?;
    let new = path.with_extension(NEW_SUFFIX);
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&new);
    drop(file.map_err(unusable)?);
    let database = Database::builder().create(&new).map_err(failed)?;
    let transaction = database.begin_write().map_err(failed)?;
    let mut tables = Tables::open(&transaction)?;
    let mut reader = Reader { next, bytes: Vec::new(), at: 0 };
    reader.fill(&mut tables)?;
    drop(tables);
    transaction.commit().map_err(failed)?;
    drop(database);
    fs::rename(&new, &path).map_err(unusable)?;
    fs::File::open(folder).and_then(|it| it.sync_all()).map_err(unusable)
}

fn encode(Entry { table, key, value }: Entry<'_>) -> Vec<u8> {
    let length = |it: &[u8]| u32::try_from(it.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[table][..], &length(key), key, &length(value), value].concat()
}

fn chain(sum: u64, entry: &[u8]) -> u64 {
    hash::persistent_64(&[&sum.to_le_bytes()[..], entry].concat())
}

/// The copy, of which some bytes are there and more can be had.
struct Reader<'a> {
    next: &'a mut dyn FnMut() -> Result<Option<Vec<u8>>, StoreError>,
    bytes: Vec<u8>,
    at: usize,
}

impl Reader<'_> {
    fn fill(&mut self, tables: &mut Tables<'_>) -> Result<(), StoreError> {
        if self.take(MAGIC.len())? != MAGIC {
            return Err(StoreError::Damaged("it is no copy of a store"));
        }
        let format = self.length()?;
        if format != FORMAT as usize {
            let found = u32::try_from(format).unwrap_or(u32::MAX);
            return Err(StoreError::Format { found, expected: FORMAT });
        }
        let (mut count, mut sum) = (0_u64, 0_u64);
        loop {
            let table = self.take(1)?.first().copied().unwrap_or(END);
            if table == END {
                break;
            }
            let length = self.length()?;
            let key = self.take(length)?;
            let length = self.length()?;
            let value = self.take(length)?;
            let entry = Entry { table, key: &key, value: &value };
            tables.add(entry)?;
            (count, sum) = (count + 1, chain(sum, &encode(entry)));
        }
        let end = [count.to_le_bytes(), sum.to_le_bytes()].concat();
        if self.take(end.len())? == end {
            Ok(())
        } else {
            Err(StoreError::Damaged("the copy is not what was sent"))
        }
    }

    fn length(&mut self) -> Result<usize, StoreError> {
        let bytes = self.take(4)?.try_into().map_err(|_| CUT)?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, StoreError> {
        while self.bytes.len() - self.at < count {
            self.bytes.drain(..self.at);
            self.at = 0;
            self.bytes.extend((self.next)()?.ok_or(CUT)?);
        }
        let taken = self.bytes.get(self.at..self.at + count).ok_or(CUT)?.to_vec();
        self.at += count;
        Ok(taken)
    }
}

/// A row of a table, as bytes.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    /// The table's place in the order of [`Snapshot`]'s.
    table: u8,
    key: &'a [u8],
    value: &'a [u8],
}

impl Snapshot {
    /// All rows of all tables, until one is not taken: `false` then.
    fn entries(&self, take: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<bool, StoreError> {
        let mut give = |table: u8, key: &[u8], value: &[u8]| take(Entry { table, key, value });
        let is_whole =
            each(&self.meta, &mut |key, value| give(0, key.as_bytes(), &value.to_le_bytes()))?
                && each(&self.ids, &mut |key, value| {
                    give(1, key.as_bytes(), &value.to_le_bytes())
                })?
                && each(&self.articles, &mut |key, value| give(2, &key.to_le_bytes(), value))?
                && each(&self.features, &mut |key, value| give(3, &key.to_le_bytes(), value))?
                && each(&self.removed, &mut |key, (number, value)| {
                    give(4, &key.to_le_bytes(), &[&number.to_le_bytes(), value].concat())
                })?
                && each(&self.kept, &mut |key, value| give(5, &key.to_le_bytes(), value))?
                && each(&self.rows, &mut |(space, key), value| {
                    give(6, &[&[space], key].concat(), value)
                })?;
        Ok(is_whole)
    }
}

impl Tables<'_> {
    /// Adds a row of a copy as it is.
    fn add(&mut self, Entry { table, key, value }: Entry<'_>) -> Result<(), StoreError> {
        const STRANGE: StoreError = StoreError::Damaged("the copy has a row of another kind");
        let long = |it: &[u8]| it.try_into().map(u64::from_le_bytes).map_err(|_| STRANGE);
        let short = |it: &[u8]| it.try_into().map(u32::from_le_bytes).map_err(|_| STRANGE);
        let text = |it| std::str::from_utf8(it).map_err(|_| STRANGE);
        match table {
            0 => self.meta.insert(text(key)?, long(value)?).map(drop),
            1 => self.ids.insert(text(key)?, short(value)?).map(drop),
            2 => self.articles.insert(short(key)?, value).map(drop),
            3 => self.features.insert(short(key)?, value).map(drop),
            4 => {
                let (number, features) = value.split_at_checked(4).ok_or(STRANGE)?;
                self.removed.insert(long(key)?, (short(number)?, features)).map(drop)
            }
            5 => self.kept.insert(short(key)?, value).map(drop),
            6 => {
                let (space, key) = key.split_first().ok_or(STRANGE)?;
                self.rows.insert((*space, key), value).map(drop)
            }
            _ => return Err(STRANGE),
        }
        .map_err(failed)
    }
}

/// All rows of a table, until one is not taken: `false` then.
fn each<K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &impl ReadableTable<K, V>,
    visit: &mut dyn FnMut(K::SelfType<'_>, V::SelfType<'_>) -> bool,
) -> Result<bool, StoreError> {
    for row in table.iter().map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        if !visit(key.value(), value.value()) {
            return Ok(false);
        }
    }
    Ok(true)
}
