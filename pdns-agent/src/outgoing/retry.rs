//! When a failed request is repeated.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait for a server that names a time with `Retry-After`.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Time to wait before repetition `number` (from 0): twice as long each time, and between half and all of that at random,
/// so that clients which failed together do not return together.
pub(super) fn backoff(base: Duration, number: u32) -> Duration {
    let longest = base.saturating_mul(1 << number.min(6)).min(LONGEST_WAIT);
    // Each state is seeded at random.
    let random = RandomState::new().build_hasher().finish() % 512;
    let share = f64::from(u16::try_from(random).unwrap_or(0)) / 1024.0;
    longest.mul_f64(0.5 + share)
}

/// Parses `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_with_jitter_and_has_a_bound() {
        for number in 0..40 {
            let wait = backoff(Duration::from_secs(1), number);
            let most = Duration::from_secs(1 << number.min(6)).min(LONGEST_WAIT);
            assert!(wait >= most / 2 && wait <= most, "{number}: {wait:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        let parse = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(parse("120"), Some(120));
        assert_eq!(parse("Wed, 21 Oct 2015 07:28:00 GMT"), Some(10));
        assert_eq!(parse("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        for wrong in ["", "-1", "soon", "1.5"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
