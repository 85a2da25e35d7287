//! Connection options of a store.
//!
//! Part of `store`.

use super::cluster::url::ClusterUrl;
use super::password::read_password;
use super::sentinel::SentinelUrl;
use super::url::mask;
use crate::name::NameBuf;
use crate::store::StoreError;
use redis::IntoConnectionInfo as _;
use std::path::PathBuf;

/// Partitions of a new store, unless another number is asked for.
pub(in crate::store) const PARTITIONS: u16 = 64;

/// Connection options of a store.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// `managed:`, `redis://`, `rediss://`, `redis+unix://`, `redis+sentinel://`, `rediss+sentinel://`, `redis-cluster://` or
    /// `rediss-cluster://`.
    pub url: String,
    /// Prefix of all keys.
    pub prefix: String,
    /// ACL user; `None` for the default user.
    pub user: Option<String>,
    /// Password of the user at the time when the options were made.
    pub password: Option<String>,
    /// File that holds the password. It is read again for each connection, since it may be replaced.
    pub password_file: Option<PathBuf>,
    /// Settings file that names the store, for messages.
    pub named_in: Option<PathBuf>,
    /// Number of partitions of the store, if it is new.
    pub partitions: u16,
    /// Domains below which an analyst's trust in something wider does not silence indicators; for `query`.
    pub never_silence: Vec<NameBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "managed:".to_owned(),
            prefix: "pd:".to_owned(),
            user: None,
            password: None,
            password_file: None,
            named_in: None,
            partitions: PARTITIONS,
            never_silence: Vec::new(),
        }
    }
}

impl Options {
    /// Returns the URL without its password, for display.
    #[must_use]
    pub fn shown_url(&self) -> String {
        mask(&self.url)
    }

    /// Returns the number of the database that the URL names.
    pub(in crate::store) fn database(&self) -> Result<u64, StoreError> {
        if self.url == "managed:" {
            return Ok(0);
        }
        if ClusterUrl::parse(&self.url).is_some() {
            return Ok(0);
        }
        let bad = |cause: String| StoreError::Url { url: self.shown_url(), cause };
        let settings = match SentinelUrl::parse(&self.url) {
            Some(sentinels) => sentinels.map_err(bad)?.settings(),
            None => {
                self.url.as_str().into_connection_info().map(|info| info.redis_settings().clone())
            }
        };
        let settings = settings.map_err(|error| bad(error.to_string()))?;
        u64::try_from(settings.db()).map_err(|error| bad(error.to_string()))
    }

    /// Returns the password for a new connection: the one in the file, or the last known one while the file cannot be
    /// read, for example because it is being replaced.
    pub(super) fn current_password(&self) -> Option<String> {
        let read =
            self.password_file.as_deref().and_then(|path| read_password(path).ok().flatten());
        read.or_else(|| self.password.clone())
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.shown_url())
            .field("prefix", &self.prefix)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
