//! The way to a cluster of Valkey, Redis or what else speaks the protocol of Redis
//! Cluster: which node has a key, connections, batches of commands, and what is tried again.
//! Knows no record and no posting.
//!
//! A batch is one round trip: its commands go as one pipeline to each node, all at once. The
//! `redis` crate's own cluster client refuses pipelines across slots, or, given the node,
//! sends a whole pipeline again elsewhere when one of its slots has moved; so its
//! connections are used, and the way is found here.

mod ahead;
mod batch;
mod link;
pub(crate) mod reply;
mod slots;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Runtime;

use crate::cluster::ahead::Ahead;
use crate::cluster::batch::{Lanes, Shared};
pub use crate::cluster::slots::slot_of;
use crate::hash;

/// Threads that the connections are driven by.
const DRIVERS: usize = 2;

/// How a cluster is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Some of its nodes, `redis://host:port` or `rediss://host:port` for TLS.
    pub seeds: Vec<String>,
    /// The user, where not the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// Certificates that nodes' certificates are checked by, as PEM; the system's where
    /// there is none.
    pub tls_ca: Option<PathBuf>,
    /// What all keys begin with, so that several stores can share a cluster.
    pub prefix: String,
    /// Whether questions may be answered by replicas.
    pub reads_from_replicas: bool,
    /// Replicas that must have a write before it is acknowledged.
    pub replicas: u32,
    /// How long one batch is tried.
    pub timeout: Duration,
    /// Articles that the cluster is planned for: what the number of groups is drawn from when
    /// a store is made.
    pub articles: u64,
}

/// How long one batch is tried, by default.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Articles that a cluster is planned for, by default.
pub const ARTICLES_DEFAULT: u64 = 1_000_000;
/// The least and the most of them.
pub const ARTICLES_MIN: u64 = 1000;
/// See [`ARTICLES_MIN`].
pub const ARTICLES_MAX: u64 = u32::MAX as u64;
/// Bytes of a prefix, at most.
pub const PREFIX_BYTES_MAX: usize = 32;

impl ClusterSettings {
    /// The defaults of `doublon serve`, with these seeds.
    pub fn new(seeds: Vec<String>) -> Self {
        Self {
            seeds,
            username: None,
            password: None,
            tls_ca: None,
            prefix: "doublon".to_owned(),
            reads_from_replicas: false,
            replicas: 1,
            timeout: TIMEOUT_DEFAULT,
            articles: ARTICLES_DEFAULT,
        }
    }
}

impl fmt::Debug for ClusterSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_password = self.password.is_some();
        f.debug_struct("ClusterSettings")
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("has_password", &has_password)
            .finish_non_exhaustive()
    }
}

/// Why a cluster did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// How it is to be reached makes no sense.
    #[error("the cluster cannot be reached as given: {0}")]
    Settings(String),
    /// It could not be reached, or not all of it, for as long as was tried.
    #[error(
        "the cluster does not answer within {waited:?} ({problem}): retry, and see to its nodes"
    )]
    Unavailable {
        /// How long it was tried.
        waited: Duration,
        /// The last problem.
        problem: String,
    },
    /// A node has no memory left.
    #[error(
        "a node of the cluster has no memory left ({0}): nothing of this was stored; give it more maxmemory or add nodes, then retry"
    )]
    Full(String),
    /// It refuses what was asked for good.
    #[error("the cluster refuses {command}: {problem}")]
    Refused {
        /// The command.
        command: String,
        /// What it says.
        problem: String,
    },
}

/// One command, and the slot of its keys.
#[derive(Debug, Clone)]
pub struct Command {
    pub(crate) slot: u16,
    pub(crate) cmd: redis::Cmd,
}

impl Command {
    /// A command with its first key.
    pub fn new(name: &str, key: &[u8]) -> Self {
        let mut cmd = redis::cmd(name);
        cmd.arg(key);
        Self { slot: slot_of(key), cmd }
    }

    /// A script with its keys, all of one slot.
    pub fn script(script: &str, keys: &[&[u8]]) -> Self {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(script).arg(keys.len());
        for key in keys {
            cmd.arg(*key);
        }
        Self { slot: keys.first().map_or(0, |it| slot_of(it)), cmd }
    }

    /// The same with an argument more.
    #[must_use]
    pub fn arg(mut self, arg: impl redis::ToRedisArgs) -> Self {
        self.cmd.arg(arg);
        self
    }

    /// What it does.
    fn name(&self) -> String {
        let mut pieces = self.cmd.args_iter().filter_map(|it| match it {
            redis::Arg::Simple(piece) => Some(String::from_utf8_lossy(piece).into_owned()),
            redis::Arg::Cursor | _ => None,
        });
        pieces.next().unwrap_or_default()
    }

    /// Bytes of its arguments.
    fn bytes(&self) -> usize {
        let bytes = self.cmd.args_iter().map(|it| match it {
            redis::Arg::Simple(piece) => piece.len(),
            redis::Arg::Cursor | _ => 0,
        });
        bytes.sum()
    }

    /// Adds an argument.
    pub fn push(&mut self, arg: impl redis::ToRedisArgs) {
        self.cmd.arg(arg);
    }
}

/// About so long, so that those who wait do not all try at once.
pub(crate) fn varied(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + (hash::random_64() % 1024) as f64 / 1024.0)
}

/// Where a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// To replicas too, where they may answer questions.
    Question,
    /// To primaries.
    Read,
    /// To primaries, and acknowledged by replicas.
    Write,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A question: replicas may answer it.
    Reader,
    /// Wants what primaries have.
    Primary,
    /// The writer, which has asked ahead.
    Writer,
}

/// What went to the cluster since the start.
#[derive(Debug, Default)]
pub struct Meter {
    round_trips: AtomicU64,
    commands: AtomicU64,
    bytes: AtomicU64,
}

/// A reading of a [`Meter`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Batches, and those tried again.
    pub round_trips: u64,
    /// Commands.
    pub commands: u64,
    /// Bytes of commands.
    pub bytes: u64,
}

impl Meter {
    fn add(&self, commands: usize, bytes: usize) {
        self.commands.fetch_add(commands as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// What it says now.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            round_trips: self.round_trips.load(Ordering::Relaxed),
            commands: self.commands.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// A cluster. Its calls block, and are not for threads of a runtime.
pub struct Cluster {
    shared: Arc<Shared>,
    ahead: Ahead,
    /// Dropped without waiting: a node may hang.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Cluster {
    /// Whether settings make sense, without a look at the cluster.
    pub fn check(settings: &ClusterSettings) -> Result<(), ClusterError> {
        Shared::new(settings.clone()).map(drop)
    }

    /// Looks for the nodes.
    pub fn connect(settings: ClusterSettings) -> Result<Self, ClusterError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(DRIVERS)
            .thread_name("cluster")
            .enable_all()
            .build()
            .map_err(|it| ClusterError::Settings(it.to_string()))?;
        let shared = Arc::new(Shared::new(settings)?);
        runtime.block_on(shared.discover())?;
        let renewed = Arc::clone(&shared);
        runtime.spawn(async move { renewed.keep_up().await });
        Ok(Self { shared, ahead: Ahead::default(), runtime: Some(runtime) })
    }

    /// How it is reached.
    pub fn settings(&self) -> &ClusterSettings {
        &self.shared.settings
    }

    /// What went to it.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// A key of this store.
    pub fn key(&self, rest: impl fmt::Display) -> Vec<u8> {
        format!("{}:{rest}", self.shared.settings.prefix).into_bytes()
    }

    /// The replies to reading commands.
    pub(crate) fn ask(
        &self,
        commands: &[Command],
        asker: Asker,
    ) -> Result<Vec<Value>, ClusterError> {
        match asker {
            Asker::Reader => self.run(commands, Lanes::QUESTION),
            Asker::Primary => self.run(commands, Lanes::READ),
            Asker::Writer => self.ask_as_writer(commands),
        }
    }

    /// The replies to reading commands, as the primaries know it.
    pub(crate) fn read(&self, commands: &[Command]) -> Result<Vec<Value>, ClusterError> {
        self.run(commands, Lanes::READ)
    }

    /// The replies to commands, once as many replicas have them as must. Each may be done
    /// more than once, and before an error some of them may be done.
    pub(crate) fn write(&self, commands: &[Command]) -> Result<Vec<Value>, ClusterError> {
        self.run(commands, Lanes::WRITE)
    }

    /// Writes; for benches, which look at no reply.
    pub fn write_all(&self, commands: &[Command]) -> Result<(), ClusterError> {
        self.write(commands).map(drop)
    }

    /// Reads; gives the number of replies.
    pub fn read_all(&self, commands: &[Command]) -> Result<usize, ClusterError> {
        Ok(self.read(commands)?.len())
    }

    /// Sends a command, and waits for nothing.
    pub(crate) fn send_off(&self, command: Command) {
        let Some(runtime) = &self.runtime else { return };
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            if let Err(error) = shared.run(&[command], Lanes::READ).await {
                tracing::warn!(%error, "the cluster was not told what it can do without");
            }
        });
    }

    /// The replies of all primaries to a command without keys.
    pub(crate) fn each_primary(&self, cmd: &redis::Cmd) -> Result<Vec<Value>, ClusterError> {
        self.block_on(self.shared.each_primary(cmd))
    }

    fn run(&self, commands: &[Command], lanes: Lanes) -> Result<Vec<Value>, ClusterError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.block_on(self.shared.run(commands, lanes))
    }

    fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        let stopped = || ClusterError::Settings("it is closed".to_owned());
        self.runtime.as_ref().ok_or_else(stopped)?.block_on(work)
    }
}
