//! The rules for one message: which records are filed, and what a negative answer is.

use super::build::{
    AUTHORITATIVE, Builder, Capture, QUERY, RESPONSE, TRUNCATED, check, flow, soa, wire,
};
use pdns_agent::decode::dns::{DnsFilter, DnsOptions, DnsRejection, Ending};
use pdns_agent::rr::RrType;

const A: RrType = RrType::A;
const ADDRESS: &[u8] = &[192, 0, 2, 9];

#[test]
fn a_record_under_the_name_asked_for() {
    let response =
        Builder::new(RESPONSE, "wWw.eXample.com", A).record(1, b"\xc0\x0c", A, 1, 300, ADDRESS);
    check(&response, &["www.example.com 300 A 192.0.2.9"], &[]);
}

#[test]
fn a_ttl_with_the_top_bit_set_is_zero() {
    for (ttl, want) in [(0x8000_0000, 0), (u32::MAX, 0), (0x7fff_ffff, 0x7fff_ffff)] {
        let response = Builder::new(RESPONSE, "a", A).record(1, b"\xc0\x0c", A, 1, ttl, ADDRESS);
        check(&response, &[&format!("a {want} A 192.0.2.9")], &[]);
    }
}

#[test]
fn what_is_not_passive_dns_is_left_out() {
    let mut capture = Capture::new(DnsOptions::default());
    let notify = Builder::new(0x2000, "a", RrType::SOA);
    assert_eq!(capture.query(0.0, &notify), Ok(Ending::Filtered(DnsFilter::Opcode)));
    let chaos = Builder::bare(QUERY).question("version.bind", RrType::TXT, 3);
    assert_eq!(capture.query(0.0, &chaos), Ok(Ending::Filtered(DnsFilter::Class)));
    let two = Builder::new(QUERY, "a", A).question("b", A, 1);
    assert_eq!(capture.query(0.0, &two), Err(DnsRejection::QuestionCount));
    assert_eq!(capture.query(0.0, &Builder::bare(QUERY)), Err(DnsRejection::NoQuestion));
    // It may answer a query that is seen later.
    assert_eq!(capture.response(0.0, &Builder::bare(RESPONSE)), Ok(Ending::Waiting));
    capture.advance(0.2);
    assert_eq!(capture.decoder.tally().rejected[&DnsRejection::NoQuestion], 2);
    let mut cut = Builder::new(QUERY, "a", A);
    cut.octets.pop();
    assert_eq!(capture.query(0.0, &cut), Err(DnsRejection::Question));
    cut.octets.truncate(11);
    assert_eq!(capture.query(0.0, &cut), Err(DnsRejection::ShortHeader));
    assert_eq!(capture.query(-1.0, &Builder::new(QUERY, "a", A)), Err(DnsRejection::TimeRange));
    assert_eq!(capture.query(5e9, &Builder::new(QUERY, "a", A)), Err(DnsRejection::TimeRange));
    assert_eq!(capture.decoder.tally().pending, 0);
}

#[test]
fn other_classes_and_the_protocols_own_records_are_none() {
    let response = Builder::new(RESPONSE, "a", A)
        .answer("a", A, ADDRESS)
        .record(1, &wire("a"), A, 3, 60, ADDRESS)
        .additional("a", RrType::TSIG, &[1])
        .additional("a", RrType(128), &[1])
        .additional("", RrType::SIG, &[0; 19])
        .additional("", RrType::OPT, &[])
        .opt(0);
    check(&response, &["a 60 A 192.0.2.9"], &[("class", 1), ("meta", 3)]);
}

#[test]
fn names_in_rdata_are_canonical_and_other_octets_are_kept() {
    let response = Builder::new(RESPONSE, "Ab", RrType::ANY)
        .record(1, b"\xc0\x0c", RrType::MX, 1, 1, b"\x00\x05\x01X\xc0\x0c")
        .record(1, b"\xc0\x0c", RrType::HTTPS, 1, 1, b"\x00\x01\x01X\x00")
        .record(1, b"\xc0\x0c", RrType::DS, 1, 1, b"\x01\x02\x03")
        .record(1, b"\xc0\x0c", RrType(4711), 1, 1, b"\xc0\x0c");
    let want =
        ["ab 1 MX 5 x.ab", "ab 1 HTTPS 1 X", "ab 1 DS \\# 3 010203", "ab 1 TYPE4711 \\# 2 c00c"];
    check(&response, &want, &[]);
}

#[test]
fn rdata_that_does_not_fit_is_left_out_and_answers_all_the_same() {
    let response =
        Builder::new(RESPONSE, "a", RrType::MX).answer("a", RrType::MX, b"\x00\x05\x03x\x00");
    check(&response, &[], &[("undecodable", 1)]);
    for (rrtype, rdata) in [(A, &[192, 0, 2, 9, 0][..]), (A, &[192, 0, 2]), (RrType::AAAA, ADDRESS)]
    {
        let response = Builder::new(RESPONSE, "a", rrtype).answer("a", rrtype, rdata);
        check(&response, &[], &[("undecodable", 1)]);
    }
    let response = Builder::new(RESPONSE, "a", RrType::NSEC).record(
        1,
        b"\xc0\x0c",
        RrType::NSEC,
        1,
        1,
        b"\xc0\x0c\x00\x01\x40",
    );
    check(&response, &[], &[("undecodable", 1)]);
}

#[test]
fn records_that_are_alike_are_one() {
    let mut response = Builder::new(RESPONSE, "a", RrType::NS)
        .answer("a", RrType::NS, b"\x01x\x00")
        .answer("A", RrType::NS, b"\x01X\x00");
    let both = response.clone().authority("a", RrType::NS, b"\x01x\x00");
    check(&both, &["a 60 NS x"], &[("repeated", 2)]);
    // The same when there are many.
    for number in 0..100 {
        response = response.answer("a", A, &[0, 0, 0, number % 50]);
    }
    let mut capture = Capture::new(DnsOptions::default());
    capture.response(0.0, &response).unwrap();
    capture.finish();
    assert_eq!((capture.take().len(), capture.omitted()), (51, vec![("repeated", 51)]));
}

#[test]
fn a_message_that_breaks_off_keeps_what_came_before() {
    let mut response = Builder::new(RESPONSE, "a", A).answer("a", A, ADDRESS);
    // One more is counted than there is.
    response.octets[7] = 2;
    check(&response, &["a 60 A 192.0.2.9"], &[("rest_unreadable", 1)]);
    response.octets[7] = 1;
    response.octets.pop();
    check(&response, &[], &[("rest_unreadable", 1), ("truncated", 1)]);
    // And what is not counted is ignored.
    let mut response = Builder::new(RESPONSE, "a", A).answer("a", A, ADDRESS);
    response.octets.extend(b"garbage");
    check(&response, &["a 60 A 192.0.2.9"], &[]);
}

#[test]
fn a_chain_is_followed_in_any_order() {
    let response = Builder::new(RESPONSE, "a.x.com", A)
        .answer("c.z.com", A, ADDRESS)
        .answer("B.Y.com", RrType::CNAME, &wire("C.z.com"))
        .answer("a.x.com", RrType::CNAME, &wire("b.y.com"))
        .answer("other.com", A, ADDRESS)
        .answer("x.com", RrType::RRSIG, &[&[0; 18][..], &wire("x.com"), &[1]].concat())
        .answer("z.com", RrType::DNAME, &wire("w.com"))
        .answer("d.a.x.com", RrType::RRSIG, &[&[0; 18][..], &wire("x.com"), &[1]].concat());
    let want = [
        "c.z.com 60 A 192.0.2.9",
        "b.y.com 60 CNAME c.z.com",
        "a.x.com 60 CNAME b.y.com",
        "x.com 60 RRSIG TYPE0 0 0 0 19700101000000 19700101000000 0 x.com AQ==",
        "z.com 60 DNAME w.com",
    ];
    check(&response, &want, &[("out_of_bailiwick", 2)]);
}

#[test]
fn a_chain_that_loops_ends() {
    let response = Builder::new(RESPONSE, "a", A).answer("a", RrType::CNAME, &wire("b")).answer(
        "b",
        RrType::CNAME,
        &wire("a"),
    );
    check(&response, &["a 60 CNAME b", "b 60 CNAME a"], &[("nodata_or_referral", 1)]);
    let response = Builder::new(RESPONSE, "a", A).answer("a", RrType::CNAME, &wire("a"));
    check(&response, &["a 60 CNAME a"], &[("nodata_or_referral", 1)]);
}

#[test]
fn a_chain_has_at_most_64_names() {
    let mut response = Builder::new(RESPONSE, "n0", A);
    for number in 0..100 {
        response = response.answer(
            &format!("n{number}"),
            RrType::CNAME,
            &wire(&format!("n{}", number + 1)),
        );
    }
    let mut capture = Capture::new(DnsOptions::default());
    capture.response(0.0, &response).unwrap();
    capture.finish();
    assert_eq!(capture.take().len(), 64);
    assert_eq!(capture.omitted(), [("out_of_bailiwick", 36), ("nodata_or_referral", 1)]);
}

#[test]
fn a_poisoned_additional_record_is_not_filed() {
    let response = Builder::new(RESPONSE, "www.example.com", A)
        .answer("www.example.com", A, ADDRESS)
        .authority("example.com", RrType::NS, &wire("ns.example.com"))
        .authority("bank.com", RrType::NS, &wire("ns.evil.com"))
        .additional("ns.example.com", A, ADDRESS)
        .additional("www.bank.com", A, ADDRESS)
        .additional("notexample.com", A, ADDRESS);
    let want = [
        "www.example.com 60 A 192.0.2.9",
        "example.com 60 NS ns.example.com",
        "ns.example.com 60 A 192.0.2.9",
    ];
    check(&response, &want, &[("out_of_bailiwick", 3)]);
}

#[test]
fn below_a_public_suffix_the_registrable_domain_sets_the_limit() {
    let response = Builder::new(RESPONSE, "www.example.co.uk", A)
        .authority("co.uk", RrType::NS, &wire("ns.nic.uk"))
        .authority("hash.co.uk", RrType::NSEC3, &[1; 9])
        .additional("a.example.co.uk", A, ADDRESS)
        .additional("other.co.uk", A, ADDRESS)
        .additional("ns.nic.uk", A, ADDRESS);
    let want = ["co.uk 60 NS ns.nic.uk", "a.example.co.uk 60 A 192.0.2.9"];
    check(&response, &want, &[("out_of_bailiwick", 3), ("referral", 1)]);
    // A name without a registrable domain has nothing below it.
    let response = Builder::new(RESPONSE, "com", RrType::NS)
        .answer("com", RrType::NS, &wire("a.gtld.net"))
        .additional("a.com", A, ADDRESS);
    check(&response, &["com 60 NS a.gtld.net"], &[("out_of_bailiwick", 1)]);
    // Without an authority section it is the chain's end that counts.
    let response = Builder::new(RESPONSE, "a.example.com", A)
        .answer("a.example.com", RrType::CNAME, &wire("b.example.net"))
        .answer("b.example.net", A, ADDRESS)
        .additional("ns.example.net", A, ADDRESS)
        .additional("ns.example.com", A, ADDRESS);
    let want = [
        "a.example.com 60 CNAME b.example.net",
        "b.example.net 60 A 192.0.2.9",
        "ns.example.net 60 A 192.0.2.9",
    ];
    check(&response, &want, &[("out_of_bailiwick", 1)]);
}

#[test]
fn a_zone_transfer_tells_of_its_zone() {
    let response = Builder::new(RESPONSE, "example.com", RrType::AXFR)
        .answer("example.com", RrType::SOA, &soa("example.com"))
        .answer("a.b.example.com", A, ADDRESS)
        .answer("example.net", A, ADDRESS)
        .answer("example.com", RrType::SOA, &soa("example.com"));
    let want = [
        "example.com 60 SOA ns.example.com admin.example.com 0 0 0 0 0",
        "a.b.example.com 60 A 192.0.2.9",
    ];
    check(&response, &want, &[("out_of_bailiwick", 1), ("repeated", 1)]);
}

#[test]
fn rcodes_are_negative_answers_at_the_end_of_the_chain() {
    check(&Builder::new(RESPONSE | 3, "a.com", A), &["a.com A NXDOMAIN"], &[]);
    check(&Builder::new(RESPONSE | 2, "a.com", RrType(4711)), &["a.com TYPE4711 SERVFAIL"], &[]);
    check(&Builder::new(RESPONSE, "a.com", A).opt(1), &["a.com A BADVERS"], &[]);
    check(&Builder::new(RESPONSE | 7, "a.com", A).opt(1).opt(2), &["a.com A BADCOOKIE"], &[]);
    let response = Builder::new(RESPONSE | 3, "a.com", A)
        .answer("a.com", RrType::CNAME, &wire("b.com"))
        .authority("com", RrType::SOA, &[0; 22]);
    check(
        &response,
        &["a.com 60 CNAME b.com", "com 60 SOA . . 0 0 0 0 0", "b.com A NXDOMAIN"],
        &[],
    );
}

#[test]
fn no_data_is_told_by_an_soa_record_or_an_empty_response() {
    let zone = "example.com 60 SOA ns.example.com admin.example.com 0 0 0 0 0";
    let response = Builder::new(RESPONSE, "a.example.com", A).authority(
        "example.com",
        RrType::SOA,
        &soa("example.com"),
    );
    check(&response, &[zone, "a.example.com A NODATA"], &[]);
    // For the end of a chain.
    let response = Builder::new(RESPONSE, "x.com", A)
        .answer("x.com", RrType::CNAME, &wire("a.example.com"))
        .authority("example.com", RrType::SOA, &soa("example.com"));
    check(&response, &["x.com 60 CNAME a.example.com", zone, "a.example.com A NODATA"], &[]);
    // One that is only above its beginning says nothing of its end.
    let response = Builder::new(RESPONSE, "a.example.com", A)
        .answer("a.example.com", RrType::CNAME, &wire("x.com"))
        .authority("example.com", RrType::SOA, &soa("example.com"));
    check(&response, &["a.example.com 60 CNAME x.com", zone], &[("nodata_or_referral", 1)]);
    check(&Builder::new(RESPONSE, "a.com", A), &["a.com A NODATA"], &[]);
    check(&Builder::new(RESPONSE | TRUNCATED, "a.com", A), &[], &[("truncated", 1)]);
}

#[test]
fn a_referral_is_no_answer_but_an_authoritative_one_is() {
    let referral = |flags| {
        Builder::new(flags, "a.example.com", A).authority(
            "example.com",
            RrType::NS,
            &wire("ns.example.com"),
        )
    };
    let record = "example.com 60 NS ns.example.com";
    check(&referral(RESPONSE), &[record], &[("referral", 1)]);
    check(&referral(RESPONSE | AUTHORITATIVE), &[record, "a.example.com A NODATA"], &[]);
    // Whose NS records are somebody else's is none.
    let response =
        Builder::new(RESPONSE, "a.example.com", A).authority("b.com", RrType::NS, &wire("ns"));
    check(&response, &["a.example.com A NODATA"], &[("out_of_bailiwick", 1)]);
    // Something of class IN is in the answer section, whatever it is.
    let response = Builder::new(RESPONSE, "a.com", A).answer("b.com", A, ADDRESS);
    check(&response, &[], &[("out_of_bailiwick", 1), ("nodata_or_referral", 1)]);
}

#[test]
fn an_answer_has_the_type_that_was_asked_for() {
    let cname = |qtype| {
        Builder::new(RESPONSE, "a.com", qtype).answer("a.com", RrType::CNAME, &wire("b.com"))
    };
    check(&cname(RrType::CNAME), &["a.com 60 CNAME b.com"], &[]);
    check(&cname(RrType::ANY), &["a.com 60 CNAME b.com"], &[]);
    check(&cname(A), &["a.com 60 CNAME b.com"], &[("nodata_or_referral", 1)]);
    let response = Builder::new(RESPONSE, "a.com", RrType::AAAA).answer("a.com", A, ADDRESS);
    check(&response, &["a.com 60 A 192.0.2.9"], &[("nodata_or_referral", 1)]);
}

#[test]
fn multicast_has_rules_of_its_own() {
    let mut capture = Capture::new(DnsOptions::default());
    let query = Builder::new(0, "a.local", A);
    for port in [5353, 5355, 137] {
        let ending = capture.put(0.0, flow(port, port), &query.octets);
        assert_eq!(ending, Ok(Ending::Filtered(DnsFilter::MulticastQuery)));
    }
    let announced = Builder::bare(RESPONSE | AUTHORITATIVE)
        .record(1, &wire("a.local"), A, 0x8001, 120, ADDRESS)
        .record(3, &wire("b.local"), A, 1, 120, ADDRESS);
    assert_eq!(capture.put(0.0, flow(5353, 5353), &announced.octets), Ok(Ending::Response));
    assert_eq!(capture.take(), ["a.local 120 A 192.0.2.9", "b.local 120 A 192.0.2.9"]);
    let two = Builder::new(RESPONSE, "x", A).question("y", A, 0x8001);
    assert_eq!(capture.put(0.0, flow(5353, 5353), &two.octets), Ok(Ending::Response));
    assert_eq!(capture.take(), [""; 0]);
    // LLMNR asks by name, so that bailiwick holds.
    let response =
        Builder::new(RESPONSE, "host", A).answer("host", A, ADDRESS).answer("other", A, ADDRESS);
    assert_eq!(
        capture.put(0.0, flow(9999, 5355).reversed(), &response.octets),
        Ok(Ending::Response)
    );
    assert_eq!(capture.take(), ["host 60 A 192.0.2.9"]);
    // A resolver that happens to ask from such a port speaks DNS.
    let query = Builder::new(QUERY, "a.com", A);
    assert_eq!(capture.put(0.0, flow(5353, 53), &query.octets), Ok(Ending::Query));
    assert_eq!(
        capture.put(0.0, flow(5353, 53).reversed(), &announced.octets),
        Ok(Ending::Response)
    );
    // There the class is another one, so that nothing is told.
    assert_eq!(capture.take(), [""; 0]);
    assert_eq!((capture.decoder.tally().unsolicited, capture.decoder.tally().waiting), (0, 0));
}
