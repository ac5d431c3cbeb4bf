//! The index in memory: posting lists for anchors, bands and SimHash blocks,
//! and a column of facets. Every lock is held for microseconds, so that readers and
//! the writer seldom wait for each other.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::index::columns::Columns;
use crate::index::keys::Keys;
use crate::index::postings::{Posting, Postings, postings_of};
use crate::index::propose::{Proposer, block_keys};
use crate::index::{
    Counts, Entry, ImageError, Index, IndexError, NearQuery, TeaserProposal, TeaserQuery,
    TermProposal, TermQuery,
};
use crate::store::ArticleNumber;

/// Shingles of teasers that are looked up together, at most, but for those of one.
const SHINGLES_TOGETHER: usize = 512;
/// Articles whose postings are put in, or taken out, together, at most.
const CHANGED_TOGETHER: usize = 256;
/// The same, at least, where two processors change them.
const CHANGED_APART_MIN: usize = 8;

/// The index in memory.
#[derive(Debug)]
pub struct MemoryIndex {
    pub(super) anchors: Postings,
    pub(super) bands: Postings,
    pub(super) blocks: Postings,
    pub(super) terms: Postings,
    pub(super) columns: RwLock<Columns>,
    pub(super) article_count: AtomicU64,
    pub(super) numbers_end: AtomicU32,
}

impl Default for MemoryIndex {
    fn default() -> Self {
        Self {
            anchors: Postings::new(),
            bands: Postings::new(),
            blocks: Postings::new(),
            terms: Postings::new(),
            columns: RwLock::default(),
            article_count: AtomicU64::new(0),
            numbers_end: AtomicU32::new(0),
        }
    }
}

impl Index for MemoryIndex {
    fn insert(&self, entries: &[Entry]) -> Result<(), IndexError> {
        let new = self.write_columns().insert(entries);
        self.change(entries, Postings::insert);
        self.article_count.fetch_add(new, Ordering::AcqRel);
        let end = entries.iter().map(|it| it.number.0 + 1).max().unwrap_or(0);
        self.numbers_end.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn restore(&self, entries: &[Entry]) -> Result<(), IndexError> {
        self.insert(entries)
    }

    fn prefetch(&self, _: &[&Keys]) {}

    fn prefetch_candidates(&self, _: &[&Keys]) -> Result<(), IndexError> {
        Ok(())
    }

    fn set_news(&self, _: &[Entry]) {}

    fn for_writer(&self) -> Option<Arc<dyn Index>> {
        None
    }

    fn remove(&self, entries: &[Entry]) -> Result<(), IndexError> {
        self.change(entries, Postings::remove);
        let gone = self.write_columns().remove(entries);
        self.article_count.fetch_sub(gone, Ordering::AcqRel);
        Ok(())
    }

    fn near(&self, queries: &[NearQuery<'_>]) -> Result<Vec<Vec<ArticleNumber>>, IndexError> {
        let near = |it: &NearQuery<'_>| self.proposer(&self.read_columns()).near(*it);
        Ok(queries.iter().map(near).collect())
    }

    fn teasers(&self, queries: &[TeaserQuery<'_>]) -> Result<Vec<TeaserProposal>, IndexError> {
        let mut proposals = Vec::with_capacity(queries.len());
        let mut left = queries;
        while !left.is_empty() {
            let (together, others) = left.split_at(together(left));
            let keys: Vec<u64> = together.iter().flat_map(|it| it.shingles).copied().collect();
            let found = self.anchors.find(&keys);
            let mut start = 0;
            for query in together {
                let columns = self.read_columns();
                proposals.push(self.proposer(&columns).teaser(*query, (&found, start)));
                start += query.shingles.len();
            }
            left = others;
        }
        Ok(proposals)
    }

    fn terms(&self, queries: &[TermQuery<'_>]) -> Result<Vec<TermProposal>, IndexError> {
        let terms = |it: &TermQuery<'_>| self.proposer(&self.read_columns()).terms(*it);
        Ok(queries.iter().map(terms).collect())
    }

    fn numbers_end(&self) -> u32 {
        self.numbers_end.load(Ordering::Acquire)
    }

    fn write_image(&self, part: usize, stamp: u64, out: &mut dyn Write) -> Result<(), ImageError> {
        self.write_part(part, stamp, out)
    }

    fn read_image(&self, parts: Vec<Box<dyn Read + Send>>) -> Result<u64, ImageError> {
        self.read_parts(parts)
    }

    fn counts(&self) -> Counts {
        let (anchor_postings, anchor_bytes) = self.anchors.sizes();
        let (band_postings, band_bytes) = self.bands.sizes();
        let (_, block_bytes) = self.blocks.sizes();
        let (term_postings, term_bytes) = self.terms.sizes();
        let column_bytes = self.read_columns().bytes();
        Counts {
            articles: self.article_count.load(Ordering::Acquire),
            anchor_postings,
            band_postings,
            term_postings,
            bytes: anchor_bytes + band_bytes + block_bytes + term_bytes + column_bytes,
            term_bytes,
        }
    }
}

impl MemoryIndex {
    pub(super) fn read_columns(&self) -> RwLockReadGuard<'_, Columns> {
        self.columns.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_columns(&self) -> RwLockWriteGuard<'_, Columns> {
        self.columns.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn proposer<'a>(&'a self, columns: &'a Columns) -> Proposer<'a, Postings, Columns> {
        let Self { anchors, bands, blocks, terms, .. } = self;
        let article_count = self.article_count.load(Ordering::Acquire);
        Proposer { anchors, bands, blocks, terms, columns, article_count }
    }

    fn change(&self, entries: &[Entry], act: impl Fn(&Postings, &[Posting]) + Sync) {
        for entries in entries.chunks(CHANGED_TOGETHER) {
            let (mut anchors, mut terms) = (Vec::new(), Vec::new());
            let (mut bands, mut blocks) = (Vec::new(), Vec::new());
            for Entry { number, keys, .. } in entries {
                let Keys { anchors: own, terms: own_terms, sketch } = keys;
                anchors.extend(postings_of(own, number.0));
                terms.extend(postings_of(own_terms, number.0));
                bands.extend(sketch.minhash.band_keys().map(|key| (key, number.0)));
                blocks.extend(block_keys(sketch.simhash).map(|key| (key, number.0)));
            }
            let change_others = || {
                act(&self.bands, &bands);
                act(&self.blocks, &blocks);
                act(&self.terms, &terms);
            };
            if entries.len() < CHANGED_APART_MIN {
                act(&self.anchors, &anchors);
                change_others();
            } else {
                rayon::join(|| act(&self.anchors, &anchors), change_others);
            }
        }
    }
}

/// How many teasers, from the first on, are looked up together.
fn together(queries: &[TeaserQuery<'_>]) -> usize {
    let ends = queries.iter().scan(0, |end, it| {
        *end += it.shingles.len();
        Some(*end)
    });
    ends.take_while(|end| *end <= SHINGLES_TOGETHER).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;
    use crate::index::keys::{FieldTokens, Keys};
    use crate::index::{CANDIDATES_MAX, Facets, Filter, Wanted};
    use crate::shingle;
    use crate::sketch::Sketch;

    fn entry(number: u32, tokens: &[u32]) -> Entry {
        let fields = FieldTokens::new(&[], &[], tokens);
        Entry {
            number: ArticleNumber(number),
            keys: Keys::of_article(&fields, Sketch::of(tokens, &shingle::shingles(tokens))),
            facets: Facets { site: number % 3, language: 1, published_s: Some(i64::from(number)) },
        }
    }

    fn words(number: u32) -> Vec<u32> {
        (0..300).map(|it| hash::low_half(hash::mix(u64::from(number * 1000 + it) + 1))).collect()
    }

    fn near(index: &MemoryIndex, tokens: &[u32], filter: &Filter) -> Vec<u32> {
        let shingles = shingle::shingles(tokens);
        let keys = Keys::of_question(&shingles, Sketch::of(tokens, &shingles));
        let found = index
            .near(&[NearQuery { keys: &keys, shingle_count: shingles.len(), filter }])
            .unwrap();
        found[0].iter().map(|it| it.0).collect()
    }

    fn teaser(index: &MemoryIndex, tokens: &[u32]) -> TeaserProposal {
        let shingles = shingle::shingles(tokens);
        let filter = Filter::all();
        let wanted = Wanted::Parts;
        let query = TeaserQuery { shingles: &shingles, filter: &filter, wanted };
        index.teasers(&[query]).unwrap().remove(0)
    }

    #[test]
    fn copies_parts_and_scattered_edits_are_proposed() {
        let index = MemoryIndex::default();
        index.insert(&(0..50).map(|it| entry(it, &words(it))).collect::<Vec<_>>()).unwrap();
        let all = Filter::all();
        assert_eq!(near(&index, &words(7), &all), [7]);
        assert_eq!(near(&index, &words(8)[100..160], &all), [8]);
        let mut mixed = words(9)[..200].to_vec();
        mixed.extend_from_slice(&words(10)[50..250]);
        assert_eq!(near(&index, &mixed, &all), [9, 10]);
        assert!(near(&index, &words(99), &all).is_empty());
        let others = Filter { sites: vec![2], ..Filter::all() };
        assert!(near(&index, &words(7), &others).is_empty());
    }

    #[test]
    fn a_teaser_finds_its_article_and_the_rarity_of_its_words() {
        let index = MemoryIndex::default();
        index.insert(&(0..50).map(|it| entry(it, &words(it))).collect::<Vec<_>>()).unwrap();
        let proposal = teaser(&index, &words(7)[200..225]);
        assert_eq!(proposal.candidates, [ArticleNumber(7)]);
        assert_eq!(proposal.frequencies.iter().sum::<u32>(), 3);
        assert_eq!(proposal.article_count, 50);
    }

    #[test]
    fn a_stock_phrase_is_counted_and_bounded() {
        let index = MemoryIndex::default();
        let stock: Vec<u32> = (1..20).collect();
        let articles = 3000;
        for number in 0..articles {
            let tokens = [stock.as_slice(), &words(number)[..30]].concat();
            index.insert(&[entry(number, &tokens)]).unwrap();
        }
        let proposal = teaser(&index, &stock);
        assert_eq!(proposal.frequencies, vec![articles; 17]);
        assert!(proposal.candidates.len() <= CANDIDATES_MAX && !proposal.candidates.is_empty());
        let rare = [stock.as_slice(), &words(2900)[..6]].concat();
        assert_eq!(teaser(&index, &rare).candidates[0], ArticleNumber(2900));
    }

    #[test]
    fn a_filter_finds_what_stands_behind_many_copies() {
        let index = MemoryIndex::default();
        let copies = 2000;
        for number in 0..copies {
            let mut copy = entry(number, &words(1));
            copy.facets.site = number;
            index.insert(&[copy]).unwrap();
        }
        let last = Filter { sites: vec![copies - 1], ..Filter::all() };
        assert_eq!(near(&index, &words(1), &last), [copies - 1]);
        let shingles = shingle::shingles(&words(1)[..30]);
        let wanted = Wanted::Parts;
        let query = TeaserQuery { shingles: &shingles, filter: &last, wanted };
        let proposal = index.teasers(&[query]).unwrap().remove(0);
        assert_eq!(proposal.candidates, [ArticleNumber(copies - 1)]);
        assert_eq!(near(&index, &words(1), &Filter::all()).len(), CANDIDATES_MAX);
    }

    #[test]
    fn removed_articles_leave_no_trace() {
        let index = MemoryIndex::default();
        let kept: Vec<Entry> = (0..20).map(|it| entry(it, &words(it))).collect();
        index.insert(&kept).unwrap();
        let before = index.counts();
        let gone: Vec<Entry> = (20..200).map(|it| entry(it, &words(it % 30))).collect();
        index.insert(&gone).unwrap();
        index.remove(&gone).unwrap();
        let after = index.counts();
        assert_eq!(
            (before.articles, before.anchor_postings, before.band_postings),
            (after.articles, after.anchor_postings, after.band_postings)
        );
        assert!(near(&index, &words(25), &Filter::all()).is_empty());
        assert_eq!(teaser(&index, &words(3)[..20]).frequencies, vec![1; 18]);
    }
}
