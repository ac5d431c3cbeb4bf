//! Admission: how many calls may wait and how many may run. The engine blocks,
//! so its work runs on threads of its own; writes, which wait for the disk, do
//! not hold up reads, which keep the processors busy. What takes less time than
//! the way to another thread and back is done by those of the connections (`together`).

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task;
use tokio::time::sleep;

use crate::api::status::ApiError;
use crate::engine::Engine;
use crate::service::lane::{Job, Lane};

/// Calls that may be under way, waiting ones with them.
pub(super) const CALLS_MAX: usize = 4096;
/// Calls that may wait for a commit at once.
const WRITES_MAX: usize = 256;

/// Reads that may be under way at once, where they wait for a cluster, beside those that the
/// processors have room for.
const FAR_READS: usize = 128;

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
            reads: Lane::new(2 * cores),
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
        let work = move || {
            // The caller may have gone away before its turn. Behind it, the work ends.
            let done = (!answer.is_closed()).then(|| (guarded(|| act(&engine)), answer));
            // Who waits for the last call closes the engine.
            drop(engine);
            drop(call);
            if let Some((done, answer)) = done {
                answer.send(done).ok();
            }
        };
        lane.push(Job::new(work));
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

/// Does what the engine does for a call; a panic there fails it, and nothing else.
pub(super) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T, ApiError> {
    // What a panic could leave half done is within the call.
    std::panic::catch_unwind(AssertUnwindSafe(act)).map_err(|_| {
        tracing::error!("a call ended in a panic");
        ApiError::Fault
    })
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
        for _ in 0..2 * CALLS_MAX / 64 {
            for work in [Work::Read, Work::Write] {
                let failed = admission.run(work, |_| -> u32 { panic!("as told") }).await;
                assert!(matches!(failed, Err(ApiError::Fault)));
            }
            let failed = guarded(|| -> u32 { panic!("as told") });
            assert!(matches!(failed, Err(ApiError::Fault)));
        }
        assert_eq!(admission.run(Work::Read, |_| 7).await.unwrap(), 7);
        assert_eq!(admission.0.calls.available_permits(), CALLS_MAX);
    }

    #[tokio::test]
    async fn a_call_whose_caller_has_gone_before_its_turn_is_not_worked_on() {
        let admission = open_for_tests();
        let lane = Lane::new(1);
        let (go_on, waits) = mpsc::channel::<()>();
        lane.push(Job::new(move || waits.recv().unwrap()));
        let worked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&worked);
        let call = admission.run_in(&lane, move |_| seen.store(true, Ordering::SeqCst));
        // As the transport does when grpc-timeout has passed or the stream was reset.
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
        go_on.send(()).unwrap();
        admission.run_in(&lane, |_| ()).await.unwrap();
        assert!(!worked.load(Ordering::SeqCst));
        assert_eq!(admission.0.calls.available_permits(), CALLS_MAX);
    }
}
