//! The round of a session: find logs, hand them to threads, keep what may grow.
//!
//! Polling is the truth, notices of changes only shorten the wait.

use super::metrics::Metrics;
use super::outbox::Outbox;
use super::pass::{Failure, Job, Reader, may_grow};
use super::report::{LACKS_PDNS_LOG, LogReport, with_causes};
use super::worker::{Outcome, Shared, Task, work};
use super::writer::{self, Means, Patience, Writer};
use super::{AgentError, Logs, Settings, Stop, now};
use crate::aggregate::Window;
use crate::decode::log::Format;
use crate::source::{Found, LogId, LogNames, Scan, SourceError, Stat, Wake};
use crate::store::{Retry, Store};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for notice of a change before looking again.
const POLL: Duration = Duration::from_secs(5);
/// How long a log that was renamed away may still be written to.
const GRACE: Duration = Duration::from_secs(5);
/// Logs kept open between passes.
const OPEN: usize = 256;
/// How late the log of our Zeek package may come after the rows of dns.log that it is to have.
const LATE: Duration = Duration::from_mins(10);
/// How often old checkpoints are deleted.
const TIDY: Duration = Duration::from_hours(1);

/// Reads logs into one store until it is asked to stop, or to the end of what is there.
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
    };
    let mut scan = Scan::new(&logs.inputs, names)?;
    let found = scan.changed();
    if let (true, Some(missing)) = (logs.once, scan.missing().first()) {
        return Err(AgentError::Missing(missing.clone()));
    }
    let workers = settings.workers.min(found.len()).max(1);
    let room = settings.memory / workers;

    let mut wake = Wake::new();
    stop.wakes(wake.waker());
    let shared = Arc::new(Shared::new(wake.waker()));
    let reconnected = Arc::new(AtomicU64::new(0));
    let means = Means {
        stop: stop.clone(),
        // What is not written is read again.
        grace: Duration::ZERO,
        reconnected: Arc::clone(&reconnected),
        metrics: Arc::clone(metrics),
    };
    let read = Arc::new(AtomicU64::new(0));
    let (outbox, outcomes) = channel();
    let mut threads = Vec::new();
    for number in 0..workers {
        let mut wait = |pause| stop.sleep(pause);
        let patience = if logs.once { Patience::OnceReached } else { Patience::FromStart };
        let (store, opened) =
            writer::open(&settings.store, &settings.sensor, metrics, &mut wait, patience)?;
        let writer = Writer::start(store, means.clone())?;
        let window = Window::new(opened.router.clone(), room);
        let reader = Reader::new(
            Arc::new(logs.clone()),
            settings.sensor.clone(),
            opened.router.clone(),
            Outbox::new(window, writer, &opened),
            means.clone(),
            Arc::clone(&read),
        );
        let (shared, outbox) = (Arc::clone(&shared), outbox.clone());
        let thread = thread::Builder::new()
            .name(format!("reader-{number}"))
            .spawn(move || work(reader, &shared, &outbox))
            .map_err(AgentError::Thread)?;
        threads.push(thread);
    }
    drop(outbox);

    let mut round = Round {
        settings,
        logs,
        stop,
        scan,
        shared: &shared,
        metrics,
        began: Instant::now(),
        has_pdns_log: false,
        outcomes,
        open: HashMap::new(),
        pending: HashSet::new(),
        again: HashSet::new(),
        waiting: Vec::new(),
        moved: false,
        is_checking: false,
        told: HashSet::new(),
        failed: 0,
        total: 0,
        bar: bar(settings.progress),
        read,
    };
    let result = round.run(found, &mut wake, &reconnected);
    round.bar.finish_and_clear();
    report.failed += round.failed;
    report.has_pdns_log |= round.has_pdns_log;
    shared.queue.close();
    for thread in threads {
        if let Ok(part) = thread.join() {
            report.merge(&part);
        }
    }
    result
}

/// The state of a session's main thread.
struct Round<'a> {
    settings: &'a Settings,
    logs: &'a Logs,
    stop: &'a Stop,
    scan: Scan,
    shared: &'a Shared,
    metrics: &'a Metrics,
    began: Instant,
    /// Whether a log of our Zeek package was found.
    has_pdns_log: bool,
    outcomes: Receiver<Outcome>,
    /// Logs kept open between passes.
    open: HashMap<LogId, Box<Job>>,
    /// Paths that a thread has or will have.
    pending: HashSet<PathBuf>,
    /// Paths that changed meanwhile.
    again: HashSet<PathBuf>,
    /// Work on logs that another thread had: tried again when one is done.
    waiting: Vec<Task>,
    /// Whether a file was gone when it was to be opened: it may have another name by now.
    moved: bool,
    /// Whether a thread sees whether the store is there.
    is_checking: bool,
    /// Problems that were told already.
    told: HashSet<String>,
    failed: u64,
    total: u64,
    bar: ProgressBar,
    read: Arc<AtomicU64>,
}

impl Round<'_> {
    fn run(
        &mut self,
        mut found: Vec<Found>,
        wake: &mut Wake,
        reconnected: &AtomicU64,
    ) -> Result<(), AgentError> {
        let mut tidied: Option<Instant> = None;
        let mut checked = Instant::now();
        let mut connections = 0;
        loop {
            let looked = Instant::now();
            self.tell_problems(wake);
            for found in found.drain(..) {
                self.dispatch(&found);
            }
            self.look_after_rotated();
            if !self.logs.once && tidied.is_none_or(|at| at.elapsed() > TIDY) {
                self.tidy();
                tidied = Some(Instant::now());
            }
            if !self.logs.once && !self.is_checking && checked.elapsed() >= POLL {
                // Where no log grows, nothing else would tell that the store is another one.
                self.is_checking = true;
                checked = Instant::now();
                self.shared.queue.push(Task::Check);
            }
            // Wait for work to be done and for files to change.
            loop {
                self.take_outcomes()?;
                self.bar.set_position(self.read.load(Ordering::Relaxed));
                let idle = self.pending.is_empty() && self.again.is_empty();
                if self.stop.is_stopped() {
                    return Ok(());
                }
                if self.logs.once && idle {
                    // Redis may have lost what was done before, and a file may have another name by now.
                    let lost = reconnected.load(Ordering::Relaxed) != connections;
                    // What is rejected would be rejected again.
                    let is_rejected = self.metrics.health.conclusion().1.is_some();
                    if is_rejected || (!std::mem::take(&mut self.moved) && !lost) {
                        return Ok(());
                    }
                    break;
                }
                if self.logs.once {
                    // Whatever ended the wait, the outcomes are looked at.
                    let woken = wake.wait(Duration::from_millis(100));
                    tracing::trace!(?woken, "looking at what was done");
                    continue;
                }
                let woken = wake.wait(if idle { POLL } else { self.settings.flush });
                tracing::trace!(?woken, "looking for changes");
                self.take_outcomes()?;
                break;
            }
            // Lines wait a little, so that equal answers are one upsert.
            if !self.logs.once {
                self.stop.sleep(self.settings.flush.saturating_sub(looked.elapsed()));
            }
            let now = reconnected.load(Ordering::Relaxed);
            if now != connections {
                connections = now;
                self.reread();
            }
            found = self.scan.changed();
        }
    }

    /// Hands a file to a thread, unless one has it.
    fn dispatch(&mut self, found: &Found) {
        self.has_pdns_log |= found.is_pdns_log();
        let same = self.open.values().find(|job| job.stat().is_same_file(&found.stat));
        let open = same.map(|job| job.id());
        if let Some(job) = open.and_then(|id| self.open.remove(&id)) {
            self.go(job, false, false);
            return;
        }
        if !self.pending.insert(found.path.clone()) {
            self.again.insert(found.path.clone());
            return;
        }
        self.total += found.stat.size;
        self.bar.set_length(self.total);
        self.submit(found.path.clone());
    }

    fn submit(&self, path: PathBuf) {
        let finished = self.logs.once;
        self.shared.queue.push(Task::Open { path, finished });
    }

    fn go(&mut self, job: Box<Job>, last: bool, reload: bool) {
        self.pending.insert(job.path().to_owned());
        self.shared.queue.push(Task::Go { job, last, reload });
    }

    /// Logs whose path names another file by now: read what came before the rename, then let go.
    fn look_after_rotated(&mut self) {
        let rotated: Vec<LogId> =
            self.open.iter().filter(|(_, job)| !job.is_current()).map(|(&id, _)| id).collect();
        for id in rotated {
            let Some(mut job) = self.open.remove(&id) else { continue };
            let since = *job.detached.get_or_insert_with(Instant::now);
            self.go(job, since.elapsed() > GRACE, false);
        }
    }

    /// After a new connection: Redis may have come back without its latest data, so every log is
    /// compared with what the store says of it.
    fn reread(&mut self) {
        self.scan.forget();
        for (_, job) in std::mem::take(&mut self.open) {
            self.go(job, false, true);
        }
    }

    fn take_outcomes(&mut self) -> Result<(), AgentError> {
        let mut done = false;
        while let Ok(outcome) = self.outcomes.try_recv() {
            done |= !matches!(outcome, Outcome::Busy(_) | Outcome::Checked(_));
            let path = match outcome {
                Outcome::Kept(job) => {
                    let path = job.path().to_owned();
                    if self.open.len() >= OPEN {
                        // Any that can be found again by its path when it changes.
                        let mut all = self.open.iter();
                        let one = all.find(|(_, job)| job.detached.is_none()).map(|(&id, _)| id);
                        one.map(|id| self.open.remove(&id));
                    }
                    self.open.insert(job.id(), job);
                    path
                }
                Outcome::Done(path) => path,
                Outcome::Busy(task) => {
                    self.waiting.push(task);
                    continue;
                }
                Outcome::Rewritten(path) => {
                    self.again.insert(path.clone());
                    path
                }
                Outcome::Checked(result) => {
                    self.is_checking = false;
                    match result {
                        Err(error) if error.retry() != Retry::Wait => {
                            return Err(AgentError::Store(error));
                        }
                        _ => continue,
                    }
                }
                Outcome::Failed(path, Failure::Source(SourceError::Open { cause, .. }))
                    if cause.kind() == ErrorKind::NotFound =>
                {
                    tracing::debug!(path = %path.display(), "gone before it was opened");
                    self.moved = true;
                    path
                }
                Outcome::Failed(path, Failure::Source(error)) => {
                    if let (SourceError::Read { .. }, Some(stat)) = (&error, Stat::at(&path)) {
                        // It may be read the next time, though it does not change.
                        self.scan.retry(&stat);
                    }
                    self.fail(&path, &error);
                    path
                }
                Outcome::Failed(path, Failure::Store(error)) if error.is_refusal() => {
                    // What was not written is read again; the writer has said so.
                    self.failed += 1;
                    if let Some(stat) = Stat::at(&path) {
                        self.scan.retry(&stat);
                    }
                    path
                }
                Outcome::Failed(path, Failure::Store(error)) => {
                    let may_pass = matches!(error.retry(), Retry::Wait | Retry::Reload);
                    if self.stop.is_stopped() && may_pass {
                        tracing::warn!(
                            path = %path.display(),
                            "stopped while the store was away; what was not written is read again next time"
                        );
                        return Ok(());
                    }
                    return Err(AgentError::Store(error));
                }
            };
            self.pending.remove(&path);
            if self.again.remove(&path) {
                self.pending.insert(path.clone());
                self.submit(path);
            }
        }
        if done || self.pending.len() <= self.waiting.len() {
            for task in std::mem::take(&mut self.waiting) {
                self.shared.queue.push(task);
            }
        }
        Ok(())
    }

    /// Tells of a file that could not be read, once.
    fn fail(&mut self, path: &Path, error: &SourceError) {
        if may_grow(error) && !self.logs.once {
            tracing::debug!(path = %path.display(), "still being written");
            return;
        }
        self.failed += 1;
        self.tell(error);
    }

    fn tell(&mut self, error: &SourceError) {
        self.tell_once(with_causes(error));
    }

    /// Tells of a problem, unless it was told before.
    fn tell_once(&mut self, text: String) {
        if self.told.len() < OPEN && !self.told.contains(&text) {
            tracing::warn!("{text}");
            self.told.insert(text);
        }
    }

    fn tell_problems(&mut self, wake: &mut Wake) {
        let problems: Vec<String> =
            self.scan.problems().iter().map(|error| with_causes(error)).collect();
        for text in problems {
            self.tell_once(text);
        }
        if self.logs.once {
            return;
        }
        let is_late = !self.has_pdns_log && self.began.elapsed() > LATE;
        if is_late && self.metrics.in_pdns_log() > 0 {
            self.tell_once(LACKS_PDNS_LOG.to_owned());
        }
        if let Some(error) = wake.watch(&self.scan.watch_dirs()) {
            self.tell(&error);
        }
    }

    /// Deletes checkpoints of logs that ended long ago; a store that is away is left alone.
    fn tidy(&self) {
        let tidied = Store::open(&self.settings.store).and_then(|mut store| store.tidy(now()));
        match tidied {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(deleted, "old checkpoints deleted"),
            Err(error) => tracing::debug!(%error, "old checkpoints not deleted"),
        }
    }
}

/// The progress bar of an import, in octets.
pub(super) fn bar(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}
