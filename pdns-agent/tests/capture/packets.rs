//! Packets made by hand, header by header, from the inside out. Checksums are left out: nobody looks.

/// What a packet's payload is: enough to be told from another.
const PAYLOAD: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0a small response";

pub(crate) const UDP: u8 = 17;
pub(crate) const TCP: u8 = 6;
pub(crate) const V4: u16 = 0x0800;
pub(crate) const V6: u16 = 0x86dd;
/// A tag that the kernel takes off when it receives it, and one that it leaves.
pub(crate) const VLAN: u16 = 0x8100;
pub(crate) const MPLS: u16 = 0x8847;
pub(crate) const PPPOE: u16 = 0x8864;
pub(crate) const OLD_QINQ: u16 = 0x9100;

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ethertype.to_be_bytes(), payload].concat()
}

/// A VLAN tag, from its identifier on.
pub(crate) fn tag(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x20, 7][..], &ethertype.to_be_bytes(), payload].concat()
}

/// IPv4; `bits` are flags and offset, `options` are words.
pub(crate) fn v4(protocol: u8, bits: u16, options: usize, payload: &[u8]) -> Vec<u8> {
    let words = 5 + options;
    let length = u16::try_from(4 * words + payload.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x40 | u8::try_from(words).unwrap(), 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 1]);
    header.extend(bits.to_be_bytes());
    header.extend([64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    header.resize(4 * words, 1);
    [&header[..], payload].concat()
}

pub(crate) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[next, 64], &[0x20; 32], payload].concat()
}

/// An IPv6 extension header of 8 octets.
pub(crate) fn extension(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 0, 1, 4, 0, 0, 0, 0][..], payload].concat()
}

/// An IPv6 fragment header.
pub(crate) fn fragment(next: u8, bits: u16, payload: &[u8]) -> Vec<u8> {
    [&[next, 0][..], &bits.to_be_bytes(), &[0, 0, 0, 1], payload].concat()
}

pub(crate) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length, &[0; 2], payload].concat()
}

pub(crate) fn tcp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let rest = [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &rest, payload].concat()
}

/// A response, from its UDP header on.
pub(crate) fn dns() -> Vec<u8> {
    udp(53, 50_000, PAYLOAD)
}

/// What is no DNS.
pub(crate) fn web() -> Vec<u8> {
    udp(443, 50_000, PAYLOAD)
}

/// GRE with these flags and so many words behind its first.
pub(crate) fn gre(flags: u16, ethertype: u16, words: usize, payload: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], &ethertype.to_be_bytes(), &vec![0; 4 * words], payload].concat()
}

pub(crate) fn vxlan(payload: &[u8]) -> Vec<u8> {
    udp(40_000, 4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], payload].concat())
}

/// GENEVE with so many words of options.
pub(crate) fn geneve(words: u8, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let options = vec![0; 4 * usize::from(words)];
    let head = [&[words, 0][..], &ethertype.to_be_bytes(), &[0, 0, 1, 0], &options].concat();
    udp(40_000, 6081, &[&head[..], payload].concat())
}

/// So many labels of MPLS, from the first on.
pub(crate) fn labels(count: usize, payload: &[u8]) -> Vec<u8> {
    let label = |at: usize| [0, 0x10, u8::from(at + 1 == count), 64];
    [&(0..count).flat_map(label).collect::<Vec<u8>>()[..], payload].concat()
}

/// A PPPoE session, with its protocol of PPP.
pub(crate) fn session(protocol: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x11, 0, 0, 7, 0, 0][..], &protocol.to_be_bytes(), payload].concat()
}

/// A packet as it is once received: the kernel notes the outer tag beside the packet and takes it off.
pub(crate) fn received(packet: &[u8]) -> Vec<u8> {
    match packet {
        [.., _] if packet.len() >= 18 && matches!(packet[12..14], [0x81, 0] | [0x88, 0xa8]) => {
            [&packet[..12], &packet[16..]].concat()
        }
        _ => packet.to_vec(),
    }
}

/// One packet of each kind that carries DNS, with the kind's name.
pub(crate) fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let (ip4, ip6) = (v4(UDP, 0, 0, &dns()), v6(UDP, &dns()));
    let frame = ethernet(V4, &ip4);
    let in4 = |protocol, payload: &[u8]| ethernet(V4, &v4(protocol, 0, 0, payload));
    let stream = tcp(53, 50_000, PAYLOAD);
    // ERSPAN: type II has 8 octets behind GRE's sequence number, type III has 12.
    let (erspan2, erspan3) = ([&[0; 8][..], &frame].concat(), [&[0; 12][..], &frame].concat());
    let extended = extension(44, &fragment(60, 1, &extension(UDP, &dns())));
    vec![
        ("IPv4, UDP", frame.clone()),
        ("IPv4, UDP, a query", ethernet(V4, &v4(UDP, 0, 0, &udp(50_000, 53, PAYLOAD)))),
        ("IPv4, TCP", ethernet(V4, &v4(TCP, 0x4000, 0, &stream))),
        ("IPv6, UDP", ethernet(V6, &ip6)),
        ("IPv6, TCP", ethernet(V6, &v6(TCP, &stream))),
        ("IPv4 with options", ethernet(V4, &v4(UDP, 0, 10, &dns()))),
        (
            "IPv6 with extension headers",
            ethernet(V6, &v6(0, &extension(60, &extension(UDP, &dns())))),
        ),
        ("VLAN", ethernet(VLAN, &tag(V4, &ip4))),
        ("VLAN, IPv6", ethernet(VLAN, &tag(V6, &ip6))),
        ("VLAN of an older kind", ethernet(OLD_QINQ, &tag(V4, &ip4))),
        ("QinQ", ethernet(0x88a8, &tag(VLAN, &tag(V4, &ip4)))),
        ("three tags", ethernet(0x88a8, &tag(VLAN, &tag(VLAN, &tag(V6, &ip6))))),
        ("IPv4, first fragment", ethernet(V4, &v4(UDP, 0x2000, 0, &dns()))),
        ("IPv4, later fragment", ethernet(V4, &v4(UDP, 0x00b9, 0, &web()))),
        ("IPv6, first fragment", ethernet(V6, &v6(44, &fragment(UDP, 1, &dns())))),
        ("IPv6, later fragment", ethernet(V6, &v6(44, &fragment(UDP, 0x88, &web())))),
        ("IPv6, fragment among extension headers", ethernet(V6, &v6(60, &extended))),
        ("IP in IP", in4(4, &ip4)),
        ("IPv6 in IP", in4(41, &ip6)),
        ("IPv4 in IPv6", ethernet(V6, &v6(4, &ip4))),
        ("GRE", in4(47, &gre(0, V4, 0, &ip4))),
        ("GRE with checksum, key and number", in4(47, &gre(0xb000, V6, 3, &ip6))),
        ("GRE with Ethernet", in4(47, &gre(0x2000, 0x6558, 1, &frame))),
        ("ERSPAN I", in4(47, &gre(0, 0x88be, 0, &frame))),
        ("ERSPAN II", in4(47, &gre(0x1000, 0x88be, 1, &erspan2))),
        ("ERSPAN III", in4(47, &gre(0x1000, 0x22eb, 1, &erspan3))),
        ("VXLAN", in4(UDP, &vxlan(&frame))),
        ("VXLAN, a tag within", in4(UDP, &vxlan(&ethernet(VLAN, &tag(V4, &ip4))))),
        ("VXLAN in IPv6", ethernet(V6, &v6(UDP, &vxlan(&frame)))),
        ("GENEVE", in4(UDP, &geneve(0, 0x6558, &frame))),
        ("GENEVE with options", in4(UDP, &geneve(3, V6, &ip6))),
        ("two tunnels", in4(47, &gre(0, V4, 0, &v4(4, 0, 0, &ip4)))),
        ("MPLS", ethernet(MPLS, &labels(2, &ip4))),
        ("MPLS, many labels", ethernet(MPLS, &labels(20, &ip6))),
        ("PPPoE", ethernet(PPPOE, &session(0x21, &ip4))),
        ("the largest response", in4(UDP, &udp(53, 50_000, &[7; 16_000]))),
    ]
}

/// Packets that carry none, with what they are.
pub(crate) fn others() -> Vec<(&'static str, Vec<u8>)> {
    let ip4 = v4(UDP, 0, 0, &web());
    let in4 = |protocol, payload: &[u8]| ethernet(V4, &v4(protocol, 0, 0, payload));
    vec![
        ("IPv4, UDP", in4(UDP, &web())),
        ("IPv4, TCP", in4(TCP, &tcp(443, 50_000, PAYLOAD))),
        ("IPv6, TCP", ethernet(V6, &v6(TCP, &tcp(443, 50_000, PAYLOAD)))),
        ("ICMP", in4(1, &dns())),
        ("ICMPv6", ethernet(V6, &v6(58, &dns()))),
        ("ARP", ethernet(0x0806, &[0; 46])),
        ("a length for an EtherType", ethernet(46, &[0x42; 46])),
        ("VLAN", ethernet(VLAN, &tag(V4, &v4(UDP, 0, 0, &web())))),
        ("a later fragment of ICMP", ethernet(V4, &v4(1, 0x00b9, 0, &dns()))),
        ("VXLAN", in4(UDP, &vxlan(&ethernet(V4, &v4(UDP, 0, 0, &web()))))),
        ("two tunnels", in4(47, &gre(0, V4, 0, &v4(4, 0, 0, &ip4)))),
        ("an IPv4 header without ports", in4(UDP, &[])),
        ("an Ethernet header and no more", ethernet(V4, &[])),
        ("an IPv4 header too short to be one", {
            let mut short = in4(UDP, &dns());
            short[14] = 0x44;
            short
        }),
    ]
}
