//! Many items over few streams: as fast as they are taken. Knows no single calls.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::v1;
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::hash;
use crate::load::loops::Plan;
use crate::load::questions::{self, Kind, Mix, Questions};
use crate::load::tally::Tally;

/// Teasers that a stream has under way at most: two of the server's batches. More
/// would only wait, and be waited for when the time is over.
const IN_FLIGHT: usize = 512;

/// What came of streams.
#[derive(Debug, Default)]
pub struct StreamOutcome {
    /// All items.
    pub tally: Tally,
    /// From the first request to the last answer.
    pub time: Duration,
}

impl StreamOutcome {
    /// Items answered a second.
    pub fn per_second(&self) -> f64 {
        self.tally.answered as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

/// Puts the articles of the corpus by `PutArticles`, a stream a connection.
pub async fn put(questions: &Arc<Questions>, clients: &[Client], clock: &Clock) -> StreamOutcome {
    let start = clock.elapsed();
    let mut streams = JoinSet::new();
    let step = clients.len().max(1);
    for (first, client) in (0..).zip(clients) {
        streams.spawn(put_every(Arc::clone(questions), client.clone(), first, step));
    }
    gather(streams, clock, start).await
}

async fn put_every(
    questions: Arc<Questions>,
    mut client: Client,
    first: u64,
    step: usize,
) -> Tally {
    let mut tally = Tally::default();
    let source = Arc::clone(&questions);
    let numbers = (first..questions.articles).step_by(step);
    let requests = numbers.map(move |it| v1::PutArticlesRequest { put: Some(source.put(it)) });
    let mut answers = match client.put_articles(stream::iter(requests)).await {
        Ok(answers) => answers,
        Err(error) => {
            tally.count_untimed(&Err(error));
            return tally;
        }
    };
    loop {
        use v1::put_articles_response::Outcome;
        let answer = match answers.message().await {
            Ok(None) => return tally,
            Err(status) => {
                tally.count_untimed(&Err(status.into()));
                return tally;
            }
            Ok(Some(answer)) => match answer.outcome {
                Some(Outcome::Result(it)) => Ok(questions::is_created(&it)),
                Some(Outcome::Error(it)) => Err(ClientError::from(&it)),
                None => Ok(false),
            },
        };
        tally.count_untimed(&answer);
        questions.note_answer();
    }
}

/// Sends teasers by `MatchTeasers`, a stream a connection, until the time is over.
/// The plan's mix is [`Kind::Teaser`], or [`Kind::Echo`] where answers say nothing.
pub async fn teasers(plan: &Plan) -> StreamOutcome {
    let start = plan.clock.elapsed();
    let mut streams = JoinSet::new();
    for client in &plan.clients {
        streams.spawn(teasers_on(plan.clone(), client.clone(), start));
    }
    gather(streams, &plan.clock, start).await
}

async fn teasers_on(plan: Plan, mut client: Client, start: Duration) -> Tally {
    let mut tally = Tally::default();
    let questions = &plan.questions;
    let is_checked = plan.mix == Mix::only(Kind::Teaser);
    let first = questions.randoms();
    // Item n follows from n, so that the answers' side needs not be told.
    let nth = move |questions: &Questions, at: u64| {
        let random = hash::mix(first.wrapping_add(at));
        (questions.corpus.distinct(random, questions.articles), random)
    };
    let free = Arc::new(Semaphore::new(IN_FLIGHT));
    let requests = {
        let (plan, free) = (plan.clone(), Arc::clone(&free));
        stream::unfold((0, plan, free), move |(at, plan, free)| async move {
            free.acquire().await.ok()?.forget();
            if plan.clock.since(start) >= plan.time {
                return None;
            }
            let (number, random) = nth(&plan.questions, at);
            let teaser = plan.questions.teaser(number, random);
            Some((v1::MatchTeasersRequest { r#match: Some(teaser) }, (at + 1, plan, free)))
        })
    };
    let mut answers = match client.match_teasers(requests).await {
        Ok(answers) => answers,
        Err(error) => {
            tally.count_untimed(&Err(error));
            return tally;
        }
    };
    for at in 0.. {
        use v1::match_teasers_response::Outcome;
        let answer = match answers.message().await {
            Ok(None) => break,
            Err(status) => {
                tally.count_untimed(&Err(status.into()));
                break;
            }
            Ok(Some(answer)) => match answer.outcome {
                Some(Outcome::Result(it)) => {
                    Ok(!is_checked || questions.is_teaser_of(&it, nth(questions, at).0))
                }
                Some(Outcome::Error(it)) => Err(ClientError::from(&it)),
                None => Ok(false),
            },
        };
        tally.count_untimed(&answer);
        free.add_permits(1);
        questions.note_answer();
    }
    tally
}

async fn gather(mut streams: JoinSet<Tally>, clock: &Clock, start: Duration) -> StreamOutcome {
    let mut outcome = StreamOutcome::default();
    while let Some(tally) = streams.join_next().await {
        outcome.tally.add(&tally.unwrap_or_default());
    }
    outcome.time = clock.since(start);
    outcome
}
