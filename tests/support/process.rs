//! The built binary as a server in a process of its own.
#![allow(clippy::panic, clippy::expect_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doublon::client::Client;

pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    log: Arc<Mutex<Vec<String>>>,
}

/// Another binary can be given, that is not replaced while a long test runs.
fn binary() -> String {
    std::env::var("DOUBLON_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_doublon").to_owned())
}

/// Runs the command line; its exit code, and what it said on both outputs.
pub(crate) fn doublon(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

impl Process {
    /// Starts it on a free port and waits until it takes calls.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.arg("serve").args(arguments);
        Self::spawn(command)
    }

    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::start(&["--data-dir", folder.to_str().unwrap()])
    }

    /// The same with some lines of shell before it.
    pub(crate) fn behind(shell: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        let script = format!("{shell}\nexec \"$0\" serve \"$@\"");
        command.args(["-c", &script, &binary()]).args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        for (name, _) in std::env::vars().filter(|it| it.0.starts_with("DOUBLON_")) {
            command.env_remove(name);
        }
        command.args(["--listen", "127.0.0.1:0", "--log", "info"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("the service ended before it listened: {seen:#?}");
            };
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
            seen.push(line);
        };
        let log = Arc::new(Mutex::new(seen));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|it| kept.lock().unwrap().push(it));
        });
        Self { child, address, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address).await.unwrap()
    }

    /// Sends a signal by its name, as in `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        Command::new("kill").args([name, &id]).status().unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let step = Duration::from_millis(5);
        for _ in 0..within.as_millis() / step.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(step).await;
        }
        self.child.try_wait().unwrap()
    }

    /// Bytes of memory now, and at most so far.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find(|it| it.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0)
        };
        (kib("VmRSS:") << 10, kib("VmHWM:") << 10)
    }

    /// Lets the peak of memory begin again.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
