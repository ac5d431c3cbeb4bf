//! Behind others: what waits until the tasks that its thread has ready have run. The runtime
//! runs a task that is woken before those that were ready, and so one call at a time.

use std::mem;
use std::task::{Context, Poll};

/// Whether others have run.
#[derive(Debug, Default)]
pub(super) struct Behind {
    is_behind: bool,
}

impl Behind {
    /// Ready from the second time on. Another thread may go on with the task meanwhile, which
    /// one that waits in `task::yield_now` is kept from.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        if mem::replace(&mut self.is_behind, true) {
            return Poll::Ready(());
        }
        // A task that wakes itself goes behind all that its thread has ready.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Lets all run that is ready to.
pub(super) async fn others() {
    let mut behind = Behind::default();
    std::future::poll_fn(|context| behind.poll(context)).await;
}
