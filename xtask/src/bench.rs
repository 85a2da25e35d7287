//! `cargo xtask bench [PART]`: measures imports of logs and packets into Redis, and their cost.
//!
//! The benchmarks are in `pdns-agent/benches`. The one for logs needs about 5 GB of them, which are generated
//! in `target/bench` if missing; the one for packets generates its own and sends them, for which it has to
//! run as root.
//!
//! The numbers of a run replace those in `pdns-agent/benches/results`, and the report is generated from them.

pub(crate) mod report;

use crate::python;
use crate::sample;
use crate::sample::row::Format;
use crate::shell::{Need, REDIS, cargo, install, is_root, root, run, target};
use anyhow::Context as _;
use clap::ValueEnum;
use std::fs;
use std::path::Path;
use std::process::Command;

const NAMES: u64 = 1_000_000;
/// Number of occurrences of each name in the log of new names, so that all its records appear: in rows close
/// to each other.
const TIMES: u64 = 3;
const CLOSE: u64 = 2000;
/// Number of occurrences of each name in the long logs: within `NEAR` rows, as for names that people use, or
/// all over the log.
const REPEATS: u64 = 20;
const NEAR: u64 = 500_000;
/// Time of the second log's first row: a day after the first log's.
const SECOND_DAY: u32 = 1_767_657_600;

/// Part of the benchmarks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Import of Zeek logs into Redis, compared with the limits of Redis and with other programs
    Ingest,
    /// Time of answers at ten million names, and the effect of queries on writers
    Query,
    /// Two million indicators: their memory, what they cost answers, and how long a feed takes
    Intel,
    /// Floods of new names: memory, rate, and other look-ups meanwhile
    Flood,
    /// Half of ten million names forgotten: memory, and what it costs those who write and ask
    Forget,
    /// A store on a Redis Cluster beside one on a single server
    Cluster,
    /// Names judged by their text: speed; and the quality of models beside Click Security's forest, where
    /// `PDNS_TEST_DATA` has the lists
    Names,
    /// All names of a store judged, and what following new names costs the store
    Judge,
    /// User-space cost of a response, and packets per second without loss, compared with dnscap and dumpcap
    Capture,
    /// Cost of the kernel filter per packet, compared with the one compiled by libpcap
    Filter,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Part to measure [default: all]
    part: Option<Part>,
}

/// Generates the input of the benchmarks, and runs them.
pub(crate) fn bench(args: &Args) -> anyhow::Result<()> {
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for &part in Part::value_variants() {
        if args.part.is_none_or(|wanted| wanted == part) {
            match part {
                Part::Ingest => ingest(&directory)?,
                Part::Query => query(&directory)?,
                Part::Intel => {
                    install(&[REDIS])?;
                    measure("intel", &directory)?;
                }
                Part::Flood => flood(&directory)?,
                Part::Forget => forget(&directory)?,
                Part::Cluster => {
                    one_million(&directory)?;
                    measure("cluster", &directory)?;
                }
                Part::Names => names(&directory)?,
                Part::Judge => judge(&directory)?,
                Part::Capture => capture(&directory)?,
                Part::Filter => filter(&directory)?,
            }
        }
    }
    Ok(())
}

/// Benchmarks the filter.
fn filter(directory: &Path) -> anyhow::Result<()> {
    install(&[
        Need { program: "ip", package: "iproute2" },
        Need { program: "tcpdump", package: "tcpdump" },
    ])?;
    measure("filter", directory)
}

/// Benchmarks packets.
fn capture(directory: &Path) -> anyhow::Result<()> {
    install(&[
        REDIS,
        Need { program: "ip", package: "iproute2" },
        Need { program: "tcpreplay", package: "tcpreplay" },
        Need { program: "dnscap", package: "dnscap" },
        Need { program: "dumpcap", package: "wireshark-common" },
    ])?;
    measure("capture", directory)
}

/// Generates the missing logs, and benchmarks their import.
fn ingest(directory: &Path) -> anyhow::Result<()> {
    install(&[REDIS, Need { program: "redis-benchmark", package: "redis-tools" }])?;
    let new = || sample::Args { locality: CLOSE, ..sample::Args::for_bench(NAMES * TIMES, NAMES) };
    let logs = [
        ("1-new.tsv", new()),
        (
            "2-known.tsv",
            sample::Args {
                known: 90,
                start: SECOND_DAY,
                ..sample::Args::for_bench(NAMES / 2, NAMES)
            },
        ),
        ("new.json", sample::Args { format: Format::Json, ..new() }),
        (
            "near.tsv",
            sample::Args { locality: NEAR, ..sample::Args::for_bench(NAMES * REPEATS, NAMES) },
        ),
        ("many.tsv", sample::Args::for_bench(NAMES * REPEATS, NAMES)),
    ];
    for (name, args) in logs {
        make(directory, name, args)?;
    }
    measure("ingest", directory)
}

/// Generates the log of ten million names.
fn ten_million(directory: &Path) -> anyhow::Result<()> {
    let names = 10 * NAMES;
    let all = sample::Args::for_bench(names * TIMES, names);
    make(directory, "ten-million.tsv", sample::Args { locality: CLOSE, ..all })
}

/// Generates the log of ten million names, and benchmarks how half of them are forgotten.
fn forget(directory: &Path) -> anyhow::Result<()> {
    install(&[REDIS])?;
    ten_million(directory)?;
    measure("forget", directory)
}

/// Generates the log of ten million names and one about some of them, and benchmarks queries.
fn query(directory: &Path) -> anyhow::Result<()> {
    install(&[REDIS])?;
    ten_million(directory)?;
    let names = 10 * NAMES;
    let some = sample::Args::for_bench(2 * NAMES, names);
    let some = sample::Args { known: 90, start: SECOND_DAY, ..some };
    make(directory, "two-of-ten-million.tsv", some)?;
    measure("query", directory)
}

/// Generates a log of a million names, and benchmarks floods that come over their store.
fn flood(directory: &Path) -> anyhow::Result<()> {
    one_million(directory)?;
    measure("flood", directory)
}

/// Generates a log of a million names, and benchmarks their judgement.
fn judge(directory: &Path) -> anyhow::Result<()> {
    one_million(directory)?;
    measure("judge", directory)
}

/// Measures the judgement of names by their text, and compares models on names that they have not seen.
fn names(directory: &Path) -> anyhow::Result<()> {
    measure("names", directory)?;
    let data = std::env::var_os("PDNS_TEST_DATA").map(|folder| Path::new(&folder).join("dga"));
    let Some(data) = data.filter(|data| data.join("train/dga.tsv").exists()) else {
        eprintln!("models are not compared: PDNS_TEST_DATA has no dga/train/dga.tsv");
        return Ok(());
    };
    python::install()?;
    run(&mut cargo(&["build", "--release", "--package", "pdns-agent", "--bin", "pdns"]))?;
    let out = directory.join("models.tsv");
    run(Command::new(python::interpreter()?)
        .arg(root().join("pdns-agent/benches/names/compare.py"))
        .arg(target()?.join("release/pdns"))
        .arg(data)
        .arg(directory.join("names"))
        .arg(&out))?;
    report::publish(&root(), &out)
}

/// Generates a log of a million names for a store that the benchmark fills.
fn one_million(directory: &Path) -> anyhow::Result<()> {
    install(&[REDIS])?;
    let args = sample::Args { locality: CLOSE, ..sample::Args::for_bench(NAMES, NAMES) };
    make(directory, "one-million.tsv", args)
}

/// Generates a log if it is missing.
fn make(directory: &Path, name: &str, mut args: sample::Args) -> anyhow::Result<()> {
    let out = directory.join(name);
    if out.exists() {
        return Ok(());
    }
    // Under a different name until it is complete.
    let unfinished = directory.join("unfinished");
    args.out.clone_from(&unfinished);
    sample::run(&args)?;
    fs::rename(&unfinished, &out).with_context(|| format!("cannot make {}", out.display()))
}

/// Runs one of the benchmark programs, and puts its numbers into the report.
fn measure(name: &str, directory: &Path) -> anyhow::Result<()> {
    let mut bench = cargo(&["bench", "--package", "pdns-agent", "--bench", name]);
    run(bench.env("PDNS_BENCH", directory))?;
    // Packets and the filter are measured in part, or not at all, by anyone but root.
    if is_root() || !matches!(name, "capture" | "filter") {
        report::publish(&root(), &directory.join(name).with_extension("tsv"))?;
    }
    Ok(())
}
