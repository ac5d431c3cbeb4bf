//! Rows in a range of keys, and the numbers that are stored: what lies in many partitions,
//! put together in order.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::cluster::{Command, reply};
use crate::store::cluster::layout::{self, LIVE_NUMBERS};
use crate::store::cluster::{ClusterStore, list, unexpected};
use crate::store::{ArticleNumber, Row, RowKey, Space, StoreError, prefix_end};

/// Rows that are asked of one partition beyond its share: they are spread at random.
const SLACK: usize = 16;
/// Rows that are asked of one partition at a time, at most.
const ASKED_MAX: usize = 2000;

/// Where one partition was read up to.
struct Reach {
    partition: u32,
    /// What the rows that are still to be read begin at.
    from: Vec<u8>,
    is_done: bool,
}

impl ClusterStore {
    /// The rows of a space in a range, ascending, at most so many.
    pub(super) fn range(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if keys.start >= keys.end || count_max == 0 {
            return Ok(Vec::new());
        }
        let partitions = self.layout().partitions_of(space, keys.start, keys.end);
        let share = count_max / partitions.len().max(1);
        let asked =
            share.saturating_add(share / 4).saturating_add(SLACK).min(ASKED_MAX).min(count_max);
        let start = [b"[", layout::row_start(space, keys.start).as_slice()].concat();
        let end = [b"(", layout::row_start(space, keys.end).as_slice()].concat();
        let reach = |partition| Reach { partition, from: start.clone(), is_done: false };
        let mut reaches: Vec<Reach> = partitions.into_iter().map(reach).collect();
        // By member: the space and the key, in their order.
        let mut members: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
        loop {
            let open: Vec<&mut Reach> = reaches.iter_mut().filter(|it| !it.is_done).collect();
            let commands: Vec<Command> = open
                .iter()
                .map(|it| {
                    Command::new("ZRANGEBYLEX", &self.layout().rows(it.partition))
                        .arg(it.from.as_slice())
                        .arg(end.as_slice())
                        .arg("LIMIT")
                        .arg(0)
                        .arg(asked)
                })
                .collect();
            let replies = self.read_all(&commands)?;
            for (reach, reply) in open.into_iter().zip(&replies) {
                let found = list(reply)?;
                reach.is_done = found.len() < asked;
                for member in found.iter().filter_map(reply::bytes) {
                    reach.from = [b"(", member].concat();
                    let row = layout::read_member(member).ok_or_else(unexpected)?;
                    members.insert(member.to_vec(), row);
                }
            }
            // Up to here every partition was read.
            let sure = reaches.iter().filter(|it| !it.is_done).map(|it| it.from.get(1..)).min();
            let count = match sure {
                None => return Ok(members.into_values().take(count_max).collect()),
                Some(sure) => {
                    let sure = sure.unwrap_or_default();
                    members.range(..=sure.to_vec()).take(count_max).count()
                }
            };
            if count >= count_max {
                return Ok(members.into_values().take(count_max).collect());
            }
        }
    }

    /// The rows that begin with each of some prefixes, ascending, in one round trip.
    pub(super) fn prefixes(&self, prefixes: &[RowKey]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut commands = Vec::new();
        let mut counts = Vec::new();
        for (space, prefix) in prefixes {
            let end = prefix_end(prefix);
            let partitions = self.layout().partitions_of(*space, prefix, &end);
            counts.push(partitions.len());
            let low = [b"[", layout::row_start(*space, prefix).as_slice()].concat();
            let high = [b"(", layout::row_start(*space, &end).as_slice()].concat();
            commands.extend(partitions.into_iter().map(|it| {
                let rows = self.layout().rows(it);
                Command::new("ZRANGEBYLEX", &rows).arg(low.as_slice()).arg(high.as_slice())
            }));
        }
        let replies = self.read_all(&commands)?;
        let mut replies = replies.iter();
        let mut found = Vec::with_capacity(prefixes.len());
        for count in counts {
            let mut rows: Vec<Row> = Vec::new();
            for reply in replies.by_ref().take(count) {
                let members = list(reply)?.iter().filter_map(reply::bytes);
                rows.extend(members.filter_map(layout::read_member));
            }
            rows.sort_unstable();
            found.push(rows);
        }
        Ok(found)
    }

    /// The numbers of one string of bits that are stored, ascending.
    pub(super) fn numbers_of(&self, chunk: u32) -> Result<Vec<ArticleNumber>, StoreError> {
        let replies = self.read_all(&[Command::new("GET", &self.layout().live_chunk(chunk).1)])?;
        Ok(marked(chunk, replies.first().and_then(reply::bytes).unwrap_or_default()))
    }

    /// The greatest number that is stored, and one, looked for from above a bound; 0 where
    /// there is none.
    pub(super) fn greatest_number(&self, below: u32) -> Result<u32, StoreError> {
        // Numbers above the bound are there only if the cluster was set back.
        let mut chunk = below / LIVE_NUMBERS;
        while !self.numbers_of(chunk + 1)?.is_empty() {
            chunk += 1;
        }
        loop {
            if let Some(last) = self.numbers_of(chunk)?.last() {
                return Ok(last.0.saturating_add(1));
            }
            let Some(before) = chunk.checked_sub(1) else { return Ok(0) };
            chunk = before;
        }
    }

    /// All numbers that are stored, ascending.
    pub(super) fn all_numbers(&self) -> Result<Vec<ArticleNumber>, StoreError> {
        let chunks = self.field("next")?.div_ceil(u64::from(LIVE_NUMBERS));
        let mut all = Vec::new();
        for chunk in 0..u32::try_from(chunks).unwrap_or(u32::MAX) {
            all.extend(self.numbers_of(chunk)?);
        }
        Ok(all)
    }
}

/// The numbers whose bits are set, the first bit of a byte the highest.
fn marked(chunk: u32, bytes: &[u8]) -> Vec<ArticleNumber> {
    let mut numbers = Vec::new();
    for (byte, at) in bytes.iter().zip(0_u32..) {
        for bit in (0..8_u32).filter(|it| byte & (0x80 >> it) != 0) {
            numbers.push(ArticleNumber(chunk * LIVE_NUMBERS + 8 * at + bit));
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_numbers() {
        let numbers = [0, 7, 9].map(|it| ArticleNumber(LIVE_NUMBERS + it));
        assert_eq!(marked(1, &[0b1000_0001, 0b0100_0000]), numbers);
        assert!(marked(0, &[]).is_empty());
    }
}
