//! The embedded store: redb, one file in one folder, or the same in memory.
//!
//! | table      | key           | value               |
//! |------------|---------------|---------------------|
//! | `meta`     | name          | u64                 |
//! | `ids`      | id            | number              |
//! | `articles` | number        | `Part::Article`     |
//! | `features` | number        | `Part::Features`    |
//!
//! Numbers ascend, so that inserts touch the end of the trees only.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use crate::store::{ArticleNumber, Part, Store, StoreError, Write};

/// Version of the tables above.
pub const FORMAT: u32 = 2;
/// The file within the data folder.
pub const FILE_NAME: &str = "doublon.redb";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const IDS: TableDefinition<'_, &str, u32> = TableDefinition::new("ids");
const ARTICLES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("articles");
const FEATURES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("features");

const META_FORMAT: &str = "format";

/// Records in redb.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
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
        fs::create_dir_all(folder).map_err(|it| unusable(it.to_string()))?;
        let path = folder.join(FILE_NAME);
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
        {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let found = meta.get(META_FORMAT).map_err(failed)?.map(|it| it.value());
            match found {
                None => drop(meta.insert(META_FORMAT, u64::from(FORMAT)).map_err(failed)?),
                Some(format) if format == u64::from(FORMAT) => {}
                Some(format) => {
                    let found = u32::try_from(format).unwrap_or(u32::MAX);
                    return Err(StoreError::Format { found, expected: FORMAT });
                }
            }
            transaction.open_table(IDS).map_err(failed)?;
            transaction.open_table(ARTICLES).map_err(failed)?;
            transaction.open_table(FEATURES).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(Self { database, place })
    }
}

impl Store for EmbeddedStore {
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(IDS).map_err(failed)?;
        ids.iter()
            .map(|id| Ok(table.get(*id).map_err(failed)?.map(|it| ArticleNumber(it.value()))))
            .collect()
    }

    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(table_of(part)).map_err(failed)?;
        numbers
            .iter()
            .map(|it| Ok(table.get(it.0).map_err(failed)?.map(|it| it.value().to_vec())))
            .collect()
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(table_of(part)).map_err(failed)?;
        let first = after.map_or(0, |it| it.0.saturating_add(1));
        let range = table.range(first..).map_err(failed)?;
        range
            .take(count_max)
            .map(|row| {
                let (number, value) = row.map_err(failed)?;
                Ok((ArticleNumber(number.value()), value.value().to_vec()))
            })
            .collect()
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(failed)?;
        {
            let mut ids = transaction.open_table(IDS).map_err(failed)?;
            let mut articles = transaction.open_table(ARTICLES).map_err(failed)?;
            let mut features = transaction.open_table(FEATURES).map_err(failed)?;
            for write in writes {
                match write {
                    Write::Insert { number, id, article, features: computed } => {
                        ids.insert(id.as_str(), number.0).map_err(failed)?;
                        articles.insert(number.0, article.as_slice()).map_err(failed)?;
                        features.insert(number.0, computed.as_slice()).map_err(failed)?;
                    }
                    Write::Remove { number, id } => {
                        let named = ids.get(id.as_str()).map_err(failed)?.map(|it| it.value());
                        if named == Some(number.0) {
                            ids.remove(id.as_str()).map_err(failed)?;
                        }
                        articles.remove(number.0).map_err(failed)?;
                        features.remove(number.0).map_err(failed)?;
                    }
                }
            }
        }
        transaction.commit().map_err(failed)
    }

    fn next_number(&self) -> Result<ArticleNumber, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(FEATURES).map_err(failed)?;
        let last = table.last().map_err(failed)?.map(|(number, _)| number.value());
        Ok(ArticleNumber(last.map_or(0, |it| it.saturating_add(1))))
    }

    fn record_count(&self) -> Result<u64, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        transaction.open_table(FEATURES).map_err(failed)?.len().map_err(failed)
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        match &self.place {
            Place::File(path) => fs::metadata(path).map(|it| it.len()).map_err(failed),
            Place::Memory(memory) => redb::StorageBackend::len(memory).map_err(failed),
        }
    }
}

fn table_of(part: Part) -> TableDefinition<'static, u32, &'static [u8]> {
    match part {
        Part::Article => ARTICLES,
        Part::Features => FEATURES,
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
