//! Takes a snapshot of a running server, as a replica does: all keys at one moment, while others write.
//!
//! Part of `store/backup`. The server forks and sends its data (`SYNC`). It is asked for the data alone, without the
//! writes that follow, so that they do not pile up in its memory while the snapshot is read.

use super::BackupError;
use super::rdb::{Rdb, SnapshotKey};
use crate::store::layout::keys::Keys;
use crate::store::redis::cluster::Masters;
use crate::store::redis::connect::{connect, masters};
use crate::store::redis::resp::RespStream;
use crate::store::redis::socket::Socket;
use crate::store::{Options, StoreError};
use redis::Value;
use std::io::{self, BufRead as _, BufReader, Read};

/// Longest line before the data.
const LINE: u64 = 1 << 10;
/// Bytes of the mark that ends data whose length is not known at first.
const MARK: usize = 40;

/// A snapshot that is received: of a server, or of the masters of a cluster one after the other.
pub(super) struct Snapshot {
    /// That of the first server.
    first: ServerSnapshot,
    cluster: Option<ClusterSnapshot>,
}

/// A cluster whose masters are read.
struct ClusterSnapshot {
    masters: Masters,
    /// The order in which they are read.
    order: Vec<usize>,
    options: Options,
}

/// The parts of a cluster's keys, in the order in which they are read. The masters are not read at the same moment, but
/// whatever a key leads to must be in the snapshot. So positions in logs, of which there is one master that is read first,
/// are read before records, and all of the inverted index and the numbers of sensors after them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Records,
    Index,
}

impl Part {
    /// Returns the part that a key belongs to, given what follows the prefix.
    fn of(rest: &[u8]) -> Self {
        let is_index = [&b"{4:"[..], b"{6:", b"6:"].iter().any(|begin| rest.starts_with(begin));
        if is_index || matches!(rest, b"sensors" | b"schema") { Self::Index } else { Self::Records }
    }
}

impl Snapshot {
    /// Asks for a snapshot, and waits until it begins.
    pub(super) fn take(options: &Options) -> Result<Self, BackupError> {
        let Some(masters) = masters(options)? else {
            let first = ServerSnapshot::take(connect(options)?, options)?;
            return Ok(Self { first, cluster: None });
        };
        let first = masters.of_key(Keys::new(&options.prefix).sources().as_bytes());
        let others = (0..masters.len()).filter(|&master| master != first);
        let cluster = ClusterSnapshot {
            order: std::iter::once(first).chain(others).collect(),
            masters,
            options: options.clone(),
        };
        cluster.refuse_moving_slots()?;
        Ok(Self { first: cluster.take(first)?, cluster: Some(cluster) })
    }

    /// Returns the version of the format in which the server sends it.
    pub(super) fn version(&self) -> u32 {
        self.first.rdb.version()
    }

    /// Passes all wanted keys to `each`, in the order of the server.
    pub(super) fn for_each(
        &mut self,
        is_wanted: &mut dyn FnMut(&[u8]) -> bool,
        each: &mut dyn FnMut(&SnapshotKey<'_>) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let Some(cluster) = &self.cluster else { return self.first.for_each(is_wanted, each) };
        let prefix = cluster.options.prefix.as_bytes();
        let mut is_first = true;
        for part in [Part::Records, Part::Index] {
            let mut is_of_part = |key: &[u8]| {
                let found = key.strip_prefix(prefix).map_or(Part::Records, Part::of);
                found == part && is_wanted(key)
            };
            for &master in &cluster.order {
                if std::mem::take(&mut is_first) {
                    self.first.for_each(&mut is_of_part, each)?;
                    continue;
                }
                let mut snapshot = cluster.take(master)?;
                if snapshot.rdb.version() != self.first.rdb.version() {
                    let reason = "its masters are of different versions";
                    return Err(StoreError::Unavailable(reason.to_owned()).into());
                }
                snapshot.for_each(&mut is_of_part, each)?;
            }
        }
        // Keys that moved meanwhile may be missing.
        let now = masters(&cluster.options)?;
        if now.is_none_or(|now| !now.serve_like(&cluster.masters)) {
            return Err(moved());
        }
        cluster.refuse_moving_slots()
    }
}

impl ClusterSnapshot {
    fn take(&self, master: usize) -> Result<ServerSnapshot, BackupError> {
        let stream = self.masters.open(master).map_err(|error| StoreError::from_redis(&error))?;
        ServerSnapshot::take(stream, &self.options)
    }

    fn refuse_moving_slots(&self) -> Result<(), BackupError> {
        let moving = self.masters.are_moving_slots();
        if moving.map_err(|error| StoreError::from_redis(&error))? { Err(moved()) } else { Ok(()) }
    }
}

fn moved() -> BackupError {
    let text =
        "slots of the cluster are moving, or a replica took over: try again when that has ended";
    StoreError::Unavailable(text.to_owned()).into()
}

/// The snapshot of one server.
struct ServerSnapshot {
    rdb: Rdb<Box<dyn Read>>,
    mark: Option<[u8; MARK]>,
}

impl ServerSnapshot {
    fn take(mut stream: RespStream, options: &Options) -> Result<Self, BackupError> {
        for words in [["capa", "eof"], ["rdb-only", "1"]] {
            let mut command = redis::cmd("REPLCONF");
            command.arg(&words);
            // A server that does not know it sends what follows the data, too, which is not read.
            match call(&mut stream, &command) {
                Ok(()) | Err(StoreError::Server(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let sync = redis::cmd("SYNC").get_packed_command();
        stream.send(&sync).map_err(|error| StoreError::from_redis(&error))?;
        let mut reader = stream.into_reader();
        let (mark, length) = match beginning(&mut reader)? {
            Beginning::Marked(mark) => (Some(mark), u64::MAX),
            Beginning::Long(length) => (None, length),
        };
        let data: Box<dyn Read> = Box::new(reader.take(length));
        Ok(Self { rdb: Rdb::open(data, options.database()?)?, mark })
    }

    fn for_each(
        &mut self,
        is_wanted: &mut dyn FnMut(&[u8]) -> bool,
        each: &mut dyn FnMut(&SnapshotKey<'_>) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        while let Some(key) = self.rdb.next(is_wanted)? {
            each(&key)?;
        }
        if let Some(mark) = self.mark
            && self.rdb.trailer::<MARK>()? != mark
        {
            return Err(self.rdb.fault("it does not end with its mark").into());
        }
        Ok(())
    }
}

/// Sends a command before the snapshot, and expects no more than its success.
fn call(stream: &mut RespStream, command: &redis::Cmd) -> Result<(), StoreError> {
    let sent = stream.send(&command.get_packed_command()).and_then(|()| stream.value());
    let reply = sent.and_then(Value::extract_error);
    reply.map(drop).map_err(|error| StoreError::from_redis(&error))
}

/// The ways in which data begins.
enum Beginning {
    /// It ends with this mark.
    Marked([u8; MARK]),
    /// It has this length.
    Long(u64),
}

/// Reads up to the data. A server that is not ready sends empty lines, so that it is not taken for dead.
fn beginning(reader: &mut BufReader<Socket>) -> Result<Beginning, StoreError> {
    loop {
        let mut line = Vec::new();
        reader.take(LINE).read_until(b'\n', &mut line).map_err(|error| unavailable(&error))?;
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err(unavailable(&io::ErrorKind::UnexpectedEof.into()));
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if let Some(mark) = line.strip_prefix(b"$EOF:") {
            return Ok(Beginning::Marked(mark.try_into().map_err(|_| StoreError::Reply)?));
        }
        if let Some(length) = line.strip_prefix(b"$") {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            return Ok(Beginning::Long(length.ok_or(StoreError::Reply)?));
        }
        let reply = redis::parse_redis_value(&[line, b"\r\n"].concat());
        return Err(match reply.and_then(Value::extract_error) {
            Ok(_) => StoreError::Reply,
            Err(error) => StoreError::from_redis(&error),
        });
    }
}

fn unavailable(error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("the server sends no snapshot ({error}): see its log"))
}
