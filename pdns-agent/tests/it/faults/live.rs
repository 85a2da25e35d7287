//! Faults while packets arrive. They come only once, so some may be lost; but each that is lost is counted.
//!
//! Each packet is a good response with one record, so that packets, messages, observations and counts in the store are the
//! same number.

use super::process::{Clock, STEPS};
use super::{Line, Measured, pick, signal};
use crate::live::{FAST, Live, responses};
use crate::logs::seed;
use crate::netns::{Network, is_root};
use crate::once::store;
use crate::redis::{Redis, until};
use crate::run::Home;
use crate::store::contents;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Packets that are replayed at once, and at which pace.
const BURST: u64 = 1_000;
const PACE: &[&str] = &["--pps=4000"];

/// One fault of a live capture.
struct Trial {
    line: Line,
    home: Home,
    network: Network,
    /// A capture of `BURST` packets.
    capture: PathBuf,
    random: fastrand::Rng,
    sent: u64,
}

impl Trial {
    /// Makes a network, if this machine lets us.
    fn begin(fault: &'static str, number: u64, done: String) -> Option<Self> {
        if !is_root(fault) {
            return None;
        }
        let line = Line::new(fault, done);
        let (home, network) = (Home::new(), Network::new());
        network.pair("cap");
        let capture = responses(&home, BURST);
        let random = fastrand::Rng::with_seed(seed(number));
        Some(Self { line, home, network, capture, random, sent: 0 })
    }

    fn start(&self, server: &Redis, more: &[&str]) -> Live {
        let arguments = [&["--interface", "cap", "--sensor", "test"], more].concat();
        Live::start(&self.home, &self.network, &server.url(), &arguments)
    }

    /// Sends so many bursts.
    fn send(&mut self, bursts: u64, pace: &[&str]) {
        for _ in 0..bursts {
            self.sent += self.network.replay("cap", &self.capture, pace);
        }
    }

    fn moment(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.f64())
    }

    /// Ends an agent that saw all that was sent: what it counted as lost, to the packet.
    ///
    /// Seen are those without DNS, decoded, rejected and lost; copied to the agent are all but the lost ones.
    fn end(&mut self, live: Live, server: &Redis) -> u64 {
        live.sees("cap", self.sent);
        let (code, said) = live.agent.terminate();
        assert_eq!(code, Some(0), "{said}");
        let told = Told::read(&said);
        assert_eq!(told.seen, self.sent, "{said}");
        assert_eq!(told.seen, told.refused + told.decoded + told.rejected + told.lost, "{said}");
        assert_eq!((told.refused, told.rejected), (0, 0), "{said}");
        self.compare(server, told.lost);
        told.lost
    }

    /// Compares the store with what was sent, of which so many packets are counted as lost.
    #[track_caller]
    fn compare(&mut self, server: &Redis, counted: u64) {
        let mut store = store(server);
        let model = contents(&mut store);
        let stored: u64 = model.values().map(|seen| seen.count).sum();
        let measured = Measured {
            records: model.len() as u64,
            answers: stored,
            counted,
            lost: self.sent.saturating_sub(stored + counted),
            doubled: (stored + counted).saturating_sub(self.sent),
        };
        self.line.measured = Some(measured);
        println!("{}: {} sent, {stored} stored, {counted} lost", self.line.fault, self.sent);
        assert_eq!(stored + counted, self.sent);
        let verdict = store.verify(false, &mut |_, _| {}).unwrap();
        assert_eq!(verdict.problems, Vec::<String>::new());
    }
}

/// Numbers in the report of an agent that captured.
#[derive(Debug)]
struct Told {
    seen: u64,
    refused: u64,
    decoded: u64,
    rejected: u64,
    lost: u64,
}

impl Told {
    /// Reads `4 packets on 1 interface: 0 without DNS, 4 decoded, 0 rejected, 0 lost; from them ...`.
    fn read(said: &str) -> Self {
        let line = said.lines().find(|line| line.contains(" on 1 interface: "));
        let line = line.unwrap_or_else(|| panic!("no report: {said}"));
        let before = |word: &str| -> u64 {
            let (text, _) = line.split_once(word).unwrap_or_else(|| panic!("no {word}: {line}"));
            text.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
        };
        Self {
            seen: before(" packet"),
            refused: before(" without DNS"),
            decoded: before(" decoded"),
            rejected: before(" rejected"),
            lost: before(" lost;"),
        }
    }
}

#[test]
fn live_redis_breaks_in_every_way() {
    let (rounds, pause) = pick((5, Duration::from_secs(30)), (1, Duration::from_secs(2)));
    let done = format!(
        "shut down and frozen for {} s, killed, out of memory, functions flushed, {rounds} times",
        pause.as_secs()
    );
    let fault = "live_redis_breaks_in_every_way";
    let Some(mut trial) = Trial::begin(fault, 181, done) else { return };
    let mut server = Redis::start_durable();
    let live = trial.start(&server, &["--ring", "16"]);
    for _ in 0..rounds {
        trial.send(1, PACE);
        server.stop();
        trial.send(1, PACE);
        thread::sleep(pause);
        server.restart();
        trial.send(1, PACE);
        signal(server.id(), "-STOP");
        trial.send(1, PACE);
        thread::sleep(pause);
        signal(server.id(), "-CONT");
        for _ in 0..5 {
            trial.send(1, PACE);
            thread::sleep(trial.moment(Duration::from_millis(200)));
            server.kill9();
            server.restart();
        }
        server.call(&["CONFIG", "SET", "maxmemory", "1000000"]);
        trial.send(1, PACE);
        thread::sleep(trial.moment(pause));
        server.call(&["CONFIG", "SET", "maxmemory", "0"]);
        for _ in 0..5 {
            server.call(&["FUNCTION", "FLUSH"]);
            trial.send(1, PACE);
        }
    }
    assert_eq!(trial.end(live, &server), 0, "packets were lost though there was room for them");
}

#[test]
fn live_redis_is_away_for_too_long() {
    let bursts = pick(1_000, 150);
    let done =
        format!("Redis frozen for {bursts} bursts of {BURST} packets: more than the ring takes");
    let fault = "live_redis_is_away_for_too_long";
    let Some(mut trial) = Trial::begin(fault, 182, done) else { return };
    let server = Redis::start();
    let live = trial.start(&server, &["--ring", "1", "--memory", "4", "--new-names", "0"]);
    trial.send(1, PACE);
    // A window of 4 MiB is full with so many names, and the agent waits for the store before it reads on.
    let names = trial.home.path().join("names.pcap");
    crate::reference::python(
        "million.py",
        &[names.as_os_str(), "60000".as_ref(), "60000".as_ref()],
        &[],
    );
    signal(server.id(), "-STOP");
    trial.sent += trial.network.replay("cap", &names, FAST);
    trial.send(bursts, FAST);
    signal(server.id(), "-CONT");
    assert!(trial.end(live, &server) > 0, "all found room, so the test tests nothing");
}

#[test]
fn live_agent_is_frozen() {
    let times = pick(20, 3);
    let done = format!("SIGSTOP while more packets come than the ring takes, {times} times");
    let Some(mut trial) = Trial::begin("live_agent_is_frozen", 183, done) else { return };
    let server = Redis::start();
    let live = trial.start(&server, &["--ring", "1"]);
    for _ in 0..times {
        trial.send(1, PACE);
        live.signal("-STOP");
        trial.send(15, FAST);
        live.signal("-CONT");
    }
    assert!(trial.end(live, &server) > 0, "all found room, so the test tests nothing");
}

#[test]
fn live_agent_is_asked_to_end() {
    let times = pick(60, 6);
    let done = format!("SIGTERM at {times} random points of a burst");
    let Some(mut trial) = Trial::begin("live_agent_is_asked_to_end", 184, done) else { return };
    let server = Redis::start();
    let mut seen = 0;
    for _ in 0..times {
        let live = trial.start(&server, &[]);
        let moment = trial.moment(Duration::from_millis(300));
        let (code, said) = thread::scope(|scope| {
            let (network, capture) = (&trial.network, &trial.capture);
            scope.spawn(|| network.replay("cap", capture, PACE));
            thread::sleep(moment);
            live.agent.terminate()
        });
        assert_eq!(code, Some(0), "{said}");
        let told = Told::read(&said);
        assert_eq!((told.seen, told.lost), (told.decoded, 0), "{said}");
        // Packets that came while no agent was there are nobody's.
        seen += told.seen;
    }
    assert!(seen > 0, "no agent saw anything");
    trial.sent = seen;
    trial.compare(&server, 0);
}

#[test]
fn live_agent_is_killed() {
    let times = pick(60, 6);
    let done = format!("kill -9, {times} times, with a burst that was not yet read in the ring");
    let Some(mut trial) = Trial::begin("live_agent_is_killed", 185, done) else { return };
    let server = Redis::start_durable();
    let mut counted = 0;
    for _ in 0..times {
        let live = trial.start(&server, &[]);
        trial.send(1, PACE);
        let (home, want) = (&trial.home, trial.sent - counted);
        until("the agent has stored all", || crate::live::sightings(home, &server) == want);
        // What is in the ring and in the agent is lost with it, and no more than that.
        live.signal("-STOP");
        trial.send(1, FAST);
        assert_eq!(live.agent.kill9_after(Duration::ZERO), None);
        counted += BURST;
    }
    trial.compare(&server, counted);
}

#[test]
fn live_clock_is_stepped() {
    let fault = "live_clock_is_stepped";
    let Some(clock) = Clock::new(fault) else { return };
    let rounds = pick(5, 1);
    let steps = rounds * STEPS.len();
    let done = format!("{steps} steps of the clock, of 2 s to 800 days, both ways");
    let Some(mut trial) = Trial::begin(fault, 186, done) else { return };
    let server = Redis::start();
    let wind = |command: &mut Command| clock.wind(command);
    let arguments = ["--interface", "cap", "--sensor", "test"];
    let live = Live::start_as(&trial.home, &trial.network, &server.url(), &arguments, wind);
    for _ in 0..rounds {
        for &step in STEPS {
            clock.set(step);
            trial.send(1, PACE);
        }
    }
    assert_eq!(trial.end(live, &server), 0, "packets were lost though there was room for them");
}
