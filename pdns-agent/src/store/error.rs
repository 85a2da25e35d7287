//! Errors by cause: the reply of Redis, and what a caller can do about it.

use super::layout::keys::MAX_TAGS;
use crate::sensors::MAX_SENSORS;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::io;

/// The reason for which an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is not one that we can connect to.
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
        /// The operation that failed, and the remedy.
        act: String,
        /// Cause of the failure.
        #[source]
        cause: io::Error,
    },
    /// Redis is unreachable, loading or busy; a later attempt may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// Redis replies but cannot serve us: it is loading its data, has no free connection or cannot save.
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
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// A key is missing that Redis may have evicted to make room.
    #[error(
        "{cause}; Redis {}, the key may have been among them: {}repair the store or import again",
        evictions(*.evicted, policy),
        if is_evicting(policy) { "set maxmemory-policy to noeviction, then " } else { "" }
    )]
    Evicted {
        /// The error without regard to eviction.
        cause: Box<StoreError>,
        /// Number of keys that Redis evicted.
        evicted: u64,
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// Redis keeps rejecting one batch, or the state of one log, while it accepts other commands.
    #[error("Redis keeps rejecting a batch")]
    Rejected(#[source] Box<StoreError>),
    /// Redis denies access to this user, or to a command or key.
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
        /// The command that the user may not run.
        right: String,
    },
    /// Redis answered with an error.
    #[error("Redis answered: {0}")]
    Server(String),
    /// The server cannot hold a store; the text names the server, the reason and the remedy.
    #[error("{0}")]
    UnsupportedServer(String),
    /// The server holds only some of the keys.
    #[error(
        "the server is a node of a Redis Cluster, and has only some of the keys: name its nodes, as in redis-cluster://HOST:PORT,HOST:PORT"
    )]
    Cluster,
    /// The store has a layout that this program does not know.
    #[error("the store has schema version {found}, this program knows {known}: {advice}")]
    Schema {
        /// Version of the store.
        found: String,
        /// Version that this program knows.
        known: u32,
        /// The remedy.
        advice: &'static str,
    },
    /// A reply of Redis has an unexpected shape.
    #[error("Redis gave an answer of an unexpected shape")]
    Reply,
    /// A value is missing or cannot be decoded.
    #[error(
        "{key} in the store is damaged or missing: run `pdns admin verify`, and with --repair to mend it"
    )]
    Damaged {
        /// The key of the value.
        key: String,
    },
    /// A key is lost, and its content cannot be derived from other keys.
    #[error("{key} is lost and cannot be rebuilt: {why}")]
    Lost {
        /// The key.
        key: String,
        /// The reason, and the remedy.
        why: &'static str,
    },
    /// A number in the layout would exceed its field.
    #[error(
        "{key} cannot be written: this partition of the store has as many names or records as the layout \
         can number; start another store, with another prefix"
    )]
    LimitReached {
        /// The block for which there is no number left.
        key: String,
    },
    /// The store was emptied or replaced by another one: everything cached about it is invalid.
    #[error("the store was emptied or replaced by another one")]
    Replaced,
    /// The schema is missing or is another one, while the partitions are those of the store that was opened.
    #[error(
        "{key}, which identifies the store, is missing or damaged, while its records are there: run \
         `pdns admin verify --repair`"
    )]
    SchemaLost {
        /// The key of the schema.
        key: String,
    },
    /// A repair renumbered the rows of the store: everything cached about them is invalid.
    #[error("the store was repaired, and its records have other numbers now")]
    Renumbered,
    /// The store has numbers for no more sensors.
    #[error(
        "the store has as many sensors as it can tell apart ({MAX_SENSORS}): give this one the name of another (--sensor)"
    )]
    TooManySensors,
    /// The store would have more tags than clients can be expected to cache.
    #[error(
        "the store would have more than {MAX_TAGS} tags: clear some, or tag prefixes and whole domains"
    )]
    TooManyTags,
    /// Another process moved a log's checkpoint, or Redis lost it: it has to be reloaded.
    #[error("the checkpoint of the log was moved by another agent or lost")]
    Conflict,
    /// Records of a partition were forgotten, and the others have other numbers: writers have to reload their checkpoint, and
    /// readers to begin again.
    #[error(
        "a part of the store was written anew meanwhile, since records were forgotten: try again"
    )]
    Rewritten,
    /// Another process repairs or rewrites a part of the store.
    #[error(
        "a part of the store is being repaired or written anew (`pdns admin verify --repair`, `pdns admin forget`)"
    )]
    Held,
    /// Another process forgets records of the store.
    #[error(
        "{holder} forgets records of this store already: wait until it has ended, or {seconds} s if it was killed"
    )]
    Forgetting {
        /// The process and its machine.
        holder: String,
        /// Seconds until its lease ends if it was killed.
        seconds: u32,
    },
    /// Another process imports indicators of the same source.
    #[error(
        "another process imports from {source_name}: wait until it has ended, or {seconds} s if it was killed"
    )]
    Leased {
        /// Name of the source.
        source_name: String,
        /// Seconds until the source is free if that process was killed.
        seconds: u32,
    },
    /// Another process judges the store.
    #[error(
        "{holder} judges this store already: stop it, or wait {seconds} s if it was killed; with --wait this one takes over"
    )]
    Judged {
        /// The process and its machine.
        holder: String,
        /// Seconds until its lease ends if it was killed.
        seconds: u32,
    },
    /// A temporary file cannot be written or read.
    #[error("cannot use a temporary file")]
    Spool(#[source] io::Error),
    /// Redis refused a part of a batch, and the connection was dropped with the other parts in flight: the caller has
    /// to reload how far these went.
    #[error("a part of a batch was refused")]
    PartlyRefused(#[source] Box<StoreError>),
}

/// Returns true if a server with this `maxmemory-policy` may evict any key.
pub(super) fn is_evicting(policy: &str) -> bool {
    policy.starts_with("allkeys-")
}

/// Describes the keys that a server evicts, or may have evicted before it was last started.
fn evictions(evicted: u64, policy: &str) -> String {
    match evicted {
        0 => format!("may evict keys (maxmemory-policy is {policy}, evicted_keys 0)"),
        1 => format!("has evicted 1 key since it was started (maxmemory-policy is {policy})"),
        _ => format!(
            "has evicted {evicted} keys since it was started (maxmemory-policy is {policy})"
        ),
    }
}

/// Text for a server that accepts no more connections.
const NO_CONNECTIONS: &str = "Redis takes no more connections (maxclients)";

/// The remedy for a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Repeat it later: the store is unreachable or full, or refuses for a reason that an operator can remove.
    Wait,
    /// Reload the checkpoint: another process moved it, or Redis lost data.
    Reload,
    /// Reopen the store and start from scratch: it is a different store.
    Reopen,
    /// None: this program cannot use the store.
    Never,
}

impl StoreError {
    /// The error for a store that is being restored, or whose restoration was interrupted.
    pub(in crate::store) fn unfinished_restore() -> Self {
        let text = "the store is incomplete: it is being restored, copied or removed; if that was interrupted, run the \
                    same command again";
        Self::Unavailable(text.to_owned())
    }

    pub(crate) fn damaged(key: &str) -> Self {
        Self::Damaged { key: key.to_owned() }
    }

    /// Returns the same error with the key concerned, if that has another type than in the layout.
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
                // Redis names the command or the key in its message.
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
                // MISCONF: the disk is full; BUSY: a script hangs.
                Some("MISCONF" | "BUSY" | "NOREPLICAS" | "MASTERDOWN") => Self::Busy(text),
                _ if text.contains("Function not found") => Self::Unavailable(text),
                // Inside a function, a missing permission has no error code.
                _ if text.contains("The user executing the script can't") => Self::Refused(text),
                _ => Self::Server(text),
            },
        }
    }

    /// Adds the key that a reply of the server is about.
    pub(crate) fn at_key(self, key: &str) -> Self {
        let named = |text: String| {
            if text.contains(" (key ") { text } else { format!("{text} (key {key})") }
        };
        match self.of(|| Some(key.to_owned())) {
            Self::Server(text) => Self::Server(named(text)),
            // A wrong password or a forbidden command is not about the key.
            Self::Refused(text) if text.contains("key") => Self::Refused(named(text)),
            error => error,
        }
    }

    /// Returns the remedy for a process that has used the store before.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Schema { .. } | Self::TooManySensors => Retry::Never,
            Self::Conflict | Self::Rewritten | Self::PartlyRefused(_) => Retry::Reload,
            Self::Replaced | Self::Renumbered | Self::SchemaLost { .. } => Retry::Reopen,
            _ => Retry::Wait,
        }
    }

    /// Returns true if the same call may succeed later without a change of settings or permissions, also in a process
    /// that never used the store.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Held
                | Self::Rewritten
                | Self::Busy(_)
                | Self::Full
                | Self::ReadOnly
        )
    }

    /// Returns true if the store is reachable but accepts no writes until an operator changes that.
    #[must_use]
    pub fn refuses_writes(&self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::Evicts { .. })
    }

    /// Returns true if the server was reached but has no room or time at the moment.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full)
    }

    /// Returns true if the server closes the connection after this reply.
    pub(crate) fn is_farewell(&self) -> bool {
        matches!(self, Self::Busy(text) if text == NO_CONNECTIONS)
    }

    /// Returns true if it is unclear whether the server's reply is temporary or due to settings that will never work.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Refused(_) | Self::Reply)
    }

    /// Returns true if the error may concern this call only, so that other calls succeed.
    pub(crate) fn concerns_call(&self) -> bool {
        match self {
            Self::Server(_)
            | Self::Refused(_)
            | Self::Damaged { .. }
            | Self::LimitReached { .. }
            | Self::Reply => true,
            Self::Evicted { cause, .. } => cause.concerns_call(),
            _ => false,
        }
    }

    /// Returns true if one batch or log is refused again and again while the store works, so that it has to be set
    /// aside.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}
