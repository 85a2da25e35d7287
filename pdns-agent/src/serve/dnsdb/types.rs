//! Record types in requests.

use crate::rr::RrType;
use crate::serve::http_error::HttpError;

/// Types that `ANY` excludes and `ANY-DNSSEC` selects.
const DNSSEC: [RrType; 10] = [
    RrType::DS,
    RrType::RRSIG,
    RrType::NSEC,
    RrType::DNSKEY,
    RrType::NSEC3,
    RrType::NSEC3PARAM,
    RrType::DLV,
    RrType::CDS,
    RrType::CDNSKEY,
    RrType::TA,
];

/// A set of types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Types {
    /// All types except those of DNSSEC.
    #[default]
    Any,
    /// The types of DNSSEC.
    Dnssec,
    /// One type.
    One(RrType),
}

impl Types {
    /// Parses `ANY`, `ANY-DNSSEC`, a mnemonic or `TYPEnnn`, case-insensitively.
    pub(super) fn parse(text: &str) -> Result<Self, HttpError> {
        if text.eq_ignore_ascii_case("ANY") {
            Ok(Self::Any)
        } else if text.eq_ignore_ascii_case("ANY-DNSSEC") {
            Ok(Self::Dnssec)
        } else {
            text.parse().map(Self::One).map_err(|error: crate::rr::UnknownType| {
                HttpError::bad(format!("{error}, or ANY, or ANY-DNSSEC"))
            })
        }
    }

    pub(super) fn has(self, rrtype: RrType) -> bool {
        match self {
            Self::Any => !DNSSEC.contains(&rrtype),
            Self::Dnssec => DNSSEC.contains(&rrtype),
            Self::One(one) => one == rrtype,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_leaves_dnssec_out() {
        let has = |text, rrtype| Types::parse(text).unwrap().has(rrtype);
        assert!(has("any", RrType::A) && has("ANY", RrType(65_280)) && !has("ANY", RrType::RRSIG));
        assert!(has("any-dnssec", RrType::DS) && !has("ANY-DNSSEC", RrType::A));
        assert!(has("aaaa", RrType::AAAA) && !has("AAAA", RrType::A));
        assert!(has("TYPE65280", RrType(65_280)) && has("type1", RrType::A));
        assert!(Types::parse("nonsense").is_err() && Types::parse("TYPE65536").is_err());
    }
}
