//! Tests of lists from the readers' side: each is parsed again by the rules of the program it is for.

mod round_trip;

use super::reason::words;
use super::*;
use crate::indicator::Tlp;
use crate::tag::{Tag, TagKind, TagSubject};
use base64ct::{Base64, Encoding as _};
use proptest::prelude::*;

fn tag(kind: TagKind, subject: TagSubject, note: &str) -> Tag {
    Tag { note: note.to_owned(), author: "anna".to_owned(), ..Tag::new(kind, subject) }
}

fn line_of(list: List, listed: &ExportItem<'_>, page: Option<PageUrl>) -> String {
    let mut out = Vec::new();
    let options = ListOptions { page, ..options() };
    Writer::new(list, options).subject(listed, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn options() -> ListOptions {
    ListOptions {
        page: None,
        identity: "pdns".to_owned(),
        zone: NameBuf::parse("rpz").unwrap(),
        serial: 1_700_000_000,
        sensors: Vec::new(),
    }
}

fn item(subject: TagSubject, tags: Vec<&Tag>) -> ExportItem<'_> {
    ExportItem::new(subject, tags, Vec::new(), Tlp::Amber)
}

/// Decodes a field as Zeek's ASCII reader does: `\xHH` is an octet, any other backslash itself.
fn zeek_reads(field: &str) -> Option<Vec<u8>> {
    if field == "-" || field == "(empty)" {
        return None;
    }
    let (octets, mut at, mut out) = (field.as_bytes(), 0, Vec::new());
    while let Some(&octet) = octets.get(at) {
        let digits = octets.get(at + 2..at + 4).and_then(|hex| std::str::from_utf8(hex).ok());
        let value = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if octets.get(at..at + 2) == Some(b"\\x")
            && let Some(value) = value
        {
            out.push(value);
            at += 4;
        } else {
            out.push(octet);
            at += 1;
        }
    }
    Some(out)
}

#[test]
fn every_list_is_in_the_table() {
    for info in LISTS {
        assert_eq!(info.name.parse(), Ok(info.list));
        assert_eq!(info.list.info().name, info.name);
        assert!(info.command.ends_with(info.name));
    }
    assert!("cof".parse::<List>().is_err());
}

#[test]
fn zeek_gets_its_types_and_what_was_said() {
    let subject = |text: &str| match text.parse() {
        Ok(net) => TagSubject::Net(net),
        Err(_) => TagSubject::Name(NameBuf::parse(text).unwrap()),
    };
    let page: PageUrl = "https://pdns.example.net/".parse().unwrap();
    for (text, want) in [
        ("evil.example", "evil.example\tIntel::DOMAIN"),
        ("192.0.2.7/32", "192.0.2.7\tIntel::ADDR"),
        ("2001:db8::7/128", "2001:db8::7\tIntel::ADDR"),
        ("192.0.2.0/25", "192.0.2.0/25\tIntel::SUBNET"),
        ("*.example", "\\x2a.example\tIntel::DOMAIN"),
        ("-", "\\x2d\tIntel::DOMAIN"),
        ("#a", "\\x23a\tIntel::DOMAIN"),
        ("a{{7*7}}.b c", "a\\x7b\\x7b7*7\\x7d\\x7d.b\\x20c\tIntel::DOMAIN"),
    ] {
        let tag = tag(TagKind::Threat, subject(text), "");
        let listed = item(tag.subject.clone(), vec![&tag]);
        let line = line_of(List::ZeekIntel, &listed, None);
        assert_eq!(line, format!("{want}\tpdns\tthreat (anna)\t-\tT\n"));
    }
    let below =
        tag(TagKind::Threat, TagSubject::Below(NameBuf::parse("bad.example").unwrap()), "x");
    let also = tag(TagKind::Interest, below.subject.clone(), "a\tb\r\n{{c}}\u{e9}\\");
    let listed = item(subject("www.bad.example"), vec![&below, &also]);
    assert_eq!(
        line_of(List::ZeekIntel, &listed, Some(page)),
        "www.bad.example\tIntel::DOMAIN\tpdns\tthreat on .bad.example: x (anna); interest on .bad.example: a b \
         \\x7b\\x7bc\\x7d\\x7d\\xc3\\xa9\\x5c (anna)\thttps://pdns.example.net/context?q=www.bad.example\tT\n"
    );
    let listed = item(subject("www.bad.example"), vec![&also]);
    assert!(line_of(List::ZeekIntel, &listed, None).ends_with("\t-\tF\n"));
}

#[test]
fn pages_have_an_address_of_their_own() {
    for text in
        ["", "pdns.example.net", "https://", "https://a b", "https://a\tb", "https://a?x={{"]
    {
        assert!(text.parse::<PageUrl>().is_err(), "{text}");
    }
    let page: PageUrl = "http://[2001:db8::1]:8953".parse().unwrap();
    let subject = TagSubject::Net("192.0.2.0/24".parse().unwrap());
    assert_eq!(page.of(&subject), "http://[2001:db8::1]:8953/context?q=192.0.2.0%2F24");
}

#[test]
fn descriptions_say_tags_first_and_run_nothing() {
    let name = |text: &str| NameBuf::parse(text).unwrap();
    let address = std::net::Ipv4Addr::new(192, 0, 2, 7);
    let check = |named: Option<&str>, tags: Vec<Tag>, want: &str| {
        let described = Described { address, name: named.map(name) };
        let mut out = Vec::new();
        let writer = Writer::new(List::IpDescriptions, options());
        let said = writer.described(&described, &TagSet::new(tags), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), want);
        assert_eq!(said, !want.is_empty());
    };
    let on = TagSubject::address(address.into());
    check(Some("www.example.com"), vec![], "192.0.2.7,www.example.com\n");
    check(Some("=cmd\\(\\)"), vec![], "192.0.2.7,'=cmd\\(\\)\n");
    check(None, vec![], "");
    check(
        None,
        vec![tag(TagKind::Threat, on.clone(), "seen, \"twice\"\n=cmd()")],
        "192.0.2.7,\"[threat] address: seen, \"\"twice\"\" =cmd()\"\n",
    );
    check(
        Some("a.example"),
        vec![
            tag(TagKind::Interest, TagSubject::Name(name("a.example")), "\u{1b}[2J"),
            tag(TagKind::Trust, on, ""),
        ],
        "192.0.2.7,\"[trust] address; [interest] a.example: [2J\"\n",
    );
    let long = tag(TagKind::Threat, TagSubject::address(address.into()), &"x".repeat(999));
    check(None, vec![long], &format!("192.0.2.7,[threat] address: {}\n", "x".repeat(182)));
}

proptest! {
    #[test]
    fn every_name_reads_back(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 1..4), note in ".{0,60}") {
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label);
        }
        wire.push(0);
        let (name, _) = NameBuf::from_wire(&wire).unwrap();
        let dotted = labels.join(&b'.').to_ascii_lowercase();
        let tag = tag(TagKind::Threat, TagSubject::Name(name.clone()), &note);
        let listed = item(tag.subject.clone(), vec![&tag]);

        let line = line_of(List::ZeekIntel, &listed, None);
        // Nothing that a template engine would run.
        let is_harmless = !line.starts_with('#') && !line.contains(['{', '}']);
        prop_assert!(is_harmless, "{}", line);
        prop_assert!(line.trim_end_matches('\n').chars().all(|char| char == '\t' || char == ' ' || char.is_ascii_graphic()));
        let fields: Vec<&str> = line.trim_end_matches('\n').split('\t').collect();
        prop_assert_eq!(fields.len(), 6);
        prop_assert!(fields.iter().all(|field| !field.is_empty() && field.trim() == *field));
        prop_assert_eq!(zeek_reads(fields[0]), Some(dotted.clone()));
        let said = String::from_utf8(zeek_reads(fields[3]).unwrap()).unwrap();
        prop_assert!(said.contains(&words(&note)) && !said.contains(char::is_control));

        let line = line_of(List::SuricataDataset, &listed, None);
        prop_assert_eq!(Base64::decode_vec(line.trim_end()).unwrap(), dotted);
        let line = line_of(List::Plain, &listed, None);
        let read = crate::query::tag_subject(&line, None);
        prop_assert_eq!(read, Ok(tag.subject.clone()));
    }
}
