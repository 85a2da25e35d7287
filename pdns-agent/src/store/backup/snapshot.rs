//! Takes a snapshot of a running server, as a replica does: all keys at one moment, while others write.
//!
//! Part of `store/backup`. The server forks and sends its data (`SYNC`). It is asked for the data alone, without the
//! writes that follow, so that they do not pile up in its memory while the snapshot is read.

use super::BackupError;
use super::rdb::{Rdb, SnapshotKey};
use crate::store::redis::client::connect;
use crate::store::redis::resp::RespStream;
use crate::store::redis::socket::Socket;
use crate::store::{Options, StoreError};
use redis::Value;
use std::io::{self, BufRead as _, BufReader, Read};

/// Longest line before the data.
const LINE: u64 = 1 << 10;
/// Bytes of the mark that ends data whose length is not known at first.
const MARK: usize = 40;

/// A snapshot that is received.
pub(super) struct Snapshot {
    rdb: Rdb<Box<dyn Read>>,
    mark: Option<[u8; MARK]>,
}

impl Snapshot {
    /// Asks for a snapshot, and waits until it begins.
    pub(super) fn take(options: &Options) -> Result<Self, BackupError> {
        let mut stream = connect(options)?;
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

    /// Returns the version of the format in which the server sends it.
    pub(super) fn version(&self) -> u32 {
        self.rdb.version()
    }

    /// Passes all wanted keys to `each`, in the order of the server.
    pub(super) fn for_each(
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
