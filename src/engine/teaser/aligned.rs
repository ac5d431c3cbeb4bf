//! Teasers that stand in an article: the candidates are aligned word by word.

use std::ops::Range;

use crate::engine::record::Features;
use crate::engine::teaser::{Field, Found, Question, Standing, sort};
use crate::hash::HashMap;
use crate::index::keys::FieldTokens;
use crate::matching::align::{Pattern, Place};
use crate::matching::evidence::WHOLE_TITLE_BITS;
use crate::matching::runs;
use crate::matching::verdict::{self, EDITED_SIMILARITY_MIN, STANDING_SIMILARITY_MIN, Verdict};
use crate::store::ArticleNumber;
use crate::text::tokens::TokenHash;

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
        if candidates.is_empty() {
            return;
        }
        let mut aligner = Aligner::new(question);
        for number in candidates {
            let Some(features) = features.get(number) else { continue };
            let text = features.fields.whole();
            let Some(at) = aligner.best_place(&text) else { break };
            let similarity = aligner.similarity(at);
            if similarity < EDITED_SIMILARITY_MIN {
                continue;
            }
            self.near.push(*number);
            let rarity = question.rarity();
            let is_standing = similarity >= STANDING_SIMILARITY_MIN;
            let standing = is_standing.then(|| aligner.standing((&features.fields, &text), at));
            if let Some(it) = standing.flatten().filter(|it| it.bits >= rarity.bits_min()) {
                let confidence = verdict::standing_confidence(it.bits, rarity.population_bits());
                let judged = (Verdict::Match, confidence);
                self.standing.extend(question.found((*number, features), it, judged));
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

    /// The best place in an article, given by the tokens of its fields in a row; `None`
    /// once no steps are left.
    pub(super) fn best_place(&mut self, text: &[TokenHash]) -> Option<Place> {
        if self.steps_left == 0 {
            return None;
        }
        self.steps_left = self.steps_left.saturating_sub(text.len() * self.pattern.blocks());
        Some(self.pattern.best_place(text))
    }

    /// 1 less the edit distance by the teaser's tokens.
    pub(super) fn similarity(&self, place: Place) -> f64 {
        1.0 - place.distance as f64 / self.question.tokens.len() as f64
    }

    /// How the teaser stands at a place in the fields, which are given in a row too;
    /// `None` where not one word matches.
    pub(super) fn standing(
        &self,
        (fields, text): (&FieldTokens, &[TokenHash]),
        at: Place,
    ) -> Option<Standing> {
        let pairs = self.pattern.matched(text, at);
        let (field, article) = place_in_fields(fields, &pairs)?;
        let Question { proposal, .. } = self.question;
        let runs = runs::consecutive(&pairs);
        let run_bits = self.question.rarity().bits_of_runs(&proposal.frequencies, runs);
        let is_title = field == Field::Title && article == (0..fields.title.len());
        let title_bits = if is_title && at.distance == 0 { WHOLE_TITLE_BITS } else { 0.0 };
        let similarity = self.similarity(at);
        Some(Standing {
            kind: verdict::kind(similarity),
            similarity,
            bits: run_bits + title_bits,
            field,
            teaser: pairs.first()?.0..pairs.last()?.0 + 1,
            article,
        })
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
