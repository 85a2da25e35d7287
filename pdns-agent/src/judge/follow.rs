//! The loop of the judge: lease, position, steps, and patience with the store.

use super::backlog::Backlog;
use super::examine::{Events, Examiner};
use super::existing::judge_existing;
use super::found::names;
use super::lease::{Lease, RENEW};
use super::metrics::JudgeMetrics;
use super::pause::Pause;
use super::position::{Ends, carry, take};
use super::settings::JudgeSettings;
use super::sinks::{SinkError, Sinks, Taken};
use super::state::{Counters, State};
use super::{JudgeError, Knowledge, cannot};
use crate::analyze::AlertClass;
use crate::causes::with_causes;
use crate::exchange::Dataset;
use crate::monitor;
use crate::name::NameBuf;
use crate::query::DAY;
use crate::store::{Kind, NameEnds, Options, Retry, Store, StoreError};
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Octets of names that are read at once to learn which domains are known.
const LEARN: u32 = 65_500;
/// Verdicts are written to the store after this time, or when there are many.
const KEEP_TIME: Duration = Duration::from_mins(1);
const KEEP_MOST: usize = 500;
/// Interval at which a pause looks for the end.
const NAP: Duration = Duration::from_millis(50);
/// Days that are read again when the position is lost, and names of them.
const MAX_DAYS: u32 = 14;
const MAX_AGAIN: usize = 2_000_000;
/// Names that are judged together when they are read again.
const AGAIN: usize = 10_000;
/// Longest wait for the web hook at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// What a judge is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// End when everything is judged.
    pub once: bool,
    /// Judge everything that the store has first.
    pub all: bool,
    /// Wait for another judge of the store to end.
    pub wait: bool,
}

/// What a judge did, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Counts of this run.
    pub counters: Counters,
    /// Domains of existing names that were judged.
    pub domains: u64,
    /// True if the store had no state of a judge: names from now on are judged.
    pub is_first: bool,
}

/// The end of a session with the store.
enum Ended {
    /// There is nothing more to do.
    Done,
    /// The store has to be opened again.
    Reopen,
    /// Another process has taken the lease.
    Lost(StoreError),
}

/// What a step came to.
enum JudgeProgress {
    Worked,
    Idle,
}

/// Why a step failed.
enum StepFailure {
    Store(StoreError),
    Sink(SinkError),
}

impl From<StoreError> for StepFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SinkError> for StepFailure {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// Everything that a judge has besides the store.
struct Judge<'k, 'o> {
    options: &'k Options,
    settings: &'k JudgeSettings,
    knowledge: &'k Knowledge,
    mode: Mode,
    lease: Lease,
    stop: &'k AtomicBool,
    clock: &'k dyn Fn() -> u32,
    sinks: Sinks<'o>,
    metrics: Arc<JudgeMetrics>,
    examiner: Examiner<'k>,
    summary: Summary,
    /// True once a session was under way.
    has_worked: bool,
    /// True while the known domains are those of the store that is open.
    is_learned: bool,
    state: State,
    /// The state behind events that are written, while the store does not take it.
    pending: Option<State>,
    flushed: Instant,
}

/// Judges the new names of a store until `stop` is set, or once. Events without a sink go to `output`. `clock` gives seconds
/// since the epoch; `env` looks up an environment variable; `holder` is how others know this process.
///
/// # Errors
/// [`JudgeError`] if it cannot begin, or another judge takes over. Once it has begun, it waits until a trouble of the
/// store or of a file is over.
#[expect(clippy::too_many_arguments, reason = "what the command line has of the world")]
pub fn run(
    options: &Options,
    settings: &JudgeSettings,
    knowledge: &Knowledge,
    mode: Mode,
    holder: &str,
    stop: &AtomicBool,
    clock: &dyn Fn() -> u32,
    env: &dyn Fn(&str) -> Option<String>,
    output: &mut dyn Write,
) -> Result<Summary, JudgeError> {
    let sinks = Sinks::open(settings, env, output)?;
    let metrics = Arc::new(JudgeMetrics::default());
    if let Some(address) = &settings.listen {
        monitor::start(address, &metrics)
            .map_err(|cause| JudgeError::Listen { address: address.clone(), cause })?;
    }
    let takes_first_seen = sinks.takes(Dataset::FirstSeen);
    let mut judge = Judge {
        options,
        settings,
        knowledge,
        mode,
        lease: Lease::new(holder),
        stop,
        clock,
        sinks,
        metrics,
        examiner: Examiner::new(knowledge, settings, takes_first_seen),
        summary: Summary::default(),
        has_worked: false,
        is_learned: false,
        state: State::default(),
        pending: None,
        flushed: Instant::now(),
    };
    judge.run()?;
    Ok(judge.summary)
}

impl Judge<'_, '_> {
    fn run(&mut self) -> Result<(), JudgeError> {
        let mut pause = Pause::default();
        while !self.is_stopped() {
            let opened = Store::open(self.options);
            let mut store = match opened {
                Ok(store) => store,
                Err(error) if self.has_worked && error.retry() != Retry::Never => {
                    self.rest(&mut pause, &error);
                    continue;
                }
                Err(cause) => return Err(cannot("open the store")(cause)),
            };
            let begun = self.take_lease(&mut store).and_then(|has_lease| {
                if has_lease { self.begin(&mut store).map(|()| true) } else { Ok(false) }
            });
            match begun {
                Ok(true) => {
                    if pause.end() {
                        tracing::info!("the store is open again");
                    }
                }
                Ok(false) => break,
                Err(StepFailure::Sink(error)) => return Err(error.into()),
                Err(StepFailure::Store(error))
                    if self.has_worked
                        && error.retry() != Retry::Never
                        && !matches!(error, StoreError::Judged { .. }) =>
                {
                    self.rest(&mut pause, &error);
                    continue;
                }
                Err(StepFailure::Store(cause)) => return Err(cannot("judge the store")(cause)),
            }
            self.has_worked = true;
            match self.session(&mut store)? {
                Ended::Done => {
                    self.end(&mut store);
                    return Ok(());
                }
                Ended::Reopen => {
                    self.is_learned = false;
                    self.pending = None;
                }
                Ended::Lost(error) if self.mode.wait => {
                    tracing::warn!(cause = %error, "another judge took over, waiting");
                    self.is_learned = false;
                    self.pending = None;
                }
                Ended::Lost(cause) => return Err(cannot("go on judging")(cause)),
            }
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn now(&self) -> u32 {
        (self.clock)()
    }

    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_stopped() && Instant::now() < until {
            thread::sleep(NAP.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Waits until the next look at the store, and keeps the lease, which ends sooner than a long interval.
    fn wait(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let begin = Instant::now();
        loop {
            let left = self.settings.interval.saturating_sub(begin.elapsed());
            if left.is_zero() || self.is_stopped() {
                return Ok(());
            }
            self.sleep(left.min(RENEW));
            self.renew(store)?;
        }
    }

    /// Tells of a trouble once, and waits.
    fn rest(&self, pause: &mut Pause, error: &dyn std::error::Error) {
        let time = pause.next();
        if pause.is_first() {
            let cause = with_causes(error);
            tracing::warn!(cause, "cannot judge, retrying");
            self.metrics.fail(format!("cannot judge: {cause}"));
        }
        self.sleep(time);
    }

    /// Takes the lease, and waits for it if that is wanted; returns false if the process should stop.
    fn take_lease(&mut self, store: &mut Store) -> Result<bool, StepFailure> {
        let mut is_told = false;
        loop {
            let now = self.now();
            match self.lease.take(store, now) {
                Ok(()) => return Ok(true),
                Err(error @ StoreError::Judged { .. }) if self.mode.wait => {
                    self.metrics.wait();
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::info!(cause = %error, "waiting for another judge");
                    }
                    self.sleep(Duration::from_secs(1));
                }
                Err(error) => return Err(error.into()),
            }
            if self.is_stopped() {
                return Ok(false);
            }
        }
    }

    /// Reads the state, and learns which domains are known.
    fn begin(&mut self, store: &mut Store) -> Result<(), StepFailure> {
        let (state, _) = store.reader().judge()?;
        let known = state.as_deref().map(State::decode);
        if matches!(known, Some(None)) {
            tracing::warn!("the state of the judge in the store does not read, beginning anew");
        }
        let ends = Ends::read(store)?;
        let found = known.flatten();
        let is_new = found.is_none();
        self.summary.is_first |= is_new && !self.has_worked;
        self.state = found.unwrap_or_else(|| {
            // All of a store that came in the place of another one is new.
            let at = |ends: &NameEnds| {
                Backlog::after(if self.has_worked { ends.start() } else { ends.clone() })
            };
            State {
                repairs: store.repairs(),
                records: at(&ends.records),
                negatives: at(&ends.negatives),
                updated: self.now(),
                ..State::default()
            }
        });
        self.state.model =
            self.knowledge.scorer.model.digest().get(..12).unwrap_or_default().to_owned();
        self.examiner.undo();
        self.carry(store, &ends)?;
        if self.is_lost(store, &ends) {
            self.read_again(store, &ends)?;
        } else if !self.is_learned {
            self.learn(store, &HashSet::new())?;
        }
        self.is_learned = true;
        if is_new && self.pending.is_none() {
            let first = self.state.clone();
            self.commit(store, first)?;
        }
        Ok(())
    }

    /// Translates the positions where names were forgotten.
    fn carry(&mut self, store: &mut Store, ends: &Ends) -> Result<(), StepFailure> {
        let records = carry(store, Kind::Record, &mut self.state.records, &ends.records)?;
        let negatives = carry(store, Kind::Negative, &mut self.state.negatives, &ends.negatives)?;
        if records || negatives {
            // The next translation may be impossible from where they were.
            self.commit(store, self.state.clone())?;
        }
        Ok(())
    }

    /// True if the positions say nothing about the store as it is.
    fn is_lost(&self, store: &Store, ends: &Ends) -> bool {
        self.state.repairs != store.repairs()
            || self.state.records.is_lost(&ends.records)
            || self.state.negatives.is_lost(&ends.negatives)
    }

    /// Learns the domains of the names that were judged, without some of them.
    fn learn(&mut self, store: &mut Store, except: &HashSet<NameBuf>) -> Result<(), StepFailure> {
        self.examiner.forget();
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for (from, until) in self.state.records.done() {
            let mut until = until;
            while until != from {
                let before = store.reader().names_before(
                    Kind::Record,
                    &from,
                    &until,
                    LEARN,
                    &mut |text| texts.push(text.to_vec()),
                )?;
                for text in texts.drain(..) {
                    if except.is_empty() {
                        self.examiner.know(store, &text);
                    } else {
                        let kept = names(&text).filter(|name| !except.contains(&name.to_buf()));
                        let kept: Vec<String> =
                            kept.map(|name| format!("{}\n", name.as_str())).collect();
                        self.examiner.know(store, kept.concat().as_bytes());
                    }
                }
                if before == until {
                    break;
                }
                until = before;
                self.renew(store)?;
                if self.is_stopped() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Judges the names of the days since the last change again, because the store lost names or numbered them anew.
    /// Their events have the same identifiers as before.
    fn read_again(&mut self, store: &mut Store, ends: &Ends) -> Result<(), StepFailure> {
        let now = self.now();
        let first = (self.state.updated / DAY).max((now / DAY).saturating_sub(MAX_DAYS));
        tracing::warn!(
            days = now / DAY - first.min(now / DAY) + 1,
            "the store lost names or was repaired, judging the last days again"
        );
        let mut found = self.lease.held_during(self.options, now, || {
            let mut found: Vec<(u32, NameBuf)> = Vec::new();
            for day in first..=now / DAY {
                store.reader().new_on(day, &mut |name, time| {
                    found.push((time, name.to_buf()));
                    if found.len() < MAX_AGAIN {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })?;
            }
            Ok::<_, StoreError>(found)
        })?;
        found.sort_unstable_by(|one, other| other.cmp(one));
        let found: Vec<NameBuf> = found.into_iter().map(|(_, name)| name).collect();
        let mut next = self.state.clone();
        next.repairs = store.repairs();
        next.records = Backlog::after(ends.records.clone());
        next.negatives = Backlog::after(ends.negatives.clone());
        next.counters.losses += 1;
        if !self.is_learned {
            let old = std::mem::replace(&mut self.state, next.clone());
            let learned = self.learn(store, &found.iter().cloned().collect());
            self.state = old;
            learned?;
        }
        for found in found.chunks(AGAIN) {
            let now = self.now();
            let events =
                self.examiner.examine(store, &mut next, found, &[], now, &mut self.lease)?;
            self.write(store, &events)?;
            self.renew(store)?;
            if self.is_stopped() {
                return Ok(());
            }
        }
        self.commit(store, next)
    }

    fn session(&mut self, store: &mut Store) -> Result<Ended, JudgeError> {
        let mut pause = Pause::default();
        while !self.is_stopped() {
            let outcome = if self.mode.all && self.pending.is_none() {
                self.all(store).map(|()| JudgeProgress::Worked)
            } else {
                self.step(store)
            };
            let failure = match outcome {
                Ok(progress) => {
                    if pause.end() {
                        tracing::info!("judging again");
                    }
                    self.metrics.publish(&self.state, self.now());
                    match progress {
                        JudgeProgress::Worked => continue,
                        JudgeProgress::Idle if self.mode.once => return Ok(Ended::Done),
                        JudgeProgress::Idle => match self.wait(store) {
                            Ok(()) => continue,
                            Err(error) => error.into(),
                        },
                    }
                }
                Err(failure) => failure,
            };
            if self.pending.is_none() {
                self.examiner.undo();
            }
            match failure {
                StepFailure::Sink(error) if matches!(error, SinkError::Output(_)) => {
                    return Err(error.into());
                }
                StepFailure::Sink(error) => self.rest(&mut pause, &error),
                StepFailure::Store(error @ StoreError::Judged { .. }) => {
                    return Ok(Ended::Lost(error));
                }
                StepFailure::Store(error) => match error.retry() {
                    Retry::Never => return Err(cannot("go on judging")(error)),
                    Retry::Reopen => {
                        tracing::warn!(cause = with_causes(&error), "opening the store again");
                        self.sleep(pause.next());
                        return Ok(Ended::Reopen);
                    }
                    Retry::Wait | Retry::Reload => self.rest(&mut pause, &error),
                },
            }
        }
        Ok(Ended::Done)
    }

    /// Judges everything that is there, and goes on behind it.
    fn all(&mut self, store: &mut Store) -> Result<(), StepFailure> {
        let ends = Ends::read(store)?;
        let existing = self.lease.held_during(self.options, self.now(), || {
            judge_existing(self.knowledge, store, self.stop)
        })?;
        if self.is_stopped() {
            return Ok(());
        }
        self.renew(store)?;
        let mut next = self.state.clone();
        next.records = Backlog::after(ends.records);
        next.negatives = Backlog::after(ends.negatives);
        next.counters.names += existing.names;
        self.summary.domains = existing.domains;
        let most = usize::try_from(self.settings.verdicts_per_day).unwrap_or(usize::MAX);
        let mut candidates = existing.candidates;
        // Those beyond would be neither kept nor raised.
        let (before, mut of_class) = (candidates.len(), BTreeMap::<AlertClass, usize>::new());
        candidates.retain(|candidate| {
            candidate.risk(false).class.is_some_and(|class| {
                let count = of_class.entry(class).or_default();
                *count += 1;
                *count <= most
            })
        });
        let beyond = (before - candidates.len()) as u64;
        next.counters.not_kept += beyond;
        next.counters.not_raised += beyond;
        let now = self.now();
        let lease = &mut self.lease;
        let events = self.examiner.examine_existing(store, &mut next, candidates, now, lease)?;
        if !self.mode.once {
            let before = std::mem::replace(&mut self.state, next.clone());
            let learned = self.learn(store, &HashSet::new());
            self.state = before;
            learned?;
        }
        self.write(store, &events)?;
        self.mode.all = false;
        self.commit(store, next)
    }

    /// Judges a piece of what is new.
    fn step(&mut self, store: &mut Store) -> Result<JudgeProgress, StepFailure> {
        if let Some(pending) = self.pending.take() {
            self.commit(store, pending)?;
        }
        store.check()?;
        let ends = Ends::read(store)?;
        self.carry(store, &ends)?;
        if self.is_lost(store, &ends) {
            self.read_again(store, &ends)?;
            return Ok(JudgeProgress::Worked);
        }
        let mut next = self.state.clone();
        next.records.extend(&ends.records);
        next.negatives.extend(&ends.negatives);
        let records = take(store, Kind::Record, &mut next.records)?;
        let failed = take(store, Kind::Negative, &mut next.negatives)?;
        if next == self.state {
            let is_due =
                !next.unkept.is_empty() && (self.mode.once || self.flushed.elapsed() >= KEEP_TIME);
            if is_due || self.sinks.has_dropped() {
                self.commit(store, next)?;
            } else {
                self.renew(store)?;
            }
            return Ok(JudgeProgress::Idle);
        }
        let (now, lease) = (self.now(), &mut self.lease);
        let events: Events =
            self.examiner.examine(store, &mut next, &records, &failed, now, lease)?;
        self.write(store, &events)?;
        next.left = next.records.octets(&ends.records) + next.negatives.octets(&ends.negatives);
        self.commit(store, next)?;
        Ok(JudgeProgress::Worked)
    }

    /// Writes events. While a sink takes none, the same events wait, so that the other sinks get them once.
    fn write(&mut self, store: &mut Store, events: &Events) -> Result<(), StepFailure> {
        let mut taken = Taken::default();
        let mut pause = Pause::default();
        loop {
            match self.sinks.write(events, &mut taken) {
                Ok(()) => {
                    if pause.end() {
                        tracing::info!("events can be written again");
                    }
                    return Ok(());
                }
                Err(error @ SinkError::Output(_)) => return Err(error.into()),
                Err(error) => {
                    self.rest(&mut pause, &error);
                    if self.is_stopped() {
                        return Err(error.into());
                    }
                }
            }
            self.renew(store)?;
        }
    }

    /// Writes the state, of which all events are written.
    fn commit(&mut self, store: &mut Store, mut next: State) -> Result<(), StepFailure> {
        self.examiner.settle();
        self.sinks.count(&mut next.counters);
        let now = self.now();
        next.updated = now;
        let is_due = next.unkept.len() >= KEEP_MOST
            || self.flushed.elapsed() >= KEEP_TIME
            || self.mode.once
            || self.is_stopped();
        let flushed = if is_due { next.flush(store, self.settings.lifetime, now) } else { Ok(()) };
        let written = flushed.and_then(|()| self.lease.commit(store, now, &next.encode()));
        if let Err(error) = written {
            self.pending = Some(next);
            return Err(error.into());
        }
        if is_due {
            self.flushed = Instant::now();
        }
        self.summary.add(&self.state.counters, &next.counters);
        self.state = next;
        Ok(())
    }

    fn renew(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let now = self.now();
        self.lease.renew(store, now)
    }

    /// Keeps what is left, and gives the lease back. What fails here is repeated by the next judge.
    fn end(&mut self, store: &mut Store) {
        // What the web hook refuses meanwhile is counted.
        self.sinks.drain(DRAIN);
        if let Some(next) = self.pending.take() {
            drop(self.commit(store, next));
        } else if !self.state.unkept.is_empty() || self.sinks.has_dropped() {
            self.flushed = Instant::now().checked_sub(KEEP_TIME).unwrap_or(self.flushed);
            let next = self.state.clone();
            drop(self.commit(store, next));
        }
        if let Err(error) = self.lease.release(store, self.now()) {
            tracing::debug!(%error, "cannot give the lease back");
        }
    }
}

impl Summary {
    fn add(&mut self, before: &Counters, after: &Counters) {
        self.counters = self.counters.plus(&after.minus(before));
    }
}
