//! How to reach a store.
//!
//! Part of `store`.

use super::password::read_password;
use super::url::mask;
use std::path::PathBuf;

/// How to reach a store.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// `managed:`, `redis://`, `rediss://` or `redis+unix://`.
    pub url: String,
    /// What all keys begin with.
    pub prefix: String,
    /// ACL user; the default user when absent.
    pub user: Option<String>,
    /// Its password, as it was when the options were made.
    pub password: Option<String>,
    /// File that holds the password: read again for each connection, since it may be replaced.
    pub password_file: Option<PathBuf>,
    /// The settings file that names the store, for messages.
    pub named_in: Option<PathBuf>,
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
        }
    }
}

impl Options {
    /// The URL without its password, fit to be shown.
    #[must_use]
    pub fn shown_url(&self) -> String {
        mask(&self.url)
    }

    /// The password for a new connection: that of the file, or the one known before while the file cannot be read,
    /// as when it is just being replaced.
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
