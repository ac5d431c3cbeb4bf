//! Teasers: anchors propose and alignment decides; where that fails, terms
//! propose and their rarity decides.

mod aligned;
mod retold;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::article::{
    ArticleId, SITE_BYTES_MAX, URL_BYTES_MAX, UnixTime, check_bytes, check_text,
};
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::find::{answers, descending};
use crate::engine::parallel;
use crate::engine::record::Features;
use crate::engine::scope::Scope;
use crate::engine::teaser::aligned::Aligned;
use crate::engine::watch::record::TeaserId;
use crate::index::{Facets, Filter, TeaserProposal, TeaserQuery, Wanted, keys};
use crate::matching::evidence::{Rarity, WHOLE_TITLE_BITS};
use crate::matching::verdict::{Kind, TEASER_WORDS_MIN, Verdict};
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

/// A teaser whose article is asked for.
#[derive(Debug, Clone)]
pub struct TeaserRequest {
    /// The blurb or headline.
    pub text: String,
    /// Among which articles.
    pub scope: Scope,
    /// At most this many matches.
    pub max_results: usize,
    /// The site of the page on which it stands; empty where it is not known.
    pub site: String,
    /// When it was seen; now, if that is not given.
    pub seen: Option<UnixTime>,
    /// Where it was seen, if it is to be waited for.
    pub watch: Option<Watch>,
}

/// Where a teaser was seen that is to be waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// The page; empty where it is not known.
    pub page_url: String,
    /// Where the teaser links to; empty where it is not known.
    pub link_url: String,
}

/// A teaser that was read, and among which articles its own is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) filter: &'a Filter,
    pub(super) max_results: usize,
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
    /// Its name, if it was watched and waits for its article or refers to it.
    pub id: Option<TeaserId>,
}

/// An article that a teaser belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeaserMatch {
    /// The article.
    pub id: ArticleId,
    /// Match or possible.
    pub verdict: Verdict,
    /// Probability that the teaser is this article's, 0 to 1.
    pub confidence: f64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The title.
    Title,
    /// The description.
    Description,
    /// The text.
    Body,
}

/// How far a teaser's article is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Where it stands word for word.
    Words,
    /// By its terms, where it does not.
    Terms,
}

/// An article that passed.
#[derive(Debug, Clone)]
struct Found {
    number: ArticleNumber,
    matched: TeaserMatch,
}

/// How a teaser stands in an article.
#[derive(Debug, Clone)]
struct Standing {
    kind: Kind,
    similarity: f64,
    bits: f64,
    field: Field,
    /// Tokens of the teaser, and of the field.
    teaser: Range<usize>,
    article: Range<usize>,
}

/// A teaser in the engine's own terms, and what the index knows of it.
struct Question<'a> {
    tokens: &'a Tokens,
    proposal: &'a TeaserProposal,
    filter: &'a Filter,
    max_results: usize,
}

impl Question<'_> {
    fn strong(&self) -> &[ArticleNumber] {
        let TeaserProposal { candidates, strong, .. } = self.proposal;
        candidates.get(..*strong).unwrap_or(candidates)
    }

    fn others(&self) -> &[ArticleNumber] {
        self.proposal.candidates.get(self.proposal.strong..).unwrap_or_default()
    }

    fn rarity(&self) -> Rarity {
        Rarity::new(self.proposal.article_count)
    }

    /// An article that a teaser stands in, with the places of both in bytes.
    fn found(
        &self,
        (number, features): (ArticleNumber, &Features),
        standing: Standing,
        (verdict, confidence): (Verdict, f64),
    ) -> Option<Found> {
        let Standing { kind, similarity, bits, field, teaser, article } = standing;
        let spans = match field {
            Field::Title => &features.spans.title,
            Field::Description => &features.spans.description,
            Field::Body => &features.spans.text,
        };
        let matched = TeaserMatch {
            id: features.id.clone(),
            verdict,
            confidence,
            kind,
            field,
            similarity,
            evidence_bits: bits,
            teaser_span: self.tokens.span(teaser)?,
            article_span: spans.span(article)?,
        };
        Some(Found { number, matched })
    }
}

impl Engine {
    /// Whose teaser each text is. Those that are watched are answered as
    /// [`Engine::watch_teasers`] does.
    pub fn match_teasers(
        &self,
        requests: Vec<TeaserRequest>,
    ) -> Vec<Result<TeaserAnswer, EngineError>> {
        if requests.iter().all(|it| it.watch.is_none()) {
            return self.match_unwatched(&requests);
        }
        let is_watched: Vec<bool> = requests.iter().map(|it| it.watch.is_some()).collect();
        let (watched, others): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|it| it.watch.is_some());
        let mut watched = self.watch_teasers(watched).into_iter();
        let mut others = self.match_unwatched(&others).into_iter();
        let results =
            is_watched.into_iter().map(|it| if it { watched.next() } else { others.next() });
        results.map(|it| it.unwrap_or(Err(EngineError::Stopped))).collect()
    }

    fn match_unwatched(
        &self,
        requests: &[TeaserRequest],
    ) -> Vec<Result<TeaserAnswer, EngineError>> {
        let read: Vec<Result<(Tokens, Filter), Invalid>> =
            parallel::each(requests.iter().collect(), |it| {
                it.check()?;
                let tokens = read_teaser(&it.text, &self.core.cues)?;
                Ok((tokens, it.scope.around(&it.facets(&self.core.clock))?))
            });
        let asked: Vec<Asked<'_>> = requests
            .iter()
            .zip(&read)
            .filter_map(|(it, read)| {
                let (tokens, filter) = read.as_ref().ok()?;
                Some(Asked { tokens, filter, max_results: it.max_results })
            })
            .collect();
        let mut found = answers(self.core.match_teasers(&asked, Depth::Terms), asked.len());
        read.iter()
            .map(|it| match it {
                Ok(_) => found.next().unwrap_or(Err(EngineError::Stopped)),
                Err(error) => Err(error.clone().into()),
            })
            .collect()
    }
}

impl TeaserRequest {
    /// Of a text, among all articles.
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            scope: Scope::all(),
            max_results: MATCHES_DEFAULT,
            site: String::new(),
            seen: None,
            watch: None,
        }
    }

    /// Checks the length of every field but the text, which is checked when it is read.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        check_bytes("site", &self.site, SITE_BYTES_MAX)?;
        let Some(Watch { page_url, link_url }) = &self.watch else { return Ok(()) };
        check_bytes("watch.page_url", page_url, URL_BYTES_MAX)?;
        check_bytes("watch.link_url", link_url, URL_BYTES_MAX)
    }

    /// When it was seen, in milliseconds since the Unix epoch.
    pub(super) fn seen_ms(&self, clock: &Clock) -> u64 {
        self.seen.map_or_else(|| clock.unix_ms(), UnixTime::unix_ms)
    }

    pub(super) fn facets(&self, clock: &Clock) -> Facets {
        let page = self.watch.as_ref().map_or("", |it| it.page_url.as_str());
        let seen_s = i64::try_from(self.seen_ms(clock) / 1000).unwrap_or(i64::MAX);
        let seen_s = self.seen.map_or(seen_s, UnixTime::seconds);
        keys::facets(&self.site, page, "", Some(seen_s))
    }
}

pub(super) fn read_teaser(text: &str, cues: &Cues) -> Result<Tokens, Invalid> {
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
    pub(super) fn match_teasers(
        &self,
        teasers: &[Asked<'_>],
        depth: Depth,
    ) -> Result<Vec<TeaserAnswer>, EngineError> {
        let work = |it: &[Asked<'_>]| self.match_at_once(it, depth);
        parallel::questions(teasers, self.is_far(), work)
    }

    /// The answers to some teasers: one look-up and one read, and another read where
    /// some of them do not stand in their strong candidates; where some stand in no
    /// article word for word, one look-up and one read more.
    fn match_at_once(
        &self,
        teasers: &[Asked<'_>],
        depth: Depth,
    ) -> Result<Vec<TeaserAnswer>, EngineError> {
        let proposals = self.propose(teasers)?;
        let questions: Vec<Question<'_>> = teasers
            .iter()
            .zip(&proposals)
            .map(|(asked, proposal)| Question {
                tokens: asked.tokens,
                proposal,
                filter: asked.filter,
                max_results: asked.max_results,
            })
            .collect();
        let aligned = self.align(&questions)?;
        let found = match depth {
            Depth::Words => aligned.into_iter().map(|it| it.standing).collect(),
            Depth::Terms => self.with_retold(&questions, aligned)?,
        };
        let answered = questions.iter().zip(found);
        Ok(answered.map(|(question, found)| answer(question, found)).collect())
    }

    /// Aligns the strong candidates of each teaser, and the others where it stands in
    /// none of those: most teasers have one strong candidate, which is their article.
    fn align(&self, questions: &[Question<'_>]) -> Result<Vec<Aligned>, EngineError> {
        let mut aligned: Vec<Aligned> = questions.iter().map(|_| Aligned::default()).collect();
        for part in [Question::strong, Question::others] {
            let open: Vec<(&Question<'_>, &mut Aligned)> =
                questions.iter().zip(&mut aligned).filter(|it| it.1.standing.is_empty()).collect();
            let asked = open.iter().flat_map(|(question, _)| part(question).iter().copied());
            let features = self.features(asked)?;
            for (question, aligned) in open {
                aligned.add(question, part(question), &features);
            }
        }
        Ok(aligned)
    }

    fn propose(&self, teasers: &[Asked<'_>]) -> Result<Vec<TeaserProposal>, EngineError> {
        let shingles: Vec<Vec<u64>> =
            teasers.iter().map(|it| shingle::shingles(&it.tokens.hashes)).collect();
        let queries: Vec<TeaserQuery<'_>> = teasers
            .iter()
            .zip(&shingles)
            .map(|(asked, shingles)| TeaserQuery {
                shingles,
                filter: asked.filter,
                wanted: Wanted::Parts,
            })
            .collect();
        let mut proposals = self.index.teasers(&queries)?;
        for (proposal, asked) in proposals.iter_mut().zip(teasers) {
            if !has_evidence(asked.tokens, proposal, WHOLE_TITLE_BITS) {
                proposal.candidates.clear();
            }
            proposal.candidates.truncate(ALIGNED_MAX.max(asked.max_results));
        }
        Ok(proposals)
    }
}

/// Whether a teaser that stood word for word in an article would be enough.
fn is_answerable(tokens: &Tokens, proposal: &TeaserProposal) -> bool {
    has_evidence(tokens, proposal, 0.0)
}

/// Whether a teaser's own bits and so many more would be enough.
fn has_evidence(tokens: &Tokens, proposal: &TeaserProposal, more_bits: f64) -> bool {
    let rarity = Rarity::new(proposal.article_count);
    let whole = std::iter::once(0..tokens.len());
    let bits = rarity.bits_of_runs(&proposal.frequencies, whole);
    tokens.words() >= TEASER_WORDS_MIN && bits + more_bits >= rarity.bits_min()
}

/// Best first.
fn sort(found: &mut [Found]) {
    found.sort_by_key(|Found { number, matched: it }| {
        (it.verdict, descending(it.similarity), descending(it.evidence_bits), *number)
    });
}

fn answer(question: &Question<'_>, found: Vec<Found>) -> TeaserAnswer {
    let Question { tokens, proposal, .. } = question;
    let matches: Vec<TeaserMatch> = found.into_iter().map(|it| it.matched).collect();
    let verdict = match matches.first() {
        Some(best) => best.verdict,
        None if is_answerable(tokens, proposal) => Verdict::NoMatch,
        None => Verdict::InsufficientEvidence,
    };
    TeaserAnswer {
        verdict,
        matches,
        evidence_bits_min: Rarity::new(proposal.article_count).bits_min(),
        id: None,
    }
}
