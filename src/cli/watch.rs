//! `doublon watch`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use doublon::api::v1;
use doublon::client::ClientError;
use tokio::signal::unix::{SignalKind, signal};

use super::render::{DIM, NAME, one_line, page, paint, teaser_match, times};
use super::{Common, Found, json, say};

/// Print each waiting teaser whose article comes, as it comes
///
/// Begins with the oldest that the server remembers, and listens until Ctrl-C. Each
/// teaser has a cursor, to go on behind it; it is told at least once, in the order in
/// which the articles came. With --output json, a line is the fields of
/// `ResolvedTeaser`, and `cursor` and `resolved_time`.
///
/// Where the server goes away, the exit status is 2, and the last cursor stands on
/// standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 after --count or Ctrl-C, 2 error.\n\n\
    Examples:\n  \
    doublon watch\n  \
    doublon watch --new-only --count 1\n  \
    doublon watch --output json --cursor-file watch.cursor >> resolved.jsonl")]
pub(super) struct Args {
    /// Go on behind the teaser that had this cursor
    #[arg(long, conflicts_with = "new_only")]
    cursor: Option<String>,
    /// Go on behind the cursor in this file, if it is there, and write it after each
    /// teaser, so that the command can be started again as it is
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// Begin with what comes next, where no cursor says otherwise
    #[arg(long)]
    new_only: bool,
    /// End after so many teasers; 0 is never
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    count: u64,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // What is printed, and the cursor behind it, are never apart: nothing waits
    // between them.
    let mut last = None;
    let heard = tokio::select! {
        heard = listen(&args, common, &mut last) => heard,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    let Err(error) = heard else { return Ok(Found::Yes) };
    Err(match (last, &args.cursor_file) {
        _ if super::is_closed_pipe(&error) => error,
        (_, Some(file)) if is_expired(&error) => {
            anyhow!("{error:#}; the cursor is in {}: delete it first", file.display())
        }
        (Some(cursor), _) if !is_expired(&error) => {
            anyhow!("{error:#}; go on with --cursor {cursor}")
        }
        _ => error,
    })
}

/// Whether what comes behind the cursor has been forgotten: to go on from there is no
/// way out.
fn is_expired(error: &anyhow::Error) -> bool {
    let expired = v1::ErrorReason::CursorExpired.as_str_name();
    matches!(error.downcast_ref(), Some(ClientError::Refused { reason, .. }) if reason == expired)
}

/// Prints what comes, until it is enough; `last` is the cursor behind it.
async fn listen(args: &Args, common: &Common, last: &mut Option<String>) -> anyhow::Result<()> {
    let cursor = match (&args.cursor, &args.cursor_file) {
        (Some(cursor), _) => cursor.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) => String::new(),
    };
    let new_only = args.new_only && cursor.is_empty();
    let request = v1::WatchTeasersRequest { cursor, new_only };
    let mut stream = common.connect().await?.watch_teasers(request).await?;
    let mut count = 0;
    while let Some(told) = stream.message().await.map_err(ClientError::from)? {
        if let Some(resolved) = &told.resolved {
            print(resolved, &told, common)?;
            count += 1;
        }
        if let Some(file) = &args.cursor_file {
            write(file, &told.cursor)?;
        }
        *last = Some(told.cursor);
        if args.count > 0 && count >= args.count {
            return Ok(());
        }
    }
    bail!("the server has ended")
}

fn print(
    resolved: &v1::ResolvedTeaser,
    told: &v1::WatchTeasersResponse,
    common: &Common,
) -> anyhow::Result<()> {
    let time = told.resolved_time.map(|it| it.to_string());
    if common.is_json() {
        let more = [
            ("cursor", told.cursor.as_str().into()),
            ("resolved_time", time.map_or(serde_json::Value::Null, Into::into)),
        ];
        say(&json::line_with(resolved, &more)?)?;
    } else {
        print_text(resolved, &told.cursor, &time.unwrap_or_default())?;
    }
    io::stdout().flush()?;
    Ok(())
}

fn print_text(resolved: &v1::ResolvedTeaser, cursor: &str, time: &str) -> anyhow::Result<()> {
    let found = resolved.r#match.as_ref().map(teaser_match).unwrap_or_default();
    say(&format!("{} {found}", paint(DIM, time)))?;
    let line = |name: &str, value: &str| say(&format!("  {} {value}", paint(DIM, name)));
    line("teaser", &one_line(&resolved.text))?;
    let id = paint(NAME, &one_line(&resolved.teaser_id));
    line("id    ", &format!("{id}, seen {}", times(resolved.times_seen)))?;
    for it in &resolved.sightings {
        line("page  ", &page(&it.page_url, &it.site, &it.link_url))?;
    }
    line("cursor", &one_line(cursor))
}

/// The cursor in a file; empty where there is none yet.
fn read(file: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// Puts a whole file in the place of the one before.
fn write(file: &Path, cursor: &str) -> anyhow::Result<()> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let replaced = tempfile::NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new(".")))
        .and_then(|mut next| {
            writeln!(next, "{cursor}")?;
            next.persist(file)?;
            Ok(())
        });
    replaced.with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_kept_in_a_file_that_is_never_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watch.cursor");
        assert_eq!(read(&file).unwrap(), "");
        for cursor in ["12", "13"] {
            write(&file, cursor).unwrap();
            assert_eq!(read(&file).unwrap(), cursor);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("no").join("watch.cursor");
        let problem = write(&nowhere, "14").unwrap_err().to_string();
        assert!(problem.ends_with("watch.cursor cannot be written"), "{problem}");
    }

    #[test]
    fn a_forgotten_cursor_is_told_from_a_lost_server() {
        let refused = |reason: &str| {
            let (message, reason) = ("no".to_owned(), reason.to_owned());
            ClientError::Refused { code: tonic::Code::OutOfRange, message, reason }.into()
        };
        assert!(is_expired(&refused("ERROR_REASON_CURSOR_EXPIRED")));
        assert!(!is_expired(&refused("ERROR_REASON_NOT_READY")));
        assert!(!is_expired(&anyhow!("the server has ended")));
    }
}
