//! Packets, built octet by octet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
pub(super) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(super) const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
pub(super) const PORT: u16 = 40_000;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;

fn u16s(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn size(octets: &[u8]) -> u16 {
    u16::try_from(octets.len()).unwrap()
}

/// A question for a name of one label, with `id`; an EDNS option of `padding` octets makes it longer.
pub(super) fn query(id: u16, padding: usize) -> Vec<u8> {
    let mut message = u16s(&[id, 0x0100, 1, 0, 0, 1]);
    message.extend(b"\x07example\x00\x00\x01\x00\x01");
    message.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00");
    let padding = u16::try_from(padding).unwrap();
    message.extend(u16s(&[padding + 4, 12, padding]));
    message.extend(vec![0; usize::from(padding)]);
    message
}

/// A message preceded by its length.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&size(message).to_be_bytes(), message].concat()
}

pub(super) fn udp(from: u16, to: u16, message: &[u8]) -> Vec<u8> {
    [u16s(&[from, to, size(message) + 8, 0]), message.to_vec()].concat()
}

pub(super) fn tcp(
    (from, to): (u16, u16),
    sequence: u32,
    ack: u32,
    flags: u8,
    data: &[u8],
) -> Vec<u8> {
    let mut segment = u16s(&[from, to]);
    segment.extend(sequence.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    // Eight words, including an option of twelve octets, such as timestamps.
    segment.extend([0x80, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    segment.extend(data);
    segment
}

pub(super) fn v4(protocol: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    v4_part((CLIENT, SERVER), protocol, id, 0, payload)
}

pub(super) fn v4_part(
    (from, to): (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    id: u16,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16s(&[size(payload) + 20, id, fragment]));
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

pub(super) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16s(&[size(payload)]));
    packet.extend([next, 64]);
    packet.extend(CLIENT6.octets());
    packet.extend(SERVER6.octets());
    packet.extend(payload);
    packet
}

/// An IP packet, fragmented at these multiples of eight octets of its payload.
pub(super) fn fragments(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let is_v6 = packet[0] >> 4 == 6;
    let payload = &packet[if is_v6 { 40 } else { 20 }..];
    let mut ends: Vec<usize> =
        cuts.iter().map(|cut| cut * 8).filter(|&end| end < payload.len()).collect();
    ends.push(payload.len());
    ends.sort_unstable();
    ends.dedup();
    let mut start = 0;
    let mut parts = Vec::new();
    for end in ends {
        if end > start {
            let more = end < payload.len();
            parts.push(part(packet, start, more, &payload[start..end]));
        }
        start = end;
    }
    parts
}

/// One fragment of an IP packet with any payload.
pub(super) fn part(packet: &[u8], offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let offset = u16::try_from(offset).unwrap();
    if packet[0] >> 4 == 6 {
        let mut payload = vec![packet[6], 0];
        payload.extend(u16s(&[offset | u16::from(more), 0, 77]));
        payload.extend(data);
        v6(44, &payload)
    } else {
        let bits = (offset / 8) | if more { 0x2000 } else { 0 };
        let id = u16::from_be_bytes([packet[4], packet[5]]);
        let address =
            |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        v4_part((address(12), address(16)), packet[9], id, bits, data)
    }
}

pub(super) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [vec![2; 12], u16s(&[ethertype]), payload.to_vec()].concat()
}

/// The Ethernet frame of an IP packet.
pub(super) fn ip_frame(packet: &[u8]) -> Vec<u8> {
    ethernet(if packet[0] >> 4 == 6 { IPV6 } else { IPV4 }, packet)
}

/// An IP packet in each tunnel: the tunnel's name, the IP protocol that carries it, and the payload.
pub(super) fn tunnels(inner: &[u8]) -> Vec<(&'static str, u8, Vec<u8>)> {
    let frame = ip_frame(inner);
    let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
    let gre = |head: &[u16], payload: &[u8]| [u16s(head), payload.to_vec()].concat();
    let erspan3 = [&[0; 12][..], &frame].concat();
    vec![
        ("ip in ip", if inner[0] >> 4 == 6 { 41 } else { 4 }, inner.to_vec()),
        ("gre", 47, gre(&[0, ethertype], inner)),
        ("gre with key and checksum", 47, gre(&[0xa000, ethertype, 0, 0, 0, 9], inner)),
        ("gre with ethernet", 47, gre(&[0, 0x6558], &frame)),
        ("erspan i", 47, gre(&[0, 0x88be], &frame)),
        ("erspan ii", 47, gre(&[0x1000, 0x88be, 0, 1, 0, 0, 0, 0], &frame)),
        ("erspan iii", 47, gre(&[0x1000, 0x22eb, 0, 1], &erspan3)),
        ("vxlan", 17, udp(1024, 4789, &gre(&[0x0800, 0, 0, 0x100], &frame))),
        ("geneve", 17, udp(1024, 6081, &gre(&[0x0200, 0x6558, 0, 0, 1, 2, 3, 4], &frame))),
    ]
}

pub(super) fn client() -> (IpAddr, u16) {
    (CLIENT.into(), PORT)
}

pub(super) fn server() -> (IpAddr, u16) {
    (SERVER.into(), 53)
}
