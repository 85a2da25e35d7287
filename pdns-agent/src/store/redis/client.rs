//! The connection: commands are encoded here, sent many at a time, and answered in order. Scans use a second
//! connection.
//!
//! All other parts of the store go through [`RedisClient`], which builds on `store/redis/resp.rs`. A connection that
//! failed is dropped and replaced at the next call, and [`RedisClient::generation`] changes: cached knowledge about
//! the server (row numbers, checkpoints) may no longer hold.

use crate::store::redis::cluster::url::ClusterUrl;
use crate::store::redis::connect::link;
use crate::store::redis::hosts::HostPort;
use crate::store::redis::link::Link;
pub(crate) use crate::store::redis::pipeline::Pipeline;
use crate::store::redis::reply;
use crate::store::redis::sentinel::SentinelUrl;
use crate::store::redis::server::field;
use crate::store::{Options, ReplyTimer, StoreError};
use redis::{ErrorKind, RedisError, RedisResult, Value};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Number of strings requested at once.
const STRINGS: usize = 8;
/// Number of strings from which on they are read over two connections in turns, if these are Unix sockets. Such a
/// socket holds three blocks, and wakes the server only when it is nearly empty, so that with one connection either
/// side waits for the other.
const MANY: usize = 64;

/// Milliseconds that a replica is waited for.
const REPLICATION: &[u8] = b"1000";

/// Callback for a string and the number of the command that it answers.
type EachText<'e> = &'e mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>;
/// Callback for a field, its value and the number of the command that they answer.
type EachPair<'e> = &'e mut dyn FnMut(usize, &[u8], &[u8]) -> Result<(), StoreError>;

/// Returns the key that a command with this number is about.
type KeyOf<'e> = &'e dyn Fn(usize) -> String;

/// Position in a scan through the keys of all servers.
#[derive(Default)]
pub(crate) struct KeyScan {
    server: usize,
    /// The server's cursor; `None` before its first page.
    cursor: Option<Vec<u8>>,
}

/// A connection to a server, or to all masters of a cluster.
pub(crate) struct RedisClient {
    options: Options,
    connection: Option<Link>,
    /// A second connection while many strings are read.
    second: Option<Link>,
    generation: u64,
    /// Nodes of the cluster, as it was last.
    nodes: Vec<HostPort>,
    timer: Arc<ReplyTimer>,
}

impl RedisClient {
    /// Connects.
    pub(crate) fn open(options: Options, timer: Arc<ReplyTimer>) -> Result<Self, StoreError> {
        let mut client = Self::unconnected(options, timer);
        client.connected()?;
        Ok(client)
    }

    /// A client that connects at its first call.
    pub(crate) fn unconnected(options: Options, timer: Arc<ReplyTimer>) -> Self {
        Self { options, connection: None, second: None, generation: 0, nodes: Vec::new(), timer }
    }

    /// Returns the number of connections made: if it has changed, the connection is another one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the timer that runs while a reply is pending.
    pub(crate) fn timer(&self) -> &Arc<ReplyTimer> {
        &self.timer
    }

    /// Returns the options it was opened with.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Closes the connection, so that the next call makes a new one.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    fn connected(&mut self) -> Result<&mut Link, StoreError> {
        if self.connection.is_none() {
            let _waiting = self.timer.start();
            let link = link(&self.options, &self.nodes)?;
            self.nodes = link.nodes();
            self.connection = Some(link);
            self.generation += 1;
        }
        self.connection.as_mut().ok_or_else(unconnected)
    }

    /// Returns true if the keys are spread over the masters of a cluster.
    pub(crate) fn is_cluster(&mut self) -> Result<bool, StoreError> {
        Ok(self.connected()?.is_cluster())
    }

    /// Sends commands without waiting for their replies.
    pub(crate) fn send(&mut self, packed: &Pipeline) -> Result<(), StoreError> {
        if packed.is_empty() {
            return Ok(());
        }
        self.connected()?;
        let waiting = self.timer.start();
        let connection = self.connection.as_mut().ok_or_else(unconnected)?;
        let sent = connection.send(packed);
        drop(waiting);
        sent.map_err(|cause| self.broken(&cause))
    }

    /// Waits for the next reply; an error reply of the server is an error here. More replies may be outstanding, so
    /// the connection is closed then.
    pub(crate) fn receive(&mut self) -> Result<Value, StoreError> {
        let reply = self.reply();
        if reply.is_err() {
            self.connection = None;
        }
        reply
    }

    /// Reads the next reply. Only errors of the connection itself close it.
    fn reply(&mut self) -> Result<Value, StoreError> {
        let connection = self.connection.as_mut().ok_or_else(unconnected)?;
        let waiting = self.timer.start();
        let reply = connection.value();
        drop(waiting);
        match reply.and_then(Value::extract_error) {
            Ok(value) => Ok(value),
            // The server refused the command; the next reply is the one to the next command.
            Err(cause) if matches!(cause.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                let error = StoreError::from_redis(&cause);
                // A master that a failover made a replica stays one: the sentinels know the new one.
                let is_demoted = matches!(error, StoreError::ReadOnly)
                    && SentinelUrl::parse(&self.options.url).is_some();
                if error.is_farewell() || is_demoted {
                    self.connection = None;
                }
                Err(error)
            }
            Err(cause) => Err(self.broken(&cause)),
        }
    }

    /// Sends commands and waits for all their replies.
    pub(crate) fn call(&mut self, packed: &Pipeline) -> Result<Vec<Value>, StoreError> {
        self.send(packed)?;
        let mut replies = Vec::with_capacity(packed.len());
        for at in 0..packed.len() {
            let reply = self.receive();
            replies.push(reply.map_err(|error| self.with_key(error, packed, at))?);
        }
        Ok(replies)
    }

    /// Calls like [`RedisClient::call`], with each error reply of the server in its place.
    pub(crate) fn call_each(
        &mut self,
        packed: &Pipeline,
    ) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        self.send(packed)?;
        let mut answers = Vec::with_capacity(packed.len());
        for _ in 0..packed.len() {
            match self.reply() {
                Err(error) if self.connection.is_none() => return Err(error),
                answer => answers.push(answer),
            }
        }
        Ok(answers)
    }

    /// Reads blocks, all of them strings of the same length, requesting some ahead so that the server is never idle,
    /// and passes each with its number to `each` until it breaks.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a block that is missing or has another length; other errors as they occur.
    pub(crate) fn blocks(
        &mut self,
        keys: &[String],
        length: usize,
        each: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut damaged = None;
        let mut whole = |at: usize, octets: &[u8]| {
            if octets.len() == length {
                return each(at, octets);
            }
            damaged = keys.get(at);
            ControlFlow::Break(())
        };
        let read = self.strings(keys, &mut whole);
        match damaged {
            Some(key) => Err(StoreError::damaged(key)),
            None => read,
        }
    }

    /// Reads strings like [`RedisClient::blocks`], of any length; a missing key is an empty string.
    fn strings(
        &mut self,
        keys: &[String],
        each: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.connected()?;
        if keys.len() >= MANY && self.connection.as_ref().is_some_and(Link::is_unix) {
            // Without it, reading is only slower: there may be no more connections available.
            self.second = link(&self.options, &[]).ok().and_then(ping);
        }
        let result = self.strings_by(self.second.is_some(), keys, each);
        self.second = None;
        if result.is_err() {
            // Replies may be outstanding that nobody reads.
            self.disconnect();
        }
        result
    }

    fn strings_by(
        &mut self,
        by_two: bool,
        keys: &[String],
        each: &mut dyn FnMut(usize, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut chunks = keys.chunks(STRINGS).enumerate();
        let mut asked = 0;
        let mut spill = Vec::new();
        let mut flow = ControlFlow::Continue(());
        for at in 0..keys.len() {
            if flow.is_break() && at >= asked {
                break;
            }
            while flow.is_continue() && asked <= at + STRINGS {
                let Some((number, chunk)) = chunks.next() else { break };
                let mut packed = Pipeline::default();
                for key in chunk {
                    packed.command(&[b"GET", key.as_bytes()]);
                }
                let sent = self.turn(by_two && number % 2 == 1)?.send(&packed);
                sent.map_err(|cause| StoreError::from_redis(&cause))?;
                asked += chunk.len();
            }
            // Replies to commands already sent have to be read, wanted or not.
            let wire = self.turn(by_two && at / STRINGS % 2 == 1)?;
            string(wire, &mut spill, |octets| {
                if flow.is_continue() {
                    flow = each(at, octets);
                }
            })
            .map_err(|error| error.of(|| keys.get(at).cloned()))?;
        }
        Ok(())
    }

    /// Returns the connection, or the second one.
    fn turn(&mut self, second: bool) -> Result<&mut Link, StoreError> {
        let wire = if second { &mut self.second } else { &mut self.connection };
        wire.as_mut().ok_or_else(unconnected)
    }

    /// Reads the replies to the given number of commands, which must be strings, and passes each with its number to
    /// `each`. `key` returns the key of such a command.
    pub(crate) fn texts(
        &mut self,
        count: usize,
        key: KeyOf<'_>,
        each: EachText<'_>,
    ) -> Result<(), StoreError> {
        let mut spill = Vec::new();
        let mut result = Ok(());
        for at in 0..count {
            let connection = self.connection.as_mut().ok_or_else(unconnected)?;
            let read = string(connection, &mut spill, |octets| {
                if result.is_ok() {
                    result = each(at, octets);
                }
            });
            if let Err(error) = read {
                // More replies may be outstanding.
                self.disconnect();
                return Err(error.of(|| Some(key(at))));
            }
        }
        result
    }

    /// Reads the replies to the given number of commands, which must be hashes, and passes each field and value with
    /// the command's number to `each`. `key` returns the key of such a command.
    pub(crate) fn pairs(
        &mut self,
        count: usize,
        key: KeyOf<'_>,
        each: EachPair<'_>,
    ) -> Result<(), StoreError> {
        let mut spill = [Vec::new(), Vec::new()];
        let mut result = Ok(());
        for at in 0..count {
            let connection = self.connection.as_mut().ok_or_else(unconnected)?;
            let other = connection.pairs(&mut spill, &mut |field, value| {
                if result.is_ok() {
                    result = each(at, field, value);
                }
            });
            match other {
                Ok(None) => {}
                other => {
                    // More replies may be outstanding.
                    self.disconnect();
                    return Err(unexpected(other).of(|| Some(key(at))));
                }
            }
        }
        result
    }

    /// Waits for the reply to a command that was sent alone.
    pub(crate) fn answer(&mut self) -> Result<Value, StoreError> {
        self.reply()
    }

    /// Sends one command and waits for its reply.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> Result<Value, StoreError> {
        let mut packed = Pipeline::default();
        packed.command(words);
        self.send(&packed)?;
        let reply = self.reply();
        reply.map_err(|error| self.with_key(error, &packed, 0))
    }

    /// Adds the key that a refused command is about.
    fn with_key(&self, error: StoreError, packed: &Pipeline, at: usize) -> StoreError {
        match packed.key(at).filter(|key| key.starts_with(&self.options.prefix)) {
            Some(key) => error.at_key(&key),
            None => error.of(|| packed.key(at)),
        }
    }

    /// Sends one command without a key to each server, and waits for their replies.
    pub(crate) fn ask_each(
        &mut self,
        words: &[&[u8]],
    ) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        let mut packed = Pipeline::default();
        packed.command(words);
        let servers = self.connected()?.servers();
        for server in 0..servers {
            self.send_to(server, &packed)?;
        }
        let mut answers = Vec::with_capacity(servers);
        for _ in 0..servers {
            match self.reply() {
                Err(error) if self.connection.is_none() => return Err(error),
                answer => answers.push(answer),
            }
        }
        Ok(answers)
    }

    /// Returns true if a replica may take the place of a server, after which this client goes on with the replica.
    pub(crate) fn may_fail_over(&self) -> bool {
        SentinelUrl::parse(&self.options.url).is_some()
            || ClusterUrl::parse(&self.options.url).is_some()
    }

    /// Waits until a replica of each server that has one has what was written over this connection, but not for ever: a
    /// replica that is far behind does not take over.
    pub(crate) fn replicate(&mut self) -> Result<(), StoreError> {
        let Some(infos) = self.infos("replication")? else { return Ok(()) };
        let has_replica = |info: &String| field(info, "connected_slaves").is_some_and(|n| n != "0");
        let mut packed = Pipeline::default();
        packed.command(&[b"WAIT", b"1", REPLICATION]);
        let mut waits = 0;
        for (server, _) in infos.iter().enumerate().filter(|(_, info)| has_replica(info)) {
            self.send_to(server, &packed)?;
            waits += 1;
        }
        for _ in 0..waits {
            match self.reply() {
                // It is for whoever forbids it to know that a failover may cost the last answers.
                Ok(_) | Err(StoreError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send_to(&mut self, server: usize, packed: &Pipeline) -> Result<(), StoreError> {
        let waiting = self.timer.start();
        let connection = self.connection.as_mut().ok_or_else(unconnected)?;
        let sent = connection.send_to(server, packed);
        drop(waiting);
        sent.map_err(|cause| self.broken(&cause))
    }

    /// Returns some keys of all servers: those that match the pattern, if there is one. `None` at the end.
    pub(crate) fn scan(
        &mut self,
        scan: &mut KeyScan,
        pattern: Option<&str>,
    ) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        if scan.server >= self.connected()?.servers() {
            return Ok(None);
        }
        let cursor = scan.cursor.take().unwrap_or_else(|| b"0".to_vec());
        let mut words: Vec<&[u8]> = vec![b"SCAN", &cursor, b"COUNT", b"1000"];
        if let Some(pattern) = pattern {
            words.extend([&b"MATCH"[..], pattern.as_bytes()]);
        }
        let mut packed = Pipeline::default();
        packed.command(&words);
        self.send_to(scan.server, &packed)?;
        let mut page = reply::list(self.reply()?)?.into_iter();
        let mut next = || page.next().ok_or(StoreError::Reply);
        let cursor = reply::octets(next()?)?;
        if cursor == b"0" {
            scan.server += 1;
        } else {
            scan.cursor = Some(cursor);
        }
        let keys = reply::list(next()?)?.into_iter().map(reply::octets);
        keys.collect::<Result<_, _>>().map(Some)
    }

    /// Loads a library of functions unless the servers have it.
    pub(crate) fn load_library(&mut self, library: &str) -> Result<(), StoreError> {
        for answer in self.ask_each(&[b"FUNCTION", b"LOAD", library.as_bytes()])? {
            match answer {
                Ok(_) => {}
                Err(StoreError::Server(text)) if text.contains("already exists") => {}
                Err(StoreError::Server(text)) if lacks_functions(&text) => {
                    return Err(self.without_functions());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Converts an error of the connection. Replies may be outstanding, so the connection is closed.
    fn broken(&mut self, cause: &RedisError) -> StoreError {
        self.connection = None;
        StoreError::from_redis(cause)
    }
}

/// Returns the connection if the server replies on it: it may have no room for one more.
fn ping(mut link: Link) -> Option<Link> {
    let mut packed = Pipeline::default();
    packed.command(&[b"PING"]);
    link.send(&packed).ok()?;
    matches!(link.value(), Ok(Value::SimpleString(pong)) if pong == "PONG").then_some(link)
}

/// Returns true if a server that refuses functions supports none at all.
fn lacks_functions(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    let unknown =
        ["unknown command", "unknown subcommand"].iter().any(|what| refusal.contains(what));
    // Redis and Valkey phrase it differently, and so do their versions.
    let engine = refusal.contains("engine")
        && ["not found", "could not find", "unknown"].iter().any(|what| refusal.contains(what));
    unknown || engine
}

/// Passes the next reply, which must be a string, to `each`; a missing string is an empty one.
fn string(
    wire: &mut Link,
    spill: &mut Vec<u8>,
    each: impl FnOnce(&[u8]),
) -> Result<(), StoreError> {
    let mut each = Some(each);
    let other = wire.string(spill, |octets| {
        if let Some(each) = each.take() {
            each(octets);
        }
    });
    match other {
        Ok(None) => Ok(()),
        Ok(Some(Value::Nil)) => {
            if let Some(each) = each {
                each(&[]);
            }
            Ok(())
        }
        other => Err(unexpected(other)),
    }
}

/// Converts a reply of another type to an error.
fn unexpected(other: RedisResult<Option<Value>>) -> StoreError {
    match other.and_then(|value| value.unwrap_or(Value::Nil).extract_error()) {
        Ok(_) => StoreError::Reply,
        Err(cause) => StoreError::from_redis(&cause),
    }
}

fn unconnected() -> StoreError {
    StoreError::Unavailable("not connected".to_owned())
}
