//! Everything that the store knows about a subject, as one value: its records, the records that point at it,
//! its negative answers, its neighbours, its tags, the nearest threat.
//!
//! Part of `query`. The command line, the web page and the APIs are built on it. Each part reads a bounded
//! number of rows, so that the profile of a name server of a million domains takes a second. If there are more
//! rows, every number of that part covers only the rows that were read ([`SectionReading::extent`]).

mod nearest;
mod neighbours;
mod section;

pub use nearest::NearestThreat;
pub use neighbours::{Neighbourhood, NewName};
pub use section::{Depth, Section, SectionReading, Sections, read_section};

use super::{Subject, TagSet, prefix_around, subjects_of_row};
use crate::name::{Name, suffix};
use crate::record::StoredRecord;
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagEvent, TagSubject};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Maximum number of tag changes in a profile.
const CHANGES: usize = 50;

/// Subject of a profile, and the limits for building it.
pub struct ProfileQuery<'q> {
    /// The subject.
    pub subject: &'q Subject,
    /// The time of the event in which the subject was found, in seconds since 1970.
    pub at: Option<u32>,
    /// Returns true to stop reading; called before each row. Incomplete sections are marked
    /// ([`SectionReading::is_late`]).
    pub stop: &'q dyn Fn() -> bool,
}

/// A tag or indicator that applies to the subject of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedTag {
    /// The tag.
    pub tag: Tag,
    /// The tag that overrides it, if any.
    pub overridden_by: Option<Tag>,
}

/// Everything that is known about a subject.
#[derive(Debug)]
pub struct Profile {
    /// The subject.
    pub subject: Subject,
    /// Its records; for addresses, the records with them.
    pub records: SectionReading,
    /// Records of other names that point at it.
    pub pointing: SectionReading,
    /// Negative answers to queries for it.
    pub negatives: SectionReading,
    /// For an address, the records of its reverse look-up name.
    pub reverse: SectionReading,
    /// The newest names near it.
    pub neighbourhoods: Vec<Neighbourhood>,
    /// The tags and indicators that apply to it, nearest first, including overridden ones.
    pub tags: Vec<AppliedTag>,
    /// The tags and indicators that apply to the rows and neighbours.
    pub of_rows: Arc<TagSet>,
    /// The latest changes of these tags.
    pub changes: TagChanges,
    /// The threat that is nearest to its addresses.
    pub nearest: Option<NearestThreat>,
}

/// The latest changes of tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagChanges {
    /// The changes, latest first.
    pub latest: Vec<TagEvent>,
    /// Number of changes in the history.
    pub count: u64,
    /// Number of changes of any tag that were dropped from the history for lack of room.
    pub dropped: u64,
}

/// Builds the profile of a subject. `threats` has the tags and indicators among which the nearest threat is sought.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn profile(
    store: &mut Reader<'_>,
    threats: &TagSet,
    query: &ProfileQuery<'_>,
) -> Result<Profile, StoreError> {
    let &ProfileQuery { subject, at, stop } = query;
    let sections = Sections::open(store, subject, true)?;
    let mut read = |section| read_section(store, &sections, section, Depth::Preview(at), stop);
    let records = read(Section::Records)?;
    let pointing = read(Section::Pointing)?;
    let negatives = read(Section::Negatives)?;
    let reverse = section::reverse(store, subject, stop)?;
    let neighbourhoods = neighbourhoods(store, subject, &records)?;
    let changes = changes(store, &own_subjects(subject))?;
    let nearest = nearest::nearest(subject, &records, threats);
    let own = own_tag_subject(subject);
    let rows = [&records, &pointing, &negatives, &reverse].into_iter().flat_map(|part| &part.rows);
    let mut shown: Vec<TagSubject> = rows.flat_map(subjects_of_row).chain(own.clone()).collect();
    for neighbour in neighbourhoods.iter().flat_map(|around| &around.newest) {
        shown.push(TagSubject::Name(neighbour.name.clone()));
        shown.extend(neighbour.address.map(TagSubject::address));
    }
    let of_rows = Arc::new(TagSet::of_subjects(store, &shown)?);
    let tags = own.map(|own| {
        let all = of_rows.all_of_subject(&own);
        let applied = |tag: &&Tag| AppliedTag {
            tag: (*tag).clone(),
            overridden_by: of_rows.overriding(tag, &all, &own).cloned(),
        };
        all.iter().map(applied).collect()
    });
    Ok(Profile {
        subject: subject.clone(),
        tags: tags.unwrap_or_default(),
        of_rows,
        records,
        pointing,
        negatives,
        reverse,
        neighbourhoods,
        changes,
        nearest,
    })
}

impl Profile {
    /// Returns the first and the last time the subject was seen, according to the rows that were read, in
    /// seconds since 1970; `None` if there are no rows.
    #[must_use]
    pub fn span(&self) -> Option<(u32, u32)> {
        let parts = [&self.records, &self.pointing, &self.negatives];
        let first = parts.iter().filter_map(|part| part.first).min()?;
        let last = parts.iter().filter_map(|part| part.last).max()?;
        Some((first, last))
    }

    /// Returns the tags in effect, and those that another tag overrides.
    #[must_use]
    pub fn tags_by_effect(&self) -> (Vec<&Tag>, Vec<&Tag>) {
        let (overridden, in_effect): (Vec<&AppliedTag>, Vec<&AppliedTag>) =
            self.tags.iter().partition(|applied| applied.overridden_by.is_some());
        (tags_of(in_effect), tags_of(overridden))
    }

    /// Returns true if the store knows nothing about the subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let rows = [&self.records, &self.pointing, &self.negatives, &self.reverse];
        let has_own_neighbours = matches!(self.subject, Subject::Below(_) | Subject::AtOrBelow(_))
            && self.neighbourhoods.iter().any(|one| one.names > 0 || !one.extent.is_whole());
        rows.iter().all(|part| part.read == 0)
            && !has_own_neighbours
            && self.tags.is_empty()
            && self.changes.latest.is_empty()
    }
}

fn tags_of(applied: Vec<&AppliedTag>) -> Vec<&Tag> {
    applied.into_iter().map(|one| &one.tag).collect()
}

/// Finds the newest names near a subject.
fn neighbourhoods(
    store: &mut Reader<'_>,
    subject: &Subject,
    records: &SectionReading,
) -> Result<Vec<Neighbourhood>, StoreError> {
    let mut found = Vec::new();
    match subject {
        Subject::Name(name) => {
            found.extend(neighbours::under_domain(store, name.as_name(), records.read > 0)?);
            for net in neighbours::prefixes(&records.rows) {
                found.push(neighbours::in_prefix(store, net, &|row| row.rrname == *name)?);
            }
        }
        Subject::Below(apex) | Subject::AtOrBelow(apex) => {
            found.push(neighbours::below(store, apex.clone())?);
        }
        Subject::Addresses(from, to) if from == to => {
            let is_own = |row: &StoredRecord| row.address() == Some(*from);
            found.push(neighbours::in_prefix(store, prefix_around(*from), &is_own)?);
        }
        Subject::Addresses(..) => {}
    }
    Ok(found)
}

/// Returns the tag subject that equals a subject; `None` for a range and for all names.
#[must_use]
pub fn own_tag_subject(subject: &Subject) -> Option<TagSubject> {
    match subject {
        Subject::Name(name) => Some(TagSubject::Name(name.clone())),
        Subject::Below(apex) | Subject::AtOrBelow(apex) if apex.as_name().is_root() => None,
        Subject::Below(apex) | Subject::AtOrBelow(apex) => Some(TagSubject::Below(apex.clone())),
        Subject::Addresses(..) => subject.as_prefix().map(TagSubject::Net),
    }
}

/// Returns the tag subjects that belong to a subject itself: for a name, the name alone and the name with
/// everything below it.
#[must_use]
pub fn own_subjects(subject: &Subject) -> Vec<TagSubject> {
    let below = match subject {
        Subject::Name(name) if !name.as_name().is_root() => Some(TagSubject::Below(name.clone())),
        _ => None,
    };
    own_tag_subject(subject).into_iter().chain(below).collect()
}

/// Returns subjects that contain this one, and its subtree: the registrable domain, the parent, the prefix
/// around an address.
#[must_use]
pub fn wider(subject: &Subject) -> Vec<Subject> {
    let mut found = Vec::new();
    match subject {
        Subject::Name(name) | Subject::Below(name) | Subject::AtOrBelow(name) => {
            let name = name.as_name();
            let parent = name.suffix(name.labels().count().saturating_sub(1));
            let wider = [suffix::registrable(name), Some(parent)];
            let is_wider = |wider: &Name<'_>| *wider != name && !suffix::is_public(*wider);
            let mut wider: Vec<Name<'_>> = wider.into_iter().flatten().filter(is_wider).collect();
            wider.dedup();
            found.extend(wider.into_iter().map(|wider| Subject::Name(wider.to_buf())));
            if matches!(subject, Subject::Name(_)) {
                found.push(Subject::Below(name.to_buf()));
            } else {
                found.push(Subject::Name(name.to_buf()));
            }
        }
        Subject::Addresses(from, to) => {
            let wider = if from == to {
                Some(prefix_around(*from))
            } else {
                subject.as_prefix().and_then(|net| net.supernet())
            };
            found.extend(wider.map(Subject::from));
        }
    }
    found
}

/// Reads the latest changes of the tags that apply to any of these subjects.
fn changes(store: &mut Reader<'_>, own: &[TagSubject]) -> Result<TagChanges, StoreError> {
    let mut changes = TagChanges::default();
    if own.is_empty() {
        return Ok(changes);
    }
    let holds = |subject: &TagSubject| own.iter().any(|own| own.is_within(subject));
    let dropped = store.tag_history_of(&holds, &mut |event| {
        changes.count += 1;
        if changes.latest.len() < CHANGES {
            changes.latest.push(event);
        }
        ControlFlow::Continue(())
    })?;
    changes.dropped = dropped;
    Ok(changes)
}
