//! State of the store as the agent's writers see it: for `/health`, the metrics, the log and the final
//! report.
//!
//! Updated by `writer`. An outage is a single episode for all writers: it is logged once, with its cause, and
//! once more when it is over.

use crate::causes::with_causes;
use crate::exposition::Page;
use crate::store::{Capacity, ReplyTimer, StoreError};
use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum time for a reply before Redis is considered hung.
const HUNG: Duration = Duration::from_secs(5);

/// State of the store, shared by all writers of the process.
#[derive(Default)]
pub(crate) struct Health {
    state: Mutex<HealthState>,
    has_worked: AtomicBool,
}

#[derive(Default)]
struct HealthState {
    /// Number of the next connection.
    next: u64,
    connections: BTreeMap<u64, Connection>,
    /// Logs whose batches are rejected.
    rejected: BTreeMap<[u8; 16], RejectedLog>,
    episode: Option<Episode>,
    /// Time since when Redis has not answered, if that was logged.
    hung: Option<Instant>,
    capacity: Option<Capacity>,
    succeeded: u64,
    failed: u64,
    /// Number of stored answers.
    stored: u64,
    /// Number of times that a name was one too many below its domain, and was only counted.
    unkept: u64,
    /// Reason why something that was read is not stored.
    unwritten: Option<String>,
}

/// Kind of request to the store for one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A log for which the store rejects a request.
struct RejectedLog {
    /// Its path.
    name: String,
    reason: String,
    access: Access,
}

impl RejectedLog {
    fn to_text(&self) -> String {
        format!("batch of {} rejected: {}", self.name, self.reason)
    }
}

/// A connection that exists or is being attempted.
struct Connection {
    timer: Arc<ReplyTimer>,
    /// Error of its last attempt.
    error: Option<String>,
}

/// An outage.
struct Episode {
    began: Instant,
    /// Kinds of errors that were logged.
    kinds: Vec<Discriminant<StoreError>>,
    /// The first reply of the server that refused a request and was not logged, because it may concern one batch only.
    refused: Option<String>,
}

impl HealthState {
    /// Time for which Redis has not answered, if that is long.
    fn hung_for(&self) -> Option<Duration> {
        let waits = self.connections.values().filter_map(|connection| connection.timer.elapsed());
        waits.max().filter(|&time| time >= HUNG)
    }

    /// Ends the episode if no connection fails any more.
    fn end_episode(&mut self) -> Option<Episode> {
        let fails = self.connections.values().any(|connection| connection.error.is_some());
        if fails { None } else { self.episode.take() }
    }

    fn set_error(&mut self, number: u64, error: Option<String>) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.error = error;
        }
    }
}

impl Health {
    fn state(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection; returns its number.
    pub(crate) fn enter(&self, timer: &Arc<ReplyTimer>) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.connections.insert(number, Connection { timer: Arc::clone(timer), error: None });
        number
    }

    /// Removes a connection.
    pub(crate) fn leave(&self, number: u64) {
        let mut state = self.state();
        state.connections.remove(&number);
        state.end_episode();
    }

    /// Returns true if the store was opened by a user who may write to it: from then on errors are retried.
    pub(crate) fn has_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }

    /// Records that the store was opened by a user who may write to it.
    pub(crate) fn opened(&self, number: u64) {
        self.has_worked.store(true, Ordering::Relaxed);
        self.succeeded(number);
    }

    /// Records a successful attempt. One that ends an episode of which nothing was logged yet logs it.
    pub(crate) fn succeeded(&self, number: u64) {
        let Some(episode) = self.end_failure(number) else { return };
        if !episode.kinds.is_empty() {
            let seconds = episode.began.elapsed().as_secs();
            tracing::info!(seconds, "writing to the store again");
        } else if let Some(cause) = episode.refused {
            tracing::warn!(cause, "the store refused a request and took it when tried again");
        }
    }

    /// Records a successful attempt after an error that the caller logs.
    pub(crate) fn succeeded_as_told(&self, number: u64) {
        if let Some(episode) = self.end_failure(number).filter(|episode| !episode.kinds.is_empty())
        {
            let seconds = episode.began.elapsed().as_secs();
            tracing::info!(seconds, "writing to the store again");
        }
    }

    /// Counts a successful attempt; returns the episode that it ends.
    fn end_failure(&self, number: u64) -> Option<Episode> {
        let mut state = self.state();
        state.succeeded += 1;
        state.set_error(number, None);
        state.end_episode()
    }

    /// Records a failed attempt; an `is_repeated` one is logged, once per episode for each kind of cause.
    pub(crate) fn failed(&self, number: u64, error: &StoreError, is_repeated: bool) {
        let text = with_causes(error);
        let mut state = self.state();
        state.failed += 1;
        state.set_error(number, Some(text.clone()));
        let episode = Episode { began: Instant::now(), kinds: Vec::new(), refused: None };
        let episode = state.episode.get_or_insert(episode);
        if !is_repeated && error.concerns_call() {
            episode.refused.get_or_insert_with(|| text.clone());
        }
        let kind = discriminant(error);
        let is_new = is_repeated && !episode.kinds.contains(&kind);
        if is_new {
            episode.kinds.push(kind);
        }
        drop(state);
        match (is_new, self.has_worked()) {
            (true, true) => tracing::warn!(cause = text, "cannot write to the store, retrying"),
            (true, false) => tracing::warn!(cause = text, "cannot open the store, retrying"),
            (false, _) => tracing::debug!(cause = text, "cannot use the store"),
        }
    }

    /// Records that the data for a log is rejected repeatedly. `name` is the name of the log for people.
    pub(crate) fn reject(
        &self,
        number: u64,
        (log, access): ([u8; 16], Access),
        name: &str,
        error: &StoreError,
    ) {
        let reason = error.to_string();
        let mut state = self.state();
        state.failed += 1;
        state.set_error(number, None);
        if let Some(episode) = &mut state.episode {
            episode.refused = None;
        }
        state.end_episode();
        let rejected = RejectedLog { name: name.to_owned(), reason: reason.clone(), access };
        let is_new = state.rejected.insert(log, rejected);
        drop(state);
        if is_new.is_none() {
            tracing::warn!(log = name, cause = reason, "batch rejected, setting its log aside");
        }
    }

    /// Records that a request for a log succeeded, which ends its rejection. A write ends any rejection; a
    /// read ends only that of a read, because a log that was set aside is read again before its batch is
    /// retried.
    pub(crate) fn accept(&self, log: &[u8; 16], access: Access) {
        let mut state = self.state();
        if state.rejected.get(log).is_some_and(|rejected| rejected.access <= access)
            && let Some(rejected) = state.rejected.remove(log)
        {
            drop(state);
            tracing::info!(log = rejected.name, "batch accepted, reading its log on");
        }
    }

    /// Records that the logs at a path are no longer read.
    pub(crate) fn forget(&self, path: &str) {
        self.state().rejected.retain(|_, rejected| rejected.name != path);
    }

    /// Adds to the number of stored answers, and of names that were only counted below their domain.
    pub(crate) fn stored(&self, answers: u64, unkept: u64) {
        let mut state = self.state();
        state.stored += answers;
        state.unkept += unkept;
    }

    /// Publishes the memory usage of Redis.
    pub(crate) fn capacity(&self, capacity: Option<Capacity>) {
        self.state().capacity = capacity;
    }

    /// Notes that the process ends without storing all that was read.
    pub(crate) fn give_up(&self, error: &StoreError) {
        self.state().unwritten.get_or_insert(with_causes(error));
    }

    /// Number of stored answers, and the reason why some that were read are not stored.
    pub(crate) fn conclusion(&self) -> (u64, Option<String>) {
        let state = self.state();
        let rejected = state.rejected.values().next();
        (state.stored, state.unwritten.clone().or_else(|| rejected.map(RejectedLog::to_text)))
    }

    /// Logs when Redis begins to hang, and when it answers again. Must be called regularly.
    pub(crate) fn watch(&self) {
        let mut state = self.state();
        match (state.hung_for(), state.hung) {
            (Some(time), None) => {
                state.hung = Instant::now().checked_sub(time);
                drop(state);
                tracing::warn!(seconds = time.as_secs(), "Redis gives no answer, waiting");
            }
            (None, Some(since)) => {
                state.hung = None;
                drop(state);
                let seconds = since.elapsed().as_secs();
                tracing::info!(seconds, "Redis answers again, or was given up");
            }
            _ => {}
        }
    }

    /// Problems of the store, one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let state = self.state();
        let mut problems = Vec::new();
        if let Some(hung) = state.hung_for() {
            problems.push(format!("store: no answer for {} seconds", hung.as_secs()));
        }
        for error in state.connections.values().filter_map(|connection| connection.error.as_ref()) {
            let problem = format!("store: {error}");
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if problems.is_empty() && !self.has_worked() {
            problems.push("store: not reached yet".to_owned());
        }
        problems.extend(state.rejected.values().map(|log| format!("store: {}", log.to_text())));
        problems
    }

    /// Writes the metrics.
    pub(crate) fn write(&self, page: &mut Page) {
        let is_up = self.problems().is_empty();
        let state = self.state();
        page.family("pdns_store_up", "gauge", "whether the store takes what is written to it");
        page.number("pdns_store_up", &[], u64::from(is_up));
        let name = "pdns_store_attempts_total";
        page.family(name, "counter", "attempts on the store, by result");
        page.number(name, &[("result", "good")], state.succeeded);
        page.number(name, &[("result", "failed")], state.failed);
        let name = "pdns_store_rejected_logs";
        page.family(name, "gauge", "logs and interfaces whose batches the store rejects");
        page.number(name, &[], state.rejected.len() as u64);
        let name = "pdns_store_answers_total";
        page.family(name, "counter", "answers that were written to the store");
        page.number(name, &[], state.stored);
        let name = "pdns_store_unkept_total";
        page.family(
            name,
            "counter",
            "times that a name was one too many below its domain, and was only counted",
        );
        page.number(name, &[], state.unkept);
        if let Some(capacity) = &state.capacity {
            let name = "pdns_store_memory_bytes";
            page.family(name, "gauge", "memory that Redis uses");
            page.number(name, &[], capacity.used);
            let name = "pdns_store_memory_limit_bytes";
            page.family(name, "gauge", "memory that Redis may use (maxmemory), 0 for any number");
            page.number(name, &[], capacity.limit);
            let name = "pdns_store_evicted_keys_total";
            page.family(name, "counter", "keys that Redis deleted to make room");
            page.number(name, &[], capacity.evicted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_well_when_every_connection_is() {
        let health = Health::default();
        assert_eq!(health.problems(), ["store: not reached yet"]);
        let [one, other] = [(); 2].map(|()| health.enter(&Arc::default()));
        health.opened(one);
        assert!(health.problems().is_empty());
        health.failed(one, &StoreError::Full, true);
        health.failed(other, &StoreError::Full, true);
        health.succeeded(one);
        assert_eq!(health.problems(), [format!("store: {}", StoreError::Full)]);
        health.leave(other);
        assert!(health.problems().is_empty());
    }

    #[test]
    fn a_rejected_log_is_a_problem_until_it_is_accepted() {
        let health = Health::default();
        let number = health.enter(&Arc::default());
        health.opened(number);
        health.reject(
            number,
            ([1; 16], Access::Write),
            "/x/dns.log",
            &StoreError::Server("no".to_owned()),
        );
        let problem = "batch of /x/dns.log rejected: Redis answered: no";
        assert_eq!(health.problems(), [format!("store: {problem}")]);
        health.succeeded(number);
        assert_eq!(health.conclusion(), (0, Some(problem.to_owned())));
        health.accept(&[1; 16], Access::Read);
        assert_eq!(health.problems().len(), 1);
        health.accept(&[1; 16], Access::Write);
        assert!(health.problems().is_empty());
        health.reject(number, ([1; 16], Access::Read), "/x/dns.log", &StoreError::Reply);
        health.accept(&[1; 16], Access::Read);
        assert!(health.problems().is_empty());
        // A log that is gone does not block anything.
        health.reject(
            number,
            ([1; 16], Access::Write),
            "/x/dns.log",
            &StoreError::Server("no".to_owned()),
        );
        health.forget("/x/other.log");
        assert_eq!(health.problems().len(), 1);
        health.forget("/x/dns.log");
        assert!(health.problems().is_empty());
    }
}
