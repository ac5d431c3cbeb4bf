//! Keys, rows and identifiers as they stand in the cluster. Golden tests pin all of it.
//!
//! `P` is the prefix of the store, `N` an article number in decimal, `K` a partition.
//!
//! | key | type | what |
//! |---|---|---|
//! | `P:{turn}` | hash | `format`, `identity`, `articles` (planned), whose turn it is (`holder`, `until`, `fence`, `attempt`, and `unclean` where one before it was not ended), who had the last one and who wants the next (`last`, `wanted`, `wanted_at`), the last commit (`seq`, `done`), `next`, `count` |
//! | `P:{turn}:intent` | string | the last commit, until it is applied |
//! | `P:{turn}:by:H` | string | the last commit of a holder, for a month |
//! | `P:{turn}:burned` | list | `from-to@seconds`: numbers, without the last, that an interrupted commit may have used, and when they were passed over |
//! | `P:{turn}:log` | list | `sequence:from-to` of the last 256 commits: the numbers that they brought, without the last |
//! | `P:{turn}:postings` | hash | how many postings there are of each kind, about |
//! | `P:{turn}:kept` | string | the dictionary of tokens |
//! | `P:f:N`, `P:a:N` | string | the two parts of a record |
//! | `P:{rK}:seq` | string | `sequence id fence`: the last commit that is applied to the partition, and the turn below which none is applied any more |
//! | `P:{rK}:undo` | list | `sequence id` of the commit before it, then the steps that take it back |
//! | `P:{rK}:rows` | sorted set | rows, all with score 0, in the order of their bytes |
//! | `P:{rK}:ids:B` | hash | numbers, by article id, some 64 in one |
//! | `P:{rK}:live:C` | string | a bit for each number N with C = N / 65,536: its commit mark |
//!
//! A row is its space (a byte), its key with each 00 as 00 01, then 00 00, then its value: so
//! rows sort as their keys do. The records of a number count only with its bit.

use crate::cluster::{Cluster, Command};
use crate::hash;
use crate::store::{ArticleNumber, Part, Space};

/// Numbers of one string of bits.
pub(super) const LIVE_NUMBERS: u32 = 1 << 16;
/// Articles that a partition is planned for, and the least and the most partitions.
const PARTITION_ARTICLES: u64 = 100_000;
const PARTITIONS_MIN: u64 = 16;
const PARTITIONS_MAX: u64 = 4096;
/// Ids of one hash, as planned: so few stay in the compact encoding.
const BUCKET_IDS: u64 = 64;
/// Partitions over which rows are spread whose order is asked for as a whole.
const ORDERED_PARTITIONS: u32 = 8;
/// Ends a key within a row.
const KEY_END: [u8; 2] = [0, 0];
/// Behind [`KEY_END`].
const BEHIND_KEY_END: [u8; 2] = [0, 1];

/// What keys are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    prefix: String,
    pub(super) partitions: u32,
    buckets: u32,
}

impl Layout {
    /// For a store that is planned for so many articles.
    pub(crate) fn new(prefix: &str, articles: u64) -> Self {
        let partitions = (articles / PARTITION_ARTICLES).clamp(PARTITIONS_MIN, PARTITIONS_MAX);
        let partitions = partitions.next_power_of_two();
        let buckets = (articles / partitions / BUCKET_IDS).max(1);
        let small = |it: u64| u32::try_from(it).unwrap_or(u32::MAX);
        let prefix = prefix.to_owned();
        Self { prefix, partitions: small(partitions), buckets: small(buckets) }
    }

    pub(super) fn turn(cluster: &Cluster) -> Vec<u8> {
        cluster.key("{turn}")
    }

    pub(super) fn intent(cluster: &Cluster) -> Vec<u8> {
        cluster.key("{turn}:intent")
    }

    pub(super) fn burned(cluster: &Cluster) -> Vec<u8> {
        cluster.key("{turn}:burned")
    }

    pub(super) fn log(cluster: &Cluster) -> Vec<u8> {
        cluster.key("{turn}:log")
    }

    pub(super) fn kept(cluster: &Cluster) -> Vec<u8> {
        cluster.key("{turn}:kept")
    }

    pub(super) fn by(cluster: &Cluster, holder: &str) -> Vec<u8> {
        cluster.key(format_args!("{{turn}}:by:{holder}"))
    }

    pub(super) fn record(&self, part: Part, number: ArticleNumber) -> Vec<u8> {
        let letter = match part {
            Part::Article => 'a',
            Part::Features => 'f',
        };
        format!("{}:{letter}:{}", self.prefix, number.0).into_bytes()
    }

    pub(super) fn seq(&self, partition: u32) -> Vec<u8> {
        format!("{}:{{r{partition}}}:seq", self.prefix).into_bytes()
    }

    pub(super) fn undo(&self, partition: u32) -> Vec<u8> {
        format!("{}:{{r{partition}}}:undo", self.prefix).into_bytes()
    }

    pub(super) fn rows(&self, partition: u32) -> Vec<u8> {
        format!("{}:{{r{partition}}}:rows", self.prefix).into_bytes()
    }

    /// The partition of an id, and the key of its hash.
    pub(super) fn id(&self, id: &str) -> (u32, Vec<u8>) {
        let hash = hash::persistent_64(id.as_bytes());
        let partition = hash::low_half(hash) % self.partitions;
        let bucket = hash::high_half(hash) % self.buckets;
        (partition, format!("{}:{{r{partition}}}:ids:{bucket}", self.prefix).into_bytes())
    }

    /// The partition of a number's bit, its key and its place there.
    pub(super) fn live(&self, number: ArticleNumber) -> (u32, Vec<u8>, u32) {
        let chunk = number.0 / LIVE_NUMBERS;
        let (partition, key) = self.live_chunk(chunk);
        (partition, key, number.0 % LIVE_NUMBERS)
    }

    /// The partition of a string of bits, and its key.
    pub(super) fn live_chunk(&self, chunk: u32) -> (u32, Vec<u8>) {
        let partition = chunk % self.partitions;
        (partition, format!("{}:{{r{partition}}}:live:{chunk}", self.prefix).into_bytes())
    }

    /// Asks for the bits of numbers of one string: a list.
    pub(super) fn is_live(&self, numbers: &[ArticleNumber]) -> Command {
        let chunk = numbers.first().map_or(0, |it| it.0 / LIVE_NUMBERS);
        let mut command = Command::new("BITFIELD_RO", &self.live_chunk(chunk).1);
        for number in numbers {
            command.push("GET");
            command.push("u1");
            command.push(number.0 % LIVE_NUMBERS);
        }
        command
    }

    /// Asks for a part of a record and for its bit.
    pub(crate) fn record_and_mark(&self, part: Part, number: ArticleNumber) -> [Command; 2] {
        [Command::new("GET", &self.record(part, number)), self.is_live(&[number])]
    }

    /// The partition of a row.
    pub(super) fn partition(&self, space: Space, key: &[u8]) -> u32 {
        let spread = hash::low_half(hash::persistent_64(together(space, key)));
        spread % self.spread(space)
    }

    /// The partitions that may have rows of a space with keys in a range.
    pub(super) fn partitions_of(&self, space: Space, start: &[u8], end: &[u8]) -> Vec<u32> {
        let (first, last) = (together(space, start), together(space, end));
        let is_prefix = prefix_bytes(space).is_some_and(|it| start.len() >= it && end.len() >= it);
        if is_prefix && first == last {
            return vec![self.partition(space, start)];
        }
        (0..self.spread(space)).collect()
    }

    fn spread(&self, space: Space) -> u32 {
        if is_ordered(space) { ORDERED_PARTITIONS.min(self.partitions) } else { self.partitions }
    }
}

/// What rows that are asked for together begin with, in bytes.
fn prefix_bytes(space: Space) -> Option<usize> {
    match space {
        Space::Member => Some(4),
        Space::Reference | Space::Revision => Some(16),
        Space::Counter
        | Space::Teaser
        | Space::TeaserId
        | Space::TeaserBySeen
        | Space::TeaserByTimes
        | Space::Resolution
        | Space::StoryOf
        | Space::Story
        | Space::StoryByTime
        | Space::StoryBySize
        | Space::Expiry
        | Space::StoredAt
        | Space::ShelfLog => None,
    }
}

/// Whether rows are mostly asked for in the order of all their keys.
fn is_ordered(space: Space) -> bool {
    match space {
        Space::TeaserBySeen
        | Space::TeaserByTimes
        | Space::Resolution
        | Space::StoryByTime
        | Space::StoryBySize
        | Space::Expiry
        | Space::StoredAt
        | Space::ShelfLog => true,
        Space::Counter
        | Space::Teaser
        | Space::TeaserId
        | Space::Member
        | Space::StoryOf
        | Space::Story
        | Space::Reference
        | Space::Revision => false,
    }
}

fn together(space: Space, key: &[u8]) -> &[u8] {
    prefix_bytes(space).and_then(|it| key.get(..it)).unwrap_or(key)
}

/// What a row begins with, up to the end of its key.
pub(super) fn row_start(space: Space, key: &[u8]) -> Vec<u8> {
    let mut start = Vec::with_capacity(key.len() + 3);
    start.push(space as u8);
    for byte in key {
        start.push(*byte);
        if *byte == 0 {
            start.push(1);
        }
    }
    start
}

/// The least and the first greater member that a row with this key can be.
pub(super) fn row_bounds(space: Space, key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let start = row_start(space, key);
    (
        [b"[", start.as_slice(), &KEY_END].concat(),
        [b"(", start.as_slice(), &BEHIND_KEY_END].concat(),
    )
}

/// A row as a member.
pub(super) fn member(space: Space, key: &[u8], value: &[u8]) -> Vec<u8> {
    [row_start(space, key).as_slice(), &KEY_END, value].concat()
}

/// Key and value of a member, if it is one.
pub(super) fn read_member(member: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut rest = member.get(1..)?;
    let mut key = Vec::new();
    loop {
        match rest {
            [0, 0, value @ ..] => return Some((key, value.to_vec())),
            [0, 1, behind @ ..] => {
                key.push(0);
                rest = behind;
            }
            [0, ..] | [] => return None,
            [byte, behind @ ..] => {
                key.push(*byte);
                rest = behind;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_as_they_were() {
        let layout = Layout::new("doublon", 10_000_000);
        assert_eq!((layout.partitions, layout.buckets), (128, 1220));
        let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
        let number = ArticleNumber(70_000);
        assert_eq!(text(layout.record(Part::Features, number)), "doublon:f:70000");
        assert_eq!(text(layout.record(Part::Article, number)), "doublon:a:70000");
        let (partition, key, bit) = layout.live(number);
        assert_eq!((partition, text(key).as_str(), bit), (1, "doublon:{r1}:live:1", 4464));
        assert_eq!(text(layout.seq(3)), "doublon:{r3}:seq");
        assert_eq!(text(layout.rows(3)), "doublon:{r3}:rows");
        assert_eq!(text(layout.undo(3)), "doublon:{r3}:undo");
        let (partition, key) = layout.id("https://example.org/a");
        assert_eq!((partition, text(key).as_str()), (98, "doublon:{r98}:ids:416"));
        assert_eq!(layout.partition(Space::Story, &[0, 0, 0, 7]), 75);
        assert_eq!(layout.partition(Space::TeaserBySeen, &[7; 12]), 2);
        let members = |key: &[u8]| layout.partition(Space::Member, key);
        assert_eq!(members(&[0, 0, 0, 7, 1, 2]), members(&[0, 0, 0, 7, 9]));
    }

    #[test]
    fn rows_are_as_they_were() {
        let row = member(Space::Story, &[1, 0, 2], b"v\0");
        assert_eq!(row, [8, 1, 0, 1, 2, 0, 0, b'v', 0]);
        assert_eq!(read_member(&row), Some((vec![1, 0, 2], b"v\0".to_vec())));
        for bad in [&[][..], &[8], &[8, 1], &[8, 1, 0], &[8, 0, 2, 0, 0]] {
            assert_eq!(read_member(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_sort_as_their_keys_and_are_read_as_they_were_made(
            a in proptest::collection::vec(0_u8..3, 0..6),
            b in proptest::collection::vec(0_u8..3, 0..6),
            value in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let row = |key: &[u8]| member(Space::Story, key, &value);
            prop_assert_eq!(read_member(&row(&a)), Some((a.clone(), value.clone())));
            prop_assert_eq!(a.cmp(&b).is_lt(), row(&a) < row(&b) && a != b);
            // A range of keys is a range of rows.
            prop_assert_eq!(row(&a) >= row_start(Space::Story, &b), a >= b);
            let (low, high) = row_bounds(Space::Story, &a);
            let is_within = row(&b).as_slice() >= &low[1..] && row(&b).as_slice() < &high[1..];
            prop_assert_eq!(is_within, a == b);
        }
    }
}
