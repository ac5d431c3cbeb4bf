//! `doublon eval`.

mod plots;
mod table;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use doublon::clock::Clock;
use doublon::cluster::ClusterSettings;
use doublon::eval::data::Dataset;
use doublon::eval::{self, Lab, Observer, Options};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;

use super::{Common, Found, input, json, say};

/// Measure the answers on labelled data of your own
///
/// Reads articles.jsonl, teasers.jsonl, pairs.jsonl, pages.jsonl and
/// natural_duplicates.jsonl from a folder, those that are there, plain, .gz or
/// .zst; runs the engine on them in this process, with an empty store in memory,
/// by the same code as the service; and prints how many of its answers are right.
/// No server is needed.
///
/// A line of articles: id, title, lead, text, lang, source. Of teasers: teaser,
/// article_id, lang, suspect_generic (true for slogans of the site). Of pairs:
/// a_text or a_id, b_text or b_id, label (1 or 0), kind, source. Of pages: id,
/// page_text, body_text, body_origin, labels ("body" or something else, for each
/// line). Other fields are not looked at.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the names of fields, as a terminal shows them")]
#[command(after_help = "Examples:\n  \
    doublon eval mydata\n  \
    doublon eval mydata --output json > figures.json\n  \
    doublon eval mydata --errors wrong.jsonl --plots plots\n  \
    doublon eval mydata --background more.jsonl.zst --recombine-up-to 500000")]
pub(super) struct Args {
    /// The folder with the files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Leave so many percent of the articles out of the store, chosen by a hash of
    /// the id, to see what teasers find whose article is not stored
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100))]
    holdout_percent: u32,
    /// Store these articles too: no teaser belongs to them. May be given again
    #[arg(long, value_name = "FILE")]
    background: Vec<String>,
    /// Fill the store up to so many articles with articles recombined from the
    /// sentences of those stored, and count wrong matches at each doubling
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=RECOMBINED_MAX))]
    recombine_up_to: u32,
    /// Keep the articles in this cluster of Valkey or Redis, under prefixes that begin with
    /// `eval`, and see the same figures as with a store in memory. What it leaves there is
    /// yours to remove
    #[arg(long, value_name = "URLS")]
    cluster: Option<String>,
    /// Write every wrong answer with its texts to a file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Draw the curves into a folder: calibration.svg, teasers.svg, pairs.svg
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// What a cluster is planned for.
const CLUSTER_ARTICLES: u64 = 20_000;
/// Recombined articles are kept in memory.
const RECOMBINED_MAX: i64 = 2_000_000;

pub(super) fn run(args: &Args, common: &Common) -> anyhow::Result<Found> {
    let data = read(args)?;
    let options = Options {
        holdout_percent: args.holdout_percent,
        recombine_up_to: args.recombine_up_to as usize,
    };
    let observer = Screen::new(args.errors.as_deref())?;
    let lab = Lab::new(Clock::system(), args.cluster.as_deref().map(cluster));
    let report = eval::run(&data, options, &lab, &observer)?;
    observer.finish()?;
    if let Some(folder) = &args.plots {
        plots::draw(&report, folder)?;
    }
    if common.is_json() {
        say(&serde_json::to_string(&report)?)?;
    } else {
        for line in table::lines(&report) {
            say(&line)?;
        }
    }
    Ok(Found::Yes)
}

/// A cluster for some ten thousand articles.
fn cluster(urls: &str) -> ClusterSettings {
    let seeds = urls.split(',').map(|it| it.trim().to_owned()).collect();
    let prefix = format!("eval-{}", std::process::id());
    ClusterSettings { prefix, articles: CLUSTER_ARTICLES, ..ClusterSettings::new(seeds) }
}

fn read(args: &Args) -> anyhow::Result<Dataset> {
    let folder = &args.folder;
    if !folder.is_dir() {
        bail!("{} is not a folder: give the one that has articles.jsonl", folder.display());
    }
    let data = Dataset {
        articles: rows(folder, "articles")?,
        teasers: rows(folder, "teasers")?,
        pairs: rows(folder, "pairs")?,
        pages: rows(folder, "pages")?,
        natural_duplicates: rows(folder, "natural_duplicates")?,
        background: args.background.iter().try_fold(Vec::new(), |mut all, file| {
            all.extend(rows_of(file)?);
            anyhow::Ok(all)
        })?,
    };
    if data.articles.is_empty() && data.pairs.is_empty() && data.pages.is_empty() {
        bail!(
            "{} has none of articles.jsonl, pairs.jsonl and pages.jsonl (plain, .gz or .zst)",
            folder.display()
        );
    }
    Ok(data)
}

/// The rows of one file of the folder, under the first of its names that is there.
fn rows<T: DeserializeOwned>(folder: &Path, name: &str) -> anyhow::Result<Vec<T>> {
    let names = ["jsonl", "jsonl.zst", "jsonl.gz"].map(|it| folder.join(format!("{name}.{it}")));
    match names.iter().find(|it| it.is_file()) {
        Some(file) => rows_of(file.to_str().context("a file name is not UTF-8")?),
        None => Ok(Vec::new()),
    }
}

fn rows_of<T: DeserializeOwned>(file: &str) -> anyhow::Result<Vec<T>> {
    let mut rows = Vec::new();
    for (number, line) in input::lines(file)? {
        let row = line.and_then(|it| json::read_object("row", &it));
        rows.push(row.map_err(|problem| anyhow::anyhow!("{file}: line {number}: {problem}"))?);
    }
    Ok(rows)
}

/// Progress on a terminal, and wrong answers into a file.
struct Screen {
    bar: ProgressBar,
    errors: Option<Mutex<BufWriter<File>>>,
    failure: Mutex<Option<std::io::Error>>,
}

impl Screen {
    fn new(errors: Option<&Path>) -> anyhow::Result<Self> {
        let style =
            ProgressStyle::with_template("{msg:<28} {wide_bar} {human_pos}/{human_len} {eta}");
        let bar = ProgressBar::new(0);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        let create = |path: &Path| -> anyhow::Result<Mutex<BufWriter<File>>> {
            let file = File::create(path)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            Ok(Mutex::new(BufWriter::new(file)))
        };
        let errors = errors.map(create).transpose()?;
        Ok(Self { bar, errors, failure: Mutex::default() })
    }

    fn finish(self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if let Some(failure) = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(failure).context("the file of errors cannot be written");
        }
        if let Some(errors) = self.errors {
            let mut file = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
            file.flush().context("the file of errors cannot be written")?;
        }
        Ok(())
    }
}

impl Observer for Screen {
    fn start(&self, step: &str, items: usize) {
        self.bar.set_message(step.to_owned());
        self.bar.reset();
        self.bar.set_length(items as u64);
    }

    fn done(&self, items: usize) {
        self.bar.inc(items as u64);
    }

    fn error(&self, case: &serde_json::Value) {
        let Some(errors) = &self.errors else { return };
        let mut file = errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{case}") {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}
