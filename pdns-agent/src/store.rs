//! The store on Redis: the only module that knows Redis.
//!
//! Downstream of `aggregate`, upstream of `query`. Windows of observations go in exactly once
//! ([`Writer::flush`]), records come out ([`crate::record::StoredRecord`]). The layout is described in `store/layout/keys.rs`, values in
//! `store/layout/encoding.rs`, what must be atomic runs in Redis (`store/write/functions.lua`). All of it is blocking
//! code: one thread, one [`Store`], one connection, and another while it scans.

mod error;
mod functions;
#[doc(hidden)]
pub mod fuzz;
mod layout;
mod read;
mod redis;
mod schema;
mod tags;
mod verify;
mod write;

pub use error::{Retry, StoreError};
pub use layout::keys::{Kind, MAX_TAGS};
pub use layout::type_code::{TypeCode, TypeMask};
pub use read::changes::Ends;
pub use read::lookup::{Each, NameLookup};
pub use read::name_totals::{HashSlot, NameTotal, NameTotals};
pub use read::scan::{Handle, Part};
pub use read::status::Summary;
pub use read::unnamed::{EachUnnamed, UnnamedRecord};
pub use redis::capacity::Capacity;
pub use redis::managed::{is_another_of_root, mend as mend_aof, stop as stop_managed};
pub use redis::options::Options;
pub use redis::password::read_password;
pub use redis::reply_timer::ReplyTimer;
pub use redis::url::{has_password, mask};
pub use tags::MAX_HISTORY;
pub use verify::Verdict;
pub use write::batch::{Batch, Packer};
pub use write::checkpoint::Checkpoint;
pub use write::sources::SourceState;

use crate::hash::Router;
use layout::keys::{Buckets, Keys};
use redis::capacity;
use redis::client::RedisClient;
use std::collections::HashMap;
use std::sync::Arc;
use write::upsert::WriterState;

/// A store, over one connection of its own.
pub struct Store {
    client: RedisClient,
    keys: Keys,
    router: Router,
    schema: schema::Schema,
    writer_state: WriterState,
    /// Buckets as they were when last looked at.
    buckets: HashMap<(Kind, u8), Buckets>,
}

/// Reads a store.
pub struct Reader<'s> {
    store: &'s mut Store,
}

/// Writes what was seen to a store, and how far each log was read.
pub struct Writer<'s> {
    store: &'s mut Store,
}

/// Changes the tags of a store.
pub struct Tags<'s> {
    store: &'s mut Store,
}

impl Reader<'_> {
    /// Makes sure that the store can be reached and is the one that was opened.
    ///
    /// # Errors
    /// As [`Store::check`].
    pub fn check(&mut self) -> Result<(), StoreError> {
        self.store.check()
    }

    /// Says where in the store names belong.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.store.router
    }
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
        let mut client = RedisClient::open(options.clone(), timer)?;
        client.refuse_cluster()?;
        let keys = Keys::new(&options.prefix);
        let (router, schema) = schema::open(&mut client, &keys)
            .map_err(|error| capacity::explain(&mut client, error))?;
        Ok(Self {
            client,
            keys,
            router,
            schema,
            writer_state: WriterState::default(),
            buckets: HashMap::new(),
        })
    }

    /// The view that reads.
    pub fn reader(&mut self) -> Reader<'_> {
        Reader { store: self }
    }

    /// The view that writes what was seen.
    pub fn writer(&mut self) -> Writer<'_> {
        Writer { store: self }
    }

    /// The view that changes tags.
    pub fn tags(&mut self) -> Tags<'_> {
        Tags { store: self }
    }

    /// Says where in the store names belong.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Shows how long an answer of Redis is waited for.
    #[must_use]
    pub fn reply_timer(&self) -> &Arc<ReplyTimer> {
        self.client.timer()
    }

    /// Counts the connections made: after another number, what was read before may not hold any more.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.client.generation()
    }

    /// Makes sure that the store can be reached and is the one that was opened.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] when it is not; others as they come.
    pub fn check(&mut self) -> Result<(), StoreError> {
        self.is_marked().map(drop)
    }

    /// Whether the partitions of the store are marked, if it is the one that was opened.
    fn is_marked(&mut self) -> Result<bool, StoreError> {
        schema::same(&mut self.client, &self.keys, &self.router, &self.schema)
    }

    /// Marks the partitions of a store of an earlier version. The functions must be loaded.
    fn mark_partitions(&mut self) -> Result<(), StoreError> {
        schema::mark_all(&mut self.client, &self.keys, &self.router, &mut self.schema)
    }

    /// The memory of Redis; `None` when this user may not ask for it.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn capacity(&mut self) -> Result<Option<Capacity>, StoreError> {
        capacity::capacity(&mut self.client)
    }

    /// The memory of Redis, if that keeps what is written to it.
    ///
    /// # Errors
    /// [`StoreError::Evicts`] when it may not; others as they come.
    pub fn safe_capacity(&mut self) -> Result<Option<Capacity>, StoreError> {
        capacity::safe_capacity(&mut self.client)
    }

    fn partitions(&self) -> impl Iterator<Item = u8> + use<> {
        (0..self.router.partitions()).filter_map(|partition| u8::try_from(partition).ok())
    }
}
