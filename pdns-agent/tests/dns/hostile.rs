//! Messages that are broken, cut or malicious: no panic, each counted, in bounded time and memory.

use super::build::{Builder, Capture, RESPONSE, check, flow, soa, wire};
use pdns_agent::decode::dns::{DnsOptions, DnsRejection, Ending};
use pdns_agent::rr::RrType;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const A: RrType = RrType::A;
const ADDRESS: &[u8] = &[192, 0, 2, 9];

/// A response that has something of everything.
fn rich() -> Builder {
    Builder::new(RESPONSE, "www.example.com", A)
        .record(1, b"\xc0\x0c", RrType::CNAME, 1, 60, b"\x01b\xc0\x10")
        .record(1, b"\xc0\x2d", A, 1, 60, ADDRESS)
        .record(2, b"\xc0\x10", RrType::SOA, 1, 60, &soa("example.com"))
        .record(3, b"\xc0\x2d", RrType::HTTPS, 1, 60, b"\x00\x01\x00")
        .opt(0)
}

#[test]
fn a_message_cut_anywhere_is_read_up_to_there() {
    let whole = rich();
    let want = [
        "www.example.com 60 CNAME b.example.com",
        "b.example.com 60 A 192.0.2.9",
        "example.com 60 SOA ns.example.com admin.example.com 0 0 0 0 0",
        "b.example.com 60 HTTPS 1 .",
    ];
    check(&whole, &want, &[]);
    for length in 0..whole.octets.len() {
        let mut capture = Capture::new(DnsOptions::default());
        let ending = capture.put(0.0, flow(4000, 53).reversed(), &whole.octets[..length]);
        capture.advance(0.2);
        let lines = capture.take();
        match ending {
            Err(DnsRejection::ShortHeader) => assert!(length < 12),
            Err(DnsRejection::Question) => assert!(length < 33),
            Ok(Ending::Waiting) => {
                for (line, want) in lines.iter().zip(want) {
                    assert_eq!(line.trim_end_matches(" ?"), want);
                }
                assert_eq!(capture.omitted()[0].0, "rest_unreadable");
            }
            other => panic!("{other:?} at {length}"),
        }
    }
}

#[test]
fn pointers_that_lead_nowhere_end_the_message() {
    for owner in
        [&b"\xc0\x1d"[..], b"\xc0\xff", b"\xff\xff", b"\x01a\xc0\x1d", b"\x41a", b"\x80", b"\x05ab"]
    {
        let response = Builder::new(RESPONSE, "example.com", A).record(1, owner, A, 1, 60, ADDRESS);
        check(&response, &[], &[("rest_unreadable", 1), ("truncated", 1)]);
    }
    for rdata in [&b"\xc0\x29"[..], b"\xc0\xff", b"\x01a\xc0\x29", b"\xc0", b"\x07ab"] {
        let response = Builder::new(RESPONSE, "example.com", RrType::NS).record(
            1,
            b"\xc0\x0c",
            RrType::NS,
            1,
            60,
            rdata,
        );
        check(&response, &[], &[("undecodable", 1)]);
    }
}

#[test]
fn a_question_of_pointers_to_itself_is_rejected() {
    // tcpdump's dns-zlip captures, as messages.
    for name in [&b"\xc0\x0c\xc0\x07\xc0\x10"[..], b"\xc0\x0e\xc0\x0c", b"\x01a\xc0\x0c"] {
        let mut query = Builder::bare(0x0100);
        query.octets[5] = 1;
        query.octets.extend(name);
        query.octets.extend([0, 1, 0, 1]);
        let mut capture = Capture::new(DnsOptions::default());
        assert_eq!(capture.query(0.0, &query), Err(DnsRejection::Question));
    }
}

#[test]
fn a_name_has_at_most_127_pointers_however_it_begins() {
    // A row of pointers in RDATA that is kept as it is: the first leads to QNAME, each of the others to the one
    // before it.
    let head = Builder::new(RESPONSE, "a", RrType(4711));
    let row = head.octets.len() + 12;
    let pointer = |at: usize| (0xc000 | u16::try_from(at).unwrap()).to_be_bytes();
    let mut rdata = pointer(12).to_vec();
    rdata.extend((1..200).flat_map(|number| pointer(row + 2 * (number - 1))));
    let head = head.record(1, b"\xc0\x0c", RrType(4711), 1, 60, &rdata);
    for label in [&b""[..], b"\x01b"] {
        // As an owner, twice over; and as a target.
        let owner = |number: usize| [label, &pointer(row + 2 * number)].concat();
        let told = |number: usize| {
            let owner = owner(number);
            let record = head.clone().record(1, b"\xc0\x0c", RrType::NS, 1, 60, &owner);
            let record = record.record(1, &owner, RrType::DNAME, 1, 60, &[0]);
            record.record(1, &owner, RrType::DNAME, 1, 60, &[0])
        };
        let mut capture = Capture::new(DnsOptions::default());
        capture.response(0.0, &told(125)).unwrap();
        capture.finish();
        let left_out = if label.is_empty() { "repeated" } else { "out_of_bailiwick" };
        assert_eq!(capture.omitted()[0].0, left_out);
        assert_eq!(capture.take().len(), if label.is_empty() { 3 } else { 2 });
        let mut capture = Capture::new(DnsOptions::default());
        capture.response(0.0, &told(126)).unwrap();
        capture.finish();
        assert_eq!(capture.take().len(), 1);
        assert_eq!(capture.omitted(), [("undecodable", 1), ("rest_unreadable", 1)]);
    }
}

#[test]
fn names_of_255_octets_are_read_and_longer_ones_are_not() {
    let labels = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    let response = Builder::new(RESPONSE, &labels, A).record(1, b"\xc0\x0c", A, 1, 60, ADDRESS);
    check(&response, &[&format!("{labels} 60 A 192.0.2.9")], &[]);
    let response =
        Builder::new(RESPONSE, &labels, A).record(1, b"\x01x\xc0\x0c", A, 1, 60, ADDRESS);
    check(&response, &[], &[("rest_unreadable", 1), ("truncated", 1)]);
    let mut capture = Capture::new(DnsOptions::default());
    let response = Builder::new(RESPONSE, &format!("x.{labels}"), A);
    assert_eq!(capture.response(0.0, &response), Err(DnsRejection::Question));
}

#[test]
fn counts_that_lie_are_not_believed() {
    let mut response = Builder::new(RESPONSE, "a", A).answer("a", A, ADDRESS);
    response.octets[6..12].copy_from_slice(&[0xff; 6]);
    check(&response, &["a 60 A 192.0.2.9"], &[("rest_unreadable", 1)]);
    let mut capture = Capture::new(DnsOptions::default());
    response.octets[4..6].copy_from_slice(&[0xff; 2]);
    assert_eq!(capture.response(0.0, &response), Err(DnsRejection::QuestionCount));
    // Each of 65,535 questions of mDNS would be one.
    assert_eq!(capture.put(0.0, flow(5353, 5353), &response.octets), Err(DnsRejection::Question));
}

/// A response as large as one can be, all of it records of one kind. Built by hand: a counter has two octets.
fn large(qname: &str, record: impl Fn(usize) -> Vec<u8>) -> Builder {
    let mut message = Builder::new(RESPONSE, qname, A);
    for count in 0.. {
        let record = record(count);
        if message.octets.len() + record.len() > 65_535 {
            message.octets[6..8].copy_from_slice(&u16::try_from(count).unwrap().to_be_bytes());
            break;
        }
        message.octets.extend(record);
    }
    message
}

fn cname(owner: usize, target: usize) -> Vec<u8> {
    let (owner, target) = (wire(&format!("{owner:x}")), wire(&format!("{target:x}")));
    [&owner[..], &[0, 5, 0, 1, 0, 0, 0, 1, 0, u8::try_from(target.len()).unwrap()], &target]
        .concat()
}

#[test]
fn the_largest_messages_cost_no_more_than_many_small_ones() {
    // Thousands of records that are all unlike, a chain written backwards, owners that are all pointers to
    // pointers, and names of 255 octets from two.
    let mut row = vec![0; 12];
    row.extend(
        (0..200_u16)
            .flat_map(|at| (0xc000 | (if at == 0 { 11 } else { 10 + at * 2 })).to_be_bytes()),
    );
    let messages = [
        large("x", |number| {
            [
                &b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04"[..],
                &u32::try_from(number).unwrap().to_be_bytes(),
            ]
            .concat()
        }),
        large("ffff", |number| cname(0x10000 - number, 0xffff - number)),
        large("0", |number| cname(4000 - number.min(4000), 4001 - number.min(4000))),
        large("x", |_| b"\xc0\x0c\x00\x02\x00\x01\x00\x00\x00\x01\x00\x02\xc0\x0c".to_vec()),
        large(&["a"; 127].join("."), |number| {
            let at = 12 + u8::try_from(number % 100).unwrap() * 2;
            vec![0xc0, at, 0, 2, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, at]
        }),
    ];
    let mut capture = Capture::new(DnsOptions::default());
    for message in &messages {
        let start = Instant::now();
        assert_eq!(capture.response(0.0, message), Ok(Ending::Waiting));
        capture.finish();
        assert_eq!(capture.decoder.tally().waiting, 0);
        // Milliseconds when optimised. Quadratic work would take minutes.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(changes, end)| {
            let mut octets = rich().octets;
            for (at, value) in changes {
                let at = at.index(octets.len());
                octets[at] = value;
            }
            // Half of them whole.
            let end = (end.index(octets.len() * 2) + 1).min(octets.len());
            octets.truncate(end);
            octets
        })
}

proptest! {
    #[test]
    fn any_octets_end_in_some_way(
        messages in prop::collection::vec(prop_oneof![damaged(), prop::collection::vec(any::<u8>(), 0..200)], 1..8),
        port in prop::sample::select(vec![53_u16, 5353, 5355]),
    ) {
        let mut capture = Capture::new(DnsOptions { pending: 3, ..DnsOptions::default() });
        for (number, octets) in messages.iter().enumerate() {
            for flow in [flow(4000, port), flow(4000, port).reversed()] {
                // The harness looks at the sums and at what is emitted.
                let ending = capture.put(f64::from(u32::try_from(number).unwrap() * 4), flow, octets);
                prop_assert!(ending.is_ok() || capture.decoder.tally().rejected.values().sum::<u64>() > 0);
            }
        }
        capture.finish();
        let tally = capture.decoder.tally().clone();
        let lines = capture.take();
        prop_assert_eq!(lines.len() as u64, tally.records + tally.negatives);
        prop_assert_eq!(capture.decoder.tally().pending, 0);
    }
}
