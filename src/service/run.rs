//! Start and stop: the port answers health at once, calls are let in when the
//! index is rebuilt, and a stop lets what is under way end first.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{self, JoinHandle};
use tokio::time::sleep;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::api::DESCRIPTORS;
use crate::api::v1::doublon_service_server::DoublonServiceServer;
use crate::auth::file::FileError;
use crate::clock::Clock;
use crate::engine::error::EngineError;
use crate::engine::{Engine, Options};
use crate::index;
use crate::index::Index;
use crate::index::memory::MemoryIndex;
use crate::service::admission::{Admission, Work};
use crate::service::connections::{self, bounded};
use crate::service::gate::GateLayer;
use crate::service::handlers::Handlers;
use crate::service::listen::Signal;
use crate::service::reload::Access;
use crate::service::tls::{self, TlsError};
use crate::service::together::Together;
use crate::service::weight::Scale;
use crate::service::{MESSAGE_BYTES_MAX, Settings};
use crate::store::Store;
use crate::store::embedded::{CHECKED_BYTES_MAX, EmbeddedStore};

/// The service whose health is reported, beside that of the whole server.
const SERVICE_NAME: &str = "doublon.v1.DoublonService";
/// A client that answers no ping within [`KEEPALIVE_TIMEOUT`] has gone.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams of one connection at once.
const STREAMS_MAX: u32 = 1024;
/// Bytes of the headers of a call, and of one frame.
const HEADER_BYTES_MAX: u32 = 16 << 10;
const FRAME_BYTES_MAX: u32 = 16 << 10;
/// Streams that a client reset before they were looked at, and those that the server
/// reset for a client's error: a connection with more of them ends.
const PENDING_RESETS_MAX: usize = 20;
const ERROR_RESETS_MAX: usize = 1024;
/// Bytes that all streams of a connection may have under way to the server. h2
/// ends a connection with many small unread messages by a budget that it takes
/// from this window; a stream of short teasers must stay within it.
pub const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// Bytes that one stream may have under way to the server.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Once stopped, a service without calls for this long waits for no peer that
/// keeps a connection or a health watch open.
const IDLE_BEFORE_EXIT: Duration = Duration::from_millis(500);
/// Between two looks whether a cluster is reached, and after how many it is said not to be.
const CLUSTER_LOOK: Duration = Duration::from_secs(1);
const CLUSTER_FAILURES: u32 = 2;
/// Between two lines of the progress of a rebuild.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// The log target of the line that says where the service listens.
pub const LISTENING_TARGET: &str = "doublon::listening";

/// Why the service did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The articles could not be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tokens could not be read.
    #[error(transparent)]
    Tokens(#[from] FileError),
    /// The certificates could not be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The transport failed.
    #[error("the server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The port has no address.
    #[error("the port cannot be listened on: {0}")]
    Listener(#[from] io::Error),
    /// A task ended in a panic.
    #[error("the server ended by a fault: {0}")]
    Fault(#[from] task::JoinError),
}

/// Reads the files of tokens and certificates, and says what is wrong with them.
pub fn check(settings: &Settings) -> Result<(), ServeError> {
    Access::open(&settings.security, &Clock::system()).map(drop)
}

/// Serves on `listener` until `shutdown` is done, then lets calls under way end
/// within the drain timeout.
pub async fn run(
    listener: TcpListener,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let clock = Clock::system();
    let address = listener.local_addr()?;
    let access = Access::open(&settings.security, &clock)?;
    let admission = Admission::new();
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::NotServing).await;
    let (signal, _) = watch::channel(Signal::default());
    let signal = Arc::new(signal);
    let handlers = Handlers {
        admission: admission.clone(),
        together: Together::default(),
        started_ms: clock.unix_ms(),
        signal: Arc::clone(&signal),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = task::spawn(serve((listener, access), handlers, health_service, async move {
        drop(stopped.await);
    }));
    tokio::pin!(shutdown);
    let place = Place::of(&settings);
    let drain_timeout = settings.drain_timeout;
    let opening = task::spawn_blocking(move || open(settings, clock));
    tokio::select! {
        engine = opening => admission.open(heard(engine??, &signal)),
        () = &mut shutdown => return Ok(()),
    }
    set_health(&health, ServingStatus::Serving).await;
    announce(address, &place);
    tokio::select! {
        () = &mut shutdown => {}
        () = follow_cluster(&admission, &health) => {}
    }
    set_health(&health, ServingStatus::NotServing).await;
    tracing::info!("stopping: no new calls, waiting for those under way");
    signal.send_modify(|it| it.is_stopping = true);
    stop.send(()).ok();
    let drained = drain(server, &admission, drain_timeout).await;
    admission.close().await;
    tracing::info!("stopped");
    drained
}

/// Says that the service serves as long as it reaches the cluster that it keeps articles in;
/// of a store of its own there is nothing to follow.
async fn follow_cluster(admission: &Admission, health: &HealthReporter) {
    let mut failures = 0;
    loop {
        sleep(CLUSTER_LOOK).await;
        if !admission.is_far() {
            continue;
        }
        let is_reached = matches!(admission.run(Work::Read, Engine::is_reachable).await, Ok(true));
        if is_reached && failures >= CLUSTER_FAILURES {
            tracing::info!("the cluster is reached again");
            set_health(health, ServingStatus::Serving).await;
        }
        failures = if is_reached { 0 } else { failures + 1 };
        if failures == CLUSTER_FAILURES {
            tracing::warn!("the cluster is not reached: health is NOT_SERVING until it is");
            set_health(health, ServingStatus::NotServing).await;
        }
    }
}

/// An engine that says to listeners when teasers were resolved.
fn heard(engine: Engine, signal: &Arc<watch::Sender<Signal>>) -> Engine {
    let signal = Arc::clone(signal);
    engine.on_resolutions(move || signal.send_modify(|it| it.resolved += 1));
    engine
}

/// Where articles are kept, as the log says it.
enum Place {
    Memory,
    Folder(PathBuf),
    Cluster(String),
}

impl Place {
    fn of(settings: &Settings) -> Self {
        match (&settings.cluster, &settings.data_dir) {
            (Some(cluster), _) => Self::Cluster(cluster.prefix.clone()),
            (None, Some(folder)) => Self::Folder(folder.clone()),
            (None, None) => Self::Memory,
        }
    }
}

fn announce(address: SocketAddr, place: &Place) {
    match place {
        Place::Memory => tracing::warn!("articles are in memory: they end with this process"),
        Place::Folder(folder) => {
            tracing::info!(data_dir = %folder.display(), "articles are on the disk");
        }
        Place::Cluster(prefix) => tracing::info!(prefix, "articles are in the cluster"),
    }
    // Scripts wait for this line, whatever else is logged.
    tracing::info!(target: LISTENING_TARGET, "listening on {address}");
}

async fn serve<H>(
    (listener, access): (TcpListener, Access),
    handlers: Handlers,
    health_service: H,
    stopped: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    H: tonic::codegen::Service<
            tonic::codegen::http::Request<tonic::body::Body>,
            Response = tonic::codegen::http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        > + tonic::server::NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    H::Future: Send + 'static,
{
    let service = DoublonServiceServer::new(handlers)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let unreadable = |error: tonic_reflection::server::Error| io::Error::other(error.to_string());
    let reflection_v1 = reflection().build_v1().map_err(unreadable)?;
    // What Python's client library still asks for.
    let reflection_v1alpha = reflection().build_v1alpha().map_err(unreadable)?;
    let router = Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .layer(GateLayer { tokens: access.tokens.clone(), scale: Scale::default() })
        .add_service(health_service)
        .add_service(reflection_v1)
        .add_service(reflection_v1alpha)
        .add_service(service);
    let (tls, limit) = (access.tls.clone(), connections::limit());
    let served = async move {
        if let Some(tls) = tls {
            let incoming = bounded(tls::connections(listener, tls), limit);
            router.serve_with_incoming_shutdown(incoming, stopped).await
        } else {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let incoming = bounded(incoming, limit);
            router.serve_with_incoming_shutdown(incoming, stopped).await
        }
    };
    tokio::select! {
        served = served => Ok(served?),
        () = access.keep_up() => Ok(()),
    }
}

fn open(settings: Settings, clock: Clock) -> Result<Engine, EngineError> {
    let Settings {
        data_dir,
        cluster,
        keeps_text,
        checks_pages,
        cache_bytes,
        drain_timeout: _,
        cues,
        retention,
        teaser_retention,
        teasers_max,
        security: _,
    } = settings;
    let memory = || Arc::new(MemoryIndex::default());
    let (store, index): (Arc<dyn Store>, Arc<dyn Index>) = match (cluster, &data_dir) {
        (Some(cluster), _) => index::cluster::open(cluster, clock.clone())?,
        (None, Some(folder)) => {
            let checked = if checks_pages { u64::MAX } else { CHECKED_BYTES_MAX };
            (Arc::new(EmbeddedStore::open_checked(folder, cache_bytes, checked)?), memory())
        }
        (None, None) => (Arc::new(EmbeddedStore::in_memory()?), memory()),
    };
    let timer = clock.clone();
    let mut reported = timer.elapsed();
    let options = Options {
        folder: data_dir,
        clock,
        cues,
        keeps_text,
        retention,
        teaser_retention,
        teasers_max,
    };
    Engine::open(store, index, options, |done, total| {
        let now = timer.elapsed();
        if now.saturating_sub(reported) >= PROGRESS_INTERVAL || done == total {
            tracing::info!(done, total, "index rebuilt");
            reported = now;
        }
    })
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status("", status).await;
    health.set_service_status(SERVICE_NAME, status).await;
}

/// Waits for the calls under way, not for peers that only keep a connection.
async fn drain(
    mut server: JoinHandle<Result<(), ServeError>>,
    admission: &Admission,
    drain_timeout: Duration,
) -> Result<(), ServeError> {
    let ended = tokio::select! {
        ended = &mut server => Some(ended),
        () = admission.idle_for(IDLE_BEFORE_EXIT) => None,
        () = sleep(drain_timeout) => {
            tracing::warn!(?drain_timeout, "calls are cut off that were still under way");
            server.abort();
            return Ok(());
        }
    };
    match ended {
        Some(ended) => ended??,
        None => server.abort(),
    }
    Ok(())
}
