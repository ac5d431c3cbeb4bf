//! The gate that every call passes: which role its method needs, whose token it
//! has, and whether that token may make another request now.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower_layer::Layer;

use crate::api::status::ApiError;
use crate::auth::token::Role;
use crate::auth::tokens::{Holder, Tokens};
use crate::service::audit::{self, Record};
use crate::service::call::Call;
use crate::service::pace;
use crate::service::weight::{self, Scale};

/// Balancers ask it, and it says nothing of what is stored.
const HEALTH: &str = "/grpc.health.v1.Health/";
const SERVICE: &str = "/doublon.v1.DoublonService/";
/// The methods that change nothing.
const READS: [&str; 16] = [
    "AnalyzePage",
    "Compare",
    "FindDuplicates",
    "FindDuplicatesStream",
    "GetArticle",
    "GetStats",
    "GetStory",
    "ListArticles",
    "ListReferences",
    "ListRevisions",
    "ListStories",
    "ListTeasers",
    "MatchTeaser",
    "MatchTeasers",
    "Sign",
    "WatchTeasers",
];
/// The methods that are no crawler's business.
const ADMINISTRATION: [&str; 3] = ["BackUp", "Export", "Import"];

/// The methods whose requests are a stream.
const STREAMS: [&str; 4] = ["FindDuplicatesStream", "Import", "MatchTeasers", "PutArticles"];
/// The methods whose answers alone are one.
const TELLING: [&str; 3] = ["WatchTeasers", "BackUp", "Export"];

const SCHEME: &str = "bearer ";

/// Puts the gate before the services.
#[derive(Debug, Clone)]
pub(super) struct GateLayer {
    /// Everybody may do everything where there are none.
    pub(super) tokens: Option<Arc<Tokens>>,
    /// What all calls weigh.
    pub(super) scale: Scale,
}

/// Services behind the gate.
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    tokens: Option<Arc<Tokens>>,
    scale: Scale,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { tokens: self.tokens.clone(), scale: self.scale.clone(), inner }
    }
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let needed = needed_role(request.uri().path());
        let call = match admit(self.tokens.as_deref(), &request, needed) {
            Ok(call) => call,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let method = request.uri().path().strip_prefix(SERVICE);
        let is_one = method.is_some_and(|it| !STREAMS.contains(&it) && !TELLING.contains(&it));
        let scale = self.scale.clone();
        let (request, weight) = weight::weighed(request, &scale, !is_one);
        let mut request = pace::paced(request, call.holder().cloned());
        request.extensions_mut().insert(call.clone());
        let record = Record::new(call);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            drop(weight);
            if is_one {
                answer = weight::weighed_answer(answer, &scale).await;
            }
            Ok(record.watch(answer))
        })
    }
}

/// What a method needs; `None` where it is open to all. A method that is not
/// named here needs what a write needs.
fn needed_role(path: &str) -> Option<Role> {
    if path.starts_with(HEALTH) {
        return None;
    }
    let Some(method) = path.strip_prefix(SERVICE) else { return Some(Role::Read) };
    Some(if READS.contains(&method) {
        Role::Read
    } else if ADMINISTRATION.contains(&method) {
        Role::Admin
    } else {
        Role::Write
    })
}

fn admit(
    tokens: Option<&Tokens>,
    request: &http::Request<Body>,
    needed: Option<Role>,
) -> Result<Call, Status> {
    let is_write = needed.is_some_and(|it| it >= Role::Write);
    let call = |holder| Call::new(request.uri().clone(), peer(request), holder, is_write);
    let (Some(tokens), Some(needed)) = (tokens, needed) else { return Ok(call(None)) };
    let (holder, refusal) = match holder(tokens, request.headers()) {
        Ok(holder) => (Some(Arc::clone(&holder)), check(&holder, needed).err()),
        Err(refusal) => (None, Some(refusal)),
    };
    let call = call(holder);
    let Some(refusal) = refusal else { return Ok(call) };
    let status = Status::from(refusal);
    audit::refused(&call, status.code());
    Err(status)
}

fn holder(tokens: &Tokens, headers: &http::HeaderMap) -> Result<Arc<Holder>, ApiError> {
    let problem = |problem| ApiError::Unauthenticated { problem };
    let header = headers.get(http::header::AUTHORIZATION);
    let header = header.ok_or_else(|| problem("calls need a token"))?.as_bytes();
    let scheme = header.get(..SCHEME.len()).filter(|it| it.eq_ignore_ascii_case(SCHEME.as_bytes()));
    let sent = scheme.and_then(|_| header.get(SCHEME.len()..));
    let sent = sent.ok_or_else(|| problem("the authorization is no bearer token"))?;
    tokens.holder_of(sent.trim_ascii()).ok_or_else(|| problem("the token is not known"))
}

fn check(holder: &Holder, needed: Role) -> Result<(), ApiError> {
    let role = holder.role();
    if role < needed {
        return Err(ApiError::PermissionDenied { role, needed });
    }
    let rate_per_s = holder.rate_per_s().unwrap_or_default();
    holder.take().map_err(|wait| ApiError::RateLimited { rate_per_s, wait })
}

fn peer(request: &http::Request<Body>) -> Option<SocketAddr> {
    let extensions: &http::Extensions = request.extensions();
    let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref);
    tls.or_else(|| extensions.get::<TcpConnectInfo>())?.remote_addr()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::api::DESCRIPTORS;

    #[test]
    fn methods_need_the_role_of_what_they_do() {
        for (path, needed) in [
            ("/grpc.health.v1.Health/Check", None),
            ("/grpc.health.v1.Health/Watch", None),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some(Role::Read)),
            ("/doublon.v1.DoublonService/MatchTeaser", Some(Role::Read)),
            ("/doublon.v1.DoublonService/PutArticle", Some(Role::Write)),
            ("/doublon.v1.DoublonService/PutArticles", Some(Role::Write)),
            ("/doublon.v1.DoublonService/DeleteArticle", Some(Role::Write)),
            ("/doublon.v1.DoublonService/BackUp", Some(Role::Admin)),
            ("/doublon.v1.DoublonService/Export", Some(Role::Admin)),
            ("/doublon.v1.DoublonService/Import", Some(Role::Admin)),
            ("/doublon.v1.DoublonService/NoSuchMethod", Some(Role::Write)),
            ("/", Some(Role::Read)),
        ] {
            assert_eq!(needed_role(path), needed, "{path}");
        }
    }

    #[test]
    fn the_methods_that_are_named_are_of_the_contract() {
        let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let services = files.file.iter().flat_map(|it| &it.service);
        let methods: Vec<&str> = services
            .flat_map(|it| &it.method)
            .map(prost_types::MethodDescriptorProto::name)
            .collect();
        for named in READS.iter().chain(&ADMINISTRATION) {
            assert!(methods.contains(named), "{named}");
        }
        let all = || files.file.iter().flat_map(|it| &it.service).flat_map(|it| &it.method);
        let mut streams: Vec<&str> = all()
            .filter(|it| it.client_streaming())
            .map(prost_types::MethodDescriptorProto::name)
            .collect();
        streams.sort_unstable();
        assert_eq!(streams, STREAMS);
        let answers = all().filter(|it| it.server_streaming() && !it.client_streaming());
        let answers: Vec<&str> = answers.map(prost_types::MethodDescriptorProto::name).collect();
        assert_eq!(answers, TELLING);
    }
}
