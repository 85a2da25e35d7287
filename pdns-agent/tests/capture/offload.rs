//! Packets as segmentation offload makes them: larger than any wire carries, and not in one piece of memory.

use crate::network::{PACKET_QDISC_BYPASS, Sender, pair};
use crate::packets::{TCP, V4, ethernet, tcp, v4};
use crate::{isolated, open, taken};

/// The `libc` crate has it for some targets alone.
const PACKET_VNET_HDR: libc::c_int = 15;

/// From now on a packet begins with a `virtio_net_hdr`, which tells the kernel what is left for it to do: segments, a
/// checksum. It is queued, which is where what is sent is shown to others.
pub(crate) fn expect_offload_header(sender: &Sender) {
    sender.set(PACKET_QDISC_BYPASS, 0);
    sender.set(PACKET_VNET_HDR, 1);
}

/// Octets of the headers: Ethernet, IPv4, TCP.
const HEADERS: usize = 14 + 20 + 20;

/// A `virtio_net_hdr` that asks for segments of 1448 octets and for TCP's checksum.
fn offload_header() -> Vec<u8> {
    // Flags: a checksum is wanted. Kind: TCP over IPv4.
    let mut header = vec![1, 1];
    let headers = u16::try_from(HEADERS).unwrap();
    // Octets of headers, of a segment's payload, where the checksum begins, where in there it stands.
    for number in [headers, 1448, 34, 16] {
        header.extend(number.to_ne_bytes());
    }
    header
}

#[test]
fn a_stream_of_sixty_thousand_octets_in_one_packet() {
    isolated("a_stream_of_sixty_thousand_octets_in_one_packet", || {
        pair("cap");
        let (mut capture, sender) = (open("cap", 1 << 20), Sender::open("cap-out"));
        expect_offload_header(&sender);
        for length in [1000, 10_000, 16_000, 60_000, 65_000] {
            let payload: Vec<u8> = (0..length).map(|at: u32| (at / 7 % 251) as u8).collect();
            let packet = ethernet(V4, &v4(TCP, 0x4000, 0, &tcp(53, 50_000, &payload)));
            sender.send(&[&offload_header()[..], &packet].concat());
            let taken = taken(&mut capture);
            assert_eq!(taken.len(), 1, "{length} octets");
            // Left whole, and only the checksum is the kernel's to change.
            assert_eq!(taken[0].len(), packet.len(), "{length} octets");
            assert_eq!(taken[0][..50], packet[..50], "{length} octets");
            assert_eq!(taken[0][HEADERS..], packet[HEADERS..], "{length} octets");
        }
        assert_eq!(capture.counters().truncated, 0);
    });
}
