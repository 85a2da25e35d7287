//! Progress of a backup, restore, copy or merge.
//!
//! Part of `store/backup`.

/// The part that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Keys that were passed on, and bytes of their values.
    Keys {
        /// Number of keys.
        keys: u64,
        /// Number of bytes.
        bytes: u64,
    },
    /// Parts of the other store that were merged.
    Parts {
        /// Number of those that were merged.
        done: u64,
        /// Number of all.
        all: u64,
    },
}

/// Callback for progress.
pub type EachStep<'e> = dyn FnMut(Progress) + 'e;
