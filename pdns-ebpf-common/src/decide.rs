//! Decision whether a packet may carry DNS, and the places of its headers.

use crate::headers::{
    AUTHENTICATION, DESTINATION, FRAGMENT, GENEVE_PORT, GRE, HIP, HOP_BY_HOP, IPIP, IPV4, IPV6,
    IPV6_IN_IP, MOBILITY, MPLS, PPPOE, ROUTING, SHIM6, TAGS, TCP, UDP, VXLAN_PORTS,
};
use crate::packet::halves;
use crate::tunnel::{behind_labels, geneve, gre, pppoe};
use crate::{Link, Packet, PortSet};

/// Start within a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Offset of the first octet of what `ethertype` names.
    pub at: u32,
    /// An `EtherType`; [`Start::ANY_IP`] for IP of the version that its first octet says.
    pub ethertype: u16,
}

impl Start {
    /// Stands for "IP of either version". No `EtherType`: it is a length (IEEE 802.3).
    pub const ANY_IP: u16 = 0;
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = IPV4;
    /// IPv6 (RFC 2464).
    pub const IPV6: u16 = IPV6;
    /// Stands for an Ethernet header: transparent Ethernet bridging (RFC 1701).
    pub const ETHERNET: u16 = 0x6558;

    /// The beginning of packets of an interface.
    #[inline(always)]
    #[must_use]
    pub const fn of(link: Link) -> Self {
        match link {
            Link::Ethernet => Self { at: 0, ethertype: Self::ETHERNET },
            Link::Raw => Self { at: 0, ethertype: Self::ANY_IP },
        }
    }
}

/// The protocol that carries DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP (RFC 768).
    Udp,
    /// TCP (RFC 9293).
    Tcp,
    /// Neither is known yet: a fragment of this IP protocol, which has to be put together first.
    Other(u8),
}

impl Protocol {
    #[inline(always)]
    const fn of(number: u8) -> Self {
        match number {
            UDP => Self::Udp,
            TCP => Self::Tcp,
            _ => Self::Other(number),
        }
    }
}

/// Part of an IP datagram that a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// A fragment of IPv4 (RFC 791 §3.2): the fields are in the IP header.
    V4,
    /// A fragment of IPv6: its fragment header (RFC 8200 §4.5) is at this offset.
    V6(u32),
}

/// Places of the headers of a packet that may carry DNS: those of the innermost datagram, or those of the
/// outer one where that is a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Offset of the IP header.
    pub network: u32,
    /// True for IPv6.
    pub is_v6: bool,
    /// Protocol that the IP datagram carries. Of an IPv6 fragment: what the last header in it says, which may lie behind
    /// extension headers that are themselves part of the fragmented datagram.
    pub protocol: Protocol,
    /// Offset of that; for a fragment, of its part of the datagram.
    pub transport: u32,
    /// True for a fragment.
    pub fragment: Fragment,
}

/// Result of [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Headers of a packet that may carry DNS.
    Found(Found),
    /// More layers than one call looks through: what is there is told by [`decide_at`], from here on.
    Deeper(Start),
}

/// Result of one look at a datagram.
enum Step {
    Found(Found),
    /// Another packet in this one; `outer` is the datagram that it lies in, if that is known.
    Inner {
        inner: Start,
        outer: Option<Found>,
    },
}

/// Writes a block as many times as headers of one kind may follow each other. A loop would say the same, but the
/// kernel's verifier walks a loop whose passes can each take many ways in exponential time; written out, in
/// linear time.
macro_rules! up_to_eight_times {
    ($block:block) => {
        $block $block $block $block $block $block $block $block
    };
}

/// The same, three times.
macro_rules! three_times {
    ($block:block) => {
        $block $block $block
    };
}

/// Finds DNS in a packet as an interface shows it; `None` for one that carries none.
///
/// Ports decide: a packet of UDP or TCP from or to one of `ports`, below any VLAN tags, PPPoE, MPLS labels and
/// tunnels. A fragment that is not the first has no ports, and is let through if what it is a part of could be DNS.
/// So is a packet with more than two tunnels in each other, which whoever has it has to look at again.
#[inline(always)]
pub fn decide<P: Packet + ?Sized>(
    packet: &P,
    link: Link,
    ports: &impl PortSet,
) -> Option<Decision> {
    decide_at(packet, Start::of(link), ports)
}

/// As [`decide`], from the header that `start` names on.
#[inline(always)]
pub fn decide_at<P: Packet + ?Sized>(
    packet: &P,
    start: Start,
    ports: &impl PortSet,
) -> Option<Decision> {
    let mut start = start;
    // As many as two tunnels have. Written out, as above.
    three_times!({
        match find(packet, start, ports)? {
            Step::Found(found) => return Some(Decision::Found(found)),
            Step::Inner { inner, outer } => match outer {
                // A fragmented tunnel packet is put together first; what is in it is found then.
                Some(outer) if outer.fragment != Fragment::Whole => {
                    return Some(Decision::Found(outer));
                }
                _ => start = inner,
            },
        }
    });
    Some(Decision::Deeper(start))
}

/// Walks the headers of one datagram, down to its ports or a tunnel in it.
#[inline(always)]
fn find<P: Packet + ?Sized>(packet: &P, start: Start, ports: &impl PortSet) -> Option<Step> {
    let (network, is_v6) = match network(packet, start)? {
        Network::Ip { at, is_v6 } => (at, is_v6),
        Network::Inner(inner) => return Some(Step::Inner { inner, outer: None }),
    };
    let upper = if is_v6 {
        let next = packet.u8(network + 6)?;
        Upper { next, at: network + 40, fragment: Fragment::Whole, is_later: false }
    } else {
        v4(packet, network)?
    };
    let Upper { next, at, fragment, is_later } = behind_extensions(packet, is_v6, upper)?;
    if is_later {
        return later(next, network, is_v6, at, fragment).map(Step::Found);
    }
    let found = Found {
        network,
        is_v6,
        protocol: Protocol::of(next),
        // Of a fragment: its part of the datagram begins behind the fragment header, whatever comes first.
        transport: match fragment {
            Fragment::V6(header) => header + 8,
            _ => at,
        },
        fragment,
    };
    let inner = match next {
        UDP | TCP => {
            let (from, to) = halves(packet.u32(at)?);
            if ports.has(from) || ports.has(to) {
                return Some(Step::Found(found));
            }
            if next == TCP {
                return None;
            }
            if VXLAN_PORTS.contains(&to) {
                Start { at: at + 16, ethertype: Start::ETHERNET }
            } else if to == GENEVE_PORT {
                geneve(packet, at + 8)?
            } else {
                return None;
            }
        }
        IPIP => Start { at, ethertype: IPV4 },
        IPV6_IN_IP => Start { at, ethertype: IPV6 },
        GRE => gre(packet, at)?,
        _ => return None,
    };
    Some(Step::Inner { inner, outer: Some(found) })
}

/// Content below the link header.
enum Network {
    /// An IP header.
    Ip { at: u32, is_v6: bool },
    /// Something that is looked at anew.
    Inner(Start),
}

/// Finds the IP header below any VLAN tags, PPPoE and MPLS labels.
#[inline(always)]
fn network<P: Packet + ?Sized>(packet: &P, start: Start) -> Option<Network> {
    let Start { mut at, mut ethertype } = start;
    match ethertype {
        Start::ETHERNET => {
            ethertype = packet.u16(at + 12)?;
            at += 14;
        }
        Start::ANY_IP => {
            return match packet.u8(at)? >> 4 {
                4 => Some(Network::Ip { at, is_v6: false }),
                6 => Some(Network::Ip { at, is_v6: true }),
                _ => None,
            };
        }
        _ => {}
    }
    'tags: {
        up_to_eight_times!({
            if !TAGS.contains(&ethertype) {
                break 'tags;
            }
            ethertype = packet.u16(at + 2)?;
            at += 4;
        });
    }
    if ethertype == PPPOE {
        Start { at, ethertype } = pppoe(packet, at)?;
    }
    if MPLS.contains(&ethertype) {
        up_to_eight_times!({
            // The last label of the stack has a bit for that (RFC 3032 §2.1).
            let is_last = packet.u32(at)? & 0x100 != 0;
            at += 4;
            if is_last {
                return behind_labels(packet, at).map(|inner| match inner.ethertype {
                    IPV4 => Network::Ip { at, is_v6: false },
                    IPV6 => Network::Ip { at, is_v6: true },
                    _ => Network::Inner(inner),
                });
            }
        });
        return Some(Network::Inner(Start { at, ethertype }));
    }
    if TAGS.contains(&ethertype) {
        return Some(Network::Inner(Start { at, ethertype }));
    }
    Some(Network::Ip { at, is_v6: version(ethertype)? })
}

/// Protocol that an IP header carries, as far as it is known.
struct Upper {
    /// The number of what comes next.
    next: u8,
    /// Its offset.
    at: u32,
    /// Part of the datagram that the packet is.
    fragment: Fragment,
    /// True for a fragment other than the first: what comes next is the middle of something.
    is_later: bool,
}

/// Reads an IPv4 header.
#[inline(always)]
fn v4<P: Packet + ?Sized>(packet: &P, network: u32) -> Option<Upper> {
    let words = packet.u8(network)? & 0xf;
    if words < 5 {
        return None;
    }
    // Flags and offset, time to live, protocol.
    let [bits0, bits1, _, next] = packet.u32(network + 6)?.to_be_bytes();
    let bits = u16::from_be_bytes([bits0, bits1]);
    // The flag for more fragments, and the offset.
    let is_part = bits & 0x3fff != 0;
    let fragment = if is_part { Fragment::V4 } else { Fragment::Whole };
    let at = network + u32::from(words) * 4;
    Some(Upper { next, at, fragment, is_later: bits & 0x1fff != 0 })
}

/// Passes over extension headers.
#[inline(always)]
fn behind_extensions<P: Packet + ?Sized>(packet: &P, is_v6: bool, upper: Upper) -> Option<Upper> {
    let Upper { mut next, mut at, mut fragment, is_later } = upper;
    if is_later {
        return Some(upper);
    }
    'headers: {
        up_to_eight_times!({
            match next {
                UDP | TCP | IPIP | IPV6_IN_IP | GRE => break 'headers,
                AUTHENTICATION => {
                    let [number, words] = packet.u16(at)?.to_be_bytes();
                    next = number;
                    at += (u32::from(words) + 2) * 4;
                }
                FRAGMENT if is_v6 => {
                    let [number, _, bits0, bits1] = packet.u32(at)?.to_be_bytes();
                    let bits = u16::from_be_bytes([bits0, bits1]);
                    next = number;
                    at += 8;
                    // An atomic fragment (RFC 6946) is a whole datagram. A second fragment header is an attack.
                    if bits & 0xfff9 != 0 {
                        if fragment != Fragment::Whole {
                            return None;
                        }
                        fragment = Fragment::V6(at - 8);
                        if bits & 0xfff8 != 0 {
                            return Some(Upper { next, at, fragment, is_later: true });
                        }
                    }
                }
                HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 if is_v6 => {
                    let [number, longs] = packet.u16(at)?.to_be_bytes();
                    next = number;
                    at += (u32::from(longs) + 1) * 8;
                }
                _ => return None,
            }
        });
    }
    Some(Upper { next, at, fragment, is_later: false })
}

/// True for the `EtherType` of IPv6; `None` for what is not IP.
#[inline(always)]
fn version(ethertype: u16) -> Option<bool> {
    match ethertype {
        IPV4 => Some(false),
        IPV6 => Some(true),
        _ => None,
    }
}

/// A fragment that is not the first, if what it is a part of could be DNS.
#[inline(always)]
fn later(
    number: u8,
    network: u32,
    is_v6: bool,
    transport: u32,
    fragment: Fragment,
) -> Option<Found> {
    match number {
        UDP | TCP | IPIP | IPV6_IN_IP | GRE | AUTHENTICATION => {}
        DESTINATION if is_v6 => {}
        _ => return None,
    }
    Some(Found { network, is_v6, protocol: Protocol::of(number), transport, fragment })
}
