//! Stored records: one tuple with everything known about it.
//!
//! `query` and all later layers see the contents of the store only as this type.

use crate::name::NameBuf;
use crate::observation::{Fact, Outcome, Seen};
use crate::rdata::RdataBuf;
use crate::rr::RrType;
use crate::sensors::SensorSet;
use std::net::IpAddr;

/// One stored tuple with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Owner name, or QNAME of a negative answer.
    pub rrname: NameBuf,
    /// Record or negative answer observed under that name.
    pub fact: FactBuf,
    /// Count, times and TTLs.
    pub seen: Seen,
    /// Sensors that observed it.
    pub sensors: SensorSet,
    /// If this is the sum of names that are not kept, which ones. The owner is then the wildcard below their domain, and a
    /// record has no RDATA.
    pub unkept: Option<Box<Unkept>>,
}

/// Names below a domain that are not kept, because it had too many new ones on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// Number of names: an estimate with a standard error of 1.6 %.
    pub names: u64,
    /// Up to 16 of the names, chosen at random; of all types.
    pub sample: Vec<NameBuf>,
}

impl StoredRecord {
    /// The address in an A or AAAA record.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.fact.as_fact().address()
    }

    /// The domain below which the names of the sum lie that are not kept; `None` for a record of one name.
    #[must_use]
    pub fn unkept_below(&self) -> Option<NameBuf> {
        self.unkept.as_ref()?;
        let rrname = self.rrname.as_name();
        Some(rrname.suffix(rrname.labels().count().saturating_sub(1)).to_buf())
    }
}

/// A [`Fact`], owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactBuf {
    /// A record.
    Record(RdataBuf),
    /// A question that got no record.
    Negative {
        /// Type of the question.
        qtype: RrType,
        /// Outcome of the question.
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
