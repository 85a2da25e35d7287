//! Row filters: types, times, TTLs, outcomes, tags.
//!
//! Part of `query`. The conditions that need only [`Seen`] and the type code of a row are separate from the
//! rest, because a scan over all statistics can apply them before it resolves rows.

use super::tags::{RowTags, TagFilter, TagSet};
use super::time_spec::TimeSpec;
use crate::observation::{Fact, Outcome, Seen};
use crate::record::StoredRecord;
use crate::rr::RrType;
use crate::store::{Reader, StoreError, TypeCode, TypeMask};
use std::borrow::Cow;
use std::sync::Arc;

/// Conditions on the times of a row, in seconds since the epoch; `None` matches every row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// First seen at this second or later.
    pub first_after: Option<u32>,
    /// First seen before this second.
    pub first_before: Option<u32>,
    /// Last seen at this second or later.
    pub last_after: Option<u32>,
    /// Last seen before this second.
    pub last_before: Option<u32>,
    /// The time from first to last sighting overlaps this span.
    pub seen_in: Option<TimeSpec>,
}

/// Conditions on TTLs. A row without a known TTL passes only if there are no conditions.
///
/// Behind a resolver a TTL counts down while the record is cached, so the largest one seen is closest to the
/// published TTL; `least` and `most` compare against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TtlFence {
    /// The smallest, the largest or the last TTL seen equals this.
    pub exactly: Option<u32>,
    /// The largest TTL seen is at least this.
    pub least: Option<u32>,
    /// The largest TTL seen is at most this.
    pub most: Option<u32>,
}

/// All conditions of a query; the default lets every row pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Accepted record types (for negative answers: query types); empty accepts any.
    pub rrtypes: Vec<RrType>,
    /// Conditions on times.
    pub fence: Fence,
    /// Conditions on TTLs.
    pub ttl: TtlFence,
    /// Accept only negative answers with this outcome.
    pub outcome: Option<Outcome>,
    /// True to accept only rows that a sensor of this store saw, not those that were only imported.
    pub excludes_imported: bool,
    /// Condition on tags.
    pub tag: Option<TagFilter>,
    /// Accept only tags and indicators from these sources; empty accepts any.
    pub sources: Vec<String>,
    /// The tags that `tag` is checked against; filled in by [`Filter::with_tags`] before a query runs.
    pub tags: Arc<TagSet>,
}

impl Fence {
    /// Returns true if the times of `seen` pass.
    #[must_use]
    pub fn admits(&self, seen: &Seen) -> bool {
        self.first_after.is_none_or(|at| seen.time_first >= at)
            && self.first_before.is_none_or(|at| seen.time_first < at)
            && self.last_after.is_none_or(|at| seen.time_last >= at)
            && self.last_before.is_none_or(|at| seen.time_last < at)
            && self
                .seen_in
                .is_none_or(|span| seen.time_last >= span.start && seen.time_first < span.end)
    }
}

impl TtlFence {
    /// Returns true if the TTLs of `seen` pass.
    #[must_use]
    pub fn admits(&self, seen: &Seen) -> bool {
        if *self == Self::default() {
            return true;
        }
        seen.ttl_min != Seen::NO_TTL
            && self
                .exactly
                .is_none_or(|ttl| [seen.ttl_min, seen.ttl_max, seen.ttl_last].contains(&ttl))
            && self.least.is_none_or(|ttl| seen.ttl_max >= ttl)
            && self.most.is_none_or(|ttl| seen.ttl_max <= ttl)
    }
}

impl Filter {
    /// Returns true if a row passes all conditions that do not need its identity.
    #[must_use]
    pub fn admits_seen(&self, seen: &Seen) -> bool {
        self.fence.admits(seen)
            && self.ttl.admits(seen)
            && !(self.excludes_imported && seen.is_imported())
    }

    /// Returns the accepted types as a mask over the type codes of rows.
    #[must_use]
    pub fn told_types(&self) -> TypeMask {
        TypeMask::of(&self.rrtypes)
    }

    /// Decides by statistics and type code whether a row passes; `types` comes from [`Filter::told_types`].
    /// Returns `None` if the row has to be resolved to decide.
    #[must_use]
    pub fn matches_row(&self, types: TypeMask, seen: &Seen, told: TypeCode) -> Option<bool> {
        if !self.admits_seen(seen) {
            return Some(false);
        }
        match types.has(told) {
            Some(true) if self.outcome.is_some() || self.tag.is_some() => None,
            told => told,
        }
    }

    /// Returns true if rows that pass [`Filter::admits_seen`] may still fail [`Filter::admits`].
    #[must_use]
    pub fn needs_identity(&self) -> bool {
        !self.rrtypes.is_empty() || self.outcome.is_some() || self.tag.is_some()
    }

    /// Returns the filter with the tags of the store, if it filters by tag and has none loaded yet.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn with_tags(&self, store: &mut Reader<'_>) -> Result<Cow<'_, Self>, StoreError> {
        if self.tag.is_none() || !self.tags.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let tags = Arc::new(TagSet::load(store)?);
        Ok(Cow::Owned(Self { tags, ..self.clone() }))
    }

    /// Returns true if a row passes all conditions but those on its owner's tags.
    #[must_use]
    pub fn admits_fact(&self, fact: Fact<'_>, seen: &Seen) -> bool {
        let outcome = match fact {
            Fact::Record(_) => None,
            Fact::Negative { outcome, .. } => Some(outcome),
        };
        (self.rrtypes.is_empty() || self.rrtypes.contains(&fact.rrtype()))
            && (self.outcome.is_none() || outcome.is_none() || self.outcome == outcome)
            && self.admits_seen(seen)
    }

    /// Returns true if the row passes.
    #[must_use]
    pub fn admits(&self, row: &StoredRecord) -> bool {
        self.admits_fact(row.fact.as_fact(), &row.seen)
            // Last, because it is the most expensive condition.
            && self.tag.is_none_or(|tag| tag.admits_row(&self.tags_of(row)))
    }

    /// Returns the tags in effect on a row, of the sources that are accepted.
    fn tags_of(&self, row: &StoredRecord) -> RowTags<'_> {
        let mut tags = self.tags.of_row(row);
        // "No tag" means none of any source.
        if !self.sources.is_empty() && self.tag != Some(TagFilter::None) {
            tags.rrname.retain(|tag| self.sources.contains(&tag.source));
            tags.rdata.retain(|tag| self.sources.contains(&tag.source));
        }
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::rows::{a, negative};

    #[test]
    fn seen_in_is_overlap() {
        let seen = Seen { time_first: 100, time_last: 200, ..Seen::default() };
        let overlaps = |start, end| {
            Fence { seen_in: Some(TimeSpec { start, end }), ..Fence::default() }.admits(&seen)
        };
        assert!(overlaps(0, 101));
        assert!(!overlaps(0, 100));
        assert!(overlaps(200, 300));
        assert!(!overlaps(201, 300));
        assert!(overlaps(140, 150));
    }

    #[test]
    fn after_holds_its_second_and_before_does_not() {
        let seen = Seen { time_first: 100, time_last: 200, ..Seen::default() };
        let none = Fence::default();
        assert!(Fence { first_after: Some(100), ..none }.admits(&seen));
        assert!(!Fence { first_after: Some(101), ..none }.admits(&seen));
        assert!(!Fence { first_before: Some(100), ..none }.admits(&seen));
        assert!(Fence { last_after: Some(200), ..none }.admits(&seen));
        assert!(!Fence { last_before: Some(200), ..none }.admits(&seen));
        assert!(Fence { last_before: Some(201), ..none }.admits(&seen));
    }

    #[test]
    fn ttl_fences_look_at_the_largest_and_refuse_the_unknown() {
        let seen = Seen { ttl_min: 3, ttl_max: 300, ttl_last: 120, ..Seen::default() };
        let none = TtlFence::default();
        assert!(TtlFence { most: Some(300), ..none }.admits(&seen));
        assert!(!TtlFence { most: Some(60), ..none }.admits(&seen));
        assert!(TtlFence { least: Some(300), ..none }.admits(&seen));
        assert!(!TtlFence { least: Some(301), ..none }.admits(&seen));
        assert!(TtlFence { exactly: Some(120), ..none }.admits(&seen));
        assert!(!TtlFence { exactly: Some(121), ..none }.admits(&seen));
        assert!(none.admits(&Seen::default()));
        assert!(!TtlFence { most: Some(60), ..none }.admits(&Seen::default()));
    }

    #[test]
    fn imported_rows_can_be_excluded() {
        let own = Seen { flags: Seen::INFERRED, ..Seen::default() };
        let filter = Filter { excludes_imported: true, ..Filter::default() };
        assert!(filter.admits_seen(&own));
        assert!(!filter.admits_seen(&Seen::default()));
        assert!(Filter::default().admits_seen(&Seen::default()));
    }

    #[test]
    fn types_and_outcomes() {
        let filter = Filter {
            rrtypes: vec![RrType::A],
            outcome: Some(Outcome::NXDOMAIN),
            ..Filter::default()
        };
        assert!(filter.admits(&a("x", 1)));
        assert!(filter.admits(&negative("x", RrType::A, Outcome::NXDOMAIN)));
        assert!(!filter.admits(&negative("x", RrType::A, Outcome::NODATA)));
        assert!(!filter.admits(&negative("x", RrType::MX, Outcome::NXDOMAIN)));
    }
}
