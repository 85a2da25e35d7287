//! Resource record types: number and mnemonic.
//!
//! Layer 0. Mnemonics are those of IANA's "Resource Record (RR) TYPEs" registry; a type without one
//! is written `TYPEnnn` (RFC 3597 §5).

use std::fmt;
use std::str::FromStr;

/// A resource record type (RFC 1035 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RrType(pub u16);

macro_rules! types {
    ($($name:ident $(= $mnemonic:literal)? $number:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "each constant is the type of its name")]
        impl RrType { $(pub const $name: Self = Self($number);)* }

        /// Number and mnemonic, in ascending order of the number.
        const MNEMONICS: &[(u16, &str)] = &[$(($number, types!(@text $name $($mnemonic)?))),*];
    };
    (@text $name:ident $mnemonic:literal) => { $mnemonic };
    (@text $name:ident) => { stringify!($name) };
}

types! {
    A 1, NS 2, MD 3, MF 4, CNAME 5, SOA 6, MB 7, MG 8, MR 9, NULL 10, WKS 11, PTR 12, HINFO 13, MINFO 14,
    MX 15, TXT 16, RP 17, AFSDB 18, X25 19, ISDN 20, RT 21, NSAP 22, NSAP_PTR = "NSAP-PTR" 23, SIG 24, KEY 25,
    PX 26, GPOS 27, AAAA 28, LOC 29, NXT 30, EID 31, NIMLOC 32, SRV 33, ATMA 34, NAPTR 35, KX 36, CERT 37,
    A6 38, DNAME 39, SINK 40, OPT 41, APL 42, DS 43, SSHFP 44, IPSECKEY 45, RRSIG 46, NSEC 47, DNSKEY 48,
    DHCID 49, NSEC3 50, NSEC3PARAM 51, TLSA 52, SMIMEA 53, HIP 55, NINFO 56, RKEY 57, TALINK 58, CDS 59,
    CDNSKEY 60, OPENPGPKEY 61, CSYNC 62, ZONEMD 63, SVCB 64, HTTPS 65, DSYNC 66, SPF 99, UINFO 100, UID 101,
    GID 102, UNSPEC 103, NID 104, L32 105, L64 106, LP 107, EUI48 108, EUI64 109, NXNAME 128, TKEY 249,
    TSIG 250, IXFR 251, AXFR 252, MAILB 253, MAILA 254, ANY 255, URI 256, CAA 257, AVC 258, DOA 259,
    AMTRELAY 260, RESINFO 261, WALLET 262, CLA 263, IPN 264, TA 32768, DLV 32769,
}

impl RrType {
    /// The mnemonic, if the registry has one.
    #[must_use]
    pub fn mnemonic(self) -> Option<&'static str> {
        let at = MNEMONICS.binary_search_by_key(&self.0, |&(number, _)| number).ok()?;
        MNEMONICS.get(at).map(|&(_, mnemonic)| mnemonic)
    }
}

impl fmt::Display for RrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(mnemonic) => f.pad(mnemonic),
            None => f.pad(&format!("TYPE{}", self.0)),
        }
    }
}

/// Text that is neither a mnemonic nor `TYPEnnn`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no record type: give a mnemonic such as AAAA, or TYPE followed by a number")]
pub struct UnknownType(String);

impl FromStr for RrType {
    type Err = UnknownType;

    /// Reads a mnemonic or `TYPEnnn`, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let upper = text.to_ascii_uppercase();
        if let Some(&(number, _)) = MNEMONICS.iter().find(|&&(_, mnemonic)| mnemonic == upper) {
            return Ok(Self(number));
        }
        upper
            .strip_prefix("TYPE")
            .and_then(|number| number.parse().ok())
            .map(Self)
            .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_each_type_reads_back() {
        assert!(MNEMONICS.is_sorted_by_key(|&(number, _)| number));
        for number in 0..=u16::MAX {
            assert_eq!(RrType(number).to_string().parse(), Ok(RrType(number)));
        }
        assert_eq!("nsap-ptr".parse(), Ok(RrType::NSAP_PTR));
        assert!("TYPE65536".parse::<RrType>().is_err());
        assert!("www".parse::<RrType>().is_err());
    }
}
