//! Admission: how many calls may wait and how many may run. The engine blocks,
//! so its work runs on threads of its own; writes, which wait for the disk, do
//! not hold up reads, which keep the processors busy. What takes less time than
//! the way to another thread and back is done by those of the connections (`together`).

use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task;
use tokio::time::sleep;

use crate::api::status::ApiError;
use crate::engine::Engine;
use crate::service::lane::{Lane, guarded};

/// Calls that may be under way, waiting ones with them.
pub(super) const CALLS_MAX: usize = 4096;
/// Calls that may wait for a commit at once.
const WRITES_MAX: usize = 256;
/// Reads at once, whatever the number of processors.
const READS_MAX: usize = 512;

/// Reads that may be under way at once, where they wait for a cluster, beside those that the
/// processors have room for.
const FAR_READS: usize = 128;

/// Threads that may block: those of calls, and some for what else there is to do.
pub const BLOCKING_THREADS_MAX: usize = READS_MAX + FAR_READS + WRITES_MAX + 128;

/// The way to the engine.
#[derive(Debug, Clone)]
pub(super) struct Admission(Arc<State>);

#[derive(Debug)]
struct State {
    engine: RwLock<Option<Arc<Engine>>>,
    calls: Arc<Semaphore>,
    reads: Lane,
    writes: Lane,
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
            engine: RwLock::new(None),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            reads: Lane::new((2 * cores).min(READS_MAX)),
            writes: Lane::new(WRITES_MAX),
        }))
    }

    /// Lets calls in.
    pub(super) fn open(&self, engine: Engine) {
        if engine.is_far() {
            // They wait for other machines, not for the processor.
            self.0.reads.widen(FAR_READS);
        }
        *self.0.engine.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(engine));
    }

    /// Lets no more calls in, and closes the store in good order once the calls
    /// under way have ended. Connections that are still open do not keep it.
    pub(super) async fn close(&self) {
        let engine = self.0.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        task::spawn_blocking(move || drop(engine)).await.ok();
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
        let lane = match work {
            Work::Read => &self.0.reads,
            Work::Write => &self.0.writes,
        };
        self.run_in(lane, act).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        lane: &Lane,
        act: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (engine, call) = self.admit()?;
        let (answer, answered) = oneshot::channel();
        // A caller that goes away before its turn takes it back, with all that it holds.
        let _place = lane.push(move || {
            let done = guarded(|| act(&engine));
            // Who waits for the last call closes the engine.
            drop(engine);
            drop(call);
            answer.send(done).ok();
        });
        answered.await.map_err(|_| ApiError::Fault)?
    }

    /// Whether the engine's calls wait for other machines.
    pub(super) fn is_far(&self) -> bool {
        let engine = self.0.engine.read().unwrap_or_else(PoisonError::into_inner);
        engine.as_ref().is_some_and(|it| it.is_far())
    }

    /// Lets a call in. It is under way for as long as the permit is held.
    pub(super) fn admit(&self) -> Result<(Arc<Engine>, OwnedSemaphorePermit), ApiError> {
        let engine = self.0.engine.read().unwrap_or_else(PoisonError::into_inner).clone();
        let engine = engine.ok_or(ApiError::Starting)?;
        let full = |_| ApiError::Overloaded { limit: CALLS_MAX };
        Ok((engine, Arc::clone(&self.0.calls).try_acquire_owned().map_err(full)?))
    }
}

/// With an empty store in memory.
#[cfg(test)]
pub(super) fn open_for_tests() -> Admission {
    use crate::clock::Clock;
    use crate::engine::Options;
    use crate::index::memory::MemoryIndex;
    use crate::store::embedded::EmbeddedStore;

    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    let options = Options::new(Clock::system());
    let admission = Admission::new();
    admission.open(Engine::open(store, index, options, |_, _| {}).unwrap());
    admission
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_call_and_no_other() {
        let admission = open_for_tests();
        // More than there are threads: none of them is lost.
        for _ in 0..2 * WRITES_MAX {
            for work in [Work::Read, Work::Write] {
                let failed = admission.run(work, |_| -> u32 { panic!("as told") }).await;
                assert!(matches!(failed, Err(ApiError::Fault)));
            }
            let failed = guarded(|| -> u32 { panic!("as told") });
            assert!(matches!(failed, Err(ApiError::Fault)));
        }
        for work in [Work::Read, Work::Write] {
            assert_eq!(admission.run(work, |_| 7).await.unwrap(), 7);
        }
        assert_eq!(admission.0.calls.available_permits(), CALLS_MAX);
    }

    #[tokio::test]
    async fn a_call_whose_caller_has_gone_before_its_turn_is_not_worked_on() {
        let admission = open_for_tests();
        let lane = Lane::new(1);
        let (go_on, waits) = mpsc::channel::<()>();
        let _busy = lane.push(move || waits.recv().unwrap());
        let worked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&worked);
        let call = admission.run_in(&lane, move |_| seen.store(true, Ordering::SeqCst));
        // As the transport does when grpc-timeout has passed or the stream was reset.
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
        // It keeps nothing, though the lane is busy still.
        assert_eq!(admission.0.calls.available_permits(), CALLS_MAX);
        go_on.send(()).unwrap();
        admission.run_in(&lane, |_| ()).await.unwrap();
        assert!(!worked.load(Ordering::SeqCst));
        assert_eq!(admission.0.calls.available_permits(), CALLS_MAX);
    }
}
