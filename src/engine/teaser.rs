//! Teasers: anchors propose, alignment and evidence decide.

use std::ops::Range;

use crate::engine::Engine;
use crate::engine::article::{ArticleId, check_text};
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::find::{answers, descending};
use crate::engine::parallel;
use crate::engine::record::{Features, StoredArticle};
use crate::hash::HashMap;
use crate::index::keys::FieldTokens;
use crate::index::{Filter, TeaserProposal, TeaserQuery};
use crate::matching::align::Pattern;
use crate::matching::evidence::Rarity;
use crate::matching::runs;
use crate::matching::verdict::{self, Kind, POSSIBLE_SIMILARITY_MIN, TEASER_WORDS_MIN, Verdict};
use crate::shingle;
use crate::store::ArticleNumber;
use crate::text::ByteSpan;
use crate::text::cues::Cues;
use crate::text::tokens::Tokens;
use crate::text::truncation;

/// Tokens of a teaser, at most.
pub const TEASER_TOKENS_MAX: usize = 1024;
/// Matches of one teaser, by default.
pub const MATCHES_DEFAULT: usize = 5;
/// Candidates that are aligned, at most, unless more matches are asked for: those
/// with most evidence.
const ALIGNED_MAX: usize = 16;
/// Tokens of candidates times blocks of the teaser that are aligned, at most, or
/// the first candidate: about 2 ms, however long the stored texts are.
const ALIGNED_STEPS_MAX: usize = 1 << 19;

/// A teaser whose article is asked for.
#[derive(Debug, Clone)]
pub struct TeaserRequest {
    /// The blurb or headline.
    pub text: String,
    /// Among which articles.
    pub filter: Filter,
    /// At most this many matches.
    pub max_results: usize,
}

/// Whose teaser it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TeaserAnswer {
    /// The best match's verdict, or why there is none.
    pub verdict: Verdict,
    /// Best first.
    pub matches: Vec<TeaserMatch>,
    /// Bits that a match needs.
    pub evidence_bits_min: f64,
}

/// An article that a teaser belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct TeaserMatch {
    /// The article.
    pub id: ArticleId,
    /// Match or possible.
    pub verdict: Verdict,
    /// How the teaser stands in it.
    pub kind: Kind,
    /// Where it stands.
    pub field: Field,
    /// 1 less the edit distance by the teaser's tokens.
    pub similarity: f64,
    /// Bits of evidence.
    pub evidence_bits: f64,
    /// The matched part of the teaser.
    pub teaser_span: ByteSpan,
    /// The matched part of the field.
    pub article_span: ByteSpan,
}

/// A field of an article that a teaser can stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The title.
    Title,
    /// The description.
    Description,
    /// The text.
    Body,
}

/// An article that passed, before its text is read.
#[derive(Debug, Clone)]
struct Aligned {
    number: ArticleNumber,
    verdict: Verdict,
    similarity: f64,
    bits: f64,
    field: Field,
    /// Tokens of the teaser, and of the field.
    teaser: Range<usize>,
    article: Range<usize>,
}

impl Engine {
    /// Whose teaser each text is.
    pub fn match_teasers(
        &self,
        requests: &[TeaserRequest],
    ) -> Vec<Result<TeaserAnswer, EngineError>> {
        let read: Vec<_> =
            parallel::each(requests.iter().collect(), |it| read_teaser(&it.text, &self.core.cues));
        let readable: Vec<(&TeaserRequest, &Tokens)> = requests
            .iter()
            .zip(&read)
            .filter_map(|(it, read)| Some((it, read.as_ref().ok()?)))
            .collect();
        let mut found = answers(self.core.match_teasers(&readable), readable.len());
        read.iter()
            .map(|it| match it {
                Ok(_) => found.next().unwrap_or(Err(EngineError::Stopped)),
                Err(error) => Err(error.clone().into()),
            })
            .collect()
    }
}

fn read_teaser(text: &str, cues: &Cues) -> Result<Tokens, Invalid> {
    check_text("text", text)?;
    let tokens = truncation::blurb(text, cues).tokens;
    if tokens.is_empty() {
        return Err(Invalid::new("text", Problem::WithoutTokens));
    }
    if tokens.len() > TEASER_TOKENS_MAX {
        let problem =
            Problem::TooLong { actual: tokens.len(), limit: TEASER_TOKENS_MAX, unit: "tokens" };
        return Err(Invalid::new("text", problem));
    }
    Ok(tokens)
}

impl Core {
    /// The answers to all teasers, on all processors.
    fn match_teasers(
        &self,
        teasers: &[(&TeaserRequest, &Tokens)],
    ) -> Result<Vec<TeaserAnswer>, EngineError> {
        parallel::parts(teasers, |it| self.match_at_once(it))
    }

    /// The answers to some teasers, with one look-up and two reads.
    fn match_at_once(
        &self,
        teasers: &[(&TeaserRequest, &Tokens)],
    ) -> Result<Vec<TeaserAnswer>, EngineError> {
        let shingles: Vec<Vec<u64>> =
            teasers.iter().map(|(_, tokens)| shingle::shingles(&tokens.hashes)).collect();
        let queries: Vec<TeaserQuery<'_>> = teasers
            .iter()
            .zip(&shingles)
            .map(|((request, _), shingles)| TeaserQuery { shingles, filter: &request.filter })
            .collect();
        let mut proposals = self.index.teasers(&queries)?;
        for (proposal, (request, tokens)) in proposals.iter_mut().zip(teasers) {
            if !is_answerable(tokens, proposal) {
                proposal.candidates.clear();
            }
            proposal.candidates.truncate(ALIGNED_MAX.max(request.max_results));
        }
        let features = self.features(proposals.iter().flat_map(|it| it.candidates.clone()))?;
        let aligned: Vec<Vec<Aligned>> = teasers
            .iter()
            .zip(&proposals)
            .map(|((request, tokens), it)| align(tokens, it, &features, request.max_results))
            .collect();
        let mut articles =
            Articles::new(self.articles(aligned.iter().flatten().map(|it| it.number))?);
        let parts = teasers.iter().zip(&proposals).zip(aligned);
        Ok(parts
            .map(|(((_, tokens), proposal), found)| answer(tokens, proposal, &found, &mut articles))
            .collect())
    }
}

/// Whether a teaser that stood word for word in an article would be enough.
fn is_answerable(tokens: &Tokens, proposal: &TeaserProposal) -> bool {
    let rarity = Rarity::new(proposal.article_count);
    let whole = std::iter::once(0..tokens.len());
    tokens.words() >= TEASER_WORDS_MIN
        && rarity.bits_of_runs(&proposal.frequencies, whole) >= rarity.bits_min()
}

/// The candidates that pass, best first.
fn align(
    tokens: &Tokens,
    proposal: &TeaserProposal,
    features: &HashMap<ArticleNumber, Features>,
    max_results: usize,
) -> Vec<Aligned> {
    let rarity = Rarity::new(proposal.article_count);
    let pattern = Pattern::new(&tokens.hashes);
    let mut steps_left = ALIGNED_STEPS_MAX;
    let mut passed: Vec<Aligned> = proposal
        .candidates
        .iter()
        .filter_map(|number| {
            let fields = &features.get(number)?.fields;
            if steps_left == 0 {
                return None;
            }
            steps_left = steps_left.saturating_sub(fields.len() * pattern.blocks());
            let whole = fields.whole();
            let place = pattern.best_place(&whole);
            let similarity = 1.0 - place.distance as f64 / tokens.len() as f64;
            if similarity < POSSIBLE_SIMILARITY_MIN {
                return None;
            }
            let pairs = pattern.matched(&whole, place);
            let bits = rarity.bits_of_runs(&proposal.frequencies, runs::consecutive(&pairs));
            let verdict = verdict::verdict(similarity, bits, rarity.bits_min());
            let (field, article) = place_in_fields(fields, &pairs)?;
            let teaser = pairs.first()?.0..pairs.last()?.0 + 1;
            Some(Aligned { number: *number, verdict, similarity, bits, field, teaser, article })
        })
        .filter(|it| it.verdict <= Verdict::Possible)
        .collect();
    passed
        .sort_by_key(|it| (it.verdict, descending(it.similarity), descending(it.bits), it.number));
    passed.truncate(max_results);
    passed
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

fn answer(
    tokens: &Tokens,
    proposal: &TeaserProposal,
    aligned: &[Aligned],
    articles: &mut Articles,
) -> TeaserAnswer {
    let matches: Vec<TeaserMatch> =
        aligned.iter().filter_map(|it| located(tokens, it, articles)).collect();
    let none = if is_answerable(tokens, proposal) {
        Verdict::NoMatch
    } else {
        Verdict::InsufficientEvidence
    };
    TeaserAnswer {
        verdict: matches.first().map_or(none, |it| it.verdict),
        matches,
        evidence_bits_min: Rarity::new(proposal.article_count).bits_min(),
    }
}

fn located(tokens: &Tokens, aligned: &Aligned, articles: &mut Articles) -> Option<TeaserMatch> {
    let (id, article_span) = articles.locate(aligned)?;
    Some(TeaserMatch {
        id,
        verdict: aligned.verdict,
        kind: verdict::kind(aligned.similarity),
        field: aligned.field,
        similarity: aligned.similarity,
        evidence_bits: aligned.bits,
        teaser_span: tokens.span(aligned.teaser.clone())?,
        article_span,
    })
}

/// The matched articles of a batch. A field is read once for all teasers that
/// stand in it.
struct Articles {
    stored: HashMap<ArticleNumber, StoredArticle>,
    read: HashMap<(ArticleNumber, Field), Tokens>,
}

impl Articles {
    fn new(stored: HashMap<ArticleNumber, StoredArticle>) -> Self {
        Self { stored, read: HashMap::default() }
    }

    /// The id of an article, and the bytes of its field that were matched.
    fn locate(&mut self, aligned: &Aligned) -> Option<(ArticleId, ByteSpan)> {
        let article = &self.stored.get(&aligned.number)?.article;
        let text = match aligned.field {
            Field::Title => &article.title,
            Field::Description => &article.description,
            Field::Body => &article.text,
        };
        let key = (aligned.number, aligned.field);
        let tokens = self.read.entry(key).or_insert_with(|| Tokens::of(text));
        Some((article.id.clone(), tokens.span(aligned.article.clone())?))
    }
}
