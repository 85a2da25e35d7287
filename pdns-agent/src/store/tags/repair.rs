//! Checks the tags and their history against each other, and restores each from the other.
//!
//! A part of `store/verify.rs`. A tag should exist if the last event for it in the history set it: lost tags are set
//! again from there. Data that neither of the two has is lost.

use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::tags::encoding::{self, TagReader};
use crate::store::tags::{TagMeta, lengths_of, pack_meta, read_event};
use crate::store::verify::Verdict;
use crate::store::{Store, StoreError};
use crate::tag::{TagAct, TagEvent, TagSubject};
use std::collections::BTreeMap;

/// Number of history entries read or written at once.
const PAGE: usize = 1_000;

/// Tags as stored: field and value.
type Stored = BTreeMap<Vec<u8>, Vec<u8>>;

/// The remains of the tags.
struct TagRemains {
    meta: Option<TagMeta>,
    /// True if the metadata exists but cannot be decoded.
    is_meta_bad: bool,
    /// Valid tags.
    tags: Stored,
    /// Fields of the invalid tags.
    unreadable: Vec<Vec<u8>>,
    /// Valid entries of the history, as stored, and the number of invalid ones.
    entries: Vec<(Vec<u8>, TagEvent)>,
    bad_entries: u64,
}

impl TagRemains {
    /// Returns the numbers of the first and the last entry of the history.
    fn ends(&self) -> (Option<u64>, Option<u64>) {
        let number = |entry: Option<&(Vec<u8>, TagEvent)>| entry.map(|(_, event)| event.number);
        (number(self.entries.first()), number(self.entries.last()))
    }

    /// Returns the tags that are set according to the history but missing; none if the number of tags is right, or if
    /// the history lacks entries that may have cleared them.
    fn missing(&self) -> Stored {
        let mut set = Stored::new();
        let (_, last) = self.ends();
        let is_whole = self.bad_entries == 0
            && self
                .meta
                .as_ref()
                .is_none_or(|meta| meta.ends().1.is_some_and(|end| last == Some(end)));
        let is_short = self
            .meta
            .as_ref()
            .and_then(|meta| meta.count)
            .is_none_or(|count| count > (self.tags.len() as u64));
        if !is_whole || !is_short {
            return set;
        }
        for (_, event) in &self.entries {
            let field = encoding::field(event.tag.kind, &event.tag.subject).into_bytes();
            match event.act {
                TagAct::Set => {
                    set.insert(field, encoding::value(&event.tag).into_bytes());
                }
                TagAct::Cleared | TagAct::Displaced => {
                    set.remove(&field);
                }
            }
        }
        set.retain(|field, _| !self.tags.contains_key(field));
        set
    }
}

impl Store {
    /// Checks the tags.
    pub(in crate::store) fn verify_tags(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let (tags_key, meta_key, history_key) =
            (self.keys.tags(), self.keys.tags_meta(), self.keys.tags_history());
        let before = verdict.problem_count;
        for (key, expected) in [(&tags_key, "hash"), (&meta_key, "hash"), (&history_key, "list")] {
            self.verify_type(key, expected, repair, verdict)?;
        }
        let remains = match self.tag_remains() {
            // A key of another type is already reported.
            Err(StoreError::Damaged { .. }) if !repair => return Ok(()),
            remains => remains?,
        };
        verdict.tags += (remains.tags.len() + remains.unreadable.len()) as u64;
        let count = (remains.tags.len() + remains.unreadable.len()) as u64;
        for field in &remains.unreadable {
            let shown = String::from_utf8_lossy(field);
            verdict.problem(repair, || format!("{tags_key}: the tag {shown:?} does not read"));
        }
        if remains.bad_entries > 0 {
            let bad = remains.bad_entries;
            verdict.problem(repair, || format!("{history_key}: {bad} entries do not read"));
        }
        match &remains.meta {
            None if !remains.tags.is_empty() || !remains.entries.is_empty() => {
                verdict.problem(repair, || format!("{meta_key} is missing, or does not read"));
            }
            None if remains.is_meta_bad => {
                verdict.problem(repair, || format!("{meta_key} does not read"));
            }
            None => {}
            Some(meta) => {
                if let Some(known) = meta.count.filter(|&known| known != count) {
                    verdict.problem(repair, || {
                        format!("{tags_key} has {count} tags instead of {known}")
                    });
                }
                if remains.bad_entries == 0 && remains.ends() != meta.ends() {
                    verdict.problem(repair, || format!("{history_key} lacks entries"));
                }
            }
        }
        if repair && verdict.problem_count > before {
            self.repair_tags(&remains, verdict)?;
        }
        Ok(())
    }

    fn tag_remains(&mut self) -> Result<TagRemains, StoreError> {
        let meta_key = self.keys.tags_meta();
        let mut packed = Pipeline::default();
        pack_meta(&mut packed, &meta_key);
        let meta = self.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        let meta = TagMeta::read(meta, &meta_key);
        let (is_meta_bad, meta) = (meta.is_err(), meta.ok().flatten());
        let (mut tags, mut unreadable, mut reader) =
            (Stored::new(), Vec::new(), TagReader::default());
        for (field, value) in self.hash(&self.keys.tags())? {
            if reader.read(&field, &value).is_some() {
                tags.insert(field, value);
            } else {
                unreadable.push(field);
            }
        }
        let key = self.keys.tags_history();
        let (mut entries, mut bad_entries, mut from) = (Vec::new(), 0, 0);
        loop {
            let (first, last) = (from.to_string(), (from + PAGE - 1).to_string());
            let words: [&[u8]; 4] = [b"LRANGE", key.as_bytes(), first.as_bytes(), last.as_bytes()];
            let page = reply::list(self.client.ask(&words)?)?;
            if page.is_empty() {
                break;
            }
            from += page.len();
            for entry in page {
                let entry = reply::octets(entry)?;
                match read_event(&entry) {
                    Some(event) => entries.push((entry, event)),
                    None => bad_entries += 1,
                }
            }
        }
        Ok(TagRemains { meta, is_meta_bad, tags, unreadable, entries, bad_entries })
    }

    /// Makes the three keys consistent, and reports lost data.
    fn repair_tags(
        &mut self,
        remains: &TagRemains,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let (tags_key, meta_key, history_key) =
            (self.keys.tags(), self.keys.tags_meta(), self.keys.tags_history());
        let missing = remains.missing();
        let lost = remains.unreadable.iter().filter(|&field| !missing.contains_key(field));
        for field in lost.clone() {
            let shown = String::from_utf8_lossy(field);
            verdict.lost.push(format!("{tags_key}: the tag {shown:?} does not read"));
        }
        let there = (remains.tags.len() + missing.len()) as u64;
        let (first, last) = remains.ends();
        match remains.meta.as_ref().and_then(|meta| meta.count) {
            Some(known) => {
                let gone = known.saturating_sub(there + lost.count() as u64);
                if gone > 0 {
                    verdict.lost.push(format!("{tags_key}: {gone} tags are gone"));
                }
            }
            // The history is all that is left, and it is incomplete.
            None if remains.tags.is_empty() && first != Some(1) => {
                let first = first.unwrap_or(1);
                verdict.lost.push(format!(
                    "{tags_key}: tags that were set before entry {first} of the history are gone, if there were any"
                ));
            }
            None => {}
        }
        let due = match remains.meta.as_ref().map(TagMeta::ends) {
            Some((Some(first), Some(last))) => last - first + 1,
            _ => 0,
        };
        let left = remains.entries.len() as u64;
        let gone = due.saturating_sub(left).max(remains.bad_entries);
        if gone > 0 {
            verdict.lost.push(format!("{history_key}: {gone} entries of the history are gone"));
        }
        let mut packed = Pipeline::default();
        for field in &remains.unreadable {
            packed.command(&[b"HDEL", tags_key.as_bytes(), field]);
        }
        for (field, value) in &missing {
            packed.command(&[b"HSET", tags_key.as_bytes(), field, value]);
        }
        if remains.bad_entries > 0 {
            packed.command(&[b"DEL", history_key.as_bytes()]);
            for entries in remains.entries.chunks(PAGE) {
                packed.begin(2 + entries.len()).arg("RPUSH").arg(&history_key);
                for (entry, _) in entries {
                    packed.arg(entry);
                }
            }
        }
        let known = remains.meta.as_ref().map_or(0, |meta| meta.entries);
        let entries = last.unwrap_or(known);
        let first = first.unwrap_or(entries + 1);
        let generation = match &remains.meta {
            Some(meta) => meta.generation + 1,
            // A number that no client has seen, nor will reach by counting on.
            None => {
                u64::from_be_bytes(
                    crate::store::schema::random_key().first_chunk().map_or([0; 8], |key| *key),
                ) >> 16
            }
        };
        let subjects: Vec<TagSubject> = remains
            .tags
            .keys()
            .chain(missing.keys())
            .filter_map(|field| encoding::read_field(std::str::from_utf8(field).ok()?))
            .map(|(_, subject)| subject)
            .collect();
        let fields = [("g", generation), ("n", entries), ("k", there), ("f", first)];
        packed.command(&[b"DEL", meta_key.as_bytes()]);
        packed.begin(6 + 2 * fields.len()).arg("HSET").arg(&meta_key);
        for (field, number) in fields {
            packed.arg(field).arg(number.to_string());
        }
        // Programs of schema version 2 refuse this number of tags.
        packed.arg("c").arg("-1").arg("p").arg(lengths_of(subjects.iter()));
        self.client.call(&packed)?;
        Ok(())
    }
}
