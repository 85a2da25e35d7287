//! Names with what the store has of them, and the tags on them and on what they point at.

use crate::name::{Name, NameBuf};
use crate::query::{TagSet, subjects_of_row};
use crate::record::StoredRecord;
use crate::store::{Kind, Store, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// A name with what the store has of it.
pub(super) struct Found {
    pub(super) name: NameBuf,
    pub(super) rows: Vec<StoredRecord>,
    /// When it was first seen, in seconds since the epoch.
    pub(super) time: u32,
}

/// The names of a text, one on each line. What is no name was damaged, and is left to `pdns admin verify`.
pub(super) fn names(text: &[u8]) -> impl Iterator<Item = Name<'_>> {
    text.split(|&octet| octet == b'\n')
        .filter(|line| !line.is_empty())
        .filter_map(|line| Name::from_canonical(std::str::from_utf8(line).ok()?).ok())
}

/// Reads what the store has of names. Names that were removed meanwhile are left out.
pub(super) fn read(
    store: &mut Store,
    kind: Kind,
    names: &[NameBuf],
) -> Result<Vec<Found>, StoreError> {
    let mut found: Vec<Found> = Vec::with_capacity(names.len());
    store.reader().rows_by_names(&[kind], names, &mut |row| {
        let time = row.seen.time_first;
        match found.last_mut() {
            Some(last) if last.name == row.rrname => {
                last.time = last.time.min(time);
                last.rows.push(row);
            }
            _ => found.push(Found { name: row.rrname.clone(), rows: vec![row], time }),
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The tags on names, and on what they point at.
pub(super) fn tags_of(store: &mut Store, found: &[Found]) -> Result<TagSet, StoreError> {
    let rows = found.iter().flat_map(|found| &found.rows);
    let subjects: HashSet<TagSubject> = rows.flat_map(subjects_of_row).collect();
    let subjects: Vec<TagSubject> = subjects.into_iter().collect();
    TagSet::of_subjects(&mut store.reader(), &subjects)
}

/// The tags in effect on a name and on what its records point at, each once.
pub(super) fn all_tags<'t>(found: &Found, tags: &'t TagSet) -> Vec<&'t Tag> {
    let mut all: Vec<&Tag> = tags.of_name(found.name.as_name());
    for row in &found.rows {
        all.extend(tags.of_row(row).rdata);
    }
    all.retain(|tag| !tag.is_of_judge());
    all.sort_unstable();
    all.dedup();
    all
}

/// True if an analyst trusts it.
pub(super) fn is_own_trust(tags: &[&Tag]) -> bool {
    tags.iter().any(|tag| tag.kind == TagKind::Trust && tag.is_own())
}

pub(super) fn has_feed_trust(tags: &[&Tag]) -> bool {
    tags.iter().any(|tag| tag.kind == TagKind::Trust && !tag.is_own())
}
