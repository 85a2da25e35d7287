//! Errors sorted: what Redis said, and what a caller can do about it.

use crate::store::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What a server means that takes no more connections.
const NO_CONNECTIONS: &str = "Redis takes no more connections (maxclients)";

/// What can be done about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Repeat it later: the store is away, full, or refuses for a reason that an operator can remove.
    Wait,
    /// Load the checkpoint again: somebody moved it, or Redis lost data.
    Reload,
    /// Open the store again and begin from nothing: it is another store.
    Reopen,
    /// Nothing: this program cannot use the store.
    Never,
}

impl StoreError {
    pub(crate) fn damaged(key: &str) -> Self {
        Self::Damaged { key: key.to_owned() }
    }

    /// The same, naming the key that it is about, where that is of another type than the layout has it.
    pub(crate) fn of(self, key: impl FnOnce() -> Option<String>) -> Self {
        match self {
            Self::Server(text) if text.contains("wrong kind of value") => match key() {
                Some(key) => Self::Damaged { key },
                None => Self::Server(text),
            },
            error => error,
        }
    }

    pub(crate) fn from_redis(cause: &RedisError) -> Self {
        let text = cause.to_string();
        if text.contains("max number of clients reached") {
            return Self::Busy(NO_CONNECTIONS.to_owned());
        }
        match cause.kind() {
            ErrorKind::AuthenticationFailed => {
                Self::Refused("user or password is wrong".to_owned())
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                // Redis names the command or the key in its sentence.
                Self::Refused(cause.detail().map_or(text, str::to_owned))
            }
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => Self::Cluster,
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => Self::Busy(text),
            ErrorKind::Io | ErrorKind::InvalidClientConfig => Self::Unavailable(text),
            _ => match cause.code() {
                Some("WRONGPASS") => Self::Refused("user or password is wrong".to_owned()),
                Some("NOAUTH") => Self::Refused(
                    "it asks for a password: give PDNS_REDIS_PASSWORD or --redis-password-file, and \
                     --redis-user where there are several users"
                        .to_owned(),
                ),
                Some("OOM") => Self::Full,
                // MISCONF: the disk is full; BUSY: somebody's script hangs.
                Some("MISCONF" | "BUSY" | "NOREPLICAS" | "MASTERDOWN") => Self::Busy(text),
                _ if text.contains("Function not found") => Self::Unavailable(text),
                // Within a function a missing right has no code.
                _ if text.contains("The user executing the script can't") => Self::Refused(text),
                _ => Self::Server(text),
            },
        }
    }

    /// Names the key that an answer of the server is about.
    pub(crate) fn at_key(self, key: &str) -> Self {
        let named = |text: String| {
            if text.contains(" (key ") { text } else { format!("{text} (key {key})") }
        };
        match self.of(|| Some(key.to_owned())) {
            Self::Server(text) => Self::Server(named(text)),
            // A wrong password, or a command that is not allowed, has nothing to do with the key.
            Self::Refused(text) if text.contains("key") => Self::Refused(named(text)),
            error => error,
        }
    }

    /// What can be done about it in a process that has used the store before.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Schema { .. } => Retry::Never,
            Self::Conflict => Retry::Reload,
            Self::Replaced => Retry::Reopen,
            _ => Retry::Wait,
        }
    }

    /// Whether the same call may succeed later without a change of settings or rights, also in a process that never
    /// used the store.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_) | Self::Full | Self::ReadOnly)
    }

    /// Whether a server answered that has no room or time at the moment: it was reached.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full)
    }

    /// Whether the server closes the connection behind this answer.
    pub(crate) fn is_farewell(&self) -> bool {
        matches!(self, Self::Busy(text) if text == NO_CONNECTIONS)
    }

    /// Whether the server gave an answer that may be of a moment, or of settings that will never do.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Refused(_) | Self::Reply)
    }

    /// Whether it may be about this one call, so that others succeed.
    pub(crate) fn concerns_call(&self) -> bool {
        matches!(
            self,
            Self::Server(_)
                | Self::Refused(_)
                | Self::Damaged { .. }
                | Self::LimitReached { .. }
                | Self::Reply
        )
    }

    /// Whether one batch or log is refused again and again while the store works: it has to be set aside.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}
