//! Ways in and out: the command line with a store in a cluster, moves from one store to
//! another, TLS with a password, and questions that replicas answer.

use std::fs;
use std::path::Path;
use std::time::Duration;

use doublon::cluster::ClusterSettings;
use doublon::engine::teaser::TeaserRequest;
use doublon::matching::verdict::Verdict;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::nodes::{article, is_sound, node, put};
use crate::support::place::settings;
use crate::support::process::{Process, doublon};
use crate::support::redis::{self, Cluster};
use crate::support::words;

fn samples(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eval").join(name);
    path.to_str().unwrap().to_owned()
}

/// A report without what depends on the machine and on moments without work.
fn verdicts(report: &str) -> Value {
    fn strip(value: &mut Value) {
        if let Value::Object(fields) = value {
            fields.retain(|name, _| {
                let is_of_machine = name.contains("second") || name.contains("bytes");
                !is_of_machine && name != "arrivals"
            });
            fields.values_mut().for_each(strip);
        } else if let Value::Array(items) = value {
            items.iter_mut().for_each(strip);
        } else if let Some(number) = value.as_f64() {
            // Sums are made in the order of hashes.
            *value = Value::String(format!("{number:.9}"));
        }
    }
    let mut report = serde_json::from_str(report).unwrap();
    strip(&mut report);
    report
}

/// All that a report says, each with where it says it.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, it)| leaves(it, &format!("{path}/{name}"), found));
        }
        Value::Array(items) => items.iter().for_each(|it| leaves(it, path, found)),
        leaf => found.push(format!("{path}: {leaf}")),
    }
}

#[test]
fn eval_gives_the_verdicts_of_an_embedded_store() {
    let Some(settings) = settings(None) else { return };
    let seeds = settings.seeds.join(",");
    let data = samples("");
    let (code, embedded) = doublon(&["eval", &data, "--output", "json"]);
    assert_eq!(code, Some(0), "{embedded}");
    let (code, shared) = doublon(&["eval", &data, "--output", "json", "--cluster", &seeds]);
    assert_eq!(code, Some(0), "{shared}");
    let (embedded, shared) = (verdicts(&embedded), verdicts(&shared));
    let right = embedded["teasers"]["verbatim"]["right_at_match"].as_str().unwrap();
    assert!(right.parse::<f64>().unwrap() > 0.9, "{right}");
    let (mut one, mut other) = (Vec::new(), Vec::new());
    leaves(&embedded, "", &mut one);
    leaves(&shared, "", &mut other);
    let differing: Vec<_> = one.iter().zip(&other).filter(|it| it.0 != it.1).collect();
    assert!(one.len() == other.len() && differing.is_empty(), "{differing:?}");
}

/// The lines of an export behind its first, which names it.
fn content(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_store_moves_into_a_cluster_and_back() {
    let Some(settings) = settings(None) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |address: &str, arguments: &[&str]| {
        let server = format!("http://{address}");
        let (code, text) = doublon(&[arguments, &["--server", &server]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    };
    let articles = file("articles.jsonl");
    let rows = fs::read_to_string(samples("articles.jsonl")).unwrap();
    let lines = rows.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let of = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let text = serde_json::json!({
            "article_id": of("id"), "title": of("title"), "description": of("lead"), "text": of("text"),
        });
        format!("{text}\n")
    });
    fs::write(&articles, lines.collect::<String>()).unwrap();
    let first = Process::in_folder(&folder.path().join("first"));
    run(&first.address, &["put", "--jsonl", &articles]);
    let teaser = format!("{} ...", words(0, 30));
    fs::write(file("teaser"), &teaser).unwrap();
    let (_, waiting) = doublon(&[
        "match-teaser",
        "--watch",
        "--file",
        &file("teaser"),
        "--server",
        &format!("http://{}", first.address),
    ]);
    assert!(waiting.contains("wait"), "{waiting}");
    run(&first.address, &["export", &file("a.jsonl")]);
    let seeds = settings.seeds.join(",");
    let in_cluster = [
        "--store",
        "cluster",
        "--cluster",
        &seeds,
        "--cluster-prefix",
        &settings.prefix,
        "--cluster-articles",
        "20000",
    ];
    let second = Process::start(&in_cluster);
    run(&second.address, &["import", &file("a.jsonl")]);
    run(&second.address, &["import", &file("a.jsonl")]);
    // By another node.
    let third = Process::start(&in_cluster);
    run(&third.address, &["export", &file("b.jsonl")]);
    let last = Process::in_folder(&folder.path().join("last"));
    run(&last.address, &["import", &file("b.jsonl")]);
    run(&last.address, &["export", &file("c.jsonl")]);
    let of = |name: &str| content(Path::new(&file(name)));
    assert!(of("a.jsonl").len() > 73);
    assert_eq!(of("a.jsonl"), of("b.jsonl"));
    assert_eq!(of("a.jsonl"), of("c.jsonl"));
    let stats = run(&third.address, &["stats", "--output", "json"]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        stats["article_count"].as_u64().or_else(|| stats["article_count"].as_str()?.parse().ok()),
        Some(73)
    );
    let backup =
        ["backup", &file("d"), "--server", &format!("http://{}", third.address)].map(str::to_owned);
    let (code, refused) = doublon(&backup.each_ref().map(String::as_str));
    assert_eq!(code, Some(2), "{refused}");
    assert!(refused.contains("doublon export"), "{refused}");
    is_sound(&settings);
}

#[test]
fn what_keeps_a_node_from_its_cluster_is_told_at_the_start() {
    let Some(settings) = settings(None) else { return };
    let serve = |arguments: &[&str]| {
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--store", "cluster"];
        doublon(&[&fixed, arguments].concat())
    };
    let (code, text) =
        serve(&["--cluster", "redis://127.0.0.1:1", "--cluster-timeout-seconds", "1"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("does not answer within 1s"), "{text}");
    let seeds = settings.seeds.join(",");
    let other = ["--cluster", &seeds, "--cluster-user", "nobody", "--cluster-timeout-seconds", "1"];
    let (code, text) = serve(&[&other[..], &["--cluster-prefix", "a b"]].concat());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("letters, digits"), "{text}");
    let no_urls = serve(&[]);
    assert!(no_urls.1.contains("give some of its nodes with cluster"), "{}", no_urls.1);
}

/// A CA, and a certificate of it for this machine, as files.
fn certificates(folder: &Path) -> [String; 3] {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.distinguished_name.push(DnType::CommonName, "a CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    [
        file("ca.pem", ca_certificate.pem()),
        file("cert.pem", certificate.pem()),
        file("key.pem", key.serialize_pem()),
    ]
}

#[test]
fn tls_and_a_password_are_spoken() {
    let Some(program) = redis::server("TLS and a password are spoken") else { return };
    let folder = tempfile::tempdir().unwrap();
    let [ca, cert, key] = certificates(folder.path());
    let cluster = Cluster::start_with_tls(program, [&ca, &cert, &key], "a secret");
    let settings = cluster.settings("tls");
    assert!(settings.seeds[0].starts_with("rediss://"));
    let engine = node(&settings);
    put(&engine, article("a", &words(0, 60))).unwrap();
    let answer = engine.match_teasers(vec![TeaserRequest::of(words(5, 20))]).remove(0).unwrap();
    assert_eq!(answer.verdict, Verdict::Match);
    for wrong in [
        ClusterSettings { password: Some("another".to_owned()), ..settings.clone() },
        ClusterSettings { tls_ca: None, ..settings },
    ] {
        let wrong = ClusterSettings { timeout: Duration::from_secs(1), ..wrong };
        let error = doublon::cluster::Cluster::connect(wrong).unwrap_err().to_string();
        assert!(!error.contains("another") && !error.contains("a secret"), "{error}");
    }
}

#[test]
fn replicas_answer_questions_where_they_may() {
    let Some(cluster) =
        redis::server("replicas answer questions").map(|it| Cluster::start(it, 1, &[]))
    else {
        return;
    };
    let settings = ClusterSettings { reads_from_replicas: true, ..cluster.settings("replicas") };
    let engine = node(&settings);
    for number in 0..20_u32 {
        put(&engine, article(&number.to_string(), &words(number * 100, 60))).unwrap();
    }
    let primaries = cluster.primaries();
    let replicas: Vec<u16> =
        cluster.nodes.iter().map(|it| it.port).filter(|it| !primaries.contains(it)).collect();
    let gets = |ports: &[u16]| -> usize {
        let texts = ports.iter().map(|it| cluster.ask(*it, &["INFO", "commandstats"]));
        let calls = texts.filter_map(|it| {
            let line = it.lines().find_map(|it| it.strip_prefix("cmdstat_get:calls="))?.to_owned();
            line.split(',').next()?.parse::<usize>().ok()
        });
        calls.sum()
    };
    let before = gets(&replicas);
    for number in 0..20_u32 {
        let asked = TeaserRequest::of(words(number * 100 + 5, 20));
        let answer = engine.match_teasers(vec![asked]).remove(0).unwrap();
        assert_eq!(answer.matches[0].id.as_str(), number.to_string());
    }
    assert!(gets(&replicas) > before, "no replica was asked");
    // What is written is decided by what the primaries have.
    let again = put(&engine, article("copy", &words(700, 60))).unwrap();
    assert_eq!(again.duplicates[0].id.as_str(), "7");
}
