//! The index at start: from a checkpoint and what has changed since, or from all
//! records.

use std::path::Path;

use crate::engine::checkpoint;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::parallel;
use crate::index::Entry;
use crate::store::{ArticleNumber, Part};

/// Records read at a time.
const BATCH: usize = 1000;

/// Fills an empty index, from the checkpoint in a folder if there is one. `progress`
/// gets the number of articles done and of all, after every batch. Gives how many
/// changes are not in the checkpoint.
pub(super) fn rebuild(
    core: &Core,
    folder: Option<&Path>,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, EngineError> {
    let total = core.store.record_count()?;
    let loaded = match folder {
        Some(folder) => checkpoint::load(folder, core)?,
        None => Err("the store has no folder".to_owned()),
    };
    let mut changes = 0;
    let mut after = match loaded {
        Ok(state) => {
            changes += remove(core)?;
            state.next.0.checked_sub(1).map(ArticleNumber)
        }
        Err(reason) => {
            if folder.is_some() && total > 0 {
                tracing::info!(reason, "no checkpoint of the index can be used, making it again");
            }
            None
        }
    };
    let mut done = core.index.counts().articles;
    loop {
        let records = core.store.scan(Part::Features, after, BATCH)?;
        let Some((last, _)) = records.last() else { return Ok(changes) };
        after = Some(*last);
        done += records.len() as u64;
        changes += records.len() as u64;
        parallel::parts(&records, |part| insert(core, part))?;
        progress(done, total);
    }
}

/// Removes what the checkpoint may have and the records have not.
fn remove(core: &Core) -> Result<u64, EngineError> {
    let removed = core.store.removed()?;
    core.index.remove(&entries(core, &removed))?;
    Ok(removed.len() as u64)
}

fn insert(core: &Core, records: &[(ArticleNumber, Vec<u8>)]) -> Result<Vec<()>, EngineError> {
    core.index.insert(&entries(core, records))?;
    Ok(Vec::new())
}

/// Those that are damaged are noted, and left out.
fn entries(core: &Core, records: &[(ArticleNumber, Vec<u8>)]) -> Vec<Entry> {
    records
        .iter()
        .filter_map(|(number, bytes)| match core.decode(*number, bytes) {
            Ok(features) => Some(features.entry(*number)),
            Err(error) => {
                core.note(Part::Features, *number, &error);
                None
            }
        })
        .collect()
}
