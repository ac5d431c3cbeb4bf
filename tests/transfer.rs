//! Export and import: all that a store has, as lines, into another store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doublon::clock::Clock;
use doublon::engine::article::{Article, ArticleId, UnixTime};
use doublon::engine::error::EngineError;
use doublon::engine::put::{OnDuplicate, PutRequest};
use doublon::engine::teaser::{TeaserRequest, Watch};
use doublon::engine::transfer::export::Resumed;
use doublon::engine::transfer::import::{ImportPart, Imported, digest};
use doublon::engine::verify::{mend, verify};
use doublon::engine::{Engine, Options};
use doublon::index::Index;
use doublon::index::memory::MemoryIndex;
use doublon::store::Store;
use proptest::prelude::*;
use serde_json::Value;
use support::place::{Place, again, place};
use support::process::doublon;
use support::{Server, put_request, words};

struct Held {
    place: Place,
    store: Arc<dyn Store>,
    engine: Engine,
}

fn held() -> Held {
    held_with(Options::new(Clock::system()))
}

fn held_with(options: Options) -> Held {
    let place = place();
    let engine = open(&place, options);
    Held { store: Arc::clone(&place.0), place, engine }
}

fn open(place: &Place, options: Options) -> Engine {
    let (store, index) = again(place);
    Engine::open(store, index, options, |_, _| {}).unwrap()
}

fn article(name: &str, text: &str) -> Article {
    Article {
        id: ArticleId::new(name).unwrap(),
        url: format!("https://example.org/{name}"),
        site: "example.org".into(),
        language: "en".into(),
        title: format!("Title \"{name}\"\n\u{202E}"),
        description: String::new(),
        text: text.to_owned(),
        published: Some(UnixTime::new("", 1_700_000_000, 5).unwrap()),
        expires: None,
    }
}

fn put(engine: &Engine, article: Article) {
    engine.put(vec![PutRequest::of(article)]).remove(0).unwrap();
}

fn watch(engine: &Engine, text: &str, page: &str) {
    let place = Watch { page_url: page.to_owned(), link_url: "https://example.org/l".to_owned() };
    let request = TeaserRequest { watch: Some(place), ..TeaserRequest::of(text) };
    engine.watch_teasers(vec![request]).remove(0).unwrap();
}

/// Something of everything: revisions, stories, references, teasers that wait and that do
/// not any more, gaps between numbers, texts that were not kept, times that end.
fn fill(engine: &Engine, first: u32) {
    let at = |step: u32| first + 1000 * step;
    watch(engine, &words(at(0) + 10, 20), "https://example.org/page");
    watch(engine, &words(at(0) + 10, 20), "https://example.org/other");
    watch(engine, &words(at(90), 15), "https://example.org/page");
    for step in 0..6 {
        put(engine, article(&format!("a{first}-{step}"), &words(at(step), 120)));
    }
    // Members of a story, one without its text.
    put(engine, article(&format!("b{first}"), &words(at(1) + 5, 120)));
    let mut textless = PutRequest::of(article(&format!("c{first}"), &words(at(2) + 5, 120)));
    textless.on_duplicate = OnDuplicate::StoreWithoutText;
    assert!(engine.put(vec![textless]).remove(0).unwrap().stored_without_text);
    // Replaced, deleted, and what ends.
    put(engine, article(&format!("a{first}-3"), &words(at(3) + 2, 120)));
    engine.delete(&ArticleId::new(format!("a{first}-4")).unwrap()).unwrap();
    let expires = Some(UnixTime::new("", 4_000_000_000, 1).unwrap());
    put(engine, Article { expires, ..article(&format!("d{first}"), &words(at(7), 90)) });
    watch(engine, &words(at(7) + 3, 20), "https://example.org/third");
}

fn export(engine: &Engine, resumed: Option<&Resumed>) -> Vec<String> {
    let mut bytes = Vec::new();
    engine
        .export(resumed, &mut |part| {
            assert_eq!(part.last(), Some(&b'\n'));
            bytes.extend(part);
            true
        })
        .unwrap();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

/// The lines but for what tells one export from another.
fn content(lines: &[String]) -> Vec<String> {
    let mut head: Value = serde_json::from_str(&lines[0]).unwrap();
    for name in ["id", "store"] {
        head[name] = Value::Null;
    }
    [head.to_string()].into_iter().chain(lines[1..].iter().cloned()).collect()
}

fn part(position: usize, lines: &[String]) -> ImportPart {
    ImportPart {
        position: position as u64,
        digest: None,
        lines: (lines.join("\n") + "\n").into_bytes(),
    }
}

fn import(engine: &Engine, position: usize, lines: &[String]) -> Result<Imported, EngineError> {
    engine.import(vec![part(position, lines)]).remove(0)
}

fn types(lines: &[String]) -> Vec<String> {
    let name = |it: &String| {
        let line: Value = serde_json::from_str(it).unwrap();
        line["type"].as_str().unwrap().to_owned()
    };
    lines.iter().map(name).collect()
}

fn is_sound(store: &Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let index: Arc<dyn Index> = Arc::new(MemoryIndex::default());
    assert_eq!(verify(store, &index, folder.path()).unwrap().damages, Vec::<String>::new());
}

#[test]
fn what_is_imported_is_what_was_exported() {
    let source = held();
    fill(&source.engine, 0);
    fill(&source.engine, 500_000);
    // The last numbers are of nothing that is left.
    put(&source.engine, article("last", &words(900_000, 50)));
    source.engine.delete(&ArticleId::new("last").unwrap()).unwrap();
    let lines = export(&source.engine, None);
    let types = types(&lines);
    for kind in ["export", "article", "revision", "reference", "story", "member", "teaser", "end"] {
        assert!(types.iter().any(|it| it == kind), "{kind} {types:?}");
    }
    assert!(types.iter().any(|it| it == "resolution"));
    let target = held();
    let done = import(&target.engine, 0, &lines).unwrap();
    let expected = Imported { position: lines.len() as u64, article_count: 16, is_complete: true };
    assert_eq!(done, expected);
    assert_eq!(content(&export(&target.engine, None)), content(&lines));
    is_sound(&target.store);
    // The same after a start, and with an index that is made of the records.
    let Held { place, engine, store: again_store } = target;
    drop(engine);
    let again = open(&place, Options::new(Clock::system()));
    assert_eq!(content(&export(&again, None)), content(&lines));
    for engine in [&source.engine, &again] {
        fill(engine, 700_000);
    }
    assert_eq!(
        strip_times(&export(&again, None)),
        strip_times(&export(&source.engine, None)),
        "both go on alike"
    );
    is_sound(&again_store);
    // It is done already, and says so.
    assert_eq!(import(&again, 0, &lines[..1]).unwrap().position, done.position);
}

/// Without the times at which something happened.
fn strip_times(lines: &[String]) -> Vec<Value> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !name.ends_with("_ms"));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let strip_line = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        strip(&mut value);
        value
    };
    content(lines).iter().map(strip_line).collect()
}

#[test]
fn a_store_without_texts_takes_texts_and_gives_what_it_kept() {
    let source = held();
    fill(&source.engine, 0);
    let lines = export(&source.engine, None);
    let options = || Options { keeps_text: false, ..Options::new(Clock::system()) };
    let target = held_with(options());
    assert!(import(&target.engine, 0, &lines).unwrap().is_complete);
    let bare = export(&target.engine, None);
    assert!(!bare.join("").contains(&words(1000, 20)));
    let third = held_with(options());
    assert!(import(&third.engine, 0, &bare).unwrap().is_complete);
    assert_eq!(content(&export(&third.engine, None)), content(&bare));
    let teaser = TeaserRequest::of(words(1010, 20));
    let of = |it: &Held| it.engine.match_teasers(vec![teaser.clone()]).remove(0).unwrap();
    assert_eq!(of(&third), of(&source));
    assert_eq!(of(&third).matches.len(), 2);
}

#[test]
fn an_import_goes_on_where_it_was_whatever_is_sent() {
    let source = held();
    fill(&source.engine, 0);
    let lines = export(&source.engine, None);
    let place = place();
    let mut engine = open(&place, Options::new(Clock::system()));
    let no_import = import(&engine, 3, &lines[3..4]).unwrap_err();
    assert!(matches!(no_import, EngineError::NoImport));
    let mut position = 0;
    while position < lines.len() {
        // The first line says where it stands, as often as it is sent.
        if position > 0 {
            let stands = import(&engine, 0, &lines[..1]).unwrap();
            assert_eq!(stands.position, position as u64);
            // Nothing else is written meanwhile, and nothing is taken in twice.
            let refused = engine.put(vec![PutRequest::of(article("x", "a b c"))]).remove(0);
            assert!(matches!(refused, Err(EngineError::ImportUnderWay)));
            let twice = import(&engine, position - 1, &lines[position - 1..position]).err();
            assert!(position == 1 || twice.unwrap().to_string().contains("are taken in"));
            let gap = import(&engine, position + 1, &lines[position..=position]).unwrap_err();
            assert!(gap.to_string().contains(&position.to_string()), "{gap}");
            let broken = [lines[position].clone(), "{".to_owned()];
            let broken = import(&engine, position, &broken).unwrap_err();
            assert!(broken.to_string().contains(&format!("at line {}", position + 2)), "{broken}");
        }
        let end = (position + 3).min(lines.len());
        let done = import(&engine, position, &lines[position..end]).unwrap();
        assert_eq!((done.position, done.is_complete), (end as u64, end == lines.len()));
        position = end;
        drop(engine);
        engine = open(&place, Options::new(Clock::system()));
    }
    assert_eq!(content(&export(&engine, None)), content(&lines));
    is_sound(&place.0);
    let mut other = lines;
    other[0] = other[0].replace("\"id\":\"", "\"id\":\"x");
    assert!(matches!(import(&engine, 0, &other), Err(EngineError::NotEmpty)));
}

#[test]
fn what_is_no_export_is_refused_and_leaves_nothing() {
    let source = held();
    fill(&source.engine, 0);
    let lines = export(&source.engine, None);
    let at = |kind: &str| types(&lines).iter().position(|it| it == kind).unwrap();
    let target = held();
    let without = |gone: usize| -> Vec<String> {
        let kept = lines.iter().enumerate().filter(|it| it.0 != gone);
        kept.map(|it| it.1.clone()).collect()
    };
    let newer = lines[0].replace("\"format\":1", "\"format\":99");
    for (bad, said) in [
        (vec![newer], "format 99"),
        (without(0), "begins with"),
        (without(at("article")), "came"),
        ([&lines[..], &lines[at("teaser")..=at("teaser")]].concat(), "behind the last"),
        ([&lines[..], &lines[..1]].concat(), "behind the last"),
        ([&lines[..2], &lines[1..2]].concat(), "line 3: an article has its id already"),
        (
            vec![lines[0].clone(), lines[1].replace("\"text\":\"", "\"text\":\"\",\"x\":\"")],
            "unknown field",
        ),
        (
            vec![lines[0].clone(), r#"{"type":"article","number":0,"id":"","stored_ms":0}"#.into()],
            "article_id",
        ),
        (vec![lines[0].clone(), "\u{0}".into()], "line 2"),
    ] {
        let error = import(&target.engine, 0, &bad).unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
        assert_eq!(target.engine.stats().unwrap().article_count, 0, "{said}");
    }
    put(&target.engine, article("x", "nothing was begun"));
    assert!(matches!(import(&target.engine, 0, &lines), Err(EngineError::NotEmpty)));
    let elsewhere = Resumed { store: "0".into(), after: 1 };
    assert!(source.engine.export(Some(&elsewhere), &mut |_| true).is_err());
}

/// What was taken in of a file is not what the file has before what comes.
#[test]
fn another_export_is_not_gone_on_with() {
    let source = held();
    fill(&source.engine, 0);
    let lines = export(&source.engine, None);
    let target = held();
    import(&target.engine, 0, &lines[..4]).unwrap();
    let of = |lines: &[String]| lines.iter().fold(0, |it, line| digest(it, line.as_bytes()));
    let rest = |digest| vec![ImportPart { digest: Some(digest), ..part(4, &lines[4..]) }];
    let refused = target.engine.import(rest(of(&lines[1..5]))).remove(0);
    assert!(matches!(refused, Err(EngineError::OtherExport)));
    assert!(target.engine.import(rest(of(&lines[..4]))).remove(0).unwrap().is_complete);
    is_sound(&target.store);
}

/// An unfinished import is not damage, and nothing is rebuilt in its midst.
#[test]
fn an_unfinished_import_is_said_by_verify() {
    let source = held();
    fill(&source.engine, 0);
    let lines = export(&source.engine, None);
    let at = types(&lines).iter().position(|it| it == "member").unwrap();
    let target = held();
    import(&target.engine, 0, &lines[..=at]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let index: Arc<dyn Index> = Arc::new(MemoryIndex::default());
    let report = verify(&target.store, &index, folder.path()).unwrap();
    assert!(report.damages.is_empty(), "{:?}", report.damages);
    assert_eq!(report.importing, Some(at as u64 + 1));
    let mended = mend(&target.store, &index, folder.path());
    assert!(matches!(mended, Err(EngineError::ImportUnderWay)));
    assert!(import(&target.engine, at + 1, &lines[at + 1..]).unwrap().is_complete);
    is_sound(&target.store);
}

/// An export that was made when format 1 was new is read by every later version.
#[test]
fn an_export_of_format_1_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/export-v1.jsonl");
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
        let source = held();
        fill(&source.engine, 0);
        fs::write(&path, export(&source.engine, None).join("\n") + "\n").unwrap();
    }
    let lines: Vec<String> = fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    // Its teasers wait for as long as the test is run.
    let teaser_retention = Duration::from_secs(1 << 33);
    let target = held_with(Options { teaser_retention, ..Options::new(Clock::system()) });
    assert!(import(&target.engine, 0, &lines).unwrap().is_complete);
    is_sound(&target.store);
    let strip = |lines: &[String]| strip_times(lines)[1..].to_vec();
    assert_eq!(strip(&export(&target.engine, None)), strip(&lines));
    let request = TeaserRequest::of(words(1010, 20));
    let answer = target.engine.match_teasers(vec![request]).remove(0).unwrap();
    assert_eq!(answer.matches.len(), 2);
}

/// An article whose record cannot be read is named, and the rest moves.
#[test]
fn what_is_lost_is_said() {
    let source = held();
    fill(&source.engine, 0);
    let mut lines = export(&source.engine, None);
    let lost = types(&lines).iter().position(|it| it == "article").unwrap();
    lines[lost] = r#"{"type":"damaged","number":0,"problem":"as told"}"#.to_owned();
    let done = import(&held().engine, 0, &lines).unwrap();
    assert!(done.is_complete && done.article_count == 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// An export that is cut off anywhere among its articles, while articles come, go and
    /// are replaced, goes on to what the store has at last.
    #[test]
    fn an_export_goes_on_where_it_was_cut_off(cut in 0_usize..9, gone in 0_u32..6) {
        let source = held();
        fill(&source.engine, 0);
        let before = export(&source.engine, None);
        let articles: Vec<usize> = types(&before)
            .iter()
            .enumerate()
            .filter(|it| it.1 == "article")
            .map(|it| it.0)
            .collect();
        let last = articles[cut.min(articles.len() - 1)];
        let number = serde_json::from_str::<Value>(&before[last]).unwrap()["number"].as_u64();
        let head: Value = serde_json::from_str(&before[0]).unwrap();
        let resumed = Resumed {
            store: head["store"].as_str().unwrap().to_owned(),
            after: u32::try_from(number.unwrap()).unwrap(),
        };
        engine_changes(&source.engine, gone);
        let rest = export(&source.engine, Some(&resumed));
        let lines = [&before[..=last], &rest[..]].concat();
        let target = held();
        prop_assert!(import(&target.engine, 0, &lines).unwrap().is_complete);
        let (moved, whole) = (export(&target.engine, None), export(&source.engine, None));
        // The first line has the count of then.
        prop_assert_eq!(&moved[1..], &whole[1..]);
        is_sound(&target.store);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// An export with some bytes changed is taken in or refused; what was refused can be
    /// sent again as it was.
    #[test]
    fn a_changed_line_is_refused_or_taken(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        digits in any::<bool>(),
    ) {
        static LINES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
            let source = held();
            fill(&source.engine, 0);
            export(&source.engine, None)
        });
        let mut bytes = part(0, &LINES).lines;
        for (at, byte) in changes {
            // Numbers are where a line that can be read says what is not so.
            let places: Vec<usize> = (LINES[0].len()..bytes.len())
                .filter(|it| !digits || bytes[*it].is_ascii_digit())
                .collect();
            bytes[*at.get(&places)] = if digits { b'0' + byte % 10 } else { byte };
        }
        let target = held();
        let done = target.engine.import(vec![ImportPart { position: 0, digest: None, lines: bytes }]).remove(0);
        if done.is_err() {
            prop_assert!(import(&target.engine, 0, &LINES).unwrap().is_complete);
        }
        export(&target.engine, None);
        if done.is_err() || done.is_ok_and(|it| it.is_complete) {
            fill(&target.engine, 30_000);
        }
    }
}

fn engine_changes(engine: &Engine, gone: u32) {
    let name = format!("a0-{gone}");
    if gone == 4 {
        put(engine, article(&name, &words(77_000, 80)));
    } else {
        engine.delete(&ArticleId::new(name).unwrap()).unwrap();
    }
    put(engine, article("a0-1", &words(1001, 120)));
    put(engine, article("new", &words(88_000, 80)));
}

fn text(number: u32) -> String {
    words(number * 7919, 600)
}

/// Through the command line, compressed and not, cut off half-way.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_cut_off_resumed_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Server::in_memory().await;
    for number in 0..900 {
        let put = put_request(&format!("a{number}"), &text(number));
        source.client.put_article(put).await.unwrap();
    }
    for name in ["all.jsonl", "all.jsonl.zst"] {
        let file = folder.path().join(name);
        let path = file.to_str().unwrap();
        let run = |server: &Server, arguments: &[&str]| {
            let arguments = [&["--server", &server.address], arguments].concat();
            tokio::task::block_in_place(|| doublon(&arguments))
        };
        let (code, said) = run(&source, &["export", path]);
        assert!(code == Some(0) && said.contains("900 articles in"), "{code:?} {said}");
        assert_eq!(run(&source, &["export", path]).0, Some(2), "it is there already");
        assert_eq!(run(&source, &["export", "--resume", path]).0, Some(2), "it is complete");
        is_private(&file);
        let bytes = fs::read(&file).unwrap();
        let cut = &bytes[..bytes.len() * 2 / 3];
        fs::write(&file, cut).unwrap();
        let nobody = tokio::task::block_in_place(|| {
            doublon(&["--server", "127.0.0.1:1", "export", "--resume", path])
        });
        assert!(nobody.0 == Some(2) && fs::read(&file).unwrap() == cut, "{nobody:?}");
        let target = Server::start(Some(folder.path().join(format!("data-{name}")))).await;
        let (code, said) = run(&target, &["import", path]);
        assert!(code == Some(2) && said.contains("doublon: "), "{code:?} {said}");
        let (code, said) = run(&source, &["export", "--resume", path]);
        assert!(code == Some(0) && said.contains("900 articles in"), "{code:?} {said}");
        let (code, said) = run(&target, &["--output", "json", "import", path]);
        assert!(code == Some(0) && said.contains("\"article_count\":900"), "{code:?} {said}");
        let mut client = target.client.clone();
        let found = client.get_article("a899").await.unwrap();
        assert_eq!(found.article.unwrap().text, text(899));
        target.stop().await;
    }
    source.stop().await;
}

/// One bit of a compressed file.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_not_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Server::in_memory().await;
    source.put("a", &text(1)).await;
    let file = folder.path().join("all.jsonl.zst");
    let run = |server: &Server, arguments: &[&str]| {
        let path = file.to_str().unwrap();
        let arguments = [&["--server", &server.address], arguments, &[path]].concat();
        tokio::task::block_in_place(|| doublon(&arguments))
    };
    assert_eq!(run(&source, &["export"]).0, Some(0));
    let bytes = fs::read(&file).unwrap();
    for at in (bytes.len() / 3..bytes.len()).step_by(bytes.len() / 20) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&file, changed).unwrap();
        let target = Server::in_memory().await;
        let (code, said) = run(&target, &["import"]);
        assert!(code == Some(2) && said.contains("frame"), "byte {at}: {code:?} {said}");
        target.stop().await;
    }
    source.stop().await;
}

fn is_private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}
