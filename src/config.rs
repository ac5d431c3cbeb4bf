//! Configuration: what was typed, in flags, in the environment and in a file,
//! and what it resolves to. Every mistake is reported at once, with where it
//! stands.

mod access;
mod cluster;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::access::{INSECURE, TLS_CERT, TLS_CLIENT_CA, TLS_KEY, TOKENS};
use crate::config::cluster::{
    CLUSTER, CLUSTER_ARTICLES, CLUSTER_PASSWORD, CLUSTER_PREFIX, CLUSTER_READ_FROM_REPLICAS,
    CLUSTER_REPLICAS, CLUSTER_TIMEOUT_SECONDS, CLUSTER_TLS_CA, CLUSTER_USER, STORE,
};
use crate::service::Settings;
use crate::text::cues::{CueError, Cues};

/// The prefix of environment variables: `DOUBLON_LISTEN` is `listen`.
pub const ENV_PREFIX: &str = "DOUBLON_";
/// Variables with the prefix that are not the server's: the client's, and the
/// one that names the file.
const ENV_OTHER: [&str; 7] = [
    "DOUBLON_SERVER",
    "DOUBLON_CONFIG",
    "DOUBLON_OUTPUT",
    "DOUBLON_TOKEN",
    "DOUBLON_TLS_CA",
    "DOUBLON_CLIENT_CERT",
    "DOUBLON_CLIENT_KEY",
];

/// A key of the configuration, with its default and what it means.
#[derive(Debug, Clone, Copy)]
struct Key {
    name: &'static str,
    default: &'static str,
}

const LISTEN: Key = Key { name: "listen", default: "127.0.0.1:50051" };
const DATA_DIR: Key = Key { name: "data_dir", default: "./doublon-data" };
const IN_MEMORY: Key = Key { name: "in_memory", default: "false" };
const NO_TEXT: Key = Key { name: "no_text", default: "false" };
const CHECK_PAGES: Key = Key { name: "check_pages", default: "false" };
const CACHE_MIB: Key = Key { name: "cache_mib", default: "256" };
const DRAIN_SECONDS: Key = Key { name: "drain_seconds", default: "10" };
const LOG: Key = Key { name: "log", default: "info" };
const LOG_FORMAT: Key = Key { name: "log_format", default: "text" };
/// A file of cues; none by default.
const CUES: Key = Key { name: "cues", default: "" };
const RETENTION: Key = Key { name: "retention", default: "forever" };
const TEASER_RETENTION: Key = Key { name: "teaser_retention", default: "30d" };
const TEASERS_MAX: Key = Key { name: "teasers_max", default: "1000000" };
const KEYS: [Key; 28] = [
    LISTEN,
    DATA_DIR,
    IN_MEMORY,
    NO_TEXT,
    CHECK_PAGES,
    CACHE_MIB,
    DRAIN_SECONDS,
    LOG,
    LOG_FORMAT,
    CUES,
    RETENTION,
    TEASER_RETENTION,
    TEASERS_MAX,
    TOKENS,
    TLS_CERT,
    TLS_KEY,
    TLS_CLIENT_CA,
    INSECURE,
    STORE,
    CLUSTER,
    CLUSTER_USER,
    CLUSTER_PASSWORD,
    CLUSTER_TLS_CA,
    CLUSTER_PREFIX,
    CLUSTER_ARTICLES,
    CLUSTER_REPLICAS,
    CLUSTER_TIMEOUT_SECONDS,
    CLUSTER_READ_FROM_REPLICAS,
];

/// Days of a retention, at most: a hundred years.
const RETENTION_DAYS_MAX: u64 = 36_525;

/// Lines of a file of cues that are told to be wrong, at most.
const CUE_MISTAKES_MAX: usize = 10;

/// What was typed in one place: keys and values, each with where it stands.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    entries: Vec<Entry>,
    mistakes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    value: String,
    origin: String,
}

/// The configuration that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Where to listen, as host and port.
    pub listen: String,
    /// The addresses that it stands for; the first that can be is listened on.
    pub addresses: Vec<SocketAddr>,
    /// What the service is run with.
    pub settings: Settings,
    /// What is logged, as `tracing` filters have it.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// How lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is wrong: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Typed {
    /// From command line flags: names as in `--data-dir`, `None` where a flag
    /// was not given.
    pub fn from_flags<'a>(flags: impl IntoIterator<Item = (&'a str, Option<String>)>) -> Self {
        let entries = flags.into_iter().filter_map(|(flag, value)| {
            let key = flag.trim_start_matches('-').replace('-', "_");
            Some(Entry { key, value: value?, origin: flag.to_owned() })
        });
        Self { entries: entries.collect(), mistakes: Vec::new() }
    }

    /// From environment variables; those without the prefix are not looked at.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let entries = variables
            .into_iter()
            .filter(|(name, _)| !ENV_OTHER.contains(&name.as_str()))
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(ENV_PREFIX)?.to_lowercase();
                Some(Entry { key, value, origin: name })
            });
        Self { entries: entries.collect(), mistakes: Vec::new() }
    }

    /// From a TOML file of this name.
    pub fn from_toml(name: &str, text: &str) -> Self {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(0, |it| it.start);
                let line = text.get(..at).unwrap_or_default().lines().count().max(1);
                let mistake = format!("{name} is not TOML: line {line}: {}", error.message());
                return Self { entries: Vec::new(), mistakes: vec![mistake] };
            }
        };
        let mut typed = Self::default();
        for (key, value) in table {
            let origin = format!("{key} in {name}");
            let value = match &value {
                toml::Value::String(it) => it.clone(),
                toml::Value::Integer(it) => it.to_string(),
                toml::Value::Boolean(it) => it.to_string(),
                toml::Value::Float(_)
                | toml::Value::Datetime(_)
                | toml::Value::Array(_)
                | toml::Value::Table(_) => {
                    let kind = value.type_str();
                    typed.mistakes.push(format!("{origin} is a TOML {kind}, not a single value"));
                    continue;
                }
            };
            typed.entries.push(Entry { key, value, origin });
        }
        typed
    }
}

/// Resolves what was typed; the first source that has a key wins.
pub fn resolve(sources: &[Typed]) -> Result<Resolved, ConfigError> {
    let mut resolver = Resolver { sources, mistakes: Vec::new() };
    resolver.reject_unknown();
    let listen = resolver.value(LISTEN, "an address and a port, as 127.0.0.1:50051", |it| {
        let addresses: Vec<_> = it.to_socket_addrs().ok()?.collect();
        (!addresses.is_empty()).then(|| (it.to_owned(), addresses))
    });
    let data_dir = resolver
        .value(DATA_DIR, "a folder", |it| (!it.trim().is_empty()).then(|| PathBuf::from(it)));
    let in_memory = resolver.in_memory();
    let cache = resolver.value(CACHE_MIB, "1 to 1048576", |it| number(it, 1, 1 << 20));
    let drain = resolver.value(DRAIN_SECONDS, "0 to 3600", |it| number(it, 0, 3600));
    let log = resolver.value(LOG, "a level (error, warn, info, debug, trace) or a filter", |it| {
        is_log_filter(it).then(|| it.to_owned())
    });
    let log_format = resolver.value(LOG_FORMAT, "text or json", |it| match it {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let no_text = resolver.value(NO_TEXT, "true or false", |it| it.parse::<bool>().ok());
    let checks_pages = resolver.value(CHECK_PAGES, "true or false", |it| it.parse::<bool>().ok());
    let retention = resolver.value(RETENTION, DURATIONS_OR_FOREVER, |it| {
        if it == "forever" { Some(None) } else { duration(it).map(Some) }
    });
    let teaser_retention = resolver.value(TEASER_RETENTION, DURATIONS, duration);
    let teasers_max =
        resolver.value(TEASERS_MAX, "1 to 100000000", |it| number(it, 1, 100_000_000));
    let cluster = resolver.cluster();
    let cues = resolver.cues();
    let security = resolver.security(listen.as_ref().map_or(&[], |it| it.1.as_slice()));
    match (listen, data_dir, in_memory, cache, drain, log, log_format) {
        (
            Some((listen, addresses)),
            Some(data_dir),
            Some(in_memory),
            Some(cache),
            Some(drain),
            Some(log),
            Some(log_format),
        ) if resolver.mistakes.is_empty() => {
            let settings = Settings {
                data_dir: (!in_memory && cluster.is_none()).then_some(data_dir),
                cluster,
                keeps_text: no_text == Some(false),
                checks_pages: checks_pages == Some(true),
                cache_bytes: cache << 20,
                drain_timeout: Duration::from_secs(drain as u64),
                cues: Arc::new(cues),
                retention: retention.flatten(),
                teaser_retention: teaser_retention.unwrap_or_default(),
                teasers_max: teasers_max.unwrap_or_default() as u64,
                security,
            };
            Ok(Resolved { listen, addresses, settings, log, log_format })
        }
        _ => Err(ConfigError(resolver.mistakes)),
    }
}

struct Resolver<'a> {
    sources: &'a [Typed],
    mistakes: Vec<String>,
}

impl Resolver<'_> {
    fn reject_unknown(&mut self) {
        for source in self.sources {
            self.mistakes.extend(source.mistakes.iter().cloned());
            for entry in &source.entries {
                if !KEYS.iter().any(|it| it.name == entry.key) {
                    let known: Vec<&str> = KEYS.iter().map(|it| it.name).collect();
                    let known = known.join(", ");
                    self.mistakes.push(format!("{} is not known (known: {known})", entry.origin));
                }
            }
        }
    }

    /// Whether the articles are kept in memory: the first source that says where
    /// they are kept decides, by either key.
    fn in_memory(&mut self) -> Option<bool> {
        let in_memory = self.value(IN_MEMORY, "true or false", |it| it.parse::<bool>().ok())?;
        for source in self.sources {
            let has = |key: Key| source.entries.iter().any(|it| it.key == key.name);
            match (has(DATA_DIR), has(IN_MEMORY)) {
                (true, true) if in_memory => {
                    let mistake = "data_dir and in_memory exclude each other: give one of them";
                    self.mistakes.push(mistake.to_owned());
                    return None;
                }
                (true, _) => return Some(false),
                (false, true) => return Some(in_memory),
                (false, false) => {}
            }
        }
        Some(in_memory)
    }

    /// The built-in cues with those of a file, whose mistakes are told line by
    /// line.
    fn cues(&mut self) -> Cues {
        let mut cues = Cues::builtin().clone();
        let entry = self.sources.iter().flat_map(|it| &it.entries).find(|it| it.key == CUES.name);
        let Some(Entry { value: file, origin, .. }) = entry else { return cues };
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let errors = cues.add(&text).err().unwrap_or_default();
                let told = |it: &CueError| format!("{file} ({origin}), {it}");
                self.mistakes.extend(errors.iter().take(CUE_MISTAKES_MAX).map(told));
                if errors.len() > CUE_MISTAKES_MAX {
                    let more = errors.len() - CUE_MISTAKES_MAX;
                    self.mistakes.push(format!("{file} ({origin}), and {more} lines more"));
                }
            }
            Err(error) => {
                self.mistakes.push(format!("{origin} is {file:?}, which cannot be read: {error}"));
            }
        }
        cues
    }

    fn value<T>(
        &mut self,
        key: Key,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut entries = self.sources.iter().flat_map(|it| &it.entries);
        let Some(entry) = entries.find(|it| it.key == key.name) else { return parse(key.default) };
        let parsed = parse(&entry.value);
        if parsed.is_none() {
            let Entry { value, origin, .. } = entry;
            self.mistakes.push(format!("{origin} is {value:?}, it must be {allowed}"));
        }
        parsed
    }
}

/// Whether a log filter says something: `EnvFilter` takes any single word as the
/// name of a target, also a level that is misspelt.
fn is_log_filter(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let means = |part: &str| part.contains('=') || LEVELS.contains(&part.trim());
    text.split(',').all(means) && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

const DURATIONS: &str = "a time as 90d, 36h, 30m or 45s, at most 36525d";
const DURATIONS_OR_FOREVER: &str = "forever, or a time as 90d, 36h, 30m or 45s, at most 36525d";

/// A time as "90d".
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => DAY_SECONDS,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = count.checked_mul(seconds)?;
    (1..=RETENTION_DAYS_MAX * DAY_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
}

const DAY_SECONDS: u64 = 24 * 3600;

fn number(text: &str, min: usize, max: usize) -> Option<usize> {
    text.parse().ok().filter(|it| (min..=max).contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Typed {
        Typed::from_env(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn defaults_hold_where_nothing_is_typed() {
        let resolved = resolve(&[]).unwrap();
        assert_eq!(resolved.listen, "127.0.0.1:50051");
        assert_eq!(resolved.settings.data_dir, Some(PathBuf::from("./doublon-data")));
        assert_eq!(resolved.settings.cache_bytes, 256 << 20);
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_the_file() {
        let flags = Typed::from_flags([("--listen", Some("[::1]:1".to_owned())), ("--log", None)]);
        let env = env(&[("DOUBLON_LISTEN", "[::1]:2"), ("DOUBLON_LOG", "debug"), ("HOME", "/")]);
        let file = Typed::from_toml("f", "listen = \"[::1]:3\"\nlog = \"warn\"\ncache_mib = 7");
        let resolved = resolve(&[flags, env, file]).unwrap();
        assert_eq!(resolved.listen, "[::1]:1");
        assert_eq!(resolved.log, "debug");
        assert_eq!(resolved.settings.cache_bytes, 7 << 20);
    }

    #[test]
    fn in_memory_wins_over_a_folder_of_a_weaker_source_and_clashes_in_one() {
        let flags = Typed::from_flags([("--in-memory", Some("true".to_owned()))]);
        let resolved = resolve(&[flags, env(&[("DOUBLON_DATA_DIR", "/x")])]).unwrap();
        assert_eq!(resolved.settings.data_dir, None);
        let file = Typed::from_toml("f", "in_memory = true");
        let env_folder = env(&[("DOUBLON_DATA_DIR", "/x")]);
        let folder = Some(PathBuf::from("/x"));
        assert_eq!(resolve(&[env_folder, file.clone()]).unwrap().settings.data_dir, folder);
        let flags = Typed::from_flags([("--data-dir", Some("/x".to_owned()))]);
        let env_memory = env(&[("DOUBLON_IN_MEMORY", "true")]);
        assert_eq!(resolve(&[flags, env_memory, file]).unwrap().settings.data_dir, folder);
        let both = Typed::from_toml("f", "data_dir = \"x\"\nin_memory = true");
        assert!(resolve(&[both]).unwrap_err().to_string().contains("exclude each other"));
    }

    #[test]
    fn a_file_of_cues_adds_to_the_built_in_ones_and_its_mistakes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cues.txt");
        let name = file.to_str().unwrap().to_owned();
        std::fs::write(&file, "[label]\nvom selben autor\n").unwrap();
        let resolved = resolve(&[env(&[("DOUBLON_CUES", &name)])]).unwrap();
        assert_ne!(*resolved.settings.cues, *Cues::builtin());
        assert_eq!(*resolve(&[]).unwrap().settings.cues, *Cues::builtin());
        std::fs::write(&file, "lost\n[labels]\n").unwrap();
        let wrong = env(&[("DOUBLON_CUES", &name), ("DOUBLON_CACHE_MIB", "0")]);
        let ConfigError(mistakes) = resolve(&[wrong]).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[1].contains("cues.txt (DOUBLON_CUES), line 1: \"lost\""), "{mistakes:?}");
        let absent = resolve(&[env(&[("DOUBLON_CUES", "/nowhere/cues")])]).unwrap_err();
        assert!(absent.to_string().contains("cannot be read"), "{absent}");
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let env = env(&[("DOUBLON_LISTN", "x"), ("DOUBLON_SERVER", "http://x")]);
        let file = Typed::from_toml("f.toml", "listen = 5\nshards = 2\ncache_mib = 0\nlog = []");
        let ConfigError(mistakes) = resolve(&[env, file]).unwrap_err();
        let all = mistakes.join("\n");
        for part in [
            "DOUBLON_LISTN is not known",
            "shards in f.toml is not known",
            "cache_mib in f.toml is \"0\", it must be 1 to 1048576",
            "listen in f.toml is \"5\"",
            "log in f.toml is a TOML array",
        ] {
            assert!(all.contains(part), "{part} not in {all}");
        }
        assert_eq!(mistakes.len(), 5);
        let broken = Typed::from_toml("f.toml", "log = \"info\"\nlisten = ");
        assert!(resolve(&[broken]).unwrap_err().to_string().contains("f.toml is not TOML: line 2"));
        let loud = Typed::from_toml("f.toml", "log = \"loud\"");
        assert!(resolve(&[loud]).unwrap_err().to_string().contains("it must be a level"));
    }
}
