//! Rate limit of one client: a token bucket that fills at a steady rate.

use std::time::{Duration, Instant};

/// Rate and size of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Tokens per second; 0 means no limit.
    pub(super) per_second: u32,
    /// Maximum number of saved tokens, at least 1.
    pub(super) burst: u32,
}

/// The tokens of one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The remaining quota of a client, for the `X-RateLimit` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Maximum number of requests that can be saved up.
    pub(super) limit: u32,
    /// Number of requests left.
    pub(super) remaining: u32,
    /// Time until the bucket is full.
    pub(super) full_in: Duration,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: f64::from(rate.burst), at: now }
    }

    /// Takes `tokens`; the error is the time until there are enough.
    pub(super) fn take(&mut self, rate: Rate, tokens: u32, now: Instant) -> Result<(), Duration> {
        if rate.per_second == 0 {
            return Ok(());
        }
        self.fill(rate, now);
        let lacking = f64::from(tokens) - self.tokens;
        if lacking > 0.0 {
            return Err(Duration::from_secs_f64(lacking / f64::from(rate.per_second)));
        }
        self.tokens -= f64::from(tokens);
        Ok(())
    }

    /// Returns tokens that were taken.
    pub(super) fn give_back(&mut self, rate: Rate, tokens: u32) {
        self.tokens = (self.tokens + f64::from(tokens)).min(f64::from(rate.burst));
    }

    /// Returns the remaining quota; `None` if there is no limit.
    pub(super) fn quota(&mut self, rate: Rate, now: Instant) -> Option<Quota> {
        if rate.per_second == 0 {
            return None;
        }
        self.fill(rate, now);
        let lacking = (f64::from(rate.burst) - self.tokens).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to burst"
        )]
        let remaining = self.tokens.floor() as u32;
        let full_in = Duration::from_secs_f64(lacking / f64::from(rate.per_second));
        Some(Quota { limit: rate.burst, remaining, full_in })
    }

    /// Returns true if the bucket is full, so that it can be replaced by a new one.
    pub(super) fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.tokens >= f64::from(rate.burst)
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens =
            (self.tokens + passed * f64::from(rate.per_second)).min(f64::from(rate.burst));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_spent_and_come_back() {
        let rate = Rate { per_second: 2, burst: 3 };
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut bucket = Bucket::full(rate, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, 1, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(rate, 1, at(0)), Err(Duration::from_millis(500)));
        assert_eq!(bucket.quota(rate, at(0)).unwrap().remaining, 0);
        assert_eq!(bucket.take(rate, 1, at(500)), Ok(()));
        bucket.give_back(rate, 1);
        assert_eq!(bucket.take(rate, 1, at(500)), Ok(()));
        assert!(!bucket.is_full(rate, at(1_000)));
        assert!(bucket.is_full(rate, at(60_000)));
        let quota = Quota { limit: 3, remaining: 3, full_in: Duration::ZERO };
        assert_eq!(bucket.quota(rate, at(60_000)), Some(quota));
    }

    #[test]
    fn a_rate_of_none_limits_nothing() {
        let rate = Rate { per_second: 0, burst: 1 };
        let mut bucket = Bucket::full(rate, Instant::now());
        assert!((0..100).all(|_| bucket.take(rate, 1, Instant::now()).is_ok()));
        assert_eq!(bucket.quota(rate, Instant::now()), None);
    }
}
