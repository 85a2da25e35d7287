//! Decides which records a store forgets: those that an operator describes, those that the rules of the settings name, and
//! the least valuable ones when the memory is nearly used up.
//!
//! Above `store`, which removes what is decided here (`Store::forget`), and `query`, whose tags protect records.

use crate::name::NameBuf;
use crate::observation::{Fact, Seen};
use crate::query::{DAY, TagSet};
use crate::record::StoredRecord;
use crate::rr::RrType;
use crate::store::{Candidate, Kind, Reader, StoreError};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Records first seen within this time are never forgotten for want of memory.
const NEW: u32 = 7 * DAY;
/// A record is worth as much longer for each doubling of its count, and a negative answer as much less.
const WORTH: i64 = 30 * DAY as i64;
/// Share of the memory, in percent, from which on it counts as nearly used up, and down to which is forgotten.
const FULL: (u64, u64) = (95, 85);

/// Origin of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A source gave owner name and type.
    Exact,
    /// Owner name or type were inferred, and never given.
    Inferred,
    /// It was only imported.
    Imported,
}

impl Origin {
    fn of(seen: &Seen) -> Self {
        match seen.flags & Seen::FLAGS {
            0 => Self::Imported,
            Seen::INFERRED => Self::Inferred,
            _ => Self::Exact,
        }
    }
}

/// A description of records: all conditions have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Last seen before this time, in seconds since the epoch.
    pub last_before: Option<u32>,
    /// Of one of these types; of negative answers, the type of the question.
    pub rrtypes: Vec<RrType>,
    /// With an owner name at or below one of these.
    pub below: Vec<NameBuf>,
    /// With an address in one of these networks.
    pub nets: Vec<IpNet>,
    /// Known in this way.
    pub origin: Option<Origin>,
    /// Counted at most so often.
    pub most_count: Option<u64>,
    /// Seen by this sensor and no other, by its number.
    pub only_sensor: Option<u16>,
    /// Records, or negative answers.
    pub kind: Option<Kind>,
}

impl Criteria {
    /// Returns true if there is no condition: all records are meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if a record is meant.
    #[must_use]
    pub fn selects(&self, one: &Candidate<'_>) -> bool {
        let Self { last_before, rrtypes, below, nets, origin, most_count, only_sensor, kind } =
            self;
        let is_only = |sensor: u16| {
            let mut sensors = one.sensors.iter();
            sensors.next() == Some(sensor) && sensors.next().is_none()
        };
        let is_within = |fact: Fact<'_>| {
            fact.address().is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
        };
        last_before.is_none_or(|time| one.seen.time_last < time)
            && most_count.is_none_or(|most| one.seen.count <= most)
            && kind.is_none_or(|kind| one.kind == kind)
            && origin.is_none_or(|origin| Origin::of(one.seen) == origin)
            && only_sensor.is_none_or(is_only)
            && (rrtypes.is_empty() || rrtypes.contains(&one.fact.rrtype()))
            && (below.is_empty()
                || below.iter().any(|apex| one.rrname.is_at_or_below(apex.as_name())))
            && (nets.is_empty() || is_within(one.fact))
    }
}

/// The rules of the settings: the section `[retention]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Seconds since the last sighting after which a record is forgotten.
    pub last_seen: Option<u32>,
    /// The same for negative answers.
    pub negative_last_seen: Option<u32>,
    /// The same for what was seen only once.
    pub single_last_seen: Option<u32>,
    /// Bytes that Redis may use.
    pub max_memory: Option<u64>,
    /// True if tagged records are forgotten by age, too. For want of memory they never are.
    pub forgets_tagged: bool,
}

impl Retention {
    /// Returns true if there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { last_seen, negative_last_seen, single_last_seen, max_memory, .. } = self;
        max_memory.is_none()
            && [last_seen, negative_last_seen, single_last_seen].iter().all(|rule| rule.is_none())
    }

    /// Returns true if a record is too old at a time in seconds since the epoch.
    #[must_use]
    pub fn selects(&self, one: &Candidate<'_>, now: u32) -> bool {
        let age = now.saturating_sub(one.seen.time_last);
        let is_older = |rule: Option<u32>| rule.is_some_and(|rule| age > rule);
        is_older(self.last_seen)
            || (one.kind == Kind::Negative && is_older(self.negative_last_seen))
            || (one.seen.count == 1 && is_older(self.single_last_seen))
    }
}

/// A cut through the records by their worth: those below it are forgotten for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    worth: i64,
    /// Records first seen from this time on are kept, in seconds since the epoch.
    new_since: u32,
}

impl Cut {
    /// Returns true if a record is worth too little.
    #[must_use]
    pub fn selects(&self, one: &Candidate<'_>) -> bool {
        one.seen.time_first < self.new_since && worth(one.kind, one.seen) < self.worth
    }
}

/// The worth of a record, in seconds since the epoch: when it was last seen, later for what was seen often, and earlier for
/// negative answers.
fn worth(kind: Kind, seen: &Seen) -> i64 {
    let doublings = i64::from(seen.count.max(1).ilog2());
    let negative = if kind == Kind::Negative { WORTH } else { 0 };
    i64::from(seen.time_last) + doublings * WORTH - negative
}

/// Finds the cut that frees enough memory, if it is nearly used up; `used` are the bytes in use. `None` if it is not, or if
/// nothing may be forgotten.
///
/// # Errors
/// If the store cannot be read.
pub fn cut(
    store: &mut Reader<'_>,
    most: u64,
    used: u64,
    now: u32,
) -> Result<Option<Cut>, StoreError> {
    if !is_nearly_full(most, used) {
        return Ok(None);
    }
    let new_since = now.saturating_sub(NEW);
    let mut all = 0_u64;
    // By the hour, of what may be forgotten.
    let mut by_worth: BTreeMap<i64, u64> = BTreeMap::new();
    for kind in [Kind::Record, Kind::Negative] {
        store.scan(kind, |_, seen, _| {
            all += 1;
            if seen.time_first < new_since {
                *by_worth.entry(worth(kind, seen).div_euclid(3600)).or_default() += 1;
            }
            ControlFlow::Continue(())
        })?;
    }
    let target = most / 100 * FULL.1;
    let share = u128::from(used.saturating_sub(target));
    let wanted = u64::try_from(share * u128::from(all) / u128::from(used.max(1))).unwrap_or(all);
    let mut sum = 0;
    let mut last = None;
    for (hour, count) in by_worth {
        if sum >= wanted.max(1) {
            break;
        }
        sum += count;
        last = Some(hour);
    }
    Ok(last.map(|hour| Cut { worth: (hour + 1) * 3600, new_since }))
}

/// Returns true if so little is left of the memory that records have to go.
#[must_use]
pub fn is_nearly_full(most: u64, used: u64) -> bool {
    used >= most / 100 * FULL.0
}

/// Decides about a record with tags in mind: those that have any are kept.
#[must_use]
pub fn is_protected(tags: Option<&TagSet>, one: &Candidate<'_>) -> bool {
    tags.is_some_and(|tags| tags.has_any_on(one.rrname, one.fact))
}

/// Passes the sum of what is not kept below a domain as a candidate, under the name of the domain.
pub fn of_sum<T>(sum: &StoredRecord, each: impl FnOnce(&Candidate<'_>) -> T) -> T {
    let domain = sum.unkept_below().unwrap_or_else(|| sum.rrname.clone());
    each(&Candidate {
        kind: Kind::of(&sum.fact),
        rrname: domain.as_name(),
        fact: sum.fact.as_fact(),
        seen: &sum.seen,
        sensors: &sum.sensors,
    })
}
