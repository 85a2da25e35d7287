//! Thread that reads logs: one after another, each from its stored position to its current end.
//!
//! Works for `log_scheduler`, which selects the logs. At the end of a reading everything read is stored and
//! acknowledged, so only an open file and the headers of the log are kept between readings.
//!
//! A log is read by one thread at a time. Duplicates of a log, under other names or compressed, are only
//! detected once its identity is known; the second thread then returns its task.

use super::batch_sender::BatchSender;
use super::copies::Met;
use super::log_tasks::{FileEnd, Job, Message, NothingFound, Outcome, Readable, Shared, Task};
use super::merged_log::{self, TakeOver};
use super::open_log::{
    Failure, Located, OpenLog, Position, Progress, has_moved, has_stopped, is_incomplete,
    load_position, mtime, tell_conflict, tell_forgotten,
};
use super::report::LogReport;
use super::standard_input::shown;
use super::writer::WriterContext;
use super::{Logs, now};
use crate::decode::Tally;
use crate::decode::log::{LogDecoder, command_for};
use crate::hash::Router;
use crate::observation::Aggregated;
use crate::source::{self, Log, SourceError, first_bytes};
use crate::store::{Checkpoint, Retry, SourceState, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Bytes read between checks of the window and of the request to stop.
const BUDGET: usize = 256 * 1024;
/// Time to wait if another agent moved a log while it was loaded.
const MOVED: Duration = Duration::from_millis(20);
/// Bytes of a file without records that are examined to guess its type.
const FIRST: usize = 4096;
/// Number of lines examined to guess the type of a log of which no line was accepted.
const LOOKED_AT: u64 = 100;

/// Result of reading a log to its end.
enum Ended {
    /// True if it is not expected to grow, and the command that it seems to be for.
    AtEnd {
        is_last: bool,
        kind: Option<&'static str>,
    },
    Rewritten,
}

/// Reason why a log was not moved to a position of the store.
enum Missed {
    /// It was read to its end, under this key and at this path.
    NothingNew([u8; 16], String),
    /// It ends before what was left half-way.
    Short,
    Failed(Outcome),
}

impl From<Missed> for Outcome {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::NothingNew(..) | Missed::Short => Self::Unchanged,
            Missed::Failed(outcome) => outcome,
        }
    }
}

/// A thread's connection, window and counts.
pub(super) struct LogReader {
    logs: Arc<Logs>,
    sensor: String,
    router: Router,
    /// Unsent data of the log that is being read.
    sender: BatchSender,
    context: WriterContext,
    /// Number of bytes read, for the progress bar.
    read: Arc<AtomicU64>,
    report: LogReport,
}

impl LogReader {
    pub(super) fn new(
        logs: Arc<Logs>,
        sensor: String,
        router: Router,
        sender: BatchSender,
        context: WriterContext,
        read: Arc<AtomicU64>,
    ) -> Self {
        Self { logs, sensor, router, sender, context, read, report: LogReport::default() }
    }

    /// Processes tasks until the queue is closed.
    pub(super) fn run(mut self, shared: &Shared, messages: &Sender<Message>) -> LogReport {
        while let Some(job) = shared.next() {
            let message = match job {
                Job::Check => Message::Checked(self.sender.writer.check()),
                Job::Read(task) => {
                    let Task { file, path, log, end } = *task;
                    let outcome = self.read(shared, &path, log, end);
                    let is_foreign = matches!(outcome, Outcome::Foreign(_));
                    self.report.end_bad_lines(&path, !is_foreign);
                    Message::Read { file, path, outcome }
                }
            };
            if messages.send(message).is_err() {
                break;
            }
            shared.waker.wake();
        }
        self.report
    }

    fn read(&mut self, shared: &Shared, path: &Path, log: Readable, end: FileEnd) -> Outcome {
        let open = match log {
            Readable::Unknown => return self.open(shared, path, end),
            Readable::Open(open) => open,
            Readable::Idle(idle) => match idle.reopen(path) {
                Ok(open) => Box::new(open),
                Err(error) => return Outcome::failed(error),
            },
        };
        let Some(claim) = shared.claim(open.id()) else {
            return Outcome::Busy(Readable::Open(open));
        };
        let is_outdated = open.progress.connections != self.sender.writer.connections()
            || open.progress.turn + 1 != claim.turn;
        let turn = claim.turn;
        // Redis may have lost written data, or another thread may have read a copy of this log.
        let open = if is_outdated { self.reload(*open) } else { Ok(open) };
        self.go_on(open, end, turn)
    }

    /// Opens a file and reads the new part of it.
    fn open(&mut self, shared: &Shared, path: &Path, end: FileEnd) -> Outcome {
        let hasher = self.router.hasher();
        let opened = if end == FileEnd::LastLook {
            Log::open_finished(path, hasher)
        } else {
            Log::open(path, hasher)
        };
        let log = match opened {
            Ok(Some(log)) => log,
            Ok(None) if end == FileEnd::LastLook => {
                let command = self.other_command(path);
                return Outcome::Foreign(NothingFound { command, rejected: None });
            }
            Ok(None) => return Outcome::Empty,
            Err(error) => return Outcome::failed(error),
        };
        let Some(claim) = shared.claim(log.id()) else {
            return Outcome::Busy(Readable::Unknown);
        };
        let turn = claim.turn;
        let open = match self.locate(log, path) {
            Ok(open) => open,
            Err(missed) => return self.missed(shared, path, missed),
        };
        let met = shared.paths.meet(open.progress.key, path);
        let (known_as, position) = (open.progress.state.path.clone(), open.progress.position);
        let outcome = self.go_on(Ok(open), end, turn);
        // One that is followed may have something new at any time.
        if let Outcome::Open(open) | Outcome::Ended(open) = &outcome
            && end == FileEnd::LastLook
            && position > 0
            && open.decoder.tally().lines == 0
        {
            self.report.nothing_new.add(&shared.paths, path, &met, &known_as);
        }
        outcome
    }

    /// Counts a log that was not moved to a position because there is nothing new in it.
    fn missed(&mut self, shared: &Shared, path: &Path, missed: Missed) -> Outcome {
        let (met, known_as) = match &missed {
            Missed::Failed(_) => return missed.into(),
            Missed::NothingNew(key, known_as) => (shared.paths.meet(*key, path), known_as.as_str()),
            Missed::Short => (Met::New, ""),
        };
        self.report.nothing_new.add(&shared.paths, path, &met, known_as);
        missed.into()
    }

    /// The command for a file without records, if it is a different one.
    fn other_command(&self, path: &Path) -> Option<&'static str> {
        let first = first_bytes(path, FIRST).unwrap_or_default();
        command_for(&first).filter(|&command| command != self.logs.format.command())
    }

    /// Loads the stored position of an open log, and moves there.
    fn reload(&mut self, open: OpenLog) -> Result<Box<OpenLog>, Outcome> {
        let OpenLog { mut log, mut decoder, mut progress } = open;
        let connections = self.sender.writer.connections();
        let (state, checkpoint) = self.load(&progress).map_err(Outcome::failed)?;
        let is_there = checkpoint.acknowledged() == progress.position
            && log.offset() == progress.position
            && checkpoint.open_ends().is_empty()
            && (state.is_some() || progress.position == 0);
        if is_there {
            // Nothing has to be read again.
            progress.horizon = checkpoint.horizon();
            (progress.checkpoint, progress.connections) = (checkpoint, connections);
            return Ok(Box::new(OpenLog { log, decoder, progress }));
        }
        self.settle(&mut progress, &mut log, &mut decoder);
        Ok(self.locate(log, &progress.path)?)
    }

    fn load(
        &mut self,
        progress: &Progress,
    ) -> Result<(Option<SourceState>, Checkpoint), StoreError> {
        self.sender.writer.load(progress.key, &shown(&progress.path))
    }

    /// Moves an open file to where the store has it, however often another agent moves that.
    fn locate(&mut self, mut log: Log, path: &Path) -> Result<Box<OpenLog>, Missed> {
        let opened = log.stat();
        let position = loop {
            match self.position(&mut log, path) {
                Err(Failure::Store(error))
                    if error.retry() == Retry::Reload && self.context.stop.sleep(MOVED) => {}
                // This copy ends before that: what is missing may come, or be in another copy.
                Err(Failure::Source(SourceError::Shrank { .. })) => return Err(Missed::Short),
                Ok(Located::NothingNew(key, known_as)) => {
                    return Err(Missed::NothingNew(key, known_as));
                }
                Ok(Located::At(position)) => break *position,
                Err(failure) => return Err(Missed::Failed(Outcome::failed(failure))),
            }
        };
        let Position { key, state, checkpoint, connections, decoder } = position;
        let progress = Progress {
            path: path.to_owned(),
            key,
            before: serde_json::from_value(state.tally.clone()).unwrap_or_default(),
            horizon: checkpoint.horizon(),
            position: checkpoint.acknowledged(),
            damage: log.damage(),
            checkpoint,
            connections,
            turn: 0,
            opened,
            state,
            sent: Tally::default(),
            stored: Tally::default(),
            reported: Tally::default(),
        };
        Ok(Box::new(OpenLog { log, decoder, progress }))
    }

    /// Moves a log to where the store has it, and finishes what was left half-way of it.
    fn position(&mut self, log: &mut Log, path: &Path) -> Result<Located, Failure> {
        let (format, hasher) = (self.logs.format, self.router.hasher());
        let writer = &mut self.sender.writer;
        let located = load_position(log, path, format, hasher, writer)?;
        let located = match located {
            Located::At(position) if position.is_new() => {
                match merged_log::take_over(log, path, format, &self.router, position.key, writer)?
                {
                    TakeOver::Unknown => Located::At(position),
                    TakeOver::NothingNew(key, path) => Located::NothingNew(key, path),
                    TakeOver::Taken => load_position(log, path, format, hasher, writer)?,
                }
            }
            located => located,
        };
        let Located::At(mut position) = located else { return Ok(located) };
        let ends = position.checkpoint.open_ends();
        for &end in &ends {
            position.checkpoint = self.finish(log, position.key, position.checkpoint, end)?;
        }
        if !ends.is_empty() {
            let mut decoder = LogDecoder::new(format);
            log.resume(position.checkpoint.acknowledged(), &mut |line| decoder.skim(line))?;
            position.decoder = decoder;
        }
        Ok(Located::At(position))
    }

    /// Applies the rest of a partially applied batch.
    fn finish(
        &mut self,
        log: &mut Log,
        key: [u8; 16],
        checkpoint: Checkpoint,
        end: u64,
    ) -> Result<Checkpoint, Failure> {
        let mut decoder = LogDecoder::new(self.logs.format);
        let (mut position, window) = (checkpoint.acknowledged(), &mut self.sender.window);
        log.resume(position, &mut |line| decoder.skim(line))?;
        let mut rest = false;
        while position < end {
            let mut each = |line: &[u8], at: u64| {
                let start = std::mem::replace(&mut position, at);
                if start >= end {
                    return;
                }
                // Invalid lines are counted when they are read in order.
                decoder
                    .line(line, &mut |Aggregated { rrname, fact, seen }| {
                        let place = window.place(rrname);
                        let open = checkpoint.is_open_at(place.partition, end);
                        if open && !checkpoint.covers(place, start) {
                            window.merge(rrname, fact, &seen);
                        }
                    })
                    .ok();
            };
            // The batch may have ended with a last line without a newline.
            let progress = if rest { log.rest(&mut each) } else { log.read(BUDGET, &mut each) };
            let path = || log.path().to_owned();
            let broken = match progress {
                Ok(source::Progress::More) => continue,
                Ok(source::Progress::AtEnd) if !rest => {
                    rest = true;
                    continue;
                }
                Ok(_) if position >= end => continue,
                Ok(source::Progress::AtEnd) => {
                    SourceError::Shrank { path: path(), len: position, offset: end }
                }
                Ok(source::Progress::Truncated) => SourceError::Rewritten { path: path() },
                Err(error) => error,
            };
            // The collected part is incomplete, and must not be sent with another log's batch.
            window.clear();
            return Err(broken.into());
        }
        self.sender.submit(key, checkpoint, (end, true), None);
        self.sender.wait()?.ok_or_else(writer_ended)
    }

    /// Reads a log from its position to its current end, repeatedly if another agent moves that position.
    fn go_on(
        &mut self,
        mut open: Result<Box<OpenLog>, Outcome>,
        end: FileEnd,
        turn: u64,
    ) -> Outcome {
        loop {
            let mut log = match open {
                Ok(log) => log,
                Err(outcome) => return outcome,
            };
            log.progress.turn = turn;
            match self.read_to_end(&mut log, end) {
                Err(Failure::Store(error)) if error.retry() == Retry::Reload => {
                    let is_lost = log.progress.connections != self.sender.writer.connections();
                    if matches!(error, StoreError::Conflict) && self.is_forgotten(&log.progress) {
                        tell_forgotten(log.path());
                    } else {
                        tell_conflict(log.path(), &error, is_lost);
                    }
                    open = self.reload(*log);
                }
                Err(failure) => return Outcome::failed(failure),
                Ok(Ended::Rewritten) => return Outcome::Rewritten,
                Ok(Ended::AtEnd { is_last, kind }) => {
                    return self.finished(log, end, is_last, kind);
                }
            }
        }
    }

    /// Returns true if a log that was read on is forgotten by now. An error shows when the log is loaded.
    fn is_forgotten(&mut self, progress: &Progress) -> bool {
        let loaded = self.load(progress);
        loaded.is_ok_and(|(state, _)| state.is_some_and(|state| state.is_forgotten()))
    }

    /// Reads a log to its current end and stores everything.
    fn read_to_end(&mut self, open: &mut OpenLog, end: FileEnd) -> Result<Ended, Failure> {
        let mut kind = command_for(open.log.first_bytes());
        let result = self.read_lines(open, end, &mut kind);
        // Lines read before an error are valid, and are stored first.
        let is_last = match &result {
            Ok(source::Progress::Truncated) => true,
            Ok(_) if end == FileEnd::LastLook => !open.log.has_unfinished_line(),
            Ok(_) => {
                end == FileEnd::Rotated || open.log.is_packed() || has_stopped(&open.log.stat())
            }
            // A compressed log that ends too early may still be being written.
            Err(Failure::Source(error)) => open.log.is_packed() && !is_incomplete(error),
            Err(Failure::Store(_)) => false,
        };
        let result = match result {
            Err(Failure::Store(error)) => Err(error.into()),
            read => self.end(open, is_last && !self.context.stop.is_stopped()).and(read),
        };
        let OpenLog { log, decoder, progress } = open;
        self.settle(progress, log, decoder);
        Ok(match result? {
            source::Progress::Truncated => Ended::Rewritten,
            _ => Ended::AtEnd { is_last, kind },
        })
    }

    /// Result for a log that was read to its current end.
    fn finished(
        &mut self,
        mut open: Box<OpenLog>,
        end: FileEnd,
        is_last: bool,
        kind: Option<&'static str>,
    ) -> Outcome {
        let progress = &open.progress;
        let mut tally = progress.before.clone();
        tally.merge(open.decoder.tally());
        let is_foreign = kind.is_some_and(|kind| kind != self.logs.format.command());
        let is_unfinished = end == FileEnd::LastLook && open.log.has_unfinished_line();
        // Its first record may be that line.
        let may_be_ours = is_unfinished
            && (kind == Some(self.logs.format.command())
                || open.log.first_bytes().starts_with(b"{"));
        if !tally.has_taken() && (is_foreign || (end == FileEnd::LastLook && !may_be_ours)) {
            let most = tally.rejected.into_iter().max_by_key(|&(_, &count)| count);
            let rejected = most.map(|(&reason, _)| (tally.rejected.total(), reason));
            return Outcome::Foreign(NothingFound {
                command: kind.filter(|_| is_foreign),
                rejected,
            });
        }
        if is_unfinished {
            self.report.unfinished += 1;
            tracing::warn!(
                path = %shown(open.path()),
                "the last line has no newline and may be incomplete, left for the next run"
            );
        }
        open.log.rest_here();
        if is_last || end == FileEnd::LastLook { Outcome::Ended(open) } else { Outcome::Open(open) }
    }

    fn read_lines(
        &mut self,
        open: &mut OpenLog,
        end: FileEnd,
        kind: &mut Option<&'static str>,
    ) -> Result<source::Progress, Failure> {
        let mut rest = false;
        loop {
            let OpenLog { log, decoder, progress } = &mut *open;
            let Progress { path, before, checkpoint, horizon, position, .. } = progress;
            let (window, horizon, report) = (&mut self.sender.window, *horizon, &mut self.report);
            let from = *position;
            let mut each = |line: &[u8], end: u64| {
                let start = std::mem::replace(position, end);
                let taken = decoder.line(line, &mut |Aggregated { rrname, fact, seen }| {
                    if start >= horizon || !checkpoint.covers(window.place(rrname), start) {
                        window.merge(rrname, fact, &seen);
                    }
                });
                if let Err(rejection) = taken {
                    let tally = decoder.tally();
                    let is_understood = tally.has_taken() || before.has_taken();
                    report.bad_line(path, before.lines + tally.lines, rejection, is_understood);
                }
                let tally = decoder.tally();
                if kind.is_none() && tally.lines < LOOKED_AT && !tally.has_taken() {
                    *kind = command_for(line);
                }
            };
            let ended = if rest { log.rest(&mut each) } else { log.read(BUDGET, &mut each) };
            if !log.is_packed() {
                self.read.fetch_add(progress.position - from, Ordering::Relaxed);
            }
            let ended = ended?;
            if self.sender.window.is_full() {
                self.send(open, false)?;
            }
            match ended {
                // Zeek writes in blocks: a file that is still written to usually ends within a line.
                source::Progress::AtEnd
                    if !rest
                        && (open.log.is_packed()
                            || end == FileEnd::Rotated
                            || (end == FileEnd::LastLook && has_stopped(&open.log.stat()))) =>
                {
                    rest = true;
                }
                source::Progress::More if !self.context.stop.is_stopped() => {}
                ended => return Ok(ended),
            }
        }
    }

    /// Sends the part of a log read so far, once the previous batch is written.
    fn send(&mut self, open: &mut OpenLog, complete: bool) -> Result<(), Failure> {
        let OpenLog { log, decoder, progress } = open;
        self.wait_for_batch(progress)?;
        progress.sent.clone_from(decoder.tally());
        let mut tally = progress.before.clone();
        tally.merge(&progress.sent);
        // The size at the time of reading, without data appended since: otherwise that would appear to have
        // been read.
        let (size, stat) = if log.is_packed() {
            (progress.opened.size, progress.opened)
        } else {
            (progress.position, log.stat())
        };
        progress.state = SourceState {
            path: shown(&progress.path).into_owned(),
            reader: self.logs.format.command().to_owned(),
            digest: Some(log.digest().to_stored()),
            sensor: self.sensor.clone(),
            acknowledged: progress.position,
            live: false,
            complete,
            size,
            mtime_ns: mtime(&stat),
            updated: now(),
            tally: serde_json::to_value(&tally).unwrap_or_default(),
            ..SourceState::default()
        };
        let (checkpoint, state) = (progress.checkpoint.clone(), progress.state.clone());
        let digest = Some(log.digest().to_bytes());
        self.sender.submit_log(
            progress.key,
            checkpoint,
            (progress.position, false),
            digest,
            Some(state),
        );
        Ok(())
    }

    /// Stores the rest of a reading and waits until all of it is acknowledged.
    ///
    /// No position is stored for a log in which nothing was found: it may be meant for another command.
    fn end(&mut self, open: &mut OpenLog, complete: bool) -> Result<(), Failure> {
        let progress = &mut open.progress;
        self.wait_for_batch(progress)?;
        let state = &progress.state;
        let acknowledged = (state.acknowledged, state.complete) == (progress.position, complete)
            && !has_moved(state, &progress.path);
        let is_known = progress.before.has_taken() || open.decoder.tally().has_taken();
        if self.sender.window.dirty() == 0 && (acknowledged || !is_known) {
            progress.stored.clone_from(open.decoder.tally());
            return Ok(());
        }
        self.send(open, complete)?;
        if self.wait_for_batch(&mut open.progress)? { Ok(()) } else { Err(writer_ended()) }
    }

    /// Waits for the batch in flight, if there is one, and records that it is stored; `false` if there is
    /// none.
    fn wait_for_batch(&mut self, progress: &mut Progress) -> Result<bool, Failure> {
        let Some(checkpoint) = self.sender.wait()? else { return Ok(false) };
        progress.checkpoint = checkpoint;
        progress.stored.clone_from(&progress.sent);
        Ok(true)
    }

    /// Adds everything stored since the last call to the report.
    fn settle(&mut self, progress: &mut Progress, log: &mut Log, decoder: &mut LogDecoder) {
        let mut new = progress.stored.clone();
        new.subtract(&progress.reported);
        if new.lines > 0 {
            self.report.read_log(progress.key);
        }
        self.report.tally.merge(&new);
        self.context.metrics.lines(&new);
        progress.reported.clone_from(&progress.stored);
        if progress.stored.lines == decoder.tally().lines {
            self.report.damage += log.damage().since(progress.damage);
            progress.damage = log.damage();
            let coverage = decoder.take_coverage();
            self.report.coverage.merge(&coverage);
            self.context.metrics.coverage(&coverage);
        }
        if log.is_packed() {
            self.read.fetch_add(log.stat().size, Ordering::Relaxed);
        }
    }
}

/// The writer's thread is gone, which only happens when the process ends.
fn writer_ended() -> Failure {
    Failure::Store(StoreError::Unavailable("the writer's thread has ended".to_owned()))
}
