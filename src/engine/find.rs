//! Near-duplicates: the index proposes, a bound drops what cannot be related, exact
//! overlap decides.

mod apart;

use std::cmp::Reverse;

use crate::engine::Engine;
use crate::engine::article::{ArticleId, SITE_BYTES_MAX, UnixTime, check_bytes, check_text};
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::parallel;
use crate::engine::record::Features;
use crate::engine::scope::Scope;
use crate::engine::story::{StoryId, fetch_stories, story_of};
use crate::hash::HashMap;
use crate::index::keys::{self, FieldTokens, Keys};
use crate::index::{Filter, NearQuery, TermQuery};
use crate::matching::evidence;
use crate::matching::overlap::{Overlap, Relation, SharedBound, ShingleSet};
use crate::shingle;
use crate::sketch::Sketch;
use crate::store::ArticleNumber;
use crate::term;
use crate::text::tokens::{TokenHash, Tokens};

/// Answers to one question, by default.
pub const RESULTS_DEFAULT: usize = 10;
/// Answers to one question, at most.
pub const RESULTS_MAX: usize = 100;

/// Related articles that are looked at for standing text, at least, however few are
/// asked for: some of them may be related by that alone.
const CHECKED_MIN: usize = 16;

/// A question for near-duplicates.
#[derive(Debug, Clone)]
pub struct FindRequest {
    /// What to look for.
    pub target: Target,
    /// Among which articles.
    pub scope: Scope,
    /// At most this many.
    pub max_results: usize,
    /// The site of a text; empty where it is not known. An article has its own.
    pub site: String,
    /// When a text was published. An article has its own.
    pub published: Option<UnixTime>,
}

impl FindRequest {
    /// Among all articles.
    pub fn of(target: Target) -> Self {
        let max_results = RESULTS_DEFAULT;
        Self { target, scope: Scope::all(), max_results, site: String::new(), published: None }
    }
}

/// What near-duplicates are looked for of.
#[derive(Debug, Clone)]
pub enum Target {
    /// A text.
    Text(String),
    /// A stored article.
    Stored(ArticleId),
}

/// A stored article that a text is related to.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicate {
    /// The article.
    pub id: ArticleId,
    /// The number of its content.
    pub number: ArticleNumber,
    /// The story that it is in.
    pub story: StoryId,
    /// What the text is to it.
    pub relation: Relation,
    /// Shared shingles: the text's on the left, the article's on the right.
    pub overlap: Overlap,
    /// Bits in which the two values of SimHash differ.
    pub simhash_distance_bits: u32,
}

/// A text as a question: its shingle set, and what it looks up.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    tokens: Vec<TokenHash>,
    shingles: ShingleSet,
    keys: Keys,
}

/// A question in the engine's own terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) subject: &'a Subject,
    pub(super) filter: &'a Filter,
    /// The article itself, where it is stored: not its own duplicate.
    pub(super) without: Option<ArticleNumber>,
    pub(super) max_results: usize,
}

impl Engine {
    /// The near-duplicates of each text or article, closest first: by the
    /// greater containment, then by Jaccard similarity, then the oldest.
    pub fn find_duplicates(&self, requests: &[FindRequest]) -> Vec<Result<Found, EngineError>> {
        let read: Vec<_> = parallel::each(requests.iter().collect(), |it| self.core.asked(it));
        let questions: Vec<Question<'_>> = requests
            .iter()
            .zip(&read)
            .filter_map(|(request, read)| {
                let Asked { subject, without, filter } = read.as_ref().ok()?;
                let max_results = request.max_results;
                Some(Question { subject, filter, without: *without, max_results })
            })
            .collect();
        let found = self.core.find(&questions);
        let draft = self.core.draft();
        if let Ok(found) = &found
            && let Err(error) = fetch_stories(&draft, found.iter().flatten().map(|it| it.number))
        {
            return requests.iter().map(|_| Err(error.clone())).collect();
        }
        let mut found = answers(found, questions.len());
        read.iter()
            .map(|it| {
                let asked = it.as_ref().map_err(Clone::clone)?;
                let mut duplicates = found.next().unwrap_or(Ok(Vec::new()))?;
                self.core.name_stories(&draft, &mut duplicates)?;
                let story = match asked.without {
                    Some(number) => Some(story_of(&draft, number)?),
                    None => self.core.story_to_join(&draft, &asked.subject, &duplicates)?,
                };
                Ok(Found { duplicates, story })
            })
            .collect()
    }
}

/// The near-duplicates of a text or an article.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Closest first.
    pub duplicates: Vec<Duplicate>,
    /// The story that the article is in or that the text would join, if there is one.
    pub story: Option<StoryId>,
}

/// A question as it was read.
struct Asked {
    subject: Subject,
    without: Option<ArticleNumber>,
    filter: Filter,
}

/// A key that sorts numbers that are no NaN from the greatest to the least.
pub(super) fn descending(value: f64) -> Reverse<i64> {
    // Of a positive number, the order of its bits is its own.
    Reverse(value.max(0.0).to_bits().cast_signed())
}

/// One result a question, where one failure is all questions' failure.
pub(super) fn answers<T>(
    result: Result<Vec<T>, EngineError>,
    count: usize,
) -> impl Iterator<Item = Result<T, EngineError>> {
    let (found, error) = match result {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let failed = error.into_iter().flat_map(move |it| std::iter::repeat_n(it, count));
    found.into_iter().map(Ok).chain(failed.map(Err))
}

impl Engine {
    /// How many of the rare terms of two texts are in both: the cosine of their
    /// terms weighted by rarity among the stored articles, 0 to 1.
    pub fn story_similarity(&self, a: &[TokenHash], b: &[TokenHash]) -> Result<f64, EngineError> {
        let (a, b) = (term::distinct([a]), term::distinct([b]));
        let filter = Filter::all();
        let query = |terms| TermQuery { terms, filter: &filter };
        let proposals = self.core.index.terms(&[query(&a), query(&b)])?;
        let [left, right] = proposals.as_slice() else { return Ok(0.0) };
        let weights = |terms: &[u64], frequencies: &[u32]| -> HashMap<u64, f64> {
            terms.iter().copied().zip(evidence::term_bits(frequencies)).collect()
        };
        let (a, b) = (weights(&a, &left.frequencies), weights(&b, &right.frequencies));
        let norm = |it: &HashMap<u64, f64>| it.values().map(|it| it * it).sum::<f64>().sqrt();
        let shared: f64 = a.iter().filter_map(|(term, bits)| Some(bits * b.get(term)?)).sum();
        let norms = norm(&a) * norm(&b);
        Ok(if norms > 0.0 { shared / norms } else { 0.0 })
    }
}

impl Core {
    /// The answers to all questions, on all processors.
    pub(super) fn find(
        &self,
        questions: &[Question<'_>],
    ) -> Result<Vec<Vec<Duplicate>>, EngineError> {
        let work = |it: &[Question<'_>]| self.find_at_once(it, as_duplicate);
        parallel::questions(questions, self.is_far(), work)
    }

    /// The answers to one question, each with the tokens of the article.
    pub(super) fn find_relatives(
        &self,
        question: Question<'_>,
    ) -> Result<Vec<(Duplicate, FieldTokens)>, EngineError> {
        let keep = |it: &Related<'_>| (it.duplicate(), it.features.fields.clone());
        Ok(self.find_at_once(&[question], keep)?.into_iter().next().unwrap_or_default())
    }

    /// What is kept of the answers to some questions, with one look-up and one read.
    fn find_at_once<T>(
        &self,
        questions: &[Question<'_>],
        keep: impl Fn(&Related<'_>) -> T,
    ) -> Result<Vec<Vec<T>>, EngineError> {
        let queries: Vec<NearQuery<'_>> = questions
            .iter()
            .map(|it| NearQuery {
                keys: &it.subject.keys,
                shingle_count: it.subject.shingle_count(),
                filter: it.filter,
            })
            .collect();
        let candidates = self.index.near(&queries)?;
        self.judge(questions, &candidates, keep)
    }

    /// What a text is to these articles: those that it is related to.
    pub(super) fn relate(
        &self,
        subject: &Subject,
        numbers: &[ArticleNumber],
    ) -> Result<Vec<Duplicate>, EngineError> {
        let filter = Filter::all();
        let question =
            Question { subject, filter: &filter, without: None, max_results: numbers.len() };
        let related = self.judge(&[question], &[numbers.to_vec()], as_duplicate)?;
        Ok(related.into_iter().next().unwrap_or_default())
    }

    /// What is kept of the candidates that the texts are related to, with one read.
    fn judge<T>(
        &self,
        questions: &[Question<'_>],
        candidates: &[Vec<ArticleNumber>],
        keep: impl Fn(&Related<'_>) -> T,
    ) -> Result<Vec<Vec<T>>, EngineError> {
        let features = self.features(candidates.iter().flatten().copied())?;
        let verified = questions.iter().zip(candidates);
        let mut found: Vec<Vec<Related<'_>>> =
            verified.map(|(question, numbers)| verify(*question, numbers, &features)).collect();
        self.leave_standing_text_out(questions, &mut found)?;
        for (found, question) in found.iter_mut().zip(questions) {
            found.truncate(question.max_results);
        }
        Ok(found.into_iter().map(|it| it.iter().map(&keep).collect()).collect())
    }

    fn asked(&self, request: &FindRequest) -> Result<Asked, EngineError> {
        check_bytes("site", &request.site, SITE_BYTES_MAX)?;
        let (subject, without, facets) = match &request.target {
            Target::Text(text) => {
                check_text("text", text)?;
                let tokens = Tokens::of(text);
                if tokens.is_empty() {
                    return Err(Invalid::new("text", Problem::WithoutTokens).into());
                }
                let published_s = request.published.map(UnixTime::seconds);
                (
                    Subject::of(&tokens.hashes),
                    None,
                    keys::facets(&request.site, "", "", published_s),
                )
            }
            Target::Stored(id) => {
                let (number, features) = self.named(id.as_str())?;
                (Subject::of(features.fields.text()), Some(number), features.facets)
            }
        };
        Ok(Asked { subject, without, filter: request.scope.around(&facets)? })
    }
}

impl Subject {
    pub(super) fn of(tokens: &[TokenHash]) -> Self {
        let shingles = shingle::shingles(tokens);
        let keys = Keys::of_question(&shingles, Sketch::of(tokens, &shingles));
        Self { tokens: tokens.to_vec(), shingles: ShingleSet::of(&shingles), keys }
    }

    /// What it looks up.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn shingle_count(&self) -> usize {
        self.shingles.len()
    }

    /// What it shares with an article.
    pub(super) fn overlap(&self, with: &Features) -> Overlap {
        self.shingles.overlap(&shingle::shingles(with.fields.text()), with.shingle_count)
    }

    pub(super) fn sketch(&self) -> Sketch {
        self.keys.sketch
    }
}

/// An article that a text is related to.
#[derive(Debug, Clone)]
struct Related<'a> {
    number: ArticleNumber,
    features: &'a Features,
    relation: Relation,
    overlap: Overlap,
    simhash_distance_bits: u32,
}

/// What most questions keep of an answer.
fn as_duplicate(related: &Related<'_>) -> Duplicate {
    related.duplicate()
}

impl Related<'_> {
    fn duplicate(&self) -> Duplicate {
        Duplicate {
            id: self.features.id.clone(),
            number: self.number,
            story: StoryId(self.number.0),
            relation: self.relation,
            overlap: self.overlap,
            simhash_distance_bits: self.simhash_distance_bits,
        }
    }
}

/// The candidates that a text is related to, closest first.
fn verify<'a>(
    question: Question<'_>,
    candidates: &[ArticleNumber],
    features: &'a HashMap<ArticleNumber, Features>,
) -> Vec<Related<'a>> {
    let candidates = candidates.iter().filter(|it| Some(**it) != question.without);
    let mut present = candidates.filter_map(|it| Some((*it, features.get(it)?))).peekable();
    if present.peek().is_none() {
        return Vec::new();
    }
    let bound = SharedBound::of(&question.subject.tokens);
    let mut found: Vec<Related<'_>> =
        present.filter_map(|it| compare(question.subject, &bound, it)).collect();
    sort(&mut found);
    found.truncate(question.max_results.max(CHECKED_MIN));
    found
}

fn sort(found: &mut [Related<'_>]) {
    found.sort_by_key(|it| {
        (descending(it.overlap.containment_max()), descending(it.overlap.jaccard()), it.number)
    });
}

/// What a text is to a candidate. Most candidates share a phrase only, and are told by
/// the bound.
fn compare<'a>(
    subject: &Subject,
    bound: &SharedBound,
    (number, features): (ArticleNumber, &'a Features),
) -> Option<Related<'a>> {
    let shared_min = Overlap::shared_min(subject.shingle_count(), features.shingle_count);
    if !bound.may_share(features.fields.text(), shared_min) {
        return None;
    }
    let overlap = subject.overlap(features);
    let simhash_distance_bits = subject.sketch().simhash.distance_bits(features.simhash);
    let relation = overlap.relation()?;
    Some(Related { number, features, relation, overlap, simhash_distance_bits })
}
