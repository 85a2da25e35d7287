//! The encoding of values, octet by octet: records within a name's value, rows, log positions.
//!
//! A **record key** is `code, length, payload`. Codes below 0xF0 are the type itself, and the payload is the RDATA;
//! the other codes put the type (two octets) before it. For RDATA longer than 254 octets, the length is 255 and the
//! payload is the type and a digest of 16 octets; the RDATA itself is in `pd:{pp}t`.
//!
//! A **value** is `log position u32, first day u16` and then each record key with its row number
//! (u32), or the single octet 0xFF when the name's records are in a hash of their own.
//!
//! A **row** is eight big-endian u32: `count`, `time_first`, `time_last`, `ttl_min`, `ttl_max`, `ttl_last`,
//! `sensors`, and one octet above 24 bits of the owner's hash. That octet holds the type code
//! (`store/layout/type_code.rs`) above three bits of flags. Counts and sensors that do not fit are elsewhere
//! (`store/layout/extension.rs`).

use crate::hash::Hasher;
use crate::observation::{Fact, Outcome, Seen};
use crate::rdata::{Rdata, RdataBuf};
use crate::record::FactBuf;
use crate::rr::RrType;
use crate::store::layout::extension::{LARGE, RowSensors};
use crate::store::layout::keys::ROW;
use crate::store::layout::type_code::TypeCode;

const NEGATIVE: u8 = 0xf0;
const LONG: u8 = 0xfb;
const LONG_PARTIAL: u8 = 0xfc;
const PARTIAL: u8 = 0xfd;
const OTHER: u8 = 0xfe;
/// Marks a name whose records are in a hash of their own; no code has this value.
pub(crate) const WIDE: u8 = 0xff;
/// Longest payload that is stored inline.
const SHORT: usize = 254;
/// Octets of the digest that stands for long RDATA.
pub(crate) const DIGEST: usize = 16;

/// Appends the record key of a fact; returns the digest if the RDATA has to be stored separately.
pub(crate) fn write_key(
    fact: Fact<'_>,
    hasher: &Hasher,
    out: &mut Vec<u8>,
) -> Option<[u8; DIGEST]> {
    let rdata = match fact {
        Fact::Negative { qtype, outcome } => {
            out.extend([NEGATIVE, 4]);
            out.extend(qtype.0.to_be_bytes());
            out.extend(outcome.0.to_be_bytes());
            return None;
        }
        Fact::Record(rdata) => rdata,
    };
    let rrtype = rdata.rrtype.0.to_be_bytes();
    let length = rdata.octets.len();
    let [high, low] = rrtype;
    if !rdata.partial && high == 0 && low < NEGATIVE && length <= SHORT {
        out.extend([low, u8::try_from(length).unwrap_or(0)]);
        out.extend(rdata.octets);
        return None;
    }
    match u8::try_from(length + 2) {
        Ok(payload) if usize::from(payload) <= SHORT => {
            out.extend([if rdata.partial { PARTIAL } else { OTHER }, payload]);
            out.extend(rrtype);
            out.extend(rdata.octets);
            None
        }
        _ => {
            let digest = hasher.identity(rdata.octets);
            out.extend([if rdata.partial { LONG_PARTIAL } else { LONG }, u8::MAX]);
            out.extend(rrtype);
            out.extend(digest);
            Some(digest)
        }
    }
}

/// A decoded record key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The complete fact.
    Fact(FactBuf),
    /// RDATA that is stored separately under its digest.
    Long { rrtype: RrType, partial: bool, digest: [u8; DIGEST] },
}

/// A decoded record key that borrows from its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredRef<'a> {
    /// The complete fact.
    Fact(Fact<'a>),
    /// RDATA that is stored separately under its digest.
    Long { rrtype: RrType, partial: bool, digest: [u8; DIGEST] },
}

impl<'a> StoredRef<'a> {
    /// Decodes one record key at the front; `None` if the octets are not a valid key.
    pub(crate) fn read(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[code, length], rest) = octets.split_first_chunk::<2>()?;
        let length = if length == u8::MAX { DIGEST + 2 } else { usize::from(length) };
        let (payload, rest) = rest.split_at_checked(length)?;
        let record = |rrtype: u16, octets: &'a [u8], partial| {
            Self::Fact(Fact::Record(Rdata { rrtype: RrType(rrtype), octets, partial }))
        };
        if code < NEGATIVE {
            return Some((record(u16::from(code), payload, false), rest));
        }
        let (rrtype, payload) = payload.split_first_chunk::<2>()?;
        let rrtype = u16::from_be_bytes(*rrtype);
        let stored = match code {
            NEGATIVE => {
                let outcome = u16::from_be_bytes(payload.try_into().ok()?);
                Self::Fact(Fact::Negative { qtype: RrType(rrtype), outcome: Outcome(outcome) })
            }
            PARTIAL | OTHER => record(rrtype, payload, code == PARTIAL),
            LONG | LONG_PARTIAL => Self::Long {
                rrtype: RrType(rrtype),
                partial: code == LONG_PARTIAL,
                digest: payload.try_into().ok()?,
            },
            _ => return None,
        };
        Some((stored, rest))
    }

    /// Copies the key.
    pub(crate) fn to_stored(self) -> Stored {
        match self {
            Self::Fact(Fact::Record(rdata)) => Stored::Fact(FactBuf::Record(rdata.to_buf())),
            Self::Fact(Fact::Negative { qtype, outcome }) => {
                Stored::Fact(FactBuf::Negative { qtype, outcome })
            }
            Self::Long { rrtype, partial, digest } => Stored::Long { rrtype, partial, digest },
        }
    }
}

impl Stored {
    /// Decodes a key like [`StoredRef::read`].
    pub(crate) fn read(octets: &[u8]) -> Option<(Self, &[u8])> {
        StoredRef::read(octets).map(|(stored, rest)| (stored.to_stored(), rest))
    }

    /// Returns the fact, given its RDATA if that is stored separately.
    pub(crate) fn with_octets(self, octets: &[u8]) -> FactBuf {
        match self {
            Self::Fact(fact) => fact,
            Self::Long { rrtype, partial, .. } => {
                FactBuf::Record(RdataBuf { rrtype, octets: octets.into(), partial })
            }
        }
    }
}

/// A decoded value of a name.
pub(crate) struct Value<'a> {
    /// Position in the name log.
    pub(crate) log: u32,
    /// Days from the epoch to the day the name was first seen.
    pub(crate) day: u16,
    /// Records of the name, unless they are in a hash of their own.
    pub(crate) records: Option<&'a [u8]>,
}

impl<'a> Value<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (log, rest) = value.split_first_chunk::<4>()?;
        let (day, rest) = rest.split_first_chunk::<2>()?;
        Some(Self {
            log: u32::from_be_bytes(*log),
            day: u16::from_be_bytes(*day),
            records: if rest == [WIDE] { None } else { Some(rest) },
        })
    }
}

/// Iterates over the record keys and row numbers of a value; ends early, with an error, at invalid data.
pub(crate) fn records(octets: &[u8]) -> impl Iterator<Item = Result<(Stored, u32), Damaged>> {
    records_in(octets).map(|record| record.map(|(stored, row)| (stored.to_stored(), row)))
}

/// Iterates like [`records`], without copying.
pub(crate) fn records_in(
    mut octets: &[u8],
) -> impl Iterator<Item = Result<(StoredRef<'_>, u32), Damaged>> {
    std::iter::from_fn(move || {
        if octets.is_empty() {
            return None;
        }
        let read = StoredRef::read(octets)
            .and_then(|(stored, rest)| Some((stored, rest.split_first_chunk::<4>()?)));
        Some(if let Some((stored, (row, rest))) = read {
            octets = rest;
            Ok((stored, u32::from_be_bytes(*row)))
        } else {
            octets = &[];
            Err(Damaged)
        })
    })
}

/// A value in the store that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// A decoded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRead {
    /// Aggregated observations. A count that is elsewhere is [`LARGE`], as a lower bound.
    pub(crate) seen: Seen,
    pub(crate) sensors: RowSensors,
    /// 24 bits of the owner's hash.
    pub(crate) bits: u32,
    pub(crate) told: TypeCode,
}

impl RowRead {
    /// Returns true if the count is elsewhere.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.seen.count == u64::from(LARGE)
    }
}

/// Appends a row: aggregated observations, their sensors, 24 bits of the owner's hash, and the type if it is known. A
/// count that does not fit becomes [`LARGE`].
pub(crate) fn write_row(
    seen: &Seen,
    sensors: RowSensors,
    bits: u32,
    told: TypeCode,
    out: &mut Vec<u8>,
) {
    let pointer = u32::from(seen.flags & Seen::FLAGS | told.bits()) << 24 | bits & 0xff_ffff;
    let (ttl_max, sensors) = sensors.write(seen.ttl_max);
    for field in [
        u32::try_from(seen.count).unwrap_or(LARGE),
        seen.time_first,
        seen.time_last,
        seen.ttl_min,
        ttl_max,
        seen.ttl_last,
        sensors,
        pointer,
    ] {
        out.extend(field.to_be_bytes());
    }
}

/// Decodes a row; `None` unless it has 32 octets.
pub(crate) fn read_row(octets: &[u8]) -> Option<RowRead> {
    octets.try_into().ok().map(row_of)
}

/// Decodes a row like [`read_row`], given the right length. Inlined, so that a scan reads only the fields it looks
/// at.
#[inline]
pub(crate) fn row_of(octets: &[u8; ROW]) -> RowRead {
    let (fields, _) = octets.as_chunks::<4>();
    let field = |at: usize| fields.get(at).copied().map_or(0, u32::from_be_bytes);
    let above = (field(7) >> 24) as u8;
    let (count, (ttl_max, sensors)) = (field(0), RowSensors::read(field(4), field(6)));
    let is_large = count == LARGE;
    let seen = Seen {
        count: count.into(),
        time_first: field(1),
        time_last: field(2),
        ttl_min: field(3),
        ttl_max,
        ttl_last: field(5),
        flags: above & Seen::FLAGS | if is_large { Seen::AT_LEAST } else { 0 },
    };
    RowRead { seen, sensors, bits: field(7) & 0xff_ffff, told: TypeCode::from_bits(above) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn record_keys_read_back(
            rrtype in any::<u16>(), octets in prop::collection::vec(any::<u8>(), 0..400), partial in any::<bool>()
        ) {
            let hasher = Hasher::new(&[1; 16]);
            let rdata = Rdata { rrtype: RrType(rrtype), octets: &octets, partial };
            let mut key = Vec::new();
            let digest = write_key(Fact::Record(rdata), &hasher, &mut key);
            key.extend([1, 2, 3]);
            let (stored, rest) = Stored::read(&key).unwrap();
            prop_assert_eq!(rest, [1, 2, 3]);
            if let Stored::Long { digest: kept, .. } = &stored {
                prop_assert_eq!(Some(*kept), digest);
                prop_assert!(octets.len() > 250);
            } else {
                prop_assert_eq!(digest, None);
            }
            prop_assert_eq!(stored.with_octets(&octets), FactBuf::Record(rdata.to_buf()));
        }

        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(records(&octets).count() <= octets.len());
            let _ = (Value::read(&octets).is_some(), read_row(&octets).is_some());
        }
    }

    #[test]
    fn rows_read_back() {
        let seen = Seen {
            count: 1,
            time_first: 2,
            time_last: 3,
            ttl_min: 4,
            ttl_max: 5,
            ttl_last: 6,
            flags: 3,
        };
        let mut row = Vec::new();
        let told = TypeCode::of(RrType::MX);
        for sensors in [RowSensors::Few(7), RowSensors::One(1200), RowSensors::Many] {
            row.clear();
            write_row(&seen, sensors, 0x00ab_cdef, told, &mut row);
            assert_eq!(read_row(&row), Some(RowRead { seen, sensors, bits: 0x00ab_cdef, told }));
        }
        row.clear();
        let large = Seen { count: 1 << 40, ..seen };
        write_row(&large, RowSensors::Few(7), 1, told, &mut row);
        assert!(read_row(&row).is_some_and(|row| row.is_large() && row.seen.is_count_saturated()));
    }
}
