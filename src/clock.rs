//! Time, as a value that is passed in. The only caller of the system's clocks;
//! tests use a clock that they move by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { origin: Instant },
    Manual { now_ms: Arc<AtomicU64> },
}

impl Clock {
    /// The system's clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn system() -> Self {
        Self(Source::System { origin: Instant::now() })
    }

    /// A clock that stands at `now_ms` milliseconds after the Unix epoch until
    /// [`Clock::advance`] moves it.
    pub fn manual(now_ms: u64) -> Self {
        Self(Source::Manual { now_ms: Arc::new(AtomicU64::new(now_ms)) })
    }

    /// Milliseconds since the Unix epoch; 0 before it.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn unix_ms(&self) -> u64 {
        match &self.0 {
            Source::System { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Source::Manual { now_ms } => now_ms.load(Ordering::Relaxed),
        }
    }

    /// Time that has passed since the clock was made; never goes back.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System { origin } => origin.elapsed(),
            Source::Manual { now_ms } => Duration::from_millis(now_ms.load(Ordering::Relaxed)),
        }
    }

    /// Time that has passed since [`Clock::elapsed`] gave `start`.
    pub fn since(&self, start: Duration) -> Duration {
        self.elapsed().saturating_sub(start)
    }

    /// Moves a manual clock forward; the system's clocks do not obey.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { now_ms } = &self.0 {
            let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            now_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }
}
