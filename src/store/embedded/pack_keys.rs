//! Where packs begin, as far as it is known. Found by its key, a pack is one page read;
//! found by a number in it, it is two, because a tree that is asked for what is not there
//! reads the page behind it first.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// Keys that are remembered, at most: those of some 25 million articles, in some 30 MB.
const KEYS_MAX: usize = 1 << 22;

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
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < KEYS_MAX {
            keys.insert(key);
        }
    }

    pub(super) fn remove(&self, key: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use crate::store::embedded::EmbeddedStore;
    use crate::store::{ArticleNumber, Part, Store, Write};

    /// Records come and go, and are read by one that began when a pack began elsewhere.
    #[test]
    fn keys_of_packs_that_go_are_forgotten() {
        let store = EmbeddedStore::in_memory().unwrap();
        let id = |number: u32| number.to_string();
        let insert = |number| Write::Insert {
            number: ArticleNumber(number),
            id: id(number),
            article: vec![1; 100],
            features: number.to_le_bytes().repeat(500),
        };
        let remove = |number| Write::Remove { number: ArticleNumber(number), id: id(number) };
        let kept = 100;
        for step in 0..20 {
            let new = step * 50..step * 50 + 50;
            store.commit(&new.clone().map(insert).collect::<Vec<_>>()).unwrap();
            let gone = new.start.saturating_sub(kept)..new.end.saturating_sub(kept);
            // The first of a pack too, so that it begins elsewhere.
            store.commit(&gone.clone().map(remove).collect::<Vec<_>>()).unwrap();
            let all: Vec<ArticleNumber> = (0..new.end).map(ArticleNumber).collect();
            let mut found = Vec::new();
            for number in &all {
                let mut visit = |it: ArticleNumber, bytes: &[u8]| {
                    assert_eq!(bytes[..4], it.0.to_le_bytes());
                    found.push(it.0);
                };
                store.read(Part::Features, &[*number], &mut visit).unwrap();
            }
            assert!(found.into_iter().eq(gone.end..new.end));
        }
        let count = store.pack_keys.0.read().unwrap().len();
        assert!((10..=40).contains(&count), "{count}");
    }
}
