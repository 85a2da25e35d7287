//! Tests of the window.

use super::*;
use crate::hash::Hasher;
use crate::name::NameBuf;
use crate::observation::{Outcome, Provenance};
use crate::rdata::Rdata;
use crate::rr::RrType;

fn window(memory: usize) -> Window {
    Window::new(Router::new(Hasher::new(&[3; 16]), 64), memory)
}

fn add(window: &mut Window, name: &str, fact: Fact<'_>, at: u32) {
    let name = NameBuf::parse(name).unwrap();
    window.observe(&Observation {
        rrname: name.as_name(),
        fact,
        at,
        ttl: Some(60),
        provenance: Provenance::Inferred,
    });
}

fn a(octets: &[u8]) -> Fact<'_> {
    Fact::Record(Rdata { rrtype: RrType::A, octets, partial: false })
}

#[test]
fn equal_observations_are_one_and_all_others_are_apart() {
    let mut window = window(1 << 22);
    let mx = b"\x00\x00\x04mail\x00";
    let facts = [
        a(&[192, 0, 2, 1]),
        a(&[192, 0, 2, 2]),
        Fact::Record(Rdata { rrtype: RrType(1000), octets: &[192, 0, 2, 1], partial: false }),
        Fact::Record(Rdata { rrtype: RrType::MX, octets: mx, partial: false }),
        Fact::Record(Rdata { rrtype: RrType::MX, octets: mx, partial: true }),
        Fact::Negative { qtype: RrType::A, outcome: Outcome::NXDOMAIN },
        Fact::Negative { qtype: RrType::A, outcome: Outcome::UNANSWERED },
        Fact::Negative { qtype: RrType::AAAA, outcome: Outcome::NXDOMAIN },
    ];
    for at in [5, 9, 7] {
        for name in ["www.example", "example"] {
            for fact in facts {
                add(&mut window, name, fact, at);
            }
        }
    }
    let due: Vec<(u32, NameLocation)> = window.due().collect();
    assert_eq!((due.len(), window.dirty()), (facts.len() * 2, facts.len() * 2));
    for (&(index, place), fact) in due.iter().zip(facts) {
        let merged = window.get(index).unwrap();
        let Tuple::Text { rrname, fact: stored } = merged.tuple else { panic!("no text") };
        assert_eq!((rrname.as_str(), stored), ("www.example", fact));
        assert_eq!(place, window.place(rrname));
        let seen = merged.seen;
        assert_eq!((seen.count, seen.time_first, seen.time_last), (3, 5, 9));
    }
    window.clear();
    assert!(window.dirty() == 0 && window.get(0).is_none());
}

#[test]
fn a_tuple_that_was_sent_comes_back_as_its_row() {
    let mut window = window(1 << 22);
    add(&mut window, "a.example", a(&[192, 0, 2, 1]), 1);
    add(&mut window, "b.example", a(&[192, 0, 2, 1]), 1);
    window.sent();
    assert_eq!((window.due().count(), window.dirty()), (0, 0));
    add(&mut window, "a.example", a(&[192, 0, 2, 1]), 2);
    window.learn([(0, 70), (1, 71)]);
    let due: Vec<u32> = window.due().map(|(index, _)| index).collect();
    assert_eq!(due, [0]);
    let merged = window.get(0).unwrap();
    assert!(matches!(merged.tuple, Tuple::Row(70)));
    assert_eq!((merged.seen.count, merged.seen.time_first), (1, 2));
}

#[test]
fn a_tuple_that_was_not_kept_is_sent_with_its_text_each_time() {
    let mut window = window(1 << 22);
    for name in ["a.example", "b.example"] {
        add(&mut window, name, a(&[192, 0, 2, 1]), 1);
    }
    window.sent();
    // In flight, and observed again before the store says that it was not kept.
    add(&mut window, "a.example", a(&[192, 0, 2, 1]), 2);
    window.forget([0, 1]);
    add(&mut window, "b.example", a(&[192, 0, 2, 1]), 3);
    add(&mut window, "b.example", a(&[192, 0, 2, 1]), 3);
    let sent = |window: &Window| {
        let merged = window.due().map(|(index, _)| window.get(index).unwrap());
        let text = merged.map(|merged| match merged.tuple {
            Tuple::Text { rrname, .. } => format!("{rrname} {}", merged.seen.count),
            Tuple::Row(row) => format!("row {row} {}", merged.seen.count),
        });
        text.collect::<Vec<String>>()
    };
    assert_eq!(sent(&window), ["a.example 1", "b.example 2"]);
    window.sent();
    // The next day has room for one of them.
    window.learn([(0, 70)]);
    window.forget([1]);
    for name in ["a.example", "b.example"] {
        add(&mut window, name, a(&[192, 0, 2, 1]), 4);
    }
    assert_eq!(sent(&window), ["row 70 1", "b.example 1"]);
}

#[test]
fn a_window_is_bounded_and_a_sweep_keeps_what_is_used_and_what_is_due() {
    let mut window = window(1 << 20);
    let mut added = 0_u32;
    while !window.is_full() {
        add(&mut window, "www.example", a(&added.to_be_bytes()), 1);
        added += 1;
    }
    let due: Vec<u32> = window.due().map(|(index, _)| index).collect();
    window.sent();
    window.learn(due.iter().map(|&index| (index, index)));
    window.sweep();
    // Now all others are idle, except for one.
    add(&mut window, "www.example", a(&1_u32.to_be_bytes()), 2);
    let left = window.entries.len();
    while !window.is_full() {
        add(&mut window, "www.example", a(&added.to_be_bytes()), 3);
        added += 1;
    }
    window.sweep();
    assert!(left > 0 && window.entries.len() <= window.most_entries);
    assert_eq!(window.dirty(), window.due().count());
    add(&mut window, "www.example", a(&1_u32.to_be_bytes()), 4);
    let one = window.entries.iter().find(|entry| entry.time_last == 4).unwrap();
    assert_eq!((one.count, one.state), (2, TupleState::Known));
}

#[test]
fn a_window_with_texts_keeps_all_that_is_due_in_whatever_state() {
    let mut window = Window::with_texts(Router::new(Hasher::new(&[3; 16]), 64), 1 << 22);
    let kept = |window: &Window| {
        let mut kept = RetryBuffer::default();
        window.copy_due(&mut kept);
        let shown = |(name, _, seen): (Name<'_>, Fact<'_>, &Seen)| format!("{name} {}", seen.count);
        kept.iter().map(shown).collect::<Vec<String>>()
    };
    for name in ["a.example", "b.example"] {
        add(&mut window, name, a(&[192, 0, 2, 1]), 1);
    }
    assert_eq!(kept(&window), ["a.example 1", "b.example 1"]);
    window.sent();
    assert!(kept(&window).is_empty());
    // In flight, and observed again before its row is known.
    add(&mut window, "a.example", a(&[192, 0, 2, 1]), 2);
    add(&mut window, "c.example", a(&[192, 0, 2, 1]), 2);
    assert_eq!(kept(&window), ["a.example 1", "c.example 1"]);
    window.learn([(0, 70), (1, 71)]);
    add(&mut window, "a.example", a(&[192, 0, 2, 1]), 3);
    add(&mut window, "b.example", a(&[192, 0, 2, 1]), 3);
    assert_eq!(kept(&window), ["a.example 2", "b.example 1", "c.example 1"]);
    let rows = |window: &Window| {
        let due: Vec<u32> = window.due().map(|(index, _)| index).collect();
        due.iter()
            .map(|&index| match window.get(index).unwrap().tuple {
                Tuple::Row(row) => Some(row),
                Tuple::Text { .. } => None,
            })
            .collect::<Vec<Option<u32>>>()
    };
    assert_eq!(rows(&window), [Some(70), Some(71), None]);
    window.sent();
    add(&mut window, "a.example", a(&[192, 0, 2, 1]), 4);
    assert_eq!((rows(&window), kept(&window)), (vec![Some(70)], vec!["a.example 1".to_owned()]));
}
