//! Reading back: one article, the list of them, and the counts.

use crate::engine::Engine;
use crate::engine::article::ArticleId;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::record::StoredArticle;
use crate::engine::rows::Counter;
use crate::engine::sign::Signature;
use crate::index::{Counts, Filter};
use crate::store::{ArticleNumber, Part};

/// Articles a page, by default.
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// Articles a page, at most.
pub const PAGE_SIZE_MAX: usize = 1000;
/// Bytes of records a page, at most: gRPC clients take 4 MiB by default.
pub const PAGE_BYTES_MAX: usize = 3 << 20;
/// Records that one page looks at, at most, however few of them pass.
const SCANNED_MAX: usize = 10_000;
/// Records read at a time.
const BATCH: usize = 100;

/// A page of the list of articles.
#[derive(Debug)]
pub struct ListPage {
    /// In the order in which they were stored.
    pub articles: Vec<StoredArticle>,
    /// What the next page takes; `None` on the last one.
    pub next: Option<String>,
}

/// Counts and sizes.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    /// Articles stored.
    pub article_count: u64,
    /// Bytes of the store.
    pub store_bytes: u64,
    /// Of the index.
    pub index: Counts,
    /// Teasers that wait.
    pub standing_teasers: u64,
    /// Bytes of memory by which they are found.
    pub standing_bytes: u64,
    /// Stories of two members or more.
    pub stories: u64,
    /// Records and rows that were found damaged since the start.
    pub damaged: u64,
}

impl Engine {
    /// One article and the signature of its text.
    pub fn article(&self, id: &ArticleId) -> Result<(StoredArticle, Signature), EngineError> {
        let (stored, features) = self.core.named_article(id.as_str())?;
        let signature = Signature {
            sketch: features.sketch(),
            token_count: features.fields.text().len(),
            shingle_count: features.shingle_count,
        };
        Ok((stored, signature))
    }

    /// A page of the list; `token` is the `next` of the page before, or empty.
    pub fn list(
        &self,
        token: &str,
        page_size: usize,
        filter: &Filter,
    ) -> Result<ListPage, EngineError> {
        let mut after = parse_token(token)?;
        let (mut articles, mut bytes, mut scanned) = (Vec::new(), 0, 0);
        while articles.len() < page_size && bytes < PAGE_BYTES_MAX && scanned < SCANNED_MAX {
            let count_max = BATCH.min(page_size - articles.len());
            let records = self.core.store.scan(Part::Article, after, count_max)?;
            if records.is_empty() {
                return Ok(ListPage { articles, next: None });
            }
            for (number, record) in records {
                if bytes + record.len() > PAGE_BYTES_MAX && bytes > 0 {
                    return Ok(ListPage { articles, next: after.map(token_of) });
                }
                after = Some(number);
                scanned += 1;
                let stored = match StoredArticle::decode(number, &record) {
                    Ok(stored) => stored,
                    Err(error) => {
                        self.core.note(Part::Article, number, &error);
                        continue;
                    }
                };
                if filter.passes(number.0, &stored.article.facets()) {
                    bytes += record.len();
                    articles.push(stored);
                }
            }
        }
        Ok(ListPage { articles, next: after.map(token_of) })
    }

    /// Gives a copy of all that is stored, as of one commit, part by part: each with the
    /// number of articles in all. Stops when a part is not taken.
    pub fn back_up(&self, take: &mut dyn FnMut(Vec<u8>, u64) -> bool) -> Result<(), EngineError> {
        let articles = self.core.store.record_count()?;
        Ok(self.core.store.copy(&mut |part| take(part, articles))?)
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Result<Stats, EngineError> {
        Ok(Stats {
            article_count: self.core.store.record_count()?,
            store_bytes: self.core.store.bytes()?,
            index: self.core.index.counts(),
            standing_teasers: Counter::Teasers.stored(self.core.store.as_ref())?,
            standing_bytes: self.core.standing.bytes(),
            stories: Counter::Stories.stored(self.core.store.as_ref())?,
            damaged: self.core.store.damage().count(),
        })
    }
}

fn token_of(number: ArticleNumber) -> String {
    format!("n{}", number.0)
}

fn parse_token(token: &str) -> Result<Option<ArticleNumber>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let number = token.strip_prefix('n').and_then(|it| it.parse().ok()).map(ArticleNumber);
    number.map(Some).ok_or_else(|| Invalid::new("page_token", Problem::NotAPageToken))
}
