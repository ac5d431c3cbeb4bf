//! `doublon import`.

use anyhow::{Context as _, anyhow, ensure};
use doublon::api::v1;
use doublon::api::v1::import_response::Outcome;
use doublon::client::{Client, ClientError};
use doublon::engine::transfer::import::digest;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task;
use tokio_stream::wrappers::ReceiverStream;

use super::{Common, Found, input, say};

/// Bytes of lines that are sent together, but for a line that has more.
const PART_BYTES: usize = 1 << 20;
/// As the last line of an export begins.
const LAST_LINE: &str = r#"{"type":"end""#;
const CUT_OFF: &str =
    "it ends before the export does: finish it with `doublon export --resume`, or export again";
const FROM_A_FILE: &str =
    "begin again with a new --data-dir, from a file, which can be gone on with";
/// Parts under way at once.
const IN_FLIGHT_MAX: usize = 8;

/// Fill a new server with all that an export has
///
/// The server must never have held anything. What is acknowledged is on its disk: an
/// import that was cut off goes on where it was when it is run again. Until it is
/// complete, the server answers questions by what it has, and takes no other writes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 done, 2 error.\n\n\
    Examples:\n  \
    doublon import doublon.jsonl.zst\n  \
    doublon export - --server URL | doublon import -")]
pub(super) struct Args {
    /// What `doublon export` wrote, plain or compressed by gzip or zstd; "-" is standard
    /// input
    file: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut client = common.connect().await?;
    let total = task::block_in_place(|| whole(&args.file))?;
    let mut lines = input::lines(&args.file)?
        .map(|(number, line)| line.map_err(|problem| anyhow!("line {number}: {problem}")));
    let head =
        lines.next().context("the file is empty: give one that `doublon export` wrote")??;
    let head_digest = digest(0, head.as_bytes());
    let mut last = begin(&mut client, head).await?;
    if !last.is_complete {
        let bar = ProgressBar::no_length()
            .with_style(ProgressStyle::with_template("{pos}/{len} lines {per_sec} {elapsed}")?);
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(last.position);
        bar.reset_eta();
        last = send(&mut client, (lines, head_digest), last, &bar).await?;
        bar.finish_and_clear();
    }
    if args.file == input::STDIN {
        ensure!(last.is_complete, "standard input ended before the export: {FROM_A_FILE}");
    }
    ensure!(last.is_complete, "{}: {CUT_OFF}", args.file);
    if common.is_json() {
        say(&json!({ "article_count": last.article_count, "line_count": last.position })
            .to_string())?;
    } else {
        say(&format!("{} articles, {} lines", last.article_count, last.position))?;
    }
    Ok(Found::Yes)
}

/// The lines of a file, which has to have the last one: a part of an export is not begun
/// with. It is not known of standard input.
fn whole(file: &str) -> anyhow::Result<Option<u64>> {
    if file == input::STDIN {
        return Ok(None);
    }
    let (mut count, mut last) = (0, String::new());
    for (number, line) in input::lines(file)? {
        last = line.map_err(|problem| anyhow!("{file}: line {number}: {problem}"))?;
        count += 1;
    }
    ensure!(count > 0, "{file} is empty: give one that `doublon export` wrote");
    ensure!(last.starts_with(LAST_LINE), "{file}: {CUT_OFF}");
    Ok(Some(count))
}

/// Sends the first line; the answer says where to go on.
async fn begin(client: &mut Client, head: String) -> anyhow::Result<v1::ImportResult> {
    let part = v1::ImportRequest { position: 0, lines: head.into_bytes(), digest: None };
    let mut answers = client.import(tokio_stream::once(part)).await?;
    taken(answers.message().await.map_err(ClientError::from)?)
}

/// Sends all lines from where the server stands.
async fn send(
    client: &mut Client,
    (lines, digest): (impl Iterator<Item = anyhow::Result<String>> + Send + 'static, u64),
    begun: v1::ImportResult,
    bar: &ProgressBar,
) -> anyhow::Result<v1::ImportResult> {
    let (parts, sent) = mpsc::channel(IN_FLIGHT_MAX);
    let first = begun.position;
    let reading = task::spawn_blocking(move || read((lines, digest), first, &parts));
    let mut answers = client.import(ReceiverStream::new(sent)).await?;
    let mut last = begun;
    while let Some(answer) = answers.message().await.map_err(ClientError::from)? {
        last = taken(Some(answer))?;
        bar.set_position(last.position);
    }
    reading.await??;
    Ok(last)
}

/// Makes parts of the lines from one on; the first line was read already.
fn read(
    (lines, mut before): (impl Iterator<Item = anyhow::Result<String>>, u64),
    first: u64,
    parts: &mpsc::Sender<v1::ImportRequest>,
) -> anyhow::Result<()> {
    let mut part = v1::ImportRequest::default();
    for (position, line) in (1..).zip(lines) {
        let line = line?;
        if position >= first {
            let is_full = part.lines.len() + line.len() > PART_BYTES;
            // The other side closes its end when the stream has failed.
            if is_full
                && !part.lines.is_empty()
                && parts.blocking_send(std::mem::take(&mut part)).is_err()
            {
                return Ok(());
            }
            if part.lines.is_empty() {
                (part.position, part.digest) = (position, Some(before));
            }
            part.lines.extend_from_slice(line.as_bytes().trim_ascii_end());
            part.lines.push(b'\n');
        }
        before = digest(before, line.as_bytes());
    }
    if !part.lines.is_empty() {
        parts.blocking_send(part).ok();
    }
    Ok(())
}

fn taken(answer: Option<v1::ImportResponse>) -> anyhow::Result<v1::ImportResult> {
    match answer.and_then(|it| it.outcome) {
        Some(Outcome::Result(result)) => Ok(result),
        Some(Outcome::Error(error)) => Err(ClientError::from(&error).into()),
        None => Err(anyhow!("the server ended the stream without an answer")),
    }
}
