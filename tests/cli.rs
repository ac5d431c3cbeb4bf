//! The built binary as scripts use it: exit codes, one line on standard error,
//! JSON in and out, start, stop and kill.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const TEXT: &str = "The lighthouse keeper of Port Lannec has written down every storm of the last \
                    forty years, and on Friday her notebooks go on show in the harbour hall.";

fn doublon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doublon"));
    command.env_remove("COLUMNS");
    for (name, _) in std::env::vars().filter(|it| it.0.starts_with("DOUBLON_")) {
        command.env_remove(name);
    }
    command
}

/// A server in a process of its own.
struct Serve {
    child: Child,
    address: String,
    log: BufReader<std::process::ChildStderr>,
}

impl Serve {
    fn start(arguments: &[&str]) -> Self {
        let mut child = doublon()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the service ended before it listened");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        Self { child, address, log }
    }

    fn in_folder(folder: &Path) -> Self {
        Self::start(&["--data-dir", folder.to_str().unwrap()])
    }

    fn run(&self, arguments: &[&str]) -> Output {
        doublon().args(["--server", &self.address]).args(arguments).output().unwrap()
    }

    fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = doublon()
            .args(["--server", &self.address])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--output", "json"], arguments].concat());
        serde_json::from_str(&stdout(&output)).unwrap()
    }

    fn signal(&mut self, name: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_issue_of_a_command_is_its_exit_code() {
    let folder = TempDir::new().unwrap();
    let serve = Serve::start(&["--in-memory"]);
    let text = file(&folder, "a.txt", TEXT);
    let other = file(&folder, "b.txt", "Nine otters were counted on the canal this winter.");
    let teaser = "The lighthouse keeper of Port Lannec has written down every st...";
    for (arguments, code) in [
        (vec!["find-duplicates", &text], 1),
        (vec!["match-teaser", teaser], 1),
        (vec!["put", "--id", "a", "--title", "Storms", &text], 0),
        (vec!["find-duplicates", &text], 0),
        (vec!["find-duplicates", "--id", "a"], 1),
        (vec!["find-duplicates", "--id", "nobody"], 2),
        (vec!["match-teaser", teaser], 0),
        (vec!["match-teaser", "--file", &text], 0),
        (vec!["compare", &text, &text], 0),
        (vec!["compare", &text, &other], 1),
        (vec!["analyze-page", &text], 0),
        (vec!["sign", &text], 0),
        (vec!["list"], 0),
        (vec!["stats"], 0),
        (vec!["get", "a"], 0),
        (vec!["get", "nobody"], 1),
        (vec!["delete", "a"], 0),
        (vec!["delete", "a"], 1),
        (vec!["completions", "bash"], 0),
        (vec!["put", "--id", "a", "no-such-file"], 2),
        (vec!["put", "--id", "", &text], 2),
        (vec!["no-such-command"], 2),
    ] {
        let output = serve.run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", stderr(&output));
    }
}

#[test]
fn errors_are_one_line_that_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let serve = Serve::start(&["--in-memory"]);
    let latin = file(&folder, "latin.txt", b"caf\xe9");
    let empty = file(&folder, "empty.txt", "");
    let long = file(&folder, "long.txt", "word ".repeat(300_000));
    for (arguments, expected) in [
        (vec!["sign", "no-such-file"], "no-such-file cannot be opened"),
        (vec!["sign", folder.path().to_str().unwrap()], "is a folder: give a file"),
        (vec!["sign", &latin], "latin.txt is not UTF-8 (at byte 3): convert it first"),
        (vec!["sign", &empty], "text is missing or empty: give a value"),
        (vec!["sign", &long], "text has 1500000 bytes, the limit is 1048576: shorten it"),
        (vec!["match-teaser", "?!"], "text has no letter and no digit"),
        (vec!["match-teaser", "x", "--max-results", "101"], "max_results is out of range"),
    ] {
        let output = serve.run(&arguments);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(line.starts_with("doublon: ") && line.contains(expected), "{line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        assert!(stdout(&output).is_empty());
    }
    let output = serve.run(&["match-teaser", "x", "--published-from", "yesterday"]);
    assert!(stderr(&output).contains("\"yesterday\" is not a time"));
    let output = doublon().args(["--server", "127.0.0.1:1", "stats"]).output().unwrap();
    let line = stderr(&output);
    assert!(line.contains("no server answers at 127.0.0.1:1"), "{line}");
    assert!(line.contains("start one with `doublon serve`") && line.lines().count() == 1, "{line}");
}

#[test]
fn json_has_the_names_of_the_contract() {
    let folder = TempDir::new().unwrap();
    let serve = Serve::start(&["--in-memory"]);
    let text = file(&folder, "a.txt", TEXT);
    let put = serve.json(&["put", "--id", "a", "--published", "2026-11-23T08:00:00Z", &text]);
    assert_eq!(put["article_id"], "a");
    assert_eq!(put["outcome"], "PUT_OUTCOME_CREATED");
    assert_eq!(put["duplicates"], serde_json::json!([]));
    let answer = serve.json(&["match-teaser", "The lighthouse keeper of Port Lannec has writ..."]);
    assert_eq!(answer["verdict"], "TEASER_VERDICT_MATCH");
    let found = &answer["matches"][0];
    assert_eq!(
        (&found["article_id"], &found["kind"]),
        (&"a".into(), &"MATCH_KIND_VERBATIM".into())
    );
    assert_eq!(found["field"], "ARTICLE_FIELD_BODY");
    assert_eq!(found["similarity"], 1.0);
    assert!(
        found["evidence_bits"].as_f64().unwrap() > answer["evidence_bits_min"].as_f64().unwrap()
    );
    let span = serde_json::json!({"start_byte": 0, "end_byte": 40});
    assert_eq!((&found["teaser_span"], &found["article_span"]), (&span, &span));
    let found = &serve.json(&["find-duplicates", &text])["duplicates"][0];
    assert_eq!(found["relation"], "RELATION_DUPLICATE");
    for name in ["jaccard", "containment_in_article", "containment_of_article"] {
        assert_eq!(found[name], 1.0);
    }
    assert_eq!(found["simhash_distance_bits"], 0);
    let signature = serve.json(&["sign", &text]);
    assert_eq!(signature["minhash"].as_array().unwrap().len(), 128);
    assert!(signature["minhash"][0].is_u64() && signature["simhash"].is_string());
    assert_eq!(signature["parameters"]["shingle_tokens"], 3);
    assert_eq!((&signature["token_count"], &signature["shingle_count"]), (&28.into(), &26.into()));
    let page = serve.json(&["analyze-page", &text]);
    assert_eq!(page["segments"][0]["kind"], "SEGMENT_KIND_BODY");
    assert_eq!(page["segments"][0]["text"], TEXT);
    assert_eq!(page["body_duplicates"][0]["article_id"], "a");
    let stored = serve.json(&["get", "a"]);
    assert_eq!(stored["article"]["published_time"], "2026-11-23T08:00:00Z");
}

#[test]
fn lines_of_articles_go_in_whatever_stands_between_them() {
    let folder = TempDir::new().unwrap();
    let serve = Serve::start(&["--in-memory"]);
    let article =
        |id: &str| serde_json::json!({"id": id, "text": format!("{TEXT} {id}")}).to_string();
    let lines = [
        article("a1"),
        String::new(),
        "{\"id\": \"broken\"".to_owned(),
        article("a2"),
        serde_json::json!({"id": "empty", "text": ""}).to_string(),
        serde_json::json!({"id": "dated", "text": TEXT, "date": "soon"}).to_string(),
        article("a1"),
        article(""),
        article("a3"),
    ];
    let plain = file(&folder, "a.jsonl", lines.join("\n"));
    let output = serve.run(&["put", "--jsonl", &plain]);
    assert_eq!(output.status.code(), Some(2));
    let summary = "3 created, 1 unchanged, 0 replaced, 0 skipped, 4 failed";
    assert!(stdout(&output).contains(summary), "{}", stdout(&output));
    let errors = stderr(&output);
    for line in [
        "line 3: not an article as a JSON object",
        "line 5: article.text is missing",
        "line 6: ",
        "line 8: ",
    ] {
        assert!(errors.contains(line), "{line} not in {errors}");
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all([article("gz"), article("a3")].join("\n").as_bytes()).unwrap();
    let gz = file(&folder, "a.jsonl.gz", gz.finish().unwrap());
    let frame = |id: &str| {
        let line = format!("{}\n", article(id));
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(line.as_bytes(), level)
    };
    let skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc".to_vec();
    let frames = [skipped.clone(), frame("z1"), skipped.clone(), frame("z2"), skipped].concat();
    let zst = file(&folder, "a.jsonl.zst", frames);
    let output = serve.run(&["put", "--jsonl", &gz, &zst]);
    assert!(stdout(&output).contains("3 created, 1 unchanged"), "{}", stdout(&output));

    let teasers = "{\"teaser\": \"The lighthouse keeper of Port Lannec has writ...\"}\n\
                   {\"text\": \"Nine otters were counted on the canal this winter\"}\nno\n";
    let output = serve
        .run_with_input(&["match-teaser", "--jsonl", "-", "--output", "json"], teasers.as_bytes());
    let answers: Vec<Value> =
        stdout(&output).lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(answers[0]["verdict"], "TEASER_VERDICT_MATCH");
    assert_eq!(answers[1]["verdict"], "TEASER_VERDICT_NO_MATCH");
    assert_eq!(answers[2]["error"]["origin"], "line 3");
    assert_eq!((answers.len(), output.status.code()), (3, Some(2)));
}

#[test]
fn a_stop_is_clean_and_a_second_server_is_told_why_not() {
    let folder = TempDir::new().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut serve = Serve::in_folder(folder.path());
        assert!(serve.run_with_input(&["put", "--id", "a"], TEXT.as_bytes()).status.success());
        let data = folder.path().to_str().unwrap();
        let second = doublon()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", data])
            .output()
            .unwrap();
        assert_eq!(second.status.code(), Some(2));
        let log = stderr(&second);
        let expected = format!("doublon: the data folder {data} is in use by another process");
        assert!(log.lines().any(|it| it.starts_with(&expected)), "{log}");
        let taken = doublon().args(["serve", "--in-memory", "--listen", &serve.address]).output();
        assert!(stderr(&taken.unwrap()).contains("cannot be listened on"));
        assert_eq!(serve.signal(signal), Some(0));
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut serve.log, &mut rest).unwrap();
        assert!(rest.contains("stopped"), "{rest}");
    }
    let serve = Serve::in_folder(folder.path());
    assert!(serve.run(&["get", "a"]).status.success());
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once() {
    let folder = TempDir::new().unwrap();
    let config = file(&folder, "d.toml", "listen = \"nowhere\"\nshards = 3\n");
    let cues = file(&folder, "cues.txt", "[label]\nread also\n[labels]\nrelated\n");
    let output = doublon()
        .args(["serve", "--config", &config, "--cues", &cues])
        .env("DOUBLON_CACHE_MIB", "many")
        .env("DOUBLON_COLOUR", "x")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = stderr(&output);
    for part in [
        "listen in ",
        "shards in ",
        "DOUBLON_CACHE_MIB is \"many\"",
        "DOUBLON_COLOUR",
        "(--cues), line 3: ",
    ] {
        assert!(line.contains(part), "{part} not in {line}");
    }
    assert_eq!(line.lines().count(), 1);
}

/// Killed in the middle of a bulk put: what was acknowledged is there, is found,
/// and nothing else is half there.
#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let mut serve = Serve::in_folder(folder.path());
        let mut put = doublon()
            .args(["--server", &serve.address, "--output", "json", "put", "--jsonl", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = put.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            for at in 0..20_000 {
                let id = format!("r{round}-{at}");
                let said = words(round * 100_000 + at);
                let text = format!("{TEXT} This is {id}, which says {said} and nothing else.");
                let line = serde_json::json!({"id": id, "text": text}).to_string();
                if writeln!(lines, "{line}").is_err() {
                    return;
                }
            }
        });
        let answers = BufReader::new(put.stdout.take().unwrap());
        for (count, line) in answers.lines().map_while(Result::ok).enumerate() {
            let answer: Value = serde_json::from_str(&line).unwrap();
            if let Some(id) = answer["article_id"].as_str() {
                acknowledged.push(id.to_owned());
            }
            if count == 300 + 500 * round {
                serve.signal("-KILL");
            }
        }
        put.wait().unwrap();
        writer.join().unwrap();
    }
    assert!(acknowledged.len() > 1500, "{}", acknowledged.len());
    let serve = Serve::in_folder(folder.path());
    let listed = stdout(&serve.run(&["list", "--output", "json"]));
    let ids: std::collections::BTreeSet<String> = listed
        .lines()
        .map(|it| {
            serde_json::from_str::<Value>(it).unwrap()["article_id"].as_str().unwrap().to_owned()
        })
        .collect();
    for id in &acknowledged {
        assert!(ids.contains(id), "{id} was acknowledged and is lost");
    }
    for id in ids.iter().step_by(97) {
        let (round, at) = id[1..].split_once('-').unwrap();
        let at = round.parse::<usize>().unwrap() * 100_000 + at.parse::<usize>().unwrap();
        let answer =
            serve.json(&["match-teaser", &format!("which says {} and nothing", words(at))]);
        assert_eq!(answer["matches"][0]["article_id"], id.as_str(), "{answer}");
    }
}

/// Nine words that no other number has.
fn words(at: usize) -> String {
    (0..9).map(|it| format!("w{}x{it}", at * 7 + it)).collect::<Vec<_>>().join(" ")
}

/// The load test at its smallest, against a server of its own and one that is there.
#[test]
fn a_load_test_measures_and_checks() {
    let folder = TempDir::new().unwrap();
    let plot = folder.path().join("latency.svg");
    let tiny = ["load", "--articles", "120", "--seconds", "0.05", "--rounds", "1"];
    let calls = ["--in-flight", "4", "--connections", "2", "--rate", "40"];
    let output = doublon()
        .args(["--output", "json", "--color", "never"])
        .args(tiny)
        .args(calls)
        .args(["--plot", plot.to_str().unwrap(), "--folder", folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{} {}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["articles"], 120);
    assert_eq!(report["put_stream"]["answered"], 120);
    for part in ["put_stream", "echo", "unary", "echo_stream", "stream", "analyze_page"] {
        assert!(report[part]["per_second"].as_f64().unwrap() > 0.0, "{part}: {report}");
        assert_eq!((&report[part]["errors"], &report[part]["wrong"]), (&0.into(), &0.into()));
    }
    for part in ["echo", "unary"] {
        let latency = |it: &str| report[part][it].as_f64().unwrap();
        assert!(0.0 < latency("p50_ms") && latency("p50_ms") <= latency("p99_ms"), "{report}");
    }
    assert_eq!(report["open_loop"][0]["rate"], 40.0);
    for known in ["rss_bytes", "disk_bytes", "ready_seconds"] {
        assert!(report["server"][known].as_f64().unwrap() > 0.0, "{known}: {report}");
    }
    assert!(fs::read_to_string(&plot).unwrap().contains("MatchTeaser p99"));
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "the temporary folder is to be gone");

    let serve = Serve::start(&["--in-memory"]);
    let report = serve.json(&[&tiny[..], &calls[..]].concat());
    assert_eq!(report["stream"]["wrong"], 0);
    assert_eq!(report["server"]["rss_bytes"], Value::Null);
    assert_eq!(serve.json(&["stats"])["article_count"], "0", "its articles are to be deleted");
    for wrong in [["--mix", "0:0:0"], ["--rate", "0"], ["--seconds", "-1"]] {
        assert_eq!(serve.run(&[&["load"][..], &wrong[..]].concat()).status.code(), Some(2));
    }
}

/// What every `--help` says is part of the contract with people.
#[test]
fn help_is_what_was_reviewed() {
    let mut all = String::new();
    for command in [
        "",
        "serve",
        "put",
        "get",
        "delete",
        "list",
        "sign",
        "compare",
        "match-teaser",
        "find-duplicates",
        "analyze-page",
        "teasers",
        "watch",
        "references",
        "stories",
        "story",
        "revisions",
        "stats",
        "backup",
        "verify",
        "rebuild",
        "eval",
        "load",
        "token new",
        "completions",
    ] {
        let arguments = command.split_whitespace().chain(["--help"]);
        let output = doublon().args(arguments).output().unwrap();
        all.extend(["$ doublon ", command, " --help\n", &stdout(&output), "\n"]);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &all).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap();
    assert!(golden == all, "run with UPDATE_GOLDEN=1, and read the difference:\n{all}");
}
