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

mod mend;
mod overlay;
mod place;
mod tables;

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::clock::Clock;
use crate::store::embedded::mend::Held;
use crate::store::embedded::place::Place;
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
    /// What changes go to; it is replaced after a failure.
    held: Mutex<Held>,
    /// The tables as the last commit left them, open for all readers.
    snapshot: RwLock<Arc<Snapshot>>,
    place: Place,
    clock: Clock,
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
        Self::prepare(Place::File { path, folder: name, cache_bytes })
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        let backend = Arc::new(InMemoryBackend::new());
        Self::prepare(Place::Backend { backend, remembers: false })
    }

    /// A store on a backend of redb's, which is used again after it has failed. For
    /// tests of what the system does.
    pub fn on_backend(backend: Arc<dyn StorageBackend>) -> Result<Self, StoreError> {
        Self::prepare(Place::Backend { backend, remembers: true })
    }

    fn prepare(place: Place) -> Result<Self, StoreError> {
        let database = place.open()?;
        let transaction = database.begin_write().map_err(failed)?;
        Tables::open(&transaction)?.prepare()?;
        transaction.commit().map_err(failed)?;
        let snapshot = Snapshot::of(&database)?;
        let held = Mutex::new(Held::new(database, snapshot.sequence()?));
        let snapshot = RwLock::new(Arc::new(snapshot));
        Ok(Self { held, snapshot, place, clock: Clock::system() })
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for EmbeddedStore {
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError> {
        let number = |snapshot: &Snapshot, id: &str| {
            Ok(snapshot.ids.get(id).map_err(failed)?.map(|it| ArticleNumber(it.value())))
        };
        self.look(|snapshot| ids.iter().map(|id| number(snapshot, id)).collect())
    }

    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        let mut rest = numbers;
        // What was visited is not visited again.
        self.look(|snapshot| read_rest(snapshot, part, (&mut rest, visit)))
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.look(|snapshot| scan(snapshot, part, (after, count_max)))
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(|it| it.row(space, key))
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.look(|it| it.rows(space, keys.clone(), count_max))
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let remembers = self.place.remembers();
        self.change(|tables| tables.write(writes, remembers))
    }

    fn next_number(&self) -> Result<ArticleNumber, StoreError> {
        Ok(self.state()?.next)
    }

    fn record_count(&self) -> Result<u64, StoreError> {
        self.look(Snapshot::count)
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        self.place.bytes()
    }

    fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.look(Snapshot::removed)
    }

    fn forget_removed(&self, before: u64) -> Result<(), StoreError> {
        self.change(|tables| tables.forget_removed(before))
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(Snapshot::kept)
    }

    fn keep(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.change(|tables| tables.keep(bytes))
    }

    fn state(&self) -> Result<State, StoreError> {
        self.look(Snapshot::state)
    }

    fn recover(&self) -> Result<Option<bool>, StoreError> {
        self.settle()
    }
}

type Visit<'a> = &'a mut dyn FnMut(ArticleNumber, &[u8]);

/// Visits the records of `rest`, and takes those that were visited from it.
fn read_rest(
    snapshot: &Snapshot,
    part: Part,
    (rest, visit): (&mut &[ArticleNumber], Visit<'_>),
) -> Result<(), StoreError> {
    while let Some(number) = rest.first() {
        let Some((_, pack)) = snapshot.pack_of(part, number.0)? else {
            *rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        let pack = Pack::of(pack.value()).map_err(StoreError::Damaged)?;
        // Those that follow may be in the same pack, or in none before its last.
        let end = pack.last().unwrap_or(number.0).max(number.0);
        let here = rest.iter().take_while(|it| (number.0..=end).contains(&it.0)).count();
        let (found, others) = rest.split_at(here.max(1));
        *rest = others;
        for number in found {
            if let Some(record) = pack.get(number.0).map_err(StoreError::Damaged)? {
                visit(*number, record);
            }
        }
    }
    Ok(())
}

fn scan(
    snapshot: &Snapshot,
    part: Part,
    (after, count_max): (Option<ArticleNumber>, usize),
) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
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

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}
