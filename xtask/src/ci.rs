//! `cargo xtask ci`: all checks that must pass before a change goes in, in one command.

use crate::shell::{cargo, run, timed};
use crate::{fuzz, test, tidy};

/// Runs the tests, then the style checks, then the fuzzers. Stops at the first failure.
pub(crate) fn ci() -> anyhow::Result<()> {
    test::test()?;
    timed("lints", lints)?;
    timed("fuzzing", fuzz::for_ci)?;
    eprintln!("ci: all checks passed");
    Ok(())
}

fn lints() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["fmt", "--manifest-path", "pdns-ebpf/Cargo.toml", "--check"]))?;
    run(&mut cargo(&["fmt", "--manifest-path", "pdns-agent/fuzz/Cargo.toml", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    tidy::tidy()
}
