//! What the store knows of a subject, as much as a page shows.
//!
//! Part of the page. Every look-up here is bounded: a section of a page reads [`READ`] rows at most, so that a page
//! about a name server of a million domains comes within a second. Where there are more, every number of the section is
//! of those that were read ([`Reading::extent`]); a section's own page, asked for by its link, reads on for as long as the
//! request may take.

use crate::name::NameBuf;
use crate::query::{Cursor, Extent, Pager, Subject, on_addresses};
use crate::record::StoredRecord;
use crate::serve::answer::{Halt, Out};
use crate::store::{Reader, StoreError};
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// The most rows that a section of a page reads; they take 0.2 s.
const READ: usize = 50_000;
/// Reading that a section of a page shows.
const SHOWN: usize = 25;
/// Reading that a page of one section shows.
const PAGE: usize = 200;

/// What a page tells of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// A name's records, or the records with an address.
    Records,
    /// Records that point at a name.
    Pointing,
    /// Negative answers.
    Negatives,
}

impl Section {
    const ALL: [Self; 3] = [Self::Records, Self::Pointing, Self::Negatives];

    /// Its name in a URL.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Pointing => "pointing",
            Self::Negatives => "negatives",
        }
    }

    /// Reads the name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == text)
    }
}

/// The rows of a section that are shown, the latest seen of those that were read, and sums of all that were read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) rows: Vec<StoredRecord>,
    /// How many were read, without those that are left out.
    pub(super) read: usize,
    /// Whether these are all.
    pub(super) extent: Extent,
    /// Sum of their counts.
    pub(super) count: u64,
    /// Whether that is a lower bound, since the store can count no further.
    pub(super) is_least: bool,
    /// First of their times.
    pub(super) first: Option<u32>,
    /// Last of their times.
    pub(super) last: Option<u32>,
    /// How many owner names they have.
    pub(super) names: usize,
    /// The addresses that they lead to.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// How many were seen both before and after the time of the event that was clicked.
    pub(super) covering: usize,
    /// Where the next page begins.
    pub(super) next: Option<Cursor>,
    /// Time ran out.
    pub(super) is_late: bool,
}

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// A section among others, with the time of the event that was clicked.
    Glance(Option<u32>),
    /// A page of one section, that begins here.
    All(Option<Cursor>),
}

/// The rows of one section.
pub(super) fn section(
    store: &mut Reader<'_>,
    subject: &Subject,
    section: Section,
    depth: Depth,
    out: &Out,
) -> Result<Reading, StoreError> {
    let mut taker = Taker::new(depth, out);
    match (subject, section) {
        (Subject::Name(name) | Subject::AtOrBelow(name), Section::Records) => {
            store.records_by_name(name.as_name(), &mut |row| taker.take(row))?;
        }
        (Subject::Name(name) | Subject::AtOrBelow(name), Section::Pointing) => {
            store.records_targeting_name(
                name.as_name(),
                taker.most.saturating_add(1),
                &mut |row| {
                    // A record that points at its own owner is among the records.
                    let is_own = row.rrname == *name;
                    if is_own { ControlFlow::Continue(()) } else { taker.take(row) }
                },
            )?;
        }
        (Subject::Name(name) | Subject::AtOrBelow(name), Section::Negatives) => {
            store.negatives_by_name(name.as_name(), &mut |row| taker.take(row))?;
        }
        (Subject::Addresses(from, to), Section::Records) => {
            on_addresses(store, *from, *to, taker.most.saturating_add(1), &mut |row| {
                taker.take(row)
            })?;
        }
        _ => {}
    }
    Ok(taker.finish())
}

/// The records of an address's name for reverse look-ups.
pub(super) fn reverse(
    store: &mut Reader<'_>,
    address: IpAddr,
    out: &Out,
) -> Result<Reading, StoreError> {
    let Ok(name) = NameBuf::parse(&reverse_name(address)) else { return Ok(Reading::default()) };
    section(store, &Subject::Name(name), Section::Records, Depth::Glance(None), out)
}

/// The name of an address under `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5).
fn reverse_name(address: IpAddr) -> String {
    let mut text = String::new();
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                // A String takes all that is written to it.
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

/// Takes rows and sums them up.
struct Taker<'o> {
    out: &'o Out,
    pager: Pager,
    most: usize,
    depth: Depth,
    names: HashSet<NameBuf>,
    more: bool,
    rows: Reading,
}

impl<'o> Taker<'o> {
    fn new(depth: Depth, out: &'o Out) -> Self {
        let (pager, most) = match depth {
            Depth::Glance(_) => (Pager::new(None, SHOWN), READ),
            Depth::All(after) => (Pager::new(after, PAGE), usize::MAX),
        };
        let rows = Reading::default();
        Self { out, pager, most, depth, names: HashSet::new(), more: false, rows }
    }

    fn take(&mut self, row: StoredRecord) -> ControlFlow<()> {
        if self.rows.read >= self.most {
            self.more = true;
            return ControlFlow::Break(());
        }
        if let Err(halt) = self.out.still() {
            self.more = true;
            self.rows.is_late = halt == Halt::Late;
            return ControlFlow::Break(());
        }
        let rows = &mut self.rows;
        rows.read += 1;
        rows.count = rows.count.saturating_add(row.seen.count.into());
        rows.is_least |= row.seen.is_count_saturated();
        rows.first = Some(rows.first.unwrap_or(u32::MAX).min(row.seen.time_first));
        rows.last = Some(rows.last.unwrap_or(0).max(row.seen.time_last));
        // Of a page that reads on, only its rows are told.
        if let Depth::Glance(at) = self.depth {
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

    fn finish(self) -> Reading {
        let page = self.pager.finish();
        let extent = Extent::new(self.rows.read, self.more);
        let names = self.names.len();
        Reading { rows: page.rows, next: page.next, names, extent, ..self.rows }
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
