//! The reasons for which a backup cannot be made or used.
//!
//! Part of `store/backup`.

use super::rdb_input::SnapshotError;
use crate::store::StoreError;
use std::io;

/// The reason for which a backup, restore, copy or merge failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store cannot be reached, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot of the server cannot be read.
    #[error("the server's snapshot cannot be read: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The backup cannot be written.
    #[error("cannot write the backup")]
    Write(#[source] io::Error),
    /// The backup cannot be read.
    #[error("cannot read the backup")]
    Read(#[source] io::Error),
    /// The file is something else.
    #[error("the file is not a backup of pdns")]
    Foreign,
    /// The file has a form that this program does not know.
    #[error("the backup has format {0}, and this program knows format 1: install a newer pdns")]
    Version(u16),
    /// The file is damaged or incomplete.
    #[error("the backup is damaged or incomplete: {0}")]
    Damaged(String),
    /// There is nothing to save.
    #[error("there is no store with the prefix {prefix}")]
    NoStore {
        /// The prefix of its keys.
        prefix: String,
    },
    /// There is a store where one is to be restored.
    #[error(
        "there are keys with the prefix {prefix} already, such as {key}: name another --prefix or an empty Redis"
    )]
    NotEmpty {
        /// The prefix of its keys.
        prefix: String,
        /// One of the keys.
        key: String,
    },
    /// Another process restores into the same store.
    #[error("another process writes to this store ({0}): wait until it has ended")]
    Busy(String),
    /// The restored store was changed or removed by somebody else meanwhile.
    #[error("another process has taken over or removed the restored store")]
    TakenOver,
    /// The store in the backup has no schema, or one that this program does not know.
    #[error("the store in the backup cannot be used: {0}")]
    Unusable(String),
    /// A store cannot be merged into this one.
    #[error("nothing is merged: {0}")]
    Unmergeable(String),
}
