//! Agents that follow a growing, rotating log and are killed again and again: each record is counted once. One agent and
//! a log that is renamed and packed: [`crate::faults`].

use crate::agent::{Agent, catches_up, clean_import};
use crate::logs::{Rotation, Zeek, seed};
use crate::redis::Redis;
use crate::run::Home;
use crate::store::{agrees, options};
use pdns_agent::store::Store;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Longest life of an agent that is killed: some lives are too short to do anything.
const LIFE: Duration = Duration::from_millis(700);
/// How long Zeek rests between two pieces.
const REST: Duration = Duration::from_millis(2);

/// Follows a folder with `agents` agents, of which one is killed again and again while Zeek writes.
fn follow(rotation: Rotation, seed: u64, kills: usize, agents: usize) {
    let (home, server) = (Home::new(), Redis::start_durable());
    let folder = home.path().join("logs");
    let zeek = Mutex::new(Zeek::new(&folder, rotation, seed, 4_000));
    let enough = AtomicBool::new(false);
    let steady: Vec<Agent> =
        (1..agents).map(|_| Agent::follow(&home, &server.url(), &folder)).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                zeek.lock().unwrap().go_on();
                thread::sleep(REST);
            }
        });
        let mut random = fastrand::Rng::with_seed(seed);
        for kill in 0..kills {
            let life = LIFE.mul_f64(random.f64());
            let code = Agent::follow(&home, &server.url(), &folder).kill9_after(life);
            if code.is_some() {
                enough.store(true, Ordering::Relaxed);
            }
            assert_eq!(code, None, "seed {seed}: the agent ended by itself before kill {kill}");
        }
        enough.store(true, Ordering::Relaxed);
    });
    let mut zeek = zeek.into_inner().unwrap();
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    catches_up(&mut agent, &server, zeek.octets());
    for agent in steady.into_iter().chain([agent]) {
        let (code, said) = agent.terminate();
        assert_eq!(code, Some(0), "seed {seed}: {said}");
    }
    zeek.copy_to(&home.path().join("written"));
    let model = clean_import(&home, &home.path().join("written"));
    agrees(&mut Store::open(&options(&server)).unwrap(), &model);
    println!("{} octets in {} logs", zeek.octets(), zeek.rotated() + 1);
}

#[test]
fn a_log_copied_and_cut_while_agents_are_killed_is_counted_once() {
    follow(Rotation::CopyTruncate, seed(12), 50, 1);
}

#[test]
fn a_log_followed_by_two_agents_of_which_one_is_killed_is_counted_once() {
    follow(Rotation::RenameAndGzip, seed(13), 20, 2);
}
