//! Folds groups that have grown, behind the backs of those who write: a group is put in its
//! own place only if nobody has folded it meanwhile; what was appended stays behind it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use redis::Value;

use crate::cluster::{Cluster, ClusterError, Command};
use crate::hash;
use crate::index::cluster::group::{self, Groups, Kind};

/// Groups that wait, at most; others wait for their next posting.
const WAITING_MAX: usize = 4096;
/// Groups folded in one batch, at most.
const BATCH: usize = 64;
/// Bytes up to which a group is left alone.
const GROUP_BYTES_MIN: usize = 1024;

/// Sets what a group began with, if it still does. `KEYS`: group. `ARGV`: before, after.
const SWAP: &str = r"
local now = redis.call('GET', KEYS[1]) or ''
if string.sub(now, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
local after = ARGV[2] .. string.sub(now, #ARGV[1] + 1)
if after == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], after) end
return 1
";

/// The sending side; the thread ends with it.
#[derive(Debug)]
pub(super) struct Tidy(Mutex<SyncSender<(Kind, u64)>>);

impl Tidy {
    pub(super) fn start(cluster: Arc<Cluster>, groups: Groups) -> Self {
        let (sender, waiting) = sync_channel(WAITING_MAX);
        let run = move || run(&cluster, &groups, &waiting);
        if let Err(error) = thread::Builder::new().name("tidy".to_owned()).spawn(run) {
            tracing::warn!(%error, "groups of postings are not folded");
        }
        Self(Mutex::new(sender))
    }

    /// A group has got so many bytes, and has so many now. It is folded once for about as
    /// many bytes as it has, by chance, so that nobody has to remember when it was.
    pub(super) fn has_grown(&self, group: (Kind, u64), by: usize, len: usize) {
        let chance = hash::random_64() % (len as u64).max(1);
        if len > GROUP_BYTES_MIN && chance < 2 * by as u64 {
            let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sender.try_send(group).ok();
        }
    }
}

fn run(cluster: &Cluster, groups: &Groups, waiting: &Receiver<(Kind, u64)>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(BATCH - 1));
        batch.sort_unstable();
        batch.dedup();
        if let Err(error) = fold(cluster, groups, &batch) {
            tracing::debug!(%error, "groups of postings stay as they are for now");
        }
    }
}

fn fold(cluster: &Cluster, groups: &Groups, batch: &[(Kind, u64)]) -> Result<(), ClusterError> {
    let keys: Vec<Vec<u8>> = batch.iter().map(|it| groups.key(it.0, it.1)).collect();
    let get: Vec<Command> = keys.iter().map(|it| Command::new("GET", it)).collect();
    let replies = cluster.read(&get)?;
    let swaps = batch.iter().zip(&keys).zip(&replies).filter_map(|((group, key), reply)| {
        let Value::BulkString(before) = reply else { return None };
        let after = group::folded(group.0, before);
        let is_less = after.len() < before.len();
        is_less.then(|| Command::script(SWAP, &[key]).arg(&before[..]).arg(&after[..]))
    });
    let swaps: Vec<Command> = swaps.collect();
    cluster.write(&swaps)?;
    Ok(())
}
