//! Errors sorted: what Redis said, and what a caller can do about it.

use super::layout::keys::MAX_TAGS;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::io;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none that we can connect to.
    #[error("cannot use {url} as a Redis URL: {cause}")]
    Url {
        /// The URL without its password.
        url: String,
        /// The fault in it.
        cause: String,
    },
    /// The private redis-server could not be started or stopped.
    #[error("{act}")]
    Managed {
        /// The attempt, and the remedy.
        act: String,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// Redis is away, loading or busy: it may be better later.
    #[error("{0}")]
    Unavailable(String),
    /// Redis answers, but has no room or time to serve: it loads its data, has no connection to spare or cannot save.
    #[error("{0}")]
    Busy(String),
    /// Redis has reached its memory limit and refuses to write.
    #[error(
        "the store is full, nothing is being written: Redis has reached maxmemory; give it more memory"
    )]
    Full,
    /// Redis is a replica, or was made one by a failover.
    #[error("Redis is read-only, nothing is being written: it is a replica; name the primary")]
    ReadOnly,
    /// Redis may delete records to make room.
    #[error(
        "Redis may evict records, so nothing is written to it: maxmemory-policy is {policy}; set it to noeviction"
    )]
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// A key is gone that Redis may have deleted to make room.
    #[error(
        "{cause}; Redis has evicted {evicted} keys since it was started (maxmemory-policy {policy}), which may have been \
         among them: set it to noeviction, then repair the store or import again"
    )]
    Evicted {
        /// The error, regardless of eviction.
        cause: Box<StoreError>,
        /// Keys that it deleted.
        evicted: u64,
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// Redis keeps rejecting one batch, or what is known of one log, while it takes other commands.
    #[error("Redis keeps rejecting a batch")]
    Rejected(#[source] Box<StoreError>),
    /// Redis refuses the user or what they may do.
    #[error("Redis refuses access: {0}")]
    Refused(String),
    /// There is no store, and this user may not create one.
    #[error(
        "there is no store with the prefix {prefix} yet, and this user, who may not run {right}, cannot \
         make one: a sensor's agent has to write first"
    )]
    Missing {
        /// The prefix of its keys.
        prefix: String,
        /// The command that they may not run.
        right: String,
    },
    /// Redis answered with an error.
    #[error("Redis answered: {0}")]
    Server(String),
    /// The server cannot run our functions: which server it is, and what to do.
    #[error("{0}")]
    NoFunctions(String),
    /// The server holds only a part of the keys.
    #[error(
        "the server is a node of a Redis Cluster, which pdns does not support yet: use a single Redis or Valkey"
    )]
    Cluster,
    /// The store has a layout that this program does not know.
    #[error("the store has schema version {found}, this program knows {known}: {advice}")]
    Schema {
        /// The store's.
        found: String,
        /// Ours.
        known: u32,
        /// The remedy.
        advice: &'static str,
    },
    /// Redis answered something of another shape than expected.
    #[error("Redis gave an answer of an unexpected shape")]
    Reply,
    /// A value does not read as what it should be.
    #[error("{key} in the store is damaged: run `pdns admin verify`")]
    Damaged {
        /// Its key.
        key: String,
    },
    /// A key is lost, and nothing tells what it held.
    #[error("{key} is lost and cannot be rebuilt: {why}")]
    Lost {
        /// The key.
        key: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// A number in the layout would pass what its field holds.
    #[error(
        "{key} cannot be written: this partition of the store has as many names or records as the layout \
         can number; start another store, with another prefix"
    )]
    LimitReached {
        /// The block that there is no number for.
        key: String,
    },
    /// The store was emptied, or another one took its place: what was known of it is worth nothing.
    #[error("the store was emptied or replaced by another one")]
    Replaced,
    /// More tags than a client can be asked to keep.
    #[error(
        "the store would have more than {MAX_TAGS} tags: clear some, or tag prefixes and whole domains"
    )]
    TooManyTags,
    /// Somebody else moved a log's checkpoint, or Redis lost it: it has to be loaded again.
    #[error("the checkpoint of the log was moved by another agent or lost")]
    Conflict,
}

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
