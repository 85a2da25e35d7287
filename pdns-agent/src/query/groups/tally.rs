//! Exact sums by key in bounded memory.
//!
//! Part of `query/groups`. Nearly every group lies in one part of the store, because the store keeps the names
//! of a domain together. If a part was read whole, its names are sorted by the hash of their key, so that
//! groups arrive one after another and none has to be held. All other groups are held in a map. When the map
//! grows too large, half of the keys, chosen by a bit of their hash, are dropped and left to a later pass over
//! the same rows.

use super::key::{KeyRef, Keyed};
use super::{By, Group, GroupKey, GroupWalk, Grouping, Keys, Totals, ahead};
use crate::hash::Router;
use crate::query::DAY;
use crate::store::{NameTotal, Reader, StoreError};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The keys of one pass: those whose hash, masked with `mask`, equals `index`.
struct Shard {
    mask: u64,
    index: u64,
    /// First walk of this pass: another pass has returned the groups that lie in one part of an earlier walk.
    from: usize,
}

/// A sum that is not complete yet.
struct GroupSum {
    key: GroupKey,
    hash: u64,
    of_one_part: bool,
    names: u64,
    rows: NameTotal,
}

/// A group, borrowed from the rows that were read.
#[derive(Clone, Copy)]
pub(super) struct GroupRef<'k> {
    pub(super) key: KeyRef<'k>,
    pub(super) names: u64,
    pub(super) rows: NameTotal,
}

impl GroupRef<'_> {
    pub(super) fn to_group(self) -> Group {
        let NameTotal { records, count, time_first, time_last, is_least } = self.rows;
        let (key, names) = (self.key.to_key(), self.names);
        Group { key, names, records, count, time_first, time_last, is_least }
    }

    /// Passes the group on if the grouping includes it.
    fn hand_out(self, grouping: &Grouping, take: &mut EachGroup<'_>) {
        if grouping.first_on.is_none_or(|day| self.rows.time_first / DAY == day) {
            take(self);
        }
    }
}

/// Callback that takes groups.
pub(super) type EachGroup<'e> = dyn FnMut(GroupRef<'_>) + Send + 'e;

/// The sums of one pass.
pub(super) struct Sums {
    sums: HashTable<GroupSum>,
    router: Router,
}

impl Sums {
    pub(super) fn new(router: Router) -> Self {
        Self { sums: HashTable::new(), router }
    }

    /// Adds rows to their group.
    pub(super) fn add(&mut self, hash: u64, group: GroupRef<'_>) {
        let GroupRef { key, names, rows } = group;
        let entry = self.sums.entry(hash, |sum| key.is(&sum.key), |sum| sum.hash);
        match entry {
            Entry::Occupied(mut sum) => {
                let sum = sum.get_mut();
                sum.names += names;
                sum.rows.add(&rows);
            }
            Entry::Vacant(place) => {
                let of_one_part = key.is_of_one_part(&self.router);
                place.insert(GroupSum { key: key.to_key(), hash, of_one_part, names, rows });
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sums.len()
    }

    pub(super) fn clear(&mut self) {
        self.sums = HashTable::new();
    }

    /// Passes on the complete groups: those that lie in one part, or all.
    pub(super) fn hand_out(&mut self, all: bool, grouping: &Grouping, take: &mut EachGroup<'_>) {
        for sum in self.sums.extract_if(|sum| all || sum.of_one_part) {
            let group = GroupRef { key: sum.key.borrowed(), names: sum.names, rows: sum.rows };
            group.hand_out(grouping, take);
        }
    }
}

/// Adds up the names of a part that was read whole, each with its key; reorders the names.
fn each_sorted(
    named: &mut [(u64, KeyRef<'_>, &NameTotal)],
    each: &mut dyn FnMut(u64, GroupRef<'_>),
) {
    named.sort_unstable_by_key(|&(hash, ..)| hash);
    for run in named.chunk_by_mut(|one, other| one.0 == other.0) {
        let mut rest = run;
        // Nearly always one: several keys seldom share a hash.
        while let Some(&(hash, key, _)) = rest.first() {
            let mut group: Option<GroupRef<'_>> = None;
            let mut others = 0;
            for at in 0..rest.len() {
                let Some(&(_, other, rows)) = rest.get(at) else { break };
                if other != key {
                    rest.swap(others, at);
                    others += 1;
                } else if let Some(group) = &mut group {
                    group.names += 1;
                    group.rows.add(rows);
                } else {
                    group = Some(GroupRef { key, names: 1, rows: *rows });
                }
            }
            if let Some(group) = group {
                each(hash, group);
            }
            rest = rest.get_mut(..others).unwrap_or_default();
        }
    }
}

/// Passes every group to `take` once, in no particular order, holding at most about `most` of them. Only keys
/// whose hash `admits` accepts are added up; the totals cover all rows.
pub(super) fn tally(
    store: &mut Reader<'_>,
    grouping: &Grouping,
    walks: &[GroupWalk],
    most: usize,
    admits: &(dyn Fn(u64) -> bool + Sync),
    take: &mut EachGroup<'_>,
) -> Result<Totals, StoreError> {
    let mut totals = None;
    let mut due = vec![Shard { mask: 0, index: 0, from: 0 }];
    let router = store.router().clone();
    let parts = ahead::parts(grouping, walks);
    // Below a domain that lies in one part, every group lies in that part.
    let apex = grouping.by.apex().filter(|_| !matches!(grouping.by, By::Depths(_)));
    let all_of_one = apex.is_some_and(|apex| router.partition_below(apex.as_name()).is_some());
    while let Some(mut shard) = due.pop() {
        let mut keys = Keys::new(&grouping.by, &router);
        let mut sums = Sums::new(router.clone());
        let mut add = |sums: &mut Sums, number: usize, (hash, group): (u64, GroupRef<'_>)| {
            let is_due = hash & shard.mask == shard.index
                && (number >= shard.from || !group.key.is_of_one_part(&router))
                && admits(hash);
            if is_due {
                sums.add(hash, group);
                while sums.len() > most.max(1) && shard.mask != u64::MAX {
                    due.push(split(&mut shard, sums, number));
                }
            }
        };
        if let Some(parts) = &parts {
            // Groups that lie in one part are complete in the first pass, however many there are.
            let is_first = totals.is_none();
            ahead::each_part(store, grouping, parts, &mut |number, owners| {
                let mut named = Vec::new();
                owners.each(&mut |name, rows| {
                    let keyed = keys.of_owner(name, rows);
                    let keyed = keyed.filter(|keyed| admits(keyed.hash));
                    named.extend(keyed.map(|keyed| (keyed.hash, keyed.key, rows)));
                });
                each_sorted(&mut named, &mut |hash, group| {
                    if !all_of_one && !group.key.is_of_one_part(&router) {
                        add(&mut sums, number, (hash, group));
                    } else if is_first {
                        group.hand_out(grouping, take);
                    }
                });
            })?;
        } else {
            for (number, walk) in walks.iter().enumerate() {
                walk.keyed(store, grouping, &mut keys, &mut |keyed, rows| {
                    add(&mut sums, number, keyed.group(rows));
                })?;
                sums.hand_out(false, grouping, take);
            }
        }
        sums.hand_out(true, grouping, take);
        totals.get_or_insert(keys.totals);
    }
    Ok(totals.unwrap_or_default())
}

impl<'k> Keyed<'k> {
    /// Returns its rows as a group, with the hash of the key.
    pub(super) fn group(&self, rows: &NameTotal) -> (u64, GroupRef<'k>) {
        let names = u64::from(self.new_name);
        (self.hash, GroupRef { key: self.key, names, rows: *rows })
    }
}

/// Leaves half of the keys to another pass, which is returned.
fn split(shard: &mut Shard, sums: &mut Sums, walk: usize) -> Shard {
    let bit = shard.mask + 1;
    shard.mask |= bit;
    sums.sums.retain(|sum| sum.hash & shard.mask == shard.index);
    Shard { mask: shard.mask, index: shard.index | bit, from: shard.from.max(walk) }
}
