//! Revisions: how the content of an article was replaced by other content under the same
//! id, word by word. The words are compared by histogram diff (the library `imara-diff`).

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::engine::article::{Article, ArticleId};
use crate::engine::error::EngineError;
use crate::engine::record::{Features, PackedSpans, StoredArticle};
use crate::engine::rows::{article_prefix, key, ordered_32, prefix_end};
use crate::engine::teaser::Field;
use crate::store::Space;
use crate::store::draft::Draft;
use crate::text::ByteSpan;
use crate::text::tokens::TokenHash;

/// Revisions of an article that are kept, at most: the last ones.
pub const REVISIONS_MAX: u32 = 16;
/// Changes of a revision that are kept, at most: the first ones.
pub const CHANGES_MAX: usize = 200;
/// Bytes of a change's words that are kept, at most.
pub const CHANGE_BYTES_MAX: usize = 200;
/// Of the words of a text, one in so many is taken out by a correction, at most.
const CORRECTED_ONE_IN: usize = 10;
/// A correction puts in as many as it takes out, and one in so many more, at most.
const ADDED_ONE_IN: usize = 20;

/// How an article's content was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Its place among the article's, from 1.
    pub place: u32,
    /// What kind of change it was.
    pub kind: RevisionKind,
    /// When the content before it was stored, in milliseconds since the Unix epoch.
    pub before_stored_ms: u64,
    /// When it was replaced.
    pub replaced_ms: u64,
    /// Words of the content before it.
    pub before_words: usize,
    /// Words that were taken out.
    pub removed_words: usize,
    /// Words that were put in.
    pub added_words: usize,
    /// What changed, in order.
    pub changes: Vec<Change>,
    /// The URL before it, if that changed; else empty.
    pub before_url: String,
}

/// What kind of change a revision was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevisionKind {
    /// Some words.
    Correction,
    /// More than that.
    Update,
    /// No word.
    Form,
}

/// A run of words that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// In which field.
    pub field: Field,
    /// Where it stood in the field before; `None` where words were only put in.
    pub before: Option<ByteSpan>,
    /// Where it stands in the field after; `None` where words were only taken out.
    pub after: Option<ByteSpan>,
    /// The words before, as far as they are kept.
    pub before_text: String,
    /// The words after.
    pub after_text: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct RevisionRecord {
    #[prost(uint32, tag = "1")]
    revision: u32,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(uint64, tag = "3")]
    before_stored_ms: u64,
    #[prost(uint64, tag = "4")]
    replaced_ms: u64,
    #[prost(uint64, tag = "5")]
    before_words: u64,
    #[prost(uint64, tag = "6")]
    removed_words: u64,
    #[prost(uint64, tag = "7")]
    added_words: u64,
    #[prost(message, repeated, tag = "8")]
    changes: Vec<ChangeRecord>,
    #[prost(string, tag = "9")]
    before_url: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct ChangeRecord {
    #[prost(uint32, tag = "1")]
    field: u32,
    #[prost(uint32, repeated, tag = "2")]
    before: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    after: Vec<u32>,
    #[prost(string, tag = "4")]
    before_text: String,
    #[prost(string, tag = "5")]
    after_text: String,
}

const KINDS: [RevisionKind; 3] =
    [RevisionKind::Correction, RevisionKind::Update, RevisionKind::Form];
const FIELDS: [Field; 3] = [Field::Title, Field::Description, Field::Body];

/// A content of an article, with its words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) stored: &'a StoredArticle,
    pub(super) features: &'a Features,
}

impl Revision {
    /// From one content to another. Its place is not known yet.
    pub(super) fn between(before: Content<'_>, after: Content<'_>) -> Self {
        let mut changes = Vec::new();
        let (mut removed_words, mut added_words) = (0, 0);
        for field in FIELDS {
            let (old, new) = (before.field(field), after.field(field));
            for (gone, come) in hunks(old.0, new.0) {
                removed_words += gone.len();
                added_words += come.len();
                if changes.len() < CHANGES_MAX {
                    let (before, before_text) = old.quote(gone);
                    let (after, after_text) = new.quote(come);
                    changes.push(Change { field, before, after, before_text, after_text });
                }
            }
        }
        let before_words = before.features.fields.whole().len();
        let is_moved = before.stored.article.url != after.stored.article.url;
        Self {
            place: 0,
            kind: kind(before_words, removed_words, added_words),
            before_stored_ms: before.stored.stored_ms,
            replaced_ms: after.stored.stored_ms,
            before_words,
            removed_words,
            added_words,
            changes,
            before_url: if is_moved { before.stored.article.url.clone() } else { String::new() },
        }
    }

    fn encode(&self) -> Vec<u8> {
        let place = |it: Option<ByteSpan>| it.map_or(Vec::new(), |it| vec![it.start, it.end]);
        let change = |it: &Change| ChangeRecord {
            field: small(FIELDS.iter().position(|all| *all == it.field)),
            before: place(it.before),
            after: place(it.after),
            before_text: it.before_text.clone(),
            after_text: it.after_text.clone(),
        };
        let record = RevisionRecord {
            revision: self.place,
            kind: small(KINDS.iter().position(|all| *all == self.kind)),
            before_stored_ms: self.before_stored_ms,
            replaced_ms: self.replaced_ms,
            before_words: self.before_words as u64,
            removed_words: self.removed_words as u64,
            added_words: self.added_words as u64,
            changes: self.changes.iter().map(change).collect(),
            before_url: self.before_url.clone(),
        };
        record.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let record = RevisionRecord::decode(bytes).map_err(|it| damaged(&it.to_string()))?;
        let span = |it: &[u32]| match it {
            [start, end] => Some(ByteSpan { start: *start, end: *end }),
            _ => None,
        };
        let change = |it: ChangeRecord| {
            let field = FIELDS.get(it.field as usize);
            Ok(Change {
                field: *field.ok_or_else(|| damaged("it has another field"))?,
                before: span(&it.before),
                after: span(&it.after),
                before_text: it.before_text,
                after_text: it.after_text,
            })
        };
        let kind = KINDS.get(record.kind as usize);
        let count = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        Ok(Self {
            place: record.revision,
            kind: *kind.ok_or_else(|| damaged("it has another kind"))?,
            before_stored_ms: record.before_stored_ms,
            replaced_ms: record.replaced_ms,
            before_words: count(record.before_words),
            removed_words: count(record.removed_words),
            added_words: count(record.added_words),
            changes: record.changes.into_iter().map(change).collect::<Result<_, EngineError>>()?,
            before_url: record.before_url,
        })
    }
}

impl Engine {
    /// The revisions of an article, the oldest first, at most [`REVISIONS_MAX`].
    pub fn revisions(&self, id: &ArticleId) -> Result<Vec<Revision>, EngineError> {
        self.core.number(id.as_str())?;
        let start = article_prefix(id);
        let end = prefix_end(&start);
        let rows =
            self.core.store.rows(Space::Revision, &start[..]..&end[..], REVISIONS_MAX as usize)?;
        rows.iter().map(|(_, row)| Revision::decode(row)).collect()
    }
}

/// Keeps a revision behind those before it.
pub(super) fn keep(
    draft: &mut Draft,
    id: &ArticleId,
    mut revision: Revision,
) -> Result<Revision, EngineError> {
    let start = article_prefix(id);
    let end = prefix_end(&start);
    let rows = draft.rows(Space::Revision, &start[..]..&end[..], usize::MAX)?;
    let last = rows.last().map(|(_, row)| Revision::decode(row)).transpose()?;
    revision.place = last.map_or(0, |it| it.place) + 1;
    if let Some(gone) = revision.place.checked_sub(REVISIONS_MAX) {
        draft.unset(Space::Revision, key([&start, &ordered_32(gone)]));
    }
    set(draft, id, &revision);
    Ok(revision)
}

/// Keeps a revision in its place.
pub(super) fn set(draft: &mut Draft, id: &ArticleId, revision: &Revision) {
    let key = key([&article_prefix(id), &ordered_32(revision.place)]);
    draft.set(Space::Revision, key, revision.encode());
}

/// The words of a field, where they stand, and the field itself.
struct FieldWords<'a>(&'a [TokenHash], &'a PackedSpans, &'a str);

impl FieldWords<'_> {
    /// Where words stand, and what is kept of them.
    fn quote(&self, words: Range<usize>) -> (Option<ByteSpan>, String) {
        if words.is_empty() {
            return (None, String::new());
        }
        let span = self.1.span(words);
        let range = span.map_or(0..0, |it| it.start as usize..it.end as usize);
        let text = self.2.get(range).unwrap_or_default();
        let mut end = text.len().min(CHANGE_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        (span, text.get(..end).unwrap_or_default().to_owned())
    }
}

impl Content<'_> {
    fn field(&self, field: Field) -> FieldWords<'_> {
        let Features { fields, spans, .. } = self.features;
        let Article { title, description, text, .. } = &self.stored.article;
        match field {
            Field::Title => FieldWords(fields.title(), &spans.title, title),
            Field::Description => FieldWords(fields.description(), &spans.description, description),
            Field::Body => FieldWords(fields.text(), &spans.text, text),
        }
    }
}

/// The runs of words that differ, in order.
fn hunks(before: &[TokenHash], after: &[TokenHash]) -> Vec<(Range<usize>, Range<usize>)> {
    if before == after {
        return Vec::new();
    }
    let mut input: InternedInput<TokenHash> = InternedInput::default();
    input.update_before(before.iter().copied());
    input.update_after(after.iter().copied());
    let diff = Diff::compute(Algorithm::Histogram, &input);
    let range = |it: Range<u32>| it.start as usize..it.end as usize;
    diff.hunks().map(|it| (range(it.before), range(it.after))).collect()
}

fn kind(words: usize, removed: usize, added: usize) -> RevisionKind {
    if removed == 0 && added == 0 {
        RevisionKind::Form
    } else if removed <= words / CORRECTED_ONE_IN && added <= removed + words / ADDED_ONE_IN {
        RevisionKind::Correction
    } else {
        RevisionKind::Update
    }
}

fn small(place: Option<usize>) -> u32 {
    place.and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}

fn damaged(problem: &str) -> EngineError {
    EngineError::DamagedRow { what: "revision", problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens::Tokens;

    #[test]
    fn hunks_are_what_differs() {
        let words = |text: &str| Tokens::of(text).hashes;
        let of = |a: &str, b: &str| hunks(&words(a), &words(b));
        assert_eq!(of("a b c d", "a x c d"), [(1..2, 1..2)]);
        assert_eq!(of("a b c", "a b c d e"), [(3..3, 3..5)]);
        assert_eq!(of("a b c d", "a d"), [(1..3, 1..1)]);
        assert!(of("A b.", "a, B").is_empty());
        assert_eq!(of("", "a"), [(0..0, 0..1)]);
    }

    #[test]
    fn a_few_words_are_a_correction_and_a_paragraph_is_an_update() {
        for (words, removed, added, expected) in [
            (100, 0, 0, RevisionKind::Form),
            (100, 10, 15, RevisionKind::Correction),
            (100, 11, 11, RevisionKind::Update),
            (100, 10, 16, RevisionKind::Update),
            (100, 0, 5, RevisionKind::Correction),
            (100, 0, 6, RevisionKind::Update),
            (5, 1, 1, RevisionKind::Update),
        ] {
            assert_eq!(kind(words, removed, added), expected, "{words} {removed} {added}");
        }
    }

    #[test]
    fn a_revision_comes_back() {
        let revision = Revision {
            place: 3,
            kind: RevisionKind::Update,
            before_stored_ms: 5,
            replaced_ms: 6,
            before_words: 7,
            removed_words: 1,
            added_words: 2,
            changes: vec![Change {
                field: Field::Body,
                before: Some(ByteSpan { start: 1, end: 4 }),
                after: None,
                before_text: "été".into(),
                after_text: String::new(),
            }],
            before_url: "u".into(),
        };
        assert_eq!(Revision::decode(&revision.encode()).unwrap(), revision);
        assert!(Revision::decode(b"\xff").is_err());
    }
}
