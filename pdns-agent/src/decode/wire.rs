//! From packets to DNS messages.
//!
//! Layer 3. Takes the [`Frame`]s of a capture, puts fragments and TCP streams together, and hands on each DNS
//! message that is whole. What a message says is `decode::dns`'s business.
//!
//! [`Frame`]: crate::source::Frame

use crate::time::Timestamp;
use std::net::IpAddr;

/// How a message was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram (RFC 1035 §4.2.1).
    Udp,
    /// A stream, each message behind its length (RFC 1035 §4.2.2).
    Tcp,
}

/// Who sent a message to whom. It pairs questions with answers and is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// How it was carried.
    pub transport: Transport,
    /// Address and port of the sender.
    pub from: (IpAddr, u16),
    /// Address and port of the receiver.
    pub to: (IpAddr, u16),
}

/// One DNS message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// When the packet was captured that made it whole.
    pub at: Timestamp,
    /// Who sent it to whom.
    pub flow: Flow,
    /// The message from its header on, without a TCP length; any octets, up to 65,535.
    pub octets: &'a [u8],
}

impl Flow {
    /// The way an answer takes.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }
}
