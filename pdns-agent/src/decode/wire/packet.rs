//! Parses the headers of one IP datagram.
//!
//! Under `wire`, after `decide`, which found the headers. Checks everything that could mislead the decoder,
//! but nothing that real traffic violates: checksums are wrong wherever a network card fills them in later.

use super::{Flow, Transport, WireRejection};
use pdns_ebpf_common::{Found, Fragment, Packet, Protocol};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The protocol number of UDP.
const UDP: u8 = 17;
/// Length of an IPv6 header, in octets.
pub(super) const V6_HEADER: usize = 40;

/// A packet that records whether a read went past its end.
///
/// `decide` only reports that it found no DNS; this distinguishes a packet without DNS from one that was
/// truncated too early to tell.
pub(super) struct Watched<'a> {
    octets: &'a [u8],
    pub(super) fell_short: Cell<bool>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { octets, fell_short: Cell::new(false) }
    }

    #[inline]
    fn noted<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.fell_short.set(true);
        }
        found
    }
}

impl Packet for Watched<'_> {
    #[inline]
    fn u8(&self, at: u32) -> Option<u8> {
        self.noted(self.octets.u8(at))
    }

    #[inline]
    fn u16(&self, at: u32) -> Option<u16> {
        self.noted(self.octets.u16(at))
    }

    #[inline]
    fn u32(&self, at: u32) -> Option<u32> {
        self.noted(self.octets.u32(at))
    }
}

/// Reads two octets as a number; `None` past the end.
pub(super) fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|&pair| u16::from_be_bytes(pair))
}

/// Reads four octets as a number; `None` past the end.
pub(super) fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().map(|&four| u32::from_be_bytes(four))
}

/// One IP datagram, or a fragment of one, within a captured packet.
#[derive(Clone, Debug)]
pub(super) struct Datagram<'a> {
    /// The captured packet, from its link header on.
    pub(super) octets: &'a [u8],
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// Offset of the IP header.
    pub(super) network: usize,
    /// Range of the IP payload within the packet, as far as it was captured.
    pub(super) payload: Range<usize>,
    /// Number of payload octets that the capture left out.
    pub(super) missing: usize,
}

impl<'a> Datagram<'a> {
    /// Reads the IP header at the given position in a packet of `length` octets.
    pub(super) fn read(
        octets: &'a [u8],
        length: usize,
        found: &Found,
    ) -> Result<Self, WireRejection> {
        let network = found.network as usize;
        let header = octets.get(network..).ok_or(WireRejection::Header)?;
        let (total, from, to) = if found.is_v6 {
            let header: &[u8; V6_HEADER] = header.first_chunk().ok_or(WireRejection::Header)?;
            let total = match u16_at(header, 4).unwrap_or(0) {
                0 => 0,
                payload => usize::from(payload) + V6_HEADER,
            };
            (total, address_v6(header, 8), address_v6(header, 24))
        } else {
            let header: &[u8; 20] = header.first_chunk().ok_or(WireRejection::Header)?;
            let total = usize::from(u16_at(header, 2).unwrap_or(0));
            (total, address_v4(header, 12), address_v4(header, 16))
        };
        let transport = match found.fragment {
            // The position directly after the IP header, whatever headers were skipped to find the ports.
            Fragment::V4 => {
                network + usize::from(header.first().map_or(0, |first| first & 0xf)) * 4
            }
            _ => found.transport as usize,
        };
        // Segmentation offload leaves 0 in IPv4, a jumbogram in IPv6: the datagram extends to the end of the
        // packet.
        let end = if total == 0 { length } else { network + total };
        if end > length || end < transport {
            return Err(WireRejection::IpLength);
        }
        let captured = end.min(octets.len());
        Ok(Self {
            octets,
            from,
            to,
            network,
            payload: transport.min(captured)..captured,
            missing: end - captured.max(transport),
        })
    }

    /// The flow between two of its ports.
    pub(super) fn flow(&self, transport: Transport, from: u16, to: u16) -> Flow {
        Flow { transport, from: (self.from, from), to: (self.to, to) }
    }

    /// The IP payload, as far as it was captured.
    pub(super) fn carried(&self) -> &'a [u8] {
        self.octets.get(self.payload.clone()).unwrap_or_default()
    }

    /// Reason for a missing header: truncated by the capture, or invalid.
    pub(super) fn short(&self, broken: WireRejection) -> WireRejection {
        if self.missing > 0 { WireRejection::CutByCapture } else { broken }
    }
}

fn address_v4(header: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 4] =
        header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    IpAddr::V4(Ipv4Addr::from(octets))
}

fn address_v6(header: &[u8], at: usize) -> IpAddr {
    let octets: [u8; 16] =
        header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    IpAddr::V6(Ipv6Addr::from(octets))
}

/// Ports and message of a UDP datagram (RFC 768), and whether the capture truncated it.
pub(super) fn udp<'a>(
    datagram: &Datagram<'a>,
) -> Result<(u16, u16, &'a [u8], bool), WireRejection> {
    let octets = datagram.carried();
    let header: &[u8; 8] = octets.first_chunk().ok_or(datagram.short(WireRejection::Header))?;
    let [from, to, length] = [0, 2, 4].map(|at| u16_at(header, at).unwrap_or(0));
    let whole = octets.len() + datagram.missing;
    // A jumbogram (RFC 2675 §4) and segmentation offload use 0: the datagram extends to the end.
    let length = if length == 0 { whole } else { usize::from(length) };
    if length < header.len() || length > whole {
        return Err(WireRejection::UdpLength);
    }
    let (message, is_cut) = match octets.get(header.len()..length) {
        Some(message) => (message, false),
        None => (octets.get(header.len()..).unwrap_or_default(), true),
    };
    if message.is_empty() && !is_cut {
        return Err(WireRejection::EmptyDatagram);
    }
    Ok((from, to, message, is_cut))
}

/// Ports and beginning of a DNS response in a fragmented datagram, if this is the first fragment: it shows
/// that there is a response, whatever happens to the others.
pub(super) fn first_of_response<'a>(
    datagram: &Datagram<'a>,
    found: &Found,
) -> Option<(u16, u16, &'a [u8])> {
    let octets = datagram.octets;
    let offset = match found.fragment {
        Fragment::V4 => u16_at(octets, datagram.network + 6)? & 0x1fff,
        Fragment::V6(header) if octets.get(header as usize) == Some(&UDP) => {
            u16_at(octets, header as usize + 2)? & 0xfff8
        }
        Fragment::V6(_) | Fragment::Whole => return None,
    };
    if offset != 0 || found.protocol != Protocol::Udp {
        return None;
    }
    let udp = octets.get(found.transport as usize..datagram.payload.end)?;
    let (header, message) = udp.split_first_chunk::<8>()?;
    // QR, the first bit of the flags (RFC 1035 §4.1.1).
    let is_response = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
    is_response.then_some((u16_at(header, 0)?, u16_at(header, 2)?, message))
}

/// A TCP segment (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    /// The data, as far as it was captured.
    pub(super) data: &'a [u8],
    /// Number of data octets that the capture left out.
    pub(super) missing: u32,
}

impl Segment<'_> {
    pub(super) const FIN: u8 = 1;
    pub(super) const SYN: u8 = 2;
    pub(super) const RST: u8 = 4;
    pub(super) const ACK: u8 = 16;

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The TCP segment of a datagram.
pub(super) fn tcp<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, WireRejection> {
    let octets = datagram.carried();
    let header: &[u8; 20] = octets.first_chunk().ok_or(datagram.short(WireRejection::Header))?;
    let size = usize::from(header[12] >> 4) * 4;
    let whole = octets.len() + datagram.missing;
    if size < header.len() || size > whole {
        return Err(WireRejection::TcpHeader);
    }
    Ok(Segment {
        from: u16_at(header, 0).unwrap_or(0),
        to: u16_at(header, 2).unwrap_or(0),
        sequence: u32_at(header, 4).unwrap_or(0),
        acknowledged: u32_at(header, 8).unwrap_or(0),
        flags: header[13],
        data: octets.get(size..).unwrap_or_default(),
        missing: u32::try_from(whole - size.max(octets.len())).unwrap_or(u32::MAX),
    })
}
