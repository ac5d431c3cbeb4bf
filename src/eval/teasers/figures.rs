//! The figures of judged teasers.

use std::collections::BTreeMap;

use crate::eval::measures::{CurvePoint, mean, recall_curve, share};
use crate::eval::report::{
    CalibrationBin, ClassReport, GroupReport, HeldOutReport, ScaleStep, SloganReport, TeaserReport,
};
use crate::eval::teasers::truth::Class;
use crate::eval::teasers::{Judged, Outcome};
use crate::matching::verdict::Verdict;

/// Lengths of teasers in words: the first of each range, and its name.
const LENGTHS: [(usize, &str); 6] =
    [(0, "1-3"), (4, "4-7"), (8, "8-12"), (13, "13-24"), (25, "25-49"), (50, "50+")];
/// Points of a curve that are kept.
const CURVE_POINTS: usize = 400;

/// All figures.
pub(super) fn report(judged: &[Judged<'_>]) -> TeaserReport {
    let slogans: Vec<&Judged<'_>> = judged.iter().filter(|it| is_slogan(it)).collect();
    let stored: Vec<&Judged<'_>> = judged.iter().filter(|it| is_stored(it)).collect();
    let of_class = |class| class_report(&of_class(&stored, class));
    let matched = judged.iter().filter(|it| it.is_match()).count();
    let wrong = judged.iter().filter(|it| is_wrong_match(it)).count();
    TeaserReport {
        verbatim: of_class(Class::Verbatim),
        edited: of_class(Class::Edited),
        rewritten: of_class(Class::Rewritten),
        held_out: held_out_report(judged),
        slogans: SloganReport {
            count: slogans.len(),
            wrong_at_match: share(
                slogans.iter().filter(|it| is_wrong_match(it)).count(),
                slogans.len(),
            ),
        },
        precision_at_match: share(matched - wrong, matched),
        by_language: groups(&stored, |it| language(&it.truth.row.lang)),
        by_length: groups(&stored, |it| length(it.truth.tokens.words())),
        calibration: calibration(judged),
        curve: curve(judged),
    }
}

/// The figures of one size of the store that follow from answers.
pub(super) fn scale_step(judged: &[Judged<'_>]) -> ScaleStep {
    let stored: Vec<&Judged<'_>> = judged.iter().filter(|it| is_stored(it)).collect();
    let held_out: Vec<&Judged<'_>> = judged.iter().filter(|it| is_held_out(it)).collect();
    let rewritten = class_report(&of_class(&stored, Class::Rewritten));
    let wrong = |recombined: bool, counts: &dyn Fn(&Judged<'_>) -> bool| {
        let is_recombined =
            |it: &Judged<'_>| it.found.is_some_and(|it| it.id.starts_with("recombined:"));
        let found = held_out.iter().filter(|it| {
            it.outcome == Outcome::Wrong && counts(it) && is_recombined(it) == recombined
        });
        share(found.count(), held_out.len())
    };
    ScaleStep {
        right_at_match: class_report(&stored).right_at_match,
        rewritten_right_at_match_or_possible: rewritten.right_at_match_or_possible,
        held_out: held_out.len(),
        wrong_at_match_real: wrong(false, &|it| it.is_match()),
        wrong_at_match_recombined: wrong(true, &|it| it.is_match()),
        wrong_at_match_or_possible_real: wrong(false, &|it| it.is_answer()),
        wrong_at_match_or_possible_recombined: wrong(true, &|it| it.is_answer()),
        ..ScaleStep::default()
    }
}

/// Whether a teaser of a stored article is not answered at all.
pub(super) fn is_missed(it: &Judged<'_>) -> bool {
    is_stored(it) && !it.is_answer()
}

fn is_slogan(it: &Judged<'_>) -> bool {
    it.truth.row.suspect_generic
}

fn is_stored(it: &Judged<'_>) -> bool {
    it.truth.is_stored && !is_slogan(it)
}

fn is_held_out(it: &Judged<'_>) -> bool {
    !it.truth.is_stored && !is_slogan(it)
}

fn is_wrong_match(it: &Judged<'_>) -> bool {
    it.is_match() && it.outcome == Outcome::Wrong
}

fn of_class<'a, 'b>(of: &[&'b Judged<'a>], class: Class) -> Vec<&'b Judged<'a>> {
    of.iter().copied().filter(|it| it.truth.class == Some(class)).collect()
}

fn class_report(of: &[&Judged<'_>]) -> ClassReport {
    let part = |counts: &dyn Fn(&Judged<'_>) -> bool| {
        share(of.iter().filter(|it| counts(it)).count(), of.len())
    };
    let is_right = |it: &Judged<'_>| it.outcome == Outcome::Right;
    ClassReport {
        count: of.len(),
        matched: part(&|it| it.is_match()),
        match_or_possible: part(&|it| it.is_answer()),
        insufficient_evidence: part(&|it| it.verdict == Verdict::InsufficientEvidence),
        right_at_match: part(&|it| it.is_match() && is_right(it)),
        right_at_match_or_possible: part(&|it| it.is_answer() && is_right(it)),
    }
}

fn held_out_report(judged: &[Judged<'_>]) -> HeldOutReport {
    let of: Vec<&Judged<'_>> = judged.iter().filter(|it| is_held_out(it)).collect();
    let part = |counts: &dyn Fn(&Judged<'_>) -> bool| {
        share(of.iter().filter(|it| counts(it)).count(), of.len())
    };
    HeldOutReport {
        count: of.len(),
        wrong_at_match: part(&is_wrong_match),
        wrong_at_match_or_possible: part(&|it| it.is_answer() && it.outcome == Outcome::Wrong),
        same_text_elsewhere: part(&|it| it.is_answer() && it.outcome == Outcome::SameText),
    }
}

fn language(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_lowercase()
}

fn length(words: usize) -> String {
    let range = LENGTHS.iter().rev().find(|it| it.0 <= words);
    range.map_or("", |it| it.1).to_owned()
}

fn groups(
    of: &[&Judged<'_>],
    key: impl Fn(&Judged<'_>) -> String,
) -> BTreeMap<String, GroupReport> {
    let mut groups: BTreeMap<String, Vec<&Judged<'_>>> = BTreeMap::new();
    for it in of {
        groups.entry(key(it)).or_default().push(it);
    }
    let report = |of: Vec<&Judged<'_>>| GroupReport {
        all: class_report(&of),
        wrong_at_match: share(of.iter().filter(|it| is_wrong_match(it)).count(), of.len()),
        verbatim: class_report(&of_class(&of, Class::Verbatim)),
    };
    groups.into_iter().map(|(name, of)| (name, report(of))).collect()
}

/// Answers with a match; right is what names the article or the same text.
fn scored<'a>(judged: &'a [Judged<'_>]) -> impl Iterator<Item = (f64, bool)> + 'a {
    let answers = judged.iter().filter(|it| it.outcome != Outcome::Unanswered);
    answers.map(|it| (it.confidence, it.outcome != Outcome::Wrong))
}

fn calibration(judged: &[Judged<'_>]) -> Vec<CalibrationBin> {
    const BINS: u32 = 10;
    let bin = |of: u32| {
        let (from, to) = (f64::from(of) / f64::from(BINS), f64::from(of + 1) / f64::from(BINS));
        let is_last = of + 1 == BINS;
        let within: Vec<(f64, bool)> =
            scored(judged).filter(|it| it.0 >= from && (it.0 < to || is_last)).collect();
        CalibrationBin {
            from,
            count: within.len(),
            mean_confidence: mean(within.iter().map(|it| it.0)),
            right: share(within.iter().filter(|it| it.1).count(), within.len()),
        }
    };
    (0..BINS).map(bin).collect()
}

fn curve(judged: &[Judged<'_>]) -> Vec<CurvePoint> {
    // The same text elsewhere is right, but none of those that are to be found.
    let counted = judged.iter().filter(|it| !is_slogan(it) && it.outcome != Outcome::SameText);
    let answers = counted.filter(|it| it.outcome != Outcome::Unanswered);
    let scored: Vec<(f64, bool)> =
        answers.map(|it| (it.confidence, it.outcome != Outcome::Wrong)).collect();
    let truths = judged.iter().filter(|it| is_stored(it)).count();
    let points = recall_curve(&scored, truths);
    let every = points.len().div_ceil(CURVE_POINTS).max(1);
    points.into_iter().step_by(every).collect()
}
