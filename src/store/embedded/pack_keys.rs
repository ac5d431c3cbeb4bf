//! Where packs begin, as far as it is known. Found by its key, a pack is one page read;
//! found by a number in it, it is two, because a tree that is asked for what is not there
//! reads the page behind it first.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// Keys of packs, each a hint: the pack may be gone, and others may be there.
#[derive(Debug, Default)]
pub(super) struct PackKeys(RwLock<BTreeSet<u32>>);

impl PackKeys {
    /// The greatest known key that is not above a number.
    pub(super) fn before(&self, number: u32) -> Option<u32> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.range(..=number).next_back().copied()
    }

    pub(super) fn add(&self, key: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    pub(super) fn remove(&self, key: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}
