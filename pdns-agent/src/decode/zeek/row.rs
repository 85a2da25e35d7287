//! The columns of dns.log and pdns.log used for passive DNS, independent of the log's format.
//!
//! `tsv` and `json` fill a [`Row`] with raw values from the line; they are only parsed as numbers or truth
//! values on demand.

use super::answers::Answers;
use crate::decode::Rejection;
use crate::observation::Outcome;
use crate::rr::RrType;

/// A raw value from the line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum RawValue<'a> {
    /// Omitted, null, or the log's marker for unset values.
    #[default]
    Unset,
    /// Text, still with its escapes.
    Text(&'a [u8]),
    /// A non-negative whole number of JSON.
    Unsigned(u64),
    /// A negative whole number of JSON.
    Negative(i64),
    /// A JSON number with a fraction or an exponent.
    Float(f64),
    /// A JSON truth value.
    Bool(bool),
    /// A value that no column of these logs contains: an object, an array, or text with JSON escapes.
    Odd,
}

/// A query name: label octets joined with dots, without escapes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Query<'a> {
    /// No name given.
    #[default]
    Unset,
    /// Appears unchanged in the line.
    InLine(&'a [u8]),
    /// It had escapes and was written to [`Columns::query`].
    Unescaped,
}

/// The single-valued columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) ts: RawValue<'a>,
    pub(super) orig_p: RawValue<'a>,
    pub(super) resp_p: RawValue<'a>,
    pub(super) proto: RawValue<'a>,
    pub(super) rtt: RawValue<'a>,
    pub(super) query: Query<'a>,
    pub(super) qclass: RawValue<'a>,
    pub(super) qclass_name: RawValue<'a>,
    pub(super) qtype: RawValue<'a>,
    pub(super) qtype_name: RawValue<'a>,
    pub(super) rcode: RawValue<'a>,
    pub(super) rcode_name: RawValue<'a>,
    pub(super) aa: RawValue<'a>,
    pub(super) rd: RawValue<'a>,
    pub(super) ra: RawValue<'a>,
    pub(super) rejected: RawValue<'a>,
    pub(super) opcode: RawValue<'a>,
    /// True if pdns.log has the content of this row of dns.log.
    pub(super) marked: RawValue<'a>,
    pub(super) package: Package<'a>,
}

/// The columns of pdns.log, the log of our Zeek package, besides `ts`: record `PDNS::Info` of
/// zeek/scripts/main.zeek. Text in them needs no unescaping here; the `%hh` encoding is handled separately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Package<'a> {
    pub(super) last: RawValue<'a>,
    pub(super) seen: RawValue<'a>,
    pub(super) rrname: RawValue<'a>,
    pub(super) rrclass: RawValue<'a>,
    pub(super) rrtype: RawValue<'a>,
    pub(super) ttl: RawValue<'a>,
    pub(super) ttl_min: RawValue<'a>,
    pub(super) ttl_max: RawValue<'a>,
    pub(super) outcome: RawValue<'a>,
    pub(super) section: RawValue<'a>,
    pub(super) asked: RawValue<'a>,
    pub(super) zone: RawValue<'a>,
    pub(super) qname: RawValue<'a>,
}

/// Buffers for values that cannot be used in place, reused for the next line, so that a typical line
/// allocates nothing. Their size is bounded by that of the longest line.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// The query, if it is [`Query::Unescaped`].
    pub(super) query: Vec<u8>,
    /// `answers` and `TTLs`.
    pub(super) answers: Answers,
    /// `rdata` of pdns.log.
    pub(super) rdata: Answers,
}

impl Columns {
    /// Removes the values of the previous line.
    pub(super) fn clear(&mut self) {
        self.query.clear();
        self.answers.clear();
        self.rdata.clear();
    }
}

/// A column, identified by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogColumn {
    Ts,
    OrigPort,
    RespPort,
    Proto,
    Rtt,
    Query,
    Qclass,
    QclassName,
    Qtype,
    QtypeName,
    Rcode,
    RcodeName,
    Aa,
    Rd,
    Ra,
    Rejected,
    Opcode,
    Answers,
    Ttls,
    Marked,
    Last,
    Seen,
    Rrname,
    Rrclass,
    Rrtype,
    Rdata,
    Ttl,
    TtlMin,
    TtlMax,
    Outcome,
    Section,
    Asked,
    Zone,
    Qname,
}

impl LogColumn {
    /// The column to which Zeek, or a shipper that renames `id.` columns, gives this name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"ts" => Self::Ts,
            b"id.orig_p" | b"id_orig_p" => Self::OrigPort,
            b"id.resp_p" | b"id_resp_p" => Self::RespPort,
            b"proto" => Self::Proto,
            b"rtt" => Self::Rtt,
            b"query" => Self::Query,
            b"qclass" => Self::Qclass,
            b"qclass_name" => Self::QclassName,
            b"qtype" => Self::Qtype,
            b"qtype_name" => Self::QtypeName,
            b"rcode" => Self::Rcode,
            b"rcode_name" => Self::RcodeName,
            b"AA" => Self::Aa,
            b"RD" => Self::Rd,
            b"RA" => Self::Ra,
            b"rejected" => Self::Rejected,
            b"opcode" => Self::Opcode,
            b"answers" => Self::Answers,
            b"TTLs" => Self::Ttls,
            b"pdns" => Self::Marked,
            b"last" => Self::Last,
            b"seen" => Self::Seen,
            b"rrname" => Self::Rrname,
            b"rrclass" => Self::Rrclass,
            b"rrtype" => Self::Rrtype,
            b"rdata" => Self::Rdata,
            b"ttl" => Self::Ttl,
            b"ttl_min" => Self::TtlMin,
            b"ttl_max" => Self::TtlMax,
            b"outcome" => Self::Outcome,
            b"section" => Self::Section,
            b"asked" => Self::Asked,
            b"zone" => Self::Zone,
            b"qname" => Self::Qname,
            _ => return None,
        })
    }
}

impl<'a> Row<'a> {
    /// Returns true if this is a row of pdns.log.
    pub(super) fn is_of_package(&self) -> bool {
        self.package.rrname.is_set()
    }

    /// Slot for the value of a single-valued column; `None` for query, answers, TTLs and RDATA, which are
    /// stored differently.
    pub(super) fn slot(&mut self, field: LogColumn) -> Option<&mut RawValue<'a>> {
        Some(match field {
            LogColumn::Ts => &mut self.ts,
            LogColumn::OrigPort => &mut self.orig_p,
            LogColumn::RespPort => &mut self.resp_p,
            LogColumn::Proto => &mut self.proto,
            LogColumn::Rtt => &mut self.rtt,
            LogColumn::Qclass => &mut self.qclass,
            LogColumn::QclassName => &mut self.qclass_name,
            LogColumn::Qtype => &mut self.qtype,
            LogColumn::QtypeName => &mut self.qtype_name,
            LogColumn::Rcode => &mut self.rcode,
            LogColumn::RcodeName => &mut self.rcode_name,
            LogColumn::Aa => &mut self.aa,
            LogColumn::Rd => &mut self.rd,
            LogColumn::Ra => &mut self.ra,
            LogColumn::Rejected => &mut self.rejected,
            LogColumn::Opcode => &mut self.opcode,
            LogColumn::Marked => &mut self.marked,
            LogColumn::Last => &mut self.package.last,
            LogColumn::Seen => &mut self.package.seen,
            LogColumn::Rrname => &mut self.package.rrname,
            LogColumn::Rrclass => &mut self.package.rrclass,
            LogColumn::Rrtype => &mut self.package.rrtype,
            LogColumn::Ttl => &mut self.package.ttl,
            LogColumn::TtlMin => &mut self.package.ttl_min,
            LogColumn::TtlMax => &mut self.package.ttl_max,
            LogColumn::Outcome => &mut self.package.outcome,
            LogColumn::Section => &mut self.package.section,
            LogColumn::Asked => &mut self.package.asked,
            LogColumn::Zone => &mut self.package.zone,
            LogColumn::Qname => &mut self.package.qname,
            LogColumn::Query | LogColumn::Answers | LogColumn::Ttls | LogColumn::Rdata => {
                return None;
            }
        })
    }

    /// The query type: by number or, failing that, by Zeek's name.
    pub(super) fn qtype(&self) -> Result<Option<RrType>, Rejection> {
        if let Some(number) = self.qtype.number()? {
            return Ok(Some(RrType(number)));
        }
        let Some(name) = self.qtype_name.name()? else { return Ok(None) };
        // Names in Zeek's DNS::query_types that differ from IANA's.
        Ok(Some(match name {
            "*" => RrType::ANY,
            "NB" => RrType::NIMLOC,
            "NBSTAT" => RrType::SRV,
            "EDNS" => RrType::OPT,
            "WINS" => RrType(65281),
            "WINS-R" => RrType(65282),
            "XPF" => RrType(65422),
            "INTEGRITY" => RrType(65521),
            _ => match name.strip_prefix("query-") {
                Some(number) => RrType(number.parse().map_err(|_| Rejection::BadField)?),
                None => name.parse().map_err(|_| Rejection::BadField)?,
            },
        }))
    }

    /// The RCODE: by number or, failing that, by Zeek's name. `None` if no reply was seen.
    pub(super) fn rcode(&self) -> Result<Option<u16>, Rejection> {
        // An extended RCODE has 12 bits (RFC 6891 §6.1.3).
        const LAST: u16 = 0xfff;
        let number = if let Some(number) = self.rcode.number()? {
            number
        } else {
            let Some(name) = self.rcode_name.name()? else { return Ok(None) };
            // Names in Zeek's DNS::base_errors that differ from IANA's.
            match (name, name.strip_prefix("rcode-").or(name.strip_prefix("unassigned-"))) {
                ("NOERROR", _) => 0,
                ("BADSIG", _) => 3842,
                (_, Some(number)) => number.parse().map_err(|_| Rejection::BadField)?,
                (_, None) => name.parse::<Outcome>().map_err(|_| Rejection::BadField)?.0,
            }
        };
        if number > LAST { Err(Rejection::BadField) } else { Ok(Some(number)) }
    }

    /// Returns true if the class is IN, considering only the given bits, or missing.
    pub(super) fn is_internet(&self, bits: u16) -> Result<bool, Rejection> {
        Ok(match self.qclass.number()? {
            Some(class) => class & bits == 1,
            None => self.qclass_name.name()?.is_none_or(|name| name == "C_INTERNET"),
        })
    }
}

impl<'a> RawValue<'a> {
    /// A 16-bit number: ports, types, classes, RCODEs and opcodes.
    pub(super) fn number(self) -> Result<Option<u16>, Rejection> {
        let number = match self {
            Self::Unset => return Ok(None),
            Self::Unsigned(number) => u16::try_from(number).ok(),
            Self::Text(digits) => decimal(digits).and_then(|number| u16::try_from(number).ok()),
            _ => None,
        };
        number.map(Some).ok_or(Rejection::BadField)
    }

    /// A 32-bit number.
    pub(super) fn large(self) -> Result<Option<u32>, Rejection> {
        let number = match self {
            Self::Unset => return Ok(None),
            Self::Unsigned(number) => Some(number),
            Self::Text(digits) => decimal(digits),
            _ => None,
        };
        // Larger numbers saturate.
        number
            .map(|number| Some(u32::try_from(number).unwrap_or(u32::MAX)))
            .ok_or(Rejection::BadField)
    }

    /// Text without escapes.
    pub(super) fn text(self) -> Result<Option<&'a [u8]>, Rejection> {
        match self {
            Self::Unset => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            _ => Err(Rejection::BadField),
        }
    }

    /// A truth value; unset is false.
    pub(super) fn is_true(self) -> Result<bool, Rejection> {
        match self {
            Self::Unset | Self::Bool(false) | Self::Text(b"F" | b"false") => Ok(false),
            Self::Bool(true) | Self::Text(b"T" | b"true") => Ok(true),
            _ => Err(Rejection::BadField),
        }
    }

    /// Returns true if a transport protocol is TCP; false if it is unset.
    pub(super) fn is_stream(self) -> Result<bool, Rejection> {
        Ok(self.name()?.is_some_and(|name| name == "tcp"))
    }

    /// The name of a number, such as `NXDOMAIN`.
    fn name(self) -> Result<Option<&'a str>, Rejection> {
        match self {
            Self::Unset => Ok(None),
            Self::Text(text) => {
                std::str::from_utf8(text).map(Some).map_err(|_| Rejection::BadField)
            }
            _ => Err(Rejection::BadField),
        }
    }

    /// Returns true if there is a value.
    pub(super) fn is_set(self) -> bool {
        self != Self::Unset
    }
}

/// Parses 1 to 18 decimal digits as a number.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |sum: u64, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_either_form() {
        assert_eq!(RawValue::Text(b"65535").number(), Ok(Some(65535)));
        assert_eq!(RawValue::Unsigned(28).number(), Ok(Some(28)));
        assert_eq!(RawValue::Unset.number(), Ok(None));
        for bad in [
            RawValue::Text(b""),
            RawValue::Text(b"-1"),
            RawValue::Text(b"65536"),
            RawValue::Float(1.5),
        ] {
            assert_eq!(bad.number(), Err(Rejection::BadField), "{bad:?}");
        }
    }

    #[test]
    fn names_stand_in_for_numbers() {
        let qtype = |name| Row { qtype_name: RawValue::Text(name), ..Row::default() }.qtype();
        assert_eq!(qtype(b"AAAA"), Ok(Some(RrType::AAAA)));
        assert_eq!(qtype(b"*"), Ok(Some(RrType::ANY)));
        assert_eq!(qtype(b"query-65534"), Ok(Some(RrType(65534))));
        assert_eq!(qtype(b"query-65536"), Err(Rejection::BadField));
        assert_eq!(qtype(b"\xff"), Err(Rejection::BadField));
        let rcode = |name| Row { rcode_name: RawValue::Text(name), ..Row::default() }.rcode();
        assert_eq!(rcode(b"NOERROR"), Ok(Some(0)));
        assert_eq!(rcode(b"NXRRSet"), Ok(Some(8)));
        assert_eq!(rcode(b"unassigned-11"), Ok(Some(11)));
        assert_eq!(rcode(b"rcode-4095"), Ok(Some(4095)));
        assert_eq!(rcode(b"UNANSWERED"), Err(Rejection::BadField));
        let row = Row { rcode: RawValue::Unsigned(4096), ..Row::default() };
        assert_eq!(row.rcode(), Err(Rejection::BadField));
        let class =
            |name| Row { qclass_name: RawValue::Text(name), ..Row::default() }.is_internet(0xffff);
        assert_eq!((class(b"C_INTERNET"), class(b"C_CHAOS")), (Ok(true), Ok(false)));
    }
}
