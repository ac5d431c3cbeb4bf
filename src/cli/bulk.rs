//! Many items over one stream: read on one side, answered in order on the other,
//! with what could not be read in its place between the answers.

use std::future::Future;

use doublon::client::ClientError;
use tokio::sync::mpsc;
use tokio::task;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

/// Items under way at once.
const IN_FLIGHT_MAX: usize = 1024;

/// An item that was read, and where it stood; or why it could not be read.
pub(super) type Item<T> = (String, Result<T, String>);

/// Sends all items, and calls `each` with where an item stood and its answer, or
/// why there is none.
pub(super) async fn run<T, R, F>(
    items: impl Iterator<Item = Item<T>> + Send + 'static,
    call: impl FnOnce(ReceiverStream<T>) -> F,
    mut each: impl FnMut(&str, Result<R, ClientError>) -> anyhow::Result<()>,
) -> anyhow::Result<()>
where
    T: Send + 'static,
    F: Future<Output = Result<Streaming<R>, ClientError>>,
{
    let (requests, sent) = mpsc::channel(IN_FLIGHT_MAX);
    let (origins, mut expected) = mpsc::channel(2 * IN_FLIGHT_MAX);
    let reading = task::spawn_blocking(move || read(items, &requests, &origins));
    let mut answers = call(ReceiverStream::new(sent)).await?;
    while let Some((origin, read)) = expected.recv().await {
        let answer = match read {
            Err(problem) => Err(unreadable(problem)),
            Ok(()) => Ok(answers.message().await.map_err(ClientError::from)?.ok_or_else(ended)?),
        };
        each(&origin, answer)?;
    }
    reading.await?;
    Ok(())
}

fn read<T>(
    items: impl Iterator<Item = Item<T>>,
    requests: &mpsc::Sender<T>,
    origins: &mpsc::Sender<(String, Result<(), String>)>,
) {
    for (origin, item) in items {
        let (request, read) = match item {
            Ok(request) => (Some(request), Ok(())),
            Err(problem) => (None, Err(problem)),
        };
        // The other side closes its end when the stream has failed.
        if origins.blocking_send((origin, read)).is_err() {
            return;
        }
        if let Some(request) = request
            && requests.blocking_send(request).is_err()
        {
            return;
        }
    }
}

fn unreadable(problem: String) -> ClientError {
    ClientError::Refused { code: Code::InvalidArgument, message: problem, reason: String::new() }
}

fn ended() -> ClientError {
    let message = "the server ended the stream before all items were answered".to_owned();
    ClientError::Refused { code: Code::Unavailable, message, reason: String::new() }
}
