//! `cargo xtask soak --minutes N`: everything at once for as long as one likes, and what grows, is lost or becomes slow.
//!
//! An agent captures an interface, another one follows two logs that are rotated; clients look names up and load pages; the
//! judge follows; and what was seen once is forgotten every minute. The run fails if a process grows after it has warmed up,
//! if a packet or a line is lost, if a request fails, or if the 99th percentile of a sort of request is above its limit. The
//! report lies beside that of the benchmarks.

mod load;
mod measure;
mod programs;

use crate::shell::{Need, REDIS, cargo, install, is_root, root, run, said, timed};
use anyhow::{Context as _, bail};
use load::{Clients, Load};
use measure::Memory;
use programs::{Program, Site};
use std::fmt::{Display, Write as _};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Report, from the top of the repository.
const REPORT: &str = "pdns-agent/benches/soak.md";
/// Interval between two looks at the memory of the programs.
const LOOK: Duration = Duration::from_secs(2);
/// Interval of forgetting.
const FORGET: Duration = Duration::from_mins(1);
/// Time for which an agent may lag when the load ends, as long as it goes on.
const STUCK: Duration = Duration::from_mins(1);

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Time under load
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(3..))]
    minutes: u64,
}

/// Findings of a run: a row of the report each, and those that fail it.
#[derive(Default)]
struct Findings {
    rows: Vec<[String; 3]>,
    failed: Vec<String>,
}

impl Findings {
    /// A number without a limit.
    fn number(&mut self, measured: &str, value: &dyn Display) {
        self.rows.push([measured.to_owned(), value.to_string(), String::new()]);
    }

    /// A number, and whether it is as it must be.
    fn check(&mut self, measured: &str, value: &dyn Display, limit: &str, is_met: bool) {
        let verdict = if is_met { "met" } else { "MISSED" };
        self.rows.push([measured.to_owned(), value.to_string(), format!("{limit}: {verdict}")]);
        if !is_met {
            self.failed.push(format!("{measured}: {value}, {limit}"));
        }
    }
}

/// Runs everything at once, and writes the report; fails if the run does.
pub(crate) fn soak(args: &Args) -> anyhow::Result<()> {
    if !is_root() {
        bail!("only root can capture packets and make a network for it: run this as root");
    }
    install(&[
        REDIS,
        Need { program: "python3", package: "python3" },
        Need { program: "ip", package: "iproute2" },
        Need { program: "sysctl", package: "procps" },
        Need { program: "tcpreplay", package: "tcpreplay" },
    ])?;
    timed("building", || {
        run(&mut cargo(&["build", "--release", "--package", "pdns-agent", "--bins"]))
    })?;
    let mut findings = Findings::default();
    let time = Duration::from_mins(args.minutes);
    under_load(time, &mut findings)?;
    let text = report(args.minutes, &findings);
    let path = root().join(REPORT);
    fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    eprint!("{text}");
    if findings.failed.is_empty() {
        return Ok(());
    }
    bail!("the soak failed:\n  {}", findings.failed.join("\n  "))
}

/// Starts everything, waits, ends it, and says what was found.
fn under_load(time: Duration, findings: &mut Findings) -> anyhow::Result<()> {
    let site = Site::new()?;
    let redis = site.redis()?;
    let live = site.capture()?;
    let logs = site.follow()?;
    let serve = site.serve()?;
    let judge = site.judge()?;
    let programs = [&live, &logs, &serve, &judge, &redis];
    let mut memory = Memory::new(programs.map(|program| program.name));
    let load = Load::start(&site)?;
    let clients = Clients::start(&serve);
    let begun = Instant::now();
    let (mut forgotten, mut forget) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        thread::sleep(LOOK);
        memory.look(begun.elapsed(), programs)?;
        if forgotten.elapsed() >= FORGET {
            forgotten = Instant::now();
            forget.push(site.forget()?);
        }
        load.check()?;
    }
    let requests = clients.end();
    let sent = load.end()?;
    settle(&live, "pdns_packets_total", sent.packets)?;
    settle(&logs, "pdns_log_lines_total", sent.lines)?;
    findings.number("packets sent", &sent.packets);
    findings.number(
        "lines written to the two logs, and rotations",
        &format!("{}, {}", sent.lines, sent.rotations),
    );
    findings.number(
        "runs of `pdns admin forget`, the longest",
        &format!("{}, {} ms", forget.len(), forget.iter().max().map_or(0, Duration::as_millis)),
    );
    for of in &requests {
        of.report(findings);
    }
    memory.report(findings);
    let judged = judge.number("pdns_judge_names_total")?;
    findings.check("names judged", &judged, "more than 0", judged > 0);
    ends(live, judge, logs, sent, findings)?;
    let verified = site.verify()?;
    findings.check(
        "`pdns admin verify`",
        &(if verified { "sound" } else { "damaged" }),
        "sound",
        verified,
    );
    drop((serve, redis));
    Ok(())
}

/// Ends the agents and the judge, and checks what the agents say of what they got.
fn ends(
    live: Program,
    judge: Program,
    logs: Program,
    sent: load::Sent,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let seen = live.number("pdns_capture_packets_seen_total")?;
    let decoded = live.numbers("pdns_packets_total", "result=\"decoded\"")?;
    let lost = live.number("pdns_capture_packets_lost_total")?;
    findings.check("packets seen", &seen, "as many as were sent", seen == sent.packets);
    findings.check("packets decoded", &decoded, "as many as were sent", decoded == sent.packets);
    findings.check("packets lost", &lost, "0", lost == 0);
    let counted = logs.numbers("pdns_log_lines_total", "result=\"counted\"")?;
    let records = sent.records;
    findings.check("lines counted", &counted, "as many as were written", counted == records);
    for agent in [live, logs, judge] {
        let name = agent.name;
        let (is_well, said) = agent.end()?;
        findings.check(
            &format!("end of {name}"),
            &(if is_well { "good" } else { "bad" }),
            "good",
            is_well,
        );
        if !is_well {
            eprintln!("{name}: {said}");
        }
    }
    Ok(())
}

/// Waits until a program has counted as much as it was given, as long as it goes on.
fn settle(program: &Program, metric: &str, wanted: u64) -> anyhow::Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    while last < wanted && since.elapsed() < STUCK {
        let now = program.number(metric)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// The report of a run.
fn report(minutes: u64, findings: &Findings) -> String {
    let version = said(Command::new("redis-server").arg("--version")).unwrap_or_default();
    let version = version.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("");
    let kernel = said(Command::new("uname").arg("-r")).unwrap_or_default();
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut text = format!(
        "# A run of `cargo xtask soak --minutes {minutes}`\n\n\
         {date}, {processors} processors, Linux {kernel}, Redis {version}, append-only file on.\n\n\
         At the same time: {} packets a second on an interface, two logs of {} lines a second each that are rotated every\n\
         {} seconds, a name in twenty new, {} requests a second, `pdns judge`, and `pdns admin forget` every minute for what was\n\
         seen once and not in the last three minutes. Memory is compared after a third of the time, when all is warm: its most \
         in\nthe last third with its most in the second.\n\n\
         | measured | value | limit |\n| --- | ---: | --- |\n",
        load::PACKETS,
        load::LINES,
        load::ROTATION.as_secs(),
        Clients::rate(),
    );
    for [measured, value, limit] in &findings.rows {
        // Writing to a String cannot fail.
        writeln!(text, "| {measured} | {value} | {limit} |").ok();
    }
    text
}
