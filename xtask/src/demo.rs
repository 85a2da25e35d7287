//! `cargo xtask demo`: from nothing to an answered query, in one command.

mod log;

use crate::shell::{REDIS, cargo, install, run, target};
use anyhow::Context as _;
use std::fs::{self, File};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds, imports, shows results, and stops the store again. A second run finds that the same log was
/// already read, and shows the same counts.
pub(crate) fn demo() -> anyhow::Result<()> {
    install(&[REDIS])?;
    run(&mut cargo(&["build", "--release", "--package", "pdns-agent", "--bins"]))?;
    let target = target()?;
    let demo = Demo { programs: target.join("release"), folder: target.join("demo") };
    let log = demo.folder.join("dns.log");
    fs::create_dir_all(&demo.folder)
        .with_context(|| format!("cannot create {}", demo.folder.display()))?;
    let mut file =
        File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    log::write(&mut file).with_context(|| format!("cannot write {}", log.display()))?;

    let shown = demo.show(&log);
    // Whatever fails, no server is left behind.
    let stopped = demo.program("pdns", &["admin", "stop"]);
    shown?;
    stopped?;
    demo.farewell();
    Ok(())
}

/// Files of the demonstration.
struct Demo {
    programs: PathBuf,
    folder: PathBuf,
}

impl Demo {
    fn show(&self, log: &Path) -> anyhow::Result<()> {
        let log = log.to_string_lossy();
        say("A made-up day of DNS, as Zeek logs it, goes into a store:");
        self.program("pdns-agent", &["zeek", "--once", &log])?;
        say("Where did www.shop.example lead, when, how often?");
        self.query(&["www.shop.example"])?;
        say("Which names were on that address? (The question no resolver answers.)");
        self.query(&["192.0.2.80"])?;
        say("What is seen most?");
        self.query(&["top", "--limit", "10"])
    }

    /// Runs a query; output to a file is still a table, because a person will read it.
    fn query(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let table = ["--format", "table"];
        let extra = if std::io::stdout().is_terminal() { &[] } else { table.as_slice() };
        self.program("pdns", &[arguments, extra].concat())
    }

    /// Runs one of our programs on the demonstration's own store, regardless of the caller's settings.
    fn program(&self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.programs.join(name));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PDNS_") {
                command.env_remove(variable);
            }
        }
        // A settings file of this machine may name another store.
        command.env("PDNS_REDIS", "managed:");
        run(command.args(arguments).env("XDG_DATA_HOME", self.folder.join("data")))
    }

    fn farewell(&self) {
        say("That was all. The store is stopped; it starts by itself when it is asked again:");
        eprintln!("  export PATH={}:$PATH", self.programs.display());
        eprintln!("  export XDG_DATA_HOME={}", self.folder.join("data").display());
        eprintln!("  export PDNS_REDIS=managed:");
        eprintln!("  pdns unanswered");
        say("Your own logs, in a store of their own (leave XDG_DATA_HOME as it was):");
        eprintln!(
            "  pdns-agent zeek --once /path/to/zeek/logs   # an archive: plain or gzip, TSV or JSON"
        );
        eprintln!("  pdns-agent zeek /path/to/zeek/logs/current  # and on, as Zeek writes");
    }
}

fn say(text: &str) {
    eprintln!("\n{text}");
}
