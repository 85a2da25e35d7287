//! `cargo xtask faults`: the faults of `tests/it/faults`, each at its whole length, and their report.
//!
//! `cargo xtask test` runs a sample of each, with a fixed seed. The report lies beside that of the benchmarks.

use crate::shell::{cargo, root, said};
use crate::test;
use anyhow::{Context as _, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Report, from the top of the repository.
const REPORT: &str = "pdns-agent/benches/faults.md";

/// Options of `cargo xtask faults`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Faults with this in their names only, whose rows in the report are renewed: redis, live, clock
    fault: Option<String>,
}

/// Runs the faults; fails if something was lost or doubled, or if a fault could not be caused here.
pub(crate) fn faults(args: &Args) -> anyhow::Result<()> {
    test::install_all()?;
    let lines = root().join("target/faults");
    // One row of the report each, from the last run of the fault.
    if args.fault.is_none() && lines.exists() {
        fs::remove_dir_all(&lines).with_context(|| format!("cannot remove {}", lines.display()))?;
    }
    fs::create_dir_all(&lines).with_context(|| format!("cannot make {}", lines.display()))?;
    let names = args.fault.as_deref().unwrap_or_default();
    let filter = format!("test(/^faults::.*{names}/)");
    let words =
        ["nextest", "run", "--package", "pdns-agent", "--test", "it", "--profile", "faults"];
    let mut nextest = cargo(&words);
    nextest.args(["-E", &filter]).env("PDNS_FAULTS", "all").env("PDNS_FAULTS_REPORT", &lines);
    let (skipped, result) = test::report("faults", &mut nextest);
    let text = report(&lines, &skipped)?;
    let path = root().join(REPORT);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("the report is in {REPORT}");
    result?;
    ensure!(skipped.is_empty(), "{} faults could not be caused on this machine", skipped.len());
    Ok(())
}

/// Report of all lines that the tests wrote, one file each, and of the faults that were skipped.
fn report(lines: &Path, skipped: &[String]) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(lines).with_context(|| format!("cannot read {}", lines.display()))? {
        let path = entry?.path();
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        rows.extend(text.lines().map(str::to_owned));
    }
    rows.sort();
    let version = said(Command::new("redis-server").arg("--version")).unwrap_or_default();
    let version = version.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("");
    let kernel = said(Command::new("uname").arg("-r")).unwrap_or_default();
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(table(
        &rows,
        skipped,
        &format!(
            "{date}, {processors} processors, Linux {kernel}, Redis {version}, a build for development."
        ),
    ))
}

/// Table of the rows. Writing to a `String` cannot fail.
fn table(rows: &[String], skipped: &[String], machine: &str) -> String {
    let mut text = format!(
        "# A run of `cargo xtask faults`\n\n{machine}\n\n\
         Each fault strikes an agent at work: one that follows a Zeek log that grows by 1,000 lines a second and is rotated \
         every second or so,\nor (`live_`) one that captures packets of an interface. Afterwards the whole store is compared \
         with an undisturbed\nimport of what was written: every record, its count, its times, and `pdns admin verify`; or with \
         the number of packets that were sent.\n\n\
         *Counted* are packets that are missing, and that the kernel or the agent counted as lost, or that lay in the ring \
         buffer of an\nagent that was killed. *Lost* are answers that are missing without a word.\n\n\
         | fault | what was done | seconds | records | answers | counted | lost | doubled | verdict |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
    );
    for row in rows {
        writeln!(text, "| {} |", row.replace('|', "\\|").replace('\t', " | ")).ok();
    }
    for line in skipped {
        let (fault, reason) =
            line.trim_start_matches("skipping ").split_once(": ").unwrap_or((line, ""));
        writeln!(text, "| {fault} | | | | | | | | skipped: {reason} |").ok();
    }
    let held = rows.iter().filter(|row| row.ends_with("\theld")).count();
    writeln!(text, "\n{held} of {} held.", rows.len() + skipped.len()).ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_failed_or_was_skipped_has_a_row() {
        let rows = ["a\tone|two\t3\t4\t5\t0\t0\t0\theld", "b\t\t3\t0\t0\t0\t0\t0\tFAILED"];
        let text = table(&rows.map(str::to_owned), &["skipping c: needs root".to_owned()], "here");
        assert!(text.contains("\n| a | one\\|two | 3 | 4 | 5 | 0 | 0 | 0 | held |\n"), "{text}");
        assert!(text.contains("| skipped: needs root |\n"), "{text}");
        assert!(text.ends_with("\n1 of 3 held.\n"), "{text}");
    }
}
