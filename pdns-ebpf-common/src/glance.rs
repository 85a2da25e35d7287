//! A first look at a packet, at fixed offsets, which settles most of them.
//!
//! On a busy interface nearly every packet is IP without options, and not DNS. The kernel fetches the octets
//! that tell this in one call; [`decide`](crate::decide) fetches header by header, and sees the rest.

use crate::headers::{
    AUTHENTICATION, DESTINATION, FRAGMENT, GENEVE_PORT, GRE, HIP, HOP_BY_HOP, IPIP, IPV4, IPV6,
    IPV6_IN_IP, MOBILITY, ROUTING, SHIM6, TAGS, TCP, UDP, VXLAN_PORTS,
};
use crate::{Packet, Ports};

/// Where in an Ethernet frame the octets of a [`glance`] begin: at the `EtherType`.
pub const GLANCE_AT: u32 = 12;
/// How many they are: up to the ports of UDP or TCP in IPv4.
pub const GLANCE: usize = 26;

/// What a [`glance`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// The packet may carry DNS: `decide` finds it too.
    Dns,
    /// It does not: `decide` says `None`.
    Other,
    /// `decide` has to be asked.
    Unsettled,
}

/// Looks at an Ethernet frame; `head` is its octets from [`GLANCE_AT`] on, `packet` all of it. `None` where it
/// ends before what has to be read.
#[inline(always)]
pub fn glance<P: Packet + ?Sized>(
    packet: &P,
    head: &[u8; GLANCE],
    ports: &Ports,
) -> Option<Glance> {
    let [t0, t1, version, _, _, _, _, _, f0, f1, _, protocol, .., p0, p1, p2, p3] = *head;
    let v6_next = f0;
    let (number, both) = match u16::from_be_bytes([t0, t1]) {
        IPV4 => {
            if version != 0x45 || u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
                return Some(Glance::Unsettled);
            }
            (protocol, u32::from_be_bytes([p0, p1, p2, p3]))
        }
        IPV6 if matches!(v6_next, UDP | TCP) => (v6_next, packet.u32(54)?),
        IPV6 => (v6_next, 0),
        ethertype if TAGS.contains(&ethertype) => return Some(Glance::Unsettled),
        _ => return Some(Glance::Other),
    };
    Some(match number {
        UDP | TCP => {
            let (from, to) = ((both >> 16) as u16, both as u16);
            if ports.has(from) || ports.has(to) {
                Glance::Dns
            } else if number == UDP && (VXLAN_PORTS.contains(&to) || to == GENEVE_PORT) {
                Glance::Unsettled
            } else {
                Glance::Other
            }
        }
        IPIP | IPV6_IN_IP | GRE | AUTHENTICATION | HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION
        | MOBILITY | HIP | SHIM6 => Glance::Unsettled,
        _ => Glance::Other,
    })
}
