//! Checks the keys beside partitions and tags: sensors and logs.
//!
//! A part of `store/verify.rs`. A repair removes and reports entries that cannot be decoded; the schema has a copy of
//! the sensors.

use crate::sensors::SensorSet;
use crate::store::redis::reply;
use crate::store::redis::reply::Pairs;
use crate::store::verify::Verdict;
use crate::store::write::sources::sensor_number;
use crate::store::{SourceState, Store, StoreError, schema};
use std::collections::BTreeMap;

impl Store {
    /// Checks the state of logs.
    pub(in crate::store) fn verify_sources(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        for key in [self.keys.sources(), self.keys.under_way()] {
            let before = verdict.problem_count;
            self.verify_type(&key, "hash", repair, verdict)?;
            if repair && verdict.problem_count > before {
                verdict.lost.push(format!("{key}: how far logs were read"));
            }
        }
        let key = self.keys.sources();
        for (log, state) in self.register(&key, repair, verdict)? {
            if log.len() != 16 || serde_json::from_slice::<SourceState>(&state).is_err() {
                let text = format!(
                    "{key}: the position of a log does not read; if the log is still there it is read again, \
                     and counted again where checkpoints do not know it any more"
                );
                self.forget_entry(&key, &log, text, repair, verdict)?;
            }
        }
        Ok(())
    }

    /// Checks that the sensors agree with their copies in the schema, and that all sensors in rows have names.
    pub(in crate::store) fn verify_sensors(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.sensors();
        self.verify_type(&key, "hash", repair, verdict)?;
        let (stored, copies) = match schema::sensors(&mut self.client, &self.keys) {
            Err(StoreError::Damaged { .. }) if !repair => return Ok(()),
            registers => registers?,
        };
        let copies: BTreeMap<Vec<u8>, Vec<u8>> = copies.into_iter().collect();
        let stored: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        let (mut named, mut changes) = (SensorSet::default(), Vec::new());
        for (name, number) in &copies {
            let Some(read) = sensor_number(number) else { continue };
            named.insert(read);
            if stored.get(name) != Some(number) {
                let shown = String::from_utf8_lossy(name);
                verdict.problem(repair, || format!("{key}: the sensor {shown:?} is missing"));
                changes.push((name.clone(), number.clone()));
            }
        }
        for (name, number) in stored.iter().filter(|(name, _)| !copies.contains_key(*name)) {
            if let Some(number) = sensor_number(number) {
                named.insert(number);
            } else {
                let shown = String::from_utf8_lossy(name);
                let text = format!("{key}: the number of the sensor {shown:?} does not read");
                self.forget_entry(&key, name, text, repair, verdict)?;
            }
        }
        let used = verdict.sensors.clone();
        for number in used.iter().filter(|&number| !named.contains(number)) {
            verdict.problem(repair, || {
                format!("{key}: a sensor has no name any more: number {number}")
            });
            let name = format!("lost-sensor-{number}");
            if repair {
                verdict.lost.push(format!("{key}: the name of sensor {number}; it is {name} now"));
            }
            changes.push((name.into_bytes(), number.to_string().into_bytes()));
        }
        if repair {
            for (name, number) in &changes {
                self.client.ask(&[b"HSET", key.as_bytes(), name, number])?;
            }
            for (name, number) in self.hash(&key)? {
                schema::keep_sensor(&mut self.client, &self.keys, &name, &number)?;
            }
        }
        Ok(())
    }

    /// Reads the entries of a hash; none if the key has another type, which is a problem.
    fn register(
        &mut self,
        key: &str,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<Pairs, StoreError> {
        self.verify_type(key, "hash", repair, verdict)?;
        match self.hash(key) {
            Err(StoreError::Damaged { .. }) if !repair => Ok(Vec::new()),
            read => read,
        }
    }

    /// Checks the type of a key, if it exists; a repair removes a key of another type.
    pub(in crate::store) fn verify_type(
        &mut self,
        key: &str,
        expected: &str,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let words: &[&[u8]] = match expected {
            "list" => &[b"LRANGE", key.as_bytes(), b"0", b"0"],
            _ => &[b"HGET", key.as_bytes(), b""],
        };
        match self.client.ask(words) {
            Err(StoreError::Damaged { .. }) => {
                verdict.problem(repair, || format!("{key} is of another type"));
                if repair {
                    self.client.ask(&[b"DEL", key.as_bytes()])?;
                }
                Ok(())
            }
            read => read.map(drop),
        }
    }

    fn forget_entry(
        &mut self,
        key: &str,
        field: &[u8],
        text: String,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        if repair {
            reply::integer(&self.client.ask(&[b"HDEL", key.as_bytes(), field])?)?;
            verdict.lost.push(text.clone());
        }
        verdict.problem(repair, || text);
        Ok(())
    }
}
