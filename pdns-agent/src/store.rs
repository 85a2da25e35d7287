//! store
use crate::name::{Name, NameBuf};
use crate::observation::{Fact, Outcome, Seen};
use crate::rdata::RdataBuf;
use crate::rr::RrType;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// One stored tuple with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Owner name, or QNAME of a negative answer.
    pub rrname: NameBuf,
    /// What was seen under that name.
    pub fact: FactBuf,
    /// How often, when, with which TTLs, by which sensors.
    pub seen: Seen,
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

/// Where the store is.
#[derive(Clone)]
pub struct Options {
    /// `managed:`, `redis://`, `rediss://`, `redis+unix://` or `redis-cluster://`.
    pub url: String,
    /// What every key begins with.
    pub prefix: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Temporary.
    #[error("no store")]
    None,
}

/// Which statistics to scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Record,
    /// Negative answers.
    Negative,
}

/// Stands for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(u64);

/// State of the store.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Schema version.
    pub schema: u32,
    /// Partitions.
    pub partitions: u32,
    /// Names.
    pub names: u64,
    /// Records.
    pub records: u64,
    /// Negative answers.
    pub negatives: u64,
    /// Bytes.
    pub memory: u64,
    /// By bit.
    pub sensors: Vec<String>,
    /// Logs.
    pub sources: Vec<SourceState>,
    /// What to set otherwise.
    pub advice: Vec<String>,
}

/// One log.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// Id.
    pub id: String,
    /// Path.
    pub path: String,
    /// Sensor.
    pub sensor: String,
    /// Position acknowledged.
    pub ack: u64,
    /// State.
    pub state: String,
    /// Seconds.
    pub updated: u32,
    /// JSON.
    pub tally: String,
}

/// What verify found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What was checked, and how many.
    pub checked: BTreeMap<String, u64>,
    /// One sentence each.
    pub problems: Vec<String>,
}

/// The store.
pub struct Store;

#[expect(missing_docs, clippy::missing_errors_doc, unused_variables, reason = "temporary")]
impl Store {
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        Err(StoreError::None)
    }
    pub fn stop(options: &Options) -> Result<bool, StoreError> {
        unimplemented!()
    }
    pub fn of_name(
        &mut self,
        name: Name<'_>,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn negatives_of(
        &mut self,
        name: Name<'_>,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn of_addresses(
        &mut self,
        from: IpAddr,
        to: IpAddr,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn pointing_at(
        &mut self,
        name: Name<'_>,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn names(
        &mut self,
        below: Option<Name<'_>>,
        each_block: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn scan(
        &mut self,
        kind: Kind,
        each: &mut dyn FnMut(Handle, &Seen) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn resolve(&mut self, handles: &[Handle]) -> Result<Vec<Row>, StoreError> {
        unimplemented!()
    }
    pub fn days(&mut self) -> Result<BTreeMap<u32, u64>, StoreError> {
        unimplemented!()
    }
    pub fn new_on(
        &mut self,
        day: u32,
        each: &mut dyn FnMut(NameBuf, u32) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub fn summary(&mut self) -> Result<Summary, StoreError> {
        unimplemented!()
    }
    pub fn sensors(&mut self) -> Result<Vec<String>, StoreError> {
        unimplemented!()
    }
    pub fn verify(
        &mut self,
        repair: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Verdict, StoreError> {
        unimplemented!()
    }
    pub fn migrate(&mut self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
