//! Backups, and what restores, copies and merges them: whatever interrupts these, a store ends as it should, once.

mod damage;
mod merge;
mod point;
mod restart;
mod rights;

use crate::logs::Lines;
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::Seen;
use pdns_agent::record::FactBuf;
use pdns_agent::store::{Kind, Options, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// All records of a store, with the names of their sensors.
pub(crate) type Content = BTreeMap<(NameBuf, FactBuf), (Seen, BTreeSet<String>)>;

/// A server that sends a snapshot at once.
pub(crate) fn server() -> Redis {
    let server = Redis::start();
    server.call(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    server
}

/// The store with a prefix.
pub(crate) fn store(server: &Redis, prefix: &str) -> Store {
    let options = Options { url: server.url(), prefix: prefix.to_owned(), ..Options::default() };
    Store::open(&options).unwrap()
}

/// Everything in a store, which must be whole.
#[track_caller]
pub(crate) fn content(server: &Redis, prefix: &str) -> Content {
    let mut store = store(server, prefix);
    let verdict = store.verify(false, &mut |_, _| {}).unwrap();
    assert_eq!(verdict.problems, Vec::<String>::new());
    let names = store.reader().sensors().unwrap();
    let mut content = Content::new();
    for kind in [Kind::Record, Kind::Negative] {
        let mut each = |row: pdns_agent::record::StoredRecord| {
            let sensors = row.sensors.names(&names).map(str::to_owned).collect();
            content.insert((row.rrname, row.fact), (row.seen, sensors));
            ControlFlow::Continue(())
        };
        store.reader().scan_records(kind, &mut each).unwrap();
    }
    content
}

/// Fails with the first difference.
#[track_caller]
pub(crate) fn same(one: &Content, other: &Content) {
    let differs = one.iter().find(|(key, row)| other.get(key) != Some(row));
    assert_eq!(differs.map(|(key, row)| (key, row, other.get(key))), None);
    assert_eq!(one.len(), other.len());
}

/// A folder of two logs.
pub(crate) fn folder(home: &Home, name: &str, seed: u64, lines: usize) -> PathBuf {
    let mut made = Lines::new(seed, 9_000);
    for number in 0..2 {
        home.write(&format!("{name}/dns.{number}.log"), made.log(lines));
    }
    home.path().join(name)
}

/// Imports a folder to its end.
#[track_caller]
pub(crate) fn import(home: &Home, server: &Redis, prefix: &str, sensor: &str, folder: &Path) {
    let mut agent = home.agent();
    agent.args(["zeek", "--once", "--redis", &server.url(), "--prefix", prefix]);
    run(agent.args(["--sensor", sensor]), &[folder]).with(&[0]);
}

/// `pdns admin` on the store with a prefix.
pub(crate) fn admin(home: &Home, server: &Redis, prefix: &str) -> Command {
    let mut pdns = home.pdns();
    pdns.args(["--redis", &server.url(), "--prefix", prefix, "admin"]);
    pdns
}

/// Saves the store with a prefix.
pub(crate) fn save(home: &Home, server: &Redis, prefix: &str, file: &Path) -> Ended {
    run(admin(home, server, prefix).arg("backup"), &[file])
}

/// Restores a store under a prefix.
pub(crate) fn restore(home: &Home, server: &Redis, prefix: &str, file: &Path) -> Ended {
    run(admin(home, server, prefix).arg("restore"), &[file])
}

/// Waits for the next second: generations and tags are told apart by whole ones.
pub(crate) fn next_second() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = second();
    crate::redis::until("the next second", || second() > now);
}
