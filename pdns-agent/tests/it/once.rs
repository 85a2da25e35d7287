//! Packets that come only once, through a pipe as from an interface: whatever happens to Redis, each is counted
//! once. And capture files whose import is killed.

use crate::agent::Agent;
use crate::redis::{Redis, until};
use crate::reference::python;
use crate::run::{Home, run};
use crate::store::{Model, agrees, contents, options};
use pdns_agent::store::Store;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A capture of so many responses, and what an undisturbed import of it amounts to.
fn capture(home: &Home, packets: u64) -> (PathBuf, Model) {
    let path = home.path().join("responses.pcap");
    // A third as many names, so that rows are met again.
    let numbers = [packets.to_string(), (packets / 3).to_string()];
    let words = [path.as_os_str(), OsStr::new(&numbers[0]), OsStr::new(&numbers[1])];
    python("million.py", &words, &[]);
    let server = Redis::start();
    run(&mut pcap(home, &server.url()), &[&path]).with(&[0]);
    let model = contents(&mut store(&server));
    assert!(!model.is_empty(), "the import stored nothing");
    (path, model)
}

fn pcap(home: &Home, url: &str) -> Command {
    let mut command = home.agent();
    command.args(["pcap", "--redis", url, "--sensor", "test", "--memory", "4"]);
    command
}

fn store(server: &Redis) -> Store {
    Store::open(&options(server)).expect("the server is there")
}

/// Starts an agent that reads a pipe.
fn piped(home: &Home, server: &Redis) -> Agent {
    Agent::start(pcap(home, &server.url()).arg("-").stdin(Stdio::piped()))
}

/// Sends a capture through a pipe in parts, and does something between them.
fn feed(agent: &mut Agent, path: &Path, parts: usize, mut between: impl FnMut(usize)) {
    let octets = fs::read(path).expect("the capture was made");
    let mut pipe = agent.stdin();
    for (number, part) in octets.chunks(octets.len().div_ceil(parts)).enumerate() {
        pipe.write_all(part).expect("the agent reads on");
        between(number);
    }
}

#[test]
fn packets_count_once_though_redis_is_killed_again_and_again() {
    let (home, mut server) = (Home::new(), Redis::start_durable());
    let (path, model) = capture(&home, 60_000);
    let mut agent = piped(&home, &server);
    let mut random = fastrand::Rng::with_seed(7);
    feed(&mut agent, &path, 12, |_| {
        std::thread::sleep(Duration::from_millis(random.u64(0..200)));
        server.kill9();
        std::thread::sleep(Duration::from_millis(random.u64(0..100)));
        server.restart();
    });
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("60000 packets"), "{said}");
    agrees(&mut store(&server), &model);
    verified(&home, &server);
}

#[test]
fn packets_go_on_into_a_store_that_was_emptied() {
    let (home, server) = (Home::new(), Redis::start());
    let (path, _) = capture(&home, 30_000);
    let mut agent = piped(&home, &server);
    feed(&mut agent, &path, 3, |number| {
        until("the agent writes", || stored(&server) > 0);
        if number == 1 {
            server.flush();
        }
    });
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    let last = stored(&server);
    // A third was sent after the store was emptied, and all of that is there.
    assert!((10_000..30_000).contains(&last), "{last} sightings\n{said}");
    verified(&home, &server);
}

#[test]
fn packets_go_on_into_a_server_that_forgot_everything() {
    let (home, mut server) = (Home::new(), Redis::start());
    let (path, _) = capture(&home, 30_000);
    let mut agent = piped(&home, &server);
    feed(&mut agent, &path, 3, |number| {
        until("the agent writes", || stored(&server) > 0);
        if number == 1 {
            server.restart();
        }
    });
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    let last = stored(&server);
    assert!((10_000..30_000).contains(&last), "{last} sightings\n{said}");
    verified(&home, &server);
}

#[test]
fn what_cannot_be_stored_before_the_end_is_told() {
    let (home, mut server) = (Home::new(), Redis::start_durable());
    let (path, _) = capture(&home, 3_000);
    let mut agent = piped(&home, &server);
    // So that the agent finds the store at its start.
    feed(&mut agent, &path, 2, |number| match number {
        0 => until("the agent writes", || stored(&server) > 0),
        _ => server.kill9(),
    });
    agent.says("the store is away", 1);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(2), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("answers that were seen last are lost"), "{last}");
}

#[test]
fn an_import_of_captures_killed_again_and_again_counts_each_answer_once() {
    let (home, server) = (Home::new(), Redis::start_durable());
    let (path, model) = capture(&home, 60_000);
    let begin = std::time::Instant::now();
    run(&mut pcap(&home, &server.url()), &[&path]).with(&[0]);
    let whole = begin.elapsed();
    agrees(&mut store(&server), &model);
    server.flush();
    let mut random = fastrand::Rng::with_seed(8);
    let mut kills = 0;
    while kills < 20 {
        let time = whole.mul_f64(random.f64() * 1.1);
        match Agent::start(pcap(&home, &server.url()).arg(&path)).kill9_after(time) {
            None => kills += 1,
            Some(code) => {
                assert_eq!(code, 0, "after {kills} kills");
                agrees(&mut store(&server), &model);
                server.flush();
            }
        }
    }
    run(&mut pcap(&home, &server.url()), &[&path]).with(&[0]);
    agrees(&mut store(&server), &model);
    verified(&home, &server);
}

/// The sum of all counts in the store; 0 while there is none.
fn stored(server: &Redis) -> u64 {
    let Ok(mut store) = Store::open(&options(server)) else { return 0 };
    contents(&mut store).values().map(|seen| u64::from(seen.count)).sum()
}

/// The store holds together.
fn verified(home: &Home, server: &Redis) {
    run(&mut home.pdns(), &["admin", "verify", "--redis", &server.url()]).with(&[0]);
}
