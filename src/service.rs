//! The service: handlers on the engine, their limits, health, and start and
//! stop in good order.

mod admission;
mod audit;
mod behind;
mod call;
mod connections;
mod copy;
mod gate;
mod handlers;
mod lane;
mod listen;
mod pace;
mod reload;
mod run;
mod stream;
mod together;
pub mod tls;
mod weight;

pub use crate::service::admission::BLOCKING_THREADS_MAX;
pub use crate::service::run::{
    CONNECTION_WINDOW_BYTES, LISTENING_TARGET, STREAM_WINDOW_BYTES, ServeError, check, run,
};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::ClusterSettings;
use crate::engine::watch::{TEASER_RETENTION_DEFAULT, TEASERS_MAX_DEFAULT};
use crate::service::tls::TlsFiles;
use crate::text::cues::Cues;

/// Bytes of the store that are kept in memory, at most, by default.
pub const CACHE_BYTES_DEFAULT: usize = 256 << 20;
/// How long calls under way may take once the service is stopped, by default.
pub const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Bytes of a message, at most.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The log target of the audit log.
pub const AUDIT_TARGET: &str = "doublon::audit";

/// What the service is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the articles are kept; in memory if `None`.
    pub data_dir: Option<PathBuf>,
    /// The cluster in which they are kept instead.
    pub cluster: Option<ClusterSettings>,
    /// Whether the texts of articles are kept.
    pub keeps_text: bool,
    /// Whether every page of the database is checked before the start, whatever its size.
    pub checks_pages: bool,
    /// Bytes of the store that are kept in memory, at most.
    pub cache_bytes: usize,
    /// How long calls under way may take once the service is stopped.
    pub drain_timeout: Duration,
    /// The phrases by which blurbs and pages are read.
    pub cues: Arc<Cues>,
    /// How long articles are kept; for ever if `None`.
    pub retention: Option<Duration>,
    /// How long teasers wait for their articles after they were seen last.
    pub teaser_retention: Duration,
    /// Teasers that wait, at most.
    pub teasers_max: u64,
    /// Who may call, and how.
    pub security: Security,
}

impl Settings {
    /// The defaults of `doublon serve`, with articles kept there.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        Self {
            data_dir,
            cluster: None,
            keeps_text: true,
            checks_pages: false,
            cache_bytes: CACHE_BYTES_DEFAULT,
            drain_timeout: DRAIN_TIMEOUT_DEFAULT,
            cues: Arc::new(Cues::builtin().clone()),
            retention: None,
            teaser_retention: TEASER_RETENTION_DEFAULT,
            teasers_max: TEASERS_MAX_DEFAULT,
            security: Security::default(),
        }
    }
}

/// What is asked of callers; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// The file of tokens; without one everybody may call.
    pub tokens: Option<PathBuf>,
    /// Certificates; without them the transport is plain HTTP/2.
    pub tls: Option<TlsFiles>,
}
