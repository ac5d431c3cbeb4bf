//! The one map from errors to gRPC statuses. Every status carries a
//! `google.rpc.ErrorInfo` with a reason of the contract, and field violations
//! where a field is at fault.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, FieldViolation, RetryInfo, StatusExt};

use crate::api::v1::ErrorReason;
use crate::auth::token::Role;
use crate::cluster::ClusterError;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::store::StoreError;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "doublon";

/// When to try again after a refusal that passes by itself.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The index is being rebuilt.
    #[error("the service is starting: retry when its health is SERVING")]
    Starting,
    /// As many calls wait as may.
    #[error("too many calls wait, the limit is {limit}: retry later, or use a stream")]
    Overloaded {
        /// Calls that may wait.
        limit: usize,
    },
    /// Requests and answers under way have as many bytes as they may.
    #[error("too many bytes are under way, the limit is {limit}: retry later")]
    TooHeavy {
        /// Bytes of all calls together.
        limit: usize,
    },
    /// A request does not arrive.
    #[error("the request did not arrive within {limit:?}: send it without pauses")]
    TooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// The call has no token that is known.
    #[error("{problem}: give one with --token or DOUBLON_TOKEN, as `authorization: Bearer TOKEN`")]
    Unauthenticated {
        /// What is wrong with the token.
        problem: &'static str,
    },
    /// The token does not allow the call.
    #[error("the token's role is {role}, this needs {needed}: use another token")]
    PermissionDenied {
        /// What the token allows.
        role: Role,
        /// What the call needs.
        needed: Role,
    },
    /// The token has made more requests than it may.
    #[error("the token may make {rate_per_s} requests a second: retry later")]
    RateLimited {
        /// Requests a second, at most.
        rate_per_s: u32,
        /// When it may make the next.
        wait: Duration,
    },
    /// A fault of the service.
    #[error("the call failed by a fault of the service: report it, with the server's log")]
    Fault,
}

impl From<Invalid> for ApiError {
    fn from(error: Invalid) -> Self {
        Self::Engine(error.into())
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let (code, reason) = classify(&error);
        let reason = reason.as_str_name();
        let mut metadata = Vec::new();
        let mut details: Vec<ErrorDetail> = Vec::new();
        if let ApiError::Engine(EngineError::Invalid(invalid)) = &error {
            let mut violation = FieldViolation::new(&invalid.field, invalid.to_string());
            reason.clone_into(&mut violation.reason);
            details.push(BadRequest::new(vec![violation]).into());
            metadata.push(("field".to_owned(), invalid.field.clone()));
            if let Problem::TooLong { limit, unit, .. } = &invalid.problem {
                metadata.push(("limit".to_owned(), limit.to_string()));
                metadata.push(("unit".to_owned(), (*unit).to_owned()));
            }
        }
        if matches!(code, Code::Unavailable | Code::ResourceExhausted) {
            details.push(RetryInfo::new(Some(retry_delay(&error))).into());
        }
        metadata.extend(access_metadata(&error));
        let info = ErrorInfo {
            reason: reason.to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: metadata.into_iter().collect(),
        };
        details.insert(0, info.into());
        Self::with_error_details_vec(code, error.to_string(), details)
    }
}

/// As an item of a stream carries it.
pub fn rpc_status(error: ApiError) -> tonic_types::Status {
    let status = Status::from(error);
    let whole = prost::Message::decode(status.details());
    whole.unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

fn retry_delay(error: &ApiError) -> Duration {
    if let ApiError::RateLimited { wait, .. } = error { *wait } else { RETRY_DELAY }
}

/// What a refusal of a token says beside its reason.
fn access_metadata(error: &ApiError) -> Option<(String, String)> {
    match error {
        ApiError::PermissionDenied { needed, .. } => Some(("role".to_owned(), needed.to_string())),
        ApiError::RateLimited { rate_per_s, .. } => {
            Some(("limit".to_owned(), rate_per_s.to_string()))
        }
        ApiError::Engine(_)
        | ApiError::Starting
        | ApiError::Overloaded { .. }
        | ApiError::TooHeavy { .. }
        | ApiError::TooSlow { .. }
        | ApiError::Unauthenticated { .. }
        | ApiError::Fault => None,
    }
}

fn classify(error: &ApiError) -> (Code, ErrorReason) {
    match error {
        ApiError::Engine(error) => classify_engine(error),
        ApiError::Starting => (Code::Unavailable, ErrorReason::NotReady),
        ApiError::Overloaded { .. } | ApiError::TooHeavy { .. } => {
            (Code::ResourceExhausted, ErrorReason::Overloaded)
        }
        ApiError::TooSlow { .. } => (Code::DeadlineExceeded, ErrorReason::Overloaded),
        ApiError::Unauthenticated { .. } => (Code::Unauthenticated, ErrorReason::Unauthenticated),
        ApiError::PermissionDenied { .. } => {
            (Code::PermissionDenied, ErrorReason::PermissionDenied)
        }
        ApiError::RateLimited { .. } => (Code::ResourceExhausted, ErrorReason::RateLimited),
        ApiError::Fault => (Code::Internal, ErrorReason::Internal),
    }
}

fn classify_engine(error: &EngineError) -> (Code, ErrorReason) {
    match error {
        EngineError::Invalid(Invalid { problem, .. }) => {
            let reason = match problem {
                Problem::Missing => ErrorReason::FieldMissing,
                Problem::TooLong { .. } => ErrorReason::FieldTooLong,
                Problem::OutOfRange { .. } => ErrorReason::FieldOutOfRange,
                Problem::WithoutTokens => ErrorReason::TextWithoutTokens,
                Problem::NotAPageToken => ErrorReason::PageTokenInvalid,
                Problem::NotALine { .. } => ErrorReason::LineInvalid,
            };
            (Code::InvalidArgument, reason)
        }
        EngineError::ArticleNotFound(_) => (Code::NotFound, ErrorReason::ArticleNotFound),
        // Does not pass by itself.
        EngineError::Store(error) if matches!(**error, StoreError::NumbersUsedUp) => {
            (Code::FailedPrecondition, ErrorReason::StoreFailed)
        }
        EngineError::Store(error)
            if matches!(
                **error,
                StoreError::Damaged(_) | StoreError::DamagedRow(_) | StoreError::DamagedFile { .. }
            ) =>
        {
            (Code::Internal, ErrorReason::Internal)
        }
        // What is backed up by its own means does not become what is not.
        EngineError::Store(error) if matches!(**error, StoreError::NoCopy) => {
            (Code::FailedPrecondition, ErrorReason::StoreFailed)
        }
        EngineError::Store(error) if matches!(&**error, StoreError::Cluster(it) if is_full(it)) => {
            (Code::ResourceExhausted, ErrorReason::StoreFailed)
        }
        EngineError::Index(error) if is_full(&error.0) => {
            (Code::ResourceExhausted, ErrorReason::StoreFailed)
        }
        EngineError::Store(_) | EngineError::Index(_) => {
            (Code::Unavailable, ErrorReason::StoreFailed)
        }
        EngineError::Damaged { .. } | EngineError::DamagedRow { .. } => {
            (Code::Internal, ErrorReason::Internal)
        }
        EngineError::TeaserNotFound(_) => (Code::NotFound, ErrorReason::TeaserNotFound),
        EngineError::StoryNotFound(_) => (Code::NotFound, ErrorReason::StoryNotFound),
        EngineError::NotEmpty => (Code::FailedPrecondition, ErrorReason::StoreNotEmpty),
        EngineError::ImportUnderWay => (Code::FailedPrecondition, ErrorReason::ImportUnderWay),
        EngineError::NoImport
        | EngineError::OtherPosition { .. }
        | EngineError::OtherExport
        | EngineError::IncompleteExport { .. } => {
            (Code::FailedPrecondition, ErrorReason::ImportDoesNotFollow)
        }
        EngineError::CursorExpired(_) => (Code::OutOfRange, ErrorReason::CursorExpired),
        EngineError::Stopped => (Code::Unavailable, ErrorReason::NotReady),
    }
}

fn is_full(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Full(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_say_what_where_and_what_to_do() {
        let problem = Problem::TooLong { actual: 9, limit: 8, unit: "bytes" };
        let status = Status::from(ApiError::from(Invalid::new("text", problem)));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "text has 9 bytes, the limit is 8: shorten it");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("ERROR_REASON_FIELD_TOO_LONG", "doublon")
        );
        assert_eq!(info.metadata["limit"], "8");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "text");
        assert_eq!(violations[0].reason, "ERROR_REASON_FIELD_TOO_LONG");
        assert!(status.get_details_retry_info().is_none());
        let busy = Status::from(ApiError::Overloaded { limit: 1 });
        assert!(busy.get_details_retry_info().is_some());
    }

    #[test]
    fn a_refusal_of_a_token_says_what_would_do() {
        let role = ApiError::PermissionDenied { role: Role::Read, needed: Role::Write };
        let status = Status::from(role);
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(status.get_details_error_info().unwrap().metadata["role"], "write");
        let wait = Duration::from_millis(20);
        let status = Status::from(ApiError::RateLimited { rate_per_s: 50, wait });
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(wait));
        assert_eq!(status.get_details_error_info().unwrap().metadata["limit"], "50");
    }

    #[test]
    fn an_item_of_a_stream_carries_the_same() {
        let item = rpc_status(ApiError::Engine(EngineError::ArticleNotFound("x".into())));
        assert_eq!(item.code, i32::from(Code::NotFound));
        assert_eq!(item.message, "no article has the id \"x\"");
        assert_eq!(item.details.len(), 1);
    }
}
