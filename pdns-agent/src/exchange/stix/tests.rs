//! Tests of bundles by what they must hold; other programs read them in `tests/it/export`.

use super::*;
use crate::indicator::Sighting;
use crate::name::NameBuf;
use crate::observation::Seen;
use crate::rdata::RdataBuf;
use crate::record::FactBuf;
use crate::sensors::SensorSet;
use crate::tag::{Tag, TagKind};

fn record(name: &str, address: [u8; 4], count: u64, times: (u32, u32)) -> StoredRecord {
    let octets = address.to_vec().into();
    let rdata = RdataBuf { rrtype: RrType::A, octets, partial: false };
    StoredRecord {
        rrname: NameBuf::parse(name).unwrap(),
        fact: FactBuf::Record(rdata),
        seen: Seen { count, time_first: times.0, time_last: times.1, ..Seen::default() },
        sensors: SensorSet::default(),
        unkept: None,
    }
}

fn bundle(items: &[ExportItem<'_>]) -> Value {
    let mut out = Vec::new();
    let mut bundle = Bundle::new("pdns", None);
    bundle.begin(&mut out).unwrap();
    for item in items {
        bundle.item(item, &mut out).unwrap();
    }
    Bundle::end(&mut out).unwrap();
    assert!(out.iter().all(|octet| *octet == b'\n' || *octet == b' ' || octet.is_ascii_graphic()));
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_bundle_has_each_object_once_and_the_same_each_time() {
    let name = TagSubject::Name(NameBuf::parse("evil.example").unwrap());
    let address = TagSubject::address("192.0.2.7".parse().unwrap());
    let tags = [&name, &address].map(|subject| Tag {
        time: 1_700_000_000,
        note: "caf\u{e9} \u{1b}[2J".to_owned(),
        author: "anna".to_owned(),
        ..Tag::new(TagKind::Threat, subject.clone())
    });
    let seen = Sighting { count: u64::MAX, time_first: 5, time_last: 9, sensors: Vec::new() };
    let items: Vec<ExportItem<'_>> = tags
        .iter()
        .map(|tag| ExportItem {
            seen: Some(seen.clone()),
            records: vec![
                record("evil.example", [192, 0, 2, 7], u64::MAX, (5, 9)),
                record("evil.example", [192, 0, 2, 8], 1, (7, 7)),
            ],
            ..ExportItem::new(tag.subject.clone(), vec![tag], Vec::new(), Tlp::Green)
        })
        .collect();
    let said = bundle(&items);
    assert_eq!(said, bundle(&items));
    let objects = said["objects"].as_array().unwrap();
    let ids: HashSet<&str> = objects.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), objects.len());
    let of =
        |kind: &str| -> Vec<&Value> { objects.iter().filter(|one| one["type"] == kind).collect() };
    assert_eq!(of("identity").len(), 1);
    assert_eq!(of("marking-definition").len(), 1);
    assert_eq!(of("domain-name").len(), 1);
    assert_eq!(of("ipv4-addr").len(), 2);
    assert_eq!(of("indicator").len(), 2);
    assert!(!of("indicator")[0]["description"].as_str().unwrap().contains("anna"));
    let observed = of("observed-data");
    assert_eq!(observed.len(), 2);
    assert_eq!(observed[0]["number_observed"], 999_999_999);
    let resolves: Vec<&Value> = of("relationship")
        .into_iter()
        .filter(|one| one["relationship_type"] == "resolves-to")
        .collect();
    assert_eq!(resolves.len(), 2);
    assert_eq!(resolves[0]["stop_time"], "1970-01-01T00:00:09.000Z");
    assert_eq!(resolves[1].get("stop_time"), None, "it must stop later than it starts");
    assert_eq!(of("sighting")[0]["count"], 999_999_999);
    // Every reference leads to an object of the bundle.
    for one in objects {
        for (key, value) in one.as_object().unwrap() {
            let refs = match value {
                Value::String(one) if key.ends_with("_ref") => vec![one.as_str()],
                Value::Array(all) if key.ends_with("_refs") => {
                    all.iter().map(|one| one.as_str().unwrap()).collect()
                }
                _ => continue,
            };
            assert!(refs.iter().all(|id| ids.contains(id)), "{one}");
        }
    }
}

#[test]
fn sightings_are_of_the_identifier_that_the_source_gave() {
    let subject = TagSubject::Name(NameBuf::parse("evil.example").unwrap());
    let theirs = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f";
    let of = |id| SightingOf { id, subject: &subject, kind: TagKind::Threat };
    let seen = Sighting { count: 3, time_first: 5, time_last: 9, sensors: Vec::new() };
    let mut out = Vec::new();
    let mut bundle = SightingBundle::new("pdns", Tlp::Green);
    bundle.begin(&mut out).unwrap();
    for id in [Some(theirs), Some("8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"), None] {
        bundle.sighting(&of(id), &seen, &mut out).unwrap();
    }
    bundle.end(&mut out).unwrap();
    let said: Value = serde_json::from_slice(&out).unwrap();
    let sightings: Vec<&Value> = said["objects"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["type"] == "sighting")
        .collect();
    assert_eq!(sightings.len(), 2, "the two without an identifier of STIX are the same");
    assert_eq!(sightings[0]["sighting_of_ref"], theirs);
    let own = format!("indicator--{}", Identity::new("pdns").indicator(&subject, TagKind::Threat));
    assert_eq!(sightings[1]["sighting_of_ref"], own);
}
