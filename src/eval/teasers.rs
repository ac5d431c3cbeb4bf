//! Teasers: does each find its article, and what do those find whose article is
//! not stored?

mod figures;
pub(super) mod truth;

use rayon::prelude::*;
use serde_json::json;

use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::teaser::{TeaserAnswer, TeaserRequest};
use crate::eval::data::{ArticleRow, Dataset};
use crate::eval::recombine::Sentences;
use crate::eval::report::{Report, ScaleStep};
use crate::eval::teasers::truth::{Class, Truth, Truths};
use crate::eval::{Lab, Observer, Options, Watch, accepted, is_held_out, put_all};
use crate::hash::HashMap;
use crate::matching::verdict::Verdict;

/// Teasers of one call.
const BATCH: usize = 512;

/// What the first match of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is none.
    Unanswered,
    /// The teaser's article, or one that holds the same text at least as well.
    Right,
    /// Its article is not stored, and this one holds the same text.
    SameText,
    /// Another article.
    Wrong,
}

/// A teaser's answer, judged.
#[derive(Debug, Clone)]
struct Judged<'a> {
    truth: &'a Truth<'a>,
    verdict: Verdict,
    outcome: Outcome,
    confidence: f64,
    /// The article that is answered first.
    found: Option<&'a ArticleRow>,
}

impl Judged<'_> {
    fn is_match(&self) -> bool {
        self.verdict == Verdict::Match
    }

    fn is_answer(&self) -> bool {
        self.verdict <= Verdict::Possible
    }
}

/// The articles that are stored, in the order in which they are.
struct Stages<'a> {
    own: Vec<&'a ArticleRow>,
    background: Vec<&'a ArticleRow>,
    recombined: Vec<ArticleRow>,
}

/// Stores the articles that are not held out, then the background, then the
/// recombined, and asks for all teasers after each; the figures of teasers are
/// those with all real articles.
pub(super) fn evaluate(
    data: &Dataset,
    options: Options,
    (lab, observer): (&Lab, &dyn Observer),
    report: &mut Report,
) -> Result<(), EngineError> {
    let stages = stages(data, options);
    let truths = Truths::of(data, options.holdout_percent);
    let engine = lab.engine()?;
    let mut run = Run {
        engine,
        lab,
        watch: observer,
        articles: HashMap::default(),
        stored: 0,
        recombined: 0,
    };
    let mut judged = Vec::new();
    for (rows, step) in
        [(&stages.own, "storing articles"), (&stages.background, "storing background")]
    {
        if !rows.is_empty() {
            run.put(rows, step, report)?;
            judged = run.ask(&truths, report)?;
            report.scale.push(run.scale_step(&judged, report)?);
        }
    }
    report.articles = run.stored;
    report.index_bytes_per_article = run.index_bytes()?;
    let term_bytes = run.engine.stats()?.index.term_bytes as f64;
    report.term_bytes_per_article = term_bytes / (run.stored as f64).max(1.0);
    if !truths.teasers.is_empty() {
        judged
            .iter()
            .filter(|it| it.outcome == Outcome::Wrong || figures::is_missed(it))
            .for_each(|it| observer.error(&error_case(it)));
        report.teasers = Some(figures::report(&judged));
    }
    let mut rest = stages.recombined.as_slice();
    // The report's speeds are those with real articles.
    let mut grown = report.clone();
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(run.stored.clamp(1, rest.len()));
        run.recombined += part.len();
        run.put(&part.iter().collect::<Vec<_>>(), "storing recombined articles", &mut grown)?;
        let judged = run.ask(&truths, &mut grown)?;
        report.scale.push(run.scale_step(&judged, &grown)?);
        rest = behind;
    }
    Ok(())
}

fn stages(data: &Dataset, options: Options) -> Stages<'_> {
    let own: Vec<&ArticleRow> =
        data.articles.iter().filter(|it| !is_held_out(&it.id, options.holdout_percent)).collect();
    let background: Vec<&ArticleRow> = data.background.iter().collect();
    let real = own.len() + background.len();
    let missing = options.recombine_up_to.saturating_sub(real);
    let mut recombined = Vec::new();
    if missing > 0 {
        let sentences = Sentences::of(&[own.clone(), background.clone()].concat());
        recombined = (0..missing).into_par_iter().filter_map(|it| sentences.article(it)).collect();
    }
    Stages { own, background, recombined }
}

struct Run<'a> {
    engine: Engine,
    lab: &'a Lab,
    watch: &'a Watch<'a>,
    articles: HashMap<&'a str, &'a ArticleRow>,
    stored: usize,
    recombined: usize,
}

impl<'a> Run<'a> {
    fn put(
        &mut self,
        rows: &[&'a ArticleRow],
        step: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let from = self.lab.clock.elapsed();
        let stored = put_all(&self.engine, rows, step, self.watch)?;
        let seconds = self.lab.clock.since(from).as_secs_f64();
        if self.recombined == 0 {
            report.articles_per_second = stored as f64 / seconds.max(1e-9);
        }
        self.articles.extend(rows.iter().map(|it| (it.id.as_str(), *it)));
        self.stored += stored;
        Ok(())
    }

    fn ask(
        &self,
        truths: &'a Truths<'a>,
        report: &mut Report,
    ) -> Result<Vec<Judged<'a>>, EngineError> {
        self.watch.start("matching teasers", truths.teasers.len());
        let mut judged = Vec::with_capacity(truths.teasers.len());
        let mut seconds = 0.0;
        for part in truths.teasers.chunks(BATCH) {
            let requests: Vec<TeaserRequest> =
                part.iter().map(|it| TeaserRequest::of(it.row.teaser.clone())).collect();
            let from = self.lab.clock.elapsed();
            let answers = self.engine.match_teasers(requests);
            seconds += self.lab.clock.since(from).as_secs_f64();
            let answers: Vec<TeaserAnswer> = part
                .iter()
                .zip(answers)
                .map(|(truth, answer)| {
                    let place = ("teasers", truth.row.teaser.as_str());
                    Ok(accepted(answer, place, self.watch)?.unwrap_or_else(no_answer))
                })
                .collect::<Result<_, EngineError>>()?;
            judged.par_extend(
                part.par_iter()
                    .zip(answers)
                    .map(|(truth, answer)| self.judge(truths, truth, &answer)),
            );
            self.watch.done(part.len());
        }
        report.teasers_per_second = truths.teasers.len() as f64 / seconds.max(1e-9);
        Ok(judged)
    }

    fn judge(
        &self,
        truths: &Truths<'a>,
        truth: &'a Truth<'a>,
        answer: &TeaserAnswer,
    ) -> Judged<'a> {
        let first = answer.matches.first();
        let found = first.and_then(|it| self.articles.get(it.id.as_str()).copied());
        let outcome = match found {
            None => Outcome::Unanswered,
            Some(found) => truths.outcome(truth, found),
        };
        let confidence = first.map_or(0.0, |it| it.confidence);
        Judged { truth, verdict: answer.verdict, outcome, confidence, found }
    }

    fn index_bytes(&self) -> Result<f64, EngineError> {
        Ok(self.engine.stats()?.index.bytes as f64 / (self.stored as f64).max(1.0))
    }

    fn scale_step(&self, judged: &[Judged<'_>], report: &Report) -> Result<ScaleStep, EngineError> {
        let mut step = figures::scale_step(judged);
        step.real_articles = self.stored.saturating_sub(self.recombined);
        step.recombined_articles = self.recombined;
        step.index_bytes_per_article = self.index_bytes()?;
        step.microseconds_per_teaser = 1e6 / report.teasers_per_second.max(1e-9);
        Ok(step)
    }
}

/// What a teaser gets that the engine refuses.
fn no_answer() -> TeaserAnswer {
    TeaserAnswer {
        verdict: Verdict::InsufficientEvidence,
        matches: Vec::new(),
        evidence_bits_min: 0.0,
        id: None,
    }
}

fn error_case(it: &Judged<'_>) -> serde_json::Value {
    let row = it.truth.row;
    let class = match it.truth.class {
        _ if row.suspect_generic => "slogan",
        Some(_) if !it.truth.is_stored => "held_out",
        Some(Class::Verbatim) => "verbatim",
        Some(Class::Edited) => "edited",
        Some(Class::Rewritten) => "rewritten",
        None => "held_out",
    };
    let article = |it: &ArticleRow| json!({"id": it.id, "title": it.title, "text": it.text});
    json!({
        "part": "teasers", "class": class, "language": row.lang, "teaser": row.teaser,
        "verdict": format!("{:?}", it.verdict), "outcome": format!("{:?}", it.outcome),
        "confidence": it.confidence, "containment_5": it.truth.containment,
        "article_id": row.article_id, "article": it.truth.own.map(article),
        "found": it.found.map(article),
    })
}
