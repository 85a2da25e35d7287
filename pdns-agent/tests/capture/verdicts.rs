//! The decision is one function, which the host and the kernel run: they must say the same of every packet.
//!
//! Packets are made at random from layers of headers, and changed at random. Each is sent through the kernel;
//! those that come out must be, in order, those that the host lets through.

use crate::network::{Sender, pair};
use crate::packets::{
    MPLS, OLD_QINQ, PPPOE, TCP, UDP, V4, V6, VLAN, ethernet, extension, fragment, geneve, gre,
    kinds, labels, others, received, session, tag, tcp, udp, v4, v6, vxlan,
};
use crate::{RING, capture, isolated, taken};
use fastrand::Rng;
use pdns_ebpf_common::{Link, Ports, decide};

/// How many packets are made, and how often each is changed.
const PACKETS: usize = 4000;
const CHANGES: usize = 4;

/// Packets sent before those that came are looked at: fewer than the ring buffer has room for.
const BATCH: usize = RING / 4096;

/// What is in an IP packet, and the number of it.
fn upper(rng: &mut Rng, is_v6: bool, depth: u32) -> (u8, Vec<u8>) {
    let port = |rng: &mut Rng| rng.choice([53, 53, 443, 4789, 8472, 6081, 40_000]).unwrap();
    let (from, to) = (port(rng), port(rng));
    match rng.u8(0..16) {
        0..4 => (UDP, udp(from, to, b"some payload of a packet")),
        4..6 => (TCP, tcp(from, to, b"some payload")),
        6 if depth > 0 => (4, ip(rng, false, depth - 1)),
        7 if depth > 0 => (41, ip(rng, true, depth - 1)),
        8 | 9 if depth > 0 => {
            let flags = rng.choice([0, 0x1000, 0x2000, 0x8000, 0xb000, 0x4000, 1]).unwrap();
            let kind = rng.choice([V4, V6, 0x6558, 0x88be, 0x22eb, 0x880b]).unwrap();
            let words = u16::count_ones(flags & 0xb000) as usize;
            let inner = match kind {
                V4 => ip(rng, false, depth - 1),
                V6 => ip(rng, true, depth - 1),
                0x88be if flags & 0x1000 != 0 => [&[0; 8][..], &frame(rng, depth - 1)].concat(),
                0x22eb => {
                    let last = rng.choice([0, 1, 2 << 10, 5 << 10]).unwrap();
                    let optional = vec![0; if last & 1 == 1 { 8 } else { 0 }];
                    let inner = if last >> 10 == 2 {
                        ip(rng, false, depth - 1)
                    } else {
                        frame(rng, depth - 1)
                    };
                    [&[0; 10][..], &u16::to_be_bytes(last), &optional, &inner].concat()
                }
                _ => frame(rng, depth - 1),
            };
            (47, gre(flags, kind, words, &inner))
        }
        10 if depth > 0 => (UDP, vxlan(&frame(rng, depth - 1))),
        11 if depth > 0 => {
            let words = rng.u8(0..64);
            match rng.u8(0..3) {
                0 => (UDP, geneve(words, V4, &ip(rng, false, depth - 1))),
                1 => (UDP, geneve(words, V6, &ip(rng, true, depth - 1))),
                _ => (UDP, geneve(words, 0x6558, &frame(rng, depth - 1))),
            }
        }
        12 | 13 if is_v6 => {
            let (next, inner) = upper(rng, is_v6, depth);
            let bits = rng.choice([0, 1, 0x88, 0x89, 6]).unwrap();
            (44, fragment(next, bits, &inner))
        }
        14 if !is_v6 => {
            let (next, inner) = upper(rng, is_v6, depth);
            // An authentication header of three words.
            (51, [&[next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &inner].concat())
        }
        _ if is_v6 => {
            let (next, inner) = upper(rng, is_v6, depth);
            (rng.choice([0, 43, 60, 135, 139, 140]).unwrap(), extension(next, &inner))
        }
        number => (number * 17, b"something else".to_vec()),
    }
}

fn ip(rng: &mut Rng, is_v6: bool, depth: u32) -> Vec<u8> {
    let (number, payload) = upper(rng, is_v6, depth);
    if is_v6 {
        return v6(number, &payload);
    }
    let bits = rng.choice([0, 0, 0, 0, 0x4000, 0x2000, 0x00b9, 0x20b9]).unwrap();
    let options = if rng.u8(0..4) == 0 { rng.usize(0..11) } else { 0 };
    v4(number, bits, options, &payload)
}

fn frame(rng: &mut Rng, depth: u32) -> Vec<u8> {
    let is_v6 = rng.bool();
    let (mut ethertype, mut payload) = (if is_v6 { V6 } else { V4 }, ip(rng, is_v6, depth));
    match rng.u8(0..8) {
        0 => {
            let count = rng.choice([1, 2, 7, 8, 9, 16, 17, 24, 25, 40]).unwrap();
            let inner = match rng.u8(0..4) {
                0 if depth > 0 => frame(rng, depth - 1),
                1 if depth > 0 => [&[0; 4][..], &frame(rng, depth - 1)].concat(),
                _ => payload,
            };
            (ethertype, payload) = (rng.choice([MPLS, 0x8848]).unwrap(), labels(count, &inner));
        }
        1 => {
            let protocol = rng.choice([0x21, 0x57, 0x281, 0xc021]).unwrap();
            (ethertype, payload) = (PPPOE, session(protocol, &payload));
        }
        _ => {}
    }
    let tags = if rng.u8(0..3) == 0 { rng.u8(0..10) } else { 0 };
    for _ in 0..tags {
        payload = tag(ethertype, &payload);
        ethertype = rng.choice([VLAN, 0x88a8, OLD_QINQ]).unwrap();
    }
    ethernet(ethertype, &payload)
}

/// Changes some octets, or cuts the packet.
fn changed(rng: &mut Rng, packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for _ in 0..rng.usize(1..4) {
        // Headers are where it matters; not the addresses, which say nothing to the decision.
        let at = rng.usize(12..packet.len().max(13));
        if let Some(octet) = packet.get_mut(at) {
            *octet = if rng.bool() { rng.u8(..) } else { *octet ^ (1 << rng.u8(0..8)) };
        }
    }
    if rng.u8(0..4) == 0 {
        packet.truncate(rng.usize(14..=packet.len().max(14)));
    }
    packet
}

/// Whether the kernel itself refuses a packet before anybody sees it: a tag that is cut.
fn is_refused(packet: &[u8]) -> bool {
    packet.len() < 20 && matches!(packet.get(12..14), Some([0x81, 0] | [0x88, 0xa8]))
}

#[test]
fn the_kernel_decides_as_the_host_does() {
    isolated("the_kernel_decides_as_the_host_does", || {
        pair("cap");
        let (mut capture, sender) = (capture("cap"), Sender::open("cap-out"));
        let seed = 0x70_64_6e_73;
        let mut rng = Rng::with_seed(seed);
        let mut made: Vec<Vec<u8>> =
            kinds().into_iter().chain(others()).map(|(_, packet)| packet).collect();
        made.retain(|packet| packet.len() < 2000);
        made.extend((0..PACKETS).map(|_| frame(&mut rng, 4)));
        let mut all = Vec::new();
        for packet in made {
            all.extend((0..CHANGES).map(|_| changed(&mut rng, &packet)));
            all.push(packet);
        }
        all.retain(|packet| !is_refused(packet));
        let ports = Ports::new(&[53]);
        let mut dns = 0;
        for batch in all.chunks(BATCH) {
            for packet in batch {
                sender.send(packet);
            }
            let want: Vec<Vec<u8>> = batch
                .iter()
                .map(|packet| received(packet))
                .filter(|packet| decide(&packet[..], Link::Ethernet, &ports).is_some())
                .collect();
            dns += want.len();
            let came = taken(&mut capture);
            for (number, (came, want)) in came.iter().zip(&want).enumerate() {
                assert_eq!(came, want, "packet {number} of what came");
            }
            assert_eq!(came.len(), want.len());
        }
        let counters = capture.counters();
        assert_eq!(counters.seen, all.len() as u64);
        assert_eq!(counters.lost, 0);
        // Neither all nor none: the packets tell something.
        assert!(dns > all.len() / 10 && dns < all.len() * 9 / 10, "{dns} of {}", all.len());
    });
}
