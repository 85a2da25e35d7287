//! `pdns-agent`: the sensor. All it does itself is to bring the process and the library together.

use anyhow::Context as _;
use pdns_agent::agent::{self, Settings, Source, Stop};
use pdns_agent::config::agent::{Args, settings};
use pdns_agent::config::{exit, usage};
use pdns_agent::decode::log::Format;
use pdns_agent::render::escape;
use pdns_agent::source::drop_privileges;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args: Args = match usage::parse(&|_| None) {
        Ok(args) => args,
        Err(refusal) => return ExitCode::from(refusal.print("pdns-agent")),
    };
    let terminal = io::stderr().is_terminal();
    let filter = EnvFilter::try_from_env("PDNS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Where standard error is gone, it cannot be told that it is.
    let log = log.log_internal_errors(false);
    if terminal {
        log.with_target(false).init();
    } else {
        log.json().flatten_event(true).init();
    }
    let env = |name: &str| std::env::var(name).ok();
    let result = match settings(&args, &env, terminal) {
        Ok(settings) => run(&settings),
        Err(error) => {
            let status = error.exit_status();
            Err((error.into(), status))
        }
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err((error, status)) => {
            say(&format!("pdns-agent: {}", escape(&format!("{error:#}"))));
            ExitCode::from(status)
        }
    }
}

/// Says something to people on standard error. Where nobody listens, there is nobody to tell.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Runs the agent; gives the exit status, or an error with it.
fn run(settings: &Settings) -> Result<u8, (anyhow::Error, u8)> {
    let stop = Stop::default();
    let signalled = stop.clone();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .context("cannot wait for signals")
        .map_err(|error| (error, exit::FAILED))?;
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
            Format::Cof => "passive DNS",
        },
        Source::Pcap(_) => "capture files",
        Source::Ebpf(_) => "interfaces",
    };
    tracing::info!(store = %settings.store.shown_url(), sensor = settings.sensor, source, "starting");
    let report = agent::run(settings, &stop).map_err(|error| {
        let status = error.exit_status();
        (error.into(), status)
    })?;
    say(&report.to_text());
    let ends = match &settings.source {
        Source::Logs(logs) => logs.once,
        Source::Pcap(_) => true,
        Source::Ebpf(_) => false,
    };
    Ok(match report {
        _ if report.unwritten.is_some() => exit::FAILED,
        // What fails while logs are followed is tried again.
        _ if ends && report.failed() > 0 => exit::FAILED,
        _ if ends && report.without_use() > 0 => exit::NOTHING_FOUND,
        _ => 0,
    })
}
