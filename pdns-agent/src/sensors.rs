//! Sets of sensors, by the numbers that a store gives them.
//!
//! Layer 0. `store` reads and writes them, `query` and all later layers show them by name. Up to 64 sensors take no
//! memory besides the set itself.

/// Largest number of sensors in a store.
pub const MAX_SENSORS: u32 = 1 << 16;

/// A set of sensor numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorSet {
    /// One bit for each of the numbers 0 to 63.
    first: u64,
    /// One bit for each further number. Invariant: the last word is not 0, so that equal sets compare equal.
    more: Vec<u64>,
}

impl SensorSet {
    /// The set of the sensors from 0 to 31 whose bit is set.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self { first: bits.into(), more: Vec::new() }
    }

    /// The bits of the sensors from 0 to 31.
    #[must_use]
    pub fn low_bits(&self) -> u32 {
        u32::try_from(self.first & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Returns true if there is no sensor in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.more.is_empty()
    }

    /// Returns true if a sensor is in it.
    #[must_use]
    pub fn contains(&self, number: u16) -> bool {
        self.word(usize::from(number) / 64) >> (number % 64) & 1 == 1
    }

    /// Adds a sensor.
    pub fn insert(&mut self, number: u16) {
        let (word, bit) = (usize::from(number) / 64, 1 << (number % 64));
        let Some(word) = word.checked_sub(1) else {
            self.first |= bit;
            return;
        };
        if self.more.len() <= word {
            self.more.resize(word + 1, 0);
        }
        if let Some(word) = self.more.get_mut(word) {
            *word |= bit;
        }
    }

    /// Adds the sensors of another set.
    pub fn merge(&mut self, other: &Self) {
        self.first |= other.first;
        if self.more.len() < other.more.len() {
            self.more.resize(other.more.len(), 0);
        }
        for (word, more) in self.more.iter_mut().zip(&other.more) {
            *word |= more;
        }
    }

    /// Iterates over the numbers, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let words = std::iter::once(&self.first).chain(&self.more);
        (0_u16..).zip(words).flat_map(|(word, &bits)| {
            let set = (0..64).filter(move |bit| bits >> bit & 1 == 1);
            set.map(move |bit| word * 64 + bit)
        })
    }

    /// Iterates over the names of the sensors, given all names by number. Sensors without a name are left out.
    pub fn names<'n>(&self, names: &'n [String]) -> impl Iterator<Item = &'n str> {
        let names = self.iter().filter_map(|number| names.get(usize::from(number)));
        names.map(String::as_str).filter(|name| !name.is_empty())
    }

    fn word(&self, at: usize) -> u64 {
        match at.checked_sub(1) {
            None => self.first,
            Some(at) => self.more.get(at).copied().unwrap_or(0),
        }
    }
}

impl FromIterator<u16> for SensorSet {
    fn from_iter<I: IntoIterator<Item = u16>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn numbers() -> impl Strategy<Value = BTreeSet<u16>> {
        prop::collection::btree_set(prop_oneof![0_u16..70, any::<u16>()], 0..40)
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_added_and_unites_like_one(one in numbers(), other in numbers()) {
            let set: SensorSet = one.iter().copied().collect();
            prop_assert!(set.iter().eq(one.iter().copied()));
            prop_assert_eq!(set.is_empty(), one.is_empty());
            prop_assert!(other.iter().all(|number| set.contains(*number) == one.contains(number)));
            let more: SensorSet = other.iter().copied().collect();
            let (mut left, mut right) = (set.clone(), more.clone());
            left.merge(&more);
            right.merge(&set);
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(left, one.union(&other).copied().collect());
        }
    }

    #[test]
    fn names_are_those_of_the_numbers() {
        let names: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
        let set: SensorSet = [99, 3, 40_000].into_iter().collect();
        assert!(set.names(&names).eq(["s3", "s99"]));
        assert_eq!(SensorSet::from_bits(5).low_bits(), 5);
    }
}
