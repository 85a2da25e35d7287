//! The alert budget: which verdicts become alerts, so that a site gets about as many a day as people can read.
//!
//! Each class of verdict has a threshold: the quantile of its own scores in the last [`WINDOW`] days at which its share
//! of the budget is reached. A threshold moves at most a tenth a day, so that a flood of one day does not silence the
//! next. Within a day the budget is a hard limit, of which each class keeps a reserve that no other class can use: a
//! flood of generated names cannot hide one imitation. Time is given in days since the epoch.

use super::assess::AlertClass;
use super::score::WATCH;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Days of traffic that thresholds follow.
pub const WINDOW: u32 = 14;
/// Largest relative change of a threshold in a day.
const STEP: f64 = 0.1;
/// Alerts of the last days that are remembered, so that each is raised once.
const MAX_RAISED: usize = 20_000;
/// Verdicts of today that were not raised and are remembered, so that each is counted once.
const MAX_PASSED: usize = 200_000;
/// Reserve of a class whose verdicts are rare.
const LEAST_RESERVE: u32 = 2;

/// Fate of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is an alert.
    Raised,
    /// The same set or domain was raised or counted before.
    Known,
    /// It is counted only.
    NotRaised,
}

/// The verdicts of one class on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct DayCounts {
    /// Days since the epoch.
    pub day: u32,
    /// Number of verdicts by score.
    scores: BTreeMap<u8, u32>,
    /// Number of alerts.
    pub raised: u32,
    /// Number of verdicts that were only counted.
    pub not_raised: u32,
}

impl DayCounts {
    fn at_least(&self, score: u8) -> u32 {
        self.scores.range(score..).map(|(_, count)| count).sum()
    }
}

/// A class: its threshold, and its last days, latest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ClassBudget {
    threshold: f64,
    days: VecDeque<DayCounts>,
}

impl Default for ClassBudget {
    fn default() -> Self {
        Self { threshold: f64::from(WATCH), days: VecDeque::new() }
    }
}

impl ClassBudget {
    fn today(&mut self, day: u32) -> &mut DayCounts {
        if self.days.back().is_none_or(|last| last.day != day) {
            self.days.push_back(DayCounts { day, ..DayCounts::default() });
        }
        self.days.back_mut().expect("a day was added if there was none")
    }

    fn raised_on(&self, day: u32) -> u32 {
        self.days.iter().rev().find(|counts| counts.day == day).map_or(0, |counts| counts.raised)
    }

    /// Verdicts a day with at least this score.
    fn mean(&self, score: u8, days: u32) -> f64 {
        let sum: u64 = self.days.iter().map(|day| u64::from(day.at_least(score))).sum();
        // Sums of two weeks are far below the precision of a double.
        #[expect(clippy::cast_precision_loss, reason = "sums of two weeks are small")]
        let sum = sum as f64;
        sum / f64::from(days.max(1))
    }
}

/// The budget of a site. Its state can be stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// The current day; 0 before the first one.
    day: u32,
    /// The first day.
    since: u32,
    classes: BTreeMap<AlertClass, ClassBudget>,
    /// Keys of alerts, with their day.
    raised: BTreeMap<u64, u32>,
    /// Keys of today's verdicts that were not raised.
    #[serde(skip)]
    passed: BTreeSet<u64>,
}

impl Budget {
    /// Decides about a verdict of a class with a score from [`WATCH`] to 100. `key` identifies the set or registrable
    /// domain.
    pub fn decide(
        &mut self,
        per_day: u32,
        day: u32,
        class: AlertClass,
        key: u64,
        score: u8,
    ) -> Decision {
        let day = self.advance(per_day, day);
        if self.raised.contains_key(&key) || self.passed.contains(&key) {
            return Decision::Known;
        }
        let has_room = self.has_alert_room(per_day, day, class);
        let state = self.classes.entry(class).or_default();
        let is_high = f64::from(score) >= state.threshold;
        let today = state.today(day);
        *today.scores.entry(score).or_default() += 1;
        if is_high && has_room {
            today.raised += 1;
            self.remember(key, day);
            Decision::Raised
        } else {
            today.not_raised += 1;
            if self.passed.len() < MAX_PASSED {
                self.passed.insert(key);
            }
            Decision::NotRaised
        }
    }

    /// True if the day has room for one more alert of a class.
    pub fn has_alert_room(&mut self, per_day: u32, day: u32, class: AlertClass) -> bool {
        let day = self.advance(per_day, day);
        let raised = |class| self.classes.get(&class).map_or(0, |state| state.raised_on(day));
        self.has_room(per_day, class, raised)
    }

    /// Decides about a hit on a tag or feed, of which each is raised, once for each domain. Hits take nothing of the
    /// budget.
    pub fn decide_hit(&mut self, per_day: u32, day: u32, key: u64) -> Decision {
        let day = self.advance(per_day, day);
        if self.raised.contains_key(&key) {
            return Decision::Known;
        }
        self.remember(key, day);
        Decision::Raised
    }

    /// The alerts and the other verdicts of a day.
    #[must_use]
    pub fn counts(&self, day: u32) -> Vec<(AlertClass, u32, u32)> {
        let of_day = |class: &ClassBudget| {
            class
                .days
                .iter()
                .find(|counts| counts.day == day)
                .map(|one| (one.raised, one.not_raised))
        };
        self.classes
            .iter()
            .filter_map(|(class, state)| {
                let (raised, not_raised) = of_day(state)?;
                Some((*class, raised, not_raised))
            })
            .collect()
    }

    /// The threshold of each class that had verdicts.
    pub fn thresholds(&self) -> impl Iterator<Item = (AlertClass, f64)> {
        self.classes.iter().map(|(class, state)| (*class, state.threshold))
    }

    fn remember(&mut self, key: u64, day: u32) {
        self.raised.insert(key, day);
        if self.raised.len() > MAX_RAISED {
            let oldest = self.raised.values().copied().min().unwrap_or(day);
            let half = self.raised.len() / 2;
            let mut left = self.raised.len();
            self.raised.retain(|_, of| {
                let is_kept = *of > oldest || left <= half;
                left -= usize::from(!is_kept);
                is_kept
            });
        }
    }

    /// Goes to a day, and moves the thresholds once for each day that has passed. A clock that goes back stays on the
    /// current day. Returns the current day.
    fn advance(&mut self, per_day: u32, day: u32) -> u32 {
        if self.day == 0 {
            (self.day, self.since) = (day, day);
        }
        // After a longer break, the old days say as little as one after the other.
        if day > self.day + WINDOW {
            self.day = day - WINDOW;
        }
        while self.day < day {
            self.move_thresholds(per_day);
            self.day += 1;
            self.passed.clear();
            let oldest = self.day.saturating_sub(WINDOW);
            self.raised.retain(|_, of| *of >= oldest);
            for class in self.classes.values_mut() {
                class.days.retain(|counts| counts.day >= oldest);
            }
        }
        self.day
    }

    /// Days of traffic in the window.
    fn days(&self) -> u32 {
        (self.day - self.since.min(self.day) + 1).min(WINDOW)
    }

    fn move_thresholds(&mut self, per_day: u32) {
        let days = self.days();
        let shares = self.shares(per_day, days);
        for (class, state) in &mut self.classes {
            let share = shares.get(class).copied().unwrap_or(0.0);
            // The highest score that still brings the whole share; a class with fewer verdicts needs no threshold.
            let target = (WATCH..=100).rev().find(|score| state.mean(*score, days) >= share);
            let target = f64::from(target.unwrap_or(WATCH));
            let (low, high) = (state.threshold * (1.0 - STEP), state.threshold * (1.0 + STEP));
            state.threshold = target.clamp(low, high).clamp(f64::from(WATCH), 100.0);
        }
    }

    /// The share of each class: what it needs, or an equal part of what the smaller ones leave.
    fn shares(&self, per_day: u32, days: u32) -> BTreeMap<AlertClass, f64> {
        let mut needs: Vec<(AlertClass, f64)> =
            self.classes.iter().map(|(class, state)| (*class, state.mean(WATCH, days))).collect();
        needs.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (mut left, mut classes) = (f64::from(per_day), needs.len());
        let mut shares = BTreeMap::new();
        for (class, need) in needs {
            #[expect(clippy::cast_precision_loss, reason = "there are a few classes")]
            let share = need.min(left / classes as f64);
            left -= share;
            classes -= 1;
            shares.insert(class, share.max(1.0));
        }
        shares
    }

    /// True if a class may have one more of a daily limit, of which each class has used so much today: what others
    /// are sure of is left to them.
    #[must_use]
    pub fn has_room(
        &self,
        per_day: u32,
        class: AlertClass,
        used: impl Fn(AlertClass) -> u32,
    ) -> bool {
        let all: u32 = AlertClass::ALL.into_iter().map(&used).sum();
        let kept: u32 = AlertClass::ALL
            .into_iter()
            .filter(|other| *other != class)
            .map(|other| self.reserve(per_day, other).saturating_sub(used(other)))
            .sum();
        all.saturating_add(kept) < per_day
    }

    /// Part of a daily limit that no other class can use: an equal part at first, later as many as it usually has.
    fn reserve(&self, per_day: u32, class: AlertClass) -> u32 {
        let equal = per_day / AlertClass::COUNT;
        let days = self.days();
        if self.day == self.since {
            return equal;
        }
        let usual = self.classes.get(&class).map_or(0.0, |state| state.mean(WATCH, days)).ceil();
        // Compared as doubles first: the number of verdicts may be larger than any reserve.
        if usual >= f64::from(equal) {
            return equal;
        }
        (LEAST_RESERVE..equal).find(|reserve| f64::from(*reserve) >= usual).unwrap_or(equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_DAY: u32 = 50;

    fn raised(
        budget: &mut Budget,
        day: u32,
        class: AlertClass,
        keys: std::ops::Range<u64>,
        score: impl Fn(u64) -> u8,
    ) -> u32 {
        keys.map(|key| {
            u32::from(budget.decide(PER_DAY, day, class, key, score(key)) == Decision::Raised)
        })
        .sum()
    }

    #[test]
    fn a_flood_of_generated_names_does_not_hide_one_squat() {
        for flooded_days in [1, 5, 20] {
            let mut budget = Budget::default();
            for day in 0..flooded_days {
                let day = 20_000 + day;
                let from = u64::from(day) * 100_000;
                let count =
                    raised(&mut budget, day, AlertClass::Generated, from..from + 10_000, |_| 90);
                assert!((1..=PER_DAY).contains(&count), "{count}");
            }
            let day = 20_000 + flooded_days - 1;
            let squat = budget.decide(PER_DAY, day, AlertClass::Mimic, 1, 40);
            assert_eq!(squat, Decision::Raised, "after {flooded_days} days");
            let counts = budget.counts(day);
            let total: u32 = counts.iter().map(|(_, raised, _)| raised).sum();
            assert!(total <= PER_DAY, "{counts:?}");
            assert_eq!(counts.iter().map(|(_, one, other)| one + other).sum::<u32>(), 10_001);
        }
    }

    #[test]
    fn the_threshold_follows_the_site_and_keeps_the_budget_with_the_highest_scores() {
        let mut budget = Budget::default();
        let mut last = f64::from(WATCH);
        for day in 1..=40 {
            // 700 a day, ten of each score from 30 to 99, in no order.
            let from = u64::from(day) * 1_000;
            let score = |key: u64| u8::try_from(30 + key * 37 % 70).unwrap();
            let count = raised(&mut budget, day, AlertClass::Generated, from..from + 700, score);
            assert!(count <= PER_DAY, "day {day}: {count}");
            let threshold = budget.thresholds().next().unwrap().1;
            assert!((threshold / last - 1.0).abs() < 0.100_001, "{last} to {threshold}");
            last = threshold;
            if day > 20 {
                assert!(count >= PER_DAY * 8 / 10, "day {day}: only {count} at {threshold}");
            }
        }
        // 50 a day are those from 95 on.
        assert!((94.0..=96.0).contains(&last), "{last}");
        // Then the site is quiet: the threshold comes down, a tenth a day.
        budget.decide(PER_DAY, 70, AlertClass::Generated, 1, 30);
        assert!(budget.thresholds().next().unwrap().1 < last * 0.5);
    }

    #[test]
    fn one_domain_is_one_alert_and_hits_are_never_limited() {
        let mut budget = Budget::default();
        assert_eq!(budget.decide(PER_DAY, 5, AlertClass::Mimic, 7, 80), Decision::Raised);
        assert_eq!(budget.decide(PER_DAY, 6, AlertClass::Generated, 7, 99), Decision::Known);
        for key in 100..10_100 {
            assert_eq!(budget.decide_hit(PER_DAY, 6, key), Decision::Raised);
        }
        assert_eq!(budget.decide_hit(PER_DAY, 6, 10_099), Decision::Known);
        assert_eq!(budget.decide(PER_DAY, 6, AlertClass::Mimic, 8, 80), Decision::Raised);
        // Later it may be raised again.
        assert_eq!(budget.decide(PER_DAY, 30, AlertClass::Mimic, 7, 80), Decision::Raised);
        assert_eq!(budget.decide(0, 30, AlertClass::Mimic, 9, 80), Decision::NotRaised);
    }

    #[test]
    fn the_state_survives_and_a_clock_that_goes_back_does_no_harm() {
        let mut budget = Budget::default();
        raised(&mut budget, 9, AlertClass::Generated, 0..100, |_| 50);
        let text = serde_json::to_string(&budget).unwrap();
        let mut again: Budget = serde_json::from_str(&text).unwrap();
        assert_eq!(again.counts(9), budget.counts(9));
        assert_eq!(again.decide(PER_DAY, 9, AlertClass::Generated, 1, 50), Decision::Known);
        assert_eq!(again.decide(PER_DAY, 2, AlertClass::Mimic, 1_000, 50), Decision::Raised);
        assert!(again.counts(2).is_empty());
        assert!(serde_json::from_str::<Budget>("{\"day\":\"x\"}").is_err());
    }
}
