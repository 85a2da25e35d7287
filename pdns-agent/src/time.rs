//! Points in time, in the units of the whole system: UTC, microseconds while data flows.
//!
//! Layer 0. The store, COF and DNSDB use whole seconds; [`Timestamp::seconds`] is the only place where the
//! fraction is cut off.

/// A point in time: microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Converts from microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Converts from whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1_000_000)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down; `None` outside 1970-01-01 to 2106-02-07, which the
    /// store's 32 bits cannot represent.
    #[must_use]
    pub fn seconds(self) -> Option<u32> {
        u32::try_from(self.0.div_euclid(1_000_000)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_and_refuse_what_32_bits_cannot_hold() {
        assert_eq!(Timestamp::from_micros(1_999_999).seconds(), Some(1));
        assert_eq!(Timestamp::from_micros(-1).seconds(), None);
        assert_eq!(Timestamp::from_seconds(u32::MAX).seconds(), Some(u32::MAX));
        assert_eq!(Timestamp::from_micros((i64::from(u32::MAX) + 1) * 1_000_000).seconds(), None);
    }
}
