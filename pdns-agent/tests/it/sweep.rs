//! Every key of a small store damaged in every way, one at a time: readers are right or name the key, agents are right or
//! refuse, and a repair leaves a store that is whole and says what it lacks.

use crate::redis::Redis;
use crate::store::{Log, Model, Sum, a, cname, contents, name, options, record};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::Outcome;
use pdns_agent::record::FactBuf;
use pdns_agent::rr::RrType;
use pdns_agent::store::{SourceState, Store, StoreError};
use pdns_agent::tag::{Tag, TagChange, TagKind, TagSubject};
use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::ops::ControlFlow;

/// 2023-11-14.
const DAY: u32 = 1_699_920_000;

/// What a reader finds.
#[derive(Clone, Debug, PartialEq)]
struct View {
    records: Model,
    sensors: Vec<String>,
    /// Names, records, the same of negative answers, and logs.
    counts: [u64; 5],
    tags: Vec<Tag>,
    history: Vec<u64>,
}

impl View {
    /// All that the commands show, each by itself: what it is, or the key that it names.
    fn read(server: &Redis) -> [Result<Self, StoreError>; 4] {
        let none = || Self {
            records: Model::new(),
            sensors: Vec::new(),
            counts: [0; 5],
            tags: Vec::new(),
            history: Vec::new(),
        };
        let open = || Store::open(&options(server));
        let find = || {
            let mut store = open()?;
            let (sensors, tags) = (store.reader().sensors()?, store.reader().tags()?.tags);
            let mut records = Model::new();
            for kind in [pdns_agent::store::Kind::Record, pdns_agent::store::Kind::Negative] {
                store.reader().scan_records(kind, &mut |row| {
                    let twice =
                        records.insert((row.rrname.clone(), row.fact.clone()), Sum::of(&row));
                    assert!(twice.is_none(), "a record came twice");
                    ControlFlow::Continue(())
                })?;
            }
            Ok(Self { records, sensors, tags, ..none() })
        };
        let status = || {
            let summary = open()?.reader().summary()?;
            let counts = [
                summary.names,
                summary.records,
                summary.negative_names,
                summary.negatives,
                summary.sources.len() as u64,
            ];
            Ok(Self { counts, sensors: summary.sensors, ..none() })
        };
        let tags = || Ok(Self { tags: open()?.reader().tags()?.tags, ..none() });
        let history = || {
            let mut history = Vec::new();
            open()?.reader().tag_history(&mut |event| {
                history.push(event.number);
                ControlFlow::Continue(())
            })?;
            Ok(Self { history, ..none() })
        };
        [find(), status(), tags(), history()]
    }
}

/// A store as Redis keeps it, to be put back.
struct Copy(Vec<(String, Vec<u8>)>);

impl Copy {
    fn of(server: &Redis) -> Self {
        let mut connection = server.connection();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
        let dump = |key: String| {
            let dump = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
            (key, dump)
        };
        Self(keys.into_iter().map(dump).collect())
    }

    fn restore(&self, server: &Redis) {
        let mut pipe = redis::pipe();
        pipe.cmd("FLUSHALL");
        for (key, dump) in &self.0 {
            pipe.cmd("RESTORE").arg(key).arg(0).arg(dump);
        }
        let _: redis::Value = pipe.query(&mut server.connection()).unwrap();
    }
}

fn host(number: u32) -> NameBuf {
    name(&format!("host{number}.example.com"))
}

/// A store of four partitions, of which one holds a key of every kind, and another one nothing.
fn filled(server: &Redis) -> (Store, Model) {
    server.call(&["HSET", "pd:schema", "v", "5", "P", "4", "sip", "fedcba9876543210"]);
    let mut store = Store::open(&options(server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    for number in 0..70_u32 {
        let low = u8::try_from(number).unwrap();
        let owner = host(number);
        log.add(&mut model, &owner, &a([10, 0, 0, low]), DAY + number * 3000, Some(60));
        log.add(&mut model, &owner, &cname("target.example.com"), DAY, Some(60));
    }
    let negative = FactBuf::Negative { qtype: RrType::MX, outcome: Outcome::NXDOMAIN };
    log.add(&mut model, &host(7), &negative, DAY, None);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    log.add(&mut model, &host(7), &record(RrType::AAAA, &v6.octets()), DAY, Some(60));
    log.add(&mut model, &host(7), &record(RrType::TXT, &b"\xff".repeat(256)), DAY, None);
    for number in 0..400_u32 {
        let fact = record(RrType(1), &number.to_be_bytes());
        log.add(&mut model, &name("wide.example.com"), &fact, DAY, None);
    }
    log.flush(&mut store).unwrap();
    let state =
        SourceState { path: "/x/dns.log".to_owned(), acknowledged: 7, ..SourceState::default() };
    store.writer().acknowledge(&[1; 16], &state).unwrap();
    store.writer().announce_batch(&[3; 16], &[1; 24]).unwrap();
    let mut tag = |last: u8, kind| {
        let subject = TagSubject::Net(format!("192.0.2.{last}/32").parse().unwrap());
        let mut tag = Tag::new(kind, subject);
        tag.time = DAY;
        store.tags().change(&[TagChange::Set(tag)]).unwrap();
    };
    tag(1, TagKind::Threat);
    tag(2, TagKind::Interest);
    tag(1, TagKind::Trust);
    (store, model)
}

/// One way to damage a key: what it is, and the commands.
type Damage = (String, Vec<Vec<Vec<u8>>>);

/// The ways to damage a key.
fn damages(server: &Redis, key: &str) -> Vec<Damage> {
    let mut connection = server.connection();
    let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>();
    let (of, del) = (key.as_bytes(), words(&[b"DEL", key.as_bytes()]));
    let is: String = redis::cmd("TYPE").arg(key).query(&mut connection).unwrap();
    let other =
        if is == "string" { words(&[b"HSET", of, b"x", b"y"]) } else { words(&[b"SET", of, b"x"]) };
    let mut ways = vec![
        ("deleted".to_owned(), vec![del.clone()]),
        ("of another type".to_owned(), vec![del.clone(), other]),
    ];
    match is.as_str() {
        "string" => {
            let text: Vec<u8> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
            let half = words(&[b"SET", of, &text[..text.len() / 2]]);
            ways.push(("cut short".to_owned(), vec![half]));
            ways.push(("garbled".to_owned(), vec![words(&[b"SET", of, b"x"])]));
        }
        "hash" => {
            let mut fields: Vec<Vec<u8>> =
                redis::cmd("HKEYS").arg(key).query(&mut connection).unwrap();
            fields.sort_unstable();
            fields.truncate(11);
            for field in fields {
                let shown = String::from_utf8_lossy(&field).into_owned();
                ways.push((format!("without {shown:?}"), vec![words(&[b"HDEL", of, &field])]));
                let garbled = vec![words(&[b"HSET", of, &field, b"x"])];
                ways.push((format!("with {shown:?} garbled"), garbled));
            }
            ways.push((
                "with a field too many".to_owned(),
                vec![words(&[b"HSET", of, b"0123456789abcdefX", b"x"])],
            ));
        }
        "set" => {
            let member: Vec<u8> =
                redis::cmd("SRANDMEMBER").arg(key).query(&mut connection).unwrap();
            ways.push(("without a member".to_owned(), vec![words(&[b"SREM", of, &member])]));
            ways.push(("with a member too many".to_owned(), vec![words(&[b"SADD", of, b"x"])]));
        }
        "list" => {
            for command in [&b"RPOP"[..], b"LPOP"] {
                ways.push((format!("after {command:?}"), vec![words(&[command, of])]));
            }
            ways.push(("garbled".to_owned(), vec![words(&[b"LSET", of, b"0", b"x"])]));
        }
        _ => panic!("a {is}"),
    }
    ways
}

fn apply(server: &Redis, damage: &Damage) {
    for words in &damage.1 {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        let _: redis::Value = command.query(&mut server.connection()).unwrap();
    }
}

/// One more sighting of a known record, one record more of a known name, and one more name, as an agent writes them.
fn write(server: &Redis, model: &mut Model) -> Result<(), StoreError> {
    let mut store = Store::open(&options(server))?;
    let id = [9; 16];
    store.writer().sensor("test")?;
    store.writer().load(&id)?;
    let mut log = Log::new(&mut store, 9);
    for (owner, fact) in [
        (host(7), a([10, 0, 0, 7])),
        (name("wide.example.com"), record(RrType(1), &7_u32.to_be_bytes())),
        (host(8), a([10, 9, 9, 9])),
        (host(7), record(RrType::TXT, &b"\xff".repeat(256))),
        (host(70), a([10, 9, 9, 9])),
        (host(7), FactBuf::Negative { qtype: RrType::MX, outcome: Outcome::NXDOMAIN }),
    ] {
        log.add(model, &owner, &fact, DAY + 300_000, Some(60));
    }
    log.flush(&mut store)
}

/// What no other key tells of, so that it is only found by `verify`, if at all.
fn is_silent(key: &str, how: &str, partition: &str) -> bool {
    let bucket =
        key.strip_prefix(partition).is_some_and(|end| end.trim_start_matches('n').starts_with('b'));
    // A name that is not in its bucket is one that is new to an agent.
    bucket && (how == "deleted" || how.starts_with("without"))
}

/// What a key stands for: those of the same sort are damaged in the same way.
fn sort_of(key: &str, partition: &str) -> String {
    let Some((tag, end)) = key.split_once('}') else { return key.to_owned() };
    match tag.as_bytes().get(4..6) {
        Some(b"ta") => key.to_owned(),
        Some([family, b':']) => format!("addresses {family}"),
        _ => {
            let letters = if end.starts_with('n') { 2 } else { 1 };
            format!("{} {}", key.starts_with(partition), &end[..letters])
        }
    }
}

#[test]
fn every_key_that_is_damaged_is_noticed_and_repaired() {
    let server = Redis::start();
    let (store, model) = filled(&server);
    let partition = format!("pd:{{{:02x}}}", store.router().partition(host(7).as_name()));
    drop(store);
    let copy = Copy::of(&server);
    let whole = View::read(&server).map(Result::unwrap);
    // One bucket of each kind, one posting set of each kind, and the partition that holds nothing, stand for the others.
    let mut kinds = HashSet::new();
    let mut keys: Vec<&String> = copy.0.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.retain(|key| kinds.insert(sort_of(key, &partition)));
    assert!(keys.len() > 20, "{keys:?}");
    let (mut count, mut named) = (0, 0);
    for key in keys {
        copy.restore(&server);
        for damage in damages(&server, key) {
            let at = format!("{key} {}", damage.0);
            count += 1;
            copy.restore(&server);
            apply(&server, &damage);
            // Readers.
            for (view, whole) in View::read(&server).into_iter().zip(&whole) {
                match view {
                    Ok(mut view) => {
                        if key == "pd:src" {
                            view.counts[4] = whole.counts[4];
                        }
                        assert_eq!(&view, whole, "{at}");
                    }
                    Err(StoreError::Damaged { key }) => {
                        named += 1;
                        assert!(key.starts_with("pd:"), "{at}: {key}");
                    }
                    Err(error) => assert!(key == "pd:schema", "{at}: {error:?}"),
                }
            }
            // An agent.
            let mut expected = model.clone();
            match write(&server, &mut expected) {
                Ok(()) if is_silent(key, &damage.0, &partition) => {}
                Ok(()) => {
                    let found = View::read(&server).into_iter().next().unwrap();
                    if let Ok(found) = found {
                        let differs = expected
                            .iter()
                            .find(|(record, seen)| found.records.get(*record) != Some(*seen));
                        assert_eq!(differs, None, "{at}");
                    }
                }
                Err(error) => assert!(
                    matches!(
                        error,
                        StoreError::Damaged { .. }
                            | StoreError::Conflict
                            | StoreError::Schema { .. }
                    ),
                    "{at}: {error:?}"
                ),
            }
            // A repair, of what the agent left and of what it never saw.
            for is_fresh in [false, true] {
                if is_fresh {
                    copy.restore(&server);
                    apply(&server, &damage);
                }
                match Store::rebuild_schema(&options(&server)) {
                    // Nothing says any more that this was a store of this version.
                    Err(StoreError::Schema { .. }) if key == "pd:schema" => continue,
                    rebuilt => rebuilt.unwrap(),
                };
                let mut store = Store::open(&options(&server)).unwrap();
                let verdict = store.verify(true, &mut |_, _| {}).unwrap();
                assert_eq!(verdict.remaining(), 0, "{at}: {:?}", verdict.problems);
                let again = store.verify(false, &mut |_, _| {}).unwrap();
                assert!(again.is_sound(), "{at}: {:?}", again.problems);
                if is_fresh {
                    let left = contents(&mut store);
                    let differs =
                        left.iter().find(|(record, seen)| model.get(*record) != Some(*seen));
                    assert_eq!(differs, None, "{at}");
                    assert!(
                        left.len() == model.len() || !verdict.lost.is_empty(),
                        "{at}: {verdict:?}"
                    );
                    let [find, status, tags, _history] = View::read(&server).map(Result::unwrap);
                    if verdict.lost.is_empty() {
                        assert_eq!((&find, &tags), (&whole[0], &whole[2]), "{at}");
                        assert_eq!(status.counts[..4], whole[1].counts[..4], "{at}");
                    }
                    write(&server, &mut Model::new())
                        .unwrap_or_else(|error| panic!("{at}: {error}"));
                    assert!(store.verify(false, &mut |_, _| {}).unwrap().is_sound(), "{at}");
                }
            }
        }
    }
    assert!(count > 150 && named > 200, "{count} ways, named {named} times");
}
