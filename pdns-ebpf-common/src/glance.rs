//! A first look at an Ethernet frame, at fixed offsets, which settles most of them.
//!
//! On a busy interface nearly every packet is IP without options, and not DNS. The kernel fetches the octets
//! that tell this in one call, the largest part of what such a packet costs; [`decide`](crate::decide) fetches
//! header by header, and sees to the rest.

use crate::PortSet;
use crate::headers::{
    AUTHENTICATION, DESTINATION, FRAGMENT, GENEVE_PORT, GRE, HIP, HOP_BY_HOP, IPIP, IPV4, IPV6,
    IPV6_IN_IP, MOBILITY, ROUTING, SHIM6, TAGS, TCP, UDP, VXLAN_PORTS,
};
use crate::packet::halves;

/// Where in a frame the octets of a glance begin: at the `EtherType`.
pub const GLANCE_AT: u32 = 12;
/// How many they are for [`glance`]: up to the ports of UDP or TCP in IPv4.
pub const GLANCE: usize = 26;
/// How many they are for [`glance_v6`]: up to the ports in IPv6.
pub const GLANCE_V6: usize = 46;

/// What a glance tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// The packet may carry DNS: [`decide`](crate::decide) finds it too.
    Dns,
    /// It does not: [`decide`](crate::decide) says `None`.
    Other,
    /// [`decide`](crate::decide) has to be asked.
    Unsettled,
}

/// Looks at a frame that is likely not IPv6; `head` is its octets from [`GLANCE_AT`] on.
#[inline(always)]
#[must_use]
pub fn glance(head: &[u8; GLANCE], ports: &impl PortSet) -> Glance {
    let [t0, t1, version, _, _, _, _, _, f0, f1, _, next, .., p0, p1, p2, p3] = *head;
    match u16::from_be_bytes([t0, t1]) {
        IPV4 if version == 0x45 && is_whole([f0, f1]) => {
            transport(next, u32::from_be_bytes([p0, p1, p2, p3]), ports)
        }
        ethertype if ethertype == IPV4 || ethertype == IPV6 || TAGS.contains(&ethertype) => {
            Glance::Unsettled
        }
        _ => Glance::Other,
    }
}

/// Looks at a frame that is likely IPv6; `head` is its octets from [`GLANCE_AT`] on.
#[inline(always)]
#[must_use]
pub fn glance_v6(head: &[u8; GLANCE_V6], ports: &impl PortSet) -> Glance {
    let [t0, t1, _, _, _, _, _, _, next, .., p0, p1, p2, p3] = *head;
    if u16::from_be_bytes([t0, t1]) == IPV6 {
        transport(next, u32::from_be_bytes([p0, p1, p2, p3]), ports)
    } else {
        Glance::Unsettled
    }
}

/// Whether the flags and the offset of an IPv4 header are those of a whole datagram.
#[inline(always)]
fn is_whole(bits: [u8; 2]) -> bool {
    matches!(u16::from_be_bytes(bits) & 0x3fff, 0)
}

/// What a protocol number and, if it is UDP's or TCP's, the ports tell.
#[inline(always)]
fn transport(number: u8, both: u32, ports: &impl PortSet) -> Glance {
    match number {
        UDP | TCP => {
            let (from, to) = halves(both);
            if ports.has(from) || ports.has(to) {
                Glance::Dns
            } else if number == UDP && (VXLAN_PORTS.contains(&to) || to == GENEVE_PORT) {
                Glance::Unsettled
            } else {
                Glance::Other
            }
        }
        IPIP | IPV6_IN_IP | GRE | AUTHENTICATION | HOP_BY_HOP | ROUTING | FRAGMENT
        | DESTINATION | MOBILITY | HIP | SHIM6 => Glance::Unsettled,
        _ => Glance::Other,
    }
}
