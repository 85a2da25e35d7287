//! What the store gives back: one tuple with all that is known of it.
//!
//! The one type that `query` and everything after it knows of the store's contents.

use crate::name::NameBuf;
use crate::observation::{Fact, Outcome, Seen};
use crate::rdata::RdataBuf;
use crate::rr::RrType;
use std::net::IpAddr;

/// One stored tuple with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Owner name, or QNAME of a negative answer.
    pub rrname: NameBuf,
    /// What was seen under that name.
    pub fact: FactBuf,
    /// How often, when, with which TTLs, by which sensors.
    pub seen: Seen,
}

impl StoredRecord {
    /// The address that an A or AAAA record points at.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.fact.as_fact().address()
    }
}

/// A [`Fact`], owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactBuf {
    /// A record.
    Record(RdataBuf),
    /// A question that brought no record.
    Negative {
        /// The type asked for.
        qtype: RrType,
        /// What came instead.
        outcome: Outcome,
    },
}

impl FactBuf {
    /// The fact, borrowed.
    #[must_use]
    pub fn as_fact(&self) -> Fact<'_> {
        match self {
            Self::Record(rdata) => Fact::Record(rdata.as_rdata()),
            Self::Negative { qtype, outcome } => {
                Fact::Negative { qtype: *qtype, outcome: *outcome }
            }
        }
    }
}
