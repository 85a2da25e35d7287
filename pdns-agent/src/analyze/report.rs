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
/// Share of the good names, and of those of each large source, that the verdict `dga` may be said of. Long-tail names look
/// more generated than popular ones: without the second bound, a list of mostly popular names would hide how many of the
/// others get it.
const MOST_DGA: (f64, f64) = (0.01, 0.012);
/// Part of the good names from which on a source is large.
const LARGE: f64 = 0.05;
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
    /// At the limit of the verdict `dga`.
    pub as_dga: DgaRate,
}

/// Shares of names with the verdict `dga`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DgaRate {
    /// The limit, as log-odds at even prior.
    pub limit: f64,
    /// Share of the bad names.
    pub tpr: f64,
    /// Share of the good names.
    pub fpr: f64,
    /// Share of the good names of the large source that has most.
    pub fpr_of_source: f64,
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
    /// Share with the verdict `dga`.
    pub as_dga: f64,
    /// Share above the limit of 1 %, of a model that was trained without the family.
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
    /// Log-odds that 5 % of the good names exceed, from which on the verdict is `dga`, and that 0.1 % exceed.
    pub(crate) fn limits(&self) -> [f64; 3] {
        let Measured { at_01, as_dga, .. } = self.trained;
        [self.limit_5, as_dga.limit, at_01.limit.max(as_dga.limit)]
    }
}

impl GroupRates {
    /// Alerts a day among [`NEW_NAMES`] names like those of a source, at the limit of verdict `dga`.
    #[must_use]
    pub fn alerts(&self) -> f64 {
        self.as_dga * NEW_NAMES
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
    Measured {
        auc: auc(&bad, &good),
        at_1: rate(0.01, rates.0),
        at_01: rate(0.001, rates.1),
        as_dga: dga_rate(judged, &bad, &good),
    }
}

/// The limit of the verdict `dga`: the lowest that keeps both bounds of [`MOST_DGA`].
fn dga_rate(judged: &[Judged], bad: &[f64], good: &[f64]) -> DgaRate {
    let groups = by_group(judged);
    let is_large = |odds: &&Vec<f64>| odds.len() as f64 >= good.len() as f64 * LARGE;
    let sources = groups.iter().filter(|((is_good, _), _)| *is_good).map(|(_, odds)| odds);
    let large: Vec<Vec<f64>> = sources
        .filter(is_large)
        .map(|odds| {
            let mut odds = odds.clone();
            odds.sort_unstable_by(|a, b| b.total_cmp(a));
            odds
        })
        .collect();
    let of_sources = large.iter().map(|odds| limit(odds, MOST_DGA.1));
    let limit = of_sources.fold(limit(good, MOST_DGA.0), f64::max);
    DgaRate {
        limit,
        tpr: share_above(bad, limit),
        fpr: share_above(good, limit),
        fpr_of_source: large.iter().map(|odds| share_above(odds, limit)).fold(0.0, f64::max),
    }
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
        as_dga: share_above(&odds, trained.as_dga.limit),
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

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same numbers")]
mod tests {
    use super::*;

    /// Good names of two sources with odds from 0 to 1, and bad ones with odds from 0.5 to 1.5.
    fn judged(long_tail: u32, shift: f64) -> Vec<Judged> {
        let one = |odds, is_bad, group| Judged { odds, is_bad, group };
        let popular = (0..10_000).map(|at| one(f64::from(at) / 10_000.0, false, 0));
        let tail =
            (0..long_tail).map(|at| one(shift + f64::from(at) / f64::from(long_tail), false, 1));
        let bad = (0..1_000).map(|at| one(0.5 + f64::from(at) / 1_000.0, true, 2));
        popular.chain(tail).chain(bad).collect()
    }

    #[test]
    fn a_source_that_looks_generated_sets_the_limit_of_the_verdict() {
        let names = ["popular", "tail", "family"].map(str::to_owned);
        let report = report(&judged(5_000, 0.1), &[], &names, 1);
        let Measured { at_1, as_dga, .. } = report.trained;
        assert!(as_dga.limit > at_1.limit, "{as_dga:?} {at_1:?}");
        assert!((0.0115..=0.012).contains(&as_dga.fpr_of_source), "{as_dga:?}");
        assert!(as_dga.fpr < 0.01 && as_dga.tpr < at_1.tpr, "{as_dga:?}");
        let [unsure, dga, strict] = report.limits();
        assert!(unsure < dga && dga <= strict && dga == as_dga.limit);
        let tail = report.groups.iter().find(|group| group.name == "tail").unwrap();
        assert!(tail.at_1 > 0.02 && tail.as_dga <= 0.012, "{tail:?}");
        assert_eq!(tail.alerts(), tail.as_dga * NEW_NAMES);
    }

    #[test]
    fn a_small_source_and_one_like_the_others_do_not_move_it() {
        let names = ["popular", "tail", "family"].map(str::to_owned);
        for judged in [judged(300, 0.1), judged(5_000, 0.0)] {
            let trained = report(&judged, &[], &names, 1).trained;
            assert_eq!(trained.as_dga.limit, trained.at_1.limit);
            assert!((trained.as_dga.fpr - 0.01).abs() < 0.001, "{trained:?}");
        }
    }
}
