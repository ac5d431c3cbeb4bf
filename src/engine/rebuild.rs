//! The index from the records, at start.

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::parallel;
use crate::engine::record::Features;
use crate::index::Entry;
use crate::store::{ArticleNumber, Part};

/// Records read at a time.
const BATCH: usize = 1000;

/// Inserts every record into an empty index. `progress` gets the number of
/// articles done and of all, after every batch.
pub(super) fn rebuild(core: &Core, mut progress: impl FnMut(u64, u64)) -> Result<(), EngineError> {
    let total = core.store.record_count()?;
    let (mut after, mut done) = (None, 0);
    loop {
        let records = core.store.scan(Part::Features, after, BATCH)?;
        let Some((last, _)) = records.last() else { return Ok(()) };
        after = Some(*last);
        done += records.len() as u64;
        parallel::parts(&records, |part| insert(core, part))?;
        progress(done, total);
    }
}

fn insert(core: &Core, records: &[(ArticleNumber, Vec<u8>)]) -> Result<Vec<()>, EngineError> {
    let decoded =
        records.iter().map(|(number, bytes)| Ok(Features::decode(*number, bytes)?.entry(*number)));
    let entries: Vec<Entry> = decoded.collect::<Result<_, EngineError>>()?;
    core.index.insert(&entries)?;
    Ok(Vec::new())
}
