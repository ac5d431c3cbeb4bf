//! The texts of the benches as the index and the engine take them.
#![allow(clippy::expect_used, reason = "a bench that cannot go on fails")]

use doublon::engine::article::{Article, ArticleId};
use doublon::engine::put::PutRequest;
use doublon::index::Entry;
use doublon::index::keys;
use doublon::index::keys::{FieldTokens, Keys};
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::store::ArticleNumber;
use doublon::text::tokens::{TokenHash, Tokens};

/// An article of which only the text is known, as the index takes it.
pub(crate) fn entry(number: u32, text: &str) -> Entry {
    entry_of(number, &Tokens::of(text).hashes)
}

/// The same of its tokens.
pub(crate) fn entry_of(number: u32, tokens: &[TokenHash]) -> Entry {
    let sketch = Sketch::of(tokens, &shingle::shingles(tokens));
    let fields = FieldTokens::new(&[], &[], tokens);
    Entry {
        number: ArticleNumber(number),
        keys: Keys::of_article(&fields, sketch),
        facets: keys::facets("", "", "", None),
    }
}

/// The same as the engine takes it; its number is its id.
pub(crate) fn put_request(number: u32, text: &str) -> PutRequest {
    let article = Article::of(
        ArticleId::new(number.to_string()).expect("a number is a short id"),
        text.to_owned(),
    );
    PutRequest::of(article)
}
