//! The report: every figure of an evaluation, in the shape that scripts read.
//! Shares are numbers from 0 to 1.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::eval::measures::{BestF1, CurvePoint};

/// All figures. Parts for which there was no data are left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Articles that were stored for the teasers, background included.
    pub articles: usize,
    /// Seconds that the evaluation took, without reading the files.
    pub seconds: f64,
    /// Articles stored a second.
    pub articles_per_second: f64,
    /// Teasers answered a second.
    pub teasers_per_second: f64,
    /// Share of the articles that was left out of the store, in percent.
    pub holdout_percent: u32,
    /// Bytes of the index an article.
    pub index_bytes_per_article: f64,
    /// Those of the terms, by which teasers in other words are found.
    pub term_bytes_per_article: f64,
    /// Figures of teasers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teasers: Option<TeaserReport>,
    /// The same at growing sizes of the store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scale: Vec<ScaleStep>,
    /// Figures of pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairReport>,
    /// Figures of pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<PageReport>,
    /// Figures of teasers that waited for their articles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalReport>,
    /// Stories against the labels of pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stories: Option<ClusterReport>,
}

/// Teasers that were watched before their articles came.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ArrivalReport {
    /// Distinct teasers that waited, those of pages included.
    pub waited: u64,
    /// Articles that came then.
    pub articles: usize,
    /// Articles stored a second.
    pub articles_per_second: f64,
    /// Teasers that an article resolved when it came.
    pub resolved: usize,
    /// Those of them that stood on pages only, whose article is not known.
    pub resolved_of_pages: usize,
    /// Those resolved by their article, or by one that holds the same text.
    pub resolved_right: usize,
    /// Those resolved by another.
    pub resolved_wrong: usize,
    /// Teasers that wait still.
    pub waiting: usize,
    /// Those of them that are answered MATCH now: none should be.
    pub waiting_in_vain: usize,
    /// The story with most members.
    pub largest_story: LargestStory,
}

/// The story with most members, and whether it is one.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct LargestStory {
    /// Members.
    pub members: usize,
    /// Those that are DUPLICATE of the canonical one, itself included.
    pub duplicates_of_canonical: usize,
    /// The least Jaccard similarity of a member and the canonical one.
    pub jaccard_min: f64,
    /// Distinct titles.
    pub titles: usize,
}

/// Stories against groups of texts that labels make.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ClusterReport {
    /// Texts.
    pub texts: usize,
    /// Groups that labels of near-duplicates make.
    pub groups: usize,
    /// Stories.
    pub stories: usize,
    /// Agreement of both.
    pub adjusted_rand_index: f64,
    /// Share of the texts whose group is the most frequent one of their story.
    pub purity: f64,
    /// Share of the texts whose story is the most frequent one of their group.
    pub inverse_purity: f64,
}

/// Teasers by class, by language and by length.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TeaserReport {
    /// At least 0.8 of their word 5-grams stand in one field of their article.
    pub verbatim: ClassReport,
    /// 0.3 to 0.8 of them.
    pub edited: ClassReport,
    /// Less.
    pub rewritten: ClassReport,
    /// Teasers whose article is not stored.
    pub held_out: HeldOutReport,
    /// Slogans of the site.
    pub slogans: SloganReport,
    /// Of all answers MATCH, the share that names the teaser's article or one
    /// that holds the same text.
    pub precision_at_match: f64,
    /// Teasers of stored articles, by the first subtag of their language.
    pub by_language: BTreeMap<String, GroupReport>,
    /// Teasers of stored articles, by their words.
    pub by_length: BTreeMap<String, GroupReport>,
    /// Tenths of the confidence of the best match of every teaser.
    pub calibration: Vec<CalibrationBin>,
    /// Precision and recall over the confidence; of all teasers.
    #[serde(skip)]
    pub curve: Vec<CurvePoint>,
}

/// Teasers of one class whose article is stored.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ClassReport {
    /// Teasers.
    pub count: usize,
    /// Share answered MATCH.
    #[serde(rename = "match")]
    pub matched: f64,
    /// Share answered MATCH or POSSIBLE.
    pub match_or_possible: f64,
    /// Share answered `INSUFFICIENT_EVIDENCE`.
    pub insufficient_evidence: f64,
    /// Share answered MATCH with its article first, or with one that holds the
    /// same text at least as well.
    pub right_at_match: f64,
    /// The same at MATCH or POSSIBLE.
    pub right_at_match_or_possible: f64,
}

/// Teasers whose article is not stored.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct HeldOutReport {
    /// Teasers.
    pub count: usize,
    /// Share answered MATCH with an article that does not hold the same text.
    pub wrong_at_match: f64,
    /// The same at MATCH or POSSIBLE.
    pub wrong_at_match_or_possible: f64,
    /// Share answered MATCH or POSSIBLE with an article that holds the same text.
    pub same_text_elsewhere: f64,
}

/// Slogans.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct SloganReport {
    /// Teasers.
    pub count: usize,
    /// Share answered MATCH with another article.
    pub wrong_at_match: f64,
}

/// A group of teasers of stored articles.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct GroupReport {
    /// All of them.
    #[serde(flatten)]
    pub all: ClassReport,
    /// Share answered MATCH with a wrong article.
    pub wrong_at_match: f64,
    /// Those that are verbatim.
    pub verbatim: ClassReport,
}

/// Answers whose confidence lies in one tenth.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CalibrationBin {
    /// Least confidence, inclusive.
    pub from: f64,
    /// Answers.
    pub count: usize,
    /// Their mean confidence.
    pub mean_confidence: f64,
    /// Share of them that is right.
    pub right: f64,
}

/// Wrong answers at one size of the store.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ScaleStep {
    /// Articles of the data set and of the background that are stored.
    pub real_articles: usize,
    /// Articles recombined from their sentences.
    pub recombined_articles: usize,
    /// Of teasers of stored articles, the share right at MATCH.
    pub right_at_match: f64,
    /// Of rewritten ones, the share right at MATCH or POSSIBLE.
    pub rewritten_right_at_match_or_possible: f64,
    /// Teasers whose article is not stored.
    pub held_out: usize,
    /// Of those, the share answered MATCH with a real article that does not hold
    /// the same text.
    pub wrong_at_match_real: f64,
    /// The same with a recombined one.
    pub wrong_at_match_recombined: f64,
    /// MATCH or POSSIBLE with a real one.
    pub wrong_at_match_or_possible_real: f64,
    /// MATCH or POSSIBLE with a recombined one.
    pub wrong_at_match_or_possible_recombined: f64,
    /// Bytes of the index an article.
    pub index_bytes_per_article: f64,
    /// Microseconds a teaser, on all processors.
    pub microseconds_per_teaser: f64,
}

/// Pairs of texts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PairReport {
    /// Copies of one text against everything that is none.
    pub near_duplicates: NearDuplicateReport,
    /// The same story in other words.
    pub same_story: StoryReport,
    /// Near-duplicates by collection.
    pub by_source: BTreeMap<String, FoundReport>,
    /// Every kind.
    pub by_kind: BTreeMap<String, KindReport>,
    /// Other methods on the near-duplicates, each at its best threshold.
    pub baselines: BTreeMap<String, BestF1>,
    /// Precision and recall over the exact overlap of each pair.
    #[serde(skip)]
    pub curve: Vec<CurvePoint>,
}

/// Near-duplicates, found through the index at the default thresholds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct NearDuplicateReport {
    /// All of them.
    #[serde(flatten)]
    pub all: FoundReport,
    /// Agreement of the groups that found pairs make with those of the labels.
    pub adjusted_rand_index: f64,
}

/// Stories.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StoryReport {
    /// Pairs with a label.
    pub count: usize,
    /// The greatest F1 over the rare words that the two texts share.
    pub best_f1: f64,
    /// Where it is reached.
    pub threshold: f64,
    /// By collection.
    pub by_source: BTreeMap<String, StorySourceReport>,
}

/// Stories of one collection.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct StorySourceReport {
    /// Pairs with a label.
    pub count: usize,
    /// The greatest F1 over the rare words that the two texts share.
    pub best_f1: f64,
    /// Where it is reached.
    pub threshold: f64,
    /// The greatest F1 of the exact Jaccard similarity of words.
    pub jaccard_words_best_f1: f64,
    /// Agreement of the groups that pairs from the threshold on make with those of
    /// the labels.
    pub adjusted_rand_index: f64,
}

/// Near-duplicates of all collections, or of one.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct FoundReport {
    /// Pairs.
    pub count: usize,
    /// Pairs that are near-duplicates; where there are none, the other figures but
    /// the last are 0.
    pub positives: usize,
    /// Share of the found pairs that are near-duplicates.
    pub precision: f64,
    /// Share of those that are found.
    pub recall: f64,
    /// Harmonic mean.
    pub f1: f64,
    /// The greatest F1 over the overlap of each pair.
    pub best_f1: f64,
    /// Average precision over it.
    pub average_precision: f64,
    /// Pairs that are none and are found all the same.
    pub false_alarms: usize,
}

/// Pairs of one kind and label.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct KindReport {
    /// Pairs with label 1.
    pub positives: usize,
    /// Share of them found as DUPLICATE, CONTAINS or `CONTAINED_IN`.
    pub positives_found: f64,
    /// Pairs with label 0.
    pub negatives: usize,
    /// Share of them found.
    pub negatives_found: f64,
    /// Mean rare-word score of the positives.
    pub positives_story_score: f64,
    /// The greatest F1 over the rare words that the two texts share, against all
    /// pairs with label 0 that are no story pairs.
    pub story_best_f1: f64,
}

/// Pages.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PageReport {
    /// Pages.
    pub count: usize,
    /// Mean over the pages of the F1 of the body's tokens.
    pub body_token_f1: f64,
    /// Mean precision.
    pub body_token_precision: f64,
    /// Mean recall.
    pub body_token_recall: f64,
    /// F1 of the lines that are not body, over the pages with labelled lines.
    pub other_line_f1: f64,
    /// Pages a second.
    pub pages_per_second: f64,
    /// By who says what the body is.
    pub by_origin: BTreeMap<String, OriginReport>,
    /// Other methods.
    pub baselines: BTreeMap<String, PageBaseline>,
}

/// Pages whose body one origin gives.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct OriginReport {
    /// Pages.
    pub count: usize,
    /// Mean over the pages of the F1 of the body's tokens.
    pub body_token_f1: f64,
    /// Mean precision.
    pub body_token_precision: f64,
    /// Mean recall.
    pub body_token_recall: f64,
    /// F1 of the lines that are not body, over the pages with labelled lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_line_f1: Option<f64>,
}

/// What another method makes of the pages.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PageBaseline {
    /// Mean over the pages of the F1 of the body's tokens.
    pub body_token_f1: f64,
    /// The same by origin.
    pub by_origin: BTreeMap<String, f64>,
}
