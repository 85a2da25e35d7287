//! The type code of a row: five bits, so that queries by type need not read all records.
//!
//! `store/write/batch.rs` writes it with each row; scans read it. Rows written by an earlier version have no type
//! code until an agent that does not know their numbers sees their records again; for these, and for rare types, the
//! record itself has to be read. (No version that would take these bits for flags was ever released.)

use crate::rr::RrType;

/// The types with a code of their own. The code is the index here plus 1, so entries must not move.
const TYPES: [RrType; 30] = [
    RrType::A,
    RrType::AAAA,
    RrType::CNAME,
    RrType::PTR,
    RrType::NS,
    RrType::MX,
    RrType::TXT,
    RrType::SOA,
    RrType::SRV,
    RrType::HTTPS,
    RrType::SVCB,
    RrType::CAA,
    RrType::DNAME,
    RrType::NAPTR,
    RrType::DS,
    RrType::DNSKEY,
    RrType::RRSIG,
    RrType::NSEC,
    RrType::NSEC3,
    RrType::NSEC3PARAM,
    RrType::TLSA,
    RrType::SSHFP,
    RrType::CDS,
    RrType::CDNSKEY,
    RrType::URI,
    RrType::SPF,
    RrType::LOC,
    RrType::HINFO,
    RrType::NULL,
    RrType::ANY,
];
/// Code of all other types.
const OTHER: u8 = 31;

/// The type code of a row: that of the record, or for a negative answer that of the query type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeCode(u8);

/// A set of types to match against the codes of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeMask {
    /// One bit for each code that only rows of these types have.
    certain: u32,
    /// One bit for each code that such rows share with others.
    unsure: u32,
}

impl TypeCode {
    /// Code of rows without a type.
    pub(crate) const NOTHING: Self = Self(0);

    /// Returns the code of a type.
    pub(crate) fn of(rrtype: RrType) -> Self {
        let place = TYPES.iter().position(|told| *told == rrtype);
        Self(place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(OTHER))
    }

    /// Decodes the upper five bits of an octet.
    #[inline]
    pub(crate) fn from_bits(octet: u8) -> Self {
        Self(octet >> 3)
    }

    /// Encodes the code in the upper five bits of an octet.
    pub(crate) fn bits(self) -> u8 {
        self.0 << 3
    }
}

impl TypeMask {
    /// Builds the set of these types; of all types if there are none.
    #[must_use]
    pub fn of(types: &[RrType]) -> Self {
        if types.is_empty() {
            return Self { certain: u32::MAX, unsure: 0 };
        }
        let bit = |told: TypeCode| 1 << told.0;
        let told = types.iter().fold(0, |bits, &rrtype| bits | bit(TypeCode::of(rrtype)));
        let other = bit(TypeCode(OTHER));
        Self { certain: told & !other, unsure: told & other | bit(TypeCode::NOTHING) }
    }

    /// Returns true if a row is of one of these types; `None` if its code does not determine that.
    #[inline]
    #[must_use]
    pub fn has(self, told: TypeCode) -> Option<bool> {
        match (self.certain >> told.0 & 1, self.unsure >> told.0 & 1) {
            (1, _) => Some(true),
            (_, 0) => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_tell_common_types_and_that_they_are_of_others() {
        let seldom = RrType(65_280);
        for (asked, of, want) in [
            (vec![], RrType::A, Some(true)),
            (vec![], seldom, Some(true)),
            (vec![RrType::A], RrType::A, Some(true)),
            (vec![RrType::A], RrType::AAAA, Some(false)),
            (vec![RrType::A], seldom, Some(false)),
            (vec![RrType::MX, RrType::ANY], RrType::ANY, Some(true)),
            (vec![seldom], RrType::A, Some(false)),
            (vec![seldom], seldom, None),
            (vec![seldom], RrType::WKS, None),
            (vec![seldom, RrType::A], RrType::A, Some(true)),
        ] {
            let told = TypeCode::of(of);
            assert_eq!(TypeCode::from_bits(told.bits() | 7), told);
            assert_eq!(TypeMask::of(&asked).has(told), want, "{asked:?} of {of}");
        }
        assert_eq!(TypeMask::of(&[RrType::A]).has(TypeCode::NOTHING), None);
        assert_eq!(TypeMask::of(&[]).has(TypeCode::NOTHING), Some(true));
    }

    #[test]
    fn each_type_has_a_place_of_its_own() {
        for (place, rrtype) in (1..).zip(TYPES) {
            assert_eq!(TypeCode::of(rrtype), TypeCode(place), "{rrtype}");
        }
    }
}
