//! `doublon delete`.

use super::render::one_line;
use super::{Common, Found, json, say};

/// Delete a stored article
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The article's id
    id: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    match common.connect().await?.delete_article(&args.id).await {
        Ok(answer) if common.is_json() => say(&json::line(&answer)?)?,
        Ok(_) => say(&format!("deleted {}", one_line(&args.id)))?,
        Err(error) if error.is_not_found() => {
            super::complain(&error.to_string());
            return Ok(Found::No);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Found::Yes)
}
