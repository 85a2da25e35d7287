//! Stores to be asked, and all that is in them.

use crate::corpus::zeek_logs;
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{Log, Model, contents, options};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::Outcome;
use pdns_agent::rdata::{Rdata, Target};
use pdns_agent::record::{FactBuf, StoredRecord};
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// 2023-11-14, the first day of what is made up.
pub(super) const START: u32 = 1_699_920_000;
pub(super) const DAY: u32 = 86_400;

/// A store and all that is in it.
pub(super) struct World {
    pub(super) store: RefCell<Store>,
    pub(super) rows: Vec<StoredRecord>,
    pub(super) names: Vec<NameBuf>,
    server: Redis,
}

impl World {
    pub(super) fn new(mut store: Store, server: Redis) -> Self {
        let rows: Vec<StoredRecord> = contents(&mut store)
            .into_iter()
            .map(|((rrname, fact), sum)| StoredRecord {
                rrname,
                fact,
                seen: sum.seen,
                sensors: sum.sensors,
                unkept: None,
            })
            .collect();
        let mut names: Vec<NameBuf> = rows.iter().map(|row| row.rrname.clone()).collect();
        names.dedup();
        Self { store: RefCell::new(store), rows, names, server }
    }

    /// A store of made-up rows: few labels, addresses and times, so that all of them meet often.
    pub(super) fn made_up() -> Self {
        let server = Redis::start();
        let mut store = Store::open(&options(&server)).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut log = Log::new(&mut store, 1);
        let mut model = Model::new();
        for number in 0..2_400_u32 {
            let rrname = made_up_name(&mut random);
            let fact = made_up_fact(&mut random);
            let at = START + random.u32(0..12) * DAY + random.u32(0..40) * 1_000;
            let ttl = random.bool().then(|| [0, 60, 300, 3_600][random.usize(0..4)]);
            for again in 0..random.u32(1..4) {
                log.add(&mut model, &rrname, &fact, at + again * 5_000 * random.u32(0..20), ttl);
            }
            if number % 500 == 0 {
                log.flush(&mut store).unwrap();
            }
        }
        // More records than a name's value takes.
        let wide = NameBuf::parse("wide.b.example").unwrap();
        for number in 0..700_u16 {
            let [high, low] = number.to_be_bytes();
            let fact = record(RrType::A, &[10, 9, high, low]);
            log.add(&mut model, &wide, &fact, START + u32::from(number % 50), Some(60));
        }
        for (number, rrname) in look_alikes(&store).iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            for low in 0..=number {
                let fact = record(RrType::A, &[10, 8, number, low]);
                log.add(&mut model, rrname, &fact, START + u32::from(low) * DAY, Some(60));
            }
        }
        log.flush(&mut store).unwrap();
        let world = Self::new(store, server);
        assert_eq!(world.rows.len(), model.len());
        world
    }

    /// As [`World::made_up`], but half of the rows tell nothing of their type, as those that an earlier version wrote.
    pub(super) fn half_told() -> Self {
        let Self { store, server, .. } = Self::made_up();
        let mut redis = server.connection();
        let mut random = fastrand::Rng::with_seed(5);
        let keys: Vec<String> = redis::cmd("KEYS").arg("*}*s*").query(&mut redis).unwrap();
        let (mut untold, mut told) = (0, 0);
        for key in keys {
            let block: Vec<u8> = redis::cmd("GET").arg(&key).query(&mut redis).unwrap();
            for (number, row) in block.chunks_exact(32).enumerate() {
                if row[..4] == [0; 4] {
                    continue;
                }
                assert_ne!(row[28] >> 3, 0, "row {number} of {key} tells no type");
                if random.bool() {
                    let (at, flags) = (number * 32 + 28, [row[28] & 7]);
                    redis::cmd("SETRANGE").arg(&key).arg(at).arg(&flags).exec(&mut redis).unwrap();
                    untold += 1;
                } else {
                    told += 1;
                }
            }
        }
        assert!(untold > 500 && told > 500, "{untold} and {told}");
        Self::new(store.into_inner(), server)
    }

    /// The real logs, as the agent reads them.
    pub(super) fn real() -> Self {
        let logs = zeek_logs().folder;
        let (home, server) = (Home::new(), Redis::start());
        let url = server.url();
        // Some of the logs are broken on purpose, which the exit code tells.
        run(home.agent().args(["zeek", "--once", "--redis", &url]), &[logs]).with(&[0, 1, 2]);
        Self::new(Store::open(&options(&server)).unwrap(), server)
    }
}

/// Pairs of names of one partition that share the bits of their hash that a row tells of its owner.
fn look_alikes(store: &Store) -> Vec<NameBuf> {
    let mut met: HashMap<u64, NameBuf> = HashMap::new();
    let mut pairs = Vec::new();
    for number in 0.. {
        let name = NameBuf::parse(&format!("n{number}.alike.example")).unwrap();
        let bits = store.router().place(name.as_name()).hash & 0xff_ffff;
        match met.get(&bits) {
            Some(other) => pairs.extend([other.clone(), name]),
            None => drop(met.insert(bits, name)),
        }
        if pairs.len() == 6 {
            break;
        }
    }
    pairs
}

pub(super) fn made_up_name(random: &mut fastrand::Rng) -> NameBuf {
    const LABELS: &[&str] =
        &["a", "b", "www", "mail", "x-1", "_srv", "a\\.b", "\\000\\010", "\\\\", "\\0321", "*"];
    const TOPS: &[&str] =
        &["example", "b.example", "b.example.co.uk", "com", "2.0.192.in-addr.arpa", "."];
    let top = TOPS[random.usize(0..TOPS.len())];
    let labels = random.usize(0..4);
    let mut text = String::new();
    for _ in 0..labels {
        text += LABELS[random.usize(0..LABELS.len())];
        text += ".";
    }
    text += if top == "." && labels > 0 { "" } else { top };
    NameBuf::parse(&text).unwrap()
}

pub(super) fn made_up_fact(random: &mut fastrand::Rng) -> FactBuf {
    let target = |random: &mut fastrand::Rng, before: &[u8]| {
        let mut octets = before.to_vec();
        made_up_name(random).as_name().write_wire(&mut octets);
        octets
    };
    match random.u8(0..12) {
        0..=2 => record(RrType::A, &[10, random.u8(0..3) * 16, random.u8(0..2), random.u8(0..9)]),
        3 => record(
            RrType::A,
            &[[9, 255, 255, 255], [10, 32, 2, 0], [10, 63, 0, 1]][random.usize(0..3)],
        ),
        4 | 5 => {
            let mut segments = [0x2001, 0xdb8, random.u16(0..3), 0, 0, 0, 0, random.u16(0..6)];
            segments[1] += random.u16(0..2);
            record(RrType::AAAA, &Ipv6Addr::from(segments).octets())
        }
        6 => record(RrType::CNAME, &target(random, &[])),
        7 => record(RrType::NS, &target(random, &[])),
        8 => record(RrType::MX, &target(random, &[0, 10])),
        9 => record(RrType::TXT, [[1, 0x1b].as_slice(), &[7; 400]][random.usize(0..2)]),
        10 => record(RrType(65_280), &[random.u8(0..3)]),
        _ => FactBuf::Negative {
            qtype: [RrType::A, RrType::AAAA, RrType::MX][random.usize(0..3)],
            outcome: [Outcome::NODATA, Outcome::NXDOMAIN, Outcome::UNANSWERED][random.usize(0..3)],
        },
    }
}

pub(super) fn record(rrtype: RrType, octets: &[u8]) -> FactBuf {
    FactBuf::Record(Rdata { rrtype, octets, partial: false }.to_buf())
}

pub(super) fn is_record(row: &StoredRecord) -> bool {
    matches!(row.fact, FactBuf::Record(_))
}

pub(super) fn target(row: &StoredRecord) -> Target {
    match &row.fact {
        FactBuf::Record(rdata) => rdata.as_rdata().target(),
        FactBuf::Negative { .. } => Target::Octets,
    }
}
