//! Where a match stands, in the bytes of the texts as they were submitted.

use crate::engine::article::ArticleId;
use crate::engine::record::StoredArticle;
use crate::engine::teaser::{Field, Found, TeaserMatch};
use crate::hash::HashMap;
use crate::store::ArticleNumber;
use crate::text::ByteSpan;
use crate::text::tokens::Tokens;

/// A match; `None` where its article has gone.
pub(super) fn located(
    tokens: &Tokens,
    found: &Found,
    articles: &mut Articles,
) -> Option<TeaserMatch> {
    let (id, article_span) = articles.locate(found)?;
    Some(TeaserMatch {
        id,
        verdict: found.verdict,
        confidence: found.confidence,
        kind: found.kind,
        field: found.field,
        similarity: found.similarity,
        evidence_bits: found.bits,
        teaser_span: tokens.span(found.teaser.clone())?,
        article_span,
    })
}

/// The matched articles of a batch. A field is read once for all teasers that
/// stand in it.
pub(super) struct Articles {
    stored: HashMap<ArticleNumber, StoredArticle>,
    read: HashMap<(ArticleNumber, Field), Tokens>,
}

impl Articles {
    pub(super) fn new(stored: HashMap<ArticleNumber, StoredArticle>) -> Self {
        Self { stored, read: HashMap::default() }
    }

    /// The id of an article, and the bytes of its field that were matched.
    fn locate(&mut self, found: &Found) -> Option<(ArticleId, ByteSpan)> {
        let article = &self.stored.get(&found.number)?.article;
        let text = match found.field {
            Field::Title => &article.title,
            Field::Description => &article.description,
            Field::Body => &article.text,
        };
        let key = (found.number, found.field);
        let tokens = self.read.entry(key).or_insert_with(|| Tokens::of(text));
        Some((article.id.clone(), tokens.span(found.article.clone())?))
    }
}
