//! A first look at a packet whose Ethernet header is known to name IP and nothing else, at fixed offsets, which
//! settles most of them.
//!
//! On a busy interface nearly every packet is IP without options, and not DNS. The kernel fetches the octets
//! that tell this in one call, the largest part of what such a packet costs; [`decide`](crate::decide) fetches
//! header by header, and sees to the rest.

use crate::headers::{
    AUTHENTICATION, DESTINATION, FRAGMENT, GENEVE_PORT, GRE, HIP, HOP_BY_HOP, IPIP, IPV6_IN_IP,
    MOBILITY, ROUTING, SHIM6, TCP, UDP, VXLAN_PORTS,
};
use crate::packet::halves;

/// Place in a frame at which the octets for [`glance`] begin: at the IPv4 header.
pub const GLANCE_AT: u32 = 14;
/// Number of these octets: up to the ports of UDP or TCP.
pub const GLANCE: usize = 24;
/// Place in a frame at which the octets for [`glance_v6`] begin: at the number of what the IPv6 header carries.
pub const GLANCE_V6_AT: u32 = 20;
/// Number of these octets: up to the ports.
pub const GLANCE_V6: usize = 38;

/// Result of a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// The packet may carry DNS, and [`decide`](crate::decide) finds it, if one of these ports is one of DNS.
    /// It carries none if not.
    Ports(u16, u16),
    /// It carries none: [`decide`](crate::decide) says `None`.
    Other,
    /// [`decide`](crate::decide) has to be asked.
    Unsettled,
}

/// Looks at IPv4.
#[inline(always)]
#[must_use]
pub fn glance(head: &[u8; GLANCE]) -> Glance {
    let [version, _, _, _, _, _, bits0, bits1, _, next, .., p0, p1, p2, p3] = *head;
    let is_part = u16::from_be_bytes([bits0, bits1]) & 0x3fff != 0;
    // A header of five words, whatever the version: the Ethernet header has told that.
    if version & 0xf != 5 || is_part {
        return Glance::Unsettled;
    }
    transport(next, u32::from_be_bytes([p0, p1, p2, p3]))
}

/// Looks at IPv6.
#[inline(always)]
#[must_use]
pub fn glance_v6(head: &[u8; GLANCE_V6]) -> Glance {
    let [next, .., p0, p1, p2, p3] = *head;
    transport(next, u32::from_be_bytes([p0, p1, p2, p3]))
}

/// Result for a protocol number and, for UDP and TCP, the ports.
#[inline(always)]
fn transport(number: u8, both: u32) -> Glance {
    let (from, to) = halves(both);
    match number {
        UDP if VXLAN_PORTS.contains(&to) || to == GENEVE_PORT => Glance::Unsettled,
        TCP | UDP => Glance::Ports(from, to),
        IPIP | IPV6_IN_IP | GRE | AUTHENTICATION | HOP_BY_HOP | ROUTING | FRAGMENT
        | DESTINATION | MOBILITY | HIP | SHIM6 => Glance::Unsettled,
        _ => Glance::Other,
    }
}
