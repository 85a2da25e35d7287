//! The records that one line has brought so far, so that each counts once.
//!
//! A set of records holds none twice (RFC 2181 §5); a line may, where replies were repeated. Records
//! are compared by the wire form of owner and RDATA.

use crate::rr::RrType;
use std::collections::HashSet;
use std::ops::Range;

/// Up to this many records of one line are compared one by one; beyond, by hash.
const FEW: usize = 32;

/// The records of one line so far.
#[derive(Debug, Default)]
pub(super) struct Emitted {
    /// Wire form of owners and RDATA.
    pub(super) wire: Vec<u8>,
    few: Vec<Record>,
    many: HashSet<Box<[u8]>>,
}

/// One record: where its parts stand in [`Emitted::wire`].
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) owner: Range<usize>,
    pub(super) rrtype: RrType,
    pub(super) rdata: Range<usize>,
}

impl Emitted {
    /// Forgets the line before.
    pub(super) fn clear(&mut self) {
        self.wire.clear();
        self.few.clear();
        self.many.clear();
    }

    /// A part of the wire form.
    pub(super) fn octets(&self, range: &Range<usize>) -> &[u8] {
        self.wire.get(range.clone()).unwrap_or_default()
    }

    /// Notes a record; `false` when this line has had it.
    pub(super) fn insert(&mut self, record: Record) -> bool {
        if self.few.len() < FEW {
            let has = self.few.iter().any(|other| self.is_same(other, &record));
            if !has {
                self.few.push(record);
                if self.few.len() == FEW {
                    self.many = self.few.iter().map(|record| self.key(record)).collect();
                }
            }
            return !has;
        }
        let key = self.key(&record);
        self.many.insert(key)
    }

    fn is_same(&self, left: &Record, right: &Record) -> bool {
        left.rrtype == right.rrtype
            && self.octets(&left.rdata) == self.octets(&right.rdata)
            && (left.owner == right.owner || self.octets(&left.owner) == self.octets(&right.owner))
    }

    /// Owner, which tells its own length, type and RDATA.
    fn key(&self, record: &Record) -> Box<[u8]> {
        let rrtype = record.rrtype.0.to_be_bytes();
        [self.octets(&record.owner), &rrtype, self.octets(&record.rdata)].concat().into()
    }
}
