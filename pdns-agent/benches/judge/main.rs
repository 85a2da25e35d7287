//! Measures `pdns judge`: all names of a store, and what following new names costs the store: `cargo xtask bench judge`.
//!
//! A made-up log of a million names is imported by the real agent, and judged by the real `pdns`. Then another log of new
//! names is imported while a judge follows: at 10,000 names a second, and as fast as can be, so that it lags.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a program that prints times and ratios"
)]

#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/report.rs"]
mod report;
#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/server.rs"]
mod server;

use report::Report;
use server::Server;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names of the store that are judged for the target of ten million.
const GOAL: f64 = 10_000_000.0;
/// Seconds that they may take.
const GOAL_SECONDS: f64 = 120.0;
/// New names a second.
const RATE: u64 = 10_000;
/// For how many seconds, unless `PDNS_BENCH_SECONDS` says otherwise.
const SECONDS: u64 = 30;
/// New names of the import at full speed.
const BURST: u64 = 300_000;
/// The first second of the logs that follow.
const START: u64 = 1_767_700_000;

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench judge`");
        return;
    };
    let log = folder.join("one-million.tsv");
    let folder = folder.join("judge");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let mut report = Report::new();
    let server = Server::start(&folder);
    import(&server, &log);
    existing(&server, &mut report);
    paced(&server, &folder, &mut report);
    burst(&server, &folder, &mut report);
    report.write(&folder.parent().unwrap_or(&folder).join("judge.tsv"));
}

/// Time of an import.
fn import(server: &Server, log: &Path) -> Duration {
    let begin = Instant::now();
    server.import(log);
    begin.elapsed()
}

fn judge(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pdns"));
    command.arg("judge").args(arguments).env("PDNS_REDIS", server.url());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// All names of a store.
fn existing(server: &Server, report: &mut Report) {
    let names = server.store().reader().summary().expect("the store tells its state").names;
    let begin = Instant::now();
    let status = judge(server, &["--once", "--all"]).status().expect("pdns runs");
    assert!(status.success(), "pdns judge failed");
    let time = begin.elapsed();
    report.number("existing names", names as f64);
    report.clock("existing names judged", names, time);
    let goal = GOAL * time.as_secs_f64() / names as f64;
    report.at_most("seconds for ten million, at that rate", goal, GOAL_SECONDS);
}

/// A program that follows, stopped in order.
struct Following(Child);

impl Following {
    fn start(server: &Server) -> Self {
        let child = judge(server, &[]).spawn().expect("pdns runs");
        // It learns which domains are known.
        let deadline = Instant::now() + Duration::from_mins(1);
        while server.store().reader().judge().expect("the lease reads").1.is_none() {
            assert!(Instant::now() < deadline, "the judge does not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(3));
        Self(child)
    }

    /// Waits until nothing is left.
    fn caught_up(server: &Server, names: u64) -> Duration {
        let begin = Instant::now();
        while judged(server) < names {
            assert!(begin.elapsed() < Duration::from_mins(5), "the judge does not catch up");
            std::thread::sleep(Duration::from_millis(100));
        }
        begin.elapsed()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        self.0.wait().ok();
    }
}

/// Names that were judged on the store.
fn judged(server: &Server) -> u64 {
    let state = server.store().reader().judge().expect("the state reads").0;
    let state = state.and_then(|state| pdns_agent::judge::State::decode(&state));
    state.map_or(0, |state| state.counters.names)
}

/// A name that nobody has, one in ten below a domain of its own.
fn line(log: &mut String, part: &str, number: u64) {
    let domain = if number.is_multiple_of(10) { number } else { number % 4_999 };
    let (second, address) = (
        START + number / RATE,
        std::net::Ipv4Addr::from_bits(0x2d00_0000 + u32::try_from(number % 0xff_ffff).unwrap_or(0)),
    );
    writeln!(
        log,
        r#"{{"ts":{second}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"h{number}.{part}{domain}.com","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["{address}"],"TTLs":[300.0],"rejected":false}}"#
    )
    .expect("text can be made");
}

/// Seconds of new names at a steady rate.
fn seconds() -> u64 {
    let given = std::env::var("PDNS_BENCH_SECONDS").ok();
    given.map_or(SECONDS, |given| given.parse().expect("PDNS_BENCH_SECONDS is a number"))
}

/// New names at a steady rate: how busy they keep the store, without a judge and with one, and how far the agent is
/// behind.
fn paced(server: &Server, folder: &Path, report: &mut Report) {
    let seconds = seconds();
    let mut run = |part: &str, follows: bool| {
        let following = follows.then(|| Following::start(server));
        let before_judged = judged(server);
        let path = folder.join(format!("{part}.log"));
        let mut log = std::fs::File::create(&path).expect("the log can be made");
        let agent = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
            .arg("zeek")
            .arg(&path)
            .env("PDNS_REDIS", server.url())
            .stderr(Stdio::null())
            .spawn()
            .expect("the agent runs");
        let agent = Following(agent);
        let (before, records, begin) = (server.spent(), server.records(), Instant::now());
        let mut number = 0;
        for tick in 1..=seconds * 10 {
            let mut text = String::new();
            while number < tick * RATE / 10 {
                line(&mut text, part, number);
                number += 1;
            }
            log.write_all(text.as_bytes()).expect("the log can be written");
            let due = begin + Duration::from_millis(tick * 100);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let deadline = Instant::now() + Duration::from_mins(5);
        while server.records() < records + number {
            assert!(Instant::now() < deadline, "the agent does not catch up");
            std::thread::sleep(Duration::from_millis(50));
        }
        let late = begin.elapsed().as_secs_f64() - seconds as f64;
        if following.is_some() {
            let lag = Following::caught_up(server, before_judged + number);
            report.number("seconds until the judge has all of them", lag.as_secs_f64());
        }
        let busy = server.spent().since(before).time().as_secs_f64() / seconds as f64;
        drop(agent);
        (busy, late)
    };
    let (alone, late_alone) = run("alone", false);
    let (with, late_with) = run("with", true);
    report.number(
        "share of a processor that Redis needs for 10,000 new names a second, in %",
        alone * 100.0,
    );
    report.number("the same while they are judged", with * 100.0);
    report.number("seconds by which the agent is late, alone", late_alone);
    report.at_most("the same while they are judged", late_with, late_alone + seconds as f64 * 0.1);
}

/// An import at full speed.
fn burst(server: &Server, folder: &Path, report: &mut Report) {
    let write = |part: &str| {
        let mut text = String::new();
        for number in 0..BURST {
            line(&mut text, part, number);
        }
        let path = folder.join(format!("{part}.log"));
        std::fs::write(&path, text).expect("the log can be written");
        path
    };
    let (first, second) = (write("first"), write("second"));
    let alone = import(server, &first);
    let _following = Following::start(server);
    // The names of the import before it, too.
    let before = judged(server);
    let with = import(server, &second);
    let lag = Following::caught_up(server, before + BURST);
    report.clock("new names imported at full speed", BURST, alone);
    report.clock("the same while a judge follows", BURST, with);
    report.clock("new names judged while and after they are imported", BURST, with + lag);
}
