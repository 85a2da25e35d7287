//! Redis Cluster: a connection to each master, and the map of slots that tells which of them has a key.
//!
//! Below `store/redis/link.rs`. Replies arrive in the order of the commands, as from a single server, although several
//! servers work on them at once.
//!
//! A master that does not serve a slot answers with a redirection. A command that only reads follows it. One that
//! writes fails, and so does the connection: whoever writes compares afterwards what the store has, and writes again.
//! So a slot that moves, and a replica that takes over, look like a server that was restarted. A redirection by `ASK`
//! is never followed to write: the slot is divided between two masters at that moment, and a function that finds only
//! a part of its keys would destroy the others.
//!
//! The `redis` crate has a client for clusters. It follows `ASK` for every command, and copies each reply.

mod slots;
pub(in crate::store) mod url;

use self::slots::{SlotMap, read_address, slot};
use self::url::ClusterUrl;
use crate::store::redis::hosts::{self, HostPort};
use crate::store::redis::pipeline::Pipeline;
use crate::store::redis::resp::RespStream;
use redis::{ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisResult};
use redis::{ServerErrorKind, Value};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Number of redirections that a command follows: a slot may move on while the first of them is followed.
const REDIRECTIONS: usize = 5;

/// Time limits of connections to nodes.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// To accept a connection.
    pub(super) connect: Duration,
    /// To answer.
    pub(super) reply: Duration,
}

/// Connections to all masters of a cluster.
pub(in crate::store) struct Cluster {
    opener: Opener,
    map: SlotMap,
    /// By their numbers in the map.
    masters: Vec<Master>,
    /// Commands whose replies are outstanding, in order.
    pending: VecDeque<Pending>,
}

/// Opens connections to nodes.
struct Opener {
    settings: RedisConnectionInfo,
    is_tls: bool,
    patience: Patience,
}

/// The masters of a cluster, for what is asked of each of them alone.
pub(in crate::store) struct Masters {
    opener: Opener,
    map: SlotMap,
}

impl Masters {
    /// Asks nodes for them.
    pub(super) fn find(
        url: &ClusterUrl,
        settings: RedisConnectionInfo,
        patience: Patience,
    ) -> RedisResult<Self> {
        let opener = Opener { settings, is_tls: url.is_tls, patience };
        let map = opener.map(url.nodes.iter())?;
        Ok(Self { opener, map })
    }

    /// Returns the number of masters.
    pub(in crate::store) fn len(&self) -> usize {
        self.map.masters.len()
    }

    /// Returns the number of the master that has a key.
    pub(in crate::store) fn of_key(&self, key: &[u8]) -> usize {
        usize::from(self.map.master_of(slot(key)).unwrap_or(0))
    }

    /// Opens a connection to one of them.
    pub(in crate::store) fn open(&self, number: usize) -> RedisResult<RespStream> {
        let host = self.map.masters.get(number).ok_or_else(|| io::Error::other("no such node"))?;
        self.opener.open(host)
    }

    /// Returns true if each slot is served by the same master as in the other map.
    pub(in crate::store) fn serve_like(&self, other: &Self) -> bool {
        self.map.serves_like(&other.map)
    }

    /// Returns true if a slot is moving from one of them to another.
    pub(in crate::store) fn are_moving_slots(&self) -> RedisResult<bool> {
        for number in 0..self.len() {
            let mut stream = self.open(number)?;
            stream.send(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n")?;
            // A node lists the slots that it gives or takes in brackets, for itself alone.
            if let Value::BulkString(nodes) = stream.value()?.extract_error()?
                && nodes.windows(2).any(|two| two == b" [")
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

struct Master {
    host: HostPort,
    stream: RespStream,
    /// A second connection for commands that another master redirected here, while replies are outstanding on the first.
    aside: Option<RespStream>,
    outgoing: Vec<u8>,
}

/// A command whose reply is outstanding.
struct Pending {
    master: u16,
    /// The command, if it may be sent again elsewhere.
    read: Option<Box<[u8]>>,
}

/// A redirection of a command to another node.
struct Redirection {
    slot: u16,
    node: HostPort,
    /// True if the node serves the slot only in part, and for those alone who say that they were sent.
    is_ask: bool,
}

impl Cluster {
    /// Connects to all masters. `known` are nodes that were met before.
    pub(super) fn connect(
        url: &ClusterUrl,
        settings: RedisConnectionInfo,
        known: &[HostPort],
        patience: Patience,
    ) -> RedisResult<Self> {
        let opener = Opener { settings, is_tls: url.is_tls, patience };
        let map = opener.map(url.nodes.iter().chain(known))?;
        let masters = map.masters.iter().map(|host| {
            let stream = opener.open(host)?;
            Ok(Master { host: host.clone(), stream, aside: None, outgoing: Vec::new() })
        });
        let masters = masters.collect::<RedisResult<_>>()?;
        Ok(Self { opener, map, masters, pending: VecDeque::new() })
    }

    /// Returns all nodes, so that any of them can be asked for the others later.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &HostPort> {
        self.map.masters.iter().chain(&self.map.replicas)
    }

    /// Returns the number of masters.
    pub(super) fn len(&self) -> usize {
        self.masters.len()
    }

    /// Sends each command to the master of its key; those without a key go to the first one.
    pub(super) fn send(&mut self, packed: &Pipeline) -> RedisResult<()> {
        for command in packed.commands() {
            let number = match command.key() {
                None => 0,
                Some(key) => {
                    let slot = slot(key);
                    self.map.master_of(slot).ok_or_else(|| unserved(&format!("slot {slot}")))?
                }
            };
            let read = command.is_read().then(|| command.octets().into());
            self.pending.push_back(Pending { master: number, read });
            let master = master(&mut self.masters, number)?;
            master.outgoing.extend_from_slice(command.octets());
        }
        for master in self.masters.iter_mut().filter(|master| !master.outgoing.is_empty()) {
            let sent = master.stream.send(&master.outgoing);
            master.outgoing.clear();
            sent.map_err(|cause| of_node(&master.host, cause))?;
        }
        Ok(())
    }

    /// Sends commands to one master.
    pub(super) fn send_to(&mut self, number: usize, packed: &Pipeline) -> RedisResult<()> {
        let number = u16::try_from(number).map_err(io::Error::other)?;
        let sent = packed.commands().map(|_| Pending { master: number, read: None });
        self.pending.extend(sent);
        let master = master(&mut self.masters, number)?;
        master.stream.send(packed.octets()).map_err(|cause| of_node(&master.host, cause))
    }

    /// Reads the next reply.
    pub(super) fn value(&mut self) -> RedisResult<Value> {
        let (pending, master) = self.next()?;
        let value = master.stream.value().map_err(|cause| of_node(&master.host, cause))?;
        self.follow(pending, value)
    }

    /// Reads the next reply like [`RespStream::string`].
    pub(super) fn string(
        &mut self,
        spill: &mut Vec<u8>,
        each: impl FnOnce(&[u8]),
    ) -> RedisResult<Option<Value>> {
        let (pending, master) = self.next()?;
        let mut each = Some(each);
        let mut pass = |octets: &[u8]| {
            if let Some(each) = each.take() {
                each(octets);
            }
        };
        let other = master.stream.string(spill, &mut pass);
        let Some(other) = other.map_err(|cause| of_node(&master.host, cause))? else {
            return Ok(None);
        };
        match self.follow(pending, other)? {
            Value::BulkString(octets) => {
                pass(&octets);
                Ok(None)
            }
            other => Ok(Some(other)),
        }
    }

    /// Reads the next reply like [`RespStream::pairs`].
    pub(super) fn pairs(
        &mut self,
        spill: &mut [Vec<u8>; 2],
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> RedisResult<Option<Value>> {
        let (pending, master) = self.next()?;
        let other = master.stream.pairs(spill, each);
        let Some(other) = other.map_err(|cause| of_node(&master.host, cause))? else {
            return Ok(None);
        };
        let Value::Array(parts) = self.follow(pending, other)? else {
            return Ok(Some(Value::Nil));
        };
        let (pairs, []) = parts.as_chunks::<2>() else { return Ok(Some(Value::Nil)) };
        for pair in pairs {
            let [Value::BulkString(field), Value::BulkString(value)] = pair else {
                return Ok(Some(Value::Nil));
            };
            each(field, value);
        }
        Ok(None)
    }

    /// Takes the command whose reply is next, and its master.
    fn next(&mut self) -> RedisResult<(Pending, &mut Master)> {
        let pending = self.pending.pop_front();
        let pending = pending.ok_or_else(|| io::Error::other("no reply is outstanding"))?;
        let master = master(&mut self.masters, pending.master)?;
        Ok((pending, master))
    }

    /// Returns a reply, or follows it if it is a redirection.
    fn follow(&mut self, pending: Pending, reply: Value) -> RedisResult<Value> {
        let host = &master(&mut self.masters, pending.master)?.host;
        let Some(mut to) = redirection(&reply, host) else { return Ok(reply) };
        let Some(command) = pending.read else { return Err(moving(&to)) };
        for _ in 0..REDIRECTIONS {
            let is_known = if to.is_ask {
                self.map.masters.contains(&to.node)
            } else {
                self.map.moved(to.slot, &to.node)
            };
            if !is_known {
                // A master that joined the cluster since.
                let stream = self.opener.open(&to.node)?;
                let host = to.node.clone();
                self.masters.push(Master { host, stream, aside: None, outgoing: Vec::new() });
                self.map.masters.push(to.node.clone());
                continue;
            }
            let reply = self.ask_aside(&to, &command)?;
            match redirection(&reply, &to.node) {
                Some(further) => to = further,
                None => return Ok(reply),
            }
        }
        Err(moving(&to))
    }

    /// Sends a command to the node that it was redirected to, and reads the reply.
    fn ask_aside(&mut self, to: &Redirection, command: &[u8]) -> RedisResult<Value> {
        let master = self.masters.iter_mut().find(|master| master.host == to.node);
        let master = master.ok_or_else(|| moving(to))?;
        let stream = match &mut master.aside {
            Some(stream) => stream,
            none => none.insert(self.opener.open(&to.node)?),
        };
        let mut ask = |octets: &[u8]| stream.send(octets).and_then(|()| stream.value());
        if to.is_ask {
            ask(b"*1\r\n$6\r\nASKING\r\n")?.extract_error()?;
        }
        ask(command).map_err(|cause| of_node(&to.node, cause))
    }
}

impl Opener {
    /// Asks the nodes in turn for the map of slots.
    fn map<'n>(&self, nodes: impl Iterator<Item = &'n HostPort>) -> RedisResult<SlotMap> {
        let mut failures: Vec<String> = Vec::new();
        for node in nodes {
            match self.map_of(node) {
                Ok(map) => match map.unserved() {
                    None => return Ok(map),
                    Some(slots) => failures.push(unserved(&slots).to_string()),
                },
                // No other node would answer otherwise.
                Err(cause) if !is_passing(&cause) => return Err(cause),
                Err(cause) => failures.push(cause.to_string()),
            }
        }
        failures.dedup();
        Err(io::Error::other(failures.join("; ")).into())
    }

    fn map_of(&self, node: &HostPort) -> RedisResult<SlotMap> {
        let mut stream = self.open(node)?;
        stream
            .send(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")
            .map_err(|cause| of_node(node, cause))?;
        let reply = stream.value().map_err(|cause| of_node(node, cause))?;
        let reply = reply.extract_error().map_err(|cause| match cause.detail() {
            Some(text) if text.contains("cluster support disabled") => {
                let text = "the server is not a node of a cluster: give redis://HOST:PORT";
                RedisError::from((ErrorKind::InvalidClientConfig, text))
            }
            _ => cause,
        })?;
        let map = SlotMap::read(reply, node);
        map.ok_or_else(|| of_node(node, io::Error::other("it tells no slots").into()))
    }

    fn open(&self, node: &HostPort) -> RedisResult<RespStream> {
        let addr = hosts::addr(node, self.is_tls);
        let info = addr.into_connection_info()?.set_redis_settings(self.settings.clone());
        RespStream::connect(&info, self.patience.connect, self.patience.reply)
            .map_err(|cause| of_node(node, cause))
    }
}

fn master(masters: &mut [Master], number: u16) -> RedisResult<&mut Master> {
    let master = masters.get_mut(usize::from(number));
    master.ok_or_else(|| io::Error::other("no such node").into())
}

/// Parses a redirection; `None` for any other reply.
fn redirection(reply: &Value, asked: &HostPort) -> Option<Redirection> {
    let Value::ServerError(error) = reply else { return None };
    let is_ask = match error.kind()? {
        ServerErrorKind::Ask => true,
        ServerErrorKind::Moved => false,
        _ => return None,
    };
    let mut words = error.details()?.split_ascii_whitespace();
    let slot = words.next()?.parse().ok()?;
    Some(Redirection { slot, node: read_address(words.next()?, asked)?, is_ask })
}

/// Returns true if another node may answer otherwise, or the same one later.
fn is_passing(cause: &RedisError) -> bool {
    matches!(
        cause.kind(),
        ErrorKind::Io
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
            )
    )
}

/// The error for a command that would write to a slot which another master serves, or takes over.
fn moving(to: &Redirection) -> RedisError {
    let Redirection { slot, node, is_ask } = to;
    let moves = if *is_ask { "moves" } else { "moved" };
    let text = format!("slot {slot} of the cluster {moves} to the node {}", hosts::show(node));
    io::Error::other(text).into()
}

fn unserved(slots: &str) -> RedisError {
    io::Error::other(format!("no node of the cluster serves {slots}")).into()
}

/// Adds the node to an error of its connection.
fn of_node(node: &HostPort, cause: RedisError) -> RedisError {
    if cause.kind() != ErrorKind::Io {
        return cause;
    }
    let text = format!("node {} of the cluster: {cause}", hosts::show(node));
    io::Error::other(text).into()
}
