//! The phases of a load test, one after another, and the figures of each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use doublon::client::Client;
use doublon::client::access::Access;
use doublon::clock::Clock;
use doublon::load::articles::Corpus;
use doublon::load::figures::{Figures, MixFigures, Report, Server, Shares, median};
use doublon::load::loops::{self, Outcome, Plan};
use doublon::load::questions::{Kind, Mix, Questions};
use doublon::load::streams::{self, StreamOutcome};
use doublon::load::tally::Tally;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::process::{self, Process};
use super::screen::Screen;

/// Before the rounds, so that no round pays for what happens once.
const WARM_UP: Duration = Duration::from_millis(300);
/// The rates of the open loop where none are given: shares of what the closed loop
/// of the same mix had.
const RATE_SHARES: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

/// What is measured, and how.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The server that is there; one is started if `None`.
    pub(super) server: Option<String>,
    /// What the server that is there is shown.
    pub(super) access: Access,
    /// Where the started server has its folder.
    pub(super) folder: PathBuf,
    pub(super) articles: u64,
    pub(super) seed: u64,
    pub(super) time: Duration,
    pub(super) rounds: u32,
    pub(super) in_flight: usize,
    pub(super) connections: usize,
    pub(super) mix: Vec<(Kind, usize)>,
    pub(super) rates: Vec<f64>,
    /// Whether the started server keeps no texts.
    pub(super) no_text: bool,
    /// Whether articles put into a server that is there stay.
    pub(super) keep: bool,
}

/// Runs all phases.
pub(super) async fn run(settings: Settings) -> anyhow::Result<Report> {
    let mut test = Test::start(settings).await?;
    test.put().await?;
    test.unary().await;
    test.streams().await;
    test.closed_loops().await;
    test.open_loops().await;
    test.end().await
}

/// The server under test.
struct Target {
    clients: Vec<Client>,
    /// Where it was started here.
    process: Option<Process>,
    folder: Option<TempDir>,
}

struct Test {
    settings: Settings,
    clock: Clock,
    questions: Arc<Questions>,
    target: Target,
    echo: Process,
    echo_clients: Vec<Client>,
    screen: Screen,
    report: Report,
}

impl Test {
    async fn start(settings: Settings) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let questions = Arc::new(Questions::new(Corpus::new(settings.seed), settings.articles));
        let screen = Screen::new(&questions);
        screen.phase("starting the servers", None);
        let target = target(&settings, &clock).await?;
        let echo = block_in_place(|| Process::start(&["load-echo"], &clock))?;
        let echo_clients =
            connect((&echo.address, &Access::default()), settings.connections).await?;
        let report = Report {
            articles: settings.articles,
            seed: settings.seed,
            in_flight: settings.in_flight,
            connections: settings.connections,
            seconds: settings.time.as_secs_f64(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            ..Report::default()
        };
        Ok(Self { settings, clock, questions, target, echo, echo_clients, screen, report })
    }

    async fn put(&mut self) -> anyhow::Result<()> {
        self.screen.phase("PutArticles, stream", Some(self.settings.articles));
        let usage = Usage::now(self.target.process.as_ref());
        let outcome = streams::put(&self.questions, &self.target.clients, &self.clock).await;
        self.report.put_stream = usage.spent(of_stream(&outcome));
        anyhow::ensure!(
            outcome.tally.answered > 0,
            "no article could be stored: {:?}",
            outcome.tally.errors
        );
        Ok(())
    }

    /// `MatchTeaser` and the echo in turn, so that what else runs hits both.
    async fn unary(&mut self) {
        let (echo, unary) = (self.plan(Kind::Echo), self.plan(Kind::Teaser));
        self.screen.phase("MatchTeaser and echo, unary", None);
        for plan in [&echo, &unary] {
            let warm_up = Plan { time: WARM_UP.min(plan.time), ..plan.clone() };
            loops::closed(&warm_up, self.settings.in_flight).await;
        }
        let (mut echoes, mut unaries) = (Vec::new(), Vec::new());
        for _ in 0..self.settings.rounds {
            echoes.push(self.closed(&self.in_round(&echo), Some(&self.echo)).await);
            unaries.push(self.closed(&self.in_round(&unary), self.target.process.as_ref()).await);
        }
        let ratios = |of: fn(&Figures) -> f64| {
            median(unaries.iter().zip(&echoes).map(|(a, b)| ratio(of(a), of(b))).collect())
        };
        self.report.share_of_echo = Shares {
            unary: ratios(|it| it.per_second),
            unary_p99: ratios(|it| it.latency.unwrap_or_default().p99_ms),
            stream: 0.0,
        };
        self.report.echo = Figures::of_rounds(&echoes);
        self.report.unary = Figures::of_rounds(&unaries);
    }

    async fn streams(&mut self) {
        let (echo, teasers) = (self.plan(Kind::Echo), self.plan(Kind::Teaser));
        self.screen.phase("MatchTeasers and echo, stream", None);
        let (mut echoes, mut streams) = (Vec::new(), Vec::new());
        for _ in 0..self.settings.rounds {
            let usage = Usage::now(Some(&self.echo));
            echoes.push(usage.spent(of_stream(&streams::teasers(&self.in_round(&echo)).await)));
            let usage = Usage::now(self.target.process.as_ref());
            streams.push(usage.spent(of_stream(&streams::teasers(&self.in_round(&teasers)).await)));
        }
        let ratios = streams.iter().zip(&echoes).map(|(a, b)| ratio(a.per_second, b.per_second));
        self.report.share_of_echo.stream = median(ratios.collect());
        self.report.echo_stream = Figures::of_rounds(&echoes);
        self.report.stream = Figures::of_rounds(&streams);
    }

    async fn closed_loops(&mut self) {
        let server = self.target.process.as_ref();
        self.screen.phase("FindDuplicates, unary", None);
        self.report.find_duplicates = self.closed(&self.plan(Kind::Duplicates), server).await;
        self.screen.phase("AnalyzePage, unary", None);
        self.report.analyze_page = self.closed(&self.plan(Kind::Page), server).await;
        self.screen.phase("the mix, closed loop", None);
        let outcome = loops::closed(&self.mixed(), self.settings.in_flight).await;
        self.report.mixed = of_mix(&outcome, None);
    }

    async fn open_loops(&mut self) {
        let most = self.report.mixed.per_second;
        let rates = match self.settings.rates.as_slice() {
            [] => RATE_SHARES.iter().map(|it| (it * most).max(1.0)).collect(),
            given => given.to_vec(),
        };
        for rate in rates {
            self.screen.phase(&format!("the mix, {rate:.0} calls a second"), None);
            let outcome = loops::open(&self.mixed(), rate).await;
            self.report.open_loop.push(of_mix(&outcome, Some(rate)));
        }
    }

    /// Starts the server again on what it has stored, or cleans up.
    async fn end(mut self) -> anyhow::Result<Report> {
        match (self.target.process.take(), self.target.folder.take()) {
            (Some(process), Some(folder)) => {
                self.screen.phase("starting the server again", None);
                self.report.server = block_in_place(|| {
                    restart(process, &folder, (self.settings.no_text, &self.clock))
                })?;
            }
            _ if self.settings.keep => {}
            _ => {
                self.screen.phase("deleting the articles", None);
                self.delete().await?;
            }
        }
        self.screen.finish();
        Ok(self.report)
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let end = self.questions.articles_put();
        let mut deletions = tokio::task::JoinSet::new();
        let step = self.settings.in_flight;
        for (first, client) in (0..).zip(self.target.clients.iter().cycle().take(step)) {
            let (mut client, questions) = (client.clone(), Arc::clone(&self.questions));
            deletions.spawn(async move {
                for number in (first..end).step_by(step) {
                    match client.delete_article(questions.corpus.id(number)).await {
                        Err(error) if !error.is_not_found() => return Err(error),
                        _ => {}
                    }
                }
                Ok(())
            });
        }
        while let Some(deleted) = deletions.join_next().await {
            deleted?.context("the articles of the test could not be deleted")?;
        }
        Ok(())
    }

    async fn closed(&self, plan: &Plan, server: Option<&Process>) -> Figures {
        let usage = Usage::now(server);
        let outcome = loops::closed(plan, self.settings.in_flight).await;
        let mut all = Tally::default();
        outcome.tallies.values().for_each(|it| all.add(it));
        usage.spent(of_closed(&all, &outcome))
    }

    fn plan(&self, kind: Kind) -> Plan {
        let clients = if kind == Kind::Echo { &self.echo_clients } else { &self.target.clients };
        Plan {
            questions: Arc::clone(&self.questions),
            clients: clients.clone(),
            mix: Mix::only(kind),
            time: self.settings.time,
            clock: self.clock.clone(),
        }
    }

    fn mixed(&self) -> Plan {
        Plan { mix: Mix::new(&self.settings.mix), ..self.plan(Kind::Teaser) }
    }

    fn in_round(&self, plan: &Plan) -> Plan {
        Plan { time: plan.time / self.settings.rounds.max(1), ..plan.clone() }
    }
}

async fn target(settings: &Settings, clock: &Clock) -> anyhow::Result<Target> {
    if let Some(server) = &settings.server {
        let clients = connect((server, &settings.access), settings.connections).await?;
        return Ok(Target { clients, process: None, folder: None });
    }
    let folder = tempfile::Builder::new()
        .prefix("doublon-load-")
        .tempdir_in(&settings.folder)
        .with_context(|| format!("{} takes no folder", settings.folder.display()))?;
    let process = block_in_place(|| serve(&folder, settings.no_text, clock))?;
    let clients = connect((&process.address, &Access::default()), settings.connections).await?;
    Ok(Target { clients, process: Some(process), folder: Some(folder) })
}

fn serve(folder: &TempDir, no_text: bool, clock: &Clock) -> anyhow::Result<Process> {
    let path = folder.path().to_str().context("the temporary folder's name is not UTF-8")?;
    let mut arguments =
        vec!["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir", path];
    arguments.extend(no_text.then_some("--no-text"));
    Process::start(&arguments, clock)
}

async fn connect(
    (server, access): (&str, &Access),
    connections: usize,
) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(Client::connect_with(server, access).await?);
    }
    Ok(clients)
}

fn restart(
    process: Process,
    folder: &TempDir,
    (no_text, clock): (bool, &Clock),
) -> anyhow::Result<Server> {
    let rss_peak_bytes = process::memory(process.id(), "VmHWM");
    process.stop(clock)?;
    let disk_bytes = process::disk_bytes(folder.path());
    let again = serve(folder, no_text, clock)?;
    let server = Server {
        rss_bytes: process::memory(again.id(), "VmRSS"),
        rss_peak_bytes,
        disk_bytes,
        ready_seconds: Some(again.ready.as_secs_f64()),
    };
    again.stop(clock)?;
    Ok(server)
}

fn of_stream(outcome: &StreamOutcome) -> Figures {
    Figures::of(&outcome.tally, None, outcome.time.as_secs_f64())
}

/// A caller of a closed loop that waits for a slow answer leaves out questions that
/// others would have asked; they are put back at the pace it had.
fn of_closed(tally: &Tally, outcome: &Outcome) -> Figures {
    let calls = (outcome.answered() as f64 / outcome.callers.max(1) as f64).max(1.0);
    let pace = Duration::from_secs_f64(outcome.time.as_secs_f64() / calls);
    Figures::of(tally, Some(tally.latency_corrected(pace)), outcome.time.as_secs_f64())
}

fn of_mix(outcome: &Outcome, rate: Option<f64>) -> MixFigures {
    let part = |kind: Kind| {
        let tally = outcome.tallies.get(&kind)?;
        Some(match rate {
            Some(_) => Figures::of(tally, Some(tally.latency()), outcome.time.as_secs_f64()),
            None => of_closed(tally, outcome),
        })
    };
    MixFigures {
        rate,
        per_second: outcome.per_second(),
        puts: part(Kind::Put),
        teasers: part(Kind::Teaser),
        duplicates: part(Kind::Duplicates),
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// Processor time before a phase.
struct Usage {
    server_id: Option<u32>,
    server: Option<Duration>,
    client: Option<Duration>,
}

impl Usage {
    fn now(server: Option<&Process>) -> Self {
        let server_id = server.map(Process::id);
        Self {
            server_id,
            server: server_id.and_then(process::cpu_time),
            client: process::cpu_time(std::process::id()),
        }
    }

    /// Writes what was spent since into the figures.
    fn spent(self, figures: Figures) -> Figures {
        let answered = figures.answered.max(1) as f64;
        let each = |before: Option<Duration>, id: u32| {
            let spent = process::cpu_time(id)?.checked_sub(before?)?;
            Some(spent.as_secs_f64() * 1e6 / answered)
        };
        Figures {
            server_cpu_us: self.server_id.and_then(|it| each(self.server, it)),
            client_cpu_us: each(self.client, std::process::id()),
            ..figures
        }
    }
}
