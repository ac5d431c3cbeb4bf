//! A real cluster on this machine: three primaries of `redis-server` or `valkey-server` on
//! loopback with replicas, made for a test and gone with it.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(dead_code, reason = "each binary uses its part")]

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use doublon::clock::Clock;
use doublon::cluster::ClusterSettings;

/// Primaries of a cluster.
pub(crate) const PRIMARIES: usize = 3;
/// Milliseconds after which a node that is silent has failed.
const NODE_TIMEOUT_MS: u64 = 2000;
/// How long a cluster may take for something.
const PATIENCE: Duration = Duration::from_secs(40);
/// Set where a machine must have a server, as in `.ci/run`.
const REQUIRED: &str = "TEST_REQUIRE_REDIS";

/// The server's program, if there is one. Says by name what is skipped where there is none.
pub(crate) fn server(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("TEST_REDIS_SERVER").map(PathBuf::from);
    let found = named.or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let files = ["valkey-server", "redis-server"];
        files
            .iter()
            .flat_map(|name| folders.iter().map(move |it| it.join(name)))
            .find(|it| it.is_file())
    });
    if found.is_none() {
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "{test} needs a server: apt-get install redis-server"
        );
        say(&format!(
            "SKIPPED {test}: no valkey-server and no redis-server; apt-get install redis-server"
        ));
    }
    found
}

/// The program of the command line client beside a server's.
pub(crate) fn client(server: &Path) -> PathBuf {
    let name = server.file_name().unwrap().to_str().unwrap().replace("server", "cli");
    server.with_file_name(name)
}

/// A node: its port and its process.
pub(crate) struct Node {
    pub(crate) port: u16,
    process: Child,
}

/// A cluster. The first nodes are the primaries at the beginning, the others their replicas.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    program: PathBuf,
    folder: tempfile::TempDir,
    options: Vec<String>,
    /// What its command line client is told beside a command.
    client_options: Vec<String>,
    /// The CA and the password, where it speaks TLS.
    secured: Option<(PathBuf, String)>,
}

impl Cluster {
    /// With so many replicas of each primary, and options more for each node.
    pub(crate) fn start(program: PathBuf, replicas: usize, options: &[&str]) -> Self {
        let options = options.iter().map(|it| (*it).to_owned()).collect();
        Self::new(program, options).create(replicas)
    }

    /// One that speaks nothing but TLS, and asks for a password: CA, certificate and key.
    pub(crate) fn start_with_tls(
        program: PathBuf,
        [ca, cert, key]: [&str; 3],
        password: &str,
    ) -> Self {
        let options = [
            ["--tls-cert-file", cert],
            ["--tls-key-file", key],
            ["--tls-ca-cert-file", ca],
            ["--tls-auth-clients", "no"],
            ["--tls-replication", "yes"],
            ["--tls-cluster", "yes"],
            ["--requirepass", password],
            ["--masterauth", password],
        ];
        let options = options.as_flattened().iter().map(|it| (*it).to_owned()).collect();
        let client = ["--tls", "--cacert", ca, "-a", password, "--no-auth-warning"];
        let mut cluster = Self::new(program, options);
        cluster.client_options = client.map(str::to_owned).to_vec();
        cluster.secured = Some((PathBuf::from(ca), password.to_owned()));
        cluster.create(1)
    }

    fn new(program: PathBuf, options: Vec<String>) -> Self {
        let (folder, nodes) = (tempfile::tempdir().unwrap(), Vec::new());
        Self { nodes, program, folder, options, client_options: Vec::new(), secured: None }
    }

    fn create(mut self, replicas: usize) -> Self {
        let cluster = &mut self;
        for _ in 0..PRIMARIES * (1 + replicas) {
            cluster.add_node();
        }
        let addresses: Vec<String> =
            cluster.nodes.iter().map(|it| format!("127.0.0.1:{}", it.port)).collect();
        let mut arguments = vec!["--cluster", "create"];
        arguments.extend(addresses.iter().map(String::as_str));
        let replicas = replicas.to_string();
        arguments.extend(["--cluster-replicas", &replicas, "--cluster-yes"]);
        let made = cluster.cli(&arguments);
        assert!(made.contains("16384 slots covered"), "{made}");
        cluster.wait_until_whole();
        // So that a client learns of the replicas too.
        cluster.until("all nodes know each other", |it| {
            it.nodes.iter().all(|node| {
                let told = it.ask(node.port, &["CLUSTER", "SLOTS"]);
                it.nodes.iter().all(|it| told.contains(&it.port.to_string()))
            })
        });
        self
    }

    /// Starts a node more, which serves no slots yet.
    pub(crate) fn add_node(&mut self) -> u16 {
        let port = free_port();
        let process = self.spawn(port);
        self.nodes.push(Node { port, process });
        self.until("a node answers", |it| it.ask(port, &["PING"]).contains("PONG"));
        port
    }

    /// How it is reached.
    pub(crate) fn settings(&self, prefix: &str) -> ClusterSettings {
        let scheme = if self.secured.is_some() { "rediss" } else { "redis" };
        let seeds = self.nodes.iter().map(|it| format!("{scheme}://127.0.0.1:{}", it.port));
        let (tls_ca, password) = self.secured.clone().unzip();
        ClusterSettings {
            prefix: prefix.to_owned(),
            articles: 20_000,
            tls_ca,
            password,
            ..ClusterSettings::new(seeds.collect())
        }
    }

    /// The same as the flag of `doublon serve`.
    pub(crate) fn urls(&self) -> String {
        self.settings("").seeds.join(",")
    }

    /// What a node says.
    pub(crate) fn ask(&self, port: u16, command: &[&str]) -> String {
        let port = port.to_string();
        let mut arguments = vec!["-h", "127.0.0.1", "-p", &port];
        arguments.extend(command);
        self.cli(&arguments)
    }

    /// Runs the server's command line client.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(client(&self.program));
        let output = command.args(&self.client_options).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The numbers of the processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|it| it.process.id()).collect()
    }

    /// The ports of the nodes that are primaries with slots.
    pub(crate) fn primaries(&self) -> Vec<u16> {
        let all = self.nodes.iter().find_map(|it| {
            let text = self.ask(it.port, &["CLUSTER", "NODES"]);
            text.contains("connected").then_some(text)
        });
        let all = all.unwrap_or_default();
        let lines = all.lines().filter(|it| {
            it.contains("master") && !it.contains("fail") && it.split(' ').count() > 8
        });
        lines
            .filter_map(|it| {
                it.split(' ').nth(1)?.split('@').next()?.rsplit(':').next()?.parse().ok()
            })
            .collect()
    }

    /// The primary that has a key.
    pub(crate) fn primary_of(&self, key: &str) -> u16 {
        let any = *self.primaries().first().unwrap();
        let slot: u64 = self.ask(any, &["CLUSTER", "KEYSLOT", key]).trim().parse().unwrap();
        let slots = self.ask(any, &["CLUSTER", "NODES"]);
        let line = slots.lines().find(|line| {
            line.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let bounds = first.parse::<u64>().ok().zip(last.parse::<u64>().ok());
                bounds.is_some_and(|(first, last)| (first..=last).contains(&slot))
            })
        });
        line.and_then(|it| {
            it.split(' ').nth(1)?.split('@').next()?.rsplit(':').next()?.parse().ok()
        })
        .unwrap()
    }

    /// Kills a node as a power failure would.
    pub(crate) fn kill(&mut self, port: u16) {
        let node = self.node(port);
        node.process.kill().unwrap();
        node.process.wait().unwrap();
    }

    /// Starts a node that was killed.
    pub(crate) fn revive(&mut self, port: u16) {
        let process = self.spawn(port);
        self.node(port).process = process;
        self.until("a node answers", |it| it.ask(port, &["PING"]).contains("PONG"));
    }

    /// Stops a node, or lets it go on.
    pub(crate) fn signal(&mut self, port: u16, signal: &str) {
        let pid = self.node(port).process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Bytes of memory of all primaries.
    pub(crate) fn memory(&self) -> u64 {
        self.sum("memory", |line| line.strip_prefix("used_memory:")?.trim().parse().ok())
    }

    /// Microseconds that commands on keys have taken on all primaries.
    pub(crate) fn micros(&self) -> u64 {
        const NAMES: [&str; 7] =
            ["append", "get", "zadd", "zrangebylex", "sadd", "smembers", "eval"];
        self.sum("commandstats", |line| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let micros = figures.split(',').find_map(|it| it.strip_prefix("usec="))?;
            NAMES.contains(&name).then(|| micros.parse().ok())?
        })
    }

    /// Removes all keys.
    pub(crate) fn clear(&self) {
        for port in self.primaries() {
            assert!(self.ask(port, &["FLUSHALL", "SYNC"]).contains("OK"));
        }
    }

    fn sum(&self, section: &str, figure: impl Fn(&str) -> Option<u64>) -> u64 {
        let all = self.primaries();
        let texts = all.iter().map(|it| self.ask(*it, &["INFO", section]));
        texts.map(|it| it.lines().filter_map(&figure).sum::<u64>()).sum()
    }

    /// Waits until all slots are served, and replicas are connected.
    pub(crate) fn wait_until_whole(&self) {
        self.until("the cluster is whole", |it| {
            let primaries = it.primaries();
            let is_ok = |port: &u16| {
                it.ask(*port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && it.ask(*port, &["INFO", "replication"]).contains("state=online")
            };
            primaries.len() >= PRIMARIES && primaries.iter().all(is_ok)
        });
    }

    /// Waits for something.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let clock = Clock::system();
        while !is_so(self) {
            assert!(clock.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}: {}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The last lines of what the last node logged.
    fn log(&self) -> String {
        let port = self.nodes.last().map_or(0, |it| it.port).to_string();
        let log = std::fs::read_to_string(self.folder.path().join(port).join("log"));
        let log = log.unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.join(" | ")
    }

    fn node(&mut self, port: u16) -> &mut Node {
        self.nodes.iter_mut().find(|it| it.port == port).unwrap()
    }

    fn spawn(&self, port: u16) -> Child {
        let folder = self.folder.path().join(port.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let timeout = NODE_TIMEOUT_MS.to_string();
        let port = port.to_string();
        let (plain, tls) = if self.secured.is_some() { ("0", &*port) } else { (&*port, "0") };
        Command::new(&self.program)
            .current_dir(&folder)
            .args(["--port", plain, "--tls-port", tls, "--bind", "127.0.0.1"])
            .args(["--cluster-enabled", "yes"])
            .args(["--cluster-node-timeout", &timeout, "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "everysec", "--cluster-allow-reads-when-down", "no"])
            .args(["--repl-diskless-sync-delay", "0", "--daemonize", "no"])
            .args(&self.options)
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.process.kill().ok();
            node.process.wait().ok();
        }
    }
}

/// Says something that the test harness does not hold back.
fn say(line: &str) {
    let mut screen = std::io::stderr();
    screen.write_all(line.as_bytes()).and_then(|()| screen.write_all(b"\n")).unwrap();
}

/// A port that is free, and whose port for the cluster's own talk is a port.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
