//! The store on Redis: the only module that knows Redis.
//!
//! Downstream of `aggregate`, upstream of `query`. Windows of observations are written exactly once
//! ([`Writer::flush`]), and records are read back ([`crate::record::StoredRecord`]). The keys are described in
//! `store/layout/keys.rs`, the values in `store/layout/encoding.rs`; everything that must be atomic runs in Redis
//! (`store/write/functions.lua`). All of this is blocking code: one thread, one [`Store`], one connection, and a
//! second one during scans.

mod backup;
mod error;
mod forget;
mod functions;
#[doc(hidden)]
pub mod fuzz;
mod indicators;
mod judge;
mod layout;
mod migrate;
mod read;
mod redis;
mod schema;
mod tags;
mod verify;
mod write;

pub use backup::{
    BackupError, BackupSummary, Description, EachStep, MergeFrom, MergeSummary, Progress,
    SnapshotError, UnkeptSums,
};
pub use error::{Retry, StoreError};
pub use forget::{Candidate, Forgetting, Keep, Tally as ForgetTally};
pub use indicators::{
    ImportEntry, ImportOutcome, ImportSpec, IndicatorImport, Indicators, IntelSource, ListingAct,
    ListingChange, ListingTally, MAX_CHANGES, MAX_IMPORTS,
};
pub use judge::{JudgeLease, JudgeState, LeaseHolder};
pub use layout::keys::{Kind, MAX_TAGS};
pub use layout::type_code::{TypeCode, TypeMask};
pub use read::changes::{Ends, NameEnds};
pub use read::forgotten::ForgetNote;
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
pub use write::batch::{Batch, NewNames, Packer};
pub use write::checkpoint::Checkpoint;
pub use write::sources::SourceState;

use crate::hash::Router;
use layout::keys::Keys;
use read::buckets::Shape;
use redis::capacity;
use redis::client::RedisClient;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use write::upsert::WriterState;

/// Time for which editions and buckets of partitions are relied on, while a volume that was replaced is kept for much longer.
const SHAPES: Duration = Duration::from_secs(1);

/// A store, with a connection of its own.
pub struct Store {
    client: RedisClient,
    keys: Keys,
    router: Router,
    schema: schema::Schema,
    writer_state: WriterState,
    /// Editions and buckets of partitions as of the last look-up.
    shapes: HashMap<(Kind, u8), Shape>,
    /// Time until which these may be relied on.
    shapes_until: Instant,
}

/// Reads a store.
pub struct Reader<'s> {
    store: &'s mut Store,
}

/// Writes observations to a store, and the position up to which each log was read.
pub struct Writer<'s> {
    store: &'s mut Store,
}

/// Changes the tags of a store.
pub struct Tags<'s> {
    store: &'s mut Store,
}

impl Reader<'_> {
    /// Checks that the store can be reached and is still the one that was opened.
    ///
    /// # Errors
    /// As [`Store::check`].
    pub fn check(&mut self) -> Result<(), StoreError> {
        self.store.check()
    }

    /// Returns the router, which maps names to partitions.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.store.router
    }

    /// Returns the options that the store was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        self.store.client.options()
    }

    /// Returns the same store over a connection of its own, which is made when it is first used: for look-ups while
    /// this one is in the middle of a reply.
    #[must_use]
    pub fn twin(&self) -> Store {
        Store {
            client: RedisClient::unconnected(self.options().clone(), Arc::default()),
            keys: self.store.keys.clone(),
            router: self.store.router.clone(),
            schema: self.store.schema.clone(),
            writer_state: WriterState::default(),
            shapes: HashMap::new(),
            shapes_until: Instant::now(),
        }
    }
}

impl Store {
    /// Version of the layout that this program writes.
    pub const SCHEMA_VERSION: u32 = layout::keys::VERSION;

    /// Opens a store, and creates it if there is none yet.
    ///
    /// # Errors
    /// When Redis cannot be reached, or the store has another schema.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        Self::open_timed(options, Arc::default())
    }

    /// Creates a store; `None` if there is one already.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn create(options: &Options) -> Result<Option<Self>, StoreError> {
        let (_, _, fields) = schema::stored(options)?;
        if fields.is_empty() { Self::open(options).map(Some) } else { Ok(None) }
    }

    /// Opens a store like [`Store::open`]. The timer shows how long a reply from Redis has been pending, during the
    /// opening and as long as the store is open.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_timed(options: &Options, timer: Arc<ReplyTimer>) -> Result<Self, StoreError> {
        let mut client = RedisClient::open(options.clone(), timer)?;
        client.refuse_unsupported()?;
        let keys = Keys::new(&options.prefix);
        let (router, schema) = schema::open(&mut client, &keys)
            .map_err(|error| capacity::explain(&mut client, error))?;
        Ok(Self {
            client,
            keys,
            router,
            schema,
            writer_state: WriterState::default(),
            shapes: HashMap::new(),
            shapes_until: Instant::now(),
        })
    }

    /// Adds to an error from the store with these options that Redis evicts keys, if it does or did so and a key is
    /// missing.
    #[must_use]
    pub fn explain_loss(options: &Options, error: StoreError) -> StoreError {
        capacity::explain_apart(options, error)
    }

    /// Returns the view for reading.
    pub fn reader(&mut self) -> Reader<'_> {
        // An edition that was replaced stays for a few seconds, in which it is not noticed that it was.
        let now = Instant::now();
        if now >= self.shapes_until {
            self.shapes.clear();
            self.shapes_until = now + SHAPES;
        }
        Reader { store: self }
    }

    /// Returns the view for writing observations.
    pub fn writer(&mut self) -> Writer<'_> {
        Writer { store: self }
    }

    /// Returns the view for changing tags.
    pub fn tags(&mut self) -> Tags<'_> {
        Tags { store: self }
    }

    /// Returns the router, which maps names to partitions.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Returns the timer that shows how long a reply from Redis has been pending.
    #[must_use]
    pub fn reply_timer(&self) -> &Arc<ReplyTimer> {
        self.client.timer()
    }

    /// Returns the number of connections made. If it has changed, data that was read before may be out of date.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.client.generation()
    }

    /// Checks that the store can be reached and is still the one that was opened.
    ///
    /// # Errors
    /// [`StoreError::Replaced`], [`StoreError::SchemaLost`] and [`StoreError::Renumbered`] when it is not; other errors as
    /// they occur.
    pub fn check(&mut self) -> Result<(), StoreError> {
        self.is_marked().map(drop)
    }

    /// Returns true if the partitions of the store are marked; fails if it is not the store that was opened.
    fn is_marked(&mut self) -> Result<bool, StoreError> {
        schema::same(&mut self.client, &self.keys, &self.router, &self.schema)
    }

    /// Marks the partitions of a store of an earlier version. The functions must be loaded.
    fn mark_partitions(&mut self) -> Result<(), StoreError> {
        schema::mark_all(&mut self.client, &self.keys, &self.router, &mut self.schema)
    }

    /// Returns the memory limits of Redis; `None` if this user may not query them.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn capacity(&mut self) -> Result<Option<Capacity>, StoreError> {
        capacity::capacity(&mut self.client)
    }

    /// Returns the memory limits of Redis, after checking that it keeps everything written to it.
    ///
    /// # Errors
    /// [`StoreError::Evicts`] when it may not; other errors as they occur.
    pub fn safe_capacity(&mut self) -> Result<Option<Capacity>, StoreError> {
        capacity::safe_capacity(&mut self.client)
    }

    /// Adds to an error about a missing key that Redis evicts keys, if it does or did.
    pub(crate) fn explain(&mut self, error: StoreError) -> StoreError {
        capacity::explain(&mut self.client, error)
    }

    fn partitions(&self) -> impl Iterator<Item = u8> + use<> {
        (0..self.router.partitions()).filter_map(|partition| u8::try_from(partition).ok())
    }
}
