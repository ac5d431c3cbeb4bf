//! `doublon backup`.

use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::{Context as _, ensure};
use doublon::store::embedded::{EmbeddedStore, FILE_NAME};
use doublon::store::{Store as _, StoreError};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Common, Found, complain, say};

/// Parts that wait to be written, at most.
const WAITING_MAX: usize = 8;
const CACHE_BYTES: usize = 64 << 20;

/// Copy all that a running server has stored into a new folder here
///
/// The copy is of one moment, between two commits; the server goes on meanwhile. Start it
/// with `doublon serve --data-dir DIR`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 done, 1 done, and something in it is damaged, 2 error.")]
pub(super) struct Args {
    /// The folder to make; one that has articles is refused
    dir: PathBuf,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let folder = args.dir;
    ensure!(
        !folder.join(FILE_NAME).exists(),
        "{} has articles already: give a new folder",
        folder.display()
    );
    let mut client = common.connect().await?;
    let mut parts = client.back_up().await?;
    let (send, receive) = mpsc::sync_channel(WAITING_MAX);
    let place = folder.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let mut next = || -> Result<Option<Vec<u8>>, StoreError> { Ok(receive.recv().ok()) };
        EmbeddedStore::restore(&place, &mut next)
    });
    let bar = ProgressBar::no_length()
        .with_style(ProgressStyle::with_template("{bytes} {bytes_per_sec} {elapsed}")?);
    let mut articles = 0;
    while let Some(part) = parts.message().await.map_err(doublon::client::ClientError::from)? {
        articles = part.article_count;
        bar.inc(part.chunk.len() as u64);
        if tokio::task::block_in_place(|| send.send(part.chunk)).is_err() {
            break;
        }
    }
    drop(send);
    bar.finish_and_clear();
    writing.await?.with_context(|| format!("no backup was made in {}", folder.display()))?;
    let damages = tokio::task::block_in_place(|| check(&folder))?;
    for damage in &damages {
        complain(&format!("damaged at the server: {damage}"));
    }
    let place = folder.display().to_string();
    say(&report(&place, (articles, damages.len() as u64), common))?;
    Ok(damages.is_empty().into())
}

/// What was copied where, and how much of it is damaged.
pub(super) fn report(place: &str, (articles, damages): (u64, u64), common: &Common) -> String {
    if common.is_json() {
        json!({ "article_count": articles, "damage_count": damages }).to_string()
    } else {
        format!("{articles} articles in {place}")
    }
}

/// What is damaged in the copy was so before.
fn check(folder: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let store = EmbeddedStore::open(folder, CACHE_BYTES)?;
    let mut damages = Vec::new();
    store.check(&mut |it| damages.push(it.to_string()))?;
    Ok(damages)
}
