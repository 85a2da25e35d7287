//! Redis stops, dies, is full, is replaced by its replica, refuses its user, and forgets its functions.

use super::{Trial, pick, progresses, signal};
use crate::agent::{Agent, ask, zeek};
use crate::netns::is_root;
use crate::redis::{Redis, until};
use crate::sentinel::watched_pair;
use std::thread;
use std::time::Duration;

/// Name of the agent's user in Redis.
const USER: &str = "sensor";

#[test]
fn redis_is_stopped() {
    // A Redis that says nothing counts as away after five seconds.
    let time = Duration::from_secs(pick(30, 7));
    let done = format!("shut down for {0} s, then frozen with SIGSTOP for {0} s", time.as_secs());
    let trial = Trial::begin("redis_is_stopped", 101, done);
    let mut server = Redis::start_durable();
    let mut agent = trial.follow(&server.url());
    progresses(&mut agent, &server);
    server.stop();
    thread::sleep(time);
    assert!(agent.is_alive(), "{}", agent.said());
    server.restart();
    progresses(&mut agent, &server);
    signal(server.id(), "-STOP");
    thread::sleep(time);
    signal(server.id(), "-CONT");
    progresses(&mut agent, &server);
    trial.end(agent, &server);
}

#[test]
fn redis_is_killed() {
    let kills = pick(100, 8);
    let mut trial = Trial::begin("redis_is_killed", 102, format!("kill -9, {kills} times"));
    let mut server = Redis::start_durable();
    let mut agent = trial.follow(&server.url());
    progresses(&mut agent, &server);
    for _ in 0..kills {
        thread::sleep(trial.moment(Duration::from_millis(600)));
        server.kill9();
        thread::sleep(trial.moment(Duration::from_millis(200)));
        server.restart();
    }
    trial.end(agent, &server);
}

#[test]
fn redis_is_killed_and_kept_nothing() {
    let kills = pick(20, 3);
    let done = format!("kill -9 of a server without persistence, {kills} times");
    let mut trial = Trial::begin("redis_is_killed_and_kept_nothing", 103, done);
    let mut server = Redis::start();
    let mut agent = trial.follow(&server.url());
    progresses(&mut agent, &server);
    for _ in 0..kills {
        thread::sleep(trial.moment(Duration::from_millis(1500)));
        server.kill9();
        server.restart();
    }
    trial.end(agent, &server);
}

/// The size of a server's data, as it counts it.
fn used(server: &Redis) -> u64 {
    let info: String = redis::cmd("INFO").arg("memory").query(&mut server.connection()).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|number| number.parse().ok()).expect("Redis says it")
}

#[test]
fn redis_is_out_of_memory() {
    let times = pick(20, 2);
    let done = format!("maxmemory below what is used for some seconds, {times} times");
    let mut trial = Trial::begin("redis_is_out_of_memory", 104, done);
    let server = Redis::start();
    let mut agent = trial.follow(&server.url());
    for round in 1..=times {
        progresses(&mut agent, &server);
        let limit = (used(&server) - 100_000).to_string();
        server.call(&["CONFIG", "SET", "maxmemory", &limit]);
        agent.says("cannot write to the store, retrying", round);
        thread::sleep(trial.moment(Duration::from_secs(3)));
        server.call(&["CONFIG", "SET", "maxmemory", "0"]);
    }
    trial.end(agent, &server);
}

/// Fills the disk of a server's data while Zeek writes, twice, and makes room again.
fn disk_is_full(fault: &'static str, number: u64, policy: &str, done: &str) {
    if !is_root(fault) {
        return;
    }
    let trial = Trial::begin(fault, number, done.to_owned());
    let mut server = Redis::start_on_disk(1 << 20, policy);
    let mut agent = trial.follow(&server.url());
    for disk in [4, 16] {
        progresses(&mut agent, &server);
        agent.says("cannot write to the store, retrying", 1);
        thread::sleep(Duration::from_secs(pick(10, 1)));
        server.resize_disk(disk << 20);
        if server.has_ended() {
            server.restart();
        }
    }
    server.resize_disk(512 << 20);
    if server.has_ended() {
        server.restart();
    }
    trial.end(agent, &server);
}

#[test]
fn the_disk_of_redis_is_full_and_it_ends() {
    disk_is_full(
        "the_disk_of_redis_is_full_and_it_ends",
        105,
        "always",
        "AOF on a full disk with appendfsync always: Redis ends, is started when there is room",
    );
}

#[test]
fn the_disk_of_redis_is_full_and_it_refuses() {
    disk_is_full(
        "the_disk_of_redis_is_full_and_it_refuses",
        106,
        "everysec",
        "AOF on a full disk with appendfsync everysec: Redis refuses writes until there is room",
    );
}

#[test]
fn a_replica_is_promoted() {
    let times = pick(6, 2);
    let done = format!("Sentinel makes the replica the master and back, {times} times, under way");
    let trial = Trial::begin("a_replica_is_promoted", 107, done);
    let (master, replica, sentinel) = watched_pair();
    let mut agent = trial.follow(&sentinel.url());
    let (mut now, mut next) = (&master, &replica);
    for _ in 0..times {
        progresses(&mut agent, now);
        sentinel.fail_over();
        sentinel.wait_for_master(next);
        until("the agent writes to the new master", || {
            assert!(agent.is_alive(), "{}", agent.said());
            crate::agent::acknowledged(next) > 0
        });
        progresses(&mut agent, next);
        (now, next) = (next, now);
        sentinel.wait_for_replica();
        until("the old master follows the new one", || {
            let info = next.call(&["INFO", "replication"]);
            redis::from_redis_value::<String>(info).unwrap().contains("master_link_status:up")
        });
    }
    trial.end(agent, now);
}

#[test]
fn a_master_is_killed() {
    let trial = Trial::begin(
        "a_master_is_killed",
        108,
        "kill -9 of the master, Sentinel promotes the replica".to_owned(),
    );
    let (mut master, replica, sentinel) = watched_pair();
    let mut agent = trial.follow(&sentinel.url());
    progresses(&mut agent, &master);
    trial.grows(100_000);
    master.kill9();
    sentinel.wait_for_master(&replica);
    progresses(&mut agent, &replica);
    trial.end(agent, &replica);
}

#[test]
fn passwords_and_rights_change() {
    let times = pick(20, 3);
    let done = format!("password changed, and the right to call functions taken, {times} times");
    let trial = Trial::begin("passwords_and_rights_change", 109, done);
    let server = Redis::start_durable();
    let file = trial.home.path().join("password");
    let kill = || {
        server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    };
    let set = |word: &str| {
        let word = format!(">{word}");
        server.call(&["ACL", "SETUSER", USER, "on", "resetpass", &word, "~*", "&*", "+@all"]);
    };
    set("first");
    std::fs::write(&file, "first").unwrap();
    let mut command = zeek(&trial.home, &server.url());
    command.args(["--flush", "0.1", "--redis-user", USER, "--redis-password-file"]);
    let socket = trial.home.path().join("metrics");
    command.arg(&file).arg("--listen").arg(&socket);
    let mut agent = Agent::start(command.arg(&trial.folder));
    let refused = ["user or password is wrong", "no permissions to run the 'fcall' command"];
    for round in 0..times {
        progresses(&mut agent, &server);
        let told = refused.map(|words| agent.said().matches(words).count());
        let word = format!("word-{round}");
        set(&word);
        // Redis keeps the connections of a user whose password is another now.
        kill();
        agent.says(refused[0], told[0] + 1);
        std::fs::write(&file, &word).unwrap();
        progresses(&mut agent, &server);
        // Redis says so to each batch: the agent sets one log after the other aside, and comes back to them.
        server.call(&["ACL", "SETUSER", USER, "-fcall"]);
        agent.says(refused[1], told[1] + 1);
        server.call(&["ACL", "SETUSER", USER, "+fcall"]);
    }
    // A log may be set aside with nothing in it left to store. An agent that ends before it came back to it says so.
    until("the agent has come back to all logs", || {
        ask(&socket, "/metrics").contains("\npdns_store_rejected_logs 0\n")
    });
    trial.end(agent, &server);
}

#[test]
fn functions_are_flushed() {
    let times = pick(300, 30);
    let done = format!("FUNCTION FLUSH, {times} times");
    let mut trial = Trial::begin("functions_are_flushed", 110, done);
    let server = Redis::start();
    let mut agent = trial.follow(&server.url());
    progresses(&mut agent, &server);
    for _ in 0..times {
        server.call(&["FUNCTION", "FLUSH"]);
        thread::sleep(trial.moment(Duration::from_millis(200)));
    }
    trial.end(agent, &server);
}
