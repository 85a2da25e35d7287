//! `cargo xtask test`: installs the requirements of the tests, runs all of them, and lists the skipped ones. With
//! `--quick`: only those that need Rust and Redis alone.

use crate::dist;
use crate::ebpf;
use crate::python;
use crate::securityonion;
use crate::shell::{Need, REDIS, cargo, install, run as command, target, timed};
use crate::zeek;
use anyhow::Context as _;
use std::process::Command;

/// Programs that tests run besides our own.
const NEEDS: &[Need] = &[
    REDIS,
    Need { program: "redis-cli", package: "redis-tools" },
    Need { program: "redis-benchmark", package: "redis-tools" },
    Need { program: "python3", package: "python3" },
    Need { program: "dnsdbq", package: "dnsdbq" },
    Need { program: "chromium", package: "chromium" },
    Need { program: "chromedriver", package: "chromium-driver" },
    Need { program: "openssl", package: "openssl" },
    Need { program: "script", package: "bsdutils" },
    Need { program: "tshark", package: "tshark" },
    Need { program: "tcpreplay", package: "tcpreplay" },
    Need { program: "ip", package: "iproute2" },
    Need { program: "setpriv", package: "util-linux" },
    Need { program: "unshare", package: "util-linux" },
    Need { program: "mount", package: "mount" },
    Need { program: "sysctl", package: "procps" },
    Need { program: "faketime", package: "faketime" },
    Need { program: "shellcheck", package: "shellcheck" },
    Need { program: "mkfifo", package: "coreutils" },
    Need { program: "zstd", package: "zstd" },
    Need { program: "bzip2", package: "bzip2" },
    Need { program: "xz", package: "xz-utils" },
    Need { program: "lz4", package: "lz4" },
    Need { program: "named-checkzone", package: "bind9-utils" },
    Need { program: "unbound-checkconf", package: "unbound" },
    Need { program: "dnsmasq", package: "dnsmasq-base" },
    Need { program: "pdftotext", package: "poppler-utils" },
];

/// Filter of `cargo xtask test --quick`, in the language of nextest. It leaves out tests that need root, a browser, Python's
/// packages or tshark, and those that take their time. The layers, the goldens and what needs Redis alone stay.
const QUICK: &str = "kind(lib) | kind(bin) | (binary(dns) & not test(/^(captures|wire|zeek_corpus|text)::/)) \
     | (binary(it) & test(/^(access|cli|export|files|inputs|layers|readme|refusals|reading|tail)(::|$)/) \
     & not test(/schemathesis|million|reference|dnspython/))";

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run unit tests, layers, goldens and what needs Redis alone: minutes instead of half an hour
    #[arg(long)]
    quick: bool,
}

/// Runs the tests that were asked for; an error when anything failed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.quick { quick() } else { test() }
}

/// Runs the quick part, which needs nothing but Rust and Redis.
fn quick() -> anyhow::Result<()> {
    install(&[REDIS])?;
    install_nextest()?;
    let words = ["nextest", "run", "--workspace", "--profile", "quick", "-E", QUICK];
    timed("quick tests", || command(&mut cargo(&words)))
}

/// Runs everything; fails if anything failed.
pub(crate) fn test() -> anyhow::Result<()> {
    timed("installing", install_all)?;
    timed("building the eBPF program", ebpf::check)?;
    timed("examples of the documentation", doc_tests)?;
    timed("tests", run_nextest)?;
    timed("Security Onion's tests", securityonion::test)?;
    timed("the Zeek package's tests", zeek::test)?;
    timed("the package's tests", dist::for_tests)
}

/// Installs the programs that the tests run besides our own.
pub(crate) fn install_all() -> anyhow::Result<()> {
    install(NEEDS)?;
    python::install()?;
    install_nextest()
}

fn install_nextest() -> anyhow::Result<()> {
    if !has_nextest() {
        eprintln!(
            "cargo-nextest runs the tests and is missing; it is built once, which takes some minutes"
        );
        command(&mut cargo(&["install", "cargo-nextest", "--locked"])).context(
            "install cargo-nextest by hand: https://nexte.st/docs/installation/pre-built-binaries/",
        )?;
    }
    Ok(())
}

fn doc_tests() -> anyhow::Result<()> {
    command(&mut cargo(&["test", "--quiet", "--workspace", "--doc"]))
}

/// Runs the tests of the workspace, and lists the skipped ones.
fn run_nextest() -> anyhow::Result<()> {
    report("ci", &mut cargo(&["nextest", "run", "--workspace", "--profile", "ci"])).1
}

/// Runs nextest with a profile that keeps what tests print: the skipped ones, which are listed, and the outcome.
pub(crate) fn report(profile: &str, nextest: &mut Command) -> (Vec<String>, anyhow::Result<()>) {
    let mut run = || {
        let report = target()?.join("nextest").join(profile).join("junit.xml");
        // A report of an earlier run must not be mistaken for this one.
        if report.exists() {
            std::fs::remove_file(&report)
                .with_context(|| format!("cannot remove {}", report.display()))?;
        }
        anyhow::Ok((command(nextest), std::fs::read_to_string(&report)))
    };
    let (result, text) = match run() {
        Ok((result, text)) => (result, text.unwrap_or_default()),
        Err(error) => (Err(error), String::new()),
    };
    let Report { tests, failed, skipped } = read(&text);
    for line in &skipped {
        eprintln!("{line}");
    }
    if tests > 0 {
        eprintln!(
            "{tests} tests run: {} passed, {failed} failed, {} of those that passed skipped themselves",
            tests.saturating_sub(failed),
            skipped.len()
        );
    }
    (skipped, result)
}

fn has_nextest() -> bool {
    cargo(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// Contents of nextest's report.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    tests: u64,
    failed: u64,
    /// Lines `skipping NAME: REASON` printed by tests.
    skipped: Vec<String>,
}

/// Reads nextest's report, which `.config/nextest.toml` configures to contain all output of tests.
fn read(xml: &str) -> Report {
    let head = xml.split_once("<testsuites ").map_or("", |(_, rest)| rest);
    let head = head.split('>').next().unwrap_or("");
    let number = |name: &str| -> u64 {
        let value = head.split_once(&format!(" {name}=\"")).map_or("", |(_, rest)| rest);
        value.split('"').next().unwrap_or("").parse().unwrap_or(0)
    };
    let mut skipped: Vec<String> = xml
        .lines()
        .filter_map(|line| {
            let at = line.find("skipping ")?;
            // The first line of a test's output directly follows the tag.
            let starts_line = at == 0 || line.get(..at)?.ends_with('>');
            let text = line.get(at..)?.split('<').next()?;
            (starts_line && text.contains(": ")).then(|| unescape(text))
        })
        .collect();
    skipped.sort();
    skipped.dedup();
    Report { tests: number("tests"), failed: number("failures") + number("errors"), skipped }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counts_and_reasons() {
        let xml = "<?xml version=\"1.0\"?>\n\
            <testsuites name=\"nextest-run\" tests=\"12\" failures=\"1\" errors=\"2\" uuid=\"x\">\n\
            <system-out>\nrunning 1 test\nskipping a: no &lt;data&gt;\ntest a ... ok\n</system-out>\n\
            <system-out>skipping b: no root</system-out>\nnot skipping c: at all\n</testsuites>";
        let want = ["skipping a: no <data>", "skipping b: no root"].map(str::to_owned).to_vec();
        assert_eq!(read(xml), Report { tests: 12, failed: 3, skipped: want });
        assert_eq!(read(""), Report { tests: 0, failed: 0, skipped: Vec::new() });
    }
}
