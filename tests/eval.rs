//! `doublon eval` on a small data set of our own writing: the bars that the
//! answers must clear, and the shape that scripts rely on.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

fn eval(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_doublon"))
        .arg("eval")
        .args(arguments)
        .env_remove("DOUBLON_OUTPUT")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn samples() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eval").to_str().unwrap().to_owned()
}

fn number(report: &Value, path: &str) -> f64 {
    let found = path.split('/').fold(report, |value, key| &value[key]);
    assert!(found.is_number(), "{path} is no number: {found}");
    found.as_f64().unwrap()
}

/// The bars of the smoke data: those of the real data where it is large enough for
/// them.
#[test]
fn the_bars_hold() {
    let (ok, out, error) = eval(&[&samples(), "--output", "json"]);
    assert!(ok, "{error}");
    let report: Value = serde_json::from_str(&out).unwrap();
    for (path, min) in [
        ("teasers/verbatim/right_at_match", 0.98),
        ("teasers/edited/right_at_match", 0.8),
        ("teasers/rewritten/right_at_match_or_possible", 0.6),
        ("teasers/precision_at_match", 0.99),
        ("pairs/near_duplicates/recall", 0.99),
        ("pairs/near_duplicates/precision", 0.99),
        ("pages/body_token_f1", 0.94),
        ("pages/other_line_f1", 0.9),
    ] {
        assert!(number(&report, path) >= min, "{path}: {} < {min}", number(&report, path));
    }
    for (path, max) in [
        ("teasers/held_out/wrong_at_match", 0.0),
        ("teasers/held_out/wrong_at_match_or_possible", 0.03),
        ("teasers/slogans/wrong_at_match", 0.0),
    ] {
        assert!(number(&report, path) <= max, "{path}: {} > {max}", number(&report, path));
    }
}

#[test]
fn the_report_has_what_scripts_rely_on() {
    let folder = TempDir::new().unwrap();
    let (plots, errors) = (folder.path().join("plots"), folder.path().join("errors.jsonl"));
    let (ok, out, error) = eval(&[
        &samples(),
        "--output",
        "json",
        "--holdout-percent",
        "40",
        "--plots",
        plots.to_str().unwrap(),
        "--errors",
        errors.to_str().unwrap(),
    ]);
    assert!(ok, "{error}");
    let report: Value = serde_json::from_str(&out).unwrap();
    for class in ["verbatim", "edited", "rewritten"] {
        for key in
            ["count", "match", "match_or_possible", "right_at_match", "right_at_match_or_possible"]
        {
            number(&report, &format!("teasers/{class}/{key}"));
        }
    }
    for path in [
        "articles",
        "seconds",
        "teasers/held_out/count",
        "teasers/held_out/wrong_at_match",
        "teasers/held_out/wrong_at_match_or_possible",
        "teasers/held_out/same_text_elsewhere",
        "teasers/slogans/count",
        "teasers/slogans/wrong_at_match",
        "teasers/precision_at_match",
        "teasers/by_language/fr/count",
        "teasers/by_length/13-24/count",
        "pairs/near_duplicates/count",
        "pairs/near_duplicates/precision",
        "pairs/near_duplicates/recall",
        "pairs/near_duplicates/f1",
        "pairs/same_story/count",
        "pairs/same_story/best_f1",
        "pairs/by_source/smoke/f1",
        "pairs/baselines/jaccard_3/best_f1",
        "pairs/baselines/jaccard_3/threshold",
        "pages/count",
        "pages/body_token_f1",
        "pages/other_line_f1",
        "pages/by_origin/human-block-labels/body_token_f1",
        "pages/baselines/whole_page/body_token_f1",
    ] {
        number(&report, path);
    }
    let held_out = number(&report, "teasers/held_out/count");
    assert!(held_out > 50.0, "two fifths are left out: {held_out}");
    for name in ["calibration.svg", "teasers.svg", "pairs.svg"] {
        let plot = std::fs::read_to_string(plots.join(name)).unwrap();
        assert!(plot.starts_with("<svg") && plot.contains("<polyline"), "{name}");
    }
    let cases = std::fs::read_to_string(&errors).unwrap();
    assert!(cases.lines().all(|it| serde_json::from_str::<Value>(it).unwrap()["part"].is_string()));
}

#[test]
fn a_wrong_folder_and_a_bad_line_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let (ok, _, error) = eval(&[path]);
    assert!(!ok && error.contains("has none of articles.jsonl"), "{error}");
    let (ok, _, error) = eval(&["/nowhere"]);
    assert!(!ok && error.contains("/nowhere is not a folder"), "{error}");
    std::fs::write(folder.path().join("pairs.jsonl"), "{\"a_text\":\"a\"}\n{\"label\":\n").unwrap();
    let (ok, _, error) = eval(&[path]);
    assert!(!ok && error.contains("pairs.jsonl: line 2: not a row"), "{error}");
}

/// A text table is for people; it names the figures and ends with the speed.
#[test]
fn the_table_can_be_read() {
    let (ok, out, error) = eval(&[&samples()]);
    assert!(ok, "{error}");
    for part in [
        "Teasers of stored articles",
        "rewritten",
        "Near-duplicate pairs",
        "Pages:",
        "teasers a second",
    ] {
        assert!(out.contains(part), "{part} not in {out}");
    }
}
