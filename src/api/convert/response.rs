//! Answers.

use prost_types::Timestamp;

use crate::api::convert::{story, watch};
use crate::api::v1;
use crate::engine::article::{Article, UnixTime};
use crate::engine::find::{Duplicate, Found};
use crate::engine::page::{PageAnswer, PageTeaser, Segment};
use crate::engine::put::{PutAnswer, PutOutcome};
use crate::engine::read::ListPage;
use crate::engine::record::StoredArticle;
use crate::engine::sign::{Comparison, Signature};
use crate::engine::teaser::{Field, TeaserAnswer, TeaserMatch};
use crate::matching::overlap::Relation;
use crate::matching::verdict::{Kind, Verdict};
use crate::sketch::{PARAMETERS, Parameters, Sketch};
use crate::text::ByteSpan;
use crate::text::page::SegmentKind;

/// The parameters of this build.
pub fn parameters() -> v1::SketchParameters {
    let Parameters {
        version,
        shingle_tokens,
        minhash_values,
        band_count,
        band_values,
        simhash_bits,
        seed,
    } = PARAMETERS;
    v1::SketchParameters {
        version,
        shingle_tokens: number(shingle_tokens),
        minhash_values: number(minhash_values),
        band_count: number(band_count),
        band_values: number(band_values),
        simhash_bits: number(simhash_bits),
        seed,
    }
}

/// A signature.
pub fn signed(signature: &Signature) -> v1::SignResponse {
    let Signature { sketch: Sketch { minhash, simhash }, token_count, shingle_count } = signature;
    v1::SignResponse {
        minhash: minhash.values().to_vec(),
        simhash: simhash.bits(),
        parameters: Some(parameters()),
        token_count: number(*token_count),
        shingle_count: number(*shingle_count),
    }
}

/// A comparison.
pub fn compared(comparison: &Comparison) -> v1::CompareResponse {
    let Comparison { overlap, estimated_jaccard, simhash_distance_bits, aligned } = comparison;
    let spans = aligned
        .iter()
        .map(|(a, b)| v1::AlignedSpan { a_span: Some(span(*a)), b_span: Some(span(*b)) });
    v1::CompareResponse {
        relation: overlap.relation().map_or(v1::Relation::Unrelated, relation).into(),
        jaccard: overlap.jaccard(),
        estimated_jaccard: *estimated_jaccard,
        containment_a_in_b: overlap.left_in_right(),
        containment_b_in_a: overlap.right_in_left(),
        simhash_distance_bits: *simhash_distance_bits,
        aligned_spans: spans.collect(),
    }
}

/// What came of a put.
pub fn put(answer: PutAnswer) -> v1::PutArticleResponse {
    let PutAnswer { id, outcome, duplicates, story, resolved, revision, stored_without_text } =
        answer;
    let outcome = match outcome {
        PutOutcome::Created => v1::PutOutcome::Created,
        PutOutcome::Unchanged => v1::PutOutcome::Unchanged,
        PutOutcome::Replaced => v1::PutOutcome::Replaced,
        PutOutcome::Skipped => v1::PutOutcome::Skipped,
    };
    v1::PutArticleResponse {
        article_id: id.as_str().to_owned(),
        outcome: outcome.into(),
        duplicates: duplicates.iter().map(duplicate).collect(),
        story_id: story.map(|it| it.to_string()).unwrap_or_default(),
        resolved_teasers: resolved.into_iter().map(watch::resolved).collect(),
        revision: revision.map(story::revision),
        stored_without_text,
    }
}

/// A stored article.
pub fn got(stored: StoredArticle, signature: &Signature) -> v1::GetArticleResponse {
    v1::GetArticleResponse {
        article: Some(article(stored, true)),
        signature: Some(signed(signature)),
    }
}

/// A deletion.
pub fn deleted() -> v1::DeleteArticleResponse {
    v1::DeleteArticleResponse {}
}

/// A page of the list.
pub fn listed(page: ListPage, include_text: bool) -> v1::ListArticlesResponse {
    let ListPage { articles, next } = page;
    v1::ListArticlesResponse {
        articles: articles.into_iter().map(|it| article(it, include_text)).collect(),
        next_page_token: next.unwrap_or_default(),
    }
}

/// Near-duplicates.
pub fn found(found: &Found) -> v1::FindDuplicatesResponse {
    let Found { duplicates, story } = found;
    v1::FindDuplicatesResponse {
        duplicates: duplicates.iter().map(duplicate).collect(),
        story_id: story.map(|it| it.to_string()).unwrap_or_default(),
    }
}

/// Whose teaser it is.
pub fn matched(answer: &TeaserAnswer) -> v1::MatchTeaserResponse {
    let TeaserAnswer { verdict: best, matches, evidence_bits_min, id } = answer;
    v1::MatchTeaserResponse {
        verdict: verdict(*best).into(),
        matches: matches.iter().map(teaser_match).collect(),
        evidence_bits_min: *evidence_bits_min,
        teaser_id: id.map(|it| it.to_string()).unwrap_or_default(),
    }
}

/// What on a page is what; `text` is the page.
pub fn page(answer: &PageAnswer, text: &str) -> v1::AnalyzePageResponse {
    let PageAnswer { segments, body_duplicates, teasers } = answer;
    let teasers = teasers.iter().map(|it| page_teaser(it, segments));
    let segments = segments.iter().map(|it| v1::Segment {
        kind: segment_kind(it.kind).into(),
        span: Some(span(it.span)),
        text: it.span.of(text).to_owned(),
        teaser: it.teaser.as_ref().map(matched),
    });
    v1::AnalyzePageResponse {
        segments: segments.collect(),
        body_duplicates: body_duplicates.iter().map(duplicate).collect(),
        teasers: teasers.collect(),
    }
}

fn page_teaser(teaser: &PageTeaser, segments: &[Segment]) -> v1::PageTeaser {
    let PageTeaser { segments: places, longest } = teaser;
    let answer = segments.get(*longest).and_then(|it| it.teaser.as_ref());
    let index = |at: &usize| u32::try_from(*at).unwrap_or(u32::MAX);
    v1::PageTeaser {
        segment_indexes: places.iter().map(index).collect(),
        answer: answer.map(matched),
    }
}

/// Milliseconds since the Unix epoch as the contract's time.
pub fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(unix_ms % 1000).unwrap_or(0) * 1_000_000,
    }
}

fn article(stored: StoredArticle, include_text: bool) -> v1::Article {
    let StoredArticle { article, stored_ms } = stored;
    let Article { id, url, site, language, title, description, text, published, expires } = article;
    v1::Article {
        article_id: id.as_str().to_owned(),
        url,
        site,
        language,
        title,
        description,
        text: if include_text { text } else { String::new() },
        published_time: published.map(time),
        stored_time: Some(timestamp(stored_ms)),
        expire_time: expires.map(time),
    }
}

pub(super) fn time(time: UnixTime) -> Timestamp {
    Timestamp { seconds: time.seconds(), nanos: i32::try_from(time.nanos()).unwrap_or(0) }
}

fn duplicate(duplicate: &Duplicate) -> v1::Duplicate {
    let Duplicate { id, number: _, story, relation: found, overlap, simhash_distance_bits } =
        duplicate;
    v1::Duplicate {
        article_id: id.as_str().to_owned(),
        relation: relation(*found).into(),
        jaccard: overlap.jaccard(),
        containment_in_article: overlap.left_in_right(),
        containment_of_article: overlap.right_in_left(),
        simhash_distance_bits: *simhash_distance_bits,
        story_id: story.to_string(),
    }
}

pub(super) fn teaser_match(found: &TeaserMatch) -> v1::TeaserMatch {
    let TeaserMatch {
        id,
        verdict: own,
        confidence,
        kind,
        field,
        similarity,
        evidence_bits,
        teaser_span,
        article_span,
    } = found;
    let kind = match kind {
        Kind::Verbatim => v1::MatchKind::Verbatim,
        Kind::Edited => v1::MatchKind::Edited,
        Kind::Rewritten => v1::MatchKind::Rewritten,
    };
    v1::TeaserMatch {
        article_id: id.as_str().to_owned(),
        verdict: verdict(*own).into(),
        kind: kind.into(),
        field: self::field(*field).into(),
        similarity: *similarity,
        evidence_bits: *evidence_bits,
        confidence: *confidence,
        teaser_span: Some(span(*teaser_span)),
        article_span: Some(span(*article_span)),
    }
}

pub(super) fn field(field: Field) -> v1::ArticleField {
    match field {
        Field::Title => v1::ArticleField::Title,
        Field::Description => v1::ArticleField::Description,
        Field::Body => v1::ArticleField::Body,
    }
}

pub(super) fn relation(relation: Relation) -> v1::Relation {
    match relation {
        Relation::Duplicate => v1::Relation::Duplicate,
        Relation::Contains => v1::Relation::Contains,
        Relation::ContainedIn => v1::Relation::ContainedIn,
        Relation::Overlaps => v1::Relation::Overlaps,
    }
}

fn verdict(verdict: Verdict) -> v1::TeaserVerdict {
    match verdict {
        Verdict::Match => v1::TeaserVerdict::Match,
        Verdict::Possible => v1::TeaserVerdict::Possible,
        Verdict::NoMatch => v1::TeaserVerdict::NoMatch,
        Verdict::InsufficientEvidence => v1::TeaserVerdict::InsufficientEvidence,
    }
}

fn segment_kind(kind: SegmentKind) -> v1::SegmentKind {
    match kind {
        SegmentKind::Body => v1::SegmentKind::Body,
        SegmentKind::Teaser => v1::SegmentKind::Teaser,
        SegmentKind::TeaserHeadline => v1::SegmentKind::TeaserHeadline,
        SegmentKind::SectionLabel => v1::SegmentKind::SectionLabel,
        SegmentKind::Title => v1::SegmentKind::Title,
        SegmentKind::Other => v1::SegmentKind::Other,
    }
}

pub(super) fn span(span: ByteSpan) -> v1::ByteSpan {
    let ByteSpan { start, end } = span;
    v1::ByteSpan { start_byte: start, end_byte: end }
}

pub(super) fn count(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
