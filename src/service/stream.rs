//! Streams: what is ready is done as one batch, answers come in the order of
//! the requests, and a bad item ends no stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt};
use prost::Message;
use tonic::{Status, Streaming};

use crate::api::status::{ApiError, rpc_status};
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::service::admission::{Admission, Work};

/// Items of one batch, at most.
const BATCH_MAX: usize = 256;

/// Bytes of requests of one batch, from which on no item is added.
const BATCH_BYTES: usize = 4 << 20;

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// One result an item.
pub(super) type Results<Out> = Vec<Result<Out, EngineError>>;

/// The answer to a batch of one.
pub(super) fn only<T>(answers: Vec<Result<T, EngineError>>) -> Result<T, EngineError> {
    answers.into_iter().next().unwrap_or(Err(EngineError::Stopped))
}

/// How one streaming RPC does its work.
#[derive(Debug)]
pub(super) struct Rpc<In, Item, Out, Reply> {
    pub(super) work: Work,
    /// Batches under way at once; 1 where their order counts.
    pub(super) batches_at_once: usize,
    pub(super) read: fn(In) -> Result<Item, ApiError>,
    pub(super) act: fn(&Engine, Vec<Item>) -> Results<Out>,
    pub(super) reply: fn(Result<Out, tonic_types::Status>) -> Reply,
}

impl<In, Item, Out, Reply> Clone for Rpc<In, Item, Out, Reply> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<In, Item, Out, Reply> Copy for Rpc<In, Item, Out, Reply> {}

/// Answers a stream.
pub(super) fn answer<In, Item, Out, Reply>(
    admission: Admission,
    requests: Streaming<In>,
    rpc: Rpc<In, Item, Out, Reply>,
) -> Answers<Reply>
where
    In: Message + 'static,
    Item: Send + 'static,
    Out: Send + 'static,
    Reply: Send + 'static,
{
    let batches = Batches { requests: requests.fuse() }.map(move |batch| {
        let admission = admission.clone();
        async move { answer_batch(&admission, batch, rpc).await }
    });
    Box::pin(batches.buffered(rpc.batches_at_once).flat_map(futures_util::stream::iter))
}

/// What is ready, as one batch.
struct Batches<In> {
    requests: Fuse<Streaming<In>>,
}

impl<In: Message> Stream for Batches<In> {
    type Item = Vec<Result<In, Status>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_MAX && bytes < BATCH_BYTES {
            match self.requests.poll_next_unpin(context) {
                Poll::Ready(Some(request)) => {
                    bytes += request.as_ref().map_or(0, Message::encoded_len);
                    batch.push(request);
                }
                Poll::Ready(None) if batch.is_empty() => return Poll::Ready(None),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(batch))
    }
}

async fn answer_batch<In, Item, Out, Reply>(
    admission: &Admission,
    batch: Vec<Result<In, Status>>,
    rpc: Rpc<In, Item, Out, Reply>,
) -> Vec<Result<Reply, Status>>
where
    Item: Send + 'static,
    Out: Send + 'static,
{
    let mut items = Vec::with_capacity(batch.len());
    let mut read: Vec<Result<Result<(), ApiError>, Status>> = Vec::with_capacity(batch.len());
    for request in batch {
        read.push(request.map(|it| (rpc.read)(it).map(|item| items.push(item))));
    }
    let count = items.len();
    let done = if count == 0 {
        Ok(Vec::new())
    } else {
        admission.run(rpc.work, move |engine| (rpc.act)(engine, items)).await
    };
    let mut results = match done {
        Ok(results) => results.into_iter().map(|it| it.map_err(ApiError::from)).collect(),
        Err(error) => std::iter::repeat_with(|| Err(error.clone())).take(count).collect::<Vec<_>>(),
    }
    .into_iter();
    read.into_iter()
        .map(|it| {
            let result = match it? {
                Ok(()) => results.next().unwrap_or(Err(ApiError::Fault)),
                Err(error) => Err(error),
            };
            Ok((rpc.reply)(result.map_err(rpc_status)))
        })
        .collect()
}
