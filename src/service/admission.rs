//! Admission: how many calls may wait and how many may run. The engine blocks,
//! so its work runs on threads of its own; writes, which wait for the disk, do
//! not hold up reads, which keep the processors busy.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task;
use tokio::time::sleep;

use crate::api::status::ApiError;
use crate::engine::Engine;

/// Calls that may be under way, waiting ones with them.
pub(super) const CALLS_MAX: usize = 4096;
/// Calls that may wait for a commit at once.
const WRITES_MAX: usize = 256;

/// The way to the engine.
#[derive(Debug, Clone)]
pub(super) struct Admission(Arc<State>);

#[derive(Debug)]
struct State {
    engine: OnceLock<Arc<Engine>>,
    calls: Semaphore,
    reads: Semaphore,
    writes: Semaphore,
}

/// What work waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The processor.
    Read,
    /// The disk.
    Write,
}

impl Admission {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(State {
            engine: OnceLock::new(),
            calls: Semaphore::new(CALLS_MAX),
            reads: Semaphore::new(2 * cores),
            writes: Semaphore::new(WRITES_MAX),
        }))
    }

    /// Lets calls in.
    pub(super) fn open(&self, engine: Engine) {
        drop(self.0.engine.set(Arc::new(engine)));
    }

    /// Returns once no call has been under way for this long.
    pub(super) async fn idle_for(&self, time: Duration) {
        const LOOKS: u32 = 10;
        let mut idle = 0;
        while idle < LOOKS {
            sleep(time / LOOKS).await;
            idle = if self.0.calls.available_permits() == CALLS_MAX { idle + 1 } else { 0 };
        }
    }

    /// Runs work on the engine, on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: Work,
        act: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let engine = Arc::clone(self.0.engine.get().ok_or(ApiError::Starting)?);
        let full = |_| ApiError::Overloaded { limit: CALLS_MAX };
        let _call = self.0.calls.try_acquire().map_err(full)?;
        let lane = match work {
            Work::Read => &self.0.reads,
            Work::Write => &self.0.writes,
        };
        let _turn = lane.acquire().await.map_err(|_| ApiError::Fault)?;
        let done = task::spawn_blocking(move || act(&engine)).await;
        done.map_err(|error| {
            tracing::error!(%error, "a call ended in a panic");
            ApiError::Fault
        })
    }
}
