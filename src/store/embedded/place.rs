//! Where a database is: in a file, or on a backend of redb's.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

use crate::store::StoreError;
use crate::store::embedded::failed;
use crate::store::embedded::overlay::Overlay;

#[derive(Debug)]
pub(super) enum Place {
    File { path: PathBuf, folder: String, cache_bytes: usize },
    Backend { backend: Arc<dyn StorageBackend>, remembers: bool },
}

impl Place {
    /// Opens the database, and checks it where it was not closed in good order.
    pub(super) fn open(&self) -> Result<Database, StoreError> {
        let mut builder = Database::builder();
        builder.set_repair_callback(|repair| {
            let percent = (100.0 * repair.progress()).round();
            tracing::info!(percent, "the store was not closed in good order, checking it");
        });
        match self {
            Self::File { path, folder, cache_bytes } => {
                let opened = builder.set_cache_size(*cache_bytes).create(path);
                let folder = folder.clone();
                opened.map_err(|it| {
                    if matches!(it, redb::DatabaseError::DatabaseAlreadyOpen) {
                        return StoreError::InUse { folder };
                    }
                    if let redb::DatabaseError::Storage(redb::StorageError::Corrupted(problem)) = it
                    {
                        return StoreError::DamagedFile {
                            file: path.display().to_string(),
                            problem,
                        };
                    }
                    StoreError::Folder { folder, problem: it.to_string() }
                })
            }
            Self::Backend { backend, .. } => {
                let shared = Shared(Arc::clone(backend));
                builder.create_with_backend(shared).map_err(failed)
            }
        }
    }

    /// Opens the database to read it, on a disk that takes no writes.
    pub(super) fn view(&self) -> Result<Database, StoreError> {
        let (under, cache_bytes): (Arc<dyn StorageBackend>, _) = match self {
            Self::File { path, cache_bytes, .. } => {
                // Locked as any other, where its system still lets it be written to.
                let file = fs::File::options().read(true).write(true).open(path);
                let file = file.or_else(|_| fs::File::open(path)).map_err(failed)?;
                (Arc::new(FileBackend::new(file).map_err(failed)?), Some(*cache_bytes))
            }
            Self::Backend { backend, .. } => (Arc::new(Shared(Arc::clone(backend))), None),
        };
        let mut builder = Database::builder();
        if let Some(bytes) = cache_bytes {
            builder.set_cache_size(bytes);
        }
        builder.create_with_backend(Overlay::new(under).map_err(failed)?).map_err(failed)
    }

    /// Whether removals are remembered for an index of an earlier state.
    pub(super) fn remembers(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Backend { remembers, .. } => *remembers,
        }
    }

    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        match self {
            Self::File { path, .. } => fs::metadata(path).map(|it| it.len()).map_err(failed),
            Self::Backend { backend, .. } => backend.len().map_err(failed),
        }
    }
}

/// A backend that outlasts the database.
#[derive(Debug)]
struct Shared(Arc<dyn StorageBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }
}
