//! The figures of an evaluation as tables that people read.

use std::fmt::Display;

use doublon::eval::report::{
    ArrivalReport, ClassReport, ClusterReport, FoundReport, GroupReport, PageReport, PairReport,
    Report, ScaleStep, TeaserReport,
};

use crate::cli::render::{NAME, paint};

/// Groups of languages with fewer teasers are not shown.
const LANGUAGE_TEASERS_MIN: usize = 20;

/// All tables, line by line.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(teasers) = &report.teasers {
        teaser_lines(teasers, report, &mut out);
    }
    if report.scale.len() > 1 {
        scale_lines(&report.scale, &mut out);
    }
    if let Some(pairs) = &report.pairs {
        pair_lines(pairs, &mut out);
        kind_lines(pairs, &mut out);
    }
    if let Some(pages) = &report.pages {
        page_lines(pages, &mut out);
    }
    if let Some(arrivals) = &report.arrivals {
        arrival_lines(arrivals, &mut out);
    }
    if let Some(stories) = &report.stories {
        story_lines(stories, &mut out);
    }
    out.push(String::new());
    let mut parts = vec![format!("{:.1} seconds", report.seconds)];
    if report.articles > 0 {
        parts.push(format!(
            "{} articles at {:.0} a second, {:.0} bytes of index each ({:.0} for terms)",
            report.articles,
            report.articles_per_second,
            report.index_bytes_per_article,
            report.term_bytes_per_article
        ));
        parts.push(format!("{:.0} teasers a second", report.teasers_per_second));
    }
    out.push(parts.join("; "));
    out
}

fn title(out: &mut Vec<String>, text: &str) {
    if !out.is_empty() {
        out.push(String::new());
    }
    out.push(paint(NAME, text));
}

/// A row: a name, then its cells, right-aligned.
fn row(out: &mut Vec<String>, name: &str, cells: &[String]) {
    let line = cells.iter().fold(format!("{name:<30}"), |line, it| line + &format!(" {it:>11}"));
    out.push(line);
}

fn header(out: &mut Vec<String>, names: &[&str]) {
    row(out, "", &names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
}

fn share(value: f64) -> String {
    format!("{value:.4}")
}

fn text(value: impl Display) -> String {
    value.to_string()
}

fn class(out: &mut Vec<String>, name: &str, it: &ClassReport) {
    let cells = [
        text(it.count),
        share(it.matched),
        share(it.match_or_possible),
        share(it.right_at_match),
        share(it.right_at_match_or_possible),
        share(it.insufficient_evidence),
    ];
    row(out, name, &cells);
}

const CLASS_HEADER: [&str; 6] =
    ["count", "match", "or possible", "right", "or possible", "too thin"];

fn teaser_lines(teasers: &TeaserReport, report: &Report, out: &mut Vec<String>) {
    title(out, "Teasers of stored articles");
    header(out, &CLASS_HEADER);
    class(out, "verbatim", &teasers.verbatim);
    class(out, "edited", &teasers.edited);
    class(out, "rewritten", &teasers.rewritten);
    title(out, &format!("Teasers of articles left out ({} %)", report.holdout_percent));
    header(out, &["count", "wrong match", "or possible", "same text"]);
    let held = &teasers.held_out;
    let cells = [
        text(held.count),
        share(held.wrong_at_match),
        share(held.wrong_at_match_or_possible),
        share(held.same_text_elsewhere),
    ];
    row(out, "held out", &cells);
    let slogans = &teasers.slogans;
    row(out, "slogans", &[text(slogans.count), share(slogans.wrong_at_match)]);
    row(out, "precision of MATCH", &[String::new(), share(teasers.precision_at_match)]);
    title(out, "By words of the teaser");
    header(out, &CLASS_HEADER);
    let length = |name: &str| name.trim_end_matches('+').split('-').next()?.parse::<u32>().ok();
    let mut by_length: Vec<(&String, &GroupReport)> = teasers.by_length.iter().collect();
    by_length.sort_by_key(|it| length(it.0));
    for (name, it) in by_length {
        class(out, name, &it.all);
    }
    title(out, &format!("By language, of {LANGUAGE_TEASERS_MIN} teasers or more"));
    let names = ["count", "match", "or possible", "right", "or possible", "verbatim ok"];
    header(out, &names);
    for (name, it) in &teasers.by_language {
        if it.all.count >= LANGUAGE_TEASERS_MIN {
            let verbatim_right = it.verbatim.right_at_match;
            class(out, name, &ClassReport { insufficient_evidence: verbatim_right, ..it.all });
        }
    }
}

fn scale_lines(steps: &[ScaleStep], out: &mut Vec<String>) {
    title(out, "As the store grows: wrong answers to teasers whose article is not stored");
    let names = [
        "recombined",
        "right",
        "rewritten",
        "wrong real",
        "or possible",
        "wrong rec.",
        "or possible",
        "bytes each",
        "us a teaser",
    ];
    header(out, &names);
    for it in steps {
        let cells = [
            text(it.recombined_articles),
            share(it.right_at_match),
            share(it.rewritten_right_at_match_or_possible),
            share(it.wrong_at_match_real),
            share(it.wrong_at_match_or_possible_real),
            share(it.wrong_at_match_recombined),
            share(it.wrong_at_match_or_possible_recombined),
            format!("{:.0}", it.index_bytes_per_article),
            format!("{:.0}", it.microseconds_per_teaser),
        ];
        row(out, &format!("{} real articles", it.real_articles), &cells);
    }
}

fn found_cells(it: &FoundReport) -> Vec<String> {
    let shares = [it.precision, it.recall, it.f1, it.best_f1, it.average_precision];
    std::iter::once(text(it.count)).chain(shares.map(share)).collect()
}

fn pair_lines(pairs: &PairReport, out: &mut Vec<String>) {
    let near = &pairs.near_duplicates;
    title(out, "Near-duplicate pairs, found through the index");
    header(out, &["count", "precision", "recall", "F1", "best F1", "avg prec.", "ARI"]);
    let mut cells = found_cells(&near.all);
    cells.push(share(near.adjusted_rand_index));
    row(out, "all", &cells);
    for (name, it) in &pairs.by_source {
        if it.positives == 0 {
            let wrong = format!("{} false alarms", it.false_alarms);
            row(out, name, &[text(it.count), "-".to_owned(), "-".to_owned(), wrong]);
        } else {
            row(out, name, &found_cells(it));
        }
    }
    title(out, "Other methods on them, each at its best threshold");
    header(out, &["best F1", "threshold"]);
    for (name, it) in &pairs.baselines {
        row(out, name, &[share(it.best_f1), share(it.threshold)]);
    }
}

fn kind_lines(pairs: &PairReport, out: &mut Vec<String>) {
    title(out, "By kind: found as DUPLICATE, CONTAINS or CONTAINED_IN");
    header(out, &["same", "found", "different", "found", "story F1"]);
    for (name, it) in &pairs.by_kind {
        let cells = [
            text(it.positives),
            share(it.positives_found),
            text(it.negatives),
            share(it.negatives_found),
            share(it.story_best_f1),
        ];
        row(out, name, &cells);
    }
    title(out, "The same story in other words, by rare words");
    header(out, &["count", "best F1", "threshold", "Jaccard F1", "ARI"]);
    let story = &pairs.same_story;
    row(out, "all", &[text(story.count), share(story.best_f1), share(story.threshold)]);
    for (name, it) in &story.by_source {
        let cells = [
            text(it.count),
            share(it.best_f1),
            share(it.threshold),
            share(it.jaccard_words_best_f1),
            share(it.adjusted_rand_index),
        ];
        row(out, name, &cells);
    }
}

fn arrival_lines(arrivals: &ArrivalReport, out: &mut Vec<String>) {
    title(out, "Teasers that waited, and then their articles came");
    header(out, &["waited", "right", "wrong", "of pages", "waiting", "in vain"]);
    let cells = [
        text(arrivals.waited),
        text(arrivals.resolved_right),
        text(arrivals.resolved_wrong),
        text(arrivals.resolved_of_pages),
        text(arrivals.waiting),
        text(arrivals.waiting_in_vain),
    ];
    row(out, "teasers", &cells);
    let largest = &arrivals.largest_story;
    out.push(format!(
        "{} articles at {:.0} a second; the largest story has {} members, {} of them DUPLICATE of \
         its canonical one (least Jaccard {:.2}), {} titles",
        arrivals.articles,
        arrivals.articles_per_second,
        largest.members,
        largest.duplicates_of_canonical,
        largest.jaccard_min,
        largest.titles
    ));
}

fn story_lines(stories: &ClusterReport, out: &mut Vec<String>) {
    title(out, "Stories against the groups that labelled near-duplicates make");
    header(out, &["texts", "groups", "stories", "ARI", "purity", "inverse"]);
    let cells = [
        text(stories.texts),
        text(stories.groups),
        text(stories.stories),
        share(stories.adjusted_rand_index),
        share(stories.purity),
        share(stories.inverse_purity),
    ];
    row(out, "all", &cells);
}

fn page_lines(pages: &PageReport, out: &mut Vec<String>) {
    title(out, "Pages: tokens of the body, lines of the rest");
    let mut names = vec!["count", "precision", "recall", "F1", "other lines"];
    let short: Vec<String> =
        pages.baselines.keys().map(|it| it.chars().take(11).collect()).collect();
    names.extend(short.iter().map(String::as_str));
    header(out, &names);
    let mut cells = vec![
        text(pages.count),
        share(pages.body_token_precision),
        share(pages.body_token_recall),
        share(pages.body_token_f1),
        share(pages.other_line_f1),
    ];
    cells.extend(pages.baselines.values().map(|it| share(it.body_token_f1)));
    row(out, "all", &cells);
    for (name, it) in &pages.by_origin {
        let mut cells = vec![
            text(it.count),
            share(it.body_token_precision),
            share(it.body_token_recall),
            share(it.body_token_f1),
            it.other_line_f1.map_or_else(|| "-".to_owned(), share),
        ];
        let baselines = pages.baselines.values().filter_map(|it| it.by_origin.get(name));
        cells.extend(baselines.map(|it| share(*it)));
        row(out, name, &cells);
    }
}
