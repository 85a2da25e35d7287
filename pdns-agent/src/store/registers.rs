//! Checks what the store keeps beside its partitions: tags, sensors, logs.
//!
//! A part of `store/verify.rs`. An entry that does not read is removed by a repair and named; who the sensors were is known from
//! nothing else.

use super::reply::Pairs;
use super::tag::TagReader;
use super::verify::Verdict;
use super::{SourceState, Store, StoreError, reply};

impl Store {
    /// Checks the tags.
    pub(super) fn verify_tags(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let (meta, history) = (self.keys.tags_meta(), self.keys.tags_history());
        self.expect_type(&meta, &[b"HGET", meta.as_bytes(), b"g"], repair, verdict)?;
        let words: [&[u8]; 4] = [b"LRANGE", history.as_bytes(), b"0", b"0"];
        self.expect_type(&history, &words, repair, verdict)?;
        let (key, mut reader) = (self.keys.tags(), TagReader::default());
        for (field, value) in self.register(&key, repair, verdict)? {
            verdict.tags += 1;
            if reader.read(&field, &value).is_none() {
                let shown = String::from_utf8_lossy(&field);
                let text = format!("{key}: the tag {shown:?} does not read");
                self.forget_entry(&key, &field, text, repair, verdict)?;
            }
        }
        Ok(())
    }

    /// Checks what is known of logs.
    pub(super) fn verify_sources(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
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

    /// Checks that the sensors that rows tell of have names.
    pub(super) fn verify_sensors(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.sensors();
        let mut named = 0_u32;
        for (name, bit) in self.register(&key, repair, verdict)? {
            let bit = std::str::from_utf8(&bit).ok().and_then(|bit| bit.parse::<u32>().ok());
            match bit.filter(|&bit| bit < 32) {
                Some(bit) => named |= 1 << bit,
                None => {
                    let shown = String::from_utf8_lossy(&name);
                    let text = format!("{key}: the bit of the sensor {shown:?} does not read");
                    self.forget_entry(&key, &name, text, repair, verdict)?;
                }
            }
        }
        let nameless = verdict.sensors & !named;
        for bit in (0..32).filter(|bit| nameless & (1 << bit) != 0) {
            verdict.problem(|| format!("{key}: a sensor has no name any more: number {bit}"));
            if repair {
                let (name, bit) = (format!("lost-sensor-{bit}"), bit.to_string());
                self.link.ask(&[b"HSET", key.as_bytes(), name.as_bytes(), bit.as_bytes()])?;
                verdict.repaired += 1;
                verdict.lost.push(format!("{key}: the name of sensor {bit}; it is {name} now"));
            }
        }
        Ok(())
    }

    /// The entries of a hash; none where it is something else, which is a problem.
    fn register(
        &mut self,
        key: &str,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<Pairs, StoreError> {
        match self.hash(key) {
            Err(StoreError::Damaged { .. }) => {
                self.wrong_type(key, repair, verdict)?;
                Ok(Vec::new())
            }
            read => read,
        }
    }

    /// Makes sure that a command finds a key of its type.
    fn expect_type(
        &mut self,
        key: &str,
        words: &[&[u8]],
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        match self.link.ask(words) {
            Err(StoreError::Damaged { .. }) => self.wrong_type(key, repair, verdict),
            other => other.map(|_| ()),
        }
    }

    fn wrong_type(
        &mut self,
        key: &str,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        verdict.problem(|| format!("{key} is of another type"));
        if repair {
            self.link.ask(&[b"DEL", key.as_bytes()])?;
            verdict.repaired += 1;
            verdict.lost.push(format!("{key}: all that it held"));
        }
        Ok(())
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
            reply::integer(&self.link.ask(&[b"HDEL", key.as_bytes(), field])?)?;
            verdict.repaired += 1;
            verdict.lost.push(text.clone());
        }
        verdict.problem(|| text);
        Ok(())
    }
}
