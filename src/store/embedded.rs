//! The embedded store: redb, one file in one folder, or the same in memory.
//!
//! | table      | key                      | value                                   |
//! |------------|--------------------------|-----------------------------------------|
//! | `meta`     | name                     | u64                                     |
//! | `ids`      | id                       | number                                  |
//! | `articles` | first number of a pack   | `Part::Article` of some records in a row |
//! | `features` | the same                 | `Part::Features` of some records         |
//! | `removed`  | place in their order     | number, and `Part::Features` as it was   |
//! | `kept`     | 0                        | what the records are read by             |
//! | `rows`     | [`Space`], key           | what stands beside the records           |
//!
//! Numbers ascend, so that inserts touch the end of the trees only.

mod tables;

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableTable};

use crate::store::embedded::tables::{Snapshot, Tables};
use crate::store::pack::Pack;
use crate::store::{ArticleNumber, Part, Row, Space, State, Store, StoreError, Write};

/// Version of the tables above.
pub const FORMAT: u32 = 4;
/// The one before, without `rows`: it is taken over when it is opened.
const FORMAT_WITHOUT_ROWS: u32 = 3;
/// The file within the data folder.
pub const FILE_NAME: &str = "doublon.redb";

/// Records in redb.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
    /// The tables as the last commit left them, open for all readers.
    snapshot: RwLock<Arc<Snapshot>>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File(std::path::PathBuf),
    Memory(SharedMemory),
}

impl EmbeddedStore {
    /// Opens the store in `folder`, and makes both where they are not there.
    /// Locks the file: one process at a time.
    pub fn open(folder: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let name = folder.display().to_string();
        let unusable = |problem: String| StoreError::Folder { folder: name.clone(), problem };
        // Readable by the owner only, as the file.
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|it| unusable(it.to_string()))?;
        let path = folder.join(FILE_NAME);
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&path).map_err(|it| unusable(it.to_string()))?;
        let opened = Database::builder()
            .set_cache_size(cache_bytes)
            .set_repair_callback(|repair| {
                let percent = (100.0 * repair.progress()).round();
                tracing::info!(percent, "the store was not closed in good order, checking it");
            })
            .create(&path);
        if matches!(opened, Err(redb::DatabaseError::DatabaseAlreadyOpen)) {
            return Err(StoreError::InUse { folder: name });
        }
        let database = opened.map_err(|it| unusable(it.to_string()))?;
        Self::prepare(database, Place::File(path))
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        let memory = SharedMemory::default();
        let database = Database::builder().create_with_backend(memory.clone()).map_err(failed)?;
        Self::prepare(database, Place::Memory(memory))
    }

    fn prepare(database: Database, place: Place) -> Result<Self, StoreError> {
        let transaction = database.begin_write().map_err(failed)?;
        Tables::open(&transaction)?.prepare()?;
        transaction.commit().map_err(failed)?;
        let snapshot = RwLock::new(Arc::new(Snapshot::of(&database)?));
        Ok(Self { database, snapshot, place })
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the tables, durably; readers see it when it returns.
    fn change(
        &self,
        act: impl FnOnce(&mut Tables<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(failed)?;
        act(&mut Tables::open(&transaction)?)?;
        transaction.commit().map_err(failed)?;
        let after = Arc::new(Snapshot::of(&self.database)?);
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = after;
        Ok(())
    }
}

impl Store for EmbeddedStore {
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError> {
        let snapshot = self.snapshot();
        ids.iter()
            .map(|id| {
                Ok(snapshot.ids.get(*id).map_err(failed)?.map(|it| ArticleNumber(it.value())))
            })
            .collect()
    }

    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        let snapshot = self.snapshot();
        let mut rest = numbers;
        while let Some(number) = rest.first() {
            let Some((_, pack)) = snapshot.pack_of(part, number.0)? else {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            };
            let pack = Pack::of(pack.value()).map_err(StoreError::Damaged)?;
            // Those that follow may be in the same pack, or in none before its last.
            let end = pack.last().unwrap_or(number.0).max(number.0);
            let here = rest.iter().take_while(|it| (number.0..=end).contains(&it.0)).count();
            let (found, others) = rest.split_at(here.max(1));
            rest = others;
            for number in found {
                if let Some(record) = pack.get(number.0).map_err(StoreError::Damaged)? {
                    visit(*number, record);
                }
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        let snapshot = self.snapshot();
        let first = after.map_or(0, |it| it.0.saturating_add(1));
        let start = snapshot.pack_of(part, first)?.map_or(first, |it| it.0);
        let mut found = Vec::new();
        for row in snapshot.table(part).range(start..).map_err(failed)? {
            let (_, pack) = row.map_err(failed)?;
            for record in Pack::of(pack.value()).map_err(StoreError::Damaged)?.records() {
                let (number, record) = record.map_err(StoreError::Damaged)?;
                if found.len() == count_max {
                    return Ok(found);
                }
                if number >= first {
                    found.push((ArticleNumber(number), record.to_vec()));
                }
            }
        }
        Ok(found)
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot().row(space, key)
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.snapshot().rows(space, keys, count_max)
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let remembers = matches!(self.place, Place::File(_));
        self.change(|tables| tables.write(writes, remembers))
    }

    fn next_number(&self) -> Result<ArticleNumber, StoreError> {
        Ok(self.state()?.next)
    }

    fn record_count(&self) -> Result<u64, StoreError> {
        self.snapshot().count()
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        match &self.place {
            Place::File(path) => fs::metadata(path).map(|it| it.len()).map_err(failed),
            Place::Memory(memory) => redb::StorageBackend::len(memory).map_err(failed),
        }
    }

    fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        let snapshot = self.snapshot();
        let rows = snapshot.removed.iter().map_err(failed)?;
        rows.map(|row| {
            let (_, value) = row.map_err(failed)?;
            let (number, features) = value.value();
            Ok((ArticleNumber(number), features.to_vec()))
        })
        .collect()
    }

    fn forget_removed(&self, before: u64) -> Result<(), StoreError> {
        self.change(|tables| tables.forget_removed(before))
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot().kept()
    }

    fn keep(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.change(|tables| tables.keep(bytes))
    }

    fn state(&self) -> Result<State, StoreError> {
        self.snapshot().state()
    }
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

/// redb's memory, shared so that its size can be asked for.
#[derive(Debug, Clone, Default)]
struct SharedMemory(Arc<InMemoryBackend>);

impl redb::StorageBackend for SharedMemory {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.0.write(offset, data)
    }
}
