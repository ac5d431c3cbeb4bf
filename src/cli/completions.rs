//! `doublon completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Found};

/// Print a completion script for a shell
///
/// For bash: source <(doublon completions bash)
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Found> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "doublon", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(Found::Yes)
}
