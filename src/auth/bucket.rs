//! A token bucket: so many requests a second, and a second's worth at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What may be asked a second. Times are those of one [`crate::clock::Clock`].
#[derive(Debug)]
pub struct Bucket {
    rate_per_s: u32,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// Requests that may be made at once; negative where more were made.
    left: f64,
    at: Duration,
}

impl Bucket {
    /// Full.
    pub fn new(rate_per_s: u32, now: Duration) -> Self {
        let level = Level { left: f64::from(rate_per_s.max(1)), at: now };
        Self { rate_per_s: rate_per_s.max(1), level: Mutex::new(level) }
    }

    /// Requests a second.
    pub fn rate_per_s(&self) -> u32 {
        self.rate_per_s
    }

    /// Takes one request, or says how long to wait for it.
    pub fn take(&self, now: Duration) -> Result<(), Duration> {
        self.with(now, |left| {
            if *left < 1.0 {
                return Err(1.0 - *left);
            }
            *left -= 1.0;
            Ok(())
        })
    }

    /// Takes requests that have been made already. Says how long to wait before
    /// the next, if they were too many.
    pub fn charge(&self, count: u32, now: Duration) -> Option<Duration> {
        let charged = self.with(now, |left| {
            *left -= f64::from(count);
            if *left < 0.0 { Err(-*left) } else { Ok(()) }
        });
        charged.err()
    }

    fn with(
        &self,
        now: Duration,
        act: impl FnOnce(&mut f64) -> Result<(), f64>,
    ) -> Result<(), Duration> {
        let rate = f64::from(self.rate_per_s);
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_sub(level.at).as_secs_f64();
        level.left = (level.left + since * rate).min(rate);
        level.at = level.at.max(now);
        act(&mut level.left).map_err(|missing| Duration::from_secs_f64(missing / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_second_s_worth_at_once_then_the_rate() {
        let bucket = Bucket::new(10, SECOND);
        for _ in 0..10 {
            bucket.take(SECOND).unwrap();
        }
        assert_eq!(bucket.take(SECOND), Err(SECOND / 10));
        assert_eq!(bucket.take(SECOND + SECOND / 20), Err(SECOND / 20));
        bucket.take(SECOND + SECOND / 10).unwrap();
        bucket.take(SECOND + SECOND / 10).unwrap_err();
        // Time that goes back gives nothing.
        bucket.take(Duration::ZERO).unwrap_err();
        // No more gathers than a second's worth.
        let later = 100 * SECOND;
        assert_eq!((0..100).filter(|_| bucket.take(later).is_ok()).count(), 10);
    }

    #[test]
    fn what_was_charged_is_waited_for() {
        let bucket = Bucket::new(10, SECOND);
        assert_eq!(bucket.charge(10, SECOND), None);
        assert_eq!(bucket.charge(20, SECOND), Some(2 * SECOND));
        assert_eq!(bucket.charge(0, 2 * SECOND), Some(SECOND));
        assert_eq!(bucket.charge(0, 3 * SECOND), None);
        bucket.take(3 * SECOND).unwrap_err();
    }
}
