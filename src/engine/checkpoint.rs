//! Checkpoints: the index as a file, so that a start reads it instead of making it
//! again from all records.
//!
//! A checkpoint is written while changes go on, and need not be of one moment:
//! postings are sets, so that what has changed since it was begun can be done again.
//! New content is among the records, from the number that was next at that time on;
//! what was removed since is remembered by the store until a checkpoint without it
//! is in place. A file takes its place only between two commits, and only if none
//! failed meanwhile: so it never has postings of a number that was not stored.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::hash;
use crate::index::{IMAGE_PARTS, Index};
use crate::store::{ArticleNumber, State, StoreError};

/// The file within the data folder.
pub const FILE_NAME: &str = "doublon.index";
/// While it is written.
const NEW_SUFFIX: &str = "new";
/// Changes from which on a checkpoint is written, at least.
const CHANGES_MIN: u64 = 50_000;
/// The same as a share of the articles: an article is written a few times in all,
/// and a start after a crash makes at most this share of the index again.
const CHANGES_SHARE: u64 = 4;
/// Share of the articles up to which changes are left to the next start.
const CLOSE_CHANGES_SHARE: u64 = 64;
const BUFFER_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"dblnidx\0";
const VERSION: u64 = 1;
const HEAD_BYTES: usize = (6 + IMAGE_PARTS) * 8;

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

    /// Writes what is not in the file yet, unless a start does it again in no time.
    pub(super) fn close(mut self, core: &Core) {
        self.finish(core);
        let articles = core.store.record_count().unwrap_or(0);
        if self.changes > articles / CLOSE_CHANGES_SHARE {
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
    let path = folder.join(FILE_NAME);
    if !path.exists() {
        return Ok(Err("there is none yet".to_owned()));
    }
    let now = core.store.state()?;
    let read = Head::read(&path).and_then(|head| {
        let state = head.state;
        let is_of_these = state.identity == now.identity
            && state.next <= now.next
            && (now.forgotten..=now.removals).contains(&state.removals);
        if !is_of_these {
            return Err("it does not belong to these records as they are now".to_owned());
        }
        let parts = head.parts(&path).map_err(|it| it.to_string())?;
        let stamp = core.index.read_image(parts).map_err(|it| it.to_string())?;
        debug_assert_eq!(stamp, state.removals);
        Ok(state)
    });
    Ok(read)
}

/// Writes a checkpoint of an index that nobody changes, and puts it in its place.
pub(super) fn write_anew(folder: &Path, core: &Core) -> Result<(), EngineError> {
    let path = folder.join(FILE_NAME);
    let new = path.with_extension(NEW_SUFFIX);
    let state = core.store.state()?;
    let written = write(&new, state, core.index.as_ref())
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| sync_folder_of(&path));
    written.map_err(|it| StoreError::Folder {
        folder: folder.display().to_string(),
        problem: it.to_string(),
    })?;
    Ok(core.store.forget_removed(state.removals)?)
}

fn write(path: &Path, state: State, index: &dyn Index) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.seek(SeekFrom::Start(HEAD_BYTES as u64))?;
    let mut head = Head { state, lengths: [0; IMAGE_PARTS] };
    for (part, length) in head.lengths.iter_mut().enumerate() {
        let start = file.stream_position()?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, &mut file);
        index.write_image(part, state.removals, &mut out).map_err(io::Error::other)?;
        out.flush()?;
        drop(out);
        *length = file.stream_position()? - start;
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&head.to_bytes())?;
    file.sync_all()
}

/// The first bytes of a file: magic, version, identity, next number, removals, the
/// length of each part, and the XXH3 of all that; little-endian. The parts follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    state: State,
    lengths: [u64; IMAGE_PARTS],
}

impl Head {
    fn to_bytes(self) -> Vec<u8> {
        let State { identity, next, removals, .. } = self.state;
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend_from_slice(MAGIC);
        let numbers = [VERSION, identity, u64::from(next.0), removals];
        for number in numbers.into_iter().chain(self.lengths) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&hash::persistent_64(&out).to_le_bytes());
        out
    }

    fn of_bytes(bytes: &[u8; HEAD_BYTES]) -> Result<Self, String> {
        let (said, sum) = bytes.split_at(HEAD_BYTES - 8);
        if sum != hash::persistent_64(said).to_le_bytes() || !said.starts_with(MAGIC) {
            return Err("its head is damaged".to_owned());
        }
        let (words, _) = said.as_chunks();
        let mut words = words.iter().skip(1).map(|it| u64::from_le_bytes(*it));
        let mut word = || words.next().unwrap_or_default();
        if word() != VERSION {
            return Err("it is of another version".to_owned());
        }
        let identity = word();
        let next = ArticleNumber(u32::try_from(word()).unwrap_or(u32::MAX));
        let state = State { identity, next, removals: word(), forgotten: 0 };
        Ok(Self { state, lengths: std::array::from_fn(|_| word()) })
    }

    fn read(path: &Path) -> Result<Self, String> {
        let read = || {
            let mut bytes = [0; HEAD_BYTES];
            let mut file = File::open(path)?;
            file.read_exact(&mut bytes)?;
            Ok((bytes, file.metadata()?.len()))
        };
        let (bytes, length) = read().map_err(|it: io::Error| it.to_string())?;
        let head = Self::of_bytes(&bytes)?;
        let parts = head.lengths.iter().try_fold(HEAD_BYTES as u64, |sum, it| sum.checked_add(*it));
        if parts == Some(length) { Ok(head) } else { Err("it has another length".to_owned()) }
    }

    fn parts(&self, path: &Path) -> io::Result<Vec<Box<dyn Read + Send>>> {
        let mut start = HEAD_BYTES as u64;
        let part = |length: &u64| {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(start))?;
            start += length;
            let part = BufReader::with_capacity(BUFFER_BYTES, file).take(*length);
            Ok(Box::new(part) as Box<dyn Read + Send>)
        };
        self.lengths.iter().map(part).collect()
    }
}

/// A head that is read from bytes, written again.
pub(crate) fn head_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = Head::of_bytes(bytes.first_chunk()?).ok()?;
    Some(head.to_bytes())
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
        let head = Head { state, lengths: [1, 2, 3, 4] };
        let bytes: [u8; HEAD_BYTES] = head.to_bytes().try_into().unwrap();
        assert_eq!(Head::of_bytes(&bytes), Ok(head));
        for at in 0..HEAD_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 4;
            assert!(Head::of_bytes(&damaged).is_err(), "{at}");
        }
    }
}
