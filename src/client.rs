//! A typed client: what the command line, the tests and the benches call. It
//! turns a status into one clear line.

pub mod access;

use std::io;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::codegen::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::{RpcStatusExt, StatusExt};

use crate::api::v1;
use crate::api::v1::doublon_service_client::DoublonServiceClient;
use crate::client::access::{Access, Bearer};

/// The server where none is named.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:50051";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// While calls are under way, the server is asked this often whether it lives,
/// and given this long to answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an answer, at most: that of a page with many matches is long.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A connection to a server.
#[derive(Debug, Clone)]
pub struct Client {
    inner: DoublonServiceClient<InterceptedService<Channel, Bearer>>,
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The address is not one.
    #[error("{server:?} is not a server's address: give one like {SERVER_DEFAULT}")]
    Address {
        /// What was given.
        server: String,
    },
    /// The address asks for another transport.
    #[error("{server:?} cannot be spoken to: give http:// or, for TLS, https://")]
    Scheme {
        /// What was given.
        server: String,
    },
    /// The token cannot be sent.
    #[error("the token has characters that no token has: give it as it was printed")]
    Token,
    /// The server is not trusted, does not trust us, or the certificates given
    /// cannot be used.
    #[error(
        "no connection over TLS to {server} ({problem}): give its CA with --tls-ca, and a client's certificate with --tls-cert and --tls-key where it asks for one"
    )]
    Tls {
        /// The address.
        server: String,
        /// What is wrong.
        problem: String,
    },
    /// Nothing answers there.
    #[error(
        "no server answers at {server} ({problem}): start one with `doublon serve`, or give its address with --server"
    )]
    Unreachable {
        /// The address.
        server: String,
        /// What the system says.
        problem: String,
    },
    /// The server refused the call.
    #[error("{message}")]
    Refused {
        /// The status code.
        code: Code,
        /// What was wrong, and what to do.
        message: String,
        /// A name of the contract's `ErrorReason`; empty if the error is not
        /// doublon's own.
        reason: String,
    },
}

impl ClientError {
    /// Whether it says that there is no article, teaser or story of the name.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Code::NotFound, .. })
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        Self::Refused {
            code: status.code(),
            message: message(&status),
            reason: info.map(|it| it.reason).unwrap_or_default(),
        }
    }
}

impl From<&tonic_types::Status> for ClientError {
    fn from(status: &tonic_types::Status) -> Self {
        let info = status.get_details_error_info();
        Self::Refused {
            code: Code::from_i32(status.code),
            message: status.message.clone(),
            reason: info.map(|it| it.reason).unwrap_or_default(),
        }
    }
}

fn message(status: &Status) -> String {
    // What tonic itself says when the connection is gone.
    let is_lost = matches!(status.code(), Code::Unavailable | Code::Unknown)
        && status.get_details_error_info().is_none();
    if is_lost {
        let problem = std::error::Error::source(status).map(root_cause);
        let problem = problem.as_deref().unwrap_or_else(|| status.message());
        return format!("the connection to the server was lost ({problem})");
    }
    if status.code() == Code::Unimplemented {
        return "the server does not know this call: it is older than this client".to_owned();
    }
    status.message().to_owned()
}

impl Client {
    /// Connects, without a token and with the system's CAs.
    pub async fn connect(server: &str) -> Result<Self, ClientError> {
        Self::connect_with(server, &Access::default()).await
    }

    /// Connects. An address without a scheme is one of TLS where `access` speaks of
    /// it.
    pub async fn connect_with(server: &str, access: &Access) -> Result<Self, ClientError> {
        let endpoint = endpoint(server, access)?;
        let bearer = access.bearer().ok_or(ClientError::Token)?;
        let channel = endpoint.connect().await.map_err(|error| unreachable(server, &error))?;
        let inner = DoublonServiceClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(ANSWER_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        Ok(Self { inner })
    }

    /// Calls `Sign`.
    pub async fn sign(&mut self, it: v1::SignRequest) -> Result<v1::SignResponse, ClientError> {
        Ok(self.inner.sign(it).await?.into_inner())
    }

    /// Calls `Compare`.
    pub async fn compare(
        &mut self,
        it: v1::CompareRequest,
    ) -> Result<v1::CompareResponse, ClientError> {
        Ok(self.inner.compare(it).await?.into_inner())
    }

    /// Calls `PutArticle`.
    pub async fn put_article(
        &mut self,
        it: v1::PutArticleRequest,
    ) -> Result<v1::PutArticleResponse, ClientError> {
        Ok(self.inner.put_article(it).await?.into_inner())
    }

    /// Calls `PutArticles`: one answer an item, in order.
    pub async fn put_articles(
        &mut self,
        items: impl Stream<Item = v1::PutArticlesRequest> + Send + 'static,
    ) -> Result<Streaming<v1::PutArticlesResponse>, ClientError> {
        Ok(self.inner.put_articles(items).await?.into_inner())
    }

    /// Calls `GetArticle`.
    pub async fn get_article(
        &mut self,
        article_id: impl Into<String>,
    ) -> Result<v1::GetArticleResponse, ClientError> {
        let it = v1::GetArticleRequest { article_id: article_id.into() };
        Ok(self.inner.get_article(it).await?.into_inner())
    }

    /// Calls `DeleteArticle`.
    pub async fn delete_article(
        &mut self,
        article_id: impl Into<String>,
    ) -> Result<v1::DeleteArticleResponse, ClientError> {
        let it = v1::DeleteArticleRequest { article_id: article_id.into() };
        Ok(self.inner.delete_article(it).await?.into_inner())
    }

    /// Calls `ListArticles`.
    pub async fn list_articles(
        &mut self,
        it: v1::ListArticlesRequest,
    ) -> Result<v1::ListArticlesResponse, ClientError> {
        Ok(self.inner.list_articles(it).await?.into_inner())
    }

    /// Calls `FindDuplicates`.
    pub async fn find_duplicates(
        &mut self,
        it: v1::FindDuplicatesRequest,
    ) -> Result<v1::FindDuplicatesResponse, ClientError> {
        Ok(self.inner.find_duplicates(it).await?.into_inner())
    }

    /// Calls `FindDuplicatesStream`: one answer an item, in order.
    pub async fn find_duplicates_stream(
        &mut self,
        items: impl Stream<Item = v1::FindDuplicatesStreamRequest> + Send + 'static,
    ) -> Result<Streaming<v1::FindDuplicatesStreamResponse>, ClientError> {
        Ok(self.inner.find_duplicates_stream(items).await?.into_inner())
    }

    /// Calls `MatchTeaser`.
    pub async fn match_teaser(
        &mut self,
        it: v1::MatchTeaserRequest,
    ) -> Result<v1::MatchTeaserResponse, ClientError> {
        Ok(self.inner.match_teaser(it).await?.into_inner())
    }

    /// Calls `MatchTeasers`: one answer an item, in order.
    pub async fn match_teasers(
        &mut self,
        items: impl Stream<Item = v1::MatchTeasersRequest> + Send + 'static,
    ) -> Result<Streaming<v1::MatchTeasersResponse>, ClientError> {
        Ok(self.inner.match_teasers(items).await?.into_inner())
    }

    /// Calls `AnalyzePage`.
    pub async fn analyze_page(
        &mut self,
        it: v1::AnalyzePageRequest,
    ) -> Result<v1::AnalyzePageResponse, ClientError> {
        Ok(self.inner.analyze_page(it).await?.into_inner())
    }

    /// Calls `ListTeasers`.
    pub async fn list_teasers(
        &mut self,
        it: v1::ListTeasersRequest,
    ) -> Result<v1::ListTeasersResponse, ClientError> {
        Ok(self.inner.list_teasers(it).await?.into_inner())
    }

    /// Calls `DeleteTeaser`.
    pub async fn delete_teaser(
        &mut self,
        teaser_id: impl Into<String>,
    ) -> Result<v1::DeleteTeaserResponse, ClientError> {
        let it = v1::DeleteTeaserRequest { teaser_id: teaser_id.into() };
        Ok(self.inner.delete_teaser(it).await?.into_inner())
    }

    /// Calls `WatchTeasers`: the stream goes on until the server ends it.
    pub async fn watch_teasers(
        &mut self,
        it: v1::WatchTeasersRequest,
    ) -> Result<Streaming<v1::WatchTeasersResponse>, ClientError> {
        Ok(self.inner.watch_teasers(it).await?.into_inner())
    }

    /// Calls `ListReferences`.
    pub async fn list_references(
        &mut self,
        it: v1::ListReferencesRequest,
    ) -> Result<v1::ListReferencesResponse, ClientError> {
        Ok(self.inner.list_references(it).await?.into_inner())
    }

    /// Calls `BackUp`.
    pub async fn back_up(&mut self) -> Result<Streaming<v1::BackUpResponse>, ClientError> {
        Ok(self.inner.back_up(v1::BackUpRequest {}).await?.into_inner())
    }

    /// Calls `Export`.
    pub async fn export(
        &mut self,
        it: v1::ExportRequest,
    ) -> Result<Streaming<v1::ExportResponse>, ClientError> {
        Ok(self.inner.export(it).await?.into_inner())
    }

    /// Calls `Import`: one answer a request, in order.
    pub async fn import(
        &mut self,
        items: impl Stream<Item = v1::ImportRequest> + Send + 'static,
    ) -> Result<Streaming<v1::ImportResponse>, ClientError> {
        Ok(self.inner.import(items).await?.into_inner())
    }

    /// Calls `GetStory`.
    pub async fn get_story(
        &mut self,
        it: v1::GetStoryRequest,
    ) -> Result<v1::GetStoryResponse, ClientError> {
        Ok(self.inner.get_story(it).await?.into_inner())
    }

    /// Calls `ListStories`.
    pub async fn list_stories(
        &mut self,
        it: v1::ListStoriesRequest,
    ) -> Result<v1::ListStoriesResponse, ClientError> {
        Ok(self.inner.list_stories(it).await?.into_inner())
    }

    /// Calls `ListRevisions`.
    pub async fn list_revisions(
        &mut self,
        article_id: impl Into<String>,
    ) -> Result<v1::ListRevisionsResponse, ClientError> {
        let it = v1::ListRevisionsRequest { article_id: article_id.into() };
        Ok(self.inner.list_revisions(it).await?.into_inner())
    }

    /// Calls `GetStats`.
    pub async fn stats(&mut self) -> Result<v1::GetStatsResponse, ClientError> {
        Ok(self.inner.get_stats(v1::GetStatsRequest {}).await?.into_inner())
    }
}

fn endpoint(server: &str, access: &Access) -> Result<Endpoint, ClientError> {
    let with_scheme = match (server.contains("://"), access.has_tls()) {
        (true, _) => server.to_owned(),
        (false, true) => format!("https://{server}"),
        (false, false) => format!("http://{server}"),
    };
    let address = || ClientError::Address { server: server.to_owned() };
    let endpoint = Endpoint::from_shared(with_scheme)
        .map_err(|_| address())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // A server that stands still answers no ping.
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        // A bulk stream is bound by the window of an unread stream.
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    if endpoint.uri().host().is_none() {
        return Err(address());
    }
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => endpoint.tls_config(access.tls()).map_err(|error| ClientError::Tls {
            server: server.to_owned(),
            problem: root_cause(&error),
        }),
        _ => Err(ClientError::Scheme { server: server.to_owned() }),
    }
}

fn unreachable(server: &str, error: &tonic::transport::Error) -> ClientError {
    let (server, problem) = (server.to_owned(), root_cause(error));
    if is_of_tls(error) {
        ClientError::Tls { server, problem }
    } else {
        ClientError::Unreachable { server, problem }
    }
}

fn is_of_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_it = <dyn std::error::Error + Send + Sync>::is::<rustls::Error>;
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || io.is_some_and(is_it) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
