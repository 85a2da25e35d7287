//! A log being read: its read position and its stored position.
//!
//! Used by `log_reader`, which reads it, and kept by `log_scheduler` between readings. Two logs may begin
//! with the same record, so the stored state of a log is only used for a file that contains the bytes read at
//! that time.

use super::standard_input::shown;
use super::writer::WriterHandle;
use crate::decode::Tally;
use crate::decode::log::{Format, LogDecoder};
use crate::hash::Hasher;
use crate::source::{ClosedLog, Damage, Log, LogId, SourceError, Stat};
use crate::store::{Checkpoint, SourceState, Store, StoreError};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A plain log that was not written to for this long has stopped growing.
const STOPPED: Duration = Duration::from_mins(10);
/// A log that was written to within this time may be written to again.
const RECENT: Duration = Duration::from_hours(24);
/// Maximum number of logs with the same first record that can be told apart.
pub(super) const ALIKE: u16 = 1024;

/// Reason why reading a log failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(StoreError),
    Source(SourceError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// Returns true if an error may disappear once the file has changed: it is still being written.
pub(super) fn is_incomplete(error: &SourceError) -> bool {
    matches!(error, SourceError::Unpack { cause, .. } if cause.kind() == ErrorKind::UnexpectedEof)
}

/// A log between readings, with its file open.
pub(crate) struct OpenLog {
    pub(super) log: Log,
    pub(super) decoder: LogDecoder,
    pub(super) progress: Progress,
}

/// Progress of reading and storing a log.
pub(super) struct Progress {
    pub(super) path: PathBuf,
    /// Key of the log in the store.
    pub(super) key: [u8; 16],
    /// Counts from before this process read the log.
    pub(super) before: Tally,
    pub(super) checkpoint: Checkpoint,
    /// Position up to which individual records may already be applied.
    pub(super) horizon: u64,
    /// Number of connections made by this process when the checkpoint was loaded.
    pub(super) connections: u64,
    /// Number of times this process had read the log by then, under any name.
    pub(super) turn: u64,
    /// State of the file before anything was read.
    pub(super) opened: Stat,
    /// State of the log in the store.
    pub(super) state: SourceState,
    pub(super) position: u64,
    /// Counts of the decoder at the position that was sent, that is stored, and that is in the report.
    pub(super) sent: Tally,
    pub(super) stored: Tally,
    pub(super) reported: Tally,
    /// Damaged lines that have already been counted.
    pub(super) damage: Damage,
}

impl OpenLog {
    pub(crate) fn path(&self) -> &Path {
        &self.progress.path
    }

    /// Sets the new path of the file.
    pub(crate) fn renamed(&mut self, path: &Path) {
        self.log.renamed(path);
        path.clone_into(&mut self.progress.path);
    }

    /// Identity of the log, independent of its name.
    pub(crate) fn id(&self) -> LogId {
        self.log.id()
    }

    /// State of the file when it was last read.
    pub(crate) fn stat(&self) -> Stat {
        self.log.stat()
    }

    /// Returns true if a log that was read to its end may still grow: it is plain, and was written to within
    /// a day.
    pub(crate) fn may_grow(&self) -> bool {
        !self.log.is_packed() && age(&self.log.stat()).is_none_or(|age| age < RECENT)
    }

    /// Returns true if any line of it was of the decoder's kind, in this run or before.
    pub(crate) fn has_taken(&self) -> bool {
        self.progress.before.has_taken() || self.decoder.tally().has_taken()
    }

    /// Closes the file. Reading continues after reopening it.
    pub(crate) fn close(self) -> IdleLog {
        let Self { log, decoder, progress } = self;
        IdleLog { log: log.close(), decoder, progress }
    }
}

/// A log between readings, with its file closed.
pub(crate) struct IdleLog {
    log: ClosedLog,
    decoder: LogDecoder,
    progress: Progress,
}

impl IdleLog {
    /// Reopens it at its current path.
    pub(crate) fn reopen(self, path: &Path) -> Result<OpenLog, SourceError> {
        let Self { log, decoder, mut progress } = self;
        path.clone_into(&mut progress.path);
        Ok(OpenLog { log: log.reopen(path)?, decoder, progress })
    }
}

/// Stored position of a log.
pub(super) struct Position {
    pub(super) key: [u8; 16],
    pub(super) state: SourceState,
    pub(super) checkpoint: Checkpoint,
    pub(super) connections: u64,
    /// Decoder that knows the headers before the position.
    pub(super) decoder: LogDecoder,
}

impl Position {
    /// Returns true if the store knows nothing of the log.
    pub(super) fn is_new(&self) -> bool {
        self.checkpoint.horizon() == 0 && self.state.path.is_empty()
    }
}

/// Result of comparing a file with a log known to the store.
pub(super) enum Comparison {
    /// The same log, as far as can be told.
    Same,
    /// The same log, already read to its end, or a shorter copy of it.
    NothingNew,
    /// A different log that begins with the same record.
    Other,
}

/// Position of a log, if it has anything that the store does not have.
pub(super) enum Located {
    At(Box<Position>),
    /// It was read to its end, under this key and at this path, or is a shorter copy.
    NothingNew([u8; 16], String),
}

/// Moves a log to where the store has it.
///
/// A file that differs from the bytes read under the first key is compared with those of the next key; the
/// last of these is free.
pub(super) fn load_position(
    log: &mut Log,
    path: &Path,
    format: Format,
    hasher: &Hasher,
    writer: &mut WriterHandle,
) -> Result<Located, Failure> {
    // The first place that a forgotten log has left free.
    let mut free = None;
    for number in 0..ALIKE {
        let mut key = key(log.id(), number, hasher);
        // Read before loading: a reconnect in between causes another load, which is harmless.
        let mut connections = writer.connections();
        let (state, mut checkpoint) = writer.load(key, &shown(path))?;
        let mut decoder = LogDecoder::new(format);
        if state.as_ref().is_some_and(SourceState::is_forgotten) {
            free.get_or_insert((key, connections, checkpoint));
            continue;
        }
        if state.is_none()
            && checkpoint.horizon() == 0
            && let Some(place) = free.take()
        {
            (key, connections, checkpoint) = place;
        }
        let state = state.unwrap_or_default();
        let is_unread = is_empty_reading(&state);
        if is_unread {
            checkpoint = checkpoint.restarted();
        } else if !state.reader.is_empty() && state.reader != format.command() {
            continue;
        }
        let stat = log.stat();
        let is_unchanged =
            state.complete && (state.size, state.mtime_ns) == (stat.size, mtime(&stat));
        let is_at_path = state.digest.is_none() || state.path == shown(path);
        if is_unchanged && is_at_path && !is_unread {
            return Ok(Located::NothingNew(key, state.path));
        }
        let state = if is_unread { SourceState::default() } else { state };
        match compare((log, path, hasher), &state, &checkpoint, key, &mut decoder, writer)? {
            Comparison::Other => {}
            Comparison::NothingNew => return Ok(Located::NothingNew(key, state.path)),
            Comparison::Same if is_unchanged && !is_unread => {
                let known_as = state.path.clone();
                if has_moved(&state, path) {
                    writer.begin(key, SourceState { path: shown(path).into_owned(), ..state })?;
                }
                return Ok(Located::NothingNew(key, known_as));
            }
            Comparison::Same => {
                let position = Position { key, state, checkpoint, connections, decoder };
                return Ok(Located::At(Box::new(position)));
            }
        }
    }
    Err(SourceError::TooManyAlike { path: path.to_owned(), most: ALIKE }.into())
}

/// Returns true if a log stored with another path no longer exists there: it was renamed, not copied.
pub(super) fn has_moved(state: &SourceState, path: &Path) -> bool {
    let is_other = !state.path.is_empty() && state.path != shown(path);
    let is_there = |stat: Stat| (stat.size, mtime(&stat)) == (state.size, state.mtime_ns);
    is_other && !Stat::at(Path::new(&state.path)).is_some_and(is_there)
}

/// Returns true for a stored entry, written before readers were recorded, of a log in which nothing was
/// found: it was read by the wrong command.
fn is_empty_reading(state: &SourceState) -> bool {
    let tally: Tally = serde_json::from_value(state.tally.clone()).unwrap_or_default();
    state.reader.is_empty() && state.acknowledged > 0 && !tally.has_taken()
}

/// Reads to the stored position and compares the bytes before it; if a batch may be partially applied, also
/// the bytes that it was made from.
pub(super) fn compare(
    (log, path, hasher): (&mut Log, &Path, &Hasher),
    state: &SourceState,
    checkpoint: &Checkpoint,
    key: [u8; 16],
    decoder: &mut LogDecoder,
    writer: &mut WriterHandle,
) -> Result<Comparison, Failure> {
    let position = checkpoint.acknowledged();
    let known = state.digest.as_ref().filter(|known| known.length == position);
    if checkpoint.horizon() > position
        && let Some(digest) = writer.under_way(key)?
    {
        let (length, _) = digest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        let end = u64::from_be_bytes(*length);
        if end > position {
            match log.resume(end, &mut |_| ()) {
                Ok(()) if log.digest().to_bytes() == digest => {}
                Ok(()) => return Ok(Comparison::Other),
                // This copy ends before that: the missing part may still come, or be in another copy.
                Err(SourceError::Shrank { .. }) => {
                    let is_other = known.is_some_and(|known| {
                        known.length > log.digest().length() && !known.matches(log.digest())
                    });
                    return Ok(if is_other { Comparison::Other } else { Comparison::NothingNew });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    match log.resume(position, &mut |line| decoder.skim(line)) {
        Ok(()) if known.is_none_or(|known| known.matches(log.digest())) => Ok(Comparison::Same),
        Err(SourceError::Shrank { .. })
            if known.is_none_or(|known| known.matches(log.digest())) =>
        {
            // The digest was kept at some lines only. Where the longer log is there, all bytes are compared.
            let is_other = Path::new(&state.path) != path
                && begins(log, Path::new(&state.path), hasher) == Some(false);
            Ok(if is_other { Comparison::Other } else { Comparison::NothingNew })
        }
        Ok(()) | Err(SourceError::Shrank { .. }) => Ok(Comparison::Other),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the file at `other` begins with the whole lines of a log that was read to its end; `None` if it does
/// not exist or is not such a log.
fn begins(log: &Log, other: &Path, hasher: &Hasher) -> Option<bool> {
    let length = log.digest().length();
    let mut longer = Log::open_finished(other, hasher).ok().flatten()?;
    if longer.id() != log.id() {
        return None;
    }
    match longer.resume(length, &mut |_| ()) {
        Ok(()) => Some(longer.digest().to_bytes() == log.digest().to_bytes()),
        // Its lines end elsewhere.
        Err(SourceError::Shrank { len, .. }) if len >= length => Some(false),
        Err(_) => None,
    }
}

/// Reports that the store has another position of a log than this process left. After a new connection that is what
/// became of a lost reply, or of data that Redis lost.
pub(super) fn tell_conflict(path: &Path, error: &StoreError, is_after_reconnecting: bool) {
    let path = shown(path);
    if let StoreError::PartlyRefused(cause) = error {
        tracing::warn!(%path, %cause, "batch refused in part, reading on where the store is");
    } else if matches!(error, StoreError::Rewritten) {
        tracing::debug!(%path, "records were forgotten, reading on where the store is");
    } else if is_after_reconnecting {
        tracing::info!(%path, "connection to the store lost while writing, reading on where the store is");
    } else {
        tracing::warn!(
            %path,
            "position in the store changed: another agent reads it, or it was forgotten by `pdns admin forget-source`; \
             reading on where the store is"
        );
    }
}

/// Reports that a log was forgotten while it was read.
pub(super) fn tell_forgotten(path: &Path) {
    let path = path.display();
    tracing::warn!(%path, "forgotten by `pdns admin forget-source`, reading it again from its start");
}

/// Finds the keys that the store has for the log in a file, as [`load_position`] does, whichever command read it.
/// None for a file without a record.
pub(super) fn logs_of(
    path: &Path,
    sources: &HashMap<[u8; 16], SourceState>,
    store: &mut Store,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let hasher = store.router().hasher().clone();
    let Ok(Some(mut log)) = Log::open_finished(path, &hasher) else { return Ok(Vec::new()) };
    let (mut keys, mut longer) = (Vec::new(), Vec::new());
    for number in 0..ALIKE {
        let key = key(log.id(), number, &hasher);
        let Some(state) = sources.get(&key) else {
            if store.writer().source(&key)?.is_some_and(|state| state.is_forgotten()) {
                continue;
            }
            // A log whose position was lost may have checkpoints still.
            if store.writer().load(&key)?.horizon() > 0 {
                keys.push(key);
            }
            break;
        };
        let Some(known) = &state.digest else {
            // Without a digest nothing speaks against it.
            keys.push(key);
            continue;
        };
        match log.resume(known.length, &mut |_| ()) {
            Ok(()) if known.matches(log.digest()) => keys.push(key),
            Err(SourceError::Shrank { .. }) if known.matches(log.digest()) => longer.push(key),
            _ => {}
        }
    }
    // A log that goes on behind the end of the file is meant only if no other one is.
    if keys.is_empty() {
        keys = longer;
    }
    Ok(keys)
}

/// Key of a log in the store; the first log with a given beginning is stored under its identity.
pub(crate) fn key(id: LogId, number: u16, hasher: &Hasher) -> [u8; 16] {
    match number {
        0 => id.0,
        _ => hasher.identity(&[&id.0[..], &number.to_be_bytes()].concat()),
    }
}

/// Modification time in the store's unit.
pub(super) fn mtime(stat: &Stat) -> i64 {
    i64::try_from(stat.mtime_ns).unwrap_or(0)
}

/// Returns true if a file has not been written to for a while.
pub(super) fn has_stopped(stat: &Stat) -> bool {
    age(stat).is_some_and(|age| age > STOPPED)
}

/// Time since a file was last written to.
fn age(stat: &Stat) -> Option<Duration> {
    let written = u64::try_from(stat.mtime_ns).map(Duration::from_nanos).ok()?;
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + written).ok()
}
