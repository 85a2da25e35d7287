//! A window packed for Redis: all calls that write it, ready to be sent, slice by slice.
//!
//! Between `aggregate` and `store/write/upsert.rs`. Packing needs no connection, so it is done on the thread that
//! reads; [`Packer`] holds all it needs. Slices and marks are described in `store/write/checkpoint.rs`.

use crate::aggregate::{Merged, Tuple, Window};
use crate::hash::{NameLocation, Router};
use crate::name::{Name, NameBuf, suffix};
use crate::observation::{Fact, Seen};
use crate::store::functions::FUNCTIONS;
use crate::store::layout::encoding::{write_key, write_row};
use crate::store::layout::extension::{LARGE, RowSensors, write_count};
use crate::store::layout::keys::{Keys, ROW, Volume, low24};
use crate::store::layout::type_code::TypeCode;
use crate::store::redis::client::Pipeline;
use crate::store::schema::marks::Epoch;
use crate::store::write::checkpoint::{Checkpoint, Mark, slice};
use std::ops::Range;

/// Number of tuples to aim for in one call: enough to spread its fixed cost, few enough that other clients do not
/// wait (31 records a call: 2.2 ms, 312: 9 ms at the 99th percentile, ingest saturated).
const SLICE: usize = 48;

/// Returns the sensors of the tuple with an index in the window; may change what is added to its row.
pub(in crate::store) type SensorsOf<'s> = &'s dyn Fn(u32, &mut Seen) -> RowSensors;

/// Packs windows for one store.
#[derive(Clone)]
pub struct Packer {
    pub(crate) keys: Keys,
    pub(crate) router: Router,
    /// The epoch under which rows are written.
    pub(crate) epoch: Epoch,
    pub(crate) bound: NewNames,
}

/// Bound on the new names of one registrable domain on one day, counted by the day of the answer. Names beyond it are not
/// stored: their answers are added up below the domain (`store/layout/unkept.rs`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewNames {
    /// Maximum number of new names, with records and with negative answers together; 0 for no limit.
    pub most: u32,
    /// Domains below which every name is kept.
    pub exempt: Vec<NameBuf>,
}

impl NewNames {
    /// Returns the registrable domain that a name counts for; `None` if the name is always kept: it is such a domain
    /// itself, or exempt.
    fn domain<'n>(&self, name: Name<'n>) -> Option<Name<'n>> {
        if self.most == 0 {
            return None;
        }
        let domain = suffix::registrable(name)?;
        let is_exempt = self.exempt.iter().any(|apex| name.is_at_or_below(apex.as_name()));
        (domain.as_str().len() < name.as_str().len() && !is_exempt).then_some(domain)
    }
}

/// A packed window of one log up to one position.
#[derive(Default)]
pub struct Batch {
    pub(crate) log: [u8; 16],
    pub(crate) end: u64,
    /// True if it only completes an earlier batch to the same end that was interrupted.
    pub(crate) finish: bool,
    /// All calls, one after the other, in wire format.
    pub(crate) octets: Vec<u8>,
    pub(crate) calls: Vec<Call>,
    pub(crate) parts: Vec<Part>,
    /// Tuples whose rows the replies will contain, in their order.
    pub(crate) unknown: Vec<Unknown>,
    /// Record keys of the unknown tuples.
    pub(crate) record_keys: Vec<u8>,
    /// Long RDATA of the unknown tuples.
    pub(crate) long: Vec<Box<[u8]>>,
    /// Index in the window and row of each tuple whose row was received.
    pub(crate) learned: Vec<(u32, u32)>,
    /// Sum of the counts.
    pub(crate) sightings: u64,
    /// Those of them that the store confirmed and that were not yet taken.
    pub(crate) confirmed: u64,
    /// Indices in the window of the tuples whose name the store did not keep.
    pub(crate) unkept: Vec<u32>,
    /// Number of them that were not yet taken.
    pub(crate) unkept_due: u64,
}

/// The calls for one partition.
pub(crate) struct Part {
    pub(crate) partition: u8,
    /// Its calls that are not yet applied.
    pub(crate) calls: Range<usize>,
}

/// One call: one slice of one partition.
pub(crate) struct Call {
    pub(crate) octets: Range<usize>,
    pub(crate) unknown: Range<usize>,
    /// The mark that it leaves in the store.
    pub(crate) mark: Mark,
    /// Number of answers it counts.
    pub(crate) sightings: u64,
}

/// A tuple whose row is not known.
pub(crate) struct Unknown {
    pub(crate) index: u32,
    pub(crate) place: NameLocation,
    /// Its record key; empty for a negative answer.
    pub(crate) key: Range<usize>,
    pub(crate) long: Option<usize>,
}

impl Batch {
    /// Returns the log that it belongs to.
    #[must_use]
    pub fn log(&self) -> &[u8; 16] {
        &self.log
    }

    /// Returns the number of answers it counts.
    #[must_use]
    pub fn sightings(&self) -> u64 {
        self.sightings
    }

    /// Returns the number of answers that the store has confirmed since the last call, also for a batch that failed.
    pub fn take_confirmed(&mut self) -> u64 {
        std::mem::take(&mut self.confirmed)
    }

    /// Returns the number of tuples whose name the store did not keep, since the last call.
    pub fn take_unkept(&mut self) -> u64 {
        std::mem::take(&mut self.unkept_due)
    }

    /// Returns the indices in the window of the tuples that the store did not keep. Empty before the batch is written.
    pub fn unkept(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.unkept.drain(..)
    }

    /// Confirms calls whose replies were lost with the connection, by the marks that they left.
    pub(crate) fn confirm(&mut self, marks: &[Option<Mark>]) {
        for part in &self.parts {
            let Some(Some(mark)) = marks.get(usize::from(part.partition)) else { continue };
            let calls = self.calls.get(part.calls.clone()).unwrap_or_default();
            if let Some(last) = calls.iter().position(|call| call.mark == *mark) {
                let applied = calls.iter().take(last + 1);
                for call in applied {
                    self.confirmed = self.confirmed.saturating_add(call.sightings);
                }
            }
        }
    }

    /// Returns the rows that the store assigned, by index in the window. Empty before the batch is written.
    pub fn learned(&mut self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.learned.drain(..)
    }

    /// Clears the batch and keeps its memory for the next one.
    fn clear(&mut self) {
        self.octets.clear();
        self.calls.clear();
        self.parts.clear();
        self.unknown.clear();
        self.record_keys.clear();
        self.long.clear();
        self.learned.clear();
        self.unkept.clear();
        (self.sightings, self.confirmed, self.unkept_due) = (0, 0, 0);
    }
}

/// The arguments of one call.
#[derive(Default)]
struct BatchWords {
    /// Known rows, packed, of records and of negative answers.
    known: [Vec<u8>; 2],
    /// Row and count of those among them whose count does not fit.
    large: [Vec<u8>; 2],
    /// Highest row number among them.
    highest: [Option<u32>; 2],
    /// Unknown tuples, packed, and their number.
    unknown: [Pipeline; 2],
    count: [usize; 2],
    long: Pipeline,
    long_count: usize,
}

impl Packer {
    /// Bounds the new names of a domain.
    pub fn bind(&mut self, bound: &NewNames) {
        self.bound.clone_from(bound);
    }

    /// Packs the part of a window that is not yet applied. The window holds the records of one log up to `end`; those
    /// that the checkpoint covers are left out. `sensor` is the number of the
    /// sensor that saw them.
    ///
    /// With `finish`, only the partitions whose batch to the same `end` was interrupted are packed, with the slices
    /// it had. `batch` is reused for its memory.
    pub fn pack(
        &self,
        batch: &mut Batch,
        log: [u8; 16],
        checkpoint: &Checkpoint,
        window: &mut Window,
        (end, finish): (u64, bool),
        sensor: u16,
    ) {
        let sensors = RowSensors::of_one(sensor);
        self.pack_sums(batch, log, checkpoint, window, (end, finish), &|_, _| sensors);
    }

    /// Packs a window like [`Packer::pack`], whose tuples were seen by different sensors.
    pub(in crate::store) fn pack_sums(
        &self,
        batch: &mut Batch,
        log: [u8; 16],
        checkpoint: &Checkpoint,
        window: &mut Window,
        (end, finish): (u64, bool),
        sensors: SensorsOf<'_>,
    ) {
        batch.clear();
        let editions = window.editions(&checkpoint.editions).to_vec();
        (batch.log, batch.end, batch.finish) = (log, end, finish);
        let marks = &checkpoint.marks;
        let open = |partition: usize| {
            marks.get(partition).copied().flatten().filter(|mark| mark.is_open() && mark.end == end)
        };
        let mut counts = vec![0_usize; marks.len()];
        for (_, place) in window.due() {
            if let Some(count) = counts.get_mut(usize::from(place.partition)) {
                *count += 1;
            }
        }
        let slices: Vec<u16> = counts
            .iter()
            .enumerate()
            .map(|(partition, count)| match open(partition) {
                Some(mark) => mark.slices,
                None => u16::try_from(count.div_ceil(SLICE)).unwrap_or(u16::MAX),
            })
            .collect();
        let mut due: Vec<(u32, u32)> = Vec::with_capacity(window.dirty());
        for (index, place) in window.due() {
            let partition = usize::from(place.partition);
            let slices = slices.get(partition).copied().unwrap_or(1);
            let slice = slice(place.hash, slices);
            let applied = open(partition).map_or(0, |mark| mark.applied);
            if slice >= applied && (!finish || open(partition).is_some()) {
                due.push((u32::from(place.partition) << 16 | u32::from(slice), index));
            }
        }
        due.sort_unstable();
        let mut rest = due.as_slice();
        for (partition, mark) in (0..=u8::MAX).zip(marks) {
            let mine = rest.partition_point(|&(key, _)| key >> 16 <= u32::from(partition));
            let (items, others) = rest.split_at(mine);
            rest = others;
            let unfinished = open(usize::from(partition)).is_some();
            if items.is_empty() && !unfinished {
                continue;
            }
            let first = batch.calls.len();
            let slices = slices.get(usize::from(partition)).copied().unwrap_or(1);
            let edition = editions.get(usize::from(partition)).copied().unwrap_or(0);
            let volume = Volume { partition, edition };
            self.pack_part(batch, volume, *mark, slices, items, window, sensors);
            batch.parts.push(Part { partition, calls: first..batch.calls.len() });
        }
        window.sent();
    }

    /// Packs the calls of one partition; without items, only the one that closes it.
    #[expect(clippy::too_many_arguments, reason = "a part of `pack`, set apart for its length")]
    fn pack_part(
        &self,
        batch: &mut Batch,
        volume: Volume,
        mut expected: Option<Mark>,
        slices: u16,
        mut items: &[(u32, u32)],
        window: &Window,
        sensors: SensorsOf<'_>,
    ) {
        loop {
            let slice = items.first().map_or(0, |&(key, _)| key & 0xffff);
            let here = items.iter().take_while(|&&(key, _)| key & 0xffff == slice).count();
            let (now, later) = items.split_at(here);
            let mark = if later.is_empty() {
                Mark::finished(batch.end)
            } else {
                Mark {
                    done: expected.map_or(0, |mark| mark.done),
                    end: batch.end,
                    slices,
                    applied: u16::try_from(slice + 1).unwrap_or(u16::MAX),
                }
            };
            let (unknown, before) = (batch.unknown.len(), batch.sightings);
            let mut words = BatchWords::default();
            // The records of one name together: the function then reads and writes the name once.
            let mut now: Vec<(u64, u32)> = now
                .iter()
                .filter_map(|&(_, index)| Some((window.get(index)?.place.hash, index)))
                .collect();
            now.sort_unstable();
            // The function takes records first, then negative answers, and replies in that order.
            for negatives in [false, true] {
                for &(_, index) in &now {
                    if let Some(merged) = window.get(index)
                        && merged.is_negative == negatives
                    {
                        self.pack_tuple(batch, &mut words, index, &merged, sensors);
                    }
                }
            }
            let octets = self.pack_call(batch, volume, expected, mark, &words);
            let sightings = batch.sightings - before;
            let unknown = unknown..batch.unknown.len();
            batch.calls.push(Call { octets, unknown, mark, sightings });
            expected = Some(mark);
            items = later;
            if items.is_empty() {
                return;
            }
        }
    }

    fn pack_tuple(
        &self,
        batch: &mut Batch,
        words: &mut BatchWords,
        index: u32,
        merged: &Merged<'_>,
        sensors: SensorsOf<'_>,
    ) {
        let kind = usize::from(merged.is_negative);
        let mut seen = merged.seen;
        let sensors = sensors(index, &mut seen);
        let bits = low24(merged.place.hash);
        let large = (seen.count >= u64::from(LARGE))
            .then(|| write_count(seen.count, seen.is_count_saturated()));
        batch.sightings = batch.sightings.saturating_add(seen.count);
        let (Some(known), Some(larges), Some(highest), Some(unknown), Some(count)) = (
            words.known.get_mut(kind),
            words.large.get_mut(kind),
            words.highest.get_mut(kind),
            words.unknown.get_mut(kind),
            words.count.get_mut(kind),
        ) else {
            return;
        };
        let (rrname, fact) = match merged.tuple {
            Tuple::Row(row) => {
                known.extend(row.to_be_bytes());
                // The creator of the row wrote its type code; if that was an earlier version, it stays unset for now.
                write_row(&seen, sensors, bits, TypeCode::NOTHING, known);
                if let Some(count) = large {
                    larges.extend(row.to_be_bytes());
                    larges.extend(count);
                }
                *highest = (*highest).max(Some(row));
                return;
            }
            Tuple::Text { rrname, fact } => (rrname, fact),
        };
        *count += 1;
        let at = batch.record_keys.len();
        let digest = write_key(fact, self.router.hasher(), &mut batch.record_keys);
        let key = at..batch.record_keys.len();
        let mut row = Vec::with_capacity(ROW);
        write_row(&seen, sensors, bits, TypeCode::of(fact.rrtype()), &mut row);
        row.extend(large.into_iter().flatten());
        unknown.arg(merged.place.hash.to_be_bytes()).arg(rrname.as_str());
        unknown.arg(batch.record_keys.get(key.clone()).unwrap_or_default()).arg(row);
        unknown.arg(self.bound.domain(rrname).map_or_else(Vec::new, |domain| {
            let length = u16::try_from(domain.as_str().len()).unwrap_or(u16::MAX);
            let hash = self.router.place(domain).hash;
            [&hash.to_be_bytes()[..], &length.to_be_bytes()].concat()
        }));
        let mut long = None;
        if let (Some(digest), Fact::Record(rdata)) = (digest, fact) {
            words.long.arg(digest).arg(rdata.octets);
            words.long_count += 1;
            long = Some(batch.long.len());
            batch.long.push(rdata.octets.into());
        }
        let key = if merged.is_negative { 0..0 } else { key };
        batch.unknown.push(Unknown { index, place: merged.place, key, long });
    }

    fn pack_call(
        &self,
        batch: &mut Batch,
        Volume { partition, edition }: Volume,
        expected: Option<Mark>,
        mark: Mark,
        words: &BatchWords,
    ) -> Range<usize> {
        let mut packed = Pipeline::on(std::mem::take(&mut batch.octets));
        let start = packed.size();
        let unknown: usize = words.count.iter().sum();
        let keys = self.keys.declared(partition);
        // Seven words before the two kinds, three and five a tuple for each of those, two for long RDATA.
        let count = 7 + 6 + unknown * 5 + words.long_count * 2;
        packed.begin_call("FCALL", &FUNCTIONS.upsert, keys.each_ref().map(String::as_str), count);
        packed.arg(batch.log);
        packed.arg(expected.map_or(Vec::new(), |mark| mark.to_octets().to_vec()));
        packed
            .arg(mark.to_octets())
            .arg([&self.epoch[..], Volume::text(edition).as_bytes()].concat());
        for highest in words.highest {
            packed.arg(highest.map_or_else(|| "-1".to_owned(), |row| row.to_string()));
        }
        packed.arg(self.bound.most.to_string());
        let parts = words.known.iter().zip(&words.large).zip(&words.unknown).zip(words.count);
        for (((known, large), unknown), count) in parts {
            packed.arg(known).arg(large).arg(count.to_string());
            packed.append(unknown);
        }
        packed.append(&words.long);
        batch.octets = packed.into_octets();
        start..batch.octets.len()
    }
}
