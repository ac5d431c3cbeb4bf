//! A lane: work in the order in which it came, on so many threads at once. A thread that is
//! done takes what waits, so that under load none is put to sleep and woken for each call.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task;

/// What a thread does for a call. It does not panic.
pub(super) struct Job(Box<dyn FnOnce() + Send>);

impl Job {
    pub(super) fn new(act: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(act))
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Job")
    }
}

/// Work that waits, and how much may run at once.
#[derive(Debug, Clone)]
pub(super) struct Lane(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    waiting: VecDeque<Job>,
    /// Threads that take what waits.
    threads: usize,
    threads_max: usize,
}

impl Lane {
    pub(super) fn new(threads_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State { waiting: VecDeque::new(), threads: 0, threads_max })))
    }

    /// Lets so many more run at once.
    pub(super) fn widen(&self, threads: usize) {
        self.state().threads_max += threads;
    }

    /// Does it when its turn has come, on a thread that may block.
    pub(super) fn push(&self, job: Job) {
        let mut state = self.state();
        state.waiting.push_back(job);
        if state.threads < state.threads_max {
            state.threads += 1;
            let lane = self.clone();
            task::spawn_blocking(move || lane.work());
        }
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            (job.0)();
        }
    }

    /// What a thread does next; if nothing waits, there is one thread less.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.threads -= 1;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    async fn one_thread_does_all_in_order() {
        let lane = Lane::new(1);
        let (done, all_done) = mpsc::channel();
        for job in 0..JOBS {
            let done = done.clone();
            lane.push(Job::new(move || done.send(job).unwrap()));
        }
        assert!(all_done.iter().take(JOBS).eq(0..JOBS));
    }

    #[tokio::test]
    async fn as_many_run_at_once_as_may_and_no_more_in_each_rush() {
        let lane = Lane::new(1);
        lane.widen(THREADS - 1);
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let meet = Arc::new(Barrier::new(THREADS));
        for _ in 0..2 {
            let (done, all_done) = mpsc::channel();
            for job in 0..JOBS {
                let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
                let (meet, done) = (Arc::clone(&meet), done.clone());
                lane.push(Job::new(move || {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if job < THREADS {
                        meet.wait();
                    }
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    done.send(()).unwrap();
                }));
            }
            drop(done);
            assert_eq!(all_done.iter().count(), JOBS);
            assert_eq!(most.load(Ordering::SeqCst), THREADS);
        }
        // A thread that finds nothing goes.
        while lane.state().threads > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
