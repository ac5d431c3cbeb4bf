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

/// Bytes of a text a token, more or less, by which its beginning is taken.
const TOKEN_BYTES: usize = 10;

/// The matched articles of a batch. A field is read once for all teasers that
/// stand in it, as far as they stand in it.
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
        let tokens = self.read.entry(key).or_default();
        if tokens.len() < found.article.end {
            *tokens = first_tokens(text, found.article.end);
        }
        Some((article.id.clone(), tokens.span(found.article.clone())?))
    }
}

/// The first tokens of a text, `count` of them or a few more, or all that it has. The
/// text is cut at a space, where no token goes on.
fn first_tokens(text: &str, count: usize) -> Tokens {
    let mut bytes = TOKEN_BYTES * count;
    while bytes < text.len() {
        let behind = text.as_bytes().get(bytes..).unwrap_or_default();
        let Some(space) = behind.iter().position(u8::is_ascii_whitespace) else { break };
        let tokens = Tokens::of(text.get(..bytes + space).unwrap_or_default());
        if tokens.len() >= count {
            return tokens;
        }
        bytes *= 2;
    }
    Tokens::of(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tokens_are_those_of_the_whole_text() {
        let text = "Le café d’Été, 3,5 % — 今天天气 co\u{AD}opérer &eacute;t&eacute; ".repeat(40);
        let whole = Tokens::of(&text);
        for count in [1, 2, 7, 50, 200, whole.len(), whole.len() + 1] {
            let first = first_tokens(&text, count);
            assert!(first.len() >= count.min(whole.len()), "{count}");
            assert_eq!(first.spans, whole.spans[..first.len()], "{count}");
        }
        assert_eq!(first_tokens(&"今天".repeat(100), 3).len(), 200, "no space to cut at");
        assert!(first_tokens("", 5).is_empty());
    }
}
