//! What interrupted commits left behind: records under numbers that were passed over. Nobody
//! sees them; here they are found, and removed once what they are found by is gone.

use redis::Value;

use crate::cluster::{Command, reply};
use crate::store::cluster::layout::Layout;
use crate::store::cluster::{ClusterStore, list, unexpected};
use crate::store::{ArticleNumber, Part, StoreError};

/// Whoever was interrupted may still write for so long.
const ORPHANED_SECONDS: u64 = 60;

/// Gives the first range of numbers that was passed over long enough ago. `KEYS`: burned.
/// `ARGV`: seconds.
const FIRST: &str = r"
local first = redis.call('LINDEX', KEYS[1], 0)
if not first then return false end
local burned = tonumber(string.match(first, '@(%d+)$'))
if tonumber(redis.call('TIME')[1]) - burned < tonumber(ARGV[1]) then return false end
return first
";

/// Records of one range that was passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    /// As it stands in the list.
    pub(super) range: Vec<u8>,
    /// Their numbers.
    pub(super) numbers: Vec<ArticleNumber>,
    /// [`Part::Features`] of those that have it.
    pub features: Vec<(ArticleNumber, Vec<u8>)>,
}

impl ClusterStore {
    /// The records of the first range that was passed over long enough ago, if there is one.
    pub(super) fn first_orphans(&self) -> Result<Option<Orphans>, StoreError> {
        let cluster = &self.shared.cluster;
        let first = Command::script(FIRST, &[&Layout::burned(cluster)]).arg(ORPHANED_SECONDS);
        let replies = cluster.read(&[first])?;
        let Some(range) = replies.first().and_then(reply::bytes) else { return Ok(None) };
        let numbers = read_range(range).ok_or_else(unexpected)?;
        // None of them is stored, whatever the list says.
        let (asked, chunks): (Vec<Command>, Vec<_>) = self.live(&numbers).into_iter().unzip();
        let replies = cluster.read(&asked)?;
        let mut orphaned = Vec::new();
        for (numbers, marks) in chunks.iter().zip(&replies) {
            let unmarked = numbers.iter().zip(list(marks)?).filter(|it| *it.1 == Value::Int(0));
            orphaned.extend(unmarked.map(|it| *it.0));
        }
        let keys = orphaned.iter().map(|it| self.layout().record(Part::Features, *it));
        let get: Vec<Command> = keys.map(|it| Command::new("GET", &it)).collect();
        let replies = cluster.read(&get)?;
        let found = orphaned.iter().zip(&replies);
        let features = found.filter_map(|(it, reply)| Some((*it, reply::bytes(reply)?.to_vec())));
        let features = features.collect();
        Ok(Some(Orphans { range: range.to_vec(), numbers: orphaned, features }))
    }

    /// Removes them.
    pub(super) fn remove_orphans(&self, orphans: &Orphans) -> Result<(), StoreError> {
        let cluster = &self.shared.cluster;
        let records = orphans.numbers.iter().flat_map(|number| {
            [Part::Article, Part::Features].map(|part| self.layout().record(part, *number))
        });
        let del: Vec<Command> = records.map(|it| Command::new("DEL", &it)).collect();
        cluster.write(&del)?;
        let burned = Layout::burned(cluster);
        let forget = Command::new("LREM", &burned).arg(1).arg(orphans.range.as_slice());
        cluster.write(&[forget])?;
        Ok(())
    }
}

/// `from-to@seconds`, without the last number.
fn read_range(text: &[u8]) -> Option<Vec<ArticleNumber>> {
    let (range, _) = std::str::from_utf8(text).ok()?.split_once('@')?;
    let (from, to) = range.split_once('-')?;
    let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
    Some((from..to).map(ArticleNumber).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read() {
        assert_eq!(read_range(b"7-9@123"), Some(vec![ArticleNumber(7), ArticleNumber(8)]));
        for bad in ["", "7-9", "a-9@1", "7@1"] {
            assert_eq!(read_range(bad.as_bytes()), None, "{bad}");
        }
    }
}
