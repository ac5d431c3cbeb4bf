//! Pages: how much of the body the split finds, and what else it takes for it.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::json;

use crate::engine::error::EngineError;
use crate::engine::page::{PageAnswer, PageRequest};
use crate::eval::data::PageRow;
use crate::eval::measures::{Confusion, bag_overlap, f1, mean};
use crate::eval::report::{OriginReport, PageBaseline, PageReport};
use crate::eval::{Lab, Watch, accepted};
use crate::text::page::SegmentKind;
use crate::text::tokens::{TokenHash, Tokens};

/// Words of a line of the baseline's body, more than this many.
const LONG_LINE_WORDS: usize = 12;

/// What was found on one page.
struct Found {
    precision: f64,
    recall: f64,
    /// Lines that are not body, where they are labelled.
    others: Option<Confusion>,
    /// F1 of the best run of long lines, and of the whole page.
    baselines: [f64; 2],
}

const BASELINES: [&str; 2] = ["best_run_of_lines_over_12_words", "whole_page"];

/// Splits every page in an empty store, so that only its cues speak.
pub(super) fn evaluate(
    rows: &[PageRow],
    lab: &Lab,
    watch: &Watch<'_>,
) -> Result<PageReport, EngineError> {
    let engine = lab.engine()?;
    watch.start("splitting pages", rows.len());
    let from = lab.clock.elapsed();
    let answers: Vec<Result<PageAnswer, EngineError>> = rows
        .par_iter()
        .map(|row| {
            let request = PageRequest { max_results: 1, ..PageRequest::of(row.page_text.clone()) };
            let answer = engine.analyze_page(&request);
            watch.done(1);
            answer
        })
        .collect();
    let seconds = lab.clock.since(from).as_secs_f64();
    let mut found = Vec::with_capacity(rows.len());
    for (row, answer) in rows.iter().zip(answers) {
        let Some(answer) = accepted(answer, ("pages", &row.id), watch)? else { continue };
        let one = judge(row, &answer);
        if one.precision < 1.0 || one.recall < 1.0 {
            watch.error(&error_case(row, &answer, &one));
        }
        found.push((row.body_origin.as_str(), one));
    }
    Ok(report(&found, seconds))
}

fn judge(row: &PageRow, answer: &PageAnswer) -> Found {
    let truth = Tokens::of(&row.body_text).hashes;
    let body = tokens_where(row, answer, |it| it == SegmentKind::Body);
    let whole = Tokens::of(&row.page_text).hashes;
    let (precision, recall) = bag_overlap(&body, &truth);
    let of = |found: &[TokenHash]| {
        let (precision, recall) = bag_overlap(found, &truth);
        f1(precision, recall)
    };
    Found {
        precision,
        recall,
        others: others(row, answer),
        baselines: [of(&best_run_of_long_lines(&row.page_text)), of(&whole)],
    }
}

fn tokens_where(
    row: &PageRow,
    answer: &PageAnswer,
    wanted: impl Fn(SegmentKind) -> bool,
) -> Vec<TokenHash> {
    let segments = answer.segments.iter().filter(|it| wanted(it.kind));
    segments.flat_map(|it| Tokens::of(it.span.of(&row.page_text)).hashes).collect()
}

/// Lines that are not body, found against labelled. `None` where the labels are
/// not those of the page's lines.
fn others(row: &PageRow, answer: &PageAnswer) -> Option<Confusion> {
    let lines: Vec<&str> = row.page_text.split('\n').collect();
    if row.labels.len() != lines.len() {
        return None;
    }
    let mut start = 0;
    let mut labels = BTreeMap::new();
    for (line, label) in lines.iter().zip(&row.labels) {
        labels.insert(start, label == "body");
        start += line.len() + 1;
    }
    let mut counts = Confusion::default();
    for segment in &answer.segments {
        let at = segment.span.start as usize;
        let is_body = labels.range(..=at).next_back().is_some_and(|it| *it.1);
        counts.count(!is_body, segment.kind != SegmentKind::Body);
    }
    Some(counts)
}

/// The run of lines in which those of more than [`LONG_LINE_WORDS`] words
/// outweigh the others most.
fn best_run_of_long_lines(page: &str) -> Vec<TokenHash> {
    let lines: Vec<Tokens> = page.lines().map(Tokens::of).collect();
    let score = |it: &Tokens| {
        let words = i64::try_from(it.words()).unwrap_or(i64::MAX);
        if it.words() > LONG_LINE_WORDS { words } else { -LONG_LINE_COST }
    };
    let (mut best, mut best_run) = (0, 0..0);
    let (mut sum, mut start) = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        sum += score(line);
        if sum > best {
            (best, best_run) = (sum, start..at + 1);
        }
        if sum <= 0 {
            (sum, start) = (0, at + 1);
        }
    }
    let run = lines.get(best_run).unwrap_or_default();
    let long = run.iter().filter(|it| it.words() > LONG_LINE_WORDS);
    long.flat_map(|it| it.hashes.iter().copied()).collect()
}

/// What a short line costs the baseline's run, in words.
const LONG_LINE_COST: i64 = 12;

fn report(found: &[(&str, Found)], seconds: f64) -> PageReport {
    let mut origins: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
    for (origin, one) in found {
        origins.entry((*origin).to_owned()).or_default().push(one);
    }
    let all: Vec<&Found> = found.iter().map(|it| &it.1).collect();
    let total = origin_report(&all);
    let baselines = BASELINES.iter().enumerate().map(|(at, name)| {
        let of = |of: &[&Found]| mean(of.iter().filter_map(|it| it.baselines.get(at).copied()));
        let by_origin = origins.iter().map(|(origin, of_it)| (origin.clone(), of(of_it)));
        let baseline = PageBaseline { body_token_f1: of(&all), by_origin: by_origin.collect() };
        ((*name).to_owned(), baseline)
    });
    PageReport {
        count: total.count,
        body_token_f1: total.body_token_f1,
        body_token_precision: total.body_token_precision,
        body_token_recall: total.body_token_recall,
        other_line_f1: total.other_line_f1.unwrap_or(0.0),
        pages_per_second: found.len() as f64 / seconds.max(1e-9),
        baselines: baselines.collect(),
        by_origin: origins.iter().map(|(name, of)| (name.clone(), origin_report(of))).collect(),
    }
}

fn origin_report(found: &[&Found]) -> OriginReport {
    let lines = found.iter().filter_map(|it| it.others);
    let other_line_f1 = lines.reduce(|mut a, b| {
        a.hits += b.hits;
        a.misses += b.misses;
        a.false_alarms += b.false_alarms;
        a
    });
    OriginReport {
        count: found.len(),
        body_token_f1: mean(found.iter().map(|it| f1(it.precision, it.recall))),
        body_token_precision: mean(found.iter().map(|it| it.precision)),
        body_token_recall: mean(found.iter().map(|it| it.recall)),
        other_line_f1: other_line_f1.map(Confusion::f1),
    }
}

fn error_case(row: &PageRow, answer: &PageAnswer, found: &Found) -> serde_json::Value {
    let lines: Vec<serde_json::Value> = answer
        .segments
        .iter()
        .map(|it| json!({"kind": format!("{:?}", it.kind), "text": it.span.of(&row.page_text)}))
        .collect();
    json!({
        "part": "pages", "id": row.id, "body_origin": row.body_origin,
        "precision": found.precision, "recall": found.recall,
        "body_text": row.body_text, "segments": lines,
    })
}
