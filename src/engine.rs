//! The engine: stores articles, finds near-duplicates, matches teasers and
//! splits pages, over any store and any index. Knows no wire and no runtime;
//! its calls block.

pub mod article;
pub mod checkpoint;
mod commit;
mod core;
pub mod error;
mod expiry;
pub mod find;
pub mod page;
mod parallel;
mod prepare;
pub mod put;
pub mod read;
mod rebuild;
pub mod record;
pub mod reference;
pub mod revision;
pub mod rows;
pub mod scope;
pub mod sign;
mod standing;
pub mod story;
pub mod teaser;
pub mod transfer;
pub mod verify;
pub mod watch;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::Clock;
use crate::engine::checkpoint::Checkpoints;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::expiry::Expiry;
use crate::engine::record::Dictionary;
use crate::engine::rows::Counter;
use crate::engine::watch::{TEASER_RETENTION_DEFAULT, TEASERS_MAX_DEFAULT, shelf};
use crate::engine::writer::{Limits, Writer};
use crate::index::Index;
use crate::index::standing::StandingIndex;
use crate::store::Store;
use crate::text::cues::Cues;

/// A store with its index, and the thread that writes to both.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    writer: Writer,
}

/// How an engine is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where checkpoints of the index are kept; none are if it is `None`.
    pub folder: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
    /// The phrases by which blurbs and pages are read. Nothing that is stored of articles
    /// depends on them.
    pub cues: Arc<Cues>,
    /// Whether the texts of articles, titles and descriptions with them, are stored beside
    /// what is computed from them.
    pub keeps_text: bool,
    /// How long articles are kept, at least; `None` for ever.
    pub retention: Option<Duration>,
    /// How long teasers wait after they were seen last, and their resolutions are
    /// remembered.
    pub teaser_retention: Duration,
    /// Teasers that wait, and resolutions that are remembered, at most.
    pub teasers_max: u64,
}

impl Options {
    /// With this clock and no folder, everything kept.
    pub fn new(clock: Clock) -> Self {
        Self {
            folder: None,
            clock,
            cues: Arc::new(Cues::builtin().clone()),
            keeps_text: true,
            retention: None,
            teaser_retention: TEASER_RETENTION_DEFAULT,
            teasers_max: TEASERS_MAX_DEFAULT,
        }
    }
}

impl Engine {
    /// Fills an empty index from the records, and starts the writer.
    ///
    /// `progress` is called now and then with the number of articles read and
    /// of all.
    pub fn open(
        store: Arc<dyn Store>,
        index: Arc<dyn Index>,
        options: Options,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, EngineError> {
        let Options { folder, clock, cues, keeps_text, .. } = options;
        Counter::check_all(store.as_ref())?;
        let dictionary = Arc::new(OnceLock::new());
        if let Some(bytes) = store.kept()? {
            drop(dictionary.set(Dictionary::from_bytes(&bytes)));
        }
        let standing = Arc::new(StandingIndex::default());
        let listener = Arc::new(OnceLock::new());
        let core = Core { store, index, clock, cues, dictionary, keeps_text, standing, listener };
        let changes = if core.index.is_shared() {
            0
        } else {
            rebuild::rebuild(&core, folder.as_deref(), progress)?
        };
        let shelf_seen = Counter::ShelfNext.stored(core.store.as_ref())?;
        shelf::open(&core)?;
        let checkpoints = folder.map(|it| Checkpoints::new(&it, changes));
        let limits = Limits {
            expiry: Expiry { retention: options.retention },
            teaser_retention: options.teaser_retention,
            teasers_max: options.teasers_max,
        };
        let writer = Writer::start(core.for_writer(), limits, (checkpoints, shelf_seen))?;
        Ok(Self { core, writer })
    }

    /// Whether what it is kept in answers.
    pub fn is_reachable(&self) -> bool {
        self.core.store.record_count().is_ok()
    }

    /// Whether its calls wait for other machines.
    pub fn is_far(&self) -> bool {
        self.core.is_far()
    }
}
