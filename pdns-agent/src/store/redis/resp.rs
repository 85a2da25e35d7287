//! The wire protocol below a connection: sends bytes, reads replies.
//!
//! The innermost layer of the store, used only by `store/redis/client.rs`. A scan at ten million names reads half a
//! gigabyte, and a look-up of an address some ten thousand small strings. The `redis` crate reads 8 KiB per system
//! call and passes each byte through a parser of combinators, which takes three times as long as Redis takes to
//! reply. So the replies are read here, for all kinds of sockets (RESP2,
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>), while the crate parses URLs and errors.

use crate::store::redis::socket::Socket;
use redis::{ConnectionInfo, ErrorKind, RedisError, RedisResult, Value};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::time::Duration;

/// Bytes read ahead: half the capacity of a socket, so that blocks of the store bypass this buffer.
const AHEAD: usize = 32 << 10;
/// Longest line: a status or an error.
const LINE: u64 = 64 << 10;
/// Room allocated for a string or list before its data has arrived; more is added as it arrives, whatever length the
/// server announced.
const PROMISED: usize = 1 << 20;
/// Maximum nesting of lists; replies to our commands have two levels at most.
const DEPTH: usize = 8;

/// A connection for sending commands and reading replies, in order.
pub(in crate::store) struct RespStream {
    reader: BufReader<Socket>,
}

impl RespStream {
    /// Reads from a connected socket, at most so many bytes ahead.
    pub(in crate::store) fn with_capacity(ahead: usize, socket: Socket) -> Self {
        Self { reader: BufReader::with_capacity(ahead, socket) }
    }

    /// Connects, within `patience` for each address, and authenticates. From then on a reply may take
    /// `reply_timeout`.
    pub(in crate::store) fn connect(
        info: &ConnectionInfo,
        patience: Duration,
        reply_timeout: Duration,
    ) -> RedisResult<Self> {
        let socket = Socket::connect(info.addr(), patience)?;
        let mut wire = Self::with_capacity(AHEAD, socket);
        wire.introduce(info)?;
        wire.set_reply_timeout(reply_timeout)?;
        Ok(wire)
    }

    /// Sets the time limit for replies from now on.
    pub(in crate::store) fn set_reply_timeout(&self, patience: Duration) -> io::Result<()> {
        self.reader.get_ref().set_timeouts(patience)
    }

    /// Sends user, password and database, if the settings have any.
    fn introduce(&mut self, info: &ConnectionInfo) -> RedisResult<()> {
        let settings = info.redis_settings();
        if let Some(password) = settings.password() {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = settings.username() {
                auth.arg(user);
            }
            self.send(&auth.arg(password).get_packed_command())?;
            if let Value::ServerError(error) = self.value()? {
                let text = error.details().unwrap_or_default().to_owned();
                let kind = ErrorKind::AuthenticationFailed;
                return Err(RedisError::from((kind, "refused", text)));
            }
        }
        if settings.db() != 0 {
            self.send(&redis::cmd("SELECT").arg(settings.db()).get_packed_command())?;
            self.value()?.extract_error()?;
        }
        Ok(())
    }

    /// Returns true for a Unix socket.
    pub(in crate::store) fn is_unix(&self) -> bool {
        matches!(self.reader.get_ref(), Socket::Unix(_))
    }

    /// Returns what follows as bytes.
    pub(in crate::store) fn into_reader(self) -> BufReader<Socket> {
        self.reader
    }

    /// Sends commands in wire format.
    pub(in crate::store) fn send(&mut self, bytes: &[u8]) -> RedisResult<()> {
        let socket = self.reader.get_mut();
        let sent = socket.write_all(bytes).and_then(|()| socket.flush());
        let Err(broken) = sent else { return Ok(()) };
        // A server that has no room says so and closes the connection.
        match value(&mut self.reader, DEPTH).and_then(Value::extract_error) {
            Err(told) if !matches!(told.kind(), ErrorKind::Io) => Err(told),
            _ => Err(broken.into()),
        }
    }

    /// Reads the next reply; a refusal by the server is a [`Value::ServerError`].
    pub(in crate::store) fn value(&mut self) -> RedisResult<Value> {
        value(&mut self.reader, DEPTH)
    }

    /// Reads the next reply: if it is a string, its bytes are passed to `each`, in place or by way of `spill`. Any
    /// other reply is returned.
    pub(in crate::store) fn string(
        &mut self,
        spill: &mut Vec<u8>,
        each: impl FnOnce(&[u8]),
    ) -> RedisResult<Option<Value>> {
        let reader = &mut self.reader;
        let value = match line(reader, |line| Ok(Head::of(line)))? {
            Some(Head::Octets(length @ ..=PROMISED)) => {
                in_place(reader, length, spill, each)?;
                return Ok(None);
            }
            head => rest(reader, head, DEPTH)?,
        };
        match value {
            Value::BulkString(bytes) => {
                each(&bytes);
                Ok(None)
            }
            other => Ok(Some(other)),
        }
    }

    /// Reads the next reply: if it is a list of strings in pairs, like a hash, each pair is passed to `each`. Any
    /// other reply is returned.
    pub(in crate::store) fn pairs(
        &mut self,
        spill: &mut [Vec<u8>; 2],
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> RedisResult<Option<Value>> {
        pairs_of(&mut self.reader, spill, each)
    }
}

/// The first line of a reply.
enum Head {
    Nil,
    Whole(Value),
    Octets(usize),
    List(usize),
}

impl Head {
    /// Parses the line, without its line end; `None` for an error, whose text is the line itself.
    fn of(line: &[u8]) -> Option<Self> {
        let (&mark, text) = line.split_first()?;
        let number = || -> Option<i64> { std::str::from_utf8(text).ok()?.parse().ok() };
        let length = || match text {
            // Nearly all are short.
            [b'0'..=b'9']
            | [b'0'..=b'9', b'0'..=b'9']
            | [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
                Some(Ok(text.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))))
            }
            _ => number().map(usize::try_from),
        };
        Some(match mark {
            b'$' => length()?.map_or(Self::Nil, Self::Octets),
            b'*' => length()?.map_or(Self::Nil, Self::List),
            b':' => Self::Whole(Value::Int(number()?)),
            b'+' if text == b"OK" => Self::Whole(Value::Okay),
            b'+' => Self::Whole(Value::SimpleString(String::from_utf8_lossy(text).into_owned())),
            b'-' => Self::Whole(refused(line)?),
            _ => return None,
        })
    }
}

/// Converts an error of the server, classified by the crate.
fn refused(line: &[u8]) -> Option<Value> {
    redis::parse_redis_value(&[line, b"\r\n"].concat()).ok()
}

fn value<R: Read>(reader: &mut BufReader<R>, depth: usize) -> RedisResult<Value> {
    let head = line(reader, |line| Ok(Head::of(line)))?;
    rest(reader, head, depth)
}

/// Reads the rest of a reply after its first line.
fn rest<R: Read>(
    reader: &mut BufReader<R>,
    head: Option<Head>,
    depth: usize,
) -> RedisResult<Value> {
    match head.ok_or_else(|| garbled("no reply begins like this"))? {
        Head::Nil => Ok(Value::Nil),
        Head::Whole(value) => Ok(value),
        Head::Octets(length) => {
            let buffer = reader.buffer();
            let octets = match buffer.get(..length) {
                Some(octets) => {
                    let octets = octets.to_vec();
                    reader.consume(length);
                    octets
                }
                None => long(reader, length)?,
            };
            end(reader)?;
            Ok(Value::BulkString(octets))
        }
        Head::List(length) => {
            let depth = depth.checked_sub(1).ok_or_else(|| garbled("lists within lists"))?;
            let mut values = Vec::with_capacity(length.min(PROMISED / size_of::<Value>()));
            for _ in 0..length {
                values.push(value(reader, depth)?);
            }
            Ok(Value::Array(values))
        }
    }
}

/// Reads pairs for [`RespStream::pairs`].
fn pairs_of<R: Read>(
    reader: &mut BufReader<R>,
    spill: &mut [Vec<u8>; 2],
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> RedisResult<Option<Value>> {
    let head = line(reader, |line| Ok(Head::of(line)))?;
    let Some(Head::List(length)) = head else { return rest(reader, head, DEPTH).map(Some) };
    let [field, spill] = spill;
    for _ in 0..length / 2 {
        member(reader, spill, |octets| {
            field.clear();
            field.extend_from_slice(octets);
        })?;
        member(reader, spill, |octets| each(field, octets))?;
    }
    if length % 2 == 0 { Ok(None) } else { Err(garbled("a field without its value").into()) }
}

/// Reads one string of a list.
fn member<R: Read>(
    reader: &mut BufReader<R>,
    spill: &mut Vec<u8>,
    each: impl FnOnce(&[u8]),
) -> RedisResult<()> {
    match line(reader, |line| Ok(Head::of(line)))? {
        Some(Head::Octets(length @ ..=PROMISED)) => Ok(in_place(reader, length, spill, each)?),
        Some(Head::Octets(length)) => {
            each(&long(reader, length)?);
            Ok(end(reader)?)
        }
        _ => Err(garbled("a list of other things than strings").into()),
    }
}

/// Reads a string of at most [`PROMISED`] octets: it is not copied if all of it has arrived.
fn in_place<R: Read>(
    reader: &mut BufReader<R>,
    length: usize,
    spill: &mut Vec<u8>,
    each: impl FnOnce(&[u8]),
) -> io::Result<()> {
    if let Some(octets) = reader.buffer().get(..length) {
        each(octets);
        reader.consume(length);
    } else {
        spill.resize(length, 0);
        reader.read_exact(spill)?;
        each(spill);
    }
    end(reader)
}

/// Reads a string that has not arrived completely.
fn long<R: Read>(reader: &mut BufReader<R>, length: usize) -> io::Result<Vec<u8>> {
    if length <= PROMISED {
        let mut octets = vec![0; length];
        reader.read_exact(&mut octets)?;
        return Ok(octets);
    }
    let mut octets = Vec::with_capacity(PROMISED);
    reader.take(length as u64).read_to_end(&mut octets)?;
    if octets.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(octets) }
}

/// Reads a line and passes it, without its end, to `read`.
fn line<R: Read, T>(
    reader: &mut BufReader<R>,
    read: impl FnOnce(&[u8]) -> io::Result<T>,
) -> io::Result<T> {
    if let Some(end) = memchr::memchr(b'\n', reader.buffer()) {
        let line = reader.buffer().get(..end).and_then(|line| line.strip_suffix(b"\r"));
        let result = line.map_or_else(|| Err(garbled("a line without its end")), read);
        reader.consume(end + 1);
        return result;
    }
    let mut line = Vec::new();
    reader.take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    read(line.strip_suffix(b"\r\n").ok_or_else(|| garbled("a line without its end"))?)
}

/// Reads the line end after a string.
fn end<R: Read>(reader: &mut BufReader<R>) -> io::Result<()> {
    let mut end = [0; 2];
    reader.read_exact(&mut end)?;
    if end == *b"\r\n" { Ok(()) } else { Err(garbled("a string without its end")) }
}

fn garbled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server speaks no Redis: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A reader that returns its data in pieces of one size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(octets.len()).min(self.0.len());
            let (now, later) = self.0.split_at(length);
            octets.get_mut(..length).unwrap().copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn read(octets: &[u8], piece: usize) -> RedisResult<Value> {
        value(&mut BufReader::with_capacity(16, Pieces(octets, piece)), DEPTH)
    }

    /// Encodes replies as Redis does.
    fn written(value: &Value) -> Vec<u8> {
        match value {
            Value::Int(number) => format!(":{number}\r\n").into_bytes(),
            Value::Okay => b"+OK\r\n".to_vec(),
            Value::SimpleString(text) => format!("+{text}\r\n").into_bytes(),
            Value::BulkString(octets) => {
                [format!("${}\r\n", octets.len()).as_bytes(), octets, b"\r\n"].concat()
            }
            Value::Array(values) => {
                let parts: Vec<u8> = values.iter().flat_map(written).collect();
                [format!("*{}\r\n", values.len()).as_bytes(), &parts].concat()
            }
            _ => b"$-1\r\n".to_vec(),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            Just(Value::Okay),
            any::<i64>().prop_map(Value::Int),
            "[a-z ]{0,30}".prop_map(Value::SimpleString),
            prop::collection::vec(any::<u8>(), 0..70).prop_map(Value::BulkString),
        ];
        leaf.prop_recursive(3, 40, 8, |inner| {
            prop::collection::vec(inner, 0..8).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn replies_read_back_in_whatever_pieces_they_come(value in any_value(), piece in 1_usize..40) {
            let octets = written(&value);
            prop_assert_eq!(read(&octets, piece).unwrap(), value.clone());
            // The crate decodes them in the same way.
            prop_assert_eq!(redis::parse_redis_value(&octets).unwrap(), value);
        }

        #[test]
        fn any_octets_end_in_a_reply_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&octets, 7));
        }

        #[test]
        fn pairs_are_those_of_the_list(
            pairs in prop::collection::vec(prop::array::uniform2(prop::collection::vec(any::<u8>(), 0..70)), 0..9),
            piece in 1_usize..40,
        ) {
            let list = pairs.iter().flatten().cloned().map(Value::BulkString).collect();
            let octets = [written(&Value::Array(list)), b":1\r\n".to_vec()].concat();
            let mut reader = BufReader::with_capacity(16, Pieces(&octets, piece));
            let (mut spill, mut met) = ([Vec::new(), Vec::new()], Vec::new());
            let other = pairs_of(&mut reader, &mut spill, &mut |field, value| {
                met.push([field.to_vec(), value.to_vec()]);
            });
            prop_assert_eq!(other.unwrap(), None);
            prop_assert_eq!(met, pairs);
            // The next reply follows.
            prop_assert_eq!(value(&mut reader, DEPTH).unwrap(), Value::Int(1));
        }

        #[test]
        fn half_a_reply_is_an_error(value in any_value(), at in any::<prop::sample::Index>()) {
            let octets = written(&value);
            let half = octets.get(..at.index(octets.len())).unwrap();
            prop_assert!(read(half, 9).is_err());
        }
    }

    #[test]
    fn errors_are_those_of_the_crate() {
        let error = b"-NOPERM this user has no permissions\r\n";
        assert_eq!(read(error, 3).unwrap(), redis::parse_redis_value(error).unwrap());
        assert!(matches!(read(error, 3).unwrap(), Value::ServerError(_)));
    }

    #[test]
    fn what_is_promised_is_not_believed() {
        for lie in ["$9999999999\r\nx", "*9999999999\r\n", "$99999999999999999999\r\n"] {
            assert!(read(lie.as_bytes(), 8).is_err(), "{lie}");
        }
        let deep = "*1\r\n".repeat(1_000_000);
        assert!(read(deep.as_bytes(), 1000).is_err());
    }
}
