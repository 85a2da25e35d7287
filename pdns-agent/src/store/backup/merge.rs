//! Adds another store to this one: its records, sensors, tags and the positions of its logs.
//!
//! Part of `store/backup`. The other store is first copied beside this one, under the prefix `merge:` behind this one's, as
//! of one moment. That copy does not change, so it is read in the same parts after each interruption
//! ([`super::merge_rows`]). The merge is a log of its own in the list of logs, with checkpoints like any other: what was
//! applied is not applied again, and a store that was merged once is not merged again.
//!
//! Tags: the later one stays, and ours if both are equally old.
//!
//! The sums of names that are not kept cannot be merged: how many names there are is told by hashes with a key of the other
//! store. So a store that has some is refused, unless they are left out.

use super::copy::{file_id, fill};
use super::file::BackupFile;
use super::merge_rows::RowMerge;
use super::restore::clear;
use super::{BackupError, EachStep, Origin, Source, store_digest};
use crate::name::NameBuf;
use crate::store::redis::reply;
use crate::store::schema::{MERGED, marks};
use crate::store::{Options, SourceState, Store, StoreError};
use crate::tag::{Tag, TagChange, TagKind, TagSubject};
use ring::digest::{SHA256, digest};
use std::collections::{HashMap, HashSet};
use std::fs::File;

/// Suffix of the prefix of a store for the copy that is merged into it.
const COPY: &str = "merge:";
/// Command of a merge in the list of logs.
const READER: &str = "merge";
/// Number of logs that an error names.
const EXAMPLES: usize = 5;

/// Treatment of the other store's sums of names that are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnkeptSums {
    /// A store that has some is refused.
    Refuse,
    /// They are left out.
    LeaveOut,
}

/// The store that is merged.
pub enum MergeFrom<'f> {
    /// A store on a server.
    Server(&'f Options),
    /// A backup.
    File(File),
}

/// The result of a merge.
#[derive(Clone, Copy, Debug, Default)]
pub struct MergeSummary {
    /// True if the store was merged before, so that nothing was done.
    pub is_old: bool,
    /// Number of records and negative answers of the other store, as far as this run applied them.
    pub records: u64,
    /// Number of tags that were set.
    pub tags: u64,
    /// Number of logs whose positions were taken over.
    pub logs: u64,
    /// Number of sources of indicators of the other store, which are not merged.
    pub intel_sources: u64,
}

/// The other store as it is named, before it is copied.
enum Pending<'f> {
    Server(&'f Options),
    File(Box<BackupFile>),
}

impl Store {
    /// Merges another store into this one. `label` names it in the list of logs, `now` is in seconds since the epoch.
    ///
    /// May be called again after any interruption, from the same store.
    ///
    /// # Errors
    /// [`BackupError::Unmergeable`] if the stores have counted the same answers, or the other one is being written; other
    /// errors as they occur.
    pub fn merge(
        options: &Options,
        from: MergeFrom<'_>,
        sums: UnkeptSums,
        label: &str,
        now: u32,
        progress: &mut EachStep<'_>,
    ) -> Result<MergeSummary, BackupError> {
        let beside = Options { prefix: format!("{}{COPY}", options.prefix), ..options.clone() };
        let (store, pending) = match from {
            // Its store would be taken for a copy of an earlier attempt, and removed.
            MergeFrom::Server(from) if from.prefix == beside.prefix => {
                let prefix = &from.prefix;
                return Err(unmergeable(&format!(
                    "{prefix} is the prefix of copies that are merged"
                )));
            }
            MergeFrom::Server(from) => (Origin::read(from)?.store, Pending::Server(from)),
            MergeFrom::File(file) => {
                let file = BackupFile::open(file)?;
                (file.description.store.clone(), Pending::File(Box::new(file)))
            }
        };
        let mut target = Self::open(options)?;
        if store_digest(&target.secret()?) == store {
            return Err(unmergeable("the other store is this one or a copy of it"));
        }
        let log = log_of(&store);
        let state = target.writer().source(&log)?;
        if state.as_ref().is_some_and(|state| state.complete) {
            // The copy may still be there, if it was interrupted when it was removed.
            if !matches!(Origin::read(&beside), Ok(origin) if origin.store != store) {
                clear(&beside)?;
            }
            return Ok(MergeSummary { is_old: true, ..MergeSummary::default() });
        }
        match Origin::read(&beside) {
            Ok(origin) if origin.store == store => {}
            Ok(_) => {
                let reason = "the merge of another store was interrupted: run that one again first";
                return Err(unmergeable(reason));
            }
            Err(BackupError::NoStore { .. } | BackupError::Store(StoreError::Unavailable(_)))
                if state.is_none() =>
            {
                copy_beside(&beside, pending, now, progress)?;
            }
            Err(BackupError::NoStore { .. }) => {
                return Err(unmergeable(
                    "the copy of the other store, of which a part was merged already, is lost: restore a backup",
                ));
            }
            Err(error) => return Err(error),
        }
        Self::migrate(&beside)?;
        let mut other = Self::open(&beside)?;
        if state.is_none()
            && let Err(error) = check(&mut target, &mut other, sums)
        {
            clear(&beside)?;
            return Err(error);
        }
        let state = state.unwrap_or_else(|| SourceState {
            path: label.to_owned(),
            reader: READER.to_owned(),
            updated: now.into(),
            ..SourceState::default()
        });
        let summary = combine(&mut target, &mut other, log, state, now, progress)?;
        clear(&beside)?;
        Ok(summary)
    }

    /// Returns the hash key.
    fn secret(&self) -> Result<[u8; 16], StoreError> {
        let read = marks::read_identity(&self.schema.identity);
        read.map(|(_, _, secret)| secret).ok_or_else(|| StoreError::damaged(&self.keys.schema()))
    }
}

/// Copies the other store, unless an earlier attempt has done so.
fn copy_beside(
    beside: &Options,
    pending: Pending<'_>,
    now: u32,
    progress: &mut EachStep<'_>,
) -> Result<(), BackupError> {
    let (id, mut source) = match pending {
        Pending::Server(from) => (None, Source::server(from, now)?),
        Pending::File(file) => (Some(file_id(&file)), Source::File(file)),
    };
    fill(beside, &mut source, id.as_deref(), now, progress).map(drop)
}

/// Refuses what would count answers twice or lose them.
fn check(target: &mut Store, other: &mut Store, sums: UnkeptSums) -> Result<(), BackupError> {
    let unkept = other.reader().unkept_domains(None)?;
    if sums == UnkeptSums::Refuse && !unkept.is_empty() {
        let domains: Vec<&str> = unkept.iter().map(NameBuf::as_str).collect();
        return Err(unmergeable(&format!(
            "the other store has not kept all names below {}: what it counted of the others cannot be added; \
             --leave-out-sums merges all else",
            named(&domains)
        )));
    }
    // Each store knows logs by digests with a key of its own, so these cannot be compared.
    let read = |state: &SourceState| {
        let is_read = state.acknowledged > 0 && !state.live;
        is_read.then(|| (state.path.clone(), state.sensor.clone(), state.acknowledged))
    };
    let ours = target.reader().sources()?;
    let ours: HashSet<_> = ours.iter().filter_map(|(_, state)| read(state)).collect();
    let theirs = other.reader().sources()?;
    let shared: Vec<&str> = theirs
        .iter()
        .filter(|(_, state)| read(state).is_some_and(|read| ours.contains(&read)))
        .map(|(_, state)| state.path.as_str())
        .collect();
    if !shared.is_empty() {
        let named = named(&shared);
        return Err(unmergeable(&format!(
            "both stores have read {named}: answers would count twice"
        )));
    }
    let mut busy: Vec<&str> = Vec::new();
    for (log, state) in theirs.iter().filter(|(_, state)| !state.live) {
        let checkpoint = other.writer().load(log)?;
        if checkpoint.horizon() > state.acknowledged || !checkpoint.open_ends().is_empty() {
            busy.push(&state.path);
        }
    }
    let known: HashSet<&[u8]> = theirs.iter().map(|(log, _)| log.as_slice()).collect();
    let mut is_unknown = false;
    for partition in other.partitions() {
        let key = other.keys.checkpoints(partition);
        let logs = reply::list(other.client.ask(&[b"HKEYS", key.as_bytes()])?)?;
        for log in logs {
            is_unknown |= !known.contains(reply::octets(log)?.as_slice());
        }
    }
    if is_unknown {
        busy.push("a new log");
    }
    if busy.is_empty() {
        return Ok(());
    }
    Err(unmergeable(&format!(
        "a batch of {} was being written to the other store: stop its agents, or start them once more if they were \
         killed, and run this again",
        named(&busy)
    )))
}

/// Lists some of many things.
fn named(things: &[&str]) -> String {
    let text = things.iter().take(EXAMPLES).copied().collect::<Vec<_>>().join(", ");
    match things.len().saturating_sub(EXAMPLES) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Adds everything, in an order in which a part that is repeated changes nothing.
fn combine(
    target: &mut Store,
    other: &mut Store,
    log: [u8; 16],
    mut state: SourceState,
    now: u32,
    progress: &mut EachStep<'_>,
) -> Result<MergeSummary, BackupError> {
    // From now on a copy of the other store that is lost is missed.
    target.writer().acknowledge(&log, &state)?;
    take_hash_keys(target, other)?;
    let mut numbers = Vec::new();
    for name in other.reader().sensors()? {
        let number = if name.is_empty() { None } else { Some(target.writer().sensor(&name)?) };
        numbers.push(number);
    }
    let mut rows = RowMerge::new(target, log, numbers)?;
    rows.run(other, &mut state, progress)?;
    let records = rows.finish()?;
    let tags = merge_tags(target, other)?;
    let logs = merge_positions(target, other)?;
    let intel_sources = other.reader().intel_sources()?.len() as u64;
    (state.complete, state.updated) = (true, now.into());
    target.writer().acknowledge(&log, &state)?;
    Ok(MergeSummary { is_old: false, records, tags, logs, intel_sources })
}

/// Keeps the hash keys by which the other store knows its logs: its own, and those of the stores merged into it.
fn take_hash_keys(target: &mut Store, other: &mut Store) -> Result<(), BackupError> {
    let key = other.keys.schema();
    let fields = reply::pairs(other.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
    let merged = fields.into_iter().filter(|(field, _)| field.starts_with(MERGED));
    let mut secrets: Vec<Vec<u8>> = merged.map(|(_, secret)| secret).collect();
    secrets.push(other.secret()?.to_vec());
    let key = target.keys.schema();
    for secret in secrets {
        let name = <[u8; 16]>::try_from(secret.as_slice()).map(|secret| store_digest(&secret));
        let field = [MERGED, name.unwrap_or_default().as_bytes()].concat();
        target.client.ask(&[b"HSET", key.as_bytes(), &field, &secret])?;
    }
    Ok(())
}

/// Sets the tags that are later than ours; returns their number.
fn merge_tags(target: &mut Store, other: &mut Store) -> Result<u64, BackupError> {
    let ours = target.reader().tags()?.tags;
    let ours = ours.into_iter().map(|tag| ((tag.kind, tag.subject), tag.time)).collect();
    let theirs = other.reader().tags()?.tags;
    let changes: Vec<TagChange> =
        theirs.into_iter().filter(|tag| is_later(tag, &ours)).map(TagChange::Set).collect();
    target.tags().change(&changes)?;
    Ok(changes.len() as u64)
}

/// Returns true if a tag is later than what we say of its subject.
fn is_later(tag: &Tag, ours: &HashMap<(TagKind, TagSubject), u32>) -> bool {
    let kinds = [Some(tag.kind), tag.kind.opposite()].into_iter().flatten();
    let mut times = kinds.filter_map(|kind| ours.get(&(kind, tag.subject.clone())));
    times.all(|time| *time < tag.time)
}

/// Takes over the positions of the other store's logs; returns their number.
fn merge_positions(target: &mut Store, other: &mut Store) -> Result<u64, BackupError> {
    let mut count = 0;
    for (log, state) in other.reader().sources()? {
        if !state.live {
            target.writer().acknowledge(&log, &state)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Returns the identity of a merge in the list of logs.
fn log_of(store: &str) -> [u8; 16] {
    let digest = digest(&SHA256, format!("pdns merge {store}").as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn unmergeable(reason: &str) -> BackupError {
    BackupError::Unmergeable(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_tag_stays_and_ours_if_both_are_equally_old() {
        let subject = TagSubject::Name(NameBuf::parse("www.example.com").unwrap());
        let tag = |kind, time| Tag {
            subject: subject.clone(),
            kind,
            note: String::new(),
            source: String::new(),
            author: String::new(),
            time,
            listing: None,
        };
        let ours = HashMap::from([((TagKind::Threat, subject.clone()), 100)]);
        assert!(is_later(&tag(TagKind::Threat, 101), &ours));
        assert!(!is_later(&tag(TagKind::Threat, 100), &ours));
        // It would take the place of the other.
        assert!(!is_later(&tag(TagKind::Trust, 99), &ours));
        assert!(is_later(&tag(TagKind::Trust, 101), &ours));
        assert!(is_later(&tag(TagKind::Interest, 1), &ours));
    }
}
