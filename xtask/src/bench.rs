//! `cargo xtask bench [PART]`: how logs and packets go into Redis, and what that costs.
//!
//! The measuring is in `pdns-agent/benches`. That of logs needs some 5 GB of them, which are made in `target/bench`
//! when they are not there; that of packets makes its own, and sends them, for which it has to be root.

use crate::sample;
use crate::sample::row::Format;
use crate::shell::{Need, REDIS, cargo, install, root, run};
use anyhow::Context as _;
use clap::ValueEnum;
use std::fs;
use std::path::Path;

const NAMES: u64 = 1_000_000;
/// How often each name comes in the log of new names, so that it has all its records: in rows that lie close.
const TIMES: u64 = 3;
const CLOSE: u64 = 2000;
/// How often each name comes in the long logs: within so many rows, as people's names do, or all over it.
const REPEATS: u64 = 20;
const NEAR: u64 = 500_000;
/// Time of the second log's first row: a day after the first log's.
const SECOND_DAY: u32 = 1_767_657_600;

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// How Zeek logs go into Redis, beside what Redis can do and what others do
    Ingest,
    /// What an answer takes at ten million names, and what questions cost those who write
    Query,
    /// What a response costs in user space, and the packets per second without loss, beside dnscap and dumpcap
    Capture,
    /// What the filter in the kernel costs each packet, beside the one that libpcap compiles
    Filter,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure; all of it if nothing is said
    part: Option<Part>,
}

/// Makes what the measurements need, and measures.
pub(crate) fn bench(args: &Args) -> anyhow::Result<()> {
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for &part in Part::value_variants() {
        if args.part.is_none_or(|wanted| wanted == part) {
            match part {
                Part::Ingest => ingest(&directory)?,
                Part::Query => query(&directory)?,
                Part::Capture => capture(&directory)?,
                Part::Filter => filter()?,
            }
        }
    }
    Ok(())
}

/// Measures the filter.
fn filter() -> anyhow::Result<()> {
    install(&[
        Need { program: "ip", package: "iproute2" },
        Need { program: "tcpdump", package: "tcpdump" },
    ])?;
    run(&mut cargo(&["bench", "--package", "pdns-agent", "--bench", "filter"]))
}

/// Measures packets.
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

/// Makes the logs that are not there yet, and measures them.
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

/// Makes the log of ten million names and one about some of them, and measures questions.
fn query(directory: &Path) -> anyhow::Result<()> {
    install(&[REDIS])?;
    let names = 10 * NAMES;
    let all = sample::Args::for_bench(names * TIMES, names);
    make(directory, "ten-million.tsv", sample::Args { locality: CLOSE, ..all })?;
    let some = sample::Args::for_bench(2 * NAMES, names);
    let some = sample::Args { known: 90, start: SECOND_DAY, ..some };
    make(directory, "two-of-ten-million.tsv", some)?;
    measure("query", directory)
}

/// Makes a log that is not there yet.
fn make(directory: &Path, name: &str, mut args: sample::Args) -> anyhow::Result<()> {
    let out = directory.join(name);
    if out.exists() {
        return Ok(());
    }
    // Under another name until it is whole.
    let unfinished = directory.join("unfinished");
    args.out.clone_from(&unfinished);
    sample::run(&args)?;
    fs::rename(&unfinished, &out).with_context(|| format!("cannot make {}", out.display()))
}

/// Runs one of the programs that measure.
fn measure(name: &str, directory: &Path) -> anyhow::Result<()> {
    let mut bench = cargo(&["bench", "--package", "pdns-agent", "--bench", name]);
    run(bench.env("PDNS_BENCH", directory))
}
