//! Standing teasers, stories and the window on time, in the engine, by a clock that is moved
//! by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId, UnixTime};
use doublon::engine::error::EngineError;
use doublon::engine::put::{OnDuplicate, PutAnswer, PutOutcome, PutRequest};
use doublon::engine::story::{CORE_MAX, StoryId, StoryPage};
use doublon::engine::teaser::{TeaserAnswer, TeaserRequest, Watch};
use doublon::engine::watch::Since;
use doublon::engine::{Engine, Options};
use doublon::matching::overlap::Relation;
use doublon::matching::verdict::Verdict;
use proptest::prelude::*;
use support::place::{Place, again, place, place_of};
use support::words;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn open((store, index): Place, options: Options) -> Engine {
    Engine::open(store, index, options, |_, _| {}).unwrap()
}

fn engine() -> Engine {
    open(place(), Options::new(Clock::system()))
}

fn id(name: &str) -> ArticleId {
    ArticleId::new(name).unwrap()
}

fn article(name: &str, text: &str) -> Article {
    Article {
        id: id(name),
        url: format!("https://example.org/{name}"),
        site: String::new(),
        language: String::new(),
        title: String::new(),
        description: String::new(),
        text: text.to_owned(),
        published: None,
        expires: None,
    }
}

fn put(engine: &Engine, article: Article) -> PutAnswer {
    engine.put(vec![PutRequest::of(article)]).remove(0).unwrap()
}

fn watch(engine: &Engine, text: &str, page: &str) -> TeaserAnswer {
    let place = Watch { page_url: page.to_owned(), link_url: String::new() };
    let request = TeaserRequest { watch: Some(place), ..TeaserRequest::of(text) };
    engine.watch_teasers(vec![request]).remove(0).unwrap()
}

fn waiting(engine: &Engine) -> Vec<(String, u64)> {
    let page = engine.list_teasers("", 1000, &[]).unwrap();
    page.items.into_iter().map(|it| (it.text, it.times_seen)).collect()
}

fn story_of(engine: &Engine, answer: &PutAnswer) -> StoryPage {
    engine.story(answer.story.unwrap(), "", 1000).unwrap()
}

fn names(page: &StoryPage) -> Vec<String> {
    page.members.items.iter().map(|it| it.stored.article.id.as_str().to_owned()).collect()
}

/// Each of a thousand articles is a near-duplicate of the one before it, and the last has
/// not a word of the first.
#[test]
fn a_chain_of_near_duplicates_does_not_make_one_story() {
    let engine = engine();
    let mut stories: HashSet<StoryId> = HashSet::new();
    for number in 0..1000 {
        let answer = put(&engine, article(&number.to_string(), &words(number * 20, 100)));
        if number > 0 {
            let before = answer.duplicates.iter().find(|it| it.id == id(&(number - 1).to_string()));
            assert_eq!(before.unwrap().relation, Relation::Duplicate, "{number}");
        }
        stories.insert(answer.story.unwrap());
    }
    for story in &stories {
        let page = engine.story(*story, "", 1000).unwrap();
        let numbers: Vec<u32> = names(&page).iter().map(|it| it.parse().unwrap()).collect();
        let (first, last) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
        // Within two steps of the founder, either way: 40 words of 100 are another text.
        assert!(last - first <= 4, "{numbers:?}");
        assert!(page.members.items.iter().filter(|it| it.is_core).count() <= CORE_MAX);
    }
    assert!(stories.len() >= 200, "{}", stories.len());
}

#[test]
fn a_story_is_right_after_deletions_and_replacements() {
    let engine = engine();
    // b is like a and c, which are not like each other.
    let (a, b, c) = (words(0, 100), words(25, 100), words(50, 100));
    let of_b = put(&engine, article("b", &b));
    put(&engine, article("a", &a));
    let of_c = put(&engine, article("c", &c));
    assert_eq!(names(&story_of(&engine, &of_c)), ["b", "a", "c"]);
    assert_eq!(engine.stats().unwrap().stories, 1);
    engine.delete(&id("b")).unwrap();
    assert_eq!(engine.stats().unwrap().stories, 0, "a and c have nothing in common now");
    let found = |name: &str| {
        let page = engine.article(&id(name)).unwrap();
        put(&engine, page.0.article).story.unwrap()
    };
    assert_ne!(found("a"), found("c"));
    // Replaced by other content, an article leaves; by like content, it stays.
    put(&engine, article("a2", &a));
    assert_eq!(found("a2"), found("a"));
    let kept = found("a");
    let edited = put(&engine, article("a2", &format!("{a} more")));
    assert_eq!((edited.outcome, edited.story), (PutOutcome::Replaced, Some(kept)));
    let left = put(&engine, article("a2", &words(5000, 100)));
    assert_ne!(left.story, Some(kept));
    assert_eq!(names(&engine.story(kept, "", 10).unwrap()), ["a"]);
    // Alone, it keeps its story whatever becomes of it.
    let alone = put(&engine, article("a2", &words(6000, 100)));
    assert_eq!(alone.story, left.story);
    assert!(matches!(
        engine.story(of_b.story.unwrap(), "", 10),
        Ok(_) | Err(EngineError::StoryNotFound(_))
    ));
}

#[test]
fn the_canonical_article_was_published_first_and_another_is_when_it_goes() {
    let engine = engine();
    let text = words(0, 100);
    for (name, published) in [("x", Some(300)), ("y", None), ("z", Some(100)), ("v", Some(100))] {
        let published = published.map(|it| UnixTime::new("", it, 0).unwrap());
        put(&engine, Article { published, ..article(name, &text) });
    }
    let story = put(&engine, article("last", &text)).story.unwrap();
    let canonical = || engine.story(story, "", 1).unwrap().canonical.into_string();
    assert_eq!(canonical(), "z");
    for (gone, next) in [("z", "v"), ("v", "x"), ("x", "y"), ("y", "last")] {
        engine.delete(&id(gone)).unwrap();
        assert_eq!(canonical(), next);
    }
    engine.delete(&id("last")).unwrap();
    assert!(matches!(engine.story(story, "", 1), Err(EngineError::StoryNotFound(_))));
}

#[test]
fn a_teaser_is_resolved_once_by_whichever_comes_last() {
    for round in 0..20 {
        let engine = engine();
        let text = words(0, 200);
        let blurb = words(20, 30);
        let (answer, matched) = thread::scope(|scope| {
            let put = scope.spawn(|| put(&engine, article("a", &text)));
            let watch = scope.spawn(|| watch(&engine, &blurb, "https://page.example/1"));
            (put.join().unwrap(), watch.join().unwrap())
        });
        let is_matched = matched.verdict == Verdict::Match;
        assert_ne!(is_matched, answer.resolved.len() == 1, "{round}");
        assert!(waiting(&engine).is_empty());
        let references = engine.list_references(Some(&id("a")), "", 10).unwrap().items;
        assert_eq!(references.len(), 1);
        assert_eq!(references[0].site, "page.example");
        assert_eq!(Some(references[0].teaser), matched.id);
    }
}

#[test]
fn teasers_wait_through_a_restart_in_the_order_of_how_often_they_were_seen() {
    let folder = tempfile::tempdir().unwrap();
    let start = || open(place_of(folder.path()), Options::new(Clock::system()));
    let engine = start();
    for number in 0..30 {
        for seen in 0..=number % 3 {
            watch(&engine, &words(number * 100, 25), &format!("https://p.example/{seen}"));
        }
    }
    let shouted = words(200, 25).to_uppercase() + " ...";
    watch(&engine, &shouted, "https://p.example/9");
    drop(engine);
    let engine = start();
    let all = waiting(&engine);
    assert_eq!((all.len(), all[0].1), (30, 4), "{all:?}");
    assert!(all.windows(2).all(|it| it[0].1 >= it[1].1));
    let put = put(&engine, article("a", &format!("{} {}", words(150, 60), words(240, 50))));
    let resolved: Vec<&str> = put.resolved.iter().map(|it| it.teaser.text.as_str()).collect();
    assert!(resolved.is_empty(), "the words of 200 are cut through: {resolved:?}");
    let put = self::put(&engine, article("b", &words(150, 100)));
    assert_eq!(put.resolved.len(), 1);
    assert_eq!(put.resolved[0].teaser.sightings.len(), 4);
    assert_eq!(engine.resolutions(engine.cursor(Since::Oldest).unwrap()).unwrap(), put.resolved);
    assert_eq!(waiting(&engine).len(), 29);
    let again = self::put(&engine, article("b", &words(150, 100)));
    assert_eq!((again.outcome, again.resolved.len()), (PutOutcome::Unchanged, 0));
}

#[test]
fn too_many_teasers_and_old_ones_are_forgotten_and_so_are_resolutions() {
    let clock = Clock::manual(1_000_000_000_000);
    let options = Options { teasers_max: 10, teaser_retention: DAY, ..Options::new(clock.clone()) };
    let engine = open(place(), options);
    for number in 0..25 {
        watch(&engine, &words(number * 100, 25), "");
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(waiting(&engine).len(), 10);
    assert!(waiting(&engine).iter().all(|it| it.0 >= words(1500, 25) || it.0.len() > 100));
    let first = engine.cursor(Since::Oldest).unwrap();
    for number in 20..25 {
        let answer = put(&engine, article(&number.to_string(), &words(number * 100, 60)));
        assert_eq!(answer.resolved.len(), 1, "{number}");
    }
    assert_eq!(engine.resolutions(first).unwrap().len(), 5);
    assert_eq!(engine.stats().unwrap().standing_teasers, 5);
    clock.advance(2 * DAY);
    put(&engine, article("later", &words(9000, 50)));
    assert!(waiting(&engine).is_empty());
    assert!(matches!(engine.resolutions(first), Err(EngineError::CursorExpired(_))));
    assert_eq!(engine.stats().unwrap().standing_teasers, 0);
    assert!(engine.cursor(Since::Now).is_ok());
}

#[test]
fn articles_go_when_their_time_is_over_and_take_all_of_theirs_along() {
    let clock = Clock::manual(1_000_000_000_000);
    let options = Options { retention: Some(10 * DAY), ..Options::new(clock.clone()) };
    let place = place();
    let engine = open(again(&place), options.clone());
    watch(&engine, &words(20, 30), "https://page.example/");
    put(&engine, article("old", &words(0, 200)));
    put(&engine, article("old", &words(1, 200)));
    let soon = UnixTime::new("", i64::try_from(clock.unix_ms() / 1000).unwrap() + 3600, 0).unwrap();
    put(&engine, Article { expires: Some(soon), ..article("soon", &words(0, 190)) });
    let count = |engine: &Engine| engine.stats().unwrap().article_count;
    assert_eq!(count(&engine), 2);
    clock.advance(Duration::from_secs(3601));
    let answer = put(&engine, article("other", &words(5000, 100)));
    assert!(answer.duplicates.is_empty());
    assert_eq!(count(&engine), 2, "the one with its own time has gone");
    drop(engine);
    let engine = open(again(&place), options);
    clock.advance(9 * DAY);
    put(&engine, article("young", &words(0, 195)));
    assert_eq!(count(&engine), 3);
    clock.advance(2 * DAY);
    put(&engine, article("next", &words(7000, 100)));
    assert_eq!(count(&engine), 2, "young and next");
    assert!(matches!(engine.article(&id("old")), Err(EngineError::ArticleNotFound(_))));
    assert_eq!(engine.list_references(None, "", 10).unwrap().items.len(), 0);
    assert_eq!(engine.stats().unwrap().stories, 0);
    let expired = Article { expires: Some(soon), ..article("late", &words(0, 10)) };
    let refused = engine.put(vec![PutRequest::of(expired)]).remove(0).unwrap_err();
    assert!(refused.to_string().contains("article.expire_time"), "{refused}");
}

/// Of copies that are put at once, however they are spread over calls, one is stored.
#[test]
fn a_put_decides_in_one_order_for_all() {
    let engine = engine();
    let request = |number: u32, on_duplicate| {
        let text = format!("{} end {number}", words(0, 100));
        PutRequest { on_duplicate, ..PutRequest::of(article(&number.to_string(), &text)) }
    };
    let outcomes: Vec<PutAnswer> = thread::scope(|scope| {
        let calls: Vec<_> = (0..8_u32)
            .map(|call| {
                let requests: Vec<PutRequest> =
                    (0..10).map(|it| request(call * 10 + it, OnDuplicate::Skip)).collect();
                scope.spawn(|| engine.put(requests).into_iter().map(Result::unwrap).collect())
            })
            .collect();
        calls.into_iter().flat_map(|it| -> Vec<PutAnswer> { it.join().unwrap() }).collect()
    });
    let created: Vec<&PutAnswer> =
        outcomes.iter().filter(|it| it.outcome == PutOutcome::Created).collect();
    assert_eq!(created.len(), 1);
    let others = outcomes.iter().filter(|it| it.outcome == PutOutcome::Skipped);
    assert!(others.clone().all(|it| it.duplicates[0].id == created[0].id && it.story.is_none()));
    assert_eq!((others.count(), engine.stats().unwrap().article_count), (79, 1));
    let bare = engine.put(vec![request(200, OnDuplicate::StoreWithoutText)]).remove(0).unwrap();
    assert!(bare.stored_without_text && bare.story == created[0].story);
    assert!(engine.article(&id("200")).unwrap().0.article.text.is_empty());
    let again = engine.put(vec![request(200, OnDuplicate::StoreWithoutText)]).remove(0).unwrap();
    assert_eq!(again.outcome, PutOutcome::Unchanged);
    let weak = PutRequest { relation_min: Relation::Overlaps, ..request(300, OnDuplicate::Skip) };
    let text = format!("{} {}", words(0, 60), words(4000, 100));
    let weak = PutRequest { article: article("300", &text), ..weak };
    let strict = PutRequest { relation_min: Relation::Contains, ..weak.clone() };
    let skipped = engine.put(vec![weak]).remove(0).unwrap();
    assert_eq!(skipped.outcome, PutOutcome::Skipped);
    assert_eq!(engine.put(vec![strict]).remove(0).unwrap().outcome, PutOutcome::Created);
}

/// What is done to articles and teasers, by small numbers.
#[derive(Debug, Clone)]
enum Step {
    Put(u32, u32),
    Delete(u32),
    Watch(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u32, 0..8_u32).prop_map(|(name, text)| Step::Put(name, text)),
        1 => (0..12_u32).prop_map(Step::Delete),
        2 => (0..8_u32).prop_map(Step::Watch),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Texts 0 to 3 are alike by pairs, and so are 4 to 7 in a chain.
    #[test]
    fn whatever_is_done_stories_are_partitions_and_no_teaser_waits_whose_article_is_there(
        steps in steps(),
    ) {
        let engine = engine();
        let text = |it: u32| words(if it < 4 { it } else { 1000 + 25 * it }, 100);
        let mut stored = std::collections::BTreeMap::new();
        for step in &steps {
            match step {
                Step::Put(name, of) => {
                    put(&engine, article(&name.to_string(), &text(*of)));
                    stored.insert(*name, *of);
                }
                Step::Delete(name) => {
                    let is_there = stored.remove(name).is_some();
                    prop_assert_eq!(engine.delete(&id(&name.to_string())).is_ok(), is_there);
                }
                Step::Watch(of) => drop(watch(&engine, &words(if *of < 4 { *of } else { 1000 + 25 * of } + 30, 30), "")),
            }
        }
        let mut listed = 0;
        let mut in_stories = 0;
        let question = doublon::engine::story::StoryQuestion {
            order: doublon::engine::story::StoryOrder::Size,
            sites: Vec::new(),
            members_min: 2,
        };
        for summary in engine.list_stories(&question, "", 1000).unwrap().items {
            let page = engine.story(summary.id, "", 1000).unwrap();
            prop_assert_eq!(page.member_count, page.members.items.len() as u64);
            prop_assert_eq!(page.member_count, summary.member_count);
            prop_assert!(page.member_count > 1);
            listed += 1;
            in_stories += page.members.items.len();
            let names = names(&page);
            prop_assert!(names.contains(&page.canonical.as_str().to_owned()));
            for member in &page.members.items {
                let joined_by = member.joined_by.as_ref().map(|it| it.as_str().to_owned());
                prop_assert!(joined_by.is_none_or(|it| names.contains(&it)));
            }
        }
        let stats = engine.stats().unwrap();
        prop_assert_eq!(stats.stories, listed);
        prop_assert_eq!(stats.article_count, stored.len() as u64);
        prop_assert!(in_stories <= stored.len());
        let mut stories = std::collections::BTreeSet::new();
        for (name, of) in &stored {
            let again = put(&engine, article(&name.to_string(), &text(*of)));
            prop_assert_eq!(again.outcome, PutOutcome::Unchanged);
            let page = story_of(&engine, &again);
            prop_assert!(names(&page).contains(&name.to_string()));
            stories.insert(page.id);
        }
        let total: u64 =
            stories.iter().map(|it| engine.story(*it, "", 1).unwrap().member_count).sum();
        prop_assert_eq!(total, stored.len() as u64);
        for (text, _) in waiting(&engine) {
            let answer = engine.match_teasers(vec![TeaserRequest::of(text)]).remove(0).unwrap();
            prop_assert_ne!(answer.verdict, Verdict::Match);
        }
    }
}
