//! The note in the store of what was forgotten last.

use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use serde::{Deserialize, Serialize};

/// Note of what was forgotten last, stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetNote {
    /// Seconds since the epoch.
    pub time: u32,
    /// The reason: `command`, `rules` or `memory`.
    pub reason: String,
    /// Records.
    pub records: u64,
    /// Negative answers.
    pub negatives: u64,
    /// True if the budget of memory could not be kept: what is left is tagged, or new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_short: bool,
}

impl Reader<'_> {
    /// Reads the note of what was forgotten last, if anything ever was. One that does not read is none.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn forgotten(&mut self) -> Result<Option<ForgetNote>, StoreError> {
        let key = self.store.keys.forgetting();
        let note = reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), b"s"])?)?;
        Ok(note.and_then(|note| serde_json::from_slice(&note).ok()))
    }
}
