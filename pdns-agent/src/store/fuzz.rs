//! Entry points of the fuzz targets `resp`, `snapshot` and `stored`, to readers that are private to the store.
//!
//! Not a part of the library's interface.

use super::layout::encoding::{self, Stored, Value as NameValue, records};
use super::layout::extension;
use super::layout::keys::{Keys, Pointer, ROW};
use super::layout::posting::Posting;
use super::redis::resp::RespStream;
use super::redis::socket::Socket;
use super::tags::encoding::{TagReader, field, value};
use super::write::checkpoint::Mark;
use super::write::sources::SourceState;
use crate::hash::{Hasher, Router};
use crate::record::FactBuf;
use redis::Value;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// Most octets that a socket takes before somebody reads them.
const MOST: usize = 64 << 10;

/// A stream on which these octets come, cut off behind them; what is read ahead is small, so that strings span it.
fn stream(octets: &[u8]) -> Option<RespStream> {
    let (ours, mut theirs) = UnixStream::pair().ok()?;
    theirs.write_all(octets).ok()?;
    theirs.shutdown(Shutdown::Both).ok()?;
    Some(RespStream::with_capacity(64, Socket::Unix(ours)))
}

/// Reads replies in all ways that the store has.
///
/// # Panics
/// When two ways do not agree.
pub fn replies(octets: &[u8]) {
    let octets = octets.get(..MOST).unwrap_or(octets);
    let Some(mut values) = stream(octets) else { return };
    let mut first = None;
    while let Ok(value) = values.value() {
        first.get_or_insert(value);
    }
    let Some(first) = first else { return };
    let (Some(mut strings), Some(mut pairs)) = (stream(octets), stream(octets)) else { return };
    let mut string = None;
    let other = strings.string(&mut Vec::new(), |octets| string = Some(octets.to_vec()));
    match (&first, other) {
        (Value::BulkString(octets), Ok(None)) => assert_eq!(string.as_ref(), Some(octets)),
        (value, Ok(Some(other))) => assert_eq!(*value, other),
        (value, other) => panic!("{value:?} as a string is {other:?}"),
    }
    let mut listed = Vec::new();
    let other = pairs.pairs(&mut [Vec::new(), Vec::new()], &mut |field, value| {
        listed.extend([field, value].map(|octets| Value::BulkString(octets.to_vec())));
    });
    match (&first, other) {
        (Value::Array(values), Ok(None)) => assert_eq!(*values, listed),
        // A list of other things than pairs of strings.
        (Value::Array(_), Err(_)) => {}
        (value, Ok(Some(other))) => assert_eq!(*value, other),
        (value, other) => panic!("{value:?} as pairs is {other:?}"),
    }
}

/// Reads the keys of a snapshot, of Redis and of Valkey.
///
/// # Panics
/// When a value has more bytes than the snapshot.
pub fn snapshot(octets: &[u8]) {
    for start in [&b""[..], b"REDIS0012", b"VALKEY080"] {
        super::backup::read_any(&[start, octets].concat());
    }
}

/// Reads a stored value as each kind that there is, and writes again what could be read.
///
/// # Panics
/// When what was written does not read back as the same.
pub fn values(octets: &[u8]) {
    let hasher = Hasher::new(&[1; 16]);
    let (keys, router) = (Keys::new("pdns"), Router::new(Hasher::new(&[1; 16]), 64));
    let in_name = NameValue::read(octets).and_then(|value| value.records);
    for (stored, row) in in_name.into_iter().chain([octets]).flat_map(records).flatten() {
        let Stored::Fact(fact) = stored else { continue };
        let mut key = Vec::new();
        encoding::write_key(fact.as_fact(), &hasher, &mut key);
        assert_eq!(Stored::read(&key), Some((Stored::Fact(fact.clone()), &[][..])));
        if let FactBuf::Record(rdata) = &fact {
            let posting = Posting::of(rdata.as_rdata(), &keys, &router);
            let member = posting.member(Pointer(row));
            assert_eq!(member & u64::from(u32::MAX), u64::from(row), "{posting:?}");
            let _is_probe = Posting::is_probe(member);
        }
    }
    for row in octets.chunks(ROW).filter_map(encoding::read_row) {
        let mut again = Vec::new();
        encoding::write_row(&row.seen, row.sensors, row.bits, row.told, &mut again);
        assert_eq!(encoding::read_row(&again), Some(row));
    }
    if let Some(set) = extension::read_set(octets) {
        assert_eq!(extension::write_set(&set), octets);
    }
    if let Some((count, is_lower_bound)) = extension::read_count(octets) {
        assert_eq!(extension::write_count(count, is_lower_bound), octets);
    }
    if let Some((mark, _)) = Mark::read(octets) {
        assert_eq!(Mark::read(&mark.to_octets()), Some((mark, &[][..])));
    }
    drop(serde_json::from_slice::<SourceState>(octets));
    let mut reader = TagReader::default();
    let (name, content) = octets.split_at(octets.iter().position(|&octet| octet == 0).unwrap_or(0));
    if let Some(tag) = reader.read(name, content.get(1..).unwrap_or_default()) {
        let again = (field(tag.kind, &tag.subject), value(&tag));
        assert_eq!(reader.read(again.0.as_bytes(), again.1.as_bytes()), Some(tag));
    }
}
