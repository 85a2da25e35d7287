//! Single observations and their sums.
//!
//! Layer 1, the middle of the data flow: `decode` emits [`Observation`]s, `aggregate` merges those of the
//! same tuple into a [`Seen`], `store` merges [`Seen`]s permanently. [`Seen::merge`] is commutative and
//! associative, so the order of logs, windows, sensors and retries does not matter;
//! `store/write/functions.lua` implements the same operation for the rows in Redis.

use crate::name::Name;
use crate::rdata::Rdata;
use crate::rr::RrType;
use std::fmt;
use std::net::IpAddr;

/// Stands between the names of sensors wherever they are listed; no name of a sensor has it.
pub const SENSOR_SEPARATOR: char = ',';

/// One sighting of a tuple in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The owner name of the record, or the QNAME of a negative answer.
    pub rrname: Name<'a>,
    /// Record or negative answer observed under that name.
    pub fact: Fact<'a>,
    /// Whole seconds since the epoch.
    pub at: u32,
    /// TTL in seconds, if the source gives it; at most 2^31-1 (RFC 2181 §8).
    pub ttl: Option<u32>,
    /// Confidence in the owner name and type: exact or inferred.
    pub provenance: Provenance,
}

/// Content of one log line about a tuple: a single observation, or the sum of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregated<'a> {
    /// See [`Observation::rrname`].
    pub rrname: Name<'a>,
    /// Record or negative answer observed under that name.
    pub fact: Fact<'a>,
    /// Count, times and TTLs.
    pub seen: Seen,
}

impl<'a> From<Observation<'a>> for Aggregated<'a> {
    fn from(one: Observation<'a>) -> Self {
        let Observation { rrname, fact, at, ttl, provenance } = one;
        Self { rrname, fact, seen: Seen::once(at, ttl, provenance) }
    }
}

/// Record or negative answer observed under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact<'a> {
    /// A record.
    Record(Rdata<'a>),
    /// A question that got no record.
    Negative {
        /// Type of the question.
        qtype: RrType,
        /// Outcome of the question.
        outcome: Outcome,
    },
}

impl Fact<'_> {
    /// The type of the record or of the question.
    #[must_use]
    pub fn rrtype(self) -> RrType {
        match self {
            Self::Record(rdata) => rdata.rrtype,
            Self::Negative { qtype, .. } => qtype,
        }
    }

    /// The address in an A or AAAA record.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Record(rdata) => rdata.address(),
            Self::Negative { .. } => None,
        }
    }
}

/// Outcome of a question without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome(pub u16);

impl Outcome {
    /// No error and no record: the name exists, the type does not (RFC 2308 §2.2).
    pub const NODATA: Self = Self(0);
    /// Format error.
    pub const FORMERR: Self = Self(1);
    /// The server failed.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server refused to answer.
    pub const REFUSED: Self = Self(5);
    /// No answer was observed. The value lies outside the 12 bits of an extended RCODE (RFC 6891 §6.1.3).
    pub const UNANSWERED: Self = Self(0xffff);

    /// Converts an RCODE, numbered as in IANA's registry; 0 is [`Outcome::NODATA`].
    #[must_use]
    pub fn from_rcode(rcode: u16) -> Self {
        Self(rcode)
    }
}

/// Named outcomes: IANA's "DNS RCODEs", and two of our own.
const OUTCOMES: &[(Outcome, &str)] = &[
    (Outcome::NODATA, "NODATA"),
    (Outcome::FORMERR, "FORMERR"),
    (Outcome::SERVFAIL, "SERVFAIL"),
    (Outcome::NXDOMAIN, "NXDOMAIN"),
    (Outcome(4), "NOTIMP"),
    (Outcome::REFUSED, "REFUSED"),
    (Outcome(6), "YXDOMAIN"),
    (Outcome(7), "YXRRSET"),
    (Outcome(8), "NXRRSET"),
    (Outcome(9), "NOTAUTH"),
    (Outcome(10), "NOTZONE"),
    (Outcome(11), "DSOTYPENI"),
    (Outcome(16), "BADVERS"),
    (Outcome(17), "BADKEY"),
    (Outcome(18), "BADTIME"),
    (Outcome(19), "BADMODE"),
    (Outcome(20), "BADNAME"),
    (Outcome(21), "BADALG"),
    (Outcome(22), "BADTRUNC"),
    (Outcome(23), "BADCOOKIE"),
    (Outcome::UNANSWERED, "UNANSWERED"),
];

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OUTCOMES.iter().find(|(outcome, _)| outcome == self) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&format!("RCODE{}", self.0)),
        }
    }
}

/// Text that is not the name of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no outcome: give unanswered, nodata, or an RCODE such as nxdomain or RCODE16")]
pub struct UnknownOutcome(String);

impl std::str::FromStr for Outcome {
    type Err = UnknownOutcome;

    /// Parses a name or `RCODEnnn`, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        let upper = text.to_ascii_uppercase();
        if let Some(&(outcome, _)) = OUTCOMES.iter().find(|(_, name)| *name == upper) {
            return Ok(outcome);
        }
        upper
            .strip_prefix("RCODE")
            .and_then(|number| number.parse().ok())
            .map(Self)
            .ok_or_else(|| UnknownOutcome(text.to_owned()))
    }
}

/// Source of a record's owner name and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// The source gave both together with the record.
    Exact,
    /// Same as [`Provenance::Exact`], but in a response to a question that was never observed. An attempt at
    /// cache poisoning looks like this, and so does a capture that sees only one direction.
    Unsolicited,
    /// Inferred from a log that gives neither.
    Inferred,
    /// Taken over from another passive DNS system: no sensor of this store saw it.
    Imported,
}

/// Sum of the observations of one tuple.
///
/// The default is the identity of [`Seen::merge`]: no observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Number of answers that contained the tuple, at most [`Seen::MAX_COUNT`]; a lower bound if
    /// [`Seen::AT_LEAST`] is set.
    pub count: u64,
    /// Time of the first observation, in whole seconds since the epoch.
    pub time_first: u32,
    /// Time of the last observation, in whole seconds since the epoch.
    pub time_last: u32,
    /// Smallest TTL; [`Seen::NO_TTL`] if none is known.
    pub ttl_min: u32,
    /// Largest TTL; 0 if none is known.
    pub ttl_max: u32,
    /// TTL of the latest observation, the largest one if several share that second; [`Seen::NO_TTL`] if it
    /// had none.
    pub ttl_last: u32,
    /// Combination of [`Seen::EXACT`], [`Seen::INFERRED`] and [`Seen::UNSOLICITED`]; none of them if everything was
    /// imported. [`Seen::AT_LEAST`] may be added.
    pub flags: u8,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            count: 0,
            time_first: u32::MAX,
            time_last: 0,
            ttl_min: Self::NO_TTL,
            ttl_max: 0,
            ttl_last: Self::NO_TTL,
            flags: 0,
        }
    }
}

impl Seen {
    /// Placeholder for an unknown TTL. No valid TTL is this large (RFC 2181 §8).
    pub const NO_TTL: u32 = u32::MAX;
    /// Largest count: 2^53 - 1. Up to there the numbers of Lua, in which Redis adds up counts, and of JSON readers are
    /// exact.
    pub const MAX_COUNT: u64 = (1 << 53) - 1;
    /// Flag: a source gave owner name and type.
    pub const EXACT: u8 = 1;
    /// Flag: owner name and type were inferred.
    pub const INFERRED: u8 = 2;
    /// Flag: a source gave owner name and type, in a response to a question that was never observed.
    pub const UNSOLICITED: u8 = 4;
    /// Flag: the count is a lower bound.
    pub const AT_LEAST: u8 = 8;
    /// All flags of provenance. A sum of observations without any has only imported ones.
    pub const FLAGS: u8 = Self::EXACT | Self::INFERRED | Self::UNSOLICITED;

    /// A single observation.
    #[must_use]
    pub fn once(at: u32, ttl: Option<u32>, provenance: Provenance) -> Self {
        Self {
            count: 1,
            time_first: at,
            time_last: at,
            ttl_min: ttl.unwrap_or(Self::NO_TTL),
            ttl_max: ttl.unwrap_or(0),
            ttl_last: ttl.unwrap_or(Self::NO_TTL),
            flags: Self::flag(provenance),
        }
    }

    /// The flag for a provenance.
    #[must_use]
    pub fn flag(provenance: Provenance) -> u8 {
        match provenance {
            Provenance::Exact => Self::EXACT,
            Provenance::Inferred => Self::INFERRED,
            Provenance::Unsolicited => Self::UNSOLICITED,
            // The bits of a row are used up, and only this was missing among their combinations.
            Provenance::Imported => 0,
        }
    }

    /// Returns true if no sensor of this store saw it: all of it was imported.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.flags & Self::FLAGS == 0
    }

    /// Returns true if the values can be a sum of observations.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let no_ttl = self.ttl_min == Self::NO_TTL && self.ttl_max == 0;
        self.count > 0
            && self.time_first <= self.time_last
            && (self.ttl_last == Self::NO_TTL
                || (!no_ttl && (self.ttl_min..=self.ttl_max).contains(&self.ttl_last)))
            && self.count <= Self::MAX_COUNT
            && self.flags & !(Self::FLAGS | Self::AT_LEAST) == 0
    }

    /// Returns true if `count` is a lower bound: there may have been more observations.
    #[must_use]
    pub fn is_count_saturated(&self) -> bool {
        self.flags & Self::AT_LEAST != 0
    }

    /// Adds another sum to this one.
    pub fn merge(&mut self, other: &Self) {
        self.ttl_last = latest_ttl(self, other);
        self.count = self.count.saturating_add(other.count);
        if self.count > Self::MAX_COUNT {
            self.count = Self::MAX_COUNT;
            self.flags |= Self::AT_LEAST;
        }
        self.time_first = self.time_first.min(other.time_first);
        self.time_last = self.time_last.max(other.time_last);
        self.ttl_min = self.ttl_min.min(other.ttl_min);
        self.ttl_max = self.ttl_max.max(other.ttl_max);
        self.flags |= other.flags;
    }
}

/// The last TTL of the later of two sums; if both are equally late, the larger known TTL.
fn latest_ttl(left: &Seen, right: &Seen) -> u32 {
    // The maximum of (time, known, TTL) is the same in whatever order it is computed.
    let rank = |seen: &Seen| (seen.time_last, seen.ttl_last != Seen::NO_TTL, seen.ttl_last);
    rank(left).max(rank(right)).2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen() -> impl Strategy<Value = Seen> {
        let provenance = prop::sample::select(vec![
            Provenance::Exact,
            Provenance::Inferred,
            Provenance::Unsolicited,
            Provenance::Imported,
        ]);
        let count = prop_oneof![Just(1_u64), 1..=Seen::MAX_COUNT];
        (0u32..5, prop::option::of(0u32..600), provenance, count).prop_map(
            |(at, ttl, provenance, count)| Seen { count, ..Seen::once(at, ttl, provenance) },
        )
    }

    fn sum(parts: &[Seen]) -> Seen {
        parts.iter().fold(Seen::default(), |mut sum, part| {
            sum.merge(part);
            sum
        })
    }

    proptest! {
        #[test]
        fn merge_has_an_identity_and_any_order_and_grouping_gives_the_same(
            parts in prop::collection::vec(seen(), 1..8), cut in 0usize..8, seed in any::<u64>()
        ) {
            let whole = sum(&parts);
            let (left, right) = parts.split_at(cut.min(parts.len()));
            prop_assert_eq!(sum(&[sum(right), sum(left)]), whole);
            let mut shuffled = parts.clone();
            let length = shuffled.len();
            for at in 0..length {
                let other = usize::try_from(seed.rotate_left(u32::try_from(at).unwrap() * 8) % length as u64).unwrap();
                shuffled.swap(at, other);
            }
            prop_assert_eq!(sum(&shuffled), whole);
            let count: u128 = parts.iter().map(|part| u128::from(part.count)).sum();
            prop_assert_eq!(u128::from(whole.count), count.min(u128::from(Seen::MAX_COUNT)));
            prop_assert_eq!(whole.is_count_saturated(), count > u128::from(Seen::MAX_COUNT));
        }
    }

    #[test]
    fn a_count_passes_2_to_the_32_and_stops_at_its_limit_as_a_lower_bound() {
        let mut seen = Seen { count: u32::MAX.into(), ..Seen::default() };
        seen.merge(&Seen { count: 2, ..Seen::default() });
        assert_eq!((seen.count, seen.is_count_saturated()), (4_294_967_297, false));
        seen.merge(&Seen { count: Seen::MAX_COUNT, ..Seen::default() });
        assert_eq!((seen.count, seen.is_count_saturated()), (Seen::MAX_COUNT, true));
        assert!(seen.is_imported() && !Seen { count: u64::MAX, ..seen }.is_possible());
    }

    #[test]
    fn outcomes_read_back() {
        for number in 0..=u16::MAX {
            assert_eq!(Outcome(number).to_string().parse(), Ok(Outcome(number)));
        }
        assert!("TIRED".parse::<Outcome>().is_err());
    }
}
