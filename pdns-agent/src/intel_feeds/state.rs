//! What a fetch has to know of the one before.

use super::{Feed, Location};
use crate::outgoing::Validators;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a fetch has to know of the one before, to ask for changes only. It holds no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FetchState {
    /// Hash of the location that this state belongs to.
    pub source: Option<u64>,
    /// Version of the list: `ETag`, or size and time of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Version of the list: `Last-Modified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// TAXII: time at which the last object was added (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_after: Option<String>,
    /// MISP: time of the last change, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// MISP: time of the last fetch of everything, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole: Option<u64>,
    /// MISP feed: the known events and the times of their last change, in seconds since the epoch.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
}

/// Time after which a source is fetched as a whole again, in seconds: what it has deleted without a trace is noticed by
/// then.
const WHOLE: u64 = 7 * 86_400;

/// The time now, in seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl FetchState {
    /// Returns true if the source was never fetched as a whole, or a week ago. A time in the future, after the clock was
    /// set back, does not count.
    pub(super) fn is_whole_due(&self) -> bool {
        let now = now();
        self.whole.is_none_or(|whole| whole > now || now - whole >= WHOLE)
    }

    /// Notes that the source was fetched as a whole.
    pub(super) fn set_whole(&mut self) {
        self.whole = Some(now());
    }

    /// The version for a conditional request.
    pub(super) fn validators(&self) -> Validators {
        Validators { etag: self.etag.clone(), last_modified: self.last_modified.clone() }
    }

    /// Keeps the version of an answer.
    pub(super) fn set_validators(&mut self, validators: &Validators) {
        self.etag.clone_from(&validators.etag);
        self.last_modified.clone_from(&validators.last_modified);
    }
}

/// Hash of everything that decides what a feed returns.
pub(super) fn source(feed: &Feed) -> u64 {
    let mut hasher = SipHasher13::new();
    let mut write = |part: &[u8]| {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    };
    write(feed.protocol.name().as_bytes());
    match &feed.location {
        Location::Url(url) => write(url.as_bytes()),
        Location::File(path) => write(path.as_os_str().as_bytes()),
    }
    write(feed.member.as_deref().unwrap_or_default().as_bytes());
    for (name, value) in &feed.search {
        write(name.as_bytes());
        write(value.to_string().as_bytes());
    }
    hasher.finish()
}
