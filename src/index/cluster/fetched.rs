//! Posting lists and columns that were fetched for some questions, as these are answered
//! from.

use crate::hash::HashMap;
use crate::index::cluster::group::List;
use crate::index::postings::{Found, VISITED_MAX};
use crate::index::propose::{FOLLOWED_MAX, Facts, Lists};
use crate::index::votes::Votes;
use crate::index::{Entry, Facets};
use crate::sketch::simhash::SimHash;

/// Lists by key.
#[derive(Debug, Default)]
pub(super) struct Fetched(pub(super) HashMap<u64, List>);

/// How many articles have a key. One of which not all are listed is popular however many
/// are left: what counts on following all of them must not follow it.
fn known_frequency(list: &List) -> u32 {
    let frequency = list.frequency();
    let popular = u32::try_from(FOLLOWED_MAX + 1).unwrap_or(u32::MAX);
    if list.numbers.len() == frequency as usize { frequency } else { frequency.max(popular) }
}

impl Lists for Fetched {
    fn find(&self, keys: &[u64]) -> Found {
        let none = (0, &[][..]);
        Found::of(keys.iter().map(|key| {
            self.0.get(key).map_or(none, |it| (known_frequency(it), it.numbers.as_slice()))
        }))
    }

    fn each(&self, key: u64, first: u32, count_max: usize, mut visit: impl FnMut(u32) -> bool) {
        let Some(list) = self.0.get(&key) else { return };
        let start = list.numbers.partition_point(|it| *it < first);
        let mut accepted = 0;
        for number in list.numbers.iter().skip(start).take(VISITED_MAX) {
            accepted += usize::from(visit(*number));
            if accepted >= count_max {
                return;
            }
        }
    }

    fn confirm<C: Facts>(&self, key: u64, votes: &mut Votes<'_, C>, weight: u32) {
        let Some(list) = self.0.get(&key) else { return };
        list.numbers.iter().for_each(|it| votes.confirm(*it, weight));
    }
}

/// What is known of an article number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) facets: Facets,
    pub(super) anchor_count: u32,
}

/// Bytes of a column: site and language (u32 each), the time of publication in seconds or the
/// least number where it is not known (i64), the number of anchors and one (u32); 0 there
/// says that there is none. All little-endian.
pub(super) const COLUMN_BYTES: usize = 20;
const TIME_UNKNOWN: i64 = i64::MIN;

impl Column {
    pub(super) fn of(entry: &Entry) -> Self {
        let anchor_count = u32::try_from(entry.keys.anchors.len()).unwrap_or(u32::MAX - 1);
        Self { facets: entry.facets, anchor_count }
    }

    pub(super) fn encode(self) -> [u8; COLUMN_BYTES] {
        let Facets { site, language, published_s } = self.facets;
        let mut bytes = [0; COLUMN_BYTES];
        let parts = site
            .to_le_bytes()
            .into_iter()
            .chain(language.to_le_bytes())
            .chain(published_s.unwrap_or(TIME_UNKNOWN).to_le_bytes())
            .chain((self.anchor_count + 1).to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (site, rest) = bytes.split_first_chunk::<4>()?;
        let (language, rest) = rest.split_first_chunk::<4>()?;
        let (published, rest) = rest.split_first_chunk::<8>()?;
        let anchor_count = u32::from_le_bytes(*rest.first_chunk()?).checked_sub(1)?;
        let published = i64::from_le_bytes(*published);
        let facets = Facets {
            site: u32::from_le_bytes(*site),
            language: u32::from_le_bytes(*language),
            published_s: (published != TIME_UNKNOWN).then_some(published),
        };
        Some(Self { facets, anchor_count })
    }
}

/// Columns by number.
#[derive(Debug, Default)]
pub(super) struct FetchedColumns {
    pub(super) columns: HashMap<u32, Column>,
    pub(super) simhashes: HashMap<u32, u64>,
}

impl Facts for FetchedColumns {
    fn facets(&self, number: u32) -> Facets {
        let unknown = Facets { site: 0, language: 0, published_s: None };
        self.columns.get(&number).map_or(unknown, |it| it.facets)
    }

    fn simhash(&self, number: u32) -> SimHash {
        SimHash::from_bits(self.simhashes.get(&number).copied().unwrap_or_default())
    }

    fn anchor_count(&self, number: u32) -> u32 {
        self.columns.get(&number).map_or(0, |it| it.anchor_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_they_were() {
        let facets = Facets { site: 1, language: 2, published_s: Some(3) };
        let column = Column { facets, anchor_count: 4 };
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0];
        assert_eq!(column.encode(), bytes);
        assert_eq!(Column::decode(&bytes), Some(column));
        let unknown = Column { facets: Facets { published_s: None, ..facets }, anchor_count: 0 };
        assert_eq!(Column::decode(&unknown.encode()), Some(unknown));
        assert_eq!(Column::decode(&[0; COLUMN_BYTES]), None);
        assert_eq!(Column::decode(&bytes[..19]), None);
    }
}
