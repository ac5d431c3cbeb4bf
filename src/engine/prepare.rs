//! What is computed from an article before it is stored: all of the work that
//! needs neither the store nor the index.

use crate::engine::article::{Article, ArticleId, UnixTime};
use crate::engine::error::{Invalid, Problem};
use crate::engine::find::Subject;
use crate::engine::record::{self, Dictionary, Features, FieldSpans, PackedSpans};
use crate::index::keys::{FieldTokens, Keys};
use crate::sketch::minhash::ShortMinHash;
use crate::text::tokens::Tokens;

/// An article, checked and read.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) features: Features,
    /// What it will be found by.
    pub(super) keys: Keys,
    /// Its text as a question for near-duplicates.
    pub(super) subject: Subject,
    /// The bytes of its record, but for the time at which it is stored.
    pub(super) content: Vec<u8>,
    /// The bytes of its features.
    pub(super) computed: Vec<u8>,
    /// When it is to be deleted, in seconds since the Unix epoch.
    pub(super) expires_s: Option<i64>,
}

impl Prepared {
    /// Reads an article for a store with this dictionary. Without `keeps_text` none of
    /// its texts is in its record.
    pub(super) fn new(
        mut article: Article,
        dictionary: Option<&Dictionary>,
        keeps_text: bool,
    ) -> Result<Self, Invalid> {
        article.check()?;
        let text = Tokens::of(&article.text);
        if text.is_empty() {
            return Err(Invalid::new("text", Problem::WithoutTokens));
        }
        let subject = Subject::of(&text.hashes);
        let sketch = subject.sketch();
        let (title, description) = (Tokens::of(&article.title), Tokens::of(&article.description));
        let spans = FieldSpans {
            title: PackedSpans::of(&title.spans),
            description: PackedSpans::of(&description.spans),
            text: PackedSpans::of(&text.spans),
        };
        let fields = FieldTokens::new(&title.hashes, &description.hashes, &text.hashes);
        let expires_s = article.expires.map(UnixTime::seconds);
        let (id, facets) = (article.id.clone(), article.facets());
        let mut content = record::content(article.clone());
        let content_print = record::content_print(&content);
        if !keeps_text {
            article.drop_texts();
            content = record::content(article);
        }
        let keys = Keys::of_article(&fields, sketch);
        let features = Features {
            id,
            content_print,
            facets,
            simhash: sketch.simhash,
            minhash: ShortMinHash::of(&sketch.minhash),
            shingle_count: subject.shingle_count(),
            fields,
            spans,
        };
        let computed = features.encode(dictionary);
        Ok(Self { features, keys, subject, content, computed, expires_s })
    }

    /// Of an article whose text was not kept, with what was computed from it.
    pub(super) fn without_text(
        mut article: Article,
        features: Features,
        (dictionary, keeps_text): (Option<&Dictionary>, bool),
    ) -> Result<Self, Invalid> {
        article.check_but_text()?;
        if !keeps_text {
            article.drop_texts();
        }
        if features.fields.text().is_empty() {
            return Err(Invalid::new("features", Problem::WithoutTokens));
        }
        let features = Features { id: article.id.clone(), facets: article.facets(), ..features };
        let subject = Subject::of(features.fields.text());
        Ok(Self {
            keys: Keys::of_article(&features.fields, subject.sketch()),
            subject,
            expires_s: article.expires.map(UnixTime::seconds),
            content: record::content(article),
            computed: features.encode(dictionary),
            features,
        })
    }

    pub(super) fn id(&self) -> &ArticleId {
        &self.features.id
    }
}
