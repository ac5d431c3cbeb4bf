//! The figures of judged pairs.

use std::collections::BTreeMap;

use crate::eval::baselines::{self, Likeness};
use crate::eval::measures::{
    Confusion, adjusted_rand_index, average_precision, best_f1, components, curve, mean, share,
};
use crate::eval::pairs::{Asked, Judged, Role, is_copy};
use crate::eval::report::{
    FoundReport, KindReport, NearDuplicateReport, PairReport, StoryReport, StorySourceReport,
};
use crate::hash::HashMap;

/// All figures. `asked` has what was found for each first text.
pub(super) fn report(judged: &[Judged<'_>], asked: &Asked) -> PairReport {
    let near: Vec<&Judged<'_>> = judged.iter().filter(|it| it.role() != Role::Other).collect();
    let scored = scores(&near, |it| it.overlap);
    let found = asked.iter().flat_map(|(a, found)| {
        found.iter().filter(|it| is_copy(*it.1)).map(move |(b, _)| (*a, *b))
    });
    PairReport {
        near_duplicates: NearDuplicateReport {
            all: found_report(&near),
            adjusted_rand_index: agreement(&near, found),
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

/// How the groups that found links make among the texts of the pairs agree with those
/// that the labels make. Links to other texts count for nothing.
fn agreement(of: &[&Judged<'_>], found: impl Iterator<Item = (usize, usize)>) -> f64 {
    let mut places: HashMap<usize, usize> = HashMap::default();
    for text in of.iter().flat_map(|it| it.texts) {
        let next = places.len();
        places.entry(text).or_insert(next);
    }
    let within = |(a, b): (usize, usize)| Some((*places.get(&a)?, *places.get(&b)?));
    let labelled = of.iter().filter(|it| it.truth == Some(true)).map(|it| it.pair());
    adjusted_rand_index(
        &components(places.len(), labelled.filter_map(within)),
        &components(places.len(), found.filter_map(within)),
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

fn found_report(of: &[&Judged<'_>]) -> FoundReport {
    let counts = confusion(of);
    let scored = scores(of, |it| it.overlap);
    FoundReport {
        count: of.len(),
        positives: counts.hits + counts.misses,
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
        best_f1: best_f1(&scored).best_f1,
        average_precision: average_precision(&scored),
        false_alarms: counts.false_alarms,
    }
}

fn by_source(near: &[&Judged<'_>]) -> BTreeMap<String, FoundReport> {
    let sources = groups(near, |it| it.row.source.as_str()).into_iter();
    sources.map(|(name, of)| (name, found_report(&of))).collect()
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
        let alike = of.iter().filter(|it| it.likeness.story >= best.threshold);
        let report = StorySourceReport {
            count,
            best_f1: best.best_f1,
            threshold: best.threshold,
            jaccard_words_best_f1: jaccard.best_f1,
            adjusted_rand_index: agreement(&of, alike.map(|it| it.pair())),
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
