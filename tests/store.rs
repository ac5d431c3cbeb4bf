//! One conformance suite for every store.
#![allow(clippy::unwrap_used, reason = "a test")]

use doublon::store::embedded::EmbeddedStore;
use doublon::store::{ArticleNumber, Part, Store, StoreError, Write};

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
}

fn read(store: &dyn Store, part: Part, number: u32) -> Option<String> {
    let found = store.read(part, &[ArticleNumber(number)]).unwrap().remove(0);
    found.map(|it| String::from_utf8(it).unwrap())
}

#[test]
fn a_store_keeps_what_is_committed_in_order() {
    each_store(|store| {
        assert_eq!(
            (store.record_count().unwrap(), store.next_number().unwrap()),
            (0, ArticleNumber(0))
        );
        store.commit(&[insert(0, "a", "1"), insert(1, "b", "2"), insert(5, "c", "3")]).unwrap();
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

#[test]
fn replacing_and_removing_leave_nothing_behind() {
    each_store(|store| {
        store.commit(&[insert(0, "a", "old"), insert(1, "b", "b")]).unwrap();
        store.commit(&[remove(0, "a"), insert(2, "a", "new")]).unwrap();
        assert_eq!(store.numbers(&["a"]).unwrap(), [Some(ArticleNumber(2))]);
        assert_eq!(read(store, Part::Article, 0), None);
        assert_eq!(read(store, Part::Article, 2).unwrap(), "article new");
        // The id names another record by now: it stays.
        store.commit(&[remove(0, "a")]).unwrap();
        assert_eq!(store.numbers(&["a"]).unwrap(), [Some(ArticleNumber(2))]);
        store.commit(&[remove(2, "a"), remove(1, "b")]).unwrap();
        assert_eq!(store.numbers(&["a", "b"]).unwrap(), [None, None]);
        assert_eq!(store.record_count().unwrap(), 0);
    });
}

#[test]
fn what_is_committed_is_there_after_a_restart_and_one_process_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), 1 << 20).unwrap();
    store.commit(&[insert(3, "a", "1")]).unwrap();
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
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
}
