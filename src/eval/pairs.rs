//! Pairs: which near-duplicates the index finds, and how far the words of two
//! texts tell whether they are one story.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::json;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, FindRequest, RESULTS_MAX, Target};
use crate::eval::baselines::{self, Likeness};
use crate::eval::data::{ArticleRow, Dataset, PairRow};
use crate::eval::measures::{
    Confusion, adjusted_rand_index, average_precision, best_f1, components, curve, mean, share,
};
use crate::eval::report::{
    KindReport, NearDuplicateReport, PairReport, SourceReport, StoryReport, StorySourceReport,
};
use crate::eval::{Watch, put_all, scratch_engine};
use crate::hash::HashMap;
use crate::index::Filter;
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
enum Role {
    /// Copies of one text.
    Copy,
    /// Texts that are none.
    Different,
    /// The same story, or not, in other words; or not labelled.
    Other,
}

impl Judged<'_> {
    fn role(&self) -> Role {
        let kind = self.row.kind.as_str();
        let is_copy =
            kind.starts_with("extractor-") || matches!(kind, "same-text" | "identical-text");
        match self.truth {
            Some(true) if is_copy => Role::Copy,
            Some(false) if !kind.starts_with("same-story") => Role::Different,
            _ => Role::Other,
        }
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
    clock: &Clock,
    watch: &Watch<'_>,
) -> Result<PairReport, EngineError> {
    let (rows, texts) = read(data);
    let mut stored: Vec<usize> = rows.iter().map(|it| it.1[1]).collect();
    stored.sort_unstable();
    stored.dedup();
    let engine = scratch_engine(clock)?;
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
    Ok(report(&judged, &asked, texts.len()))
}

type Rows<'a> = Vec<(&'a PairRow, [usize; 2])>;

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
fn read(data: &Dataset) -> (Rows<'_>, Vec<&str>) {
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

fn id_of(text: usize) -> String {
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
            .map(|target| FindRequest { target, filter: Filter::all(), max_results: RESULTS_MAX })
            .collect();
        for (at, answer) in part.iter().zip(engine.find_duplicates(&requests)) {
            let number = |it: &Duplicate| Some((it.id.as_str().parse().ok()?, it.relation));
            asked.insert(*at, answer?.iter().filter_map(number).collect());
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

fn report(judged: &[Judged<'_>], asked: &Asked, text_count: usize) -> PairReport {
    let near: Vec<&Judged<'_>> = judged.iter().filter(|it| it.role() != Role::Other).collect();
    let scored = scores(&near, |it| it.overlap);
    let counts = confusion(&near);
    PairReport {
        near_duplicates: NearDuplicateReport {
            count: near.len(),
            positives: near.iter().filter(|it| it.role() == Role::Copy).count(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            best_f1: best_f1(&scored).best_f1,
            average_precision: average_precision(&scored),
            adjusted_rand_index: agreement(&near, asked, text_count),
        },
        same_story: story_report(judged),
        by_source: by_source(&near),
        by_kind: by_kind(judged),
        baselines: baselines::NAMES
            .iter()
            .map(|name| {
                let scored = scores(&near, |it| it.baseline(name));
                ((*name).to_owned(), best_f1(&scored))
            })
            .collect(),
        curve: curve(&scored),
    }
}

fn scores(of: &[&Judged<'_>], score: impl Fn(&Likeness) -> f64) -> Vec<(f64, bool)> {
    of.iter().map(|it| (score(&it.likeness), it.truth == Some(true))).collect()
}

fn confusion(of: &[&Judged<'_>]) -> Confusion {
    let mut counts = Confusion::default();
    for it in of {
        counts.count(it.truth == Some(true), it.is_found());
    }
    counts
}

/// The groups that all found relations make among the texts of the pairs, against
/// those that the labels make.
fn agreement(near: &[&Judged<'_>], asked: &Asked, text_count: usize) -> f64 {
    let mut in_play = vec![false; text_count];
    for at in near.iter().flat_map(|it| it.texts) {
        if let Some(place) = in_play.get_mut(at) {
            *place = true;
        }
    }
    let labelled =
        near.iter().filter(|it| it.truth == Some(true)).map(|it| (it.texts[0], it.texts[1]));
    let found = asked.iter().flat_map(|(a, found)| {
        found.iter().filter(|it| is_copy(*it.1)).map(move |(b, _)| (*a, *b))
    });
    let of_those_in_play = |groups: Vec<usize>| -> Vec<usize> {
        groups.into_iter().zip(&in_play).filter(|it| *it.1).map(|it| it.0).collect()
    };
    adjusted_rand_index(
        &of_those_in_play(components(text_count, labelled)),
        &of_those_in_play(components(text_count, found)),
    )
}

fn groups<'a, 'b>(
    of: &[&'b Judged<'a>],
    key: impl Fn(&Judged<'a>) -> &'a str,
) -> BTreeMap<String, Vec<&'b Judged<'a>>> {
    let mut groups: BTreeMap<String, Vec<&Judged<'_>>> = BTreeMap::new();
    for it in of {
        groups.entry(key(it).to_owned()).or_default().push(it);
    }
    groups
}

fn by_source(near: &[&Judged<'_>]) -> BTreeMap<String, SourceReport> {
    let report = |of: &[&Judged<'_>]| {
        let counts = confusion(of);
        let scored = scores(of, |it| it.overlap);
        SourceReport {
            count: of.len(),
            positives: counts.hits + counts.misses,
            false_alarms: counts.false_alarms,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            best_f1: best_f1(&scored).best_f1,
            average_precision: average_precision(&scored),
        }
    };
    groups(near, |it| it.row.source.as_str()).into_iter().map(|it| (it.0, report(&it.1))).collect()
}

fn by_kind(judged: &[Judged<'_>]) -> BTreeMap<String, KindReport> {
    let all: Vec<&Judged<'_>> = judged.iter().filter(|it| it.truth.is_some()).collect();
    let different: Vec<&Judged<'_>> =
        all.iter().copied().filter(|it| it.role() == Role::Different).collect();
    let report = |of: &[&Judged<'_>]| {
        let (yes, no): (Vec<&Judged<'_>>, Vec<&Judged<'_>>) =
            of.iter().copied().partition(|it| it.truth == Some(true));
        let found =
            |of: &[&Judged<'_>]| share(of.iter().filter(|it| it.is_found()).count(), of.len());
        let against: Vec<&Judged<'_>> = if no.is_empty() { different.clone() } else { no.clone() };
        let scored = scores(&[yes.clone(), against].concat(), |it| it.story);
        KindReport {
            positives: yes.len(),
            positives_found: found(&yes),
            negatives: no.len(),
            negatives_found: found(&no),
            positives_story_score: mean(yes.iter().map(|it| it.likeness.story)),
            story_best_f1: best_f1(&scored).best_f1,
        }
    };
    groups(&all, |it| it.row.kind.as_str()).into_iter().map(|it| (it.0, report(&it.1))).collect()
}

/// Story pairs; where a collection has none that are different, those of the other
/// kinds stand against them.
fn story_report(judged: &[Judged<'_>]) -> StoryReport {
    let stories: Vec<&Judged<'_>> = judged.iter().filter(|it| it.is_story()).collect();
    let different: Vec<&Judged<'_>> =
        judged.iter().filter(|it| it.role() == Role::Different).collect();
    let by_source = groups(&stories, |it| it.row.source.as_str()).into_iter().map(|(name, of)| {
        let count = of.len();
        let of = with_negatives(of, &different);
        let best = best_f1(&scores(&of, |it| it.story));
        let jaccard = best_f1(&scores(&of, |it| it.baseline("jaccard_1")));
        let report = StorySourceReport {
            count,
            best_f1: best.best_f1,
            threshold: best.threshold,
            jaccard_words_best_f1: jaccard.best_f1,
        };
        (name, report)
    });
    let best = best_f1(&scores(&stories, |it| it.story));
    StoryReport {
        count: stories.len(),
        best_f1: best.best_f1,
        threshold: best.threshold,
        by_source: by_source.collect(),
    }
}

fn with_negatives<'a, 'b>(
    of: Vec<&'b Judged<'a>>,
    different: &[&'b Judged<'a>],
) -> Vec<&'b Judged<'a>> {
    if of.iter().any(|it| it.truth == Some(false)) {
        return of;
    }
    let source = of.first().map_or("", |it| it.row.source.as_str());
    let own: Vec<&Judged<'_>> =
        different.iter().copied().filter(|it| it.row.source == source).collect();
    let negatives = if own.is_empty() { different } else { &own };
    [of.as_slice(), negatives].concat()
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
