//! What came of the calls of one kind: how long they took, and which were wrong
//! or failed. Knows no calls.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tonic::Code;

use crate::client::ClientError;

/// Latencies are counted in microseconds up to this one, to three digits.
const LATENCY_US_MAX: u64 = 120_000_000;
const DIGITS: u8 = 3;

/// Calls of one kind.
#[derive(Debug, Default)]
pub struct Tally {
    latencies: Option<Histogram<u32>>,
    /// Calls that were answered, rightly or not.
    pub answered: u64,
    /// Answers that were not the ones they had to be.
    pub wrong: u64,
    /// Calls that failed, by the name of their code.
    pub errors: BTreeMap<String, u64>,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "their unit")]
pub struct Latency {
    /// Half of the calls took no longer.
    pub p50_ms: f64,
    /// Nine of ten took no longer.
    pub p90_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// 999 of 1,000 took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Tally {
    /// Counts one call.
    pub fn count(&mut self, latency: Duration, outcome: &Result<bool, ClientError>) {
        let latencies = self.latencies.get_or_insert_with(histogram);
        latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.count_untimed(outcome);
    }

    /// Counts one item of a stream, whose time is not its own.
    pub fn count_untimed(&mut self, outcome: &Result<bool, ClientError>) {
        match outcome {
            Ok(is_right) => {
                self.answered += 1;
                self.wrong += u64::from(!is_right);
            }
            Err(error) => self.fail(code_name(error), 1),
        }
    }

    /// Counts calls that failed.
    pub fn fail(&mut self, code: impl Into<String>, count: u64) {
        *self.errors.entry(code.into()).or_default() += count;
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Self) {
        if let Some(theirs) = &other.latencies {
            let mine = self.latencies.get_or_insert_with(histogram);
            // Both have the same bounds, so that nothing can be out of them.
            mine.add(theirs).ok();
        }
        self.answered += other.answered;
        self.wrong += other.wrong;
        for (code, count) in &other.errors {
            self.fail(code.as_str(), *count);
        }
    }

    /// Calls that failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The percentiles of what was counted.
    pub fn latency(&self) -> Latency {
        self.latencies.as_ref().map(percentiles).unwrap_or_default()
    }

    /// The percentiles that callers would have seen who ask every `interval`,
    /// whether or not the call before is answered: where a call took many
    /// intervals, those that a closed loop left out are counted as waiting for it.
    pub fn latency_corrected(&self, interval: Duration) -> Latency {
        let interval = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
        let corrected = self.latencies.as_ref().map(|it| it.clone_correct(interval));
        corrected.as_ref().map(percentiles).unwrap_or_default()
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants")]
fn histogram() -> Histogram<u32> {
    Histogram::new_with_max(LATENCY_US_MAX, DIGITS).expect("1 < max and 0 <= digits <= 5")
}

fn percentiles(it: &Histogram<u32>) -> Latency {
    let ms = |quantile: f64| it.value_at_quantile(quantile) as f64 / 1e3;
    Latency {
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        p999_ms: ms(0.999),
        max_ms: it.max() as f64 / 1e3,
    }
}

fn code_name(error: &ClientError) -> String {
    let code = match error {
        ClientError::Refused { code, .. } => *code,
        ClientError::Address { .. }
        | ClientError::Scheme { .. }
        | ClientError::Token
        | ClientError::Tls { .. }
        | ClientError::Unreachable { .. } => Code::Unavailable,
    };
    format!("{code:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_for_the_calls_that_were_not_made() {
        let mut tally = Tally::default();
        for _ in 0..99 {
            tally.count(Duration::from_millis(1), &Ok(true));
        }
        tally.count(Duration::from_millis(100), &Ok(false));
        assert!(tally.latency().p90_ms < 1.1);
        let corrected = tally.latency_corrected(Duration::from_millis(1));
        assert!((75.0..85.0).contains(&corrected.p90_ms), "{corrected:?}");
        assert_eq!((tally.answered, tally.wrong, tally.failed()), (100, 1, 0));
    }

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::default();
        one.count(Duration::from_millis(2), &Ok(true));
        let refused = ClientError::Refused {
            code: Code::ResourceExhausted,
            message: String::new(),
            reason: String::new(),
        };
        let mut sum = Tally::default();
        sum.count(Duration::from_millis(4), &Err(refused));
        sum.add(&one);
        assert_eq!((sum.answered, sum.failed()), (1, 1));
        assert_eq!(sum.errors.get("ResourceExhausted"), Some(&1));
        assert!((3.9..4.1).contains(&sum.latency().max_ms));
    }
}
