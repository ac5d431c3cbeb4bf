//! Teasers that stand in an article: the candidates are aligned word by word.

use std::ops::Range;

use crate::engine::record::Features;
use crate::engine::teaser::{Field, Found, Question, sort};
use crate::hash::HashMap;
use crate::index::keys::FieldTokens;
use crate::matching::align::{Pattern, Place};
use crate::matching::evidence::WHOLE_TITLE_BITS;
use crate::matching::runs;
use crate::matching::verdict::{self, EDITED_SIMILARITY_MIN, STANDING_SIMILARITY_MIN, Verdict};
use crate::store::ArticleNumber;

/// Tokens of candidates times blocks of the teaser that are aligned, at most, or
/// the first candidate: about 2 ms, however long the stored texts are.
const ALIGNED_STEPS_MAX: usize = 1 << 19;

/// What alignment says of a teaser's candidates.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    /// Those in which it stands, best first.
    pub(super) standing: Vec<Found>,
    /// Those in which much of it stands.
    pub(super) near: Vec<ArticleNumber>,
}

impl Aligned {
    /// Aligns some of the candidates, in addition to those before.
    pub(super) fn add(
        &mut self,
        question: &Question<'_>,
        candidates: &[ArticleNumber],
        features: &HashMap<ArticleNumber, Features>,
    ) {
        let mut aligner = Aligner::new(question);
        for number in candidates {
            let Some(features) = features.get(number) else { continue };
            let Some(at) = aligner.best_place(&features.fields) else { break };
            let similarity = aligner.similarity(at);
            if similarity < EDITED_SIMILARITY_MIN {
                continue;
            }
            self.near.push(*number);
            let rarity = question.rarity();
            let is_standing = similarity >= STANDING_SIMILARITY_MIN;
            let place = aligner.place(&features.fields, at).filter(|_| is_standing);
            if let Some(place) = place.filter(|it| it.bits >= rarity.bits_min()) {
                let confidence = verdict::standing_confidence(place.bits, rarity.population_bits());
                self.standing.push(place.found(*number, Verdict::Match, confidence));
            }
        }
        sort(&mut self.standing);
        self.standing.truncate(question.max_results);
    }
}

/// Aligns a teaser with its candidates, until the steps that it may take are taken.
pub(super) struct Aligner<'a> {
    question: &'a Question<'a>,
    pattern: Pattern<'a>,
    steps_left: usize,
}

impl<'a> Aligner<'a> {
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        let pattern = Pattern::new(&question.tokens.hashes);
        Self { question, pattern, steps_left: ALIGNED_STEPS_MAX }
    }

    /// The best place in an article, in the tokens of its fields in a row; `None`
    /// once no steps are left.
    pub(super) fn best_place(&mut self, fields: &FieldTokens) -> Option<Place> {
        if self.steps_left == 0 {
            return None;
        }
        self.steps_left = self.steps_left.saturating_sub(fields.len() * self.pattern.blocks());
        Some(self.pattern.best_place(&fields.whole()))
    }

    /// 1 less the edit distance by the teaser's tokens.
    pub(super) fn similarity(&self, place: Place) -> f64 {
        1.0 - place.distance as f64 / self.question.tokens.len() as f64
    }

    /// What matches at a place; `None` where not one word does.
    pub(super) fn place(&self, fields: &FieldTokens, at: Place) -> Option<Alignment> {
        let pairs = self.pattern.matched(&fields.whole(), at);
        let (field, article) = place_in_fields(fields, &pairs)?;
        let Question { proposal, .. } = self.question;
        let runs = runs::consecutive(&pairs);
        let run_bits = self.question.rarity().bits_of_runs(&proposal.frequencies, runs);
        let is_title = field == Field::Title && article == (0..fields.title.len());
        let title_bits = if is_title && at.distance == 0 { WHOLE_TITLE_BITS } else { 0.0 };
        Some(Alignment {
            similarity: self.similarity(at),
            bits: run_bits + title_bits,
            field,
            teaser: pairs.first()?.0..pairs.last()?.0 + 1,
            article,
        })
    }
}

/// Where a teaser stands in an article.
#[derive(Debug, Clone)]
pub(super) struct Alignment {
    similarity: f64,
    /// Evidence of the runs that match.
    bits: f64,
    field: Field,
    teaser: Range<usize>,
    article: Range<usize>,
}

impl Alignment {
    pub(super) fn found(self, number: ArticleNumber, verdict: Verdict, confidence: f64) -> Found {
        let Self { similarity, bits, field, teaser, article } = self;
        let kind = verdict::kind(similarity);
        Found { number, verdict, kind, confidence, similarity, bits, field, teaser, article }
    }
}

/// The field with most of the matched tokens, and their range in it.
fn place_in_fields(
    fields: &FieldTokens,
    pairs: &[(usize, usize)],
) -> Option<(Field, Range<usize>)> {
    let title = fields.title.len();
    let description = title + fields.description.len();
    let spans = [
        (Field::Body, description..description + fields.text.len()),
        (Field::Description, title..description),
        (Field::Title, 0..title),
    ];
    let matched = spans.into_iter().map(|(field, span)| {
        let within: Vec<usize> = pairs
            .iter()
            .map(|it| it.1)
            .filter(|it| span.contains(it))
            .map(|it| it - span.start)
            .collect();
        (field, within)
    });
    let (field, within) = matched.rev().max_by_key(|(_, within)| within.len())?;
    Some((field, *within.first()?..within.last()? + 1))
}
