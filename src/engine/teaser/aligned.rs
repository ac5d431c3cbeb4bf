//! Teasers that stand in an article: the candidates are aligned word by word.

use std::ops::Range;

use crate::engine::record::Features;
use crate::engine::teaser::{Field, Found, Question, sort};
use crate::hash::HashMap;
use crate::index::keys::FieldTokens;
use crate::matching::align::Pattern;
use crate::matching::evidence::WHOLE_TITLE_BITS;
use crate::matching::runs;
use crate::matching::verdict::{self, EDITED_SIMILARITY_MIN, STANDING_SIMILARITY_MIN, Verdict};
use crate::store::ArticleNumber;

/// Tokens of candidates times blocks of the teaser that are aligned, at most, or
/// the first candidate: about 2 ms, however long the stored texts are.
pub(super) const ALIGNED_STEPS_MAX: usize = 1 << 19;

/// What alignment says of a teaser's candidates.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    /// Those in which it stands, best first.
    pub(super) standing: Vec<Found>,
    /// Those in which much of it stands.
    pub(super) near: Vec<ArticleNumber>,
}

/// Aligns the candidates.
pub(super) fn aligned(
    question: &Question<'_>,
    features: &HashMap<ArticleNumber, Features>,
) -> Aligned {
    let pattern = Pattern::new(&question.tokens.hashes);
    let mut steps_left = ALIGNED_STEPS_MAX;
    let mut out = Aligned::default();
    for number in &question.proposal.candidates {
        let Some(features) = features.get(number).filter(|_| steps_left > 0) else { continue };
        steps_left = steps_left.saturating_sub(features.fields.len() * pattern.blocks());
        let Some(place) = Alignment::of(question, &pattern, &features.fields) else { continue };
        if place.similarity < EDITED_SIMILARITY_MIN {
            continue;
        }
        out.near.push(*number);
        let rarity = question.rarity();
        if place.similarity >= STANDING_SIMILARITY_MIN && place.bits >= rarity.bits_min() {
            let confidence = verdict::standing_confidence(place.bits, rarity.population_bits());
            out.standing.push(place.found(*number, Verdict::Match, confidence));
        }
    }
    sort(&mut out.standing);
    out.standing.truncate(question.max_results);
    out
}

/// The best place of a teaser in an article.
#[derive(Debug, Clone)]
pub(super) struct Alignment {
    /// 1 less the edit distance by the teaser's tokens.
    pub(super) similarity: f64,
    /// Evidence of the runs that match.
    bits: f64,
    field: Field,
    teaser: Range<usize>,
    article: Range<usize>,
}

impl Alignment {
    /// `None` where not one word matches.
    pub(super) fn of(
        question: &Question<'_>,
        pattern: &Pattern<'_>,
        fields: &FieldTokens,
    ) -> Option<Self> {
        let whole = fields.whole();
        let place = pattern.best_place(&whole);
        let pairs = pattern.matched(&whole, place);
        let (field, article) = place_in_fields(fields, &pairs)?;
        let frequencies = &question.proposal.frequencies;
        let run_bits = question.rarity().bits_of_runs(frequencies, runs::consecutive(&pairs));
        let is_title = field == Field::Title && article == (0..fields.title.len());
        let title_bits = if is_title && place.distance == 0 { WHOLE_TITLE_BITS } else { 0.0 };
        Some(Self {
            similarity: 1.0 - place.distance as f64 / question.tokens.len() as f64,
            bits: run_bits + title_bits,
            field,
            teaser: pairs.first()?.0..pairs.last()?.0 + 1,
            article,
        })
    }

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
