//! Sums of names, one part of the store after another: reads the next part while the last one is added up.
//!
//! Part of `query/groups`. The reader holds one part; the adder, on a thread of its own, holds the previous
//! one. A large part is held alone.

use super::{GroupWalk, Grouping};
use crate::observation::Seen;
use crate::store::{NameTotals, Part, Reader, StoreError};
use std::sync::mpsc;
use std::thread;

/// Number of rows from which a part takes so much memory (30 MB) that no other should be held beside it.
const LARGE: u32 = 350_000;

/// Returns the parts to read whole, if names and the type codes of rows are enough for the grouping.
pub(super) fn parts(grouping: &Grouping, walks: &[GroupWalk]) -> Option<Vec<Part>> {
    let Grouping { by, filter, .. } = grouping;
    if !by.is_of_name() || filter.outcome.is_some() || filter.tag.is_some() {
        return None;
    }
    let part = |walk: &GroupWalk| match walk {
        GroupWalk::Part(part) => Some(*part),
        GroupWalk::Names(_) => None,
    };
    walks.iter().map(part).collect()
}

/// Passes the names of each part to `each`, with the part's number, on a thread of its own.
pub(super) fn each_part(
    store: &mut Reader<'_>,
    grouping: &Grouping,
    parts: &[Part],
    each: &mut (dyn FnMut(usize, &NameTotals) + Send),
) -> Result<(), StoreError> {
    let Grouping { kind, filter, .. } = grouping;
    let types = filter.told_types();
    // No buffer: a part is always held by one side or the other.
    let (send, receive) = mpsc::sync_channel::<Option<NameTotals>>(0);
    thread::scope(|scope| {
        let adder = scope.spawn(move || {
            // `None` is received only after all parts before it are done; that is its only purpose.
            for (number, owners) in receive.iter().flatten().enumerate() {
                each(number, &owners);
            }
        });
        let mut read = || {
            for part in parts {
                let is_large = store.rows_in(*kind, *part)? > LARGE;
                let mut is_there = !is_large || send.send(None).is_ok();
                let admits = |seen: &Seen, told| filter.matches_row(types, seen, told);
                let owners = store.owners_in(*kind, *part, admits, |row| filter.admits(row))?;
                is_there &= send.send(Some(owners)).is_ok();
                is_there &= !is_large || send.send(None).is_ok();
                if !is_there {
                    break;
                }
            }
            Ok(())
        };
        let result = read();
        drop(send);
        adder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result
    })
}
