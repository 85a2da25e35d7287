//! A log that is read: how far, and how far the store has it.
//!
//! Used by `log_reader`, which reads, and kept by `log_scheduler` between readings. Two logs may begin with the same
//! record, so what the store knows of a log is used only for a file that holds the bytes which were read then.

use super::writer::Writer;
use crate::decode::Tally;
use crate::decode::log::{Decoder, Format};
use crate::hash::Hasher;
use crate::source::{ClosedLog, Damage, Log, LogId, SourceError, Stat};
use crate::store::{Checkpoint, SourceState, Store, StoreError};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A plain log that was not written to for so long has stopped growing.
const STOPPED: Duration = Duration::from_mins(10);
/// A log that was written to within this time may be written to again.
const RECENT: Duration = Duration::from_hours(24);
/// Logs that begin with the same record and are told apart, at most.
const ALIKE: u16 = 1024;

/// Why a log could not be read on.
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

/// Whether an error may be gone when the file has changed: it is still being written.
pub(super) fn is_incomplete(error: &SourceError) -> bool {
    matches!(error, SourceError::Unpack { cause, .. } if cause.kind() == ErrorKind::UnexpectedEof)
}

/// A log between readings, with its file open.
pub(crate) struct OpenLog {
    pub(super) log: Log,
    pub(super) decoder: Decoder,
    pub(super) progress: Progress,
}

/// How far a log is read and stored.
pub(super) struct Progress {
    pub(super) path: PathBuf,
    /// What the store knows it by.
    pub(super) key: [u8; 16],
    /// What was counted before this process read the log.
    pub(super) before: Tally,
    pub(super) checkpoint: Checkpoint,
    /// Until this position, single records may be applied already.
    pub(super) horizon: u64,
    /// Connections that this process had made when the checkpoint was loaded.
    pub(super) connections: u64,
    /// How often this process had read the log then, under whatever name.
    pub(super) turn: u64,
    /// The file before anything was read of it.
    pub(super) opened: Stat,
    /// What the store says of it.
    pub(super) state: SourceState,
    pub(super) position: u64,
    /// What the decoder had counted at the position that was sent, is stored, and is in the report.
    pub(super) sent: Tally,
    pub(super) stored: Tally,
    pub(super) reported: Tally,
    /// Damaged lines that were counted already.
    pub(super) damage: Damage,
}

impl OpenLog {
    pub(crate) fn path(&self) -> &Path {
        &self.progress.path
    }

    /// Says that the file has another path by now.
    pub(crate) fn renamed(&mut self, path: &Path) {
        self.log.renamed(path);
        path.clone_into(&mut self.progress.path);
    }

    /// What the log is known by, whatever its name.
    pub(crate) fn id(&self) -> LogId {
        self.log.id()
    }

    /// The state of the file when it was read last.
    pub(crate) fn stat(&self) -> Stat {
        self.log.stat()
    }

    /// Whether a log that was read to its end may still grow: it is plain, and was written to within a day.
    pub(crate) fn may_grow(&self) -> bool {
        !self.log.is_packed() && age(&self.log.stat()).is_none_or(|age| age < RECENT)
    }

    /// Closes the file. The log is gone on with by opening it again.
    pub(crate) fn close(self) -> Result<IdleLog, SourceError> {
        let Self { log, decoder, progress } = self;
        Ok(IdleLog { log: log.close()?, decoder, progress })
    }
}

/// A log between readings, with its file closed.
pub(crate) struct IdleLog {
    log: ClosedLog,
    decoder: Decoder,
    progress: Progress,
}

impl IdleLog {
    /// Opens it again at the path that it has now.
    pub(crate) fn reopen(self, path: &Path) -> Result<OpenLog, SourceError> {
        let Self { log, decoder, mut progress } = self;
        path.clone_into(&mut progress.path);
        Ok(OpenLog { log: log.reopen(path)?, decoder, progress })
    }
}

/// Where the store has a log.
pub(super) struct Position {
    pub(super) key: [u8; 16],
    pub(super) state: SourceState,
    pub(super) checkpoint: Checkpoint,
    pub(super) connections: u64,
    /// Knows the headers up to there.
    pub(super) decoder: Decoder,
}

/// How a file compares with a log that the store knows.
enum Comparison {
    /// It is that log, or nothing speaks against it.
    Same,
    /// It is that log and was read to its end, or a shorter copy of it.
    NothingNew,
    /// It is another log that begins with the same record.
    Other,
}

/// Whether a log has anything that the store does not.
pub(super) enum Located {
    At(Box<Position>),
    /// It was read to its end, under this key and at this path, or is a shorter copy.
    NothingNew([u8; 16], String),
}

/// Moves a log to where the store has it.
///
/// A file that differs from what was read under the first key is compared with what is known under the next one: the
/// last of these is free.
pub(super) fn load_position(
    log: &mut Log,
    path: &Path,
    format: Format,
    hasher: &Hasher,
    writer: &mut Writer,
) -> Result<Located, Failure> {
    for number in 0..ALIKE {
        let key = key(log.id(), number, hasher);
        // Before loading: a connection made meanwhile makes it load again, which does no harm.
        let connections = writer.connections();
        let (state, mut checkpoint) = writer.load(key, &path.display().to_string())?;
        let mut decoder = Decoder::new(format);
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
        let is_at_path = state.digest.is_none() || state.path == path.display().to_string();
        if is_unchanged && is_at_path && !is_unread {
            return Ok(Located::NothingNew(key, state.path));
        }
        let state = if is_unread { SourceState::default() } else { state };
        match compare(log, &state, &checkpoint, key, &mut decoder, writer)? {
            Comparison::Other => {}
            Comparison::NothingNew => return Ok(Located::NothingNew(key, state.path)),
            Comparison::Same if is_unchanged && !is_unread => {
                let known_as = state.path.clone();
                if has_moved(&state, path) {
                    writer.begin(key, SourceState { path: path.display().to_string(), ..state })?;
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

/// Whether a log that the store knows under another path is not there any more: it was renamed, and not copied.
pub(super) fn has_moved(state: &SourceState, path: &Path) -> bool {
    let is_other = !state.path.is_empty() && Path::new(&state.path) != path;
    let is_there = |stat: Stat| (stat.size, mtime(&stat)) == (state.size, state.mtime_ns);
    is_other && !Stat::at(Path::new(&state.path)).is_some_and(is_there)
}

/// Whether an entry, from before readers were kept, says that a log was read and nothing was found in it: then it was
/// read by the wrong command.
fn is_empty_reading(state: &SourceState) -> bool {
    let tally: Tally = serde_json::from_value(state.tally.clone()).unwrap_or_default();
    state.reader.is_empty() && state.acknowledged > 0 && !tally.has_taken()
}

/// Reads to the stored position and compares what lies before it; then, if a batch may be applied in part, what it was
/// made of.
fn compare(
    log: &mut Log,
    state: &SourceState,
    checkpoint: &Checkpoint,
    key: [u8; 16],
    decoder: &mut Decoder,
    writer: &mut Writer,
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
                // This copy ends before that: what is missing may come, or be in another copy.
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
            Ok(Comparison::NothingNew)
        }
        Ok(()) | Err(SourceError::Shrank { .. }) => Ok(Comparison::Other),
        Err(error) => Err(error.into()),
    }
}

/// Reports that the store has another position of a log than this process left. After a new connection that is what
/// became of a lost reply, or of data that Redis lost.
pub(super) fn tell_conflict(path: &Path, error: &StoreError, is_after_reconnecting: bool) {
    let path = path.display();
    if let StoreError::PartlyRefused(cause) = error {
        tracing::warn!(%path, %cause, "batch refused in part, reading on where the store is");
    } else if is_after_reconnecting {
        tracing::info!(%path, "connection to the store lost while writing, reading on where the store is");
    } else {
        tracing::warn!(%path, "position moved by another agent, reading again");
    }
}

/// What the store knows the log in a file by, which is found as [`load_position`] finds it, whatever command read it.
/// None for a file without a record.
pub(super) fn logs_of(
    path: &Path,
    sources: &HashMap<[u8; 16], SourceState>,
    store: &mut Store,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let hasher = store.router().hasher().clone();
    let Ok(Some(mut log)) = Log::open_finished(path, &hasher) else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for number in 0..ALIKE {
        let key = key(log.id(), number, &hasher);
        let Some(state) = sources.get(&key) else {
            // A log whose position was lost may have checkpoints still.
            if store.writer().load(&key)?.horizon() > 0 {
                keys.push(key);
            }
            break;
        };
        // Without a digest nothing speaks against it.
        let is_it = state.digest.as_ref().is_none_or(|known| {
            let moved = log.resume(known.length, &mut |_| ());
            matches!(moved, Ok(()) | Err(SourceError::Shrank { .. })) && known.matches(log.digest())
        });
        if is_it {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// What the store knows a log by: the first that begins so by the identity itself, as ever.
pub(crate) fn key(id: LogId, number: u16, hasher: &Hasher) -> [u8; 16] {
    match number {
        0 => id.0,
        _ => hasher.identity(&[&id.0[..], &number.to_be_bytes()].concat()),
    }
}

/// The time of the last write, as the store has it.
pub(super) fn mtime(stat: &Stat) -> i64 {
    i64::try_from(stat.mtime_ns).unwrap_or(0)
}

/// Whether nobody wrote to a file for a while.
pub(super) fn has_stopped(stat: &Stat) -> bool {
    age(stat).is_some_and(|age| age > STOPPED)
}

/// How long ago a file was written to.
fn age(stat: &Stat) -> Option<Duration> {
    let written = u64::try_from(stat.mtime_ns).map(Duration::from_nanos).ok()?;
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + written).ok()
}
