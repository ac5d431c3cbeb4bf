//! The index in memory: posting lists for anchors, bands and SimHash blocks,
//! and a column of facets. Every lock is held for microseconds, so that readers and
//! the writer seldom wait for each other.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::hash;
use crate::index::columns::Columns;
use crate::index::keys::ANCHOR_STRIDE;
use crate::index::postings::{Found, POPULAR_ABOVE, Postings};
use crate::index::votes::Votes;
use crate::index::{
    Counts, Entry, ImageError, Index, IndexError, NearQuery, STRONG_SHARE, TERM_CANDIDATES_MAX,
    TeaserProposal, TeaserQuery, TermProposal, TermQuery,
};
use crate::matching::evidence::{self, Rarity};
use crate::matching::overlap::OVERLAP_MIN;
use crate::sketch::simhash::{DISTANCE_BITS_MAX, SimHash};
use crate::store::ArticleNumber;

/// Postings of one popular key that a question follows, at most: the oldest
/// articles that have it and pass the filter.
const FOLLOWED_MAX: usize = 256;
/// Keys with more postings propose their oldest articles only while a teaser has fewer
/// candidates.
const CANDIDATES_ENOUGH: usize = 16;
/// Share of the bits that a match needs from which on a teaser's best candidate is left
/// as it is, and popular keys are not looked at.
const SURE_SHARE: f64 = 1.5;
/// Postings of popular keys in which pairs are looked for, at most.
const PAIRED_POSTINGS_MAX: usize = 8192;
/// Postings of terms that a question follows, rarest terms first; behind them,
/// terms only confirm what has been found.
const TERM_POSTINGS_MAX: u32 = 8192;
/// Candidates that common terms confirm, at most.
const CONFIRMED_MAX: usize = 512;
/// Anchors that a text must share with an article to be its candidate without
/// help from the sketches, at least.
const SHARED_ANCHORS_MIN: u32 = 3;
/// Of the anchors that a text would share with an article at the overlap that
/// counts, the share that makes a candidate: half, because they vary.
const EXPECTED_SHARE: f64 = 0.5 * OVERLAP_MIN;
/// What a shared SimHash block counts: more than all anchors; and a shared band: more
/// than all blocks.
const BLOCK_VOTES: u32 = 1 << 16;
const BAND_VOTES: u32 = 1 << 22;
/// Postings of a SimHash block that is followed, at most: what more articles have are
/// the common words of a language.
const BLOCK_POSTINGS_MAX: u32 = 2048;
/// Anchors that a text must share with an article whose SimHash is near and with which it
/// shares no band. Texts with the same common words have one SimHash.
const NEAR_ANCHORS_MIN: u32 = 2;
/// Probes from which on a text's popular keys count by windows of [`ANCHOR_STRIDE`]: at
/// most one vote each, as many as the sparse anchors of a shared passage give. Else a
/// stock sentence in the dense beginning of an article counted eight times.
const WINDOWED_MIN: usize = 128;
/// Popular keys of such a window from which on it is looked at: a passage that many
/// articles have is popular in a row, common phrases are so here and there.
const POPULAR_TOGETHER_MIN: usize = 3;

/// Shingles of teasers that are looked up together, at most, but for those of one.
const SHINGLES_TOGETHER: usize = 512;

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
        for entry in entries {
            self.for_each_key(entry, Postings::insert);
        }
        self.article_count.fetch_add(new, Ordering::AcqRel);
        let end = entries.iter().map(|it| it.number.0 + 1).max().unwrap_or(0);
        self.numbers_end.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    fn remove(&self, entries: &[Entry]) -> Result<(), IndexError> {
        for entry in entries {
            self.for_each_key(entry, Postings::remove);
        }
        let gone = self.write_columns().remove(entries);
        self.article_count.fetch_sub(gone, Ordering::AcqRel);
        Ok(())
    }

    fn near(&self, queries: &[NearQuery<'_>]) -> Result<Vec<Vec<ArticleNumber>>, IndexError> {
        Ok(queries.iter().map(|it| self.near_one(*it)).collect())
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
                proposals.push(self.teaser_one(*query, &found, start));
                start += query.shingles.len();
            }
            left = others;
        }
        Ok(proposals)
    }

    fn terms(&self, queries: &[TermQuery<'_>]) -> Result<Vec<TermProposal>, IndexError> {
        Ok(queries.iter().map(|it| self.terms_one(*it)).collect())
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

    fn for_each_key(&self, entry: &Entry, act: impl Fn(&Postings, &[u64], u32)) {
        let (number, sketch) = (entry.number.0, &entry.keys.sketch);
        act(&self.anchors, &entry.keys.anchors, number);
        act(&self.bands, &sketch.minhash.band_keys().collect::<Vec<_>>(), number);
        act(&self.blocks, &block_keys(sketch.simhash).collect::<Vec<_>>(), number);
        act(&self.terms, &entry.keys.terms, number);
    }

    fn near_one(&self, query: NearQuery<'_>) -> Vec<ArticleNumber> {
        let bands: Vec<u64> = query.keys.sketch.minhash.band_keys().collect();
        let by_bands = self.bands.find(&bands);
        let simhash = query.keys.sketch.simhash;
        let blocks: Vec<u64> = block_keys(simhash).collect();
        let by_blocks = self.blocks.find(&blocks);
        let by_anchors = self.anchors.find(&query.keys.anchors);

        let columns = self.read_columns();
        let mut votes = Votes::new(query.filter, &columns);
        let add = |number| votes.add(number, BAND_VOTES);
        follow(&self.bands, (&bands, &by_bands, u32::MAX), query, add);
        let is_near = |it: u32| is_within(columns.simhash(it), simhash);
        let add = |number| is_near(number) && votes.add(number, BLOCK_VOTES);
        follow(&self.blocks, (&blocks, &by_blocks, BLOCK_POSTINGS_MAX), query, add);
        for key in 0..query.keys.anchors.len() {
            for number in by_anchors.numbers(key) {
                votes.add(*number, 1);
            }
        }
        // Only those with the least number of votes that counts are worth a look at columns.
        let probes = u32::try_from(query.keys.anchors.len()).unwrap_or(u32::MAX);
        let shares_enough = |number: u32, votes: u32| {
            let anchors = votes % BLOCK_VOTES;
            votes >= BAND_VOTES
                || votes >= BLOCK_VOTES && anchors >= NEAR_ANCHORS_MIN.min(probes)
                || anchors >= SHARED_ANCHORS_MIN
                    && anchors >= shared_anchors_min(query, columns.anchor_count(number))
        };
        let mut found = votes.ranked(shares_enough);
        if found.is_empty() {
            // Nothing but stock phrases, or a text that many articles have.
            self.follow_popular(query, &by_anchors, &mut votes);
            found = votes.ranked(shares_enough);
        }
        found.into_iter().map(|it| it.0).collect()
    }

    fn follow_popular(&self, query: NearQuery<'_>, found: &Found, votes: &mut Votes<'_>) {
        let keys = &query.keys.anchors;
        let window = if keys.len() >= WINDOWED_MIN { ANCHOR_STRIDE } else { 1 };
        let frequencies: Vec<u32> = found.frequencies(0..keys.len()).collect();
        let first = query.filter.numbers.start;
        let mut numbers: Vec<u32> = Vec::new();
        for (keys, frequencies) in keys.chunks(window).zip(frequencies.chunks(window)) {
            let popular = keys.iter().zip(frequencies).filter(|it| *it.1 > POPULAR_ABOVE);
            if popular.clone().count() < POPULAR_TOGETHER_MIN.min(window) {
                continue;
            }
            for (key, _) in popular {
                self.anchors.each(*key, first, FOLLOWED_MAX, |it| {
                    let passes = votes.passes(it);
                    numbers.extend(passes.then_some(it));
                    passes
                });
            }
            numbers.sort_unstable();
            numbers.dedup();
            for number in numbers.drain(..) {
                votes.add(number, 1);
            }
        }
    }

    /// `found` has the shingles of the teaser from `start` on.
    fn teaser_one(&self, query: TeaserQuery<'_>, found: &Found, start: usize) -> TeaserProposal {
        let article_count = self.article_count.load(Ordering::Acquire);
        let rarity = Rarity::new(article_count);
        let places = start..start + query.shingles.len();
        let frequencies: Vec<u32> = found.frequencies(places.clone()).collect();
        let known = frequencies.iter().copied().zip(query.shingles.iter().copied()).zip(places);
        let mut rarest: Vec<((u32, u64), usize)> = known.filter(|it| it.0.0 > 0).collect();
        rarest.sort_unstable();
        rarest.dedup_by_key(|it| it.0);
        let columns = self.read_columns();
        let mut votes = Votes::new(query.filter, &columns);
        for ((frequency, key), place) in rarest.iter().copied() {
            // Sixteenths of a bit: whole numbers make the order exact.
            let weight = sixteenths(rarity.bits(frequency));
            if frequency <= POPULAR_ABOVE {
                for number in found.numbers(place) {
                    votes.add(*number, weight);
                }
            } else if frequency as usize <= FOLLOWED_MAX {
                let first = query.filter.numbers.start;
                self.anchors.each(key, first, FOLLOWED_MAX, |it| votes.add(it, weight));
            }
        }
        let mut ranked = votes.ranked(|_, _| true);
        let sure = sixteenths(SURE_SHARE * rarity.bits_min());
        if ranked.first().is_none_or(|it| it.1 < sure) {
            let popular = rarest.iter().map(|it| it.0);
            let popular: Vec<_> = popular.filter(|it| it.0 as usize > FOLLOWED_MAX).collect();
            self.propose_pairs(&popular, &mut votes);
            for (frequency, key) in popular {
                self.anchors.confirm(key, &mut votes, sixteenths(rarity.bits(frequency)));
            }
            ranked = votes.ranked(|_, _| true);
        }
        let most = ranked.first().map_or(0, |it| it.1);
        let strong_min = STRONG_SHARE * f64::from(most);
        let strong = ranked.iter().take_while(|it| f64::from(it.1) >= strong_min).count();
        let candidates = ranked.into_iter().map(|it| it.0).collect();
        TeaserProposal { frequencies, candidates, strong, article_count }
    }

    /// Proposes the oldest articles of each popular phrase while there are few
    /// candidates, and those that have two or more of the phrases: where a teaser has no
    /// rare phrase, these tell its article.
    fn propose_pairs(&self, popular: &[(u32, u64)], votes: &mut Votes<'_>) {
        let mut numbers: Vec<u32> = Vec::new();
        for (frequency, key) in popular {
            if votes.len() < CANDIDATES_ENOUGH {
                self.anchors.each(*key, 0, FOLLOWED_MAX, |it| votes.add(it, 0));
            }
            let room = PAIRED_POSTINGS_MAX.saturating_sub(numbers.len());
            if *frequency as usize <= room {
                self.anchors.each(*key, 0, room, |it| {
                    numbers.push(it);
                    true
                });
            }
        }
        numbers.sort_unstable();
        for same in numbers.chunk_by(|a, b| a == b).filter(|it| it.len() > 1) {
            if let Some(number) = same.first() {
                votes.add(*number, 0);
            }
        }
    }

    /// The rarest terms propose, all terms rank.
    fn terms_one(&self, query: TermQuery<'_>) -> TermProposal {
        let article_count = self.article_count.load(Ordering::Acquire);
        let found = self.terms.find(query.terms);
        let frequencies: Vec<u32> = found.frequencies(0..query.terms.len()).collect();
        let bits = evidence::term_bits(&frequencies);
        let weighed = frequencies.iter().copied().zip(query.terms.iter().copied()).zip(bits);
        let mut rarest: Vec<(u32, u64, u32)> =
            weighed.map(|((frequency, key), bits)| (frequency, key, sixteenths(bits))).collect();
        rarest.retain(|(frequency, _, _)| *frequency > 0);
        rarest.sort_unstable();
        let columns = self.read_columns();
        let mut votes = Votes::new(query.filter, &columns);
        let mut left = TERM_POSTINGS_MAX;
        let mut narrowed = false;
        for (frequency, key, weight) in rarest {
            if frequency <= left || votes.len() == 0 {
                left = left.saturating_sub(frequency);
                let first = query.filter.numbers.start;
                let followed_max = TERM_POSTINGS_MAX as usize;
                self.terms.each(key, first, followed_max, |it| votes.add(it, weight));
                continue;
            }
            if !narrowed {
                votes.keep_best(CONFIRMED_MAX);
                narrowed = true;
            }
            self.terms.confirm(key, &mut votes, weight);
        }
        let ranked = votes.ranked(|_, _| true);
        let candidates = ranked.into_iter().take(TERM_CANDIDATES_MAX).map(|it| it.0).collect();
        TermProposal { frequencies, candidates, article_count }
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

/// Calls `add` with the numbers of keys that were found, of a popular one with the
/// oldest that it accepts.
/// Calls `add` with the articles of the keys that at most so many have; where they are
/// many, with the oldest ones.
fn follow(
    postings: &Postings,
    (keys, found, frequency_max): (&[u64], &Found, u32),
    query: NearQuery<'_>,
    mut add: impl FnMut(u32) -> bool,
) {
    for (at, (key, frequency)) in keys.iter().zip(found.frequencies(0..keys.len())).enumerate() {
        if frequency > POPULAR_ABOVE && frequency <= frequency_max {
            postings.each(*key, query.filter.numbers.start, FOLLOWED_MAX, &mut add);
        }
        for number in found.numbers(at) {
            add(*number);
        }
    }
}

/// The anchors that a text shares with an article if one has a good part of the
/// other: of the text's probes, those that the article stores; or of the
/// article's anchors, those that the text probes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
fn shared_anchors_min(query: NearQuery<'_>, anchor_count: u32) -> u32 {
    let probes = query.keys.anchors.len() as f64;
    let share = probes / (query.shingle_count.max(1) as f64);
    let expected = (probes / ANCHOR_STRIDE as f64).min(f64::from(anchor_count) * share);
    SHARED_ANCHORS_MIN.max((EXPECTED_SHARE * expected) as u32)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bits are 0 to 64")]
fn sixteenths(bits: f64) -> u32 {
    (bits * 16.0) as u32
}

/// Whether two sketches are within [`DISTANCE_BITS_MAX`]: a question asks this of
/// thousands, and few machines are asked to count bits in one step.
#[inline]
fn is_within(a: SimHash, b: SimHash) -> bool {
    let differing = a.bits() ^ b.bits();
    (0..DISTANCE_BITS_MAX).fold(differing, |left, _| left & left.saturating_sub(1)) == 0
}

fn block_keys(simhash: SimHash) -> impl Iterator<Item = u64> {
    simhash.block_keys().into_iter().map(|it| hash::mix(u64::from(it) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::keys::{FieldTokens, Keys};
    use crate::index::{CANDIDATES_MAX, Facets, Filter};
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
