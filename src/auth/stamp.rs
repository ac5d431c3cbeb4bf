//! Whether a file has changed, by what the system says of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bits of a mode by which others than the owner can read or write a file.
const OTHERS: u32 = 0o077;

/// What the system says of a file; another one after any change that takes its
/// place or writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Stamp {
    /// Of the file as it is now; of a file that is not there too.
    pub fn of(path: &Path) -> Self {
        let stamp = |it: fs::Metadata| (it.dev(), it.ino(), it.len(), it.mtime(), it.mtime_nsec());
        Self(fs::metadata(path).ok().map(stamp))
    }
}

/// Whether others than the owner can read or write a file.
pub fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.mode() & OTHERS != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let absent = Stamp::of(&path);
        fs::write(&path, "one").unwrap();
        let first = Stamp::of(&path);
        assert_ne!(absent, first);
        assert_eq!(first, Stamp::of(&path));
        fs::write(folder.path().join("b"), "two").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert_ne!(first, Stamp::of(&path));
    }
}
