//! Adding up by key in bounded memory, exactly.
//!
//! Part of `query/groups`. Groups are held in a map. When it grows too large, half of the keys, by a bit of their
//! hash, are dropped and left to a later pass over the same rows. Nearly all groups lie in one part of the store,
//! since the store keeps the names of a domain together: they are complete, and gone from the map, at the end
//! of their part. So there is one pass where no part holds too many groups, which at ten million names is the rule.

use super::key::Keyed;
use super::{Group, GroupKey, Grouping, Keys, Totals, Walk, ahead};
use crate::hash::Router;
use crate::query::DAY;
use crate::store::{OwnerSum, Store, StoreError};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The keys of one pass: those whose hash has `index` in the bits of `mask`.
struct Shard {
    mask: u64,
    index: u64,
    /// Of the walks before this one, groups that lie in one part were handed out by another pass.
    from: usize,
}

/// A sum that is not complete.
struct Sum {
    key: GroupKey,
    hash: u64,
    of_one_part: bool,
    names: u64,
    rows: OwnerSum,
}

/// The sums of one pass.
pub(super) struct Sums {
    sums: HashTable<Sum>,
    router: Router,
}

impl Sums {
    pub(super) fn new(router: Router) -> Self {
        Self { sums: HashTable::new(), router }
    }

    /// Adds rows of one owner to their group.
    pub(super) fn add(&mut self, keyed: &Keyed<'_>, rows: &OwnerSum) {
        let names = u64::from(keyed.new_name);
        let (key, hash) = (keyed.key, keyed.hash);
        let entry = self.sums.entry(hash, |sum| key.is(&sum.key), |sum| sum.hash);
        match entry {
            Entry::Occupied(mut sum) => {
                let sum = sum.get_mut();
                sum.names += names;
                sum.rows.add(rows);
            }
            Entry::Vacant(place) => {
                let of_one_part = key.is_of_one_part(&self.router);
                place.insert(Sum { key: key.to_key(), hash, of_one_part, names, rows: *rows });
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sums.len()
    }

    pub(super) fn clear(&mut self) {
        self.sums = HashTable::new();
    }

    /// Hands out the groups that are complete: those of one part, or all.
    pub(super) fn hand_out(&mut self, all: bool, grouping: &Grouping, take: &mut dyn FnMut(Group)) {
        for sum in self.sums.extract_if(|sum| all || sum.of_one_part) {
            let Sum { key, names, rows, .. } = sum;
            let OwnerSum { records, count, time_first, time_last, is_least } = rows;
            if grouping.first_on.is_none_or(|day| time_first / DAY == day) {
                take(Group { key, names, records, count, time_first, time_last, is_least });
            }
        }
    }
}

/// Hands out every group once, in no special order, holding at most about `most` of them. Only keys whose hash
/// `admits` lets through are added up; the totals are of all rows.
pub(super) fn tally(
    store: &mut Store,
    grouping: &Grouping,
    walks: &[Walk],
    most: usize,
    admits: &(dyn Fn(u64) -> bool + Sync),
    take: &mut (dyn FnMut(Group) + Send),
) -> Result<Totals, StoreError> {
    let mut totals = None;
    let mut due = vec![Shard { mask: 0, index: 0, from: 0 }];
    let router = store.router().clone();
    let parts = ahead::parts(grouping, walks);
    while let Some(mut shard) = due.pop() {
        let mut keys = Keys::new(&grouping.by, &router);
        let mut sums = Sums::new(router.clone());
        let mut add = |sums: &mut Sums, number: usize, keyed: &Keyed<'_>, rows: &OwnerSum| {
            let is_due = keyed.hash & shard.mask == shard.index
                && (number >= shard.from || !keyed.key.is_of_one_part(&router))
                && admits(keyed.hash);
            if is_due {
                sums.add(keyed, rows);
                while sums.len() > most.max(1) && shard.mask != u64::MAX {
                    due.push(split(&mut shard, sums, number));
                }
            }
        };
        if let Some(parts) = &parts {
            ahead::each_part(store, grouping, parts, &mut |number, owners| {
                owners.each(&mut |name, rows| {
                    if let Some(keyed) = keys.of_owner(name, rows) {
                        add(&mut sums, number, &keyed, rows);
                    }
                });
                sums.hand_out(false, grouping, take);
            })?;
        } else {
            for (number, walk) in walks.iter().enumerate() {
                walk.keyed(store, grouping, &mut keys, &mut |keyed, rows| {
                    add(&mut sums, number, keyed, rows);
                })?;
                sums.hand_out(false, grouping, take);
            }
        }
        sums.hand_out(true, grouping, take);
        totals.get_or_insert(keys.totals);
    }
    Ok(totals.unwrap_or_default())
}

/// Leaves half of the keys to another pass, which is given back.
fn split(shard: &mut Shard, sums: &mut Sums, walk: usize) -> Shard {
    let bit = shard.mask + 1;
    shard.mask |= bit;
    sums.sums.retain(|sum| sum.hash & shard.mask == shard.index);
    Shard { mask: shard.mask, index: shard.index | bit, from: shard.from.max(walk) }
}
