//! Logs of a store that was merged into this one.
//!
//! Used by `log_reader` for a log that the store does not know. A store knows logs by digests with its own hash key. Those
//! of a store that was merged are still known by the key of that one, and get an entry with the key of this one when
//! they are first seen here.

use super::open_log::{ALIKE, Comparison, Failure, compare, key};
use super::standard_input::shown;
use super::writer::WriterHandle;
use crate::decode::log::{Format, LogDecoder};
use crate::hash::{Hasher, Router};
use crate::source::Log;
use crate::store::SourceState;
use std::path::Path;

/// Result of looking for a log among those of merged stores.
pub(super) enum TakeOver {
    /// None of them has read it.
    Unknown,
    /// One has read all of it, under this key and at this path.
    NothingNew([u8; 16], String),
    /// One has read it up to the position that the store has now.
    Taken,
}

/// Looks for a log in the stores that were merged, and enters its position under `own`, which is free.
pub(super) fn take_over(
    log: &mut Log,
    path: &Path,
    format: Format,
    router: &Router,
    own: [u8; 16],
    writer: &mut WriterHandle,
) -> Result<TakeOver, Failure> {
    for hasher in router.merged() {
        let Some((key, state, comparison)) = find(path, format, hasher, writer)? else { continue };
        if let Comparison::NothingNew = comparison {
            return Ok(TakeOver::NothingNew(key, state.path));
        }
        log.resume(state.acknowledged, &mut |_| ())?;
        let digest = Some(log.digest().to_stored());
        writer.begin(own, SourceState { digest, ..state })?;
        return Ok(TakeOver::Taken);
    }
    Ok(TakeOver::Unknown)
}

/// Finds a log in one of these stores, as `load_position` does.
fn find(
    path: &Path,
    format: Format,
    hasher: &Hasher,
    writer: &mut WriterHandle,
) -> Result<Option<([u8; 16], SourceState, Comparison)>, Failure> {
    let Some(mut log) = Log::open_finished(path, hasher)? else { return Ok(None) };
    for number in 0..ALIKE {
        let key = key(log.id(), number, hasher);
        let (state, checkpoint) = writer.load(key, &shown(path))?;
        let Some(state) = state else { return Ok(None) };
        if state.is_forgotten() || state.reader != format.command() {
            continue;
        }
        let mut decoder = LogDecoder::new(format);
        let known = (&mut log, path, hasher);
        match compare(known, &state, &checkpoint, key, &mut decoder, writer)? {
            Comparison::Other => {}
            found => return Ok(Some((key, state, found))),
        }
    }
    Ok(None)
}
