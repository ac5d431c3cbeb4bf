//! The copy of all that is stored, as a stream: it is read no faster than it is taken.

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task;
use tonic::Status;

use crate::api::status::ApiError;
use crate::api::v1;
use crate::service::admission::{Admission, Work};
use crate::service::stream::Answers;

/// Parts that wait to be taken, at most.
const WAITING_MAX: usize = 4;

/// Copies for as long as the parts are taken.
pub(super) fn copy(admission: Admission) -> Answers<v1::BackUpResponse> {
    let (send, receive) = mpsc::channel::<Result<v1::BackUpResponse, Status>>(WAITING_MAX);
    task::spawn(async move {
        let parts = send.clone();
        // It waits for its caller, and holds up no question meanwhile.
        let copied = admission.run(Work::Write, move |engine| {
            engine.back_up(&mut |chunk, article_count| {
                parts.blocking_send(Ok(v1::BackUpResponse { chunk, article_count })).is_ok()
            })
        });
        if let Err(error) = copied.await.and_then(|it| it.map_err(ApiError::from)) {
            send.send(Err(error.into())).await.ok();
        }
    });
    Box::pin(stream::unfold(receive, |mut it| async move { Some((it.recv().await?, it)) }))
}
