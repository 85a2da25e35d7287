//! Where the names of a store end, and what is taken of those that are left.

use super::backlog::Backlog;
use super::found::names;
use crate::name::NameBuf;
use crate::store::{Kind, NameEnds, Store, StoreError};

/// Octets of names that a step reads of each partition; a name has at most 1,004.
const PIECE: u32 = 4_096;

/// The ends of both kinds of names.
pub(super) struct Ends {
    pub(super) records: NameEnds,
    pub(super) negatives: NameEnds,
}

impl Ends {
    pub(super) fn read(store: &mut Store) -> Result<Self, StoreError> {
        let mut reader = store.reader();
        Ok(Self {
            records: reader.name_ends(Kind::Record)?,
            negatives: reader.name_ends(Kind::Negative)?,
        })
    }
}

/// Translates the points of a backlog to the editions in which the store ends now: something was forgotten since. Returns
/// true if there were any.
pub(super) fn carry(
    store: &mut Store,
    kind: Kind,
    backlog: &mut Backlog,
    now: &NameEnds,
) -> Result<bool, StoreError> {
    store.reader().carry_names(kind, &mut backlog.points(), now)
}

/// Takes the latest names out of a backlog.
pub(super) fn take(
    store: &mut Store,
    kind: Kind,
    backlog: &mut Backlog,
) -> Result<Vec<NameBuf>, StoreError> {
    let Some((from, until)) = backlog.latest() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let before = store.reader().names_before(kind, from, until, PIECE, &mut |text| {
        found.extend(names(text).map(crate::name::Name::to_buf));
    })?;
    // Of each partition, the latest name is the last one.
    found.reverse();
    backlog.judged(before);
    Ok(found)
}
