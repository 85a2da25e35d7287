//! The encoding of what is not kept below a domain, octet by octet.
//!
//! A name that is one too many on its day is not stored. Its answers are added to a sum of their type below the
//! registrable domain. The sums of a domain are in the hash `pd:{pp}u<hash of the domain>`. A **field** is the type
//! (u16), and for negative answers the outcome (u16) behind it. A **value** is the count as in
//! `store/layout/extension.rs` (8 octets), then `time_first`, `time_last`, `ttl_min`, `ttl_max`, `ttl_last` (u32 each), the
//! flags (one octet) and the sensors, which unlike those of a row may be any set. `functions.lua` writes both.
//!
//! How many names there are is estimated by `HyperLogLog` (Flajolet et al. 2007) with 4,096 **registers** of one octet, in
//! `pd:{pp}uh<hash of the domain><field>`: of the hash of a name, the lowest 12 of the bits 24 to 39 choose the register, which
//! holds the most leading zeros, plus one, of the 24 bits below.

use crate::observation::{Outcome, Seen};
use crate::rr::RrType;
use crate::sensors::SensorSet;
use crate::store::layout::extension::{LOWER_BOUND, set_of};

/// The type of a sum, and its outcome if it is of negative answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SumKey {
    pub(crate) rrtype: RrType,
    pub(crate) outcome: Option<Outcome>,
}

impl SumKey {
    /// Decodes a field.
    pub(crate) fn read(field: &[u8]) -> Option<Self> {
        let (rrtype, rest) = field.split_first_chunk::<2>()?;
        let rrtype = RrType(u16::from_be_bytes(*rrtype));
        let outcome = match rest {
            [] => None,
            _ => Some(Outcome(u16::from_be_bytes(rest.try_into().ok()?))),
        };
        Some(Self { rrtype, outcome })
    }

    /// Encodes the field.
    pub(crate) fn to_octets(self) -> Vec<u8> {
        let outcome = self.outcome.map(|Outcome(outcome)| outcome.to_be_bytes());
        self.rrtype.0.to_be_bytes().into_iter().chain(outcome.into_iter().flatten()).collect()
    }
}

/// Decodes a value.
pub(crate) fn read_sum(octets: &[u8]) -> Option<(Seen, SensorSet)> {
    let (count, rest) = octets.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*count);
    let count = number & !LOWER_BOUND;
    let (fields, rest) = rest.split_at_checked(20)?;
    let (&flags, sensors) = rest.split_first()?;
    let (fields, _) = fields.as_chunks::<4>();
    let field = |at: usize| fields.get(at).copied().map_or(0, u32::from_be_bytes);
    let seen = Seen {
        count,
        time_first: field(0),
        time_last: field(1),
        ttl_min: field(2),
        ttl_max: field(3),
        ttl_last: field(4),
        flags: flags & Seen::FLAGS | if count == number { 0 } else { Seen::AT_LEAST },
    };
    let is_count = (1..=Seen::MAX_COUNT).contains(&count);
    let is_possible = is_count && seen.time_first <= seen.time_last && flags <= Seen::FLAGS;
    Some((seen, set_of(sensors).filter(|_| is_possible)?))
}

/// Number of registers of an estimate.
pub(crate) const REGISTERS: usize = 4_096;

/// Estimates how many names were entered into registers; 0 unless they are as many as they have to be. The standard error is
/// 1.6 %.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
pub(crate) fn estimate(registers: &[u8]) -> u64 {
    if registers.len() != REGISTERS {
        return 0;
    }
    let size = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|&rank| (-f64::from(rank.min(25))).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / size) * size * size / sum;
    let empty = memchr::memchr_iter(0, registers).count();
    // Linear counting, where that is better.
    let linear = size * (size / empty.max(1) as f64).ln();
    (if raw <= 2.5 * size && empty > 0 { linear } else { raw }).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;
    use proptest::prelude::*;

    /// Enters a hash as `functions.lua` does.
    fn enter(registers: &mut [u8], hash: u64) {
        let at = usize::try_from(hash >> 24 & 0xfff).unwrap();
        let rest = u32::try_from(hash & 0xff_ffff).unwrap();
        let rank = u8::try_from((rest << 8).leading_zeros().min(24) + 1).unwrap();
        registers[at] = registers[at].max(rank);
    }

    #[test]
    fn names_are_counted_nearly() {
        let hasher = Hasher::new(&[7; 16]);
        let mut registers = vec![0; REGISTERS];
        assert_eq!(estimate(&registers), 0);
        let mut next = 1_u64;
        for number in 1..=1_000_000_u64 {
            enter(&mut registers, hasher.octets(format!("n{number}.example").as_bytes()));
            if number == next {
                let found = estimate(&registers);
                // Four times the standard error.
                assert!(found.abs_diff(number) * 1_000 <= number * 65 + 999, "{found} of {number}");
                next = next * 3 / 2 + 1;
            }
        }
        assert_eq!(estimate(&registers[1..]), 0);
    }

    #[test]
    fn a_sum_is_read() {
        let mut octets = 70_000_u64.to_be_bytes().to_vec();
        for field in [1_700_000_000_u32, 1_700_000_060, 60, 300, 60] {
            octets.extend(field.to_be_bytes());
        }
        octets.push(Seen::EXACT);
        octets.extend([1, 0b101]);
        let (seen, sensors) = read_sum(&octets).unwrap();
        assert_eq!((seen.count, seen.time_last, seen.ttl_max), (70_000, 1_700_000_060, 300));
        assert_eq!(sensors.iter().collect::<Vec<_>>(), [0, 2]);
        octets.splice(..8, 0_u64.to_be_bytes());
        assert_eq!(read_sum(&octets), None);
    }

    #[test]
    fn fields_are_read() {
        let record = SumKey { rrtype: RrType::A, outcome: None };
        let negative = SumKey { rrtype: RrType::A, outcome: Some(Outcome::NXDOMAIN) };
        assert_eq!(SumKey::read(&[0, 1]), Some(record));
        assert_eq!(SumKey::read(&[0, 1, 0, 3]), Some(negative));
        assert_eq!((record.to_octets(), negative.to_octets()), (vec![0, 1], vec![0, 1, 0, 3]));
        assert_eq!((SumKey::read(&[1]), SumKey::read(&[0, 1, 0])), (None, None));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (read_sum(&octets).is_some(), SumKey::read(&octets).is_some());
        }
    }
}
