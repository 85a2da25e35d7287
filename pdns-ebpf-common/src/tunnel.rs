//! Start of the packet within a tunnel.

use crate::headers::{ERSPAN, IPV4, IPV6, MPLS, PPP_IPV4, PPP_IPV6, PPP_MPLS};
use crate::packet::halves;
use crate::{Packet, Start};

/// Content behind a GENEVE header (RFC 8926 §3.4).
#[inline(always)]
pub(crate) fn geneve<P: Packet + ?Sized>(packet: &P, at: u32) -> Option<Start> {
    let [words, _, type0, type1] = packet.u32(at)?.to_be_bytes();
    carried(u16::from_be_bytes([type0, type1]), at + 8 + u32::from(words & 0x3f) * 4)
}

/// Content behind a GRE header (RFC 2784 §2, RFC 2890 §2).
#[inline(always)]
pub(crate) fn gre<P: Packet + ?Sized>(packet: &P, at: u32) -> Option<Start> {
    let both = packet.u32(at)?;
    let (flags, ethertype) = halves(both);
    // Version 0, and no routing (RFC 1701), which nothing sends.
    if flags & 0x4007 != 0 {
        return None;
    }
    let (checksum, key, sequence) = (flags >> 15, flags >> 13 & 1, flags >> 12 & 1);
    let at = at + 4 + 4 * u32::from(checksum + key + sequence);
    if ethertype == ERSPAN[0] {
        // Type I has no sequence number and no header of its own, type II has both (draft-foschiano-erspan §4.1).
        return Some(Start { at: at + 8 * u32::from(sequence), ethertype: Start::ETHERNET });
    }
    if ethertype == ERSPAN[1] {
        // Type III (§4.2): 12 octets, of which the last two are P(1) FT(5) HwID(6) D(1) Gra(2) O(1). Optional 8
        // octets follow if O is set. FT is the type of what is carried: Ethernet or IP.
        let last = packet.u16(at + 10)?;
        let at = at + 12 + 8 * u32::from(last & 1);
        return match last >> 10 & 0x1f {
            0 => Some(Start { at, ethertype: Start::ETHERNET }),
            2 => Some(Start { at, ethertype: Start::ANY_IP }),
            _ => None,
        };
    }
    carried(ethertype, at)
}

/// Content that a tunnel's `EtherType` field names, if it can lead to DNS.
#[inline(always)]
fn carried(ethertype: u16, at: u32) -> Option<Start> {
    match ethertype {
        IPV4 | IPV6 | Start::ETHERNET => Some(Start { at, ethertype }),
        _ if MPLS.contains(&ethertype) => Some(Start { at, ethertype }),
        _ => None,
    }
}

/// Content behind a PPPoE header: version, type and code, session, length, and the protocol of PPP (RFC 2516 §4).
#[inline(always)]
pub(crate) fn pppoe<P: Packet + ?Sized>(packet: &P, at: u32) -> Option<Start> {
    if packet.u16(at)? != 0x1100 {
        return None;
    }
    let ethertype = match packet.u16(at + 6)? {
        PPP_IPV4 => IPV4,
        PPP_IPV6 => IPV6,
        protocol if PPP_MPLS.contains(&protocol) => MPLS[0],
        _ => return None,
    };
    Some(Start { at: at + 8, ethertype })
}

/// Content behind the last MPLS label, which no field names: IP by its first four bits (RFC 4928), or an Ethernet
/// frame, with or without the control word of a pseudowire before it (RFC 4448 §4.6).
#[inline(always)]
pub(crate) fn behind_labels<P: Packet + ?Sized>(packet: &P, at: u32) -> Option<Start> {
    let [first, second] = packet.u16(at)?.to_be_bytes();
    Some(match (first >> 4, first, second) {
        (4, ..) => Start { at, ethertype: IPV4 },
        (6, ..) => Start { at, ethertype: IPV6 },
        (_, 0, 0) => Start { at: at + 4, ethertype: Start::ETHERNET },
        _ => Start { at, ethertype: Start::ETHERNET },
    })
}
