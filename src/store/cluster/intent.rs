//! A commit as it is written before it is applied, so that whoever has the next turn can
//! apply it again: to each partition some steps, which its script takes as they are.
//!
//! Layout: the commit's sequence and id (u64 each), how many numbers' records go (u32) and these numbers
//! (u32 each), the number of partitions (u32), then for each its
//! number (u32), the number of its keys and of its arguments (u32 each), and all of these, each
//! as its length (u32) and its bytes. Numbers are little-endian.

use std::collections::BTreeMap;

use crate::cluster::Command;
use crate::store::cluster::layout::{self, Layout};
use crate::store::{ArticleNumber, Part, Space};

/// Applies steps to a partition, unless it has had this commit or another one of this
/// sequence or a later one; gives the sequence of another one. `KEYS`: the sequence, the
/// rows, then what steps name by place. `ARGV`: the sequence, the commit's id, then the
/// steps. What there is no memory for was refused before, with the records.
const APPLY: &str = r"#!lua flags=allow-oom
local own = ARGV[1] .. ' ' .. ARGV[2]
local at = redis.call('GET', KEYS[1]) or '0 0'
if at == own then
  -- Written again, so that replicas are waited for.
  redis.call('SET', KEYS[1], own)
  return 0
end
local seq = tonumber(string.match(at, '^%d+'))
if seq >= tonumber(ARGV[1]) then return seq end
local i = 3
while i <= #ARGV do
  local step = ARGV[i]
  if step == 'S' then
    redis.call('ZREMRANGEBYLEX', KEYS[2], ARGV[i + 1], ARGV[i + 2])
    redis.call('ZADD', KEYS[2], 0, ARGV[i + 3])
    i = i + 4
  elseif step == 'U' then
    redis.call('ZREMRANGEBYLEX', KEYS[2], ARGV[i + 1], ARGV[i + 2])
    i = i + 3
  elseif step == 'I' then
    redis.call('HSET', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  elseif step == 'D' then
    local key = KEYS[tonumber(ARGV[i + 1])]
    if redis.call('HGET', key, ARGV[i + 2]) == ARGV[i + 3] then
      redis.call('HDEL', key, ARGV[i + 2])
    end
    i = i + 4
  elseif step == 'L' then
    redis.call('SETBIT', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  else
    return redis.error_reply('unknown step')
  end
end
redis.call('SET', KEYS[1], own)
return 0
";

/// What a commit does to rows, ids and bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) seq: u64,
    /// Drawn at random.
    pub(super) id: u64,
    /// Numbers whose records go.
    pub(super) removed: Vec<ArticleNumber>,
    parts: BTreeMap<u32, Steps>,
}

/// What it does to one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Steps {
    /// Behind those of the sequence and the rows.
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

/// Keys that every script has before those of its steps.
const OWN_KEYS: usize = 2;

impl Intent {
    pub(super) fn new(seq: u64, id: u64) -> Self {
        Self { seq, id, removed: Vec::new(), parts: BTreeMap::new() }
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

    /// Gives an id a number.
    pub(super) fn name(&mut self, layout: &Layout, id: &str, number: ArticleNumber) {
        self.id(layout, b"I", id, number);
    }

    /// Takes an id its number, if it is still this one.
    pub(super) fn unname(&mut self, layout: &Layout, id: &str, number: ArticleNumber) {
        self.id(layout, b"D", id, number);
    }

    fn id(&mut self, layout: &Layout, step: &[u8], id: &str, number: ArticleNumber) {
        let (partition, key) = layout.id(id);
        let steps = self.part(partition);
        let place = steps.place(key);
        let number = number.0.to_string().into_bytes();
        steps.arguments.extend([step.to_vec(), place, id.as_bytes().to_vec(), number]);
    }

    /// Marks a number as stored, or as gone.
    pub(super) fn mark(&mut self, layout: &Layout, number: ArticleNumber, is_live: bool) {
        let (partition, key, bit) = layout.live(number);
        let steps = self.part(partition);
        let place = steps.place(key);
        let bit = bit.to_string().into_bytes();
        let value = if is_live { b"1" } else { b"0" };
        steps.arguments.extend([b"L".to_vec(), place, bit, value.to_vec()]);
    }

    fn part(&mut self, partition: u32) -> &mut Steps {
        self.parts.entry(partition).or_default()
    }

    /// What applies it, but for the removal of records.
    pub(super) fn commands(&self, layout: &Layout) -> Vec<Command> {
        let commands = self.parts.iter().map(|(partition, steps)| {
            let (seq, rows) = (layout.seq(*partition), layout.rows(*partition));
            let mut keys: Vec<&[u8]> = vec![&seq, &rows];
            keys.extend(steps.keys.iter().map(Vec::as_slice));
            let mut command = Command::script(APPLY, &keys).arg(self.seq).arg(self.id);
            for argument in &steps.arguments {
                command.push(argument.as_slice());
            }
            command
        });
        commands.collect()
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
        let mut bytes = [self.seq.to_le_bytes(), self.id.to_le_bytes()].concat();
        bytes.extend(small(self.removed.len()));
        bytes.extend(self.removed.iter().flat_map(|it| it.0.to_le_bytes()));
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
        let seq = u64::from_le_bytes(*take::<8>(&mut rest)?);
        let id = u64::from_le_bytes(*take::<8>(&mut rest)?);
        let mut removed = Vec::new();
        for _ in 0..number(&mut rest)? {
            removed.push(ArticleNumber(number(&mut rest)?));
        }
        let mut parts = BTreeMap::new();
        for _ in 0..number(&mut rest)? {
            let partition = number(&mut rest)?;
            let (keys, arguments) = (number(&mut rest)?, number(&mut rest)?);
            let keys = pieces(&mut rest, keys)?;
            let arguments = pieces(&mut rest, arguments)?;
            parts.insert(partition, Steps { keys, arguments });
        }
        rest.is_empty().then_some(Self { seq, id, removed, parts })
    }
}

impl Steps {
    /// The place of a key among those of the script, as an argument.
    fn place(&mut self, key: Vec<u8>) -> Vec<u8> {
        let at = self.keys.iter().position(|it| *it == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        });
        (OWN_KEYS + at + 1).to_string().into_bytes()
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
        let mut intent = Intent::new(7, 8);
        intent.set(&layout, Space::Story, (&[1], b"v"));
        intent.unset(&layout, Space::Story, &[1]);
        intent.name(&layout, "a", ArticleNumber(3));
        intent.unname(&layout, "a", ArticleNumber(2));
        intent.mark(&layout, ArticleNumber(3), true);
        intent.removed.push(ArticleNumber(2));
        let bytes = intent.encode();
        assert_eq!(Intent::decode(&bytes), Some(intent.clone()));
        assert_eq!(crate::hash::persistent_64(&bytes), 10_553_344_568_165_874_621);
        for cut in 0..bytes.len() {
            assert_eq!(Intent::decode(&bytes[..cut]), None);
        }
        assert!(!intent.commands(&layout).is_empty());
    }
}
