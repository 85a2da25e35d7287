//! Identical records within one message count once (RFC 2181 §5).

use super::message::{MessageNames, Record, Records};
use hashbrown::HashTable;
use std::hash::{BuildHasher as _, RandomState};

/// Number of records up to which each is compared with all previous ones. Beyond it a table is faster, and a
/// message with thousands of records costs no more per record than a small one.
const FEW: usize = 24;

/// The records of a message accepted so far.
#[derive(Default)]
pub(super) struct Repeats {
    few: Vec<u32>,
    many: HashTable<u32>,
    /// Keyed, because an attacker could otherwise construct records that collide.
    hasher: RandomState,
}

impl Repeats {
    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }

    /// Registers a record; returns false if an identical one was registered before.
    pub(super) fn is_new(
        &mut self,
        index: u32,
        records: &Records,
        names: &MessageNames,
        message: &[u8],
    ) -> bool {
        let Some(record) = records.all.get(index as usize) else { return false };
        let is_same = |&other: &u32| {
            records.all.get(other as usize).is_some_and(|other| {
                record.rrtype == other.rrtype
                    && records.rdata(message, record.data) == records.rdata(message, other.data)
                    && names.are_equal(record.owner, other.owner)
            })
        };
        if records.all.len() <= FEW {
            let is_new = !self.few.iter().any(is_same);
            if is_new {
                self.few.push(index);
            }
            return is_new;
        }
        let hash = |record: &Record| {
            let rdata = records.rdata(message, record.data);
            self.hasher.hash_one((names.get(record.owner), record.rrtype, rdata))
        };
        if self.many.find(hash(record), is_same).is_some() {
            return false;
        }
        self.many.insert_unique(hash(record), index, |&index| {
            records.all.get(index as usize).map_or(0, hash)
        });
        true
    }
}
