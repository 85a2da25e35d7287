//! The store on Redis: the only module that knows Redis.
//!
//! Downstream of `aggregate`, upstream of `query`. Windows of observations go in exactly once
//! ([`Store::flush`]), rows come out ([`StoredRecord`]). The layout is described in `store/layout/keys.rs`, values in
//! `store/layout/encoding.rs`, what must be atomic runs in Redis (`store/write/functions.lua`). All of it is blocking
//! code: one thread, one [`Store`], one connection, and another while it scans.

mod error;
mod layout;
mod read;
mod redis;
mod schema;
mod tags;
mod verify;
mod write;

pub use error::Retry;
pub use layout::keys::Kind;
pub use layout::type_code::{Told, ToldTypes};
pub use read::changes::Ends;
pub use read::lookup::{About, Each};
pub use read::name_totals::{OwnerSum, Owners, Slot};
pub use read::scan::{Handle, Part};
pub use read::status::Summary;
pub use read::unnamed::{EachFact, Nameless};
pub use redis::capacity::Capacity;
pub use redis::managed::{is_another_of_root, mend as mend_aof, stop as stop_managed};
pub use redis::password::read_password;
pub use redis::reply_timer::ReplyTimer;
pub use redis::url::{has_password, mask};
pub use tags::{MAX_HISTORY, MAX_TAGS};
pub use verify::Verdict;
pub use write::batch::{Batch, Packer};
pub use write::checkpoint::Checkpoint;
pub use write::sources::SourceState;

use crate::hash::Router;
use layout::keys::{Buckets, Keys};
use redis::capacity;
use redis::client::Link;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use write::upsert::Memory;

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
    fn current_password(&self) -> Option<String> {
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

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none that we can connect to.
    #[error("cannot use {url} as a Redis URL: {cause}")]
    Url {
        /// The URL without its password.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The private redis-server could not be started or stopped.
    #[error("{act}")]
    Managed {
        /// What was attempted, and what to do.
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
        /// What was found without looking at eviction.
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
        /// What its keys would begin with.
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
        /// What to do.
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

/// A store, over one connection of its own.
pub struct Store {
    link: Link,
    keys: Keys,
    router: Router,
    schema: schema::Schema,
    memory: Memory,
    /// Buckets as they were when last looked at.
    buckets: HashMap<(Kind, u8), Buckets>,
}

impl Store {
    /// Opens a store; creates it when there is none yet.
    ///
    /// # Errors
    /// When Redis cannot be reached, or the store has another schema.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        Self::open_timed(options, Arc::default())
    }

    /// Opens a store as [`Store::open`] does; the timer shows how long an answer of Redis is waited for, then and
    /// for as long as the store is open.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_timed(options: &Options, timer: Arc<ReplyTimer>) -> Result<Self, StoreError> {
        let mut link = Link::open(options.clone(), timer)?;
        link.refuse_cluster()?;
        let keys = Keys::new(&options.prefix);
        let (router, schema) =
            schema::open(&mut link, &keys).map_err(|error| capacity::explain(&mut link, error))?;
        Ok(Self { link, keys, router, schema, memory: Memory::default(), buckets: HashMap::new() })
    }

    /// Says where in the store names belong.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Shows how long an answer of Redis is waited for.
    #[must_use]
    pub fn reply_timer(&self) -> &Arc<ReplyTimer> {
        self.link.timer()
    }

    /// Counts the connections made: after another number, what was read before may not hold any more.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.link.generation()
    }

    /// Makes sure that the store can be reached and is the one that was opened.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] when it is not; others as they come.
    pub fn check(&mut self) -> Result<(), StoreError> {
        schema::same(&mut self.link, &self.keys, &self.router, &self.schema).map(drop)
    }

    fn partitions(&self) -> impl Iterator<Item = u8> + use<> {
        (0..self.router.partitions()).filter_map(|partition| u8::try_from(partition).ok())
    }
}
