//! Whether a packet may carry DNS, and where its headers are.

use crate::Ports;

/// Most VLAN tags, and most extension headers, that are passed over.
const MOST: u32 = 8;

/// The octets of a packet, as the decision reads them: numbers in network byte order. `None` where the
/// packet ends before; the kernel's reader never says that, it ends the program and so refuses the packet.
pub trait Packet {
    /// One octet.
    fn u8(&self, at: u32) -> Option<u8>;
    /// Two octets.
    fn u16(&self, at: u32) -> Option<u16>;
}

impl Packet for [u8] {
    fn u8(&self, at: u32) -> Option<u8> {
        self.get(usize::try_from(at).ok()?).copied()
    }

    fn u16(&self, at: u32) -> Option<u16> {
        let at = usize::try_from(at).ok()?;
        self.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_be_bytes)
    }
}

/// What a packet of an interface begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header (IEEE 802.3).
    Ethernet,
    /// An IPv4 or IPv6 header: tunnels and `WireGuard`.
    Raw,
}

/// Where to begin within a packet.
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
    /// An Ethernet header.
    const ETHERNET: u16 = ETHER_BRIDGED;
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

/// Which part of an IP datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// A fragment of IPv4 (RFC 791 §3.2): the fields are in the IP header.
    V4,
    /// A fragment of IPv6: its fragment header (RFC 8200 §4.5) is at this offset.
    V6(u32),
}

/// Where the headers of a packet that may carry DNS are: those of the innermost datagram, or those of the
/// outer one where that is a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Offset of the IP header.
    pub network: u32,
    /// Whether it is one of IPv6.
    pub is_v6: bool,
    /// What the IP datagram carries.
    pub protocol: Protocol,
    /// Offset of that; for a fragment, of its part of the datagram.
    pub transport: u32,
    /// Whether it is only a part.
    pub fragment: Fragment,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// VLAN tags: IEEE 802.1Q, 802.1ad, and what older switches write for the latter.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Transparent Ethernet bridging (RFC 1701).
const ETHER_BRIDGED: u16 = 0x6558;
/// ERSPAN types I and II, and type III.
const ERSPAN: [u16; 2] = [0x88be, 0x22eb];

const TCP: u8 = 6;
const UDP: u8 = 17;
const IPIP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
/// IPv6 extension headers that are passed over (RFC 8200 §4, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// UDP ports of tunnels: VXLAN (RFC 7348), GENEVE (RFC 8926).
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;

/// Finds DNS in a packet as an interface shows it; `None` for one that carries none.
///
/// Ports decide: a packet of UDP or TCP from or to one of `ports`, below any VLAN tags and at most one tunnel.
/// A fragment that is not the first has no ports, and is let through if what it is a part of could be DNS.
#[inline(always)]
pub fn decide<P: Packet + ?Sized>(packet: &P, link: Link, ports: &Ports) -> Option<Found> {
    let start = match link {
        Link::Ethernet => Start { at: 0, ethertype: Start::ETHERNET },
        Link::Raw => Start { at: 0, ethertype: Start::ANY_IP },
    };
    decide_at(packet, start, ports)
}

/// As [`decide`], from the header that `start` names on.
#[inline(always)]
pub fn decide_at<P: Packet + ?Sized>(packet: &P, start: Start, ports: &Ports) -> Option<Found> {
    match find(packet, start, ports)? {
        Step::Found(found) => Some(found),
        // One level deep: a tunnel within a tunnel is refused.
        Step::Tunnel { inner, outer } => match find(packet, inner, ports)? {
            // A fragmented tunnel packet is put together first; what is in it is found then.
            Step::Found(_) if outer.fragment != Fragment::Whole => Some(outer),
            Step::Found(found) => Some(found),
            Step::Tunnel { .. } => None,
        },
    }
}

/// What one look at a datagram found.
enum Step {
    Found(Found),
    Tunnel { inner: Start, outer: Found },
}

#[inline(always)]
fn find<P: Packet + ?Sized>(packet: &P, start: Start, ports: &Ports) -> Option<Step> {
    let mut at = start.at;
    let mut ethertype = start.ethertype;
    if ethertype == Start::ETHERNET {
        ethertype = packet.u16(at + 12)?;
        at += 14;
        let mut tags = 0;
        while TAGS.contains(&ethertype) {
            if tags == MOST {
                return None;
            }
            ethertype = packet.u16(at + 2)?;
            at += 4;
            tags += 1;
        }
    }
    let network = at;
    let is_v6 = match ethertype {
        IPV4 => false,
        IPV6 => true,
        Start::ANY_IP => match packet.u8(at)? >> 4 {
            4 => false,
            6 => true,
            _ => return None,
        },
        _ => return None,
    };
    let mut fragment = Fragment::Whole;
    let mut is_later = false;
    let mut next;
    if is_v6 {
        next = packet.u8(at + 6)?;
        at += 40;
    } else {
        next = packet.u8(at + 9)?;
        let bits = packet.u16(at + 6)?;
        let words = packet.u8(at)? & 0xf;
        if words < 5 {
            return None;
        }
        // The flag for more fragments, and the offset.
        if bits & 0x3fff != 0 {
            fragment = Fragment::V4;
            is_later = bits & 0x1fff != 0;
        }
        at += u32::from(words) * 4;
    }
    let mut headers = 0;
    loop {
        if is_later {
            let found = |protocol| {
                Some(Step::Found(Found { network, is_v6, protocol, transport: at, fragment }))
            };
            return match next {
                UDP => found(Protocol::Udp),
                TCP => found(Protocol::Tcp),
                IPIP | IPV6_IN_IP | GRE => found(Protocol::Other(next)),
                DESTINATION | AUTHENTICATION if is_v6 => found(Protocol::Other(next)),
                _ => None,
            };
        }
        match next {
            UDP | TCP | IPIP | IPV6_IN_IP | GRE => break,
            AUTHENTICATION => {
                next = packet.u8(at)?;
                at += (u32::from(packet.u8(at + 1)?) + 2) * 4;
            }
            FRAGMENT if is_v6 => {
                next = packet.u8(at)?;
                let bits = packet.u16(at + 2)?;
                // An atomic fragment (RFC 6946) is a whole datagram. A second fragment header is an attack.
                if bits & 0xfff9 != 0 {
                    if fragment != Fragment::Whole {
                        return None;
                    }
                    fragment = Fragment::V6(at);
                    is_later = bits & 0xfff8 != 0;
                }
                at += 8;
            }
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 if is_v6 => {
                next = packet.u8(at)?;
                at += (u32::from(packet.u8(at + 1)?) + 1) * 8;
            }
            _ => return None,
        }
        headers += 1;
        if headers > MOST {
            return None;
        }
    }
    let found = |protocol| Found {
        network,
        is_v6,
        protocol,
        // Of a fragment: its part of the datagram begins behind the fragment header, whatever comes first.
        transport: match fragment {
            Fragment::V6(header) => header + 8,
            _ => at,
        },
        fragment,
    };
    match next {
        UDP | TCP => {
            let from = packet.u16(at)?;
            let to = packet.u16(at + 2)?;
            let protocol = if next == UDP { Protocol::Udp } else { Protocol::Tcp };
            if ports.has(from) || ports.has(to) {
                return Some(Step::Found(found(protocol)));
            }
            if next == TCP {
                return None;
            }
            let inner = match to {
                VXLAN_PORT => Start { at: at + 16, ethertype: Start::ETHERNET },
                GENEVE_PORT => geneve(packet, at + 8)?,
                _ => return None,
            };
            Some(Step::Tunnel { inner, outer: found(protocol) })
        }
        IPIP => Some(Step::Tunnel {
            inner: Start { at, ethertype: IPV4 },
            outer: found(Protocol::Other(next)),
        }),
        IPV6_IN_IP => Some(Step::Tunnel {
            inner: Start { at, ethertype: IPV6 },
            outer: found(Protocol::Other(next)),
        }),
        _ => Some(Step::Tunnel { inner: gre(packet, at)?, outer: found(Protocol::Other(next)) }),
    }
}

/// What is behind a GENEVE header (RFC 8926 §3.4).
#[inline(always)]
fn geneve<P: Packet + ?Sized>(packet: &P, at: u32) -> Option<Start> {
    let options = u32::from(packet.u8(at)? & 0x3f) * 4;
    let ethertype = packet.u16(at + 2)?;
    carried(ethertype, at + 8 + options)
}

/// What is behind a GRE header (RFC 2784 §2, RFC 2890 §2).
#[inline(always)]
fn gre<P: Packet + ?Sized>(packet: &P, at: u32) -> Option<Start> {
    let flags = packet.u16(at)?;
    let ethertype = packet.u16(at + 2)?;
    // Version 0, and no routing (RFC 1701), which nothing sends.
    if flags & 0x4007 != 0 {
        return None;
    }
    let has = |bit: u16| if flags & bit == 0 { 0 } else { 4 };
    let (checksum, key, sequence) = (0x8000, 0x2000, 0x1000);
    let at = at + 4 + has(checksum) + has(key) + has(sequence);
    if ethertype == ERSPAN[0] {
        // Type I has no sequence number and no header of its own, type II has both (draft-foschiano-erspan).
        let header = if flags & sequence == 0 { 0 } else { 8 };
        return Some(Start { at: at + header, ethertype: Start::ETHERNET });
    }
    if ethertype == ERSPAN[1] {
        // Type III: 12 octets, and 8 more if the last bit says so. Its frame type is Ethernet or IP.
        let last = packet.u8(at + 11)?;
        let frame = packet.u8(at + 10)? >> 3 & 0x1f;
        let at = at + 12 + if last & 1 == 0 { 0 } else { 8 };
        return match frame {
            0 => Some(Start { at, ethertype: Start::ETHERNET }),
            2 => Some(Start { at, ethertype: Start::ANY_IP }),
            _ => None,
        };
    }
    carried(ethertype, at)
}

/// What a tunnel's `EtherType` field names, if it can lead to DNS.
#[inline(always)]
fn carried(ethertype: u16, at: u32) -> Option<Start> {
    match ethertype {
        IPV4 | IPV6 | ETHER_BRIDGED => Some(Start { at, ethertype }),
        _ => None,
    }
}
