//! Packets that come only once, through a pipe as from an interface: whatever happens to Redis, each is counted
//! once. And capture files whose import is killed.

use crate::agent::{Agent, acknowledged, ask};
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
pub(crate) fn capture(home: &Home, packets: u64) -> (PathBuf, Model) {
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

pub(crate) fn pcap(home: &Home, url: &str) -> Command {
    let mut command = home.agent();
    // All of their names are below one domain, and none of them is to be left out.
    command.args(["pcap", "--redis", url, "--sensor", "test", "--memory", "4", "--new-names", "0"]);
    command
}

pub(crate) fn store(server: &Redis) -> Store {
    Store::open(&options(server)).expect("the server is there")
}

/// Starts an agent that reads a pipe.
fn piped(home: &Home, server: &Redis) -> Agent {
    Agent::start(pcap(home, &server.url()).arg("-").stdin(Stdio::piped()))
}

/// Sends a capture through a pipe in parts, and does something between them.
pub(crate) fn feed(agent: &mut Agent, path: &Path, parts: usize, mut between: impl FnMut(usize)) {
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

/// Sends a capture in thirds, and has the store lose all it holds before the last one.
fn goes_on_after(loss: impl Fn(&mut Redis)) {
    let (home, mut server) = (Home::new(), Redis::start());
    let (path, _) = capture(&home, 30_000);
    let mut agent = piped(&home, &server);
    feed(&mut agent, &path, 3, |number| {
        until("the agent writes", || stored(&server) > 0);
        if number == 1 {
            loss(&mut server);
        }
    });
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    let last = stored(&server);
    // A third was sent after the loss, and all of that is there.
    assert!((10_000..30_000).contains(&last), "{last} sightings\n{said}");
    verified(&home, &server);
}

#[test]
fn packets_go_on_into_a_store_that_was_emptied() {
    goes_on_after(|server| server.flush());
}

#[test]
fn packets_go_on_into_a_server_that_forgot_everything() {
    goes_on_after(Redis::restart);
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
    agent.says("cannot write to the store, retrying", 1);
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

#[test]
fn the_last_batch_is_sent_again_to_a_server_that_was_killed_while_nothing_was_under_way() {
    let (home, mut server) = (Home::new(), Redis::start_durable());
    let (path, model) = capture(&home, 3_000);
    let mut agent = piped(&home, &server);
    let octets = fs::read(&path).expect("the capture was made");
    let mut pipe = agent.stdin();
    // The file's header alone: the agent finds its store, and has nothing to tell it.
    pipe.write_all(&octets[..24]).expect("the agent reads");
    until("the agent writes", || acknowledged(&server) > 0);
    pipe.write_all(&octets[24..]).expect("the agent reads on");
    server.kill9();
    server.restart();
    drop(pipe);
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said}");
    agrees(&mut store(&server), &model);
    verified(&home, &server);
}

#[test]
fn an_agent_ends_when_asked_though_its_pipe_never_brought_anything() {
    let (home, server) = (Home::new(), Redis::start());
    let mut agent = piped(&home, &server);
    let pipe = agent.stdin();
    until("the agent has found its store", || acknowledged(&server) > 0);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    drop(pipe);
}

#[test]
fn a_pipe_that_brings_no_capture_or_half_of_one_is_told_in_the_exit_code() {
    let (home, server) = (Home::new(), Redis::start());
    let (path, _) = capture(&home, 3_000);
    let whole = fs::read(&path).expect("the capture was made");
    let half = whole[..whole.len() - 5].to_vec();
    for (octets, told, status) in [
        (b"no capture at all".to_vec(), "it is not a capture file", 1),
        (half, "ends within the record", 2),
    ] {
        let mut agent = piped(&home, &server);
        let mut pipe = agent.stdin();
        pipe.write_all(&octets).expect("the agent reads");
        drop(pipe);
        let (code, said) = agent.end();
        assert_eq!(code, Some(status), "{said}");
        assert!(said.contains(told), "{said}");
    }
    // All but the packet that was cut.
    assert_eq!(stored(&server), 2_999);
}

#[test]
fn a_pipe_beside_a_file_that_is_missing_keeps_what_it_brought() {
    let (home, server) = (Home::new(), Redis::start());
    let (path, _) = capture(&home, 3_000);
    let missing = home.path().join("missing.pcap");
    let mut command = pcap(&home, &server.url());
    let mut agent = Agent::start(command.arg("-").arg(&missing).stdin(Stdio::piped()));
    let mut pipe = agent.stdin();
    // It may end before it has read all of it.
    drop(pipe.write_all(&fs::read(&path).expect("the capture was made")));
    drop(pipe);
    let (code, said) = agent.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("missing.pcap"), "{said}");
    verified(&home, &server);
}

#[test]
fn a_pipeline_that_never_reaches_its_store_says_so_when_it_is_asked() {
    let (home, mut server) = (Home::new(), Redis::start());
    let url = server.url();
    server.kill9();
    let socket = home.path().join("metrics");
    let mut command = pcap(&home, &url);
    let mut agent =
        Agent::start(command.arg("-").arg("--listen").arg(&socket).stdin(Stdio::piped()));
    let pipe = agent.stdin();
    agent.says("cannot open the store, retrying", 1);
    let health = ask(&socket, "/health");
    assert!(health.starts_with("HTTP/1.1 503") || health.starts_with("HTTP/1.0 503"), "{health}");
    assert!(ask(&socket, "/metrics").contains("\npdns_store_up 0\n"));
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(2), "{said}");
    drop(pipe);
}

/// Where the records of a classic capture end.
pub(crate) fn ends(octets: &[u8]) -> Vec<usize> {
    let (mut ends, mut end) = (vec![24], 24);
    while let Some(length) = octets.get(end + 8..).and_then(<[u8]>::first_chunk) {
        let length = u32::from_le_bytes(*length);
        end += 16 + usize::try_from(length).expect("it is no longer than a file");
        ends.push(end);
    }
    assert_eq!(end, octets.len(), "the capture is not as it was expected");
    ends
}

#[test]
fn a_capture_that_grows_is_counted_once_though_its_imports_are_killed() {
    let (home, server) = (Home::new(), Redis::start_durable());
    let (path, model) = capture(&home, 30_000);
    let whole = fs::read(&path).expect("the capture was made");
    let ends = ends(&whole);
    let mut random = fastrand::Rng::with_seed(9);
    let growing = home.path().join("growing.pcap");
    for part in 1..=6 {
        let end = ends[(ends.len() - 1) * part / 6];
        // Whoever writes it may be in the midst of a record.
        let cut = if part % 2 == 0 { 0 } else { 7 };
        fs::write(&growing, &whole[..end - cut]).expect("there is room for it");
        let import = || Agent::start(pcap(&home, &server.url()).arg(&growing));
        if part < 6 {
            // Killed somewhere, and gone on with only sometimes before it grows.
            let time = Duration::from_millis(random.u64(30..300));
            let _ended_before = import().kill9_after(time);
            if part % 3 == 0 {
                continue;
            }
        }
        let (code, said) = import().end();
        // Also if it was read to its end before it was killed.
        assert_eq!(code, Some(if cut == 0 { 0 } else { 2 }), "{said}");
    }
    agrees(&mut store(&server), &model);
    verified(&home, &server);
}

/// The sum of all counts in the store; 0 while there is none.
fn stored(server: &Redis) -> u64 {
    let Ok(mut store) = Store::open(&options(server)) else { return 0 };
    contents(&mut store).values().map(|seen| seen.count).sum()
}

/// The store holds together.
fn verified(home: &Home, server: &Redis) {
    run(&mut home.pdns(), &["admin", "verify", "--redis", &server.url()]).with(&[0]);
}
