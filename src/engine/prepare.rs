//! What is computed from an article before it is stored: all of the work that
//! needs neither the store nor the index.

use crate::engine::article::Article;
use crate::engine::error::{Invalid, Problem};
use crate::engine::find::Subject;
use crate::engine::record::{self, Features};
use crate::index::keys::FieldTokens;
use crate::text::tokens::Tokens;

/// An article, checked and read.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) article: Article,
    pub(super) features: Features,
    /// Its text as a question for near-duplicates.
    pub(super) subject: Subject,
}

impl Prepared {
    pub(super) fn new(article: Article) -> Result<Self, Invalid> {
        article.check()?;
        let text = Tokens::of(&article.text);
        if text.is_empty() {
            return Err(Invalid::new("text", Problem::WithoutTokens));
        }
        let subject = Subject::of(&text.hashes);
        let features = Features {
            id: article.id.clone(),
            content_print: record::content_print(&article),
            facets: article.facets(),
            sketch: subject.sketch(),
            shingle_count: subject.shingle_count(),
            fields: FieldTokens {
                title: Tokens::of(&article.title).hashes,
                description: Tokens::of(&article.description).hashes,
                text: text.hashes,
            },
        };
        Ok(Self { article, features, subject })
    }
}
