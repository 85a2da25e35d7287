//! Round trips: an export that another site imports has all that its format can hold, unchanged.

use super::*;
use crate::exchange::intel::{IntelFormat, IntelItem, IntelOptions, read_intel};
use crate::indicator::{Indicator, ListedIndicator};
use std::ops::ControlFlow;

/// The latest time in the tests, in seconds since the epoch.
const NOW: u32 = 1_800_000_000;

fn name() -> impl Strategy<Value = NameBuf> {
    let label = prop_oneof![
        6 => "[a-z][a-z0-9-]{0,8}[a-z0-9]",
        1 => "_[a-z]{1,5}",
        1 => Just("*".to_owned()),
        1 => "[!-~]{1,6}",
    ];
    prop::collection::vec(label, 1..4).prop_map(|labels| {
        let mut wire = Vec::new();
        for label in labels.iter().map(String::as_str).chain(["evil-site", "com"]) {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label.as_bytes());
        }
        wire.push(0);
        NameBuf::from_wire(&wire).unwrap().0
    })
}

/// A name that a host can have.
fn host() -> impl Strategy<Value = NameBuf> {
    "[a-z][a-z0-9_]{0,8}[a-z0-9]\\.evil-site\\.com".prop_map(|text| NameBuf::parse(&text).unwrap())
}

fn net() -> impl Strategy<Value = TagSubject> {
    let v4 = (any::<u32>(), 9..=32_u8)
        .prop_map(|(bits, length)| ipnet::Ipv4Net::new(bits.into(), length).unwrap().trunc());
    let v6 = (any::<u128>(), 24..=128_u8)
        .prop_map(|(bits, length)| ipnet::Ipv6Net::new(bits.into(), length).unwrap().trunc());
    prop_oneof![
        v4.prop_map(|net| TagSubject::Net(net.into())),
        v6.prop_map(|net| TagSubject::Net(net.into())),
    ]
}

fn subject(names: BoxedStrategy<NameBuf>) -> impl Strategy<Value = TagSubject> {
    prop_oneof![names.clone().prop_map(TagSubject::Name), names.prop_map(TagSubject::Below), net(),]
}

/// Words on one line, as imports clean them. The last letter of the first keeps them from being a word for a missing
/// value; a `'` at the start may be the mark of a cell.
fn words_on_a_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[A-Za-z0-9\u{e9}\"\\\\<>&{}%/.;:=+@-][A-Za-z0-9\u{e9}'\"\\\\<>&{}%/.;:=+@-]{0,8}x( [a-z\u{e9},]{2,9}){0,3}",
    ]
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_.:-]{1,9}x( [a-z0-9]{2,5})?",
        Just("benign".to_owned()),
        Just("threat".to_owned()),
    ]
}

prop_compose! {
    fn indicator(names: BoxedStrategy<NameBuf>)(
        subject in subject(names),
        kind in prop::sample::select(TagKind::ALL.to_vec()),
        confidence in 0..=100_u8,
        first_listed in 1_500_000_000..NOW,
        listed_for in 0..1_000_000_u32,
        valid_for in prop::option::of(1..1_000_000_u32),
        labels in prop::collection::btree_set(label(), 0..4),
        reference in prop_oneof![
            Just(String::new()),
            "https://r\\.example/[a-z]{1,9}(\\?a=[a-z]{1,5})?",
            "[0-9a-f]{8}-x",
        ],
        note in words_on_a_line(),
        tlp in prop::sample::select(Tlp::ALL.to_vec()),
        is_conditional in any::<bool>(),
    ) -> Indicator {
        Indicator {
            source: "feed".to_owned(),
            subject,
            kind,
            confidence,
            confidence_now: confidence,
            first_listed,
            last_listed: first_listed + listed_for,
            valid_until: valid_for.map(|valid| NOW + 1_000_000 + valid),
            labels: labels.into_iter().collect(),
            reference,
            note,
            tlp: Some(tlp),
            is_conditional,
        }
    }
}

fn indicators(names: BoxedStrategy<NameBuf>) -> impl Strategy<Value = Vec<Indicator>> {
    // A source has one indicator of each subject.
    prop::collection::vec(indicator(names), 1..5).prop_map(|mut all| {
        all.sort_by(|one, other| one.subject.cmp(&other.subject));
        all.dedup_by(|one, other| one.subject == other.subject);
        all
    })
}

fn exported(list: List, indicators: &[Indicator]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(list, options());
    writer.begin(&mut out).unwrap();
    for one in indicators {
        let (subject, reasons) = (one.subject.clone(), vec![one.clone()]);
        let listed = ExportItem::new(subject, Vec::new(), reasons, Tlp::Amber);
        assert!(list.admits(&listed), "{list:?} {}", one.subject);
        writer.subject(&listed, &mut out).unwrap();
    }
    writer.end(&mut out).unwrap();
    out
}

fn imported(format: IntelFormat, text: &[u8]) -> Vec<ListedIndicator> {
    let mut all = Vec::new();
    let summary = read_intel(&mut &*text, &IntelOptions::default(), &mut |item| {
        match item {
            IntelItem::Indicator(listed) => all.push(listed),
            other => panic!("{other:?} in {}", String::from_utf8_lossy(text)),
        }
        ControlFlow::Continue(())
    });
    assert_eq!(summary.unwrap().format, format);
    all
}

/// Checks that an import of an export has the same indicators, with all that the format can hold.
#[track_caller]
fn check(list: List, format: IntelFormat, indicators: &[Indicator]) {
    let text = exported(list, indicators);
    let is_misp = format == IntelFormat::Misp;
    // Neither the identifiers nor the last listing are the importer's.
    let read = imported(format, &text).into_iter().map(|listed| ListedIndicator {
        // A threat is what an import takes for granted.
        kind: Some(listed.kind.unwrap_or(TagKind::Threat)),
        id: None,
        last_listed: None,
        ..listed
    });
    let wanted = indicators.iter().map(|one| ListedIndicator {
        kind: Some(one.kind),
        confidence: Some(one.confidence),
        first_listed: Some(if is_misp { one.last_listed } else { one.first_listed }),
        valid_until: one.valid_until.filter(|_| !is_misp),
        labels: one.labels.clone(),
        // MISP has no place for a reference.
        reference: if is_misp { String::new() } else { one.reference.clone() },
        note: one.note.clone(),
        tlp: one.tlp,
        is_conditional: one.is_conditional,
        ..ListedIndicator::new(one.subject.clone())
    });
    let (mut read, mut wanted): (Vec<_>, Vec<_>) = (read.collect(), wanted.collect());
    let by_subject =
        |one: &ListedIndicator, other: &ListedIndicator| one.subject.cmp(&other.subject);
    read.sort_by(by_subject);
    wanted.sort_by(by_subject);
    assert_eq!(read, wanted, "{}", String::from_utf8_lossy(&text));
}

proptest! {
    #[test]
    fn stix_keeps_every_indicator(all in indicators(name().boxed())) {
        check(List::Stix, IntelFormat::Stix, &all);
    }

    #[test]
    fn json_lines_keep_every_indicator(all in indicators(name().boxed())) {
        check(List::Jsonl, IntelFormat::Jsonl, &all);
    }

    #[test]
    fn csv_keeps_every_indicator(all in indicators(name().boxed())) {
        check(List::Csv, IntelFormat::Csv, &all);
    }

    #[test]
    fn misp_keeps_what_it_can_hold(all in indicators(host().boxed())) {
        check(List::Misp, IntelFormat::Misp, &all);
    }
}
