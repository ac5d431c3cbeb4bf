//! `doublon load`.

mod phases;
mod plot;
mod process;
mod screen;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use doublon::load::questions::Kind;
use tokio::signal::unix::{SignalKind, signal};

use self::phases::Settings;
use super::{Common, Found, say};

/// Measure how fast a server answers, and whether it answers rightly
///
/// Starts a server of this same program on a temporary folder and a free port,
/// stores synthetic articles of 5.6 KB, and then asks: MatchTeaser and
/// MatchTeasers with teasers cut from these articles, FindDuplicates with edited
/// ones, AnalyzePage with pages of 6 KB that show one. Every answer is checked.
/// In turn with MatchTeaser runs an echo: a bare gRPC server, in a process of its
/// own too, that answers at once with messages of the same sizes. It is what gRPC by
/// itself reaches on this machine at this time; compare with it rather than with
/// figures of other days.
///
/// Closed loops (--in-flight callers, each of which asks again once it has its
/// answer) show what the server can do. Open loops ask at given rates whatever
/// comes back, and show what callers wait: a latency counts from when the call
/// was due. Those of closed loops are corrected for the calls that a slow answer
/// kept from being asked. At last the server is started again on what it stored.
///
/// With --server or DOUBLON_SERVER, a server that is there is measured; its
/// articles stay as they are, and those of the test, whose ids begin with
/// "load-", are deleted at the end. Its memory, disk and start are not known
/// then, and null in JSON.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the names of calls, as a terminal shows them")]
#[command(
    after_help = "Exit status: 0 done, 1 if an answer was wrong or a call failed, 2 error.\n\n\
    Examples:\n  \
    doublon load\n  \
    doublon load --articles 1000000 --folder /mnt/data\n  \
    doublon load --output json > figures.json\n  \
    doublon load --rate 1000,5000,20000 --mix 0:1:0 --plot latency.svg\n  \
    doublon load --server http://127.0.0.1:50051 --articles 1000 --seconds 1"
)]
pub(super) struct Args {
    /// Store so many articles first
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=ARTICLES_MAX))]
    articles: u64,
    /// Seconds of each phase; the rounds of one phase share them
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Rounds of MatchTeaser and echo in turn, of which the medians count
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Callers of the closed loops
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    /// Connections, over which calls are spread; each has one stream
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// Calls a second of the open loops, separated by commas [default: 25, 50, 75
    /// and 90 % of what the closed loop of the mix had]
    #[arg(long, value_name = "RATES", value_delimiter = ',', value_parser = rate)]
    rate: Vec<f64>,
    /// How often the mix has puts, teasers and duplicate queries, to each other
    #[arg(long, value_name = "PUTS:TEASERS:DUPLICATES", default_value = "1:8:1", value_parser = mix)]
    mix: Weights,
    /// What articles and questions follow from
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Draw the latency over the rate of the open loops into a file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Where the started server's temporary folder is made; a disk, if the figures
    /// are to be those of a disk [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Start the server with --no-text
    #[arg(long)]
    no_text: bool,
    /// Let the articles of the test stay in the server of --server
    #[arg(long)]
    keep: bool,
}

const ARTICLES_MAX: u64 = 100_000_000;
const SECONDS_MAX: f64 = 3600.0;
const RATE_MAX: f64 = 10e6;
const WEIGHT_MAX: usize = 1000;

/// Weights of puts, teasers and duplicate queries.
#[derive(Debug, Clone, Copy)]
struct Weights([usize; 3]);

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let [puts, teasers, duplicates] = args.mix.0;
    let settings = Settings {
        server: common.server.clone(),
        access: common.access.read()?,
        folder: args.folder.clone().unwrap_or_else(std::env::temp_dir),
        articles: args.articles,
        seed: u64::from(args.seed),
        time: Duration::from_secs_f64(args.seconds),
        rounds: args.rounds,
        in_flight: args.in_flight as usize,
        connections: args.connections as usize,
        mix: vec![(Kind::Put, puts), (Kind::Teaser, teasers), (Kind::Duplicates, duplicates)],
        rates: args.rate,
        no_text: args.no_text,
        keep: args.keep,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // An end by a signal is an error like others, so that servers and folders end
    // with the test.
    let report = tokio::select! {
        report = phases::run(settings) => report?,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    };
    if let Some(path) = &args.plot {
        plot::draw(&report, path)?;
    }
    if common.is_json() {
        say(&serde_json::to_string(&report)?)?;
    } else {
        for line in table::lines(&report) {
            say(&line)?;
        }
    }
    Ok(Found::from(report.failures() == 0))
}

fn seconds(typed: &str) -> Result<f64, String> {
    number(typed, SECONDS_MAX)
}

fn rate(typed: &str) -> Result<f64, String> {
    number(typed, RATE_MAX)
}

fn number(typed: &str, max_inclusive: f64) -> Result<f64, String> {
    match typed.parse::<f64>() {
        Ok(it) if it > 0.0 && it <= max_inclusive => Ok(it),
        _ => Err(format!("give a number above 0 and up to {max_inclusive}")),
    }
}

fn mix(typed: &str) -> Result<Weights, String> {
    let problem = || format!("give three whole numbers up to {WEIGHT_MAX}, not all 0, as in 1:8:1");
    let weights: Vec<usize> =
        typed.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| problem())?;
    let fits = weights.iter().all(|it| *it <= WEIGHT_MAX) && weights.iter().any(|it| *it > 0);
    let weights = <[usize; 3]>::try_from(weights).ok().filter(|_| fits);
    weights.map(Weights).ok_or_else(problem)
}
