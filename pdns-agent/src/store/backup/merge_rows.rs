//! Adds the records and negative answers of another store, which does not change, to this one.
//!
//! Part of `store/backup`. They are written like those of a log ([`crate::store::write::checkpoint`]): in batches, each
//! up to a position, and each slice of a batch in one step with its checkpoint. The position of a record does not
//! depend on the order in which the server hands them out, but on its part of the store: kind, partition, and some
//! thousands of buckets.
//!
//! A row takes one set of sensors below number 32 at a time, or one sensor from there on. So the further sensors of a
//! record follow in batches of their own, which add nothing else: times, TTLs and flags stay what they are if they are
//! merged twice.

use super::BackupError;
use super::progress::{EachStep, Progress};
use crate::aggregate::Window;
use crate::observation::Seen;
use crate::record::{FactBuf, StoredRecord};
use crate::sensors::SensorSet;
use crate::store::layout::extension::{IN_ROW, RowSensors};
use crate::store::layout::keys::{Kind, low24};
use crate::store::read::scan::Part;
use crate::store::write::batch::{Batch, Packer};
use crate::store::write::checkpoint::Checkpoint;
use crate::store::{SourceState, Store, StoreError};
use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Bits of the number of buckets in a batch.
const BUCKETS: u32 = 12;
/// Bits of the number of batches for the same records, one for each further sensor.
const PASSES: u32 = 17;
/// Bits of positions within a partition: there are at most 2^25 buckets.
const PARTITION: u32 = 25 - BUCKETS + PASSES;
/// Steps that are read ahead.
const AHEAD: usize = 1;
/// Memory of a window: at least so much, and for each byte of text and each record.
const MEMORY: (usize, usize, usize) = (64 << 20, 20, 450);

/// A merge of records into a store.
pub(super) struct RowMerge<'m> {
    target: &'m mut Store,
    log: [u8; 16],
    checkpoint: Checkpoint,
    packer: Packer,
    /// Our numbers of the other store's sensors.
    numbers: Vec<Option<u16>>,
    batch: Batch,
    records: u64,
}

/// A part of the other store that was read.
enum Step {
    /// Records of some buckets, which are written up to a position.
    Records { position: u64, records: Vec<StoredRecord> },
    /// There is no more in the part with this place.
    PartDone(u64),
}

/// A record, with the sensors that have to be added to it.
struct Addition {
    record: StoredRecord,
    /// Those that come with its other data.
    first: RowSensors,
    /// Those that come later.
    rest: Vec<u16>,
}

impl<'m> RowMerge<'m> {
    pub(super) fn new(
        target: &'m mut Store,
        log: [u8; 16],
        numbers: Vec<Option<u16>>,
    ) -> Result<Self, StoreError> {
        let checkpoint = target.writer().load(&log)?;
        let packer = target.writer().packer();
        Ok(Self { target, log, checkpoint, packer, numbers, batch: Batch::default(), records: 0 })
    }

    /// Adds all that is not added yet. The other store is read by a thread of its own, some buckets ahead.
    pub(super) fn run(
        &mut self,
        other: &mut Store,
        state: &mut SourceState,
        progress: &mut EachStep<'_>,
    ) -> Result<(), BackupError> {
        let partitions: Vec<u8> = other.partitions().collect();
        let parts: Vec<(Kind, u8)> = [Kind::Record, Kind::Negative]
            .into_iter()
            .flat_map(|kind| partitions.iter().map(move |partition| (kind, *partition)))
            .collect();
        let all = parts.len() as u64;
        let acknowledged = self.checkpoint.acknowledged;
        let due: Vec<(u64, Kind, u8)> = (0..)
            .zip(parts)
            .filter(|(place, _)| acknowledged < (place + 1) << PARTITION)
            .map(|(place, (kind, partition))| (place, kind, partition))
            .collect();
        std::thread::scope(|scope| {
            let (sender, steps) = sync_channel(AHEAD);
            scope.spawn(move || read(other, &due, &sender));
            for step in steps {
                match step? {
                    Step::Records { position, records } => self.add(records, position)?,
                    Step::PartDone(place) => {
                        let end = (place + 1) << PARTITION;
                        self.checkpoint.acknowledged = end;
                        state.acknowledged = end;
                        self.target.writer().acknowledge(&self.log, state)?;
                        progress(Progress::Parts { done: place + 1, all });
                    }
                }
            }
            Ok(())
        })
    }

    /// Completes the inverse index; returns the number of records.
    pub(super) fn finish(self) -> Result<u64, StoreError> {
        self.target.writer().settle(&self.log, &self.checkpoint)?;
        Ok(self.records)
    }

    /// Adds the records of some buckets, in as many batches as their sensors need.
    fn add(&mut self, records: Vec<StoredRecord>, position: u64) -> Result<(), BackupError> {
        let mut additions = Vec::with_capacity(records.len());
        for record in records {
            let sensors = self.translated(&record.sensors)?;
            let high: Vec<u16> = sensors.iter().filter(|number| *number >= IN_ROW).collect();
            let (first, rest) = match (sensors.low_bits(), high.split_first()) {
                (0, Some((first, rest))) => (RowSensors::of_one(*first), rest.to_vec()),
                (bits, _) => (RowSensors::Few(bits), high),
            };
            additions.push(Addition { record, first, rest });
        }
        let passes = additions.iter().map(|addition| addition.rest.len() + 1).max().unwrap_or(0);
        for (pass, end) in (0..passes).zip(position + 1..) {
            let due = additions.iter().filter_map(|addition| match pass.checked_sub(1) {
                None => Some((&addition.record, addition.first, addition.record.seen.count)),
                Some(at) => {
                    let sensor = addition.rest.get(at)?;
                    Some((&addition.record, RowSensors::of_one(*sensor), 0))
                }
            });
            let due: Vec<_> = due.collect();
            self.write(&due, end)?;
        }
        Ok(())
    }

    /// Returns our numbers of sensors of the other store.
    fn translated(&self, sensors: &SensorSet) -> Result<SensorSet, StoreError> {
        let ours = |number: u16| self.numbers.get(usize::from(number)).copied().flatten();
        let ours: Option<SensorSet> = sensors.iter().map(ours).collect();
        ours.ok_or_else(|| StoreError::damaged("merge:sensors"))
    }

    /// Writes one batch: records, each with sensors and a count.
    fn write(
        &mut self,
        due: &[(&StoredRecord, RowSensors, u64)],
        end: u64,
    ) -> Result<(), BackupError> {
        if self.checkpoint.acknowledged >= end {
            return Ok(());
        }
        let text: usize = due.iter().map(|(record, ..)| text_of(record)).sum();
        let (least, each_byte, each_record) = MEMORY;
        let memory = least + text * each_byte + due.len() * each_record;
        let mut window = Window::new(self.target.router().clone(), memory);
        let mut added = Vec::with_capacity(due.len());
        for &(record, sensors, count) in due {
            let place = window.place(record.rrname.as_name());
            if self.checkpoint.covers(place, end - 1) {
                continue;
            }
            window.merge(record.rrname.as_name(), record.fact.as_fact(), &record.seen);
            added.push((sensors, count));
        }
        if window.dirty() != added.len() {
            return Err(StoreError::damaged("merge:").into());
        }
        let sensors = |index: u32, seen: &mut Seen| match added.get(index as usize) {
            Some((sensors, count)) => {
                seen.count = *count;
                *sensors
            }
            None => RowSensors::Few(0),
        };
        let Self { packer, batch, log, checkpoint, .. } = self;
        packer.pack_sums(batch, *log, checkpoint, &mut window, (end, false), &sensors);
        self.target.writer().flush(&mut self.checkpoint, &mut self.batch)?;
        self.records += added.iter().filter(|(_, count)| *count > 0).count() as u64;
        Ok(())
    }
}

/// Reads parts of a store, until nobody wants them any more.
fn read(
    other: &mut Store,
    parts: &[(u64, Kind, u8)],
    steps: &SyncSender<Result<Step, StoreError>>,
) {
    for &(place, kind, partition) in parts {
        let done = read_part(other, kind, partition, place << PARTITION, steps);
        let step = match done {
            Ok(ControlFlow::Continue(())) => Ok(Step::PartDone(place)),
            Ok(ControlFlow::Break(())) => return,
            Err(error) => Err(error),
        };
        let is_error = step.is_err();
        if steps.send(step).is_err() || is_error {
            return;
        }
    }
}

/// Reads the rows of one kind in one partition; breaks when nobody wants them any more.
fn read_part(
    other: &mut Store,
    kind: Kind,
    partition: u8,
    start: u64,
    steps: &SyncSender<Result<Step, StoreError>>,
) -> Result<ControlFlow<()>, StoreError> {
    let router = other.router().clone();
    let part = Part(partition);
    let buckets = other.reader().meta(kind, part)?.buckets;
    let (mut step, mut records) = (0, Vec::new());
    let pass = |records: Vec<StoredRecord>, step: u64| {
        let position = start + (step << PASSES);
        match steps.send(Ok(Step::Records { position, records })) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let flow = other.reader().scan_records_in(kind, part, &mut |record| {
        let bucket = buckets.of(low24(router.hasher().name(record.rrname.as_name())));
        let next = u64::from(bucket >> BUCKETS);
        let mut flow = ControlFlow::Continue(());
        if next != step {
            flow = pass(std::mem::take(&mut records), step);
            step = next;
        }
        records.push(record);
        flow
    })?;
    Ok(if flow.is_break() { flow } else { pass(records, step) })
}

/// Returns the number of bytes that a record needs as text.
fn text_of(record: &StoredRecord) -> usize {
    let rdata = match &record.fact {
        FactBuf::Record(rdata) => rdata.as_rdata().octets.len(),
        FactBuf::Negative { .. } => 0,
    };
    record.rrname.as_name().as_str().len() + rdata + 32
}
