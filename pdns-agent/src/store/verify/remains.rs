//! The remains of one part of the store, as far as they can be decoded.
//!
//! Pure, for `store/verify/rebuild.rs`: names in the log, records in buckets, aggregates in rows. Invalid data is
//! skipped.

use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use crate::rdata::{FinalDot, Target};
use crate::record::FactBuf;
use crate::store::layout::encoding::{RowRead, Stored, Value, read_row, records};
use crate::store::layout::keys::{LOG, LOG_STRIDE, ROW, ROWS, low24};
use crate::store::layout::type_code::TypeCode;
use crate::store::read::buckets::Meta;
use crate::store::redis::reply::Pairs;
use std::collections::{BTreeMap, HashMap};

/// The remains of one part.
#[derive(Default)]
pub(in crate::store) struct Remains {
    pub(in crate::store) meta: Option<Meta>,
    pub(in crate::store) rows: BTreeMap<u32, Vec<u8>>,
    pub(in crate::store) log: BTreeMap<u32, Vec<u8>>,
    pub(in crate::store) buckets: BTreeMap<u32, Pairs>,
    pub(in crate::store) wide: HashMap<u64, Pairs>,
    pub(in crate::store) days: Option<BTreeMap<u32, u64>>,
    /// Counts that rows do not have, by row.
    pub(in crate::store) counts: Pairs,
    /// Sensors that rows do not have, by row, 64 rows in each.
    pub(in crate::store) sets: BTreeMap<u32, Pairs>,
}

impl Remains {
    /// Returns true if nothing is left.
    pub(in crate::store) fn is_nothing(&self) -> bool {
        self.meta.is_none()
            && self.rows.is_empty()
            && self.log.is_empty()
            && self.buckets.is_empty()
            && self.wide.is_empty()
            && self.days.is_none()
            && self.counts.is_empty()
            && self.sets.is_empty()
    }
}

/// Returns the canonical names of a log with their positions.
pub(in crate::store) fn names_in(
    log: &BTreeMap<u32, Vec<u8>>,
) -> impl Iterator<Item = (u32, Name<'_>)> {
    log.iter().flat_map(|(&block, text)| {
        let text = text.get(..LOG as usize).unwrap_or(text);
        let mut at = 0_u32;
        text.split_inclusive(|&octet| octet == b'\n').filter_map(move |line| {
            let position = block * LOG_STRIDE + at;
            at += u32::try_from(line.len()).unwrap_or(0);
            let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
            Some((position, Name::from_canonical(line).ok()?))
        })
    })
}

/// Returns the names that records point at.
pub(in crate::store) fn targets(remains: &Remains) -> impl Iterator<Item = NameBuf> + '_ {
    let values = remains.buckets.values().flatten().filter_map(|(_, value)| Value::read(value));
    let stored = values.filter_map(|value| value.records).flat_map(read_all);
    let stored = stored.chain(remains.wide.values().flat_map(read_pairs));
    stored.filter_map(|(_, record, _)| match record {
        Stored::Fact(FactBuf::Record(rdata)) => match rdata.as_rdata().target() {
            Target::Name(name) => Some(name),
            _ => None,
        },
        _ => None,
    })
}

pub(in crate::store) fn name_at(log: &BTreeMap<u32, Vec<u8>>, position: u32) -> Option<Name<'_>> {
    let text = log.get(&(position / LOG_STRIDE))?.get((position % LOG_STRIDE) as usize..)?;
    let line = text.get(..memchr::memchr(b'\n', text)?)?;
    Name::from_canonical(std::str::from_utf8(line).ok()?).ok()
}

pub(in crate::store) fn row_in(blocks: &BTreeMap<u32, Vec<u8>>, row: u32) -> Option<RowRead> {
    let at = (row % ROWS) as usize * ROW;
    read_row(blocks.get(&(row / ROWS))?.get(at..at + ROW)?)
}

/// Decodes the records of a value: each with its key as stored, and its row. Stops at invalid data.
pub(in crate::store) fn read_all(octets: &[u8]) -> Vec<(Vec<u8>, Stored, u32)> {
    let mut read = Vec::new();
    let mut rest = octets;
    for (stored, row) in records(octets).map_while(Result::ok) {
        let Some((_, after)) = Stored::read(rest) else { break };
        let key = rest.get(..rest.len() - after.len()).unwrap_or_default().to_vec();
        rest = after.get(4..).unwrap_or_default();
        read.push((key, stored, row));
    }
    read
}

pub(in crate::store) fn read_pairs(pairs: &Pairs) -> Vec<(Vec<u8>, Stored, u32)> {
    pairs.iter().filter_map(read_pair).collect()
}

pub(in crate::store) fn read_pair(
    (key, row): &(Vec<u8>, Vec<u8>),
) -> Option<(Vec<u8>, Stored, u32)> {
    let row = u32::from_be_bytes(row.as_slice().try_into().ok()?);
    let (stored, rest) = Stored::read(key)?;
    rest.is_empty().then(|| (key.clone(), stored, row))
}

pub(in crate::store) fn shown(fact: &FactBuf) -> String {
    match fact {
        FactBuf::Record(rdata) => {
            format!("{} {}", rdata.rrtype, rdata.as_rdata().to_text(FinalDot::Without))
        }
        FactBuf::Negative { qtype, outcome } => format!("{qtype} ({outcome})"),
    }
}

/// Decodes the row of such a record; `None` if it is not a possible one.
pub(in crate::store) fn sum(
    hash: u64,
    fact: Option<&FactBuf>,
    row: u32,
    remains: &Remains,
) -> Option<Seen> {
    let RowRead { seen, bits, told, .. } = row_in(&remains.rows, row)?;
    let told_of = fact.map(|fact| TypeCode::of(fact.as_fact().rrtype()));
    let told = told == TypeCode::NOTHING || told_of.is_none_or(|of| told == of);
    (seen.is_possible() && bits == low24(hash) && told).then_some(seen)
}
