//! What a commit does to one partition, and how it is taken back: the scripts that take its
//! steps. A partition remembers the last commit that it has had, with the steps that undo it,
//! and the turn below which it takes no commit any more: so a commit can go to all partitions
//! before it is known to be made, and what came of it is settled by whoever has the next turn.
//!
//! | step | arguments |
//! |---|---|
//! | `S` | the bounds of a row and the row: sets it |
//! | `U` | the bounds of a row: removes it |
//! | `I` | a key, an id, a number: gives the id the number |
//! | `D` | the same: takes the id the number, if it has this one |
//! | `L` | a key, a bit, 0 or 1: sets it |

use redis::Value;

use crate::cluster::{Command, reply};
use crate::store::cluster::layout::Layout;
use crate::store::cluster::turn;

/// Takes the steps from argument `first` on, and tells `note` what undoes each.
const STEPS: &str = r"
local function take(first, note)
  local i = first
  while i <= #ARGV do
    local step = ARGV[i]
    if step == 'S' or step == 'U' then
      local low, high = ARGV[i + 1], ARGV[i + 2]
      local old = redis.call('ZRANGEBYLEX', KEYS[2], low, high)[1]
      if old then redis.call('ZREM', KEYS[2], old) end
      if step == 'S' then redis.call('ZADD', KEYS[2], 0, ARGV[i + 3]) end
      if old then note('S', low, high, old) elseif step == 'S' then note('U', low, high) end
      i = i + (step == 'S' and 4 or 3)
    elseif step == 'I' or step == 'D' then
      local key, id, number = KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], ARGV[i + 3]
      local old = redis.call('HGET', key, id)
      if step == 'I' then
        redis.call('HSET', key, id, number)
        if old then note('I', key, id, old) else note('D', key, id, number) end
      elseif old == number then
        redis.call('HDEL', key, id)
        note('I', key, id, old)
      end
      i = i + 4
    elseif step == 'L' then
      local key, bit = KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2]
      note('L', key, bit, redis.call('SETBIT', key, bit, ARGV[i + 3]))
      i = i + 4
    else
      error('unknown step')
    end
  end
end
local seq, id, fence = string.match(redis.call('GET', KEYS[1]) or '0 0', '^(%d+) (%d+) ?(%d*)$')
fence = tonumber(fence) or 0
";

/// Applies a commit, unless the partition has had it: gives 0, the sequence of another commit
/// that stands in its way, or -1 if its turn is over. `KEYS`: the sequence, the rows, the undo
/// list, then what steps name by place. `ARGV`: sequence, id and turn, then the steps.
const APPLY: &str = r"
if seq == ARGV[1] and id == ARGV[2] then
  -- Written again, so that replicas are waited for.
  redis.call('SET', KEYS[1], seq .. ' ' .. id .. ' ' .. string.format('%d', fence))
  return 0
end
if fence > tonumber(ARGV[3]) then return -1 end
if tonumber(seq) >= tonumber(ARGV[1]) then return tonumber(seq) end
local undo = {}
take(4, function(...) undo[#undo + 1] = {...} end)
redis.call('DEL', KEYS[3])
redis.call('RPUSH', KEYS[3], seq .. ' ' .. id)
for i = #undo, 1, -1 do redis.call('RPUSH', KEYS[3], unpack(undo[i])) end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return 0
";

/// Lets a partition take no commit of an earlier turn any more; gives the sequence of its last
/// commit, its id, the turn that it is at, and the undo list if that commit is the one in
/// doubt. `KEYS`: the sequence, the rows, the undo list. `ARGV`: the turn, the sequence that is
/// in doubt.
const FENCE: &str = r"
if fence < tonumber(ARGV[1]) then
  fence = tonumber(ARGV[1])
  redis.call('SET', KEYS[1], seq .. ' ' .. id .. ' ' .. ARGV[1])
end
local undo = {}
if seq == ARGV[2] then undo = redis.call('LRANGE', KEYS[3], 0, -1) end
return {seq, id, string.format('%d', fence), undo}
";

/// Takes the last commit back. `KEYS` as of [`APPLY`]. `ARGV`: its sequence and id, what stood
/// there before it, the turn, then the steps. Gives 1 where the turn is over.
const UNDO: &str = r"
if fence > tonumber(ARGV[4]) then return 1 end
if seq ~= ARGV[1] or id ~= ARGV[2] then return 0 end
take(5, function() end)
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[1], ARGV[3] .. ' ' .. ARGV[4])
return 0
";

/// What a commit does to one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Behind those that every script has.
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) arguments: Vec<Vec<u8>>,
}

/// Keys that every script has before those of its steps.
const OWN_KEYS: usize = 3;

impl Steps {
    /// The place of a key among those of the script, as an argument.
    pub(super) fn place(&mut self, key: &[u8]) -> Vec<u8> {
        let at = self.keys.iter().position(|it| it == key).unwrap_or_else(|| {
            self.keys.push(key.to_vec());
            self.keys.len() - 1
        });
        (OWN_KEYS + at + 1).to_string().into_bytes()
    }

    /// The steps of an undo list, behind its first piece.
    fn of_undo(pieces: &[Value]) -> Option<Self> {
        let mut steps = Self::default();
        let mut rest = pieces;
        while let Some((step, behind)) = rest.split_first() {
            let step = reply::bytes(step)?;
            let count = if step == b"U" { 2 } else { 3 };
            let (own, behind) = behind.split_at_checked(count)?;
            let mut own: Vec<Vec<u8>> =
                own.iter().map(|it| Some(reply::bytes(it)?.to_vec())).collect::<Option<_>>()?;
            if !matches!(step, b"S" | b"U") {
                let key = std::mem::take(own.first_mut()?);
                *own.first_mut()? = steps.place(&key);
            }
            steps.arguments.push(step.to_vec());
            steps.arguments.append(&mut own);
            rest = behind;
        }
        Some(steps)
    }

    fn script(&self, script: &str, place: (&Layout, u32), is_done_without_memory: bool) -> Command {
        let (layout, partition) = place;
        let own = [layout.seq(partition), layout.rows(partition), layout.undo(partition)];
        let keys: Vec<&[u8]> = own.iter().chain(&self.keys).map(Vec::as_slice).collect();
        let script = format!("{}{STEPS}{script}", turn::flags(is_done_without_memory));
        Command::script(&script, &keys)
    }

    fn with_arguments(&self, mut command: Command) -> Command {
        for argument in &self.arguments {
            command.push(argument.as_slice());
        }
        command
    }
}

/// A commit, as a partition is told of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) seq: u64,
    pub(super) id: u64,
    /// The turn that it is applied in.
    pub(super) fence: u64,
    /// Whether it is applied where there is no memory left.
    pub(super) is_done_without_memory: bool,
}

/// Applies steps to a partition.
pub(super) fn apply(place: (&Layout, u32), steps: &Steps, commit: Named) -> Command {
    let command = steps.script(APPLY, place, commit.is_done_without_memory);
    steps.with_arguments(command.arg(commit.seq).arg(commit.id).arg(commit.fence))
}

/// Has a partition refuse the commits of earlier turns, and asks for what undoes one in doubt.
pub(super) fn fence(place: (&Layout, u32), fence: u64, doubtful: u64) -> Command {
    Steps::default().script(FENCE, place, true).arg(fence).arg(doubtful)
}

/// What a partition said to [`fence`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told<'a> {
    pub(super) seq: u64,
    pub(super) fence: u64,
    id: &'a [u8],
    undo: &'a [Value],
}

impl<'a> Told<'a> {
    pub(super) fn read(reply: &'a Value) -> Option<Self> {
        let [seq, id, fence, undo] = reply::list(reply)? else { return None };
        let (seq, fence) = (reply::number(seq)?, reply::number(fence)?);
        Some(Self { seq, fence, id: reply::bytes(id)?, undo: reply::list(undo)? })
    }

    /// Takes its last commit back, if that is the one in doubt and there is what undoes it.
    pub(super) fn undo(&self, place: (&Layout, u32), fence: u64) -> Option<Command> {
        let (before, pieces) = self.undo.split_first()?;
        let steps = Steps::of_undo(pieces)?;
        let command = steps.script(UNDO, place, true);
        let command = command.arg(self.seq).arg(self.id).arg(reply::bytes(before)?).arg(fence);
        Some(steps.with_arguments(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_undoes_is_read() {
        let told = |it: &[&str]| -> Vec<Value> {
            it.iter().map(|it| Value::BulkString(it.as_bytes().to_vec())).collect()
        };
        let pieces = told(&["L", "live", "7", "0", "U", "[a", "(b", "I", "ids", "x", "3"]);
        let steps = Steps::of_undo(&pieces).unwrap();
        assert_eq!(steps.keys, [b"live".to_vec(), b"ids".to_vec()]);
        let arguments = ["L", "4", "7", "0", "U", "[a", "(b", "I", "5", "x", "3"];
        assert_eq!(steps.arguments, arguments.map(|it| it.as_bytes().to_vec()));
        for cut in [1, 2, 3, 5, 6, 8, 10] {
            assert_eq!(Steps::of_undo(&pieces[..cut]), None, "{cut}");
        }
        let layout = Layout::new("d", 1000);
        let reply = |undo| {
            let [seq, id, fence] = ["3", "4", "5"].map(|it| Value::BulkString(it.into()));
            Value::Array(vec![seq, id, fence, Value::Array(undo)])
        };
        let is_undone = |it: &Value| Told::read(it).unwrap().undo((&layout, 0), 6).is_some();
        assert!(!is_undone(&reply(Vec::new())) && is_undone(&reply(told(&["0 0"]))));
        assert_eq!(Told::read(&Value::Nil), None);
    }
}
