//! Rows for tests.

use crate::name::NameBuf;
use crate::observation::{Outcome, Provenance, Seen};
use crate::rdata::RdataBuf;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::sensors::SensorSet;

/// A record of any type, seen once at 2026-11-24T02:22:58Z.
pub(crate) fn record(rrname: &str, rrtype: RrType, octets: &[u8]) -> StoredRecord {
    StoredRecord {
        rrname: NameBuf::parse(rrname).unwrap(),
        fact: FactBuf::Record(RdataBuf { rrtype, octets: octets.into(), partial: false }),
        seen: Seen::once(1_795_486_978, Some(300), Provenance::Exact),
        sensors: SensorSet::default(),
        unkept: None,
    }
}

/// An A record that points at 192.0.2.`host`.
pub(crate) fn a(rrname: &str, host: u8) -> StoredRecord {
    record(rrname, RrType::A, &[192, 0, 2, host])
}

/// An A record with a count.
pub(crate) fn counted(rrname: &str, count: u64) -> StoredRecord {
    let mut row = a(rrname, 1);
    row.seen.count = count;
    row
}

/// A negative answer.
pub(crate) fn negative(rrname: &str, qtype: RrType, outcome: Outcome) -> StoredRecord {
    StoredRecord { fact: FactBuf::Negative { qtype, outcome }, ..a(rrname, 1) }
}
