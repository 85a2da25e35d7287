//! Tests of pdns.log rows; observations are compared as text.

use super::decoded;
use crate::decode::zeek::{Decoder, Options};
use crate::decode::{Filter, Line, Omission, Rejection, Tally};
use crate::observation::{Aggregated, Fact, Seen};
use crate::rdata::FinalDot;
use proptest::prelude::*;

/// A header of the package's log.
const HEADER: [&str; 3] = [
    "#separator \\x09",
    "#path\tpdns",
    "#fields\tts\tlast\tseen\trrname\trrclass\trrtype\trrtype_name\tsection\trdata\tttl\tttl_min\tttl_max\
     \toutcome\tasked\tzone\tqname",
];

fn show(one: &Aggregated<'_>) -> String {
    let Seen { count, time_first, time_last, ttl_min, ttl_max, ttl_last, flags, .. } = one.seen;
    let fact = match one.fact {
        Fact::Record(rdata) => {
            let text = rdata.to_text(FinalDot::Without);
            format!("{} {text}{}", rdata.rrtype, if rdata.partial { " partial" } else { "" })
        }
        Fact::Negative { qtype, outcome } => format!("{qtype} {outcome}"),
    };
    let ttls = if ttl_last == Seen::NO_TTL {
        String::new()
    } else {
        format!(" {ttl_min}..{ttl_max} {ttl_last}")
    };
    let unsolicited = if flags == Seen::UNSOLICITED { " unsolicited" } else { "" };
    format!("{} {fact} x{count} {time_first}..{time_last}{ttls}{unsolicited}", one.rrname)
}

fn decode(lines: &[&str], options: Options) -> (Vec<String>, Vec<Result<Line, Rejection>>, Tally) {
    let mut decoder = Decoder::new(options);
    let mut seen = Vec::new();
    let ends = lines
        .iter()
        .map(|line| decoder.line(line.as_bytes(), &mut |one| seen.push(show(&one))))
        .collect();
    (seen, ends, decoder.take_tally())
}

/// Result of a row made of some cells: rrname, rrtype, rdata, outcome, zone, qname.
fn row(cells: [&str; 6]) -> (Vec<String>, Result<Line, Rejection>, Tally) {
    let [rrname, rrtype, rdata, outcome, zone, qname] = cells;
    let line = format!(
        "7.5\t9.5\t3\t{rrname}\t1\t{rrtype}\t-\t-\t{rdata}\t-\t-\t-\t{outcome}\tT\t{zone}\t{qname}"
    );
    let lines = [&HEADER[..], &[line.as_str()]].concat();
    let (seen, ends, tally) = decode(&lines, Options::default());
    (seen, *ends.last().unwrap(), tally)
}

#[track_caller]
fn record(rrtype: &str, rdata: &str, want: &str) {
    let (seen, end, tally) = row(["a.example", rrtype, rdata, "-", "-", "-"]);
    assert_eq!(
        (seen, end, tally.omitted.len()),
        (vec![format!("a.example {want} x3 7..9")], Ok(Line::Counted), 0)
    );
}

#[track_caller]
fn omitted(cells: [&str; 6], want: Omission) {
    let (seen, end, tally) = row(cells);
    assert_eq!((seen.len(), end), (0, Ok(Line::Counted)));
    assert_eq!(tally.omitted.iter().collect::<Vec<_>>(), [(&want, &1)]);
}

#[test]
fn each_type_is_read_from_its_fields() {
    record("1", "192.0.2.1", "A 192.0.2.1");
    record("28", "2001:db8::1", "AAAA 2001:db8::1");
    record("28", "192.0.2.1", "AAAA ::ffff:192.0.2.1");
    record("2", "NS.example", "NS ns.example");
    record("12", ".", "PTR .");
    record("5", "%2a%00.b%5cx", "CNAME *\\000.b\\\\x");
    record("15", "10,mail.example", "MX 10 mail.example");
    record("33", "1,2,3,h.example", "SRV 1 2 3 h.example");
    record(
        "6",
        "m.example,r.example,4294967295,2,3,4,5",
        "SOA m.example r.example 4294967295 2 3 4 5",
    );
    record("16", "a b,%,%2d,%22%ff%2c", "TXT \"a b\" \"\" \"-\" \"\\\"\\255,\"");
    record("99", "v=spf1", "SPF \"v=spf1\"");
    record("257", "128,issue,ca.example", "CAA 128 issue \"ca.example\"");
    record("257", "0,issue,%", "CAA 0 issue \"\"");
    record("35", "1,2,s,SIP+D2U,%,x.example", "NAPTR 1 2 \"s\" \"SIP+D2U\" \"\" x.example");
    record("65", "0,Alias.example", "HTTPS 0 Alias.example");
    record("65", "1,.", "HTTPS 1 . partial");
    record("43", "12345,13,2,abcd", "DS 12345 13 2 abcd");
    record("48", "257,3,13,01020304", "DNSKEY 257 3 13 AQIDBA==");
    record("44", "1,2,ab", "SSHFP 1 2 ab");
    record(
        "29",
        "0,18,22,19,2147483648,2147483648,10000000",
        "LOC 0 0 0.000 N 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m",
    );
}

#[test]
fn fields_that_are_not_those_of_the_type_are_left_out() {
    for (rrtype, rdata) in [
        ("1", "2001:db8::1"),
        ("1", "192.0.2.1,192.0.2.2"),
        ("1", "-"),
        ("15", "mail.example"),
        ("15", "65536,mail.example"),
        ("5", "a..b"),
        ("5", "%2"),
        ("16", "%zz"),
        ("43", "1,2,3,abc"),
        ("257", "1,2"),
    ] {
        let want = if rdata == "-" { Omission::RdataNotInLog } else { Omission::Undecodable };
        omitted(["a.example", rrtype, rdata, "-", "-", "-"], want);
    }
    let long = vec!["a".repeat(255); 258].join(",");
    omitted(["a.example", "16", &long, "-", "-", "-"], Omission::Undecodable);
    omitted(["a.example", "52", "1", "-", "-", "-"], Omission::RdataNotInLog);
}

#[test]
fn a_response_tells_of_its_own_zone_only() {
    let glue = |owner, zone, qname| row([owner, "1", "192.0.2.1", "-", zone, qname]).0.len();
    assert_eq!(glue("ns.a.example.com", "a.example.com", "-"), 1);
    assert_eq!(glue("a.example.com", "a.example.com", "-"), 1);
    assert_eq!(glue("ns.b.example.com", "a.example.com", "-"), 0);
    assert_eq!(glue("www.bank.co.uk", "co.uk", "-"), 0);
    assert_eq!(glue("a.gtld-servers.net", ".", "-"), 0);
    assert_eq!(glue("mail.example.co.uk", "-", "www.example.co.uk"), 1);
    assert_eq!(glue("mail.bank.co.uk", "-", "www.example.co.uk"), 0);
    assert_eq!(glue("mail.example.com", "-", "%00%"), 0);
    omitted(["x.example", "1", "192.0.2.1", "-", "com", "-"], Omission::OutOfBailiwick);
}

#[test]
fn a_negative_answer_is_one_by_its_outcome() {
    let negative = |outcome| row(["a.example", "28", "-", outcome, "-", "-"]);
    for outcome in ["NXDOMAIN", "NODATA", "UNANSWERED", "RCODE16"] {
        let (seen, _, tally) = negative(outcome);
        let shown = outcome.replace("RCODE16", "BADVERS");
        assert_eq!(seen, [format!("a.example AAAA {shown} x3 7..9")]);
        assert_eq!((tally.negatives, tally.records), (3, 0));
    }
    assert_eq!(negative("TIRED").1, Err(Rejection::BadField));
}

#[test]
fn json_tells_the_same_as_tsv() {
    let tsv = "1700000000.001\t1700000060.5\t4\ta.example\t1\t1\tA\tanswer\t192.0.2.1\t60.000000\t30.000000\
               \t90.000000\t-\tF\t-\t-";
    let json = r#"{"ts":1700000000.001,"last":1700000060.5,"seen":4,"rrname":"a.example","rrclass":1,
        "rrtype":1,"rrtype_name":"A","section":"answer","rdata":["192.0.2.1"],"ttl":60.0,"ttl_min":30.0,
        "ttl_max":90.0,"asked":false}"#
        .replace('\n', "");
    let iso = json
        .replace("1700000000.001", r#""2023-11-14T22:13:20.001000Z""#)
        .replace(r#""seen""#, r#""_path":"pdns","seen""#);
    let want = "a.example A 192.0.2.1 x4 1700000000..1700000060 30..90 60 unsolicited";
    let lines = [&HEADER[..], &[tsv, &json, &iso]].concat();
    let (seen, ends, tally) = decode(&lines, Options::default());
    assert_eq!(seen, [want; 3]);
    assert!(ends.iter().all(Result::is_ok));
    assert_eq!((tally.counted, tally.records), (3, 12));
    // Without its columns, and as a log with a different name.
    let bare = json.replace("rrname", "name");
    assert_eq!(decode(&[&bare], Options::default()).1, [Ok(Line::OtherRecord)]);
    let other = json.replace(r#"{"ts""#, r#"{"_path":"x509","ts""#);
    assert_eq!(decode(&[&other], Options::default()).1, [Ok(Line::OtherRecord)]);
}

#[test]
fn marked_rows_of_the_other_log_are_passed_over_and_the_option_turns_that_round() {
    let dns = r#"{"ts":1,"id.resp_p":53,"query":"a.example","qtype":1,"rcode":3,"pdns":true}"#;
    let plain = dns.replace(r#","pdns":true"#, "");
    let pdns = r#"{"ts":1,"rrname":"a.example","rrclass":1,"rrtype":1,"outcome":"NXDOMAIN"}"#;
    let ends =
        |no_pdns_log| decode(&[dns, &plain, pdns], Options { no_pdns_log, ..Options::default() }).1;
    let counted = Ok(Line::Counted);
    assert_eq!(ends(false), [Ok(Line::Filtered(Filter::InPdnsLog)), counted, counted]);
    assert_eq!(ends(true), [counted, counted, Ok(Line::Filtered(Filter::PdnsLog))]);
    let chaos = pdns.replace(r#""rrclass":1"#, r#""rrclass":3"#);
    assert_eq!(decode(&[&chaos], Options::default()).1, [Ok(Line::Filtered(Filter::Class))]);
    // In the columns of a dns.log.
    let header = "#fields\tts\tquery\tqtype\trcode\tpdns";
    let lines = [header, "1.0\ta.example\t1\t3\tT", "1.0\ta.example\t1\t3\t-"];
    let (_, ends, _) = decode(&lines, Options::default());
    assert_eq!(ends[1..], [Ok(Line::Filtered(Filter::InPdnsLog)), counted]);
}

#[test]
fn a_row_that_lacks_what_each_has_is_rejected() {
    for (from, to, want) in [
        ("7.5", "-", Rejection::BadTime),
        ("\t3\t", "\t0\t", Rejection::BadField),
        ("\t3\t", "\tx\t", Rejection::BadField),
        ("a.example", "a..example", Rejection::BadName),
        ("a.example", "%0", Rejection::BadName),
        ("\t1\t1\t", "\t1\t-\t", Rejection::BadField),
        ("\tT\t", "\tperhaps\t", Rejection::BadField),
    ] {
        let line = "7.5\t9.5\t3\ta.example\t1\t1\tA\tanswer\t192.0.2.1\t-\t-\t-\t-\tT\t-\t-";
        let line = line.replacen(from, to, 1);
        let (_, ends, _) = decode(&[&HEADER[..], &[line.as_str()]].concat(), Options::default());
        assert_eq!(ends[3], Err(want), "{line}");
    }
}

proptest! {
    #[test]
    fn text_of_the_package_reads_back(octets in prop::collection::vec(any::<u8>(), 1..60)) {
        let text: String = octets
            .iter()
            .map(|&octet| match octet {
                b'a'..=b'z' | b'.' | b' ' => char::from(octet).to_string(),
                _ => format!("%{octet:02x}"),
            })
            .collect();
        let mut buffer = Vec::new();
        prop_assert_eq!(decoded(text.as_bytes(), &mut buffer), Some(octets.as_slice()));
    }

    #[test]
    fn any_cells_end_in_some_way(cells in prop::collection::vec("[a-z0-9.%,:-]{0,9}", 16)) {
        let line = cells.join("\t");
        let lines = [&HEADER[..], &[line.as_str()]].concat();
        let (_, _, tally) = decode(&lines, Options::default());
        prop_assert_eq!(tally.lines, tally.endings());
    }
}

#[test]
fn a_server_that_is_no_resolver_speaks_for_the_domain_that_it_was_asked_about() {
    let told = |rrname: &str, section: &str, outcome: &str, qname: &str| {
        let line = format!(
            "7.5\t9.5\t3\t{rrname}\t1\t1\t-\t{section}\t192.0.2.1\t-\t-\t-\t{outcome}\tT\t-\t{qname}"
        );
        let lines = [&HEADER[..], &[line.as_str()]].concat();
        decode(&lines, Options::default()).0.len()
    };
    for outcome in ["-", "NXDOMAIN"] {
        let section = if outcome == "-" { "answer" } else { "-" };
        assert_eq!(told("b.evil.example.com", section, outcome, "a.evil.example.com"), 1);
        assert_eq!(told("c.example.com", section, outcome, "a.evil.example.com"), 1);
        assert_eq!(told("www.bank.example.net", section, outcome, "a.evil.example.com"), 0);
        assert_eq!(told("b.co.uk", section, outcome, "a.co.uk"), 0);
        // A zone transfer of a top-level domain.
        assert_eq!(told("b.co.uk", section, outcome, "co.uk"), 1);
        assert_eq!(told("www.bank.example.net", section, outcome, "-"), 1);
    }
}
