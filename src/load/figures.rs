//! The figures of a load test, as they are printed in JSON. Knows no calls.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::tally::{Latency, Tally};

/// Everything.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Articles stored before the first question.
    pub articles: u64,
    /// What they follow from.
    pub seed: u64,
    /// Callers of the closed loops.
    pub in_flight: usize,
    /// Connections, each with one stream where streams are measured.
    pub connections: usize,
    /// Seconds of each phase.
    pub seconds: f64,
    /// Processors of this machine, which client, server and echo share.
    pub processors: usize,
    /// `PutArticles` with all the articles.
    pub put_stream: Figures,
    /// The echo, unary, round about with `unary`.
    pub echo: Figures,
    /// `MatchTeaser`.
    pub unary: Figures,
    /// The echo, by streams.
    pub echo_stream: Figures,
    /// `MatchTeasers`.
    pub stream: Figures,
    /// `unary` to `echo`, `stream` to `echo_stream`.
    pub share_of_echo: Shares,
    /// `FindDuplicates` with articles of 5.6 KB.
    pub find_duplicates: Figures,
    /// `AnalyzePage` with pages of 6 KB.
    pub analyze_page: Figures,
    /// A closed loop of all that `--mix` names.
    pub mixed: MixFigures,
    /// Open loops of the same, by rate.
    pub open_loop: Vec<MixFigures>,
    /// The server.
    pub server: Server,
}

/// One kind of calls.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Answers a second: of rounds, the median.
    pub per_second: f64,
    /// Latencies: of rounds, the medians. Of streams, none.
    #[serde(flatten)]
    pub latency: Option<Latency>,
    /// Answers.
    pub answered: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Answers that are not the right ones.
    pub wrong: u64,
    /// `errors` by code.
    pub errors_by_code: BTreeMap<String, u64>,
    /// How long it took.
    pub seconds: f64,
    /// Microseconds of a processor that the server took for an answer.
    pub server_cpu_us: Option<f64>,
    /// Microseconds of a processor that the client took for an answer.
    pub client_cpu_us: Option<f64>,
    /// Answers a second of each round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<f64>,
}

impl Figures {
    /// What a tally counted in some time.
    pub fn of(tally: &Tally, latency: Option<Latency>, seconds: f64) -> Self {
        Self {
            per_second: tally.answered as f64 / seconds.max(1e-9),
            latency,
            answered: tally.answered,
            errors: tally.failed(),
            wrong: tally.wrong,
            errors_by_code: tally.errors.clone(),
            seconds,
            ..Self::default()
        }
    }

    /// Of rounds of the same: the medians of rates and latencies, the sums of counts.
    pub fn of_rounds(rounds: &[Self]) -> Self {
        let latencies: Vec<Latency> = rounds.iter().filter_map(|it| it.latency).collect();
        let middle = |of: fn(&Latency) -> f64| median(latencies.iter().map(of).collect());
        let cpu = |of: fn(&Self) -> Option<f64>| {
            let known: Vec<f64> = rounds.iter().filter_map(of).collect();
            (!known.is_empty()).then(|| median(known))
        };
        let mut errors_by_code = BTreeMap::<String, u64>::new();
        for (code, count) in rounds.iter().flat_map(|it| &it.errors_by_code) {
            *errors_by_code.entry(code.clone()).or_default() += count;
        }
        let rates: Vec<f64> = rounds.iter().map(|it| it.per_second).collect();
        Self {
            per_second: median(rates.clone()),
            latency: (!latencies.is_empty()).then(|| Latency {
                p50_ms: middle(|it| it.p50_ms),
                p90_ms: middle(|it| it.p90_ms),
                p99_ms: middle(|it| it.p99_ms),
                p999_ms: middle(|it| it.p999_ms),
                max_ms: latencies.iter().map(|it| it.max_ms).fold(0.0, f64::max),
            }),
            answered: rounds.iter().map(|it| it.answered).sum(),
            errors: rounds.iter().map(|it| it.errors).sum(),
            wrong: rounds.iter().map(|it| it.wrong).sum(),
            errors_by_code,
            seconds: rounds.iter().map(|it| it.seconds).sum(),
            server_cpu_us: cpu(|it| it.server_cpu_us),
            client_cpu_us: cpu(|it| it.client_cpu_us),
            rounds: rates,
        }
    }
}

/// Medians over rounds, each with the echo's round next to it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Shares {
    /// Unary calls a second by the echo's.
    pub unary: f64,
    /// The unary 99th percentile by the echo's.
    pub unary_p99: f64,
    /// Items of streams a second by the echo's.
    pub stream: f64,
}

/// A mix of calls.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MixFigures {
    /// Calls a second that were asked for, of an open loop.
    pub rate: Option<f64>,
    /// Answers a second of all kinds.
    pub per_second: f64,
    /// `PutArticle`.
    pub puts: Option<Figures>,
    /// `MatchTeaser`.
    pub teasers: Option<Figures>,
    /// `FindDuplicates`.
    pub duplicates: Option<Figures>,
}

impl MixFigures {
    /// What it consists of, by name.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Figures)> {
        [("puts", &self.puts), ("teasers", &self.teasers), ("duplicates", &self.duplicates)]
            .into_iter()
            .filter_map(|(name, it)| Some((name, it.as_ref()?)))
    }
}

/// What is known of the server; nothing of one that was not started here.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Server {
    /// Resident memory once started on the stored articles.
    pub rss_bytes: Option<u64>,
    /// Resident memory at most, before that start: with all that calls needed.
    pub rss_peak_bytes: Option<u64>,
    /// Bytes of its folder on the disk.
    pub disk_bytes: Option<u64>,
    /// Seconds from its start until its health is SERVING.
    pub ready_seconds: Option<f64>,
}

impl Report {
    /// Calls that failed or were answered wrongly, in all phases.
    pub fn failures(&self) -> u64 {
        let mixes = std::iter::once(&self.mixed).chain(&self.open_loop);
        [
            &self.put_stream,
            &self.echo,
            &self.unary,
            &self.echo_stream,
            &self.stream,
            &self.find_duplicates,
            &self.analyze_page,
        ]
        .into_iter()
        .chain(mixes.flat_map(|it| it.parts().map(|it| it.1)))
        .map(|it| it.errors + it.wrong)
        .sum()
    }
}

/// The median; of an even number, the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    f64::midpoint(
        values.get(low).copied().unwrap_or_default(),
        values.get(high).copied().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        assert_eq!(median(Vec::new()).to_bits(), 0.0_f64.to_bits());
    }
}
