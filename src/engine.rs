//! The engine: stores articles, finds near-duplicates, matches teasers and
//! splits pages, over any store and any index. Knows no wire and no runtime;
//! its calls block.

pub mod article;
pub mod checkpoint;
mod core;
pub mod error;
pub mod find;
pub mod page;
mod parallel;
mod prepare;
pub mod put;
pub mod read;
mod rebuild;
pub mod record;
pub mod sign;
mod standing;
pub mod teaser;
mod writer;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::clock::Clock;
use crate::engine::checkpoint::Checkpoints;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::record::Dictionary;
use crate::engine::writer::Writer;
use crate::index::Index;
use crate::store::Store;
use crate::text::cues::Cues;

/// A store with its index, and the thread that writes to both.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    writer: Writer,
}

impl Engine {
    /// Fills an empty index from the records, and starts the writer.
    ///
    /// `progress` is called now and then with the number of articles read and
    /// of all.
    pub fn open(
        store: Arc<dyn Store>,
        index: Arc<dyn Index>,
        clock: Clock,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, EngineError> {
        Self::open_in(None, (store, index), clock, progress)
    }

    /// The same, with checkpoints of the index in a folder.
    pub fn open_in(
        folder: Option<&Path>,
        (store, index): (Arc<dyn Store>, Arc<dyn Index>),
        clock: Clock,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, EngineError> {
        let cues = Arc::new(Cues::builtin().clone());
        let dictionary = Arc::new(OnceLock::new());
        if let Some(bytes) = store.kept()? {
            drop(dictionary.set(Dictionary::from_bytes(&bytes)));
        }
        let core = Core { store, index, clock, cues, dictionary, keeps_text: true };
        let changes = rebuild::rebuild(&core, folder, progress)?;
        let checkpoints = folder.map(|it| Checkpoints::new(it, changes));
        let writer = Writer::start(core.clone(), checkpoints)?;
        Ok(Self { core, writer })
    }

    /// The same, reading blurbs and pages by these cues instead of the built-in
    /// ones. Nothing that is stored depends on them.
    #[must_use]
    pub fn with_cues(mut self, cues: Arc<Cues>) -> Self {
        self.core.cues = cues;
        self
    }

    /// The same, storing no texts: only what is computed from them.
    #[must_use]
    pub fn without_texts(mut self) -> Self {
        self.core.keeps_text = false;
        self
    }
}
