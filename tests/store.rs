//! One conformance suite for every store.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use doublon::store::embedded::EmbeddedStore;
use doublon::store::{ArticleNumber, Part, Space, Store, StoreError, Write};
use support::place::place;

fn insert(number: u32, id: &str, content: &str) -> Write {
    Write::Insert {
        number: ArticleNumber(number),
        id: id.to_owned(),
        article: format!("article {content}").into_bytes(),
        features: format!("features {content}").into_bytes(),
    }
}

fn remove(number: u32, id: &str) -> Write {
    Write::Remove { number: ArticleNumber(number), id: id.to_owned() }
}

fn each_store(check: impl Fn(&dyn Store)) {
    let folder = tempfile::tempdir().unwrap();
    check(&EmbeddedStore::open(folder.path(), 1 << 20).unwrap());
    check(&EmbeddedStore::in_memory().unwrap());
    // In the test binary `cluster`, one in a cluster.
    check(place().0.as_ref());
}

fn commit(store: &dyn Store, writes: &[Write]) {
    store.begin(true).unwrap().unwrap();
    store.commit(writes).unwrap();
    store.end(true);
}

fn read(store: &dyn Store, part: Part, number: u32) -> Option<String> {
    let mut found = None;
    let mut visit = |_, bytes: &[u8]| found = Some(String::from_utf8(bytes.to_vec()).unwrap());
    store.read(part, &[ArticleNumber(number)], &mut visit).unwrap();
    found
}

#[test]
fn a_store_keeps_what_is_committed_in_order() {
    each_store(|store| {
        assert_eq!(
            (store.record_count().unwrap(), store.next_number().unwrap()),
            (0, ArticleNumber(0))
        );
        commit(store, &[insert(0, "a", "1"), insert(1, "b", "2"), insert(5, "c", "3")]);
        assert_eq!(
            (store.record_count().unwrap(), store.next_number().unwrap()),
            (3, ArticleNumber(6))
        );
        let numbers = store.numbers(&["c", "x", "a"]).unwrap();
        assert_eq!(numbers, [Some(ArticleNumber(5)), None, Some(ArticleNumber(0))]);
        assert_eq!(read(store, Part::Article, 1).unwrap(), "article 2");
        assert_eq!(read(store, Part::Features, 5).unwrap(), "features 3");
        assert_eq!(read(store, Part::Features, 2), None);
        let numbers = |after, count| -> Vec<u32> {
            let rows = store.scan(Part::Article, after, count).unwrap();
            rows.into_iter().map(|it| it.0.0).collect()
        };
        assert_eq!(numbers(None, 2), [0, 1]);
        assert_eq!(numbers(Some(ArticleNumber(1)), 9), [5]);
        assert!(numbers(Some(ArticleNumber(5)), 9).is_empty());
        assert!(store.bytes().unwrap() > 0);
    });
}

/// Records of many sizes, put and removed in groups of many sizes: more than a pack
/// takes, less, and across their borders.
#[test]
fn packs_of_records_are_a_map() {
    each_store(|store| {
        let mut model = std::collections::BTreeMap::new();
        let content = |number: u32| "x".repeat((number as usize * 7919) % 9000);
        let mut next = 0;
        for round in 0..40_u32 {
            let start = next;
            let new = start..start + round * 5 % 23 + 1;
            next = new.end + round % 2;
            let mut writes: Vec<Write> =
                new.clone().map(|it| insert(it, &it.to_string(), &content(it))).collect();
            model.extend(new.map(|it| (it, content(it))));
            for gone in (0..start).filter(|it| (it * 31 + round) % 11 == 0) {
                model.remove(&gone);
                writes.push(remove(gone, &gone.to_string()));
            }
            commit(store, &writes);
            assert_eq!(store.record_count().unwrap(), model.len() as u64);
        }
        let all: Vec<ArticleNumber> = (0..next + 3).map(ArticleNumber).collect();
        for part in [Part::Article, Part::Features] {
            let kind = if part == Part::Article { "article " } else { "features " };
            let mut found = Vec::new();
            let mut visit = |it: ArticleNumber, bytes: &[u8]| found.push((it.0, bytes.to_vec()));
            store.read(part, &all, &mut visit).unwrap();
            let expected: Vec<(u32, Vec<u8>)> =
                model.iter().map(|it| (*it.0, format!("{kind}{}", it.1).into_bytes())).collect();
            assert!(found == expected, "{part:?}");
            for (after, count) in [(None, usize::MAX), (Some(17), 30), (Some(next), 5)] {
                let rows = store.scan(part, after.map(ArticleNumber), count).unwrap();
                let first = after.map_or(0, |it| it + 1);
                let expected: Vec<u32> = model.range(first..).map(|it| *it.0).take(count).collect();
                assert_eq!(rows.iter().map(|it| it.0.0).collect::<Vec<_>>(), expected);
            }
        }
        assert_eq!(store.next_number().unwrap().0, next - 39 % 2);
    });
}

#[test]
fn what_was_removed_is_remembered_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), 1 << 20).unwrap();
    commit(&store, &[insert(0, "a", "1"), insert(1, "b", "2"), insert(2, "c", "3")]);
    let before = store.state().unwrap();
    commit(&store, &[remove(2, "c"), remove(2, "c")]);
    commit(&store, &[remove(0, "a")]);
    let after = store.state().unwrap();
    assert_eq!((before.removals, after.removals), (0, 2));
    assert_eq!((after.identity, after.next), (before.identity, ArticleNumber(3)));
    let removed = |store: &EmbeddedStore| -> Vec<(u32, Vec<u8>)> {
        store.removed().unwrap().into_iter().map(|it| (it.0.0, it.1)).collect()
    };
    assert_eq!(removed(&store), [(2, b"features 3".to_vec()), (0, b"features 1".to_vec())]);
    store.forget_removed(1).unwrap();
    assert_eq!(removed(&store), [(0, b"features 1".to_vec())]);
    let other = EmbeddedStore::in_memory().unwrap();
    other.commit(&[insert(0, "a", "1"), remove(0, "a")]).unwrap();
    assert!(other.removed().unwrap().is_empty(), "it ends with its index");
    assert_ne!(other.state().unwrap().identity, after.identity);
}

#[test]
fn replacing_and_removing_leave_nothing_behind() {
    each_store(|store| {
        commit(store, &[insert(0, "a", "old"), insert(1, "b", "b")]);
        commit(store, &[remove(0, "a"), insert(2, "a", "new")]);
        assert_eq!(store.numbers(&["a"]).unwrap(), [Some(ArticleNumber(2))]);
        assert_eq!(read(store, Part::Article, 0), None);
        assert_eq!(read(store, Part::Article, 2).unwrap(), "article new");
        // The id names another record by now: it stays.
        commit(store, &[remove(0, "a")]);
        assert_eq!(store.numbers(&["a"]).unwrap(), [Some(ArticleNumber(2))]);
        commit(store, &[remove(2, "a"), remove(1, "b")]);
        assert_eq!(store.numbers(&["a", "b"]).unwrap(), [None, None]);
        assert_eq!(store.record_count().unwrap(), 0);
    });
}

#[test]
fn what_is_committed_is_there_after_a_restart_and_one_process_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), 1 << 20).unwrap();
    commit(&store, &[insert(3, "a", "1")]);
    let error = EmbeddedStore::open(folder.path(), 1 << 20).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
    drop(store);
    let store = EmbeddedStore::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(store.numbers(&["a"]).unwrap(), [Some(ArticleNumber(3))]);
    assert_eq!(store.next_number().unwrap(), ArticleNumber(4));
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = EmbeddedStore::open(&file.join("data"), 1 << 20).unwrap_err();
    assert!(error.to_string().contains("file/data cannot be opened"), "{error}");
    std::fs::write(folder.path().join("doublon.redb"), "this is no database".repeat(99)).unwrap();
    let error = EmbeddedStore::open(folder.path(), 1 << 20).unwrap_err();
    assert!(matches!(error, StoreError::DamagedFile { .. }), "{error}");
}

#[test]
fn rows_are_committed_with_the_records_and_stay_in_their_space() {
    each_store(|store| {
        let set = |space, key: &str, value: &str| Write::Set {
            space,
            key: key.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
        };
        let rows = |space, from: &str, to: &str| -> Vec<(String, String)> {
            let rows = store.rows(space, from.as_bytes()..to.as_bytes(), 10).unwrap();
            let text = |it| String::from_utf8(it).unwrap();
            rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let writes = [
            insert(0, "a", "1"),
            set(Space::Teaser, "b", "1"),
            set(Space::Teaser, "a", "1"),
            set(Space::Teaser, "a", "2"),
            set(Space::Story, "a", "other"),
        ];
        commit(store, &writes);
        assert_eq!(rows(Space::Teaser, "", "z"), [pair("a", "2"), pair("b", "1")]);
        assert_eq!(rows(Space::Teaser, "aa", "z"), [pair("b", "1")]);
        assert_eq!(rows(Space::Story, "", "z"), [pair("a", "other")]);
        assert!(rows(Space::Member, "", "z").is_empty() && rows(Space::Story, "z", "a").is_empty());
        assert_eq!(store.row(Space::Teaser, b"a").unwrap().unwrap(), b"2");
        let gone = Write::Unset { space: Space::Teaser, key: b"a".to_vec() };
        commit(store, &[gone.clone(), gone]);
        assert_eq!(store.row(Space::Teaser, b"a").unwrap(), None);
        assert_eq!(store.record_count().unwrap(), 1);
    });
}
