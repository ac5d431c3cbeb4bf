//! `doublon serve`.

use std::io::IsTerminal;

use anyhow::{Context as _, bail};
use doublon::config::{self, ConfigError, LogFormat, Resolved, Typed};
use doublon::service::{self, LISTENING_TARGET};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Common, Found};

/// Start the service
///
/// Logs to standard error, and `listening on ADDR` once it takes calls. Stops on
/// SIGINT and SIGTERM after the calls under way.
///
/// Every option can be given in the environment (DOUBLON_DATA_DIR for
/// --data-dir) and in a TOML file (data_dir = "..."); a flag wins over the
/// environment, and the environment over the file. Unknown keys are errors.
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[expect(clippy::doc_markdown, reason = "as a terminal shows it")]
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address and port; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where the articles are kept [default: ./doublon-data]
    #[arg(long, value_name = "DIR", conflicts_with = "in_memory")]
    data_dir: Option<String>,
    /// Keep the articles in memory only: they end with the process
    #[arg(long)]
    in_memory: bool,
    /// Keep no texts, titles and descriptions of articles, only what is computed from
    /// them: everything is answered as with texts, but answers have none to show.
    /// Teasers that wait keep theirs
    #[arg(long)]
    no_text: bool,
    /// Check every page of the database before the start, and end with what is damaged;
    /// up to 256 MiB are checked always
    #[arg(long)]
    check_pages: bool,
    /// Delete articles when they were stored so long ago: 90d, 36h, 30m, 45s, or
    /// forever [default: forever]. What has expired goes within some seconds or a
    /// thousandth of the time; an article can have a time of its own
    #[arg(long, value_name = "TIME")]
    retention: Option<String>,
    /// Let teasers wait for their articles so long after they were seen last, and
    /// remember so long which have found theirs [default: 30d]
    #[arg(long, value_name = "TIME")]
    teaser_retention: Option<String>,
    /// Teasers that wait, at most; beyond, the one seen longest ago yields
    /// [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    teasers_max: Option<String>,
    /// MiB of the store that are kept in memory, at most [default: 256]
    #[arg(long, value_name = "MIB")]
    cache_mib: Option<String>,
    /// Seconds that calls under way may take when it stops [default: 10]
    #[arg(long, value_name = "SECONDS")]
    drain_seconds: Option<String>,
    /// What to log: a level, or a filter as in "info,doublon=debug" [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How to log: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// A file of phrases by which pages name lists of other articles, prompts and
    /// so on, in addition to the built-in ones
    #[arg(long, value_name = "FILE")]
    cues: Option<String>,
    /// A file of tokens that callers must have one of; `doublon token new` writes
    /// it, and it is read again when it changes
    #[arg(long, value_name = "FILE")]
    tokens: Option<String>,
    /// The certificate for TLS as PEM, followed by those between it and the CA;
    /// read again when it changes
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The certificate's private key as PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Let only clients in that have a certificate of a CA of this PEM file
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<String>,
    /// Listen on an address that other machines can reach without TLS or tokens
    #[arg(long)]
    insecure: bool,
    /// Where articles are kept: embedded, on this machine, or cluster, in a cluster of
    /// Valkey or Redis that any number of servers share [default: embedded]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Some nodes of the cluster, separated by commas: redis://host:6379, or
    /// rediss://host:6379 for TLS
    #[arg(long, value_name = "URLS")]
    cluster: Option<String>,
    /// The user of the cluster. The password comes from DOUBLON_CLUSTER_PASSWORD or the
    /// file, so that no list of processes shows it
    #[arg(long, value_name = "NAME")]
    cluster_user: Option<String>,
    /// Certificates of the CAs that the cluster's nodes have theirs of, as PEM
    /// [default: the system's]
    #[arg(long, value_name = "FILE")]
    cluster_tls_ca: Option<String>,
    /// What all keys in the cluster begin with [default: doublon]
    #[arg(long, value_name = "PREFIX")]
    cluster_prefix: Option<String>,
    /// Articles that the cluster is planned for; counts when it is first used, and stays
    /// [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    cluster_articles: Option<String>,
    /// Replicas that must have a write before it is acknowledged [default: 1]
    #[arg(long, value_name = "COUNT")]
    cluster_replicas: Option<String>,
    /// Seconds that the cluster is tried before a call fails [default: 5]
    #[arg(long, value_name = "SECONDS")]
    cluster_timeout_seconds: Option<String>,
    /// Let replicas answer questions too, which may be some milliseconds behind
    #[arg(long)]
    cluster_read_from_replicas: bool,
    /// Check the configuration and the files that it names, and exit: 0, or 2 with
    /// what is wrong
    #[arg(long)]
    check_config: bool,
    /// A TOML file with any of these, its keys written with underscores
    #[arg(long, value_name = "FILE", env = "DOUBLON_CONFIG")]
    config: Option<String>,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    common.access.refuse_in_server()?;
    let only_checks = args.check_config;
    let resolved = resolve(args)?;
    if only_checks {
        service::check(&resolved.settings)?;
        return Ok(Found::Yes);
    }
    start_log(&resolved);
    std::panic::set_hook(Box::new(log_panic));
    let listener = TcpListener::bind(resolved.addresses.as_slice()).await.with_context(|| {
        format!("{} cannot be listened on: give another address with --listen", resolved.listen)
    })?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    service::run(listener, resolved.settings, shutdown).await?;
    Ok(Found::Yes)
}

fn resolve(args: Args) -> anyhow::Result<Resolved> {
    let flags = Typed::from_flags([
        ("--listen", args.listen),
        ("--data-dir", args.data_dir),
        ("--in-memory", args.in_memory.then(|| "true".to_owned())),
        ("--no-text", args.no_text.then(|| "true".to_owned())),
        ("--check-pages", args.check_pages.then(|| "true".to_owned())),
        ("--cache-mib", args.cache_mib),
        ("--drain-seconds", args.drain_seconds),
        ("--log", args.log),
        ("--log-format", args.log_format),
        ("--cues", args.cues),
        ("--retention", args.retention),
        ("--teaser-retention", args.teaser_retention),
        ("--teasers-max", args.teasers_max),
        ("--tokens", args.tokens),
        ("--tls-cert", args.tls_cert),
        ("--tls-key", args.tls_key),
        ("--tls-client-ca", args.tls_client_ca),
        ("--insecure", args.insecure.then(|| "true".to_owned())),
        ("--store", args.store),
        ("--cluster", args.cluster),
        ("--cluster-user", args.cluster_user),
        ("--cluster-tls-ca", args.cluster_tls_ca),
        ("--cluster-prefix", args.cluster_prefix),
        ("--cluster-articles", args.cluster_articles),
        ("--cluster-replicas", args.cluster_replicas),
        ("--cluster-timeout-seconds", args.cluster_timeout_seconds),
        (
            "--cluster-read-from-replicas",
            args.cluster_read_from_replicas.then(|| "true".to_owned()),
        ),
    ]);
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    let mut sources = vec![flags, Typed::from_env(variables)];
    if let Some(file) = args.config {
        match std::fs::read_to_string(&file) {
            Ok(text) => sources.push(Typed::from_toml(&file, &text)),
            Err(error) => bail!("the configuration file {file} cannot be read: {error}"),
        }
    }
    config::resolve(&sources).map_err(|error: ConfigError| error.into())
}

fn start_log(resolved: &Resolved) {
    let mut filter = tracing_subscriber::EnvFilter::new(&resolved.log);
    if let Ok(always) = format!("{LISTENING_TARGET}=info").parse() {
        filter = filter.add_directive(always);
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match resolved.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => {
            log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
        }
    }
}

/// What a panic says may quote a text, and is told to who asks for it only.
fn log_panic(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(tracing::field::display);
    tracing::error!(place, "a fault: report it, with what --log debug says of it");
    tracing::debug!(%info, "what the fault says");
}
