//! Records that are alike within one message are one (RFC 2181 §5).

use super::message::{Names, Record, Records};
use hashbrown::HashTable;
use std::hash::{BuildHasher as _, RandomState};

/// Records of a message up to which each is compared with those before it; beyond, a table is quicker, and a
/// message of thousands of records costs no more for each than a small one.
const FEW: usize = 24;

/// The records of a message that were filed so far.
#[derive(Default)]
pub(super) struct Repeats {
    few: Vec<u32>,
    many: HashTable<u32>,
    /// Keyed: whoever makes a message could make records that collide.
    hasher: RandomState,
}

impl Repeats {
    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }

    /// Takes note of a record, unless one like it was filed.
    pub(super) fn is_new(
        &mut self,
        index: u32,
        records: &Records,
        names: &Names,
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
