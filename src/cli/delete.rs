//! `doublon delete`.

use super::render::one_line;
use super::{Common, Found, json, known, say};

/// Delete a stored article
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The article's id
    id: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let answer = common.connect().await?.delete_article(&args.id).await;
    let Some(answer) = known(answer)? else { return Ok(Found::No) };
    if common.is_json() {
        say(&json::line(&answer)?)?;
    } else {
        say(&format!("deleted {}", one_line(&args.id)))?;
    }
    Ok(Found::Yes)
}
