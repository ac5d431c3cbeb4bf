//! What becomes of writes when nodes of the cluster fail, and when nodes of doublon do.
#![allow(clippy::print_stderr, reason = "figures are printed")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use doublon::api::v1;
use doublon::api::v1::doublon_service_client::DoublonServiceClient;
use doublon::client::Client;
use doublon::cluster::{ClusterError, ClusterSettings};
use doublon::engine::article::ArticleId;
use doublon::engine::error::EngineError;
use doublon::engine::put::{PutOutcome, PutRequest};
use doublon::engine::{Engine, teaser::TeaserRequest};
use doublon::index::Filter;
use doublon::matching::verdict::Verdict;
use doublon::store::StoreError;
use tonic::Code;
use tonic_types::StatusExt;

use crate::nodes::{article, is_sound, node, put};
use crate::support::process::Process;
use crate::support::redis::{self, Cluster};
use crate::support::words;
use crate::support::{Server, put_request};

/// Nodes of doublon that are killed one after the other.
const KILLS: u32 = 6;

/// A cluster of its own for a test that breaks it.
fn cluster(test: &str, replicas: usize, options: &[&str]) -> Option<Cluster> {
    redis::server(test).map(|program| Cluster::start(program, replicas, options))
}

/// The text of an article that is named by a number.
fn text(number: u32) -> String {
    words(number * 100, 60)
}

/// What writers were told.
#[derive(Default)]
struct Told {
    acknowledged: Mutex<BTreeMap<String, u32>>,
    failed: AtomicU32,
    next: AtomicU32,
    stop: AtomicBool,
}

impl Told {
    /// Puts articles until it is stopped, four at a time.
    fn write(&self, engine: &Engine) {
        while !self.stop.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(4, Ordering::Relaxed);
            let numbers = first..first + 4;
            let requests =
                numbers.clone().map(|it| PutRequest::of(article(&it.to_string(), &text(it))));
            let answers = engine.put(requests.collect());
            for (number, answer) in numbers.zip(answers) {
                match answer {
                    Ok(_) => {
                        let mut all = self.acknowledged.lock().unwrap();
                        all.insert(number.to_string(), number);
                    }
                    Err(_) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
    }

    /// Runs writers on some nodes while something happens.
    fn while_written(nodes: &[Engine], happens: impl FnOnce(&Self)) -> Self {
        let told = Self::default();
        thread::scope(|scope| {
            for engine in nodes {
                scope.spawn(|| told.write(engine));
            }
            happens(&told);
            told.stop.store(true, Ordering::Relaxed);
        });
        told
    }

    /// Waits for so many acknowledged writes more.
    fn more(&self, count: usize) {
        let before = self.acknowledged.lock().unwrap().len();
        for _ in 0..600 {
            if self.acknowledged.lock().unwrap().len() >= before + count {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no writes within a minute");
    }

    /// Checks that all that was acknowledged is there, by id, as a duplicate and by a teaser.
    fn check(&self, engine: &Engine) -> usize {
        let all = self.acknowledged.lock().unwrap();
        let mut lost = Vec::new();
        for (id, number) in &*all {
            match engine.article(&ArticleId::new(id).unwrap()) {
                Ok((stored, _)) => assert_eq!(stored.article.text, text(*number)),
                Err(EngineError::ArticleNotFound(_)) => lost.push(id.clone()),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), all.len());
        let asked: Vec<TeaserRequest> =
            all.values().map(|it| TeaserRequest::of(words(it * 100 + 5, 20))).collect();
        for ((id, _), answer) in all.iter().zip(engine.match_teasers(asked)) {
            let answer = answer.unwrap();
            assert_eq!(answer.verdict, Verdict::Match, "{id}");
            assert_eq!(answer.matches[0].id.as_str(), id);
        }
        all.len()
    }

    fn failed(&self) -> u32 {
        self.failed.load(Ordering::Relaxed)
    }
}

fn nodes(settings: &ClusterSettings) -> Vec<Engine> {
    (0..2).map(|_| node(settings)).collect()
}

#[test]
fn no_acknowledged_write_is_lost_when_a_primary_is_killed() {
    let test = "no acknowledged write is lost when a primary is killed";
    let Some(mut cluster) = cluster(test, 1, &[]) else { return };
    let settings = cluster.settings("killed");
    let nodes = nodes(&settings);
    // The one that has the turn to write, and another.
    for key in ["killed:{turn}", "killed:{r3}:rows"] {
        let told = Told::while_written(&nodes, |told| {
            told.more(100);
            let killed = cluster.primary_of(key);
            cluster.kill(killed);
            cluster.until("a replica takes over", |it| {
                it.primaries().len() == 3 && !it.primaries().contains(&killed)
            });
            // It has no replica now: its writes wait until the killed one is back.
            cluster.revive(killed);
            cluster.wait_until_whole();
            told.more(100);
        });
        let count = told.check(&nodes[0]);
        eprintln!("{key}: {count} acknowledged, none lost, {} failed", told.failed());
    }
    is_sound(&settings);
}

#[test]
fn slots_that_move_under_load_are_followed() {
    let Some(cluster) = cluster("slots that move under load are followed", 1, &[]) else { return };
    let settings = cluster.settings("moved");
    let nodes = nodes(&settings);
    let told = Told::while_written(&nodes, |told| {
        told.more(60);
        let ports = cluster.primaries();
        let id = |port: u16| cluster.ask(port, &["CLUSTER", "MYID"]).trim().to_owned();
        let (from, to) = (id(ports[0]), id(ports[1]));
        let address = format!("127.0.0.1:{}", ports[0]);
        let moved = cluster.cli(&[
            "--cluster",
            "reshard",
            &address,
            "--cluster-from",
            &from,
            "--cluster-to",
            &to,
            "--cluster-slots",
            "1500",
            "--cluster-yes",
        ]);
        assert!(moved.contains("Moving slot"), "{moved}");
        told.more(60);
    });
    let count = told.check(&nodes[1]);
    eprintln!("1500 slots moved: {count} acknowledged, none lost, {} failed", told.failed());
    assert_eq!(told.failed(), 0);
    is_sound(&settings);
}

#[test]
fn a_node_that_pauses_delays_and_loses_nothing() {
    let Some(mut cluster) = cluster("a node that pauses delays", 1, &[]) else { return };
    let settings = cluster.settings("paused");
    let nodes = nodes(&settings);
    let told = Told::while_written(&nodes, |told| {
        told.more(60);
        let port = cluster.primary_of("paused:{turn}");
        // Shorter than it takes to be taken for dead, then longer.
        for pause_ms in [1000, 6000] {
            cluster.signal(port, "-STOP");
            thread::sleep(Duration::from_millis(pause_ms));
            cluster.signal(port, "-CONT");
            cluster.wait_until_whole();
            told.more(60);
        }
    });
    let count = told.check(&nodes[0]);
    eprintln!("paused: {count} acknowledged, none lost, {} failed", told.failed());
    is_sound(&settings);
}

#[test]
fn replacements_that_are_broken_off_leave_the_one_content_or_the_other() {
    let Some(mut cluster) = cluster("replacements that are broken off", 1, &[]) else { return };
    let timeout = Duration::from_secs(1);
    let settings = ClusterSettings { timeout, ..cluster.settings("replaced") };
    let nodes = nodes(&settings);
    let (ids, stop) = (12_u32, AtomicBool::new(false));
    // Of each id the versions that it may have: the last acknowledged and what came behind it.
    let versions: Mutex<BTreeMap<u32, Vec<u32>>> = Mutex::default();
    let failed = AtomicU32::new(0);
    let replace = |engine: &Engine, own: u32| {
        let mut version = 0;
        while !stop.load(Ordering::Relaxed) {
            version += 1;
            let written: Vec<u32> = (0..ids).filter(|it| it % 2 == own).collect();
            for id in &written {
                versions.lock().unwrap().entry(*id).or_default().push(version);
            }
            let content = |it: u32| article(&it.to_string(), &text(it * 1000 + version));
            let requests = written.iter().map(|it| PutRequest::of(content(*it)));
            for (id, answer) in written.iter().zip(engine.put(requests.collect())) {
                if answer.is_ok() {
                    versions.lock().unwrap().insert(*id, vec![version]);
                } else {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for (engine, own) in nodes.iter().zip(0..) {
            let replace = &replace;
            scope.spawn(move || replace(engine, own));
        }
        for round in 0..9_u64 {
            thread::sleep(Duration::from_millis(700 + 37 * round));
            let port = cluster.nodes[usize::try_from(round % 3).unwrap()].port;
            cluster.signal(port, "-STOP");
            thread::sleep(Duration::from_millis(1300));
            cluster.signal(port, "-CONT");
        }
        thread::sleep(Duration::from_secs(3));
        stop.store(true, Ordering::Relaxed);
    });
    put(&nodes[0], article("last", &text(99_000))).unwrap();
    for (id, versions) in versions.lock().unwrap().iter() {
        let (stored, _) = nodes[1].article(&ArticleId::new(id.to_string()).unwrap()).unwrap();
        let is_one = versions.iter().any(|it| stored.article.text == text(id * 1000 + it));
        assert!(is_one, "{id} has none of {versions:?}");
        let teaser: Vec<&str> = stored.article.text.split(' ').skip(5).take(20).collect();
        let asked = TeaserRequest::of(teaser.join(" "));
        let answer = nodes[1].match_teasers(vec![asked]).remove(0).unwrap();
        assert_eq!(answer.matches[0].id.as_str(), id.to_string());
    }
    let failed = failed.load(Ordering::Relaxed);
    assert!(failed > 0, "nothing was broken off");
    eprintln!("replaced: {failed} replacements failed, none is there by half");
    assert_eq!(nodes[0].stats().unwrap().article_count, u64::from(ids) + 1);
    is_sound(&settings);
}

#[test]
fn a_cluster_without_memory_refuses_writes_and_loses_nothing() {
    let test = "a cluster without memory refuses writes";
    let Some(cluster) = cluster(test, 1, &["--maxmemory-policy", "noeviction"]) else { return };
    let settings = cluster.settings("full");
    let engine = node(&settings);
    let mut stored = Vec::new();
    for number in 0..50_u32 {
        put(&engine, article(&number.to_string(), &text(number))).unwrap();
        stored.push(number);
    }
    let limit = |bytes: &str| {
        for node in &cluster.nodes {
            assert!(cluster.ask(node.port, &["CONFIG", "SET", "maxmemory", bytes]).contains("OK"));
        }
    };
    let one = cluster.ask(cluster.nodes[0].port, &["CONFIG", "SET", "maxmemory", "1mb"]);
    assert!(one.contains("OK"));
    for number in 50..60_u32 {
        // The others have done their part, which is taken back.
        let id = number.to_string();
        if put(&engine, article(&id, &text(number))).is_ok() {
            stored.push(number);
            continue;
        }
        let error = engine.article(&ArticleId::new(&id).unwrap()).unwrap_err();
        assert!(matches!(error, EngineError::ArticleNotFound(_)), "{error}");
        let teaser = TeaserRequest::of(words(number * 100 + 5, 20));
        let answer = engine.match_teasers(vec![teaser]).remove(0).unwrap();
        assert!(answer.matches.iter().all(|it| it.id.as_str() != id), "{answer:?}");
    }
    assert_eq!(engine.stats().unwrap().article_count, stored.len() as u64);
    limit("1mb");
    for number in 50..55_u32 {
        if stored.contains(&number) {
            continue;
        }
        let error = put(&engine, article(&number.to_string(), &text(number))).unwrap_err();
        let is_full = match &error {
            EngineError::Store(it) => {
                matches!(&**it, StoreError::Cluster(it) if matches!(**it, ClusterError::Full(_)))
            }
            EngineError::Index(it) => matches!(it.0, ClusterError::Full(_)),
            _ => panic!("{error}"),
        };
        assert!(is_full, "{error}");
        assert!(error.to_string().contains("no memory left"));
    }
    let answer = engine.match_teasers(vec![TeaserRequest::of(words(705, 20))]).remove(0).unwrap();
    assert_eq!(answer.matches[0].id.as_str(), "7");
    // What is removed makes room, and is not refused for want of it.
    engine.delete(&ArticleId::new("0").unwrap()).unwrap();
    stored.remove(0);
    limit("0");
    for number in 50..60_u32 {
        put(&engine, article(&number.to_string(), &text(number))).unwrap();
    }
    for number in 1..60_u32 {
        engine.article(&ArticleId::new(number.to_string()).unwrap()).unwrap();
        let teaser = TeaserRequest::of(words(number * 100 + 5, 20));
        let answer = engine.match_teasers(vec![teaser]).remove(0).unwrap();
        assert_eq!(answer.matches[0].id.as_str(), number.to_string());
    }
    assert_eq!(engine.stats().unwrap().article_count, 59);
    is_sound(&settings);
}

#[test]
fn what_a_commit_removes_is_removed_later_where_it_cannot_be_at_once() {
    let Some(cluster) = cluster("removals that are refused", 1, &[]) else { return };
    let settings = cluster.settings("removals");
    let engine = node(&settings);
    let permit = |keys: &[&str]| {
        for node in &cluster.nodes {
            let rules = ["ACL", "SETUSER", "default", "resetkeys"];
            let said = cluster.ask(node.port, &[&rules[..], keys].concat());
            assert!(said.contains("OK"), "{said}");
        }
    };
    put(&engine, article("a", &text(1))).unwrap();
    let records = |key: &str| {
        let ports = cluster.nodes.iter().map(|it| cluster.ask(it.port, &["KEYS", key]));
        ports.collect::<String>()
    };
    // The record of number 0 can be read and not removed.
    let all_else = ["~removals:[^fa]*", "~removals:[fa]:[^0]*", "%R~removals:[fa]:0"];
    permit(&all_else);
    let answer = put(&engine, article("a", &text(2))).unwrap();
    assert_eq!(answer.outcome, PutOutcome::Replaced);
    let (stored, _) = engine.article(&ArticleId::new("a").unwrap()).unwrap();
    assert_eq!(stored.article.text, text(2));
    assert!(records("removals:f:*").contains("f:0"), "its removal was to be refused");
    permit(&["~*"]);
    put(&engine, article("b", &text(3))).unwrap();
    let (stored, _) = engine.article(&ArticleId::new("a").unwrap()).unwrap();
    assert_eq!(stored.article.text, text(2));
    assert!(!records("removals:f:*").contains("f:0") && records("removals:f:*").contains("f:1"));
    assert_eq!(engine.stats().unwrap().article_count, 2);
    is_sound(&settings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_down_is_said_to_be_and_when_to_try_again() {
    let Some(mut cluster) = cluster("a cluster that is down", 1, &[]) else { return };
    let timeout = Duration::from_secs(1);
    let settings = ClusterSettings { timeout, ..cluster.settings("down") };
    let mut settings_of_service = crate::support::settings(None);
    settings_of_service.cluster = Some(settings);
    let mut server = Server::run(settings_of_service).await;
    server.put("a", &text(1)).await;
    let ports: Vec<u16> = cluster.nodes.iter().map(|it| it.port).collect();
    for port in ports.iter().skip(1) {
        cluster.kill(*port);
    }
    let mut bare =
        DoublonServiceClient::connect(format!("http://{}", server.address)).await.unwrap();
    let text_of_teaser = words(105, 20);
    let teaser = v1::MatchTeaserRequest { text: text_of_teaser, ..Default::default() };
    let refused = [
        bare.put_article(put_request("b", &text(2))).await.map(drop).unwrap_err(),
        bare.match_teaser(teaser).await.map(drop).unwrap_err(),
    ];
    for status in refused {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.get_details_retry_info().is_some(), "{status}");
        assert!(status.message().contains("does not answer within"), "{status}");
    }
    for port in ports.iter().skip(1) {
        cluster.revive(*port);
    }
    cluster.wait_until_whole();
    let mut tries = 0;
    while server.client.put_article(put_request("b", &text(2))).await.is_err() {
        tries += 1;
        assert!(tries < 60, "it does not come back");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(server.teaser(&words(105, 20)).await.matches[0].article_id, "a");
    server.stop().await;
}

/// Replaces articles until the service is gone; gives what was acknowledged last of each.
async fn write_until_killed(address: String, first: u32) -> BTreeMap<String, u32> {
    let mut done = BTreeMap::new();
    let Ok(mut client) = Client::connect(&address).await else { return done };
    for number in first.. {
        // Every other one replaces what was there.
        let id = (number / 2).to_string();
        if client.put_article(put_request(&id, &text(number))).await.is_err() {
            break;
        }
        done.insert(id, number);
    }
    done
}

/// Everything that is listed is found by its first words; gives how much is listed.
fn each_is_found(engine: &Engine) -> u64 {
    let (mut token, mut listed) = (String::new(), 0);
    loop {
        let page = engine.list(&token, 500, &Filter::all()).unwrap();
        for stored in &page.articles {
            let words: Vec<&str> = stored.article.text.split(' ').take(20).collect();
            let asked = TeaserRequest::of(words.join(" "));
            let answer = engine.match_teasers(vec![asked]).remove(0).unwrap();
            assert_eq!(answer.verdict, Verdict::Match);
            assert_eq!(answer.matches[0].id, stored.article.id);
            listed += 1;
        }
        match page.next {
            Some(next) => token = next,
            None => return listed,
        }
    }
}

/// Nodes of doublon are killed at any time; others finish what was committed, and nothing is
/// there by half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_doublon_that_is_killed_leaves_nothing_by_half() {
    let Some(cluster) = cluster("a node of doublon that is killed", 1, &[]) else { return };
    let settings = cluster.settings("crash");
    let arguments = format!(
        "--store cluster --cluster {} --cluster-prefix crash --cluster-articles 20000",
        cluster.urls()
    );
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut acknowledged: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..KILLS {
        let mut process = Process::start(&arguments);
        let first = |writer| round * 100_000 + writer * 10_000;
        let writers: Vec<_> = (0..4_u32)
            .map(|it| tokio::spawn(write_until_killed(process.address.clone(), first(it))))
            .collect();
        tokio::time::sleep(Duration::from_millis(900 + 130 * u64::from(round))).await;
        process.kill();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
    }
    let check = tokio::task::spawn_blocking(move || {
        let engine = node(&settings);
        // Once it has the turn, whatever the last one had committed is finished.
        put(&engine, article("last", &words(99_000_000, 60))).unwrap();
        for (id, number) in &acknowledged {
            let (stored, _) = engine.article(&ArticleId::new(id).unwrap()).unwrap();
            let is_next = stored.article.text == text(number + 1);
            assert!(stored.article.text == text(*number) || is_next, "{id}");
        }
        let listed = each_is_found(&engine);
        assert_eq!(engine.stats().unwrap().article_count, listed);
        drop(engine);
        is_sound(&settings);
        (acknowledged.len(), listed)
    });
    let (acknowledged, listed) = check.await.unwrap();
    eprintln!("{KILLS} kills: {acknowledged} acknowledged, {listed} stored, none lost or by half");
}
