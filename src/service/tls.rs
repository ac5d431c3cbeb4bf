//! TLS: certificates from files, read again when they change, and connections
//! that shake hands beside the loop that accepts them.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::auth::stamp::Stamp;
use crate::service::audit;

/// A connection that has not shaken hands by then is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that may shake hands at once; more are dropped.
pub const HANDSHAKES_MAX: usize = 1024;
/// After an accept failed, as where no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be served.
const WAITING_MAX: usize = 64;
/// HTTP/2, as ALPN has it.
const PROTOCOL: &[u8] = b"h2";

/// Where certificates are, all as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by those between it and the CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// CAs one of which a client's certificate must be of; clients need none if
    /// `None`.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has not what it should.
    #[error("{file:?} has no {what} that can be read: {problem}")]
    File {
        /// The file.
        file: PathBuf,
        /// What it should have.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// They do not fit each other, or cannot be used for TLS.
    #[error("{cert:?} and {key:?} cannot be used for TLS: {problem}")]
    Unusable {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The certificates that hold.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    stamps: Mutex<Vec<Stamp>>,
    config: RwLock<Arc<ServerConfig>>,
}

/// Reads certificates.
pub fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let unusable = |problem: String| TlsError::Unusable {
        cert: files.cert.clone(),
        key: files.key.clone(),
        problem,
    };
    let provider = Arc::new(default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|it| unusable(it.to_string()))?;
    let config = match &files.client_ca {
        None => config.with_no_client_auth(),
        Some(file) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), provider);
            let verifier = verifier.build().map_err(|it| wrong(file, CERTIFICATE, &it))?;
            config.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key);
    let key = key.map_err(|it| wrong(&files.key, "private key", &it))?;
    let mut config = config
        .with_single_cert(certificates(&files.cert)?, key)
        .map_err(|it| unusable(it.to_string()))?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

const CERTIFICATE: &str = "certificate";

fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|it| wrong(file, CERTIFICATE, &it))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let all: Vec<_> = all.map_err(|it| wrong(file, CERTIFICATE, &it))?;
    if all.is_empty() {
        return Err(wrong(file, CERTIFICATE, &"there is no PEM section of one"));
    }
    Ok(all)
}

fn wrong(file: &Path, what: &'static str, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { file: file.to_owned(), what, problem: problem.to_string() }
}

impl Tls {
    pub(super) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = Mutex::new(stamps(&files));
        let config = RwLock::new(Arc::new(load(&files)?));
        Ok(Self { files, stamps, config })
    }

    /// Reads the files again if one of them has changed. What cannot be used
    /// changes nothing. Blocks.
    pub(super) fn reload(&self) -> Option<Result<(), TlsError>> {
        let now = stamps(&self.files);
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *stamps, now.clone()) == now {
            return None;
        }
        Some(load(&self.files).map(|config| {
            *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        }))
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    let TlsFiles { cert, key, client_ca } = files;
    [Some(cert), Some(key), client_ca.as_ref()]
        .into_iter()
        .flatten()
        .map(|it| Stamp::of(it))
        .collect()
}

/// Connections that have shaken hands. Accepts until the stream is dropped.
pub(super) fn connections(
    listener: TcpListener,
    tls: Arc<Tls>,
) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (ready, connections) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, &tls, &ready) => {}
            () = ready.closed() => {}
        }
    });
    ReceiverStream::new(connections)
}

type Ready = mpsc::Sender<io::Result<TlsStream<TcpStream>>>;

async fn accept(listener: &TcpListener, tls: &Tls, ready: &Ready) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(it) => it,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(turn) = Arc::clone(&handshakes).try_acquire_owned() else {
            audit::refused_connection(peer, &io::Error::other("too many connections shake hands"));
            continue;
        };
        let acceptor = TlsAcceptor::from(tls.config());
        tokio::spawn(shake_hands(acceptor, (stream, peer), ready.clone(), turn));
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    (stream, peer): (TcpStream, SocketAddr),
    ready: Ready,
    turn: OwnedSemaphorePermit,
) {
    // Without it answers come later, and in order all the same.
    stream.set_nodelay(true).ok();
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            drop(turn);
            // Where nobody takes it the service has stopped.
            ready.send(Ok(stream)).await.ok();
        }
        // What is not TLS, or lacks a certificate.
        Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => {
            audit::refused_connection(peer, &error);
        }
        // Balancers knock and go away.
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection ended in its handshake"),
        Err(_) => {
            let problem = io::Error::new(ErrorKind::TimedOut, "the handshake took too long");
            audit::refused_connection(peer, &problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn files(folder: &TempDir) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = cert.self_signed(&key).unwrap();
        let [cert_file, key_file] = ["cert", "key"].map(|it| folder.path().join(it));
        std::fs::write(&cert_file, cert.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        TlsFiles { cert: cert_file, key: key_file, client_ca: None }
    }

    #[test]
    fn a_key_of_another_certificate_changes_nothing() {
        let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let tls = Tls::open(files(&folder)).unwrap();
        let before = tls.config();
        assert!(tls.reload().is_none());
        // The certificate is renewed before its key.
        let renewed = files(&other);
        std::fs::copy(&renewed.cert, folder.path().join("cert")).unwrap();
        let error = tls.reload().unwrap().unwrap_err();
        assert!(matches!(error, TlsError::Unusable { .. }), "{error}");
        assert!(Arc::ptr_eq(&before, &tls.config()));
        std::fs::copy(&renewed.key, folder.path().join("key")).unwrap();
        tls.reload().unwrap().unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.config()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_shake_hands_is_dropped() {
        let folder = TempDir::new().unwrap();
        let tls = Arc::new(Tls::open(files(&folder)).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = connections(listener, tls);
        let mut silent = TcpStream::connect(address).await.unwrap();
        let began = tokio::time::Instant::now();
        // Closed by the other side, with or without a word.
        let mut byte = [0];
        assert!(matches!(silent.read(&mut byte).await, Ok(0) | Err(_)));
        assert!(began.elapsed() >= HANDSHAKE_TIMEOUT, "{:?}", began.elapsed());
        drop(connections);
    }
}
