//! Imports that are killed, whose store is killed, and that others do at the same time: each record is
//! counted once all the same.

use crate::agent::{Agent, clean_import, zeek, zeek_with};
use crate::logs::{Lines, gzip, seed};
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{agrees, options};
use pdns_agent::store::Store;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Kills of the agent in one test.
const KILLS: usize = 50;

/// A folder of four logs, one of them packed, that make many windows of a small agent.
fn archive(home: &Home, seed: u64) -> PathBuf {
    let mut lines = Lines::new(seed, 9_000);
    for number in 0..4 {
        let log = lines.log(5_000);
        if number == 2 {
            home.write("archive/day/dns.2.log.gz", gzip(log.as_bytes()));
        } else {
            home.write(&format!("archive/dns.{number}.log"), log);
        }
    }
    home.path().join("archive")
}

/// Imports a folder to its end, and tells how long that took.
fn timed_import(home: &Home, server: &Redis, folder: &Path) -> Duration {
    let begin = Instant::now();
    run(zeek(home, &server.url()).arg("--once"), &[folder]).with(&[0]);
    begin.elapsed()
}

fn store(server: &Redis) -> Store {
    Store::open(&options(server)).unwrap()
}

#[test]
fn an_import_killed_again_and_again_counts_each_answer_once() {
    let seed = seed(1);
    let (home, server) = (Home::new(), Redis::start_durable());
    let folder = archive(&home, seed);
    let model = clean_import(&home, &folder);
    let whole = timed_import(&home, &server, &folder);
    agrees(&mut store(&server), &model);
    server.flush();
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        // Most starts have less to do than the first, which does the whole.
        let time = whole.mul_f64(random.f64() * 0.6);
        match Agent::once(&home, &server.url(), &folder).kill9_after(time) {
            None => kills += 1,
            Some(code) => {
                assert_eq!(code, 0, "seed {seed}, after {kills} kills");
                agrees(&mut store(&server), &model);
                server.flush();
                runs += 1;
            }
        }
    }
    let (code, said) = Agent::once(&home, &server.url(), &folder).end();
    assert_eq!(code, Some(0), "seed {seed}: {said}");
    agrees(&mut store(&server), &model);
    println!("an import takes {whole:?}; {kills} kills in {} runs", runs + 1);
}

#[test]
fn an_import_whose_store_is_killed_again_and_again_counts_each_answer_once() {
    let seed = seed(2);
    let (home, mut server) = (Home::new(), Redis::start_durable());
    let folder = archive(&home, seed);
    let model = clean_import(&home, &folder);
    let whole = timed_import(&home, &server, &folder);
    server.flush();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    for run in 0..3 {
        let mut agent = Agent::once(&home, &server.url(), &folder);
        // So that the agent finds the store at its start.
        crate::redis::until("the agent writes", || crate::agent::acknowledged(&server) > 0);
        for _ in 0..5 {
            let deadline = Instant::now() + whole.mul_f64(random.f64() * 0.4);
            while agent.is_alive() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if agent.is_alive() {
                server.kill9();
                server.restart();
                kills += 1;
            }
        }
        let (code, said) = agent.end();
        assert_eq!(code, Some(0), "seed {seed}, run {run}, after {kills} kills: {said}");
        agrees(&mut store(&server), &model);
        server.flush();
    }
    println!("an import takes {whole:?}; {kills} kills of the store");
}

#[test]
fn agents_on_different_logs_at_once_add_up() {
    let (home, server) = (Home::new(), Redis::start_durable());
    let folder = archive(&home, 3);
    let model = clean_import(&home, &folder);
    let first = Agent::start(
        zeek(&home, &server.url())
            .arg("--once")
            .args([folder.join("dns.0.log"), folder.join("day")]),
    );
    let second = Agent::start(
        zeek(&home, &server.url())
            .arg("--once")
            .args([folder.join("dns.1.log"), folder.join("dns.3.log")]),
    );
    for agent in [first, second] {
        let (code, said) = agent.end();
        assert_eq!(code, Some(0), "{said}");
    }
    agrees(&mut store(&server), &model);
}

#[test]
fn agents_on_the_same_logs_at_once_count_each_answer_once() {
    let (home, server) = (Home::new(), Redis::start_durable());
    let folder = archive(&home, 4);
    let model = clean_import(&home, &folder);
    // The same windows, then other ones.
    for memory in ["4", "7", "4"] {
        let other = || {
            let mut command = zeek_with(&home, &server.url(), memory);
            Agent::start(command.arg("--once").arg(&folder))
        };
        let agents = [Agent::once(&home, &server.url(), &folder), other()];
        for agent in agents {
            let (code, said) = agent.end();
            assert_eq!(code, Some(0), "{said}");
        }
        agrees(&mut store(&server), &model);
        server.flush();
    }
}

#[test]
fn agents_on_the_same_logs_killed_in_turn_count_each_answer_once() {
    let seed = seed(5);
    let (home, server) = (Home::new(), Redis::start_durable());
    let folder = archive(&home, seed);
    let model = clean_import(&home, &folder);
    let whole = timed_import(&home, &server, &folder);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..4 {
        server.flush();
        let mut ended = 0;
        for _ in 0..6 {
            let first = Agent::once(&home, &server.url(), &folder);
            let second = Agent::once(&home, &server.url(), &folder);
            for agent in [first, second] {
                match agent.kill9_after(whole.mul_f64(random.f64() * 0.5)) {
                    None => {}
                    Some(code) => {
                        assert_eq!(code, 0, "seed {seed}, round {round}");
                        ended += 1;
                    }
                }
            }
        }
        let agents = [(); 2].map(|()| Agent::once(&home, &server.url(), &folder));
        for agent in agents {
            let (code, said) = agent.end();
            assert_eq!(code, Some(0), "seed {seed}, round {round}, {ended} ended: {said}");
        }
        agrees(&mut store(&server), &model);
    }
}
