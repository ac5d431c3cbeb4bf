//! Teasers of unary calls: those that have arrived are answered one behind the other, while
//! what answers them is in the processor's caches, and not each between the reading of two
//! requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task;

use crate::api::status::ApiError;
use crate::engine::Engine;
use crate::engine::teaser::{TeaserAnswer, TeaserRequest};
use crate::service::admission::Admission;
use crate::service::behind;
use crate::service::lane;
use crate::service::stream;

/// Teasers for which one task is enough.
const TASK_TEASERS: usize = 8;
/// Teasers that a task answers before others get their turn: half a millisecond.
const TURN_TEASERS: usize = 16;

/// The teasers that have arrived. While there are any, a task is on its way to them.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Arc<Mutex<VecDeque<Waiting>>>);

#[derive(Debug)]
struct Waiting {
    teaser: TeaserRequest,
    /// Let go before the call is: who waits for the last call closes the engine.
    engine: Arc<Engine>,
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
        if self.push(Waiting { teaser, engine, answer, _call: call }) % TASK_TEASERS == 1 {
            let together = self.clone();
            // Not in this call, which ends where its caller goes away.
            task::spawn(async move {
                behind::others().await;
                together.answer_all().await;
            });
        }
        answered.await.map_err(|_| ApiError::Fault)?
    }

    /// Gives how many wait now.
    fn push(&self, waiting: Waiting) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(waiting);
        all.len()
    }

    fn pop(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn answer_all(self) {
        let mut answered = 0;
        while let Some(waiting) = self.pop() {
            waiting.answer();
            answered += 1;
            if answered % TURN_TEASERS == 0 {
                behind::others().await;
            }
        }
    }
}

impl Waiting {
    fn answer(self) {
        // As a whole: its parts go in their order.
        if self.answer.is_closed() {
            return;
        }
        let Self { teaser, engine, answer, _call } = self;
        let found = lane::guarded(|| stream::only(engine.match_teasers(vec![teaser])));
        drop(engine);
        // The caller may have gone away by now.
        answer.send(found.and_then(|it| it.map_err(ApiError::from))).ok();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;
    use crate::engine::article::{Article, ArticleId};
    use crate::engine::put::PutRequest;
    use crate::service::admission::{Work, open_for_tests};

    /// More than several tasks take.
    const ARTICLES: usize = 10 * TASK_TEASERS + 3;

    fn words(article: usize, count: usize) -> String {
        (0..count).map(|it| format!("mot{article}x{it}")).collect::<Vec<_>>().join(" ")
    }

    fn teaser(article: usize) -> TeaserRequest {
        TeaserRequest::of(words(article, 20) + " ...")
    }

    async fn open() -> Admission {
        let admission = open_for_tests();
        let article =
            |it: usize| Article::of(ArticleId::new(it.to_string()).unwrap(), words(it, 60));
        let puts = (0..ARTICLES).map(|it| PutRequest::of(article(it))).collect();
        let put = admission.run(Work::Write, |engine| engine.put(puts)).await.unwrap();
        assert!(put.iter().all(Result::is_ok));
        admission
    }

    fn assert_is_of(article: usize, answer: &TeaserAnswer) {
        assert_eq!(answer.matches.first().unwrap().id.as_str(), article.to_string());
    }

    #[tokio::test]
    async fn each_caller_gets_its_own_answer() {
        let (admission, together) = (open().await, Together::default());
        let (admission, together) = (&admission, &together);
        let answers = join_all((0..ARTICLES).map(|it| async move {
            let asked = if it % 3 == 0 { TeaserRequest::of("") } else { teaser(it) };
            together.match_teaser(admission, asked).await
        }));
        for (at, answer) in answers.await.into_iter().enumerate() {
            match answer {
                Ok(it) => assert_is_of(at, &it),
                Err(error) => assert!(at % 3 == 0, "{error}"),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn none_waits_for_ever_whoever_comes_when() {
        let (admission, together) = (open().await, Together::default());
        let callers = (0..16).map(|caller| {
            let (admission, together) = (admission.clone(), together.clone());
            task::spawn(async move {
                for round in 0..50 {
                    let article = (7 * caller + round) % ARTICLES;
                    let answer = together.match_teaser(&admission, teaser(article)).await;
                    assert_is_of(article, &answer.unwrap());
                }
            })
        });
        for caller in join_all(callers).await {
            caller.unwrap();
        }
        assert!(together.pop().is_none());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_others_theirs() {
        let (admission, together) = (open().await, Together::default());
        let mut first = Box::pin(together.match_teaser(&admission, teaser(1)));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(together.match_teaser(&admission, teaser(2)));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert_is_of(2, &second.await.unwrap());
        assert_is_of(3, &together.match_teaser(&admission, teaser(3)).await.unwrap());
    }
}
