//! What a row tells of its type: five bits, so that questions about types need not read all records.
//!
//! Written with each row by `store/write/batch.rs`, read by scans. Rows that an earlier version wrote tell nothing until their
//! records are seen again by an agent that does not know their numbers; of those, and of seldom types, the record itself
//! has to be looked at. (No version that would take these bits for flags was ever released.)

use crate::rr::RrType;

/// The types that rows tell. What is written is the place here, from 1: none may move.
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
/// Some type that is none of these.
const OTHER: u8 = 31;

/// What a row tells of its type; of a negative answer, of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeCode(u8);

/// Types that are asked for, as rows tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeMask {
    /// One bit for each thing that is told by rows of these types alone.
    certain: u32,
    /// One bit for each thing that is told by such rows and by others.
    unsure: u32,
}

impl TypeCode {
    /// What rows tell that tell nothing.
    pub(crate) const NOTHING: Self = Self(0);

    /// What a row of this type tells.
    pub(crate) fn of(rrtype: RrType) -> Self {
        let place = TYPES.iter().position(|told| *told == rrtype);
        Self(place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(OTHER))
    }

    /// From the upper five bits of an octet.
    #[inline]
    pub(crate) fn from_bits(octet: u8) -> Self {
        Self(octet >> 3)
    }

    /// In the upper five bits of an octet.
    pub(crate) fn bits(self) -> u8 {
        self.0 << 3
    }
}

impl TypeMask {
    /// One of these types, or any if there are none.
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

    /// Whether a row is of one of these types; `None` where it does not tell.
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
