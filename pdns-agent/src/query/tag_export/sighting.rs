//! Records of a listed subject in the store.
//!
//! Part of [`super::tag_export`]. Each subject reads a bounded number of rows: of a subject with more, count and times
//! are those of the rows that were read.

use super::ExportItem;
use crate::indicator::Sighting;
use crate::name::NameBuf;
use crate::observation::SENSOR_SEPARATOR;
use crate::query::{Text, on_addresses};
use crate::record::StoredRecord;
use crate::sensors::SensorSet;
use crate::store::{Reader, StoreError};
use crate::tag::TagSubject;
use std::cmp::Reverse;
use std::ops::ControlFlow;

/// Maximum number of records of a subject that are handed on.
pub const MAX_RECORDS: usize = 50;
/// Maximum number of records of a subject that are read to count them; they take 0.2 s.
const MAX_READ: usize = 50_000;
/// Maximum number of names below a domain whose records are read.
const MAX_NAMES: usize = 5_000;
/// Room for records before the earliest seen are dropped.
const ROOM: usize = 8 * MAX_RECORDS;

/// The records of one subject, summed up as they are read.
struct SubjectSum {
    seen: Sighting,
    sensors: SensorSet,
    read: usize,
    /// True to keep records.
    keeps: bool,
    records: Vec<StoredRecord>,
}

impl SubjectSum {
    fn add(&mut self, row: StoredRecord) -> ControlFlow<()> {
        let (seen, of_row) = (&mut self.seen, &row.seen);
        seen.time_first =
            if self.read == 0 { of_row.time_first } else { seen.time_first.min(of_row.time_first) };
        seen.time_last = seen.time_last.max(of_row.time_last);
        seen.count = seen.count.saturating_add(of_row.count);
        self.sensors.merge(&row.sensors);
        self.read += 1;
        if self.keeps {
            self.records.push(row);
            if self.records.len() >= ROOM {
                self.shorten();
            }
        }
        if self.read < MAX_READ { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Sorts the records and drops those that are too many.
    fn shorten(&mut self) {
        let key = |row: &StoredRecord| {
            (Reverse(row.seen.time_last), row.rrname.clone(), row.fact.clone())
        };
        self.records.sort_by_cached_key(key);
        self.records.truncate(MAX_RECORDS);
    }
}

/// Looks up a subject and completes its item; `sensors` are the names of the sensors by their number, `keeps` is true
/// for its records, too.
pub(super) fn look_up(
    store: &mut Reader<'_>,
    sensors: &[String],
    keeps: bool,
    item: &mut ExportItem<'_>,
) -> Result<(), StoreError> {
    let mut sum = SubjectSum {
        seen: Sighting::default(),
        sensors: SensorSet::default(),
        read: 0,
        keeps,
        records: Vec::new(),
    };
    match &item.subject {
        TagSubject::Name(name) => {
            store.records_by_name(name.as_name(), &mut |row| sum.add(row))?;
        }
        TagSubject::Below(apex) => {
            let names = names(store, apex)?;
            store.records_by_names(&names, &mut |row| sum.add(row))?;
        }
        TagSubject::Net(net) => {
            let (from, to) = (net.network(), net.broadcast());
            on_addresses(store, from, to, MAX_READ, &mut |row| sum.add(row))?;
        }
    }
    if sum.read == 0 {
        return Ok(());
    }
    sum.shorten();
    let names = sum.sensors.names(sensors);
    // Sensors may have shared a number.
    let names = names.flat_map(|names| names.split(SENSOR_SEPARATOR));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    item.seen = Some(Sighting { sensors: names, ..sum.seen });
    item.records = sum.records;
    Ok(())
}

/// The names at and below a domain that the store has, at most [`MAX_NAMES`].
fn names(store: &mut Reader<'_>, apex: &NameBuf) -> Result<Vec<NameBuf>, StoreError> {
    let text = Text { at_or_below: Some(apex.clone()), ..Text::default() };
    let mut names = Vec::new();
    store.names(Some(apex.as_name()), &mut |block| {
        text.search(block, &mut |name| {
            names.push(name.to_buf());
            if names.len() < MAX_NAMES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    })?;
    Ok(names)
}
