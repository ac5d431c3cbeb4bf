//! The pace of what a caller sends: each message of a stream counts as a request
//! against the limit of its token, and the stream is read no faster than that. A
//! token that is taken away ends its streams.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};

use crate::api::status::ApiError;
use crate::auth::tokens::Holder;

/// A wait is cut into pieces of this length, so that a token that is taken away
/// meanwhile is noticed.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Bytes before a message: whether it is compressed, and its length, big-endian.
const HEAD_BYTES: usize = 5;

/// Paces the body of a request.
pub(super) fn paced(
    request: http::Request<Body>,
    holder: Option<Arc<Holder>>,
) -> http::Request<Body> {
    match holder {
        Some(holder) => request.map(|body| {
            Body::new(Paced { body, holder, messages: Messages::default(), wait: None })
        }),
        None => request,
    }
}

struct Paced {
    body: Body,
    holder: Arc<Holder>,
    messages: Messages,
    wait: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        while let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(context));
            let missing = self.holder.charge(0).filter(|_| !self.holder.is_revoked());
            self.wait = missing.map(pause);
        }
        if self.holder.is_revoked() {
            let problem = "the token was taken away";
            return Poll::Ready(Some(Err(ApiError::Unauthenticated { problem }.into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|it| it.as_ref().ok()?.data_ref()) {
            let count = self.messages.begun_in(data);
            self.wait = self.holder.charge(count).map(pause);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn pause(time: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep(time.min(WAIT_MAX)))
}

/// Where in its messages a body is.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The head of a message, as far as it has come.
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    left: usize,
    has_begun: bool,
    /// Bytes of the message that have come.
    come: usize,
}

impl Messages {
    /// Messages that begin in the next bytes. The first of all is not counted:
    /// the gate has.
    pub(super) fn begun_in(&mut self, mut data: &[u8]) -> u32 {
        let mut count = 0;
        while !data.is_empty() {
            let (inside, rest) = data.split_at(self.left.min(data.len()));
            self.left -= inside.len();
            self.come += inside.len();
            let missing = HEAD_BYTES - self.head.len();
            let (head, rest) = rest.split_at(missing.min(rest.len()));
            self.head.extend(head);
            data = rest;
            if self.head.len() == HEAD_BYTES {
                let length = self.head.iter().skip(1);
                self.left = length.fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                self.head.clear();
                self.come = 0;
                count += u32::from(self.has_begun);
                self.has_begun = true;
            }
        }
        count
    }

    /// Whether a message has begun and is not complete.
    pub(super) fn is_within(&self) -> bool {
        self.left > 0 || !self.head.is_empty()
    }

    /// Bytes of a message that is not complete.
    pub(super) fn bytes_within(&self) -> usize {
        if self.left > 0 { self.come } else { self.head.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let mut body = Vec::new();
        for length in [0_u8, 1, 7, 200, 0] {
            body.extend([0, 0, 0, 0, length]);
            body.extend(vec![9; usize::from(length)]);
        }
        // Of a length of more than a byte.
        body.extend([0, 0, 0, 1, 2]);
        body.extend(vec![9; 258]);
        for size in [1, 2, 3, 5, 6, 64, body.len()] {
            let mut messages = Messages::default();
            let count: u32 = body.chunks(size).map(|it| messages.begun_in(it)).sum();
            assert_eq!(count, 5, "in pieces of {size}");
        }
    }
}
