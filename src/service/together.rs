//! Teasers of unary calls: those that arrive in one turn of the scheduler are answered one
//! behind the other, while what answers them is in the processor's caches. A call waits for
//! no other: what has arrived is answered as soon as nothing else is ready to run.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task;

use crate::api::status::ApiError;
use crate::engine::Engine;
use crate::engine::teaser::{TeaserAnswer, TeaserRequest};
use crate::service::admission::{self, Admission};

/// Teasers that the engine gets at once, at most: few enough to be answered on this thread.
const TOGETHER_MAX: usize = 8;
/// So many times as many are answered before connections get their turn.
const PARTS_A_TURN: usize = 8;

/// The teasers that have arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Arc<Mutex<Vec<Waiting>>>);

#[derive(Debug)]
struct Waiting {
    teaser: TeaserRequest,
    caller: Caller,
    engine: Arc<Engine>,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Caller {
    answer: oneshot::Sender<Result<TeaserAnswer, ApiError>>,
    _call: OwnedSemaphorePermit,
}

impl Together {
    /// Matches a teaser that takes some ten microseconds.
    pub(super) async fn match_teaser(
        &self,
        admission: &Admission,
        teaser: TeaserRequest,
    ) -> Result<TeaserAnswer, ApiError> {
        let (engine, call) = admission.admit()?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { teaser, caller: Caller { answer, _call: call }, engine };
        let is_first = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(waiting);
            all.len() == 1
        };
        if is_first {
            // Not in this call, which ends where its caller goes away.
            task::spawn(self.clone().answer_all());
        }
        answered.await.map_err(|_| ApiError::Fault)?
    }

    async fn answer_all(self) {
        // What is ready to run comes first: calls that have arrived too.
        task::yield_now().await;
        let waiting = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *all)
        };
        let mut waiting = waiting.into_iter();
        for part in 1.. {
            answer(waiting.by_ref().take(TOGETHER_MAX).collect());
            if waiting.len() == 0 {
                break;
            }
            if part % PARTS_A_TURN == 0 {
                task::yield_now().await;
            }
        }
    }
}

fn answer(waiting: Vec<Waiting>) {
    let Some(engine) = waiting.first().map(|it| Arc::clone(&it.engine)) else { return };
    let heard = waiting.into_iter().filter(|it| !it.caller.answer.is_closed());
    let (callers, teasers): (Vec<_>, Vec<_>) = heard.map(|it| (it.caller, it.teaser)).unzip();
    let Ok(found) = admission::guarded(|| engine.match_teasers(teasers)) else { return };
    for (caller, found) in callers.into_iter().zip(found) {
        // It may have gone away by now.
        drop(caller.answer.send(found.map_err(ApiError::from)));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::matching::verdict::Verdict;
    use crate::service::admission::open_for_tests;

    const TEASER: &str = "The keeper of the light wrote down every storm of the year ...";

    #[tokio::test]
    async fn each_caller_gets_its_own_answer() {
        let (admission, together) = (open_for_tests(), Together::default());
        let calls = (0..3 * TOGETHER_MAX).map(|it| {
            let text = if it % 3 == 0 { "" } else { TEASER };
            together.match_teaser(&admission, TeaserRequest::of(text))
        });
        let answers = futures_util::future::join_all(calls).await;
        for (at, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(it) => assert!(at % 3 > 0 && it.verdict == Verdict::NoMatch),
                Err(error) => assert!(at % 3 == 0, "{error}"),
            }
        }
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_others_theirs() {
        let (admission, together) = (open_for_tests(), Together::default());
        let mut first = Box::pin(together.match_teaser(&admission, TeaserRequest::of(TEASER)));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(together.match_teaser(&admission, TeaserRequest::of(TEASER)));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert_eq!(second.await.unwrap().verdict, Verdict::NoMatch);
        let third = together.match_teaser(&admission, TeaserRequest::of(TEASER));
        assert_eq!(third.await.unwrap().verdict, Verdict::NoMatch);
    }
}
