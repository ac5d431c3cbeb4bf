//! `doublon export`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use doublon::api::v1;
use doublon::client::ClientError;
use indicatif::{ProgressBar, ProgressStyle};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::Deserialize;

use super::input::{STDIN, check_frame};
use super::{Common, Found, backup, complain, say};

/// Lines of so many bytes are compressed together: what is cut off loses less.
const FRAME_BYTES: usize = 1 << 20;
/// Damages that are named on standard error, at most.
const NAMED_MAX: u64 = 20;
const ZSTD_SUFFIX: &str = "zst";

/// Write all that a running server has stored to a file, as lines of JSON
///
/// Articles, teasers that wait, what was resolved, references, stories and revisions, of
/// one moment; the server goes on meanwhile. `doublon import` makes a store of it, of this
/// or a later version. A file whose name ends with .zst is compressed. The lines of
/// articles can be given to `doublon put --jsonl` too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 done, 1 done, and something was damaged, 2 error.\n\n\
    Examples:\n  \
    doublon export doublon.jsonl.zst\n  \
    doublon export --resume doublon.jsonl.zst\n  \
    doublon export - | grep '\"type\":\"article\"' | doublon --server URL put --jsonl -")]
pub(super) struct Args {
    /// The file to make; "-" is standard output
    file: String,
    /// Go on where an export to this file was cut off
    #[arg(long)]
    resume: bool,
}

/// What is looked at of the lines.
#[derive(Debug, Deserialize)]
struct Seen {
    r#type: String,
    #[serde(default)]
    number: Option<u32>,
    #[serde(default)]
    store: String,
    #[serde(default)]
    article_count: u64,
    #[serde(default)]
    problem: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let cut = tokio::task::block_in_place(|| args.cut())?;
    let mut client = common.connect().await?;
    let mut told = cut.as_ref().map(|it| it.told.clone()).unwrap_or_default();
    let resume = told.position.clone();
    let mut parts = client.export(v1::ExportRequest { resume }).await?;
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(
        "{pos}/{len} articles {per_sec} {elapsed} {msg}",
    )?);
    let mut target = None;
    while let Some(part) = parts.message().await.map_err(ClientError::from)? {
        tokio::task::block_in_place(|| {
            told.look_at(&part.lines, |told, seen| show(told, seen, &bar))?;
            // Nothing is made or cut before the server has something to give.
            let target = match &mut target {
                Some(target) => target,
                none => none.insert(Target::open(&args, cut.as_ref())?),
            };
            target.write(&part.lines).with_context(|| args.failed())
        })?;
    }
    bar.finish_and_clear();
    ensure!(
        told.is_complete,
        "the server ended the export before its last line: {}",
        args.advice()
    );
    if let Some(target) = target {
        tokio::task::block_in_place(|| target.finish()).with_context(|| args.failed())?;
    }
    report(&args.file, &told, common)?;
    Ok((told.damaged == 0).into())
}

impl Args {
    /// What there is of an export that was cut off.
    fn cut(&self) -> anyhow::Result<Option<Cut>> {
        let path = Path::new(&self.file);
        ensure!(!(self.resume && self.file == STDIN), "give a file to resume");
        ensure!(
            self.resume || self.file == STDIN || !path.exists(),
            "{} is there already: give another name, or --resume",
            self.file
        );
        let cut = self.resume.then(|| Cut::of(path, self.compresses())).transpose();
        cut.with_context(|| self.file.clone())
    }

    fn compresses(&self) -> bool {
        Path::new(&self.file).extension().is_some_and(|it| it == ZSTD_SUFFIX)
    }

    fn failed(&self) -> String {
        format!("{} cannot be written: {}", self.file, self.advice())
    }

    fn advice(&self) -> &'static str {
        if self.file == STDIN { "export again" } else { "`doublon export --resume` goes on" }
    }
}

fn report(file: &str, told: &Told, common: &Common) -> anyhow::Result<()> {
    let line = backup::report(file, (told.articles, told.damaged), common);
    if file == STDIN {
        // Standard output has the lines.
        complain(&line);
        Ok(())
    } else {
        say(&line)
    }
}

/// What the lines said.
#[derive(Debug, Clone, Default)]
struct Told {
    /// The last article; `None` before the first line.
    position: Option<v1::ExportPosition>,
    articles: u64,
    damaged: u64,
    /// Articles that could not be read.
    lost: u64,
    /// Whether there were lines of what stands behind the articles.
    has_rows: bool,
    is_complete: bool,
}

impl Told {
    /// Counts lines; calls `each` with each of them.
    fn look_at(&mut self, lines: &[u8], mut each: impl FnMut(&Self, &Seen)) -> anyhow::Result<()> {
        for line in lines.split(|it| *it == b'\n').filter(|it| !it.is_empty()) {
            let seen: Seen = serde_json::from_slice(line).context("it is no export")?;
            match seen.r#type.as_str() {
                "export" => {
                    let store = seen.store.clone();
                    self.position = Some(v1::ExportPosition { store, after_number: 0 });
                }
                "article" => {
                    self.articles += 1;
                    if let (Some(position), Some(number)) = (&mut self.position, seen.number) {
                        position.after_number = number;
                    }
                }
                "damaged" => {
                    self.damaged += 1;
                    self.lost += u64::from(seen.number.is_some());
                }
                "revision" | "kept" => {}
                "end" => {
                    self.is_complete = true;
                    self.articles = seen.article_count.saturating_sub(self.lost);
                }
                _ => self.has_rows = true,
            }
            each(self, &seen);
        }
        Ok(())
    }
}

/// Shows what comes.
fn show(told: &Told, seen: &Seen, bar: &ProgressBar) {
    match seen.r#type.as_str() {
        "export" => bar.set_length(seen.article_count),
        "damaged" if told.damaged <= NAMED_MAX => {
            complain(&format!("damaged at the server: {}", seen.problem));
        }
        "damaged" if told.damaged == NAMED_MAX + 1 => {
            complain("more is damaged: the file names all of it");
        }
        _ => bar.set_position(told.articles),
    }
}

/// Where the lines go.
struct Target {
    out: Box<dyn Write + Send>,
    file: Option<File>,
    /// Lines that are not compressed yet.
    frame: Option<Vec<u8>>,
}

impl Target {
    fn open(args: &Args, cut: Option<&Cut>) -> anyhow::Result<Self> {
        let frame = args.compresses().then(Vec::new);
        if args.file == STDIN {
            return Ok(Self { out: Box::new(io::stdout()), file: None, frame });
        }
        let mut options = OpenOptions::new();
        // It has texts: for its owner only.
        options.append(true).create(cut.is_none()).mode(0o600);
        let file =
            options.open(&args.file).with_context(|| format!("{} cannot be opened", args.file))?;
        let is_alone = file.try_lock().is_ok();
        ensure!(is_alone, "another export writes to {}: wait until it has ended", args.file);
        file.set_len(cut.map_or(0, |it| it.bytes))?;
        let out = Box::new(io::BufWriter::with_capacity(1 << 20, file.try_clone()?));
        Ok(Self { out, file: Some(file), frame })
    }

    fn write(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        let Some(frame) = &mut self.frame else { return Ok(self.out.write_all(lines)?) };
        frame.extend_from_slice(lines);
        if frame.len() >= FRAME_BYTES { self.close_frame() } else { Ok(()) }
    }

    fn close_frame(&mut self) -> anyhow::Result<()> {
        if let Some(frame) = self.frame.as_mut().filter(|it| !it.is_empty()) {
            let bytes = compress_to_vec(frame.as_slice(), CompressionLevel::Fastest);
            frame.clear();
            self.out.write_all(&bytes)?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.close_frame()?;
        self.out.flush()?;
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        Ok(())
    }
}

/// What is whole of an export that was cut off: the articles and what stands between them.
#[derive(Debug, Default)]
struct Cut {
    bytes: u64,
    told: Told,
}

impl Cut {
    fn of(path: &Path, compresses: bool) -> anyhow::Result<Self> {
        let mut file = BufReader::new(File::open(path).context("it cannot be read")?);
        let mut cut = Self::default();
        while let Some(lines) = whole_lines(&mut file, compresses)? {
            let mut told = cut.told.clone();
            told.look_at(&lines, |_, _| {})?;
            ensure!(!told.is_complete, "it is complete");
            if told.has_rows {
                break;
            }
            cut = Self { bytes: file.stream_position()?, told };
        }
        let has_article = cut.told.position.is_some() && cut.told.articles > 0;
        ensure!(has_article, "it has no article yet: delete it, and export again");
        Ok(cut)
    }
}

/// The next lines that are whole: a line, or a frame of them; `None` where there are none.
fn whole_lines(file: &mut BufReader<File>, compresses: bool) -> anyhow::Result<Option<Vec<u8>>> {
    let mut lines = Vec::new();
    if file.fill_buf()?.is_empty() {
        return Ok(None);
    }
    if compresses {
        let Ok(mut frame) = StreamingDecoder::new(file) else { return Ok(None) };
        let is_whole = frame.read_to_end(&mut lines).is_ok() && check_frame(&frame.decoder).is_ok();
        return Ok(is_whole.then_some(lines));
    }
    file.read_until(b'\n', &mut lines)?;
    Ok((lines.last() == Some(&b'\n')).then_some(lines))
}
