//! `cargo xtask fuzz`: packets, streams and messages that nobody sends, for a minute each.
//!
//! The targets are in `pdns-agent/fuzz`. Seeds are made of the captures in the test data, where that is; what the
//! fuzzer finds of interest is kept in `target/fuzz`, so that the next run goes on from there.

use crate::shell::{cargo, root, run, target};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The targets; each is a file in `pdns-agent/fuzz/targets`.
const TARGETS: [&str; 3] = ["packet", "stream", "message"];
/// How long each runs.
const SECONDS: u32 = 60;
/// Longest input, in octets.
const LONGEST: &str = "-max_len=65536";
/// Memory that a target may take, in MiB: the decoder's bounds, and what the fuzzer keeps of its corpus.
const MEMORY: &str = "-rss_limit_mb=1024";
/// No code of the decoders is unsafe, so a panic or too much memory tells all; with the address sanitizer the build takes
/// ten minutes, and fewer inputs are tried.
const SANITIZER: [&str; 2] = ["--sanitizer", "none"];

/// What can be said of a run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = SECONDS)]
    pub(crate) seconds: u32,
    /// This target only: packet, stream or message
    pub(crate) target: Option<String>,
}

/// Runs the targets; an error when one finds something.
pub(crate) fn fuzz(args: &Args) -> anyhow::Result<()> {
    if let Some(target) = &args.target
        && !TARGETS.contains(&target.as_str())
    {
        bail!("{target} is no target: there are {}", TARGETS.join(", "));
    }
    install()?;
    let work = root().join("target/fuzz");
    let seeds = work.join("seeds");
    run(fuzzer(&["build"]).args(SANITIZER).arg("--target-dir").arg(work.join("build")))?;
    match captures() {
        Some(captures) => {
            let manifest = root().join("pdns-agent/fuzz/Cargo.toml");
            let mut make = cargo(&["run", "--quiet", "--example", "seeds", "--manifest-path"]);
            make.arg(manifest).arg("--target-dir").arg(target()?);
            run(make.arg("--").arg(captures).arg(&seeds))?;
        }
        None => eprintln!("skipping the fuzzer's seeds: no test data"),
    }
    for target in TARGETS {
        if args.target.as_ref().is_some_and(|only| only != target) {
            continue;
        }
        let (found, given) = (work.join("corpus").join(target), seeds.join(target));
        for folder in [&found, &given] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let mut command = fuzzer(&["run"]);
        command
            .args(SANITIZER)
            .arg("--target-dir")
            .arg(work.join("build"))
            .arg(target)
            .args([&found, &given]);
        command.args(["--", LONGEST, MEMORY, "-timeout=10", "-print_final_stats=1"]);
        run(command.arg(format!("-max_total_time={}", args.seconds)))?;
    }
    Ok(())
}

/// A minute for each target, as CI has it. Where cargo-fuzz cannot be had, that is said and no error.
pub(crate) fn for_a_minute() -> anyhow::Result<()> {
    if let Err(error) = install() {
        eprintln!("SKIPPED: no target was fuzzed, cargo-fuzz cannot be installed ({error:#})");
        return Ok(());
    }
    fuzz(&Args { seconds: SECONDS, target: None })
}

/// Installs cargo-fuzz, unless it is there.
fn install() -> anyhow::Result<()> {
    let version = cargo(&["fuzz", "--version"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!("cargo-fuzz runs the targets and is missing; it is built once, which takes a minute");
    run(&mut cargo(&["install", "cargo-fuzz", "--locked"]))
}

/// `cargo fuzz`, with the toolchain at hand: coverage is switched on by flags that only a nightly takes
/// otherwise.
fn fuzzer(words: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(words).arg("--fuzz-dir").arg(root().join("pdns-agent/fuzz"));
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Where the tests' captures are, if they are there.
fn captures() -> Option<PathBuf> {
    let data = std::env::var_os("PDNS_TEST_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let captures = data.join("pcaps");
    captures.is_dir().then_some(captures)
}
