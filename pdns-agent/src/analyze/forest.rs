//! The random forest: trees over binned features, walked from the root to a leaf.
//!
//! Each node knows the share of bad labels among the training labels that reached it. The score is the mean over the
//! trees of the share at the leaf; a feature's contribution is the mean over the trees of the changes of the share at
//! the nodes that ask about it. The contributions and the share at the roots add up to the score.

use super::features::{FEATURES, Features};

/// Most bins of a feature; a bin's number, counted from 1, must fit an octet.
pub(crate) const MAX_BINS: usize = 254;
/// Number of a feature that marks a leaf.
pub(crate) const LEAF: u8 = 255;

/// Limits between the bins of each feature, ascending: a value is in the bin whose number is that of the limits that
/// are below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bins(pub(crate) Vec<Vec<f32>>);

/// A label as the forest sees it.
pub(crate) type Binned = [u8; FEATURES];

impl Bins {
    /// Limits that cut values into bins of about equal size.
    pub(crate) fn new(rows: &[Features], most: usize) -> Self {
        let most = most.clamp(2, MAX_BINS);
        let limits = (0..FEATURES).map(|feature| {
            let mut values: Vec<f32> =
                rows.iter().filter_map(|row| row.get(feature).copied()).collect();
            values.sort_unstable_by(f32::total_cmp);
            let mut limits: Vec<f32> = (1..most)
                .filter_map(|cut| values.get(values.len() * cut / most).copied())
                .collect();
            limits.dedup();
            // The largest value needs no limit behind it.
            if limits.last() == values.last() {
                limits.pop();
            }
            limits
        });
        Self(limits.collect())
    }

    /// Finds the bins of a label.
    pub(crate) fn bin(&self, features: &Features) -> Binned {
        let mut binned = [0; FEATURES];
        for ((to, value), limits) in binned.iter_mut().zip(features).zip(&self.0) {
            let below = limits.partition_point(|limit| limit < value);
            *to = u8::try_from(below).unwrap_or(u8::MAX);
        }
        binned
    }
}

/// A node of a tree, in preorder: its left child follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The feature that is asked for, or [`LEAF`].
    pub(crate) feature: u8,
    /// Labels in this bin or one below it go left.
    pub(crate) bin: u8,
    /// Share of bad labels, in 65535ths.
    pub(crate) value: u16,
    /// Place of the right child, counted from the root; 0 at a leaf.
    pub(crate) right: u32,
}

impl Node {
    fn share(self) -> f32 {
        f32::from(self.value) / 65_535.0
    }
}

/// A tree as its nodes in preorder.
pub(crate) type Tree = Vec<Node>;

/// The trees.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Forest {
    pub(crate) bins: Bins,
    pub(crate) trees: Vec<Tree>,
}

/// A score with what each feature added to it.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// Mean share at the leaves.
    pub(crate) score: f32,
    /// Contribution of each feature.
    pub(crate) contributions: [f32; FEATURES],
}

/// The leaf that a label reaches.
pub(crate) fn leaf(tree: &[Node], binned: &Binned) -> f32 {
    let mut place = 0;
    // Each step goes forward, so that a damaged tree ends, too.
    while let Some(&node) = tree.get(place) {
        let Some(&bin) = binned.get(usize::from(node.feature)) else { return node.share() };
        place = if bin <= node.bin { place + 1 } else { (node.right as usize).max(place + 1) };
    }
    0.5
}

/// Number of trees that are walked side by side, so that the processor need not wait for the memory of one.
const LANES: usize = 8;
/// Size of a binned label for [`FlatForest`]: a power of two, so that no look-up can miss.
const ROOM: usize = 64;

/// All trees in one array, in the form in which labels are scored.
///
/// Bins count from 1 here, and `right` is the distance to the right child, less 1. A leaf leads to itself: its bin is 0, so
/// that every label goes right, and by no distance. The trees of a group take as many steps as the deepest of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlatForest {
    bins: Bins,
    nodes: Vec<Node>,
    /// Roots of eight trees each, and the number of steps. Missing trees have the root of a leaf whose share is 0.
    groups: Vec<([u32; LANES], u32)>,
    /// Number of trees.
    trees: f32,
}

impl FlatForest {
    /// Lays out the trees.
    #[expect(clippy::cast_precision_loss, reason = "at most thousands of trees")]
    pub(crate) fn new(forest: Forest) -> Self {
        let nothing = Node { feature: 0, bin: 0, value: 0, right: u32::MAX };
        let mut flat = Self {
            bins: forest.bins,
            nodes: vec![nothing],
            groups: Vec::new(),
            trees: forest.trees.len().max(1) as f32,
        };
        for group in forest.trees.chunks(LANES) {
            let (mut roots, mut steps) = ([0; LANES], 0);
            for (root, tree) in roots.iter_mut().zip(group) {
                let start = u32::try_from(flat.nodes.len()).unwrap_or(0);
                *root = start;
                steps = steps.max(depth(tree));
                flat.nodes.extend((0..).zip(tree).map(|(place, node)| match node.feature {
                    LEAF => Node { feature: 0, bin: 0, value: node.value, right: u32::MAX },
                    _ => Node {
                        bin: node.bin.saturating_add(1),
                        right: node.right.wrapping_sub(place + 1),
                        ..*node
                    },
                }));
            }
            flat.groups.push((roots, steps));
        }
        flat
    }

    fn bin(&self, features: &Features) -> [u8; ROOM] {
        let mut room = [0; ROOM];
        for (to, bin) in room.iter_mut().zip(self.bins.bin(features)) {
            *to = bin.saturating_add(1);
        }
        room
    }

    #[inline]
    fn node(&self, place: u32) -> Node {
        const NOTHING: Node = Node { feature: 0, bin: 0, value: 0, right: u32::MAX };
        self.nodes.get(place as usize).copied().unwrap_or(NOTHING)
    }

    /// The place of the child to which a label goes. Without a branch: half of the guesses would be wrong.
    #[inline]
    fn step(node: Node, place: u32, room: &[u8; ROOM]) -> u32 {
        let bin = room.get(usize::from(node.feature) % ROOM).copied().unwrap_or(0);
        let goes_right = u32::from(bin > node.bin).wrapping_neg();
        place.wrapping_add(1).wrapping_add(node.right & goes_right)
    }

    /// The mean share at the leaves.
    pub(crate) fn score(&self, features: &Features) -> f32 {
        let room = self.bin(features);
        let mut sum = 0.0;
        for &(mut places, steps) in &self.groups {
            for _ in 0..steps {
                for place in &mut places {
                    *place = Self::step(self.node(*place), *place, &room);
                }
            }
            sum += places.iter().map(|place| self.node(*place).share()).sum::<f32>();
        }
        sum / self.trees
    }

    /// The score and the contributions along the paths.
    pub(crate) fn walk(&self, features: &Features) -> Walk {
        let room = self.bin(features);
        let mut walk = Walk { score: 0.0, contributions: [0.0; FEATURES] };
        for &(roots, steps) in &self.groups {
            for root in roots {
                let mut place = root;
                let mut node = self.node(place);
                for _ in 0..steps {
                    let next = Self::step(node, place, &room);
                    if next == place {
                        break;
                    }
                    let feature = usize::from(node.feature);
                    let share = node.share();
                    (place, node) = (next, self.node(next));
                    if let Some(contribution) = walk.contributions.get_mut(feature) {
                        *contribution += node.share() - share;
                    }
                }
                walk.score += node.share();
            }
        }
        walk.score /= self.trees;
        for contribution in &mut walk.contributions {
            *contribution /= self.trees;
        }
        walk
    }
}

/// Number of steps from the root to the deepest leaf. Children follow their parent.
fn depth(tree: &[Node]) -> u32 {
    let mut depths = vec![0_u32; tree.len()];
    let mut deepest = 0;
    for (place, node) in tree.iter().enumerate().filter(|(_, node)| node.feature != LEAF) {
        let below = depths.get(place).copied().unwrap_or(0) + 1;
        deepest = deepest.max(below);
        for child in [place + 1, node.right as usize] {
            if let Some(depth) = depths.get_mut(child) {
                *depth = below;
            }
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(feature: u8, bin: u8, value: u16, right: u32) -> Node {
        Node { feature, bin, value, right }
    }

    fn forest() -> Forest {
        // Feature 2 above 5 is bad; below it, feature 0 above -1 is.
        let first = vec![
            node(2, 0, 32_768, 4),
            node(0, 0, 16_384, 3),
            node(LEAF, 0, 0, 0),
            node(LEAF, 0, 65_535, 0),
            node(LEAF, 0, 52_428, 0),
        ];
        let mut limits = vec![Vec::new(); FEATURES];
        limits[0] = vec![-1.0];
        limits[2] = vec![5.0];
        Forest { bins: Bins(limits), trees: vec![first, vec![node(LEAF, 0, 13_107, 0)]] }
    }

    #[test]
    fn contributions_add_up_to_the_score() {
        let flat = FlatForest::new(forest());
        let mut features = [0.0; FEATURES];
        for (first, third, leaf) in
            [(-1.0, 5.0, 0.0), (-0.9, 5.0, 1.0), (0.0, 5.1, 0.8), (-9.0, f32::NAN, 0.0)]
        {
            (features[0], features[2]) = (first, third);
            let walk = flat.walk(&features);
            assert!(
                (walk.score - f32::midpoint(leaf, 0.2)).abs() < 1e-4,
                "{first} {third} {}",
                walk.score
            );
            assert!((flat.score(&features) - walk.score).abs() < 1e-6);
            let base = (32_768.0 + 13_107.0) / 65_535.0 / 2.0;
            let sum: f32 = walk.contributions.iter().sum();
            assert!((base + sum - walk.score).abs() < 1e-4);
        }
    }

    #[test]
    fn bins_have_about_equal_sizes_and_keep_order() {
        let rows: Vec<Features> = (0..1000_u16).map(|n| [f32::from(n % 100); FEATURES]).collect();
        let bins = Bins::new(&rows, 10);
        assert_eq!(bins.0[0].len(), 9);
        let bin = |value: f32| bins.bin(&[value; FEATURES])[0];
        assert_eq!((bin(-5.0), bin(10.0), bin(10.5), bin(1e9)), (0, 0, 1, 9));
    }
}
