//! The measure: a bare tonic server under the paths of `MatchTeaser` and
//! `MatchTeasers`, asked by the same client, that answers at once with messages of
//! the same sizes. Knows nothing of matching.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::api::v1;
use crate::service;

/// Bytes of the id in an answer: as of an article's of the load test.
const ID_BYTES: usize = 12;

/// Serves until `shutdown` is done, with the transport settings of the service.
pub async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .initial_connection_window_size(service::CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(service::STREAM_WINDOW_BYTES)
        .add_service(Echo)
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await
}

#[derive(Debug, Clone, Copy)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "doublon.v1.DoublonService";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/doublon.v1.DoublonService/MatchTeaser" => {
                Box::pin(
                    async move { Ok(Grpc::new(ProstCodec::default()).unary(Unary, request).await) },
                )
            }
            "/doublon.v1.DoublonService/MatchTeasers" => Box::pin(async move {
                Ok(Grpc::new(ProstCodec::default()).streaming(Bidirectional, request).await)
            }),
            _ => {
                Box::pin(ready(Ok(Status::unimplemented("the echo has no such call").into_http())))
            }
        }
    }
}

struct Unary;

impl UnaryService<v1::MatchTeaserRequest> for Unary {
    type Response = v1::MatchTeaserResponse;
    type Future = Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<v1::MatchTeaserRequest>) -> Self::Future {
        ready(Ok(Response::new(answer(&request.into_inner()))))
    }
}

struct Bidirectional;

impl StreamingService<v1::MatchTeasersRequest> for Bidirectional {
    type Response = v1::MatchTeasersResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Self::Response, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<v1::MatchTeasersRequest>>) -> Self::Future {
        let answers = request.into_inner().map(|it| {
            let answer = answer(&it?.r#match.unwrap_or_default());
            let outcome = Some(v1::match_teasers_response::Outcome::Result(answer));
            Ok(v1::MatchTeasersResponse { outcome })
        });
        ready(Ok(Response::new(Box::pin(answers))))
    }
}

/// As long as the answer to a teaser that was found word for word.
fn answer(request: &v1::MatchTeaserRequest) -> v1::MatchTeaserResponse {
    let id = request.text.get(..ID_BYTES).unwrap_or(&request.text);
    let end_byte = u32::try_from(request.text.len()).unwrap_or(u32::MAX);
    let found = v1::TeaserMatch {
        article_id: id.to_owned(),
        verdict: v1::TeaserVerdict::Match.into(),
        kind: v1::MatchKind::Verbatim.into(),
        field: v1::ArticleField::Body.into(),
        similarity: 1.0,
        evidence_bits: 100.5,
        teaser_span: Some(v1::ByteSpan { start_byte: 0, end_byte }),
        article_span: Some(v1::ByteSpan {
            start_byte: 2_000,
            end_byte: end_byte.saturating_add(2_000),
        }),
        confidence: 0.99,
    };
    v1::MatchTeaserResponse {
        verdict: v1::TeaserVerdict::Match.into(),
        matches: vec![found],
        evidence_bits_min: 25.5,
        teaser_id: String::new(),
    }
}
