//! Backups of a store, and what moves one: a consistent point of it, written to a file or into another server.
//!
//! Nothing is read key by key: the server sends a snapshot of all its keys, as to a replica ([`snapshot`]), from which
//! those of the store are taken ([`rdb`]). Their values are not decoded, but handed on as they are to a file ([`file`])
//! or to the `RESTORE` of a server ([`restore`]). Whatever is interrupted can be run again.

mod copy;
mod crc64;
mod error;
mod file;
mod merge;
mod merge_rows;
mod progress;
mod rdb;
mod rdb_input;
mod rdb_value;
mod restore;
mod snapshot;

pub use error::BackupError;
pub use merge::{MergeFrom, MergeSummary, UnkeptSums};
pub use progress::{EachStep, Progress};
pub use rdb_input::SnapshotError;

use crate::hash::Hasher;
use crate::store::layout::keys::KeyClass;
use crate::store::{Options, Store, StoreError, schema};
use file::{BackupFile, BackupWriter};
use rdb_value::version_of;
use serde::{Deserialize, Serialize};
use snapshot::Snapshot;
use std::fs::File;
use std::io::Write;
/// Callback for a key without the prefix of the store, and its value.
type EachKey<'e> = dyn FnMut(&[u8], &[u8]) -> Result<(), BackupError> + 'e;

/// Keys between two calls for progress.
const STEP: u64 = 4096;
/// Number of keys named as left out.
const EXAMPLES: usize = 3;

/// The store in a backup, as the file describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Version of the layout.
    pub schema: u32,
    /// Number of partitions.
    pub partitions: u16,
    /// Digest of the store's hash key: the same in a store and all its copies.
    pub store: String,
    /// Prefix of its keys.
    pub prefix: String,
    /// Time of the backup, in seconds since the epoch.
    pub created: u32,
    /// Version of the format in which the server sent it.
    pub rdb: u32,
    /// Program that made it.
    pub program: String,
}

/// The result of a backup, restore or copy.
#[derive(Clone, Debug, Default)]
pub struct BackupSummary {
    /// Description of the store.
    pub description: Description,
    /// Number of keys.
    pub keys: u64,
    /// Number of bytes of their values.
    pub bytes: u64,
    /// Number of keys with the prefix that belong to no store, and are left out; some of them.
    pub left_out: u64,
    /// Some of these keys.
    pub examples: Vec<String>,
}

/// A store as it is told apart from others.
struct Origin {
    schema: u32,
    partitions: u16,
    store: String,
}

impl Origin {
    /// Reads the schema of a store that may be of an earlier version.
    fn read(options: &Options) -> Result<Self, BackupError> {
        let (_, keys, fields) = schema::stored(options)?;
        if fields.is_empty() {
            return Err(BackupError::NoStore { prefix: options.prefix.clone() });
        }
        if fields.contains_key(&b"restore"[..]) {
            return Err(StoreError::unfinished_restore().into());
        }
        let number = |field: &[u8]| std::str::from_utf8(fields.get(field)?).ok()?.parse().ok();
        let secret = fields.get(&b"sip"[..]).and_then(|key| <[u8; 16]>::try_from(&key[..]).ok());
        let (Some(schema), Some(partitions), Some(secret)) = (number(b"v"), number(b"P"), secret)
        else {
            return Err(StoreError::damaged(&keys.schema()).into());
        };
        let partitions =
            u16::try_from(partitions).map_err(|_| StoreError::damaged(&keys.schema()))?;
        Ok(Self { schema, partitions, store: store_digest(&secret) })
    }
}

/// Returns a digest of a store's hash key, which does not reveal it.
fn store_digest(secret: &[u8; 16]) -> String {
    crate::hex::encode(&Hasher::new(secret).identity(b"pdns store"))
}

/// The keys of a store as of one moment.
enum Source {
    /// From a server.
    Server { snapshot: Box<Snapshot>, description: Description, prefix: Vec<u8> },
    /// From a file that was checked.
    File(Box<BackupFile>),
}

impl Source {
    /// Asks a server for a snapshot.
    fn server(options: &Options, now: u32) -> Result<Self, BackupError> {
        let origin = Origin::read(options)?;
        let snapshot = Snapshot::take(options)?;
        let description = Description {
            schema: origin.schema,
            partitions: origin.partitions,
            store: origin.store,
            prefix: options.prefix.clone(),
            created: now,
            rdb: snapshot.version(),
            program: format!("pdns {}", env!("CARGO_PKG_VERSION")),
        };
        let prefix = options.prefix.clone().into_bytes();
        Ok(Self::Server { snapshot: Box::new(snapshot), description, prefix })
    }

    fn description(&self) -> &Description {
        match self {
            Self::Server { description, .. } => description,
            Self::File(file) => &file.description,
        }
    }

    /// Passes each key to `each`.
    fn for_each(
        &mut self,
        progress: &mut EachStep<'_>,
        each: &mut EachKey<'_>,
    ) -> Result<BackupSummary, BackupError> {
        let description = self.description().clone();
        let mut summary = BackupSummary { description, ..BackupSummary::default() };
        let mut count = |bytes: usize| {
            summary.keys += 1;
            summary.bytes += bytes as u64;
            if summary.keys.is_multiple_of(STEP) {
                progress(Progress::Keys { keys: summary.keys, bytes: summary.bytes });
            }
        };
        match self {
            Self::File(file) => {
                file.for_each(&mut |key, value| {
                    count(value.len());
                    each(key, value)
                })?;
                // It may have been written to since it was checked.
                file.check()?;
            }
            Self::Server { snapshot, prefix, .. } => {
                let (mut whole, mut left_out, mut examples) = (Vec::new(), 0, Vec::new());
                let mut is_wanted = |key: &[u8]| {
                    let Some(rest) = key.strip_prefix(prefix.as_slice()) else { return false };
                    let class = KeyClass::of(rest);
                    if class == KeyClass::Foreign {
                        left_out += 1;
                        if examples.len() < EXAMPLES {
                            examples.push(String::from_utf8_lossy(key).into_owned());
                        }
                    }
                    class == KeyClass::Content
                };
                snapshot.for_each(&mut is_wanted, &mut |found| {
                    if version_of(found.kind).is_none() {
                        return Err(StoreError::damaged(&String::from_utf8_lossy(found.key)).into());
                    }
                    whole.clear();
                    whole.push(found.kind);
                    whole.extend_from_slice(found.value);
                    count(whole.len());
                    each(found.key.get(prefix.len()..).unwrap_or_default(), &whole)
                })?;
                (summary.left_out, summary.examples) = (left_out, examples);
            }
        }
        Ok(summary)
    }
}

impl Store {
    /// Writes a backup of a store, as of one moment. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// If there is no store, or the server sends no snapshot, or the output cannot be written.
    pub fn backup(
        options: &Options,
        now: u32,
        out: &mut dyn Write,
        progress: &mut EachStep<'_>,
    ) -> Result<BackupSummary, BackupError> {
        let mut source = Source::server(options, now)?;
        let mut writer =
            BackupWriter::new(out, source.description()).map_err(BackupError::Write)?;
        let summary = source.for_each(progress, &mut |key, value| {
            writer.add(key, value).map_err(BackupError::Write)
        })?;
        writer.finish().map_err(BackupError::Write)?;
        Ok(summary)
    }

    /// Checks the file of a backup from its beginning to its end.
    ///
    /// # Errors
    /// [`BackupError::Foreign`], [`BackupError::Version`] and [`BackupError::Damaged`]; [`BackupError::Read`] if it cannot
    /// be read.
    pub fn check_backup(file: File) -> Result<BackupSummary, BackupError> {
        let file = BackupFile::open(file)?;
        let (description, keys, bytes) = (file.description.clone(), file.keys, file.bytes);
        Ok(BackupSummary { description, keys, bytes, ..BackupSummary::default() })
    }
}

/// Reads all keys of a snapshot, for the fuzz target.
pub(in crate::store) fn read_any(octets: &[u8]) {
    let Ok(mut rdb) = rdb::Rdb::open(octets, 0) else { return };
    while let Ok(Some(found)) = rdb.next(&mut |_| true) {
        assert!(found.value.len() <= octets.len());
    }
}
