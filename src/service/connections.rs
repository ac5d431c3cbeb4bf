//! Connections: how many there may be, how long one may say nothing at first, and when one
//! writes: behind the tasks that its thread has ready, and not after each call that ends.
//! A call that ends wakes its connection, which the runtime would run at once; so most
//! answers would be a system call and a packet of their own.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::service::behind::Behind;

/// Connections at once, at most.
pub(super) const CONNECTIONS_MAX: usize = 4096;
/// Files that the process may have open beside them.
const OTHER_FILES: usize = 64;
/// A connection has to begin to speak HTTP/2 within this time.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client says first has so many bytes.
const PREFACE_BYTES: usize = 24;
/// After a failed accept, for want of files as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may be: what the system lets the process open, and no more than
/// [`CONNECTIONS_MAX`].
pub(super) fn limit() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    files.saturating_sub(OTHER_FILES).clamp(1, CONNECTIONS_MAX)
}

/// Lets so many connections in at once; more are closed as they come.
pub(super) fn bounded<IO>(
    incoming: impl Stream<Item = io::Result<IO>>,
    limit: usize,
) -> impl Stream<Item = io::Result<Counted<IO>>> {
    let places = Arc::new(Semaphore::new(limit));
    incoming.filter_map(move |connection| {
        let places = Arc::clone(&places);
        async move {
            let inner = match connection {
                Ok(it) => it,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                    return None;
                }
            };
            let Ok(place) = places.try_acquire_owned() else {
                refused(limit);
                return None;
            };
            let silent = Some(Box::pin(sleep(PREFACE_TIMEOUT)));
            Some(Ok(Counted { inner, silent, read: 0, behind: Behind::default(), _place: place }))
        }
    })
}

fn refused(limit: usize) {
    tracing::debug!(limit, "a connection was refused: there are too many");
}

/// A connection that has a place.
#[derive(Debug)]
pub(super) struct Counted<IO> {
    inner: IO,
    /// Until it has begun to speak.
    silent: Option<Pin<Box<Sleep>>>,
    read: usize,
    /// Whether others have run since there was something to write.
    behind: Behind,
    _place: OwnedSemaphorePermit,
}

impl<IO: Connected> Connected for Counted<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if self.silent.is_some() {
            self.read += buffer.filled().len() - before;
            if self.read >= PREFACE_BYTES {
                self.silent = None;
            }
        }
        if polled.is_pending()
            && let Some(silent) = &mut self.silent
        {
            ready!(silent.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.behind.poll(context));
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.behind = Behind::default();
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    /// Or h2 would end a write with each message of 256 bytes, and not copy those of less than
    /// 1 KiB to what goes before.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task;

    use super::*;

    async fn over(inner: DuplexStream) -> Counted<DuplexStream> {
        let incoming = futures_util::stream::iter([io::Result::Ok(inner)]);
        Box::pin(bounded(incoming, 1)).next().await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_is_closed_and_a_silent_one_ends() {
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (client, server) = duplex(64);
            clients.push(client);
            servers.push(io::Result::Ok(server));
        }
        let incoming = futures_util::stream::iter(servers);
        let mut let_in: Vec<_> = bounded(incoming, 2).collect().await;
        assert_eq!(let_in.len(), 2);
        let refused = clients.last_mut().unwrap().read(&mut [0]).await.unwrap();
        assert_eq!(refused, 0);
        let silent = let_in.first_mut().unwrap().as_mut().unwrap();
        let error = silent.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
    #[tokio::test]
    async fn what_is_ready_runs_before_each_write() {
        let (mut client, server) = duplex(64);
        let mut server = over(server).await;
        let log = Arc::new(Mutex::new(Vec::new()));
        for round in 0..3 {
            let writer = task::spawn({
                let log = Arc::clone(&log);
                async move {
                    server.write_all(b"answer").await.unwrap();
                    log.lock().unwrap().push((round, "written"));
                    server.flush().await.unwrap();
                    server
                }
            });
            let ready = task::spawn({
                let log = Arc::clone(&log);
                async move { log.lock().unwrap().push((round, "ready")) }
            });
            server = writer.await.unwrap();
            ready.await.unwrap();
            client.read_exact(&mut [0; 6]).await.unwrap();
        }
        let expected = (0..3).flat_map(|it| [(it, "ready"), (it, "written")]);
        assert_eq!(*log.lock().unwrap(), expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn all_bytes_arrive_in_order_through_a_narrow_connection() {
        let (mut client, server) = duplex(7);
        let mut server = over(server).await;
        assert!(!server.is_write_vectored());
        let sent: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let to_send = sent.clone();
        let writer = task::spawn(async move {
            for (at, part) in to_send.chunks(701).enumerate() {
                server.write_all(part).await.unwrap();
                if at % 2 == 0 {
                    server.flush().await.unwrap();
                }
            }
            server.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        writer.await.unwrap();
        assert!(received == sent);
    }
}
