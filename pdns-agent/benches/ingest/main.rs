//! Measures the way from a Zeek log into Redis: `cargo xtask bench`.
//!
//! Figures are ratios to something measured in the same run on the same server: to `redis-benchmark` with
//! HINCRBY on random keys, which is what Redis can do, or to the key layout of the D4 project, which is what
//! others do. Rates are per second of the server's processor time, which other work on the machine disturbs
//! least; "by the clock" says where they are not.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a program that prints ratios of counts far below 2^53"
)]

mod d4;
#[allow(dead_code, reason = "what `capture` needs of it is more")]
mod report;
#[allow(dead_code, reason = "what `capture` needs of it is more")]
mod server;

use report::Report;
use server::{Server, Spent};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// When the second log begins: `cargo xtask bench` gives it a day of its own.
const SECOND_DAY: u32 = 1_767_657_600;

/// What the agent's run took.
struct Run {
    clock: Duration,
    server: Spent,
    /// What the server spent after the first log was read to its end.
    since_first: Spent,
    /// Largest resident memory, in octets.
    resident: u64,
}

fn main() {
    let Some(logs) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench`, which makes their logs");
        return;
    };
    let log = |name: &str| logs.join(name);
    let server = Server::start(&logs);
    let mut report = Report::new();

    let limit = server.limit();
    report.rate("redis-benchmark HINCRBY on 10 M random keys: the limit", limit);
    server.flush();

    let empty = server.memory();
    let new = run(&server, &[&log("1-new.tsv")]);
    let records = server.records();
    let per_record = (server.memory() - empty) as f64 / records as f64;
    let new_rate = new.server.per_second(records);
    report.rate("records, all new", new_rate);
    report.at_least("records, all new, of the limit", new_rate / limit, 0.15);
    report.clock("rows, all new, TSV, by the clock", rows(&log("1-new.tsv")), new.clock);
    report.at_most("octets of memory a record, one million names", per_record, 115.0);

    move_store(&server, &logs.join("store.bak"), &mut report);

    let cold = run(&server, &[&log("2-known.tsv")]);
    let touched = server.touched_since(SECOND_DAY);
    let cold_rate = cold.server.per_second(touched);
    report.rate("records, 90 % known to the store, agent just started", cold_rate);
    report.at_least("the same, of the limit", cold_rate / limit, 0.18);
    server.flush();

    let both = run(&server, &[&log("1-new.tsv"), &log("2-known.tsv")]);
    let warm_rate = both.since_first.per_second(touched);
    report.rate("records, 90 % known to store and agent", warm_rate);
    report.at_least("the same, of the limit", warm_rate / limit, 0.35);
    server.flush();

    let json = run(&server, &[&log("new.json")]);
    report.clock("rows, all new, JSON, by the clock", rows(&log("new.json")), json.clock);
    server.flush();

    let near = run(&server, &[&log("near.tsv")]);
    let count = rows(&log("near.tsv"));
    report.clock("rows, each name 20 times within 500,000 rows, by the clock", count, near.clock);
    let per_second = count as f64 / near.clock.as_secs_f64();
    report.at_least("the same, in thousands a second", per_second / 1000.0, 400.0);
    server.flush();

    let many = run(&server, &[&log("many.tsv")]);
    let count = rows(&log("many.tsv"));
    report.clock("rows, each name 20 times all over the log, by the clock", count, many.clock);
    let most = [&new, &cold, &both, &json, &near, &many].iter().map(|run| run.resident).max();
    report.at_most("agent's largest memory, MB", most.unwrap_or(0) as f64 / 1e6, 200.0);
    server.flush();

    let empty = server.memory();
    let (d4_records, spent) = d4::load(&server, &log("1-new.tsv"));
    let d4_per_record = (server.memory() - empty) as f64 / d4_records as f64;
    let d4_rate = spent.per_second(d4_records);
    report.rate("D4's layout: records, all new", d4_rate);
    report.number("D4's layout: octets of memory a record", d4_per_record);
    report.at_least("memory, D4's to ours", d4_per_record / per_record, 6.0);
    report.at_least("records a second, ours to D4's", new_rate / d4_rate, 1.0);

    report.write(&logs.join("ingest.tsv"));
}

/// Measures what moves a store of one million names as a whole. Ten million may take two minutes.
fn move_store(server: &Server, file: &Path, report: &mut Report) {
    let url = server.url();
    let file = file.to_str().expect("a path of our own making");
    for (what, arguments) in [
        ("seconds to back up one million names", &["--prefix", "pd:", "admin", "backup", file][..]),
        ("seconds to restore them", &["--prefix", "restored:", "admin", "restore", file]),
        ("seconds to copy them", &["--prefix", "copied:", "admin", "copy", &url]),
        (
            "seconds to merge them into an empty store",
            &["--prefix", "merged:", "admin", "merge", &url],
        ),
    ] {
        let started = Instant::now();
        let ended = Command::new(env!("CARGO_BIN_EXE_pdns"))
            .args(["--redis", &url])
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .expect("pdns starts");
        assert!(ended.success(), "{what}");
        report.at_most(what, started.elapsed().as_secs_f64(), 12.0);
        if !arguments.contains(&"backup") {
            server.remove(arguments.get(1).copied().unwrap_or_default());
        }
    }
    std::fs::remove_file(file).expect("the backup is there");
}

/// Imports logs with the real agent, one after the other.
fn run(server: &Server, logs: &[&Path]) -> Run {
    let before = server.spent();
    let started = Instant::now();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
        .args(["zeek", "--once", "--workers", "1", "--sensor", "bench"])
        .args(["--redis", &server.url()])
        .args(logs)
        .env_remove("PDNS_REDIS")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the agent starts");
    let status = PathBuf::from(format!("/proc/{}/status", agent.id()));
    let mut store = server.store();
    let mut resident = 0;
    let mut first = None;
    let ended = loop {
        if let Some(ended) = agent.try_wait().expect("our own child can be waited for") {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        resident = resident.max(most.unwrap_or(0) << 10);
        if first.is_none() {
            let sources = store.reader().sources().expect("the store tells its logs");
            first = sources.iter().any(|(_, log)| log.complete).then(|| server.spent());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(ended.success(), "the agent failed on {logs:?}");
    let spent = server.spent();
    Run {
        clock: started.elapsed(),
        server: spent.since(before),
        since_first: spent.since(first.unwrap_or(spent)),
        resident,
    }
}

/// Lines of a log that are rows.
fn rows(log: &Path) -> u64 {
    let file = std::fs::File::open(log).expect("a log of our own making");
    let lines = std::io::BufReader::with_capacity(1 << 20, file).split(b'\n');
    lines.map_while(Result::ok).filter(|line| line.first() != Some(&b'#')).count() as u64
}
