//! How much the cluster holds, and whether what it holds is whole.

use crate::cluster::reply;
use crate::cluster::{Cluster, Command};
use crate::store::cluster::{self, ClusterStore};
use crate::store::damage::Damage;
use crate::store::{ArticleNumber, Part, StoreError};

/// Records looked at together.
const BATCH: usize = 1000;

/// Bytes of memory of all primaries.
pub(super) fn memory(cluster: &Cluster) -> Result<u64, StoreError> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let replies = cluster.each_primary(&info)?;
    let used = replies.iter().filter_map(|it| {
        let text = std::str::from_utf8(reply::bytes(it)?).ok()?;
        text.lines().find_map(|it| it.strip_prefix("used_memory:"))?.trim().parse::<u64>().ok()
    });
    Ok(used.sum())
}

impl ClusterStore {
    /// Tells of articles that are marked as stored and lack a part.
    pub(super) fn check_records(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        for numbers in self.all_numbers()?.chunks(BATCH) {
            for part in [Part::Article, Part::Features] {
                let keys = numbers.iter().map(|it| self.layout().record(part, *it));
                let commands: Vec<Command> = keys.map(|it| Command::new("EXISTS", &it)).collect();
                let replies = self.read_all(&commands)?;
                for (number, reply) in numbers.iter().zip(&replies) {
                    // Again: it may have been deleted meanwhile.
                    if cluster::number(reply)? == 0 && self.is_live(*number)? {
                        found(Damage::of_record(part, *number, "it is not there"));
                    }
                }
            }
        }
        Ok(())
    }

    fn is_live(&self, number: ArticleNumber) -> Result<bool, StoreError> {
        let (_, key, bit) = self.layout().live(number);
        let replies = self.read_all(&[Command::new("GETBIT", &key).arg(bit)])?;
        Ok(replies.first().is_some_and(|it| matches!(it, redis::Value::Int(1))))
    }
}
