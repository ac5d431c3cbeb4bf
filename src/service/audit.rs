//! The audit log: one event a write or a refusal. It names who, what and how it
//! ended; texts and tokens are not at hand here.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::{Bytes, http};
use tonic::{Code, Status};

use crate::auth::bucket::Bucket;
use crate::clock::Clock;
use crate::service::AUDIT_TARGET;
use crate::service::call::Call;

/// Refusals that are logged a second, at most: who has no token shall not fill
/// the disk. The next that is logged says how many were not.
const REFUSALS_LOGGED_PER_S: u32 = 50;

/// What is known of a call until it has ended, and is logged then. It ends too
/// where its caller goes away: a write may have been done all the same.
#[derive(Debug)]
pub(super) struct Record {
    call: Call,
    code: Option<Code>,
}

impl Record {
    pub(super) fn new(call: Call) -> Self {
        Self { call, code: None }
    }

    /// Watches an answer to its end.
    pub(super) fn watch(mut self, answer: http::Response<Body>) -> http::Response<Body> {
        self.code = Status::from_header_map(answer.headers()).map(|it| it.code());
        if self.code.is_some() || !self.call.is_write() {
            return answer;
        }
        answer.map(|body| Body::new(Watched { body, record: self }))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        if matches!(code, Code::PermissionDenied | Code::Unauthenticated) {
            refused(&self.call, code);
        } else if self.call.is_write() {
            written(&self.call, code);
        }
    }
}

/// The body of an answer whose end is watched.
struct Watched {
    body: Body,
    record: Record,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.record.code = Status::from_header_map(trailers).map(|it| it.code());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn written(call: &Call, code: Code) {
    let method = call.method();
    let peer = call.peer().map(tracing::field::display);
    let article = call.article_id().map(tracing::field::debug);
    let (done, failed) = call.counted();
    let counts = article.is_none();
    let (done, failed) = (counts.then_some(done), counts.then_some(failed));
    // Without tokens there is nobody to name, and one line a put would be most of
    // the log.
    if let Some(token) = call.token_name() {
        tracing::info!(target: AUDIT_TARGET, method, token, peer, article, done, failed, ?code, "write");
    } else {
        tracing::debug!(target: AUDIT_TARGET, method, peer, article, done, failed, ?code, "write");
    }
}

/// A call that was not let in, or that was not allowed all that it asked.
pub(super) fn refused(call: &Call, code: Code) {
    let Some(unlogged) = refusal_turn() else { return };
    let (method, token) = (call.method(), call.token_name());
    let peer = call.peer().map(tracing::field::display);
    tracing::warn!(target: AUDIT_TARGET, method, token, peer, ?code, unlogged, "refused");
}

/// A connection that was not let in.
pub(super) fn refused_connection(peer: SocketAddr, problem: &io::Error) {
    let Some(unlogged) = refusal_turn() else { return };
    tracing::warn!(target: AUDIT_TARGET, %peer, %problem, unlogged, "connection refused");
}

/// Whether a refusal may be logged now; if so, how many were not since the last.
fn refusal_turn() -> Option<u64> {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::system);
    static LINES: LazyLock<Bucket> =
        LazyLock::new(|| Bucket::new(REFUSALS_LOGGED_PER_S, CLOCK.elapsed()));
    static UNLOGGED: AtomicU64 = AtomicU64::new(0);
    if LINES.take(CLOCK.elapsed()).is_err() {
        UNLOGGED.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    Some(UNLOGGED.swap(0, Ordering::Relaxed))
}
