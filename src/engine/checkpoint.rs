//! Checkpoints: the index as a file, so that a start reads it instead of making it
//! again from all records.
//!
//! A checkpoint is written while changes go on, and need not be of one moment:
//! postings are sets, so that what has changed since it was begun can be done again.
//! New content is among the records, from the number that was next at that time on;
//! what was removed since is remembered by the store until a checkpoint without it
//! is in place. A file takes its place only between two commits, and only if none
//! failed meanwhile: so it never has postings of a number that was not stored.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::hash;
use crate::index::Index;
use crate::store::{ArticleNumber, State};

/// The file within the data folder.
pub const FILE_NAME: &str = "doublon.index";
/// While it is written.
const NEW_SUFFIX: &str = "new";
/// Changes from which on a checkpoint is written, at least.
const CHANGES_MIN: u64 = 50_000;
/// The same as a share of the articles: an article is written a few times in all,
/// and a start after a crash makes at most this share of the index again.
const CHANGES_SHARE: u64 = 4;
const BUFFER_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"dblnidx\0";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 44;

/// Writes checkpoints for the writer.
#[derive(Debug)]
pub(super) struct Checkpoints {
    path: PathBuf,
    changes: u64,
    /// Whether a commit failed since the one that is under way was begun.
    has_failed: bool,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    state: State,
    thread: JoinHandle<io::Result<()>>,
}

impl Checkpoints {
    /// In this folder. `changes` is what the file that is there does not have.
    pub(super) fn new(folder: &Path, changes: u64) -> Self {
        let path = folder.join(FILE_NAME);
        Self { path, changes, has_failed: false, under_way: None }
    }

    /// To be called after each commit, and when nothing is to do: begins a checkpoint
    /// when it is due, and puts the one that was begun in its place.
    pub(super) fn after_commit(&mut self, core: &Core, changes: u64, is_stored: bool) {
        self.changes += changes;
        self.has_failed |= !is_stored;
        if self.under_way.as_ref().is_some_and(|it| it.thread.is_finished()) {
            self.finish(core);
        }
        let articles = core.store.record_count().unwrap_or(0);
        if self.under_way.is_none() && self.changes >= CHANGES_MIN.max(articles / CHANGES_SHARE) {
            self.begin(core);
        }
    }

    /// Writes what is not in the file yet.
    pub(super) fn close(mut self, core: &Core) {
        self.finish(core);
        if self.changes > 0 {
            self.begin(core);
            self.finish(core);
        }
    }

    fn begin(&mut self, core: &Core) {
        let state = match core.store.state() {
            Ok(state) => state,
            Err(error) => return tracing::warn!(%error, "no checkpoint of the index is written"),
        };
        let (path, index) = (self.path.with_extension(NEW_SUFFIX), Arc::clone(&core.index));
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || write(&path, state, index.as_ref()));
        match thread {
            Ok(thread) => {
                self.changes = 0;
                self.has_failed = false;
                self.under_way = Some(UnderWay { state, thread });
            }
            Err(error) => tracing::warn!(%error, "no checkpoint of the index is written"),
        }
    }

    /// Waits for the checkpoint that is under way, and puts it in its place.
    fn finish(&mut self, core: &Core) {
        let Some(UnderWay { state, thread }) = self.under_way.take() else { return };
        let panicked = |_| Err(io::Error::other("its thread ended in a panic"));
        let written = thread.join().unwrap_or_else(panicked);
        let placed = written.and_then(|()| {
            if self.has_failed {
                return Err(io::Error::other("a commit failed meanwhile"));
            }
            fs::rename(self.path.with_extension(NEW_SUFFIX), &self.path)?;
            sync_folder_of(&self.path)
        });
        match placed {
            Ok(()) => {
                tracing::debug!(next = state.next.0, "a checkpoint of the index is in place");
                if let Err(error) = core.store.forget_removed(state.removals) {
                    tracing::warn!(%error, "removals that are in the checkpoint stay remembered");
                }
            }
            Err(error) => {
                // What it would have had is asked for again.
                self.changes += 1;
                tracing::warn!(%error, "the checkpoint of the index was not written");
            }
        }
    }
}

/// Fills an empty index from the file of a folder. Gives the state of the records that
/// it is of, or why it is of none: the index is empty then.
pub(super) fn load(folder: &Path, core: &Core) -> Result<Result<State, String>, EngineError> {
    let file = match File::open(folder.join(FILE_NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err("there is none yet".to_owned()));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let now = core.store.state()?;
    let read = read_head(&mut file).and_then(|state| {
        let is_of_these = state.identity == now.identity
            && state.next <= now.next
            && (now.forgotten..=now.removals).contains(&state.removals);
        if !is_of_these {
            return Err("it does not belong to these records as they are now".to_owned());
        }
        core.index.read_image(&mut file).map_err(|it| it.to_string())?;
        Ok(state)
    });
    Ok(read)
}

fn write(path: &Path, state: State, index: &dyn Index) -> io::Result<()> {
    let file = File::create(path)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &file);
    out.write_all(&head(state))?;
    index.write_image(&mut out)?;
    out.flush()?;
    file.sync_all()
}

/// The first bytes: magic, version, identity, next number, removals, and their XXH3.
fn head(state: State) -> Vec<u8> {
    let State { identity, next, removals, .. } = state;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&identity.to_le_bytes());
    head.extend_from_slice(&u64::from(next.0).to_le_bytes());
    head.extend_from_slice(&removals.to_le_bytes());
    head.extend_from_slice(&hash::persistent_64(&head).to_le_bytes());
    head
}

fn read_head(file: &mut impl Read) -> Result<State, String> {
    let mut head = [0; HEAD_BYTES];
    file.read_exact(&mut head).map_err(|it| it.to_string())?;
    let (said, sum) = head.split_at(HEAD_BYTES - 8);
    if sum != hash::persistent_64(said).to_le_bytes() || !said.starts_with(MAGIC) {
        return Err("its head is damaged".to_owned());
    }
    let number = |at: usize| {
        let bytes = said.get(at..).and_then(|it| it.first_chunk());
        bytes.map_or(0, |it| u64::from_le_bytes(*it))
    };
    let version = said.get(8..).and_then(|it| it.first_chunk()).map(|it| u32::from_le_bytes(*it));
    if version != Some(VERSION) {
        return Err("it is of another version".to_owned());
    }
    let next = ArticleNumber(u32::try_from(number(20)).unwrap_or(u32::MAX));
    Ok(State { identity: number(12), next, removals: number(28), forgotten: 0 })
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_and_damage_is_seen() {
        let state = State { identity: 7, next: ArticleNumber(8), removals: 9, forgotten: 0 };
        let bytes = head(state);
        assert_eq!(bytes.len(), HEAD_BYTES);
        assert_eq!(read_head(&mut &bytes[..]).unwrap(), state);
        for at in 0..HEAD_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(read_head(&mut &damaged[..]).is_err(), "{at}");
            assert!(read_head(&mut &bytes[..at]).is_err(), "{at}");
        }
    }
}
