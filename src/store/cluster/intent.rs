//! A commit as it is written, so that whoever has the next turn can finish it or take it
//! back: to each partition some steps, which its script takes as they are.
//!
//! Layout: the commit's sequence and id and the number of articles before it (u64 each), who
//! makes it (its length as u32, and its bytes), how many numbers' records it brings (u32) and
//! these numbers (u32 each), the same of those whose records go, the number of partitions (u32),
//! then for each its number (u32), the number of its keys and of its arguments (u32 each), and
//! all of these, each as its length (u32) and its bytes. Numbers are little-endian.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::cluster::Command;
use crate::store::cluster::layout::{self, Layout};
use crate::store::cluster::steps::{self, Named, Steps};
use crate::store::{ArticleNumber, Part, Space};

/// What a commit does to rows, ids and bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) seq: u64,
    /// Drawn at random.
    pub(super) id: u64,
    /// Articles before it.
    pub(super) count: u64,
    /// Who makes it.
    pub(super) holder: String,
    /// Numbers whose records come.
    pub(super) inserted: Vec<ArticleNumber>,
    /// Numbers whose records go.
    pub(super) removed: Vec<ArticleNumber>,
    parts: BTreeMap<u32, Steps>,
}

impl Intent {
    /// The commit of this sequence and id, behind which there are so many articles.
    pub(super) fn new((seq, id): (u64, u64), count: u64, holder: &str) -> Self {
        Self { seq, id, count, holder: holder.to_owned(), ..Self::default() }
    }

    /// What tells it from others: what its bytes begin with.
    pub(super) fn name(&self) -> Vec<u8> {
        [self.seq.to_le_bytes(), self.id.to_le_bytes()].concat()
    }

    /// The numbers that it brings, with some between perhaps.
    pub(super) fn numbers(&self) -> Range<u32> {
        let first = self.inserted.iter().min().map_or(0, |it| it.0);
        first..self.inserted.iter().max().map_or(0, |it| it.0 + 1)
    }

    pub(super) fn set(&mut self, layout: &Layout, space: Space, row: (&[u8], &[u8])) {
        let (low, high) = layout::row_bounds(space, row.0);
        let steps = self.part(layout.partition(space, row.0));
        let member = layout::member(space, row.0, row.1);
        steps.arguments.extend([b"S".to_vec(), low, high, member]);
    }

    pub(super) fn unset(&mut self, layout: &Layout, space: Space, key: &[u8]) {
        let (low, high) = layout::row_bounds(space, key);
        let steps = self.part(layout.partition(space, key));
        steps.arguments.extend([b"U".to_vec(), low, high]);
    }

    /// Stores what came under a number.
    pub(super) fn insert(&mut self, layout: &Layout, id: &str, number: ArticleNumber) {
        self.id(layout, b"I", id, number);
        self.mark(layout, number, true);
        self.inserted.push(number);
    }

    /// Removes a number, and takes it from its id if that still has it.
    pub(super) fn remove(&mut self, layout: &Layout, id: &str, number: ArticleNumber) {
        self.id(layout, b"D", id, number);
        self.mark(layout, number, false);
        self.removed.push(number);
    }

    fn id(&mut self, layout: &Layout, step: &[u8], id: &str, number: ArticleNumber) {
        let (partition, key) = layout.id(id);
        let steps = self.part(partition);
        let place = steps.place(&key);
        let number = number.0.to_string().into_bytes();
        steps.arguments.extend([step.to_vec(), place, id.as_bytes().to_vec(), number]);
    }

    /// Marks a number as stored, or as gone.
    fn mark(&mut self, layout: &Layout, number: ArticleNumber, is_live: bool) {
        let (partition, key, bit) = layout.live(number);
        let steps = self.part(partition);
        let place = steps.place(&key);
        let bit = bit.to_string().into_bytes();
        let value = if is_live { b"1" } else { b"0" };
        steps.arguments.extend([b"L".to_vec(), place, bit, value.to_vec()]);
    }

    fn part(&mut self, partition: u32) -> &mut Steps {
        self.parts.entry(partition).or_default()
    }

    /// What applies it in a turn, but for the removal of records.
    pub(super) fn commands(&self, layout: &Layout, fence: u64, always: bool) -> Vec<Command> {
        let (seq, id) = (self.seq, self.id);
        let commit = Named { seq, id, fence, is_done_without_memory: always };
        let apply = |(it, steps): (&u32, &Steps)| steps::apply((layout, *it), steps, commit);
        self.parts.iter().map(apply).collect()
    }

    /// Whether the records are there that it brings.
    pub(super) fn presence(&self, layout: &Layout) -> Vec<Command> {
        let records = self.inserted.iter().flat_map(|number| {
            [Part::Article, Part::Features].map(|part| layout.record(part, *number))
        });
        records.map(|it| Command::new("EXISTS", &it)).collect()
    }

    /// What removes the records that go.
    pub(super) fn removals(&self, layout: &Layout) -> Vec<Command> {
        let records = self.removed.iter().flat_map(|number| {
            [Part::Article, Part::Features].map(|part| layout.record(part, *number))
        });
        records.map(|it| Command::new("DEL", &it)).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let small = |it: usize| u32::try_from(it).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = self.name();
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(small(self.holder.len()));
        bytes.extend(self.holder.as_bytes());
        for numbers in [&self.inserted, &self.removed] {
            bytes.extend(small(numbers.len()));
            bytes.extend(numbers.iter().flat_map(|it| it.0.to_le_bytes()));
        }
        bytes.extend(small(self.parts.len()));
        for (partition, Steps { keys, arguments }) in &self.parts {
            bytes.extend(partition.to_le_bytes());
            bytes.extend(small(keys.len()));
            bytes.extend(small(arguments.len()));
            for piece in keys.iter().chain(arguments) {
                bytes.extend(small(piece.len()));
                bytes.extend(piece);
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut long = || Some(u64::from_le_bytes(*take::<8>(&mut rest)?));
        let (seq, id, count) = (long()?, long()?, long()?);
        let holder = pieces(&mut rest, 1)?.pop().and_then(|it| String::from_utf8(it).ok())?;
        let (inserted, removed) = (numbers(&mut rest)?, numbers(&mut rest)?);
        let mut parts = BTreeMap::new();
        for _ in 0..number(&mut rest)? {
            let partition = number(&mut rest)?;
            let (keys, arguments) = (number(&mut rest)?, number(&mut rest)?);
            let keys = pieces(&mut rest, keys)?;
            let arguments = pieces(&mut rest, arguments)?;
            parts.insert(partition, Steps { keys, arguments });
        }
        let intent = Self { seq, id, count, holder, inserted, removed, parts };
        rest.is_empty().then_some(intent)
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*take::<4>(rest)?))
}

fn numbers(rest: &mut &[u8]) -> Option<Vec<ArticleNumber>> {
    (0..number(rest)?).map(|_| number(rest).map(ArticleNumber)).collect()
}

fn pieces(rest: &mut &[u8], count: u32) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(number(rest)?).ok()?;
        let (piece, behind) = rest.split_at_checked(len)?;
        all.push(piece.to_vec());
        *rest = behind;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_written_as_it_was_and_read_again() {
        let layout = Layout::new("d", 1000);
        let mut intent = Intent::new((7, 8), 9, "h");
        intent.set(&layout, Space::Story, (&[1], b"v"));
        intent.unset(&layout, Space::Story, &[1]);
        intent.insert(&layout, "a", ArticleNumber(3));
        intent.remove(&layout, "a", ArticleNumber(2));
        let bytes = intent.encode();
        assert_eq!(Intent::decode(&bytes), Some(intent.clone()));
        assert_eq!(crate::hash::persistent_64(&bytes), 13_529_606_565_340_200_365);
        for cut in 0..bytes.len() {
            assert_eq!(Intent::decode(&bytes[..cut]), None);
        }
        assert!(!intent.commands(&layout, 1, false).is_empty());
    }
}
