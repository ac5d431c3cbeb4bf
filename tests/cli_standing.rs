//! The built binary on standing teasers, stories, revisions and filters that compare
//! with what is asked about, against a server in a process of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use prost_types::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

const FERRY: &str = "The old cable ferry at Valbrume will cross the river again next spring. The \
    town council voted on Monday evening to pay for a new cable and for the repair of the hull, \
    which has lain on the left bank since the flood nine years ago. Since then the people of the \
    hamlet have driven eighteen kilometres over the bridge to reach the school, the chemist and \
    the Thursday market. A retired boatman has promised to teach two apprentices for free.";
const FERRY_BLURB: &str = "The old cable ferry at Valbrume will cross the river again next spring. \
    The town council voted on Mon...";
const OTTERS: &str = "Nine otters were counted on the Brackwell canal this winter, more than in \
    any year since the mills were closed and the water was cleaned. Volunteers sat on the towpath \
    for eleven nights with red lamps and flasks of soup.";
const OTTERS_BLURB: &str =
    "Nine otters were counted on the Brackwell canal this winter, more than in any...";
const BELLS: &str = "The bells of Sankt Orla hang silent because a pair of kestrels has nested in \
    the belfry, and the sexton rings a school handbell on the church steps until the young have \
    flown, which a falconer expects in the second week of July.";
const BELLS_BLURB: &str =
    "The bells of Sankt Orla hang silent because a pair of kestrels has nested in the...";

const BLURBS: [&str; 3] = [FERRY_BLURB, OTTERS_BLURB, BELLS_BLURB];
const TEXTS: [&str; 3] = [FERRY, OTTERS, BELLS];

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
    /// Held open, so that the server can log.
    _log: BufReader<std::process::ChildStderr>,
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
        Self { child, address, _log: log }
    }

    fn in_memory() -> Self {
        Self::start(&["--in-memory"])
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = doublon();
        command.args(["--server", &self.address]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        // What the command does not read, it need not.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        child.wait_with_output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "")
    }

    /// What the command prints; it must end with this code.
    fn text(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", stderr(&output));
        stdout(&output)
    }

    fn lines(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        let text = self.text(code, &[&["--output", "json"], arguments].concat());
        text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
    }

    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let mut lines = self.lines(code, arguments);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    /// Puts a text under an id.
    fn put(&self, id: &str, text: &str, options: &[&str]) -> Value {
        let arguments = [&["--output", "json", "put", "--id", id], options].concat();
        let output = self.run_with_input(&arguments, text);
        assert!(output.status.success(), "{arguments:?} {}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    }

    /// Lets a teaser wait that has no article yet, and gives its id.
    fn wait_for(&self, blurb: &str) -> String {
        let answer = self.json(1, &["match-teaser", "--watch", blurb]);
        let id = answer["teaser_id"].as_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit()), "{answer}");
        id.to_owned()
    }

    /// The time, as the server has it.
    fn now(&self) -> Timestamp {
        let stats = self.json(0, &["stats"]);
        stats["start_time"].as_str().unwrap().parse().unwrap()
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

/// The values of one field of all objects, in their order.
fn all<'a>(objects: impl IntoIterator<Item = &'a Value>, field: &str) -> Vec<&'a str> {
    objects.into_iter().map(|it| it[field].as_str().unwrap()).collect()
}

fn sorted(mut values: Vec<&str>) -> Vec<&str> {
    values.sort_unstable();
    values
}

#[test]
fn a_teaser_waits_until_its_article_comes() {
    let serve = Serve::in_memory();
    let (front, region) = ("https://www.valley.example/", "https://river.example/region");
    let link = "https://www.valley.example/ferry";
    let watch = ["match-teaser", "--watch", "--page-url"];
    let first = [front, "--link-url", link, FERRY_BLURB];
    let first = serve.json(1, &[&watch[..], &first].concat());
    assert_eq!(first["verdict"], "TEASER_VERDICT_NO_MATCH");
    let id = first["teaser_id"].as_str().unwrap().to_owned();
    // The same words, written in another way and cut at the same one.
    let loud = FERRY_BLURB.to_uppercase().replace("...", "…");
    let said = serve.text(1, &[&watch[..], &[region, &loud]].concat());
    assert!(said.contains("no match") && said.contains(&id), "{said}");

    let waiting = serve.json(0, &["teasers"]);
    assert_eq!((&waiting["teaser_id"], &waiting["times_seen"]), (&json!(id), &json!(2)));
    assert_eq!(waiting["text"], FERRY_BLURB);
    let pages = waiting["sightings"].as_array().unwrap();
    assert_eq!(all(pages, "page_url"), [front, region]);
    assert_eq!(all(pages, "link_url"), [link, ""]);
    assert!(pages[0]["site"].as_str().unwrap().ends_with("valley.example"), "{waiting}");
    assert_eq!(pages[1]["site"], "river.example");
    assert_eq!(serve.lines(0, &["teasers", "--site", "river.example"]).len(), 1);
    assert!(serve.lines(0, &["teasers", "--site", "elsewhere.example"]).is_empty());
    let listed = serve.text(0, &["teasers"]);
    for part in [&id, "2 times", FERRY_BLURB, link] {
        assert!(listed.contains(part), "{part} not in {listed}");
    }
    assert_eq!(serve.json(0, &["stats"])["standing_teaser_count"], "1");

    assert_eq!(serve.put("otters", OTTERS, &[])["resolved_teasers"], json!([]));
    let put = serve.put("ferry", FERRY, &[]);
    let resolved = &put["resolved_teasers"][0];
    assert_eq!((&resolved["teaser_id"], &resolved["times_seen"]), (&json!(id), &json!(2)));
    assert_eq!(resolved["match"]["article_id"], "ferry");
    assert_eq!(resolved["match"]["verdict"], "TEASER_VERDICT_MATCH");
    assert!(serve.lines(0, &["teasers"]).is_empty());
    assert_eq!(serve.json(0, &["stats"])["standing_teaser_count"], "0");

    let told = serve.json(0, &["watch", "--count", "1"]);
    for (name, value) in resolved.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
    assert!(!told["cursor"].as_str().unwrap().is_empty() && told["resolved_time"].is_string());
    let told = serve.text(0, &["watch", "--count", "1"]);
    for part in [&id, "match ferry", FERRY_BLURB, "2 times", region, link] {
        assert!(told.contains(part), "{part} not in {told}");
    }
}

#[test]
fn references_are_the_pages_that_tease_an_article() {
    let serve = Serve::in_memory();
    let watch = |page: &str, code| {
        let arguments = ["match-teaser", "--watch", "--page-url", page, FERRY_BLURB];
        serve.json(code, &arguments)["teaser_id"].as_str().unwrap().to_owned()
    };
    let (front, region) = ("https://valley.example/", "https://river.example/region");
    let id = watch(front, 1);
    assert_eq!(watch(front, 1), id);
    serve.put("ferry", FERRY, &[]);
    serve.put("otters", OTTERS, &[]);
    // Once the article is there, what matches it is a reference at once.
    for page in [front, region] {
        assert_eq!(watch(page, 0), id);
    }
    let edges = serve.lines(0, &["references", "ferry"]);
    assert_eq!(sorted(all(&edges, "page_url")), [region, front]);
    assert_eq!(sorted(all(&edges, "site")), ["river.example", "valley.example"]);
    assert!(edges.iter().all(|it| it["article_id"] == "ferry" && it["teaser_id"] == id));
    let of_front = edges.iter().find(|it| it["page_url"] == front).unwrap();
    assert_eq!((&of_front["times_seen"], &of_front["text"]), (&3.into(), &FERRY_BLURB.into()));
    assert_eq!(serve.lines(0, &["references"]), edges);
    assert_eq!(serve.lines(0, &["references", "--limit", "1"]).len(), 1);
    let said = serve.text(0, &["references", "ferry"]);
    assert!(said.contains("ferry <- ") && said.contains(region), "{said}");
    for unknown in ["otters", "nobody"] {
        let output = serve.run(&["references", unknown]);
        assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1));
    }
    serve.text(0, &["delete", "ferry"]);
    assert!(serve.lines(0, &["references"]).is_empty());
}

#[test]
fn a_teaser_can_be_given_up() {
    let serve = Serve::in_memory();
    let id = serve.wait_for(FERRY_BLURB);
    assert!(serve.text(0, &["teasers", "--delete", &id]).contains("deleted"));
    for unknown in [id.as_str(), &"0".repeat(32)] {
        let output = serve.run(&["teasers", "--delete", unknown]);
        assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1));
    }
    assert_eq!(serve.run(&["teasers", "--delete", "no-id"]).status.code(), Some(2));
    assert_eq!(serve.put("ferry", FERRY, &[])["resolved_teasers"], json!([]));
}

#[test]
fn lines_of_teasers_are_watched_each() {
    let serve = Serve::in_memory();
    let now = serve.now();
    let seen_time = Timestamp { seconds: now.seconds - 7200, nanos: 0 }.to_string();
    let lines = [
        json!({"text": FERRY_BLURB, "page_url": "https://valley.example/", "seen_time": seen_time,
               "link_url": "https://valley.example/ferry"}),
        json!({"text": "Read more", "page_url": "https://valley.example/"}),
        json!({"teaser": OTTERS_BLURB, "page_url": "https://cdn.example/x", "site": "canal.example"}),
        json!({"text": BELLS_BLURB, "seen_time": "soon"}),
    ];
    let input = lines.map(|it| it.to_string()).join("\n");
    let arguments = ["--output", "json", "match-teaser", "--watch", "--jsonl", "-"];
    let output = serve.run_with_input(&arguments, &input);
    assert_eq!(output.status.code(), Some(2));
    let answers: Vec<Value> =
        stdout(&output).lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(answers[1]["verdict"], "TEASER_VERDICT_INSUFFICIENT_EVIDENCE");
    assert_eq!(answers[1]["teaser_id"], "");
    assert_eq!(answers[3]["error"]["origin"], "line 4");
    let waiting = serve.lines(0, &["teasers"]);
    let id = |at: usize| answers[at]["teaser_id"].as_str().unwrap();
    assert_eq!(sorted(all(&waiting, "teaser_id")), sorted(vec![id(0), id(2)]));
    let ferry = waiting.iter().find(|it| it["teaser_id"] == id(0)).unwrap();
    for time in ["first_seen_time", "last_seen_time"] {
        let time: Timestamp = ferry[time].as_str().unwrap().parse().unwrap();
        assert_eq!(time.seconds, now.seconds - 7200, "{ferry}");
    }
    assert_eq!(ferry["sightings"][0]["link_url"], "https://valley.example/ferry");
    let otters = serve.json(0, &["teasers", "--site", "canal.example"]);
    assert_eq!(otters["sightings"][0]["page_url"], "https://cdn.example/x");
    assert_eq!(serve.lines(0, &["teasers", "--limit", "1"]).len(), 1);
}

#[test]
fn the_teasers_of_a_page_wait() {
    let serve = Serve::in_memory();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tour/page.txt");
    let page = page.to_str().unwrap();
    let url = "https://valley.example/ferry";
    let analyze = ["analyze-page", "--watch", "--page-url", url, "--site", "valley.example", page];
    let said = serve.text(0, &analyze);
    assert!(said.contains("waits as teaser"), "{said}");
    let teasers = serve.lines(0, &["teasers"]);
    let otters = teasers.iter().find(|it| it["text"].as_str().unwrap().starts_with("Nine otters"));
    let otters = otters.unwrap();
    assert_eq!(all(otters["sightings"].as_array().unwrap(), "page_url"), [url]);
    let again = serve.json(0, &analyze);
    let answers: Vec<&Value> =
        again["teasers"].as_array().unwrap().iter().map(|it| &it["answer"]).collect();
    assert_eq!(
        answers.iter().filter(|it| it["teaser_id"] == otters["teaser_id"]).count(),
        1,
        "{again}"
    );
    let put = serve.put("otters", OTTERS, &[]);
    assert_eq!(put["resolved_teasers"][0]["teaser_id"], otters["teaser_id"]);
    assert_eq!(put["resolved_teasers"][0]["times_seen"], 2);
    assert_eq!(serve.json(0, &["references", "otters"])["page_url"], url);
}

#[test]
fn a_listener_goes_on_where_it_was() {
    let serve = Serve::in_memory();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("watch.cursor");
    let watch = ["watch", "--count", "1", "--cursor-file", file.to_str().unwrap()];
    let ids: Vec<String> = BLURBS.iter().map(|it| serve.wait_for(it)).collect();
    for (at, text) in TEXTS.iter().enumerate() {
        serve.put(&format!("a{at}"), text, &[]);
    }
    let mut cursors = Vec::new();
    for (at, id) in ids.iter().enumerate().take(2) {
        let told = serve.json(0, &watch);
        assert_eq!(
            (&told["teaser_id"], &told["match"]["article_id"]),
            (&json!(id), &json!(format!("a{at}")))
        );
        let cursor = told["cursor"].as_str().unwrap().to_owned();
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), cursor);
        cursors.push(cursor);
    }
    let told = serve.lines(0, &["watch", "--count", "2", "--cursor", &cursors[0]]);
    assert_eq!(all(&told, "teaser_id"), [&ids[1], &ids[2]]);
    let all_told = serve.lines(0, &["watch", "--count", "3"]);
    assert_eq!(all(&all_told, "teaser_id"), ids);
    let output = serve.run(&["watch", "--count", "1", "--cursor", "no cursor"]);
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(2), 1));
}

/// Each line comes when its teaser is resolved; a listener ends well on Ctrl-C, and
/// says where to go on when the server goes away.
#[test]
fn a_listener_tells_at_once_and_says_how_it_ended() {
    let mut serve = Serve::in_memory();
    for blurb in BLURBS {
        serve.wait_for(blurb);
    }
    serve.put("ferry", FERRY, &[]);
    let listen = |arguments: &[&str]| {
        let arguments = [&["--output", "json", "watch"], arguments].concat();
        let mut child = serve.command(&arguments).spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        (child, told)
    };
    let next = |told: &mut BufReader<std::process::ChildStdout>| {
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let (mut first, mut told) = listen(&[]);
    assert_eq!(next(&mut told)["match"]["article_id"], "ferry");
    serve.put("otters", OTTERS, &[]);
    let last = next(&mut told);
    assert_eq!(last["match"]["article_id"], "otters");
    let status = Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(first.wait().unwrap().code(), Some(0));

    let (mut second, mut told) = listen(&["--cursor", last["cursor"].as_str().unwrap()]);
    let (mut new_only, mut new_told) = listen(&["--new-only"]);
    // Long enough for both to listen.
    thread::sleep(Duration::from_secs(1));
    serve.put("bells", BELLS, &[]);
    let last = next(&mut told);
    assert_eq!(last["match"]["article_id"], "bells");
    assert_eq!(next(&mut new_told), last);
    serve.child.kill().unwrap();
    for ended in [&mut second, &mut new_only] {
        assert_eq!(ended.wait().unwrap().code(), Some(2));
        let mut problem = String::new();
        ended.stderr.take().unwrap().read_to_string(&mut problem).unwrap();
        let how = format!("go on with --cursor {}", last["cursor"].as_str().unwrap());
        assert!(
            problem.starts_with("doublon: ") && problem.trim_end().ends_with(&how),
            "{problem}"
        );
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }
}

#[test]
fn what_waits_and_what_was_resolved_outlive_a_kill() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--data-dir", folder.path().to_str().unwrap()];
    let mut serve = Serve::start(&arguments);
    let (ferry, otters) = (serve.wait_for(FERRY_BLURB), serve.wait_for(OTTERS_BLURB));
    serve.wait_for(OTTERS_BLURB);
    serve.put("ferry", FERRY, &[]);
    let story = serve.put("copy", &FERRY.replace("Monday", "Tuesday"), &[])["story_id"].clone();
    serve.put("copy", &FERRY.replace("Monday", "Friday"), &[]);
    serve.child.kill().unwrap();
    serve.child.wait().unwrap();
    let serve = Serve::start(&arguments);
    let waiting = serve.json(0, &["teasers"]);
    assert_eq!((&waiting["teaser_id"], &waiting["times_seen"]), (&json!(otters), &json!(2)));
    assert_eq!(serve.json(0, &["watch", "--count", "1"])["teaser_id"], ferry);
    assert_eq!(serve.json(0, &["references", "ferry"])["teaser_id"], ferry);
    assert_eq!(serve.json(0, &["story", story.as_str().unwrap()])["member_count"], 2);
    assert_eq!(serve.lines(0, &["revisions", "copy"]).len(), 1);
    assert_eq!(serve.put("otters", OTTERS, &[])["resolved_teasers"][0]["teaser_id"], otters);
}

#[test]
fn near_duplicates_are_a_story_whose_canonical_article_came_out_first() {
    let serve = Serve::in_memory();
    let put = |id: &str, text: &str, day: &str, site: &str| {
        let put = serve.put(id, text, &["--published", day, "--site", site, "--title", id]);
        put["story_id"].as_str().unwrap().to_owned()
    };
    let id = put("b", FERRY, "2026-11-02", "valley.example");
    assert_eq!(put("c", &FERRY.replace("Monday", "Tuesday"), "2026-11-03", "river.example"), id);
    assert_eq!(put("a", &FERRY.replace("Thursday", "weekly"), "2026-11-01", "river.example"), id);
    let other = put("otters", OTTERS, "2026-11-01", "canal.example");
    assert_ne!(other, id);

    let story = serve.json(0, &["story", &id]);
    assert_eq!((&story["story_id"], &story["member_count"]), (&json!(id), &json!(3)));
    assert_eq!(story["canonical_article_id"], "a");
    let members = story["members"].as_array().unwrap();
    assert_eq!(all(members, "article_id"), ["b", "c", "a"]);
    assert!(members.iter().all(|it| it["relation"] == "RELATION_DUPLICATE"), "{story}");
    assert_eq!(members[2]["jaccard"], 1.0);
    assert_eq!(
        (&members[0]["joined_by_article_id"], &members[0]["is_core"]),
        (&"".into(), &true.into())
    );
    let said = serve.text(0, &["story", &id]);
    assert!(said.contains("canonical    a") && said.contains("3 articles"), "{said}");

    let listed = serve.json(0, &["stories"]);
    assert_eq!((&listed["story_id"], &listed["title"]), (&json!(id), &"a".into()));
    assert_eq!((&listed["member_count"], &listed["site_count"]), (&3.into(), &2.into()));
    assert_eq!(
        serve.lines(0, &["stories", "--site", "valley.example", "--order", "size"]).len(),
        1
    );
    assert!(serve.lines(0, &["stories", "--site", "canal.example"]).is_empty());
    assert!(serve.lines(0, &["stories", "--min-members", "4"]).is_empty());
    assert_eq!(serve.json(0, &["stats"])["story_count"], "1");
    let found = serve.json(0, &["find-duplicates", "--id", "c"]);
    assert_eq!(found["story_id"], json!(id));
    assert!(found["duplicates"].as_array().unwrap().iter().all(|it| it["story_id"] == json!(id)));
    let edited = FERRY.replace("eighteen", "nineteen");
    let output = serve.run_with_input(&["find-duplicates"], &edited);
    assert!(stdout(&output).contains(&format!("story {id}")), "{}", stdout(&output));

    serve.text(0, &["delete", "a"]);
    let story = serve.json(0, &["story", &id]);
    assert_eq!((&story["canonical_article_id"], &story["member_count"]), (&"b".into(), &2.into()));
    serve.text(0, &["delete", "c"]);
    assert!(serve.lines(0, &["stories"]).is_empty());
    assert_eq!(serve.json(0, &["story", &other])["member_count"], 1);
    serve.text(0, &["delete", "otters"]);
    for unknown in [other.as_str(), "nobody"] {
        let output = serve.run(&["story", unknown]);
        assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1));
    }
}

#[test]
fn a_revision_says_what_changed() {
    let serve = Serve::in_memory();
    assert_eq!(serve.put("ferry", FERRY, &[])["revision"], Value::Null);
    assert_eq!(serve.run(&["revisions", "ferry"]).status.code(), Some(1));
    assert_eq!(serve.run(&["revisions", "nobody"]).status.code(), Some(1));
    let corrected = FERRY.replace("next spring", "next summer");
    let put = serve.put("ferry", &corrected, &[]);
    assert_eq!(put["outcome"], "PUT_OUTCOME_REPLACED");
    let revision = &put["revision"];
    assert_eq!(revision["kind"], "REVISION_KIND_CORRECTION");
    assert_eq!((&revision["removed_words"], &revision["added_words"]), (&1.into(), &1.into()));
    let change = &revision["changes"][0];
    assert_eq!(change["field"], "ARTICLE_FIELD_BODY");
    assert_eq!(
        (&change["before_text"], &change["after_text"]),
        (&"spring".into(), &"summer".into())
    );
    let at = FERRY.find("spring").unwrap();
    assert_eq!(change["before_span"], json!({"start_byte": at, "end_byte": at + 6}));

    let updated = format!("{corrected} {BELLS}");
    let output = serve.run_with_input(&["put", "--id", "ferry"], &updated);
    assert!(stdout(&output).contains("update"), "{}", stdout(&output));
    let form = serve.put("ferry", &updated.to_uppercase(), &["--url", "https://valley.example/f"]);
    assert_eq!(form["revision"]["kind"], "REVISION_KIND_FORM");
    assert_eq!(
        serve.put("ferry", &updated.to_uppercase(), &["--url", "https://valley.example/f"])["revision"],
        Value::Null
    );

    let revisions = serve.lines(0, &["revisions", "ferry"]);
    let kinds = ["REVISION_KIND_CORRECTION", "REVISION_KIND_UPDATE", "REVISION_KIND_FORM"];
    assert_eq!(all(&revisions, "kind"), kinds);
    assert_eq!(&revisions[0], revision);
    let said = serve.text(0, &["revisions", "ferry"]);
    for part in ["correction", "\"spring\" -> \"summer\"", "update", "form"] {
        assert!(said.contains(part), "{part} not in {said}");
    }
}

#[test]
fn a_duplicate_is_stored_left_out_or_stored_without_its_text() {
    let serve = Serve::in_memory();
    serve.put("a", FERRY, &[]);
    let edited = FERRY.replace("Monday", "Tuesday");
    let put = serve.put("b", &edited, &["--on-duplicate", "store-without-text"]);
    assert_eq!(put["outcome"], "PUT_OUTCOME_CREATED");
    assert_eq!(serve.json(0, &["get", "b"])["article"]["text"], "");
    assert_eq!(serve.json(0, &["story", put["story_id"].as_str().unwrap()])["member_count"], 2);
    let output = serve.run_with_input(&["--output", "json", "find-duplicates"], &edited);
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(all(found["duplicates"].as_array().unwrap(), "article_id"), ["b", "a"]);
    let again = serve.put("b", &edited, &["--on-duplicate", "store-without-text"]);
    assert_eq!(again["outcome"], "PUT_OUTCOME_UNCHANGED");
    let new = serve.put("otters", OTTERS, &["--on-duplicate", "store-without-text"]);
    assert_eq!(new["outcome"], "PUT_OUTCOME_CREATED");
    assert_eq!(serve.json(0, &["get", "otters"])["article"]["text"], OTTERS);

    let short = FERRY.split_inclusive(". ").next().unwrap();
    let skip = |id: &str, options: &[&str]| serve.put(id, short, options)["outcome"].clone();
    let contained = ["--on-duplicate", "skip", "--min-relation", "contained-in"];
    assert_eq!(skip("short", &contained), "PUT_OUTCOME_SKIPPED");
    assert_eq!(
        skip("short", &["--on-duplicate", "skip", "--min-relation", "contains"]),
        "PUT_OUTCOME_CREATED"
    );
    assert_eq!(serve.put("c", &edited, &["--on-duplicate", "skip"])["story_id"], "");
}

#[test]
fn an_article_is_deleted_when_its_time_is_over() {
    let serve = Serve::in_memory();
    let output = serve.run_with_input(&["put", "--id", "x", "--expire-time", "2020-01-01"], FERRY);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expire_time"), "{}", stderr(&output));
    serve.put("kept", OTTERS, &["--expire-time", "9000-01-01"]);
    assert_eq!(serve.json(0, &["get", "kept"])["article"]["expire_time"], "9000-01-01T00:00:00Z");
    assert!(serve.text(0, &["get", "kept"]).contains("9000-01-01"));
    // The server has started just now.
    let soon = Timestamp { seconds: serve.now().seconds + 6, nanos: 0 }.to_string();
    let line = json!({"id": "gone", "text": FERRY, "expire_time": soon}).to_string();
    assert!(serve.run_with_input(&["put", "--jsonl", "-"], &line).status.success());
    serve.text(0, &["get", "gone"]);
    let is_gone = (0..300).any(|_| {
        thread::sleep(Duration::from_millis(100));
        serve.run(&["get", "gone"]).status.code() == Some(1)
    });
    assert!(is_gone, "it is stored though its time is over");
    assert_eq!(serve.run(&["match-teaser", FERRY_BLURB]).status.code(), Some(1));
    assert_eq!(all(&serve.lines(0, &["list"]), "article_id"), ["kept"]);
}

#[test]
fn a_question_can_be_about_earlier_articles_or_other_sites_only() {
    let serve = Serve::in_memory();
    for (id, site, day) in
        [("a", "x.example", "01"), ("b", "x.example", "02"), ("c", "y.example", "03")]
    {
        let text = FERRY.replace("apprentices", &format!("apprentices of {id}"));
        serve.put(id, &text, &["--site", site, "--published", &format!("2026-11-{day}")]);
    }
    let find = |arguments: &[&str]| {
        let arguments = [&["--output", "json", "find-duplicates"], arguments].concat();
        let output = serve.run_with_input(&arguments, FERRY);
        let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let ids = all(found["duplicates"].as_array().unwrap(), "article_id").join(" ");
        assert_eq!(output.status.code(), Some(i32::from(ids.is_empty())));
        let mut ids: Vec<char> = ids.chars().filter(|it| *it != ' ').collect();
        ids.sort_unstable();
        ids.into_iter().collect::<String>()
    };
    assert_eq!(find(&["--id", "b"]), "ac");
    assert_eq!(find(&["--id", "b", "--earlier-only"]), "a");
    assert_eq!(find(&["--id", "b", "--other-sites-only"]), "c");
    assert_eq!(find(&["--id", "b", "--earlier-only", "--other-sites-only"]), "");
    assert_eq!(find(&["--earlier-only", "--published-time", "2026-11-02T12:00:00Z"]), "ab");
    assert_eq!(find(&["--other-sites-only", "--site", "y.example"]), "ab");
    assert_eq!(
        find(&["--other-sites-only", "--text-site", "z.example", "--site", "y.example"]),
        "c"
    );
    for incomplete in ["--earlier-only", "--other-sites-only"] {
        let output = serve.run_with_input(&["find-duplicates", incomplete], FERRY);
        assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(2), 1));
    }

    let matched = |arguments: &[&str]| {
        let answer = serve.json(0, &[&["match-teaser", FERRY_BLURB], arguments].concat());
        all(answer["matches"].as_array().unwrap(), "article_id").join(" ")
    };
    assert_eq!(matched(&["--other-sites-only", "--site", "x.example"]), "c");
    assert_eq!(matched(&["--earlier-only", "--seen-time", "2026-11-02"]), "a");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tour/page.txt");
    let arguments = ["analyze-page", "--other-sites-only", "--page-site", "x.example"];
    let page = serve.json(0, &[&arguments[..], &[page.to_str().unwrap()]].concat());
    assert_eq!(all(page["body_duplicates"].as_array().unwrap(), "article_id"), ["c"]);

    let skip = ["--on-duplicate", "skip", "--other-sites-only", "--published-from", "2026-11-03"];
    let of = |id: &str, site: &str| {
        serve.put(id, FERRY, &[&skip[..], &["--site", site]].concat())["outcome"].clone()
    };
    assert_eq!(of("d", "x.example"), "PUT_OUTCOME_SKIPPED");
    assert_eq!(of("d", "y.example"), "PUT_OUTCOME_CREATED");
}

#[test]
fn options_that_do_not_go_together_are_told() {
    let serve = Serve::in_memory();
    let watch = ["match-teaser", "--watch", FERRY_BLURB];
    for (arguments, expected) in [
        (vec!["--language", "en"], "cannot be used with"),
        (vec!["--earlier-only"], "cannot be used with"),
        (
            vec!["--site", "a", "--site", "b"],
            "--site is given 2 times: give the one with --page-site",
        ),
        (vec!["--site", "a", "--page-site", "b"], "--watch takes no filter: leave out --site"),
        (vec!["--seen-time", "soon"], "\"soon\" is not a time"),
    ] {
        let output = serve.run(&[&watch[..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    for arguments in [
        vec!["match-teaser", "--page-url", "https://valley.example/", FERRY_BLURB],
        vec!["watch", "--cursor", "1", "--new-only"],
        vec!["put", "--skip-duplicates", "--on-duplicate", "store"],
        vec!["put", "--min-relation", "unrelated"],
        vec!["teasers", "--delete", "x", "--limit", "1"],
        vec!["references", ""],
    ] {
        assert_eq!(serve.run(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}
