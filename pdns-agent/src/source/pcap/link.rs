//! Start of the network header in a captured packet, by link type.
//!
//! Under `pcap`. The numbers are those of <https://www.tcpdump.org/linktypes.html>, which capture files of both
//! formats use.

use pdns_ebpf_common::{MPLS, PPPOE, Packet as _, Start, TAGS};

const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const PPP: u16 = 9;
const FDDI: u16 = 10;
/// Raw IP: the values that BSDs and Linux wrote before a number was assigned, the assigned one, and one for
/// each version.
const RAW: [u16; 3] = [12, 14, 101];
const PPP_HDLC: u16 = 50;
/// PPPoE without its Ethernet header.
const PPP_ETHER: u16 = 51;
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const LINUX_SLL2: u16 = 276;

/// Reserved (RFC 1701 §A), so it is never IP.
const ETHER_NONE: u16 = 0xffff;

/// Address families of BSD's loopback header: `AF_INET`, and `AF_INET6` as numbered by Linux, Net/OpenBSD,
/// FreeBSD and Darwin.
const FAMILY_V4: u32 = 2;
const FAMILIES_V6: [u32; 4] = [10, 24, 28, 30];

/// Protocol numbers of PPP (RFC 1332, RFC 5072, RFC 3032 §4.1).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
const PPP_MPLS: [u16; 2] = [0x0281, 0x0283];

/// Length of the second version of Linux's cooked header, in bytes.
const LINUX_SLL2_HEADER: u32 = 20;
/// Length of an FDDI header in bytes: frame control and two addresses.
const FDDI_HEADER: u32 = 13;
/// LLC and SNAP headers that precede an `EtherType` (RFC 1042).
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// The start of a packet with this link type; `None` for an unknown link type.
///
/// If a packet ends before its network header, the position lies beyond its end.
pub(super) fn start(link: u16, octets: &[u8]) -> Option<Start> {
    Some(match link {
        ETHERNET => Start { at: 0, ethertype: Start::ETHERNET },
        IPV4 => Start { at: 0, ethertype: Start::IPV4 },
        IPV6 => Start { at: 0, ethertype: Start::IPV6 },
        NULL | LOOP => loopback(octets),
        PPP | PPP_HDLC => ppp(octets),
        PPP_ETHER => Start { at: 0, ethertype: PPPOE },
        FDDI => fddi(octets),
        LINUX_SLL => behind(14),
        LINUX_SLL2 => linux_sll2(octets),
        _ if RAW.contains(&link) => Start { at: 0, ethertype: Start::ANY_IP },
        _ => return None,
    })
}

/// The header after an `EtherType` at `kind`.
///
/// An Ethernet header ends with an `EtherType`, so any header that ends with one is read as if it were the
/// last bytes of an Ethernet header: following VLAN tags are skipped in the same way as on Ethernet.
fn behind(kind: u32) -> Start {
    Start { at: kind.saturating_sub(12), ethertype: Start::ETHERNET }
}

/// The packet continues at `at`, with the protocol in the `EtherType` at `kind`.
fn named(octets: &[u8], kind: u32, at: u32) -> Start {
    Start { at, ethertype: octets.u16(kind).map_or(Start::ANY_IP, not_zero) }
}

/// The second version of the header starts with its `EtherType`. If it denotes a VLAN tag, another one
/// follows after the two bytes of the tag.
fn linux_sll2(octets: &[u8]) -> Start {
    let start = named(octets, 0, LINUX_SLL2_HEADER);
    if TAGS.contains(&start.ethertype) { behind(start.at + 2) } else { start }
}

/// Zero has a different meaning in a [`Start`] than on the wire.
fn not_zero(ethertype: u16) -> u16 {
    if ethertype == Start::ANY_IP { ETHER_NONE } else { ethertype }
}

/// An address family in four bytes, in the byte order of the capturing host.
fn loopback(octets: &[u8]) -> Start {
    let ethertype = match octets.first_chunk() {
        None => Start::ANY_IP,
        Some(&family) => {
            let either = [u32::from_be_bytes(family), u32::from_le_bytes(family)];
            if either.contains(&FAMILY_V4) {
                Start::IPV4
            } else if either.iter().any(|family| FAMILIES_V6.contains(family)) {
                Start::IPV6
            } else {
                ETHER_NONE
            }
        }
    };
    Start { at: 4, ethertype }
}

/// Optional address and control bytes, then a protocol (RFC 1661 §2, RFC 1662 §3.1); or Cisco's HDLC, which
/// shares the link type.
fn ppp(octets: &[u8]) -> Start {
    let at = match octets.first_chunk() {
        Some([0xff, 3]) => 2,
        Some([0x0f | 0x8f, 0]) => return named(octets, 2, 4),
        _ => 0,
    };
    // A protocol number below 256 may be sent as one byte; its lowest bit marks the last byte.
    let short = octets.get(usize::from(at > 0) * 2).filter(|&&octet| octet & 1 == 1);
    let (protocol, at) = match short {
        Some(&octet) => (Some(u16::from(octet)), at + 1),
        None => (octets.u16(at), at + 2),
    };
    let ethertype = match protocol {
        None => Start::ANY_IP,
        Some(PPP_IPV4) => Start::IPV4,
        Some(PPP_IPV6) => Start::IPV6,
        Some(protocol) if PPP_MPLS.contains(&protocol) => MPLS[0],
        Some(_) => ETHER_NONE,
    };
    Start { at, ethertype }
}

fn fddi(octets: &[u8]) -> Start {
    let end = FDDI_HEADER + 6;
    match octets.get(13..19) {
        Some(snap) if snap == SNAP => behind(end),
        Some(_) => Start { at: end + 2, ethertype: ETHER_NONE },
        None => Start { at: end + 2, ethertype: Start::ANY_IP },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pdns_ebpf_common::{Decision, Ports, decide_at};

    #[track_caller]
    fn check(link: u16, octets: &[u8], at: u32, ethertype: u16) {
        assert_eq!(start(link, octets), Some(Start { at, ethertype }));
    }

    #[test]
    fn each_link_type_leads_to_its_network_header() {
        check(NULL, &[0, 0, 0, 2, 0x45], 4, Start::IPV4);
        check(NULL, &[30, 0, 0, 0, 0x60], 4, Start::IPV6);
        check(LOOP, &[0, 0, 0, 24, 0x60], 4, Start::IPV6);
        check(NULL, &[7, 0, 0, 0, 0x45], 4, ETHER_NONE);
        check(PPP, &[0xff, 3, 0, 0x21, 0x45], 4, Start::IPV4);
        check(PPP, &[0x21, 0x45], 1, Start::IPV4);
        check(PPP, &[0, 0x57, 0x60], 2, Start::IPV6);
        check(PPP_HDLC, &[0x0f, 0, 8, 0, 0x45], 4, Start::IPV4);
        check(PPP, &[0xc0, 0x21], 2, ETHER_NONE);
        check(PPP, &[0x02, 0x81, 0, 0x10, 0x01, 64], 2, 0x8847);
        check(51, &[0x11, 0, 0, 1, 0, 30, 0, 0x21], 0, 0x8864);
        check(228, &[], 0, Start::IPV4);
        check(101, &[], 0, Start::ANY_IP);
        assert_eq!(start(105, &[0; 64]), None);
    }

    /// Position of the IP header in a packet that may carry DNS, as found by `decide`.
    #[track_caller]
    fn check_found(link: u16, header: &[u8], network: Option<u32>) {
        let datagram =
            [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17][..], &[0; 10], &[0, 53, 0, 53], &[0; 4]];
        let packet = [header, &datagram.concat()].concat();
        let found = decide_at(packet.as_slice(), start(link, &packet).unwrap(), &Ports::new(&[53]));
        let found = found.map(|found| match found {
            Decision::Found(found) => found.network,
            Decision::Deeper(start) => panic!("{start:?}"),
        });
        assert_eq!(found, network, "{link} {header:02x?}");
    }

    #[test]
    fn cooked_and_fddi_headers_end_in_an_ethertype_and_perhaps_tags() {
        let tag = [0x20, 7];
        let sll = |ethertypes: &[[u8; 2]]| [&[9; 14][..], &ethertypes.join(&tag[..])].concat();
        check_found(LINUX_SLL, &sll(&[[8, 0]]), Some(16));
        check_found(LINUX_SLL, &sll(&[[0x81, 0], [8, 0]]), Some(20));
        check_found(LINUX_SLL, &sll(&[[0x88, 0xa8], [0x81, 0], [8, 0]]), Some(24));
        check_found(LINUX_SLL, &sll(&[[8, 6]]), None);
        let sll2 = |first: [u8; 2], rest: &[u8]| [&first[..], &[9; 18], rest].concat();
        check_found(LINUX_SLL2, &sll2([8, 0], &[]), Some(20));
        check_found(LINUX_SLL2, &sll2([0x81, 0], &[0x20, 7, 8, 0]), Some(24));
        check_found(LINUX_SLL2, &sll2([0x91, 0], &[0x20, 7, 0x81, 0, 0x20, 8, 8, 0]), Some(28));
        // A protocol of zero does not mean "IP of any version".
        check_found(LINUX_SLL2, &sll2([0, 0], &[]), None);
        let fddi = |rest: &[u8]| [&[9; 13][..], &SNAP, rest].concat();
        check_found(FDDI, &fddi(&[8, 0]), Some(21));
        check_found(FDDI, &fddi(&[0x81, 0, 0x20, 7, 8, 0]), Some(25));
        check_found(FDDI, &[&[0x42; 19][..], &[8, 0]].concat(), None);
        check_found(PPP_HDLC, &[0x0f, 0, 8, 0], Some(4));
        // A truncated header leads beyond the end.
        for link in [LINUX_SLL, LINUX_SLL2, FDDI, PPP, NULL] {
            let start = start(link, &[]).unwrap();
            assert_eq!(decide_at(&[][..], start, &Ports::new(&[53])), None);
        }
    }
}
