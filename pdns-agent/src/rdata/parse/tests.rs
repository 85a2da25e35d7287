//! Tests of reading RDATA from text.

use super::*;
use crate::rdata::{FinalDot, Rdata};
use domain::base::iana::Rtype;
use domain::base::rdata::ComposeRecordData as _;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};
use proptest::prelude::*;

#[track_caller]
fn check(rrtype: RrType, text: &str, want: Option<&str>) {
    let mut octets = b"before".to_vec();
    let read = parse(rrtype, text, &mut octets);
    assert_eq!(octets.get(..6), Some(&b"before"[..]));
    let octets = &octets[6..];
    assert!(read.is_ok() || octets.is_empty());
    let rdata = Rdata { rrtype, octets, partial: false };
    let text = read.ok().map(|()| rdata.to_text(FinalDot::Without));
    assert_eq!(text.as_deref(), want);
}

#[test]
fn text_of_others_is_read() {
    for (rrtype, text, want) in [
        (RrType::A, " 192.0.2.1 ", "192.0.2.1"),
        (RrType::AAAA, "2001:DB8:0:0::1", "2001:db8::1"),
        (RrType::CNAME, "WWW.Example.COM.", "www.example.com"),
        (RrType::NS, ".", "."),
        (RrType::MX, "10\tMail.example.", "10 mail.example"),
        (RrType::SOA, "a. B.c. 1 2 3 4 5", "a b.c 1 2 3 4 5"),
        (RrType::SRV, "1 2 3 h.", "1 2 3 h"),
        (RrType::TXT, "v=spf1 -all", "\"v=spf1 -all\""),
        (RrType::TXT, "\"a\" \"b\"", "\"a\" \"b\""),
        (RrType::TXT, "\"a\"\"b\"", "\"a\" \"b\""),
        (RrType::TXT, r#""\"\\\255\065""#, r#""\"\\\255A""#),
        (RrType::CAA, "0 issue letsencrypt.org", "0 issue \"letsencrypt.org\""),
        (RrType::DS, "12345 13 2 AB cd", "12345 13 2 abcd"),
        (RrType::DNSKEY, "257 3 13 AQ ID BA==", "257 3 13 AQIDBA=="),
        (RrType::NSEC, "B. RRSIG A TYPE65280", "b A RRSIG TYPE65280"),
        (RrType::NSEC3, "1 0 10 - vs0fu07v", "1 0 10 - VS0FU07V"),
        (RrType::HTTPS, "1 . port=443 alpn=h2,h3", "1 . alpn=\"h2,h3\" port=443"),
        (RrType::SVCB, "0 X.", "0 X"),
        (RrType::LOC, "52 N 0 E 10m", "52 0 0.000 N 0 0 0.000 E 10.00m 1.00m 10000.00m 10.00m"),
        (RrType::A, r"\# 4 C0 000201", "192.0.2.1"),
        (RrType::NS, r"\# 3 01 41 00", "a"),
        (RrType(65280), r"\# 0", r"\# 0"),
        (
            RrType::RRSIG,
            "A 5 3 86400 1048354263 20030220173103 2642 E. AQ==",
            "A 5 3 86400 20030322173103 20030220173103 2642 e AQ==",
        ),
    ] {
        check(rrtype, text, Some(want));
    }
}

#[test]
fn what_does_not_fit_its_type_is_refused() {
    let long = "x".repeat(256);
    for (rrtype, text) in [
        (RrType::A, ""),
        (RrType::A, "1.2.3"),
        (RrType::A, "1.2.3.4 5"),
        (RrType::A, "a.example"),
        (RrType::A, r"\# 3 010203"),
        (RrType::A, r"\# 4 0102"),
        (RrType::A, r"\# 4 0102030g"),
        (RrType::A, r"\#"),
        (RrType::AAAA, "192.0.2.1"),
        (RrType::CNAME, "a..b"),
        (RrType::CNAME, "a b"),
        (RrType::CNAME, "a\\"),
        (RrType::CNAME, "a\\25"),
        (RrType::CNAME, "a\\256"),
        (RrType::CNAME, &long),
        (RrType::CNAME, r"\# 2 0000"),
        (RrType::MX, "mail.example"),
        (RrType::MX, "+1 mail.example"),
        (RrType::MX, "65536 mail.example"),
        (RrType::TXT, &long),
        (RrType::TXT, "\"a"),
        (RrType::TXT, "\"a\\\""),
        (RrType::TXT, ""),
        (RrType::DS, "1 2 3 abc"),
        (RrType::DNSKEY, "257 3 13 A"),
        (RrType::NSEC, "b. NOTYPE"),
        (RrType::HTTPS, "1 . port=443 port=444"),
        (RrType::HTTPS, "1 . what=1"),
        (RrType::HTTPS, "1 . alpn=\"h2"),
        (RrType::LOC, "91 N 0 E 0"),
        (RrType::LOC, "1 2 3 4 N 0 E 0"),
        (RrType::RRSIG, "A 5 3 86400 20031322173103 0 2642 e AQ=="),
        (RrType(65280), "abc"),
        (RrType::NULL, "abc"),
    ] {
        check(rrtype, text, None);
    }
    check(RrType::TXT, &long[1..], Some(&format!("\"{}\"", &long[1..])));
}

/// The octets that `domain` reads from a line of a zone file.
fn domain_reads(rrtype: RrType, text: &str) -> Option<Vec<u8>> {
    let line = format!("a.example. 1 IN {rrtype} {text}\n");
    let mut zone = Zonefile::from(line.as_bytes());
    zone.set_origin(domain::base::Name::root());
    let Ok(Some(Entry::Record(record))) = zone.next_entry() else { return None };
    if record.rtype() != Rtype::from_int(rrtype.0) {
        return None;
    }
    let data: &ZoneRecordData<_, _> = record.data();
    let mut out = Vec::new();
    data.compose_canonical_rdata(&mut out).ok()?;
    Some(out)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(number in 0u16..300, octets in prop::collection::vec(any::<u8>(), 0..80), dot in any::<bool>()) {
        let rrtype = RrType(number);
        let dot = if dot { FinalDot::With } else { FinalDot::Without };
        let mut canonical = Vec::new();
        let is_canonical = if canonical::has_names(rrtype) {
            canonical::write(rrtype, &octets, 0, octets.len(), &mut canonical).is_ok()
        } else {
            canonical.clone_from(&octets);
            can_have_length(rrtype, octets.len())
        };
        prop_assume!(is_canonical);
        let text = Rdata { rrtype, octets: &canonical, partial: false }.to_text(dot);
        let mut read = Vec::new();
        prop_assert_eq!(parse(rrtype, &text, &mut read), Ok(()), "{}", text);
        prop_assert_eq!(read, canonical, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(number in 0u16..300, text in ".{0,60}") {
        let mut octets = Vec::new();
        if parse(RrType(number), &text, &mut octets).is_ok() {
            let text = Rdata { rrtype: RrType(number), octets: &octets, partial: false }.to_text(FinalDot::With);
            let mut again = Vec::new();
            prop_assert_eq!(parse(RrType(number), &text, &mut again), Ok(()), "{}", text);
            prop_assert_eq!(again, octets);
        }
    }
}

#[test]
fn domain_reads_the_same() {
    let texts = [
        (RrType::A, "192.0.2.1"),
        (RrType::AAAA, "2001:db8::1"),
        (RrType::CNAME, r"A\.b\032c.example."),
        (RrType::MX, "10 mail.example."),
        (RrType::SOA, "a.example. b.example. 1 2 3 4 5"),
        (RrType::SRV, "1 2 3 h.example."),
        (RrType::TXT, r#""a b" "\"\\\200""#),
        (RrType::HINFO, r#""a" "b c""#),
        (RrType::CAA, "0 issue \"a.example\""),
        (RrType::NAPTR, r#"1 2 "u" "E2U+sip" "!^.*$!sip:a@b!i" ."#),
        (RrType::DS, "12345 13 2 abcd"),
        (RrType::DNSKEY, "257 3 13 AQIDBA=="),
        (RrType::NSEC, "b.example. A MX RRSIG NSEC TYPE65280"),
        (RrType::NSEC3, "1 0 10 aabb VS0FU07V A"),
        (RrType::NSEC3PARAM, "1 0 0 -"),
        (RrType::RRSIG, "A 5 3 86400 20030322173103 20030220173103 2642 example.com. AQ=="),
        (RrType::TLSA, "3 1 1 abcdef"),
        (RrType::HTTPS, "1 . alpn=\"h2,h3\" port=443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
        (RrType::SVCB, "1 x.example. mandatory=port,alpn port=1 alpn=a"),
        (RrType::ZONEMD, "1 1 1 aabbccddaabbccddaabbccddaabbccdd"),
        (RrType(65280), r"\# 3 010203"),
    ];
    for (rrtype, text) in texts {
        let mut ours = Vec::new();
        assert_eq!(parse(rrtype, text, &mut ours), Ok(()), "{rrtype} {text}");
        assert_eq!(Some(ours), domain_reads(rrtype, text), "{rrtype} {text}");
    }
}
