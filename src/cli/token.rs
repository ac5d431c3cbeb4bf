//! `doublon token`.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Subcommand;
use doublon::auth::file::{self, Grant, NAME_BYTES_MAX, RATE_MAX};
use doublon::auth::token::{Role, Token};
use serde_json::json;

use super::{Common, Found, say};

/// Make tokens for `doublon serve --tokens`
///
/// A running server takes them within two seconds. To take a token away, delete
/// its line in the file: it is told by its name.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(New),
}

/// Print a new token, and add its hash to a file
///
/// The token is printed this once; the file has only its hash.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    doublon token new --role write --name crawler --tokens tokens\n  \
    doublon token new --role read --rate 100 --tokens tokens")]
struct New {
    /// What it allows: read questions, write articles too, or everything
    #[arg(long, value_parser = ["read", "write", "admin"])]
    role: String,
    /// The file; it is made where it is not there, readable by its owner only
    #[arg(long, value_name = "FILE", env = "DOUBLON_TOKENS")]
    tokens: PathBuf,
    /// What the audit log calls it [default: the first digits of its hash]
    #[arg(long)]
    name: Option<String>,
    /// Requests a second, at most: calls, and messages of streams [default: no limit]
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: Option<u32>,
}

pub(super) fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let Action::New(New { role, tokens, name, rate }) = args.action;
    let role: Role = role.parse().map_err(anyhow::Error::msg)?;
    let token = Token::random()?;
    let name = name.unwrap_or_else(|| file::default_name(token.hash()));
    ensure!(
        file::is_name(&name),
        "{name:?} is no name: give 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'"
    );
    file::add(&tokens, &Grant { role, hash: token.hash(), name: name.clone(), rate_per_s: rate })?;
    if common.is_json() {
        let all = json!({"token": token.reveal(), "role": role.name(), "name": name, "rate": rate});
        say(&all.to_string())?;
    } else {
        say(token.reveal())?;
    }
    Ok(Found::Yes)
}
