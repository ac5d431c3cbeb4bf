//! The weight of calls: bytes of requests that have arrived and of answers that wait to be
//! read, of all calls together. More are refused before memory grows. A message that does
//! not arrive in time gives its place up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, http};

use crate::api::status::ApiError;
use crate::service::pace::Messages;

/// Bytes of requests and answers under way, of all calls together.
pub(super) const BYTES_MAX: usize = 256 << 20;
/// The last of them are for small calls, so that large ones do not keep them out.
const BYTES_FOR_SMALL: usize = BYTES_MAX / 8;
/// Bytes of a small call.
const SMALL_BYTES: usize = 64 << 10;
/// A message that was begun has to arrive within this time, and the one of a call that is
/// no stream within this time of its call.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer is handed to the transport in pieces of this size: it asks for the next when
/// the reader has room.
const PIECE_BYTES: usize = 16 << 10;

/// What all calls weigh.
#[derive(Debug, Clone, Default)]
pub(super) struct Scale(Arc<AtomicUsize>);

/// What one call weighs; it is taken off when this is dropped.
#[derive(Debug)]
struct Weight {
    scale: Scale,
    bytes: usize,
}

impl Scale {
    fn weight(&self) -> Weight {
        Weight { scale: self.clone(), bytes: 0 }
    }
}

impl Weight {
    /// Changes it, unless there is too much already.
    fn set(&mut self, bytes: usize) -> Result<(), ApiError> {
        let limit = if bytes > SMALL_BYTES { BYTES_MAX - BYTES_FOR_SMALL } else { BYTES_MAX };
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let before = self.scale.0.fetch_add(more, Ordering::Relaxed);
            if before + more > limit {
                self.scale.0.fetch_sub(more, Ordering::Relaxed);
                return Err(ApiError::TooHeavy { limit: BYTES_MAX });
            }
        } else {
            self.scale.0.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scale.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Weighs what arrives of a request. What is no stream has one message, which weighs
/// until its body and what is given back are dropped.
pub(super) fn weighed(
    request: http::Request<Body>,
    scale: &Scale,
    is_stream: bool,
) -> (http::Request<Body>, impl Send + use<>) {
    let weight = Arc::new(std::sync::Mutex::new(scale.weight()));
    let kept = Arc::clone(&weight);
    let request = request.map(|body| {
        let late = (!is_stream).then(|| Box::pin(sleep(MESSAGE_TIMEOUT)));
        Body::new(Weighed {
            body,
            weight,
            messages: Messages::default(),
            is_stream,
            late,
            bytes: 0,
        })
    });
    (request, kept)
}

struct Weighed {
    body: Body,
    weight: Arc<std::sync::Mutex<Weight>>,
    messages: Messages,
    is_stream: bool,
    late: Option<Pin<Box<Sleep>>>,
    bytes: usize,
}

impl Weighed {
    /// Those who read a stream ask for more when they have taken the messages before.
    fn arrived(&mut self, data: &Bytes) -> Result<(), ApiError> {
        let (_, is_within) = (self.messages.begun_in(data), self.messages.is_within());
        self.bytes += data.len();
        let mut weight = self.weight.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        weight.set(self.bytes)?;
        if self.is_stream {
            self.late = match self.late.take() {
                late @ Some(_) if is_within => late,
                _ => is_within.then(|| Box::pin(sleep(MESSAGE_TIMEOUT))),
            };
        }
        Ok(())
    }
}

impl http_body::Body for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_stream && self.bytes > 0 {
            self.bytes = self.messages.bytes_within();
            let bytes = self.bytes;
            let mut weight = self.weight.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let before = weight.bytes;
            weight.set(bytes.min(before)).ok();
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending()
            && let Some(late) = &mut self.late
        {
            ready!(late.as_mut().poll(context));
            self.late = None;
            return Poll::Ready(Some(Err(ApiError::TooSlow { limit: MESSAGE_TIMEOUT }.into())));
        }
        let frame = ready!(polled);
        if let Some(data) = frame.as_ref().and_then(|it| it.as_ref().ok()?.data_ref()) {
            let data = data.clone();
            if let Err(error) = self.arrived(&data) {
                return Poll::Ready(Some(Err(error.into())));
            }
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

/// Weighs the answer of a call that is no stream, until its reader has it. A call that
/// cannot be told its answer is refused instead.
pub(super) async fn weighed_answer(
    answer: http::Response<Body>,
    scale: &Scale,
) -> http::Response<Body> {
    let (parts, mut body) = answer.into_parts();
    let first = std::future::poll_fn(|context| {
        Poll::Ready(match http_body::Body::poll_frame(Pin::new(&mut body), context) {
            Poll::Ready(Some(Ok(frame))) => Some(frame),
            Poll::Ready(Some(Err(_)) | None) | Poll::Pending => None,
        })
    })
    .await;
    let Some(first) = first else { return http::Response::from_parts(parts, body) };
    let mut weight = scale.weight();
    match first.into_data() {
        Ok(data) => {
            if let Err(error) = weight.set(data.len()) {
                return Status::from(error).into_http();
            }
            let body = Pieces { left: data, trailers: None, body, _weight: weight };
            http::Response::from_parts(parts, Body::new(body))
        }
        Err(trailers) => {
            let trailers = Some(trailers);
            let body = Pieces { left: Bytes::new(), trailers, body, _weight: weight };
            http::Response::from_parts(parts, Body::new(body))
        }
    }
}

struct Pieces {
    left: Bytes,
    trailers: Option<Frame<Bytes>>,
    body: Body,
    _weight: Weight,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.left.is_empty() {
            let piece = self.left.len().min(PIECE_BYTES);
            return Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(trailers)));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.trailers.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_calls_leave_room_for_small_ones() {
        let scale = Scale::default();
        let mut large: Vec<Weight> = Vec::new();
        while large.len() < 1000 {
            let mut weight = scale.weight();
            if weight.set(16 << 20).is_err() {
                break;
            }
            large.push(weight);
        }
        assert_eq!(large.len(), (BYTES_MAX - BYTES_FOR_SMALL) >> 24);
        let mut small = scale.weight();
        small.set(1000).unwrap();
        small.set(10).unwrap();
        drop((small, large));
        assert_eq!(scale.0.load(Ordering::Relaxed), 0);
    }
}
