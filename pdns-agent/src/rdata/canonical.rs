//! Converts RDATA from the wire to canonical form: names uncompressed and in lower case.
//!
//! This applies to types whose names may be compressed (RFC 3597 §4) or compare case-insensitively (RFC 4034
//! §6.2); all other RDATA is kept octet by octet. The table in [`super::layout`] gives the positions of the
//! names. hickory-proto was evaluated for this: it knows only seven of these types, rejects names whose
//! labels run on over the pointer that led to them, and rejects NAPTR flags that are not alphanumeric. The
//! tests use it as a second opinion.

use super::layout::{Field, layout};
use crate::name::compressed;
use crate::rr::RrType;

/// RDATA does not fit its type: a field or name is unreadable, or octets are left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

/// Returns true if RDATA of this type contains names that [`write`] must process.
pub(crate) fn has_names(rrtype: RrType) -> bool {
    matches!(
        rrtype,
        RrType::NS
            | RrType::MD
            | RrType::MF
            | RrType::CNAME
            | RrType::SOA
            | RrType::MB
            | RrType::MG
            | RrType::MR
            | RrType::PTR
            | RrType::MINFO
            | RrType::MX
            | RrType::RP
            | RrType::AFSDB
            | RrType::RT
            | RrType::SIG
            | RrType::PX
            | RrType::NXT
            | RrType::SRV
            | RrType::NAPTR
            | RrType::KX
            | RrType::A6
            | RrType::DNAME
            | RrType::RRSIG
            | RrType::NSEC
    )
}

/// Appends the canonical form of the RDATA in `message` from `at` to `end`, whose type [`has_names`].
///
/// # Errors
/// [`Unfit`]; the octets appended so far are then not valid RDATA.
pub(crate) fn write(
    rrtype: RrType,
    message: &[u8],
    at: usize,
    end: usize,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let mut reader = FieldReader { message, at, end, out };
    if rrtype == RrType::A6 {
        reader.a6()?;
    } else {
        // Names of these types are never compressed, so a pointer is an error (RFC 4034 §3.1.7 and §4.1.1).
        let is_plain = matches!(rrtype, RrType::RRSIG | RrType::NSEC);
        for &field in layout(rrtype).ok_or(Unfit)? {
            reader.field(field, is_plain)?;
        }
    }
    if reader.at == end { Ok(()) } else { Err(Unfit) }
}

/// Reads RDATA field by field and appends each field to the output.
struct FieldReader<'a> {
    message: &'a [u8],
    at: usize,
    end: usize,
    out: &'a mut Vec<u8>,
}

impl FieldReader<'_> {
    fn field(&mut self, field: Field, is_plain: bool) -> Result<(), Unfit> {
        match field {
            Field::U8 => self.copy(1),
            Field::U16 | Field::Type => self.copy(2),
            Field::U32 | Field::Time | Field::V4 => self.copy(4),
            Field::V6 => self.copy(16),
            Field::Name => self.name(is_plain),
            Field::String => {
                let &length = self.message.get(self.at).ok_or(Unfit)?;
                self.copy(usize::from(length) + 1)
            }
            Field::Strings
            | Field::Hex
            | Field::Base64
            | Field::Types
            | Field::Opaque
            | Field::Special(..) => self.copy(self.end - self.at),
        }
    }

    fn copy(&mut self, length: usize) -> Result<(), Unfit> {
        let next = self.at + length;
        if next > self.end {
            return Err(Unfit);
        }
        self.out.extend_from_slice(self.message.get(self.at..next).ok_or(Unfit)?);
        self.at = next;
        Ok(())
    }

    fn name(&mut self, is_plain: bool) -> Result<(), Unfit> {
        let start = self.out.len();
        let next = compressed::wire(self.message, self.at, self.out).map_err(|_| Unfit)?;
        // A name without a pointer has the same length in place and written out.
        if next > self.end || is_plain && next - self.at != self.out.len() - start {
            return Err(Unfit);
        }
        self.at = next;
        Ok(())
    }

    /// RFC 2874 §3.1: the length of a prefix, the address suffix, and the name of the prefix unless that
    /// length is zero.
    fn a6(&mut self) -> Result<(), Unfit> {
        let &prefix = self.message.get(self.at).filter(|&&prefix| prefix <= 128).ok_or(Unfit)?;
        self.copy(1 + usize::from(128 - prefix).div_ceil(8))?;
        if prefix == 0 { Ok(()) } else { self.name(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::iana::Rtype;
    use domain::base::name::ParsedName;
    use domain::base::rdata::{ComposeRecordData as _, ParseAnyRecordData as _};
    use domain::dep::octseq::Parser;
    use domain::rdata::AllRecordData;
    use hickory_proto::rr::RData;
    use hickory_proto::serialize::binary::{BinDecoder, BinEncodable as _, BinEncoder, Restrict};
    use proptest::prelude::*;

    #[track_caller]
    fn check(rrtype: RrType, octets: &[u8], want: Option<&[u8]>) {
        // The names may point to "Ab." at 0.
        let message = [b"\x02Ab\x00", octets].concat();
        let mut out = Vec::new();
        let written = write(rrtype, &message, 4, message.len(), &mut out);
        assert_eq!(written.ok().map(|()| out.as_slice()), want, "{rrtype}");
    }

    #[test]
    fn each_type_with_names_has_a_layout() {
        for number in 0..=u16::MAX {
            let rrtype = RrType(number);
            if has_names(rrtype) && rrtype != RrType::A6 {
                let fields = layout(rrtype).unwrap();
                assert!(fields.iter().any(|field| matches!(field, Field::Name)), "{rrtype}");
            }
        }
    }

    #[test]
    fn names_are_written_out_in_lower_case() {
        check(RrType::NS, b"\x01X\xc0\x00", Some(b"\x01x\x02ab\x00"));
        check(RrType::MX, b"\x00\x0a\xc0\x00", Some(b"\x00\x0a\x02ab\x00"));
        check(RrType::MINFO, b"\xc0\x00\x00", Some(b"\x02ab\x00\x00"));
        check(
            RrType::NAPTR,
            b"\x00\x01\x00\x02\x01U\x00\x02!!\xc0\x00",
            Some(b"\x00\x01\x00\x02\x01U\x00\x02!!\x02ab\x00"),
        );
        check(RrType::PX, b"\x00\x01\xc0\x00\xc0\x00", Some(b"\x00\x01\x02ab\x00\x02ab\x00"));
        check(RrType::NXT, b"\xc0\x00\x40", Some(b"\x02ab\x00\x40"));
        check(RrType::NSEC, b"\x01Q\x00\x00\x01\x40", Some(b"\x01q\x00\x00\x01\x40"));
        let signature = [&[7; 18][..], b"\x01Q\x00", b"sig"].concat();
        let lower = [&[7; 18][..], b"\x01q\x00", b"sig"].concat();
        check(RrType::RRSIG, &signature, Some(&lower));
        check(RrType::SIG, &signature, Some(&lower));
    }

    #[test]
    fn a6_has_a_name_unless_its_prefix_is_empty() {
        let whole = [&[0][..], &[9; 16]].concat();
        check(RrType::A6, &whole, Some(&whole));
        check(RrType::A6, b"\x7c\x09\xc0\x00", Some(b"\x7c\x09\x02ab\x00"));
        check(RrType::A6, b"\x80\xc0\x00", Some(b"\x80\x02ab\x00"));
        check(RrType::A6, b"\x81\x00", None);
        check(RrType::A6, b"\x80", None);
        check(RrType::A6, b"", None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        check(RrType::NS, b"", None);
        check(RrType::NS, b"\x00\x00", None);
        check(RrType::NS, b"\x01a", None);
        check(RrType::NS, b"\xc0\x04", None);
        check(RrType::MX, b"\x00", None);
        check(RrType::NAPTR, b"\x00\x01\x00\x02\x09U", None);
        check(RrType::NSEC, b"\xc0\x00\x00\x01\x40", None);
        check(RrType::RRSIG, &[&[7; 18][..], b"\xc0\x00"].concat(), None);
        check(RrType::SOA, b"\xc0\x00\xc0\x00\x00", None);
    }

    #[test]
    fn a_name_ends_within_its_rdata() {
        let message = b"\x01a\x00";
        assert_eq!(write(RrType::NS, message, 0, 2, &mut Vec::new()), Err(Unfit));
        assert_eq!(write(RrType::NS, message, 0, 3, &mut Vec::new()), Ok(()));
    }

    /// Encoding of the same octets by `domain`; `None` if it rejects the RDATA.
    fn domain_writes(rrtype: RrType, message: &[u8], at: usize, end: usize) -> Option<Vec<u8>> {
        let mut parser = Parser::from_ref(message.get(..end)?);
        parser.seek(at).ok()?;
        let theirs = Rtype::from_int(rrtype.0);
        let data = AllRecordData::<&[u8], ParsedName<&[u8]>>::parse_any_rdata(theirs, &mut parser);
        let data = data.ok().filter(|_| parser.remaining() == 0)?;
        let mut out = Vec::new();
        data.compose_canonical_rdata(&mut out).unwrap();
        Some(out)
    }

    /// Types with names that hickory knows, except NAPTR.
    const HICKORY: [RrType; 6] =
        [RrType::NS, RrType::CNAME, RrType::PTR, RrType::MX, RrType::SRV, RrType::SOA];

    /// Encoding of the same octets by hickory.
    fn hickory_writes(rrtype: RrType, message: &[u8], at: usize, end: usize) -> Option<Vec<u8>> {
        let mut decoder = BinDecoder::new(message.get(..end)?).clone(u16::try_from(at).ok()?);
        let length = Restrict::new(u16::try_from(end - at).ok()?);
        let data = RData::read(&mut decoder, rrtype.0.into(), length).ok()?;
        let mut out = Vec::new();
        let mut encoder = BinEncoder::new(&mut out);
        encoder.set_canonical_form(true);
        data.emit(&mut encoder).unwrap();
        Some(out)
    }

    /// Names that others may point to, and RDATA made of fields, labels and pointers.
    fn rdata() -> impl Strategy<Value = (RrType, Vec<u8>)> {
        let name = prop_oneof![
            3 => prop::sample::select(vec![&b"\xc0\x00"[..], b"\xc0\x08", b"\x01X\xc0\x04", b"\x00", b"\x02Ab\x00"]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..6),
        ];
        let both = |octets: usize, names: usize, rest: usize, types: &'static [RrType]| {
            (
                prop::sample::select(types),
                prop::collection::vec(any::<u8>(), octets),
                prop::collection::vec(name.clone(), names),
                prop::collection::vec(any::<u8>(), rest),
            )
                .prop_map(|(rrtype, octets, names, rest)| {
                    (rrtype, [octets, names.concat(), rest].concat())
                })
        };
        prop_oneof![
            both(0, 1, 0, &[RrType::NS, RrType::CNAME, RrType::PTR, RrType::DNAME, RrType::MB]),
            both(0, 2, 0, &[RrType::MINFO, RrType::RP]),
            both(2, 1, 0, &[RrType::MX]),
            both(6, 1, 0, &[RrType::SRV]),
            both(0, 2, 20, &[RrType::SOA]),
        ]
    }

    proptest! {
        #[test]
        fn oracles_write_the_same((rrtype, rdata) in rdata()) {
            let names = b"\x03wWw\x07Example\x03cOm\x00";
            let message = [&names[..], &rdata].concat();
            let (at, end) = (names.len(), message.len());
            let mut out = Vec::new();
            let ours = write(rrtype, &message, at, end, &mut out).ok().map(|()| out.as_slice());
            if let Some(theirs) = domain_writes(rrtype, &message, at, end) {
                // It allows pointers to lead forward within the message.
                if ours.is_some() {
                    prop_assert_eq!(ours, Some(theirs.as_slice()));
                }
            } else {
                prop_assert_eq!(ours, None);
            }
            // It keeps the octets of the other types, as for any type that it does not know.
            let is_known = HICKORY.contains(&rrtype);
            let theirs = hickory_writes(rrtype, &message, at, end).filter(|_| is_known);
            if let (Some(theirs), Some(ours)) = (theirs, ours) {
                prop_assert_eq!(ours, theirs.as_slice());
            }
        }
    }
}
