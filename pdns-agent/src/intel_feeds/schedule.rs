//! When a feed is due.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Wait after the first failure, in seconds.
const FIRST_WAIT: u64 = 300;
/// Longest wait after a failure, in seconds.
const LONGEST_WAIT: u64 = 86_400;

/// The last attempts to fetch a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    /// Time of the last attempt, in seconds since the epoch.
    pub last: Option<u32>,
    /// Number of failures since the last success.
    pub failures: u32,
    /// Time for which the server does not want to be asked again, in seconds.
    pub retry_after: u32,
}

impl Attempts {
    /// The attempts after a success at `now`.
    #[must_use]
    pub fn after_success(now: u32) -> Self {
        Self { last: Some(now), failures: 0, retry_after: 0 }
    }

    /// The attempts after a failure at `now`.
    #[must_use]
    pub fn after_failure(self, now: u32, retry_after: Option<Duration>) -> Self {
        let wait = retry_after.map_or(0, |wait| wait.as_secs().min(LONGEST_WAIT));
        Self {
            last: Some(now),
            failures: self.failures.saturating_add(1),
            retry_after: u32::try_from(wait).unwrap_or(0),
        }
    }

    /// The time at which a feed is due, in seconds since the epoch: one interval after a success. After a failure five
    /// minutes, and twice as long after each further one, up to a day; but not before the server wants it, nor, for
    /// feeds with a shorter interval, earlier than that.
    #[must_use]
    pub fn due_at(self, interval: Duration) -> u32 {
        let Some(last) = self.last else { return 0 };
        let interval = interval.as_secs();
        let wait = match self.failures {
            0 => interval,
            failures => {
                let backoff = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16));
                backoff.min(LONGEST_WAIT).max(interval.min(FIRST_WAIT)).max(self.retry_after.into())
            }
        };
        last.saturating_add(u32::try_from(wait).unwrap_or(u32::MAX))
    }

    /// Returns true if a feed is due at `now`. A last attempt in the future, after the clock was set back, does not
    /// count.
    #[must_use]
    pub fn is_due(self, interval: Duration, now: u32) -> bool {
        now >= self.due_at(interval) || self.last.is_some_and(|last| last > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_due_after_its_interval_and_failures_back_off() {
        let day = Duration::from_hours(24);
        let mut attempts = Attempts::default();
        assert!(attempts.is_due(day, 0));
        attempts = Attempts::after_success(1_000_000);
        assert!(!attempts.is_due(day, 1_086_399) && attempts.is_due(day, 1_086_400));
        assert!(attempts.is_due(day, 999_999), "the clock was set back");
        let mut waits = Vec::new();
        for _ in 0..12 {
            attempts = attempts.after_failure(1_000_000, None);
            waits.push(attempts.due_at(day) - 1_000_000);
        }
        assert_eq!(waits[..4], [300, 600, 1_200, 2_400]);
        assert_eq!(waits.last(), Some(&86_400));
        let asked = Attempts::default().after_failure(0, Some(Duration::from_hours(2)));
        assert_eq!(asked.due_at(day), 7_200);
        let asked = Attempts::default().after_failure(0, Some(Duration::from_secs(1 << 40)));
        assert_eq!(asked.due_at(day), 86_400);
        let last = Attempts { last: Some(u32::MAX), failures: u32::MAX, retry_after: u32::MAX };
        assert_eq!(last.due_at(Duration::MAX), u32::MAX);
    }
}
