//! The index in memory: posting lists for anchors, bands and SimHash blocks,
//! and a column of facets. It locks in small parts, so that readers and the
//! writer seldom wait for each other.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::hash;
use crate::hash::HashMap;
use crate::index::keys::ANCHOR_STRIDE;
use crate::index::postings::{List, Postings};
use crate::index::{
    CANDIDATES_MAX, Counts, Entry, Facets, Filter, Index, IndexError, NearQuery, STRONG_SHARE,
    TERM_CANDIDATES_MAX, TeaserProposal, TeaserQuery, TermProposal, TermQuery,
};
use crate::matching::evidence::{self, Rarity};
use crate::matching::overlap::OVERLAP_MIN;
use crate::sketch::simhash::{DISTANCE_BITS_MAX, SimHash};
use crate::store::ArticleNumber;

/// Postings of one popular key that a question follows, at most: the oldest
/// articles that have it and pass the filter.
const FOLLOWED_MAX: usize = 256;
/// Popular keys are followed only while a question has fewer candidates.
const CANDIDATES_ENOUGH: usize = 16;
/// Postings of terms that a question follows, rarest terms first; behind them,
/// terms only confirm what has been found.
const TERM_POSTINGS_MAX: u32 = 8192;
/// Candidates that common terms confirm, at most.
const CONFIRMED_MAX: usize = 512;
/// Candidates that a question weighs, at most.
const WEIGHED_MAX: usize = 4096;
/// Anchors that a text must share with an article to be its candidate without
/// help from the sketches, at least.
const SHARED_ANCHORS_MIN: u32 = 3;
/// Of the anchors that a text would share with an article at the overlap that
/// counts, the share that makes a candidate: half, because they vary.
const EXPECTED_SHARE: f64 = 0.5 * OVERLAP_MIN;
/// What a shared band or SimHash block counts: more than all anchors.
const SKETCH_VOTES: u32 = 1 << 16;

/// The index in memory.
#[derive(Debug)]
pub struct MemoryIndex {
    anchors: Postings,
    bands: Postings,
    blocks: Postings,
    terms: Postings,
    columns: RwLock<Vec<Column>>,
    article_count: AtomicU64,
    numbers_end: AtomicU32,
}

/// What is known of each number.
#[derive(Debug, Clone, Copy)]
struct Column {
    facets: Facets,
    simhash: SimHash,
    anchor_count: u32,
}

const NO_COLUMN: Column = Column {
    facets: Facets { site: 0, language: 0, published_s: None },
    simhash: SimHash::from_bits(0),
    anchor_count: 0,
};

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
        self.insert_columns(entries);
        for entry in entries {
            for_each_posting(entry, self, Postings::insert);
        }
        self.article_count.fetch_add(entries.len() as u64, Ordering::AcqRel);
        let end = entries.iter().map(|it| it.number.0 + 1).max().unwrap_or(0);
        self.numbers_end.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    fn remove(&self, entries: &[Entry]) -> Result<(), IndexError> {
        for entry in entries {
            for_each_posting(entry, self, Postings::remove);
        }
        self.article_count.fetch_sub(entries.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    fn near(&self, queries: &[NearQuery<'_>]) -> Result<Vec<Vec<ArticleNumber>>, IndexError> {
        Ok(queries.iter().map(|it| self.near_one(*it)).collect())
    }

    fn teasers(&self, queries: &[TeaserQuery<'_>]) -> Result<Vec<TeaserProposal>, IndexError> {
        Ok(queries.iter().map(|it| self.teaser_one(*it)).collect())
    }

    fn terms(&self, queries: &[TermQuery<'_>]) -> Result<Vec<TermProposal>, IndexError> {
        Ok(queries.iter().map(|it| self.terms_one(*it)).collect())
    }

    fn numbers_end(&self) -> u32 {
        self.numbers_end.load(Ordering::Acquire)
    }

    fn counts(&self) -> Counts {
        let (anchor_postings, anchor_bytes) = self.anchors.sizes();
        let (band_postings, band_bytes) = self.bands.sizes();
        let (_, block_bytes) = self.blocks.sizes();
        let (term_postings, term_bytes) = self.terms.sizes();
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        let column_bytes = (columns.capacity() * size_of::<Column>()) as u64;
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
    fn insert_columns(&self, entries: &[Entry]) {
        let mut columns = self.columns.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let at = entry.number.0 as usize;
            if columns.len() <= at {
                columns.resize(at + 1, NO_COLUMN);
            }
            if let Some(column) = columns.get_mut(at) {
                *column = Column {
                    facets: entry.facets,
                    simhash: entry.keys.sketch.simhash,
                    anchor_count: u32::try_from(entry.keys.anchors.len()).unwrap_or(u32::MAX),
                };
            }
        }
    }

    fn near_one(&self, query: NearQuery<'_>) -> Vec<ArticleNumber> {
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        let mut votes = Votes::new(query.filter, &columns, FOLLOWED_MAX);
        for key in query.keys.sketch.minhash.band_keys() {
            self.bands.with(key, |list| votes.follow(&list, SKETCH_VOTES, |_| true));
        }
        let simhash = query.keys.sketch.simhash;
        let is_near = |it: &Column| it.simhash.distance_bits(simhash) <= DISTANCE_BITS_MAX;
        for key in block_keys(simhash) {
            self.blocks.with(key, |list| votes.follow(&list, SKETCH_VOTES, is_near));
        }
        self.follow_anchors(query, &mut votes, Lists::Plain);
        let found = votes.best(|column| shared_anchors_min(query, column));
        if !found.is_empty() {
            return found;
        }
        // Nothing but stock phrases, or a text that many articles have.
        self.follow_anchors(query, &mut votes, Lists::Popular);
        votes.best(|column| shared_anchors_min(query, column))
    }

    fn follow_anchors(&self, query: NearQuery<'_>, votes: &mut Votes<'_>, wanted: Lists) {
        for key in &query.keys.anchors {
            self.anchors.with(*key, |list| {
                if list.is_popular() == (wanted == Lists::Popular) {
                    votes.follow(&list, 1, |_| true);
                }
            });
        }
    }

    fn teaser_one(&self, query: TeaserQuery<'_>) -> TeaserProposal {
        let article_count = self.article_count.load(Ordering::Acquire);
        let rarity = Rarity::new(article_count);
        let frequencies: Vec<u32> = query
            .shingles
            .iter()
            .map(|it| self.anchors.with(*it, |list| list.frequency()))
            .collect();
        let mut rarest: Vec<(u32, u64)> =
            frequencies.iter().copied().zip(query.shingles.iter().copied()).collect();
        rarest.retain(|(frequency, _)| *frequency > 0);
        rarest.sort_unstable();
        rarest.dedup();
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        let mut votes = Votes::new(query.filter, &columns, FOLLOWED_MAX);
        for (frequency, key) in rarest {
            // Sixteenths of a bit: whole numbers make the order exact.
            let weight = sixteenths(rarity.bits(frequency));
            self.anchors.with(key, |list| {
                if list.is_popular() && votes.found.len() >= CANDIDATES_ENOUGH {
                    votes.confirm(&list, weight);
                } else {
                    votes.follow(&list, weight, |_| true);
                }
            });
        }
        let ranked = votes.ranked(|_| 0);
        let most = ranked.first().map_or(0, |it| it.1);
        let strong_min = STRONG_SHARE * f64::from(most);
        let strong = ranked.iter().take_while(|it| f64::from(it.1) >= strong_min).count();
        let candidates = ranked.into_iter().map(|it| it.0).collect();
        TeaserProposal { frequencies, candidates, strong, article_count }
    }

    /// The rarest terms propose, all terms rank.
    fn terms_one(&self, query: TermQuery<'_>) -> TermProposal {
        let article_count = self.article_count.load(Ordering::Acquire);
        let frequency = |it: &u64| self.terms.with(*it, |list| list.frequency());
        let frequencies: Vec<u32> = query.terms.iter().map(frequency).collect();
        let bits = evidence::term_bits(&frequencies);
        let weighed = frequencies.iter().copied().zip(query.terms.iter().copied()).zip(bits);
        let mut rarest: Vec<(u32, u64, u32)> =
            weighed.map(|((frequency, key), bits)| (frequency, key, sixteenths(bits))).collect();
        rarest.retain(|(frequency, _, _)| *frequency > 0);
        rarest.sort_unstable();
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        let mut votes = Votes::new(query.filter, &columns, TERM_POSTINGS_MAX as usize);
        let mut left = TERM_POSTINGS_MAX;
        let mut narrowed = false;
        for (frequency, key, weight) in rarest {
            self.terms.with(key, |list| {
                if frequency <= left || votes.found.is_empty() {
                    left = left.saturating_sub(frequency);
                    votes.follow(&list, weight, |_| true);
                } else {
                    if !narrowed {
                        votes.keep_best(CONFIRMED_MAX);
                        narrowed = true;
                    }
                    votes.confirm(&list, weight);
                }
            });
        }
        let mut candidates = votes.best(|_| 0);
        candidates.truncate(TERM_CANDIDATES_MAX);
        TermProposal { frequencies, candidates, article_count }
    }
}

/// The anchors that a text shares with an article if one has a good part of the
/// other: of the text's probes, those that the article stores; or of the
/// article's anchors, those that the text probes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
fn shared_anchors_min(query: NearQuery<'_>, column: &Column) -> u32 {
    let probes = query.keys.anchors.len() as f64;
    let share = probes / (query.shingle_count.max(1) as f64);
    let expected = (probes / ANCHOR_STRIDE as f64).min(f64::from(column.anchor_count) * share);
    SHARED_ANCHORS_MIN.max((EXPECTED_SHARE * expected) as u32)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bits are 0 to 64")]
fn sixteenths(bits: f64) -> u32 {
    (bits * 16.0) as u32
}

fn block_keys(simhash: SimHash) -> impl Iterator<Item = u64> {
    simhash.block_keys().into_iter().map(|it| hash::mix(u64::from(it) + 1))
}

fn for_each_posting(entry: &Entry, index: &MemoryIndex, act: impl Fn(&Postings, u64, u32)) {
    let number = entry.number.0;
    entry.keys.anchors.iter().for_each(|it| act(&index.anchors, *it, number));
    entry.keys.sketch.minhash.band_keys().for_each(|it| act(&index.bands, it, number));
    block_keys(entry.keys.sketch.simhash).for_each(|it| act(&index.blocks, it, number));
    entry.keys.terms.iter().for_each(|it| act(&index.terms, *it, number));
}

/// Which posting lists are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    Plain,
    Popular,
}

/// The candidates of one question and what speaks for each.
struct Votes<'a> {
    filter: &'a Filter,
    columns: &'a [Column],
    followed_max: usize,
    found: HashMap<u32, u32>,
}

impl<'a> Votes<'a> {
    /// Follows at most `followed_max` postings of one key.
    fn new(filter: &'a Filter, columns: &'a [Column], followed_max: usize) -> Self {
        Self { filter, columns, followed_max, found: HashMap::default() }
    }

    /// Counts `weight` for every article of a list that passes; of a popular
    /// list, for the oldest ones.
    fn follow(&mut self, list: &List<'_>, weight: u32, accept: impl Fn(&Column) -> bool) {
        list.each(self.filter.numbers.start, self.followed_max, |number| {
            let column = self.columns.get(number as usize).unwrap_or(&NO_COLUMN);
            let passes = self.filter.passes(number, &column.facets)
                && accept(column)
                && (self.found.len() < WEIGHED_MAX || self.found.contains_key(&number));
            if passes {
                *self.found.entry(number).or_default() += weight;
            }
            passes
        });
    }

    /// Forgets all but those with most votes.
    fn keep_best(&mut self, count: usize) {
        if self.found.len() <= count {
            return;
        }
        let mut all: Vec<(Reverse<u32>, u32)> =
            self.found.iter().map(|(number, votes)| (Reverse(*votes), *number)).collect();
        all.sort_unstable();
        all.truncate(count);
        self.found = all.into_iter().map(|(votes, number)| (number, votes.0)).collect();
    }

    /// Counts `weight` for every article of a list that is a candidate already.
    fn confirm(&mut self, list: &List<'_>, weight: u32) {
        for (number, votes) in &mut self.found {
            if list.contains(*number) {
                *votes += weight;
            }
        }
    }

    /// The candidates with at least `votes_min` of their columns, most votes first, then the
    /// oldest.
    fn best(&self, votes_min: impl Fn(&Column) -> u32) -> Vec<ArticleNumber> {
        self.ranked(votes_min).into_iter().map(|it| it.0).collect()
    }

    /// The same, each with its votes.
    fn ranked(&self, votes_min: impl Fn(&Column) -> u32) -> Vec<(ArticleNumber, u32)> {
        let mut found: Vec<(Reverse<u32>, u32)> = self
            .found
            .iter()
            .filter(|(number, votes)| {
                let column = self.columns.get(**number as usize).unwrap_or(&NO_COLUMN);
                **votes >= votes_min(column)
            })
            .map(|(number, votes)| (Reverse(*votes), *number))
            .collect();
        found.sort_unstable();
        found.truncate(CANDIDATES_MAX);
        found.into_iter().map(|(votes, number)| (ArticleNumber(number), votes.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::keys::{FieldTokens, Keys};
    use crate::shingle;
    use crate::sketch::Sketch;

    fn entry(number: u32, tokens: &[u32]) -> Entry {
        let fields = FieldTokens { text: tokens.to_vec(), ..FieldTokens::default() };
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
        index.teasers(&[TeaserQuery { shingles: &shingles, filter: &filter }]).unwrap().remove(0)
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
        let query = TeaserQuery { shingles: &shingles, filter: &last };
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
