//! The tags of a store and their history.
//!
//! Tags are few compared with records and are needed all at once, so a client reads and caches all of them; a number
//! that grows with every change shows when to read them again. They share one slot of a cluster. Related changes (a
//! tag, the one it replaces, the entries in the history) are made in one run of a script.

pub(in crate::store) mod encoding;
mod order;
pub(in crate::store) mod repair;

use crate::name::{NameBuf, ancestors};
use crate::store::layout::keys::MAX_TAGS;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::tags::encoding as tag;
use crate::store::tags::encoding::TagReader;
use crate::store::tags::order::sorted;
use crate::store::{Reader, StoreError, Tags};
use crate::tag::{Tag, TagAct, TagChange, TagEvent, TagKind, TagOutcome, TagSnapshot, TagSubject};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Maximum number of history entries; older ones are dropped.
pub const MAX_HISTORY: u32 = 100_000;
/// Changes in one run of the script, which keeps Redis busy for some 5 ms.
const BATCH: usize = 1_000;
/// The script that changes tags. Redis 7.0 reads its flags from the first line: runs that only clear tags free
/// memory, so they are allowed on a full store, too.
const CHANGE: &str =
    concat!("#!lua\n", include_str!("refusals.lua"), include_str!("tags/change.lua"));
const CLEAR: &str = concat!(
    "#!lua flags=allow-oom\n",
    include_str!("refusals.lua"),
    include_str!("tags/change.lua")
);
/// Number of history entries read at once.
const PAGE: i64 = 1_000;
/// Times that the number of tags is compared with what is known of it, before they are called damaged.
const ATTEMPTS: usize = 5;
/// Number of tags looked up at once.
const FIELDS: usize = 4_096;

/// Callback for a tag as stored: field and value.
type EachStored<'e> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'e;

/// An entry of the history as stored, after its number and a space.
#[derive(Serialize, Deserialize)]
struct SubjectEntry<'a> {
    act: TagAct,
    tag: &'a str,
    value: &'a str,
}

impl Tags<'_> {
    /// Makes changes in order and returns the outcome of each, in the same order. Up to a thousand are made together
    /// or not at all.
    ///
    /// # Errors
    /// [`StoreError::TooManyTags`]; [`StoreError::Evicts`] if a tag that is set could be evicted again; other errors
    /// as they occur. Earlier changes may have been made.
    pub fn change(&mut self, changes: &[TagChange]) -> Result<Vec<TagOutcome>, StoreError> {
        if changes.iter().any(|change| matches!(change, TagChange::Set(_))) {
            self.store.safe_capacity()?;
        }
        let mut outcomes = Vec::with_capacity(changes.len());
        for changes in changes.chunks(BATCH) {
            outcomes.extend(self.change_batch(changes)?);
        }
        Ok(outcomes)
    }

    fn change_batch(&mut self, changes: &[TagChange]) -> Result<Vec<TagOutcome>, StoreError> {
        let mut packed = Pipeline::default();
        let clears = changes.iter().all(|change| matches!(change, TagChange::Clear(_)));
        let script = if clears { CLEAR } else { CHANGE };
        let (root, meta) = (self.store.keys.tags_root(), self.store.keys.tags_meta());
        packed.begin_call("EVAL", script, [&root, &meta], 1 + 5 * changes.len());
        packed.arg(format!("{MAX_TAGS} {MAX_HISTORY}"));
        for change in changes {
            let tag = change.tag();
            let (field, value) = (tag::field(tag.kind, &tag.subject), tag::value(tag));
            let entry = |act, field: &str| entry(act, field, &value);
            match change {
                TagChange::Set(_) => {
                    let other = tag.kind.opposite();
                    let other = other.map(|kind| tag::field(kind, &tag.subject));
                    let other = other.unwrap_or_default();
                    packed.arg(&field).arg(&value).arg(&other);
                    packed.arg(entry(TagAct::Set, &field));
                    packed.arg(entry(TagAct::Displaced, &other));
                }
                TagChange::Clear(_) => {
                    packed.arg(&field).arg("").arg("");
                    packed.arg(entry(TagAct::Cleared, &field)).arg("");
                }
            }
        }
        self.store.client.send(&packed)?;
        let answer = self.store.client.answer()?;
        let answer = reply::octets(answer)?;
        if answer == b"full" {
            return Err(StoreError::TooManyTags);
        }
        if let Some(key) = answer.strip_prefix(b"H") {
            return Err(StoreError::damaged(&String::from_utf8_lossy(key)));
        }
        if answer.len() != changes.len() {
            return Err(StoreError::Reply);
        }
        let outcome = |&letter: &u8| match letter {
            b'=' => Ok(TagOutcome::Same),
            b'+' => Ok(TagOutcome::New),
            b'~' => Ok(TagOutcome::Changed),
            b'!' => Ok(TagOutcome::Displaced),
            b'-' => Ok(TagOutcome::Cleared),
            _ => Err(StoreError::Reply),
        };
        answer.iter().map(outcome).collect()
    }
}

impl Reader<'_> {
    /// Reads all tags.
    ///
    /// # Errors
    /// If Redis does not answer, or a tag cannot be decoded.
    pub fn tags(&mut self) -> Result<TagSnapshot, StoreError> {
        let key = self.store.keys.tags();
        let (mut tags, mut reader) = (Vec::new(), TagReader::default());
        let generation = self.raw_tags(&mut |field, value| {
            tags.push(reader.read(field, value).ok_or_else(|| StoreError::damaged(&key))?);
            Ok(())
        })?;
        Ok(TagSnapshot { generation, tags: sorted(tags) })
    }

    /// Reads the generation of the tags, and passes each of them, field and value as stored, to `each`. In this
    /// order, a change in between causes one reading too many rather than one too few.
    pub(in crate::store) fn raw_tags(
        &mut self,
        each: &mut EachStored<'_>,
    ) -> Result<u64, StoreError> {
        let (key, meta_key) = (self.store.keys.tags(), self.store.keys.tags_meta());
        let mut packed = Pipeline::default();
        pack_meta(&mut packed, &meta_key);
        packed.command(&[b"HGETALL", key.as_bytes()]);
        pack_meta(&mut packed, &meta_key);
        self.store.client.send(&packed)?;
        let of_meta = |error: StoreError| error.of(|| Some(meta_key.clone()));
        let before = TagMeta::read(self.store.client.receive().map_err(of_meta)?, &meta_key)?;
        let mut count = 0;
        self.store.client.pairs(1, &|_| key.clone(), &mut |_, field, value| {
            count += 1;
            each(field, value)
        })?;
        let after = TagMeta::read(self.store.client.receive().map_err(of_meta)?, &meta_key)?;
        // Only data that was read without a change in between can be compared.
        match &before {
            None if after.is_none() && count > 0 => return Err(StoreError::damaged(&meta_key)),
            Some(meta) if before == after && meta.count.is_some_and(|known| known != count) => {
                return Err(StoreError::damaged(&key));
            }
            _ => {}
        }
        Ok(before.map_or(0, |meta| meta.generation))
    }

    /// Reads the tags that apply to any of some subjects, through domains and prefixes that contain them; in no
    /// particular order, each once. Also returns true if the store has any tags.
    ///
    /// # Errors
    /// If Redis does not answer, or a tag cannot be decoded.
    pub fn tags_of(&mut self, subjects: &[TagSubject]) -> Result<(Vec<Tag>, bool), StoreError> {
        let key = self.store.keys.tags();
        let meta = self.sound_meta()?;
        if meta.as_ref().is_none_or(|meta| meta.count == Some(0)) {
            return Ok((Vec::new(), false));
        }
        let lengths = meta.as_ref().map(|meta| meta.lengths.clone()).unwrap_or_default();
        let fields: Vec<String> = wanted(subjects, &lengths).into_iter().collect();
        let (mut tags, mut reader) = (Vec::new(), TagReader::default());
        for fields in fields.chunks(FIELDS) {
            let mut packed = Pipeline::default();
            packed.begin(2 + fields.len()).arg("HMGET").arg(&key);
            for field in fields {
                packed.arg(field);
            }
            let answer = self.store.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
            for (field, value) in fields.iter().zip(reply::list(answer)?) {
                let Some(value) = reply::maybe_octets(value)? else { continue };
                let tag = reader.read(field.as_bytes(), &value);
                tags.push(tag.ok_or_else(|| StoreError::damaged(&key))?);
            }
        }
        Ok((tags, true))
    }

    /// Reads the metadata of the tags, after checking that there are as many tags as it says.
    fn sound_meta(&mut self) -> Result<Option<TagMeta>, StoreError> {
        let (key, meta_key) = (self.store.keys.tags(), self.store.keys.tags_meta());
        for _ in 0..ATTEMPTS {
            let mut packed = Pipeline::default();
            pack_meta(&mut packed, &meta_key);
            packed.command(&[b"HLEN", key.as_bytes()]);
            let mut answers = self.store.client.call_each(&packed)?.into_iter();
            let mut next = || answers.next().ok_or(StoreError::Reply);
            let meta = next()?.map_err(|error| error.of(|| Some(meta_key.clone())))?;
            let meta = TagMeta::read(meta, &meta_key)?;
            let count = match next()?.map_err(|error| error.of(|| Some(key.clone()))) {
                // Users who only read may lack this right; then a loss shows when all tags are read.
                Err(StoreError::Refused(_)) => return Ok(meta),
                count => u64::try_from(reply::integer(&count?)?).map_err(|_| StoreError::Reply)?,
            };
            let known = meta.as_ref().map_or(Some(0), |meta| meta.count);
            if known.is_none_or(|known| known == count) {
                return Ok(meta);
            }
            if meta.is_none() {
                return Err(StoreError::damaged(&meta_key));
            }
            // A change may lie between the two answers.
        }
        Err(StoreError::damaged(&key))
    }

    /// Returns the number of tags.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn tags_count(&mut self) -> Result<u64, StoreError> {
        let key = self.store.keys.tags_meta();
        let mut packed = Pipeline::default();
        pack_meta(&mut packed, &key);
        let meta = self.store.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        Ok(TagMeta::read(meta, &key)?.and_then(|meta| meta.count).unwrap_or(0))
    }

    /// Reads the generation of the tags: if it differs from that of [`Reader::tags`], the tags have changed.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn tags_generation(&mut self) -> Result<u64, StoreError> {
        let key = self.store.keys.tags_meta();
        let mut packed = Pipeline::default();
        pack_meta(&mut packed, &key);
        let meta = self.store.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        Ok(TagMeta::read(meta, &key)?.map_or(0, |meta| meta.generation))
    }

    /// Reads the history of tags, latest first, until `each` breaks. Returns the number of entries that were dropped
    /// because there were more than [`MAX_HISTORY`].
    ///
    /// # Errors
    /// If Redis does not answer, or an entry cannot be decoded.
    pub fn tag_history(
        &mut self,
        each: &mut dyn FnMut(TagEvent) -> ControlFlow<()>,
    ) -> Result<u64, StoreError> {
        self.tag_history_of(&|_| true, each)
    }

    /// Reads the history like [`Reader::tag_history`], of the tags whose subject `admits` accepts.
    ///
    /// # Errors
    /// As [`Reader::tag_history`]; entries of other tags may be invalid.
    pub fn tag_history_of(
        &mut self,
        admits: &dyn Fn(&TagSubject) -> bool,
        each: &mut dyn FnMut(TagEvent) -> ControlFlow<()>,
    ) -> Result<u64, StoreError> {
        let key = self.store.keys.tags_history();
        let damaged = || StoreError::damaged(&key);
        let Some(oldest) = self.oldest_entry()? else { return Ok(0) };
        let dropped = oldest - 1;
        let mut before = u64::MAX;
        let mut end = -1;
        loop {
            let (from, to) = ((end - PAGE + 1).to_string(), end.to_string());
            let words: [&[u8]; 4] = [b"LRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()];
            let page = reply::list(self.store.client.ask(&words)?)?;
            if page.is_empty() {
                return Ok(dropped);
            }
            for entry in page.into_iter().rev() {
                let entry = reply::octets(entry)?;
                let stored = StoredEvent::read(&entry).ok_or_else(damaged)?;
                // Entries added meanwhile move those already passed on into the next page.
                if stored.number >= before {
                    continue;
                }
                before = stored.number;
                let (_, subject) = tag::read_field(&stored.tag).ok_or_else(damaged)?;
                if admits(&subject) && each(stored.event().ok_or_else(damaged)?).is_break() {
                    return Ok(dropped);
                }
            }
            end -= PAGE;
        }
    }
}

/// Returns the fields of all tags that may apply to some subjects.
fn wanted(subjects: &[TagSubject], [v4, v6]: &[Vec<u8>; 2]) -> BTreeSet<String> {
    let mut sought = BTreeSet::new();
    for subject in subjects {
        let below = |name: &NameBuf| -> Vec<String> {
            ancestors(name.as_name()).map(|text| format!(".{text}")).collect()
        };
        match subject {
            TagSubject::Name(name) => {
                sought.extend(below(name));
                sought.insert(tag::stored(subject));
            }
            TagSubject::Below(name) => sought.extend(below(name)),
            TagSubject::Net(net) => {
                let lengths = if matches!(net, IpNet::V4(_)) { v4 } else { v6 };
                let fits = lengths.iter().filter(|&&length| length <= net.prefix_len());
                let wider = fits.filter_map(|&length| IpNet::new(net.addr(), length).ok());
                sought.extend(wider.map(|net| tag::stored(&TagSubject::Net(net.trunc()))));
            }
        }
    }
    let kinds = |subject: String| TagKind::ALL.map(|kind| format!("{kind} {subject}"));
    sought.into_iter().flat_map(kinds).collect()
}

impl Reader<'_> {
    /// Returns the number of the oldest entry of the history, after checking that none are missing.
    fn oldest_entry(&mut self) -> Result<Option<u64>, StoreError> {
        let (key, meta_key) = (self.store.keys.tags_history(), self.store.keys.tags_meta());
        let mut packed = Pipeline::default();
        pack_meta(&mut packed, &meta_key);
        packed.command(&[b"LRANGE", key.as_bytes(), b"0", b"0"]);
        packed.command(&[b"LRANGE", key.as_bytes(), b"-1", b"-1"]);
        pack_meta(&mut packed, &meta_key);
        let mut answers = self.store.client.call(&packed)?.into_iter();
        let mut next = || answers.next().ok_or(StoreError::Reply);
        let before = TagMeta::read(next()?, &meta_key)?;
        let mut ends = [None, None];
        for end in &mut ends {
            if let Some(entry) = reply::list(next()?)?.into_iter().next() {
                let event = read_event(&reply::octets(entry)?);
                *end = Some(event.ok_or_else(|| StoreError::damaged(&key))?.number);
            }
        }
        let after = TagMeta::read(next()?, &meta_key)?;
        let [first, last] = ends;
        match &before {
            None if after.is_none() && first.is_some() => Err(StoreError::damaged(&meta_key)),
            Some(meta) if before == after && (first, last) != meta.ends() => {
                Err(StoreError::damaged(&key))
            }
            _ => Ok(first),
        }
    }
}

/// The expected state of the other two tag keys, from `pd:{tags}m`; the function that changes tags checks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct TagMeta {
    /// Changes with every change of the tags.
    pub(in crate::store) generation: u64,
    /// Number of history entries ever written.
    pub(in crate::store) entries: u64,
    /// Number of tags; unknown until this version changes them.
    pub(in crate::store) count: Option<u64>,
    /// The first entry of the history that was not lost.
    pub(in crate::store) first: u64,
    /// The prefix lengths that tags have or had, IPv4 and IPv6.
    pub(in crate::store) lengths: [Vec<u8>; 2],
}

impl TagMeta {
    /// Decodes the reply to [`pack_meta`]; `None` if no tag was ever set.
    pub(in crate::store) fn read(
        reply: redis::Value,
        key: &str,
    ) -> Result<Option<Self>, StoreError> {
        let fields = reply::list(reply)?;
        if fields.iter().all(|field| *field == redis::Value::Nil) {
            return Ok(None);
        }
        let number = |at: usize| -> Result<Option<u64>, StoreError> {
            match fields.get(at) {
                None | Some(redis::Value::Nil) => Ok(None),
                Some(field) => {
                    let number = reply::integer(field).ok().and_then(|one| u64::try_from(one).ok());
                    number.map(Some).ok_or_else(|| StoreError::damaged(key))
                }
            }
        };
        let needed = |at: usize| number(at)?.ok_or_else(|| StoreError::damaged(key));
        let lengths = match fields.get(4) {
            Some(redis::Value::BulkString(text)) => text.as_slice(),
            _ => &[],
        };
        let lengths = read_lengths(lengths).ok_or_else(|| StoreError::damaged(key))?;
        Ok(Some(Self {
            lengths,
            generation: needed(0)?,
            entries: needed(1)?,
            count: number(2)?,
            first: number(3)?.unwrap_or(1).max(1),
        }))
    }

    /// Returns the numbers of the first and the last entry of the history.
    pub(in crate::store) fn ends(&self) -> (Option<u64>, Option<u64>) {
        let first = (self.entries + 1).saturating_sub(MAX_HISTORY.into()).max(self.first);
        if first <= self.entries { (Some(first), Some(self.entries)) } else { (None, None) }
    }
}

/// Decodes prefix lengths: words such as `4/24` or `6/48`.
fn read_lengths(text: &[u8]) -> Option<[Vec<u8>; 2]> {
    let mut lengths = [Vec::new(), Vec::new()];
    for word in std::str::from_utf8(text).ok()?.split_ascii_whitespace() {
        let [v4, v6] = &mut lengths;
        let (family, most, length) = match word.split_once('/')? {
            ("4", length) => (v4, 32, length),
            ("6", length) => (v6, 128, length),
            _ => return None,
        };
        family.push(length.parse().ok().filter(|&length| length <= most)?);
    }
    Some(lengths)
}

/// Encodes the prefix lengths of subjects.
pub(in crate::store) fn lengths_of<'t>(subjects: impl Iterator<Item = &'t TagSubject>) -> String {
    let words = subjects.filter_map(|subject| {
        let net = subject.net()?;
        let family = if matches!(net, IpNet::V4(_)) { 4 } else { 6 };
        Some((family, net.prefix_len()))
    });
    let words: BTreeSet<(u8, u8)> = words.collect();
    let words = words.into_iter().map(|(family, length)| format!("{family}/{length}"));
    words.collect::<Vec<_>>().join(" ")
}

/// Packs the command that reads a [`TagMeta`].
pub(in crate::store) fn pack_meta(packed: &mut Pipeline, key: &str) {
    packed.command(&[b"HMGET", key.as_bytes(), b"g", b"n", b"k", b"f", b"p"]);
}

fn entry(act: TagAct, field: &str, value: &str) -> String {
    // Texts can always be encoded as JSON.
    serde_json::to_string(&SubjectEntry { act, tag: field, value }).unwrap_or_default()
}

/// Decodes a complete entry of the history.
pub(in crate::store) fn read_event(entry: &[u8]) -> Option<TagEvent> {
    StoredEvent::read(entry)?.event()
}

/// An entry of the history whose tag is not yet decoded.
struct StoredEvent<'e> {
    number: u64,
    act: TagAct,
    tag: Cow<'e, str>,
    value: Cow<'e, str>,
}

impl<'e> StoredEvent<'e> {
    fn read(entry: &'e [u8]) -> Option<Self> {
        /// A [`SubjectEntry`] that owns its texts if they contain escapes.
        #[derive(Deserialize)]
        struct Read<'e> {
            act: TagAct,
            #[serde(borrow)]
            tag: Cow<'e, str>,
            #[serde(borrow)]
            value: Cow<'e, str>,
        }
        let (number, entry) = std::str::from_utf8(entry).ok()?.split_once(' ')?;
        let number = number.parse().ok().filter(|&number: &u64| number > 0)?;
        let Read { act, tag, value } = serde_json::from_str(entry).ok()?;
        Some(Self { number, act, tag, value })
    }

    fn event(&self) -> Option<TagEvent> {
        let tag = TagReader::default().read(self.tag.as_bytes(), self.value.as_bytes())?;
        Some(TagEvent { number: self.number, act: self.act, tag })
    }
}
