//! Text of tuples, end to end in one buffer.
//!
//! Part of `aggregate`. A tuple consists of its fields (lengths of name and RDATA, type, outcome, form),
//! followed by the name and the RDATA. If the window requires it, the row in the store precedes the tuple.

use crate::name::Name;
use crate::observation::{Fact, Outcome};
use crate::rdata::Rdata;
use crate::rr::RrType;

/// Size of the fields before the name and the RDATA of a tuple, in bytes.
const FIELDS: usize = 9;
/// Size of a row in front of them, in bytes.
const ROW: usize = 4;
/// Maximum size of one tuple: a name in text, RDATA, and the preceding fields.
pub(super) const LONGEST: usize = 1_004 + 65_535 + FIELDS + ROW;

/// Parts of a fact. `form` is 0 for a record, 1 for a partial one, 2 for a negative answer.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) form: u8,
    pub(super) rrtype: RrType,
    pub(super) outcome: Outcome,
    pub(super) octets: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn from_fact(fact: Fact<'a>) -> Self {
        match fact {
            Fact::Record(Rdata { rrtype, octets, partial }) => {
                Self { form: u8::from(partial), rrtype, outcome: Outcome(0), octets }
            }
            Fact::Negative { qtype, outcome } => {
                Self { form: 2, rrtype: qtype, outcome, octets: &[] }
            }
        }
    }

    /// Returns true for a negative answer.
    pub(super) fn is_negative(&self) -> bool {
        self.form == 2
    }
}

/// Buffer of texts.
#[derive(Default)]
pub(super) struct Texts(Vec<u8>);

impl Texts {
    pub(super) fn with_capacity(octets: usize) -> Self {
        Self(Vec::with_capacity(octets))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends a tuple, preceded by the row if there is one, and returns its position.
    ///
    /// Returns `None` for an impossible tuple: a name has at most 1,004 octets of text and RDATA at most
    /// 65,535 (RFC 1035 §3.2.1).
    pub(super) fn push(
        &mut self,
        name: Name<'_>,
        parts: Parts<'_>,
        row: Option<u32>,
    ) -> Option<u32> {
        let name = name.as_str().as_bytes();
        let name_length = u16::try_from(name.len()).ok()?;
        let length = u16::try_from(parts.octets.len()).ok()?;
        if let Some(row) = row {
            self.0.extend(row.to_be_bytes());
        }
        let at = u32::try_from(self.0.len()).ok()?;
        for field in [name_length, length, parts.rrtype.0, parts.outcome.0] {
            self.0.extend(field.to_be_bytes());
        }
        self.0.push(parts.form);
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(parts.octets);
        Some(at)
    }

    /// The tuple at a position.
    pub(super) fn tuple(&self, at: u32) -> Option<(Name<'_>, Fact<'_>)> {
        let at = usize::try_from(at).ok()?;
        let (fields, rest) = self.0.get(at..)?.split_first_chunk::<FIELDS>()?;
        let (numbers, form) = fields.split_first_chunk::<8>()?;
        let (numbers, _) = numbers.as_chunks::<2>();
        let &[name, octets, rrtype, outcome] = numbers else { return None };
        let [name, octets] = [name, octets].map(|length| u16::from_be_bytes(length).into());
        let rrtype = RrType(u16::from_be_bytes(rrtype));
        let (name, rest) = rest.split_at_checked(name)?;
        let octets = rest.get(..octets)?;
        let fact = match form.first()? {
            2 => Fact::Negative { qtype: rrtype, outcome: Outcome(u16::from_be_bytes(outcome)) },
            form => Fact::Record(Rdata { rrtype, octets, partial: *form == 1 }),
        };
        Some((Name::trusted(std::str::from_utf8(name).ok()?), fact))
    }

    /// The row in front of the tuple at a position.
    pub(super) fn row(&self, at: u32) -> Option<u32> {
        let at = usize::try_from(at).ok()?;
        let octets = self.0.get(at.checked_sub(ROW)?..at)?;
        octets.try_into().ok().map(u32::from_be_bytes)
    }

    /// Writes the row in front of the tuple at a position.
    pub(super) fn set_row(&mut self, at: u32, row: u32) {
        let octets =
            usize::try_from(at).ok().and_then(|at| self.0.get_mut(at.checked_sub(ROW)?..at));
        if let Some(octets) = octets {
            octets.copy_from_slice(&row.to_be_bytes());
        }
    }
}
