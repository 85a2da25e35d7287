//! A store that lost keys: readers name them, agents refuse to write over the hole, a repair makes the store sound again.

use crate::agent::{clean_import, zeek};
use crate::logs::{Lines, seed};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::store::{Log, Model, a, agrees, cname, contents, name, options, record};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Outcome, Seen};
use pdns_agent::record::FactBuf;
use pdns_agent::rr::RrType;
use pdns_agent::store::{Store, StoreError};
use std::net::Ipv6Addr;

/// 2023-11-14.
pub(crate) const DAY: u32 = 1_699_920_000;

/// A store with a key of every kind in the one partition that all its names lie in.
pub(crate) struct Site {
    pub(crate) home: Home,
    pub(crate) server: Redis,
    pub(crate) store: Store,
    pub(crate) model: Model,
    log: Log,
}

impl Site {
    pub(crate) fn new() -> Self {
        let server = Redis::start();
        let mut store = Store::open(&options(&server)).unwrap();
        let mut log = Log::new(&mut store, 1);
        let mut model = Model::new();
        for number in 0..600_u32 {
            let owner = host(number);
            let [_, _, high, low] = number.to_be_bytes();
            let at = DAY + number * 1000;
            log.add(&mut model, &owner, &a([10, 0, high, low]), at, Some(60));
            log.add(&mut model, &owner, &cname("target.example.com"), at, Some(60));
            let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::try_from(number).unwrap());
            log.add(&mut model, &owner, &record(RrType::AAAA, &v6.octets()), at, Some(60));
            let negative = FactBuf::Negative { qtype: RrType::MX, outcome: Outcome::NXDOMAIN };
            log.add(&mut model, &owner, &negative, at, None);
        }
        log.add(
            &mut model,
            &host(7),
            &record(RrType::TXT, &[b"\xff".repeat(256)].concat()),
            DAY,
            None,
        );
        for number in 0..1500_u32 {
            log.add(
                &mut model,
                &name("wide.example.com"),
                &record(RrType(1), &number.to_be_bytes()),
                DAY,
                None,
            );
        }
        log.flush(&mut store).unwrap();
        let site = Self { home: Home::new(), server, store, model, log };
        site.server.call(&["HSET", "pd:src", &"s".repeat(16), "{}"]);
        site
    }

    /// The key with this end in the partition.
    pub(crate) fn key(&self, suffix: &str) -> String {
        let partition = self.store.router().partition(host(0).as_name());
        format!("pd:{{{partition:02x}}}{suffix}")
    }

    /// The bucket that a name lies in.
    fn bucket(&self, kind: &str, owner: &NameBuf) -> String {
        let hash = self.store.router().place(owner.as_name()).hash;
        let bucket = (0..4096).find(|number| {
            let key = self.key(&format!("{kind}b{number}"));
            let mut there = redis::cmd("HEXISTS");
            there.arg(&key).arg(&hash.to_be_bytes());
            there.query::<bool>(&mut self.server.connection()).unwrap()
        });
        format!("{kind}b{}", bucket.expect("the name has a bucket"))
    }

    /// The blocks of rows.
    fn row_blocks(&self) -> Vec<(String, Vec<u8>)> {
        let keys = ["s0", "s1"].map(|block| self.key(block));
        keys.map(|key| {
            let rows = redis::cmd("GET").arg(&key).query(&mut self.server.connection());
            (key, rows.unwrap())
        })
        .to_vec()
    }

    /// Where the row of a name's A record lies: end of the block's key, and offset.
    fn row(&self, owner: &NameBuf) -> (String, usize) {
        let bits = self.store.router().place(owner.as_name()).hash & 0xff_ffff;
        let places = self.row_blocks().into_iter().flat_map(|(key, rows)| {
            let found = rows.chunks(32).enumerate().filter(|(_, row)| {
                let type_told = row[28] >> 3;
                let of = u32::from_be_bytes([0, row[29], row[30], row[31]]);
                u64::from(of) == bits && type_told == 1
            });
            found.map(|(at, _)| (key[key.len() - 2..].to_owned(), at * 32)).collect::<Vec<_>>()
        });
        places.into_iter().next().expect("the record has a row")
    }

    pub(crate) fn pdns(&self, arguments: &[&str]) -> Ended {
        run(self.home.pdns().args(["--redis", &self.server.url()]), arguments)
    }

    /// What was asked fails and says why: because of this key.
    #[track_caller]
    pub(crate) fn names(&self, arguments: &[&str], key: &str) {
        let ended = self.pdns(arguments);
        let told = format!("{key} in the store is damaged or missing: run `pdns admin verify`");
        assert_eq!(
            (ended.code, ended.stderr.contains(&told)),
            (Some(2), true),
            "{key}: {arguments:?}: {ended:?}"
        );
    }

    /// One more record, by a writer that knows no rows, of a name that is there already.
    pub(crate) fn write(&mut self, number: u32, address: [u8; 4]) -> Result<(), StoreError> {
        let mut store = Store::open(&options(&self.server))?;
        let mut lost = Model::new();
        let mut log = Log::new(&mut store, 9);
        log.add(&mut lost, &host(number), &a(address), DAY + 5_000_000, Some(60));
        log.flush(&mut store)
    }

    /// The names and addresses of a store that was repaired can be written to, and all is sound.
    #[track_caller]
    pub(crate) fn is_sound(&mut self) {
        self.pdns(&["admin", "verify"]).with(&[0]);
        self.store = Store::open(&options(&self.server)).unwrap();
    }
}

pub(crate) fn host(number: u32) -> NameBuf {
    name(&format!("host{number}.example.com"))
}

/// What may happen to a key.
const DAMAGE: [&str; 3] = ["deleted", "of another type", "garbled"];

/// Deletes a key, or puts something else in its place.
fn damage(server: &Redis, key: &str, how: &str) {
    server.call(&["COPY", key, "kept", "REPLACE"]);
    let is: String = redis::cmd("TYPE").arg(key).query(&mut server.connection()).unwrap();
    server.call(&["DEL", key]);
    match (how, is.as_str()) {
        ("deleted", _) => {}
        ("of another type", "string") | ("garbled", "hash") => {
            server.call(&["HSET", key, "x", "y"]);
        }
        ("of another type", _) | ("garbled", "string") => {
            server.call(&["SET", key, "x"]);
        }
        ("garbled", "set") => {
            server.call(&["SADD", key, "x"]);
        }
        _ => panic!("no such damage of a {is}"),
    }
}

fn undo(server: &Redis, key: &str) {
    server.call(&["COPY", "kept", key, "REPLACE"]);
}

#[test]
fn who_meets_a_hole_names_the_key_and_who_would_write_over_it_is_refused() {
    let mut site = Site::new();
    site.names_nothing();
    let find = &["find", "--limit", "0"][..];
    let contains = &["find", "--contains", "host", "--limit", "0"][..];
    let of_name = &["host7.example.com"][..];
    let of_address = &["10.0.0.7"][..];
    let (top, new, status) =
        (&["top", "--by", "names"][..], &["new", "--since", "2023-01-01"][..], &["status"][..]);
    let unanswered = &["unanswered", "--outcome", "any"][..];
    let bucket = site.bucket("", &host(7));
    let negatives = site.bucket("n", &host(7));
    let wide =
        format!("w{:016x}", site.store.router().place(name("wide.example.com").as_name()).hash);
    let rows = site.row(&host(7)).0;
    let questions: Vec<(&str, Vec<&[&str]>)> = vec![
        ("m", vec![of_name, of_address, find, contains, top, new, status]),
        ("nm", vec![unanswered, status, &["host7.example.com", "--negative"]]),
        (&bucket, vec![of_name, of_address, find]),
        (&negatives, vec![&["host7.example.com", "--negative"]]),
        (&wide, vec![&["wide.example.com"], find]),
        (&rows, vec![of_name, find, top, &["top"]]),
        ("ns0", vec![unanswered]),
        ("l0", vec![of_address, find, contains, top]),
        ("nl0", vec![unanswered]),
        ("d", vec![new]),
        ("t", vec![of_name, find]),
    ];
    for (suffix, questions) in questions {
        let key = site.key(suffix);
        for how in DAMAGE {
            damage(&site.server, &key, how);
            for question in &questions {
                site.names(question, &key);
            }
            let verdict = site.pdns(&["admin", "verify"]);
            assert_eq!(verdict.code, Some(1), "{key} {how}: {verdict:?}");
            undo(&site.server, &key);
        }
        // Agents: no bucket is known to be missing before all names are looked at, and long RDATA is written again.
        damage(&site.server, &key, "deleted");
        if ["m", &rows, "l0", "d"].contains(&suffix) {
            // A new name, or one whose row it is.
            let (number, address) =
                if suffix == rows { (7, [10, 0, 0, 7]) } else { (1000, [10, 9, 9, 9]) };
            let refused = site.write(number, address);
            assert!(
                matches!(&refused, Err(StoreError::Damaged { key: named }) if *named == key),
                "{key}: {refused:?}"
            );
        }
        undo(&site.server, &key);
    }
    for (key, question) in [
        ("pd:{4:0a00}", of_address),
        ("pd:6:0d", &["2001:db8::/32"]),
        ("pd:src", status),
        ("pd:sensors", of_name),
    ] {
        damage(&site.server, key, "of another type");
        site.names(question, key);
        site.pdns(&["admin", "verify"]).with(&[1]);
        undo(&site.server, key);
    }
    // Nothing was written over any of them.
    site.server.call(&["DEL", "kept"]);
    agrees(&mut site.store, &site.model);
    // Without its schema a store does not become another one.
    damage(&site.server, "pd:schema", "deleted");
    site.names(status, "pd:schema");
    assert!(
        matches!(site.write(7, [10, 0, 0, 7]), Err(StoreError::Damaged { key }) if key == "pd:schema")
    );
    assert_eq!(format!("{:?}", site.server.call(&["EXISTS", "pd:schema"])), "int(0)");
}

impl Site {
    /// All questions are answered while nothing is damaged.
    #[track_caller]
    fn names_nothing(&self) {
        for question in [
            &["find", "--limit", "0"][..],
            &["10.0.0.7"],
            &["top", "--by", "names"],
            &["admin", "verify"],
        ] {
            self.pdns(question).with(&[0]);
        }
    }
}

#[test]
fn what_follows_from_other_keys_is_rebuilt_exactly() {
    let mut site = Site::new();
    let sets = |site: &Site, pattern: &str| -> Vec<String> {
        redis::cmd("KEYS").arg(site.key(pattern)).query(&mut site.server.connection()).unwrap()
    };
    let name_sets = sets(&site, "x*");
    assert!(!name_sets.is_empty());
    let lost: Vec<String> = ["m", "nm", "d", "nd"]
        .map(|suffix| site.key(suffix))
        .into_iter()
        .chain(["pd:schema", "pd:{4:0a00}", "pd:{6:20010db8}0000", "pd:6:0d"].map(str::to_owned))
        .chain(name_sets.into_iter().take(1))
        .collect();
    let answers_all = |site: &Site| {
        for (range, records) in [("10.0.0.0/16", 600), ("2001:db8::/32", 600)] {
            let found = site.pdns(&[range, "--limit", "0", "--format", "cof"]).with(&[0]);
            assert_eq!(found.lines().count(), records, "{range}");
        }
    };
    answers_all(&site);
    for how in DAMAGE {
        for key in &lost {
            damage(&site.server, key, how);
            site.server.call(&["DEL", "kept"]);
            let ended = site.pdns(&["admin", "verify", "--repair"]);
            let gone = ended.stdout.lines().filter(|line| line.starts_with("lost: "));
            assert_eq!((gone.count(), ended.code), (0, Some(0)), "{key} {how}: {ended:?}");
            site.is_sound();
            agrees(&mut site.store, &site.model);
            answers_all(&site);
        }
    }
    // And all of them at once.
    for key in lost.iter().filter(|key| *key != "pd:schema") {
        site.server.call(&["DEL", key]);
    }
    site.pdns(&["admin", "verify", "--repair"]).with(&[0]);
    site.is_sound();
    agrees(&mut site.store, &site.model);
    // What is written afterwards is as if nothing had happened.
    let Site { mut log, mut store, mut model, .. } = site;
    log.add(&mut model, &host(7), &a([10, 0, 0, 7]), DAY - 200_000, Some(30));
    log.add(&mut model, &name("new.example.com"), &a([10, 0, 0, 7]), DAY, Some(30));
    let mut again = Log::new(&mut store, 2);
    drop(log);
    let mut later = Model::new();
    again.add(&mut later, &host(7), &a([10, 0, 0, 7]), DAY - 200_000, Some(30));
    again.add(&mut later, &name("new.example.com"), &a([10, 0, 0, 7]), DAY, Some(30));
    again.flush(&mut store).unwrap();
    agrees(&mut store, &model);
}

#[test]
fn a_schema_that_nothing_tells_of_is_not_replaced_by_another() {
    let site = Site::new();
    site.server.call(&["DEL", "pd:schema"]);
    for partition in 0..64 {
        site.server.call(&["DEL", &format!("pd:{{{partition:02x}}}m")]);
    }
    site.names(&["status"], "pd:schema");
    let ended = site.pdns(&["admin", "verify", "--repair"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("pd:schema is lost and cannot be rebuilt"), "{ended:?}");
    let exists: bool =
        redis::cmd("EXISTS").arg("pd:schema").query(&mut site.server.connection()).unwrap();
    assert!(!exists);
}

#[test]
fn a_schema_with_another_number_of_partitions_is_damaged_and_rebuilt() {
    for number in ["32", "128"] {
        let mut site = Site::new();
        site.server.call(&["HSET", "pd:schema", "P", number]);
        site.names(&["find", "--limit", "0"], "pd:schema");
        assert!(
            matches!(site.write(7, [10, 0, 0, 7]), Err(StoreError::Damaged { key }) if key == "pd:schema")
        );
        let ended = site.pdns(&["admin", "verify", "--repair"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let fields = format!("{:?}", site.server.call(&["HGET", "pd:schema", "P"]));
        assert!(fields.contains("64"), "{fields}");
        let stored = contents(&mut Store::open(&options(&site.server)).unwrap());
        assert_eq!(stored, site.model);
    }
}

#[test]
fn what_is_lost_is_removed_and_named_and_the_rest_stays() {
    for (suffix, words) in [
        ("s0", "what was known of "),
        ("ns0", "what was known of "),
        ("l0", "the name with the hash "),
        ("t", "what was known of host7.example.com"),
        ("w", "all records of wide.example.com are gone"),
        ("b", "sums of records of "),
    ] {
        let mut site = Site::new();
        let suffix = match suffix {
            "w" => format!(
                "w{:016x}",
                site.store.router().place(name("wide.example.com").as_name()).hash
            ),
            "b" => site.bucket("", &host(7)),
            other => other.to_owned(),
        };
        let key = site.key(&suffix);
        if suffix == "l0" {
            // Names that failed questions tell of are no longer lost.
            site.server.call(&["DEL", &site.key("nm")]);
        }
        damage(&site.server, &key, "deleted");
        site.server.call(&["DEL", "kept"]);
        let repaired = site.pdns(&["admin", "verify", "--repair"]);
        let told =
            repaired.stdout.lines().any(|line| line.starts_with("lost: ") && line.contains(words));
        if suffix == "l0" {
            // All but the wide one were known from the other log.
            assert!(told || repaired.code == Some(0), "{key}: {repaired:?}");
        } else {
            assert_eq!((repaired.code, told), (Some(1), true), "{key}: {repaired:?}");
        }
        site.is_sound();
        site.pdns(&["admin", "verify", "--repair"]).with(&[0]);
        // What is left is as it was.
        let left = contents(&mut site.store);
        assert!(left.len() < site.model.len() || suffix == "l0", "{key}");
        let differs = left.iter().find(|(record, seen)| site.model.get(*record) != Some(*seen));
        assert_eq!(differs, None, "{key}");
        agrees(&mut site.store, &left);
        // What is seen again begins anew, also by a writer that remembers rows.
        let mut model = left;
        let (owner, fact) = (host(7), a([10, 0, 0, 7]));
        let mut before = site.model.clone();
        site.log.add(&mut before, &owner, &fact, DAY + 9_000_000, Some(60));
        let written = site.log.flush(&mut site.store);
        if written.is_err() {
            assert!(matches!(written, Err(StoreError::Conflict)), "{key}: {written:?}");
            // It forgets them, as an agent does.
            site.log = Log::new(&mut site.store, 5);
            site.log.add(&mut before, &owner, &fact, DAY + 9_000_000, Some(60));
            site.log.flush(&mut site.store).unwrap();
        }
        let provenance = pdns_agent::observation::Provenance::Inferred;
        let once = Seen::once(DAY + 9_000_000, Some(60), provenance);
        model.entry((owner, fact)).or_default().observe(&once, 0);
        agrees(&mut site.store, &model);
    }
}

#[test]
fn entries_of_sensors_logs_and_tags_that_do_not_read_are_removed_and_named() {
    let mut site = Site::new();
    site.pdns(&["tag", "set", "threat", "192.0.2.7"]).with(&[0]);
    let checkpoints = site.key("c");
    for (key, field, value, words) in [
        ("pd:src", "0123456789abcdef", "no JSON", "the position of a log does not read"),
        ("pd:sensors", "nobody", "many", "the number of the sensor"),
        ("pd:{tags}t", "x", "y", "the tag"),
        (&checkpoints, "0123456789abcdef", "x", "the checkpoint of a log did not read"),
    ] {
        site.server.call(&["HSET", key, field, value]);
        site.pdns(&["admin", "verify"]).with(&[1]);
        let told = site.pdns(&["admin", "verify", "--repair"]).with(&[1]);
        assert!(told.contains(&format!("lost: {key}: {words}")), "{told}");
        site.is_sound();
    }
    // A sensor whose name is gone has another one, and its number is nobody else's.
    site.server.call(&["DEL", "pd:sensors"]);
    site.server.call(&["HDEL", "pd:schema", "sensor:test"]);
    site.pdns(&["admin", "verify"]).with(&[1]);
    let told = site.pdns(&["admin", "verify", "--repair"]).with(&[1]);
    assert!(told.contains("it is lost-sensor-0 now"), "{told}");
    site.is_sound();
    assert_eq!(site.store.writer().sensor("another").unwrap(), 1);
    agrees(&mut site.store, &site.model);
}

#[test]
fn an_import_after_a_repair_is_exact() {
    let home = Home::new();
    let mut lines = Lines::new(seed(41), 300);
    let first: String =
        std::iter::once(lines.header()).chain((0..2000).map(|_| lines.line())).collect();
    let second: String =
        std::iter::once(lines.header()).chain((0..2000).map(|_| lines.line())).collect();
    home.write("both/dns.1.log", &first);
    home.write("both/dns.2.log", &second);
    let one = home.write("one/dns.1.log", &first);
    let clean = clean_import(&home, &home.path().join("both"));
    let server = Redis::start();
    run(zeek(&home, &server.url()).arg("--once"), &[&one]).with(&[0]);
    // Everything that follows from the rest, in every partition.
    for pattern in [
        "pd:schema",
        "pd:{??}m",
        "pd:{??}nm",
        "pd:{??}d",
        "pd:{4:*",
        "pd:{6:*",
        "pd:6:*",
        "pd:{??}x*",
    ] {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query(&mut server.connection()).unwrap();
        assert!(!keys.is_empty(), "{pattern}");
        for key in keys {
            // That there is nothing follows from nothing.
            let rows = redis::cmd("HGET").arg(&key).arg("r").query(&mut server.connection());
            if pattern.ends_with('m') && rows == Ok(0) {
                continue;
            }
            server.call(&["DEL", &key]);
        }
        if pattern == "pd:schema" {
            let refused = run(zeek(&home, &server.url()).arg("--once"), &[&one]);
            assert!(refused.code != Some(0) && refused.stderr.contains("pd:schema"), "{refused:?}");
            run(home.pdns().args(["--redis", &server.url()]), &["admin", "verify", "--repair"])
                .with(&[0]);
        }
    }
    run(home.pdns().args(["--redis", &server.url()]), &["admin", "verify", "--repair"]).with(&[0]);
    run(zeek(&home, &server.url()).arg("--once"), &[home.path().join("both")]).with(&[0]);
    let mut store = Store::open(&options(&server)).unwrap();
    agrees(&mut store, &clean);
}

#[test]
fn a_partition_that_is_being_repaired_is_not_written_to() {
    let mut site = Site::new();
    site.server.call(&["SET", &site.key("v"), "somebody", "PX", "300000"]);
    let waits = site.write(1, [10, 0, 0, 1]);
    assert!(waits.as_ref().is_err_and(StoreError::is_transient), "{waits:?}");
    site.server.call(&["DEL", &site.key("m")]);
    let busy = site.pdns(&["admin", "verify", "--repair"]);
    assert_eq!(busy.code, Some(2));
    assert!(busy.stderr.contains("another repair is under way"), "{busy:?}");
    // What was killed is repeated.
    site.server.call(&["DEL", &site.key("v")]);
    site.pdns(&["admin", "verify", "--repair"]).with(&[0]);
    site.write(1, [10, 0, 0, 1]).unwrap();
}

#[test]
fn a_count_at_its_limit_is_told_as_a_lower_bound() {
    let site = Site::new();
    let owner = host(7);
    // The count itself, one below its limit.
    let (block, at) = site.row(&owner);
    let number = block.strip_prefix('s').unwrap().parse::<usize>().unwrap() * 2047 + at / 32;
    let mut field = redis::cmd("SETRANGE");
    field.arg(site.key(&block)).arg(at).arg(u32::MAX.to_be_bytes().as_slice());
    let _: i64 = field.query(&mut site.server.connection()).unwrap();
    let count = (Seen::MAX_COUNT - 1).to_be_bytes();
    let _: i64 = redis::cmd("HSET")
        .arg(site.key("q"))
        .arg(number)
        .arg(count.as_slice())
        .query(&mut site.server.connection())
        .unwrap();
    let shown = |site: &Site, format: &str| {
        site.pdns(&["host7.example.com", "--format", format]).with(&[0])
    };
    assert!(!shown(&site, "json").contains("lower_bound") && !shown(&site, "table").contains(">="));
    for _ in 0..2 {
        let mut store = Store::open(&options(&site.server)).unwrap();
        let mut log = Log::new(&mut store, 3);
        log.write_once(&mut store, &owner, &a([10, 0, 0, 7]));
    }
    let json = shown(&site, "json");
    assert_eq!(
        json.matches("\"count\":9007199254740991,\"count_is_lower_bound\":true").count(),
        1,
        "{json}"
    );
    let cof = shown(&site, "cof");
    assert_eq!(cof.matches("\"pdns_count_is_lower_bound\":true").count(), 1, "{cof}");
    for format in ["table", "csv"] {
        assert_eq!(shown(&site, format).matches(">=9007199254740991").count(), 1);
    }
    for arguments in [
        &["top", "--by", "names", "--format", "json"][..],
        &["top", "--by", "addresses", "--format", "json"],
        &["subdomains", "example.com", "--format", "json"],
    ] {
        let answer = site.pdns(arguments).with(&[0]);
        assert!(answer.contains("\"count_is_lower_bound\":true"), "{arguments:?}: {answer}");
    }
}

#[test]
fn numbers_at_the_limit_of_their_field_are_refused_and_do_not_wrap() {
    let mut site = Site::new();
    let meta = site.key("m");
    // The last block of the name log, with room for no name.
    for (field, value) in [("b", "65535"), ("p", "65500")] {
        site.server.call(&["HSET", &meta, field, value]);
    }
    let block = site.key("l65535");
    site.server.call(&["SETRANGE", &block, "65499", "x"]);
    let before = site.server.call(&["HGETALL", &meta]);
    let refused = site.write(1000, [10, 9, 9, 9]).unwrap_err();
    assert!(
        matches!(&refused, StoreError::LimitReached { key } if *key == site.key("l65536")),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("start another store"), "{refused}");
    // A name that is there already still has room.
    site.write(7, [10, 9, 9, 9]).unwrap();
    assert_ne!(site.server.call(&["HGETALL", &meta]), before);
    // The last row.
    let mut site = Site::new();
    let meta = site.key("m");
    site.server.call(&["HSET", &meta, "r", "4294967295"]);
    let rows = site.key(&format!("s{}", 4_294_967_295_u32 / 2047));
    site.server.call(&["SETRANGE", &rows, "65503", "x"]);
    let refused = site.write(7, [10, 9, 9, 9]).unwrap_err();
    assert!(matches!(&refused, StoreError::LimitReached { key } if *key == rows), "{refused:?}");
    // One that is known needs no new one.
    site.write(7, [10, 0, 0, 7]).unwrap();
    let mut met = 0;
    site.store
        .reader()
        .records_by_name(host(7).as_name(), &mut |row| {
            met += u32::from(row.fact == a([10, 0, 0, 7]) && row.seen.count == 2);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(met, 1);
}
