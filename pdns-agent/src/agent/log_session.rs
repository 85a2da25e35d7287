//! Session of reading logs into one store: its threads, from their start to their end.

use super::batch_sender::BatchSender;
use super::log_reader::LogReader;
use super::log_scheduler::LogScheduler;
use super::log_tasks::Shared;
use super::metrics::Metrics;
use super::report::LogReport;
use super::writer::{self, Patience, WriterContext, WriterHandle};
use super::{AgentError, Logs, Settings, Stop};
use crate::aggregate::Window;
use crate::decode::log::Format;
use crate::source::{LogNames, Missing, Scan, Wake};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Reads logs into one store until stopped, or until the end of the input.
pub(crate) fn session(
    settings: &Settings,
    logs: &Logs,
    stop: &Stop,
    metrics: &Arc<Metrics>,
    report: &mut LogReport,
) -> Result<(), AgentError> {
    let names = match logs.format {
        Format::Zeek(_) => LogNames::Zeek,
        Format::Suricata => LogNames::Suricata,
        Format::Cof => LogNames::Cof,
    };
    let mut scan = Scan::new(&logs.inputs, names)?;
    let found = scan.changed();
    if logs.once {
        for missing in scan.missing() {
            match missing {
                Missing::Path(path) => return Err(AgentError::Missing(path.clone())),
                Missing::Pattern(pattern) => return Err(AgentError::NoMatch(pattern.clone())),
                // Reported at the end, with the files found instead.
                Missing::NoLogs(_) => {}
            }
        }
    }
    let workers = settings.workers.min(found.len()).max(1);
    let room = settings.memory / workers;

    let mut wake = Wake::new();
    stop.wakes(wake.waker());
    let shared = Arc::new(Shared::new(wake.waker()));
    let reconnected = Arc::new(AtomicU64::new(0));
    let context = WriterContext {
        stop: stop.clone(),
        // Data that is not written is read again.
        grace: Duration::ZERO,
        reconnected: Arc::clone(&reconnected),
        metrics: Arc::clone(metrics),
    };
    let read = Arc::new(AtomicU64::new(0));
    let (sender, messages) = channel();
    let mut threads = Vec::new();
    for number in 0..workers {
        let mut wait = |pause| stop.sleep(pause);
        let patience = if logs.once { Patience::OnceReached } else { Patience::FromStart };
        let (store, opened) =
            writer::open(settings, &settings.sensor, metrics, &mut wait, patience)?;
        let writer = WriterHandle::start(store, context.clone())?;
        let window = Window::new(opened.router.clone(), room);
        let reader = LogReader::new(
            Arc::new(logs.clone()),
            settings.sensor.clone(),
            opened.router.clone(),
            BatchSender::new(window, writer, &opened),
            context.clone(),
            Arc::clone(&read),
        );
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        let thread = thread::Builder::new()
            .name(format!("reader-{number}"))
            .spawn(move || reader.run(&shared, &sender))
            .map_err(AgentError::Thread)?;
        threads.push(thread);
    }
    drop(sender);

    let mut scheduler =
        LogScheduler::new((settings, logs, stop, metrics), scan, (&shared, messages), read);
    let result = scheduler.run(found, &mut wake, &reconnected);
    scheduler.finish(report);
    shared.close();
    for thread in threads {
        if let Ok(part) = thread.join() {
            report.merge(&part);
        }
    }
    result
}

/// The progress bar of an import, in bytes.
pub(super) fn bar(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
