//! Metrics of a judge for Prometheus, and its health.
//!
//! Labels are classes of verdicts, never names or addresses.

use super::state::{Counters, State};
use crate::analyze::AlertClass;
use crate::exposition::Page;
use crate::monitor::Monitored;
use crate::query::DAY;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a judge publishes.
#[derive(Default)]
pub(super) struct JudgeMetrics {
    published: Mutex<Published>,
}

/// The state that was published last.
#[derive(Default)]
struct Published {
    /// When the judge last had looked at the store, in seconds since the epoch; 0 before the first time.
    looked: u32,
    counters: Counters,
    left: u64,
    classes: Vec<ClassOfDay>,
    is_waiting: bool,
    trouble: Option<String>,
}

/// The day of a class of verdicts.
struct ClassOfDay {
    class: AlertClass,
    threshold: f64,
    raised: u32,
    not_raised: u32,
}

impl JudgeMetrics {
    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The judge works, and this is its state.
    pub(super) fn publish(&self, state: &State, now: u32) {
        let today = state.budget.counts(now / DAY);
        let of_day = |(class, threshold)| {
            let of_class = today.iter().find(|(of, ..)| *of == class);
            let (raised, not_raised) = of_class.map_or((0, 0), |(_, one, other)| (*one, *other));
            ClassOfDay { class, threshold, raised, not_raised }
        };
        *self.published() = Published {
            looked: now,
            counters: state.counters,
            left: state.left,
            classes: state.budget.thresholds().map(of_day).collect(),
            is_waiting: false,
            trouble: None,
        };
    }

    /// Another judge works on the store.
    pub(super) fn wait(&self) {
        let mut published = self.published();
        published.is_waiting = true;
        published.trouble = None;
    }

    /// The judge cannot go on.
    pub(super) fn fail(&self, why: String) {
        self.published().trouble = Some(why);
    }
}

impl Monitored for JudgeMetrics {
    fn to_text(&self) -> String {
        let published = self.published();
        let is_up = published.trouble.is_none() && published.looked > 0 && !published.is_waiting;
        let mut page = Page::default();
        let mut number = |name: &str, kind: &str, help: &str, value: u64| {
            page.family(name, kind, help);
            page.number(name, &[], value);
        };
        number("pdns_judge_up", "gauge", "1 if this process judges the store.", is_up.into());
        number(
            "pdns_judge_looked_timestamp_seconds",
            "gauge",
            "When it last had looked at the store.",
            published.looked.into(),
        );
        number(
            "pdns_judge_left_bytes",
            "gauge",
            "Names that are not judged yet, in bytes.",
            published.left,
        );
        for (name, count) in published.counters.each() {
            let help =
                "Count since the first start of a judge on the store; see pdns judge --status.";
            number(&format!("pdns_judge_{name}_total"), "counter", help, count);
        }
        let name = "pdns_judge_verdicts_today";
        page.family(name, "gauge", "Verdicts of this day, by class, raised as alerts or not.");
        for one in &published.classes {
            for (raised, count) in [("yes", one.raised), ("no", one.not_raised)] {
                let labels = [("class", one.class.as_str()), ("raised", raised)];
                page.number(name, &labels, count.into());
            }
        }
        let name = "pdns_judge_threshold";
        page.family(name, "gauge", "Score from which verdicts of a class are raised.");
        for one in &published.classes {
            page.decimal(name, &[("class", one.class.as_str())], one.threshold);
        }
        page.into_text()
    }

    fn problems(&self) -> Vec<String> {
        let published = self.published();
        let is_starting = published.looked == 0 && !published.is_waiting;
        let starting = is_starting.then(|| "the store was not looked at yet".to_owned());
        published.trouble.clone().or(starting).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_follows_the_judge() {
        let metrics = JudgeMetrics::default();
        assert_eq!(metrics.problems(), ["the store was not looked at yet"]);
        metrics.wait();
        assert!(metrics.problems().is_empty() && metrics.to_text().contains("\npdns_judge_up 0\n"));
        let mut state = State { left: 7, ..State::default() };
        state.counters.webhook_dropped = 3;
        state.budget.decide(50, 20_000, AlertClass::Mimic, 1, 40);
        metrics.publish(&state, 20_000 * DAY + 5);
        let text = metrics.to_text();
        for line in [
            "pdns_judge_up 1",
            "pdns_judge_looked_timestamp_seconds 1728000005",
            "pdns_judge_left_bytes 7",
            "pdns_judge_webhook_dropped_total 3",
            "pdns_judge_verdicts_today{class=\"mimic\",raised=\"yes\"} 1",
            "pdns_judge_threshold{class=\"mimic\"} 30",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        metrics.fail("the disk is full".to_owned());
        assert_eq!(metrics.problems(), ["the disk is full"]);
        metrics.publish(&state, 20_000 * DAY + 6);
        assert!(metrics.problems().is_empty());
    }
}
