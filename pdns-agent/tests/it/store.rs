//! The store against a model: plain maps that are told the same things.
//!
//! Each test runs on a single server and on a cluster of one that holds all slots: there, a command or
//! function that touches keys of two slots fails.

use crate::redis::{Redis, Served};
use pdns_agent::aggregate::Window;
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Observation, Outcome, Provenance, Seen};
use pdns_agent::rdata::{Rdata, Target};
use pdns_agent::record::{FactBuf, StoredRecord};
use pdns_agent::rr::RrType;
use pdns_agent::sensors::SensorSet;
use pdns_agent::store::{Batch, Checkpoint, Kind, Options, Packer, SourceState, Store, StoreError};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{ControlFlow, Deref};

/// What the store should hold.
pub(crate) type Model = BTreeMap<(NameBuf, FactBuf), Sum>;

/// Expected content of a store about one tuple.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) seen: Seen,
    pub(crate) sensors: SensorSet,
}

impl Sum {
    /// Content of a record.
    pub(crate) fn of(row: &StoredRecord) -> Self {
        Self { seen: row.seen, sensors: row.sensors.clone() }
    }

    /// Adds what another one holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.seen.merge(&other.seen);
        self.sensors.merge(&other.sensors);
    }

    /// Adds observations of one sensor.
    pub(crate) fn observe(&mut self, seen: &Seen, sensor: u16) {
        self.seen.merge(seen);
        self.sensors.insert(sensor);
    }
}

impl Deref for Sum {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

pub(crate) fn options(server: &impl Served) -> Options {
    Options { url: server.store_url(), ..Options::default() }
}

fn on_both(test: impl Fn(&mut Redis)) {
    test(&mut Redis::start_durable());
    test(&mut Redis::start_cluster());
}

/// One log that is written in batches, and what it should amount to.
pub(crate) struct Log {
    id: [u8; 16],
    checkpoint: Checkpoint,
    packer: Packer,
    window: Window,
    position: u64,
    sensor: u16,
}

impl Log {
    pub(crate) fn new(store: &mut Store, id: u8) -> Self {
        let sensor = store.writer().sensor("test").unwrap();
        Self::open(store, [id; 16], sensor)
    }

    /// A log of its own for the sensor with a number.
    pub(crate) fn of_sensor(store: &mut Store, sensor: u16) -> Self {
        let mut id = [0xee; 16];
        id[..2].copy_from_slice(&sensor.to_be_bytes());
        Self::open(store, id, sensor)
    }

    pub(crate) fn open(store: &mut Store, id: [u8; 16], sensor: u16) -> Self {
        let checkpoint = store.writer().load(&id).unwrap();
        let window = Window::new(store.router().clone(), 1 << 24);
        Self { id, checkpoint, packer: store.writer().packer(), window, position: 0, sensor }
    }

    /// One line of the log with one observation.
    pub(crate) fn add(
        &mut self,
        model: &mut Model,
        name: &NameBuf,
        fact: &FactBuf,
        at: u32,
        ttl: Option<u32>,
    ) {
        self.position += 1;
        self.window.observe(&Observation {
            rrname: name.as_name(),
            fact: fact.as_fact(),
            at,
            ttl,
            provenance: Provenance::Inferred,
        });
        let seen = Seen::once(at, ttl, Provenance::Inferred);
        model.entry((name.clone(), fact.clone())).or_default().observe(&seen, self.sensor);
    }

    /// One line of the log with the sum of many observations.
    pub(crate) fn merge(&mut self, model: &mut Model, name: &NameBuf, fact: &FactBuf, seen: &Seen) {
        self.position += 1;
        self.window.merge(name.as_name(), fact.as_fact(), seen);
        model.entry((name.clone(), fact.clone())).or_default().observe(seen, self.sensor);
    }

    /// What was added since the last batch, up to `end`.
    fn pack(&mut self, end: u64) -> Batch {
        let mut batch = Batch::default();
        self.window.sweep();
        let Self { id, checkpoint, packer, window, sensor, .. } = self;
        packer.pack(&mut batch, *id, checkpoint, window, (end, false), *sensor);
        batch
    }

    /// One sighting, written at once.
    pub(crate) fn write_once(&mut self, store: &mut Store, name: &NameBuf, fact: &FactBuf) {
        self.position = self.position.max(self.checkpoint.horizon());
        self.add(&mut Model::new(), name, fact, 1_700_000_000, Some(60));
        self.flush(store).unwrap();
    }

    /// Says in the list of logs how far it was read.
    pub(crate) fn acknowledge(&self, store: &mut Store) {
        let path = format!("{:?}", self.id);
        let state = SourceState { path, acknowledged: self.position, ..SourceState::default() };
        store.writer().acknowledge(&self.id, &state).unwrap();
    }

    pub(crate) fn flush(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let mut batch = self.pack(self.position);
        store.writer().flush(&mut self.checkpoint, &mut batch)?;
        self.window.learn(batch.learned());
        Ok(())
    }
}

pub(crate) fn name(text: &str) -> NameBuf {
    NameBuf::parse(text).unwrap()
}

pub(crate) fn record(rrtype: RrType, octets: &[u8]) -> FactBuf {
    FactBuf::Record(Rdata { rrtype, octets, partial: false }.to_buf())
}

pub(crate) fn a(address: [u8; 4]) -> FactBuf {
    record(RrType::A, &address)
}

pub(crate) fn cname(target: &str) -> FactBuf {
    let mut octets = Vec::new();
    name(target).as_name().write_wire(&mut octets);
    record(RrType::CNAME, &octets)
}

/// All that the store holds.
pub(crate) fn contents(store: &mut Store) -> Model {
    let mut model = Model::new();
    for kind in [Kind::Record, Kind::Negative] {
        store
            .reader()
            .scan_records(kind, &mut |row| {
                let twice = model
                    .insert((row.rrname, row.fact), Sum { seen: row.seen, sensors: row.sensors });
                assert!(twice.is_none(), "a record came twice");
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    model
}

/// The store holds exactly what the model does, and nothing in it contradicts anything else.
#[track_caller]
pub(crate) fn agrees(store: &mut Store, model: &Model) {
    let stored = contents(store);
    let differs = model.iter().find(|(key, seen)| stored.get(key) != Some(seen));
    assert_eq!(differs.map(|(key, seen)| (key, seen, stored.get(key))), None);
    assert_eq!(stored.len(), model.len());
    let verdict = store.verify(false, &mut |_, _| {}).unwrap();
    assert_eq!(verdict.problems, Vec::<String>::new());
    let negatives =
        model.keys().filter(|(_, fact)| matches!(fact, FactBuf::Negative { .. })).count();
    assert_eq!(verdict.negatives, negatives as u64);
    assert_eq!(verdict.records, (model.len() - negatives) as u64);
}

pub(crate) fn collect(
    run: impl FnOnce(&mut dyn FnMut(StoredRecord) -> ControlFlow<()>) -> Result<(), StoreError>,
) -> Model {
    let mut model = Model::new();
    run(&mut |row| {
        let twice =
            model.insert((row.rrname, row.fact), Sum { seen: row.seen, sensors: row.sensors });
        assert!(twice.is_none(), "a record came twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    model
}

pub(crate) fn subset(model: &Model, keep: impl Fn(&NameBuf, &FactBuf) -> bool) -> Model {
    model
        .iter()
        .filter(|((name, fact), _)| keep(name, fact))
        .map(|(key, sum)| (key.clone(), sum.clone()))
        .collect()
}

fn target(fact: &FactBuf) -> Option<Target> {
    match fact {
        FactBuf::Record(rdata) => Some(rdata.as_rdata().target()),
        FactBuf::Negative { .. } => None,
    }
}

#[test]
fn facts_of_every_form_come_back_as_they_went_in() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 1);
        let large = [b"\xff".repeat(256), b"\x10".repeat(700)].concat();
        let facts = [
            a([192, 0, 2, 1]),
            record(RrType::AAAA, &Ipv6Addr::LOCALHOST.octets()),
            cname("target.example"),
            record(RrType::TXT, b"\x05\r\n\x00\x1b*"),
            record(RrType::TXT, &large),
            record(RrType(65_280), b""),
            record(RrType(300), &[7; 253]),
            record(RrType::ANY, &[0xff; 252]),
            FactBuf::Record(
                Rdata { rrtype: RrType::MX, octets: b"\0\0\x04mail\0", partial: true }.to_buf(),
            ),
            FactBuf::Record(Rdata { rrtype: RrType::SOA, octets: &large, partial: true }.to_buf()),
            FactBuf::Negative { qtype: RrType::A, outcome: Outcome::NXDOMAIN },
            FactBuf::Negative { qtype: RrType::A, outcome: Outcome::UNANSWERED },
            FactBuf::Negative { qtype: RrType(65_535), outcome: Outcome::NODATA },
        ];
        let names = [
            ".",
            "com",
            "www.example.com",
            "*.example.com",
            "a\\.b\\010\\000.\\255",
            "1.2.0.192.in-addr.arpa",
        ];
        for round in 0..3_u32 {
            for text in names {
                for (number, fact) in facts.iter().enumerate() {
                    let ttl = (number % 2 == 0).then_some(300 - round);
                    log.add(&mut model, &name(text), fact, 1_700_000_000 - round * 86_400, ttl);
                }
            }
            log.flush(&mut store).unwrap();
        }
        agrees(&mut store, &model);
        for text in names {
            let name = name(text);
            let of = collect(|each| store.reader().records_by_name(name.as_name(), each));
            assert_eq!(
                of,
                subset(&model, |owner, fact| *owner == name && matches!(fact, FactBuf::Record(_)))
            );
            let of = collect(|each| store.reader().negatives_by_name(name.as_name(), each));
            assert_eq!(
                of,
                subset(&model, |owner, fact| *owner == name
                    && matches!(fact, FactBuf::Negative { .. }))
            );
        }
        let of = collect(|each| store.reader().records_by_rdata(&large, each));
        assert_eq!(of.len(), names.len() * 2);
        assert!(
            collect(|each| store.reader().records_by_name(name("none.example").as_name(), each))
                .is_empty()
        );
        let days = store.reader().days().unwrap();
        assert_eq!(
            days.into_iter().collect::<Vec<_>>(),
            [(1_699_827_200 / 86_400, names.len() as u64)]
        );
    });
}

#[test]
fn a_batch_is_applied_once_however_often_it_is_sent() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 1);
        for number in 0..200_u8 {
            log.add(
                &mut model,
                &name(&format!("{number}.example")),
                &a([10, 0, 0, number]),
                5,
                None,
            );
        }
        let before = log.checkpoint.clone();
        let mut again = log.pack(200);
        // The same lines, read by somebody else up to another position.
        let mut elsewhere = Log::new(&mut store, 1);
        for number in 0..200_u8 {
            let mut lost = Model::new();
            elsewhere.add(
                &mut lost,
                &name(&format!("{number}.example")),
                &a([10, 0, 0, number]),
                5,
                None,
            );
        }
        let mut other = elsewhere.pack(201);
        store.writer().flush(&mut log.checkpoint, &mut again).unwrap();
        // The same writer again, with what it knew before: first as if it had not lost the connection.
        let mut stale = before.clone();
        for part in 0..2 {
            let mut same = Log::new(&mut store, 1);
            same.checkpoint = before.clone();
            for number in 0..200_u8 {
                let mut lost = Model::new();
                same.add(
                    &mut lost,
                    &name(&format!("{number}.example")),
                    &a([10, 0, 0, number]),
                    5,
                    None,
                );
            }
            let mut again = same.pack(200);
            let error = store.writer().flush(&mut stale, &mut again).unwrap_err();
            assert!(if part == 0 {
                error.is_transient()
            } else {
                matches!(error, StoreError::Conflict)
            });
        }
        agrees(&mut store, &model);
        // Another writer with other batches of the same log.
        let mut somebody = Store::open(&options(server)).unwrap();
        let conflict = somebody.writer().flush(&mut before.clone(), &mut other);
        assert!(matches!(conflict, Err(StoreError::Conflict)));
        agrees(&mut store, &model);
    });
}

#[test]
fn tidying_keeps_what_is_known_of_a_log_that_grows_again() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 1);
        let grow = |log: &mut Log, model: &mut Model, store: &mut Store, from: u8| {
            for number in from..from + 100 {
                let owner = name(&format!("{number}.example"));
                log.add(model, &owner, &a([10, 0, 0, number]), 5, None);
            }
            log.flush(store).unwrap();
        };
        let complete = |log: &Log, store: &mut Store| {
            let state = SourceState {
                acknowledged: log.position,
                complete: true,
                ..SourceState::default()
            };
            store.writer().acknowledge(&log.id, &state).unwrap();
            store.writer().settle(&log.id, &log.checkpoint).unwrap();
        };
        grow(&mut log, &mut model, &mut store, 0);
        complete(&log, &mut store);
        // It grows, and whoever reads it dies before it says how far.
        grow(&mut log, &mut model, &mut store, 100);
        store.writer().tidy(1_000_000).unwrap();
        let found = store.writer().load(&log.id).unwrap();
        assert_eq!(found.acknowledged(), 100);
        for number in 100..200_u8 {
            let owner = name(&format!("{number}.example"));
            let place = store.router().place(owner.as_name());
            assert!(found.covers(place, number.into()), "{owner} would be counted again");
        }
        complete(&log, &mut store);
        assert!(store.writer().tidy(1_000_000).unwrap() > 20);
        assert_eq!(store.writer().tidy(1_000_000).unwrap(), 0);
        assert_eq!(store.writer().load(&log.id).unwrap().acknowledged(), 200);
        agrees(&mut store, &model);
    });
}

#[test]
fn buckets_grow_and_nothing_gets_lost_among_them() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 1);
        // All in one partition: 12,000 names need 750 buckets where there were 64.
        for number in 0..12_000_u32 {
            let [_, b, c, d] = number.to_be_bytes();
            log.add(
                &mut model,
                &name(&format!("host{number}.example.com")),
                &a([10, b, c, d]),
                number * 20,
                Some(1),
            );
            if number % 3000 == 0 {
                log.flush(&mut store).unwrap();
            }
        }
        log.flush(&mut store).unwrap();
        // Known records again, through the rows that are known and through a writer that knows none.
        for round in 0..2_u32 {
            for number in (0..12_000_u32).step_by(7) {
                let [_, b, c, d] = number.to_be_bytes();
                let at = 100_000 + round;
                log.add(
                    &mut model,
                    &name(&format!("host{number}.example.com")),
                    &a([10, b, c, d]),
                    at,
                    Some(9),
                );
            }
            log.flush(&mut store).unwrap();
            store = Store::open(&options(server)).unwrap();
        }
        agrees(&mut store, &model);
        let mut names = 0;
        store
            .reader()
            .names(Some(name("example.com").as_name()), &mut |block| {
                names += block.split(|&octet| octet == b'\n').count() - 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(names, 12_000);
        let (from, to) = (Ipv4Addr::new(10, 0, 3, 0), Ipv4Addr::new(10, 0, 18, 255));
        let of = collect(|each| {
            store.reader().records_by_address_range(from.into(), to.into(), usize::MAX, each)
        });
        assert_eq!(of.len(), 16 * 256);
        let mut handles = Vec::new();
        store
            .reader()
            .scan(Kind::Record, |handle, seen, _| {
                if seen.count > 2 {
                    handles.push(handle);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let rows = store.reader().resolve(&handles).unwrap();
        assert_eq!(rows.len(), 12_000_usize.div_ceil(7));
        assert!(
            rows.iter().all(|row| model[&(row.rrname.clone(), row.fact.clone())] == Sum::of(row))
        );
    });
}

#[test]
fn first_days_follow_older_logs() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 1);
        let day = 86_400;
        for (at, octet) in [(9 * day, 1), (7 * day, 2), (8 * day, 1), (3 * day, 1), (5 * day, 2)] {
            log.add(&mut model, &name("www.example"), &a([192, 0, 2, octet]), at, None);
            log.flush(&mut store).unwrap();
        }
        assert_eq!(store.reader().days().unwrap().into_iter().collect::<Vec<_>>(), [(3, 1)]);
        let mut new = Vec::new();
        store
            .reader()
            .new_on(3, &mut |name, first| {
                new.push((name.to_string(), first));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(new, [("www.example".to_owned(), 3 * day)]);
        store.reader().new_on(5, &mut |name, _| panic!("{name} is not new on day 5")).unwrap();
        agrees(&mut store, &model);
    });
}

#[test]
fn names_with_very_many_records_and_addresses_with_very_many_names() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 1);
        let day = 86_400;
        for number in 0..1500_u32 {
            let octets = number.to_be_bytes();
            // The last ones are older: a wide name must move to an earlier day, too.
            let at = 20 * day - number / 1000 * 5 * day;
            log.add(
                &mut model,
                &name("wide.example"),
                &record(RrType(1), &octets),
                at,
                Some(number),
            );
            let v6 = Ipv6Addr::from(
                0x2001_0db8_0000_0000_0000_0000_0000_0000_u128 + u128::from(number % 3),
            );
            let one = format!("{number}.v6.example");
            log.add(&mut model, &name(&one), &record(RrType::AAAA, &v6.octets()), 5, None);
        }
        for number in 0..14_000_u32 {
            let owner = name(&format!("n{number}.d{}.example", number % 500));
            let address = if number % 10 == 0 { [198, 51, 100, 8] } else { [198, 51, 100, 7] };
            log.add(&mut model, &owner, &a(address), 5, None);
            log.add(&mut model, &owner, &cname("hot.example.net"), 5, None);
            if number % 2000 == 0 {
                log.flush(&mut store).unwrap();
            }
        }
        log.flush(&mut store).unwrap();
        for number in 0..1500_u32 {
            let octets = number.to_be_bytes();
            log.add(
                &mut model,
                &name("wide.example"),
                &record(RrType(1), &octets),
                21 * day,
                Some(1),
            );
        }
        log.flush(&mut store).unwrap();
        agrees(&mut store, &model);
        // Spread, so that no set gives up its compact form.
        let sets: Vec<String> =
            redis::cmd("KEYS").arg("pd:{4:c633}*").query(&mut server.connection()).unwrap();
        assert!(sets.len() > 2, "{sets:?}");
        for set in sets {
            let encoding: String = redis::cmd("OBJECT")
                .arg("ENCODING")
                .arg(&set)
                .query(&mut server.connection())
                .unwrap();
            assert_eq!(encoding, "intset", "{set}");
        }
        for last in [7, 8] {
            let address = IpAddr::from([198, 51, 100, last]);
            let of = collect(|each| {
                store.reader().records_by_address_range(address, address, usize::MAX, each)
            });
            let wanted = Target::V4([198, 51, 100, last].into());
            assert_eq!(of, subset(&model, |_, fact| target(fact) == Some(wanted.clone())));
        }
        let of = collect(|each| {
            let (from, to) = ([198, 51, 0, 0].into(), [198, 51, 255, 255].into());
            store.reader().records_by_address_range(from, to, usize::MAX, each)
        });
        assert_eq!(of.len(), 14_000);
        let hot = name("hot.example.net");
        let of =
            collect(|each| store.reader().records_targeting_name(hot.as_name(), usize::MAX, each));
        assert_eq!(of, subset(&model, |_, fact| target(fact) == Some(Target::Name(hot.clone()))));
        let first: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let of = collect(|each| {
            store.reader().records_by_address_range(first.into(), first.into(), usize::MAX, each)
        });
        assert_eq!(of.len(), 500);
        let [from, to] = ["2001:d00::", "2001:dff::"].map(|at| at.parse::<Ipv6Addr>().unwrap());
        let of = collect(|each| {
            store.reader().records_by_address_range(from.into(), to.into(), usize::MAX, each)
        });
        assert_eq!(of.len(), 1500);
        // An answer can be cut short.
        let mut rows = 0;
        store
            .reader()
            .records_by_address_range(
                [198, 51, 100, 7].into(),
                [198, 51, 100, 7].into(),
                usize::MAX,
                &mut |_| {
                    rows += 1;
                    if rows == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            )
            .unwrap();
        assert_eq!(rows, 10);
    });
}

#[test]
fn an_emptied_store_is_noticed_and_filled_again() {
    on_both(|server| {
        let mut store = Store::open(&options(server)).unwrap();
        let mut log = Log::new(&mut store, 1);
        let mut lost = Model::new();
        for number in 0..100_u8 {
            log.add(
                &mut lost,
                &name(&format!("{number}.example")),
                &a([10, 0, 0, number]),
                5,
                None,
            );
        }
        log.flush(&mut store).unwrap();
        let schema: BTreeMap<String, Vec<u8>> =
            redis::cmd("HGETALL").arg("pd:schema").query(&mut server.connection()).unwrap();
        server.flush();
        // As a program of an earlier version makes it: partitions are marked when they are first written to.
        for (field, value) in
            schema.into_iter().filter(|(field, _)| field.len() <= 3 && field != "m")
        {
            let () = redis::cmd("HSET")
                .arg("pd:schema")
                .arg(field)
                .arg(value)
                .query(&mut server.connection())
                .unwrap();
        }
        log.add(&mut lost, &name("1.example"), &a([10, 0, 0, 1]), 6, None);
        assert!(matches!(log.flush(&mut store), Err(StoreError::Conflict)));
        // Another log by the same writer: rows it knew are not there any more.
        let mut model = Model::new();
        let mut log = Log::new(&mut store, 2);
        for number in 0..100_u8 {
            log.add(
                &mut model,
                &name(&format!("{number}.example")),
                &a([10, 0, 0, number]),
                7,
                None,
            );
        }
        log.flush(&mut store).unwrap();
        agrees(&mut store, &model);
    });
}

#[test]
fn a_user_who_may_not_ask_for_the_server_s_state_can_write() {
    let server = Redis::start();
    server.call(&["ACL", "SETUSER", "writer", "on", ">word", "~pd:*", "+@all", "-info"]);
    let (user, password) = (Some("writer".to_owned()), Some("word".to_owned()));
    let mut store = Store::open(&Options { user, password, ..options(&server) }).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut store, 1);
    for number in 0..5_u8 {
        let owner = name(&format!("{number}.example"));
        log.add(&mut model, &owner, &a([10, 0, 0, number]), 5, None);
        log.flush(&mut store).unwrap();
    }
    agrees(&mut store, &model);
}

#[test]
fn a_schema_from_the_future_is_refused() {
    let server = Redis::start();
    drop(Store::open(&options(&server)).unwrap());
    let () = redis::cmd("HSET")
        .arg("pd:schema")
        .arg("v")
        .arg(6)
        .query(&mut server.connection())
        .unwrap();
    let error = Store::open(&options(&server)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the store has schema version 6, this program knows 5: install a newer pdns"
    );
}

#[test]
fn what_a_lost_index_entry_is_found_and_mended() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut store, 1);
    log.add(&mut model, &name("www.example"), &a([192, 0, 2, 1]), 5, None);
    log.flush(&mut store).unwrap();
    let _: i64 = redis::cmd("DEL").arg("pd:{4:c000}").query(&mut server.connection()).unwrap();
    let verdict = store.verify(false, &mut |_, _| {}).unwrap();
    assert_eq!(verdict.problem_count, 1, "{:?}", verdict.problems);
    store.verify(true, &mut |_, _| {}).unwrap();
    agrees(&mut store, &model);
    // Other damage is found, too.
    for damage in [
        ["HINCRBY", "pd:{PP}m", "n", "1"],
        ["HSET", "pd:{PP}d", "7", "1"],
        ["SETRANGE", "pd:{PP}s0", "0", "\0\0\0\0"],
        ["SETRANGE", "pd:{PP}l0", "0", "xxx"],
        ["HSET", "pd:{PP}c", "x", "y"],
    ] {
        let partition = store.router().partition(name("www.example").as_name());
        let mut command = redis::Cmd::new();
        for word in damage {
            command.arg(word.replace("PP", &format!("{partition:02x}")));
        }
        let _: redis::Value = command.query(&mut server.connection()).unwrap();
        let verdict = store.verify(false, &mut |_, _| {}).unwrap();
        assert!(verdict.problem_count > 0, "{damage:?}");
    }
}
