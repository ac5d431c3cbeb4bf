//! Who makes a call, and what the audit log is to say of it. Travels with the
//! request, so that a handler can ask for more than the method needs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt};
use tonic::codegen::http::Uri;
use tonic::{Request, Status};

use crate::api::status::ApiError;
use crate::auth::token::Role;
use crate::auth::tokens::Holder;
use crate::service::stream::Answers;

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    method: Uri,
    peer: Option<SocketAddr>,
    /// `None` where no tokens are asked for.
    holder: Option<Arc<Holder>>,
    is_write: AtomicBool,
    article_id: OnceLock<String>,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Call {
    pub(super) fn new(
        method: Uri,
        peer: Option<SocketAddr>,
        holder: Option<Arc<Holder>>,
        is_write: bool,
    ) -> Self {
        Self(Arc::new(Facts {
            method,
            peer,
            holder,
            is_write: AtomicBool::new(is_write),
            article_id: OnceLock::new(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// That of a request. One that did not come through the gate may do nothing.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, ApiError> {
        request.extensions().get::<Self>().cloned().ok_or(ApiError::Fault)
    }

    /// Refuses what needs more than the caller's role.
    pub(super) fn require(&self, needed: Role) -> Result<(), ApiError> {
        let role = self.role();
        if role < needed { Err(ApiError::PermissionDenied { role, needed }) } else { Ok(()) }
    }

    /// Everything is allowed where no tokens are asked for.
    pub(super) fn role(&self) -> Role {
        self.0.holder.as_ref().map_or(Role::Admin, |it| it.role())
    }

    /// Has the audit log name an article that the call writes.
    pub(super) fn writes(&self, article_id: &str) {
        self.0.is_write.store(true, Ordering::Relaxed);
        self.0.article_id.get_or_init(|| article_id.to_owned());
    }

    /// Counts the answers of a stream of writes, and those of them that failed.
    pub(super) fn counts<T: 'static>(
        &self,
        answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
        has_failed: fn(&T) -> bool,
    ) -> Answers<T> {
        self.0.is_write.store(true, Ordering::Relaxed);
        let facts = Arc::clone(&self.0);
        Box::pin(answers.inspect(move |answer| match answer {
            Ok(it) if !has_failed(it) => drop(facts.done.fetch_add(1, Ordering::Relaxed)),
            Ok(_) | Err(_) => drop(facts.failed.fetch_add(1, Ordering::Relaxed)),
        }))
    }

    pub(super) fn method(&self) -> &str {
        self.0.method.path()
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    pub(super) fn holder(&self) -> Option<&Arc<Holder>> {
        self.0.holder.as_ref()
    }

    pub(super) fn token_name(&self) -> Option<&str> {
        self.0.holder.as_ref().map(|it| it.name())
    }

    pub(super) fn is_write(&self) -> bool {
        self.0.is_write.load(Ordering::Relaxed)
    }

    pub(super) fn article_id(&self) -> Option<&str> {
        self.0.article_id.get().map(String::as_str)
    }

    /// Answers of a stream, done and failed.
    pub(super) fn counted(&self) -> (u64, u64) {
        (self.0.done.load(Ordering::Relaxed), self.0.failed.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tokens_everything_is_allowed_but_nothing_without_the_gate() {
        let call = Call::new(Uri::from_static("/a/B"), None, None, false);
        call.require(Role::Admin).unwrap();
        assert!(matches!(Call::of(&Request::new(())), Err(ApiError::Fault)));
    }
}
