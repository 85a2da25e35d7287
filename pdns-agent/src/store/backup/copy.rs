//! Restores a store from a file, and copies one from another server.
//!
//! Part of `store/backup`.

use super::file::BackupFile;
use super::restore::Restored;
use super::{BackupError, BackupSummary, EachStep, Source};
use crate::hex;
use crate::store::{Options, Store};
use std::fs::File;

impl Store {
    /// Writes the store of a backup into an empty place, after checking the whole file. `now` is in seconds since the
    /// epoch.
    ///
    /// If it is interrupted, the store is unusable until it is called with the same file again, which goes on, or with
    /// another one, which starts over.
    ///
    /// # Errors
    /// As [`Store::check_backup`]; [`BackupError::NotEmpty`] if there is a store already; other errors as they occur.
    pub fn restore(
        options: &Options,
        file: File,
        now: u32,
        progress: &mut EachStep<'_>,
    ) -> Result<BackupSummary, BackupError> {
        let file = BackupFile::open(file)?;
        let id = file_id(&file);
        fill(options, &mut Source::File(Box::new(file)), Some(&id), now, progress)
    }

    /// Copies a store, as of one moment, from another server or prefix into an empty place. If it is interrupted, it
    /// starts over at the next call.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`] if there is a store already; other errors as they occur.
    pub fn copy(
        options: &Options,
        from: &Options,
        now: u32,
        progress: &mut EachStep<'_>,
    ) -> Result<BackupSummary, BackupError> {
        fill(options, &mut Source::server(from, now)?, None, now, progress)
    }
}

/// Returns the identifier of a file.
pub(super) fn file_id(file: &BackupFile) -> String {
    hex::encode(&file.digest)
}

/// Writes all keys of a source into an empty place. `id` is that of the source, if it is the same at each attempt.
pub(super) fn fill(
    options: &Options,
    source: &mut Source,
    id: Option<&str>,
    now: u32,
    progress: &mut EachStep<'_>,
) -> Result<BackupSummary, BackupError> {
    let mut restored = Restored::begin(options, id)?;
    let summary = source.for_each(progress, &mut |key, value| restored.add(key, value))?;
    restored.finish(now)?;
    Ok(summary)
}
