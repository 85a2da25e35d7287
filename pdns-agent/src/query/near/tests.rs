//! Compares `near` with plain arithmetic on every address of every prefix.

use super::*;
use crate::tag::TagSubject;
use ipnet::IpNet;

fn tags(subjects: &[(TagKind, &str)]) -> TagSet {
    let tag = |(kind, net): &(TagKind, &str)| {
        let net: IpNet = net.parse::<IpNet>().or_else(|_| net.parse().map(IpAddr::into)).unwrap();
        Tag::new(*kind, TagSubject::Net(net.trunc()))
    };
    let mut tags: Vec<Tag> = subjects.iter().map(tag).collect();
    tags.sort();
    TagSet::new(tags)
}

fn shown(tags: &TagSet, address: &str, limit: usize) -> Vec<String> {
    let (found, _) = near(tags, address.parse().unwrap(), Some(TagKind::Threat), limit);
    let line = |near: Near<'_>| {
        format!("{} {} {:.4} /{}", near.tag.subject, near.address, near.distance(), near.shared)
    };
    found.into_iter().map(line).collect()
}

#[test]
fn octets_are_coordinates() {
    let set = tags(&[
        (TagKind::Threat, "192.0.2.4"),
        (TagKind::Threat, "10.0.1.0"),
        (TagKind::Threat, "198.51.101.7"),
        (TagKind::Trust, "192.0.2.1"),
        (TagKind::Threat, "2001:db8::1"),
    ]);
    assert_eq!(shown(&set, "192.0.2.1", 1), ["192.0.2.4 192.0.2.4 3.0000 /29"]);
    assert_eq!(shown(&set, "198.51.100.3", 1), ["198.51.101.7 198.51.101.7 4.1231 /23"]);
    assert_eq!(shown(&set, "10.0.0.255", 1), ["10.0.1.0 10.0.1.0 255.0020 /23"]);
    assert_eq!(shown(&set, "192.0.2.4", 1), ["192.0.2.4 192.0.2.4 0.0000 /32"]);
    assert_eq!(shown(&set, "::ffff:192.0.2.1", 1), ["192.0.2.4 192.0.2.4 3.0000 /29"]);
    assert_eq!(shown(&set, "2001:db8::5:1", 0), ["2001:db8::1 2001:db8::1 5.0000 /109"]);
    assert_eq!(shown(&set, "192.0.2.1", 0).len(), 3);
}

#[test]
fn ties_go_by_shared_prefix_then_address_then_kind() {
    let set = tags(&[
        (TagKind::Threat, "192.0.2.9"),
        (TagKind::Threat, "192.0.2.7"),
        (TagKind::Interest, "192.0.2.7"),
        (TagKind::Threat, "192.0.2.0/29"),
    ]);
    let (found, cut) = near(&set, "192.0.2.8".parse().unwrap(), None, 3);
    let found: Vec<_> =
        found.iter().map(|near| (near.tag.subject.to_string(), near.tag.kind)).collect();
    let subject = |text: &str, kind| (text.to_owned(), kind);
    assert_eq!(
        found,
        [
            subject("192.0.2.9", TagKind::Threat),
            subject("192.0.2.0/29", TagKind::Threat),
            subject("192.0.2.7", TagKind::Threat),
        ]
    );
    assert!(cut);
}

#[test]
fn a_prefix_that_nearer_tags_override_whole_is_not_near() {
    let mut all = vec![
        (TagKind::Threat, "192.0.2.0/24"),
        (TagKind::Trust, "192.0.2.0/25"),
        (TagKind::Trust, "192.0.2.128/25"),
    ];
    assert!(shown(&tags(&all), "192.0.2.1", 0).is_empty());
    // Except for addresses within it that are tagged as a threat again.
    all.push((TagKind::Threat, "192.0.2.64/26"));
    assert_eq!(
        shown(&tags(&all), "192.0.2.1", 0),
        ["192.0.2.0/24 192.0.2.64 63.0000 /25", "192.0.2.64/26 192.0.2.64 63.0000 /25"]
    );
}

/// All addresses of a small prefix.
fn addresses(net: IpNet) -> Vec<IpAddr> {
    net.subnets(net.max_prefix_len()).unwrap().map(|net| net.addr()).collect()
}

#[test]
fn the_nearest_is_the_nearest_of_all() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut moved = 0;
    for round in 0..60 {
        let address = |random: &mut fastrand::Rng| -> IpAddr {
            if round % 2 == 0 {
                Ipv4Addr::from_bits(random.u32(..) & 0x0303_ffff | 0x0a00_0000).into()
            } else {
                Ipv6Addr::from_bits(random.u128(..) & 0x3_0003 << 8 | 0x2001 << 112).into()
            }
        };
        let mut tags: Vec<Tag> = Vec::new();
        for _ in 0..40 {
            // Half of them within a prefix that is tagged already, or around it.
            let near = random.choice(&tags).and_then(|tag: &Tag| tag.subject.net());
            let address = match near.filter(|_| random.bool()) {
                Some(net) => net.addr(),
                None => address(&mut random),
            };
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = most - random.u8(0..11);
            let net = IpNet::new(address, length).unwrap().trunc();
            let tag = Tag::new(random.choice(TagKind::ALL).unwrap(), TagSubject::Net(net));
            // No subject is both threat and trust.
            tags.retain(|old| old.subject != tag.subject || Some(old.kind) != tag.kind.opposite());
            tags.push(tag);
        }
        tags.sort();
        tags.dedup();
        let from = address(&mut random);
        // Each tag with the nearest of all its addresses.
        let mut want: Vec<(u64, u8, &Tag)> = Vec::new();
        for tag in &tags {
            let TagSubject::Net(net) = &tag.subject else { unreachable!() };
            let square = |to: IpAddr| -> u64 {
                let coordinates = |address: IpAddr| -> Vec<i64> {
                    match address {
                        IpAddr::V4(address) => address.octets().map(i64::from).to_vec(),
                        IpAddr::V6(address) => address.segments().map(i64::from).to_vec(),
                    }
                };
                let apart = coordinates(from).into_iter().zip(coordinates(to));
                apart.map(|(one, other)| (one - other).pow(2)).sum::<i64>().unsigned_abs()
            };
            // Addresses are left out if a longer prefix says the opposite, unless a still longer one says the
            // same again.
            let verdict = |at: &IpAddr| {
                let holding = tags.iter().filter(|other| {
                    other.kind.opposite().is_some()
                        && matches!(&other.subject, TagSubject::Net(net) if net.contains(at))
                });
                let length = |tag: &&Tag| tag.subject.net().map(|net| net.prefix_len());
                holding.max_by_key(length).map(|tag| tag.kind)
            };
            let is_in_effect = |at: &IpAddr| {
                tag.kind.opposite().is_none_or(|opposite| verdict(at) != Some(opposite))
            };
            let inside = addresses(*net).into_iter().filter(is_in_effect);
            let common = |to: IpAddr| {
                let length = (0..=net.max_prefix_len()).rev();
                length.into_iter().find(|&length| IpNet::new(from, length).unwrap().contains(&to))
            };
            let Some(best) = inside.min_by_key(|&to| (square(to), Reverse(common(to)))) else {
                continue;
            };
            moved +=
                usize::from(square(best) > addresses(*net).into_iter().map(square).min().unwrap());
            want.push((square(best), net.max_prefix_len() - common(best).unwrap(), tag));
        }
        want.sort();
        let set = TagSet::new(tags.clone());
        let limit = random.usize(1..tags.len() + 2);
        let (got, cut) = near(&set, from, None, limit);
        assert_eq!(cut, want.len() > limit);
        let most = if from.is_ipv4() { 32 } else { 128 };
        let got: Vec<_> =
            got.iter().map(|near| (near.square, most - near.shared, near.tag)).collect();
        want.truncate(limit);
        assert_eq!(got, want);
    }
    assert!(moved > 20, "{moved}");
}

/// The same threats, without what feeds say beside.
#[test]
fn threats_in_little_memory_are_as_near() {
    let mut random = fastrand::Rng::with_seed(17);
    for round in 0..40 {
        let address = |random: &mut fastrand::Rng| -> IpAddr {
            if round % 2 == 0 {
                Ipv4Addr::from_bits(random.u32(..) & 0x0303_ffff | 0x0a00_0000).into()
            } else {
                Ipv6Addr::from_bits(random.u128(..) & 0x3_0003 << 8 | 0x2001 << 112).into()
            }
        };
        let tag = |random: &mut fastrand::Rng| {
            let address = address(random);
            let most = if address.is_ipv4() { 32 } else { 128 };
            let net = IpNet::new(address, most - random.u8(0..12)).unwrap().trunc();
            let kind = random.choice(TagKind::ALL).unwrap();
            let tag = Tag { time: random.u32(1..), ..Tag::new(kind, TagSubject::Net(net)) };
            let feed = format!("feed-{}", random.u8(0..3));
            if random.bool() {
                Tag { source: feed, listing: Some(Box::default()), ..tag }
            } else {
                tag
            }
        };
        let tags: Vec<Tag> = (0..60).map(|_| tag(&mut random)).collect();
        let set = TagSet::new(tags);
        let threats = Threats::of(&set);
        for limit in [1, 16, 100] {
            let from = address(&mut random);
            let (want, _) = near(&set, from, Some(TagKind::Threat), limit);
            let want: Vec<_> = want
                .iter()
                .map(|near| {
                    let tag = near.tag;
                    (&tag.subject, tag.said_by(), tag.time, near.address, near.square, near.shared)
                })
                .collect();
            let found = threats.near(from, limit);
            let found: Vec<_> = found
                .iter()
                .map(|near| {
                    let NearThreat { subject, author, since, address, square, shared } = near;
                    (subject, *author, *since, *address, *square, *shared)
                })
                .collect();
            assert_eq!(found, want);
        }
    }
}

#[test]
fn the_judges_own_verdicts_are_no_threats() {
    let subject = TagSubject::Net("192.0.2.4/32".parse().unwrap());
    let by = |source: &str| {
        let tag = Tag::new(TagKind::Threat, subject.clone());
        let tag = Tag { source: source.to_owned(), listing: Some(Box::default()), ..tag };
        Threats::of(&TagSet::new(vec![tag])).near("192.0.2.1".parse().unwrap(), 9).len()
    };
    assert_eq!((by("feed"), by("pdns-judge")), (1, 0));
}
