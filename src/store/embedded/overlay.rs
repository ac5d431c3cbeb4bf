//! A view of a disk that is not written to: what redb writes when it opens a database after
//! a failure stays in memory, and is given up with the view. So reads go on where the disk
//! takes no writes, and a file can be checked without a change to it.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::hash::HashMap;

const BLOCK_BYTES: u64 = 4096;

/// What lies under the view.
#[derive(Debug)]
pub(super) struct Overlay {
    under: Arc<dyn StorageBackend>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    length: u64,
    /// Blocks that were written, by their place.
    blocks: HashMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(under: Arc<dyn StorageBackend>) -> io::Result<Self> {
        let length = under.len()?;
        Ok(Self { under, state: Mutex::new(State { length, blocks: HashMap::default() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as it is under the view; what lies behind the end is zero.
    fn block_under(&self, place: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or(0)];
        let start = place * BLOCK_BYTES;
        let there = self.under.len()?.saturating_sub(start).min(BLOCK_BYTES);
        let there = block.get_mut(..usize::try_from(there).unwrap_or(0)).unwrap_or_default();
        if !there.is_empty() {
            self.under.read(start, there)?;
        }
        Ok(block)
    }
}

/// The blocks that some bytes lie in: each with where in it they begin, and how many.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let (mut at, end) = (offset, offset.saturating_add(length as u64));
    std::iter::from_fn(move || {
        let (place, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
        let count = (BLOCK_BYTES - within).min(end - at);
        at += count;
        (count > 0).then(|| {
            let bytes = |it: u64| usize::try_from(it).unwrap_or(0);
            (place, bytes(within), bytes(count))
        })
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let end = offset.saturating_add(out.len() as u64);
        let state = self.state();
        if end > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if state.blocks.is_empty() && end <= self.under.len()? {
            return self.under.read(offset, out);
        }
        let mut rest = out;
        for (place, within, count) in pieces(offset, rest.len()) {
            let (here, behind) = rest.split_at_mut(count);
            rest = behind;
            let block = state.blocks.get(&place).cloned();
            let block = block.map_or_else(|| self.block_under(place), Ok)?;
            here.copy_from_slice(block.get(within..within + count).unwrap_or_default());
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.state().length = length;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        // Held over all of it, so that no reader sees a block as it was under the view.
        let mut state = self.state();
        let mut rest = data;
        for (place, within, count) in pieces(offset, data.len()) {
            let (here, behind) = rest.split_at(count);
            rest = behind;
            let block = state.blocks.remove(&place);
            let mut block = block.map_or_else(|| self.block_under(place), Ok)?;
            if let Some(it) = block.get_mut(within..within + count) {
                it.copy_from_slice(here);
            }
            state.blocks.insert(place, block);
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

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.under.query_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.unlock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_reaches_the_disk() {
        let disk = Arc::new(InMemoryBackend::new());
        disk.set_len(10_000).unwrap();
        disk.write(0, &[7; 10_000]).unwrap();
        let view = Overlay::new(Arc::clone(&disk) as _).unwrap();
        view.write(4_000, &[1; 5_000]).unwrap();
        view.set_len(20_000).unwrap();
        view.write(12_000, &[2; 100]).unwrap();
        assert!(view.read(19_999, &mut [0; 2]).is_err(), "behind its end");
        let mut bytes = vec![9; 20_000];
        view.read(0, &mut bytes).unwrap();
        let mut expected = vec![0; 20_000];
        expected[..10_000].fill(7);
        expected[4_000..9_000].fill(1);
        expected[12_000..12_100].fill(2);
        assert!(bytes == expected);
        let mut under = vec![0; 10_000];
        disk.read(0, &mut under).unwrap();
        assert!(under == vec![7; 10_000] && disk.len().unwrap() == 10_000);
    }
}
