//! Tests of log lines; each observation is compared as one line of text.

use super::*;
use crate::decode::Omission;
use crate::observation::{Fact, Seen};
use crate::rdata::FinalDot;
use std::fmt::Write as _;

mod laws;

const FIELDS: &str = "#fields\tts\tid.orig_p\tid.resp_p\trtt\tquery\tqclass\tqtype\trcode\tAA\tRD\tRA\
    \tanswers\tTTLs\trejected\topcode";

/// A row with the columns of a current log.
#[derive(Clone)]
struct Sample {
    query: &'static str,
    qtype: &'static str,
    rcode: &'static str,
    answers: &'static str,
    ttls: &'static str,
    /// rtt, AA, RD, RA, rejected.
    flags: [&'static str; 5],
    port: &'static str,
    opcode: &'static str,
    class: &'static str,
}

const SAMPLE: Sample = Sample {
    query: "a.example",
    qtype: "1",
    rcode: "0",
    answers: "-",
    ttls: "-",
    flags: ["-", "F", "T", "F", "F"],
    port: "53",
    opcode: "0",
    class: "1",
};

/// Typical flags of a resolver's answer to a client that requested recursion.
const RESOLVED: [&str; 5] = ["-", "F", "T", "T", "F"];

impl Sample {
    fn line(&self) -> String {
        let Self { query, qtype, rcode, answers, ttls, flags, port, opcode, class } = self;
        let [rtt, aa, rd, ra, rejected] = flags;
        format!(
            "1300000000.5\t40000\t{port}\t{rtt}\t{query}\t{class}\t{qtype}\t{rcode}\t{aa}\t{rd}\t{ra}\
             \t{answers}\t{ttls}\t{rejected}\t{opcode}"
        )
    }
}

fn show(observation: &Aggregated<'_>) -> String {
    assert_eq!((observation.seen.flags, observation.seen.count), (Seen::INFERRED, 1));
    let mut text = observation.rrname.to_string();
    match observation.fact {
        Fact::Record(rdata) => {
            write!(text, " {} {}", rdata.rrtype, rdata.to_text(FinalDot::Without)).unwrap();
            text.push_str(if rdata.partial { " partial" } else { "" });
        }
        Fact::Negative { qtype, outcome } => write!(text, " {qtype} {outcome}").unwrap(),
    }
    if observation.seen.ttl_last != Seen::NO_TTL {
        write!(text, " {}", observation.seen.ttl_last).unwrap();
    }
    text
}

/// The observations of one row, and its omissions.
fn decoded(sample: &Sample) -> (Vec<String>, Vec<Omission>) {
    let mut decoder = Decoder::new(Options::default());
    decoder.skim(FIELDS.as_bytes());
    let mut seen = Vec::new();
    let ending = decoder.line(sample.line().as_bytes(), &mut |observation| {
        assert_eq!(observation.seen.time_first, 1_300_000_000);
        seen.push(show(&observation));
    });
    assert_eq!(ending, Ok(Line::Counted));
    let omitted = decoder.tally().omitted.iter().flat_map(|(&omission, &count)| {
        std::iter::repeat_n(omission, usize::try_from(count).unwrap())
    });
    (seen, omitted.collect())
}

#[track_caller]
fn check(sample: &Sample, seen: &[&str], omitted: &[Omission]) {
    assert_eq!(decoded(sample), (seen.iter().map(ToString::to_string).collect(), omitted.to_vec()));
}

/// Answers to a question of this type, in order, with TTLs if given.
#[track_caller]
fn answers(
    qtype: &'static str,
    answers: &'static str,
    ttls: &'static str,
    seen: &[&str],
    omitted: &[Omission],
) {
    check(&Sample { qtype, answers, ttls, flags: RESOLVED, ..SAMPLE }, seen, omitted);
}

#[test]
fn addresses_follow_the_chain() {
    answers(
        "1",
        "192.0.2.1,192.0.2.2",
        "60.0,61.9",
        &["a.example A 192.0.2.1 60", "a.example A 192.0.2.2 61"],
        &[],
    );
    answers(
        "28",
        "b.example,RRSIG 5 example,c.example,2001:db8::1,TXT 1 x",
        "1.0,1.0,2.0,3.0,4.0",
        &[
            "a.example CNAME b.example 1",
            "b.example CNAME c.example 2",
            "c.example AAAA 2001:db8::1 3",
            "c.example TXT \"x\" 4",
        ],
        &[Omission::RdataNotInLog],
    );
    answers("5", "B.example.", "-", &["a.example CNAME b.example"], &[]);
    answers("65", "b.example", "9.0", &["a.example CNAME b.example 9"], &[]);
}

#[test]
fn a_name_that_breaks_limits_hides_the_rest_of_the_chain() {
    answers(
        "1",
        "b..example,192.0.2.1,c.example",
        "-",
        &[],
        &[Omission::BadName, Omission::Ambiguous, Omission::Ambiguous],
    );
    answers("2", "b..example,c.example", "-", &["a.example NS c.example"], &[Omission::BadName]);
}

#[test]
fn sets_of_names_have_one_ttl() {
    answers(
        "2",
        "b.example,c.example",
        "5.0,5.0",
        &["a.example NS b.example 5", "a.example NS c.example 5"],
        &[],
    );
    answers(
        "15",
        "b.example,192.0.2.1",
        "5.0,6.0",
        &["a.example MX 0 b.example partial 5"],
        &[Omission::Ambiguous],
    );
    answers(
        "33",
        "192.0.2.1,my printer@b.example",
        "5.0,6.0",
        &["a.example A 192.0.2.1 5", "a.example SRV 0 0 0 my\\032printer\\@b.example partial 6"],
        &[],
    );
    answers("15", "b.example,c.example,192.0.2.1", "5.0,6.0,6.0", &[], &[Omission::Ambiguous; 3]);
}

#[test]
fn authority_and_pointers_end_a_chain() {
    answers(
        "6",
        "b.example,ns.example",
        "-",
        &["a.example CNAME b.example", "b.example SOA ns.example . 0 0 0 0 0 partial"],
        &[],
    );
    answers(
        "6",
        "ns.example,192.0.2.1",
        "-",
        &["a.example SOA ns.example . 0 0 0 0 0 partial"],
        &[Omission::Ambiguous],
    );
    answers(
        "12",
        "1.0/25.2.0.192.in-addr.arpa,b.example,c.example",
        "-",
        &[
            "a.example CNAME 1.0/25.2.0.192.in-addr.arpa",
            "1.0/25.2.0.192.in-addr.arpa PTR b.example",
            "1.0/25.2.0.192.in-addr.arpa PTR c.example",
        ],
        &[],
    );
    answers("12", "x.ip6.arpa", "-", &["a.example PTR x.ip6.arpa"], &[]);
    answers(
        "12",
        "xin-addr.arpa,b.example",
        "-",
        &["a.example PTR xin-addr.arpa", "a.example PTR b.example"],
        &[],
    );
    let pointer =
        Sample { query: "1.2.0.192.in-addr.arpa", qtype: "-", answers: "b.example", ..SAMPLE };
    check(&pointer, &["1.2.0.192.in-addr.arpa PTR b.example"], &[]);
}

#[test]
fn what_cannot_be_told_is_left_out() {
    for qtype in ["255", "39", "252", "-"] {
        answers(qtype, "b.example", "-", &[], &[Omission::Ambiguous]);
        answers(
            qtype,
            "192.0.2.1,b.example,192.0.2.2",
            "-",
            &["a.example A 192.0.2.1"],
            &[Omission::Ambiguous; 2],
        );
    }
    answers("255", "b.example,192.0.2.1", "-", &[], &[Omission::Ambiguous; 2]);
    answers(
        "-",
        "b.example,NSEC3,c.example,192.0.2.1",
        "-",
        &["a.example CNAME b.example", "b.example CNAME c.example", "c.example A 192.0.2.1"],
        &[Omission::RdataNotInLog],
    );
    answers("38", "2001:db8::1", "-", &[], &[Omission::RdataNotInLog]);
    answers(
        "1",
        "TXT 9 x,-,(empty),<unknown type=39>,add: A a.example 192.0.2.1",
        "-",
        &[],
        &[
            Omission::RdataNotInLog,
            Omission::RdataNotInLog,
            Omission::RdataNotInLog,
            Omission::Undecodable,
            Omission::DynamicUpdate,
        ],
    );
}

#[test]
fn a_record_counts_once_in_a_line() {
    answers(
        "1",
        "192.0.2.1,192.0.2.1",
        "5.0,6.0",
        &["a.example A 192.0.2.1 5"],
        &[Omission::Repeated],
    );
    answers(
        "1",
        "b.example,a.example,b.example,192.0.2.1",
        "-",
        &["a.example CNAME b.example", "b.example CNAME a.example", "b.example A 192.0.2.1"],
        &[Omission::Repeated],
    );
    let mut decoder = Decoder::new(Options::default());
    decoder.skim(FIELDS.as_bytes());
    let many: Vec<String> = (0..200).map(|at| format!("192.0.2.{}", at % 100)).collect();
    let line = SAMPLE.line().replacen("\t-\t-\tF", &format!("\t{}\t-\tF", many.join(",")), 1);
    let mut count = 0;
    assert_eq!(decoder.line(line.as_bytes(), &mut |_| count += 1), Ok(Line::Counted));
    assert_eq!((count, decoder.tally().omitted[&Omission::Repeated]), (100, 100));
    assert_eq!(decoder.tally().ttl_mismatches, 1);
}

#[test]
fn errors_speak_of_the_end_of_the_chain() {
    let nxdomain = Sample { rcode: "3", ..SAMPLE };
    check(&nxdomain, &["a.example A NXDOMAIN"], &[]);
    check(
        &Sample { answers: "b.example", flags: RESOLVED, ..nxdomain.clone() },
        &["a.example CNAME b.example", "b.example A NXDOMAIN"],
        &[],
    );
    check(&Sample { qtype: "-", ..nxdomain.clone() }, &[], &[Omission::NoQtype]);
    check(
        &Sample { answers: "b.example", qtype: "255", ..nxdomain },
        &[],
        &[Omission::Ambiguous; 2],
    );
    check(&Sample { rcode: "-", qtype: "255", ..SAMPLE }, &["a.example ANY UNANSWERED"], &[]);
    check(&Sample { rcode: "-", qtype: "-", ..SAMPLE }, &[], &[Omission::NoQtype]);
    check(&Sample { rcode: "-", answers: "192.0.2.1", ..SAMPLE }, &["a.example A 192.0.2.1"], &[]);
}

#[test]
fn no_data_is_told_only_when_it_is_sure() {
    let with = |flags| Sample { flags, ..SAMPLE };
    // A referral, or a truncated message, with or without a record in any section: none of it is in the log.
    for rd in ["F", "T"] {
        for rejected in ["F", "T"] {
            check(&with(["-", "F", rd, "F", rejected]), &[], &[Omission::NodataOrReferral]);
        }
    }
    // Without any record, over a stream.
    let over = |proto: &str, rejected: bool| {
        let line = format!(
            r#"{{"ts":1,"proto":"{proto}","query":"a.example","qtype":1,"rcode":0,"RD":true,"rejected":{rejected}}}"#
        );
        let mut decoder = Decoder::new(Options::default());
        let mut seen = Vec::new();
        decoder.line(line.as_bytes(), &mut |one| seen.push(show(&one))).unwrap();
        (seen, decoder.tally().omitted.contains_key(&Omission::NodataOrReferral))
    };
    assert_eq!(over("tcp", true), (vec!["a.example A NODATA".to_owned()], false));
    assert_eq!(over("udp", true), (vec![], true));
    assert_eq!(over("tcp", false), (vec![], true));
    check(&with(["0.1", "F", "T", "F", "F"]), &[], &[Omission::AnswerNotInLog]);
    check(&with(["-", "T", "T", "F", "F"]), &[], &[Omission::AnswerNotInLog]);
    check(&with(["-", "F", "T", "T", "F"]), &[], &[Omission::AnswerNotInLog]);
    check(&Sample { qtype: "65", ..SAMPLE }, &[], &[Omission::AnswerNotInLog]);
    check(&Sample { qtype: "-", ..SAMPLE }, &[], &[Omission::NoQtype]);
}

#[track_caller]
fn ending(line: &[u8], want: Result<Line, Rejection>) {
    let mut decoder = Decoder::new(Options::default());
    decoder.skim(FIELDS.as_bytes());
    assert_eq!(decoder.line(line, &mut |_| ()), want);
    assert_eq!((decoder.tally().lines, decoder.tally().endings()), (1, 1));
}

#[test]
fn what_is_not_asked_for_is_filtered_before_it_is_looked_at() {
    let ends = |sample: Sample, want| ending(sample.line().as_bytes(), want);
    ends(Sample { opcode: "5", port: "5353", ..SAMPLE }, Ok(Line::Filtered(Filter::Opcode)));
    ends(
        Sample { port: "5355", class: "3", query: "-", ..SAMPLE },
        Ok(Line::Filtered(Filter::Port)),
    );
    ends(Sample { class: "3", query: "-", ..SAMPLE }, Ok(Line::Filtered(Filter::Class)));
    ends(Sample { class: "-", opcode: "-", ..SAMPLE }, Ok(Line::Counted));
    let mut decoder = Decoder::new(Options { keep_multicast: true, ..Options::default() });
    decoder.skim(FIELDS.as_bytes());
    let line = Sample { port: "5353", ..SAMPLE }.line();
    assert_eq!(decoder.line(line.as_bytes(), &mut |_| ()), Ok(Line::Counted));
}

#[test]
fn lines_that_cannot_be_used_are_rejected() {
    let ends = |sample: Sample, want| ending(sample.line().as_bytes(), Err(want));
    ends(Sample { query: "-", ..SAMPLE }, Rejection::NoQuery);
    ends(Sample { query: "a..example", ..SAMPLE }, Rejection::BadName);
    ends(Sample { qtype: "x", ..SAMPLE }, Rejection::BadField);
    ends(Sample { rcode: "4096", ..SAMPLE }, Rejection::BadField);
    ends(Sample { flags: ["-", "F", "?", "F", "F"], ..SAMPLE }, Rejection::BadField);
    ending(b"1300000000.0\tcut", Err(Rejection::ColumnCount));
    ending(format!("{}\tx", SAMPLE.line()).as_bytes(), Err(Rejection::ColumnCount));
    ending(SAMPLE.line().replace("1300000000.5", "-").as_bytes(), Err(Rejection::BadTime));
    ending(SAMPLE.line().replace("1300000000.5", "-1.0").as_bytes(), Err(Rejection::TimeRange));
    ending(b"{\"query\":", Err(Rejection::Json));
    ending(b"", Ok(Line::Blank));
    ending(b" \t\r", Ok(Line::Blank));
    ending(b"#close\t2024-04-12-20-00-00", Ok(Line::Directive));
    ending(format!("{}\r", SAMPLE.line()).as_bytes(), Ok(Line::Counted));
}

#[test]
fn the_root_is_the_empty_query() {
    let root = Sample { query: "(empty)", qtype: "2", answers: "a.root-servers.net", ..SAMPLE };
    check(&root, &[". NS a.root-servers.net"], &[]);
    check(&Sample { query: "", ..root }, &[". NS a.root-servers.net"], &[]);
}

#[test]
fn headers_change_mid_stream() {
    let mut decoder = Decoder::new(Options::default());
    let mut seen = Vec::new();
    let mut ends = Vec::new();
    for line in [
        &b"1.0\ta.example\t1\t192.0.2.1"[..],
        b"#separator \\x7c\\x7c",
        b"#set_separator||\\x3b",
        b"#empty_field||EMPTY",
        b"#unset_field||NONE",
        b"#path||dns_internal",
        b"#fields||query||answers||ts||qtype||rcode",
        b"b.example||192.0.2.1;192.0.2.2||2.0||1||0",
        b"EMPTY||NONE||2.0||2||3",
        b"#separator \\x09",
        b"#path\tconn",
        b"#fields\tts\tquery",
        b"1.0\ta.example",
        b"#separator \\x09",
        b"1.0\ta.example",
        b"#path\tdns",
        b"#fields\tts\tqtype",
        b"1.0\t1",
        b"#separator \\x09",
        b"#fields\tts\tservice",
        b"1.0\t1",
        b"#separator \\x09",
        b"ts\tquery\tanswers",
        b"3.0\tc.example\t192.0.2.3",
        b"ts\tanswers\tquery",
        b"4.0\t192.0.2.4\td.example",
        b"{\"ts\":5,\"query\":\"e.example\",\"answers\":[\"192.0.2.5\",null],\"TTLs\":[1,null]}",
    ] {
        ends.push(decoder.line(line, &mut |seen_one| seen.push(show(&seen_one))));
    }
    ends.retain(|end| *end != Ok(Line::Directive));
    let counted = Ok(Line::Counted);
    let other = Ok(Line::OtherRecord);
    assert_eq!(
        ends,
        [
            Err(Rejection::NoHeader),
            counted,
            counted,
            other,
            Err(Rejection::NoHeader),
            Err(Rejection::UnusableHeader),
            other,
            counted,
            counted,
            counted
        ]
    );
    assert_eq!(
        seen,
        [
            "b.example A 192.0.2.1",
            "b.example A 192.0.2.2",
            ". NS NXDOMAIN",
            "c.example A 192.0.2.3",
            "d.example A 192.0.2.4",
            "e.example A 192.0.2.5 1"
        ]
    );
    let tally = decoder.take_tally();
    assert_eq!((tally.lines, tally.endings(), tally.records, tally.negatives), (27, 27, 5, 1));
    assert_eq!(decoder.tally(), &Tally::default());
}

#[test]
fn a_chain_ends_where_a_server_that_is_no_resolver_leaves_its_domain() {
    let poisoned = |flags| Sample {
        query: "a.evil.example.com",
        answers: "b.example.com,www.bank.example.net,c.bank.example.net,203.0.113.66",
        flags,
        ..SAMPLE
    };
    let inside =
        ["a.evil.example.com CNAME b.example.com", "b.example.com CNAME www.bank.example.net"];
    let whole = [
        inside[0],
        inside[1],
        "www.bank.example.net CNAME c.bank.example.net",
        "c.bank.example.net A 203.0.113.66",
    ];
    check(&poisoned(["0.1", "F", "T", "T", "F"]), &whole, &[]);
    check(&poisoned(["0.1", "T", "T", "T", "F"]), &whole, &[]);
    // The server's own answer; an attacker's that sets RA; and one that lacks it.
    for flags in [
        ["0.1", "T", "F", "F", "F"],
        ["0.1", "F", "F", "T", "F"],
        ["0.1", "T", "F", "T", "F"],
        ["0.1", "F", "T", "F", "F"],
        ["-", "-", "-", "-", "-"],
    ] {
        check(&poisoned(flags), &inside, &[Omission::OutOfBailiwick; 2]);
    }
    // A statement about the end of the chain concerns someone else's name.
    let nxdomain = Sample {
        rcode: "3",
        answers: "www.bank.example.net",
        ..poisoned(["0.1", "T", "F", "T", "F"])
    };
    let alias = "a.evil.example.com CNAME www.bank.example.net";
    check(&nxdomain, &[alias], &[Omission::ChainCut]);
    let resolved = Sample { flags: RESOLVED, ..nxdomain };
    check(&resolved, &[alias, "www.bank.example.net A NXDOMAIN"], &[]);
    // Within a public suffix, each name is its own domain.
    let suffix = Sample {
        query: "a.co.uk",
        answers: "b.co.uk,192.0.2.1",
        flags: ["0.1", "T", "F", "F", "F"],
        ..SAMPLE
    };
    check(&suffix, &["a.co.uk CNAME b.co.uk"], &[Omission::OutOfBailiwick]);
}
