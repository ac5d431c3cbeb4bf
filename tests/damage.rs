//! Files of every version, whole and damaged: a damaged file is refused by name, or
//! `verify` names it, or it is answered as before. Never a wrong answer, never a panic.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId};
use doublon::engine::find::{FindRequest, Target};
use doublon::engine::put::PutRequest;
use doublon::engine::story::{StoryOrder, StoryQuestion};
use doublon::engine::teaser::TeaserRequest;
use doublon::engine::watch::Since;
use doublon::engine::{Engine, Options, verify};
use doublon::index::memory::MemoryIndex;
use doublon::index::{Filter, Index};
use doublon::store::embedded::{EmbeddedStore, FORMAT};
use doublon::store::{Space, Store, Write};
use support::process::doublon;
use tempfile::TempDir;

const STORE: &str = "doublon.redb";
const INDEX: &str = "doublon.index";
const IDS: [&str; 4] = ["ferry", "ferry-copy", "otters", "bees"];

/// A copy of a checked-in folder.
fn sample(version: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [STORE, INDEX] {
        let path = format!("tests/samples/store-v{version}/{name}.gz");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(path).unwrap())
            .read_to_end(&mut bytes)
            .unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Of this version, closed in good order.
fn folder() -> TempDir {
    let folder = sample(4);
    drop(open(folder.path(), u64::MAX).unwrap());
    folder
}

fn open(folder: &Path, checked_bytes_max: u64) -> Result<Engine, String> {
    let store = EmbeddedStore::open_checked(folder, 1 << 20, checked_bytes_max);
    let store = Arc::new(store.map_err(|it| it.to_string())?);
    let index = Arc::new(MemoryIndex::default());
    let options = Options {
        folder: Some(folder.to_owned()),
        // The teasers of the samples wait for as long as the test is run.
        teaser_retention: Duration::from_secs(1 << 33),
        ..Options::new(Clock::system())
    };
    Engine::open(store, index, options, |_, _| {}).map_err(|it| it.to_string())
}

/// What the engine says of everything that the samples have.
fn answers(engine: &Engine) -> Result<String, String> {
    let mut out = String::new();
    let failed = |it: &dyn std::fmt::Display| it.to_string();
    for id in IDS {
        let id = ArticleId::new(id).unwrap();
        match engine.article(&id) {
            Ok((stored, _)) => write!(out, "{stored:?}").unwrap(),
            Err(error) if error.to_string().starts_with("no article") => out += "none",
            Err(error) => return Err(failed(&error)),
        }
        let request = FindRequest::of(Target::Stored(id.clone()));
        if let Some(Ok(found)) = engine.find_duplicates(&[request]).pop() {
            writeln!(out, "{found:?}").unwrap();
        }
        let revisions = engine.revisions(&id);
        writeln!(out, "{:?}", revisions.map_err(|it| it.to_string())).unwrap();
    }
    for text in [
        "Since the flood of last autumn the villages on both banks have been an hour apart",
        "The lock keeper Ilse Vandermolen says that she has seen none since the tannery closed",
    ] {
        let answer = engine.match_teasers(vec![TeaserRequest::of(text.to_owned())]).remove(0);
        writeln!(out, "{:?}", answer.map_err(|it| failed(&it))?.matches).unwrap();
    }
    let question = StoryQuestion { order: StoryOrder::Size, sites: Vec::new(), members_min: 2 };
    writeln!(out, "{:?}", engine.list_stories(&question, "", 9).map_err(|it| failed(&it))?)
        .unwrap();
    writeln!(out, "{:?}", engine.list_teasers("", 9, &[]).map_err(|it| failed(&it))?).unwrap();
    writeln!(out, "{:?}", engine.list_references(None, "", 9).map_err(|it| failed(&it))?).unwrap();
    let cursor = engine.cursor(Since::Oldest).map_err(|it| failed(&it))?;
    writeln!(out, "{:?}", engine.resolutions(cursor).map_err(|it| failed(&it))?).unwrap();
    let stats = engine.stats().map_err(|it| failed(&it))?;
    writeln!(out, "{} {} {}", stats.article_count, stats.stories, stats.standing_teasers).unwrap();
    Ok(out)
}

/// The damages that `verify` names.
fn damages(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let store = EmbeddedStore::inspect(folder, &mut |it| found.push(it.to_string()));
    let Some(store) = store.unwrap() else { return found };
    let store: Arc<dyn Store> = Arc::new(store);
    let index: Arc<dyn Index> = Arc::new(MemoryIndex::default());
    match verify::verify(&store, &index, folder) {
        Ok(report) => found.extend(report.damages),
        Err(error) => found.push(error.to_string()),
    }
    found
}

#[test]
fn folders_of_earlier_versions_are_taken_over() {
    for version in [4, 5] {
        let folder = sample(version);
        let engine = open(folder.path(), 0).unwrap();
        let said = answers(&engine).unwrap();
        drop(engine);
        for part in ["next summer", "Brackwell", "river.example", "Correction", "hill.example"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(said.ends_with("4 1 1\n"), "{said}");
        assert_eq!(damages(folder.path()), Vec::<String>::new());
        let again = open(folder.path(), u64::MAX).unwrap();
        assert_eq!(answers(&again).unwrap(), said);
    }

    let of_3 = sample(3);
    let engine = open(of_3.path(), 0).unwrap();
    let said = answers(&engine).unwrap();
    drop(engine);
    assert!(said.contains("Brackwell") && said.ends_with("3 0 0\n"), "{said}");
    assert_eq!(damages(of_3.path()), Vec::<String>::new());
}

type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

/// Whether a copy of which a file was changed gives no wrong answer without a word.
fn is_kept(whole: &Path, said: &str, (name, change): (&str, Change<'_>)) -> bool {
    let damaged = tempfile::tempdir().unwrap();
    for name in [STORE, INDEX] {
        fs::copy(whole.join(name), damaged.path().join(name)).unwrap();
    }
    let path = damaged.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let named = !damages(damaged.path()).is_empty();
    // Small files are checked at start: no answer may differ.
    if let Ok(engine) = open(damaged.path(), u64::MAX)
        && let Ok(other) = answers(&engine)
    {
        assert_eq!(other, said, "a checked file");
    }
    // Large ones are not: what differs is named by `verify`.
    let large = open(damaged.path(), 0).and_then(|it| answers(&it));
    named || large.is_err() || large.is_ok_and(|it| it == said)
}

#[test]
fn flipped_bytes_and_cut_files_are_named_or_do_no_harm() {
    let whole = folder();
    let engine = open(whole.path(), u64::MAX).unwrap();
    let said = answers(&engine).unwrap();
    drop(engine);
    let mut silent = 0;
    for (name, step) in [(STORE, 1_499), (INDEX, 4_001)] {
        let bytes = usize::try_from(fs::metadata(whole.path().join(name)).unwrap().len()).unwrap();
        for at in (0..bytes).step_by(step) {
            let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 0x10;
            assert!(is_kept(whole.path(), &said, (name, &flip)), "{name}, byte {at}");
            silent += 1;
        }
        for length in [0, 1, 100, 4096, bytes / 2, bytes - 1] {
            let cut = |bytes: &mut Vec<u8>| bytes.truncate(length);
            assert!(is_kept(whole.path(), &said, (name, &cut)), "{name}, cut to {length}");
        }
    }
    assert!(silent > 50);
}

#[test]
fn a_damaged_record_is_left_out_and_the_rest_is_answered() {
    let whole = folder();
    let path = whole.path().join(STORE);
    let mut bytes = fs::read(&path).unwrap();
    // A word of the articles' pack, wherever a page has it.
    let places: Vec<usize> =
        (0..bytes.len() - 9).filter(|at| bytes[*at..].starts_with(b"driftwood")).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    assert!(open(whole.path(), u64::MAX).unwrap_err().contains("doublon.redb is damaged"));
    let engine = open(whole.path(), 0).unwrap();
    let id = ArticleId::new("ferry").unwrap();
    let error = engine.article(&id).unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
    assert!(engine.stats().unwrap().damaged > 0);
    // What is computed from it is in another pack.
    let text =
        "The lock keeper Ilse Vandermolen says that she has seen none since the tannery closed";
    let answer = engine.match_teasers(vec![TeaserRequest::of(text.to_owned())]).remove(0).unwrap();
    assert_eq!(answer.matches[0].id.as_str(), "otters");
    let stored = engine.list("", 9, &Filter::all()).unwrap();
    assert!(stored.articles.len() < IDS.len());
    // Others are stored in the same commit, and it is mended by a put.
    let article = |id: &str, text: &str| {
        let mut article = bare(id);
        text.clone_into(&mut article.text);
        PutRequest::of(article)
    };
    let puts = vec![
        article("ferry", "put again with other words than before"),
        article("new", "a new article with words of its own"),
    ];
    engine.put(puts).into_iter().for_each(|it| drop(it.unwrap()));
    assert!(engine.article(&id).unwrap().0.article.text.starts_with("put again"));
}

fn bare(id: &str) -> Article {
    Article::of(ArticleId::new(id).unwrap(), String::new())
}

#[test]
fn verify_and_rebuild_say_what_they_found_by_their_exit_codes() {
    let whole = folder();
    let dir = whole.path().to_str().unwrap();
    let (code, said) = doublon(&["verify", dir]);
    assert_eq!((code, said.as_str()), (Some(0), "sound: 4 articles\n"));
    assert_eq!(doublon(&["verify", &format!("{dir}/none")]).0, Some(2));
    let held = open(whole.path(), 0).unwrap();
    let (code, said) = doublon(&["verify", dir]);
    assert!(code == Some(2) && said.contains("in use"), "{code:?} {said}");
    assert_eq!(doublon(&["rebuild", dir]).0, Some(2));
    drop(held);
    let before = fs::read(whole.path().join(STORE)).unwrap();
    let index = whole.path().join(INDEX);
    let mut bytes = fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&index, bytes).unwrap();
    let (code, said) = doublon(&["verify", dir]);
    assert!(code == Some(1) && said.contains("damage: doublon.index: "), "{code:?} {said}");
    assert!(fs::read(whole.path().join(STORE)).unwrap() == before, "verify changes nothing");
    let (code, said) = doublon(&["rebuild", dir]);
    assert!(code == Some(0) && said.contains("doublon.index"), "{code:?} {said}");
    assert_eq!(doublon(&["verify", dir]).0, Some(0));
}

/// Rows that do not fit what they are made from.
#[test]
fn rebuild_makes_derived_rows_again() {
    let whole = folder();
    let engine = open(whole.path(), 0).unwrap();
    let said = answers(&engine).unwrap();
    drop(engine);
    let store = EmbeddedStore::open(whole.path(), 1 << 20).unwrap();
    let mut writes = Vec::new();
    for space in
        [Space::StoryBySize, Space::StoryOf, Space::TeaserByTimes, Space::TeaserId, Space::Story]
    {
        for (key, _) in store.rows(space, &[][..]..&[0xff; 40][..], 99).unwrap() {
            writes.push(Write::Unset { space, key });
        }
    }
    writes.push(Write::Set { space: Space::StoryByTime, key: vec![7; 12], value: Vec::new() });
    for counter in ["teasers", "teaser_next", "stories"] {
        writes.push(Write::Unset { space: Space::Counter, key: counter.into() });
    }
    assert!(writes.len() > 8);
    store.commit(&writes).unwrap();
    drop(store);
    let dir = whole.path().to_str().unwrap();
    let (code, listed) = doublon(&["verify", dir]);
    assert_eq!(
        (code, listed.matches("damage: row of ").count()),
        (Some(1), writes.len()),
        "{listed}"
    );
    let (code, mended) = doublon(&["rebuild", dir]);
    assert_eq!(code, Some(0), "{mended}");
    assert_eq!(answers(&open(whole.path(), 0).unwrap()).unwrap(), said);
    assert_eq!(doublon(&["verify", dir]).0, Some(0));
}

#[test]
fn files_of_a_later_version_are_refused_by_name() {
    let whole = folder();
    // What a later version would write, through the database itself.
    let database = redb::Database::open(whole.path().join(STORE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    transaction.open_table(meta).unwrap().insert("format", u64::from(FORMAT) + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open(whole.path(), u64::MAX).unwrap_err();
    assert!(error.contains("use the version that wrote it"), "{error}");
    let (code, said) = doublon(&["verify", whole.path().to_str().unwrap()]);
    assert!(code == Some(2) && said.contains("format 6"), "{code:?} {said}");
}

#[test]
fn a_file_that_was_emptied_is_refused() {
    let whole = folder();
    fs::write(whole.path().join(STORE), "").unwrap();
    assert!(open(whole.path(), u64::MAX).unwrap_err().contains("it is empty"));
    let (code, said) = doublon(&["verify", whole.path().to_str().unwrap()]);
    assert_eq!((code, said.lines().next()), (Some(1), Some("damage: doublon.redb: it is empty")));
}
