//! Tests of single lines.

use super::*;
use crate::observation::{Fact, Seen};
use crate::rdata::FinalDot;
use proptest::prelude::*;
use std::collections::BTreeMap;

const HEAD: &str =
    r#"{"timestamp":"2023-03-08T22:05:16.231213+0000","flow_id":1,"event_type":"dns","#;

fn show(one: &Aggregated<'_>) -> String {
    let fact = match one.fact {
        Fact::Record(rdata) => {
            let text = rdata.to_text(FinalDot::Without);
            format!("{} {text}{}", rdata.rrtype, if rdata.partial { " partial" } else { "" })
        }
        Fact::Negative { qtype, outcome } => format!("{qtype} {outcome}"),
    };
    let ttl = Some(one.seen.ttl_last).filter(|&ttl| ttl != Seen::NO_TTL);
    let ttl = ttl.map_or(String::new(), |ttl| format!(" {ttl}"));
    let inferred = if one.seen.flags == Seen::INFERRED { " inferred" } else { "" };
    assert_eq!(one.seen.time_first, 1_678_313_116);
    format!("{} {fact}{ttl}{inferred}", one.rrname)
}

/// Result of reading a line: its classification, its observations, and the tally.
fn read(line: &str) -> (Result<Line, Rejection>, Vec<String>, Tally) {
    let (mut decoder, mut seen) = (SuricataDecoder::default(), Vec::new());
    let ending = decoder.line(line.as_bytes(), &mut |one| seen.push(show(&one)));
    (ending, seen, decoder.tally().clone())
}

/// An answer of a resolver about `rrname`, in version 2, with the given remaining fields.
fn answer(question: (&str, &str), flags: &str, rest: &str) -> String {
    let (rrname, rrtype) = question;
    format!(
        r#"{HEAD}"src_port":5000,"dest_port":53,"dns":{{"version":2,"type":"answer","id":1,"flags":"{flags}","rrname":"{rrname}","rrtype":"{rrtype}"{rest}}}}}"#
    )
}

#[track_caller]
fn check(line: &str, want: &[&str], omitted: &[(Omission, u64)]) {
    let (ending, seen, tally) = read(line);
    assert_eq!(ending, Ok(Line::Counted), "{line}");
    assert_eq!(seen, want);
    assert_eq!(*tally.omitted, omitted.iter().copied().collect::<BTreeMap<_, _>>());
    assert_eq!(tally.records + tally.negatives, seen.len() as u64);
}

#[test]
fn security_onions_sample_is_read() {
    // From Security Onion's issue 10117.
    let line = r#"{"timestamp":"2023-03-08T22:05:16.231213+0000","flow_id":2162284216176514,"in_iface":"bond0","event_type":"dns","src_ip":"172.16.1.99","src_port":56848,"dest_ip":"149.112.112.112","dest_port":53,"proto":"UDP","community_id":"1:x","dns":{"version":2,"type":"answer","id":47410,"flags":"8180","qr":true,"rd":true,"ra":true,"rrname":"sbqmsa.wiki","rrtype":"A","rcode":"NOERROR","grouped":{"A":["188.54.114.192"]}}}"#;
    check(line, &["sbqmsa.wiki A 188.54.114.192 inferred"], &[]);
    check(&format!("{line}\r"), &["sbqmsa.wiki A 188.54.114.192 inferred"], &[]);
}

#[test]
fn a_grouped_chain_is_rebuilt() {
    let grouped =
        r#","grouped":{"A":["192.0.2.1","192.0.2.2"],"CNAME":["B.example.net","c.example.net"]}"#;
    check(
        &answer(("a.example.com", "A"), "8180", grouped),
        &[
            "a.example.com CNAME b.example.net inferred",
            "b.example.net CNAME c.example.net inferred",
            "c.example.net A 192.0.2.1 inferred",
            "c.example.net A 192.0.2.2 inferred",
        ],
        &[],
    );
    // An authoritative server is trusted about its own domain only.
    check(
        &answer(("a.example.com", "A"), "8500", grouped),
        &["a.example.com CNAME b.example.net inferred"],
        &[(Omission::OutOfBailiwick, 3), (Omission::ChainCut, 1)],
    );
    check(
        &answer(("a.example.com", "A"), "8183", r#","grouped":{"CNAME":["b.example.net"]}"#),
        &["a.example.com CNAME b.example.net inferred", "b.example.net A NXDOMAIN inferred"],
        &[],
    );
    check(
        &answer(("a.example.com", "CNAME"), "8180", r#","grouped":{"CNAME":["b.example.net"]}"#),
        &["a.example.com CNAME b.example.net inferred"],
        &[],
    );
}

#[test]
fn what_a_grouped_event_cannot_tell_is_left_out() {
    let case = |qtype: &str, grouped: &str, want: &[&str], omitted: &[(Omission, u64)]| {
        let rest = format!(r#","grouped":{{{grouped}}}"#);
        check(&answer(("a.example", qtype), "8180", &rest), want, omitted);
    };
    let alias = "a.example CNAME b.example inferred";
    case("HTTPS", "", &[], &[(Omission::RdataNotInLog, 1)]);
    case("HTTPS", r#""CNAME":["b.example"]"#, &[alias], &[(Omission::RdataNotInLog, 1)]);
    case("A", "", &[], &[(Omission::NodataOrReferral, 1)]);
    case(
        "A",
        r#""AAAA":["2001:db8::1"],"A":["192.0.2.1"]"#,
        &["a.example A 192.0.2.1 inferred"],
        &[(Omission::Ambiguous, 1)],
    );
    // Loops, repeats and invalid names.
    let lost = [(Omission::Ambiguous, 2), (Omission::ChainCut, 1)];
    case("A", r#""CNAME":["b.example","a.example"],"A":["192.0.2.1"]"#, &[alias], &lost);
    let again = "b.example A 192.0.2.1 inferred";
    case(
        "A",
        r#""CNAME":["b.example","b.example"],"A":["192.0.2.1"]"#,
        &[alias, again],
        &[(Omission::Repeated, 1)],
    );
    let bad = [(Omission::BadName, 1), (Omission::Ambiguous, 1), (Omission::ChainCut, 1)];
    case("A", r#""CNAME":["b..example"],"A":["192.0.2.1"]"#, &[], &bad);
    case("TXT", r#""TXT":["a b"]"#, &["a.example TXT \"a b\" inferred"], &[]);
    case(
        "TXT",
        r#""TXT":["a","b"]"#,
        &["a.example TXT \"a\" partial inferred", "a.example TXT \"b\" partial inferred"],
        &[],
    );
    case(
        "ANY",
        r#""A":["192.0.2.1"],"NS":["b.example"]"#,
        &["a.example A 192.0.2.1 inferred", "a.example NS b.example inferred"],
        &[],
    );
    case(
        "ANY",
        r#""A":["192.0.2.1"],"CNAME":["b.example"]"#,
        &[],
        &[(Omission::Ambiguous, 2), (Omission::ChainCut, 1)],
    );
    case("AXFR", r#""A":["192.0.2.1"]"#, &[], &[(Omission::Ambiguous, 1), (Omission::ChainCut, 1)]);
    case("A", r#""FOO":["192.0.2.1"],"A":["192.0.2.01"]"#, &[], &[(Omission::Undecodable, 2)]);
}

#[test]
fn detailed_answers_tell_all_of_it() {
    let rest = r#","answers":[{"rrname":"A.example","rrtype":"CNAME","ttl":60,"rdata":"b.example"},
        {"rrname":"b.example","rrtype":"SRV","ttl":4294967295,"srv":{"priority":1,"weight":2,"port":3,"name":"C.example"}},
        {"rrname":"b.example","rrtype":"SRV","srv":{"priority":1,"weight":2,"port":3,"target":"d.example"}},
        {"rrname":"b.example","rrtype":"RRSIG","ttl":60},
        {"rrname":"www.bank.example","rrtype":"A","ttl":60,"rdata":"192.0.2.6"}],
        "authorities":[{"rrname":"example","rrtype":"NS","ttl":9,"rdata":"ns.example"}],
        "additionals":[{"rrname":"","rrtype":"OPT","ttl":32768}]"#;
    check(
        &answer(("a.example", "SRV"), "8180", rest),
        &[
            "a.example CNAME b.example 60",
            "b.example SRV 1 2 3 c.example 0",
            "b.example SRV 1 2 3 d.example",
            "example NS ns.example 9",
        ],
        &[(Omission::OutOfBailiwick, 1), (Omission::RdataNotInLog, 1)],
    );
}

#[test]
fn rdata_of_each_type() {
    let case = |rrtype: &str, rdata: &str, want: Result<&str, Omission>| {
        let rest =
            format!(r#","answers":[{{"rrname":"a.example","rrtype":"{rrtype}","ttl":1,{rdata}}}]"#);
        let want: Vec<String> =
            want.iter().map(|text| format!("a.example {rrtype} {text}")).collect();
        let (ending, seen, tally) = read(&answer(("a.example", rrtype), "8180", &rest));
        assert_eq!((ending, seen), (Ok(Line::Counted), want), "{rest}: {tally:?}");
    };
    let bad = Err(Omission::Undecodable);
    case("AAAA", r#""rdata":"2001:0db8:0000:0000:0000:0000:0000:0001""#, Ok("2001:db8::1 1"));
    case("MX", r#""rdata":"mail.example""#, Ok("0 mail.example partial 1"));
    case("MX", r#""rdata":"""#, Ok("0 . partial 1"));
    case("PTR", r#""rdata":"h\\xf6st.example""#, Ok("h\\246st.example 1"));
    case("NS", r#""rdata":"""#, bad);
    case("NS", r#""rdata":"a.example","rdata_truncated":true"#, bad);
    case("TXT", r#""rdata":"""#, Ok("\"\" 1"));
    case("TXT", &format!(r#""rdata":"{}""#, "x".repeat(256)), bad);
    case("TXT", r#""rdata":"\u001b[2J\\xff""#, Ok("\"\\027[2J\\255\" 1"));
    case("NULL", r#""rdata":"a\u0000""#, Ok("\\# 2 6100 1"));
    case("SSHFP", r#""sshfp":{"fingerprint":"f9:0f","algo":1,"type":2}"#, Ok("1 2 f90f 1"));
    case("SSHFP", r#""sshfp":{"fingerprint":"f9:0","algo":1,"type":2}"#, bad);
    let soa = r#""soa":{"mname":"M.example","rname":"r.example","serial":1,"refresh":2,"retry":3,"expire":4,"minimum":5}"#;
    case("SOA", soa, Ok("m.example r.example 1 2 3 4 5 1"));
    case("SOA", r#""soa":{"mname":"m.example","rname":"r.example"}"#, bad);
    case("A", r#""rdata":"""#, bad);
    case("TLSA", r#""x":1"#, Err(Omission::RdataNotInLog));
    // A type without a mnemonic is logged as its number.
    let rest = r#","answers":[{"rrname":"a.example","rrtype":"65280","ttl":1}]"#;
    check(&answer(("a.example", "65280"), "8180", rest), &[], &[(Omission::RdataNotInLog, 1)]);
}

#[test]
fn strings_of_one_owner_are_parts_of_records() {
    let text = |owner: &str, text: &str| {
        format!(r#"{{"rrname":"{owner}","rrtype":"TXT","ttl":1,"rdata":"{text}"}}"#)
    };
    let rest = format!(r#","answers":[{},{}]"#, text("a.example", "x"), text("A.example", "y"));
    let parts = ["a.example TXT \"x\" partial 1", "a.example TXT \"y\" partial 1"];
    check(&answer(("a.example", "TXT"), "8180", &rest), &parts, &[]);
    let rest = format!(
        r#","answers":[{}],"additionals":[{}]"#,
        text("a.example", "x"),
        text("b.a.example", "y")
    );
    check(
        &answer(("a.example", "TXT"), "8180", &rest),
        &["a.example TXT \"x\" 1", "b.a.example TXT \"y\" 1"],
        &[],
    );
}

#[test]
fn negative_answers() {
    let soa = r#","authorities":[{"rrname":"example","rrtype":"SOA","ttl":5,"soa":{"mname":"m.example","rname":"r.example","serial":1,"refresh":2,"retry":3,"expire":4,"minimum":5}}]"#;
    let shown = "example SOA m.example r.example 1 2 3 4 5 5";
    check(&answer(("a.example", "A"), "8183", soa), &[shown, "a.example A NXDOMAIN"], &[]);
    check(&answer(("a.example", "A"), "8180", soa), &[shown, "a.example A NODATA"], &[]);
    let alias = format!(r#","grouped":{{"CNAME":["b.example"]}}{soa}"#);
    check(
        &answer(("a.example", "HTTPS"), "8180", &alias),
        &["a.example CNAME b.example inferred", shown, "b.example HTTPS NODATA inferred"],
        &[],
    );
    check(&answer(("a.example", "A"), "8185", ""), &["a.example A REFUSED"], &[]);
    check(&answer(("a.example", "A"), "8380", ""), &[], &[(Omission::Truncated, 1)]);
    let ns = r#","authorities":[{"rrname":"example","rrtype":"NS","ttl":5,"rdata":"n.example"}]"#;
    check(
        &answer(("a.example", "A"), "8000", ns),
        &["example NS n.example 5"],
        &[(Omission::Referral, 1)],
    );
    let option = r#","additionals":[{"rrname":"","rrtype":"OPT","ttl":16777216}]"#;
    check(&answer(("a.example", "A"), "8180", option), &["a.example A BADVERS"], &[]);
}

#[test]
fn version_3_has_its_questions_in_a_list() {
    let event = |queries: &str| {
        format!(
            r#"{HEAD}"dns":{{"version":3,"type":"response","flags":"8180","queries":[{queries}],"answers":[{{"rrname":"a.example","rrtype":"A","ttl":1,"rdata":"192.0.2.1"}}]}}}}"#
        )
    };
    let query = r#"{"rrname":"a.example","rrtype":"A"}"#;
    check(&event(query), &["a.example A 192.0.2.1 1"], &[]);
    assert_eq!(read(&event(&format!("{query},{query}"))).0, Err(Rejection::QuestionCount));
    assert_eq!(read(&event("")).0, Err(Rejection::NoQuery));
}

/// Events of version 3, the first of which may be the query of the second.
fn pair(query: &str, answer_flags: &str) -> Vec<String> {
    let event = |dns: &str| {
        format!(
            r#"{{"timestamp":"2023-03-08T22:05:16.231213+0000","flow_id":7,"event_type":"dns","src_port":5000,"dest_port":53,"dns":{{"version":3,{dns}}}}}"#
        )
    };
    let question = r#""queries":[{"rrname":"www.evil.example.com","rrtype":"A"}]"#;
    let lines = [
        event(&format!(r#""type":"request",{query},{question}"#)),
        event(&format!(
            r#""type":"response","id":9,"flags":"{answer_flags}",{question},"answers":[{{"rrname":"www.evil.example.com","rrtype":"CNAME","ttl":1,"rdata":"www.bank.example.net"}},{{"rrname":"www.bank.example.net","rrtype":"A","ttl":1,"rdata":"203.0.113.66"}}]"#
        )),
    ];
    let read = |skims: usize| {
        let (mut decoder, mut seen) = (SuricataDecoder::default(), Vec::new());
        lines[..skims].iter().for_each(|line| decoder.skim(line.as_bytes()));
        for line in &lines[skims..] {
            decoder.line(line.as_bytes(), &mut |one| seen.push(show(&one))).unwrap();
        }
        seen
    };
    // The result is the same if the query was read before the agent restarted.
    assert_eq!(read(0), read(1));
    read(0)
}

#[test]
fn what_a_query_wanted_tells_a_resolver_that_does_not_copy_it() {
    let alias = "www.evil.example.com CNAME www.bank.example.net 1";
    let address = "www.bank.example.net A 203.0.113.66 1";
    let wants = r#""id":9,"flags":"100""#;
    // The result does not depend on whether RD is copied.
    assert_eq!(pair(wants, "8180"), [alias, address]);
    assert_eq!(pair(wants, "8080"), [alias, address]);
    // A server that sets RA, or both flags, towards a resolver that did not request recursion; and one that
    // does not offer it.
    for (query, answer) in
        [(r#""id":9,"flags":"0""#, "8480"), (r#""id":9,"flags":"0""#, "8580"), (wants, "8500")]
    {
        assert_eq!(pair(query, answer), [alias], "{query} {answer}");
    }
    // A different id, or no flags: the response's own flag is used.
    for query in [r#""id":8,"flags":"100""#, r#""id":9"#] {
        assert_eq!(pair(query, "8080"), [alias]);
        assert_eq!(pair(query, "8180"), [alias, address]);
    }
}

#[test]
fn lines_that_are_no_answers_are_told() {
    let dns = |dns: &str| read(&format!(r#"{HEAD}"dns":{dns}}}"#)).0;
    let plain = answer(("a.example", "A"), "8180", "");
    assert_eq!(read(" ").0, Ok(Line::Blank));
    for json in ["x", "[]", "{", "{}x", r#"{"event_type":1}"#, "#path"] {
        assert_eq!(read(json).0, Err(Rejection::Json), "{json}");
    }
    for other in ["{}", r#"{"event_type":"flow","dns":1,"timestamp":{}}"#, r#"{"event_type":null}"#]
    {
        assert_eq!(read(other).0, Ok(Line::OtherRecord), "{other}");
    }
    assert_eq!(dns(r#"{"type":"query","rrname":1}"#), Err(Rejection::BadField));
    assert_eq!(dns(r#"{"type":"query"}"#), Ok(Line::Filtered(Filter::Query)));
    assert_eq!(dns(r#"{"version":3,"type":"request"}"#), Ok(Line::Filtered(Filter::Query)));
    // Version 1 has an event for each record, and no separate question.
    let old = r#"{"type":"answer","rcode":"NOERROR","rrname":"a","rrtype":"A","ttl":8,"rdata":"192.0.2.1"}"#;
    assert_eq!(dns(old), Ok(Line::Filtered(Filter::Version)));
    assert_eq!(dns(r#"{"version":4,"type":"response"}"#), Ok(Line::Filtered(Filter::Version)));
    assert_eq!(dns(r#"{"version":2,"type":"other"}"#), Err(Rejection::BadField));
    assert_eq!(dns(r#"{"version":2,"type":"answer"}"#), Err(Rejection::NoFlags));
    assert_eq!(dns("null"), Err(Rejection::BadField));
    assert_eq!(read(&plain.replace("8180", "a880")).0, Ok(Line::Filtered(Filter::Opcode)));
    let mdns = plain.replace(":53,", ":5353,");
    assert_eq!(read(&mdns).0, Ok(Line::Filtered(Filter::Port)));
    assert_eq!(read(&plain.replace("5000", "5353")).0, Ok(Line::Counted));
    let chaos = answer(("Version.BIND", "TXT"), "8180", "");
    assert_eq!(read(&chaos).0, Ok(Line::Filtered(Filter::Class)));
    assert_eq!(read(&plain.replace("a.example", "a..example")).0, Err(Rejection::BadName));
    assert_eq!(read(&plain.replace(r#""A""#, r#""FOO""#)).0, Err(Rejection::BadField));
    assert_eq!(read(&plain.replace("2023-03", "2023-13")).0, Err(Rejection::BadTime));
    assert_eq!(read(&plain.replace("2023", "1969")).0, Err(Rejection::TimeRange));
    assert_eq!(read(&plain.replace("timestamp", "time")).0, Err(Rejection::BadTime));
    assert_eq!(read(&plain.replace("8180", "xyz")).0, Err(Rejection::BadField));
    let deep = format!("{HEAD}\"x\":{}", "[".repeat(100_000));
    assert_eq!(read(&deep).0, Err(Rejection::Json));
}

/// Pieces of events, in any order and number.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "1",
        "-1",
        "4294967296",
        "true",
        "\"A\"",
        "\"TXT\"",
        "\"a.example\"",
        "\"\\u0000\"",
        "\"192.0.2.1\"",
        "\"rrname\":",
        "\"rrtype\":",
        "\"answers\":[",
        "\"grouped\":{\"A\":[",
        "\"queries\":[",
        "\"ttl\":",
        "\"rdata\":",
        "\"soa\":{",
        "\"flags\":\"8180\"",
        "\"version\":2",
        "\"type\":\"answer\"",
        "\"\\\\xff\"",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_line_ends_in_some_way(
        octets in prop::collection::vec(any::<u8>(), 0..200), pieces in pieces(), cut in 0usize..400
    ) {
        let mut decoder = SuricataDecoder::default();
        let grouped = r#","grouped":{"A":["192.0.2.1"],"CNAME":["b.example"]},"authorities":[{"rrname":"example","rrtype":"NS","ttl":1,"rdata":"n"}]"#;
        let mut torn = answer(("a.example", "A"), "8180", grouped).into_bytes();
        let at = cut.min(torn.len());
        torn.splice(at..at, octets.iter().copied());
        let made = format!("{HEAD}\"dns\":{{{pieces}}}}}");
        let lines = [octets.as_slice(), pieces.as_bytes(), made.as_bytes(), &torn, &torn[..at]];
        let mut emitted = 0;
        for line in lines {
            let before = emitted;
            let ending = decoder.line(line, &mut |one| {
                emitted += 1;
                assert!(one.rrname.as_str().bytes().all(|octet| octet.is_ascii_graphic()));
            });
            prop_assert!(ending == Ok(Line::Counted) || emitted == before);
        }
        let tally = decoder.tally();
        prop_assert_eq!((tally.lines, tally.endings()), (5, 5));
        prop_assert_eq!(tally.records + tally.negatives, emitted);
    }

    #[test]
    fn a_question_and_an_answer_of_any_text_are_printable(rrname in ".*", rdata in ".*", rrtype in "A|NS|TXT|MX|NULL|CNAME") {
        let [rrname, rdata] = [rrname, rdata].map(|text| serde_json::to_string(&text).unwrap());
        let line = format!(
            r#"{HEAD}"dns":{{"version":3,"type":"response","flags":"8180","queries":[{{"rrname":{rrname},"rrtype":"{rrtype}"}}],"answers":[{{"rrname":{rrname},"rrtype":"{rrtype}","ttl":1,"rdata":{rdata}}}]}}}}"#
        );
        let (_, seen, _) = read(&line);
        for text in seen {
            prop_assert!(text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{}", text);
        }
    }
}
