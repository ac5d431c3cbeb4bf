//! What is built in: every crate comes from crates.io, by checksum, under a licence
//! that `deny.toml` allows. Needs no network. Known vulnerabilities need one:
//! `.ci/run` says how they are looked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All crates but doublon: what cargo says of them.
fn crates() -> Vec<Value> {
    // Only what is on this machine, which cargo has fetched to build the test.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &host()])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = metadata["packages"].as_array().unwrap();
    all.iter().filter(|it| it["name"] != "doublon").cloned().collect()
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|it| it.strip_prefix("host: ")).unwrap().to_owned()
}

fn allowed() -> Vec<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let allowed = table["licenses"]["allow"].as_array().unwrap();
    allowed.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met: AND binds closer than OR; "/" is an old
/// form of OR; an exception only adds to what a licence allows.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any(&words, allowed);
    assert!(rest.is_empty(), "{expression}: {rest:?}");
    met
}

fn any<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = all(words, allowed);
    while let Some((&"OR", after)) = rest.split_first() {
        let (other, left) = all(after, allowed);
        (met, rest) = (met | other, left);
    }
    (met, rest)
}

fn all<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let Some((&"AND", after)) = rest.split_first() {
        let (other, left) = one(after, allowed);
        (met, rest) = (met & other, left);
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (&word, rest) = words.split_first().unwrap();
    if word == "(" {
        let (met, rest) = any(rest, allowed);
        assert_eq!(rest.first(), Some(&")"));
        return (met, &rest[1..]);
    }
    let rest = if rest.first() == Some(&"WITH") { &rest[2..] } else { rest };
    (allowed.iter().any(|it| it == word), rest)
}

#[test]
fn every_crate_is_of_crates_io_and_of_a_licence_that_is_allowed() {
    let allowed = allowed();
    let crates = crates();
    assert!(crates.len() > 100);
    for it in &crates {
        let name = &it["name"];
        assert_eq!(it["source"], REGISTRY, "{name}");
        let licence = it["license"].as_str().unwrap_or_default();
        assert!(!licence.is_empty() && is_met(licence, &allowed), "{name}: {licence}");
    }
}

#[test]
fn every_crate_is_locked_by_its_checksum() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    for it in lock["package"].as_array().unwrap() {
        let name = it["name"].as_str().unwrap();
        assert_eq!(it.get("checksum").is_some(), name != "doublon", "{name}");
    }
}

#[test]
fn licences_are_read_as_spdx_has_them() {
    let allowed = ["MIT", "Zlib", "Apache-2.0"].map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("GPL-3.0 AND MIT OR Zlib", true),
        ("MIT AND (GPL-3.0 OR Zlib)", true),
        ("(MIT OR Zlib) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception AND MIT", true),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}
