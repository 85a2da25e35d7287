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

use super::{Subject, TagSet, is_overridden, prefix_around};
use crate::name::{Name, suffix};
use crate::record::StoredRecord;
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagEvent, TagSubject};
use std::ops::ControlFlow;

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

/// Everything that is known about a subject.
#[derive(Debug)]
pub struct Profile<'t> {
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
    /// The tags that apply to it, nearest first, including overridden ones.
    pub tags: Vec<&'t Tag>,
    /// The latest changes of these tags.
    pub changes: TagChanges,
    /// The threat that is nearest to its addresses.
    pub nearest: Option<NearestThreat<'t>>,
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

/// Builds the profile of a subject.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn profile<'t>(
    store: &mut Reader<'_>,
    tags: &'t TagSet,
    query: &ProfileQuery<'_>,
) -> Result<Profile<'t>, StoreError> {
    let &ProfileQuery { subject, at, stop } = query;
    let sections = Sections::open(store, subject, true)?;
    let mut read = |section| read_section(store, &sections, section, Depth::Preview(at), stop);
    let records = read(Section::Records)?;
    let pointing = read(Section::Pointing)?;
    let negatives = read(Section::Negatives)?;
    let reverse = section::reverse(store, subject, stop)?;
    let neighbourhoods = neighbourhoods(store, subject, &records)?;
    let changes = changes(store, &own_subjects(subject))?;
    let nearest = nearest::nearest(subject, &records, tags);
    Ok(Profile {
        subject: subject.clone(),
        tags: own_tag_subject(subject).map(|own| tags.all_of_subject(&own)).unwrap_or_default(),
        records,
        pointing,
        negatives,
        reverse,
        neighbourhoods,
        changes,
        nearest,
    })
}

impl<'t> Profile<'t> {
    /// Returns the first and the last time the subject was seen, according to the rows that were read, in
    /// seconds since 1970; `None` if there are no rows.
    #[must_use]
    pub fn span(&self) -> Option<(u32, u32)> {
        let parts = [&self.records, &self.pointing, &self.negatives];
        let first = parts.iter().filter_map(|part| part.first).min()?;
        let last = parts.iter().filter_map(|part| part.last).max()?;
        Some((first, last))
    }

    /// Returns the tags in effect, and those that a nearer tag overrides.
    #[must_use]
    pub fn tags_by_effect(&self) -> (Vec<&'t Tag>, Vec<&'t Tag>) {
        self.tags.iter().partition(|tag| !is_overridden(tag, &self.tags))
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
