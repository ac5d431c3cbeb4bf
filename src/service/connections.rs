//! Connections: how many there may be, and how long one may say nothing at first.

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
            Some(Ok(Counted { inner, silent, read: 0, _place: place }))
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
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

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
}
