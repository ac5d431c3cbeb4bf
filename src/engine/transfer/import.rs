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
use crate::store::draft::Draft;
use crate::store::{ArticleNumber, Space, Store, StoreError};

/// Some lines of an export.
#[derive(Debug, Clone)]
pub struct ImportPart {
    /// Lines of the export before them.
    pub position: u64,
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
    pub(in crate::engine) items: Vec<Item>,
    /// Its place in the caller's batch.
    pub(in crate::engine) at: usize,
    pub(in crate::engine) reply: Sender<(usize, Result<Imported, EngineError>)>,
}

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
}

/// The key of its row.
const KEY: &[u8] = b"import";

impl Progress {
    /// As it is stored.
    pub(in crate::engine) fn stored(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        Ok(Self::decode(store.row(Space::Counter, KEY)?))
    }

    pub(in crate::engine) fn get(draft: &Draft) -> Result<Option<Self>, StoreError> {
        Ok(Self::decode(draft.row(Space::Counter, KEY)?))
    }

    pub(in crate::engine) fn set(&self, draft: &mut Draft) {
        let mut row = vec![u8::from(self.is_complete)];
        row.extend_from_slice(&self.position.to_le_bytes());
        row.extend_from_slice(&self.lost.to_le_bytes());
        row.extend_from_slice(self.id.as_bytes());
        draft.set(Space::Counter, KEY, row);
    }

    fn decode(row: Option<Vec<u8>>) -> Option<Self> {
        let row = row?;
        let (is_complete, rest) = row.split_first()?;
        let (position, rest) = rest.split_first_chunk()?;
        let (lost, id) = rest.split_first_chunk()?;
        Some(Self {
            id: String::from_utf8_lossy(id).into_owned(),
            position: u64::from_le_bytes(*position),
            is_complete: *is_complete != 0,
            lost: u64::from_le_bytes(*lost),
        })
    }
}

impl Engine {
    /// Takes in parts of an export, in their order; what is answered is on the disk. The
    /// first line of an import that was cut off says where it stands, and changes nothing.
    pub fn import(&self, parts: Vec<ImportPart>) -> Vec<Result<Imported, EngineError>> {
        let mut results: Vec<Result<Imported, EngineError>> =
            parts.iter().map(|_| Err(EngineError::Stopped)).collect();
        let (reply, written) = mpsc::channel();
        // The writer takes one in while the next is read.
        for (at, ImportPart { position, lines }) in parts.into_iter().enumerate() {
            let sent = read(&self.core, position, &lines).and_then(|items| {
                let reply = reply.clone();
                self.writer.send(Job::Import(Box::new(ImportJob { position, items, at, reply })))
            });
            if let (Err(error), Some(place)) = (sent, results.get_mut(at)) {
                *place = Err(error);
                // Those behind it would not follow on it.
                break;
            }
        }
        drop(reply);
        for (at, result) in written {
            if let Some(place) = results.get_mut(at) {
                *place = result;
            }
        }
        results
    }
}

fn read(core: &Core, position: u64, lines: &[u8]) -> Result<Vec<Item>, EngineError> {
    let lines = lines.split(|it| *it == b'\n').filter(|it| !it.trim_ascii().is_empty());
    let lines: Vec<(u64, &[u8])> = (position..).zip(lines).collect();
    let items = parallel::each(lines, |(place, line)| {
        let unreadable = |problem| {
            let problem = Problem::NotALine { number: place + 1, problem };
            EngineError::from(Invalid::new("lines", problem))
        };
        let line = Line::read(line, place == 0).map_err(unreadable)?;
        let Line::Article(article) = line else { return Ok(Item::Other(line)) };
        Ok(Item::Article(Box::new(incoming(core, *article).map_err(unreadable)?)))
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
            Prepared::without_text(article, features, dictionary)
        }
    };
    Ok(Incoming { number, stored_ms, prepared: prepared.map_err(|it| it.to_string())? })
}
