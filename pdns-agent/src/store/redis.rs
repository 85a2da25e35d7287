//! The client: connections to a Redis server or to the masters of a cluster, and a private server for users who have none.
//!
//! Part of `store`. Nothing here knows DNS or the layout of keys.

pub(super) mod aof;
pub(super) mod capacity;
pub(super) mod client;
pub(super) mod cluster;
pub(super) mod connect;
mod hosts;
pub(super) mod in_use;
mod link;
pub(super) mod managed;
pub(super) mod options;
pub(super) mod password;
mod pipeline;
pub(super) mod reply;
pub(super) mod reply_timer;
pub(super) mod resp;
pub(super) mod sentinel;
pub(super) mod server;
pub(super) mod socket;
pub(super) mod url;
