//! Tests of the readings of text, and that everything printed is read back.

use super::*;
use crate::name::Name;
use proptest::prelude::*;

#[track_caller]
fn is(text: &str, want: &str) {
    match Subject::parse(text) {
        Ok(subject) => assert_eq!(subject.to_string(), want, "{text:?}"),
        Err(error) => panic!("{text:?}: {error}"),
    }
}

#[track_caller]
fn is_range(text: &str, from: &str, to: &str) {
    let want = Subject::Addresses(from.parse().unwrap(), to.parse().unwrap());
    assert_eq!(Subject::parse(text), Ok(want), "{text}");
}

#[test]
fn names() {
    is("Example.COM.", "example.com");
    is(" www.example.com ", "www.example.com");
    is("b\u{fc}cher.example", "xn--bcher-kva.example");
    is("a\\.b.example", "a\\.b.example");
    is("_dmarc.example.com", "_dmarc.example.com");
    is("x-1.example", "x-1.example");
    is("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa");
    is("5.0/25.2.0.192.in-addr.arpa", "5.0/25.2.0.192.in-addr.arpa");
    is("http//www.example.net", "http//www.example.net");
    is("192.0.2.7-static.isp.example", "192.0.2.7-static.isp.example");
    is("\\*.example.com", "\\*.example.com");
    is("{{77}}.example", "{{77}}.example");
    is("\\04992.0.2.7", "\\04992.0.2.7");
    is("localhost", "localhost");
    is(".", ".");
}

#[test]
fn hexadecimal_addresses_are_a_guess() {
    for text in ["0xc0000242", "0XC0000242", "0xc0.0x0.0x02.0x42"] {
        is_range(text, "192.0.2.66", "192.0.2.66");
        assert!(matches!(
            Subject::read(text, Purpose::Store),
            Err(SubjectError::Uncertain(_) | SubjectError::Numbers)
        ));
    }
    is("0xc0.example", "0xc0.example");
    // A dot behind them makes them a name, which must not become an address when it is shown and read again.
    is("0x.0x.0x.0x0.", "\\048x.0x.0x.0x0");
    is("\\049.0.2.7-0xc0000242", "\\049.0.2.7-0xc0000242");
    is("0xcafe", "0xcafe");
}

#[test]
fn below_and_at_or_below() {
    is("*.example.com", "*.example.com");
    is(".example.com", ".example.com");
    is("*.b\u{fc}cher.example", "*.xn--bcher-kva.example");
    is(".b\u{fc}cher.example", ".xn--bcher-kva.example");
    is("https://*.example.com/x", "*.example.com");
    is("*", "*");
    is("*.", "*");
    assert!(matches!(Subject::parse("*.a.example"), Ok(Subject::Below(_))));
    assert!(matches!(Subject::parse(".a.example"), Ok(Subject::AtOrBelow(_))));
}

#[test]
fn what_is_pasted_is_read() {
    for text in [
        "evil.example.com",
        "evil[DOT]example[DOT]com",
        "evil(dot)example(dot)com",
        "evil{.}example{.}com",
        "evil[.example[.com",
        "evil\\.example\\.com",
        "evil [.] example [.] com",
        "hxxps[://]evil[.]example[.]com/x",
        "hXXp://evil.example[.]com",
        "\"evil.example.com\"",
        "<evil.example.com>",
        "\u{201c}evil.example.com\u{201d}",
        "evil.example.com,",
        "evil.example.com;",
        "evil.example.com.",
        "evil.example.com?x=1",
        "evil.example.com#x",
        "evil.example.com:443",
        "//evil.example.com/x",
        "https%3A%2F%2Fevil.example.com%2Flogin%3Fx%3D1",
        "hxxp%3a%2f%2fevil[.]example[.]com",
        "https%3A//evil.example.com/x",
        "https%253A%252F%252Fevil.example.com%252F",
        "https%3A%2F%2Fevil.example.com%2Fcaf%E9",
        "https%3A%2F%2Fevil.example.com%2F100%",
        "evil%2Eexample%2Ecom",
        "evil.example.com%2Flogin",
        "someone@evil.example.com",
        "mailto:someone@evil.example.com?subject=x",
        "Some One <someone@evil.example.com>",
        "https://user:secret@evil.example.com:8443/login?x=1#y",
        "evil.example.com/login?next=https://other.example.net/",
        "http:\\\\evil.example.com\\@other.example.net",
        "https://evil.example.com\\@other.example.net/",
        "http://other.example.net@evil.example.com/",
        "http://evil.example.com?@other.example.net/",
        "http://evil.example.com#@other.example.net/",
        "https:evil.example.com/x",
        "http:\\/\\/evil.example.com\\/x",
        "http://ev%69l.example.com/",
        "evil.exa\u{200b}mple.com",
        "\u{feff}evil.example.com",
    ] {
        is(text, "evil.example.com");
    }
}

#[test]
fn addresses_are_read_in_all_forms() {
    for text in [
        "192.0.2.66",
        "192[.]0[.]2[.]66",
        "192.0.2.066",
        "192.0.2.66:53",
        "(192.0.2.66)",
        "http://192.0.2.66/x",
        "192.0.2.66/x",
        "::ffff:192.0.2.66",
        "[::ffff:192.0.2.66]:80",
        "192.0.2.66|443",
        "192.0.2.66.",
        "http://3221226050/",
        "http://0300.0.2.66/",
        "http://0xc0.0x0.0x242/",
        "192.0.2.66/32",
        "192\u{3002}0\u{3002}2\u{3002}66",
    ] {
        is(text, "192.0.2.66");
    }
    for text in [
        "2001:db8::66",
        "2001[:]db8[::]66",
        "[2001:db8::66]",
        "[2001:db8::66]:443",
        "http://[2001:DB8::66]:443/x",
        "2001:db8::66%eth0",
        "2001:db8:0:0::0066",
    ] {
        is(text, "2001:db8::66");
    }
    for text in [
        "192.168.1.0/24",
        "192.168.1.*",
        "192.168.1.77/24",
        "192.168.1.0/255.255.255.0",
        "192.168.1.0/0.0.0.255",
        "192.168.1.0 255.255.255.0",
        "192.168.1.0 netmask 255.255.255.0",
        "192.168.1/24",
        "192[.]168[.]1[.]0/24",
        "::ffff:192.168.1.0/120",
        "192.168.1.0-192.168.1.255",
        "192.168.1.0 - 192.168.1.255",
        "192.168.1.0\u{2013}192.168.1.255",
    ] {
        is(text, "192.168.1.0/24");
    }
    is("10/8", "10.0.0.0/8");
    is("172.16/12", "172.16.0.0/12");
    is("10.*", "10.0.0.0/8");
    is("10.1.*.*", "10.1.0.0/16");
    is_range("0.0.0.0/0", "0.0.0.0", "255.255.255.255");
    is_range("192.0.2.10-192.0.2.40", "192.0.2.10", "192.0.2.40");
    is_range("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    is_range("2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff");
    is("::/0", "::/0");
}

#[test]
fn what_is_wrong_is_refused_with_its_reason() {
    let refused = |text: &str| Subject::parse(text).unwrap_err();
    for text in ["  ", "\"\"", "[]", ","] {
        assert_eq!(refused(text), SubjectError::Empty, "{text}");
    }
    for text in ["192.0.2.0/33", "192.0.2.0/255.0.255.0", "2001:db8::/129"] {
        assert_eq!(refused(text), SubjectError::Prefix, "{text}");
    }
    for text in ["192.0.2.9-192.0.2.1", "192.0.2.9-2001:db8::1", "192.0.2.9-40"] {
        assert_eq!(refused(text), SubjectError::Range, "{text}");
    }
    for text in ["www.*", "*foo.example", "a.*.b", "*.*.example"] {
        assert_eq!(refused(text), SubjectError::Star, "{text}");
    }
    for text in ["1.2.3.4.5", "192.0.2.300", "192.0.2"] {
        assert_eq!(refused(text), SubjectError::Numbers, "{text}");
    }
    for text in ["443", "-", "d41d8cd98f00b204e9800998ecf8427e"] {
        assert_eq!(refused(text), SubjectError::Opaque, "{text}");
    }
    for text in ["a..b", "..b", "..", "*..", "http://a..b/"] {
        assert!(Subject::parse(text).is_err(), "{text}: {:?}", Subject::parse(text));
    }
    assert_eq!(refused("a user"), SubjectError::Words);
    for text in [
        "/var/log/x",
        "C:\\Windows",
        "sha256:ab",
        "http://",
        "http:///",
        "javascript:alert(1)",
        "http://a:b/",
        "a.example:b",
        "x@",
    ] {
        assert!(Subject::parse(text).is_err(), "{text}: {:?}", Subject::parse(text));
    }
    assert!(matches!(refused("a\u{202e}.\u{2024}.x"), SubjectError::Idn | SubjectError::Name(_)));
}

#[test]
fn a_reading_says_how_certain_it_is() {
    let certainty = |text: &str| Subject::read(text, Purpose::LookUp).unwrap().certainty;
    for text in [
        "a.example",
        "A.example.",
        "*.a.example",
        ".a.example",
        "192.0.2.7",
        "192.0.2.0/24",
        "2001:DB8::1",
        "localhost",
        "http//www.example.net",
    ] {
        assert_eq!(certainty(text), Certainty::AsTyped, "{text}");
    }
    for text in [
        "a[.]example",
        "http://a.example/",
        "b\u{fc}cher.example",
        "192.0.2.7/24",
        "10/8",
        "::ffff:192.0.2.7",
    ] {
        assert_eq!(certainty(text), Certainty::Cleaned, "{text}");
    }
    for text in [
        "192.0.2.066",
        "fe80::1%eth0",
        "]a.example",
        "x@a.example",
        "192.0.2.1|443",
        "a.example\\path",
    ] {
        assert_eq!(certainty(text), Certainty::Guessed, "{text}");
        assert!(
            matches!(Subject::read(text, Purpose::Store), Err(SubjectError::Uncertain(_))),
            "{text}"
        );
    }
}

#[test]
fn lists_are_split() {
    let check = |text: &str, want: &[&str]| {
        let read = read_list(text, Purpose::LookUp).unwrap();
        let read: Vec<String> =
            read.into_iter().map(|(_, reading)| reading.subject.to_string()).collect();
        assert_eq!(read, want, "{text}");
    };
    check("a.example,b.example", &["a.example", "b.example"]);
    check(" a.example ; 192.0.2.7,\n.b.example, ", &["a.example", "192.0.2.7", ".b.example"]);
    check("192.0.2.0,24", &["192.0.2.0/24"]);
    check("http://a.example/x,y, http://b.example/", &["a.example", "b.example"]);
    check("a\\,b.example", &["a\\044b.example"]);
    assert!(read_list("a.example,a..b", Purpose::LookUp).is_err());
}

/// Returns the host that an independent URL parser finds.
fn oracle(text: &str) -> Option<String> {
    match ::url::Url::parse(text).ok()?.host()? {
        ::url::Host::Domain(domain) => NameBuf::parse(domain)
            .ok()
            .filter(|name| !name.as_name().is_root())
            .map(|name| name.to_string()),
        ::url::Host::Ipv4(address) => Some(address.to_string()),
        ::url::Host::Ipv6(address) => Some(IpAddr::V6(address).to_canonical().to_string()),
    }
}

#[test]
fn the_host_of_a_hostile_url_is_what_a_browser_visits() {
    let schemes = [
        "http://",
        "https://",
        "HTTPS://",
        "http:/",
        "http:\\\\",
        "https:///",
        "ftp://",
        "ws://",
        "http:\\/",
    ];
    let users = [
        "",
        "a@",
        "a:b@",
        "good.example@",
        "good.example:80@",
        "a@b@",
        "%40@",
        "good.example%2f@",
        "good.example%5c@",
    ];
    let hosts = [
        "evil.example",
        "EVIL.example.",
        "192.0.2.7",
        "0x7f.1",
        "0300.0.2.7",
        "3221225991",
        "[2001:db8::1]",
        "[::ffff:192.0.2.7]",
        "ev%69l.example",
        "b\u{fc}cher.example",
        "evil\u{3002}example",
        "xn--bcher-kva.example",
        "evil_x.example",
        "a-b.example",
    ];
    let ports = ["", ":80", ":", ":65535"];
    let tails = [
        "",
        "/",
        "/login?next=https://good.example/",
        "?x=@good.example",
        "#@good.example",
        "\\@good.example/",
        "/@good.example",
        "\\good.example",
        "?https://good.example",
        "#https://good.example",
        "/..//good.example",
        ";good.example/x",
        "/a,b",
    ];
    let mut compared = 0;
    for scheme in schemes {
        for user in users {
            for host in hosts {
                for port in ports {
                    for tail in tails {
                        let text = format!("{scheme}{user}{host}{port}{tail}");
                        let Some(want) = oracle(&text) else { continue };
                        // The semicolon may be part of the host of a URL, but not of a name.
                        if want.contains(';') {
                            continue;
                        }
                        let read = Subject::parse(&text).map(|subject| subject.to_string());
                        assert_eq!(read, Ok(want), "{text}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 30_000, "{compared}");
}

#[test]
fn an_error_cannot_play_with_the_terminal() {
    let error = Subject::parse("\u{1b}[2J..").unwrap_err().to_string();
    assert!(error.chars().all(|letter| !letter.is_control()), "{error}");
}

fn wire_name() -> impl Strategy<Value = NameBuf> {
    let label = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..12),
        "[-a-z0-9_./*@:?#,;'\" \\\\\\[\\](){}<>|%]{1,8}".prop_map(String::into_bytes),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        "(dot|x|com|example|\\.|to|http|[a-f0-9]{32})".prop_map(String::into_bytes),
    ];
    prop::collection::vec(label, 0..6).prop_map(|labels| {
        let mut wire = Vec::new();
        for label in labels {
            let label = label.get(..label.len().min(63)).unwrap_or_default().to_vec();
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label);
        }
        wire.push(0);
        NameBuf::from_wire(&wire).unwrap().0
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        for purpose in [Purpose::LookUp, Purpose::Click, Purpose::Store] {
            if let Ok(reading) = Subject::read(&text, purpose) {
                let again = Subject::read(&reading.subject.to_string(), Purpose::LookUp);
                prop_assert_eq!(again, Ok(Reading { certainty: Certainty::AsTyped, ..reading }));
            }
        }
    }

    #[test]
    fn whatever_is_pasted_around_a_name_the_result_reads_back(
        head in "[ \"'<(\\[{.*]{0,3}", name in "[a-z0-9./:@?#\\[\\](){}\\\\-]{0,30}", tail in "[ \"'>)\\]},;.]{0,3}"
    ) {
        let text = format!("{head}{name}{tail}");
        if let Ok(reading) = Subject::read(&text, Purpose::LookUp) {
            prop_assert_eq!(Subject::parse(&reading.subject.to_string()), Ok(reading.subject));
        }
    }

    // Names of the numbers that addresses, prefixes and ranges are written with, and of what may stand behind a dash.
    #[test]
    fn a_name_that_looks_like_an_address_reads_back_as_itself(
        numbers in prop::collection::vec("(0x)?[0-9a-f]{0,3}|[0-9]{1,3}|0xc0000242|[_$]", 1..9),
        dashes in any::<u8>(),
    ) {
        let mut text = String::new();
        for (at, number) in numbers.iter().enumerate() {
            text.push_str(number);
            text.push(if dashes >> at & 1 == 0 { '.' } else { '-' });
        }
        let Ok(name) = NameBuf::parse(&text) else { return Ok(()) };
        let subject = Subject::Name(name.clone());
        prop_assert_eq!(Subject::parse(&printed_name(&name)), Ok(subject.clone()));
        for purpose in [Purpose::LookUp, Purpose::Click, Purpose::Store] {
            let read = Subject::read(&typed_name(&name), purpose).map(|reading| reading.subject);
            prop_assert_eq!(read, Ok(subject.clone()));
        }
    }

    #[test]
    fn a_printed_name_reads_back_as_itself(name in wire_name()) {
        let printed_as = printed_name(&name);
        let typed = typed_name(&name);
        let subject = Subject::Name(name.clone());
        let want = Ok(Reading { subject: subject.clone(), certainty: Certainty::AsTyped });
        prop_assert_eq!(Subject::read(&printed_as, Purpose::LookUp), want.clone(), "{}", printed_as);
        for purpose in [Purpose::LookUp, Purpose::Click, Purpose::Store] {
            prop_assert_eq!(Subject::read(&typed, purpose), want.clone(), "{}", typed);
        }
        // Also as one of a list.
        let list = format!("a.example,{printed_as},b.example");
        let read = read_list(&list, Purpose::LookUp).map(|read| read.get(1).map(|(_, reading)| reading.subject.clone()));
        prop_assert_eq!(read, Ok(Some(subject)), "{}", list);
        prop_assert!(Name::from_canonical(name.as_str()).is_ok());
        if !name.as_name().is_root() {
            for subject in [Subject::Below(name.clone()), Subject::AtOrBelow(name.clone())] {
                prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject.clone()), "{}", subject);
            }
            for tag in [crate::tag::TagSubject::Name(name.clone()), crate::tag::TagSubject::Below(name.clone())] {
                prop_assert_eq!(tag_subject(&tag.to_string(), None), Ok(tag.clone()), "{}", tag);
                prop_assert_eq!(tag_subject(&typed_tag(&tag), None), Ok(tag));
            }
        }
    }
}
