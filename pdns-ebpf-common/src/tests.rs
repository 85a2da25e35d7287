//! One handmade packet of each kind, and the result if it is truncated or changed.

use crate::{
    Decision, Found, Fragment, GLANCE, GLANCE_AT, GLANCE_V6, GLANCE_V6_AT, Glance, Link, PortSet,
    Ports, Protocol, Start, decide, decide_at, glance, glance_v6,
};
use std::vec;
use std::vec::Vec;

/// An Ethernet header.
fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ethertype.to_be_bytes(), payload].concat()
}

/// A VLAN tag, from its identifier on: the bytes after the `EtherType` that announces it.
fn tagged(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x20, 7][..], &ethertype.to_be_bytes(), payload].concat()
}

/// An IPv4 header with this many words of options; `bits` are flags and offset.
fn v4(protocol: u8, bits: u16, options: usize, payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options).unwrap();
    let mut header = vec![0x40 | words, 0, 0, 0, 0, 1];
    header.extend(bits.to_be_bytes());
    header.extend([64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    header.resize(usize::from(words) * 4, 1);
    [&header[..], payload].concat()
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0x60, 0, 0, 0, 0, 0, next, 64];
    [&head[..], &[0x20; 32], payload].concat()
}

/// An extension header of 8 octets.
fn extension(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 0, 1, 4, 0, 0, 0, 0][..], payload].concat()
}

/// A fragment header of IPv6; `bits` are offset and flag.
fn fragment(next: u8, bits: u16, payload: &[u8]) -> Vec<u8> {
    [&[next, 0][..], &bits.to_be_bytes(), &[0, 0, 0, 1], payload].concat()
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &[0; 4], payload].concat()
}

/// The transport of a DNS packet.
fn dns() -> Vec<u8> {
    udp(53, 50_000, &[0; 12])
}

/// The transport of another protocol.
fn web() -> Vec<u8> {
    udp(443, 50_000, &[0; 12])
}

fn gre(flags: u16, ethertype: u16, words: usize, payload: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], &ethertype.to_be_bytes(), &vec![0; 4 * words], payload].concat()
}

/// ERSPAN type III: the last two octets of its header, and the optional 8 after it.
fn erspan3(last: u16, payload: &[u8]) -> Vec<u8> {
    let optional = if last & 1 == 1 { 8 } else { 0 };
    [&[0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0][..], &last.to_be_bytes(), &vec![0; optional], payload]
        .concat()
}

fn geneve(words: u8, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let head = [&[words, 0][..], &ethertype.to_be_bytes(), &[0, 0, 1, 0]].concat();
    udp(40_000, 6081, &[&head[..], &vec![0; 4 * usize::from(words)], payload].concat())
}

fn vxlan(port: u16, payload: &[u8]) -> Vec<u8> {
    udp(40_000, port, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], payload].concat())
}

/// The kernel's procedure if the `EtherType` is already known: a glance first.
fn as_kernel(packet: &[u8], ports: &Ports) -> bool {
    let whole = decide(packet, Link::Ethernet, ports);
    let part = |at: u32, length: usize| {
        let at = usize::try_from(at).unwrap();
        packet.get(at..at + length)
    };
    let Some(&[high, low]) = part(12, 2) else { return whole.is_some() };
    let ethertype = u16::from_be_bytes([high, low]);
    let glance = match ethertype {
        Start::IPV4 => part(GLANCE_AT, GLANCE).map(|head| glance(head.try_into().unwrap())),
        Start::IPV6 => {
            part(GLANCE_V6_AT, GLANCE_V6).map(|head| glance_v6(head.try_into().unwrap()))
        }
        _ => return whole.is_some(),
    };
    assert_eq!(decide_at(packet, Start { at: 14, ethertype }, ports), whole);
    match glance {
        Some(Glance::Ports(from, to)) => {
            let is_dns = ports.has(from) || ports.has(to);
            assert_eq!(is_dns, whole.is_some(), "ports at a glance in {packet:02x?}");
        }
        Some(Glance::Other) => assert_eq!(whole, None, "other at a glance: {packet:02x?}"),
        Some(Glance::Unsettled) | None => {}
    }
    whole.is_some()
}

/// The final result for a packet, and the number of calls until it is settled.
fn settled(packet: &[u8], ports: &Ports) -> (Option<Found>, usize) {
    let mut start = Start::of(Link::Ethernet);
    for calls in 1..100 {
        match decide_at(packet, start, ports) {
            None => return (None, calls),
            Some(Decision::Found(found)) => return (Some(found), calls),
            Some(Decision::Deeper(deeper)) => {
                assert!(deeper.at > start.at, "no way forward: {packet:02x?}");
                start = deeper;
            }
        }
    }
    panic!("it does not end: {packet:02x?}");
}

fn whole(packet: &[u8], ports: &Ports) -> Option<Found> {
    settled(packet, ports).0
}

/// Checks a frame, complete and truncated at every position.
#[track_caller]
fn check(frame: &[u8], want: Option<Found>) {
    let ports = Ports::new(&[53]);
    assert_eq!(whole(frame, &ports), want, "{frame:02x?}");
    assert_eq!(as_kernel(frame, &ports), want.is_some());
    for end in 0..frame.len() {
        as_kernel(&frame[..end], &ports);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what `decide` says")]
fn found(network: u32, is_v6: bool, transport: u32) -> Option<Found> {
    let (protocol, fragment) = (Protocol::Udp, Fragment::Whole);
    Some(Found { network, is_v6, protocol, transport, fragment })
}

const UDP: u8 = 17;
const TCP: u8 = 6;
const V4: u16 = 0x0800;
const V6: u16 = 0x86dd;

#[test]
fn plain() {
    check(&ethernet(V4, &v4(UDP, 0x4000, 0, &dns())), found(14, false, 34));
    check(&ethernet(V4, &v4(UDP, 0, 0, &udp(50_000, 53, &[]))), found(14, false, 34));
    check(&ethernet(V4, &v4(UDP, 0, 10, &dns())), found(14, false, 74));
    check(&ethernet(V6, &v6(UDP, &dns())), found(14, true, 54));
    let tcp = found(14, false, 34).map(|found| Found { protocol: Protocol::Tcp, ..found });
    check(&ethernet(V4, &v4(TCP, 0, 0, &dns())), tcp);
}

#[test]
fn what_is_not_dns() {
    check(&ethernet(V4, &v4(UDP, 0, 0, &web())), None);
    check(&ethernet(V4, &v4(TCP, 0, 0, &web())), None);
    check(&ethernet(V6, &v6(TCP, &web())), None);
    check(&ethernet(V4, &v4(1, 0, 0, &dns())), None);
    check(&ethernet(V6, &v6(58, &dns())), None);
    // ARP, a length (IEEE 802.3), bridging named by an Ethernet header, a header that is too short.
    check(&ethernet(0x0806, &[0; 28]), None);
    check(&ethernet(0, &v4(UDP, 0, 0, &dns())), None);
    check(&ethernet(0x6558, &ethernet(V4, &v4(UDP, 0, 0, &dns()))), None);
    let mut short = v4(UDP, 0, 0, &dns());
    short[0] = 0x44;
    check(&ethernet(V4, &short), None);
}

#[test]
fn tags_of_vlans() {
    let ip = v4(UDP, 0, 0, &dns());
    check(&ethernet(0x8100, &tagged(V4, &ip)), found(18, false, 38));
    check(&ethernet(0x88a8, &tagged(0x8100, &tagged(V4, &ip))), found(22, false, 42));
    let mut stack = tagged(V4, &ip);
    for _ in 1..8 {
        stack = tagged(0x9100, &stack);
    }
    check(&ethernet(0x8100, &stack), found(46, false, 66));
    check(&ethernet(0x8100, &tagged(0x8100, &stack)), found(50, false, 70));
}

/// An entry of a label stack.
fn label(is_last: bool, payload: &[u8]) -> Vec<u8> {
    [&[0, 0x10, u8::from(is_last), 64][..], payload].concat()
}

fn labels(count: usize, payload: &[u8]) -> Vec<u8> {
    let last = label(true, payload);
    (1..count).fold(last, |stack, _| label(false, &stack))
}

#[test]
fn labels_of_mpls() {
    let (ip4, ip6) = (v4(UDP, 0, 0, &dns()), v6(UDP, &dns()));
    for (count, at) in [(1, 18), (2, 22), (8, 46), (9, 50), (24, 110), (25, 114), (300, 1214)] {
        let stack = labels(count, &ip4);
        check(&ethernet(0x8847, &stack), found(at, false, at + 20));
    }
    check(&ethernet(0x8848, &labels(3, &ip6)), found(26, true, 66));
    check(&ethernet(0x8100, &tagged(0x8847, &labels(2, &ip4))), found(26, false, 46));
    check(&ethernet(0x8847, &labels(2, &v4(UDP, 0, 0, &web()))), None);
    // Ethernet in MPLS, with a control word and without.
    let frame = ethernet(0x8100, &tagged(V4, &ip4));
    let with_word = [&[0; 4][..], &frame].concat();
    check(&ethernet(0x8847, &labels(2, &with_word)), found(44, false, 64));
    check(&ethernet(0x8847, &labels(2, &frame)), found(40, false, 60));
    // In GRE.
    let outer = v4(47, 0, 0, &gre(0, 0x8847, 0, &labels(2, &ip4)));
    check(&ethernet(V4, &outer), found(46, false, 66));
}

/// A PPPoE header, with its protocol of PPP.
fn session(code: u8, protocol: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x11, code, 0, 7, 0, 0][..], &protocol.to_be_bytes(), payload].concat()
}

#[test]
fn sessions_of_pppoe() {
    let (ip4, ip6) = (v4(UDP, 0, 0, &dns()), v6(UDP, &dns()));
    check(&ethernet(0x8864, &session(0, 0x21, &ip4)), found(22, false, 42));
    check(&ethernet(0x8864, &session(0, 0x57, &ip6)), found(22, true, 62));
    let tags = tagged(0x8100, &tagged(0x8864, &session(0, 0x21, &ip4)));
    check(&ethernet(0x88a8, &tags), found(30, false, 50));
    check(&ethernet(0x8864, &session(0, 0x281, &labels(2, &ip4))), found(30, false, 50));
    // Discovery, control protocols, and other packets without DNS.
    check(&ethernet(0x8863, &session(9, 0x21, &ip4)), None);
    check(&ethernet(0x8864, &session(7, 0x21, &ip4)), None);
    check(&ethernet(0x8864, &session(0, 0xc021, &ip4)), None);
    check(&ethernet(0x8864, &session(0, 0x21, &v4(UDP, 0, 0, &web()))), None);
}

#[test]
fn tunnels_in_tunnels() {
    let ports = Ports::new(&[53]);
    let mut packet = v4(UDP, 0, 0, &dns());
    let mut other = v4(UDP, 0, 0, &web());
    for (depth, calls) in (1_u32..=7).zip([1, 1, 2, 2, 2, 3, 3]) {
        packet = v4(47, 0, 0, &gre(0, V4, 0, &packet));
        other = v4(47, 0, 0, &gre(0, V4, 0, &other));
        let at = 14 + 24 * depth;
        let (frame, other) = (ethernet(V4, &packet), ethernet(V4, &other));
        check(&frame, found(at, false, at + 20));
        assert_eq!(settled(&frame, &ports), (found(at, false, at + 20), calls), "{depth}");
        // With up to two tunnels the kernel rejects it; beyond that the agent rejects it later.
        assert_eq!(decide(&other[..], Link::Ethernet, &ports).is_some(), depth > 2);
        assert_eq!(whole(&other, &ports), None);
    }
}

#[test]
fn headers_of_v6() {
    let hop = v6(0, &extension(60, &extension(43, &extension(UDP, &dns()))));
    check(&ethernet(V6, &hop), found(14, true, 78));
    let mut eight = dns();
    let mut next = UDP;
    for _ in 0..8 {
        (eight, next) = (extension(next, &eight), 60);
    }
    check(&ethernet(V6, &v6(next, &eight)), found(14, true, 118));
    check(&ethernet(V6, &v6(next, &extension(next, &eight))), None);
    // The length of an authentication header of 6 words is counted differently (RFC 4302 §2.2).
    let authenticated = [&[UDP, 4][..], &[0; 22], &dns()].concat();
    check(&ethernet(V6, &v6(51, &authenticated)), found(14, true, 78));
    check(&ethernet(V4, &v4(51, 0, 0, &authenticated)), found(14, false, 58));
    // There is no such header in IPv4.
    check(&ethernet(V4, &v4(60, 0, 0, &extension(UDP, &dns()))), None);
}

#[test]
fn fragments_of_v4() {
    let part = |protocol| {
        let fragment = Fragment::V4;
        Some(Found { network: 14, is_v6: false, protocol, transport: 34, fragment })
    };
    check(&ethernet(V4, &v4(UDP, 0x2000, 0, &dns())), part(Protocol::Udp));
    check(&ethernet(V4, &v4(UDP, 0x2000, 0, &web())), None);
    check(&ethernet(V4, &v4(UDP, 0x00b9, 0, &web())), part(Protocol::Udp));
    check(&ethernet(V4, &v4(47, 0x20b9, 0, &web())), part(Protocol::Other(47)));
    check(&ethernet(V4, &v4(51, 0x00b9, 0, &web())), part(Protocol::Other(51)));
    check(&ethernet(V4, &v4(1, 0x00b9, 0, &web())), None);
    check(&ethernet(V4, &v4(60, 0x00b9, 0, &web())), None);
    // The first fragment of a tunnel: its contents are found once it is complete.
    let inner = ethernet(V4, &v4(UDP, 0, 0, &web()));
    check(&ethernet(V4, &v4(UDP, 0x2000, 0, &vxlan(4789, &inner))), part(Protocol::Udp));
}

#[test]
fn fragments_of_v6() {
    let part = |protocol, header| {
        let (network, is_v6, fragment) = (14, true, Fragment::V6(header));
        Some(Found { network, is_v6, protocol, transport: header + 8, fragment })
    };
    let first = v6(44, &fragment(UDP, 1, &dns()));
    check(&ethernet(V6, &first), part(Protocol::Udp, 54));
    check(&ethernet(V6, &v6(44, &fragment(UDP, 1, &web()))), None);
    check(&ethernet(V6, &v6(44, &fragment(UDP, 0x88, &web()))), part(Protocol::Udp, 54));
    // Destination options before the fragment header, and within the fragmented datagram.
    let within = fragment(60, 1, &extension(UDP, &dns()));
    check(&ethernet(V6, &v6(60, &extension(44, &within))), part(Protocol::Udp, 62));
    let later = fragment(60, 0x89, &[0; 16]);
    check(&ethernet(V6, &v6(44, &later)), part(Protocol::Other(60), 54));
    check(&ethernet(V6, &v6(44, &fragment(58, 0x88, &web()))), None);
    // An atomic fragment is complete (RFC 6946); two fragment headers are rejected.
    check(&ethernet(V6, &v6(44, &fragment(UDP, 0, &dns()))), found(14, true, 62));
    let twice = v6(44, &fragment(44, 1, &fragment(UDP, 1, &dns())));
    check(&ethernet(V6, &twice), None);
}

#[test]
fn tunnels() {
    let ip4 = v4(UDP, 0, 0, &dns());
    let ip6 = v6(UDP, &dns());
    let frame = ethernet(0x8100, &tagged(V4, &ip4));
    let in4 = |protocol, payload: &[u8]| ethernet(V4, &v4(protocol, 0, 0, payload));
    check(&in4(4, &ip4), found(34, false, 54));
    check(&in4(41, &ip6), found(34, true, 74));
    check(&ethernet(V6, &v6(4, &ip4)), found(54, false, 74));
    check(&in4(47, &gre(0, V4, 0, &ip4)), found(38, false, 58));
    check(&in4(47, &gre(0xb000, V6, 3, &ip6)), found(50, true, 90));
    check(&in4(47, &gre(0x2000, 0x6558, 1, &frame)), found(60, false, 80));
    check(&in4(47, &gre(0x4000, V4, 1, &ip4)), None);
    check(&in4(47, &gre(1, V4, 0, &ip4)), None);
    check(&in4(UDP, &vxlan(4789, &frame)), found(68, false, 88));
    check(&in4(UDP, &vxlan(8472, &frame)), found(68, false, 88));
    check(&in4(UDP, &geneve(0, 0x6558, &frame)), found(68, false, 88));
    check(&in4(UDP, &geneve(3, V6, &ip6)), found(62, true, 102));
    check(&in4(UDP, &geneve(0, 0x0806, &ip4)), None);
    // A tunnel's packet without DNS, and a tunnel in a tunnel.
    check(&in4(UDP, &vxlan(4789, &ethernet(V4, &v4(UDP, 0, 0, &web())))), None);
    check(&in4(47, &gre(0, V4, 0, &v4(4, 0, 0, &ip4))), found(58, false, 78));
    // A fragment within a tunnel.
    let inner = v4(UDP, 0x2000, 0, &dns());
    let want = found(34, false, 54).map(|found| Found { fragment: Fragment::V4, ..found });
    check(&in4(4, &inner), want);
}

#[test]
fn mirrors() {
    let frame = ethernet(V4, &v4(UDP, 0, 0, &dns()));
    let ip4 = v4(UDP, 0, 0, &dns());
    let in4 = |payload: &[u8]| ethernet(V4, &v4(47, 0, 0, payload));
    check(&in4(&gre(0, 0x88be, 0, &frame)), found(52, false, 72));
    check(&in4(&gre(0x1000, 0x88be, 3, &frame)), found(64, false, 84));
    check(&in4(&gre(0x1000, 0x22eb, 1, &erspan3(0, &frame))), found(68, false, 88));
    // Every other bit next to the frame type, then IP as the type, then an unknown type.
    check(&in4(&gre(0x1000, 0x22eb, 1, &erspan3(0x83ff, &frame))), found(76, false, 96));
    check(&in4(&gre(0x1000, 0x22eb, 1, &erspan3(2 << 10, &ip4))), found(54, false, 74));
    check(&in4(&gre(0x1000, 0x22eb, 1, &erspan3(5 << 10, &frame))), None);
}

#[test]
fn a_packet_without_a_link_header() {
    let ports = Ports::new(&[53]);
    let (ip4, ip6) = (v4(UDP, 0, 0, &dns()), v6(UDP, &dns()));
    let decided = |found: Option<Found>| found.map(Decision::Found);
    assert_eq!(decide(&ip4[..], Link::Raw, &ports), decided(found(0, false, 20)));
    assert_eq!(decide(&ip6[..], Link::Raw, &ports), decided(found(0, true, 40)));
    assert_eq!(decide(&[0x50; 60][..], Link::Raw, &ports), None);
    let start = Start { at: 3, ethertype: V6 };
    let shifted = [&[9; 3][..], &ip6].concat();
    assert_eq!(decide_at(&shifted[..], start, &ports), decided(found(3, true, 43)));
}

#[test]
fn every_change_of_an_octet_is_survived() {
    let ip = v6(60, &extension(44, &fragment(60, 1, &extension(UDP, &dns()))));
    let frames = [
        ethernet(0x8100, &tagged(V6, &ip)),
        ethernet(V4, &v4(47, 0, 2, &gre(0x1000, 0x22eb, 1, &erspan3(1, &ethernet(V6, &ip))))),
        ethernet(V4, &v4(UDP, 0, 0, &geneve(9, V4, &v4(UDP, 0, 0, &dns())))),
        ethernet(0x8864, &session(0, 0x281, &labels(9, &v4(UDP, 0, 0, &dns())))),
    ];
    let ports = Ports::new(&[53]);
    for frame in frames {
        for at in 0..frame.len() {
            for value in 0..=255 {
                let mut changed = frame.clone();
                changed[at] = value;
                as_kernel(&changed, &ports);
                whole(&changed, &ports);
            }
        }
    }
}

/// Pseudo-random numbers that are the same each time (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn octet(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// One of these or, one time in four, any octet.
    fn mostly(&mut self, octets: &[u8]) -> u8 {
        let at = usize::from(self.octet());
        if at < 192 { octets[at % octets.len()] } else { self.octet() }
    }
}

#[test]
fn a_glance_agrees_with_the_decision_on_any_octets() {
    let (ports, mut numbers) = (Ports::new(&[53]), Numbers(0x2545_f491_4f6c_dd1d));
    let protocols = [UDP, TCP, UDP, 4, 41, 47, 51, 0, 43, 44, 60, 135, 139, 140, 1, 58];
    let mut dns = 0_u32;
    for _ in 0..100_000 {
        let length = 20 + usize::from(numbers.octet() % 100);
        let mut frame: Vec<u8> = (0..length.max(64)).map(|_| numbers.octet()).collect();
        let is_v6 = numbers.octet() % 2 == 0;
        let (ethertype, protocol_at, ports_at) = if is_v6 { (V6, 20, 54) } else { (V4, 23, 34) };
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        frame[14] = numbers.mostly(if is_v6 { &[0x60] } else { &[0x45] });
        if !is_v6 {
            frame[20] = numbers.mostly(&[0, 0x40, 0x20]);
            frame[21] = numbers.mostly(&[0]);
        }
        frame[protocol_at] = numbers.mostly(&protocols);
        for at in [ports_at, ports_at + 2] {
            let port =
                [(0, 53), (0x12, 0xb5), (0x17, 0xc1), (0xc0, 0)][usize::from(numbers.octet() % 4)];
            (frame[at], frame[at + 1]) = port;
        }
        dns += u32::from(as_kernel(&frame[..length.min(frame.len())], &ports));
    }
    assert!((5_000..95_000).contains(&dns), "{dns} of 100,000 are DNS");
}
