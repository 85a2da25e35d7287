//! One pass over one log: from where the store has it to where the log ends now.
//!
//! Works for `follow`, on a thread of its own. At the end of a pass all that was read is in the store and
//! acknowledged, so that nothing but an open file and the headers of the log is kept between passes.

use super::Settings;
use super::Stop;
use super::report::Report;
use super::writer::{Batch, Writer};
use crate::aggregate::Window;
use crate::decode::Tally;
use crate::decode::zeek::{Decoder, Options};
use crate::hash::Router;
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
const STALE: Duration = Duration::from_secs(600);

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
    state: SourceState,
    position: u64,
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

/// How opening a log went.
pub(crate) enum Opened {
    /// There is no first record yet.
    Empty,
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
    Rewritten(Stat),
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

/// A thread's means: its connection, its two windows, its counts.
pub(crate) struct Reader {
    settings: Arc<Settings>,
    router: Router,
    /// This sensor's bit.
    sensors: u32,
    /// Octets of one window.
    room: usize,
    writer: Writer,
    windows: Vec<Window>,
    stop: Stop,
    /// Octets of files that are read, for the progress bar.
    read: Arc<AtomicU64>,
    pub(crate) report: Report,
}

impl Reader {
    pub(crate) fn new(
        settings: Arc<Settings>,
        (router, sensors): (Router, u32),
        room: usize,
        writer: Writer,
        stop: Stop,
        read: Arc<AtomicU64>,
    ) -> Self {
        let (windows, report) = (Vec::new(), Report::default());
        Self { settings, router, sensors, room, writer, windows, stop, read, report }
    }

    /// An empty window: one of the two there are at most.
    fn window(&mut self) -> Window {
        let mut window =
            self.windows.pop().unwrap_or_else(|| Window::new(self.router.clone(), self.room));
        // After a failure it holds what was not written, which is read again.
        window.clear();
        window
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(Options { keep_multicast: self.settings.keep_multicast })
    }

    /// Opens a log and moves to where the store has it. `finished`: the file will not grow.
    pub(crate) fn open(&mut self, path: &Path, finished: bool) -> Result<Opened, Failure> {
        let hasher = self.router.hasher();
        let log = if finished { Log::open_finished(path, hasher) } else { Log::open(path, hasher) };
        let Some(log) = log? else { return Ok(Opened::Empty) };
        self.take(log, path)
    }

    /// Takes an open log to where the store has it.
    fn take(&mut self, mut log: Log, path: &Path) -> Result<Opened, Failure> {
        let (state, mut checkpoint) = self.writer.load(log.id().0)?;
        let state = state.unwrap_or_default();
        let stat = log.stat();
        if state.complete && (state.size, state.mtime_ns) == (stat.size, mtime(&stat)) {
            return Ok(Opened::Unchanged);
        }
        for end in checkpoint.open_ends() {
            checkpoint = self.finish(&mut log, checkpoint, end)?;
        }
        let mut decoder = self.decoder();
        let position = checkpoint.acknowledged();
        match log.resume(position, &mut |line| decoder.skim(line)) {
            Err(SourceError::Shrank { .. }) => return Ok(Opened::Unchanged),
            other => other?,
        }
        let before = serde_json::from_value(state.tally.clone()).unwrap_or_default();
        let horizon = checkpoint.horizon();
        self.report.logs += 1;
        Ok(Opened::Ready(Box::new(Job {
            log,
            path: path.to_owned(),
            decoder,
            before,
            checkpoint,
            horizon,
            state,
            position,
            oversized: 0,
            detached: None,
        })))
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
        let mut window = self.window();
        let (mut position, sensors) = (checkpoint.acknowledged(), self.sensors);
        log.resume(position, &mut |line| decoder.skim(line))?;
        while position < end {
            let progress = log.read(BUDGET, &mut |line, at| {
                position = at;
                if at > end {
                    return;
                }
                // Bad lines are counted when they are read in order.
                decoder
                    .line(line, &mut |observation| {
                        let place = window.place(observation.rrname);
                        let open = checkpoint.is_open_at(place.partition, end);
                        if open && !checkpoint.covers(place, at) {
                            window.add(&observation, place, sensors);
                        }
                    })
                    .ok();
            })?;
            if progress != Progress::More {
                break;
            }
        }
        let log = log.id().0;
        self.writer.write(Batch { log, checkpoint, window, end, finish: true, state: None });
        self.taken_back()?.ok_or_else(lost)
    }

    /// Waits for the batch under way and keeps its window; its checkpoint, if there was one.
    fn taken_back(&mut self) -> Result<Option<Checkpoint>, Failure> {
        let Some((batch, result)) = self.writer.take_back() else { return Ok(None) };
        self.windows.push(batch.window);
        result?;
        Ok(Some(batch.checkpoint))
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
        let mut window = self.window();
        let result = self.read(&mut job, &mut window, last);
        // What was read before an error is good, and is written first.
        let ended = match &result {
            Ok(Progress::Truncated) => true,
            Ok(_) => last || job.log.is_gzip() || is_stale(&job.log.stat()),
            Err(Failure::Source(_)) => job.log.is_gzip(),
            Err(Failure::Store(_)) => false,
        };
        if let Err(Failure::Store(error)) = result {
            self.windows.push(window);
            // The batch under way, if any, belongs to the same failure.
            drop(self.taken_back());
            return Err((error.into(), Some(job)));
        }
        let written = self.end(&mut job, window, ended && !self.stop.is_stopped());
        self.count(&job, &counted);
        if let Err(failure) = written {
            return Err((failure, Some(job)));
        }
        match result {
            Err(failure) => Err((failure, None)),
            Ok(Progress::Truncated) => Ok(Passed::Rewritten(job.log.stat())),
            Ok(_) if ended => Ok(Passed::Ended),
            Ok(_) => Ok(Passed::Open(job)),
        }
    }

    fn read(
        &mut self,
        job: &mut Job,
        window: &mut Window,
        last: bool,
    ) -> Result<Progress, Failure> {
        let mut rest = false;
        loop {
            let Job { log, path, decoder, before, checkpoint, horizon, position, .. } = &mut *job;
            let (sensors, horizon, report) = (self.sensors, *horizon, &mut self.report);
            let from = *position;
            let mut each = |line: &[u8], end: u64| {
                let taken = decoder.line(line, &mut |observation| {
                    let place = window.place(observation.rrname);
                    if end > horizon || !checkpoint.covers(place, end) {
                        window.add(&observation, place, sensors);
                    }
                });
                *position = end;
                if let Err(rejection) = taken {
                    report.bad_line(path, before.lines + decoder.tally().lines, &rejection);
                }
            };
            let progress = if rest { log.rest(&mut each) } else { log.read(BUDGET, &mut each) };
            if !log.is_gzip() {
                self.read.fetch_add(job.position - from, Ordering::Relaxed);
            }
            let progress = progress?;
            if window.is_full() {
                let full = std::mem::replace(window, self.window_for(job)?);
                self.send(job, full, false);
            }
            match progress {
                Progress::AtEnd if last && !rest => rest = true,
                Progress::More if !self.stop.is_stopped() => {}
                progress => return Ok(progress),
            }
        }
    }

    /// An empty window while another one may be on its way; takes the job's checkpoint back with that.
    fn window_for(&mut self, job: &mut Job) -> Result<Window, Failure> {
        if let Some(checkpoint) = self.taken_back()? {
            job.checkpoint = checkpoint;
        }
        Ok(self.window())
    }

    /// Sends what was read of a job up to its position.
    fn send(&mut self, job: &mut Job, window: Window, complete: bool) {
        let mut tally = job.before.clone();
        tally.merge(job.decoder.tally());
        let stat = job.log.stat();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        job.state = SourceState {
            path: job.path.display().to_string(),
            sensor: self.settings.sensor.clone(),
            acknowledged: job.position,
            complete,
            size: stat.size,
            mtime_ns: mtime(&stat),
            updated: now.map_or(0, |now| now.as_secs()),
            tally: serde_json::to_value(&tally).unwrap_or_default(),
        };
        self.writer.write(Batch {
            log: job.log.id().0,
            checkpoint: job.checkpoint.clone(),
            window,
            end: job.position,
            finish: false,
            state: Some(job.state.clone()),
        });
    }

    /// Writes the rest of a pass and waits until all of it is acknowledged.
    fn end(&mut self, job: &mut Job, window: Window, complete: bool) -> Result<(), Failure> {
        match self.taken_back() {
            Ok(checkpoint) => job.checkpoint = checkpoint.unwrap_or_else(|| job.checkpoint.clone()),
            Err(failure) => {
                self.windows.push(window);
                return Err(failure);
            }
        }
        if job.state.acknowledged == job.position
            && job.state.complete == complete
            && window.is_empty()
        {
            self.windows.push(window);
            return Ok(());
        }
        self.send(job, window, complete);
        job.checkpoint = self.taken_back()?.ok_or_else(lost)?;
        Ok(())
    }

    /// Adds to the report what a pass added to a job's tally.
    fn count(&mut self, job: &Job, counted: &Tally) {
        let mut passed = job.decoder.tally().clone();
        passed.subtract(counted);
        self.report.tally.merge(&passed);
        self.report.oversized += job.log.oversized() - job.oversized.min(job.log.oversized());
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
