//! Compares a [`TagSet`] with a linear search through all tags.

use super::*;
use crate::name::NameBuf;
use crate::query::rows::{a, record};
use crate::rr::RrType;
use std::net::{Ipv4Addr, Ipv6Addr};

fn name(text: &str) -> NameBuf {
    NameBuf::parse(text).unwrap()
}

fn tag(kind: TagKind, subject: TagSubject) -> Tag {
    Tag::new(kind, subject)
}

/// Returns the tags that apply according to the documentation, in no particular order.
fn plainly<'t>(tags: &'t [Tag], subject: &TagSubject) -> Vec<&'t Tag> {
    tags.iter().filter(|tag| subject.is_within(&tag.subject)).collect()
}

/// Selects those tags, given nearest first, that no nearer one contradicts, unless a still nearer one repeats
/// them.
fn in_effect<'t>(tags: &[&'t Tag]) -> Vec<&'t Tag> {
    let decided = tags.iter().find(|tag| tag.kind != TagKind::Interest).map(|tag| tag.kind);
    let is_in_effect = |tag: &&&Tag| tag.kind == TagKind::Interest || Some(tag.kind) == decided;
    tags.iter().filter(is_in_effect).copied().collect()
}

fn random_name(random: &mut fastrand::Rng) -> NameBuf {
    let labels = ["a", "b", "c\\.d", "e\\\\"];
    let count = random.usize(0..5);
    let labels: Vec<&str> = (0..count).map(|_| labels[random.usize(0..labels.len())]).collect();
    name(&if labels.is_empty() { ".".to_owned() } else { labels.join(".") })
}

fn random_address(random: &mut fastrand::Rng) -> IpAddr {
    let low = random.u32(0..1 << 6) | random.u32(0..4) << 24 | random.u32(0..4) << 14;
    if random.bool() {
        Ipv4Addr::from_bits(low).into()
    } else {
        Ipv6Addr::from_bits(u128::from(low) << 90 | u128::from(low)).into()
    }
}

fn random_subject(random: &mut fastrand::Rng) -> TagSubject {
    match random.u8(0..3) {
        0 => TagSubject::Name(random_name(random)),
        1 => match random_name(random) {
            name if name.as_name().is_root() => TagSubject::Name(name),
            name => TagSubject::Below(name),
        },
        _ => {
            let address = random_address(random).to_canonical();
            let most = if address.is_ipv4() { 32 } else { 128 };
            TagSubject::Net(IpNet::new(address, random.u8(0..=most)).unwrap().trunc())
        }
    }
}

#[test]
fn a_set_finds_what_a_walk_finds() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut answered, mut overridden) = (0, 0);
    for _ in 0..200 {
        let mut tags: Vec<Tag> = (0..random.usize(0..40))
            .map(|_| tag(random.choice(TagKind::ALL).unwrap(), random_subject(&mut random)))
            .collect();
        tags.sort();
        tags.dedup();
        // No subject is both threat and trust.
        let kinds = tags.clone();
        tags.retain(|tag| {
            tag.kind != TagKind::Trust
                || !kinds.contains(&Tag { kind: TagKind::Threat, ..tag.clone() })
        });
        let set = TagSet::new(tags.clone());
        for _ in 0..50 {
            let name = random_name(&mut random);
            let address = random_address(&mut random);
            for (mut found, subject) in [
                (set.of_name(name.as_name()), TagSubject::Name(name.clone())),
                (set.of_address(address), TagSubject::address(address)),
            ] {
                let mut all = set.all_of_subject(&subject);
                let want = plainly(&tags, &subject);
                answered += want.len();
                assert_eq!(found, in_effect(&all), "{subject}");
                assert_eq!(found, set.of_subject(&subject), "{subject}");
                found.sort();
                all.sort();
                assert_eq!(all, want, "{subject}");
                overridden += want.len() - found.len();
            }
            let subject = random_subject(&mut random);
            let mut found = set.all_of_subject(&subject);
            assert!(found.is_sorted_by(|near, far| near.subject.is_within(&far.subject)));
            found.sort();
            assert_eq!(found, plainly(&tags, &subject), "{subject}");
        }
    }
    assert!(answered > 5_000 && overridden > 200, "{answered} {overridden}");
}

#[test]
fn nearest_first_and_a_row_has_the_tags_of_both_its_ends() {
    let below = |text| TagSubject::Below(name(text));
    let net = |text: &str| TagSubject::Net(text.parse().unwrap());
    let set = TagSet::new(vec![
        tag(TagKind::Interest, below("com")),
        tag(TagKind::Trust, below("example.com")),
        tag(TagKind::Threat, TagSubject::Name(name("www.example.com"))),
        tag(TagKind::Interest, net("192.0.2.0/24")),
        tag(TagKind::Threat, net("192.0.2.7/32")),
    ]);
    let subjects =
        |tags: &[&Tag]| tags.iter().map(|tag| tag.subject.to_string()).collect::<Vec<_>>();
    let row = a("www.example.com", 7);
    let tags = set.of_row(&row);
    // The domain is trusted, but the name within it is a threat all the same.
    assert_eq!(subjects(&tags.rrname), ["www.example.com", ".com"]);
    assert_eq!(subjects(&tags.rdata), ["192.0.2.7", "192.0.2.0/24"]);
    let www = TagSubject::Name(name("www.example.com"));
    let all = set.all_of_subject(&www);
    assert_eq!(subjects(&all), ["www.example.com", ".example.com", ".com"]);
    assert_eq!(
        all.iter().map(|tag| set.overriding(tag, &all, &www).is_some()).collect::<Vec<_>>(),
        [false, true, false]
    );
    let row = record("a.example.com", RrType::CNAME, b"\x03www\x07example\x03com\x00");
    let tags = set.of_row(&row);
    assert_eq!(subjects(&tags.rrname), [".example.com", ".com"]);
    assert_eq!(subjects(&tags.rdata), ["www.example.com", ".com"]);
    let row = a("example.org", 8);
    let tags = set.of_row(&row);
    assert!(tags.rrname.is_empty());
    assert_eq!(subjects(&tags.rdata), ["192.0.2.0/24"]);
    assert_eq!(subjects(&set.of_address("::ffff:192.0.2.8".parse().unwrap())), ["192.0.2.0/24"]);
}

#[test]
fn filters() {
    let threat = tag(TagKind::Threat, TagSubject::Name(name("a")));
    let wanted = |text: &str, tags: &[&Tag]| text.parse::<TagFilter>().unwrap().admits(tags);
    assert!(wanted("Threat", &[&threat]) && !wanted("trust", &[&threat]));
    assert!(wanted("any", &[&threat]) && !wanted("any", &[]));
    assert!(wanted("none", &[]) && !wanted("none", &[&threat]));
    assert!("harm".parse::<TagFilter>().is_err());
}

#[test]
fn verdicts_are_those_of_the_documentation() {
    let text = include_str!("../../../docs/tags-and-intel.md");
    let rules = Arc::new(TagRules { never_silence: [name("amazonaws.com")].into_iter().collect() });
    let mut vectors = 0;
    for row in text.lines().skip_while(|line| *line != "### Which verdict wins") {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [said, subject, verdict] = cells.as_slice() else { continue };
        if !said.starts_with("feed ") && !said.starts_with("you ") {
            continue;
        }
        let parse = |text: &str| crate::query::tag_subject(text, None).unwrap();
        let mut tags = Vec::new();
        for one in said.split(", ") {
            let (who, rest) = one.split_once(" `").unwrap();
            let (kind, subject) = rest.trim_end_matches('`').split_once(' ').unwrap();
            let mut tag = tag(kind.parse().unwrap(), parse(subject));
            if who == "feed" {
                tag = Tag::from(crate::indicator::Indicator {
                    source: "feed".to_owned(),
                    subject: tag.subject,
                    kind: tag.kind,
                    confidence: 50,
                    confidence_now: 50,
                    first_listed: 0,
                    last_listed: 0,
                    valid_until: None,
                    labels: Vec::new(),
                    reference: String::new(),
                    note: String::new(),
                    tlp: None,
                    is_conditional: false,
                });
            }
            tags.push(tag);
        }
        let set = TagSet { rules: Arc::clone(&rules), ..TagSet::new(tags) };
        let mut kinds: Vec<TagKind> =
            set.of_subject(&parse(subject.trim_matches('`'))).iter().map(|tag| tag.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kinds: Vec<&str> = kinds.into_iter().map(TagKind::name).collect();
        assert_eq!(kinds.join(", "), *verdict, "{row}");
        vectors += 1;
    }
    assert!(vectors >= 10, "{vectors}");
}
