//! The groups with the highest counts, when there are far more groups than may be held.
//!
//! Part of `query/groups`; used for addresses, whose rows lie all over the store. The first pass adds counts up
//! in slots chosen by some bits of the key's hash, so no key has a higher count than its slot. If all keys fit
//! into memory meanwhile, that is the answer. Otherwise the keys of the largest slots are added up one by one.
//! If the last group of the answer then has a higher count than any remaining slot, the answer is complete; if
//! not, one more pass takes all slots that could hold a better group.

use super::tally::{EachGroup, Sums, tally as tally_each};
use super::{GroupWalk, Grouping, Keys, Totals};
use crate::query::order::TopN;
use crate::store::{Reader, StoreError};

/// Bits of a hash that choose a slot: two million slots, 16 MB.
const SLOT_BITS: u32 = 21;
/// Number of slots whose keys are added up first: 4 for each group of the answer, and at least 1/8 of the
/// number of groups that may be held, because a slot has several keys.
const FIRST: (usize, usize) = (4, 8);

/// Passes groups to the callback, each at most once, among them the `wanted` groups with the highest counts.
pub(super) fn tally(
    store: &mut Reader<'_>,
    grouping: &Grouping,
    walks: &[GroupWalk],
    wanted: usize,
    most: usize,
    take: &mut EachGroup<'_>,
) -> Result<Totals, StoreError> {
    let mut slots = vec![0_u64; 1 << SLOT_BITS];
    let mut keys = Keys::new(&grouping.by, store.router());
    let mut sums = Sums::new(store.router().clone());
    let mut fits = true;
    for walk in walks {
        walk.keyed(store, grouping, &mut keys, &mut |keyed, rows| {
            if let Some(slot) = slots.get_mut(slot_of(keyed.hash)) {
                *slot += rows.count;
            }
            if fits {
                let (hash, group) = keyed.group(rows);
                sums.add(hash, group);
                fits = sums.len() <= most;
            }
        })?;
        if !fits {
            sums.clear();
        }
    }
    if fits {
        sums.hand_out(true, grouping, take);
        return Ok(keys.totals);
    }
    let first = wanted.saturating_mul(FIRST.0).max(most / FIRST.1).max(1);
    let at_least = nth_largest(&slots, first);
    let mut best: TopN<u64> = TopN::new(wanted.max(1));
    let sum_of = |hash: u64| slots.get(slot_of(hash)).copied().unwrap_or(0);
    tally_each(store, grouping, walks, most, &|hash| sum_of(hash) >= at_least, &mut |group| {
        best.offer(u64::MAX - group.rows.count);
        take(group);
    })?;
    let last = best.worst().map_or(0, |rank| u64::MAX - rank);
    if slots.iter().any(|&sum| sum > 0 && sum < at_least && sum >= last) {
        let is_left = |hash| (last..at_least).contains(&sum_of(hash));
        tally_each(store, grouping, walks, most, &is_left, take)?;
    }
    Ok(keys.totals)
}

fn slot_of(hash: u64) -> usize {
    usize::try_from(hash >> (64 - SLOT_BITS)).unwrap_or(0)
}

/// Returns the value of the slot that ranks `number`th by size; at least 1.
fn nth_largest(slots: &[u64], number: usize) -> u64 {
    let mut kept: TopN<u64> = TopN::new(number);
    for &sum in slots.iter().filter(|&&sum| sum > 0) {
        match kept.worst() {
            Some(&worst) if worst <= u64::MAX - sum => {}
            _ => kept.offer(u64::MAX - sum),
        }
    }
    kept.into_sorted().last().map_or(1, |rank| u64::MAX - rank)
}
