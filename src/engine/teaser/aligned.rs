//! Teasers that stand in an article: the candidates are aligned word by word.

use std::ops::Range;

use crate::engine::record::Features;
use crate::engine::teaser::{Field, Found, Question, Standing, sort};
use crate::hash::HashMap;
use crate::index::keys::FieldTokens;
use crate::matching::align::{Pattern, Place};
use crate::matching::evidence::WHOLE_TITLE_BITS;
use crate::matching::overlap::SharedBound;
use crate::matching::runs;
use crate::matching::verdict::{self, EDITED_SIMILARITY_MIN, STANDING_SIMILARITY_MIN, Verdict};
use crate::shingle::SHINGLE_TOKENS;
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
        let known = || candidates.iter().filter_map(|it| Some((*it, features.get(it)?)));
        let mut aligner = Aligner::new(question);
        let rarity = question.rarity();
        // Most share a phrase or two with the teaser.
        for (number, features) in known() {
            if !aligner.may_stand(features.fields.whole()) {
                continue;
            }
            let Some(at) = aligner.best_place(features.fields.whole()) else { break };
            if aligner.similarity(at) < STANDING_SIMILARITY_MIN {
                continue;
            }
            let standing = aligner.standing(&features.fields, at);
            if let Some(it) = standing.filter(|it| it.bits >= rarity.bits_min()) {
                let confidence = verdict::standing_confidence(it.bits, rarity.population_bits());
                let judged = (Verdict::Match, confidence);
                self.standing.extend(question.found((number, features), it, judged));
            }
        }
        if self.standing.is_empty() {
            for (number, features) in known() {
                let Some(at) = aligner.best_place(features.fields.whole()) else { break };
                if aligner.similarity(at) >= EDITED_SIMILARITY_MIN {
                    self.near.push(number);
                }
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
    bound: SharedBound,
    steps_left: usize,
}

impl<'a> Aligner<'a> {
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        let tokens = &question.tokens.hashes;
        let (pattern, bound) = (Pattern::new(tokens), SharedBound::of(tokens));
        Self { question, pattern, bound, steps_left: ALIGNED_STEPS_MAX }
    }

    /// Whether the teaser may stand in a text, at a tenth of the price of aligning it:
    /// an edit spoils [`SHINGLE_TOKENS`] of its shingles, the others must be there
    /// (the q-gram lemma: Jokinen and Ukkonen 1991).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    fn may_stand(&self, text: &[TokenHash]) -> bool {
        const ROUNDING: f64 = 1e-6;
        let len = self.question.tokens.len();
        let edits = (1.0 - STANDING_SIMILARITY_MIN) * len as f64 + ROUNDING;
        let spoilt = SHINGLE_TOKENS * edits as usize;
        let shared_min = (len + 1).saturating_sub(SHINGLE_TOKENS + spoilt);
        self.bound.may_share(text, shared_min)
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

    /// How the teaser stands at a place in the fields; `None` where not one word
    /// matches.
    pub(super) fn standing(&self, fields: &FieldTokens, at: Place) -> Option<Standing> {
        let pairs = self.pattern.matched(fields.whole(), at);
        let (field, article) = place_in_fields(fields, &pairs)?;
        let Question { proposal, .. } = self.question;
        let runs = runs::consecutive(&pairs);
        let run_bits = self.question.rarity().bits_of_runs(&proposal.frequencies, runs);
        let is_title = field == Field::Title && article == (0..fields.title().len());
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
    let title = fields.title().len();
    let description = title + fields.description().len();
    let spans = [
        (Field::Body, description..description + fields.text().len()),
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
