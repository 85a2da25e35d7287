//! DNS messages, any octets, as questions and answers of one client: of a server, of mDNS and of LLMNR.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_ebpf_common::Start;
use pdns_fuzz::{read, run};

fuzz_target!(|input: &[u8]| {
    let packets: Vec<_> = read(input).map(|(at, message)| (at, datagram(message))).collect();
    let raw = Start { at: 0, ethertype: Start::ANY_IP };
    run(packets.iter().map(|(at, octets)| (*at, octets.as_slice())), raw);
});

/// An IPv4 packet with a message over UDP: to a server's port if it is a question, from there if it is an answer. The
/// message's id chooses the port; that of mDNS is 0 (RFC 6762 §18.1).
fn datagram(message: &[u8]) -> Vec<u8> {
    let length =
        |more: usize| u16::try_from(more + message.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(28));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    let port: u16 = match message.get(1).map_or(7, |id| id & 7) {
        0 => 5353,
        1 => 5355,
        _ => 53,
    };
    let (client, server) = (([192, 0, 2, 1], 40_000_u16), ([192, 0, 2, 53], port));
    let is_answer = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let (from, to) = if is_answer { (server, client) } else { (client, server) };
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(message);
    packet
}
