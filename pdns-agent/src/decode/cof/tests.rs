//! Tests of reading passive DNS from elsewhere.

use super::*;
use crate::decode::log::command_for;
use crate::rdata::FinalDot;
use std::fmt::Write as _;

/// The ending of a line, and its observations as text.
fn read(line: &str) -> (Result<Line, Rejection>, Vec<String>) {
    let mut found = Vec::new();
    let mut decoder = CofDecoder::default();
    let ending = decoder.line(line.as_bytes(), &mut |one| {
        let Fact::Record(rdata) = one.fact else { panic!("no record") };
        let Seen { count, time_first, time_last, ttl_min, ttl_max, ttl_last, .. } = one.seen;
        assert!(one.seen.is_possible() && one.seen.is_imported());
        let mut text =
            format!("{} {} {}", one.rrname, rdata.rrtype, rdata.to_text(FinalDot::Without));
        let bound = if one.seen.is_count_saturated() { " at least" } else { "" };
        write!(text, " {count}{bound} {time_first} {time_last}").unwrap();
        if ttl_min != Seen::NO_TTL {
            write!(text, " {ttl_min} {ttl_max} {ttl_last}").unwrap();
        }
        if rdata.partial {
            text += " partial";
        }
        found.push(text);
    });
    let tally = decoder.tally();
    assert_eq!((tally.lines, tally.endings(), tally.records), (1, 1, found.len() as u64));
    (ending, found)
}

#[track_caller]
fn check(line: &str, want: &[&str]) {
    let (ending, found) = read(line);
    assert_eq!(ending, Ok(Line::Counted));
    assert_eq!(found, want);
}

#[track_caller]
fn refused(line: &str, want: Rejection) {
    assert_eq!(read(line), (Err(want), Vec::new()));
}

/// A line with these fields after its name, and times.
fn about(fields: &str) -> String {
    format!(r#"{{"rrname":"a.example","time_first":1,"time_last":2,{fields}}}"#)
}

#[test]
fn lines_of_other_systems_are_read() {
    // CIRCL.
    check(
        r#"{"count": 12, "origin": "https://www.circl.lu/pdns/", "time_first": 1315586409, "rrtype": "A", "rrname": "www.Example.org", "rdata": "192.0.2.7", "time_last": 1449566799}"#,
        &["www.example.org A 192.0.2.7 12 1315586409 1449566799"],
    );
    // DNSDB, with final dots, and a carriage return.
    check(
        "{\"count\":5,\"time_first\":1,\"time_last\":2,\"rrname\":\"example.com.\",\"rrtype\":\"MX\",\"bailiwick\":\"com.\",\"rdata\":[\"10 a.example.com.\",\"20 B.example.com.\"]}\r",
        &["example.com MX 10 a.example.com 5 1 2", "example.com MX 20 b.example.com 5 1 2"],
    );
    check(
        r#"{"obj":{"count":5,"zone_time_first":1,"zone_time_last":2,"rrname":"com.","rrtype":"NS","rdata":["a.example."]}}"#,
        &["com NS a.example 5 1 2"],
    );
    check(
        r#"{"cond":"ongoing","obj":{"rrname":".","rrtype":"TYPE65280","rdata":["\\# 1 ab"],"time_first":1,"time_last":1}}"#,
        &[". TYPE65280 \\# 1 ab 1 1 1"],
    );
    // Our own.
    check(
        r#"{"rrname":"x.example","rrtype":65280,"rdata":["\\# 1 ab"],"time_first":1,"time_last":2,"count":4294967295,"pdns_count_is_lower_bound":true,"ttl_min":1,"ttl_max":3,"ttl_last":2,"sensor_id":"a,b","pdns_inferred":true}"#,
        &["x.example TYPE65280 \\# 1 ab 4294967295 at least 1 2 1 3 2"],
    );
    check(
        &about(r#""rrtype":"MX","rdata":["0 m.example"],"pdns_partial":true"#),
        &["a.example MX 0 m.example 1 1 2 partial"],
    );
}

#[test]
fn times_are_numbers_or_text() {
    for (first, last) in [
        ("1700000000", "1700000060"),
        ("1700000000.75", "1700000060.0"),
        (r#""1700000000""#, r#""1700000060.5""#),
        (r#""2023-11-14T22:13:20Z""#, r#""2023-11-14 22:14:20""#),
        (r#""2023-11-14T23:13:20+01:00""#, "1.70000006e9"),
    ] {
        check(
            &format!(
                r#"{{"rrname":"a","rrtype":"a","rdata":"192.0.2.1","time_first":{first},"time_last":{last},"zone_time_first":7}}"#
            ),
            &["a A 192.0.2.1 1 1700000000 1700000060"],
        );
    }
    for (first, last, want) in [
        ("2", "1", Rejection::TimeOrder),
        ("-1", "1", Rejection::TimeRange),
        ("-0.5", "1", Rejection::TimeRange),
        ("1", "4294967296", Rejection::TimeRange),
        ("1", "1e300", Rejection::TimeRange),
        ("1", r#""2107-01-01T00:00:00Z""#, Rejection::TimeRange),
        ("1", r#""1969-12-31 23:59:59""#, Rejection::TimeRange),
        ("1", r#""NaN""#, Rejection::BadTime),
        ("1", r#""soon""#, Rejection::BadTime),
        ("1", "null", Rejection::BadTime),
        ("1", "true", Rejection::BadField),
    ] {
        refused(
            &format!(
                r#"{{"rrname":"a","rrtype":"A","rdata":"192.0.2.1","time_first":{first},"time_last":{last}}}"#
            ),
            want,
        );
    }
    refused(r#"{"rrname":"a","rrtype":"A","rdata":"192.0.2.1"}"#, Rejection::BadTime);
}

#[test]
fn a_record_counts_at_least_once_and_at_most_what_a_row_can_hold() {
    for (count, want) in [
        ("0", "1"),
        ("null", "1"),
        ("7", "7"),
        (r#""7""#, "7"),
        ("7.0", "7"),
        ("4294967296", "4294967296"),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740992", "9007199254740991 at least"),
        ("1e30", "9007199254740991 at least"),
    ] {
        check(
            &about(&format!(r#""rrtype":"A","rdata":"192.0.2.1","count":{count}"#)),
            &[&format!("a.example A 192.0.2.1 {want} 1 2")],
        );
    }
    for count in ["-1", "0.5", r#""many""#, "[1]", r#""-1""#] {
        refused(
            &about(&format!(r#""rrtype":"A","rdata":"192.0.2.1","count":{count}"#)),
            Rejection::BadField,
        );
    }
}

#[test]
fn contradicting_ttls_are_dropped() {
    for ttls in [
        r#""ttl_min":3,"ttl_max":1"#,
        r#""ttl_min":1,"ttl_max":3,"ttl_last":9"#,
        r#""ttl_min":"1","ttl_max":3"#,
        r#""ttl_min":1,"ttl_max":4294967295"#,
        r#""ttl_last":1"#,
    ] {
        check(
            &about(&format!(r#""rrtype":"A","rdata":"192.0.2.1",{ttls}"#)),
            &["a.example A 192.0.2.1 1 1 2"],
        );
    }
}

#[test]
fn what_cannot_be_read_has_a_reason() {
    for (line, want) in [
        ("[1]", Rejection::Json),
        ("{", Rejection::Json),
        (";; query", Rejection::Json),
        (r#"{"rrname":1,"rrtype":"A"}"#, Rejection::BadField),
        (r#"{"rrname":"a","rrname":"b"}"#, Rejection::BadField),
        (r#"{"rrname":"a","rrtype":"A","time_first":1,"time_last":2}"#, Rejection::MissingField),
        (r#"{"rrtype":"A","rdata":"192.0.2.1"}"#, Rejection::MissingField),
        (r#"{"obj":{"rrname":"a"}}"#, Rejection::MissingField),
        (r#"{"obj":[]}"#, Rejection::MissingField),
    ] {
        let (ending, found) = read(line);
        // An empty array is read as an object without fields.
        if line.contains("[]") {
            assert!(ending.is_err() || ending == Ok(Line::OtherRecord));
        } else {
            assert_eq!(ending, Err(want), "{line}");
        }
        assert!(found.is_empty());
    }
    for (fields, want) in [
        (r#""rrtype":"A","rdata":"a.example""#, Rejection::BadRdata),
        (r#""rrtype":"A","rdata":["a","b"]"#, Rejection::BadRdata),
        (r#""rrtype":"A","rdata":[]"#, Rejection::MissingField),
        (r#""rrtype":"A","rdata":[1]"#, Rejection::BadField),
        (r#""rrtype":"A","rdata":{"a":1}"#, Rejection::BadField),
        (r#""rrtype":"BOGUS","rdata":"x""#, Rejection::BadType),
        (r#""rrtype":65536,"rdata":"x""#, Rejection::BadType),
        (r#""rrtype":-1,"rdata":"x""#, Rejection::BadType),
    ] {
        refused(&about(fields), want);
    }
    let long = format!(r#"{{"rrname":"{}","rrtype":"A","rdata":"192.0.2.1"}}"#, "x".repeat(64));
    refused(&long, Rejection::BadName);
}

#[test]
fn what_is_left_out_of_a_line_is_counted() {
    let mut decoder = CofDecoder::default();
    for fields in
        [r#""rrtype":"A","rdata":["192.0.2.1","x","192.0.2.1"]"#, r#""rrtype":"ANY","rdata":["x"]"#]
    {
        assert_eq!(decoder.line(about(fields).as_bytes(), &mut |_| ()), Ok(Line::Counted));
    }
    let tally = decoder.tally();
    assert_eq!(tally.records, 1);
    for omission in [Omission::Undecodable, Omission::Repeated, Omission::Meta] {
        assert_eq!(tally.omitted[&omission], 1, "{omission}");
    }
}

#[test]
fn frames_and_other_objects_are_no_records() {
    for (line, want) in [
        ("", Line::Blank),
        ("\r", Line::Blank),
        (r#"{"cond":"begin"}"#, Line::Directive),
        (r#"{"cond":"limited","msg":"Result limit reached"}"#, Line::Directive),
        (r#"{"count":1,"num_results":1,"time_first":1,"time_last":2}"#, Line::OtherRecord),
        ("{}", Line::OtherRecord),
    ] {
        assert_eq!(read(line), (Ok(want), Vec::new()), "{line}");
    }
}

#[test]
fn a_file_is_recognized() {
    for line in [
        r#"{"cond":"begin"}"#,
        r#"{"rrname":"a","rrtype":"A","time_first":1}"#,
        r#"{"zone_time_first":1,"rrname":"a"}"#,
    ] {
        assert_eq!(command_for(line.as_bytes()), Some("cof"), "{line}");
    }
}
