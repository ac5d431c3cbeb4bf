//! A lane: work in the order in which it came, on so many threads at once. A thread that is
//! done takes what waits, so that under load none is put to sleep and woken for each call.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task;

use crate::api::status::ApiError;

/// What a thread does for a call.
type Job = Box<dyn FnOnce() + Send>;

/// Work that waits, and how much may run at once.
#[derive(Debug, Clone)]
pub(super) struct Lane(Arc<Mutex<State>>);

struct State {
    /// By when it came. Who pushes bounds how much waits.
    waiting: BTreeMap<u64, Job>,
    pushed: u64,
    /// Threads that take what waits.
    threads: usize,
    threads_max: usize,
}

impl fmt::Debug for State {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut state = to.debug_struct("State");
        state.field("waiting", &self.waiting.len()).field("threads", &self.threads);
        state.field("threads_max", &self.threads_max).finish_non_exhaustive()
    }
}

/// A place in a lane. Who drops it before its turn takes the work back.
#[derive(Debug)]
#[must_use]
pub(super) struct Place {
    lane: Lane,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let job = self.lane.state().waiting.remove(&self.number);
        // Not while others wait for the lane.
        drop(job);
    }
}

impl Lane {
    pub(super) fn new(threads_max: usize) -> Self {
        let state = State { waiting: BTreeMap::new(), pushed: 0, threads: 0, threads_max };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Lets so many more run at once.
    pub(super) fn widen(&self, threads: usize) {
        self.state().threads_max += threads;
    }

    /// Does it when its turn has come, on a thread that may block.
    pub(super) fn push(&self, job: impl FnOnce() + Send + 'static) -> Place {
        let mut state = self.state();
        let number = state.pushed;
        state.pushed += 1;
        state.waiting.insert(number, Box::new(job));
        if state.threads < state.threads_max {
            state.threads += 1;
            let lane = self.clone();
            task::spawn_blocking(move || lane.work());
        }
        drop(state);
        Place { lane: self.clone(), number }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // Or the lane would have a thread less for ever.
            guarded(job).ok();
        }
    }

    /// What a thread does next; if nothing waits, there is one thread less.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let next = state.waiting.pop_first().map(|(_, job)| job);
        if next.is_none() {
            state.threads -= 1;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what the engine does for a call; a panic there fails it, and nothing else.
pub(super) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T, ApiError> {
    // What a panic could leave half done is within the call.
    std::panic::catch_unwind(AssertUnwindSafe(act)).map_err(|_| {
        // Its message may quote a text.
        tracing::error!("a call ended in a panic");
        ApiError::Fault
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, mpsc};
    use std::time::Duration;

    use super::*;

    const THREADS: usize = 3;
    const JOBS: usize = 200;

    #[tokio::test]
    async fn one_thread_does_all_in_order_but_what_was_taken_back() {
        let lane = Lane::new(1);
        let (go_on, waits) = mpsc::channel::<()>();
        let (done, all_done) = mpsc::channel();
        let first = lane.push(move || waits.recv().unwrap());
        let mut places = Vec::new();
        for job in 0..JOBS {
            let done = done.clone();
            places.push(lane.push(move || done.send(job).unwrap()));
        }
        drop(done);
        // While the only thread waits.
        let mut kept = (0..JOBS).map(|it| it % 3 != 2);
        places.retain(|_| kept.next().unwrap());
        go_on.send(()).unwrap();
        let expected: Vec<usize> = (0..JOBS).filter(|it| it % 3 != 2).collect();
        assert_eq!(all_done.iter().collect::<Vec<_>>(), expected);
        drop((first, places));
        assert!(lane.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn as_many_run_at_once_as_may_and_no_more_in_each_rush_whatever_panics() {
        let lane = Lane::new(1);
        lane.widen(THREADS - 1);
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let meet = Arc::new(Barrier::new(THREADS));
        for _ in 0..2 {
            let (done, all_done) = mpsc::channel();
            let mut places = Vec::new();
            for job in 0..JOBS {
                let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
                let (meet, done) = (Arc::clone(&meet), done.clone());
                places.push(lane.push(move || {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if job < THREADS {
                        meet.wait();
                    }
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    done.send(()).unwrap();
                    assert!(job % 10 > 0, "as told");
                }));
            }
            drop(done);
            assert_eq!(all_done.iter().count(), JOBS);
            drop(places);
            assert_eq!(most.load(Ordering::SeqCst), THREADS);
            // A thread that finds nothing goes.
            while lane.state().threads > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
