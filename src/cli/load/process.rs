//! Processes of this same binary: started, watched through /proc, and stopped.
//! Knows no calls.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use doublon::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start: it reads all articles.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// How long it may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_LOOK: Duration = Duration::from_millis(5);

/// A server in a process of its own, which ends with this value.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) address: String,
    /// From its start until it listened.
    pub(super) ready: Duration,
}

impl Process {
    /// Starts this binary with some arguments, and waits until it listens. Blocks.
    pub(super) fn start(arguments: &[&str], clock: &Clock) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("this program's own file is not known")?;
        let mut command = Command::new(binary);
        // The figures are those of the defaults, wherever they are measured.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DOUBLON_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = clock.elapsed();
        let mut child = command.spawn().context("the server cannot be started")?;
        let log = child.stderr.take();
        let mut process = Self { child, address: String::new(), ready: Duration::ZERO };
        process.address = address(log.context("the server has no log")?)?;
        process.ready = clock.since(started);
        Ok(process)
    }

    /// The name of the process in /proc.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end in good order. Blocks.
    pub(super) fn stop(mut self, clock: &Clock) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("the server has no process id")?, Signal::TERM)
            .context("the server cannot be stopped")?;
        let asked = clock.elapsed();
        while clock.since(asked) < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            thread::sleep(STOP_LOOK);
        }
        bail!("the server did not stop within {STOP_TIMEOUT:?}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where a server says that it listens; what it logs afterwards is let go.
fn address(log: ChildStderr) -> anyhow::Result<String> {
    let (found, wait) = mpsc::channel();
    thread::spawn(move || {
        let mut said = String::new();
        // Read to its end: a server whose log is full would stand still.
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            match line.split_once("listening on ") {
                Some((_, address)) => drop(found.send(Ok(address.trim().to_owned()))),
                None => said = line,
            }
        }
        found.send(Err(said)).ok();
    });
    match wait.recv_timeout(START_TIMEOUT) {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(said)) => bail!("the server ended before it listened: {said}"),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            bail!("the server does not listen after {START_TIMEOUT:?}")
        }
    }
}

/// Processor time that a process has taken, where there is a /proc that tells.
pub(super) fn cpu_time(id: u32) -> Option<Duration> {
    const FIELDS_BEFORE_USER_TIME: usize = 11;
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name, which may have blanks, ends with the last bracket.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(FIELDS_BEFORE_USER_TIME);
    let ticks: u64 = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Bytes of memory of a process: resident now (`VmRSS`), or at most (`VmHWM`).
pub(super) fn memory(id: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix(what)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Bytes that the files of a folder take on the disk.
pub(super) fn disk_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    const BLOCK_BYTES: u64 = 512;
    let files = fs::read_dir(folder).ok()?;
    Some(files.filter_map(|it| it.ok()?.metadata().ok()).map(|it| it.blocks() * BLOCK_BYTES).sum())
}
