//! Measures the way from packets into Redis: `cargo xtask bench capture`.
//!
//! Two things: what a response costs in user space, from frames in memory; and how many packets per second go in
//! without loss, beside programs that only write packets to a file, on the same replay.
//!
//! `cargo bench --bench capture -- inside` or `-- replay` measures one of them.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a program that prints ratios of counts far below 2^53, and makes its own data"
)]

mod inside;
mod network;
mod programs;
mod replay;
#[allow(dead_code, reason = "what `ingest` needs of it is more")]
#[path = "../ingest/report.rs"]
mod report;
#[allow(dead_code, reason = "what `ingest` needs of it is more")]
#[path = "../ingest/server.rs"]
mod server;
mod traffic;

use report::Report;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench capture`");
        return;
    };
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let mut report = Report::new();
    if is_wanted("inside") {
        inside::measure(&mut report);
    }
    if is_wanted("replay") {
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if is_root {
            replay::measure(&mut report, &folder);
        } else {
            println!("skipping the replay: needs root");
        }
    }
    report.write(&folder.join("capture.tsv"));
}
