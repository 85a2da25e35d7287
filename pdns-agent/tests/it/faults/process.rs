//! The agent is killed, asked to end, frozen, and its clock is stepped.

use super::{Trial, pick, progresses};
use crate::agent::{Agent, zeek};
use crate::redis::Redis;
use crate::support::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Longest life of an agent: some are too short to do anything.
const LIFE: Duration = Duration::from_millis(700);

/// Libraries that give a program another clock, of Debian's package libfaketime.
const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

#[test]
fn the_agent_is_killed() {
    let kills = pick(200, 50);
    let done = format!("kill -9 at {kills} random points");
    let mut trial = Trial::begin("the_agent_is_killed", 121, done);
    let server = Redis::start_durable();
    for kill in 0..kills {
        let life = trial.moment(LIFE);
        let code = trial.follow(&server.url()).kill9_after(life);
        assert_eq!(code, None, "the agent ended by itself before kill {kill}");
    }
    let agent = trial.follow(&server.url());
    trial.end(agent, &server);
}

#[test]
fn the_agent_is_asked_to_end() {
    let times = pick(100, 10);
    let done = format!("SIGTERM at {times} random points");
    let mut trial = Trial::begin("the_agent_is_asked_to_end", 122, done);
    let server = Redis::start_durable();
    for _ in 0..times {
        let mut agent = trial.follow(&server.url());
        // Before it has begun, the signal ends it like any other program.
        progresses(&mut agent, &server);
        thread::sleep(trial.moment(LIFE));
        let (code, said) = agent.terminate();
        assert_eq!(code, Some(0), "{said}");
    }
    let agent = trial.follow(&server.url());
    trial.end(agent, &server);
}

#[test]
fn the_agent_is_frozen() {
    let (times, longest) = pick((10, Duration::from_secs(30)), (3, Duration::from_secs(4)));
    let done = format!("SIGSTOP for up to {} s, {times} times", longest.as_secs());
    let mut trial = Trial::begin("the_agent_is_frozen", 123, done);
    let server = Redis::start_durable();
    let mut agent = trial.follow(&server.url());
    for _ in 0..times {
        progresses(&mut agent, &server);
        thread::sleep(trial.moment(LIFE));
        agent.signal("-STOP");
        // Redis closes the connections of a client that says nothing meanwhile.
        server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        thread::sleep(trial.moment(longest));
        agent.signal("-CONT");
    }
    trial.end(agent, &server);
}

/// A clock that a program takes for the system's, and that can be set.
pub(super) struct Clock {
    library: &'static str,
    folder: TempDir,
}

impl Clock {
    /// One that is right, if this machine has what it takes.
    pub(super) fn new(test: &str) -> Option<Self> {
        let Some(library) = FAKETIME.iter().find(|library| Path::new(library).exists()) else {
            skip(test, "needs libfaketime");
            return None;
        };
        let folder = TempDir::with_prefix("pdns-clock-").expect("a temporary directory");
        let clock = Self { library, folder };
        clock.set(0);
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Gives a program this clock. Waits are not changed by it, as they are not by a step of the real one.
    pub(super) fn wind(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_RESET", "1");
    }

    /// Sets it so many seconds before or behind the real one.
    pub(super) fn set(&self, seconds: i64) {
        // In one step: a program that reads half of it would have yet another time.
        let new = self.file().with_extension("new");
        std::fs::write(&new, format!("{seconds:+}s\n")).expect("the folder is ours");
        std::fs::rename(&new, self.file()).expect("the folder is ours");
    }
}

/// Steps of a clock: from seconds to years, back and forth.
pub(super) const STEPS: &[i64] =
    &[3600, -3600, 86_400, -2, 2, -86_400 * 400, 0, 86_400 * 400, -30, -7200, 5, 0];

#[test]
fn the_clock_is_stepped() {
    let steps = pick(10, 1);
    let done = format!("{} steps of the clock, of 2 s to 800 days, both ways", steps * STEPS.len());
    let Some(clock) = Clock::new("the_clock_is_stepped") else { return };
    let mut trial = Trial::begin("the_clock_is_stepped", 124, done);
    let server = Redis::start();
    let mut command = zeek(&trial.home, &server.url());
    clock.wind(&mut command);
    let mut agent = Agent::start(command.args(["--flush", "0.1"]).arg(&trial.folder));
    progresses(&mut agent, &server);
    for _ in 0..steps {
        for &step in STEPS {
            clock.set(step);
            progresses(&mut agent, &server);
            thread::sleep(trial.moment(Duration::from_millis(500)));
        }
    }
    trial.end(agent, &server);
}
