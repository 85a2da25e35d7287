//! The quality of a trained model, on names that it has not seen: per family, per source, by calibration, for sets.

#![expect(clippy::cast_precision_loss, reason = "numbers of names stay far below 2^53")]

use super::logistic::sigmoid;
use super::model::set_odds;
use super::random::Random;
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of resamples behind an interval.
const RESAMPLES: usize = 200;
/// Sizes of sets that get limits of their own.
const SET_SIZES: [u16; 6] = [2, 3, 5, 10, 20, 50];
/// Sets of good labels drawn for each size.
const SETS: usize = 40_000;
/// Size of the sets that are reported.
const REPORTED_SET: usize = 5;
/// Sets drawn for each family.
const FAMILY_SETS: usize = 1_000;
/// New names a day for which alerts are estimated.
pub const NEW_NAMES: f64 = 100_000.0;

/// A name with the odds that a model which has not seen it gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) odds: f64,
    pub(crate) is_bad: bool,
    pub(crate) group: u16,
}

/// Share of bad names above a limit that a share of the good names exceeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// The share.
    pub tpr: f64,
    /// Ends of its 95 % bootstrap interval.
    pub interval: (f64, f64),
    /// The limit, as log-odds at even prior.
    pub limit: f64,
}

/// The quality on one set of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Area under the receiver operating characteristic.
    pub auc: f64,
    /// At a false positive rate of 1 %.
    pub at_1: Rate,
    /// At a false positive rate of 0.1 %.
    pub at_01: Rate,
}

/// The rates of one family or one source of good names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupRates {
    /// Name of the family or source.
    pub name: String,
    /// True for a family.
    pub is_bad: bool,
    /// Number of names.
    pub names: usize,
    /// Share above the limit of 1 %.
    pub at_1: f64,
    /// Share above the limit of 0.1 %.
    pub at_01: f64,
    /// The same for a model that was trained without the family.
    pub unseen_at_1: Option<f64>,
}

/// Names with probabilities in one tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Weight of its names, when both classes weigh the same.
    pub share: f64,
    /// Mean probability, at even prior.
    pub mean: f64,
    /// Share of bad names, when both classes weigh the same.
    pub bad: f64,
}

/// Sets of five names of one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetRate {
    /// The family.
    pub name: String,
    /// Share of sets above the limit of 0.1 % of the sets of good names.
    pub at_01: f64,
}

/// The report of a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Number of distinct good labels.
    pub good: usize,
    /// Number of distinct bad labels, without generated ones.
    pub bad: usize,
    /// Number of generated labels.
    pub generated: usize,
    /// Labels that both classes have; they are not used.
    pub ambiguous: usize,
    /// Families that the model was trained on.
    pub trained: Measured,
    /// Families that were left out.
    pub unseen: Option<Measured>,
    /// Limit that 5 % of the good names exceed.
    pub limit_5: f64,
    /// Families, then sources.
    pub groups: Vec<GroupRates>,
    /// Ten bins of calibration.
    pub calibration: Vec<CalibrationBin>,
    /// Sets of five names.
    pub sets: Vec<SetRate>,
    /// Size of the model file.
    pub bytes: usize,
}

impl Report {
    /// Log-odds that 5 %, 1 % and 0.1 % of the good names exceed.
    pub(crate) fn limits(&self) -> [f64; 3] {
        [self.limit_5, self.trained.at_1.limit, self.trained.at_01.limit]
    }
}

impl GroupRates {
    /// Alerts a day among [`NEW_NAMES`] names like those of a source, at the limit of verdict `dga`.
    #[must_use]
    pub fn alerts(&self) -> f64 {
        self.at_1 * NEW_NAMES
    }
}

/// The value that a share of descending values exceeds.
fn limit(descending: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place within the slice"
    )]
    let place = (descending.len() as f64 * share) as usize;
    descending.get(place.min(descending.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

fn share_above(odds: &[f64], limit: f64) -> f64 {
    odds.iter().filter(|odds| **odds > limit).count() as f64 / odds.len().max(1) as f64
}

fn odds_of(judged: &[Judged], is_bad: bool) -> Vec<f64> {
    let mut odds: Vec<f64> =
        judged.iter().filter(|one| one.is_bad == is_bad).map(|one| one.odds).collect();
    odds.sort_unstable_by(|a, b| b.total_cmp(a));
    odds
}

/// The area under the curve: the share of pairs in which the bad name scores higher.
fn auc(bad: &[f64], good: &[f64]) -> f64 {
    let mut wins = 0.0;
    for odds in bad {
        let above = good.partition_point(|good| good > odds);
        let equal = good.partition_point(|good| good >= odds) - above;
        wins += (good.len() - above - equal) as f64 + equal as f64 / 2.0;
    }
    wins / (bad.len() as f64 * good.len() as f64).max(1.0)
}

/// Measures names of both classes.
fn measure(judged: &[Judged], seed: u64) -> Measured {
    let (bad, good) = (odds_of(judged, true), odds_of(judged, false));
    let mut random = Random::new(seed);
    let mut rates = ([0.0; RESAMPLES], [0.0; RESAMPLES]);
    for (at_1, at_01) in rates.0.iter_mut().zip(&mut rates.1) {
        let limits = resampled_limits(&good, &mut random);
        let drawn: Vec<f64> =
            (0..bad.len().min(20_000)).filter_map(|_| random.one_of(&bad).copied()).collect();
        *at_1 = share_above(&drawn, limits.0);
        *at_01 = share_above(&drawn, limits.1);
    }
    let rate = |share: f64, mut drawn: [f64; RESAMPLES]| {
        drawn.sort_unstable_by(f64::total_cmp);
        let end = |place: usize| drawn.get(place).copied().unwrap_or(0.0);
        let limit = limit(&good, share);
        Rate {
            tpr: share_above(&bad, limit),
            interval: (end(RESAMPLES / 40), end(RESAMPLES - 1 - RESAMPLES / 40)),
            limit,
        }
    };
    Measured { auc: auc(&bad, &good), at_1: rate(0.01, rates.0), at_01: rate(0.001, rates.1) }
}

/// The limits of 1 % and 0.1 % in a resample of descending values. Only the upper twentieth is drawn: each value comes as
/// often as a Poisson variable of mean 1 says.
fn resampled_limits(good: &[f64], random: &mut Random) -> (f64, f64) {
    let (first, second) = (good.len() as f64 * 0.001, good.len() as f64 * 0.01);
    let (mut sum, mut high) = (0.0, None);
    for &odds in good {
        sum += poisson(random);
        if sum > first && high.is_none() {
            high = Some(odds);
        }
        if sum > second {
            return (odds, high.unwrap_or(odds));
        }
    }
    let last = good.last().copied().unwrap_or(0.0);
    (last, high.unwrap_or(last))
}

/// A Poisson variable of mean 1.
fn poisson(random: &mut Random) -> f64 {
    let uniform = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
    let (mut count, mut term) = (0.0, (-1.0_f64).exp());
    let mut sum = term;
    while uniform > sum && count < 20.0 {
        count += 1.0;
        term /= count;
        sum += term;
    }
    count
}

/// The odds of each group, by its number.
fn by_group(judged: &[Judged]) -> BTreeMap<(bool, u16), Vec<f64>> {
    let mut groups: BTreeMap<(bool, u16), Vec<f64>> = BTreeMap::new();
    for one in judged {
        groups.entry((!one.is_bad, one.group)).or_default().push(one.odds);
    }
    groups
}

pub(crate) fn report(judged: &[Judged], unseen: &[Judged], names: &[String], seed: u64) -> Report {
    let trained = measure(judged, seed);
    let good = odds_of(judged, false);
    let out = (!unseen.is_empty()).then(|| measure(unseen, seed));
    let unseen_groups = by_group(unseen);
    let groups = by_group(judged).into_iter().map(|(key, odds)| GroupRates {
        name: names.get(usize::from(key.1)).cloned().unwrap_or_default(),
        is_bad: !key.0,
        names: odds.len(),
        at_1: share_above(&odds, trained.at_1.limit),
        at_01: share_above(&odds, trained.at_01.limit),
        unseen_at_1: out
            .and_then(|out| Some(share_above(unseen_groups.get(&key)?, out.at_1.limit))),
    });
    Report {
        good: good.len(),
        bad: judged.len() - good.len(),
        trained,
        unseen: out,
        limit_5: limit(&good, 0.05),
        groups: groups.collect(),
        calibration: calibration(judged),
        ..Report::default()
    }
}

/// Ten bins of probability at even prior.
fn calibration(judged: &[Judged]) -> Vec<CalibrationBin> {
    let number =
        |is_bad: bool| judged.iter().filter(|one| one.is_bad == is_bad).count().max(1) as f64;
    let weights = (0.5 / number(true), 0.5 / number(false));
    let mut bins = [CalibrationBin::default(); 10];
    for one in judged {
        let p = sigmoid(one.odds);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ten times a probability"
        )]
        let place = ((p * 10.0) as usize).min(9);
        let weight = if one.is_bad { weights.0 } else { weights.1 };
        if let Some(bin) = bins.get_mut(place) {
            bin.share += weight;
            bin.mean += weight * p;
            bin.bad += if one.is_bad { weight } else { 0.0 };
        }
    }
    for bin in bins.iter_mut().filter(|bin| bin.share > 0.0) {
        bin.mean /= bin.share;
        bin.bad /= bin.share;
    }
    bins.to_vec()
}

fn draw_set(odds: &[f64], size: usize, random: &mut Random, drawn: &mut Vec<f64>) -> f64 {
    drawn.clear();
    drawn.extend((0..size).filter_map(|_| random.one_of(odds).copied()));
    set_odds(drawn)
}

/// For some sizes, the odds that 1 % and 0.1 % of the sets of good names exceed. The names of a set are drawn alone; those
/// of one client are more alike, so that more sets of a real network exceed them.
pub(crate) fn set_limits(judged: &[Judged], seed: u64) -> Vec<(u16, f64, f64)> {
    let good = odds_of(judged, false);
    let mut random = Random::new(seed);
    let mut drawn = Vec::new();
    let sizes = SET_SIZES.iter().map(|&size| {
        let mut sets: Vec<f64> =
            (0..SETS).map(|_| draw_set(&good, size.into(), &mut random, &mut drawn)).collect();
        sets.sort_unstable_by(|a, b| b.total_cmp(a));
        (size, limit(&sets, 0.01), limit(&sets, 0.001))
    });
    sizes.collect()
}

/// Sets of five names of each family, and of each source.
pub(crate) fn sets(
    judged: &[Judged],
    names: &[String],
    limits: &[(u16, f64, f64)],
    seed: u64,
) -> Vec<SetRate> {
    let mut random = Random::new(seed);
    let mut drawn = Vec::new();
    let five = limits.iter().find(|limits| usize::from(limits.0) == REPORTED_SET);
    let limit = five.map_or(0.0, |limits| limits.2);
    let groups = by_group(judged).into_iter().map(|((_, group), odds)| {
        let above = (0..FAMILY_SETS)
            .filter(|_| draw_set(&odds, REPORTED_SET, &mut random, &mut drawn) > limit)
            .count();
        SetRate {
            name: names.get(usize::from(group)).cloned().unwrap_or_default(),
            at_01: above as f64 / FAMILY_SETS as f64,
        }
    });
    groups.collect()
}
