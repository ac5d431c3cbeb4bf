//! References: which page points to which article with which teaser. They are remembered
//! for as long as the article is stored.

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::engine::article::ArticleId;
use crate::engine::error::EngineError;
use crate::engine::rows::{self, Listing, PREFIX_BYTES, article_prefix, key};
use crate::engine::watch::record::{Sighting, TeaserId};
use crate::hash;
use crate::store::Space;
use crate::store::draft::Draft;

/// References to one article that are remembered, at most: the first ones.
pub const REFERENCES_MAX: u64 = 1000;

/// A page that points to an article with a teaser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The article.
    pub article: ArticleId,
    /// The teaser's name.
    pub teaser: TeaserId,
    /// The teaser as it stood on the page first.
    pub text: String,
    /// The page; empty where it is not known, as are the next two.
    pub page_url: String,
    /// The site of the page.
    pub site: String,
    /// Where the teaser links to.
    pub link_url: String,
    /// How often it was seen there.
    pub times_seen: u64,
    /// When it was seen there first, in milliseconds since the Unix epoch.
    pub first_seen_ms: u64,
    /// When it was seen there last.
    pub last_seen_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct ReferenceRecord {
    #[prost(string, tag = "1")]
    article_id: String,
    #[prost(bytes = "vec", tag = "2")]
    teaser_id: Vec<u8>,
    #[prost(string, tag = "3")]
    text: String,
    #[prost(string, tag = "4")]
    page_url: String,
    #[prost(string, tag = "5")]
    site: String,
    #[prost(string, tag = "6")]
    link_url: String,
    #[prost(uint64, tag = "7")]
    times_seen: u64,
    #[prost(uint64, tag = "8")]
    first_seen_ms: u64,
    #[prost(uint64, tag = "9")]
    last_seen_ms: u64,
}

impl Reference {
    fn encode(self) -> Vec<u8> {
        let Self { article, teaser, text, page_url, site, link_url, .. } = self;
        let record = ReferenceRecord {
            article_id: article.into_string(),
            teaser_id: teaser.0.to_vec(),
            text,
            page_url,
            site,
            link_url,
            times_seen: self.times_seen,
            first_seen_ms: self.first_seen_ms,
            last_seen_ms: self.last_seen_ms,
        };
        record.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let it = ReferenceRecord::decode(bytes).map_err(|it| damaged(&it.to_string()))?;
        let teaser = it.teaser_id.as_slice().try_into();
        Ok(Self {
            article: ArticleId::new(it.article_id).map_err(|it| damaged(&it.to_string()))?,
            teaser: TeaserId(teaser.map_err(|_| damaged("its teaser has another id"))?),
            text: it.text,
            page_url: it.page_url,
            site: it.site,
            link_url: it.link_url,
            times_seen: it.times_seen,
            first_seen_ms: it.first_seen_ms,
            last_seen_ms: it.last_seen_ms,
        })
    }
}

impl Engine {
    /// A page of the references to an article, or to all articles.
    pub fn list_references(
        &self,
        article: Option<&ArticleId>,
        token: &str,
        page_size: usize,
    ) -> Result<Listing<Reference>, EngineError> {
        let start = match article {
            Some(id) => {
                self.core.number(id.as_str())?;
                article_prefix(id).to_vec()
            }
            None => Vec::new(),
        };
        let store = self.core.store.as_ref();
        rows::list(store, (Space::Reference, &start), (token, page_size), |key, row| {
            // The shortest keys have counts.
            if key.len() == PREFIX_BYTES { Ok(None) } else { Reference::decode(row).map(Some) }
        })
    }
}

/// Remembers that a page points to an article, or counts it once more, as often as the
/// teaser was seen there.
pub(super) fn refer(
    draft: &mut Draft,
    article: &ArticleId,
    (teaser, text): (TeaserId, &str),
    sighting: &Sighting,
) -> Result<(), EngineError> {
    let Sighting { page_url, link_url, site, times_seen, first_seen_ms, last_seen_ms } = sighting;
    let place = place(article, page_url, teaser);
    let old = draft.row(Space::Reference, &place)?.map(|it| Reference::decode(&it)).transpose()?;
    let new = if let Some(mut known) = old {
        known.times_seen += times_seen;
        known.first_seen_ms = known.first_seen_ms.min(*first_seen_ms);
        known.last_seen_ms = known.last_seen_ms.max(*last_seen_ms);
        known
    } else {
        if count(draft, article)? >= REFERENCES_MAX {
            return Ok(());
        }
        Reference {
            article: article.clone(),
            teaser,
            text: text.to_owned(),
            page_url: page_url.clone(),
            site: site.clone(),
            link_url: link_url.clone(),
            times_seen: *times_seen,
            first_seen_ms: *first_seen_ms,
            last_seen_ms: *last_seen_ms,
        }
    };
    set(draft, new)
}

/// Remembers a reference, and counts it if it is new.
pub(super) fn set(draft: &mut Draft, reference: Reference) -> Result<(), EngineError> {
    let Reference { article, page_url, teaser, .. } = &reference;
    let place = place(article, page_url, *teaser);
    if draft.row(Space::Reference, &place)?.is_none() {
        let count = count(draft, article)? + 1;
        draft.set(Space::Reference, article_prefix(article), count.to_le_bytes());
    }
    draft.set(Space::Reference, place, reference.encode());
    Ok(())
}

/// The rows that are looked at where a page points to an article.
pub(super) fn keys(article: &ArticleId, page_url: &str, teaser: TeaserId) -> [(Space, Vec<u8>); 2] {
    let own = place(article, page_url, teaser);
    [(Space::Reference, own), (Space::Reference, article_prefix(article).to_vec())]
}

fn place(article: &ArticleId, page_url: &str, teaser: TeaserId) -> Vec<u8> {
    let page = hash::persistent_64(page_url.as_bytes()).to_le_bytes();
    key([&article_prefix(article), &page, &teaser.0])
}

fn count(draft: &Draft, article: &ArticleId) -> Result<u64, EngineError> {
    let row = draft.row(Space::Reference, &article_prefix(article))?;
    Ok(row.and_then(|it| it.try_into().ok()).map_or(0, u64::from_le_bytes))
}

fn damaged(problem: &str) -> EngineError {
    EngineError::DamagedRow { what: "reference", problem: problem.to_owned() }
}
