//! Each article is a register: what puts, deletions and questions answer at the same time
//! can be put in one order that explains all of it, and that no caller can tell from what
//! they saw (Wing and Gong, Testing and verifying concurrent objects, 1993).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]
#![allow(clippy::option_option, reason = "what is there after a call, if it can be")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId};
use doublon::engine::error::EngineError;
use doublon::engine::put::{PutOutcome, PutRequest};
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::{Engine, Options};
use doublon::index::memory::MemoryIndex;
use doublon::store::embedded::EmbeddedStore;

const ROUNDS: u64 = 30;
const THREADS: u64 = 6;
const ARTICLES: u64 = 3;
const CALLS: u64 = 40;
/// Contents that an article may have.
const VALUES: u64 = 4;

/// What was asked, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Put(u64, PutOutcome),
    /// Whether it was there.
    Delete(bool),
    Get(Option<u64>),
    /// Whether these words were found to be the article's.
    Match(u64, bool),
}

#[derive(Debug, Clone)]
struct Event {
    call: Call,
    begin: u64,
    end: u64,
}

/// What is there after a call, if it can be answered so.
fn step(state: Option<u64>, call: &Call) -> Option<Option<u64>> {
    let can_be = match call {
        Call::Put(_, PutOutcome::Created) => state.is_none(),
        Call::Put(value, PutOutcome::Replaced) => state.is_some_and(|it| it != *value),
        Call::Put(value, PutOutcome::Unchanged) => state == Some(*value),
        Call::Put(_, PutOutcome::Skipped) => false,
        Call::Delete(was_there) => state.is_some() == *was_there,
        Call::Get(found) => state == *found,
        Call::Match(value, is_found) => (state == Some(*value)) == *is_found,
    };
    let next = match call {
        Call::Put(value, _) => Some(*value),
        Call::Delete(_) => None,
        Call::Get(_) | Call::Match(..) => state,
    };
    can_be.then_some(next)
}

/// Whether an order explains all events of one article that was not there at first.
fn is_linearizable(events: &[Event]) -> bool {
    assert!(events.len() < 128);
    let all = (1_u128 << events.len()) - 1;
    let mut seen = HashSet::new();
    let mut open = vec![(0_u128, None)];
    while let Some((done, state)) = open.pop() {
        if done == all {
            return true;
        }
        let left = |it: &(usize, &Event)| done & (1 << it.0) == 0;
        let first_end = events.iter().enumerate().filter(left).map(|it| it.1.end).min().unwrap();
        for (at, event) in events.iter().enumerate().filter(left) {
            // One that began after another had ended comes after it.
            if event.begin < first_end
                && let Some(next) = step(state, &event.call)
                && seen.insert((done | 1 << at, next))
            {
                open.push((done | 1 << at, next));
            }
        }
    }
    false
}

fn id(article: u64) -> ArticleId {
    ArticleId::new(format!("article-{article}")).unwrap()
}

fn text(article: u64, value: u64) -> String {
    (0..60).map(|it| format!("w{article}x{value}x{it}")).collect::<Vec<_>>().join(" ")
}

fn call(engine: &Engine, (article, value): (u64, u64), kind: u64) -> Call {
    match kind {
        0 | 1 => {
            let article = Article::of(id(article), text(article, value));
            let answer = engine.put(vec![PutRequest::of(article)]).remove(0).unwrap();
            Call::Put(value, answer.outcome)
        }
        2 => match engine.delete(&id(article)) {
            Ok(()) => Call::Delete(true),
            Err(EngineError::ArticleNotFound(_)) => Call::Delete(false),
            Err(error) => panic!("{error}"),
        },
        3 => match engine.article(&id(article)) {
            Ok((stored, _)) => {
                let value = (0..VALUES).find(|it| stored.article.text == text(article, *it));
                Call::Get(Some(value.expect("the content of some put, whole")))
            }
            Err(EngineError::ArticleNotFound(_)) => Call::Get(None),
            Err(error) => panic!("{error}"),
        },
        _ => {
            let words = text(article, value);
            let words: Vec<&str> = words.split(' ').skip(5).take(30).collect();
            let asked = vec![TeaserRequest::of(words.join(" "))];
            let answer = engine.match_teasers(asked).remove(0).unwrap();
            Call::Match(value, answer.matches.iter().any(|it| it.id == id(article)))
        }
    }
}

fn history(seed: u64) -> Vec<Vec<Event>> {
    let store = Arc::new(EmbeddedStore::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    let engine = Engine::open(store, index, Options::new(Clock::system()), |_, _| {}).unwrap();
    let time = AtomicU64::new(0);
    let now = || time.fetch_add(1, Ordering::SeqCst);
    let work = |thread: u64| {
        let mut random = seed * 1_000 + thread;
        let mut events = Vec::new();
        for _ in 0..CALLS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let of = |shift: u32, bound: u64| (random >> shift) % bound;
            let (article, value, kind) = (of(33, ARTICLES), of(40, VALUES), of(50, 6));
            let begin = now();
            let call = call(&engine, (article, value), kind);
            events.push((article, Event { call, begin, end: now() }));
        }
        events
    };
    let mut articles = vec![Vec::new(); usize::try_from(ARTICLES).unwrap()];
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|it| scope.spawn(move || work(it))).collect();
        for (article, event) in threads.into_iter().flat_map(|it| it.join().unwrap()) {
            articles[usize::try_from(article).unwrap()].push(event);
        }
    });
    articles
}

#[test]
fn calls_about_one_article_have_an_order_that_explains_them() {
    let mut count = 0;
    for seed in 0..ROUNDS {
        for mut events in history(seed) {
            events.sort_by_key(|it| it.begin);
            count += events.len();
            assert!(is_linearizable(&events), "seed {seed}: {events:#?}");
        }
    }
    println!("{count} calls in {ROUNDS} rounds");
}

#[test]
fn the_checker_finds_what_cannot_be() {
    let event = |call, begin, end| Event { call, begin, end };
    let put = |value| Call::Put(value, PutOutcome::Created);
    // Read before it was put, read after it was deleted, two puts that both created.
    for wrong in [
        vec![event(Call::Get(Some(1)), 0, 1), event(put(1), 2, 3)],
        vec![
            event(put(1), 0, 1),
            event(Call::Delete(true), 2, 3),
            event(Call::Match(1, true), 4, 5),
        ],
        vec![event(put(1), 0, 2), event(put(2), 1, 3)],
        vec![event(put(1), 0, 1), event(Call::Get(None), 2, 3)],
    ] {
        assert!(!is_linearizable(&wrong), "{wrong:?}");
    }
    // While it is put, it may be there or not, but not there and then not.
    let during = |first, second| {
        vec![event(put(1), 0, 9), event(Call::Get(first), 1, 2), event(Call::Get(second), 3, 4)]
    };
    assert!(is_linearizable(&during(None, Some(1))));
    assert!(!is_linearizable(&during(Some(1), None)));
}
