//! The logs that were read: how far, in what state, and what a crash left to be done.
//!
//! Positions live in the store, beside the data they speak of: if Redis loses data it loses the positions
//! with it, and the logs are read again. `pd:src` says how far all partitions are; the checkpoint in each
//! partition says how far that one is (`store/write/checkpoint.rs`).

use crate::hash::{DIGEST, StoredDigest};
use crate::store::functions::FUNCTIONS;
use crate::store::layout::encoding::Stored;
use crate::store::layout::keys::{Keys, Kind, Pointer};
use crate::store::layout::posting::Posting;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::redis::reply::Pairs;
use crate::store::write::checkpoint::{Checkpoint, MARK, Mark};
use crate::store::{Reader, StoreError, Writer, schema};
use serde::{Deserialize, Serialize};

/// Seconds after which the checkpoints of a log that is read to its end are deleted. Until then they
/// protect from an agent that opened the same log before.
const SETTLED_AFTER: u64 = 86_400;

/// One log, as `pd:src` holds it in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceState {
    /// Path where the log was read last.
    pub path: String,
    /// The command that read it: `zeek` or `suricata`. Empty for captures, and in entries from before this was kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reader: String,
    /// Digest of the log up to the position. Absent for captures, and in entries from before this was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<StoredDigest>,
    /// Sensor that read it.
    pub sensor: String,
    /// Position up to which every record is applied: octets of the uncompressed log, or batches if it is `live`.
    pub acknowledged: u64,
    /// Whether it cannot be read again: an interface or a pipe.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// Whether the log was read to its end and will not grow: rotated, compressed, or imported.
    pub complete: bool,
    /// Size of the file when it was complete, in octets as they lie on disk.
    pub size: u64,
    /// Modification time of the file when it was complete, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Of a capture file: how long its content was, in bytes, each time that it was longer than before, with a digest
    /// of that much. What is applied is never beyond the last of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<(u64, u64)>,
    /// Of a capture file: when its last packet was captured, in microseconds, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// Of a capture file that goes on where another ended: what stands for the packet with which its decoder began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// Of a capture file: what stands for the first packet of the file that goes on where it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Of a capture file: the next one was read at once, so that its end was not the end of the capture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_followed: bool,
    /// When this was written, seconds since the epoch.
    pub updated: u64,
    /// Lines by what became of them, as the decoder counts them.
    pub tally: serde_json::Value,
}

/// Sensors by name, with their bits.
type SensorBits = Vec<(Vec<u8>, u32)>;

impl Reader<'_> {
    /// All logs, by identity.
    ///
    /// # Errors
    /// When Redis does not answer, or an entry does not read.
    pub fn sources(&mut self) -> Result<Vec<([u8; 16], SourceState)>, StoreError> {
        let key = self.store.keys.sources();
        let pairs = reply::pairs(self.store.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
        let mut sources = Vec::with_capacity(pairs.len());
        for (log, state) in pairs {
            let log = log.try_into().map_err(|_| StoreError::damaged(&key))?;
            let state = serde_json::from_slice(&state).map_err(|_| StoreError::damaged(&key))?;
            sources.push((log, state));
        }
        Ok(sources)
    }

    /// Sensor names by bit; the last one may stand for several.
    ///
    /// # Errors
    /// When Redis does not answer, or sensors were lost.
    pub fn sensors(&mut self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        for (name, bit) in self.sensor_bits()?.0 {
            let bit = bit as usize;
            if names.len() <= bit {
                names.resize(bit + 1, String::new());
            }
            if let Some(slot) = names.get_mut(bit) {
                if !slot.is_empty() {
                    slot.push_str(", ");
                }
                slot.push_str(&String::from_utf8_lossy(&name));
            }
        }
        Ok(names)
    }

    /// The sensors and their bits, and the copies of them, which have to agree.
    pub(in crate::store) fn sensor_bits(&mut self) -> Result<(SensorBits, Pairs), StoreError> {
        let key: String = Keys::sensors(&self.store.keys);
        let lacks =
            |stored: &Pairs, copies: &Pairs| copies.iter().any(|copy| !stored.contains(copy));
        let (mut stored, mut copies) = schema::sensors(&mut self.store.client, &self.store.keys)?;
        if lacks(&stored, &copies) {
            // Another sensor may have been registered between the two.
            (stored, copies) = schema::sensors(&mut self.store.client, &self.store.keys)?;
            if lacks(&stored, &copies) {
                return Err(StoreError::damaged(&key));
            }
        }
        let read = |(name, bit): (Vec<u8>, Vec<u8>)| {
            let bit = std::str::from_utf8(&bit).ok().and_then(|bit| bit.parse::<u32>().ok());
            bit.filter(|&bit| bit < 32).map(|bit| (name, bit))
        };
        let bits: Option<SensorBits> = stored.into_iter().map(read).collect();
        Ok((bits.ok_or_else(|| StoreError::damaged(&key))?, copies))
    }

    /// Whether any record or negative answer is stored.
    pub(in crate::store) fn has_rows(&mut self) -> Result<bool, StoreError> {
        for kind in [Kind::Record, Kind::Negative] {
            let partitions: Vec<u8> = self.store.partitions().collect();
            if self.metas(kind, partitions)?.iter().any(|meta| meta.rows > meta.empty) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Writer<'_> {
    /// What is known of one log.
    ///
    /// # Errors
    /// When Redis does not answer, or the entry does not read.
    pub fn source(&mut self, log: &[u8; 16]) -> Result<Option<SourceState>, StoreError> {
        let key = self.store.keys.sources();
        match reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), log])?)? {
            Some(state) => {
                serde_json::from_slice(&state).map(Some).map_err(|_| StoreError::damaged(&key))
            }
            None => Ok(None),
        }
    }

    /// Loads how far a log is applied, and does what a crash left undone of its inverse index.
    ///
    /// # Errors
    /// When Redis does not answer, or what it holds does not read.
    pub fn load(&mut self, log: &[u8; 16]) -> Result<Checkpoint, StoreError> {
        let acknowledged = self.source(log)?.map_or(0, |state| state.acknowledged);
        Ok(Checkpoint { acknowledged, marks: self.load_marks(log)? })
    }

    /// The digest of a log up to the end of the batch that was sent last, which may be applied in part.
    ///
    /// # Errors
    /// When Redis does not answer, or the entry does not read.
    pub fn batch_under_way(&mut self, log: &[u8; 16]) -> Result<Option<[u8; DIGEST]>, StoreError> {
        let key = self.store.keys.under_way();
        let value = reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), log])?)?;
        value.map(|digest| digest.try_into().map_err(|_| StoreError::damaged(&key))).transpose()
    }

    /// Says what a batch is made of, before it is flushed: whoever finishes it later has to have the same log.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn announce_batch(
        &mut self,
        log: &[u8; 16],
        digest: &[u8; DIGEST],
    ) -> Result<(), StoreError> {
        let key = self.store.keys.under_way();
        self.store.client.ask(&[b"HSET", key.as_bytes(), log, digest])?;
        Ok(())
    }

    /// Loads the marks of a log and does its redo.
    pub(crate) fn load_marks(&mut self, log: &[u8; 16]) -> Result<Vec<Option<Mark>>, StoreError> {
        let mut packed = Pipeline::default();
        for partition in self.store.partitions() {
            packed.command(&[b"HGET", self.store.keys.checkpoints(partition).as_bytes(), log]);
        }
        let mut marks = Vec::new();
        for (partition, value) in self.store.partitions().zip(self.store.client.call(&packed)?) {
            let Some(value) = reply::maybe_octets(value)? else {
                marks.push(None);
                continue;
            };
            let key = self.store.keys.checkpoints(partition);
            let (mark, redo) = Mark::read(&value).ok_or_else(|| StoreError::damaged(&key))?;
            marks.push(Some(mark));
            self.redo(partition, redo)?;
        }
        Ok(marks)
    }

    /// Enters records into the inverse index again.
    pub(crate) fn redo(&mut self, partition: u8, mut redo: &[u8]) -> Result<(), StoreError> {
        let key = self.store.keys.checkpoints(partition);
        let mut packed = Pipeline::default();
        while !redo.is_empty() {
            let (stored, rest) = Stored::read(redo).ok_or_else(|| StoreError::damaged(&key))?;
            let (bits, rest) =
                rest.split_first_chunk::<4>().ok_or_else(|| StoreError::damaged(&key))?;
            redo = rest;
            let fact = self.store.reader().complete(partition, stored)?;
            if let crate::record::FactBuf::Record(rdata) = &fact {
                let owner = Pointer::new(partition, u32::from_be_bytes(*bits));
                let posting = Posting::of(rdata.as_rdata(), &self.store.keys, &self.store.router);
                let member = posting.member(owner);
                self.store.writer_state.add_posting(
                    &posting,
                    member,
                    &self.store.keys,
                    &mut packed,
                );
            }
        }
        self.store.client.call(&packed)?;
        Ok(())
    }

    /// Says how far a log is read. To be called after the flush that brought it there.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn acknowledge(&mut self, log: &[u8; 16], state: &SourceState) -> Result<(), StoreError> {
        let key = self.store.keys.sources();
        let json = serde_json::to_vec(state).map_err(|_| StoreError::damaged(&key))?;
        self.store.client.ask(&[b"HSET", key.as_bytes(), log, &json])?;
        Ok(())
    }

    /// Forgets the redo of a log whose last batch is entered into the inverse index.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn settle(&mut self, log: &[u8; 16], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut packed = Pipeline::default();
        let function = &FUNCTIONS.settle;
        for (partition, mark) in self.store.partitions().zip(&checkpoint.marks) {
            let Some(mark) = mark else { continue };
            let tag = self.store.keys.partition(partition);
            packed.command(&[
                b"FCALL",
                function.as_bytes(),
                b"1",
                tag.as_bytes(),
                log,
                &mark.to_octets(),
            ]);
        }
        packed.command(&[b"HDEL", self.store.keys.under_way().as_bytes(), log]);
        self.store.client.call(&packed)?;
        Ok(())
    }

    /// Deletes the checkpoints of logs that were complete a day before `now` (seconds since the epoch).
    /// Their positions stay in `pd:src`.
    ///
    /// A log that was complete may grow again at this very moment: a checkpoint beyond the position that was
    /// seen in `pd:src` stays.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn tidy(&mut self, now: u64) -> Result<usize, StoreError> {
        let old: Vec<([u8; 16], String)> = self
            .store
            .reader()
            .sources()?
            .into_iter()
            .filter(|(_, state)| {
                state.complete && state.updated.saturating_add(SETTLED_AFTER) < now
            })
            .map(|(log, state)| (log, state.acknowledged.to_string()))
            .collect();
        if old.is_empty() {
            return Ok(0);
        }
        FUNCTIONS.load(&mut self.store.client)?;
        let function = &FUNCTIONS.forget;
        let mut deleted = 0;
        // Bounded commands: a year of hourly logs has 8,760.
        for logs in old.chunks(256) {
            let mut packed = Pipeline::default();
            for partition in self.store.partitions() {
                let words = packed.begin(4 + logs.len() * 2).arg("FCALL").arg(function);
                words.arg("1").arg(self.store.keys.partition(partition));
                for (log, acknowledged) in logs {
                    words.arg(log).arg(acknowledged);
                }
            }
            for count in self.store.client.call(&packed)? {
                deleted += usize::try_from(reply::integer(&count)?).unwrap_or(0);
            }
        }
        Ok(deleted)
    }

    /// Forgets logs altogether, after doing what they left undone of the inverse index: captures that ended
    /// and that no run can go on with.
    ///
    /// # Errors
    /// When Redis does not answer, or what it holds does not read.
    pub fn remove_sources(&mut self, logs: &[[u8; 16]]) -> Result<(), StoreError> {
        for log in logs {
            self.load_marks(log)?;
            let mut packed = Pipeline::default();
            for partition in self.store.partitions() {
                let key = self.store.keys.checkpoints(partition);
                packed.command(&[b"HDEL", key.as_bytes(), log]);
            }
            packed.command(&[b"HDEL", self.store.keys.under_way().as_bytes(), log]);
            packed.command(&[b"HDEL", self.store.keys.sources().as_bytes(), log]);
            self.store.client.call(&packed)?;
        }
        Ok(())
    }

    /// Does the redo of every log, in every partition: what agents that never came back left undone.
    pub(crate) fn redo_all(&mut self) -> Result<(), StoreError> {
        for partition in self.store.partitions() {
            let key = self.store.keys.checkpoints(partition);
            for (_, value) in reply::pairs(self.store.client.ask(&[b"HGETALL", key.as_bytes()])?)? {
                let redo = value.get(MARK..).ok_or_else(|| StoreError::damaged(&key))?;
                self.redo(partition, redo)?;
            }
        }
        Ok(())
    }

    /// The bit of a sensor in [`crate::observation::Seen::sensors`]; registers it when it is new.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when other sensors were lost, whose bits it could be given; others as they come.
    pub fn sensor(&mut self, name: &str) -> Result<u32, StoreError> {
        FUNCTIONS.load(&mut self.store.client)?;
        let (function, key) = (&FUNCTIONS.sensor, self.store.keys.sensors());
        let (known, copies) = self.store.reader().sensor_bits()?;
        if !self.store.schema.is_marked {
            // A store of an earlier version, which kept no copy of the sensors.
            if known.is_empty() && self.store.reader().has_rows()? {
                return Err(StoreError::damaged(&key));
            }
            self.store.mark_partitions()?;
        }
        let words = [b"FCALL", function.as_bytes(), b"1", key.as_bytes(), name.as_bytes()];
        let bit = reply::integer(&self.store.client.ask(&words)?)?;
        let bit = u32::try_from(bit).unwrap_or(31).min(31);
        for (name, bit) in known.iter().chain([&(name.as_bytes().to_vec(), bit)]) {
            if !copies.iter().any(|(copy, _)| copy == name) {
                let bit = bit.to_string();
                schema::keep_sensor(
                    &mut self.store.client,
                    &self.store.keys,
                    name,
                    bit.as_bytes(),
                )?;
            }
        }
        Ok(1 << bit)
    }
}
