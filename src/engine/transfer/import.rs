//! Import: a store made of the lines of a whole export. Where it stands is written with what it
//! brings, so that it goes on after a stop where it was. Until its last line has come
//! nothing else is written to the store.

use std::sync::mpsc::{self, Sender};

use crate::engine::Engine;
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::parallel;
use crate::engine::prepare::Prepared;
use crate::engine::record::Features;
use crate::engine::transfer::line::{ArticleLine, Line};
use crate::engine::writer::Job;
use crate::hash;
use crate::store::draft::Draft;
use crate::store::{ArticleNumber, RowKey, Space, Store, StoreError};

/// Some lines of an export.
#[derive(Debug, Clone)]
pub struct ImportPart {
    /// Lines of the export before them.
    pub position: u64,
    /// The [`digest`] of those, if it is to be compared.
    pub digest: Option<u64>,
    /// Whole lines.
    pub lines: Vec<u8>,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Lines of the export that are taken in, from the first one on.
    pub position: u64,
    /// Articles that are stored.
    pub article_count: u64,
    /// Whether its last line is among them.
    pub is_complete: bool,
}

/// Some lines to take in, and where the answer goes.
#[derive(Debug)]
pub(in crate::engine) struct ImportJob {
    pub(in crate::engine) position: u64,
    pub(in crate::engine) digest: Option<u64>,
    /// The lines, each with its hash.
    pub(in crate::engine) items: Vec<(u64, Item)>,
    /// Its place in the caller's batch.
    pub(in crate::engine) at: usize,
    pub(in crate::engine) reply: Reply,
}

/// Where answers go, each with its place.
type Reply = Sender<(usize, Result<Imported, EngineError>)>;

/// A line that was read.
#[derive(Debug)]
pub(in crate::engine) enum Item {
    Article(Box<Incoming>),
    Other(Line),
}

/// An article that comes with its number and its time.
#[derive(Debug)]
pub(in crate::engine) struct Incoming {
    pub(in crate::engine) number: ArticleNumber,
    pub(in crate::engine) stored_ms: u64,
    pub(in crate::engine) prepared: Prepared,
}

/// What the store knows of the import that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Progress {
    /// The export's.
    pub(in crate::engine) id: String,
    pub(in crate::engine) position: u64,
    pub(in crate::engine) is_complete: bool,
    /// Articles that could not be exported.
    pub(in crate::engine) lost: u64,
    /// The [`digest`] of the lines that are taken in.
    pub(in crate::engine) digest: u64,
}

/// What tells lines in their order from others: each is added to the digest of those
/// before it, which is 0 at first. A line counts without the white space at its end.
pub fn digest(before: u64, line: &[u8]) -> u64 {
    add_to_digest(before, line_hash(line))
}

fn line_hash(line: &[u8]) -> u64 {
    hash::persistent_64(line.trim_ascii_end())
}

pub(in crate::engine) fn add_to_digest(before: u64, line: u64) -> u64 {
    hash::mix(before.rotate_left(1) ^ line)
}

/// The key of its row.
const KEY: &[u8] = b"import";

impl Progress {
    /// That of an import that is not complete.
    pub(in crate::engine) fn under_way(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        let stored = Self::decode(store.row(Space::Counter, KEY)?);
        Ok(stored.filter(|it| !it.is_complete))
    }

    /// Where it stands.
    pub(in crate::engine) fn row() -> RowKey {
        (Space::Counter, KEY.to_vec())
    }

    /// As it will be.
    pub(in crate::engine) fn get(draft: &Draft) -> Result<Option<Self>, StoreError> {
        Ok(Self::decode(draft.row(Space::Counter, KEY)?))
    }

    pub(in crate::engine) fn set(&self, draft: &mut Draft) {
        let mut row = vec![u8::from(self.is_complete)];
        row.extend_from_slice(&self.position.to_le_bytes());
        row.extend_from_slice(&self.lost.to_le_bytes());
        row.extend_from_slice(&self.digest.to_le_bytes());
        row.extend_from_slice(self.id.as_bytes());
        draft.set(Space::Counter, KEY, row);
    }

    fn decode(row: Option<Vec<u8>>) -> Option<Self> {
        let row = row?;
        let (is_complete, rest) = row.split_first()?;
        let (position, rest) = rest.split_first_chunk()?;
        let (lost, rest) = rest.split_first_chunk()?;
        let (digest, id) = rest.split_first_chunk()?;
        Some(Self {
            id: String::from_utf8_lossy(id).into_owned(),
            position: u64::from_le_bytes(*position),
            is_complete: *is_complete != 0,
            lost: u64::from_le_bytes(*lost),
            digest: u64::from_le_bytes(*digest),
        })
    }
}

impl Engine {
    /// Takes in parts of an export, in their order; what is answered is on the disk. The
    /// first line of an import that was cut off says where it stands, and changes nothing.
    pub fn import(&self, parts: Vec<ImportPart>) -> Vec<Result<Imported, EngineError>> {
        let mut results: Vec<Option<Result<Imported, EngineError>>> = vec![None; parts.len()];
        let (reply, written) = mpsc::channel();
        // The writer takes one in while the next is read.
        for (at, part) in parts.into_iter().enumerate() {
            let sent = jobs(&self.core, part, (at, &reply))
                .and_then(|jobs| jobs.into_iter().try_for_each(|it| self.writer.send(it)));
            if let (Err(error), Some(place)) = (sent, results.get_mut(at)) {
                *place = Some(Err(error));
                // Those behind it would not follow on it.
                break;
            }
        }
        drop(reply);
        for (at, result) in written {
            // Of a part's jobs the first that failed, or the last.
            if let Some(place) = results.get_mut(at).filter(|it| !matches!(it, Some(Err(_)))) {
                *place = Some(result);
            }
        }
        results.into_iter().map(|it| it.unwrap_or(Err(EngineError::Stopped))).collect()
    }
}

/// A part as jobs: a line that removes articles is a job by itself, so that what one
/// commit removes is bounded.
fn jobs(
    core: &Core,
    ImportPart { mut position, mut digest, lines }: ImportPart,
    (at, reply): (usize, &Reply),
) -> Result<Vec<Job>, EngineError> {
    let items = read(core, position, &lines)?;
    if items.is_empty() {
        return Err(Invalid::new("lines", Problem::Missing).into());
    }
    let mut jobs = Vec::new();
    let removes = |it: &(u64, Item)| matches!(it.1, Item::Other(Line::Kept(_)));
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let mut together: Vec<(u64, Item)> = items.next().into_iter().collect();
        if !together.iter().any(removes) {
            together.extend(std::iter::from_fn(|| items.next_if(|it| !removes(it))));
        }
        let count = together.len() as u64;
        let reply = reply.clone();
        let job = ImportJob { position, digest, items: together, at, reply };
        jobs.push(Job::Import(Box::new(job)));
        position += count;
        digest = None;
    }
    Ok(jobs)
}

fn read(core: &Core, position: u64, lines: &[u8]) -> Result<Vec<(u64, Item)>, EngineError> {
    let lines = lines.split(|it| *it == b'\n').filter(|it| !it.trim_ascii().is_empty());
    let lines: Vec<(u64, &[u8])> = (position..).zip(lines).collect();
    let items = parallel::each(lines, |(place, line)| {
        let unreadable = |problem| {
            let problem = Problem::NotALine { number: place + 1, problem };
            EngineError::from(Invalid::new("lines", problem))
        };
        let hash = line_hash(line);
        let line = Line::read(line, place == 0).map_err(unreadable)?;
        let Line::Article(article) = line else { return Ok((hash, Item::Other(line))) };
        Ok((hash, Item::Article(Box::new(incoming(core, *article).map_err(unreadable)?))))
    });
    items.into_iter().collect()
}

fn incoming(core: &Core, line: ArticleLine) -> Result<Incoming, String> {
    let (number, stored_ms) = (ArticleNumber(line.number), line.stored_ms);
    let (article, features) = line.into_article()?;
    let dictionary = core.dictionary.get();
    let prepared = match features {
        None => Prepared::new(article, dictionary, core.keeps_text),
        Some(features) => {
            let features =
                Features::decode(number, &features, None).map_err(|it| it.to_string())?;
            Prepared::without_text(article, features, (dictionary, core.keeps_text))
        }
    };
    Ok(Incoming { number, stored_ms, prepared: prepared.map_err(|it| it.to_string())? })
}

/// For fuzzing: a line, read as an import reads it, and written again.
pub(crate) fn line_again(line: &[u8], is_first: bool) -> Option<String> {
    let read = Line::read(line, is_first).ok()?;
    let written = serde_json::to_string(&read).ok()?;
    if let Line::Article(article) = read
        && let Ok((article, Some(features))) = article.into_article()
        && let Ok(features) = Features::decode(ArticleNumber(0), &features, None)
    {
        Prepared::without_text(article, features, (None, true)).ok();
    }
    Some(written)
}
