//! Queries and responses: what was asked, what was never answered, and what nobody asked for.

use super::build::{Builder, Capture, QUERY, RESPONSE, flow};
use pdns_agent::decode::dns::{DnsFilter, DnsOmission, Ending, Options};
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
    let mut capture = Capture::new(Options::default());
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
    capture.decoder.finish();
    assert_eq!(capture.decoder.tally().omitted[&DnsOmission::CaptureEnded], 1);
    assert_eq!(capture.decoder.tally().pending, 0);
}

#[test]
fn an_answered_question_is_answered_once() {
    let mut capture = Capture::new(Options::default());
    capture.query(0.0, &query("a.com")).unwrap();
    capture.response(0.1, &response("A.COM")).unwrap();
    capture.response(0.2, &response("a.com")).unwrap();
    capture.advance(100.0);
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9", "a.com 60 A 192.0.2.9 ?"]);
    assert_eq!((capture.decoder.tally().unsolicited, capture.decoder.tally().negatives), (1, 0));
}

#[test]
fn a_question_that_is_asked_again_awaits_another_answer() {
    let mut capture = Capture::new(Options::default());
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
    assert_eq!(capture.take(), ["b.com A UNANSWERED", "b.com 60 A 192.0.2.9 ?"]);
}

#[test]
fn a_late_answer_is_unsolicited() {
    let mut capture =
        Capture::new(Options { timeout: Duration::from_secs(2), ..Options::default() });
    capture.query(0.0, &query("a.com")).unwrap();
    capture.response(2.0, &response("a.com")).unwrap();
    capture.query(3.0, &query("b.com")).unwrap();
    capture.response(5.000_001, &response("b.com")).unwrap();
    assert_eq!(
        capture.take(),
        ["a.com 60 A 192.0.2.9", "b.com A UNANSWERED", "b.com 60 A 192.0.2.9 ?"]
    );
}

#[test]
fn an_answer_must_fit_its_question_in_every_part() {
    let mut capture = Capture::new(Options::default());
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
    assert!(capture.take().iter().all(|line| line.ends_with(" ?")));
    assert_eq!(capture.decoder.tally().unsolicited, 6);
    capture.response(0.1, &good).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
}

#[test]
fn unsolicited_responses_can_be_dropped() {
    let mut capture = Capture::new(Options { drop_unsolicited: true, ..Options::default() });
    let ending = capture.response(0.0, &response("a.com"));
    assert_eq!(ending, Ok(Ending::Filtered(DnsFilter::Unsolicited)));
    assert_eq!((capture.take().len(), capture.decoder.tally().unsolicited), (0, 0));
}

#[test]
fn a_response_without_a_question_takes_the_only_one_that_is_open() {
    let refused = Builder::bare(RESPONSE | 1);
    let mut capture = Capture::new(Options::default());
    capture.query(0.0, &query("a.com")).unwrap();
    capture.response(0.1, &refused).unwrap();
    assert_eq!(capture.take(), ["a.com A FORMERR"]);
    capture.response(0.1, &refused).unwrap();
    assert_eq!(capture.take(), ["a.com A FORMERR ?"]);
    capture.query(0.2, &query("b.com")).unwrap();
    assert!(capture.response(0.3, &refused).is_err());
    // Once the first is closed, the second is the only one.
    capture.response(10.1, &refused).unwrap();
    assert_eq!(capture.take(), ["b.com A FORMERR"]);
}

#[test]
fn a_flood_only_drives_out_what_is_older() {
    let mut capture = Capture::new(Options { pending: 100, ..Options::default() });
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
    assert_eq!(capture.take(), ["victim.com 60 A 192.0.2.9 ?"]);
}

#[test]
fn a_capture_whose_clock_falls_back_still_pairs() {
    let mut capture = Capture::new(Options::default());
    capture.advance(5000.0);
    capture.query(100.0, &query("a.com")).unwrap();
    capture.response(101.0, &response("a.com")).unwrap();
    assert_eq!(capture.take(), ["a.com 60 A 192.0.2.9"]);
}

#[test]
fn another_capture_begins_anew() {
    let mut capture = Capture::new(Options::default());
    capture.query(5000.0, &query("a.com")).unwrap();
    capture.decoder.finish();
    capture.query(1.0, &query("a.com")).unwrap();
    capture.advance(12.0);
    assert_eq!(capture.take(), ["a.com A UNANSWERED"]);
    assert_eq!(capture.decoder.tally().retransmissions, 0);
}
