//! What a question proposes from posting lists: the rules by which candidates are found and
//! ranked, the same wherever the lists are.

use crate::hash;
use crate::index::keys::ANCHOR_STRIDE;
use crate::index::postings::{Found, POPULAR_ABOVE};
use crate::index::tally::Tally;
use crate::index::votes::{Votes, WEIGHED_MAX};
use crate::index::{
    Facets, NearQuery, STRONG_SHARE, TERM_CANDIDATES_MAX, TeaserProposal, TeaserQuery,
    TermProposal, TermQuery, Wanted,
};
use crate::matching::evidence::{self, Rarity};
use crate::matching::overlap::OVERLAP_MIN;
use crate::sketch::simhash::{DISTANCE_BITS_MAX, SimHash};
use crate::store::ArticleNumber;

/// Postings of one popular key that a question follows, at most: the oldest
/// articles that have it and pass the filter.
pub(super) const FOLLOWED_MAX: usize = 256;
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
const SHARED_ANCHORS_MIN: u8 = 3;
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

/// Posting lists of one kind of key.
pub(super) trait Lists {
    /// Looks keys up.
    fn find(&self, keys: &[u64]) -> Found;

    /// Calls `visit` with the numbers of a key from `first` on, ascending, until it has
    /// accepted `count_max` or seen enough.
    fn each(&self, key: u64, first: u32, count_max: usize, visit: impl FnMut(u32) -> bool);

    /// Counts `weight` for every article of a key that is a candidate already.
    fn confirm<C: Facts>(&self, key: u64, votes: &mut Votes<'_, C>, weight: u32);
}

/// What is known of each article number.
pub(super) trait Facts {
    /// What filters look at.
    fn facets(&self, number: u32) -> Facets;

    /// The SimHash.
    fn simhash(&self, number: u32) -> SimHash;

    /// How many anchors it has.
    fn anchor_count(&self, number: u32) -> u32;
}

/// Numbers that were found window by window.
#[derive(Default)]
struct Windows {
    numbers: Vec<u32>,
    /// Where each window's end.
    ends: Vec<usize>,
}

impl Windows {
    fn each(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.numbers.get(start..*end))
    }
}

/// What questions are answered from.
pub(super) struct Proposer<'a, L, C> {
    pub(super) anchors: &'a L,
    pub(super) bands: &'a L,
    pub(super) blocks: &'a L,
    pub(super) terms: &'a L,
    pub(super) columns: &'a C,
    pub(super) article_count: u64,
}

impl<L: Lists, C: Facts> Proposer<'_, L, C> {
    /// The candidates of a question for near-duplicates.
    pub(super) fn near(&self, query: NearQuery<'_>) -> Vec<ArticleNumber> {
        let bands: Vec<u64> = query.keys.sketch.minhash.band_keys().collect();
        let by_bands = self.bands.find(&bands);
        let simhash = query.keys.sketch.simhash;
        let blocks: Vec<u64> = block_keys(simhash).collect();
        let by_blocks = self.blocks.find(&blocks);
        let by_anchors = self.anchors.find(&query.keys.anchors);

        let mut votes = Votes::new(query.filter, self.columns);
        let add = |number| votes.add(number, BAND_VOTES);
        follow(self.bands, (&bands, &by_bands, u32::MAX), query, add);
        let is_near = |it: u32| is_within(self.columns.simhash(it), simhash);
        let add = |number| is_near(number) && votes.add(number, BLOCK_VOTES);
        follow(self.blocks, (&blocks, &by_blocks, BLOCK_POSTINGS_MAX), query, add);
        let sketched = votes.clone();
        let rare = by_anchors.all_numbers();
        let mut tally = Tally::of(rare);
        sketched.numbers().for_each(|it| tally.mark(it));
        count_shared(&mut votes, &tally, rare, &Windows::default());
        // Only those with the least number of votes that counts are worth a look at columns.
        let probes = u32::try_from(query.keys.anchors.len()).unwrap_or(u32::MAX);
        let shares_enough = |number: u32, votes: u32| {
            let anchors = votes % BLOCK_VOTES;
            votes >= BAND_VOTES
                || votes >= BLOCK_VOTES && anchors >= NEAR_ANCHORS_MIN.min(probes)
                || anchors >= SHARED_ANCHORS_MIN.into()
                    && anchors >= shared_anchors_min(query, self.columns.anchor_count(number))
        };
        let mut found = votes.ranked(shares_enough);
        if found.is_empty() {
            // Nothing but stock phrases, or a text that many articles have.
            let popular = self.popular(query, &by_anchors, &sketched);
            for window in popular.each() {
                tally.add_once(window);
            }
            votes = sketched;
            count_shared(&mut votes, &tally, rare, &popular);
            found = votes.ranked(shares_enough);
        }
        found.into_iter().map(|it| it.0).collect()
    }

    /// The articles of popular keys by windows: those of the keys of one together, in which
    /// an article may stand several times.
    fn popular(&self, query: NearQuery<'_>, found: &Found, votes: &Votes<'_, C>) -> Windows {
        let keys = &query.keys.anchors;
        let window = if keys.len() >= WINDOWED_MIN { ANCHOR_STRIDE } else { 1 };
        let frequencies: Vec<u32> = found.frequencies(0..keys.len()).collect();
        let first = query.filter.numbers.start;
        let mut windows = Windows::default();
        for (keys, frequencies) in keys.chunks(window).zip(frequencies.chunks(window)) {
            let popular = keys.iter().zip(frequencies).filter(|it| *it.1 > POPULAR_ABOVE);
            if popular.clone().count() < POPULAR_TOGETHER_MIN.min(window) {
                continue;
            }
            windows.numbers.reserve(ANCHOR_STRIDE * FOLLOWED_MAX);
            for (key, _) in popular {
                self.anchors.each(*key, first, FOLLOWED_MAX, |it| {
                    let passes = votes.passes(it);
                    windows.numbers.extend(passes.then_some(it));
                    passes
                });
            }
            windows.ends.push(windows.numbers.len());
        }
        windows
    }

    /// `found` has the shingles of the teaser from `start` on.
    pub(super) fn teaser(
        &self,
        query: TeaserQuery<'_>,
        (found, start): (&Found, usize),
    ) -> TeaserProposal {
        let article_count = self.article_count;
        let rarity = Rarity::new(article_count);
        let places = start..start + query.shingles.len();
        let frequencies: Vec<u32> = found.frequencies(places.clone()).collect();
        let articles_min = match query.wanted {
            Wanted::Parts => 0,
            Wanted::Whole { articles_min } if may_be_in(&frequencies, articles_min) => articles_min,
            Wanted::Whole { .. } | Wanted::Frequencies => {
                return TeaserProposal { frequencies, article_count, ..TeaserProposal::default() };
            }
        };
        let known = frequencies.iter().copied().zip(query.shingles.iter().copied()).zip(places);
        let mut rarest: Vec<((u32, u64), usize)> = known.filter(|it| it.0.0 > 0).collect();
        rarest.sort_unstable();
        let count = rarest.len();
        rarest.dedup_by_key(|it| it.0);
        let is_wanted = articles_min > 0 && rarest.len() == count;
        let whole_min = if is_wanted { whole_min(&frequencies, rarity) } else { 0 };
        let mut votes = Votes::new(query.filter, self.columns);
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
        let is_candidate = |_, votes: u32| votes >= whole_min;
        let mut ranked = votes.ranked(is_candidate);
        // Popular keys make nothing of it that was not enough without them.
        let is_settled = whole_min > 0 && ranked.len() < articles_min;
        let sure = sixteenths(SURE_SHARE * rarity.bits_min());
        if !is_settled && ranked.first().is_none_or(|it| it.1 < sure) {
            let popular = rarest.iter().map(|it| it.0);
            let popular: Vec<_> = popular.filter(|it| it.0 as usize > FOLLOWED_MAX).collect();
            self.propose_pairs(&popular, &mut votes);
            for (frequency, key) in popular {
                self.anchors.confirm(key, &mut votes, sixteenths(rarity.bits(frequency)));
            }
            ranked = votes.ranked(is_candidate);
        }
        if ranked.len() < articles_min {
            ranked.clear();
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
    fn propose_pairs(&self, popular: &[(u32, u64)], votes: &mut Votes<'_, C>) {
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
    pub(super) fn terms(&self, query: TermQuery<'_>) -> TermProposal {
        let article_count = self.article_count;
        let found = self.terms.find(query.terms);
        let frequencies: Vec<u32> = found.frequencies(0..query.terms.len()).collect();
        let bits = evidence::term_bits(&frequencies);
        let weighed = frequencies.iter().copied().zip(query.terms.iter().copied()).zip(bits);
        let mut rarest: Vec<(u32, u64, u32)> =
            weighed.map(|((frequency, key), bits)| (frequency, key, sixteenths(bits))).collect();
        rarest.retain(|(frequency, _, _)| *frequency > 0);
        rarest.sort_unstable();
        let mut votes = Votes::new(query.filter, self.columns);
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

/// Counts a vote for each of the rare anchors' articles, and one for each window of
/// popular ones in which an article stands, but for those that neither the sketches
/// proposed nor enough anchors. Of more than can be weighed the oldest are, in whatever
/// order they are given.
fn count_shared<C: Facts>(
    votes: &mut Votes<'_, C>,
    tally: &Tally,
    rare: &[u32],
    windows: &Windows,
) {
    let counts = |it: &&u32| tally.may_have(**it, SHARED_ANCHORS_MIN);
    let mut shared: Vec<u32> = rare.iter().filter(counts).copied().collect();
    for window in windows.each() {
        let mut once: Vec<u32> = window.iter().filter(counts).copied().collect();
        once.sort_unstable();
        once.dedup();
        shared.append(&mut once);
    }
    if shared.len() > WEIGHED_MAX {
        shared.sort_unstable();
    }
    for number in shared {
        votes.add(number, 1);
    }
}

/// Whether so many articles may have all of a text whose shingles have these
/// frequencies. In each of them one in [`ANCHOR_STRIDE`] is an anchor, from one of the
/// first on: there are no more of them than have the rarest of these.
pub(crate) fn may_be_in(frequencies: &[u32], articles_min: usize) -> bool {
    let articles = by_phase(frequencies).map(|it| it.min().unwrap_or(0) as usize);
    articles.sum::<usize>() >= articles_min
}

/// The votes that an article has at least which has all of a text, whose shingles have
/// these frequencies and do not repeat. One that is popular need not have been followed.
fn whole_min(frequencies: &[u32], rarity: Rarity) -> u32 {
    if frequencies.len() < ANCHOR_STRIDE {
        return 0;
    }
    let votes = |frequency: u32| match frequency as usize {
        ..=FOLLOWED_MAX => sixteenths(rarity.bits(frequency)),
        _ => 0,
    };
    let possible = by_phase(frequencies).filter(|it| it.clone().all(|it| it > 0));
    possible.map(|it| it.map(votes).sum()).min().unwrap_or(0)
}

/// The frequencies of the shingles that can be anchors of one article together, where it
/// has all of them and does not begin with them.
fn by_phase(frequencies: &[u32]) -> impl Iterator<Item = impl Iterator<Item = u32> + Clone + '_> {
    let phases = 0..ANCHOR_STRIDE.min(frequencies.len());
    phases.map(|it| frequencies.iter().copied().skip(it).step_by(ANCHOR_STRIDE))
}

/// Calls `add` with the articles of the keys that at most so many have; where they are
/// many, with the oldest ones.
fn follow(
    postings: &impl Lists,
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
    u32::from(SHARED_ANCHORS_MIN).max((EXPECTED_SHARE * expected) as u32)
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

/// What a SimHash is looked up by.
pub(super) fn block_keys(simhash: SimHash) -> impl Iterator<Item = u64> {
    simhash.block_keys().into_iter().map(|it| hash::mix(u64::from(it) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_articles_have_a_text_than_have_the_anchors_of_a_phase() {
        let thrice = [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        assert!(may_be_in(&thrice, 3) && !may_be_in(&thrice, 4));
        assert!(!may_be_in(&[9, 0, 0, 0, 0, 0, 0, 0, 2], 3), "two of the nine at most");
        let spread = [[1, 1, 1, 0, 0, 0, 0, 0], [5; 8]].concat();
        assert!(may_be_in(&spread, 3) && !may_be_in(&spread, 4));
        assert!(may_be_in(&[1, 2], 3) && !may_be_in(&[1, 1], 3) && !may_be_in(&[], 3));
    }

    #[test]
    fn an_article_with_all_of_a_text_has_the_votes_of_one_phase() {
        let rarity = Rarity::new(1000);
        let votes = |frequency| sixteenths(rarity.bits(frequency));
        let window = [5, 1, 0, 9, 1, 1, 1, 1];
        assert_eq!(whole_min(&window, rarity), votes(9), "0 is nobody's anchor");
        let two = [window, [2; 8]].concat();
        assert_eq!(whole_min(&two, rarity), votes(9) + votes(2));
        let first_only = [window, [3, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(whole_min(&first_only, rarity), votes(5) + votes(3));
        assert_eq!(whole_min(&[1, 1, 1, 1, 257, 1, 1, 1], rarity), 0);
        assert_eq!(whole_min(&window[..7], rarity), 0, "none may be an anchor");
    }
}
