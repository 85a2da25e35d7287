//! `cargo xtask fuzz`: runs the fuzz targets in `pdns-agent/fuzz`.
//!
//! The targets are built without cargo-fuzz: in the folder of all other builds, with the dependencies of the tests, so
//! that only our own crates are built for coverage (`pdns-agent/fuzz/rustc.sh`). No code of the decoders is unsafe, so a
//! panic or too much memory tells all, and there is no sanitizer. Seeds are captures and logs of the test data, and the
//! files in `pdns-agent/fuzz/seeds`. Interesting inputs are kept in `target/fuzz`, so that the next run continues there.

use crate::shell::{cargo, root, run, target};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The targets; each is a file in `pdns-agent/fuzz/targets`.
const TARGETS: [&str; 17] = [
    "packet",
    "stream",
    "message",
    "zeek",
    "eve",
    "cof",
    "resp",
    "snapshot",
    "stored",
    "subject",
    "path",
    "stix",
    "misp",
    "intel",
    "prose",
    "judgement",
    "score",
];
/// Time for each target.
const SECONDS: u32 = 20;
/// Maximum input length, in bytes.
const LONGEST: &str = "-max_len=65536";
/// Memory limit of a target, in MiB: the decoder's limits, and the fuzzer's own corpus.
const MEMORY: &str = "-rss_limit_mb=1024";

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = SECONDS)]
    pub(crate) seconds: u32,
    /// This target only: packet, stream, message, zeek, eve, cof, resp, snapshot, stored, subject, path,
    /// stix, misp, intel, prose, judgement or score
    pub(crate) target: Option<String>,
}

/// Runs the targets; fails if one finds something.
pub(crate) fn fuzz(args: &Args) -> anyhow::Result<()> {
    if let Some(target) = &args.target
        && !TARGETS.contains(&target.as_str())
    {
        bail!("{target} is not a target: there are {}", TARGETS.join(", "));
    }
    let work = root().join("target/fuzz");
    let programs = target()?.join("debug");
    run(&mut build(&["--bins", "--example", "seeds"])?)?;
    let seeds = work.join("seeds");
    run(Command::new(programs.join("examples/seeds")).arg(data().join("pcaps")).arg(&seeds))?;
    for target in TARGETS {
        if args.target.as_ref().is_some_and(|only| only != target) {
            continue;
        }
        let folder = |part: &str| {
            let folder = work.join(part).join(target);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            Ok::<PathBuf, anyhow::Error>(folder)
        };
        let (found, broken) = (folder("corpus")?, folder("artifacts")?);
        let given = match target {
            "packet" | "stream" | "message" => folder("seeds")?,
            "zeek" => root().join("pdns-agent/tests/data/zeek-logs/zat"),
            "eve" => root().join("pdns-agent/tests/data/suricata-eve"),
            _ => root().join("pdns-agent/fuzz/seeds").join(target),
        };
        let mut command = Command::new(programs.join(target));
        command.args([&found, &given]);
        command.arg(format!("-artifact_prefix={}/", broken.display()));
        command.args([LONGEST, MEMORY, "-timeout=10", "-print_final_stats=1"]);
        run(command.arg(format!("-max_total_time={}", args.seconds)))?;
    }
    Ok(())
}

/// Some seconds for each target, as CI has it.
pub(crate) fn for_ci() -> anyhow::Result<()> {
    fuzz(&Args { seconds: SECONDS, target: None })
}

/// The build of the targets, in the folder of all other builds.
fn build(words: &[&str]) -> anyhow::Result<Command> {
    let package = root().join("pdns-agent/fuzz");
    let mut cargo = cargo(&["build", "--quiet", "--manifest-path"]);
    cargo.arg(package.join("Cargo.toml")).arg("--target-dir").arg(target()?).args(words);
    cargo.env("RUSTC_WRAPPER", package.join("rustc.sh"));
    Ok(cargo)
}

/// The test data: the real one where it is, otherwise our own.
fn data() -> PathBuf {
    let outside = std::env::var_os("PDNS_TEST_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if outside.is_dir() { outside } else { root().join("pdns-agent/tests/data") }
}
