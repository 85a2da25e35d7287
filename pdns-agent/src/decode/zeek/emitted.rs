//! Records already emitted for a line, so that each counts once.
//!
//! An RRset contains no record twice (RFC 2181 §5), but a line may, if replies were repeated. Records are
//! compared by the wire form of owner and RDATA.

use crate::rr::RrType;
use std::collections::HashSet;
use std::ops::Range;

/// Up to this many records of one line are compared one by one; beyond that, by hash.
const FEW: usize = 32;

/// The records of one line so far.
#[derive(Debug, Default)]
pub(super) struct Emitted {
    /// Wire form of owners and RDATA.
    pub(super) wire: Vec<u8>,
    few: Vec<Record>,
    many: HashSet<Box<[u8]>>,
}

/// One record: the positions of its parts in [`Emitted::wire`].
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) owner: Range<usize>,
    pub(super) rrtype: RrType,
    pub(super) rdata: Range<usize>,
}

impl Emitted {
    /// Removes the records of the previous line.
    pub(super) fn clear(&mut self) {
        self.wire.clear();
        self.few.clear();
        self.many.clear();
    }

    /// A part of the wire form.
    pub(super) fn octets(&self, range: &Range<usize>) -> &[u8] {
        self.wire.get(range.clone()).unwrap_or_default()
    }

    /// Registers a record; `false` if this line has already emitted it.
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

    /// Owner (which is self-delimiting), type and RDATA.
    fn key(&self, record: &Record) -> Box<[u8]> {
        let rrtype = record.rrtype.0.to_be_bytes();
        [self.octets(&record.owner), &rrtype, self.octets(&record.rdata)].concat().into()
    }
}
