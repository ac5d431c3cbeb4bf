//! Listeners: a stream of what is resolved, for as long as the caller listens. It reads
//! from the store, so that a slow listener takes no memory.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;
use tonic::Status;

use crate::api::convert;
use crate::api::status::ApiError;
use crate::api::v1;
use crate::engine::error::EngineError;
use crate::engine::watch::record::Resolution;
use crate::service::admission::{Admission, Work};
use crate::service::stream::Answers;

/// What listeners wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Signal {
    /// Changes when something was resolved.
    pub(super) resolved: u64,
    /// Whether the service is stopping.
    pub(super) is_stopping: bool,
}

struct Listener {
    admission: Admission,
    signal: watch::Receiver<Signal>,
    cursor: u64,
    read: VecDeque<Resolution>,
    has_failed: bool,
}

/// Tells of what is resolved from a cursor on.
pub(super) fn listen(
    admission: Admission,
    signal: watch::Receiver<Signal>,
    cursor: u64,
) -> Answers<v1::WatchTeasersResponse> {
    let begun = convert::watch::begun(cursor);
    let read = VecDeque::new();
    let listener = Listener { admission, signal, cursor, read, has_failed: false };
    let told = stream::unfold(listener, |mut it| async move {
        if it.has_failed {
            return None;
        }
        let next = it.next().await;
        it.has_failed = next.is_err();
        Some((next.map(convert::watch::told).map_err(Status::from), it))
    });
    Box::pin(stream::iter([Ok(begun)]).chain(told))
}

impl Listener {
    async fn next(&mut self) -> Result<Resolution, ApiError> {
        loop {
            if let Some(resolution) = self.read.pop_front() {
                self.cursor = resolution.sequence + 1;
                return Ok(resolution);
            }
            // Seen before it is read, so that what comes meanwhile is seen too.
            let stopped = || ApiError::from(EngineError::Stopped);
            if self.signal.borrow_and_update().is_stopping {
                return Err(stopped());
            }
            let cursor = self.cursor;
            let read = self.admission.run(Work::Read, move |it| it.resolutions(cursor)).await??;
            self.read = read.into();
            if self.read.is_empty() {
                self.signal.changed().await.map_err(|_| stopped())?;
            }
        }
    }
}
