//! The connection to a store: to one server, or to all masters of a cluster.
//!
//! Between `store/redis/client.rs` and the sockets. Replies arrive in the order of the commands.

use crate::store::redis::cluster::Cluster;
use crate::store::redis::hosts::HostPort;
use crate::store::redis::pipeline::Pipeline;
use crate::store::redis::resp::RespStream;
use redis::{RedisResult, Value};

/// A connection for sending commands and reading replies.
pub(super) enum Link {
    /// To one server.
    Server(RespStream),
    /// To the masters of a cluster.
    Cluster(Box<Cluster>),
}

impl Link {
    /// Returns true if it is a Unix socket.
    pub(super) fn is_unix(&self) -> bool {
        matches!(self, Self::Server(stream) if stream.is_unix())
    }

    /// Returns true for a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Returns the nodes of a cluster.
    pub(super) fn nodes(&self) -> Vec<HostPort> {
        match self {
            Self::Server(_) => Vec::new(),
            Self::Cluster(cluster) => cluster.nodes().cloned().collect(),
        }
    }

    /// Returns the number of servers that hold keys.
    pub(super) fn servers(&self) -> usize {
        match self {
            Self::Server(_) => 1,
            Self::Cluster(cluster) => cluster.len(),
        }
    }

    /// Sends commands, each to the server that has its key.
    pub(super) fn send(&mut self, packed: &Pipeline) -> RedisResult<()> {
        match self {
            Self::Server(stream) => stream.send(packed.octets()),
            Self::Cluster(cluster) => cluster.send(packed),
        }
    }

    /// Sends commands to one of the servers.
    pub(super) fn send_to(&mut self, server: usize, packed: &Pipeline) -> RedisResult<()> {
        match self {
            Self::Server(stream) => stream.send(packed.octets()),
            Self::Cluster(cluster) => cluster.send_to(server, packed),
        }
    }

    /// Reads the next reply like [`RespStream::value`].
    pub(super) fn value(&mut self) -> RedisResult<Value> {
        match self {
            Self::Server(stream) => stream.value(),
            Self::Cluster(cluster) => cluster.value(),
        }
    }

    /// Reads the next reply like [`RespStream::string`].
    pub(super) fn string(
        &mut self,
        spill: &mut Vec<u8>,
        each: impl FnOnce(&[u8]),
    ) -> RedisResult<Option<Value>> {
        match self {
            Self::Server(stream) => stream.string(spill, each),
            Self::Cluster(cluster) => cluster.string(spill, each),
        }
    }

    /// Reads the next reply like [`RespStream::pairs`].
    pub(super) fn pairs(
        &mut self,
        spill: &mut [Vec<u8>; 2],
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> RedisResult<Option<Value>> {
        match self {
            Self::Server(stream) => stream.pairs(spill, each),
            Self::Cluster(cluster) => cluster.pairs(spill, each),
        }
    }
}
