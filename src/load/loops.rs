//! Calls one by one. A closed loop asks again when it has its answer: what the
//! server can do. An open loop asks at a given rate whatever comes back: what
//! callers see. Knows no kinds of questions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Client;
use crate::clock::Clock;
use crate::hash;
use crate::load::questions::{Kind, Mix, Questions};
use crate::load::tally::Tally;

/// Calls that an open loop may have under way; those that are due when so many are
/// wait, and their waiting counts.
const OPEN_CALLS_MAX: usize = 1024;
/// An open loop looks for calls that are due this often.
const PACE: Duration = Duration::from_micros(200);
/// How long a loop waits for the answers that are due when its time is over.
const GRACE: Duration = Duration::from_secs(20);
/// What calls are counted as that were due and could not be made in time.
const UNSENT: &str = "Unsent";

/// Who asks what, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The questions.
    pub questions: Arc<Questions>,
    /// The connections, one at least: calls are spread over them.
    pub clients: Vec<Client>,
    /// What is asked.
    pub mix: Mix,
    /// How long.
    pub time: Duration,
    /// The time.
    pub clock: Clock,
}

/// What came of a loop.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By kind.
    pub tallies: BTreeMap<Kind, Tally>,
    /// How long it took.
    pub time: Duration,
    /// Callers of a closed loop.
    pub callers: usize,
}

impl Outcome {
    /// Answers of all kinds a second.
    pub fn per_second(&self) -> f64 {
        self.answered() as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Answers of all kinds.
    pub fn answered(&self) -> u64 {
        self.tallies.values().map(|it| it.answered).sum()
    }

    fn add(&mut self, other: &BTreeMap<Kind, Tally>) {
        for (kind, tally) in other {
            self.tallies.entry(*kind).or_default().add(tally);
        }
    }
}

/// Asks with `in_flight` callers, each of which asks again once it is answered.
pub async fn closed(plan: &Plan, in_flight: usize) -> Outcome {
    let start = plan.clock.elapsed();
    let mut callers = JoinSet::new();
    for client in plan.clients.iter().cycle().take(in_flight) {
        callers.spawn(closed_caller(plan.clone(), client.clone(), start));
    }
    let mut outcome = Outcome { callers: in_flight, ..Outcome::default() };
    while let Some(tallies) = callers.join_next().await {
        outcome.add(&tallies.unwrap_or_default());
    }
    outcome.time = plan.clock.since(start);
    outcome
}

async fn closed_caller(plan: Plan, mut client: Client, start: Duration) -> BTreeMap<Kind, Tally> {
    let mut tallies = BTreeMap::<Kind, Tally>::new();
    let mut random = plan.questions.randoms();
    let mut asked = plan.clock.elapsed();
    while asked.saturating_sub(start) < plan.time {
        random = hash::mix(random.wrapping_add(1));
        let answer = plan.questions.ask(&mut client, &plan.mix, random).await;
        // The next question is made within the next call's time: as short in an
        // echo's as in any other.
        let answered = plan.clock.elapsed();
        let kind = Questions::kind(&plan.mix, random);
        tallies.entry(kind).or_default().count(answered.saturating_sub(asked), &answer);
        plan.questions.note_answer();
        asked = answered;
    }
    tallies
}

/// Asks `rate` questions a second. A latency counts from when the question was
/// due, not from when it could be asked: one that has to wait has waited.
pub async fn open(plan: &Plan, rate: f64) -> Outcome {
    let due = Arc::new(Due {
        permits: Semaphore::new(0),
        next: AtomicU64::new(0),
        total: AtomicU64::new(u64::MAX),
        rate,
        start: plan.clock.elapsed(),
    });
    let mut callers = JoinSet::new();
    for client in plan.clients.iter().cycle().take(OPEN_CALLS_MAX) {
        callers.spawn(open_caller(plan.clone(), client.clone(), Arc::clone(&due)));
    }
    let pacer = {
        let (plan, due) = (plan.clone(), Arc::clone(&due));
        // A thread's sleep is finer than the millisecond of tokio's timers.
        thread::spawn(move || due.pace(&plan))
    };
    let mut outcome = Outcome::default();
    let gather = async {
        while let Some(tallies) = callers.join_next().await {
            outcome.add(&tallies.unwrap_or_default());
        }
    };
    if timeout(plan.time + 2 * GRACE, gather).await.is_err() {
        callers.abort_all();
    }
    outcome.time = plan.clock.since(due.start);
    let asked = tokio::task::spawn_blocking(|| pacer.join()).await;
    let asked = asked.ok().and_then(Result::ok).unwrap_or_default();
    let counted = outcome.answered() + outcome.tallies.values().map(Tally::failed).sum::<u64>();
    if asked > counted {
        let kind = Questions::kind(&plan.mix, 0);
        outcome.tallies.entry(kind).or_default().fail(UNSENT, asked - counted);
    }
    outcome
}

/// Which calls are due.
#[derive(Debug)]
struct Due {
    /// One for each call that has become due; closed when no more will.
    permits: Semaphore,
    /// The next call that a caller takes.
    next: AtomicU64,
    /// How many are due in all, once that is known.
    total: AtomicU64,
    rate: f64,
    start: Duration,
}

impl Due {
    /// Lets calls become due until the time is over; how many there were.
    fn pace(&self, plan: &Plan) -> u64 {
        let mut released = 0;
        loop {
            let passed = plan.clock.since(self.start);
            let until = passed.min(plan.time);
            let due = count(until.as_secs_f64() * self.rate);
            self.permits.add_permits(usize::try_from(due - released).unwrap_or(0));
            released = due;
            if passed >= plan.time {
                self.total.store(due, Ordering::Relaxed);
                self.permits.close();
                return due;
            }
            thread::sleep(PACE);
        }
    }
}

async fn open_caller(plan: Plan, mut client: Client, due: Arc<Due>) -> BTreeMap<Kind, Tally> {
    let mut tallies = BTreeMap::<Kind, Tally>::new();
    let mut random = plan.questions.randoms();
    loop {
        // What is due when the semaphore closes is still asked, by its number.
        let is_open = due.permits.acquire().await.map(SemaphorePermit::forget).is_ok();
        let number = due.next.fetch_add(1, Ordering::Relaxed);
        let is_late = !is_open && plan.clock.since(due.start) > plan.time + GRACE;
        if number >= due.total.load(Ordering::Relaxed) || is_late {
            return tallies;
        }
        // The first is due one interval after the start, as `pace` counts.
        let intended = due.start + Duration::from_secs_f64((number + 1) as f64 / due.rate);
        random = hash::mix(random.wrapping_add(1));
        let answer = plan.questions.ask(&mut client, &plan.mix, random).await;
        let kind = Questions::kind(&plan.mix, random);
        tallies.entry(kind).or_default().count(plan.clock.since(intended), &answer);
        plan.questions.note_answer();
    }
}

#[expect(clippy::cast_possible_truncation, reason = "far below 2^64")]
#[expect(clippy::cast_sign_loss, reason = "not negative")]
fn count(calls: f64) -> u64 {
    calls.max(0.0) as u64
}
