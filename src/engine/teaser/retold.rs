//! Teasers in other words: rare terms propose, and their rarity, how much of the
//! teaser they cover and the margin to the runner-up decide.

use std::ops::Range;

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::descending;
use crate::engine::record::Features;
use crate::engine::teaser::aligned::{Aligned, Aligner};
use crate::engine::teaser::{Field, Found, Question, Standing, is_answerable};
use crate::hash::HashMap;
use crate::index::keys::{FieldTokens, LEAD_TOKENS};
use crate::index::{Filter, TermProposal, TermQuery};
use crate::matching::align::Place;
use crate::matching::retelling::{Case, Retold, Support};
use crate::matching::verdict::{self, Kind, Verdict};
use crate::store::ArticleNumber;
use crate::term::{self, Term};

/// Estimated Jaccard similarity with the best article from which on another one
/// is a copy of it: no runner-up.
const COPY_JACCARD_MIN: f64 = 0.5;
/// Similarity from which on two articles that hold a teaser both are its: neither
/// is the other's runner-up.
const HOLDS_SIMILARITY_MIN: f64 = 0.8;

impl Core {
    /// What was found for each teaser; for those that stand in no article, what
    /// terms find, with one look-up and one read for all of them.
    pub(super) fn with_retold(
        &self,
        questions: &[Question<'_>],
        aligned: Vec<Aligned>,
    ) -> Result<Vec<Vec<Found>>, EngineError> {
        let open: Vec<(usize, Vec<Term>)> = questions
            .iter()
            .zip(&aligned)
            .enumerate()
            .filter(|(_, (question, aligned))| {
                aligned.standing.is_empty() && is_answerable(question.tokens, question.proposal)
            })
            .map(|(at, (question, _))| (at, term::distinct([question.tokens.hashes.as_slice()])))
            .collect();
        let mut proposals = self.propose_by_terms(questions, &open)?;
        for ((at, _), proposal) in open.iter().zip(&mut proposals) {
            // What is known to be near is aligned first.
            let mut candidates = aligned.get(*at).map(|it| it.near.clone()).unwrap_or_default();
            for it in &proposal.candidates {
                if !candidates.contains(it) {
                    candidates.push(*it);
                }
            }
            proposal.candidates = candidates;
        }
        let features = self.features(proposals.iter().flat_map(|it| it.candidates.clone()))?;
        let mut found: Vec<Vec<Found>> = aligned.into_iter().map(|it| it.standing).collect();
        for ((at, terms), proposal) in open.iter().zip(&proposals) {
            if let (Some(place), Some(question)) = (found.get_mut(*at), questions.get(*at)) {
                *place = passed(question, terms, proposal, &features);
            }
        }
        Ok(found)
    }
}

impl Core {
    /// The candidates by terms, those that a filter keeps out among them: the
    /// runner-up may be one, and a filter makes no article likelier.
    fn propose_by_terms(
        &self,
        questions: &[Question<'_>],
        open: &[(usize, Vec<Term>)],
    ) -> Result<Vec<TermProposal>, EngineError> {
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let all = Filter::all();
        let queries: Vec<TermQuery<'_>> =
            open.iter().map(|(_, terms)| TermQuery { terms, filter: &all }).collect();
        let mut proposals = self.index.terms(&queries)?;
        let filtered: Vec<(usize, TermQuery<'_>)> = open
            .iter()
            .enumerate()
            .filter_map(|(place, (at, terms))| {
                let filter = questions.get(*at)?.filter;
                (*filter != all).then_some((place, TermQuery { terms, filter }))
            })
            .collect();
        if filtered.is_empty() {
            return Ok(proposals);
        }
        let queries: Vec<TermQuery<'_>> = filtered.iter().map(|it| it.1).collect();
        for ((place, _), passing) in filtered.iter().zip(self.index.terms(&queries)?) {
            if let Some(proposal) = proposals.get_mut(*place) {
                proposal.candidates.extend(passing.candidates);
            }
        }
        Ok(proposals)
    }
}

/// A candidate, and how far it has the teaser's terms and words.
struct Ranked<'a> {
    number: ArticleNumber,
    features: &'a Features,
    support: Support,
    /// The best place of the teaser, unless too much was aligned before.
    place: Option<Place>,
    similarity: f64,
}

impl Ranked<'_> {
    /// Whether it says the same as another: a copy of it, or both hold the teaser.
    fn is_one_with(&self, other: &Self) -> bool {
        let (a, b) = (&self.features.minhash, &other.features.minhash);
        a.estimated_jaccard(b) >= COPY_JACCARD_MIN
            || self.similarity.min(other.similarity) >= HOLDS_SIMILARITY_MIN
    }
}

/// The best article, and those that say the same, where it is told apart from all
/// others.
fn passed(
    question: &Question<'_>,
    terms: &[Term],
    proposal: &TermProposal,
    features: &HashMap<ArticleNumber, Features>,
) -> Vec<Found> {
    let retold = Retold::new(terms, &proposal.frequencies);
    let mut aligner = Aligner::new(question);
    let ranked = ranked(&mut aligner, &retold, &proposal.candidates, features);
    let passes = |it: &&Ranked<'_>| question.filter.passes(it.number.0, &it.features.facets);
    let Some(best) = ranked.iter().find(passes) else { return Vec::new() };
    let runner_up = ranked.iter().find(|it| !it.is_one_with(best));
    let confidence = retold.confidence(Case {
        similarity: best.similarity,
        support: best.support,
        runner_up_bits: runner_up.map_or(0.0, |it| it.support.bits()),
    });
    let same = ranked.iter().filter(|it| it.is_one_with(best)).filter(passes);
    let found = same.filter_map(|it| found((question, &aligner), &retold, it, confidence));
    found.take(question.max_results).collect()
}

/// The candidates, those with most support first.
fn ranked<'a>(
    aligner: &mut Aligner<'_>,
    retold: &Retold,
    candidates: &[ArticleNumber],
    features: &'a HashMap<ArticleNumber, Features>,
) -> Vec<Ranked<'a>> {
    let mut ranked: Vec<Ranked<'_>> = candidates
        .iter()
        .filter_map(|number| {
            let features = features.get(number)?;
            let fields = &features.fields;
            let rest = fields.text().get(LEAD_TOKENS..).unwrap_or_default();
            let support = retold.support(&fields.leading(), rest);
            let place = aligner.best_place(fields.whole());
            let similarity = place.map_or(0.0, |it| aligner.similarity(it));
            Some(Ranked { number: *number, features, support, place, similarity })
        })
        .collect();
    ranked.sort_by_key(|it| (descending(it.support.bits()), it.number));
    ranked
}

fn found(
    (question, aligner): (&Question<'_>, &Aligner<'_>),
    retold: &Retold,
    it: &Ranked<'_>,
    confidence: f64,
) -> Option<Found> {
    let verdict = verdict::of_confidence(confidence, verdict::kind(it.similarity));
    if verdict > Verdict::Possible {
        return None;
    }
    let fields = &it.features.fields;
    let in_order = it.place.filter(|_| verdict::kind(it.similarity) != Kind::Rewritten);
    let in_order = in_order.and_then(|at| aligner.standing(fields, at));
    let standing = if let Some(standing) = in_order {
        standing
    } else {
        let (field, article) = place(retold, fields)?;
        Standing {
            kind: Kind::Rewritten,
            similarity: it.similarity,
            bits: it.support.whole,
            field,
            teaser: 0..question.tokens.len(),
            article,
        }
    };
    question.found((it.number, it.features), standing, (verdict, confidence))
}

/// Where most of the terms stand together.
fn place(retold: &Retold, fields: &FieldTokens) -> Option<(Field, Range<usize>)> {
    let fields = [
        (Field::Title, fields.title()),
        (Field::Description, fields.description()),
        (Field::Body, fields.text()),
    ];
    let places = fields.into_iter().filter_map(|(field, tokens)| {
        let (bits, range) = retold.densest(tokens)?;
        Some((field, bits, range))
    });
    let (field, _, range) = places.min_by_key(|it| descending(it.1))?;
    Some((field, range))
}
