//! UDP, fragments and tunnels.

use super::build::{
    CLIENT6, PORT, SERVER6, client, ethernet, fragments, ip_frame, part, query, server, tunnels,
    udp, v4, v6,
};
use super::{Run, shuffle};
use crate::decode::wire::{Flow, FragmentLimits, Transport, WireOptions};
use proptest::prelude::*;

fn question(padding: usize) -> Vec<u8> {
    v4(17, 7, &udp(PORT, 53, &query(1, padding)))
}

fn question6(padding: usize) -> Vec<u8> {
    v6(17, &udp(PORT, 53, &query(1, padding)))
}

#[test]
fn a_datagram_is_a_message_and_says_who_sent_it() {
    let mut run = Run::new();
    // Ethernet pads short frames.
    run.frame(&[ip_frame(&question(0)), vec![0; 30]].concat());
    run.frame(&ip_frame(&question6(0)));
    let flow = Flow { transport: Transport::Udp, from: client(), to: server() };
    let flow6 = Flow { from: (CLIENT6.into(), PORT), to: (SERVER6.into(), 53), ..flow };
    assert_eq!(run.seen, [(flow, query(1, 0)), (flow6, query(1, 0))]);
    run.frame(&ip_frame(&v4(1, 7, &[0; 40]))).finish();
    assert_eq!(run.ledger(), "other 1, datagrams 2");
}

#[test]
fn lengths_that_cannot_be_are_rejected_and_zero_goes_to_the_end() {
    let check = |at: usize, value: u16, ledger: &str| {
        let mut packet = question(0);
        packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
        assert_eq!(Run::new().ip(&packet).finish().ledger(), ledger, "{at} {value}");
    };
    let whole = u16::try_from(question(0).len()).unwrap();
    check(2, 0, "datagrams 1");
    check(2, whole + 1, "rejected ip_length 1");
    check(2, 19, "rejected ip_length 1");
    check(2, whole - 1, "rejected udp_length 1");
    check(24, 0, "datagrams 1");
    check(24, 7, "rejected udp_length 1");
    check(24, 8, "rejected empty_datagram 1");
    check(24, 9, "datagrams 1");
    check(24, whole, "rejected udp_length 1");
}

#[test]
fn what_there_is_of_a_response_is_handed_on_before_the_rest_comes() {
    let mut response = query(1, 50);
    response[2] |= 0x80;
    let (from, to) = ((client().0, 53), (server().0, PORT));
    let flow = Flow { transport: Transport::Udp, from, to };
    // The response was truncated by the capture.
    let packet = v4(17, 7, &udp(53, PORT, &response));
    let mut run = Run::new();
    run.cut(&ip_frame(&packet), 14 + 20 + 8 + 20).finish();
    assert_eq!(run.beginnings, [(flow, response[..20].to_vec())]);
    assert_eq!((run.seen.len(), run.ledger()), (0, "rejected cut_by_capture 1".to_owned()));
    // The response is fragmented, with or without the rest; queries deliver nothing.
    for (message, first) in [(&response, 1), (&query(1, 50), 0)] {
        let parts = fragments(&v4(17, 7, &udp(53, PORT, message)), &[3]);
        let mut run = Run::new();
        run.ip(&parts[0]);
        assert_eq!((run.beginnings.len(), run.seen.len()), (first, 0));
        run.ip(&parts[1]).finish();
        assert_eq!((run.beginnings.len(), run.seen.len()), (first, 1));
    }
}

#[test]
fn a_packet_that_the_capture_cut_is_used_if_the_message_is_whole() {
    let frame = ip_frame(&question(50));
    let padded = [frame.clone(), vec![0; 8]].concat();
    let mut run = Run::new();
    run.cut(&padded, frame.len()).cut(&padded, frame.len() - 1).cut(&padded, 40).cut(&padded, 36);
    run.cut(&padded, 35).cut(&padded, 10).frame(&frame[..30]).finish();
    assert_eq!(run.ledger(), "datagrams 1, rejected header 1, rejected cut_by_capture 5");
}

#[test]
fn tags_in_any_number_are_passed_over() {
    let mut frame = ip_frame(&question(0));
    for tag in [0x8100_u16, 0x88a8, 0x9100] {
        frame.splice(12..12, [tag.to_be_bytes(), [0, 9]].concat());
        let mut run = Run::new();
        assert_eq!(run.frame(&frame).messages(), [query(1, 0)], "{tag:x}");
    }
}

#[test]
fn each_tunnel_is_looked_into_whole_or_in_fragments() {
    for inner in [question(80), question6(80)] {
        for (name, protocol, payload) in tunnels(&inner) {
            for outer in [v4(protocol, 5, &payload), v6(protocol, &payload)] {
                let mut run = Run::new();
                run.ip(&outer);
                assert_eq!(run.messages(), [query(1, 80)], "{name}");
                let parts = fragments(&outer, &[12, 14, 17]);
                for part in parts.iter().rev() {
                    run.ip(part);
                }
                assert_eq!(run.finish().messages(), [query(1, 80), query(1, 80)], "{name}");
                assert_eq!(run.seen[0], run.seen[1], "{name}");
                assert_eq!(run.ledger(), "datagrams 1, fragments 4", "{name}");
            }
            // Fragments within a tunnel, and tunnels within fragments.
            let mut run = Run::new();
            for (id, part) in (10..).zip(fragments(&inner, &[4, 9])) {
                let mut made = tunnels(&part).into_iter();
                let (_, protocol, payload) = made.find(|(other, ..)| *other == name).unwrap();
                for part in fragments(&v4(protocol, id, &payload), &[12]) {
                    run.ip(&part);
                }
            }
            assert_eq!(run.messages().len(), 1, "{name}: {}", run.ledger());
            run.finish();
        }
    }
}

#[test]
fn fragments_that_overlap_or_contradict_are_dropped_whole() {
    for packet in [question(80), question6(80)] {
        let payload = packet[if packet[0] >> 4 == 6 { 40 } else { 20 }..].to_vec();
        let end = payload.len();
        let check = |parts: &[(usize, bool, &[u8])], ledger: &str| {
            let mut run = Run::new();
            for (offset, more, data) in parts {
                run.ip(&part(&packet, *offset, *more, data));
            }
            assert_eq!(run.finish().ledger(), ledger);
        };
        let (first, last) = ((0, true, &payload[..48]), (48, false, &payload[48..]));
        let mut other = payload[..48].to_vec();
        other[30] ^= 1;
        check(&[first, last], "fragments 2");
        check(&[last, first], "fragments 2");
        check(&[first, first, last], "fragments 3");
        // Everything after the overlap is dropped too.
        check(&[first, (40, false, &payload[40..]), last], "rejected fragment_overlap 3");
        check(&[first, (0, true, &other), last], "rejected fragment_overlap 3");
        check(&[last, (8, true, &payload[8..56]), first], "rejected fragment_overlap 3");
        // Two ends, or octets after the end.
        check(&[last, (48, false, &payload[48..end - 1])], "rejected fragment_overlap 2");
        check(
            &[last, (end.next_multiple_of(8), true, &payload[..8])],
            "rejected fragment_overlap 2",
        );
        check(
            &[(64, true, &payload[64..72]), (48, false, &payload[48..60])],
            "rejected fragment_overlap 2",
        );
        check(&[(0, true, &payload[..47])], "rejected fragment_length 1");
        check(&[(65_528, false, &payload[..9])], "rejected fragment_length 1");
        check(&[(65_528, false, &payload[..0])], "rejected fragment_length 1");
        check(&[first], "lost capture_end 1");
        check(&[last], "lost no_first_fragment 1");
    }
}

#[test]
fn fragments_wait_half_a_minute_and_the_oldest_leaves_when_there_are_too_many() {
    let parts = fragments(&question(80), &[4]);
    let mut run = Run::new();
    run.ip(&parts[0]).wait(31).ip(&parts[1]);
    assert_eq!(run.ledger(), "held 1, lost fragment_timeout 1");
    run.wait(29).ip(&parts[0]);
    assert_eq!(run.ledger(), "fragments 2, lost fragment_timeout 1");
    let fragments_limit = FragmentLimits { datagrams: 2, ..FragmentLimits::default() };
    let mut run = Run::with(WireOptions { fragments: fragments_limit, ..WireOptions::default() });
    for id in 0..4 {
        run.ip(&fragments(&v4(17, id, &udp(PORT, 53, &query(id, 80))), &[4])[0]);
    }
    assert_eq!(run.ledger(), "held 2, lost fragment_evicted 2");
    // A datagram that is already waiting needs no more room than its octets.
    run.ip(&fragments(&v4(17, 2, &udp(PORT, 53, &query(2, 80))), &[4])[1]);
    assert_eq!(run.messages(), [query(2, 80)]);
    assert_eq!(run.ledger(), "fragments 2, held 1, lost fragment_evicted 2");
    let limit = FragmentLimits { octets: 300, ..FragmentLimits::default() };
    let mut run = Run::with(WireOptions { fragments: limit, ..WireOptions::default() });
    run.ip(&parts[1]).ip(&parts[0]).ip(&parts[1]).ip(&parts[1]);
    run.ip(&part(&question(80), 800, true, &[0; 200]));
    assert_eq!(run.ledger(), "fragments 2, held 1, lost no_first_fragment 2");
}

#[test]
fn the_header_before_it_tells_the_version_of_ip() {
    // The version field contradicts the header; it is ignored, in fragments or not.
    for (ethertype, packet) in [(0x0800, question(80)), (0x86dd, question6(80))] {
        let mut run = Run::new();
        for mut part in [vec![packet.clone()], fragments(&packet, &[4])].concat() {
            part[0] ^= 0x20;
            run.frame(&ethernet(ethertype, &part));
        }
        assert_eq!(run.messages(), [query(1, 80), query(1, 80)], "{ethertype:x}");
        assert_eq!(run.ledger(), "datagrams 1, fragments 2");
    }
}

#[test]
fn a_message_that_is_put_together_and_broken_is_rejected_with_all_its_frames() {
    let mut packet = question(80);
    packet[24..26].copy_from_slice(&500_u16.to_be_bytes());
    let mut run = Run::new();
    for part in fragments(&packet, &[4, 8]) {
        run.ip(&part);
    }
    assert_eq!(run.ledger(), "rejected udp_length 3");
    assert_eq!(Run::new().frame(&ethernet(0x0800, &[])).ledger(), "rejected header 1");
}

proptest! {
    #[test]
    fn fragments_in_any_order_and_doubled_give_the_message(
        padding in 0_usize..4000,
        cuts in prop::collection::vec(1_usize..500, 0..12),
        order in prop::collection::vec(any::<usize>(), 0..30),
        doubled in any::<u16>(),
        is_v6 in any::<bool>(),
    ) {
        let packet = if is_v6 { question6(padding) } else { question(padding) };
        let mut parts = fragments(&packet, &cuts);
        if parts.len() == 1 {
            return Ok(());
        }
        shuffle(&mut parts, &order);
        let count = parts.len();
        let mut frames = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            frames.push(part.clone());
            // Not the last: it would be the first of another datagram.
            if doubled >> at & 1 == 1 && at + 1 < count {
                frames.push(part.clone());
            }
        }
        let mut run = Run::new();
        for frame in &frames {
            run.ip(frame);
        }
        prop_assert_eq!(run.finish().messages(), [query(1, padding)]);
        prop_assert_eq!(run.ledger(), format!("fragments {}", frames.len()));
    }
}
