//! One pass over one log: from where the store has it to where the log ends now.
//!
//! Works for `follow`, on a thread of its own. At the end of a pass all that was read is in the store and
//! acknowledged, so that nothing but an open file and the headers of the log is kept between passes.

use super::outbox::Outbox;
use super::report::LogReport;
use super::writer::Means;
use super::{Logs, now};
use crate::aggregate::Window;
use crate::decode::Tally;
use crate::decode::log::Decoder;
use crate::hash::Router;
use crate::observation::Sightings;
use crate::source::{Log, LogId, Progress, SourceError, Stat};
use crate::store::{Checkpoint, SourceState, StoreError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Octets read between looks at the window and at the request to stop.
const BUDGET: usize = 256 * 1024;
/// A plain log that nobody wrote to for so long is not kept open.
const STALE: Duration = Duration::from_mins(10);

/// How long to wait when another agent moved a log while it was loaded.
const MOVED: Duration = Duration::from_millis(20);

/// A log between passes.
pub(crate) struct Job {
    log: Log,
    path: PathBuf,
    decoder: Decoder,
    /// What was counted before this process read the log.
    before: Tally,
    checkpoint: Checkpoint,
    /// Until this position, single records may be applied already.
    horizon: u64,
    /// How often this process had connected when the checkpoint was loaded.
    connections: u64,
    /// The file before anything was read of it.
    opened: Stat,
    state: SourceState,
    position: u64,
    /// Lines too long that were counted already.
    oversized: u64,
    /// When the path was first seen to name another file.
    pub(crate) detached: Option<Instant>,
}

impl Job {
    /// Which log it is.
    pub(crate) fn id(&self) -> LogId {
        self.log.id()
    }

    /// Where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The state of the file when it was read last.
    pub(crate) fn stat(&self) -> Stat {
        self.log.stat()
    }

    /// Whether the path still names the open file.
    pub(crate) fn is_current(&self) -> bool {
        self.log.is_current()
    }
}

/// Where the store has a log.
struct Located {
    /// The file before it was read from there.
    opened: Stat,
    state: SourceState,
    checkpoint: Checkpoint,
    /// Connections made before it was loaded.
    connections: u64,
    /// Knows the headers up to there.
    decoder: Decoder,
}

/// How opening a log went.
pub(crate) enum Opened {
    /// It was read to its end before and is the same still, or this is a shorter copy of it.
    Unchanged,
    /// It can be read.
    Ready(Box<Job>),
}

/// How a pass went.
pub(crate) enum Passed {
    /// The log may grow: keep it open.
    Open(Box<Job>),
    /// The log is read to its end.
    Ended,
    /// The file was cut or rewritten in place: open it anew.
    Rewritten,
}

/// Why a pass stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    Store(StoreError),
    Source(SourceError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// A thread's means: its connection, its window, its counts.
pub(crate) struct Reader {
    logs: Arc<Logs>,
    sensor: String,
    router: Router,
    /// What was read and not sent yet, of the log that is being read.
    outbox: Outbox,
    means: Means,
    /// Octets of files that are read, for the progress bar.
    read: Arc<AtomicU64>,
    pub(crate) report: LogReport,
}

impl Reader {
    pub(crate) fn new(
        logs: Arc<Logs>,
        sensor: String,
        router: Router,
        outbox: Outbox,
        means: Means,
        read: Arc<AtomicU64>,
    ) -> Self {
        Self { logs, sensor, router, outbox, means, read, report: LogReport::default() }
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(self.logs.format)
    }

    /// Opens a log, unless there is no first record yet. `finished`: the file will not grow.
    pub(crate) fn open(&self, path: &Path, finished: bool) -> Result<Option<Log>, SourceError> {
        let hasher = self.router.hasher();
        if finished { Log::open_finished(path, hasher) } else { Log::open(path, hasher) }
    }

    /// Takes an open log to where the store has it, however often another agent moves that.
    pub(crate) fn take(&mut self, mut log: Log, path: &Path) -> Result<Opened, Failure> {
        let located = loop {
            match self.locate(&mut log) {
                Err(Failure::Store(StoreError::Conflict)) if self.means.stop.sleep(MOVED) => {}
                // This copy ends before that: what is missing may come, or be in another copy.
                Err(Failure::Source(SourceError::Shrank { .. })) => return Ok(Opened::Unchanged),
                located => break located?,
            }
        };
        let Some(located) = located else { return Ok(Opened::Unchanged) };
        self.report.logs += 1;
        let Located { opened, state, checkpoint, connections, decoder } = located;
        Ok(Opened::Ready(Box::new(Job {
            path: path.to_owned(),
            decoder,
            before: serde_json::from_value(state.tally.clone()).unwrap_or_default(),
            horizon: checkpoint.horizon(),
            connections,
            opened,
            position: checkpoint.acknowledged(),
            oversized: log.oversized(),
            checkpoint,
            state,
            detached: None,
            log,
        })))
    }

    /// Moves a log to where the store has it; `None` when it was read to its end and is the same still.
    fn locate(&mut self, log: &mut Log) -> Result<Option<Located>, Failure> {
        // Before loading: a connection made meanwhile makes it load again, which does no harm.
        let connections = self.outbox.writer.connections();
        let (state, mut checkpoint) = self.outbox.writer.load(log.id().0)?;
        let (state, opened) = (state.unwrap_or_default(), log.stat());
        if state.complete && (state.size, state.mtime_ns) == (opened.size, mtime(&opened)) {
            return Ok(None);
        }
        for end in checkpoint.open_ends() {
            checkpoint = self.finish(log, checkpoint, end)?;
        }
        let mut decoder = self.decoder();
        log.resume(checkpoint.acknowledged(), &mut |line| decoder.skim(line))?;
        Ok(Some(Located { opened, state, checkpoint, connections, decoder }))
    }

    /// Whether there was a new connection since a job was loaded: Redis may have lost what was written.
    pub(crate) fn is_outdated(&self, job: &Job) -> bool {
        job.connections != self.outbox.writer.connections()
    }

    /// Makes sure that the store is there and the one that was opened.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.outbox.writer.check()
    }

    /// Loads again how far the log of a job is, and moves there.
    pub(crate) fn reload(&mut self, job: Job) -> Result<Opened, Failure> {
        let Job { log, path, detached, .. } = job;
        let mut opened = self.take(log, &path)?;
        self.report.logs = self.report.logs.saturating_sub(1);
        if let Opened::Ready(job) = &mut opened {
            job.detached = detached;
        }
        Ok(opened)
    }

    /// Applies the rest of a batch that was left half-way.
    fn finish(
        &mut self,
        log: &mut Log,
        checkpoint: Checkpoint,
        end: u64,
    ) -> Result<Checkpoint, Failure> {
        let mut decoder = self.decoder();
        let (mut position, window) = (checkpoint.acknowledged(), &mut self.outbox.window);
        log.resume(position, &mut |line| decoder.skim(line))?;
        let mut rest = false;
        while position < end {
            let mut each = |line: &[u8], at: u64| {
                let start = std::mem::replace(&mut position, at);
                if start >= end {
                    return;
                }
                // Bad lines are counted when they are read in order.
                decoder
                    .line(line, &mut |Sightings { rrname, fact, seen }| {
                        let place = window.place(rrname);
                        let open = checkpoint.is_open_at(place.partition, end);
                        if open && !checkpoint.covers(place, start) {
                            window.put(rrname, fact, &seen);
                        }
                    })
                    .ok();
            };
            // The batch may have ended with a last line that has no newline.
            let progress = if rest { log.rest(&mut each) } else { log.read(BUDGET, &mut each) };
            let path = || log.path().to_owned();
            let broken = match progress {
                Ok(Progress::More) => continue,
                Ok(Progress::AtEnd) if !rest => {
                    rest = true;
                    continue;
                }
                Ok(_) if position >= end => continue,
                Ok(Progress::AtEnd) => {
                    SourceError::Shrank { path: path(), len: position, offset: end }
                }
                Ok(Progress::Truncated) => SourceError::Rewritten { path: path() },
                Err(error) => error,
            };
            // What was gathered is not all, and must not go with another log's batch.
            window.clear();
            return Err(broken.into());
        }
        self.outbox.ship(log.id().0, checkpoint, (end, true), None);
        self.outbox.taken_back()?.ok_or_else(lost)
    }

    /// Reads a log to its present end. `last`: it will not grow, and a last line without newline counts.
    ///
    /// A failure gives the job back, so that its open file is not lost.
    pub(crate) fn pass(
        &mut self,
        mut job: Box<Job>,
        last: bool,
    ) -> Result<Passed, (Failure, Option<Box<Job>>)> {
        let counted = job.decoder.tally().clone();
        let result = self.read(&mut job, last);
        // What was read before an error is good, and is written first.
        let ended = match &result {
            Ok(Progress::Truncated) => true,
            Ok(_) => last || job.log.is_gzip() || is_stale(&job.log.stat()),
            // A gzip that ends too early may still be written.
            Err(Failure::Source(error)) => job.log.is_gzip() && !may_grow(error),
            Err(Failure::Store(_)) => false,
        };
        if let Err(Failure::Store(error)) = result {
            return Err((error.into(), Some(job)));
        }
        let written = self.end(&mut job, ended && !self.means.stop.is_stopped());
        self.count(&mut job, &counted);
        if let Err(failure) = written {
            return Err((failure, Some(job)));
        }
        match result {
            Err(failure) => Err((failure, None)),
            Ok(Progress::Truncated) => Ok(Passed::Rewritten),
            Ok(_) if ended => Ok(Passed::Ended),
            Ok(_) => Ok(Passed::Open(job)),
        }
    }

    fn read(&mut self, job: &mut Job, last: bool) -> Result<Progress, Failure> {
        let mut rest = false;
        loop {
            let Job { log, path, decoder, before, checkpoint, horizon, position, .. } = &mut *job;
            let (window, horizon, report) = (&mut self.outbox.window, *horizon, &mut self.report);
            let from = *position;
            let mut each = |line: &[u8], end: u64| {
                let start = std::mem::replace(position, end);
                let taken = decoder.line(line, &mut |Sightings { rrname, fact, seen }| {
                    let place = |window: &Window| window.place(rrname);
                    if start >= horizon || !checkpoint.covers(place(window), start) {
                        window.put(rrname, fact, &seen);
                    }
                });
                if let Err(rejection) = taken {
                    report.bad_line(path, before.lines + decoder.tally().lines, &rejection);
                }
            };
            let progress = if rest { log.rest(&mut each) } else { log.read(BUDGET, &mut each) };
            if !log.is_gzip() {
                self.read.fetch_add(job.position - from, Ordering::Relaxed);
            }
            let progress = progress?;
            if self.outbox.window.is_full() {
                self.send(job, false)?;
            }
            match progress {
                Progress::AtEnd if last && !rest => rest = true,
                Progress::More if !self.means.stop.is_stopped() => {}
                progress => return Ok(progress),
            }
        }
    }

    /// Sends what was read of a job up to its position, once what was sent before is written.
    fn send(&mut self, job: &mut Job, complete: bool) -> Result<(), Failure> {
        if let Some(checkpoint) = self.outbox.taken_back()? {
            job.checkpoint = checkpoint;
        }
        let mut tally = job.before.clone();
        tally.merge(job.decoder.tally());
        // As far as was read, and not what came meanwhile: else that would look as if it was read, too.
        let (size, stat) = if job.log.is_gzip() {
            (job.opened.size, job.opened)
        } else {
            (job.position, job.log.stat())
        };
        job.state = SourceState {
            path: job.path.display().to_string(),
            sensor: self.sensor.clone(),
            acknowledged: job.position,
            live: false,
            complete,
            size,
            mtime_ns: mtime(&stat),
            updated: now(),
            contents: Vec::new(),
            tally: serde_json::to_value(&tally).unwrap_or_default(),
        };
        let (checkpoint, state) = (job.checkpoint.clone(), job.state.clone());
        self.outbox.ship(job.log.id().0, checkpoint, (job.position, false), Some(state));
        Ok(())
    }

    /// Writes the rest of a pass and waits until all of it is acknowledged.
    fn end(&mut self, job: &mut Job, complete: bool) -> Result<(), Failure> {
        if let Some(checkpoint) = self.outbox.taken_back()? {
            job.checkpoint = checkpoint;
        }
        let acknowledged = (job.state.acknowledged, job.state.complete) == (job.position, complete);
        if acknowledged && self.outbox.window.dirty() == 0 {
            return Ok(());
        }
        self.send(job, complete)?;
        job.checkpoint = self.outbox.taken_back()?.ok_or_else(lost)?;
        Ok(())
    }

    /// Adds to the report what a pass added to a job's tally.
    fn count(&mut self, job: &mut Job, counted: &Tally) {
        let mut passed = job.decoder.tally().clone();
        passed.subtract(counted);
        self.report.tally.merge(&passed);
        self.means.metrics.lines(&passed);
        self.report.oversized += job.log.oversized().saturating_sub(job.oversized);
        job.oversized = job.log.oversized();
        if job.log.is_gzip() {
            self.read.fetch_add(job.log.stat().size, Ordering::Relaxed);
        }
    }
}

/// The writer's thread is gone, which only happens when the process ends.
fn lost() -> Failure {
    Failure::Store(StoreError::Unavailable("the writer's thread has ended".to_owned()))
}

fn mtime(stat: &Stat) -> i64 {
    i64::try_from(stat.mtime_ns).unwrap_or(0)
}

/// Whether nobody wrote to a file for a while.
fn is_stale(stat: &Stat) -> bool {
    let written = u64::try_from(stat.mtime_ns).map(Duration::from_nanos);
    let age = written.ok().and_then(|written| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + written).ok()
    });
    age.is_some_and(|age| age > STALE)
}

/// Whether an error may be gone when the file has changed: it is still being written.
pub(crate) fn may_grow(error: &SourceError) -> bool {
    matches!(error, SourceError::Gzip { cause, .. } if cause.kind() == io::ErrorKind::UnexpectedEof)
}
