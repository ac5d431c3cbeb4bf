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
//! | `sealed_rows` | [`Space`], key        | what stands beside the records           |
//!
//! Numbers ascend, so that inserts touch the end of the trees only. Packs have checksums,
//! and so have rows, what was removed, what is kept and the numbers in `meta`: redb looks
//! at those of its pages only where it was not closed in good order.

mod check;
mod copy;
mod mend;
mod overlay;
mod pack_keys;
mod packer;
mod pages;
mod place;
mod seal;
mod tables;
mod view;

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use crate::clock::Clock;
use crate::store::cluster::Orphans;
use crate::store::damage::{Damage, DamageLog};
use crate::store::embedded::mend::Held;
use crate::store::embedded::pack_keys::PackKeys;
use crate::store::embedded::pages::guarded;
use crate::store::embedded::place::Place;
use crate::store::embedded::tables::{BARE_ROWS, Snapshot, Tables, open_pack};
use crate::store::pack::Pack;
use crate::store::{
    ArticleNumber, Part, Row, RowKey, Space, State, Store, StoreError, Turn, View, Write,
    prefix_end,
};

/// Version of the tables above.
pub const FORMAT: u32 = 5;
/// Those before, without seals, and the first of them without rows: they are taken over
/// when they are opened.
const FORMATS_BEFORE: [u64; 2] = [3, 4];
/// The file within the data folder.
pub const FILE_NAME: &str = "doublon.redb";
/// While it is made.
const NEW_SUFFIX: &str = "redb-new";
/// Bytes of a file up to which every page of it is checked at every start: that takes
/// less than a second.
pub const CHECKED_BYTES_MAX: u64 = 256 << 20;

/// Records in redb.
#[derive(Debug)]
pub struct EmbeddedStore {
    /// What changes go to; it is replaced after a failure.
    held: Mutex<Held>,
    /// The tables as the last commit left them, open for all readers.
    snapshot: RwLock<Arc<Snapshot>>,
    /// Of [`Part::Features`], which are read one by one.
    pack_keys: PackKeys,
    place: Place,
    clock: Clock,
    damage: DamageLog,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, and makes both where they are not there.
    /// Locks the file: one process at a time.
    pub fn open(folder: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        Self::open_checked(folder, cache_bytes, CHECKED_BYTES_MAX)
    }

    /// The same, with other bytes up to which every page is checked.
    pub fn open_checked(
        folder: &Path,
        cache_bytes: usize,
        checked_bytes_max: u64,
    ) -> Result<Self, StoreError> {
        let name = folder.display().to_string();
        let unusable = |it: &dyn std::fmt::Display| StoreError::Folder {
            folder: name.clone(),
            problem: it.to_string(),
        };
        // Readable by the owner only, as the file.
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(|it| unusable(&it))?;
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            make(&path).map_err(|it| unusable(&it))?;
        }
        let bytes = fs::metadata(&path).map_err(|it| unusable(&it))?.len();
        // A file is in its place when it is made.
        let mut problem = (bytes == 0).then(|| "it is empty".to_owned());
        if problem.is_none() && bytes <= checked_bytes_max {
            problem = pages::check(&path)?;
        }
        let damaged =
            |problem| StoreError::DamagedFile { file: path.display().to_string(), problem };
        if let Some(problem) = problem {
            return Err(damaged(problem));
        }
        let place = Place::File { path: path.clone(), folder: name.clone(), cache_bytes };
        let prepared = guarded(|| Self::prepare(place));
        prepared.map_err(|error| {
            if let StoreError::Damaged(problem) = error {
                damaged(problem.to_owned())
            } else {
                error
            }
        })
    }

    /// Opens what is there such that the file is not changed. Tells `found` of pages that
    /// are damaged; gives nothing if it cannot be read for that.
    pub fn inspect(
        folder: &Path,
        found: &mut dyn FnMut(Damage),
    ) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE_NAME);
        let mut damaged = |problem| found(Damage::File { name: FILE_NAME.to_owned(), problem });
        let unusable = |it: std::io::Error| StoreError::Folder {
            folder: folder.display().to_string(),
            problem: format!("{FILE_NAME}: {it}"),
        };
        if fs::metadata(&path).map_err(unusable)?.len() == 0 {
            damaged("it is empty".to_owned());
            return Ok(None);
        }
        if let Some(problem) = pages::check(&path)? {
            damaged(problem);
            return Ok(None);
        }
        let backend = Arc::new(pages::unchanged(&path).map_err(failed)?);
        let opened = guarded(|| Self::prepare(Place::Backend { backend, remembers: true }));
        match opened {
            Ok(store) => Ok(Some(store)),
            Err(StoreError::Damaged(problem)) => {
                damaged(problem.to_owned());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the file in a folder that has none, of the parts of a copy that `next` gives.
    /// It takes its place when it is whole.
    pub fn restore(
        folder: &Path,
        next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<(), StoreError> {
        copy::read(folder, next)
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
        let mut tables = Tables::open(&transaction)?;
        let format = tables.format()?;
        match format {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) if FORMATS_BEFORE.contains(&format) => {
                let rows = transaction.open_table(BARE_ROWS).map_err(failed)?;
                tables.take_over(FORMAT, &rows)?;
                tables.finish()?;
                drop(rows);
                transaction.delete_table(BARE_ROWS).map_err(failed)?;
            }
            Some(format) => {
                let found = u32::try_from(format).unwrap_or(u32::MAX);
                return Err(StoreError::Format { found, expected: FORMAT });
            }
            None => {
                tables.begin(FORMAT)?;
                tables.finish()?;
            }
        }
        drop(tables);
        transaction.commit().map_err(failed)?;
        let snapshot = Snapshot::of(&database)?;
        snapshot.check_meta()?;
        let held = Mutex::new(Held::new(database, snapshot.sequence()?));
        let snapshot = RwLock::new(Arc::new(snapshot));
        let (clock, damage) = (Clock::system(), DamageLog::default());
        Ok(Self { held, snapshot, pack_keys: PackKeys::default(), place, clock, damage })
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Snapshot {
    /// Visits the records of `rest`, and takes those that were visited from it. What is
    /// damaged is given without bytes.
    fn read(
        &self,
        (part, keys): (Part, Option<&PackKeys>),
        rest: &mut &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        while let Some(number) = rest.first() {
            let key = keys.and_then(|it| it.before(number.0));
            // Where the hint's own page cannot be read, the record's may be.
            let known = key.and_then(|it| guarded(|| self.pack_at(part, it)).ok().flatten());
            if let Some((key, bytes)) = &known
                && let Ok(pack) = open_pack(*key, bytes.value())
                && pack.last() >= Some(number.0)
            {
                visit_pack(pack, rest, visit);
                continue;
            }
            if let (Some(keys), Some(key), None) = (keys, key, &known) {
                keys.remove(key);
            }
            let found = self.pack_of(part, number.0)?;
            if let (Some(keys), Some((key, _))) = (keys, &found) {
                keys.add(*key);
            }
            match found.as_ref().map(|(key, bytes)| open_pack(*key, bytes.value())) {
                Some(Ok(pack)) => {
                    visit_pack(pack, rest, visit);
                    continue;
                }
                Some(Err(_)) => visit(*number, &[]),
                None => {}
            }
            *rest = rest.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        let first = after.map_or(0, |it| it.0.saturating_add(1));
        let start = self.pack_of(part, first)?.map_or(first, |it| it.0);
        let mut found = Vec::new();
        for row in self.table(part).range(start..).map_err(failed)? {
            let (key, bytes) = row.map_err(failed)?;
            let key = key.value();
            let mut add = |number: u32, record: &[u8]| {
                if number >= first && found.len() < count_max {
                    found.push((ArticleNumber(number), record.to_vec()));
                }
            };
            match open_pack(key, bytes.value()) {
                Ok(pack) => pack.records().flatten().for_each(|(it, record)| add(it, record)),
                Err(_) => add(key, &[]),
            }
            if found.len() == count_max {
                break;
            }
        }
        Ok(found)
    }
}

impl Store for EmbeddedStore {
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError> {
        let number = |snapshot: &Snapshot, id: &str| {
            Ok(snapshot.ids.get(id).map_err(failed)?.map(|it| ArticleNumber(it.value())))
        };
        self.look(|snapshot| guarded(|| ids.iter().map(|id| number(snapshot, id)).collect()))
    }

    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        let mut rest = numbers;
        // What was visited is not visited again.
        let keys = (part == Part::Features).then_some(&self.pack_keys);
        self.look(|snapshot| guarded(|| snapshot.read((part, keys), &mut rest, visit)))
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.look(|snapshot| guarded(|| snapshot.scan(part, after, count_max)))
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(|it| guarded(|| it.row(space, key)))
    }

    fn each_row(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys.iter().map(|(space, key)| Store::row(self, *space, key)).collect()
    }

    fn each_prefix(&self, prefixes: &[RowKey]) -> Result<Vec<Vec<Row>>, StoreError> {
        let rows = |(space, prefix): &RowKey| {
            let end = prefix_end(prefix);
            Store::rows(self, *space, prefix.as_slice()..end.as_slice(), usize::MAX)
        };
        prefixes.iter().map(rows).collect()
    }

    fn begin(&self, _: bool) -> Result<Option<Turn>, StoreError> {
        Ok(Some(Turn::ALONE))
    }

    fn end(&self, _: bool) {}

    fn is_shared(&self) -> bool {
        false
    }

    fn orphans(&self) -> Result<Option<Orphans>, StoreError> {
        Ok(None)
    }

    fn forget_orphans(&self, _: &Orphans) -> Result<(), StoreError> {
        Ok(())
    }

    fn quiet(&self) -> Result<Option<u64>, StoreError> {
        Ok(Some(0))
    }

    fn prefetch(&self, _: &[&str], _: &[RowKey], _: bool) {}

    fn for_writer(&self) -> Option<Arc<dyn Store>> {
        None
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut note = |damage| self.damage.note(damage);
        self.look(|it| guarded(|| it.rows((space, keys.clone()), count_max, &mut note)))
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let remembers = self.place.remembers();
        self.change(|tables| tables.write(writes, remembers, &self.pack_keys))
    }

    fn next_number(&self) -> Result<ArticleNumber, StoreError> {
        Ok(self.state()?.next)
    }

    fn numbers_end(&self) -> Result<ArticleNumber, StoreError> {
        self.next_number()
    }

    fn record_count(&self) -> Result<u64, StoreError> {
        self.look(Snapshot::count)
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        self.place.bytes()
    }

    fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.look(|it| guarded(|| it.removed()))
    }

    fn forget_removed(&self, before: u64) -> Result<(), StoreError> {
        self.change(|tables| tables.forget_removed(before))
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(|it| guarded(|| it.kept()))
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

    fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        guarded(|| self.snapshot().check(found))
    }

    fn copy(&self, take: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), StoreError> {
        guarded(|| copy::write(&self.snapshot(), take))
    }

    fn view(&self) -> Result<Arc<dyn View>, StoreError> {
        // Opened again first, if it has failed.
        self.look(Snapshot::count)?;
        Ok(self.snapshot())
    }

    fn damage(&self) -> &DamageLog {
        &self.damage
    }
}

/// Visits those of `rest` that are in the pack of the first one, and takes them from it.
fn visit_pack(
    pack: Pack<'_>,
    rest: &mut &[ArticleNumber],
    visit: &mut dyn FnMut(ArticleNumber, &[u8]),
) {
    let Some(first) = rest.first() else { return };
    // Those that follow may be in the same pack, or in none before its last.
    let end = pack.last().unwrap_or(first.0).max(first.0);
    let here = rest.iter().take_while(|it| (first.0..=end).contains(&it.0)).count();
    let (found, others) = rest.split_at(here.max(1));
    *rest = others;
    for number in found {
        match pack.get(number.0) {
            Ok(Some(record)) => visit(*number, record),
            Ok(None) => {}
            Err(_) => visit(*number, &[]),
        }
    }
}

/// Makes an empty database, and puts it in its place when it is whole.
fn make(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let new = path.with_extension(NEW_SUFFIX);
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    drop(Database::builder().create(&new)?);
    let (folder, cache_bytes) = (String::new(), 1 << 20);
    drop(EmbeddedStore::prepare(Place::File { path: new.clone(), folder, cache_bytes })?);
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())?;
    Ok(())
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}
