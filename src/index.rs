//! Candidates: which stored articles may be related to a text, proposed from
//! hashes alone. Derived from the records and rebuilt from them; a candidate
//! is never an answer.

mod bits;
pub mod cluster;
mod columns;
mod image;
pub mod keys;
pub mod memory;
mod numbers;
mod postings;
mod propose;
mod slots;
pub mod standing;
mod table;
mod tally;
mod votes;

use std::fmt;
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::cluster::ClusterError;
pub(crate) use crate::index::image::table_again;
pub use crate::index::image::{IMAGE_PARTS, ImageError};
use crate::index::keys::Keys;
pub(crate) use crate::index::propose::may_be_in;
use crate::store::ArticleNumber;
use crate::term::Term;

/// Candidates that one question gets, at most: more than answers may be asked
/// for.
pub const CANDIDATES_MAX: usize = 128;

/// Candidates that the terms of a text get, at most: each is read whole.
pub const TERM_CANDIDATES_MAX: usize = 8;

/// Share of the evidence of a teaser's best candidate from which on another one is
/// strong. Where the best one is the teaser's article, the others share a phrase with
/// it and are far below, unless they are copies.
pub const STRONG_SHARE: f64 = 0.45;

/// What filters look at, as hashes and numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facets {
    /// Hash of the site; 0 where it is not known.
    pub site: u32,
    /// Hash of the language's first subtag; 0 where it is not known.
    pub language: u32,
    /// Seconds since the Unix epoch.
    pub published_s: Option<i64>,
}

/// Which articles a question is about; what is empty or unbounded lets all
/// pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Hashes of sites.
    pub sites: Vec<u32>,
    /// Hash of a site whose articles do not pass.
    pub other_than_site: Option<u32>,
    /// Hashes of languages.
    pub languages: Vec<u32>,
    /// Seconds since the Unix epoch; articles without a time pass only where
    /// this is `None`.
    pub published_s: Option<Range<i64>>,
    /// Numbers, by which a question is put about what was stored before or
    /// after another article.
    pub numbers: Range<u32>,
}

/// An article, as the index takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub number: ArticleNumber,
    /// What it is found by.
    pub keys: Keys,
    /// What it is filtered by.
    pub facets: Facets,
}

/// A question for near-duplicates.
#[derive(Debug, Clone, Copy)]
pub struct NearQuery<'a> {
    /// Sketches of the text, and a dense sample of its shingles.
    pub keys: &'a Keys,
    /// Distinct shingles of the whole text, of which the keys have a sample.
    pub shingle_count: usize,
    /// Which articles are asked for.
    pub filter: &'a Filter,
}

/// A question for the articles that a teaser may belong to.
#[derive(Debug, Clone, Copy)]
pub struct TeaserQuery<'a> {
    /// All its shingles, in order.
    pub shingles: &'a [u64],
    /// Which articles are asked for.
    pub filter: &'a Filter,
    /// What of it they are to have.
    pub wanted: Wanted,
}

/// Which articles are candidates by the shingles of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those that have some of it.
    Parts,
    /// Those that may have all of it; none where they are fewer than so many.
    Whole {
        /// So many.
        articles_min: usize,
    },
    /// None: only the frequencies are asked for.
    Frequencies,
}

/// What the index knows of a teaser.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TeaserProposal {
    /// In how many articles each shingle is an anchor, in the order of the
    /// question.
    pub frequencies: Vec<u32>,
    /// The candidates, most evidence first.
    pub candidates: Vec<ArticleNumber>,
    /// How many of them, the first ones, have at least [`STRONG_SHARE`] of the
    /// evidence of the first.
    pub strong: usize,
    /// Number of articles in the index at that time.
    pub article_count: u64,
}

/// A question for the articles that say what a text says in other words.
#[derive(Debug, Clone, Copy)]
pub struct TermQuery<'a> {
    /// Its distinct terms.
    pub terms: &'a [Term],
    /// Which articles are asked for.
    pub filter: &'a Filter,
}

/// What the index knows of the terms of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TermProposal {
    /// In how many articles each term stands in title, description or lead, in
    /// the order of the question.
    pub frequencies: Vec<u32>,
    /// The candidates, most evidence first, at most [`TERM_CANDIDATES_MAX`].
    pub candidates: Vec<ArticleNumber>,
    /// Number of articles in the index at that time.
    pub article_count: u64,
}

/// Sizes of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Articles.
    pub articles: u64,
    /// Anchor postings.
    pub anchor_postings: u64,
    /// Band postings.
    pub band_postings: u64,
    /// Term postings.
    pub term_postings: u64,
    /// Bytes of memory.
    pub bytes: u64,
    /// Those of the term postings.
    pub term_bytes: u64,
}

/// Where candidates come from. All calls take batches.
pub trait Index: fmt::Debug + Send + Sync {
    /// Adds articles; they are found by this node when it returns.
    fn insert(&self, entries: &[Entry]) -> Result<(), IndexError>;

    /// Lets all nodes find what was added once it is committed; to be called before.
    fn flush(&self) -> Result<(), IndexError>;

    /// Adds articles that are committed, and that may be there in part.
    fn restore(&self, entries: &[Entry]) -> Result<(), IndexError>;

    /// Says what the writer will ask [`Index::near`], so that it comes with the next look, or
    /// with the turn.
    fn prefetch(&self, keys: &[&Keys]);

    /// Says that candidates of these will be looked at, as far as what was asked ahead tells.
    fn prefetch_candidates(&self, keys: &[&Keys]) -> Result<(), IndexError>;

    /// Says what others have put in since what the writer was told ahead, for this turn.
    fn set_news(&self, entries: &[Entry]);

    /// Removes articles, given as they were inserted; no trace is left.
    fn remove(&self, entries: &[Entry]) -> Result<(), IndexError>;

    /// The candidates for each question, most evidence first, at most
    /// [`CANDIDATES_MAX`].
    fn near(&self, queries: &[NearQuery<'_>]) -> Result<Vec<Vec<ArticleNumber>>, IndexError>;

    /// What is known of each teaser.
    fn teasers(&self, queries: &[TeaserQuery<'_>]) -> Result<Vec<TeaserProposal>, IndexError>;

    /// The candidates by the terms of each text.
    fn terms(&self, queries: &[TermQuery<'_>]) -> Result<Vec<TermProposal>, IndexError>;

    /// One above the greatest number that was inserted.
    fn numbers_end(&self) -> u32;

    /// Whether it outlasts this process, and other nodes have it too.
    fn is_shared(&self) -> bool;

    /// The same index for the writer, which reads where all writes are, and what was asked
    /// ahead; `None` if this one does.
    fn for_writer(&self) -> Option<Arc<dyn Index>>;

    /// Sizes.
    fn counts(&self) -> Counts;

    /// Writes one of [`IMAGE_PARTS`] parts of an image, from 0. `stamp` is the caller's,
    /// and the same in all parts of one image. The index may change meanwhile: what was
    /// changed since the first part was begun may be in it or not.
    fn write_image(&self, part: usize, stamp: u64, out: &mut dyn Write) -> Result<(), ImageError>;

    /// Fills an empty index from the parts of an image, in their order; gives the stamp.
    /// Where that fails, it is empty again.
    fn read_image(&self, parts: Vec<Box<dyn Read + Send>>) -> Result<u64, ImageError>;
}

/// Why the index could not answer. The index in memory always can.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IndexError(#[from] pub ClusterError);

impl Filter {
    /// Lets every article pass.
    pub fn all() -> Self {
        Self {
            sites: Vec::new(),
            other_than_site: None,
            languages: Vec::new(),
            published_s: None,
            numbers: 0..u32::MAX,
        }
    }

    /// Whether an article passes.
    pub fn passes(&self, number: u32, facets: &Facets) -> bool {
        let time_passes = |range: &Range<i64>| {
            facets.published_s.is_some_and(|published| range.contains(&published))
        };
        self.numbers.contains(&number)
            && (self.sites.is_empty() || self.sites.contains(&facets.site))
            && self.other_than_site.is_none_or(|it| it != facets.site)
            && (self.languages.is_empty() || self.languages.contains(&facets.language))
            && self.published_s.as_ref().is_none_or(time_passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_filter_must_pass() {
        let facets = Facets { site: 1, language: 2, published_s: Some(100) };
        let unknown = Facets { site: 0, language: 0, published_s: None };
        let all = Filter::all();
        for (filter, known, blank) in [
            (all.clone(), true, true),
            (Filter { sites: vec![3, 1], ..all.clone() }, true, false),
            (Filter { sites: vec![3], ..all.clone() }, false, false),
            (Filter { other_than_site: Some(1), ..all.clone() }, false, true),
            (Filter { languages: vec![2], ..all.clone() }, true, false),
            (Filter { published_s: Some(100..101), ..all.clone() }, true, false),
            (Filter { published_s: Some(0..100), ..all.clone() }, false, false),
            (Filter { numbers: 0..7, ..all.clone() }, false, false),
            (Filter { sites: vec![1], languages: vec![9], ..all }, false, false),
        ] {
            assert_eq!(filter.passes(7, &facets), known, "{filter:?}");
            assert_eq!(filter.passes(7, &unknown), blank, "{filter:?}");
        }
    }
}
