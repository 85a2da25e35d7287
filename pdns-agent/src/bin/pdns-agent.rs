//! `pdns-agent`: the sensor. All it does itself is to bring the process and the library together.

use anyhow::Context as _;
use pdns_agent::agent::{self, Report, Source, Stop};
use pdns_agent::config::agent::{Args, settings};
use pdns_agent::config::usage;
use pdns_agent::decode::log::Format;
use pdns_agent::render::escape;
use pdns_agent::source::drop_privileges;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args: Args = match usage::parse() {
        Ok(args) => args,
        Err(refusal) => return ExitCode::from(refusal.print("pdns-agent")),
    };
    let terminal = io::stderr().is_terminal();
    let filter = EnvFilter::try_from_env("PDNS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if terminal {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).init();
    }
    match run(&args, terminal) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a program that failed")]
            {
                eprintln!("pdns-agent: {}", escape(&format!("{error:#}")));
            }
            ExitCode::from(2)
        }
    }
}

/// Runs the agent; its exit status.
fn run(args: &Args, terminal: bool) -> anyhow::Result<u8> {
    let settings = settings(args, &|name| std::env::var(name).ok(), terminal)?;
    let stop = Stop::default();
    let signalled = stop.clone();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot wait for signals")?;
    let captures = matches!(settings.source, Source::Ebpf(_));
    std::thread::spawn(move || {
        // Capabilities are a thread's own; this one needs none.
        if captures && let Err(error) = drop_privileges() {
            tracing::warn!(%error, "the thread that waits for signals keeps its privileges");
        }
        for _ in &mut signals {
            signalled.stop();
        }
    });
    let source = match &settings.source {
        Source::Logs(logs) => match logs.format {
            Format::Zeek(_) => "Zeek logs",
            Format::Suricata => "Suricata logs",
        },
        Source::Pcap(_) => "capture files",
        Source::Ebpf(_) => "interfaces",
    };
    tracing::info!(store = %settings.store.shown_url(), sensor = settings.sensor, source, "starting");
    let report = agent::run(&settings, &stop)?;
    #[expect(clippy::print_stderr, reason = "the report of a run, for people")]
    {
        eprintln!("{}", report.to_text());
    }
    Ok(match &report {
        // A capture file that cannot be read stays as it is; a log may be whole the next time.
        Report::Packets(report) if report.failed > 0 => 2,
        Report::Logs(report) if report.foreign > 0 => 1,
        _ => 0,
    })
}
