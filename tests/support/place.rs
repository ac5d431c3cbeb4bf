//! Where tests keep articles: in memory, or, in the test binary `cluster`, which includes the
//! same tests, in a real cluster that is started for it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use doublon::clock::Clock;
use doublon::cluster::ClusterSettings;
use doublon::index;
use doublon::index::Index;
use doublon::index::memory::MemoryIndex;
use doublon::store::embedded::EmbeddedStore;

use super::redis;

pub(crate) use doublon::index::cluster::Backing as Place;

/// An empty one.
pub(crate) fn place() -> Place {
    match settings(None) {
        Some(settings) => open(settings),
        None => (Arc::new(EmbeddedStore::in_memory().unwrap()), Arc::new(MemoryIndex::default())),
    }
}

/// The same store, opened again.
pub(crate) fn again((store, index): &Place) -> Place {
    // One in memory is made anew.
    let fresh = || Arc::new(MemoryIndex::default()) as Arc<dyn Index>;
    (Arc::clone(store), if index.is_shared() { Arc::clone(index) } else { fresh() })
}

/// The one of a folder, as it was left.
pub(crate) fn place_of(folder: &Path) -> Place {
    if let Some(settings) = settings(Some(folder)) {
        return open(settings);
    }
    let store = EmbeddedStore::open(folder, 1 << 20).unwrap();
    (Arc::new(store), Arc::new(MemoryIndex::default()))
}

fn open(settings: ClusterSettings) -> Place {
    index::cluster::open(settings, Clock::system()).unwrap()
}

/// The cluster of this test binary, if it has one, and a prefix that is new or a folder's.
pub(crate) fn settings(folder: Option<&Path>) -> Option<ClusterSettings> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    if env!("CARGO_CRATE_NAME") != "cluster" {
        return None;
    }
    let seeds: Vec<String> = urls()?.split(',').map(str::to_owned).collect();
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let prefix = match folder {
        Some(folder) => {
            format!("f{:x}", doublon::hash::persistent_64(folder.as_os_str().as_encoded_bytes()))
        }
        None => format!("{}-{made}", module_path!().replace("::", "-").replace("support-", "")),
    };
    let prefix = prefix.chars().rev().take(32).collect::<Vec<_>>().into_iter().rev().collect();
    Some(ClusterSettings { prefix, articles: 20_000, ..ClusterSettings::new(seeds) })
}

/// What the nodes of the cluster are reached by. Each of the included tests has this module
/// of its own, so that a file says whether another has started the cluster.
fn urls() -> Option<String> {
    static URLS: OnceLock<Option<String>> = OnceLock::new();
    URLS.get_or_init(|| {
        let base = std::env::temp_dir().join(format!("doublon-cluster-{}", std::process::id()));
        let (lock, urls) = (base.with_extension("lock"), base.with_extension("urls"));
        let is_first = fs::File::options().write(true).create_new(true).open(&lock).is_ok();
        if is_first {
            let text = start().unwrap_or_default();
            let new = base.with_extension("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &urls).unwrap();
        }
        while !urls.exists() {
            thread::sleep(Duration::from_millis(50));
        }
        let text = fs::read_to_string(&urls).unwrap();
        (!text.is_empty()).then_some(text)
    })
    .clone()
}

/// Starts a cluster that ends with this process.
fn start() -> Option<String> {
    static GUARD: OnceLock<Child> = OnceLock::new();
    let program = redis::server("the conformance suite on a cluster")?;
    let cluster = redis::Cluster::start(program, 1, &[]);
    let urls = cluster.urls();
    let pids: Vec<String> = cluster.pids().iter().map(u32::to_string).collect();
    let base = std::env::temp_dir().join(format!("doublon-cluster-{}", std::process::id()));
    let script = format!("cat >/dev/null; kill -9 {}; rm -rf {}*", pids.join(" "), base.display());
    // It goes on until the pipe to it is closed, by the end of this process.
    let guard = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    GUARD.set(guard).unwrap();
    std::mem::forget(cluster);
    Some(urls)
}

/// What a node says, wherever the key is.
pub(crate) fn cli(settings: &ClusterSettings, command: &[&str]) -> String {
    let (_, port) = settings.seeds.first().unwrap().rsplit_once(':').unwrap();
    let program = redis::client(&redis::server("a look at a node").unwrap());
    let output = Command::new(program).args(["-c", "-p", port]).args(command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
