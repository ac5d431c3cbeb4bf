//! All that is stored, as a stream: it is read no faster than it is taken.

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task;
use tonic::Status;

use crate::api::status::ApiError;
use crate::api::v1;
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::transfer::export::Resumed;
use crate::service::admission::{Admission, Work};
use crate::service::stream::Answers;

/// Parts that wait to be taken, at most.
const WAITING_MAX: usize = 4;

/// Copies for as long as the parts are taken.
pub(super) fn copy(admission: Admission) -> Answers<v1::BackUpResponse> {
    tell(admission, |engine, take| {
        engine
            .back_up(&mut |chunk, article_count| take(v1::BackUpResponse { chunk, article_count }))
    })
}

/// Exports for as long as the parts are taken.
pub(super) fn export(
    admission: Admission,
    resumed: Option<Resumed>,
) -> Answers<v1::ExportResponse> {
    tell(admission, move |engine, take| {
        engine.export(resumed.as_ref(), &mut |lines| take(v1::ExportResponse { lines }))
    })
}

fn tell<T: Send + 'static>(
    admission: Admission,
    act: impl FnOnce(&Engine, &mut dyn FnMut(T) -> bool) -> Result<(), EngineError> + Send + 'static,
) -> Answers<T> {
    let (send, receive) = mpsc::channel::<Result<T, Status>>(WAITING_MAX);
    task::spawn(async move {
        let parts = send.clone();
        // It waits for its caller, and holds up no question meanwhile.
        let done = admission.run(Work::Write, move |engine| {
            act(engine, &mut |part| parts.blocking_send(Ok(part)).is_ok())
        });
        if let Err(error) = done.await.and_then(|it| it.map_err(ApiError::from)) {
            send.send(Err(error.into())).await.ok();
        }
    });
    Box::pin(stream::unfold(receive, |mut it| async move { Some((it.recv().await?, it)) }))
}
