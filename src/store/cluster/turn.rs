//! Whose turn it is to write: one commit after the other, whichever node makes it, so that
//! all commits have one order. A turn ends by itself when its holder is gone.
//!
//! Who takes a turn that was not ended passes over the numbers that its holder may have used,
//! so that what that one still writes belongs to no number that is given again. A holder
//! whose turn has ended cannot commit, since the commit asks whose turn it is in the same
//! step; and what it may still apply is applied already (`intent`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use redis::Value;

use crate::cluster::reply;
use crate::cluster::{Cluster, Command};
use crate::store::cluster::intent::Intent;
use crate::store::cluster::layout::Layout;
use crate::store::cluster::{number, unexpected};
use crate::store::{ArticleNumber, StoreError};

/// A turn ends by itself after so long, at least.
const LEASE_MIN: Duration = Duration::from_secs(10);
/// The same in the time that one batch may take.
const LEASE_TIMEOUTS: u32 = 2;
/// Numbers that another's turn may have used, at most: more than one commit has.
pub(super) const TURN_NUMBERS: u32 = 4096;
/// Commits whose numbers are logged.
const LOGGED: usize = 256;
/// Articles of other nodes that are added to what was asked before the turn, at most: each is
/// read, and of more it is less to ask again.
const NEWS_MAX: usize = 64;
/// How long it is remembered what a holder committed last.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// `KEYS`: turn, intent, burned, log. `ARGV`: who, for how many milliseconds, numbers to burn where
/// another's turn was not ended and where this holder's own was not, the last turn of this
/// holder that was ended in good order and the commit that it applied, the
/// name of this attempt, the identity of the store, the commit behind which the log is asked
/// for, and its length. Who was refused a moment ago goes before
/// who had the last turn.
const TAKE: &str = r"#!lua flags=allow-oom
local is = redis.call('HMGET', KEYS[1], 'identity', 'holder', 'until', 'fence', 'attempt', 'last', 'wanted', 'wanted_at')
if is[1] ~= ARGV[8] then return {-1, 0} end
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local is_held = is[2] and is[2] ~= ''
if is_held and is[2] ~= ARGV[1] and tonumber(is[3]) > now then
  redis.call('HSET', KEYS[1], 'wanted', ARGV[1], 'wanted_at', now)
  return {0, tonumber(is[3]) - now}
end
local is_wanted = is[7] and is[7] ~= '' and is[7] ~= ARGV[1] and now - tonumber(is[8]) < 100
if is_wanted and is[6] == ARGV[1] and not (is_held and is[5] == ARGV[7]) then
  return {0, 100}
end
local fence = is[4]
local is_again = is_held and is[2] == ARGV[1] and is[5] == ARGV[7]
if not is_again then
  if is_held and is[2] == ARGV[1] and fence == ARGV[5] then
    -- It was ended, and the word of it comes late.
    is_held = false
    if redis.call('HGET', KEYS[1], 'seq') == ARGV[6] then
      redis.call('HSET', KEYS[1], 'done', ARGV[6])
    end
  end
  fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
  if is_held then
    redis.call('HSET', KEYS[1], 'unclean', 1)
    local count = tonumber(ARGV[is[2] == ARGV[1] and 4 or 3])
    local behind = redis.call('HINCRBY', KEYS[1], 'next', count)
    if count > 0 then
      redis.call('RPUSH', KEYS[3], string.format('%d-%d@%d', behind - count, behind, tonumber(t[1])))
    end
  end
end
if is[7] == ARGV[1] then redis.call('HSET', KEYS[1], 'wanted', '') end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', now + tonumber(ARGV[2]), 'attempt', ARGV[7], 'last', ARGV[1])
local at = redis.call('HMGET', KEYS[1], 'seq', 'done', 'next', 'count', 'unclean')
local intent = ''
if at[1] ~= at[2] then intent = redis.call('GET', KEYS[2]) or '' end
local log, news = {}, tonumber(at[1] or 0) - tonumber(ARGV[9])
if news > 0 and news <= tonumber(ARGV[10]) then log = redis.call('LRANGE', KEYS[4], -news, -1) end
return {1, fence, at[1] or '0', at[3] or '0', at[4] or '0', intent, at[5] or '0', log}
";

/// `KEYS`: turn, intent, what this holder committed, log. `ARGV`: who, fence, sequence, next,
/// count, intent, seconds, first number and the one behind the last, length of the log. Asked again after the turn has ended, it tells a commit that was
/// made from one that was not.
const COMMIT: &str = r"
local is = redis.call('HMGET', KEYS[1], 'holder', 'fence', 'seq')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] then
  if redis.call('GET', KEYS[3]) == ARGV[3] then return 2 end
  return 0
end
-- Written again where it is there, so that replicas are waited for.
redis.call('SET', KEYS[2], ARGV[6])
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[7])
if is[3] ~= ARGV[3] then
  redis.call('RPUSH', KEYS[4], ARGV[3] .. ':' .. ARGV[8] .. '-' .. ARGV[9])
  redis.call('LTRIM', KEYS[4], -tonumber(ARGV[10]), -1)
end
redis.call('HSET', KEYS[1], 'seq', ARGV[3], 'next', ARGV[4], 'count', ARGV[5])
return 1
";

/// `KEYS`: turn, intent. `ARGV`: who, fence, sequence that is applied, whether it is clean.
const END: &str = r"#!lua flags=allow-oom
local is = redis.call('HMGET', KEYS[1], 'holder', 'fence', 'seq')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] then return 0 end
if ARGV[4] ~= '1' then
  redis.call('HSET', KEYS[1], 'until', 0)
  return 1
end
if is[3] == ARGV[3] then
  redis.call('HSET', KEYS[1], 'done', ARGV[3])
  redis.call('DEL', KEYS[2])
end
redis.call('HSET', KEYS[1], 'holder', '', 'unclean', 0)
return 1
";

/// Takes a commit back, and passes over its numbers. `KEYS`: turn, intent, what its holder
/// committed, burned, log. `ARGV`: who, fence, sequence, the commit before it, the count before
/// it, what its intent begins with, its first number and the one behind its last.
const REVOKE: &str = r"#!lua flags=allow-oom
local is = redis.call('HMGET', KEYS[1], 'holder', 'fence', 'seq')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] then return 0 end
local intent = redis.call('GET', KEYS[2])
if not intent then return 1 end
if string.sub(intent, 1, #ARGV[6]) ~= ARGV[6] then return 0 end
if is[3] == ARGV[3] then
  redis.call('HSET', KEYS[1], 'seq', ARGV[4], 'done', ARGV[4], 'count', ARGV[5], 'unclean', 1)
end
if ARGV[7] ~= ARGV[8] then
  redis.call('RPUSH', KEYS[4], ARGV[7] .. '-' .. ARGV[8] .. '@' .. redis.call('TIME')[1])
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[5])
return 1
";

/// `KEYS`: turn. `ARGV`: who, fence, for how many milliseconds.
const KEEP: &str = r"#!lua flags=allow-oom
local is = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] then return 0 end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'until', tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) + tonumber(ARGV[3]))
return 1
";

/// Brings a store forward that has lost its last commits. `KEYS`: turn, log. `ARGV`: who, fence,
/// sequence, next, the turn from now on.
const FORWARD: &str = r"#!lua flags=allow-oom
local is = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if is[1] ~= ARGV[1] or (is[2] ~= ARGV[2] and is[2] ~= ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[3], 'done', ARGV[3], 'next', ARGV[4], 'fence', ARGV[5])
redis.call('DEL', KEYS[2])
return 1
";

/// A turn that was got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) fence: u64,
    /// The last commit.
    pub(super) seq: u64,
    pub(super) next: u32,
    pub(super) count: u64,
    /// The last commit, where it may not be applied.
    pub(super) intent: Vec<u8>,
    /// Whether a turn before it was not ended in good order, and nobody has seen to that.
    pub(super) is_unclean: bool,
    /// The numbers that the last commits have brought, by their sequences.
    pub(super) log: BTreeMap<u64, Range<u32>>,
}

impl Held {
    /// Whether nothing is left of a turn before it.
    pub(super) fn is_settled(&self) -> bool {
        self.intent.is_empty() && !self.is_unclean
    }

    /// Whether it comes behind the commit and the turn that are known, as far as it can be told.
    pub(super) fn follows(&self, (seq, fence): (u64, u64)) -> bool {
        fence > 0 && self.fence > fence && self.seq >= seq
    }

    /// The numbers that came since a commit, if the log tells and they are few.
    pub(super) fn since(&self, seq: u64) -> Option<Vec<ArticleNumber>> {
        let mut numbers = Vec::new();
        for seq in seq.saturating_add(1)..=self.seq {
            let range = self.log.get(&seq)?.clone();
            if range.len() > NEWS_MAX - numbers.len() {
                return None;
            }
            numbers.extend(range.map(ArticleNumber));
        }
        Some(numbers)
    }
}

/// `sequence:first-behind`.
fn logged(entry: &Value) -> Option<(u64, Range<u32>)> {
    let (seq, range) = std::str::from_utf8(reply::bytes(entry)?).ok()?.split_once(':')?;
    let (first, behind) = range.split_once('-')?;
    Some((seq.parse().ok()?, first.parse().ok()?..behind.parse().ok()?))
}

/// What came of asking for a turn.
pub(super) enum Taken {
    Held(Held),
    /// Another has it, for so long at most.
    Busy(Duration),
}

/// Who asks for a turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) holder: &'a str,
    /// The last turn that it ended in good order, and the commit that it had applied.
    pub(super) ended: (u64, u64),
    /// The same in each try.
    pub(super) attempt: u64,
    pub(super) identity: u64,
    /// Numbers that its own last turn may have used, if that was not ended.
    pub(super) used: u32,
    /// The last commit that it knows of.
    pub(super) known: u64,
    /// Whether it goes with what the writer has asked ahead.
    pub(super) asks_ahead: bool,
}

/// Asks for the turn.
pub(super) fn take(cluster: &Cluster, asking: &Asking<'_>) -> Result<Taken, StoreError> {
    let (turn, log) = (Layout::turn(cluster), Layout::log(cluster));
    let keys = [turn, Layout::intent(cluster), Layout::burned(cluster), log];
    let (ended, applied) = asking.ended;
    let command = Command::script(TAKE, &keys.each_ref().map(Vec::as_slice))
        .arg(asking.holder)
        .arg(millis(lease(cluster)))
        .arg(TURN_NUMBERS)
        .arg(asking.used)
        .arg(ended)
        .arg(applied)
        .arg(asking.attempt)
        .arg(asking.identity)
        .arg(asking.known)
        .arg(LOGGED);
    let replies = if asking.asks_ahead {
        cluster.write_and_ask(&[command])?
    } else {
        cluster.write(&[command])?
    };
    let Some(Value::Array(parts)) = replies.first() else { return Err(unexpected()) };
    match parts.as_slice() {
        [Value::Int(-1), ..] => Err(StoreError::OtherStore),
        [Value::Int(0), Value::Int(left)] => {
            Ok(Taken::Busy(Duration::from_millis(u64::try_from(*left).unwrap_or(0))))
        }
        [Value::Int(1), fence, seq, next, count, intent, unclean, log] => Ok(Taken::Held(Held {
            fence: number(fence)?,
            seq: number(seq)?,
            next: u32::try_from(number(next)?).map_err(|_| StoreError::NumbersUsedUp)?,
            count: number(count)?,
            intent: reply::bytes(intent).unwrap_or_default().to_vec(),
            is_unclean: number(unclean)? == 1,
            log: reply::list(log).unwrap_or_default().iter().filter_map(logged).collect(),
        })),
        _ => Err(unexpected()),
    }
}

/// Brings a store forward that has lost its last commits, to a turn from `fence` on.
pub(super) fn forward(
    cluster: &Cluster,
    holder: &str,
    held: &mut Held,
    fence: u64,
) -> Result<(), StoreError> {
    let key = Layout::turn(cluster);
    let command = Command::script(FORWARD, &[&key, &Layout::log(cluster)])
        .arg(holder)
        .arg(held.fence)
        .arg(held.seq)
        .arg(held.next)
        .arg(fence);
    is_done(&cluster.write(&[command])?)?;
    held.fence = fence;
    Ok(())
}

/// Whether a script found the turn as it thought.
fn is_done(replies: &[Value]) -> Result<(), StoreError> {
    if matches!(replies.first(), Some(Value::Int(1))) { Ok(()) } else { Err(StoreError::TurnLost) }
}

/// What a commit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goal {
    pub(super) fence: u64,
    pub(super) seq: u64,
    pub(super) next: u32,
    pub(super) count: u64,
    /// Whether it frees memory, so that it is done where there is none.
    pub(super) only_removes: bool,
}

/// Commits, if the turn is still this holder's; see [`Committed`].
pub(super) fn commit(cluster: &Cluster, goal: &Goal, intent: &Intent) -> Command {
    let holder = intent.holder.as_str();
    let (turn, by, log) =
        (Layout::turn(cluster), Layout::by(cluster, holder), Layout::log(cluster));
    let keys = [turn, Layout::intent(cluster), by, log];
    let numbers = intent.numbers();
    let script = format!("{}{COMMIT}", flags(goal.only_removes));
    Command::script(&script, &keys.each_ref().map(Vec::as_slice))
        .arg(holder)
        .arg(goal.fence)
        .arg(goal.seq)
        .arg(goal.next)
        .arg(goal.count)
        .arg(intent.encode())
        .arg(REMEMBERED.as_secs())
        .arg(numbers.start)
        .arg(numbers.end)
        .arg(LOGGED)
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    Done,
    /// The turn had ended.
    TurnLost,
    /// The turn had ended when it was asked for again: it was done before.
    Before,
}

impl Committed {
    pub(super) fn read(reply: &Value) -> Result<Self, StoreError> {
        match number(reply)? {
            0 => Ok(Self::TurnLost),
            1 => Ok(Self::Done),
            2 => Ok(Self::Before),
            _ => Err(unexpected()),
        }
    }
}

/// What a script that is done where there is no memory left begins with.
pub(super) fn flags(is_done_without_memory: bool) -> &'static str {
    // Without a flag it is refused as a whole.
    if is_done_without_memory { "#!lua flags=allow-oom" } else { "#!lua" }
}

/// Takes back a commit.
pub(super) fn revoke(
    cluster: &Cluster,
    (holder, fence): (&str, u64),
    intent: &Intent,
) -> Result<(), StoreError> {
    let by = Layout::by(cluster, &intent.holder);
    let (turn, log) = (Layout::turn(cluster), Layout::log(cluster));
    let keys = [turn, Layout::intent(cluster), by, Layout::burned(cluster), log];
    let Range { start: first, end: behind } = intent.numbers();
    let command = Command::script(REVOKE, &keys.each_ref().map(Vec::as_slice))
        .arg(holder)
        .arg(fence)
        .arg(intent.seq)
        .arg(intent.seq.saturating_sub(1))
        .arg(intent.count)
        .arg(intent.name())
        .arg(first)
        .arg(behind);
    is_done(&cluster.write(&[command])?)
}

/// Ends a turn. Unless it `is_clean`, the numbers that it may have used are passed over.
pub(super) fn ended(
    cluster: &Cluster,
    (holder, fence): (&str, u64),
    applied: u64,
    is_clean: bool,
) -> Command {
    let keys = [Layout::turn(cluster), Layout::intent(cluster)];
    Command::script(END, &keys.each_ref().map(Vec::as_slice))
        .arg(holder)
        .arg(fence)
        .arg(applied)
        .arg(u8::from(is_clean))
}

/// Makes a turn last longer, if it still is this holder's.
pub(super) fn keep(cluster: &Cluster, (holder, fence): (&str, u64)) -> Result<(), StoreError> {
    let key = Layout::turn(cluster);
    let command = Command::script(KEEP, &[&key]).arg(holder).arg(fence).arg(millis(lease(cluster)));
    is_done(&cluster.write(&[command])?)
}

/// A turn ends by itself after so long.
pub(super) fn lease(cluster: &Cluster) -> Duration {
    LEASE_MIN.max(LEASE_TIMEOUTS * cluster.settings().timeout)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
