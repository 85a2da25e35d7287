//! Faults while an agent works: one test for each. Logs grow and rotate, or packets arrive; something breaks and is mended; then
//! the whole store is compared with an undisturbed import of the same input.
//!
//! A plain run is a sample with a fixed seed. `cargo xtask faults` sets `PDNS_FAULTS=all`, which has each fault go its whole
//! length, and collects the lines of the report from the folder that `PDNS_FAULTS_REPORT` names.

mod connection;
mod files;
mod live;
mod process;
mod store;

use crate::agent::{Agent, acknowledged, clean_import_with};
use crate::logs::{Rotation, Zeek, seed};
use crate::redis::{Redis, until};
use crate::run::Home;
use crate::store::{Model, agrees, contents, options};
use pdns_agent::store::Store;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pause of Zeek between two pieces of its log.
const REST: Duration = Duration::from_millis(2);
/// Names in the logs.
const NAMES: u32 = 3_000;
/// Time without any progress after which an agent counts as stuck.
const STUCK: Duration = Duration::from_mins(1);

/// Chooses between the whole length of a fault and the sample that CI runs.
fn pick<T>(all: T, sample: T) -> T {
    let is_full = std::env::var_os("PDNS_FAULTS").is_some_and(|value| value == "all");
    if is_full { all } else { sample }
}

/// Line of the report about one fault. It is written when dropped, so that a test that fails has one, too.
struct Line {
    fault: &'static str,
    done: String,
    begun: Instant,
    measured: Option<Measured>,
}

/// Comparison of a store with what it should hold.
#[derive(Clone, Copy, Default)]
struct Measured {
    /// Distinct records and negative answers.
    records: u64,
    /// The sum of their counts: lines' or packets' answers.
    answers: u64,
    /// Answers that are missing, and that the agent counted as lost. Always 0 for logs.
    counted: u64,
    /// Answers that are missing without a word.
    lost: u64,
    /// Answers that were counted more than once.
    doubled: u64,
}

impl Line {
    fn new(fault: &'static str, done: String) -> Self {
        Self { fault, done, begun: Instant::now(), measured: None }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(folder) = std::env::var_os("PDNS_FAULTS_REPORT").map(PathBuf::from) else {
            return;
        };
        let is_held = !thread::panicking()
            && matches!(self.measured, Some(Measured { lost: 0, doubled: 0, .. }));
        let verdict = if is_held { "held" } else { "FAILED" };
        let Measured { records, answers, counted, lost, doubled } =
            self.measured.unwrap_or_default();
        let text = format!(
            "{}\t{}\t{}\t{records}\t{answers}\t{counted}\t{lost}\t{doubled}\t{verdict}\n",
            self.fault,
            self.done,
            self.begun.elapsed().as_secs(),
        );
        // Must not panic: the test may be failing already.
        if let Err(error) = std::fs::write(folder.join(self.fault), text) {
            println!("no line of the report about {}: {error}", self.fault);
        }
    }
}

/// Compares the content of a store with what it should be.
fn compare(stored: &Model, wanted: &Model) -> Measured {
    let count = |model: &Model, key| model.get(key).map_or(0, |sum| sum.count);
    let mut measured = Measured { records: wanted.len() as u64, ..Measured::default() };
    for (key, sum) in wanted {
        measured.answers += sum.count;
        measured.lost += sum.count.saturating_sub(count(stored, key));
    }
    for (key, sum) in stored {
        measured.doubled += sum.count.saturating_sub(count(wanted, key));
    }
    measured
}

/// One fault while a Zeek writes a log without a pause, and rotates it.
struct Trial {
    line: Line,
    home: Home,
    folder: PathBuf,
    zeek: Arc<Mutex<Zeek>>,
    is_over: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
    random: fastrand::Rng,
    /// Arguments of the undisturbed import that decide what is stored.
    settings: &'static [&'static str],
}

impl Trial {
    /// Has Zeek write from now on.
    fn begin(fault: &'static str, number: u64, done: String) -> Self {
        let mut trial = Self::prepare(fault, number, done);
        trial.write();
        trial
    }

    /// The same, with Zeek still silent.
    fn prepare(fault: &'static str, number: u64, done: String) -> Self {
        Self::prepare_for(fault, number, done, NAMES)
    }

    /// The same, with another number of names in the logs.
    fn prepare_for(fault: &'static str, number: u64, done: String, names: u32) -> Self {
        let line = Line::new(fault, done);
        let number = seed(number);
        let home = Home::new();
        let folder = home.path().join("logs");
        let zeek = Zeek::new(&folder, Rotation::RenameAndGzip, number, names);
        let zeek = Arc::new(Mutex::new(zeek));
        let is_over = Arc::new(AtomicBool::new(false));
        let random = fastrand::Rng::with_seed(number);
        Self { line, home, folder, zeek, is_over, writer: None, random, settings: &[] }
    }

    /// Starts the thread that has Zeek write.
    fn write(&mut self) {
        let (zeek, is_over) = (Arc::clone(&self.zeek), Arc::clone(&self.is_over));
        self.writer = Some(thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                zeek.lock().unwrap().go_on();
                thread::sleep(REST);
            }
        }));
    }

    fn zeek(&self) -> MutexGuard<'_, Zeek> {
        self.zeek.lock().unwrap()
    }

    /// An agent that follows the logs.
    fn follow(&self, url: &str) -> Agent {
        Agent::follow(&self.home, url, &self.folder)
    }

    /// A span of time from nothing to `longest`.
    fn moment(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.f64())
    }

    /// Waits until Zeek has written so many bytes more.
    fn grows(&self, bytes: u64) {
        let enough = self.zeek().octets() + bytes;
        until("Zeek writes", || self.zeek().octets() >= enough);
    }

    /// Has Zeek write no more, and makes its last line whole.
    fn silence(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.join().expect("Zeek can write");
        }
        self.zeek().finish_line();
    }

    /// Ends the fault: the agent catches up and ends well, and the store holds what one undisturbed import does.
    fn end(mut self, mut agent: Agent, server: &Redis) {
        self.silence();
        let octets = self.zeek().octets();
        let (mut stored, mut since) = (0, Instant::now());
        while stored != octets {
            let now = acknowledged(server);
            if now != stored {
                (stored, since) = (now, Instant::now());
            }
            assert!(
                agent.is_alive() && since.elapsed() < STUCK,
                "{stored} of {octets} bytes are in the store, the agent said: {}",
                agent.said()
            );
            thread::sleep(Duration::from_millis(20));
        }
        let (code, said) = agent.terminate();
        assert_eq!(code, Some(0), "{said}");
        self.compare(server);
    }

    /// Compares the store with an undisturbed import of all that Zeek wrote.
    fn compare(mut self, server: &Redis) {
        let written = self.home.path().join("written");
        self.zeek().copy_to(&written);
        let model = clean_import_with(&self.home, &written, self.settings);
        let mut store = Store::open(&options(server)).unwrap();
        let measured = compare(&contents(&mut store), &model);
        self.line.measured = Some(measured);
        println!(
            "{}: {} answers about {} records in {} logs",
            self.line.fault,
            measured.answers,
            measured.records,
            self.zeek().rotated() + 1
        );
        agrees(&mut store, &model);
    }
}

/// Waits until the store has more of the logs than now.
fn progresses(agent: &mut Agent, server: &Redis) {
    let before = acknowledged(server);
    until("the agent goes on", || {
        assert!(agent.is_alive(), "the agent ended: {}", agent.said());
        acknowledged(server) > before
    });
}

impl Drop for Trial {
    fn drop(&mut self) {
        // A test that failed must not leave the folder written to.
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

/// Sends a process a signal: `-STOP`, `-CONT`.
#[track_caller]
fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.expect("kill is there").success(), "{pid} is gone");
}
