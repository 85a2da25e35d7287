//! Growing the forest: CART with histograms over binned features.
//!
//! Every tree has a generator of its own, seeded with the seed and the tree's number, and sums are added up in a fixed
//! order: the forest does not depend on the number of threads.

use super::features::FEATURES;
use super::forest::{Binned, LEAF, MAX_BINS, Node, Tree, leaf};
use super::random::Random;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Limits of the growth of a forest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) trees: usize,
    pub(crate) depth: usize,
    /// Least number of training labels at a leaf.
    pub(crate) leaf: u32,
    /// Number of features that are tried at a node.
    pub(crate) tried: usize,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

/// One training label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) binned: Binned,
    pub(crate) is_bad: bool,
    pub(crate) weight: f32,
}

/// Weights of good and bad labels in one bin, or in a node.
#[derive(Clone, Copy, Debug, Default)]
struct Mass {
    good: f64,
    bad: f64,
    number: u32,
}

impl Mass {
    fn add(&mut self, other: Self) {
        self.good += other.good;
        self.bad += other.bad;
        self.number += other.number;
    }

    fn without(self, other: Self) -> Self {
        Self {
            good: self.good - other.good,
            bad: self.bad - other.bad,
            number: self.number - other.number,
        }
    }

    /// The part of the Gini impurity that splits can lower: higher is purer.
    fn purity(self) -> f64 {
        let total = self.good + self.bad;
        if total > 0.0 { (self.good * self.good + self.bad * self.bad) / total } else { 0.0 }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 65535 is from 0 to 65535"
    )]
    fn value(self) -> u16 {
        let total = self.good + self.bad;
        let share = if total > 0.0 { self.bad / total } else { 0.5 };
        (share.clamp(0.0, 1.0) * 65_535.0).round() as u16
    }
}

/// A drawn label: its place, and how often it was drawn.
type Drawn = (u32, u32);

struct Grower<'s> {
    samples: &'s [Sample],
    growth: &'s Growth,
    random: Random,
    nodes: Tree,
}

/// The trees, and the mean score of each label over the trees that did not draw it.
pub(crate) fn grow(samples: &[Sample], growth: &Growth) -> (Vec<Tree>, Vec<f32>) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut grown = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= growth.trees {
                return grown;
            }
            grown.push((number, tree(samples, growth, number)));
        }
    };
    let mut grown = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..growth.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let results = threads.into_iter().filter_map(|thread| thread.join().ok());
        results.flatten().collect::<Vec<_>>()
    });
    grown.sort_unstable_by_key(|(number, _)| *number);
    let mut sums = vec![(0.0_f32, 0_u16); samples.len()];
    let mut trees = Vec::with_capacity(grown.len());
    for (_, (tree, out)) in grown {
        for (place, score) in out {
            if let Some((sum, number)) = sums.get_mut(place as usize) {
                *sum += score;
                *number += 1;
            }
        }
        trees.push(tree);
    }
    let out = sums
        .into_iter()
        .map(|(sum, number)| if number == 0 { 0.5 } else { sum / f32::from(number) });
    (trees, out.collect())
}

/// One tree, and its scores of the labels that it did not draw.
fn tree(samples: &[Sample], growth: &Growth, number: usize) -> (Tree, Vec<(u32, f32)>) {
    let seed = growth.seed.wrapping_add((number as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
    let mut random = Random::new(seed);
    let mut times = vec![0_u32; samples.len()];
    for _ in 0..samples.len() {
        if let Some(times) = times.get_mut(random.below(samples.len())) {
            *times += 1;
        }
    }
    let mut drawn: Vec<Drawn> =
        (0..).zip(times.iter().copied()).filter(|(_, times)| *times > 0).collect();
    let mut grower = Grower { samples, growth, random, nodes: Vec::new() };
    grower.node(&mut drawn, 0);
    let nodes = grower.nodes;
    let missed = (0_u32..).zip(times.iter().zip(samples)).filter(|(_, (times, _))| **times == 0);
    let out = missed.map(|(place, (_, sample))| (place, leaf(&nodes, &sample.binned))).collect();
    (nodes, out)
}

impl Grower<'_> {
    fn mass(&self, (place, times): Drawn) -> Mass {
        let Some(sample) = self.samples.get(place as usize) else { return Mass::default() };
        let weight = f64::from(sample.weight) * f64::from(times);
        let (good, bad) = if sample.is_bad { (0.0, weight) } else { (weight, 0.0) };
        Mass { good, bad, number: 1 }
    }

    fn bin(&self, drawn: Drawn, feature: usize) -> u8 {
        self.samples
            .get(drawn.0 as usize)
            .and_then(|sample| sample.binned.get(feature))
            .copied()
            .unwrap_or(0)
    }

    /// Grows the node of these labels and all below it.
    fn node(&mut self, drawn: &mut [Drawn], depth: usize) {
        let mut all = Mass::default();
        for &drawn in drawn.iter() {
            all.add(self.mass(drawn));
        }
        let place = self.nodes.len();
        self.nodes.push(Node { feature: LEAF, bin: 0, value: all.value(), right: 0 });
        let is_pure = all.good <= 0.0 || all.bad <= 0.0;
        if is_pure || depth >= self.growth.depth || all.number < 2 * self.growth.leaf {
            return;
        }
        let Some((feature, bin)) = self.split(drawn, all) else { return };
        let mut left = 0;
        for at in 0..drawn.len() {
            if drawn.get(at).is_some_and(|&drawn| self.bin(drawn, feature) <= bin) {
                drawn.swap(left, at);
                left += 1;
            }
        }
        let Some((low, high)) = drawn.split_at_mut_checked(left) else { return };
        if low.is_empty() || high.is_empty() {
            return;
        }
        self.node(low, depth + 1);
        let right = u32::try_from(self.nodes.len()).unwrap_or(0);
        if let Some(node) = self.nodes.get_mut(place) {
            node.feature = u8::try_from(feature).unwrap_or(LEAF);
            node.bin = bin;
            node.right = right;
        }
        self.node(high, depth + 1);
    }

    /// The best split over some features.
    fn split(&mut self, drawn: &[Drawn], all: Mass) -> Option<(usize, u8)> {
        let mut features: [usize; FEATURES] = std::array::from_fn(|feature| feature);
        let (mut best, mut gain) = (None, all.purity() * (1.0 + 1e-9));
        for turn in 0..self.growth.tried.min(FEATURES) {
            let other = turn + self.random.below(FEATURES - turn);
            features.swap(turn, other);
            let Some(&feature) = features.get(turn) else { break };
            let mut bins = [Mass::default(); MAX_BINS + 1];
            for &drawn in drawn {
                if let Some(bin) = bins.get_mut(usize::from(self.bin(drawn, feature))) {
                    bin.add(self.mass(drawn));
                }
            }
            let mut low = Mass::default();
            for (bin, mass) in (0_u8..=254).zip(&bins) {
                if mass.number == 0 {
                    continue;
                }
                low.add(*mass);
                let high = all.without(low);
                if low.number < self.growth.leaf {
                    continue;
                }
                if high.number < self.growth.leaf {
                    break;
                }
                let purity = low.purity() + high.purity();
                if purity > gain {
                    (best, gain) = (Some((feature, bin)), purity);
                }
            }
        }
        best
    }
}
