//! The service: handlers on the engine, their limits, health, and start and
//! stop in good order.

mod admission;
mod handlers;
mod run;
mod stream;

pub use crate::service::run::{
    CONNECTION_WINDOW_BYTES, LISTENING_TARGET, STREAM_WINDOW_BYTES, ServeError, run,
};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::text::cues::Cues;

/// Bytes of a message, at most.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What the service is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the articles are kept; in memory if `None`.
    pub data_dir: Option<PathBuf>,
    /// Whether the texts of articles are kept.
    pub keeps_text: bool,
    /// Bytes of the store that are kept in memory, at most.
    pub cache_bytes: usize,
    /// How long calls under way may take once the service is stopped.
    pub drain_timeout: Duration,
    /// The phrases by which blurbs and pages are read.
    pub cues: Arc<Cues>,
}
