//! Where the network header of a captured packet begins, link type by link type.
//!
//! Under `pcap`. The numbers are those of <https://www.tcpdump.org/linktypes.html>, which capture files of both
//! formats use.

use pdns_ebpf_common::Start;

const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const PPP: u16 = 9;
const FDDI: u16 = 10;
/// Raw IP: what BSDs and Linux wrote before a number was assigned, the assigned one, and one for each version.
const RAW: [u16; 3] = [12, 14, 101];
const PPP_HDLC: u16 = 50;
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const LINUX_SLL2: u16 = 276;

/// `EtherType`s.
const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;
/// Transparent Ethernet bridging: stands for an Ethernet header, as `pdns-ebpf-common` has it.
const ETHER_BRIDGED: u16 = 0x6558;
/// Reserved (RFC 1701 §A), so that it leads nowhere: not IP.
const ETHER_NONE: u16 = 0xffff;
/// VLAN tags (IEEE 802.1Q, 802.1ad, and older switches).
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Most VLAN tags that are passed over.
const MOST_TAGS: u32 = 8;

/// Address families of BSD's loopback header: `AF_INET`, and `AF_INET6` as Linux, Net/OpenBSD, FreeBSD and Darwin
/// number it.
const FAMILY_V4: u32 = 2;
const FAMILIES_V6: [u32; 4] = [10, 24, 28, 30];

/// Protocol numbers of PPP (RFC 1332, RFC 5072).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Octets of an FDDI header: frame control and two addresses.
const FDDI_HEADER: u32 = 13;
/// LLC and SNAP that announce an `EtherType` (RFC 1042).
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// Where to begin in a packet of this link type; `None` for a link type that is not known.
///
/// Of a packet that ends before its network header the place is behind its end.
pub(super) fn start(link: u16, octets: &[u8]) -> Option<Start> {
    Some(match link {
        ETHERNET => Start { at: 0, ethertype: ETHER_BRIDGED },
        IPV4 => Start { at: 0, ethertype: ETHER_IPV4 },
        IPV6 => Start { at: 0, ethertype: ETHER_IPV6 },
        NULL | LOOP => loopback(octets),
        PPP | PPP_HDLC => ppp(octets),
        FDDI => fddi(octets),
        // Protocol and address family of the device stand last in the header; in the second version first.
        LINUX_SLL => tagged(octets, 14, 16),
        LINUX_SLL2 => tagged(octets, 0, 20),
        _ if RAW.contains(&link) => Start { at: 0, ethertype: Start::ANY_IP },
        _ => return None,
    })
}

fn u16_at(octets: &[u8], at: u32) -> Option<u16> {
    let at = usize::try_from(at).ok()?;
    octets.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// Behind an `EtherType` at `kind` the packet goes on at `at`, perhaps with VLAN tags.
fn tagged(octets: &[u8], kind: u32, at: u32) -> Start {
    let mut at = at;
    let mut ethertype = u16_at(octets, kind);
    for _ in 0..MOST_TAGS {
        if !ethertype.is_some_and(|ethertype| TAGS.contains(&ethertype)) {
            break;
        }
        ethertype = u16_at(octets, at + 2);
        at += 4;
    }
    Start { at, ethertype: ethertype.map_or(Start::ANY_IP, not_zero) }
}

/// Zero has another meaning in a [`Start`] than on the wire.
fn not_zero(ethertype: u16) -> u16 {
    if ethertype == Start::ANY_IP { ETHER_NONE } else { ethertype }
}

/// A family in four octets, in the byte order of whoever captured.
fn loopback(octets: &[u8]) -> Start {
    let ethertype = match octets.first_chunk() {
        None => Start::ANY_IP,
        Some(&family) => {
            let either = [u32::from_be_bytes(family), u32::from_le_bytes(family)];
            if either.contains(&FAMILY_V4) {
                ETHER_IPV4
            } else if either.iter().any(|family| FAMILIES_V6.contains(family)) {
                ETHER_IPV6
            } else {
                ETHER_NONE
            }
        }
    };
    Start { at: 4, ethertype }
}

/// Perhaps address and control octets, then a protocol (RFC 1661 §2, RFC 1662 §3.1); or Cisco's HDLC, which
/// shares the link type.
fn ppp(octets: &[u8]) -> Start {
    let at = match octets.first_chunk() {
        Some([0xff, 3]) => 2,
        Some([0x0f | 0x8f, 0]) => return tagged(octets, 2, 4),
        _ => 0,
    };
    // A protocol number below 256 may be sent as one octet; its lowest bit says that it is the last.
    let short = octets.get(usize::from(at > 0) * 2).filter(|&&octet| octet & 1 == 1);
    let (protocol, at) = match short {
        Some(&octet) => (Some(u16::from(octet)), at + 1),
        None => (u16_at(octets, at), at + 2),
    };
    let ethertype = match protocol {
        None => Start::ANY_IP,
        Some(PPP_IPV4) => ETHER_IPV4,
        Some(PPP_IPV6) => ETHER_IPV6,
        Some(_) => ETHER_NONE,
    };
    Start { at, ethertype }
}

fn fddi(octets: &[u8]) -> Start {
    let end = FDDI_HEADER + 6;
    match octets.get(13..19) {
        Some(snap) if snap == SNAP => tagged(octets, end, end + 2),
        Some(_) => Start { at: end + 2, ethertype: ETHER_NONE },
        None => Start { at: end + 2, ethertype: Start::ANY_IP },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(link: u16, octets: &[u8], at: u32, ethertype: u16) {
        assert_eq!(start(link, octets), Some(Start { at, ethertype }));
    }

    #[test]
    fn each_link_type_leads_to_its_network_header() {
        check(NULL, &[0, 0, 0, 2, 0x45], 4, ETHER_IPV4);
        check(NULL, &[30, 0, 0, 0, 0x60], 4, ETHER_IPV6);
        check(LOOP, &[0, 0, 0, 24, 0x60], 4, ETHER_IPV6);
        check(NULL, &[7, 0, 0, 0, 0x45], 4, ETHER_NONE);
        check(PPP, &[0xff, 3, 0, 0x21, 0x45], 4, ETHER_IPV4);
        check(PPP, &[0x21, 0x45], 1, ETHER_IPV4);
        check(PPP, &[0, 0x57, 0x60], 2, ETHER_IPV6);
        check(PPP_HDLC, &[0x0f, 0, 8, 0, 0x45], 4, ETHER_IPV4);
        check(PPP, &[0xc0, 0x21], 2, ETHER_NONE);
        check(228, &[], 0, ETHER_IPV4);
        check(101, &[], 0, Start::ANY_IP);
        assert_eq!(start(105, &[0; 64]), None);
    }

    #[test]
    fn cooked_and_fddi_headers_end_in_an_ethertype_and_perhaps_tags() {
        let mut octets = [0_u8; 32];
        octets[14..16].copy_from_slice(&[0x81, 0]);
        octets[18..20].copy_from_slice(&[0x86, 0xdd]);
        check(LINUX_SLL, &octets, 20, ETHER_IPV6);
        octets[..2].copy_from_slice(&[8, 0]);
        check(LINUX_SLL2, &octets, 20, ETHER_IPV4);
        octets[13..21].copy_from_slice(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
        check(FDDI, &octets, 21, ETHER_IPV4);
        octets[13] = 0x42;
        check(FDDI, &octets, 21, ETHER_NONE);
        // No protocol is not "IP of any version"; a cut header leads behind the end.
        check(LINUX_SLL2, &[0; 20], 20, ETHER_NONE);
        check(LINUX_SLL, &[0; 5], 16, Start::ANY_IP);
    }
}
