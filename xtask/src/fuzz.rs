//! `cargo xtask fuzz`: fuzzes packets, streams and messages for a minute each.
//!
//! The targets are in `pdns-agent/fuzz`. The captures in the test data, if available, serve as seeds;
//! interesting inputs are kept in `target/fuzz`, so that the next run continues from there.

use crate::shell::{cargo, root, run, target};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The targets; each is a file in `pdns-agent/fuzz/targets`.
const TARGETS: [&str; 3] = ["packet", "stream", "message"];
/// Time for each target.
const SECONDS: u32 = 60;
/// Maximum input length, in bytes.
const LONGEST: &str = "-max_len=65536";
/// Memory limit of a target, in MiB: the decoder's limits, and the fuzzer's own corpus.
const MEMORY: &str = "-rss_limit_mb=1024";
/// The decoders contain no unsafe code, so panics and memory use reveal all bugs; with the address sanitizer
/// the build takes ten minutes, and fewer inputs are tried.
const SANITIZER: [&str; 2] = ["--sanitizer", "none"];

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = SECONDS)]
    pub(crate) seconds: u32,
    /// Run only this target: packet, stream or message
    pub(crate) target: Option<String>,
}

/// Runs the targets; fails if one finds something.
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

/// A minute for each target, for CI. If cargo-fuzz is not available, this is reported but not an error.
pub(crate) fn for_a_minute() -> anyhow::Result<()> {
    if let Err(error) = install() {
        eprintln!("SKIPPED: no target was fuzzed, cargo-fuzz cannot be installed ({error:#})");
        return Ok(());
    }
    fuzz(&Args { seconds: SECONDS, target: None })
}

/// Installs cargo-fuzz if it is missing.
fn install() -> anyhow::Result<()> {
    let version = cargo(&["fuzz", "--version"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!("cargo-fuzz runs the targets and is missing; it is built once, which takes a minute");
    run(&mut cargo(&["install", "cargo-fuzz", "--locked"]))
}

/// `cargo fuzz`, with the available toolchain: coverage is enabled by flags that otherwise require a nightly.
fn fuzzer(words: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(words).arg("--fuzz-dir").arg(root().join("pdns-agent/fuzz"));
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Folder of the tests' captures, if present.
fn captures() -> Option<PathBuf> {
    let data = std::env::var_os("PDNS_TEST_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let captures = data.join("pcaps");
    captures.is_dir().then_some(captures)
}
