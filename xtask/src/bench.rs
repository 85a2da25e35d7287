//! `cargo xtask bench`: makes logs of a million names and measures how they go into Redis.
//!
//! The measuring is in `pdns-agent/benches`, which needs these logs: some 5 GB, in `target/bench`.

use crate::sample;
use crate::sample::row::Format;
use crate::shell::{Need, REDIS, cargo, install, root, run};
use anyhow::Context as _;
use std::fs;

const NAMES: u64 = 1_000_000;
/// How often each name comes in the log of new names, so that it has all its records: in rows that lie close.
const TIMES: u64 = 3;
const CLOSE: u64 = 2000;
/// How often each name comes in the long log, all over it.
const REPEATS: u64 = 20;
/// Time of the second log's first row: a day after the first log's.
const SECOND_DAY: u32 = 1_767_657_600;

/// Makes the logs that are not there yet, and measures.
pub(crate) fn bench() -> anyhow::Result<()> {
    let directory = root().join("target/bench");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
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
        ("many.tsv", sample::Args::for_bench(NAMES * REPEATS, NAMES)),
    ];
    for (name, args) in logs {
        let out = directory.join(name);
        if !out.exists() {
            // Under another name until it is whole.
            let unfinished = directory.join("unfinished");
            sample::run(&sample::Args { out: unfinished.clone(), ..args })?;
            fs::rename(&unfinished, &out)
                .with_context(|| format!("cannot make {}", out.display()))?;
        }
    }
    let mut bench = cargo(&["bench", "--package", "pdns-agent", "--bench", "ingest"]);
    run(bench.env("PDNS_BENCH", directory))
}
