//! A commit that was interrupted: whatever part of its one batch has come, the next turn makes
//! it whole or takes it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use doublon::clock::Clock;
use doublon::cluster::{Cluster, ClusterSettings, Command};
use doublon::engine::teaser::TeaserRequest;
use doublon::index;
use doublon::matching::verdict::Verdict;
use doublon::store::{ArticleNumber, KEYS_END, Part, Space, Store, StoreError, Write};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::nodes::{article, is_sound, node, put};
use crate::support::place::{cli, settings};
use crate::support::words;

const SPACES: [Space; 3] = [Space::Story, Space::Teaser, Space::StoryByTime];
const IDS: u32 = 6;

/// One change that is drawn.
#[derive(Debug, Clone)]
enum Step {
    Insert(u32),
    Remove(u32),
    Set(usize, u8, u8),
    Unset(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..IDS).prop_map(Step::Insert),
        1 => (0..IDS).prop_map(Step::Remove),
        3 => (0..SPACES.len(), 0_u8..6, any::<u8>()).prop_map(|(a, b, c)| Step::Set(a, b, c)),
        1 => (0..SPACES.len(), 0_u8..6).prop_map(|(a, b)| Step::Unset(a, b)),
    ]
}

fn record(number: u32, part: &str) -> Vec<u8> {
    format!("{part} of {number}").into_bytes()
}

/// The writes of some steps, each id and row changed once; `named` is what ids name.
fn writes(steps: &[Step], named: &mut BTreeMap<u32, u32>, next: &mut u32) -> Vec<Write> {
    let (mut writes, mut used) = (Vec::new(), Vec::new());
    for step in steps {
        let (what, key) = match step {
            Step::Insert(id) | Step::Remove(id) => (SPACES.len(), u8::try_from(*id).unwrap()),
            Step::Set(space, key, _) | Step::Unset(space, key) => (*space, *key),
        };
        if used.contains(&(what, key)) {
            continue;
        }
        used.push((what, key));
        match step {
            Step::Insert(id) => {
                let before = named.insert(*id, *next);
                writes.extend(before.map(|it| removal(it, *id)));
                writes.push(Write::Insert {
                    number: ArticleNumber(*next),
                    id: id.to_string(),
                    article: record(*next, "article"),
                    features: record(*next, "features"),
                });
                *next += 1;
            }
            Step::Remove(id) => writes.extend(named.remove(id).map(|it| removal(it, *id))),
            Step::Set(_, _, value) => {
                let value = vec![*value; 3];
                writes.push(Write::Set { space: SPACES[what], key: vec![0, key], value });
            }
            Step::Unset(..) => writes.push(Write::Unset { space: SPACES[what], key: vec![0, key] }),
        }
    }
    writes
}

fn removal(number: u32, id: u32) -> Write {
    Write::Remove { number: ArticleNumber(number), id: id.to_string() }
}

/// All that is seen of a store.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    numbers: Vec<Option<ArticleNumber>>,
    records: Vec<(ArticleNumber, Vec<u8>)>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    count: u64,
}

fn seen(store: &Arc<dyn Store>) -> Seen {
    let ids: Vec<String> = (0..IDS).map(|it| it.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let rows = SPACES.iter().flat_map(|it| store.rows(*it, &[][..]..&KEYS_END[..], 99).unwrap());
    Seen {
        numbers: store.numbers(&ids).unwrap(),
        records: store.scan(Part::Features, None, 99).unwrap(),
        rows: rows.collect(),
        count: store.record_count().unwrap(),
    }
}

/// A cluster as a broken batch leaves it.
struct Broken<'a> {
    settings: &'a ClusterSettings,
    cluster: &'a Cluster,
}

impl Broken<'_> {
    fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.settings.prefix)
    }

    fn turn(&self, arguments: &[&str]) -> String {
        let key = self.key("{turn}");
        let command: Vec<&str> = [arguments[0], key.as_str()]
            .into_iter()
            .chain(arguments[1..].iter().copied())
            .collect();
        cli(self.settings, &command).trim().to_owned()
    }

    /// Whether numbers are to be swept.
    fn passes_over(&self, mut numbers: std::ops::Range<u32>) -> bool {
        let burned = cli(self.settings, &["LRANGE", &self.key("{turn}:burned"), "0", "-1"]);
        let ranges = burned.lines().filter_map(|it| {
            let (from, to) = it.split_once('@')?.0.split_once('-')?;
            Some(from.parse::<u32>().ok()?..to.parse::<u32>().ok()?)
        });
        let ranges: Vec<_> = ranges.collect();
        numbers.all(|number| ranges.iter().any(|it| it.contains(&number)))
    }

    fn ends_the_turn(&self) {
        self.turn(&["HSET", "until", "0"]);
    }

    /// What a commit removes stays until it is known to be made.
    fn has_records_of(&self, end: u32) {
        let parts = [("a", "article"), ("f", "features")];
        let set = (0..end).flat_map(|it| {
            parts.map(|(letter, part)| {
                let key = self.key(&format!("{letter}:{it}"));
                Command::new("SET", key.as_bytes()).arg(record(it, part))
            })
        });
        self.cluster.write_all(&set.collect::<Vec<_>>()).unwrap();
    }

    fn lacks_the_intent(&self, before: u64, (count, next): (u64, u32)) {
        let (before, count, next) = (before.to_string(), count.to_string(), next.to_string());
        self.turn(&["HSET", "seq", &before, "done", &before, "count", &count, "next", &next]);
        let by = self.key(&format!("{{turn}}:by:{}", self.turn(&["HGET", "holder"])));
        cli(self.settings, &["DEL", &self.key("{turn}:intent"), &by]);
    }
}

fn is_made_whole_or_taken_back(first: &[Step], second: &[Step]) {
    let Some(settings) = settings(None) else { return };
    let open = || index::cluster::open(settings.clone(), Clock::system()).unwrap().0;
    let (one, other) = (open(), open());
    let cluster = Cluster::connect(settings.clone()).unwrap();
    let broken = Broken { settings: &settings, cluster: &cluster };
    let (mut named, mut next) = (BTreeMap::new(), 0);
    one.begin(true).unwrap().unwrap();
    one.commit(&writes(first, &mut named, &mut next)).unwrap();
    one.end(true);
    let before = seen(&one);
    let mut turn = one.begin(true).unwrap().unwrap();
    for round in 0..3 {
        let (mut named, mut next) = (named.clone(), turn.next.unwrap().0);
        let first_new = next;
        let writes = writes(second, &mut named, &mut next);
        one.commit(&writes).unwrap();
        let after = seen(&one);
        let brings = next > first_new;
        let seq = broken.turn(&["HGET", "seq"]).parse::<u64>().unwrap() - 1;
        broken.has_records_of(next);
        match round {
            // The steps came, and what tells of them did not.
            0 => broken.lacks_the_intent(seq, (before.count, first_new)),
            // A record did not come.
            1 if brings => {
                cli(&settings, &["DEL", &broken.key(&format!("f:{first_new}"))]);
            }
            // All came, but the word of it.
            _ => {}
        }
        broken.ends_the_turn();
        turn = other.begin(true).unwrap().unwrap();
        let is_whole = round == 2 || round == 1 && !brings;
        assert_eq!(seen(&other), if is_whole { after } else { before.clone() }, "{round}");
        assert_eq!(seen(&one), seen(&other));
        assert!(is_whole || broken.passes_over(first_new..next), "{round}");
        let redone: Vec<u32> = turn.redone.iter().map(|it| it.0).collect();
        let expected = if is_whole { first_new..next } else { 0..0 };
        assert_eq!(redone, expected.collect::<Vec<_>>());
        other.end(true);
        if is_whole {
            return;
        }
        turn = one.begin(true).unwrap().unwrap();
        assert!(turn.redone.is_empty());
    }
}

#[test]
fn a_commit_that_was_broken_off_is_made_whole_or_taken_back() {
    if settings(None).is_none() {
        return;
    }
    let steps = || proptest::collection::vec(step(), 1..24);
    let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
    let all = (steps(), steps());
    runner
        .run(&all, |(first, second)| {
            is_made_whole_or_taken_back(&first, &second);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_came_without_its_postings_is_found_all_the_same() {
    let (Some(settings), Some(elsewhere)) = (settings(None), settings(None)) else { return };
    // A record as a node makes it.
    let text = words(1000, 60);
    put(&node(&elsewhere), article("b", &text)).unwrap();
    let (store, _) = index::cluster::open(elsewhere, Clock::system()).unwrap();
    let read = |part| {
        let mut record = Vec::new();
        let mut visit = |_, bytes: &[u8]| record = bytes.to_vec();
        store.read(part, &[ArticleNumber(0)], &mut visit).unwrap();
        record
    };
    let (article_of, features) = (read(Part::Article), read(Part::Features));
    let insert = Write::Insert {
        number: ArticleNumber(0),
        id: "b".to_owned(),
        article: article_of,
        features,
    };
    let (store, _) = index::cluster::open(settings.clone(), Clock::system()).unwrap();
    store.begin(true).unwrap().unwrap();
    store.commit(&[insert]).unwrap();
    let key = format!("{}:{{turn}}", settings.prefix);
    cli(&settings, &["HSET", &key, "until", "0"]);
    // An export has the next turn, which sees to no postings, and a node the one behind it.
    drop(store.view().unwrap());
    let engine = node(&settings);
    let copy = put(&engine, article("c", &text)).unwrap();
    assert_eq!(copy.duplicates.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["b"]);
    let asked = vec![TeaserRequest::of(words(1010, 20))];
    let answer = engine.match_teasers(asked).remove(0).unwrap();
    assert_eq!((answer.verdict, answer.matches[0].id.as_str()), (Verdict::Match, "b"));
    is_sound(&settings);
}

#[test]
fn what_another_committed_is_not_taken_back_with_what_was_refused() {
    let Some(settings) = settings(None) else { return };
    let open = || index::cluster::open(settings.clone(), Clock::system()).unwrap().0;
    let (one, other) = (open(), open());
    let cluster = Cluster::connect(settings.clone()).unwrap();
    let broken = Broken { settings: &settings, cluster: &cluster };
    let insert = |number: u32| Write::Insert {
        number: ArticleNumber(number),
        id: number.to_string(),
        article: record(number, "article"),
        features: record(number, "features"),
    };
    one.begin(true).unwrap().unwrap();
    one.commit(&[insert(0)]).unwrap();
    // It was acknowledged, and its node died.
    broken.ends_the_turn();
    let turn = other.begin(true).unwrap().unwrap();
    assert_eq!(turn.redone, [ArticleNumber(0)]);
    let before = seen(&other);
    // The next commit comes to the partitions, and not to the turn.
    broken.turn(&["HINCRBY", "fence", "100"]);
    let next = turn.next.unwrap().0;
    let set = Write::Set { space: Space::Story, key: vec![0, 1], value: vec![1] };
    let error = other.commit(&[insert(next), set]).unwrap_err();
    assert!(matches!(error, StoreError::TurnLost), "{error}");
    assert_ne!(seen(&one), before);
    broken.turn(&["HINCRBY", "fence", "-100"]);
    assert_eq!(other.recover().unwrap(), Some(false));
    assert_eq!(seen(&one), before);
    let turn = one.begin(true).unwrap().unwrap();
    assert_eq!(turn.redone, [ArticleNumber(0)]);
    one.commit(&[insert(turn.next.unwrap().0)]).unwrap();
    one.end(true);
    assert_eq!(other.record_count().unwrap(), 2);
}

#[test]
fn a_turn_that_was_set_back_goes_on_where_the_partitions_are() {
    let Some(settings) = settings(None) else { return };
    let cluster = Cluster::connect(settings.clone()).unwrap();
    let broken = Broken { settings: &settings, cluster: &cluster };
    let (one, other) = (node(&settings), node(&settings));
    for number in 0..10_u32 {
        put(&one, article(&number.to_string(), &words(number * 100, 60))).unwrap();
    }
    for (round, engine) in (1..).zip([&one, &other, &one]) {
        broken.turn(&["HINCRBY", "fence", "-5"]);
        let article = || article(&format!("a{round}"), &words(round * 10_000, 60));
        // A node that has not had a turn for long learns of it by being refused, once.
        put(engine, article()).or_else(|_| put(engine, article())).unwrap();
    }
    broken.turn(&["HINCRBY", "fence", "-5"]);
    put(&node(&settings), article("b", &words(90_000, 60))).unwrap();
    assert_eq!(one.stats().unwrap().article_count, 14);
    is_sound(&settings);
}
