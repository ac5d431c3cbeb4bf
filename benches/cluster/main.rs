//! What a cluster costs: `cargo bench --bench cluster`, some five minutes. Three primaries
//! with a replica each on this machine, and on the same two cores 1, 2 and 4 nodes of
//! doublon; beside them the embedded store, and three layouts of postings. Shows what an
//! operation takes in round trips, commands and bytes, which do not depend on the machine;
//! rates do, and scaling cannot be seen on one. Needs `redis-server` or `valkey-server`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what was measured is printed")]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod layouts;
#[path = "../../tests/support/redis.rs"]
mod redis;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use doublon::api::{convert, v1};
use doublon::clock::Clock;
use doublon::cluster::{Cluster, ClusterSettings, Traffic};
use doublon::engine::find::{FindRequest, Target};
use doublon::engine::put::PutRequest;
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::{Engine, Options};
use doublon::index::cluster::ClusterIndex;
use doublon::index::memory::MemoryIndex;
use doublon::load::articles::Corpus;
use doublon::matching::verdict::Verdict;
use doublon::store::cluster::ClusterStore;
use doublon::store::embedded::EmbeddedStore;

/// Articles that are put, and questions of each kind, measured and as a smoke test.
const ARTICLES: (u64, u64) = (20_000, 40);
const QUESTIONS: (u64, u64) = (8_000, 20);
/// Articles or questions of one call.
const BATCH: u64 = 256;
/// Nodes of doublon.
const NODES: [usize; 3] = [1, 2, 4];

/// A node, and the way by which it reaches the cluster.
struct Node {
    engine: Engine,
    cluster: Option<Arc<Cluster>>,
}

/// What was measured of one kind of operation.
struct Row {
    what: &'static str,
    per_second: f64,
    /// For each operation.
    traffic: Traffic,
    operations: u64,
}

fn main() {
    let is_measured = std::env::args().any(|it| it == "--bench");
    let size = |it: (u64, u64)| if is_measured { it.0 } else { it.1 };
    let Some(program) = redis::server("the bench of a cluster") else { return };
    let servers = redis::Cluster::start(program, 1, &[]);
    println!(
        "store      nodes  operation                    a second  round trips   commands  bytes sent"
    );
    let sizes = (size(ARTICLES), size(QUESTIONS));
    let embedded = {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(folder.path(), 256 << 20).unwrap());
        let index = Arc::new(MemoryIndex::default());
        let engine = open(store, index);
        measure("embedded", &[Node { engine, cluster: None }], sizes)
    };
    for count in NODES.into_iter().take(if is_measured { NODES.len() } else { 1 }) {
        let before = servers.memory();
        let nodes: Vec<Node> = (0..count).map(|_| node(&servers, &format!("n{count}"))).collect();
        let rates = measure("cluster", &nodes, sizes);
        let bytes = (servers.memory() - before) / sizes.0;
        println!(
            "           {count:5}  {bytes} bytes an article; of embedded's rates: {}",
            shares(&rates, &embedded)
        );
        drop(nodes);
        servers.clear();
    }
    layouts::measure(&servers, is_measured);
}

fn shares(rates: &[f64], embedded: &[f64]) -> String {
    let share = |it: (&f64, &f64)| format!("{:.2}", it.0 / it.1);
    rates.iter().zip(embedded).map(share).collect::<Vec<_>>().join(" ")
}

fn open(store: Arc<dyn doublon::store::Store>, index: Arc<dyn doublon::index::Index>) -> Engine {
    let options = Options { keeps_text: false, ..Options::new(Clock::system()) };
    Engine::open(store, index, options, |_, _| {}).unwrap()
}

fn node(servers: &redis::Cluster, prefix: &str) -> Node {
    let settings = ClusterSettings { articles: ARTICLES.0, ..servers.settings(prefix) };
    let cluster = Arc::new(Cluster::connect(settings).unwrap());
    let store = ClusterStore::open(Arc::clone(&cluster)).unwrap();
    let planned = store.articles_planned();
    let index = ClusterIndex::open(Arc::clone(&cluster), planned, Clock::system());
    Node { engine: open(Arc::new(store), Arc::new(index)), cluster: Some(cluster) }
}

/// Puts articles and asks questions, each node its share; gives the rates.
fn measure(store: &str, nodes: &[Node], (articles, questions): (u64, u64)) -> Vec<f64> {
    let corpus = Corpus::new(7);
    let rows = [
        each("put, 256 a call", nodes, (articles, BATCH), |engine, first, count| {
            let requests = (first..first + count).map(|it| put(&corpus, it));
            for answer in engine.put(requests.collect()) {
                answer.unwrap();
            }
        }),
        each("put, one a call", nodes, (questions / 20, 1), |engine, first, _| {
            engine.put(vec![put(&corpus, articles + first)]).remove(0).unwrap();
        }),
        each("teaser, 256 a call", nodes, (questions, BATCH), |engine, first, count| {
            let asked = (first..first + count).map(|it| teaser(&corpus, it, articles));
            for answer in engine.match_teasers(asked.collect()) {
                assert_eq!(answer.unwrap().verdict, Verdict::Match);
            }
        }),
        each("teaser, one a call", nodes, (questions / 4, 1), |engine, first, _| {
            let answer = engine.match_teasers(vec![teaser(&corpus, first, articles)]).remove(0);
            assert_eq!(answer.unwrap().verdict, Verdict::Match);
        }),
        each("duplicates, 256 a call", nodes, (questions / 4, BATCH), |engine, first, count| {
            let text = |it: u64| corpus.variant(corpus.distinct(it, articles), it);
            let asked = (first..first + count).map(|it| FindRequest::of(Target::Text(text(it))));
            for answer in engine.find_duplicates(&asked.collect::<Vec<_>>()) {
                assert!(!answer.unwrap().duplicates.is_empty());
            }
        }),
    ];
    for Row { what, per_second, traffic, operations } in &rows {
        let per = |it: u64| it as f64 / *operations as f64;
        println!(
            "{store:10} {:5}  {what:24} {per_second:12.0} {:12.3} {:10.1} {:11.0}",
            nodes.len(),
            per(traffic.round_trips),
            per(traffic.commands),
            per(traffic.bytes),
        );
    }
    rows.iter().map(|it| it.per_second).collect()
}

fn put(corpus: &Corpus, number: u64) -> PutRequest {
    let article = Some(corpus.article(number));
    convert::put_article(v1::PutArticleRequest { article, ..Default::default() }).unwrap()
}

fn teaser(corpus: &Corpus, number: u64, articles: u64) -> TeaserRequest {
    TeaserRequest::of(corpus.teaser(corpus.distinct(number, articles), number))
}

/// Does something on all nodes at once, `batch` at a time.
fn each(
    what: &'static str,
    nodes: &[Node],
    (count, batch): (u64, u64),
    act: impl Fn(&Engine, u64, u64) + Sync,
) -> Row {
    let traffic =
        |it: &Node| it.cluster.as_ref().map(|it| it.meter().traffic()).unwrap_or_default();
    let before: Vec<Traffic> = nodes.iter().map(traffic).collect();
    let share = (count / nodes.len() as u64).max(1);
    let begun = Instant::now();
    thread::scope(|scope| {
        for (at, node) in (0..).zip(nodes) {
            let act = &act;
            scope.spawn(move || {
                let (mut first, end) = (at * share, (at + 1) * share);
                while first < end {
                    let count = batch.min(end - first);
                    act(&node.engine, first, count);
                    first += count;
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let operations = share * nodes.len() as u64;
    let mut spent = Traffic::default();
    for (before, after) in before.iter().zip(nodes.iter().map(traffic)) {
        spent.round_trips += after.round_trips - before.round_trips;
        spent.commands += after.commands - before.commands;
        spent.bytes += after.bytes - before.bytes;
    }
    Row { what, per_second: operations as f64 / seconds, traffic: spent, operations }
}
