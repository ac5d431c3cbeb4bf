//! The pages of the database: redb trusts those of a file that was closed in good order,
//! and may panic where they are damaged. Here they are checked against their checksums,
//! without a change to the file, and a panic of redb is made an error.

use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

use crate::hash::HashMap;
use crate::store::StoreError;

/// Bytes of memory that a check takes.
const CACHE_BYTES: usize = 64 << 20;
/// Bytes that are written together.
const BLOCK: u64 = 4096;

/// Opens the file such that nothing is written to it, and checks every page that is in
/// use. Gives what is wrong.
pub(super) fn check(path: &Path) -> Result<Option<String>, StoreError> {
    let checked = guarded(|| {
        let mut database = match open(path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Ok(Err(in_use(path))),
            Err(error) => return Ok(Ok(Some(error.to_string()))),
        };
        Ok(Ok(match database.check_integrity() {
            Ok(true) => None,
            Ok(false) => Some("pages of its last commit are damaged".to_owned()),
            Err(error) => Some(error.to_string()),
        }))
    });
    checked.unwrap_or_else(|it| Ok(Some(it.to_string())))
}

/// The database, such that nothing is written to the file.
pub(super) fn open(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(unchanged(path)?)
}

/// The file, such that nothing is written to it.
pub(super) fn unchanged(path: &Path) -> Result<Overlay, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    Ok(Overlay { under: FileBackend::new(file)?, above: Mutex::default() })
}

pub(super) fn in_use(path: &Path) -> StoreError {
    let folder = path.parent().unwrap_or(path).display().to_string();
    StoreError::InUse { folder }
}

/// Does what asks redb; a panic there is damage.
pub(super) fn guarded<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // What a panic leaves half done is redb's, which gives up what it began.
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or(Err(StoreError::Damaged("the database cannot read its own pages")))
}

/// A file, and what would be written to it.
pub(super) struct Overlay {
    under: FileBackend,
    above: Mutex<Above>,
}

#[derive(Default)]
struct Above {
    blocks: HashMap<u64, Vec<u8>>,
    /// Where that is another one than the file's.
    len: Option<u64>,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Overlay")
    }
}

impl Overlay {
    /// A block as the file has it, and nothing behind its end.
    fn below(&self, block: u64) -> Result<Vec<u8>, io::Error> {
        let mut bytes = vec![0; usize::try_from(BLOCK).unwrap_or(0)];
        let start = block * BLOCK;
        let there = self.under.len()?.saturating_sub(start).min(BLOCK);
        let there = usize::try_from(there).unwrap_or(0);
        if let Some(part) = bytes.get_mut(..there).filter(|it| !it.is_empty()) {
            self.under.read(start, part)?;
        }
        Ok(bytes)
    }
}

/// The parts of a range by blocks: the block, and where its part begins and ends in it and
/// in the range.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = usize::try_from(at % BLOCK).ok()?;
        let count = (usize::try_from(BLOCK).ok()? - start).min(len - done);
        let part = (at / BLOCK, start, done, count);
        done += count;
        (count > 0).then_some(part)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        let above = self.above.lock().unwrap_or_else(PoisonError::into_inner);
        above.len.map_or_else(|| self.under.len(), Ok)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let above = self.above.lock().unwrap_or_else(PoisonError::into_inner);
        if above.blocks.is_empty() && end <= self.under.len()? {
            return self.under.read(offset, out);
        }
        for (block, start, at, count) in parts(offset, out.len()) {
            let below;
            let bytes = if let Some(bytes) = above.blocks.get(&block) {
                bytes
            } else {
                below = self.below(block)?;
                &below
            };
            if let (Some(to), Some(from)) =
                (out.get_mut(at..at + count), bytes.get(start..start + count))
            {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner).len = Some(len);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut above = self.above.lock().unwrap_or_else(PoisonError::into_inner);
        for (block, start, at, count) in parts(offset, data.len()) {
            let bytes = match above.blocks.entry(block) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => place.insert(self.below(block)?),
            };
            if let (Some(to), Some(from)) =
                (bytes.get_mut(start..start + count), data.get(at..at + count))
            {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.under.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.under.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.under.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.under.query_lock_range(start, end)
    }
}
