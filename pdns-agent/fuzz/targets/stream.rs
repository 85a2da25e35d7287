//! One TCP stream, cut anywhere: segments in any order, again, over each other, with holes.
//!
//! Each packet of the input is a segment: two octets of position within the stream, one of flags, then its data.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_ebpf_common::Start;
use pdns_fuzz::{read, run};

fuzz_target!(|input: &[u8]| {
    let packets: Vec<_> = read(input)
        .filter_map(|(at, octets)| {
            let (&[high, low, flags], data) = octets.split_first_chunk::<3>()?;
            Some((at, segment(u16::from_be_bytes([high, low]), flags, data)))
        })
        .collect();
    let raw = Start { at: 0, ethertype: Start::ANY_IP };
    run(packets.iter().map(|(at, octets)| (*at, octets.as_slice())), raw);
});

/// An IPv4 packet with a segment from or to port 53; bit 6 of `flags` says which.
fn segment(position: u16, flags: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(40 + data.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    let (client, server) = (([192, 0, 2, 1], 40_000_u16), ([192, 0, 2, 53], 53));
    let (from, to) = if flags & 0x40 == 0 { (server, client) } else { (client, server) };
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    // Close to the end of the numbers, so that they wrap.
    packet.extend((u32::MAX - 0x8000).wrapping_add(u32::from(position)).to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, flags & 0x3f, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(data);
    packet
}
