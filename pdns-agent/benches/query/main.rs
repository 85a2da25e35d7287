//! Measures what an answer takes at ten million names: `cargo xtask bench query`.
//!
//! The store is filled from a made-up log by the real agent, once; its snapshot is kept beside the log. Then each
//! question is put to the real `pdns`, the start of the process included, many times with other subjects. A look-up
//! takes less than a process does to start, so look-ups are measured inside the library as well.
//!
//! Then come tags, and pages of the web server. Last comes what questions cost those who write: the agent's rate alone, and while searches run without a pause.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a program that prints times and ratios, of its own data"
)]

mod ask;
mod fill;
mod ingest;
#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/report.rs"]
mod report;
#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/server.rs"]
mod server;
mod sockets;
mod subjects;
mod tagged;

use report::Report;
use std::path::PathBuf;

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench query`, which makes their log");
        return;
    };
    let mut report = Report::new();
    let server = fill::filled(&folder);
    let summary = server.store().reader().summary().expect("the store tells its state");
    report.number("names, in millions", summary.names as f64 / 1e6);
    report.number("records, in millions", summary.records as f64 / 1e6);
    let per_record = server.memory() as f64 / summary.records as f64;
    report.at_most("octets of memory a record", per_record, 115.0);
    let subjects = subjects::Subjects::read(&folder.join(fill::LOG));
    ask::inside(&server, &subjects, &mut report);
    ask::all(&server, &subjects, &mut report);
    sockets::all(&server, &folder, &mut report);
    tagged::all(&server, &subjects, &folder, &mut report);
    ingest::beside_questions(&server, &folder, &mut report);
    report.write(&folder.join("query.tsv"));
}
