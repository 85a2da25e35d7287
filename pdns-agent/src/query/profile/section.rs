//! The sections of a subject: its own records, the records that point at it, its negative answers.
//!
//! Part of the profile. In a preview, each section reads at most [`READ`] rows. If there are more, every number
//! covers only the rows that were read ([`SectionReading::extent`]); a page of one section reads on until its
//! time runs out.

use crate::name::NameBuf;
use crate::query::{Cursor, Each, Extent, Pager, Subject, on_addresses};
use crate::record::StoredRecord;
use crate::store::{Kind, NameLookup, Reader, StoreError};
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum number of rows read by a section of a preview; they take 0.2 s.
const READ: usize = 50_000;
/// Number of rows of a section shown in a preview.
const SHOWN: usize = 25;
/// Number of rows of a page of one section.
const PAGE: usize = 200;

/// A part of what is known about a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// A name's records, or the records with an address.
    Records,
    /// Records that point at a name.
    Pointing,
    /// Negative answers.
    Negatives,
}

impl Section {
    /// All sections.
    pub const ALL: [Self; 3] = [Self::Records, Self::Pointing, Self::Negatives];

    /// Returns its name in URLs and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Pointing => "pointing",
            Self::Negatives => "negatives",
        }
    }

    /// Parses the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == text)
    }
}

/// The rows of a section to show, which are the latest seen of those that were read, and totals of all that
/// were read.
#[derive(Debug, Default)]
pub struct SectionReading {
    /// The rows to show.
    pub rows: Vec<StoredRecord>,
    /// Number of rows read, without those that do not belong to the section.
    pub read: usize,
    /// The part of the section that was read.
    pub extent: Extent,
    /// Sum of their counts.
    pub count: u64,
    /// True if `count` is a lower bound, because a counter of the store is saturated.
    pub is_least: bool,
    /// Earliest of their times.
    pub first: Option<u32>,
    /// Latest of their times.
    pub last: Option<u32>,
    /// Number of owner names.
    pub names: usize,
    /// The addresses in their RDATA.
    pub addresses: BTreeSet<IpAddr>,
    /// Number of rows seen both before and after the event in which the subject was found.
    pub covering: usize,
    /// Start of the next page.
    pub next: Option<Cursor>,
    /// True if time ran out.
    pub is_late: bool,
}

/// Amount of data to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// A section among others, with the time of the event in which the subject was found.
    Preview(Option<u32>),
    /// A page of one section that begins here.
    Page(Option<Cursor>),
}

/// A subject whose sections can be read. This is the only place that defines what belongs to a subject: for a
/// name its own records, then the records of others that point at it, then its negative answers; for addresses
/// the records with them.
pub enum Sections {
    /// A name.
    Name(Box<NameLookup>),
    /// Addresses from the first to the second, inclusive.
    Addresses(IpAddr, IpAddr),
    /// All names below one, which have no sections of their own.
    Below,
}

impl Sections {
    /// Looks up a subject; `negative` is true if its negative answers are going to be read.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn open(
        store: &mut Reader<'_>,
        subject: &Subject,
        negative: bool,
    ) -> Result<Self, StoreError> {
        Ok(match subject {
            Subject::Name(name) | Subject::AtOrBelow(name) => Self::name(store, name, negative)?,
            Subject::Below(_) => Self::Below,
            Subject::Addresses(from, to) => Self::Addresses(*from, *to),
        })
    }

    /// Like [`Sections::open`], for one name.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn name(
        store: &mut Reader<'_>,
        name: &NameBuf,
        negative: bool,
    ) -> Result<Self, StoreError> {
        let lookup = store.lookup_name(name.as_name(), negative)?;
        Ok(Self::Name(Box::new(lookup)))
    }

    /// Passes the rows of a section to `each`, until it breaks. `most` estimates how many it will take.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn rows(
        &self,
        store: &mut Reader<'_>,
        section: Section,
        most: usize,
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        match (self, section) {
            (Self::Name(lookup), Section::Records) => own(store, lookup, Kind::Record, each),
            (Self::Name(lookup), Section::Pointing) => {
                store.records_targeting(lookup, most, &mut |row| {
                    // A record that points at its own owner is already in the records section.
                    let is_own = row.rrname == *lookup.name();
                    if is_own { ControlFlow::Continue(()) } else { each(row) }
                })
            }
            (Self::Name(lookup), Section::Negatives) => own(store, lookup, Kind::Negative, each),
            (Self::Addresses(from, to), Section::Records) => {
                on_addresses(store, *from, *to, most, each)
            }
            (Self::Addresses(..) | Self::Below, _) => Ok(()),
        }
    }
}

/// Reads a name's own rows of a kind, then what is not kept of that kind below its domain.
fn own(
    store: &mut Reader<'_>,
    lookup: &NameLookup,
    kind: Kind,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    let mut flow = ControlFlow::Continue(());
    let mut take = |row| {
        flow = each(row);
        flow
    };
    match kind {
        Kind::Record => store.own_records(lookup, &mut take)?,
        Kind::Negative => store.own_negatives(lookup, &mut take)?,
    }
    if flow.is_continue() {
        let _ended = store.own_unkept(lookup, kind).cloned().try_for_each(each);
    }
    Ok(())
}

/// Reads one section, at most as many rows as `depth` allows, until `stop` returns true.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn read_section(
    store: &mut Reader<'_>,
    sections: &Sections,
    section: Section,
    depth: Depth,
    stop: &dyn Fn() -> bool,
) -> Result<SectionReading, StoreError> {
    let mut taker = Taker::new(depth, stop);
    let most = taker.most.saturating_add(1);
    sections.rows(store, section, most, &mut |row| taker.take(row))?;
    Ok(taker.finish())
}

/// Reads the records of an address's reverse look-up name; empty for all other subjects.
pub(super) fn reverse(
    store: &mut Reader<'_>,
    subject: &Subject,
    stop: &dyn Fn() -> bool,
) -> Result<SectionReading, StoreError> {
    let name = match subject {
        Subject::Addresses(from, to) if from == to => NameBuf::parse(&reverse_name(*from)),
        _ => return Ok(SectionReading::default()),
    };
    let Ok(name) = name else { return Ok(SectionReading::default()) };
    let mut taker = Taker::new(Depth::Preview(None), stop);
    store.records_by_name(name.as_name(), &mut |row| taker.take(row))?;
    Ok(taker.finish())
}

/// Returns the name of an address under `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5).
fn reverse_name(address: IpAddr) -> String {
    let mut text = String::new();
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                // Writing to a String cannot fail.
                write!(text, "{octet}.").ok();
            }
            text + "in-addr.arpa"
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                write!(text, "{:x}.{:x}.", octet & 15, octet >> 4).ok();
            }
            text + "ip6.arpa"
        }
    }
}

/// Collects rows and their totals.
struct Taker<'s> {
    stop: &'s dyn Fn() -> bool,
    pager: Pager,
    most: usize,
    depth: Depth,
    names: HashSet<NameBuf>,
    more: bool,
    rows: SectionReading,
}

impl<'s> Taker<'s> {
    fn new(depth: Depth, stop: &'s dyn Fn() -> bool) -> Self {
        let (pager, most) = match depth {
            Depth::Preview(_) => (Pager::new(None, SHOWN), READ),
            Depth::Page(after) => (Pager::new(after, PAGE), usize::MAX),
        };
        let rows = SectionReading::default();
        Self { stop, pager, most, depth, names: HashSet::new(), more: false, rows }
    }

    fn take(&mut self, row: StoredRecord) -> ControlFlow<()> {
        if self.rows.read >= self.most {
            self.more = true;
            return ControlFlow::Break(());
        }
        if (self.stop)() {
            self.more = true;
            self.rows.is_late = true;
            return ControlFlow::Break(());
        }
        let rows = &mut self.rows;
        rows.read += 1;
        rows.count = rows.count.saturating_add(row.seen.count);
        rows.is_least |= row.seen.is_count_saturated();
        rows.first = Some(rows.first.unwrap_or(u32::MAX).min(row.seen.time_first));
        rows.last = Some(rows.last.unwrap_or(0).max(row.seen.time_last));
        // Later pages show only their rows.
        if let Depth::Preview(at) = self.depth {
            let span = row.seen.time_first..=row.seen.time_last;
            rows.covering += usize::from(at.is_some_and(|at| span.contains(&at)));
            rows.addresses.extend(row.address());
            if !self.names.contains(&row.rrname) {
                self.names.insert(row.rrname.clone());
            }
        }
        self.pager.offer(row);
        ControlFlow::Continue(())
    }

    fn finish(self) -> SectionReading {
        let page = self.pager.finish();
        let extent = Extent::new(self.rows.read, self.more);
        let names = self.names.len();
        SectionReading { rows: page.rows, next: page.next, names, extent, ..self.rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_addresses() {
        let check = |address: &str, want| assert_eq!(reverse_name(address.parse().unwrap()), want);
        check("192.0.2.7", "7.2.0.192.in-addr.arpa");
        check(
            "2001:db8::1",
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        );
    }
}
