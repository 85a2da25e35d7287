//! Queries and responses: what was asked, what was never answered, and what nobody asked for.

use super::build::{Builder, Capture, QUERY, RESPONSE, flow};
use pdns_agent::decode::dns::{DnsFilter, DnsOmission, DnsOptions, Ending};
use pdns_agent::rr::RrType;
use std::time::Duration;

const A: RrType = RrType::A;

fn query(name: &str) -> Builder {
    Builder::new(QUERY, name, A)
}

fn response(name: &str) -> Builder {
    Builder::new(RESPONSE, name, A).answer(name, A, &[192, 0, 2, 9])
}

#[test]
fn a_question_that_nobody_answers_is_a_negative_answer_of_its_time() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(1.5, &query("A.com")).unwrap();
    capture.query(3.0, &query("b.com")).unwrap();
    capture.advance(11.5);
    assert_eq!(capture.take(), [""; 0]);
    capture.advance(11.500_001);
    assert_eq!(capture.take(), ["a.com A UNANSWERED"]);
    assert_eq!(capture.decoder.tally().pending, 1);
    // Time never goes back.
    capture.advance(2.0);
    capture.query(20.0, &query("c.com")).unwrap();
    assert_eq!(capture.take(), ["b.com A UNANSWERED"]);
    assert_eq!((capture.decoder.tally().negatives, capture.decoder.tally().pending), (2, 1));
    capture.finish();
    assert_eq!(capture.decoder.tally().omitted[&DnsOmission::CaptureEnded], 1);
    assert_eq!(capture.decoder.tally().pending, 0);
}

#[test]
fn an_answered_question_is_answered_once() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(0.0, &query("a.com")).unwrap();
    capture.response(0.1, &response("A.COM")).unwrap();
    capture.response(0.2, &response("a.com")).unwrap();
    capture.advance(100.0);
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9", "a.com 60 A 192.0.2.9 ?"]);
    assert_eq!((capture.decoder.tally().unsolicited, capture.decoder.tally().negatives), (1, 0));
}

#[test]
fn a_question_that_is_asked_again_awaits_another_answer() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(0.0, &query("a.com")).unwrap();
    capture.query(5.0, &query("a.com")).unwrap();
    capture.response(5.1, &response("a.com")).unwrap();
    capture.response(10.0, &response("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"; 2]);
    assert_eq!((capture.decoder.tally().retransmissions, capture.decoder.tally().queries), (1, 2));
    // The time of the first query counts.
    capture.query(9.0, &query("b.com")).unwrap();
    capture.query(18.0, &query("b.com")).unwrap();
    capture.response(20.1, &response("b.com")).unwrap();
    capture.advance(20.3);
    assert_eq!(capture.take(), ["b.com A UNANSWERED", "b.com 60 A 192.0.2.9 ?"]);
}

#[test]
fn a_late_answer_is_unsolicited() {
    let mut capture =
        Capture::new(DnsOptions { timeout: Duration::from_secs(2), ..DnsOptions::default() });
    capture.query(0.0, &query("a.com")).unwrap();
    capture.response(2.0, &response("a.com")).unwrap();
    capture.query(3.0, &query("b.com")).unwrap();
    capture.response(5.000_001, &response("b.com")).unwrap();
    capture.advance(5.2);
    assert_eq!(
        capture.take(),
        ["a.com 60 A 192.0.2.9", "b.com A UNANSWERED", "b.com 60 A 192.0.2.9 ?"]
    );
}

#[test]
fn an_answer_must_fit_its_question_in_every_part() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(0.0, &query("a.com")).unwrap();
    let good = response("a.com");
    let mut other_id = good.clone();
    other_id.octets[1] = 8;
    capture.response(0.1, &other_id).unwrap();
    capture.response(0.1, &response("b.com")).unwrap();
    capture.response(0.1, &Builder::new(RESPONSE | 3, "a.com", RrType::AAAA)).unwrap();
    capture.put(0.1, flow(4001, 53).reversed(), &good.octets).unwrap();
    capture.put(0.1, flow(4000, 53), &good.octets).unwrap();
    let mut tcp = flow(4000, 53).reversed();
    tcp.transport = pdns_agent::decode::wire::Transport::Tcp;
    capture.put(0.1, tcp, &good.octets).unwrap();
    assert_eq!((capture.take().len(), capture.decoder.tally().waiting), (0, 6));
    capture.advance(0.2);
    assert_eq!((capture.take().len(), capture.decoder.tally().waiting), (0, 6));
    capture.advance(0.200_001);
    let lines = capture.take();
    assert!(lines.len() == 6 && lines.iter().all(|line| line.ends_with(" ?")), "{lines:?}");
    assert_eq!((capture.decoder.tally().unsolicited, capture.decoder.tally().waiting), (6, 0));
    capture.response(0.3, &good).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
}

#[test]
fn unsolicited_responses_can_be_dropped() {
    let mut capture = Capture::new(DnsOptions { drop_unsolicited: true, ..DnsOptions::default() });
    let ending = capture.response(0.0, &response("a.com"));
    assert_eq!(ending, Ok(Ending::Waiting));
    capture.advance(0.2);
    assert_eq!(capture.decoder.tally().filtered[&DnsFilter::Unsolicited], 1);
    assert_eq!((capture.take().len(), capture.decoder.tally().unsolicited), (0, 0));
}

#[test]
fn a_response_without_a_question_takes_the_only_one_that_is_open() {
    let refused = Builder::bare(RESPONSE | 1);
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(0.0, &query("a.com")).unwrap();
    capture.response(0.1, &refused).unwrap();
    assert_eq!(capture.take(), ["a.com A FORMERR"]);
    capture.response(0.2, &refused).unwrap();
    capture.advance(0.4);
    assert_eq!(capture.take(), ["a.com A FORMERR ?"]);
    capture.query(0.5, &query("b.com")).unwrap();
    assert!(capture.response(0.6, &refused).is_err());
    // Once the first is closed, the second is the only one.
    capture.response(10.1, &refused).unwrap();
    assert_eq!(capture.take(), ["b.com A FORMERR"]);
}

#[test]
fn a_flood_only_drives_out_what_is_older() {
    let mut capture = Capture::new(DnsOptions { pending: 100, ..DnsOptions::default() });
    capture.query(0.0, &query("victim.com")).unwrap();
    for number in 0..1000_u16 {
        let mut query = query(&format!("{number}.{}.com", "x".repeat(usize::from(number) % 60)));
        query.octets[0..2].copy_from_slice(&number.to_be_bytes());
        capture.query(0.1, &query).unwrap();
        assert!(capture.decoder.tally().pending <= 100);
    }
    let tally = capture.decoder.tally();
    assert_eq!(tally.evicted + tally.pending, 1001);
    let pending = tally.pending;
    capture.advance(20.0);
    assert_eq!(capture.take().len() as u64, pending);
    capture.response(20.0, &response("victim.com")).unwrap();
    capture.advance(20.2);
    assert_eq!(capture.take(), ["victim.com 60 A 192.0.2.9 ?"]);
}

#[test]
fn a_capture_whose_clock_falls_back_still_pairs() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.advance(5000.0);
    capture.query(100.0, &query("a.com")).unwrap();
    capture.response(101.0, &response("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
}

#[test]
fn another_capture_begins_anew() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(5000.0, &query("a.com")).unwrap();
    capture.finish();
    capture.query(1.0, &query("a.com")).unwrap();
    capture.advance(12.0);
    assert_eq!(capture.take(), ["a.com A UNANSWERED"]);
    assert_eq!(capture.decoder.tally().retransmissions, 0);
}

#[test]
fn a_response_that_was_captured_first_waits_for_its_query() {
    let mut capture = Capture::new(DnsOptions::default());
    assert_eq!(capture.response(1.0, &response("a.com")), Ok(Ending::Waiting));
    assert_eq!(capture.response(1.0, &response("b.com")), Ok(Ending::Waiting));
    capture.query(1.000_5, &query("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
    capture.query(1.1, &query("b.com")).unwrap();
    assert_eq!(capture.take(), ["b.com 60 A 192.0.2.9"]);
    // One that repeats no question.
    let mut refused = Builder::bare(RESPONSE | 5);
    refused.octets[1] = 9;
    capture.response(2.0, &refused).unwrap();
    let mut other = query("c.com");
    other.octets[1] = 9;
    capture.query(2.05, &other).unwrap();
    assert_eq!(capture.take(), ["c.com A REFUSED"]);
    // Too late by a microsecond.
    capture.response(3.0, &response("d.com")).unwrap();
    capture.query(3.100_001, &query("d.com")).unwrap();
    assert_eq!(capture.take(), ["d.com 60 A 192.0.2.9 ?"]);
    capture.advance(100.0);
    assert_eq!(capture.take(), ["d.com A UNANSWERED"]);
    let tally = capture.decoder.tally();
    assert_eq!((tally.counted, tally.unsolicited, tally.negatives), (4, 1, 2));
}

#[test]
fn what_waits_at_the_end_of_a_capture_is_unsolicited() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.response(1.0, &response("a.com")).unwrap();
    capture.finish();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9 ?"]);
    assert_eq!((capture.decoder.tally().counted, capture.decoder.tally().waiting), (1, 0));
}

#[test]
fn a_response_that_cannot_be_used_answers_its_query() {
    let two = Builder::bare(RESPONSE).question("a.com", A, 1).question("b.com", A, 1);
    let mut cut_question = Builder::new(RESPONSE, "a.com", A);
    cut_question.octets.truncate(15);
    let other_class = Builder::bare(RESPONSE).question("a.com", A, 0x8001);
    let mut short = Builder::bare(RESPONSE);
    short.octets.truncate(11);
    let update = Builder::new(RESPONSE | 5 << 11, "a.com", A);
    for unusable in [&two, &cut_question, &other_class, &short, &update] {
        for early in [false, true] {
            let mut capture = Capture::new(DnsOptions::default());
            if early {
                capture.response(0.95, unusable).ok();
            }
            capture.query(1.0, &query("a.com")).unwrap();
            if !early {
                capture.response(1.1, unusable).ok();
            }
            capture.advance(100.0);
            assert_eq!(capture.take(), [""; 0], "{unusable:?} {early}", unusable = unusable.octets);
            // What comes later is unanswered as ever.
            capture.query(100.0, &query("a.com")).unwrap();
            capture.advance(200.0);
            assert_eq!(capture.take(), ["a.com A UNANSWERED"]);
        }
    }
    // The real answer is awaited all the same.
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(1.0, &query("a.com")).unwrap();
    capture.response(1.1, &two).unwrap_err();
    capture.response(1.2, &response("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
    // Another id says nothing.
    let mut other = two;
    other.octets[1] = 8;
    capture.query(20.0, &query("b.com")).unwrap();
    capture.response(20.1, &other).unwrap_err();
    capture.advance(100.0);
    assert_eq!(capture.take(), ["b.com A UNANSWERED"]);
}

#[test]
fn an_answer_of_another_class_is_no_lack_of_data() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(0.0, &query("a.com")).unwrap();
    let odd = Builder::new(RESPONSE, "a.com", A)
        .record(1, &super::build::wire("a.com"), A, 0x8001, 60, &[192, 0, 2, 1])
        .authority("a.com", RrType::SOA, &super::build::soa("a.com"));
    capture.response(0.1, &odd).unwrap();
    capture.advance(100.0);
    let lines = capture.take();
    assert!(lines.iter().all(|line| !line.ends_with("NODATA") && !line.ends_with("UNANSWERED")));
    assert_eq!(capture.omitted(), [("class", 1)]);
}

#[test]
fn a_message_that_the_capture_cut_is_paired_as_far_as_it_goes() {
    let mut capture = Capture::new(DnsOptions::default());
    // A query that shows its question, and a response that is whole.
    let mut with_option = query("a.com").opt(0);
    with_option.octets.truncate(25);
    capture.glimpse(0.0, flow(4000, 53), &with_option.octets);
    capture.response(0.1, &response("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
    // And a response that is not, before and after its query.
    capture.query(1.0, &query("b.com")).unwrap();
    capture.glimpse(1.1, flow(4000, 53).reversed(), &response("b.com").octets[..14]);
    capture.glimpse(2.0, flow(4000, 53).reversed(), &response("c.com").octets[..4]);
    capture.query(2.05, &query("c.com")).unwrap();
    // Too little is nothing.
    capture.query(50.0, &query("d.com")).unwrap();
    capture.glimpse(50.1, flow(4000, 53).reversed(), &response("d.com").octets[..3]);
    capture.advance(100.0);
    assert_eq!(capture.take(), ["d.com A UNANSWERED"]);
}

#[test]
fn a_copy_of_a_message_is_no_message() {
    let mut capture = Capture::new(DnsOptions::default());
    let duplicate = Ok(Ending::Filtered(DnsFilter::Duplicate));
    capture.query(1.0, &query("a.com")).unwrap();
    assert_eq!(capture.query(1.05, &query("a.com")), duplicate);
    capture.response(1.1, &response("a.com")).unwrap();
    assert_eq!(capture.response(1.15, &response("a.com")), duplicate);
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
    // A client that asks again, and is answered again.
    capture.query(2.0, &query("a.com")).unwrap();
    capture.response(2.1, &response("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
    // Copies of responses that were there before their queries.
    assert_eq!(capture.response(3.0, &response("b.com")), Ok(Ending::Waiting));
    assert_eq!(capture.response(3.0, &response("b.com")), duplicate);
    capture.query(3.01, &query("b.com")).unwrap();
    assert_eq!(capture.query(3.01, &query("b.com")), duplicate);
    assert_eq!(capture.response(3.04, &response("b.com")), duplicate);
    assert_eq!(capture.take(), ["b.com 60 A 192.0.2.9"]);
    // The other direction, another port, and a stream.
    capture.put(4.0, flow(4000, 53), &query("c.com").octets).unwrap();
    assert_eq!(capture.put(4.0, flow(4001, 53), &query("c.com").octets), Ok(Ending::Query));
    assert_eq!(capture.put(4.0, flow(53, 4000), &query("c.com").octets), Ok(Ending::Query));
    let mut stream = flow(4000, 53);
    stream.transport = pdns_agent::decode::wire::Transport::Tcp;
    assert_eq!(capture.put(4.0, stream, &query("c.com").octets), Ok(Ending::Query));
    assert_eq!(capture.put(4.0, stream, &query("c.com").octets), Ok(Ending::Query));
    let tally = capture.decoder.tally();
    assert_eq!(tally.filtered[&DnsFilter::Duplicate], 5);
    assert_eq!((tally.counted, tally.retransmissions, tally.unsolicited), (3, 2, 0));
}

#[test]
fn responses_that_wait_are_bounded_and_none_is_lost() {
    let mut capture = Capture::new(DnsOptions::default());
    let mut sent = 0_u64;
    for number in 0..20_000_u32 {
        // Several of one flow and id, and more than there is room for.
        let name = format!("{number}.{}.com", "x".repeat(60));
        let mut response = response(&name);
        response.octets[..2].copy_from_slice(&(number / 12 % 60_000).to_be_bytes()[2..]);
        capture.response(1.0, &response).unwrap();
        sent += 1;
        assert!(capture.decoder.tally().waiting <= 16_384);
    }
    let tally = capture.decoder.tally();
    assert!(tally.hurried > 6000 && tally.waiting > 1000, "{tally:?}");
    assert_eq!(tally.hurried + tally.waiting, sent);
    capture.advance(1.2);
    assert_eq!(capture.take().len() as u64, sent);
    assert_eq!(capture.decoder.tally().unsolicited, sent);
}

#[test]
fn tallies_are_moved_out_and_what_waits_is_counted_with_what_comes() {
    let mut capture = Capture::new(DnsOptions::default());
    capture.query(1.0, &query("a.com")).unwrap();
    capture.response(1.1, &response("b.com")).unwrap();
    let first = capture.decoder.take_tally();
    assert_eq!((first.messages, first.queries, first.waiting, first.pending), (1, 1, 0, 0));
    assert_eq!(first.messages, first.endings());
    let tally = capture.decoder.tally();
    assert_eq!((tally.messages, tally.waiting, tally.pending), (1, 1, 1));
    capture.finish();
    let second = capture.decoder.take_tally();
    assert_eq!((second.messages, second.counted, second.unsolicited), (1, 1, 1));
}
