//! Tests of TCP streams.

use super::build::{PORT, client, ethernet, fragments, framed, ip_frame, query, server, tcp, v4};
use super::{Run, shuffle};
use crate::decode::wire::{Flow, StreamLimits, Transport, WireOptions};
use proptest::prelude::*;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A segment from the client.
fn segment(sequence: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    v4(6, 1, &tcp((PORT, 53), sequence, 1, flags, data))
}

/// An acknowledgement by the server of the client's octets.
fn acknowledged(ack: u32) -> Vec<u8> {
    super::build::v4_part(
        (super::build::SERVER, super::build::CLIENT),
        6,
        1,
        0,
        &tcp((53, PORT), 900, ack, ACK, &[]),
    )
}

fn three() -> (Vec<Vec<u8>>, Vec<u8>) {
    let messages: Vec<_> = (1..=3).map(|id| query(id, 20 * usize::from(id))).collect();
    let stream = messages.iter().flat_map(|message| framed(message)).collect();
    (messages, stream)
}

#[test]
fn messages_are_cut_out_of_segments_of_any_size() {
    let (messages, stream) = three();
    for size in 1..=stream.len() {
        let mut run = Run::new();
        run.ip(&segment(99, SYN, &[]));
        for (at, part) in stream.chunks(size).enumerate() {
            run.ip(&segment(100 + u32::try_from(at * size).unwrap(), ACK, part));
        }
        assert_eq!(run.messages(), messages, "{size}");
        let flow = Flow { transport: Transport::Tcp, from: client(), to: server() };
        assert!(run.seen.iter().all(|(other, _)| *other == flow));
        assert_eq!(run.ledger(), format!("segments {}", 1 + stream.len().div_ceil(size)));
        run.finish();
    }
}

#[test]
fn data_may_come_with_the_syn_and_the_fin_and_numbers_wrap() {
    let (messages, stream) = three();
    let mut run = Run::new();
    let start = u32::MAX - 30;
    run.ip(&segment(start, SYN, &stream[..20]));
    run.ip(&segment(start.wrapping_add(21), ACK, &stream[20..60]));
    run.ip(&segment(start.wrapping_add(61), FIN | ACK, &stream[60..]));
    assert_eq!(run.messages(), messages);
    // Retransmitted after the end.
    run.ip(&segment(start.wrapping_add(61), FIN | ACK, &stream[60..])).ip(&segment(
        start,
        SYN,
        &[],
    ));
    assert_eq!(run.finish().ledger(), "segments 5");
    assert_eq!(run.messages(), messages);
}

#[test]
fn what_came_first_stays_where_segments_overlap() {
    let (messages, stream) = three();
    let junk = vec![0xff; stream.len()];
    let mut run = Run::new();
    run.ip(&segment(99, SYN, &[]));
    run.ip(&segment(110, ACK, &stream[10..40])).ip(&segment(160, ACK, &stream[60..90]));
    run.ip(&segment(120, ACK, &[&junk[20..40], &stream[40..60], &junk[60..70]].concat()));
    run.ip(&segment(100, ACK, &[&stream[..10], &junk[10..90], &stream[90..]].concat()));
    assert_eq!(run.messages(), messages);
    // A keepalive: an octet from before.
    run.ip(&segment(99, ACK, &[0])).finish();
    assert_eq!(run.ledger(), "segments 6");
}

#[test]
fn a_segment_that_the_capture_cut_leaves_out_what_is_behind_it_and_no_more() {
    let (messages, stream) = three();
    let frame = |at: usize, end: usize| {
        ip_frame(&segment(100 + u32::try_from(at).unwrap(), ACK, &stream[at..end]))
    };
    let headers = frame(0, 0).len();
    let first = framed(&messages[0]).len();
    // 10 octets of the second segment were captured: all of them new, some, or none. It extends to the end of
    // the second message.
    let second = first + framed(&messages[1]).len();
    for known in [first, first + 4, first + 10, first + 20] {
        let mut run = Run::new();
        run.ip(&segment(99, SYN, &[])).frame(&frame(0, known));
        run.cut(&frame(first, second), headers + 10).frame(&frame(second, stream.len()));
        assert_eq!(run.messages(), [&messages[0], &messages[2]], "{known}");
        run.finish();
    }
}

#[test]
fn a_stream_met_in_its_middle_is_taken_up_at_the_next_message() {
    let (messages, stream) = three();
    let first = framed(&messages[0]).len();
    let cut = first + 10;
    for missed in 0..first {
        let mut run = Run::new();
        let next = 500 + u32::try_from(cut - missed).unwrap();
        run.ip(&segment(500, ACK, &stream[missed..cut])).ip(&segment(next, ACK, &stream[cut..]));
        let expected = if missed == 0 { &messages[..] } else { &messages[1..] };
        assert_eq!(run.messages(), expected, "{missed}");
        run.finish();
    }
    // Only the length is missing.
    let mut run = Run::new();
    run.ip(&segment(500, ACK, &messages[0])).ip(&segment(
        500 + u32::try_from(first - 2).unwrap(),
        ACK,
        &stream[first..],
    ));
    assert_eq!(run.messages(), messages);
}

#[test]
fn a_gap_is_passed_over_once_its_receiver_has_what_is_missing() {
    let (messages, stream) = three();
    let mut run = Run::new();
    run.ip(&segment(99, SYN, &[])).ip(&segment(100, ACK, &stream[..40]));
    run.ip(&segment(150, ACK, &stream[50..]));
    assert_eq!(run.ledger(), "segments 1, held 2");
    run.ip(&acknowledged(160));
    assert_eq!(run.messages().len(), 0);
    // It may only have arrived out of order; after a second this is ruled out.
    run.wait(1).ip(&acknowledged(160));
    assert_eq!(run.messages(), messages[1..]);
    assert_eq!(run.ledger(), "segments 4, lost stream_gap 1");
    assert_eq!(run.wire.tally().gaps, 1);
}

#[test]
fn a_gap_is_passed_over_in_time_or_at_the_end() {
    let (messages, stream) = three();
    let end = 100 + u32::try_from(stream.len()).unwrap();
    let begin = || {
        let mut run = Run::new();
        run.ip(&segment(99, SYN, &[])).ip(&segment(100, ACK, &stream[..40]));
        run.ip(&segment(150, ACK, &stream[50..]));
        run
    };
    let mut run = begin();
    run.wait(11).ip(&segment(end, ACK, &framed(&query(9, 0))));
    assert_eq!(run.messages(), [&messages[1], &messages[2], &query(9, 0)]);
    let mut run = begin();
    assert_eq!(run.finish().messages(), messages[1..]);
    let mut run = begin();
    run.wait(61).frame(&ethernet(0x0806, &[]));
    assert_eq!(run.messages(), messages[1..]);
    let mut run = begin();
    run.ip(&segment(end, RST, &[]));
    assert_eq!(
        (run.messages(), run.ledger().as_str()),
        (messages[1..].iter().map(Vec::as_slice).collect(), "segments 3, lost stream_gap 1")
    );
    // The missing part arrives late, and everything is complete.
    let mut run = begin();
    run.wait(5).ip(&segment(140, ACK, &stream[40..50]));
    assert_eq!((run.messages().len(), run.ledger().as_str()), (3, "segments 4"));
}

#[test]
fn ends_within_a_message_are_losses() {
    let (messages, stream) = three();
    let check = |act: &dyn Fn(&mut Run), ledger: &str| {
        let mut run = Run::new();
        run.ip(&segment(99, SYN, &[])).ip(&segment(100, ACK, &stream[..30])).ip(&segment(
            130,
            ACK,
            &stream[30..60],
        ));
        assert_eq!(run.ledger(), "segments 1, held 2");
        act(&mut run);
        assert_eq!(run.ledger(), ledger);
        run.finish();
        assert!(run.messages().is_empty() || run.messages() == [messages[0].as_slice()]);
    };
    check(&|run| _ = run.ip(&segment(160, FIN, &[])), "segments 2, lost stream_end 2");
    check(&|run| _ = run.ip(&segment(160, RST, &[])), "segments 2, lost stream_end 2");
    check(&|run| _ = run.ip(&segment(7000, SYN, &[])), "segments 2, lost stream_end 2");
    check(&|run| _ = run.wait(61).ip(&acknowledged(5)), "segments 2, lost stream_timeout 2");
    check(&|run| _ = run.finish(), "segments 1, lost capture_end 2");
}

#[test]
fn ports_are_used_again() {
    let (messages, stream) = three();
    let mut run = Run::new();
    for start in [99, 99_000, 2_000_000_000] {
        run.ip(&segment(start, SYN, &[])).ip(&segment(start + 1, ACK | FIN, &stream));
    }
    assert_eq!(run.messages(), [&messages[..], &messages, &messages].concat());
    // Without the SYN: far away, or after the end.
    run.ip(&segment(7, ACK, &stream)).ip(&segment(2_000_000_000, ACK, &stream));
    assert_eq!(run.messages().len(), 15);
}

#[test]
fn what_is_not_dns_is_given_up() {
    for data in [&b"\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..], &[0; 40]] {
        let mut run = Run::new();
        run.ip(&segment(99, SYN, &[])).ip(&segment(100, ACK, data));
        run.ip(&segment(1000, ACK, data)).ip(&segment(
            100 + u32::try_from(data.len()).unwrap(),
            ACK,
            data,
        ));
        assert_eq!(run.finish().ledger(), "segments 1, rejected not_dns 3");
    }
    // A stream joined in its middle is searched for a while.
    let mut run = Run::new();
    let web = b"HTTP/1.1 200 OK\r\n".repeat(80);
    let size = u32::try_from(web.len()).unwrap();
    for number in 0..300 {
        run.ip(&segment(number * size, ACK, &web));
    }
    let rejected: u64 = run.finish().wire.tally().rejected.values().sum();
    assert!(rejected > 90 && run.seen.is_empty(), "{}", run.ledger());
}

#[test]
fn a_segment_that_the_capture_cut_gives_what_is_whole() {
    let (messages, stream) = three();
    let first = framed(&messages[0]).len();
    let mut run = Run::new();
    run.ip(&segment(99, SYN, &[]));
    let frame = ip_frame(&segment(100, ACK, &stream));
    run.cut(&frame, frame.len() - stream.len() + first);
    assert_eq!(
        (run.messages(), run.ledger().as_str()),
        (vec![messages[0].as_slice()], "segments 2")
    );
    // The stream continues after the truncated part.
    let end = 100 + u32::try_from(stream.len()).unwrap();
    let frame = ip_frame(&segment(end, ACK, &stream));
    run.cut(&frame, frame.len() - stream.len() + first - 1);
    run.cut(&frame, frame.len() - stream.len());
    let end = end + u32::try_from(stream.len()).unwrap();
    run.ip(&segment(end, ACK, &stream));
    assert_eq!(run.messages().len(), 4);
    // The second truncated segment contains nothing that the first did not.
    assert_eq!(run.finish().ledger(), "segments 4, rejected cut_by_capture 1");
    let mut run = Run::new();
    let frame = ip_frame(&segment(100, ACK, &stream));
    run.cut(&frame, frame.len() - stream.len()).cut(&frame, 60);
    // Retransmitted and truncated again, it contains nothing new.
    assert_eq!(run.ledger(), "segments 1, rejected cut_by_capture 1");
}

#[test]
fn streams_are_bounded_and_openings_do_not_displace_them() {
    let (messages, stream) = three();
    let limits = StreamLimits { streams: 2, ..StreamLimits::default() };
    let mut run = Run::with(WireOptions { streams: limits, ..WireOptions::default() });
    let from = |port: u16, sequence, flags, data: &[u8]| {
        v4(6, 1, &tcp((port, 53), sequence, 1, flags, data))
    };
    run.ip(&from(1, 99, SYN, &[])).ip(&from(1, 100, ACK, &stream[..30]));
    for port in 1000..1100 {
        run.ip(&from(port, 5, SYN, &[]));
    }
    run.ip(&from(1, 130, ACK, &stream[30..]));
    assert_eq!(run.messages(), messages);
    for port in 2..5 {
        run.ip(&from(port, 99, SYN, &[])).ip(&from(port, 100, ACK, &stream[..30]));
    }
    assert_eq!(run.ledger(), "segments 106, held 2, lost stream_evicted 1");
    // One stream with a gap uses no more than its share, and continues after the gap.
    let mut run = Run::new();
    run.ip(&segment(99, SYN, &[])).ip(&segment(100, ACK, &[1]));
    let block = framed(&query(1, 1200)).repeat(10);
    let size = u32::try_from(block.len()).unwrap();
    for number in 0..40 {
        run.ip(&segment(200 + number * size, ACK, &block));
        assert!(run.wire.streams.usage().2 < 300 * 1024);
    }
    assert_eq!(run.finish().messages().len(), 400);
}

#[test]
fn a_segment_in_fragments_is_a_segment() {
    let (messages, stream) = three();
    let mut run = Run::new();
    run.ip(&segment(99, SYN, &[]));
    for part in fragments(&segment(100, ACK, &stream[..100]), &[6, 9]) {
        run.ip(&part);
    }
    run.ip(&segment(200, ACK, &stream[100..]));
    assert_eq!(
        (run.messages(), run.ledger().as_str()),
        (messages.iter().map(Vec::as_slice).collect(), "segments 2, fragments 3")
    );
}

proptest! {
    #[test]
    fn segments_in_any_order_and_doubled_give_the_messages(
        sizes in prop::collection::vec(0_usize..3000, 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        order in prop::collection::vec(any::<usize>(), 0..40),
        doubled in any::<u32>(),
        start in any::<u32>(),
    ) {
        let messages: Vec<_> = sizes.iter().zip(0..).map(|(&size, id)| query(id, size)).collect();
        let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        ends.extend([0, stream.len()]);
        ends.sort_unstable();
        ends.dedup();
        let mut parts: Vec<(usize, usize)> = ends.windows(2).map(|pair| (pair[0], pair[1])).collect();
        shuffle(&mut parts, &order);
        let mut run = Run::new();
        run.ip(&segment(start, SYN, &[]));
        let mut count = 1;
        for (at, (from, to)) in parts.iter().enumerate() {
            let sequence = start.wrapping_add(1).wrapping_add(u32::try_from(*from).unwrap());
            // A duplicate reaches further than the original.
            let reach = if doubled >> (at % 32) & 1 == 1 { stream.len().min(to + 7) } else { *to };
            let fin = if *to == stream.len() { FIN } else { 0 };
            run.ip(&segment(sequence, ACK | fin, &stream[*from..*to]));
            run.ip(&segment(sequence, ACK, &stream[*from..reach]));
            count += 2;
        }
        prop_assert_eq!(run.messages(), messages);
        prop_assert_eq!(run.finish().ledger(), format!("segments {count}"));
    }
}
