//! Evaluation: runs the engine on labelled data, in this process and by the same
//! calls as the service, and measures its answers. Reads no files and prints
//! nothing.

mod arrivals;
mod baselines;
pub mod data;
pub mod measures;
mod pages;
mod pairs;
mod recombine;
pub mod report;
mod stories;
mod teasers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock::Clock;
use crate::cluster::ClusterSettings;
use crate::engine::error::EngineError;
use crate::engine::put::PutRequest;
use crate::engine::{self, Engine};
use crate::eval::data::{ArticleRow, Dataset};
use crate::eval::report::Report;
use crate::hash;
use crate::index;
use crate::index::Index;
use crate::index::memory::MemoryIndex;
use crate::store::Store;
use crate::store::embedded::EmbeddedStore;

/// How the data is used.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Share of the articles that is left out of the store, in percent, chosen by
    /// a hash of the id: 0 to 100.
    pub holdout_percent: u32,
    /// Articles, all together, up to which the store is filled with articles
    /// recombined from the sentences of those stored; 0 for none.
    pub recombine_up_to: usize,
}

/// Who watches: told what is done, and of every wrong answer.
pub trait Observer: Sync {
    /// A step begins, of so many items.
    fn start(&self, step: &str, items: usize);
    /// So many more items of the step are done.
    fn done(&self, items: usize);
    /// An answer was wrong: all that is known of it.
    fn error(&self, case: &serde_json::Value);
}

type Watch<'a> = dyn Observer + 'a;

/// Articles of one call.
const PUT_BATCH: usize = 512;

/// Measures everything that the data set has labels for.
pub fn run(
    data: &Dataset,
    options: Options,
    lab: &Lab,
    observer: &dyn Observer,
) -> Result<Report, EngineError> {
    let clock = &lab.clock;
    let from = clock.elapsed();
    let mut report = Report { holdout_percent: options.holdout_percent, ..Report::default() };
    if !data.articles.is_empty() || !data.background.is_empty() {
        teasers::evaluate(data, options, (lab, observer), &mut report)?;
    }
    if !data.pairs.is_empty() {
        report.pairs = Some(pairs::evaluate(data, lab, observer)?);
    }
    if !data.pages.is_empty() {
        report.pages = Some(pages::evaluate(&data.pages, lab, observer)?);
    }
    if !data.teasers.is_empty() && !data.articles.is_empty() {
        report.arrivals = Some(arrivals::evaluate(data, lab, observer)?);
    }
    if !data.pairs.is_empty() {
        report.stories = Some(stories::evaluate(data, lab, observer)?);
    }
    report.seconds = clock.since(from).as_secs_f64();
    Ok(report)
}

/// Whether the article with this id is left out of the store.
fn is_held_out(id: &str, percent: u32) -> bool {
    hash::persistent_64(id.as_bytes()) % 100 < u64::from(percent)
}

/// Where engines for measuring come from.
#[derive(Debug)]
pub struct Lab {
    clock: Clock,
    cluster: Option<ClusterSettings>,
    /// Engines made.
    made: AtomicU32,
}

impl Lab {
    /// Of engines over empty stores in memory, or in a cluster, where each has a prefix of
    /// its own behind the one given.
    pub fn new(clock: Clock, cluster: Option<ClusterSettings>) -> Self {
        Self { clock, cluster, made: AtomicU32::new(0) }
    }

    fn engine(&self) -> Result<Engine, EngineError> {
        let options = engine::Options::new(self.clock.clone());
        let (store, index): (Arc<dyn Store>, Arc<dyn Index>) = match &self.cluster {
            Some(settings) => {
                let made = self.made.fetch_add(1, Ordering::Relaxed);
                let prefix = format!("{}-{made}", settings.prefix);
                let settings = ClusterSettings { prefix, ..settings.clone() };
                index::cluster::open(settings, self.clock.clone())?
            }
            None => (Arc::new(EmbeddedStore::in_memory()?), Arc::new(MemoryIndex::default())),
        };
        Engine::open(store, index, options, |_, _| {})
    }
}

/// Stores articles. Those that the engine refuses are named as errors and left
/// out; gives how many are stored.
fn put_all(
    engine: &Engine,
    rows: &[&ArticleRow],
    step: &str,
    watch: &Watch<'_>,
) -> Result<usize, EngineError> {
    watch.start(step, rows.len());
    let mut stored = 0;
    for part in rows.chunks(PUT_BATCH) {
        let requests = part.iter().filter_map(|row| match row.article() {
            Ok(article) => Some(PutRequest { max_duplicates: 1, ..PutRequest::of(article) }),
            Err(error) => {
                refuse(row, &error.to_string(), watch);
                None
            }
        });
        let requests: Vec<PutRequest> = requests.collect();
        let ids: Vec<String> =
            requests.iter().map(|it| it.article.id.as_str().to_owned()).collect();
        for (id, answer) in ids.iter().zip(engine.put(requests)) {
            match answer {
                Ok(_) => stored += 1,
                Err(EngineError::Invalid(invalid)) => {
                    let row = ArticleRow { id: id.clone(), ..ArticleRow::default() };
                    refuse(&row, &invalid.to_string(), watch);
                }
                Err(error) => return Err(error),
            }
        }
        watch.done(part.len());
    }
    Ok(stored)
}

/// An answer, unless the engine refuses the input: that is named as an error, and the
/// evaluation goes on.
fn accepted<T>(
    answer: Result<T, EngineError>,
    (part, text): (&str, &str),
    watch: &Watch<'_>,
) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(EngineError::Invalid(invalid)) => {
            let problem = invalid.to_string();
            watch.error(&serde_json::json!({"part": part, "problem": problem, "text": text}));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn refuse(row: &ArticleRow, problem: &str, watch: &Watch<'_>) {
    watch.error(&serde_json::json!({"part": "articles", "id": row.id, "problem": problem}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_held_out_are_a_stable_share() {
        let held = |percent| (0..10_000).filter(|it| is_held_out(&it.to_string(), percent)).count();
        assert_eq!((held(0), held(100)), (0, 10_000));
        assert!((1900..2100).contains(&held(20)), "{}", held(20));
        assert!((0..500).all(|it| {
            let id = it.to_string();
            !is_held_out(&id, 20) || is_held_out(&id, 30)
        }));
    }
}
