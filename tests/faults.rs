//! Faults below the store: disks that are full, that fail, that write half, and that lose
//! what was not synced when the power goes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]

#[path = "support/disk.rs"]
mod disk;
mod support;

use std::sync::Arc;
use std::time::Duration;

use doublon::client::{Client, ClientError};
use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId};
use doublon::engine::error::EngineError;
use doublon::engine::put::PutRequest;
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::transfer::import::ImportPart;
use doublon::engine::{Engine, Options};
use doublon::index::memory::MemoryIndex;
use doublon::store::embedded::EmbeddedStore;
use doublon::store::{ArticleNumber, Part, Store, StoreError, Write};
use tempfile::TempDir;

use crate::disk::{Disk, Fault};
use crate::support::process::Process;

fn text(number: u32) -> String {
    let words = (0..120).map(|it| format!("w{number}x{it}"));
    words.collect::<Vec<_>>().join(" ")
}

fn put(engine: &Engine, number: u32) -> Result<(), EngineError> {
    let article = Article::of(ArticleId::new(format!("a{number}")).unwrap(), text(number));
    engine.put(vec![PutRequest::of(article)]).remove(0).map(drop)
}

/// Whether an article is found by its words, and read; the two must agree.
fn is_there(engine: &Engine, number: u32) -> bool {
    let request = TeaserRequest::of(text(number).split(' ').take(30).collect::<Vec<_>>().join(" "));
    let answer = engine.match_teasers(vec![request]).remove(0).unwrap();
    let id = ArticleId::new(format!("a{number}")).unwrap();
    let is_found = answer.matches.iter().any(|it| it.id == id);
    let is_read = engine.article(&id).is_ok_and(|it| it.0.article.text == text(number));
    assert_eq!(is_found, is_read, "article {number}");
    is_read
}

fn open(disk: &Arc<Disk>) -> Engine {
    let backend: Arc<dyn redb::StorageBackend> = Arc::clone(disk) as _;
    let store = Arc::new(EmbeddedStore::on_backend(backend).unwrap());
    let options = Options::new(Clock::system());
    Engine::open(store, Arc::new(MemoryIndex::default()), options, |_, _| {}).unwrap()
}

/// Tries until it works; gives up after a while.
fn put_in_the_end(engine: &Engine, number: u32) {
    for _ in 0..100 {
        if put(engine, number).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("writes did not come back");
}

#[test]
fn writes_are_refused_while_the_disk_fails_reads_go_on_and_writes_come_back() {
    for fault in [Fault::Write, Fault::HalfWrite, Fault::Sync, Fault::Grow, Fault::Everything] {
        let disk = Arc::new(Disk::default());
        let engine = open(&disk);
        (0..20).for_each(|it| put(&engine, it).unwrap());
        disk.fails(Some(fault));
        // Room that the file has already is used first.
        let failed: Vec<u32> = (100..200).filter(|it| put(&engine, *it).is_err()).collect();
        assert!(!failed.is_empty(), "{fault:?}");
        let refused = put(&engine, 500).unwrap_err();
        assert!(matches!(refused, EngineError::Store(_)), "{fault:?} {refused}");
        if fault != Fault::Everything {
            assert!((0..20).all(|it| is_there(&engine, it)), "{fault:?}");
        }
        disk.fails(None);
        put_in_the_end(&engine, 600);
        for number in (0..20).chain([600]) {
            assert!(is_there(&engine, number), "{fault:?} {number}");
        }
        // Those that were refused may be there, but not half; it calls for the same again.
        let stored = failed.iter().filter(|it| is_there(&engine, **it)).count();
        for number in &failed {
            put(&engine, *number).unwrap();
        }
        assert!(failed.iter().all(|it| is_there(&engine, *it)), "{fault:?} {stored}");
        let counts = |engine: &Engine| engine.stats().unwrap().index;
        let before = counts(&engine);
        drop(engine);
        let again = counts(&open(&disk));
        assert_eq!(
            (before.articles, before.anchor_postings, before.term_postings),
            (again.articles, again.anchor_postings, again.term_postings),
            "{fault:?}"
        );
    }
}

#[test]
fn a_commit_whose_sync_failed_is_stored_or_not_and_the_store_knows_which() {
    // The n-th sync fails, and no other.
    for at in 0..6 {
        let disk = Arc::new(Disk::default());
        let engine = open(&disk);
        put(&engine, 0).unwrap();
        disk.fails_once_at_sync(at);
        let done: Vec<bool> = (1..8).map(|it| put(&engine, it).is_ok()).collect();
        for (number, is_done) in (1..8).zip(&done) {
            assert_eq!(is_there(&engine, number), *is_done, "{at} {number} {done:?}");
        }
        put_in_the_end(&engine, 9);
    }
}

/// Whatever becomes of the commit of a part, the first line says where to go on.
#[test]
fn an_import_goes_on_after_a_sync_that_failed() {
    let source = open(&Arc::new(Disk::default()));
    (0..40).for_each(|it| put(&source, it).unwrap());
    let mut bytes = Vec::new();
    source
        .export(None, &mut |part| {
            bytes.extend(part);
            true
        })
        .unwrap();
    let exported = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = exported.lines().collect();
    for at in 0..12 {
        let disk = Arc::new(Disk::default());
        let engine = open(&disk);
        let import = |position: usize, lines: &[&str]| {
            let lines = (lines.join("\n") + "\n").into_bytes();
            let part = ImportPart { position: position as u64, digest: None, lines };
            engine.import(vec![part]).remove(0)
        };
        disk.fails_once_at_sync(at);
        let (mut failures, mut position) = (0, 0);
        while position < lines.len() {
            assert!(failures < 200, "the import did not end");
            let end = (position + 8).min(lines.len());
            let sent = import(position, &lines[position..end]).or_else(|_| {
                failures += 1;
                std::thread::sleep(Duration::from_millis(20));
                import(0, &lines[..1])
            });
            if let Ok(done) = sent {
                position = usize::try_from(done.position).unwrap();
            }
        }
        assert!((0..40).all(|it| is_there(&engine, it)), "sync {at}");
        put_in_the_end(&engine, 41);
        assert!(is_there(&engine, 41) && engine.stats().unwrap().article_count == 41);
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    for seed in 0..20 {
        let disk = Arc::new(Disk::default());
        let engine = open(&disk);
        (0..5).for_each(|it| put(&engine, it).unwrap());
        // The power goes at some write of some commit to come.
        disk.cuts_power_after(seed * 7);
        let acknowledged: Vec<u32> = (5..40).filter(|it| put(&engine, *it).is_ok()).collect();
        drop(engine);
        // Of what was not synced, some is on the disk, some is not, some is half.
        disk.power_is_back(seed);
        let engine = open(&disk);
        for number in (0..5).chain(acknowledged) {
            assert!(is_there(&engine, number), "{seed} {number}");
        }
        // Those that were not acknowledged are there wholly, or not at all.
        let _ = (0..50).filter(|it| is_there(&engine, *it)).count();
        put(&engine, 60).unwrap();
        assert!(is_there(&engine, 60));
    }
}

#[test]
fn a_record_that_is_garbage_fails_its_own_calls_and_ends_no_writer() {
    let disk = Arc::new(Disk::default());
    let backend: Arc<dyn redb::StorageBackend> = Arc::clone(&disk) as _;
    let store = Arc::new(EmbeddedStore::on_backend(backend).unwrap());
    let options = Options::new(Clock::system());
    let index = Arc::new(MemoryIndex::default());
    let engine = Engine::open(Arc::clone(&store) as _, index, options, |_, _| {}).unwrap();
    put(&engine, 0).unwrap();
    let mut good = Vec::new();
    let visit = &mut |_, it: &[u8]| good = it.to_vec();
    store.read(Part::Features, &[ArticleNumber(0)], visit).unwrap();
    let cut = good[..good.len() / 2].to_vec();
    let flipped: Vec<u8> = good.iter().map(|it| it ^ 0x55).collect();
    for (at, garbage) in (1..).zip([Vec::new(), vec![0xff; 400], cut, flipped]) {
        put(&engine, at).unwrap();
        let id = format!("a{at}");
        let number = store.numbers(&[&id]).unwrap()[0].unwrap();
        let remove = Write::Remove { number, id: id.clone() };
        let insert = Write::Insert { number, id, article: garbage.clone(), features: garbage };
        store.commit(&[remove, insert]).unwrap();
        let replaced = put(&engine, at);
        assert!(replaced.is_err() || is_there(&engine, at), "{at}");
        drop(engine.delete(&ArticleId::new(format!("a{at}")).unwrap()));
        put(&engine, 50 + at).unwrap();
        assert!(is_there(&engine, 50 + at) && is_there(&engine, 0));
    }
}

#[test]
fn a_panic_of_the_writer_fails_the_commit_and_the_next_is_done() {
    let disk = Arc::new(Disk::default());
    let engine = open(&disk);
    put(&engine, 0).unwrap();
    for round in 1..4 {
        disk.fails(Some(Fault::Panic));
        put(&engine, round).unwrap_err();
        disk.fails(None);
        put_in_the_end(&engine, 10 + round);
        assert!(is_there(&engine, 0) && is_there(&engine, 10 + round));
        is_there(&engine, round);
    }
}

#[test]
fn a_store_says_what_became_of_what_was_in_doubt() {
    let disk = Arc::new(Disk::default());
    let backend: Arc<dyn redb::StorageBackend> = Arc::clone(&disk) as _;
    let store = EmbeddedStore::on_backend(backend).unwrap();
    let write = |it: u32| Write::Insert {
        number: ArticleNumber(it),
        id: it.to_string(),
        article: vec![1; 100],
        features: vec![2; 100],
    };
    store.commit(&[write(0)]).unwrap();
    disk.fails(Some(Fault::Everything));
    assert!(matches!(store.commit(&[write(1)]), Err(StoreError::InDoubt(_))));
    assert!(matches!(store.commit(&[write(2)]), Err(StoreError::Failing { .. })));
    disk.fails(None);
    std::thread::sleep(Duration::from_secs(1));
    let is_stored = store.recover().unwrap().unwrap();
    assert_eq!(store.numbers(&["1"]).unwrap()[0].is_some(), is_stored);
    assert_eq!(store.recover().unwrap(), None);
    store.commit(&[write(3)]).unwrap();
}

/// A file may not grow beyond so many KiB; the signal that says so is ignored, as it is
/// for a disk that is full.
async fn under_a_limit(kib: u64) -> (TempDir, Process, Client) {
    let folder = TempDir::new().unwrap();
    let shell = format!("trap '' XFSZ; ulimit -S -f {}", kib * 2);
    let server = Process::behind(&shell, &["--data-dir", folder.path().to_str().unwrap()]);
    let client = server.client().await;
    (folder, server, client)
}

#[tokio::test]
async fn the_service_refuses_writes_on_a_full_disk_and_goes_on_when_there_is_room() {
    let (_folder, server, mut client) = under_a_limit(4096).await;
    let request = |it: u32| support::put_request(&format!("a{it}"), &text(it).repeat(40));
    let mut stored = 0;
    let refusal = loop {
        match client.put_article(request(stored)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 5_000, "the limit does not hold");
    };
    let ClientError::Refused { code, message, reason } = refusal else { panic!("{refusal}") };
    assert_eq!(code, tonic::Code::Unavailable, "{message}");
    assert_eq!(reason, "ERROR_REASON_STORE_FAILED", "{message}");
    assert!(message.contains("retry"), "{message}");
    assert!(stored > 3);
    for number in 0..stored {
        let stored = client.get_article(format!("a{number}")).await.unwrap().article.unwrap();
        assert_eq!(stored.text, text(number).repeat(40));
    }
    let id = server.id().to_string();
    let mut raise = std::process::Command::new("prlimit");
    raise.args(["--fsize=unlimited:unlimited", "--pid", &id]);
    assert!(raise.status().unwrap().success());
    let mut tries = 0;
    while client.put_article(request(stored)).await.is_err() {
        tries += 1;
        assert!(tries < 100, "{:#?}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The line comes through a pipe, after the answer.
    for _ in 0..100 {
        if server.log().iter().any(|it| it.contains("takes writes again")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = server.log();
    let says = |what: &str| log.iter().any(|it| it.contains(what));
    assert!(says("reads go on") && says("takes writes again"), "{log:#?}");
    println!("{stored} articles stored before the disk was full; {} lines logged", log.len());
}
