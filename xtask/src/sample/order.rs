//! Order of the names: each number once, in an order that looks random, without a table.

use crate::sample::model::mix;

/// A permutation of `0..count`.
///
/// A Feistel network over the next even number of bits permutes a power of four; a result outside the range
/// is permuted again until it falls inside (cycle walking), on average fewer than four times.
pub(crate) struct Permutation {
    count: u64,
    half: u32,
    seed: u64,
}

impl Permutation {
    pub(crate) fn new(count: u64, seed: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self { count, half: bits.div_ceil(2).max(1), seed }
    }

    /// The number at a position; `at` is less than the count.
    pub(crate) fn at(&self, at: u64) -> u64 {
        if self.count < 2 {
            return 0;
        }
        let mask = (1 << self.half) - 1;
        let mut value = at;
        loop {
            let (mut left, mut right) = (value >> self.half, value & mask);
            for round in 0..4 {
                let mixed = mix(right ^ self.seed.rotate_left(round * 16)) & mask;
                (left, right) = (right, left ^ mixed);
            }
            value = left << self.half | right;
            if value < self.count {
                return value;
            }
        }
    }
}

/// Observation for each row.
pub(crate) struct Order {
    rows: u64,
    names: u64,
    window: u64,
    whole: Permutation,
    seed: u64,
    /// Permutation of the block that contains the last row.
    block: (u64, Permutation),
}

impl Order {
    /// If `window` is 0, the whole file is shuffled. Otherwise a name's rows lie within a window of about
    /// that many rows.
    pub(crate) fn new(rows: u64, names: u64, window: u64, seed: u64) -> Self {
        let block = (u64::MAX, Permutation::new(1, seed));
        Self { rows, names, window, whole: Permutation::new(rows, seed), seed, block }
    }

    /// The row's name, and the index of the observation among those of that name. Over all rows each name
    /// occurs `rows / names` times, give or take one.
    pub(crate) fn at(&mut self, row: u64) -> (u64, u64) {
        if self.window == 0 {
            let place = self.whole.at(row);
            return (place % self.names, place / self.names);
        }
        let number = row / self.window;
        let start = number * self.window;
        if self.block.0 != number {
            let count = self.window.min(self.rows - start);
            self.block = (number, Permutation::new(count, self.seed ^ mix(number)));
        }
        let place = u128::from(start + self.block.1.at(row - start));
        let (rows, names) = (u128::from(self.rows), u128::from(self.names));
        let name = place * names / rows;
        let first = (name * rows).div_ceil(names);
        let narrow = |value| u64::try_from(value).unwrap_or(0);
        (narrow(name), narrow(place - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_comes_once() {
        for count in [1, 2, 3, 4, 5, 16, 17, 1000, 4097] {
            let permutation = Permutation::new(count, 9);
            let mut seen: Vec<u64> = (0..count).map(|at| permutation.at(at)).collect();
            if count > 16 {
                assert!(!seen.is_sorted());
            }
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn each_name_comes_as_often_as_the_others() {
        for window in [0, 7, 100, 5000] {
            let mut order = Order::new(1000, 300, window, 3);
            let mut seen = std::collections::BTreeMap::new();
            for row in 0..1000 {
                let (name, nth) = order.at(row);
                assert!(seen.entry(name).or_insert_with(Vec::new).len() < 4);
                seen.get_mut(&name).unwrap().push(nth);
            }
            assert_eq!(seen.len(), 300);
            for observations in seen.values_mut() {
                observations.sort_unstable();
                assert!(observations.iter().copied().eq(0..observations.len() as u64));
            }
        }
    }

    #[test]
    fn a_window_keeps_a_names_rows_together() {
        let mut order = Order::new(10_000, 1000, 100, 3);
        for row in 0..10_000 {
            let (name, _) = order.at(row);
            assert!((name * 10).abs_diff(row) <= 110);
        }
    }
}
