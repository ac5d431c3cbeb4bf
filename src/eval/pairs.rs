//! Pairs: which near-duplicates the index finds, and how far the words of two
//! texts tell whether they are one story.

mod figures;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::json;

use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, FindRequest, RESULTS_MAX, Target};
use crate::eval::baselines::{self, Likeness};
use crate::eval::data::{ArticleRow, Dataset, PairRow};
use crate::eval::report::PairReport;
use crate::eval::{Lab, Watch, accepted, put_all};
use crate::hash::HashMap;
use crate::matching::overlap::Relation;

/// A pair with its texts, and all that was found out about it.
struct Judged<'a> {
    row: &'a PairRow,
    texts: [usize; 2],
    truth: Option<bool>,
    found: Option<Relation>,
    likeness: Likeness,
}

/// What a pair says about near-duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Copies of one text.
    Copy,
    /// Texts that are none.
    Different,
    /// The same story, or not, in other words; or not labelled.
    Other,
}

/// What a pair says about near-duplicates.
pub(super) fn role(row: &PairRow) -> Role {
    let kind = row.kind.as_str();
    let is_copy = kind.starts_with("extractor-") || matches!(kind, "same-text" | "identical-text");
    match row.label.map(|it| it >= 0.5) {
        Some(true) if is_copy => Role::Copy,
        Some(false) if !kind.starts_with("same-story") => Role::Different,
        _ => Role::Other,
    }
}

impl Judged<'_> {
    fn role(&self) -> Role {
        role(self.row)
    }

    fn pair(&self) -> (usize, usize) {
        (self.texts[0], self.texts[1])
    }

    fn is_story(&self) -> bool {
        let kind = self.row.kind.as_str();
        self.truth.is_some() && (kind.starts_with("rewrite-") || kind.starts_with("same-story"))
    }

    fn is_found(&self) -> bool {
        self.found.is_some_and(is_copy)
    }
}

fn is_copy(relation: Relation) -> bool {
    relation != Relation::Overlaps
}

/// Stores the second text of every pair, and asks for near-duplicates of the
/// first.
pub(super) fn evaluate(
    data: &Dataset,
    lab: &Lab,
    watch: &Watch<'_>,
) -> Result<PairReport, EngineError> {
    let (rows, texts) = read(data);
    let mut stored: Vec<usize> = rows.iter().map(|it| it.1[1]).collect();
    stored.sort_unstable();
    stored.dedup();
    let engine = lab.engine()?;
    let articles: Vec<ArticleRow> = stored
        .iter()
        .filter_map(|at| {
            let text = (*texts.get(*at)?).to_owned();
            Some(ArticleRow { id: id_of(*at), text, ..ArticleRow::default() })
        })
        .collect();
    put_all(&engine, &articles.iter().collect::<Vec<_>>(), "storing pairs", watch)?;
    let asked = ask(&engine, &rows, &texts, watch)?;
    let judged = judge(&engine, rows, &texts, (&asked, watch))?;
    for it in &judged {
        let wrong = match it.role() {
            Role::Copy => !it.is_found(),
            Role::Different => it.is_found(),
            Role::Other => false,
        };
        if wrong {
            watch.error(&error_case(it, &texts));
        }
    }
    Ok(figures::report(&judged, &asked))
}

pub(super) type Rows<'a> = Vec<(&'a PairRow, [usize; 2])>;

/// Every text once, with its number.
#[derive(Default)]
struct Texts<'a> {
    numbers: HashMap<&'a str, usize>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    fn number(&mut self, text: &'a str) -> Option<usize> {
        let has_tokens = text.chars().any(char::is_alphanumeric);
        has_tokens.then(|| {
            *self.numbers.entry(text).or_insert_with(|| {
                self.texts.push(text);
                self.texts.len() - 1
            })
        })
    }
}

/// The pairs, and each text once. Pairs that name an article that is not there,
/// or have an empty text, are left out.
pub(super) fn read(data: &Dataset) -> (Rows<'_>, Vec<&str>) {
    let by_id: HashMap<&str, &str> =
        data.articles.iter().map(|it| (it.id.as_str(), it.text.as_str())).collect();
    let text_of = |text: &'_ String, id: &String| -> Option<&str> {
        if text.is_empty() { by_id.get(id.as_str()).copied() } else { None }
    };
    let mut texts = Texts::default();
    let mut rows = Vec::new();
    for row in &data.pairs {
        let a = text_of(&row.a_text, &row.a_id).unwrap_or(&row.a_text);
        let b = text_of(&row.b_text, &row.b_id).unwrap_or(&row.b_text);
        if let (Some(a), Some(b)) = (texts.number(a), texts.number(b)) {
            rows.push((row, [a, b]));
        }
    }
    (rows, texts.texts)
}

pub(super) fn id_of(text: usize) -> String {
    text.to_string()
}

/// The answers for each first text, by its number: the stored texts it is
/// related to.
type Asked = BTreeMap<usize, HashMap<usize, Relation>>;

fn ask(
    engine: &Engine,
    rows: &Rows<'_>,
    texts: &[&str],
    watch: &Watch<'_>,
) -> Result<Asked, EngineError> {
    let mut firsts: Vec<usize> = rows.iter().map(|it| it.1[0]).collect();
    firsts.sort_unstable();
    firsts.dedup();
    watch.start("finding near-duplicates", firsts.len());
    let mut asked = Asked::new();
    for part in firsts.chunks(BATCH) {
        let requests: Vec<FindRequest> = part
            .iter()
            .filter_map(|at| Some(Target::Text((*texts.get(*at)?).to_owned())))
            .map(|target| FindRequest { max_results: RESULTS_MAX, ..FindRequest::of(target) })
            .collect();
        for (at, answer) in part.iter().zip(engine.find_duplicates(&requests)) {
            let number = |it: &Duplicate| Some((it.id.as_str().parse().ok()?, it.relation));
            let text = texts.get(*at).copied().unwrap_or_default();
            let found = accepted(answer, ("pairs", text), watch)?;
            let found = found.map(|it| it.duplicates).unwrap_or_default();
            asked.insert(*at, found.iter().filter_map(number).collect());
        }
        watch.done(part.len());
    }
    Ok(asked)
}

/// Questions of one call.
const BATCH: usize = 256;

fn judge<'a>(
    engine: &Engine,
    rows: Rows<'a>,
    texts: &[&str],
    (asked, watch): (&Asked, &Watch<'_>),
) -> Result<Vec<Judged<'a>>, EngineError> {
    watch.start("comparing pairs", rows.len());
    rows.into_par_iter()
        .map(|(row, [a, b])| {
            let text = |at: usize| texts.get(at).copied().unwrap_or_default();
            let likeness = baselines::likeness(engine, text(a), text(b))?;
            watch.done(1);
            Ok(Judged {
                row,
                texts: [a, b],
                truth: row.label.map(|it| it >= 0.5),
                found: asked.get(&a).and_then(|it| it.get(&b)).copied(),
                likeness,
            })
        })
        .collect()
}

fn error_case(it: &Judged<'_>, texts: &[&str]) -> serde_json::Value {
    let text = |at: usize| texts.get(at).copied().unwrap_or_default();
    json!({
        "part": "pairs", "kind": it.row.kind, "source": it.row.source, "label": it.row.label,
        "found": it.found.map(|it| format!("{it:?}")), "overlap": it.likeness.overlap,
        "jaccard_3": it.likeness.baseline("jaccard_3"),
        "a_text": text(it.texts[0]), "b_text": text(it.texts[1]),
    })
}
