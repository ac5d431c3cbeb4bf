//! The command line: what is common to all commands, and which command runs.

mod access;
mod analyze_page;
mod backup;
mod bulk;
mod compare;
mod completions;
mod delete;
mod eval;
mod export;
mod filter;
mod find_duplicates;
mod get;
mod import;
mod input;
mod json;
mod list;
mod load;
mod load_echo;
mod match_teaser;
mod pages;
mod put;
mod references;
mod render;
mod revisions;
mod seen;
mod serve;
mod sign;
mod stats;
mod stories;
mod story;
mod teasers;
mod token;
mod verify;
mod watch;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use doublon::client::{Client, ClientError, SERVER_DEFAULT};
use doublon::service::BLOCKING_THREADS_MAX;

/// Near-duplicate and teaser detection for news crawlers.
///
/// `doublon serve` starts the service; every other command is a client of it.
/// Texts are read from files or, as "-", from standard input.
#[derive(Debug, Parser)]
#[command(
    name = "doublon",
    version,
    arg_required_else_help = true,
    after_help = "Exit status: 0 found or done, 1 not found, 2 error.\n\n\
        Examples:\n  \
        doublon serve\n  \
        doublon put --id a1 --title 'A title' article.txt\n  \
        doublon put --jsonl articles.jsonl.zst\n  \
        doublon match-teaser 'The council voted on Tuesday to plant an urban for...'\n  \
        doublon analyze-page page.txt\n  \
        doublon watch --output json"
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    // No default of clap's, so that `load` can tell whether one was given.
    #[arg(long, global = true, env = "DOUBLON_SERVER", value_name = "URL",
        help = format!("The server's address [default: {SERVER_DEFAULT}]"))]
    server: Option<String>,
    #[command(flatten)]
    access: access::Args,
    /// For people, or one JSON object a line: the answer in proto3 JSON mapping,
    /// with the names of the proto files
    #[arg(long, global = true, env = "DOUBLON_OUTPUT", value_enum, default_value_t = Output::Text)]
    output: Output,
    /// When to colour the answer
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Put(put::Args),
    Get(get::Args),
    Delete(delete::Args),
    List(list::Args),
    Sign(sign::Args),
    Compare(compare::Args),
    MatchTeaser(match_teaser::Args),
    FindDuplicates(find_duplicates::Args),
    AnalyzePage(analyze_page::Args),
    Teasers(teasers::Args),
    Watch(watch::Args),
    References(references::Args),
    Stories(stories::Args),
    Story(story::Args),
    Revisions(revisions::Args),
    Stats(stats::Args),
    Backup(backup::Args),
    Export(export::Args),
    Import(import::Args),
    Verify(verify::Args),
    Rebuild(verify::RebuildArgs),
    Eval(eval::Args),
    Load(load::Args),
    Token(token::Args),
    #[command(hide = true)]
    LoadEcho(load_echo::Args),
    Completions(completions::Args),
}

/// How a command that did not fail ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Found, or done.
    Yes,
    /// Not found.
    No,
}

impl From<bool> for Found {
    fn from(found: bool) -> Self {
        if found { Self::Yes } else { Self::No }
    }
}

const EXIT_NOT_FOUND: u8 = 1;
const EXIT_ERROR: u8 = 2;

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.common.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(run(cli));
        // A thread that still reads standard input is not waited for.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(Found::Yes) => ExitCode::SUCCESS,
        Ok(Found::No) => ExitCode::from(EXIT_NOT_FOUND),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // The whole chain on one line: what was being done, then why not.
            complain(&format!("{error:#}"));
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()?)
}

async fn run(cli: Cli) -> anyhow::Result<Found> {
    let common = cli.common;
    match cli.command {
        Command::Serve(args) => serve::run(*args, &common).await,
        Command::Put(args) => put::run(args, &common).await,
        Command::Get(args) => get::run(args, &common).await,
        Command::Delete(args) => delete::run(args, &common).await,
        Command::List(args) => list::run(args, &common).await,
        Command::Sign(args) => sign::run(args, &common).await,
        Command::Compare(args) => compare::run(args, &common).await,
        Command::MatchTeaser(args) => match_teaser::run(args, &common).await,
        Command::FindDuplicates(args) => find_duplicates::run(args, &common).await,
        Command::AnalyzePage(args) => analyze_page::run(args, &common).await,
        Command::Teasers(args) => teasers::run(args, &common).await,
        Command::Watch(args) => watch::run(args, &common).await,
        Command::References(args) => references::run(args, &common).await,
        Command::Stories(args) => stories::run(args, &common).await,
        Command::Story(args) => story::run(args, &common).await,
        Command::Revisions(args) => revisions::run(args, &common).await,
        Command::Stats(args) => stats::run(&args, &common).await,
        Command::Backup(args) => backup::run(args, &common).await,
        Command::Export(args) => export::run(args, &common).await,
        Command::Import(args) => import::run(args, &common).await,
        Command::Verify(args) => tokio::task::block_in_place(|| verify::run(&args, &common)),
        Command::Rebuild(args) => tokio::task::block_in_place(|| verify::rebuild(&args, &common)),
        Command::Eval(args) => tokio::task::block_in_place(|| eval::run(&args, &common)),
        Command::Load(args) => load::run(args, &common).await,
        Command::LoadEcho(args) => load_echo::run(args).await,
        Command::Token(args) => token::run(args, &common),
        Command::Completions(args) => completions::run(&args),
    }
}

impl Common {
    async fn connect(&self) -> anyhow::Result<Client> {
        let server = self.server.as_deref().unwrap_or(SERVER_DEFAULT);
        Ok(Client::connect_with(server, &self.access.read()?).await?)
    }

    fn is_json(&self) -> bool {
        self.output == Output::Json
    }
}

/// Writes a line to standard output.
fn say(line: &str) -> anyhow::Result<()> {
    writeln!(anstream::stdout(), "{line}")?;
    Ok(())
}

/// Writes a text to standard output: as it is to a file or a pipe, and without
/// what could move the cursor to a terminal.
fn say_text(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let shown = if out.is_terminal() { render::harmless(text) } else { text.to_owned() };
    writeln!(out, "{shown}")?;
    Ok(())
}

/// Writes one line about what went wrong to standard error.
fn complain(line: &str) {
    // Where standard error is closed too, nobody is left to tell.
    writeln!(anstream::stderr(), "doublon: {line}").ok();
}

/// The answer; `None`, and a line about it, where nothing has the name asked for.
fn known<T>(answer: Result<T, ClientError>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => {
            complain(&error.to_string());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the reader of standard output has seen enough, as `head` has.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe)
}
