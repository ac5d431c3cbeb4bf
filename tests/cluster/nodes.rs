//! Several nodes of doublon on one cluster, at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use doublon::clock::Clock;
use doublon::cluster::{Cluster, ClusterSettings, Command};
use doublon::engine::article::{Article, ArticleId};
use doublon::engine::error::EngineError;
use doublon::engine::put::{OnDuplicate, PutAnswer, PutOutcome, PutRequest};
use doublon::engine::teaser::{TeaserRequest, Watch};
use doublon::engine::verify::verify;
use doublon::engine::watch::Since;
use doublon::engine::{Engine, Options};
use doublon::index;
use doublon::index::Index;
use doublon::index::cluster::ClusterIndex;
use doublon::index::memory::MemoryIndex;
use doublon::matching::verdict::Verdict;
use doublon::store::cluster::ClusterStore;
use doublon::store::embedded::EmbeddedStore;
use doublon::store::{ArticleNumber, Part, Space, StoreError, Write};

use crate::support::place::{cli, settings};
use crate::support::words;

/// A node: an engine with connections of its own.
pub(super) fn node(settings: &ClusterSettings) -> Engine {
    let clock = Clock::system();
    let (store, index) = index::cluster::open(settings.clone(), clock.clone()).unwrap();
    Engine::open(store, index, Options::new(clock), |_, _| {}).unwrap()
}

pub(super) fn article(name: &str, text: &str) -> Article {
    Article {
        id: ArticleId::new(name).unwrap(),
        url: String::new(),
        site: String::new(),
        language: String::new(),
        title: String::new(),
        description: String::new(),
        text: text.to_owned(),
        published: None,
        expires: None,
    }
}

pub(super) fn put(engine: &Engine, article: Article) -> Result<PutAnswer, EngineError> {
    engine.put(vec![PutRequest::of(article)]).remove(0)
}

/// Whether what is stored fits together: records, ids, rows and what they are derived from.
pub(super) fn is_sound(settings: &ClusterSettings) {
    let (store, _) = index::cluster::open(settings.clone(), Clock::system()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let index: Arc<dyn Index> = Arc::new(MemoryIndex::default());
    assert_eq!(verify(&store, &index, folder.path()).unwrap().damages, Vec::<String>::new());
}

#[test]
fn nodes_that_put_copies_at_once_see_each_other() {
    let Some(settings) = settings(None) else { return };
    let nodes: Vec<Engine> = (0..3).map(|_| node(&settings)).collect();
    let answers: Vec<Vec<PutAnswer>> = thread::scope(|scope| {
        let put_all = |at: usize| {
            let engine = &nodes[at];
            move || -> Vec<PutAnswer> {
                (0..40)
                    .map(|it| put(engine, article(&format!("{at}-{it}"), &words(it * 1000, 60))))
                    .collect::<Result<_, _>>()
                    .unwrap()
            }
        };
        let running: Vec<_> = (0..3).map(|at| scope.spawn(put_all(at))).collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for copy in 0..40 {
        let of: Vec<&PutAnswer> = answers.iter().map(|it| &it[copy]).collect();
        // The second names the first, the third both.
        let mut named: Vec<usize> = of.iter().map(|it| it.duplicates.len()).collect();
        named.sort_unstable();
        assert_eq!(named, [0, 1, 2], "{copy}");
        let stories: BTreeSet<String> = of.iter().map(|it| it.story.unwrap().to_string()).collect();
        assert_eq!(stories.len(), 1);
    }
    // Of copies that are skipped where there is one, one is stored.
    let skipped: Vec<PutOutcome> = thread::scope(|scope| {
        let put_one = |at: usize| {
            let engine = &nodes[at];
            move || {
                let one = article(&format!("only-{at}"), &words(900_000, 80));
                let on_duplicate = OnDuplicate::Skip;
                let request = PutRequest { on_duplicate, ..PutRequest::of(one) };
                engine.put(vec![request]).remove(0).unwrap().outcome
            }
        };
        let running: Vec<_> = (0..3).map(|at| scope.spawn(put_one(at))).collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let created = skipped.iter().filter(|it| **it == PutOutcome::Created).count();
    assert_eq!(created, 1, "{skipped:?}");
    assert!(nodes.iter().all(|it| it.stats().unwrap().article_count == 121));
    is_sound(&settings);
}

/// What a put or a deletion says.
fn said(engine: &Engine, step: &(u32, Option<String>)) -> String {
    let (id, text) = step;
    match text {
        Some(text) => {
            let answer = put(engine, article(&id.to_string(), text)).unwrap();
            let duplicates: Vec<String> = answer
                .duplicates
                .iter()
                .map(|it| {
                    format!("{} {:?} {:.3}", it.id.as_str(), it.relation, it.overlap.jaccard())
                })
                .collect();
            format!("{:?} {:?} {duplicates:?}", answer.outcome, answer.story)
        }
        None => format!("{:?}", engine.delete(&ArticleId::new(id.to_string()).unwrap()).is_ok()),
    }
}

#[test]
fn nodes_in_turns_say_what_one_store_says() {
    let Some(settings) = settings(None) else { return };
    let alone = {
        let store = Arc::new(EmbeddedStore::in_memory().unwrap());
        let options = Options::new(Clock::system());
        Engine::open(store, Arc::new(MemoryIndex::default()), options, |_, _| {}).unwrap()
    };
    let nodes: Vec<Engine> = (0..3).map(|_| node(&settings)).collect();
    // Each node has had its first turn.
    let mut steps: Vec<(u32, Option<String>)> =
        (0..3).map(|it| (900 + it, Some(words(500_000 + it * 1000, 60)))).collect();
    for step in 0..120_u32 {
        // Copies of what came a few steps before, with some words of another one between.
        let (family, variant) = (step * 7 % 10, step * 13 % 5);
        let text = format!(
            "{} {} {}",
            words(family * 1000, 60),
            words(family * 1000 + 200 + variant * 20, 20 * variant),
            words(300_000 + step * 50, step % 4 * 15)
        );
        let id = step * 11 % 50;
        steps.push((id, (step % 9 != 5).then_some(text)));
    }
    let mut related = 0;
    for (at, step) in steps.iter().enumerate() {
        let expected = said(&alone, step);
        // One after the other, and sometimes the same again.
        let engine = &nodes[(at + at / 7) % 3];
        assert_eq!(said(engine, step), expected, "{at}");
        related += usize::from(expected.contains("Duplicate"));
    }
    assert!(related > 20, "{related} puts had relatives");
    is_sound(&settings);
}

#[test]
fn a_put_takes_three_round_trips_and_a_teaser_two() {
    let Some(settings) = settings(None) else { return };
    let open = || {
        let cluster = Arc::new(Cluster::connect(settings.clone()).unwrap());
        let store = ClusterStore::open(Arc::clone(&cluster)).unwrap();
        let planned = store.articles_planned();
        let index = ClusterIndex::open(Arc::clone(&cluster), planned, Clock::system());
        let options = Options::new(Clock::system());
        let engine = Engine::open(Arc::new(store), Arc::new(index), options, |_, _| {}).unwrap();
        (engine, cluster)
    };
    let nodes = [open(), open()];
    let watcher = index::cluster::open(settings.clone(), Clock::system()).unwrap().0;
    // The least of some, so that what is done once a second does not count; and with the end of
    // the turn, for which nobody waits.
    let least = |act: &dyn Fn(usize) -> usize| {
        let trips_of_one = |it: usize| {
            let before: Vec<u64> = nodes.iter().map(trips).collect();
            let at = act(it);
            while watcher.quiet().unwrap().is_none() {
                thread::sleep(Duration::from_millis(2));
            }
            trips(&nodes[at]) - before[at]
        };
        (0..12).map(trips_of_one).min().unwrap()
    };
    let put_on = |at: usize, number: usize| {
        let number = u32::try_from(number).unwrap();
        let article = article(&format!("{at}-{number}"), &words(number * 100, 60));
        put(&nodes[at].0, article).unwrap();
        at
    };
    put_on(0, 7000);
    put_on(1, 8000);
    // A phrase of a stored article makes a candidate, a copy a duplicate.
    let put_like = |at: usize, number: usize, shared: u32| {
        let number = u32::try_from(number).unwrap();
        let phrase = words(number % 1000 * 100 + 10, shared);
        let text = format!("{phrase} {}", words(2_000_000 + number * 100, 60));
        put(&nodes[at].0, article(&format!("like-{shared}-{at}-{number}"), &text)).unwrap();
        at
    };
    let alone = [
        least(&|it| put_on(0, it)),
        least(&|it| put_like(0, it, 9)),
        least(&|it| put_like(0, it, 50)),
    ];
    let in_turns = [
        least(&|it| put_on((it + 1) % 2, 1000 + it)),
        least(&|it| put_like((it + 1) % 2, 1000 + it, 9)),
        least(&|it| put_like((it + 1) % 2, 1000 + it, 50)),
    ];
    // A new article, one with a candidate, and one that joins a story.
    assert_eq!((alone, in_turns), ([3, 4, 7], [4, 4, 7]));
    let again = |it: usize, first: u32| {
        let first = first + u32::try_from(it).unwrap() * 100;
        put(&nodes[0].0, article(&format!("0-{it}"), &words(first, 60))).unwrap();
        0
    };
    let replaced = least(&|it| again(it, 4_000_000));
    let unchanged = least(&|it| again(it, 4_000_000));
    assert_eq!((replaced, unchanged), (11, 6));
    let match_on = |it: usize| {
        let asked = TeaserRequest::of(words(4_000_005 + u32::try_from(it).unwrap() * 100, 20));
        let answer = nodes[1].0.match_teasers(vec![asked]).remove(0).unwrap();
        assert_eq!(answer.verdict, Verdict::Match);
        1
    };
    assert_eq!(least(&match_on), 2);
}

fn trips((_, cluster): &(Engine, Arc<Cluster>)) -> u64 {
    cluster.meter().traffic().round_trips
}

#[test]
fn one_article_from_many_nodes_has_one_content() {
    let Some(settings) = settings(None) else { return };
    let nodes: Vec<Engine> = (0..3).map(|_| node(&settings)).collect();
    thread::scope(|scope| {
        for (at, engine) in nodes.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..20_u32 {
                    let first = round * 3 + u32::try_from(at).unwrap();
                    put(engine, article("a", &words(first * 1000, 50))).unwrap();
                    if round % 5 == 4 {
                        engine.delete(&ArticleId::new("b").unwrap()).ok();
                    } else {
                        put(engine, article("b", &words(first * 1000 + 500, 50))).unwrap();
                    }
                }
            });
        }
    });
    let (stored, _) = nodes[0].article(&ArticleId::new("a").unwrap()).unwrap();
    for engine in &nodes {
        assert_eq!(engine.article(&ArticleId::new("a").unwrap()).unwrap().0, stored);
    }
    is_sound(&settings);
}

#[test]
fn a_teaser_that_waits_on_one_node_is_resolved_by_another() {
    let Some(settings) = settings(None) else { return };
    let (one, other) = (node(&settings), node(&settings));
    let cursor = one.cursor(Since::Now).unwrap();
    for number in 0..30_u32 {
        let watch = Some(Watch { page_url: "https://p.example/".to_owned(), ..Watch::default() });
        let text = format!("{} ...", words(number * 1000, 25));
        let request = TeaserRequest { watch, ..TeaserRequest::of(text) };
        let answer = one.match_teasers(vec![request]).remove(0).unwrap();
        assert!(answer.id.is_some());
    }
    for number in 0..30_u32 {
        let text = words(number * 1000, 80);
        let answer = put(&other, article(&number.to_string(), &text)).unwrap();
        assert_eq!(answer.resolved.len(), 1, "{number}");
    }
    assert_eq!(one.resolutions(cursor).unwrap().len(), 30);
    assert_eq!(one.stats().unwrap().standing_teasers, 0);
    let asked = TeaserRequest::of(words(3000, 20));
    let answer = one.match_teasers(vec![asked]).remove(0).unwrap();
    assert_eq!((answer.verdict, answer.matches[0].id.as_str()), (Verdict::Match, "3"));
    // The node that did not resolve them does not look for them any more either.
    let again = put(&one, article("again", &words(3000, 81))).unwrap();
    assert_eq!((again.resolved.len(), again.duplicates.len()), (0, 1));
    is_sound(&settings);
}

fn insert(number: u32, id: &str) -> Write {
    Write::Insert {
        number: ArticleNumber(number),
        id: id.to_owned(),
        article: format!("article {id}").into_bytes(),
        features: format!("features {id}").into_bytes(),
    }
}

#[test]
fn whose_turn_has_ended_commits_nothing_and_its_numbers_are_not_given_again() {
    let Some(settings) = settings(None) else { return };
    let open = || index::cluster::open(settings.clone(), Clock::system()).unwrap().0;
    let (slow, quick) = (open(), open());
    slow.begin(true).unwrap().unwrap();
    slow.commit(&[insert(0, "a")]).unwrap();
    slow.end(true);
    let turn = slow.begin(true).unwrap().unwrap();
    assert_eq!(turn.next, Some(ArticleNumber(1)));
    assert!(quick.begin(false).unwrap().is_none(), "another has it");
    // As if it had been paused for longer than a turn lasts.
    let key = |it: &str| format!("{}:{it}", settings.prefix);
    cli(&settings, &["HSET", &key("{turn}"), "until", "0"]);
    let turn = quick.begin(true).unwrap().unwrap();
    let next = turn.next.unwrap();
    assert!(next.0 > 1000 && turn.is_foreign, "{turn:?}");
    let error = slow.commit(&[insert(1, "late")]).unwrap_err();
    assert!(matches!(error, StoreError::TurnLost), "{error}");
    slow.end(true);
    quick.commit(&[insert(next.0, "b")]).unwrap();
    quick.end(true);
    for store in [&slow, &quick] {
        let numbers = store.numbers(&["a", "late", "b"]).unwrap();
        assert_eq!(numbers, [Some(ArticleNumber(0)), None, Some(next)]);
        // What the slow one wrote of it is no record.
        let mut seen = Vec::new();
        store.read(Part::Article, &[ArticleNumber(1)], &mut |it, _| seen.push(it)).unwrap();
        assert!(seen.is_empty() && store.record_count().unwrap() == 2);
        assert_eq!(store.scan(Part::Features, None, 9).unwrap().len(), 2);
    }
    assert!(cli(&settings, &["EXISTS", &key("f:1")]).contains('1'), "it is there all the same");
    assert!(quick.orphans().unwrap().is_none(), "its writer may still be at work");
    let range = cli(&settings, &["LINDEX", &key("{turn}:burned"), "0"]);
    let old = range.trim().split_once('@').unwrap().0.to_owned() + "@0";
    cli(&settings, &["LSET", &key("{turn}:burned"), "0", &old]);
    let orphans = quick.orphans().unwrap().unwrap();
    let features = vec![(ArticleNumber(1), b"features late".to_vec())];
    assert_eq!(orphans.features, features);
    quick.forget_orphans(&orphans).unwrap();
    assert!(cli(&settings, &["EXISTS", &key("f:1"), &key("f:1")]).contains('0'));
    assert!(quick.orphans().unwrap().is_none());
    assert_eq!(quick.numbers(&["a", "b"]).unwrap(), [Some(ArticleNumber(0)), Some(next)]);
}

#[test]
fn what_an_interrupted_commit_left_is_removed_with_its_postings() {
    let Some(settings) = settings(None) else { return };
    let engine = node(&settings);
    put(&engine, article("a", &words(0, 60))).unwrap();
    let key = |it: &str| format!("{}:{it}", settings.prefix);
    // A copy of the record under a number that nobody has, and the word that it was passed
    // over long ago.
    let (clock, number) = (Clock::system(), ArticleNumber(9));
    let (store, index) = index::cluster::open(settings.clone(), clock).unwrap();
    let mut record = Vec::new();
    let mut visit = |_, bytes: &[u8]| record = bytes.to_vec();
    store.read(Part::Features, &[ArticleNumber(0)], &mut visit).unwrap();
    let features = doublon::engine::record::Features::decode(number, &record, None).unwrap();
    index.insert(&[features.entry(number)]).unwrap();
    index.flush().unwrap();
    let cluster = Cluster::connect(settings.clone()).unwrap();
    let set = Command::new("SET", key("f:9").as_bytes()).arg(record.as_slice());
    cluster.write_all(&[set]).unwrap();
    cli(&settings, &["RPUSH", &key("{turn}:burned"), "5-12@0"]);
    let postings = || cli(&settings, &["HGETALL", &key("{turn}:postings")]);
    let with_it = postings();
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(100));
        if cli(&settings, &["LLEN", &key("{turn}:burned")]).trim() == "0" {
            break;
        }
    }
    assert_ne!(postings(), with_it);
    assert_eq!(cli(&settings, &["EXISTS", &key("f:9")]).trim(), "0");
    assert_eq!(engine.stats().unwrap().article_count, 1);
    let found = put(&engine, article("b", &words(0, 60))).unwrap();
    assert_eq!(found.duplicates.len(), 1);
    is_sound(&settings);
}

#[test]
fn long_lists_of_rows_are_read_in_order_from_all_partitions() {
    let Some(settings) = settings(None) else { return };
    let (store, _) = index::cluster::open(settings, Clock::system()).unwrap();
    let key = |it: u32| {
        let [a, b, c, d] = it.to_le_bytes();
        vec![7, d, c, b, a]
    };
    let writes = (0..5000_u32).map(|it| Write::Set {
        space: Space::Teaser,
        key: key(it),
        value: vec![1; 3],
    });
    store.begin(true).unwrap().unwrap();
    store.commit(&writes.collect::<Vec<_>>()).unwrap();
    store.end(true);
    for (from, count) in [(0, 5000), (0, 9999), (17, 1), (4000, 500), (4990, 100), (5000, 7)] {
        let (start, end) = (key(from), vec![8]);
        let rows = store.rows(Space::Teaser, &start[..]..&end[..], count).unwrap();
        let expected = (from..5000).take(count).map(key);
        assert!(rows.iter().map(|it| it.0.clone()).eq(expected), "{from} {count}");
    }
    let keys = [3, 9999, 5].map(|it| (Space::Teaser, key(it)));
    let found = store.each_row(&keys).unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    let prefix = key(0x0101)[..4].to_vec();
    let all = store.each_prefix(&[(Space::Teaser, prefix), (Space::Story, vec![1])]).unwrap();
    assert_eq!((all[0].len(), all[1].len()), (256, 0));
}

#[test]
fn a_cluster_that_was_set_back_is_gone_on_with_behind_what_is_there() {
    let Some(settings) = settings(None) else { return };
    let key = format!("{}:{{turn}}", settings.prefix);
    let engine = node(&settings);
    for number in 0..20_u32 {
        put(&engine, article(&number.to_string(), &words(number * 100, 60))).unwrap();
    }
    // As a failover does that loses the last commits of one primary, once under a node that
    // goes on, and once before one that is started.
    let set_back = || cli(&settings, &["HSET", &key, "seq", "5", "done", "5", "next", "6"]);
    set_back();
    put(&engine, article("a", &words(50_000, 60))).unwrap();
    set_back();
    let other = node(&settings);
    put(&other, article("b", &words(60_000, 60))).unwrap();
    put(&engine, article("c", &words(70_000, 60))).unwrap();
    let all = (0..20_u32).map(|it| (it.to_string(), it * 100));
    let new = [("a", 50_000), ("b", 60_000), ("c", 70_000)].map(|it| (it.0.to_owned(), it.1));
    for (id, first) in all.chain(new) {
        let asked = TeaserRequest::of(words(first + 5, 20));
        let answer = other.match_teasers(vec![asked]).remove(0).unwrap();
        assert_eq!(answer.matches[0].id.as_str(), id);
        let (stored, _) = other.article(&ArticleId::new(&id).unwrap()).unwrap();
        assert_eq!(stored.article.text, words(first, 60));
    }
}

#[test]
fn a_cluster_that_lost_its_store_takes_no_writes_of_it() {
    let Some(settings) = settings(None) else { return };
    let key = format!("{}:{{turn}}", settings.prefix);
    let engine = node(&settings);
    put(&engine, article("a", &words(0, 60))).unwrap();
    cli(&settings, &["DEL", &key]);
    let another = node(&settings);
    let error = put(&engine, article("b", &words(1000, 60))).unwrap_err();
    assert!(error.to_string().contains("has lost the store"), "{error}");
    assert!(another.stats().unwrap().article_count == 0);
}

#[test]
fn a_node_that_writes_without_pause_leaves_turns_to_others() {
    let Some(settings) = settings(None) else { return };
    let (busy, other) = (node(&settings), node(&settings));
    let (next, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let between = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    put(&busy, article(&number.to_string(), &words(number * 100, 60))).unwrap();
                }
            });
        }
        while next.load(Ordering::Relaxed) < 20 {
            thread::sleep(Duration::from_millis(10));
        }
        let before = next.load(Ordering::Relaxed);
        for number in 0..5_u32 {
            put(&other, article(&format!("o{number}"), &words(900_000 + number * 100, 60)))
                .unwrap();
        }
        let after = next.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        after - before
    });
    assert!(between < 200, "{between} articles went before 5 of another node");
}
