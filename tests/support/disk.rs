//! A disk in memory that fails as it is told, and keeps apart what was not synced.

use std::io;
use std::sync::{Mutex, MutexGuard};

use redb::StorageBackend;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Write,
    /// Half of the bytes are written.
    HalfWrite,
    Sync,
    /// There is no space for a longer file.
    Grow,
    Everything,
    /// What is called ends in a panic.
    Panic,
}

#[derive(Debug, Default)]
struct State {
    /// What outlasts a power cut.
    synced: Vec<u8>,
    /// What is read.
    current: Vec<u8>,
    /// Since the last sync.
    writes: Vec<(usize, Vec<u8>)>,
    fault: Option<Fault>,
    /// Syncs until the one that fails.
    sync_countdown: Option<u32>,
    /// Writes until the power goes.
    power_countdown: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<State>);

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

fn broken() -> io::Error {
    io::Error::other("the disk is broken")
}

impl Disk {
    pub(crate) fn fails(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub(crate) fn fails_once_at_sync(&self, at: u32) {
        self.state().sync_countdown = Some(at);
    }

    pub(crate) fn cuts_power_after(&self, writes: u64) {
        self.state().power_countdown = Some(writes);
    }

    /// Of what was not synced, whole pieces of 512 bytes are there or not, by the seed.
    pub(crate) fn power_is_back(&self, seed: u64) {
        const SECTOR: usize = 512;
        let mut state = self.state();
        let mut now = std::mem::take(&mut state.synced);
        let mut random = seed;
        for (offset, bytes) in std::mem::take(&mut state.writes) {
            for (at, sector) in bytes.chunks(SECTOR).enumerate() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let start = offset + at * SECTOR;
                if random >> 63 == 0 {
                    continue;
                }
                // The file had grown, or not.
                let end = start + sector.len();
                now.resize(now.len().max(end), 0);
                now[start..end].copy_from_slice(sector);
            }
        }
        let length = state.current.len();
        now.resize(length, 0);
        *state = State { synced: now.clone(), current: now, ..State::default() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        if self.fault == Some(Fault::Everything) || self.power_countdown == Some(0) {
            return Err(broken());
        }
        Ok(())
    }

    fn put(&mut self, offset: usize, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len();
        if end > self.current.len() {
            return Err(broken());
        }
        self.current[offset..end].copy_from_slice(data);
        self.writes.push((offset, data.to_vec()));
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        let state = self.state();
        state.check()?;
        Ok(state.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.state();
        state.check()?;
        let start = usize::try_from(offset).unwrap();
        let bytes = state.current.get(start..start + out.len()).ok_or_else(broken)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut state = self.state();
        state.check()?;
        let length = usize::try_from(length).unwrap();
        if state.fault == Some(Fault::Grow) && length > state.current.len() {
            return Err(no_space());
        }
        state.current.resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.state();
        state.check()?;
        if state.fault == Some(Fault::Sync) {
            return Err(broken());
        }
        match state.sync_countdown {
            Some(0) => {
                state.sync_countdown = None;
                return Err(broken());
            }
            Some(it) => state.sync_countdown = Some(it - 1),
            None => {}
        }
        let current = state.current.clone();
        state.synced = current;
        state.writes.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let panics = self.state().fault == Some(Fault::Panic);
        assert!(!panics, "as told");
        let mut state = self.state();
        state.check()?;
        if let Some(left) = &mut state.power_countdown {
            *left -= 1;
        }
        let offset = usize::try_from(offset).unwrap();
        match state.fault {
            Some(Fault::Write) => Err(no_space()),
            Some(Fault::HalfWrite) => {
                state.put(offset, &data[..data.len() / 2])?;
                Err(no_space())
            }
            _ => state.put(offset, data),
        }
    }
}
