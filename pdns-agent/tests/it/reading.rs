//! Readers of the store: one that has looked before, one that stops half-way, one that wants no names.

use crate::redis::Redis;
use crate::store::{Log, Model, Sum, a, collect, name, options, record, subset};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Fact, Outcome, Seen};
use pdns_agent::record::{FactBuf, StoredRecord};
use pdns_agent::rr::RrType;
use pdns_agent::store::{Handle, Kind, Store};
use std::net::IpAddr;
use std::ops::ControlFlow;

#[test]
fn a_reader_finds_what_moved_since_it_looked_first() {
    let server = Redis::start_durable();
    let mut writer = Store::open(&options(&server)).unwrap();
    let mut reader = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut writer, 1);
    let names: Vec<NameBuf> =
        (0..9000).map(|number| name(&format!("h{number}.example.com"))).collect();
    let address = |number: usize| [10, 0, u8::try_from(number % 50).unwrap(), 1];
    // All in one partition, whose buckets are split between two looks of the reader.
    for (number, one) in names.iter().enumerate() {
        log.add(&mut model, one, &a(address(number)), 100, Some(60));
        log.add(
            &mut model,
            one,
            &FactBuf::Negative { qtype: RrType::MX, outcome: Outcome::NXDOMAIN },
            100,
            None,
        );
        if [50, 1500, 8999].contains(&number) {
            log.flush(&mut writer).unwrap();
            let some: Vec<NameBuf> = names.iter().take(number + 5).step_by(7).cloned().collect();
            let is_record = |fact: &FactBuf| matches!(fact, FactBuf::Record(_));
            let want = subset(&model, |name, fact| some.contains(name) && is_record(fact));
            assert!(want.len() > 5);
            let mut found = Model::new();
            for one in &some {
                found.extend(collect(|each| reader.reader().records_by_name(one.as_name(), each)));
                // A reader that never looked before asks for where buckets end, first.
                for reader in [&mut reader, &mut Store::open(&options(&server)).unwrap()] {
                    let about = reader.reader().lookup_name(one.as_name(), true).unwrap();
                    let of = |found: Model, is: bool| {
                        assert_eq!(
                            found,
                            subset(&model, |name, fact| name == one && is_record(fact) == is)
                        );
                    };
                    of(collect(|each| reader.reader().own_records(&about, each)), true);
                    of(collect(|each| reader.reader().own_negatives(&about, each)), false);
                    assert!(
                        collect(|each| reader.reader().records_targeting(&about, 1, each))
                            .is_empty(),
                        "nothing points at {one:?}"
                    );
                }
            }
            assert_eq!(found, want, "one by one, after {number}");
            let found = collect(|each| reader.reader().records_by_names(&some, each));
            assert_eq!(found, want, "together, after {number}");
            let want = subset(&model, |name, fact| some.contains(name) && !is_record(fact));
            let mut found = Model::new();
            for one in &some {
                found
                    .extend(collect(|each| reader.reader().negatives_by_name(one.as_name(), each)));
            }
            assert_eq!(found, want, "negative answers, after {number}");
            for host in [0, 3, 49] {
                let want = subset(&model, |_, fact| *fact == a(address(host)));
                let at = IpAddr::from(address(host));
                for most in [usize::MAX, 1, 100] {
                    let found = collect(|each| {
                        reader.reader().records_by_address_range(at, at, most, each)
                    });
                    assert_eq!(found, want, "{at}, after {number}");
                }
            }
        }
    }
}

#[test]
fn long_names_are_found_by_their_address_and_a_reader_may_stop_at_any_row() {
    let server = Redis::start_durable();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut store, 1);
    let long = "l".repeat(60);
    for number in 0..2500_u32 {
        let one = if number % 3 == 0 {
            name(&format!("n{number}.{long}.{long}.{long}.example"))
        } else {
            name(&format!("n{number}.d{}.example", number % 70))
        };
        log.add(&mut model, &one, &a([192, 0, 2, 7]), 5, None);
    }
    log.flush(&mut store).unwrap();
    let at = IpAddr::from([192, 0, 2, 7]);
    let want = subset(&model, |_, _| true);
    assert_eq!(
        collect(|each| store.reader().records_by_address_range(at, at, usize::MAX, each)),
        want
    );
    let stops = [1, 2, 63, 64, 65, 500, 700, 1000, 2499];
    for (stop, most) in
        stops.map(|stop| (stop, stop)).into_iter().chain(stops.map(|stop| (stop, usize::MAX)))
    {
        let mut found = Vec::new();
        store
            .reader()
            .records_by_address_range(at, at, most, &mut |row| {
                found.push(row);
                if found.len() == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert_eq!(found.len(), stop);
        assert!(
            found
                .iter()
                .all(|row| want.get(&(row.rrname.clone(), row.fact.clone())) == Some(&Sum::of(row)))
        );
        // Whatever was on its way is not taken for the next answer.
        let one = found.swap_remove(0);
        let again = collect(|each| store.reader().records_by_name(one.rrname.as_name(), each));
        assert_eq!(again, Model::from([(key(&one), Sum::of(&one))]), "after {stop}");
    }
}

#[test]
fn facts_without_names_are_those_of_all_records() {
    let server = Redis::start_durable();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut store, 1);
    for number in 0..1200_u32 {
        let [_, _, c, d] = number.to_be_bytes();
        let one = name(&format!("n{number}.d{}.example", number % 90));
        log.add(&mut model, &one, &a([10, 1, c, d]), 5, Some(number));
        let text = [&[200; 201][..], &number.to_be_bytes().repeat(30)[..]].concat();
        if number % 9 == 0 {
            // Too long to stand beside the name.
            log.add(&mut model, &one, &record(RrType::TXT, &text), 7, None);
        }
        // More records than a name has in its bucket.
        let wide = name("wide.example");
        log.add(&mut model, &wide, &a([10, 2, c, d]), 9, None);
        let nothing = FactBuf::Negative { qtype: RrType::AAAA, outcome: Outcome::NODATA };
        log.add(&mut model, &one, &nothing, 11, None);
    }
    log.flush(&mut store).unwrap();
    for kind in [Kind::Record, Kind::Negative] {
        let is_of_kind =
            |fact: &FactBuf| matches!(fact, FactBuf::Record(_)) == (kind == Kind::Record);
        let want = subset(&model, |_, fact| is_of_kind(fact));
        let mut met: Vec<(Handle, FactBuf, Seen)> = Vec::new();
        let mut owners = 0;
        for part in store.reader().parts(None) {
            let read = store.reader().scan_unnamed(kind, part, &mut |one| {
                owners += usize::from(one.first_of_owner);
                let fact = match one.fact {
                    Fact::Record(rdata) => FactBuf::Record(rdata.to_buf()),
                    Fact::Negative { qtype, outcome } => FactBuf::Negative { qtype, outcome },
                };
                met.push((one.handle, fact, *one.seen));
            });
            read.unwrap();
        }
        let handles: Vec<Handle> = met.iter().map(|&(handle, ..)| handle).collect();
        let rows = store.reader().resolve(&handles).unwrap();
        assert_eq!(rows.len(), met.len());
        for (row, (_, fact, seen)) in rows.iter().zip(&met) {
            assert_eq!((&row.fact, &row.seen), (fact, seen));
        }
        let mut names: Vec<&NameBuf> = want.keys().map(|(name, _)| name).collect();
        names.dedup();
        assert_eq!(owners, names.len());
        let rows: Model = rows.iter().map(|row| (key(row), Sum::of(row))).collect();
        assert_eq!(rows, want);
    }
}

#[test]
fn names_that_move_while_all_are_read_are_met_once() {
    let server = Redis::start_durable();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut writer = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut writer, 1);
    let long = record(RrType::TXT, &[b'x'; 300]);
    let mut add = |writer: &mut Store, numbers: std::ops::Range<u32>| {
        let mut added = Model::new();
        for number in numbers {
            let [_, _, high, low] = number.to_be_bytes();
            let one = name(&format!("n{number}.example.com"));
            log.add(&mut added, &one, &a([10, 2, high, low]), 100, None);
            if number % 50 == 0 {
                log.add(&mut added, &one, &long, 100, None);
            }
        }
        log.flush(writer).unwrap();
        added
    };
    // Enough buckets for several questions, all in one part.
    model.append(&mut add(&mut writer, 0..3_000));
    let part = store.reader().parts(Some(name("example.com").as_name()))[0];
    let mut met: Vec<(NameBuf, FactBuf)> = Vec::new();
    let flow = store.reader().scan_records_in(Kind::Record, part, &mut |row| {
        met.push((row.rrname, row.fact));
        if met.len() == 10 {
            add(&mut writer, 3_000..8_000);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(flow.unwrap(), ControlFlow::Continue(()));
    met.sort();
    let want: Vec<(NameBuf, FactBuf)> = model.keys().cloned().collect();
    assert!(met == want, "{} of {} records were met", met.len(), want.len());

    let want = want.len() + 5_100;
    let mut facts = 0;
    store
        .reader()
        .scan_unnamed(Kind::Record, part, &mut |_| {
            facts += 1;
            if facts == 10 {
                add(&mut writer, 8_000..20_000);
            }
        })
        .unwrap();
    assert_eq!(facts, want, "facts were met");
}

fn key(row: &StoredRecord) -> (NameBuf, FactBuf) {
    (row.rrname.clone(), row.fact.clone())
}
