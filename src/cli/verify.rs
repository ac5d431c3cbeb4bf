//! `doublon verify` and `doublon rebuild`: a folder that no server has open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use doublon::engine::verify::{self, Report};
use doublon::index::Index;
use doublon::index::memory::MemoryIndex;
use doublon::store::Store;
use doublon::store::embedded::EmbeddedStore;
use serde_json::json;

use super::{Common, Found, complain, say};

const CACHE_BYTES: usize = 256 << 20;

/// Check a data folder for damage: every byte that is stored
///
/// Prints a line for each damage. The folder is not changed, and no server may have
/// it open: check a backup of it while one runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 sound, 1 damaged, 2 could not be checked.")]
pub(super) struct Args {
    /// The data folder
    dir: PathBuf,
}

/// Make again what can be had from the articles: the index, stories' summaries,
/// the orders of teasers, counters
///
/// Prints a line for what was mended. No server may have the folder open. Articles that
/// are damaged stay so: put them again, or restore a backup.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 done, 1 damage is left, 2 error.")]
pub(super) struct RebuildArgs {
    /// The data folder
    dir: PathBuf,
}

pub(super) fn run(args: &Args, common: &Common) -> anyhow::Result<Found> {
    let report = check(&args.dir)?;
    let Report { damages, article_count, importing } = &report;
    for damage in damages {
        tell(common, "damage", damage)?;
    }
    if let Some(lines) = importing {
        let line = format!("not complete, {lines} lines are taken in: run `doublon import` again");
        tell(common, "import", &line)?;
    }
    if damages.is_empty() {
        tell(common, "sound", &format!("{article_count} articles"))?;
    } else {
        complain(&format!("{} is damaged", args.dir.display()));
    }
    Ok(damages.is_empty().into())
}

pub(super) fn rebuild(args: &RebuildArgs, common: &Common) -> anyhow::Result<Found> {
    ensure_folder(&args.dir)?;
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&args.dir, CACHE_BYTES)?);
    for line in verify::mend(&store, &index(), &args.dir)? {
        tell(common, "mended", &line)?;
    }
    drop(store);
    let damages = check(&args.dir)?.damages;
    for damage in &damages {
        tell(common, "damage", damage)?;
    }
    Ok(damages.is_empty().into())
}

fn check(folder: &Path) -> anyhow::Result<Report> {
    ensure_folder(folder)?;
    let mut damages = Vec::new();
    let store = EmbeddedStore::inspect(folder, &mut |it| damages.push(it.to_string()))?;
    let Some(store) = store else { return Ok(Report { damages, ..Report::default() }) };
    let store: Arc<dyn Store> = Arc::new(store);
    let mut report = verify::verify(&store, &index(), folder)?;
    report.damages.splice(0..0, damages);
    Ok(report)
}

fn ensure_folder(folder: &Path) -> anyhow::Result<()> {
    ensure!(folder.is_dir(), "there is no folder {}: give a data folder", folder.display());
    Ok(())
}

fn index() -> Arc<dyn Index> {
    Arc::new(MemoryIndex::default())
}

fn tell(common: &Common, what: &str, line: &str) -> anyhow::Result<()> {
    if common.is_json() {
        say(&json!({ what: line }).to_string())
    } else {
        say(&format!("{what}: {line}"))
    }
}
