//! Measures floods of new names: `cargo xtask bench flood`.
//!
//! A store of a million names gets three million random names below one domain, then below a thousand, each with the bound
//! on new names and without it. Look-ups of other names go on meanwhile.

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

use pdns_agent::name::NameBuf;
use report::Report;
use server::Server;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Names of a flood.
const NAMES: u64 = 3_000_000;
/// The second of its answers, all on one day.
const START: u64 = 1_767_700_000;
/// Milliseconds that the slowest hundredth of them may take.
const SLOWEST: f64 = 20.0;

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench flood`");
        return;
    };
    let usual = folder.join("one-million.tsv");
    let folder = folder.join("flood");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let mut report = Report::new();
    for (domains, below) in [(1, "one domain"), (1_000, "1,000 domains")] {
        let flood = write(&folder, domains);
        for (bound, how) in [("10000", "bounded"), ("0", "without a bound")] {
            measure(&folder, &usual, &flood, bound, &format!("{below}, {how}"), &mut report);
        }
        std::fs::remove_file(&flood).expect("the log is there");
    }
    report.write(&folder.parent().unwrap_or(&folder).join("flood.tsv"));
}

/// Writes a log of names that nobody asks for twice.
fn write(folder: &Path, domains: u64) -> PathBuf {
    let path = folder.join("flood.log");
    let mut log = BufWriter::new(std::fs::File::create(&path).expect("the log can be made"));
    let mut random = fastrand::Rng::with_seed(domains);
    let mut line = String::new();
    for number in 0..NAMES {
        line.clear();
        let (second, name, domain) =
            (START + number / 100_000, random.u64(..), random.u64(..domains));
        writeln!(
            line,
            r#"{{"ts":{second}.5,"id.orig_h":"10.0.0.1","id.resp_p":53,"query":"{name:016x}.flood{domain}.com","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["45.61.{}.{}"],"TTLs":[300.0]}}"#,
            random.u8(..),
            random.u8(..),
        )
        .expect("text can be made");
        log.write_all(line.as_bytes()).expect("the log can be written");
    }
    log.flush().expect("the log can be written");
    path
}

/// Fills a store, and has the flood come over it.
fn measure(
    folder: &Path,
    usual: &Path,
    flood: &Path,
    bound: &str,
    what: &str,
    report: &mut Report,
) {
    let server = Server::start(folder);
    server.import(usual);
    let mut names = Vec::new();
    server
        .store()
        .reader()
        .names(None, &mut |block| {
            let lines = block.split(|&octet| octet == b'\n').step_by(997);
            let read =
                lines.filter_map(|line| NameBuf::parse(std::str::from_utf8(line).ok()?).ok());
            names.extend(read.filter(|name| !name.as_name().is_root()));
            ControlFlow::Continue(())
        })
        .expect("the names can be read");
    let before = server.look_up(&names, &|done| done >= 2_000);
    let (memory, records) = (server.memory(), server.records());
    let is_over = AtomicBool::new(false);
    let (time, during) = std::thread::scope(|threads| {
        let asking = threads.spawn(|| server.look_up(&names, &|_| is_over.load(Ordering::Relaxed)));
        let begin = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
            .args(["--new-names", bound, "zeek", "--once"])
            .arg(flood)
            .env("PDNS_REDIS", server.url())
            .stderr(Stdio::null())
            .status()
            .expect("the agent runs");
        assert!(status.success(), "the agent failed");
        let time = begin.elapsed();
        is_over.store(true, Ordering::Relaxed);
        (time, asking.join().expect("look-ups do not fail"))
    });
    let after = server.look_up(&names, &|done| done >= 2_000);
    let mebibytes = server.memory().saturating_sub(memory) as f64 / f64::from(1 << 20);
    report.number(&format!("{what}: records more"), (server.records() - records) as f64);
    report.number(&format!("{what}: MiB more"), mebibytes);
    report.clock(&format!("{what}: names a second"), NAMES, time);
    for (times, when) in [(before, "before"), (during, "during"), (after, "after")] {
        report.milliseconds(&format!("{what}: other look-ups {when}"), &times, Some(SLOWEST));
    }
}
