//! Answers are written together: a connection writes behind the tasks that its thread has
//! ready, and not after each call that ends. The runtime runs a task that is woken before
//! those that were ready, and a call that ends wakes its connection; so most answers would
//! be a system call and a packet of their own.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// A connection that lets others run before it writes.
#[derive(Debug)]
pub(super) struct Coalesced<IO> {
    inner: IO,
    /// Whether others have run since there was something to write.
    is_due: bool,
}

/// Lets each connection write what its calls answer together.
pub(super) fn coalesced<IO>(
    incoming: impl Stream<Item = io::Result<IO>>,
) -> impl Stream<Item = io::Result<Coalesced<IO>>> {
    incoming.map(|connection| connection.map(|inner| Coalesced { inner, is_due: false }))
}

impl<IO: Connected> Connected for Coalesced<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Coalesced<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Coalesced<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !mem::replace(&mut self.is_due, true) {
            // A task that wakes itself goes behind all that its thread has ready.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_due = false;
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
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task;

    use super::*;

    fn over(inner: DuplexStream) -> Coalesced<DuplexStream> {
        Coalesced { inner, is_due: false }
    }

    #[tokio::test]
    async fn what_is_ready_runs_before_each_write() {
        let (mut client, server) = duplex(64);
        let mut server = over(server);
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
        let mut server = over(server);
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
