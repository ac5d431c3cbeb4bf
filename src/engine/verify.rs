//! What is stored, read as a whole: whether every record and row can be read, whether what
//! is derived fits what it is derived from, and how it is mended where it does not.

mod derived;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::clock::Clock;
use crate::engine::checkpoint;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::rebuild;
use crate::engine::record::{Dictionary, StoredArticle};
use crate::engine::transfer::import::Progress;
use crate::engine::verify::derived::Expected;
use crate::index::Index;
use crate::index::standing::StandingIndex;
use crate::store::damage::Damage;
use crate::store::{ArticleNumber, Part, Space, Store, StoreError, Write};
use crate::text::cues::Cues;

/// Records read at a time.
const BATCH: usize = 1000;

/// Everything that is damaged, in words.
#[derive(Debug, Default)]
pub struct Report {
    /// A line for each.
    pub damages: Vec<String>,
    /// Articles that were read.
    pub article_count: u64,
    /// Lines that were taken in of an import that is not complete: what is derived is not
    /// looked at then.
    pub importing: Option<u64>,
}

/// Checks a store, and the checkpoint in its folder, which is read into an empty index.
pub fn verify(
    store: &Arc<dyn Store>,
    index: &Arc<dyn Index>,
    folder: &Path,
) -> Result<Report, EngineError> {
    let mut found = Vec::new();
    store.check(&mut |damage| found.push(damage))?;
    let core = core(store, index)?;
    let mut report = Report { article_count: store.record_count()?, ..Report::default() };
    check_records(&core, &mut found)?;
    report.damages.extend(found.iter().map(ToString::to_string));
    report.importing = Progress::under_way(store.as_ref())?.map(|it| it.position);
    if report.importing.is_some() {
        return Ok(report);
    }
    let expected = Expected::of(store.as_ref())?;
    report.damages.extend(expected.mends(store.as_ref())?.into_iter().map(|it| it.problem));
    if let Err(problem) = checkpoint::load(folder, &core)?
        && folder.join(checkpoint::FILE_NAME).exists()
    {
        report.damages.push(format!("{}: {problem}", checkpoint::FILE_NAME));
    }
    Ok(report)
}

/// Makes again what can be had from the records: derived rows, and the checkpoint, from an
/// empty index. Rows that can be had from nothing else are dropped where they are damaged.
/// Names what it mended.
pub fn mend(
    store: &Arc<dyn Store>,
    index: &Arc<dyn Index>,
    folder: &Path,
) -> Result<Vec<String>, EngineError> {
    if Progress::under_way(store.as_ref())?.is_some() {
        return Err(EngineError::ImportUnderWay);
    }
    let mut damaged = Vec::new();
    store.check(&mut |damage| damaged.push(damage))?;
    let mut said = Vec::new();
    let mut writes = Vec::new();
    let expected = Expected::of(store.as_ref())?;
    for damage in &damaged {
        if let Damage::Row { space, key } = damage
            && !expected.mends_row(*space, key)
        {
            said.push(format!("{damage}: dropped, nothing else has what it said"));
            writes.push(Write::Unset { space: *space, key: key.clone() });
        }
    }
    for mend in expected.mends(store.as_ref())? {
        said.push(format!("{}: mended", mend.problem));
        writes.push(mend.write);
    }
    if !writes.is_empty() {
        store.commit(&writes)?;
    }
    let core = core(store, index)?;
    rebuild::rebuild(&core, None, |_, _| {})?;
    checkpoint::write_anew(folder, &core)?;
    said.push(format!("{}: written anew", checkpoint::FILE_NAME));
    Ok(said)
}

fn core(store: &Arc<dyn Store>, index: &Arc<dyn Index>) -> Result<Core, EngineError> {
    let dictionary = Arc::new(OnceLock::new());
    match store.kept() {
        Ok(Some(bytes)) => drop(dictionary.set(Dictionary::from_bytes(&bytes))),
        // Was named by the store's own check; records that use it cannot be read.
        Ok(None) | Err(StoreError::Damaged(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Core {
        store: Arc::clone(store),
        index: Arc::clone(index),
        clock: Clock::system(),
        cues: Arc::new(Cues::builtin().clone()),
        dictionary,
        keeps_text: true,
        standing: Arc::new(StandingIndex::default()),
        listener: Arc::new(OnceLock::new()),
    })
}

/// Whether both parts of every record can be read, and are of the id that names it.
fn check_records(core: &Core, found: &mut Vec<Damage>) -> Result<(), EngineError> {
    for part in [Part::Features, Part::Article] {
        let mut after = None;
        loop {
            let records = core.store.scan(part, after, BATCH)?;
            let Some((last, _)) = records.last() else { break };
            after = Some(*last);
            // Those that are empty were named by the store's own check.
            for (number, bytes) in records.iter().filter(|it| !it.1.is_empty()) {
                if let Err(problem) = check_record(core, part, (*number, bytes)) {
                    found.push(Damage::of_record(part, *number, problem));
                }
            }
        }
    }
    Ok(())
}

fn check_record(
    core: &Core,
    part: Part,
    (number, bytes): (ArticleNumber, &[u8]),
) -> Result<(), String> {
    let id = match part {
        Part::Features => core.decode(number, bytes).map(|it| it.id),
        Part::Article => StoredArticle::decode(number, bytes).map(|it| it.article.id),
    };
    let id = id.map_err(|it| it.to_string())?;
    let named = core.store.numbers(&[id.as_str()]).map_err(|it| it.to_string())?;
    if named == [Some(number)] { Ok(()) } else { Err("its id does not name it".to_owned()) }
}

/// A row that is not as it should be.
struct Mend {
    /// In words.
    problem: String,
    write: Write,
}

impl Mend {
    fn set(space: Space, key: &[u8], (value, problem): (Vec<u8>, &str)) -> Self {
        let problem = words(space, key, problem);
        Self { problem, write: Write::Set { space, key: key.to_vec(), value } }
    }

    fn unset(space: Space, key: &[u8]) -> Self {
        let problem = words(space, key, "nothing says that it should be there");
        Self { problem, write: Write::Unset { space, key: key.to_vec() } }
    }
}

fn words(space: Space, key: &[u8], problem: &str) -> String {
    let damage = Damage::Row { space, key: key.to_vec() }.to_string();
    let (row, _) = damage.split_once(':').unwrap_or((&damage, ""));
    format!("{row}: {problem}")
}
