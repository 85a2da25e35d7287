//! Large counts, and sets with a sensor from number 32 on, which do not fit into a row, octet by octet.
//!
//! A row (`store/layout/encoding.rs`) has 32 bits for its count and 32 for its sensors, which is enough for nearly
//! all. The others say in the row that more is elsewhere, so small stores pay nothing:
//!
//! - A count of [`LARGE`] or more is in the hash `pd:{pp}Kq`: 8 octets, the highest bit set if it is a lower bound.
//! - If the highest bit of `ttl_max` is set, which no TTL needs, `sensors` is not a bit set: it is the number of the
//!   only sensor, or [`MANY`]. Then the set is in the hash `pd:{pp}Kg<row / 64>`: the octet 0 and the numbers in
//!   ascending order (u16 each), or, where that is shorter, the octet 1 and one bit for each number, number 0 being
//!   the lowest bit of the first octet.

use crate::observation::Seen;
use crate::sensors::SensorSet;

/// Count in a row whose count is elsewhere.
pub(crate) const LARGE: u32 = u32::MAX;
/// Sensors in a row whose set is elsewhere.
const MANY: u32 = u32::MAX;
/// Bit of `ttl_max` that says that `sensors` is a number.
const NUMBERED: u32 = 1 << 31;
/// Number of sensors that have a bit in a row.
pub(crate) const IN_ROW: u16 = 32;
/// Rows that share a hash of sets.
pub(crate) const SETS: u32 = 64;
/// Bit of a large count that is a lower bound.
pub(crate) const LOWER_BOUND: u64 = 1 << 63;

const LIST: u8 = 0;
const BITS: u8 = 1;

/// The sensors of a row, as far as the row has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowSensors {
    /// One bit for each of the sensors 0 to 31.
    Few(u32),
    /// The only sensor, from number 32 on.
    One(u16),
    /// The set is elsewhere.
    Many,
}

impl RowSensors {
    /// Decodes the fields `ttl_max` and `sensors` of a row. The first returned value is the TTL.
    #[inline]
    pub(crate) fn read(ttl_max: u32, sensors: u32) -> (u32, Self) {
        let found = if ttl_max & NUMBERED == 0 {
            Self::Few(sensors)
        } else {
            u16::try_from(sensors).map_or(Self::Many, Self::One)
        };
        (ttl_max & !NUMBERED, found)
    }

    /// Encodes the fields `ttl_max` and `sensors` of a row.
    pub(crate) fn write(self, ttl_max: u32) -> (u32, u32) {
        match self {
            Self::Few(bits) => (ttl_max & !NUMBERED, bits),
            Self::One(number) => (ttl_max | NUMBERED, number.into()),
            Self::Many => (ttl_max | NUMBERED, MANY),
        }
    }

    /// The form of a set of one sensor.
    pub(crate) fn of_one(number: u16) -> Self {
        if number < IN_ROW { Self::Few(1 << number) } else { Self::One(number) }
    }

    /// Returns the set, unless it is elsewhere.
    pub(crate) fn to_set(self) -> Option<SensorSet> {
        match self {
            Self::Few(bits) => Some(SensorSet::from_bits(bits)),
            Self::One(number) => Some(std::iter::once(number).collect()),
            Self::Many => None,
        }
    }
}

/// Encodes a set of sensors that is not in its row.
pub(crate) fn write_set(set: &SensorSet) -> Vec<u8> {
    let last = set.iter().last().map_or(0, usize::from);
    let mut octets = vec![LIST];
    if set.iter().count() * 2 <= last / 8 + 1 {
        octets.extend(set.iter().flat_map(u16::to_be_bytes));
        return octets;
    }
    octets = vec![0; last / 8 + 2];
    for number in set.iter().map(usize::from) {
        if let Some(octet) = octets.get_mut(number / 8 + 1) {
            *octet |= 1 << (number % 8);
        }
    }
    if let Some(form) = octets.first_mut() {
        *form = BITS;
    }
    octets
}

/// Decodes a set of sensors; `None` unless it is written as [`write_set`] does and cannot be in its row.
pub(crate) fn read_set(octets: &[u8]) -> Option<SensorSet> {
    let set = set_of(octets)?;
    (set.iter().count() > 1 && set.iter().last() >= Some(IN_ROW)).then_some(set)
}

/// Decodes any set of sensors; `None` unless it is written as [`write_set`] does.
pub(crate) fn set_of(octets: &[u8]) -> Option<SensorSet> {
    let (&form, rest) = octets.split_first()?;
    let set: SensorSet = match form {
        LIST => rest.as_chunks().0.iter().map(|number| u16::from_be_bytes(*number)).collect(),
        BITS if rest.len() <= usize::from(u16::MAX) / 8 + 1 => {
            let octets = (0_u16..).zip(rest);
            let numbers = octets.flat_map(|(at, octet)| {
                (0..8).filter(move |bit| octet >> bit & 1 == 1).map(move |bit| at * 8 + bit)
            });
            numbers.collect()
        }
        _ => return None,
    };
    (write_set(&set) == octets).then_some(set)
}

/// Encodes a count that is not in its row.
pub(crate) fn write_count(count: u64, is_lower_bound: bool) -> [u8; 8] {
    (count | if is_lower_bound { LOWER_BOUND } else { 0 }).to_be_bytes()
}

/// Decodes a count that is not in its row; true if it is a lower bound. `None` if it cannot be one.
pub(crate) fn read_count(octets: &[u8]) -> Option<(u64, bool)> {
    let number = u64::from_be_bytes(octets.try_into().ok()?);
    let count = number & !LOWER_BOUND;
    (u64::from(LARGE)..=Seen::MAX_COUNT).contains(&count).then_some((count, count != number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_read_back(numbers in prop::collection::btree_set(0_u16..1500, 2..1300), high in 32_u16..) {
            let set: SensorSet = numbers.iter().copied().chain([high]).collect();
            let octets = write_set(&set);
            prop_assert!(octets.len() <= 1 + (set.iter().count() * 2).min(usize::from(set.iter().last().unwrap()) / 8 + 1));
            prop_assert_eq!(read_set(&octets), Some(set));
        }

        #[test]
        fn any_octets_are_a_set_that_reads_back_or_none(octets in prop::collection::vec(any::<u8>(), 0..300), form in 0_u8..3) {
            let octets = [&[form], &octets[..]].concat();
            if let Some(set) = read_set(&octets) {
                prop_assert_eq!(write_set(&set), octets);
            }
        }

        #[test]
        fn counts_read_back(count in u64::from(LARGE)..=Seen::MAX_COUNT, is_lower_bound in any::<bool>()) {
            prop_assert_eq!(read_count(&write_count(count, is_lower_bound)), Some((count, is_lower_bound)));
        }

        #[test]
        fn words_of_a_row_read_back(ttl in 0_u32..NUMBERED, bits in any::<u32>(), number in any::<u16>()) {
            for sensors in [RowSensors::Few(bits), RowSensors::One(number), RowSensors::Many] {
                let (ttl_max, word) = sensors.write(ttl);
                prop_assert_eq!(RowSensors::read(ttl_max, word), (ttl, sensors));
            }
            prop_assert_eq!(RowSensors::of_one(number).to_set(), Some([number].into_iter().collect()));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(read_count(&5_u64.to_be_bytes()), None);
        assert_eq!(read_count(&(Seen::MAX_COUNT + 1).to_be_bytes()), None);
        assert_eq!(read_count(&[0; 7]), None);
        // Out of order, of one sensor, of sensors that have a bit in the row, and in the longer form.
        for octets in [
            &[0, 0, 40, 0, 39][..],
            &[0, 0, 40],
            &[0, 0, 1, 0, 2],
            &[1, 0xff, 0xff, 0xff],
            &[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 0, 40, 0, 50, 0],
            &[],
        ] {
            assert_eq!(read_set(octets), None, "{octets:?}");
        }
        let near: SensorSet = (0..40).collect();
        assert_eq!(write_set(&near), [1, 255, 255, 255, 255, 255]);
        let far: SensorSet = [1, 1000].into_iter().collect();
        assert_eq!(write_set(&far), [0, 0, 1, 3, 232]);
    }
}
