//! Sources of indicators: their state, and the history of their imports.

use crate::store::layout::keys::Keys;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use serde::{Deserialize, Serialize};

/// A source of indicators, as the store knows it. Times are in seconds since the epoch, durations in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntelSource {
    /// Its name.
    pub name: String,
    /// Its number in the store.
    #[serde(skip)]
    pub number: u32,
    /// Time of the first import.
    pub created: u32,
    /// Time of the last complete import.
    pub refreshed: u32,
    /// Number of indicators that it lists.
    pub listed: u64,
    /// Number of indicators that it no longer lists and whose lifetime has not ended.
    pub ending: u64,
    /// Time for which an indicator counts after it was last listed.
    pub lifetime: u32,
    /// Time in which the confidence in an indicator halves after it was last listed.
    pub half_life: u32,
    /// True if it was withdrawn and not imported again.
    pub is_withdrawn: bool,
    /// Digest of the content that was imported last, in hex.
    pub digest: String,
    /// Time of the last attempt to fetch it.
    pub attempted: u32,
    /// Number of attempts that failed since the last success.
    pub failures: u32,
    /// Error of the last attempt; empty if it succeeded.
    pub error: String,
    /// Memory of the fetcher.
    pub fetched: serde_json::Value,
}

/// One import in the history of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportEntry {
    /// Time of the import, in seconds since the epoch.
    pub time: u32,
    /// User who imported.
    pub author: String,
    /// Digest of the content, in hex.
    pub digest: String,
    /// Number of new indicators.
    pub added: u64,
    /// Number of indicators that say something else now.
    pub changed: u64,
    /// Number of indicators that are as they were.
    pub same: u64,
    /// Number of indicators that are no longer listed, and end with their lifetime.
    pub ending: u64,
    /// Number of indicators that ended.
    pub expired: u64,
    /// Number of lines that were rejected.
    pub rejected: u64,
    /// True if the source was withdrawn.
    pub is_withdrawal: bool,
}

/// Default of [`IntelSource::half_life`]: 30 days.
pub(super) const HALF_LIFE: u32 = 30 * 86_400;

impl Reader<'_> {
    /// Returns all sources of indicators, by name.
    ///
    /// # Errors
    /// If Redis does not answer, or a source cannot be decoded.
    pub fn intel_sources(&mut self) -> Result<Vec<IntelSource>, StoreError> {
        let key = self.store.keys.intel("is");
        let pairs = reply::pairs(self.store.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
        let mut sources = pairs
            .into_iter()
            .map(|(number, record)| {
                decode(&number, &record).ok_or_else(|| StoreError::damaged(&key))
            })
            .collect::<Result<Vec<_>, _>>()?;
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(sources)
    }

    /// Returns the imports of a source, latest first.
    ///
    /// # Errors
    /// If Redis does not answer, or an entry cannot be decoded.
    pub fn intel_imports(&mut self, source: &IntelSource) -> Result<Vec<ImportEntry>, StoreError> {
        let key = self.store.keys.intel(&format!("ih{}", source.number));
        let entries = self.intel_list(&key)?.into_iter().rev();
        let read =
            |entry: Vec<u8>| serde_json::from_slice(&entry).map_err(|_| StoreError::damaged(&key));
        entries.map(read).collect()
    }

    /// Returns the subjects that imports of a source changed, latest first; at most
    /// [`super::MAX_CHANGES`] are kept.
    ///
    /// # Errors
    /// If Redis does not answer, or an entry cannot be decoded.
    pub fn intel_changes(
        &mut self,
        source: &IntelSource,
    ) -> Result<Vec<super::ListingChange>, StoreError> {
        let key = self.store.keys.intel(&format!("ic{}", source.number));
        let entries = self.intel_list(&key)?.into_iter().rev();
        let read = |entry: Vec<u8>| {
            super::ListingChange::decode(&entry).ok_or_else(|| StoreError::damaged(&key))
        };
        entries.map(read).collect()
    }

    fn intel_list(&mut self, key: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let words: [&[u8]; 4] = [b"LRANGE", key.as_bytes(), b"0", b"-1"];
        reply::list(self.store.client.ask(&words)?)?.into_iter().map(reply::octets).collect()
    }
}

/// Decodes a source.
pub(super) fn decode(number: &[u8], record: &[u8]) -> Option<IntelSource> {
    let number =
        std::str::from_utf8(number).ok()?.parse().ok().filter(|&number: &u32| number > 0)?;
    let source: IntelSource = serde_json::from_slice(record).ok()?;
    Some(IntelSource { number, ..source })
}

/// Encodes a source.
pub(super) fn encode(source: &IntelSource) -> String {
    // Numbers and texts can always be encoded as JSON.
    serde_json::to_string(source).unwrap_or_default()
}

impl Keys {
    /// A key of indicators; the letters behind `i` say which.
    pub(in crate::store) fn intel(&self, letters: &str) -> String {
        format!("{}{letters}", self.tags_root())
    }
}
