//! The pages of the database: redb trusts those of a file that was closed in good order,
//! and may panic where they are damaged. Here they are checked against their checksums,
//! without a change to the file, and a panic of redb is made an error.

use std::fs::OpenOptions;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use crate::store::StoreError;
use crate::store::embedded::overlay::Overlay;

/// Bytes of memory that a check takes.
const CACHE_BYTES: usize = 64 << 20;

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
    Ok(Overlay::new(Arc::new(FileBackend::new(file)?))?)
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
