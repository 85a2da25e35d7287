//! The state of the logs: position, metadata, and work that a crash left unfinished.
//!
//! Positions live in the store, beside the data they refer to: if Redis loses data it loses the positions with it,
//! and the logs are read again. `pd:src` holds the position that all partitions have reached; the checkpoint in each
//! partition holds that of the partition (`store/write/checkpoint.rs`).

use crate::hash::{DIGEST, StoredDigest};
use crate::observation::SENSOR_SEPARATOR;
use crate::store::functions::FUNCTIONS;
use crate::store::layout::encoding::Stored;
use crate::store::layout::keys::{Keys, Kind, Pointer, Volume};
use crate::store::layout::posting::Posting;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::redis::reply::Pairs;
use crate::store::write::checkpoint::{Checkpoint, MARK, Mark};
use crate::store::{Reader, StoreError, Writer, schema};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Seconds after which the checkpoints of a completely read log are deleted. Until then they protect against an agent
/// that opened the same log earlier.
const SETTLED_AFTER: u64 = 86_400;

/// The state of one log, stored in `pd:src` as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceState {
    /// Path at which the log was last read.
    pub path: String,
    /// The command that read it: `zeek` or `suricata`. Empty for captures, and in entries of earlier versions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reader: String,
    /// Digest of the log up to the position. `None` for captures, and in entries of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<StoredDigest>,
    /// Sensor that read it.
    pub sensor: String,
    /// Position up to which every record is applied: octets of the uncompressed log, or batches if it is `live`.
    pub acknowledged: u64,
    /// True if it cannot be read again: an interface or a pipe.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// True if the log was read to its end and will not grow: rotated, compressed, or imported.
    pub complete: bool,
    /// Size of the file on disk when it was complete, in octets.
    pub size: u64,
    /// Modification time of the file when it was complete, in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Capture files only: length of the content, in bytes, each time it had grown, with a digest of that much.
    /// Nothing beyond the last of them is applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<(u64, u64)>,
    /// Capture files only: time of the last packet in microseconds, once the file is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// Capture files that continue another one: identifier of the packet with which the decoder began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// Capture files only: identifier of the first packet of the file that continues it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Capture files only: true if the next file was read at once, so that the end of this one was not the end of the
    /// capture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_followed: bool,
    /// Time of this entry, in seconds since the epoch.
    pub updated: u64,
    /// Number of lines by outcome, as counted by the decoder.
    pub tally: serde_json::Value,
}

impl SourceState {
    /// Returns true for the entry of a log or capture that was forgotten. It keeps the place of the log among those that
    /// begin alike, so that the later ones are still found.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.path.is_empty() && self.acknowledged == 0 && !self.live
    }
}

/// The number that version 3 gave to the 32nd sensor and to all later ones.
pub(in crate::store) const SHARED: u16 = 31;

/// Returns the sensors that shared a number before the store was migrated from version 3, so that what they saw until
/// then cannot be told apart.
pub(in crate::store) fn shared_sensors(by_number: &[String]) -> Option<&str> {
    let names = by_number.get(usize::from(SHARED)).map(String::as_str);
    names.filter(|names| names.contains(SENSOR_SEPARATOR))
}

/// Parses a sensor's number.
pub(in crate::store) fn sensor_number(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Sensors by name, with their numbers.
type SensorNumbers = Vec<(Vec<u8>, u16)>;

impl Reader<'_> {
    /// Reads the states of all logs, by identity, without those that were forgotten.
    ///
    /// # Errors
    /// If Redis does not answer, or an entry cannot be decoded.
    pub fn sources(&mut self) -> Result<Vec<([u8; 16], SourceState)>, StoreError> {
        let key = self.store.keys.sources();
        let pairs = reply::pairs(self.store.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
        let mut sources = Vec::with_capacity(pairs.len());
        for (log, state) in pairs {
            let log = log.try_into().map_err(|_| StoreError::damaged(&key))?;
            let state: SourceState =
                serde_json::from_slice(&state).map_err(|_| StoreError::damaged(&key))?;
            if !state.is_forgotten() {
                sources.push((log, state));
            }
        }
        Ok(sources)
    }

    /// Reads the sensor names by number; empty where there is none. One in a store that was migrated from version 3 may
    /// stand for several that shared a number, with [`SENSOR_SEPARATOR`] between them.
    ///
    /// # Errors
    /// If Redis does not answer, or sensors were lost.
    pub fn sensors(&mut self) -> Result<Vec<String>, StoreError> {
        let mut numbers = self.sensor_numbers()?.0;
        // Redis returns them in no particular order.
        numbers.sort_unstable();
        let mut names: Vec<String> = Vec::new();
        for (name, number) in numbers {
            let number = usize::from(number);
            if names.len() <= number {
                names.resize(number + 1, String::new());
            }
            if let Some(slot) = names.get_mut(number) {
                if !slot.is_empty() {
                    slot.push(SENSOR_SEPARATOR);
                }
                slot.push_str(&String::from_utf8_lossy(&name));
            }
        }
        Ok(names)
    }

    /// Reads the sensors and their numbers, and the copies of them, which have to agree.
    pub(in crate::store) fn sensor_numbers(
        &mut self,
    ) -> Result<(SensorNumbers, Pairs), StoreError> {
        let key: String = Keys::sensors(&self.store.keys);
        let lacks = |stored: &Pairs, copies: &Pairs| {
            let stored: HashSet<&(Vec<u8>, Vec<u8>)> = stored.iter().collect();
            copies.iter().any(|copy| !stored.contains(copy))
        };
        let (mut stored, mut copies) = schema::sensors(&mut self.store.client, &self.store.keys)?;
        if lacks(&stored, &copies) {
            // Another sensor may have been registered between the two.
            (stored, copies) = schema::sensors(&mut self.store.client, &self.store.keys)?;
            if lacks(&stored, &copies) {
                return Err(StoreError::damaged(&key));
            }
        }
        let read = |(name, number): (Vec<u8>, Vec<u8>)| Some((name, sensor_number(&number)?));
        let numbers: Option<SensorNumbers> = stored.into_iter().map(read).collect();
        Ok((numbers.ok_or_else(|| StoreError::damaged(&key))?, copies))
    }

    /// Returns true if any record or negative answer is stored.
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
    /// Reads the state of one log.
    ///
    /// # Errors
    /// If Redis does not answer, or the entry cannot be decoded.
    pub fn source(&mut self, log: &[u8; 16]) -> Result<Option<SourceState>, StoreError> {
        let key = self.store.keys.sources();
        match reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), log])?)? {
            Some(state) => {
                serde_json::from_slice(&state).map(Some).map_err(|_| StoreError::damaged(&key))
            }
            None => Ok(None),
        }
    }

    /// Loads the progress of a log, and completes the updates of its inverted index that a crash interrupted.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn load(&mut self, log: &[u8; 16]) -> Result<Checkpoint, StoreError> {
        let acknowledged = self.source(log)?.map_or(0, |state| state.acknowledged);
        let (marks, editions) = self.load_marks(log)?;
        Ok(Checkpoint { acknowledged, marks, editions })
    }

    /// Reads the digest of a log up to the end of the last batch that was sent, which may be partly applied.
    ///
    /// # Errors
    /// If Redis does not answer, or the entry cannot be decoded.
    pub fn batch_under_way(&mut self, log: &[u8; 16]) -> Result<Option<[u8; DIGEST]>, StoreError> {
        let key = self.store.keys.under_way();
        let value = reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), log])?)?;
        value.map(|digest| digest.try_into().map_err(|_| StoreError::damaged(&key))).transpose()
    }

    /// Records the digest of a batch before it is flushed, so that a later agent completes it only from the same log.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn announce_batch(
        &mut self,
        log: &[u8; 16],
        digest: &[u8; DIGEST],
    ) -> Result<(), StoreError> {
        let key = self.store.keys.under_way();
        self.store.client.ask(&[b"HSET", key.as_bytes(), log, digest])?;
        Ok(())
    }

    /// Loads the marks of a log and applies its redo data. Returns the editions of the partitions, too.
    pub(crate) fn load_marks(
        &mut self,
        log: &[u8; 16],
    ) -> Result<(Vec<Option<Mark>>, Vec<u32>), StoreError> {
        let mut packed = Pipeline::default();
        for partition in self.store.partitions() {
            let meta = self.store.keys.meta(partition, Kind::Record);
            packed.command(&[b"HGET", self.store.keys.checkpoints(partition).as_bytes(), log]);
            packed.command(&[b"HGET", meta.as_bytes(), b"x"]);
        }
        let (mut marks, mut editions) = (Vec::new(), Vec::new());
        let mut answers = self.store.client.call(&packed)?.into_iter();
        for partition in self.store.partitions() {
            let mut next = || reply::maybe_octets(answers.next().ok_or(StoreError::Reply)?);
            let (value, edition) = (next()?, next()?);
            let edition = match edition {
                None => Some(0),
                Some(edition) => std::str::from_utf8(&edition).ok().and_then(|x| x.parse().ok()),
            };
            let edition = edition.ok_or_else(|| {
                StoreError::damaged(&self.store.keys.meta(partition, Kind::Record))
            })?;
            editions.push(edition);
            let Some(value) = value else {
                marks.push(None);
                continue;
            };
            let key = self.store.keys.checkpoints(partition);
            let (mark, redo) = Mark::read(&value).ok_or_else(|| StoreError::damaged(&key))?;
            marks.push(Some(mark));
            self.redo(Volume { partition, edition }, redo)?;
        }
        Ok((marks, editions))
    }

    /// Adds records to the inverted index again.
    pub(crate) fn redo(&mut self, volume: Volume, mut redo: &[u8]) -> Result<(), StoreError> {
        let partition = volume.partition;
        let key = self.store.keys.checkpoints(partition);
        let mut packed = Pipeline::default();
        while !redo.is_empty() {
            let (stored, rest) = Stored::read(redo).ok_or_else(|| StoreError::damaged(&key))?;
            let (bits, rest) =
                rest.split_first_chunk::<4>().ok_or_else(|| StoreError::damaged(&key))?;
            redo = rest;
            let fact = match self.store.reader().complete(volume, stored) {
                // The record was forgotten since.
                Err(StoreError::Damaged { .. }) if volume.edition > 0 => continue,
                fact => fact?,
            };
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

    /// Stores the position up to which a log is read. Call it after the flush that advanced the log to it.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn acknowledge(&mut self, log: &[u8; 16], state: &SourceState) -> Result<(), StoreError> {
        let key = self.store.keys.sources();
        let json = serde_json::to_vec(state).map_err(|_| StoreError::damaged(&key))?;
        self.store.client.ask(&[b"HSET", key.as_bytes(), log, &json])?;
        Ok(())
    }

    /// Deletes the redo data of a log whose last batch is in the inverted index.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn settle(&mut self, log: &[u8; 16], checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut packed = Pipeline::default();
        let function = &FUNCTIONS.settle;
        for (partition, mark) in self.store.partitions().zip(&checkpoint.marks) {
            let Some(mark) = mark else { continue };
            let keys = self.store.keys.declared(partition);
            let words =
                packed.begin_call("FCALL", function, keys.each_ref().map(String::as_str), 2);
            words.arg(log).arg(mark.to_octets());
        }
        packed.command(&[b"HDEL", self.store.keys.under_way().as_bytes(), log]);
        self.store.client.call(&packed)?;
        Ok(())
    }

    /// Deletes the checkpoints of logs that were complete a day before `now` (seconds since the epoch).
    /// Their positions stay in `pd:src`.
    ///
    /// A log that was complete may be growing again right now: a checkpoint beyond the position read from `pd:src` is
    /// kept.
    ///
    /// # Errors
    /// If Redis does not answer.
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
                let keys = self.store.keys.declared(partition);
                let keys = keys.each_ref().map(String::as_str);
                let words = packed.begin_call("FCALL", function, keys, logs.len() * 2);
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

    /// Deletes logs entirely, after completing their interrupted updates of the inverted index: captures that ended
    /// and that no run can continue.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
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

    /// Deletes everything about logs but their places among those that begin alike, which keep entries of their own
    /// ([`SourceState::is_forgotten`]).
    ///
    /// # Errors
    /// As [`Writer::remove_sources`].
    pub fn forget_sources(&mut self, logs: &[[u8; 16]]) -> Result<(), StoreError> {
        let forgotten = serde_json::to_vec(&SourceState::default());
        let key = self.store.keys.sources();
        let forgotten = forgotten.map_err(|_| StoreError::damaged(&key))?;
        let mut packed = Pipeline::default();
        for log in logs {
            self.load_marks(log)?;
            for partition in self.store.partitions() {
                let key = self.store.keys.checkpoints(partition);
                packed.command(&[b"HDEL", key.as_bytes(), log]);
            }
            packed.command(&[b"HDEL", self.store.keys.under_way().as_bytes(), log]);
            // Last: what was not forgotten to the end is still listed, and can be forgotten again.
            packed.command(&[b"HSET", key.as_bytes(), log, &forgotten]);
        }
        self.store.client.call(&packed)?;
        Ok(())
    }

    /// Applies the redo data of every log, in every partition: work left by agents that never came back.
    pub(crate) fn redo_all(&mut self) -> Result<(), StoreError> {
        for partition in self.store.partitions() {
            let meta = self.store.reader().metas(Kind::Record, [partition])?;
            let volume = meta.first().ok_or(StoreError::Reply)?.volume(partition);
            let key = self.store.keys.checkpoints(partition);
            for (_, value) in reply::pairs(self.store.client.ask(&[b"HGETALL", key.as_bytes()])?)? {
                let redo = value.get(MARK..).ok_or_else(|| StoreError::damaged(&key))?;
                self.redo(volume, redo)?;
            }
        }
        Ok(())
    }

    /// Returns the number of a sensor in a [`crate::sensors::SensorSet`]; registers it if it is new.
    ///
    /// # Errors
    /// [`StoreError::TooManySensors`] if there is no number left; [`StoreError::Damaged`] if other sensors were lost
    /// whose numbers it could be given; other errors as they occur.
    pub fn sensor(&mut self, name: &str) -> Result<u16, StoreError> {
        FUNCTIONS.load(&mut self.store.client)?;
        let (function, key) = (&FUNCTIONS.sensor, self.store.keys.sensors());
        let (known, copies) = self.store.reader().sensor_numbers()?;
        if !self.store.schema.is_marked {
            // A store of an earlier version, which kept no copy of the sensors.
            if known.is_empty() && self.store.reader().has_rows()? {
                return Err(StoreError::damaged(&key));
            }
            self.store.mark_partitions()?;
        }
        let words = [b"FCALL", function.as_bytes(), b"1", key.as_bytes(), name.as_bytes()];
        let number = reply::integer(&self.store.client.ask(&words)?)?;
        let number = u16::try_from(number).map_err(|_| StoreError::TooManySensors)?;
        let copies: HashSet<Vec<u8>> = copies.into_iter().map(|(name, _)| name).collect();
        for (name, number) in known.iter().chain([&(name.as_bytes().to_vec(), number)]) {
            if !copies.contains(name) {
                let number = number.to_string();
                schema::keep_sensor(
                    &mut self.store.client,
                    &self.store.keys,
                    name,
                    number.as_bytes(),
                )?;
            }
        }
        Ok(number)
    }
}
