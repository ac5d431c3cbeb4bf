//! The keys that say where articles are kept, if not on this machine: in a cluster of Valkey
//! or Redis.

use std::time::Duration;

use crate::cluster::{ARTICLES_MAX, ARTICLES_MIN, Cluster, ClusterSettings, PREFIX_BYTES_MAX};
use crate::config::{Key, Resolver, number};

pub(super) const STORE: Key = Key { name: "store", default: "embedded" };
pub(super) const CLUSTER: Key = Key { name: "cluster", default: "" };
pub(super) const CLUSTER_USER: Key = Key { name: "cluster_user", default: "" };
pub(super) const CLUSTER_PASSWORD: Key = Key { name: "cluster_password", default: "" };
pub(super) const CLUSTER_TLS_CA: Key = Key { name: "cluster_tls_ca", default: "" };
pub(super) const CLUSTER_PREFIX: Key = Key { name: "cluster_prefix", default: "doublon" };
pub(super) const CLUSTER_ARTICLES: Key = Key { name: "cluster_articles", default: "1000000" };
pub(super) const CLUSTER_REPLICAS: Key = Key { name: "cluster_replicas", default: "1" };
pub(super) const CLUSTER_TIMEOUT_SECONDS: Key =
    Key { name: "cluster_timeout_seconds", default: "5" };
pub(super) const CLUSTER_READ_FROM_REPLICAS: Key =
    Key { name: "cluster_read_from_replicas", default: "false" };

/// Replicas that must have a write, at most.
const REPLICAS_MAX: usize = 5;
/// Seconds that one batch is tried, at most.
const TIMEOUT_SECONDS_MAX: usize = 600;

impl Resolver<'_> {
    /// The cluster, if articles are kept in one.
    pub(super) fn cluster(&mut self) -> Option<ClusterSettings> {
        let is_cluster = self.value(STORE, "embedded or cluster", |it| match it {
            "embedded" => Some(false),
            "cluster" => Some(true),
            _ => None,
        })?;
        let seeds: Vec<String> = self
            .value(CLUSTER, "", |it| Some(it.to_owned()))?
            .split(',')
            .map(|it| it.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect();
        let text = |it: &str| Some((!it.is_empty()).then(|| it.to_owned()));
        let prefix = self.value(CLUSTER_PREFIX, "1 to 32 letters, digits, - and _", |it| {
            let fits = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
            let is_prefix = (1..=PREFIX_BYTES_MAX).contains(&it.len()) && it.chars().all(fits);
            is_prefix.then(|| it.to_owned())
        })?;
        let (least, most) = (small(ARTICLES_MIN), small(ARTICLES_MAX));
        let allowed = format!("{least} to {most}");
        let articles = self.value(CLUSTER_ARTICLES, &allowed, |it| number(it, least, most))?;
        let replicas = self.value(CLUSTER_REPLICAS, "0 to 5", |it| number(it, 0, REPLICAS_MAX))?;
        let timeout = self
            .value(CLUSTER_TIMEOUT_SECONDS, "1 to 600", |it| number(it, 1, TIMEOUT_SECONDS_MAX))?;
        let reads_from_replicas =
            self.value(CLUSTER_READ_FROM_REPLICAS, "true or false", |it| it.parse::<bool>().ok())?;
        let settings = ClusterSettings {
            username: self.value(CLUSTER_USER, "", text)?,
            password: self.value(CLUSTER_PASSWORD, "", text)?,
            tls_ca: self.file(CLUSTER_TLS_CA),
            prefix,
            reads_from_replicas,
            replicas: u32::try_from(replicas).unwrap_or(1),
            timeout: Duration::from_secs(timeout as u64),
            articles: articles as u64,
            ..ClusterSettings::new(seeds)
        };
        self.check(is_cluster, &settings);
        is_cluster.then_some(settings)
    }

    fn check(&mut self, is_cluster: bool, settings: &ClusterSettings) {
        match (is_cluster, settings.seeds.is_empty()) {
            (true, true) => self.mistakes.push(
                "store is cluster: give some of its nodes with cluster, as \
                 redis://host:6379,redis://other:6379"
                    .to_owned(),
            ),
            (false, false) => self.mistakes.push(
                "cluster names nodes, but store is embedded: give store = cluster".to_owned(),
            ),
            (true, false) => {
                if let Err(error) = Cluster::check(settings) {
                    self.mistakes.push(format!("cluster: {error}"));
                }
            }
            (false, true) => {}
        }
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use crate::config::{ConfigError, Resolved, Typed, resolve};

    fn with(toml: &str) -> Result<Resolved, ConfigError> {
        resolve(&[Typed::from_toml("f", toml)])
    }

    #[test]
    fn a_cluster_is_reached_as_it_is_given() {
        let toml = "store = 'cluster'\ncluster = 'rediss://a:1, rediss://b:2'\n\
                    cluster_replicas = 2\ncluster_user = 'u'\ncluster_password = 'secret'";
        let settings = with(toml).unwrap().settings.cluster.unwrap();
        assert_eq!(settings.seeds, ["rediss://a:1", "rediss://b:2"]);
        assert_eq!((settings.replicas, settings.username.as_deref()), (2, Some("u")));
        assert!(!format!("{settings:?}").contains("secret"));
        assert_eq!(with("").unwrap().settings.cluster, None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (toml, part) in [
            ("store = 'cluster'", "give some of its nodes with cluster"),
            ("cluster = 'redis://a:1'", "but store is embedded"),
            ("store = 'disk'", "it must be embedded or cluster"),
            ("store = 'cluster'\ncluster = 'http://a'", "cluster cannot be reached as given"),
            ("store = 'cluster'\ncluster = 'redis://a,rediss://b'", "are mixed"),
            ("store = 'cluster'\ncluster = 'redis://a/3'", "no numbered databases"),
            ("cluster_prefix = 'a b'", "letters, digits"),
            ("cluster_articles = 1", "it must be 1000 to"),
            ("cluster_replicas = 6", "0 to 5"),
        ] {
            let error = with(toml).unwrap_err().to_string();
            assert!(error.contains(part), "{part} not in {error}");
        }
    }
}
