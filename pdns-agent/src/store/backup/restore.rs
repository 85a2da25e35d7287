//! Writes the keys of a store into an empty place of a server.
//!
//! Part of `store/backup`. While this is under way, the schema holds no more than the mark `restore`, with which all
//! programs refuse or wait; the true schema comes last, in one step. The mark names what is restored and the
//! connection that does it, so that the next attempt knows whether it may go on:
//!
//! - Keys of the same file are the same, so those that are there are left alone.
//! - Anything else starts over, and removes first what is there: it was put there by an earlier attempt.
//!
//! Writers remember rows of a store by their numbers, which lead elsewhere in a store as of an earlier moment. So a
//! restored store has a new generation, which makes them forget: the present time, which no earlier one can be.

use super::BackupError;
use super::crc64::crc64;
use super::rdb_value::version_of;
use crate::hash::{Hasher, Router};
use crate::store::functions::FUNCTIONS;
use crate::store::layout::keys::{KeyClass, Keys, Kind, OLDEST_VERSION, VERSION};
use crate::store::redis::client::{KeyScan, Pipeline, RedisClient};
use crate::store::redis::{capacity, reply};
use crate::store::schema::{Schema, marks};
use crate::store::write::upsert::WriterState;
use crate::store::{Options, Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Callback for some keys, with the client that found them.
type EachPage<'e> = dyn FnMut(&mut RedisClient, Vec<Vec<u8>>) -> Result<(), BackupError> + 'e;

/// Bytes and commands sent at a time.
const BATCH: (usize, usize) = (1 << 20, 1_000);
/// Attempts to find the connection of an earlier attempt closed, and the time between them.
const PATIENCE: (u32, Duration) = (50, Duration::from_millis(100));
/// Field of the schema while a store is incomplete.
const FIELD: &[u8] = b"restore";
/// Name in the mark while a store is copied from a server.
const COPY: &str = "copy";
/// Name in the mark while an earlier attempt is removed.
const REMOVAL: &str = "removal";

/// Replaces the mark of the schema if it is still the expected one. KEYS[1]: the schema. ARGV: the expected mark, the
/// new one.
const REMARK: &str = "#!lua\n\
    if redis.call('HGET', KEYS[1], 'restore') ~= ARGV[1] then return 0 end\n\
    redis.call('HSET', KEYS[1], 'restore', ARGV[2])\n\
    return 1";

/// Replaces a schema that is marked as expected by the true one. KEYS[1]: the schema. ARGV: the expected mark, fields and
/// values.
const COMPLETE: &str = "#!lua\n\
    if redis.call('HGET', KEYS[1], 'restore') ~= ARGV[1] then return 0 end\n\
    redis.call('DEL', KEYS[1])\n\
    for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end\n\
    return 1";

/// Removes a store that is marked as expected, after its other keys. KEYS[1]: the schema. ARGV: the expected mark.
const REMOVE: &str = "#!lua\n\
    if redis.call('HGET', KEYS[1], 'restore') ~= ARGV[1] then return 0 end\n\
    return redis.call('DEL', KEYS[1])";

/// Marks a complete store as one that is removed. KEYS[1]: the schema. ARGV: its hash key, the mark.
const CONDEMN: &str = "#!lua\n\
    if redis.call('HGET', KEYS[1], 'sip') ~= ARGV[1] then return 0 end\n\
    redis.call('DEL', KEYS[1])\n\
    redis.call('HSET', KEYS[1], 'v', '0', 'restore', ARGV[2])\n\
    return 1";

/// A store that is being restored.
pub(super) struct Restored {
    client: RedisClient,
    keys: Keys,
    prefix: String,
    mark: String,
    packed: Pipeline,
    /// Commands whose replies are outstanding.
    in_flight: usize,
    /// Value of the schema, which comes last.
    schema: Option<Vec<u8>>,
    /// Values of the meta keys, which come last: without them nobody can write to a partition.
    metas: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Restored {
    /// Connects as one who marks the store with this name.
    fn connect(options: &Options, name: &str) -> Result<Self, BackupError> {
        let mut client = RedisClient::open(options.clone(), Arc::default())?;
        client.refuse_unsupported()?;
        let connection = reply::integer(&client.ask(&[b"CLIENT", b"ID"])?)?;
        Ok(Self {
            client,
            keys: Keys::new(&options.prefix),
            prefix: options.prefix.clone(),
            mark: format!("{name} {connection}"),
            packed: Pipeline::default(),
            in_flight: 0,
            schema: None,
            metas: Vec::new(),
        })
    }

    /// Takes an empty place, or one that holds an interrupted attempt. `id` identifies what is restored, if that is the
    /// same at each attempt.
    pub(super) fn begin(options: &Options, id: Option<&str>) -> Result<Self, BackupError> {
        let mut restored = Self::connect(options, id.unwrap_or(COPY))?;
        capacity::safe_capacity(&mut restored.client)?;
        let mark = restored.mark.clone();
        match restored.stored_mark()? {
            None => restored.claim()?,
            Some(old) if id.is_some_and(|id| old.starts_with(&format!("{id} "))) => {
                restored.refuse_living(&old)?;
                restored.replace_mark(&old, &mark)?;
            }
            Some(old) => {
                restored.refuse_living(&old)?;
                let removal = mark.replacen(id.unwrap_or(COPY), REMOVAL, 1);
                restored.replace_mark(&old, &removal)?;
                restored.remove_keys()?;
                restored.replace_mark(&removal, &mark)?;
            }
        }
        Ok(restored)
    }

    /// Reads the mark; `None` if nothing is there.
    fn stored_mark(&mut self) -> Result<Option<String>, BackupError> {
        let key = self.keys.schema();
        let fields = reply::pairs(self.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
        let is_empty = fields.is_empty();
        let mark = fields.into_iter().find(|(field, _)| field == FIELD);
        match mark {
            Some((_, mark)) => Ok(Some(String::from_utf8_lossy(&mark).into_owned())),
            None if is_empty => Ok(None),
            None => Err(BackupError::NotEmpty { prefix: self.prefix.clone(), key }),
        }
    }

    /// Takes an empty place.
    fn claim(&mut self) -> Result<(), BackupError> {
        let prefix = self.prefix.clone();
        self.scan(&mut |_, keys| match keys.first() {
            Some(key) => {
                let key = String::from_utf8_lossy(key).into_owned();
                Err(BackupError::NotEmpty { prefix: prefix.clone(), key })
            }
            None => Ok(()),
        })?;
        FUNCTIONS.load(&mut self.client)?;
        let (function, key) = (&FUNCTIONS.create, self.keys.schema());
        let words: [&[u8]; 8] = [
            b"FCALL",
            function.as_bytes(),
            b"1",
            key.as_bytes(),
            b"v",
            b"0",
            FIELD,
            self.mark.as_bytes(),
        ];
        let fields = reply::pairs(self.client.ask(&words)?)?;
        let is_ours = |(field, mark): &(Vec<u8>, Vec<u8>)| {
            field == FIELD && mark.as_slice() == self.mark.as_bytes()
        };
        if fields.iter().any(is_ours) {
            Ok(())
        } else {
            Err(BackupError::NotEmpty { prefix: self.prefix.clone(), key })
        }
    }

    /// Refuses to go on while the connection of an earlier attempt is open. A server may need a moment to notice that a
    /// process was killed.
    fn refuse_living(&mut self, mark: &str) -> Result<(), BackupError> {
        let mut refused = self.refuse_connected(mark);
        for _ in 0..PATIENCE.0 {
            if !matches!(refused, Err(BackupError::Busy(_))) {
                break;
            }
            std::thread::sleep(PATIENCE.1);
            refused = self.refuse_connected(mark);
        }
        refused
    }

    fn refuse_connected(&mut self, mark: &str) -> Result<(), BackupError> {
        let Some((_, connection)) = mark.rsplit_once(' ') else { return Ok(()) };
        let listed = self.client.ask(&[b"CLIENT", b"LIST", b"ID", connection.as_bytes()]);
        let listed = match listed {
            Ok(listed) => reply::octets(listed)?,
            // It is for whoever may not list connections to see to it that there is one attempt only.
            Err(StoreError::Refused(_) | StoreError::Server(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let listed = String::from_utf8_lossy(&listed);
        match listed.split(' ').find_map(|part| part.strip_prefix("addr=")) {
            Some(address) => Err(BackupError::Busy(format!("connection {connection}, {address}"))),
            None => Ok(()),
        }
    }

    fn replace_mark(&mut self, old: &str, new: &str) -> Result<(), BackupError> {
        self.script(REMARK, &[old.as_bytes(), new.as_bytes()])
    }

    /// Runs a script on the schema that needs it to be marked as expected.
    fn script(&mut self, script: &str, words: &[&[u8]]) -> Result<(), BackupError> {
        let key = self.keys.schema();
        let mut all: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), b"1", key.as_bytes()];
        all.extend(words);
        match reply::integer(&self.client.ask(&all)?)? {
            0 => Err(BackupError::TakenOver),
            _ => Ok(()),
        }
    }

    /// Passes the keys of the store but its schema to `each`, some at a time.
    fn scan(&mut self, each: &mut EachPage<'_>) -> Result<(), BackupError> {
        let pattern = format!("{}*", literally(&self.prefix));
        let schema = self.keys.schema();
        let mut scan = KeyScan::default();
        while let Some(mut keys) = self.client.scan(&mut scan, Some(&pattern))? {
            keys.retain(|key| {
                let rest = key.strip_prefix(self.prefix.as_bytes()).unwrap_or_default();
                key != schema.as_bytes() && KeyClass::of(rest) != KeyClass::Foreign
            });
            each(&mut self.client, keys)?;
        }
        Ok(())
    }

    /// Removes all keys of the store but its schema.
    fn remove_keys(&mut self) -> Result<(), BackupError> {
        self.scan(&mut |client, keys| {
            let mut packed = Pipeline::default();
            for key in keys {
                packed.command(&[b"UNLINK", &key]);
            }
            client.call(&packed)?;
            Ok(())
        })
    }

    /// Writes one key, given without its prefix.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        match (key, KeyClass::of(key)) {
            (_, KeyClass::Foreign) => {
                let key = String::from_utf8_lossy(key);
                Err(BackupError::Damaged(format!("{key:?} is not a key of a store")))
            }
            (_, KeyClass::Lease) => Ok(()),
            (b"schema", _) => {
                self.schema = Some(value.to_vec());
                Ok(())
            }
            ([b'{', _, _, b'}', b'm'] | [b'{', _, _, b'}', b'n', b'm'], _) => {
                self.metas.push((key.to_vec(), value.to_vec()));
                Ok(())
            }
            _ => self.put(key, value),
        }
    }

    /// Sends one key.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        let version = value.first().and_then(|kind| version_of(*kind)).ok_or_else(|| {
            let key = String::from_utf8_lossy(key);
            BackupError::Damaged(format!("the key {key:?} has a type that no store has"))
        })?;
        let version = version.to_le_bytes();
        let checksum = crc64(crc64(0, value), &version).to_le_bytes();
        let key = [self.prefix.as_bytes(), key].concat();
        let payload = [value, &version, &checksum].concat();
        self.packed.command(&[b"RESTORE", &key, b"0", &payload]);
        if self.packed.size() >= BATCH.0 || self.packed.len() >= BATCH.1 {
            self.send()?;
        }
        Ok(())
    }

    /// Sends what is packed, and then reads the replies to what was sent before.
    fn send(&mut self) -> Result<(), BackupError> {
        self.client.send(&self.packed)?;
        let before = std::mem::replace(&mut self.in_flight, self.packed.len());
        self.packed.clear();
        self.receive(before)
    }

    fn receive(&mut self, count: usize) -> Result<(), BackupError> {
        for _ in 0..count {
            match self.client.answer() {
                Ok(_) => {}
                // An earlier attempt has written it.
                Err(StoreError::Server(text)) if text.contains("BUSYKEY") => {}
                Err(error) => {
                    self.client.disconnect();
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Sends everything, and reads all replies.
    fn drain(&mut self) -> Result<(), BackupError> {
        self.send()?;
        let rest = std::mem::take(&mut self.in_flight);
        self.receive(rest)
    }

    /// Makes the store usable. `now` is in seconds since the epoch.
    pub(super) fn finish(mut self, now: u32) -> Result<(), BackupError> {
        self.drain()?;
        let fields = self.schema_fields()?;
        let number = |field: &[u8]| -> Option<u32> {
            std::str::from_utf8(fields.get(field)?).ok()?.parse().ok()
        };
        let unusable = |reason: &str| BackupError::Unusable(reason.to_owned());
        if fields.contains_key(FIELD) || fields.contains_key(&b"mig"[..]) {
            return Err(unusable("it is half restored or half migrated"));
        }
        match number(b"v") {
            Some(OLDEST_VERSION..=VERSION) => {}
            Some(version) if version > VERSION => {
                return Err(unusable("it is of a later version: install a newer pdns"));
            }
            _ => return Err(unusable("its schema does not read")),
        }
        let secret = fields.get(&b"sip"[..]).and_then(|key| <[u8; 16]>::try_from(&key[..]).ok());
        let secret = secret.ok_or_else(|| unusable("its schema does not read"))?;
        let old = number(b"g").unwrap_or(0);
        let generation = old.saturating_add(1).max(now);
        let epoch = marks::epoch(&Hasher::new(&secret), generation);
        for (key, value) in std::mem::take(&mut self.metas) {
            self.put(&key, &value)?;
        }
        self.drain()?;
        let mut packed = Pipeline::default();
        for (partition, mark) in (0..=u8::MAX).zip(marks::all(&mut self.client, &self.keys)?) {
            if mark.is_present() {
                let meta = self.keys.meta(partition, Kind::Record);
                packed.command(&[b"HSET", meta.as_bytes(), b"e", &epoch]);
            }
        }
        self.client.call(&packed)?;
        self.settle_judge(old, generation)?;
        if number(b"v") == Some(VERSION) {
            let partitions = number(b"P").and_then(|number| u16::try_from(number).ok());
            let partitions = partitions.filter(|number| (1..=256).contains(number));
            let partitions = partitions.ok_or_else(|| unusable("its schema does not read"))?;
            self.complete_index(partitions, &secret, generation)?;
        }
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> =
            fields.into_iter().filter(|(field, _)| field != b"g").collect();
        fields.push((b"g".to_vec(), generation.to_string().into_bytes()));
        let mark = self.mark.clone();
        let mut words: Vec<&[u8]> = vec![mark.as_bytes()];
        for (field, value) in &fields {
            words.extend([field.as_slice(), value.as_slice()]);
        }
        self.script(COMPLETE, &words)
    }

    /// Adds what a batch in progress at the time of the backup had not yet added to the inverse index.
    fn complete_index(
        &self,
        partitions: u16,
        secret: &[u8; 16],
        generation: u32,
    ) -> Result<(), StoreError> {
        let router = Router::new(Hasher::new(secret), partitions);
        let schema = Schema {
            identity: marks::identity(partitions, secret),
            generation,
            epoch: marks::epoch(router.hasher(), generation),
            is_marked: true,
        };
        let mut store = Store {
            client: RedisClient::unconnected(self.client.options().clone(), Arc::default()),
            keys: self.keys.clone(),
            router,
            schema,
            writer_state: WriterState::default(),
            shapes: HashMap::new(),
            shapes_until: std::time::Instant::now(),
        };
        store.writer().redo_all()
    }

    /// Reads the fields of the schema, by way of a key of its own.
    fn schema_fields(&mut self) -> Result<HashMap<Vec<u8>, Vec<u8>>, BackupError> {
        let value = self.schema.take();
        let value = value.ok_or_else(|| BackupError::Unusable("it has no schema".to_owned()))?;
        let key = format!("{}schema:restored", self.prefix);
        self.client.ask(&[b"DEL", key.as_bytes()])?;
        self.put(b"schema:restored", &value)?;
        self.drain()?;
        let fields = self.client.ask(&[b"HGETALL", key.as_bytes()]);
        self.client.ask(&[b"DEL", key.as_bytes()])?;
        let fields = fields.map_err(|error| error.of(|| Some(self.keys.schema())))?;
        Ok(reply::pairs(fields)?.into_iter().collect())
    }

    /// Frees the judge, and makes its positions valid in the new generation if they were so in the old one.
    fn settle_judge(&mut self, old: u32, new: u32) -> Result<(), BackupError> {
        let key = self.keys.judge();
        self.client.ask(&[b"HDEL", key.as_bytes(), b"l"])?;
        let state = self.client.ask(&[b"HGET", key.as_bytes(), b"s"])?;
        let Some(state) = reply::maybe_octets(state)? else { return Ok(()) };
        let Ok(mut state) = serde_json::from_slice::<serde_json::Value>(&state) else {
            // `verify` reports it.
            return Ok(());
        };
        match state.get_mut("repairs") {
            Some(repairs) if repairs.as_u64() == Some(old.into()) => *repairs = new.into(),
            _ => return Ok(()),
        }
        let state = serde_json::to_vec(&state).map_err(|_| StoreError::damaged(&key))?;
        self.client.ask(&[b"HSET", key.as_bytes(), b"s", &state])?;
        Ok(())
    }
}

/// Removes a store, complete or not. From its beginning the store is no longer usable, whatever interrupts this.
pub(super) fn clear(options: &Options) -> Result<(), BackupError> {
    let mut restored = Restored::connect(options, REMOVAL)?;
    let key = restored.keys.schema();
    let secret = reply::maybe_octets(restored.client.ask(&[b"HGET", key.as_bytes(), b"sip"])?)?;
    let mark = restored.mark.clone();
    if let Some(secret) = secret {
        restored.script(CONDEMN, &[&secret, mark.as_bytes()])?;
    } else {
        let Some(old) = restored.stored_mark()? else { return Ok(()) };
        restored.refuse_living(&old)?;
        restored.replace_mark(&old, &mark)?;
    }
    restored.remove_keys()?;
    restored.script(REMOVE, &[mark.as_bytes()])
}

/// Returns a pattern that matches a text and nothing else.
fn literally(text: &str) -> String {
    let mut pattern = String::new();
    for char in text.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(literally("pd:"), "pd:");
        assert_eq!(literally("a*[b]?\\"), "a\\*\\[b\\]\\?\\\\");
    }
}
