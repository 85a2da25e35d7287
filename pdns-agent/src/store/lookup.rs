//! Look-ups: by owner name, by address, by the name that records point at.
//!
//! Answers come in pages, through a function that says whether to go on; nothing is kept but which
//! names were met already.

use super::encoding::{Stored, Value};
use super::entries::Entry;
use super::keys::{Kind, Pointer};
use super::link::Packed;
use super::posting::{HASH_LEVELS, Level, Posting, V4_LEVELS};
use super::resolve::{Fetched, Found, NAME_GUESS, Owner, PAGE, rows};
use super::{FactBuf, Row, Store, StoreError, reply};
use crate::name::{Name, NameBuf};
use crate::rdata::{Rdata, Target};
use std::borrow::Cow;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// Takes rows until it breaks.
pub type Each<'a> = &'a mut dyn FnMut(Row) -> ControlFlow<()>;

/// Sets asked for in one pipeline.
const SETS: usize = 256;
/// Sets asked for in the first: who wants but a few rows waits for few sets, large as they may be.
const FIRST_SETS: usize = 8;
/// Names resolved at once in the beginning, for the same reason, and later on: whoever wants no more rows waits for few
/// that nobody takes.
const NAMES: (usize, usize) = (64, 256);

/// A set to be read: its key, the levels below it, and what members it is read for.
struct Node {
    key: String,
    levels: &'static [Level],
    upper: Upper,
}

/// What the upper part of a member has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upper {
    /// This.
    One(u64),
    /// From the first to the second; only where it is a part of an address, and no hash.
    Range(u64, u64),
    /// Anything.
    Any,
}

impl Upper {
    fn admits(self, upper: u64) -> bool {
        match self {
            Self::One(one) => upper == one,
            Self::Range(from, to) => (from..=to).contains(&upper),
            Self::Any => true,
        }
    }
}

/// What a look-up has met.
struct Gather<'a> {
    matches: &'a dyn Fn(Rdata<'_>) -> bool,
    met: HashSet<u32>,
    due: Vec<Pointer>,
    /// Names that are resolved together; more as it goes on.
    at_once: usize,
    each: Each<'a>,
}

impl<'a> Gather<'a> {
    fn new(matches: &'a dyn Fn(Rdata<'_>) -> bool, each: Each<'a>) -> Self {
        Self { matches, met: HashSet::new(), due: Vec::new(), at_once: NAMES.0, each }
    }
}

impl Store {
    /// The records of one owner name.
    ///
    /// # Errors
    /// When Redis does not answer, or what it holds does not read.
    pub fn of_name(&mut self, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        self.all_of(Kind::Record, name, each)
    }

    /// The records of several names: name by name in the order given, those of one name in no special
    /// order. For a search that found many, which would otherwise ask for each on its own.
    ///
    /// # Errors
    /// As [`Store::of_name`].
    pub fn of_names(&mut self, names: &[NameBuf], each: Each<'_>) -> Result<(), StoreError> {
        let kind = Kind::Record;
        let mut flow = ControlFlow::Continue(());
        for names in names.chunks(PAGE) {
            let mut found = Vec::new();
            for (name, entry) in names.iter().zip(self.entries_of(kind, names)?) {
                let Some(entry) = entry else { continue };
                let partition = entry.partition;
                self.each_record(kind, &entry, &mut |store, page| {
                    found.extend(page.into_iter().map(|(stored, row)| {
                        let owner = Owner::Known(name.clone());
                        Found { kind, partition, owner, stored, row }
                    }));
                    if found.len() >= PAGE {
                        let found = std::mem::take(&mut found);
                        flow = store.fetch(found)?.into_iter().try_for_each(&mut *each);
                    }
                    Ok(flow.is_continue())
                })?;
                if flow.is_break() {
                    return Ok(());
                }
            }
            flow = self.fetch(found)?.into_iter().try_for_each(&mut *each);
            if flow.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The negative answers to questions for one name.
    ///
    /// # Errors
    /// As [`Store::of_name`].
    pub fn negatives_of(&mut self, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        self.all_of(Kind::Negative, name, each)
    }

    fn all_of(&mut self, kind: Kind, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        let Some(entry) = self.entry(kind, name)? else { return Ok(()) };
        let partition = entry.partition;
        self.each_record(kind, &entry, &mut |store, page| {
            let found = page
                .into_iter()
                .map(|(stored, row)| {
                    let owner = Owner::Known(name.to_buf());
                    Found { kind, partition, owner, stored, row }
                })
                .collect();
            Ok(store.fetch(found)?.into_iter().try_for_each(&mut *each).is_continue())
        })?;
        Ok(())
    }

    /// The records that point at a name: CNAME, DNAME, NS, PTR, MX, SRV and SOA.
    ///
    /// # Errors
    /// As [`Store::of_name`].
    pub fn pointing_at(&mut self, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        let posting = Posting::name(name, &self.keys, &self.router);
        let matches = |rdata: Rdata<'_>| match rdata.target() {
            Target::Name(target) => target.as_name() == name,
            _ => false,
        };
        self.gather(vec![node(posting)], &matches, each)
    }

    /// The records whose RDATA is an address from `from` to `to`, both included.
    ///
    /// # Errors
    /// As [`Store::of_name`].
    pub fn of_addresses(
        &mut self,
        from: IpAddr,
        to: IpAddr,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.of_v4(from, to, each),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.of_v6(from, to, each),
            _ => Ok(()),
        }
    }

    /// The records with exactly these octets as RDATA, of types that name neither host nor address.
    ///
    /// # Errors
    /// As [`Store::of_name`].
    pub fn of_octets(&mut self, octets: &[u8], each: Each<'_>) -> Result<(), StoreError> {
        let posting = Posting::octets(octets, &self.keys, &self.router);
        self.gather(vec![node(posting)], &|rdata| rdata.octets == octets, each)
    }

    /// The records of the names that these pointers may mean, name by name.
    pub(super) fn of_pointers(
        &mut self,
        pointers: Vec<Pointer>,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let mut gather = Gather::new(&|_| true, each);
        gather.due = pointers;
        self.flush_due(&mut gather).map(|_| ())
    }

    fn of_v4(&mut self, from: Ipv4Addr, to: Ipv4Addr, each: Each<'_>) -> Result<(), StoreError> {
        let matches = |rdata: Rdata<'_>| match rdata.target() {
            Target::V4(address) => (from..=to).contains(&address),
            _ => false,
        };
        if from == to {
            let posting = Posting::v4(from, &self.keys);
            return self.gather(vec![node(posting)], &matches, each);
        }
        let mut gather = Gather::new(&matches, each);
        let nets: Vec<u32> = (from.to_bits() >> 16..=to.to_bits() >> 16).collect();
        for nets in nets.chunks(SETS) {
            let nodes = nets.iter().map(|&net| {
                // The part of the range that lies in this /16.
                let low = from.to_bits().max(net << 16) & 0xffff;
                let high = to.to_bits().min(net << 16 | 0xffff) & 0xffff;
                let upper = Upper::Range(low.into(), high.into());
                Node { key: self.keys.v4(net), levels: V4_LEVELS, upper }
            });
            let nodes = nodes.collect();
            if self.walk(nodes, &mut gather)?.is_break() {
                return Ok(());
            }
        }
        self.flush_due(&mut gather).map(|_| ())
    }

    fn of_v6(&mut self, from: Ipv6Addr, to: Ipv6Addr, each: Each<'_>) -> Result<(), StoreError> {
        let matches = |rdata: Rdata<'_>| match rdata.target() {
            Target::V6(address) => (from..=to).contains(&address),
            _ => false,
        };
        if from == to {
            let posting = Posting::v6(from, &self.keys, &self.router);
            return self.gather(vec![node(posting)], &matches, each);
        }
        let net = |address: Ipv6Addr| u64::try_from(address.to_bits() >> 80).unwrap_or(0);
        let (first, last) = (net(from), net(to));
        // One directory suffices when both ends have the first three octets in common.
        let directories = if first >> 24 == last >> 24 {
            let octet = u8::try_from(first >> 24 & 0xff).unwrap_or(0);
            octet..=octet
        } else {
            0..=u8::MAX
        };
        let mut gather = Gather::new(&matches, each);
        // One after the other: a store may have millions of /48.
        for octet in directories {
            let members = self.link.ask(&[b"SMEMBERS", self.keys.v6_nets(octet).as_bytes()])?;
            let mut nets: Vec<u64> = reply::integers(members)?
                .into_iter()
                .filter_map(|member| u64::try_from(member).ok())
                .filter(|net| (first..=last).contains(net))
                .collect();
            nets.sort_unstable();
            for nets in nets.chunks(SETS) {
                let nodes = nets.iter().map(|&net| Node {
                    key: self.keys.v6(net),
                    levels: HASH_LEVELS,
                    upper: Upper::Any,
                });
                let nodes = nodes.collect();
                if self.walk(nodes, &mut gather)?.is_break() {
                    return Ok(());
                }
            }
        }
        self.flush_due(&mut gather).map(|_| ())
    }

    fn gather(
        &mut self,
        nodes: Vec<Node>,
        matches: &dyn Fn(Rdata<'_>) -> bool,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let mut gather = Gather::new(matches, each);
        if self.walk(nodes, &mut gather)?.is_continue() {
            return self.flush_due(&mut gather).map(|_| ());
        }
        Ok(())
    }

    /// Reads sets and, where they are spread, their children.
    fn walk(
        &mut self,
        mut nodes: Vec<Node>,
        gather: &mut Gather<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut at_once = FIRST_SETS;
        while !nodes.is_empty() {
            let batch: Vec<Node> = nodes.drain(..nodes.len().min(at_once)).collect();
            // More at once while they hold little.
            let (sets, met) = (batch.len(), gather.met.len());
            let mut packed = Packed::default();
            for node in &batch {
                packed.command(&[b"SSCAN", node.key.as_bytes(), b"0", b"COUNT", b"1000"]);
            }
            let answers = self.link.call(&packed)?;
            for (node, mut answer) in batch.into_iter().zip(answers) {
                let mut spread = false;
                loop {
                    let mut parts = reply::list(answer)?.into_iter();
                    let cursor = reply::octets(parts.next().ok_or(StoreError::Reply)?)?;
                    for member in reply::integers(parts.next().ok_or(StoreError::Reply)?)? {
                        let Ok(member) = u64::try_from(member) else {
                            spread = true;
                            continue;
                        };
                        if !node.upper.admits(member >> 32) {
                            continue;
                        }
                        let pointer = u32::try_from(member & 0xffff_ffff).unwrap_or(0);
                        if gather.met.insert(pointer) {
                            gather.due.push(Pointer(pointer));
                        }
                    }
                    if gather.due.len() >= PAGE && self.flush_due(gather)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    if cursor == b"0" {
                        break;
                    }
                    let words: [&[u8]; 5] =
                        [b"SSCAN", node.key.as_bytes(), &cursor, b"COUNT", b"1000"];
                    answer = self.link.ask(&words)?;
                }
                if spread {
                    at_once = FIRST_SETS;
                    // Children before the sets still waiting, so that few are open at a time.
                    let rest = std::mem::replace(&mut nodes, children(&node));
                    nodes.extend(rest);
                }
            }
            if sets == at_once && gather.met.len() - met < PAGE {
                at_once = (at_once * 4).min(SETS);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Resolves the names gathered so far and hands out their matching records.
    fn flush_due(&mut self, gather: &mut Gather<'_>) -> Result<ControlFlow<()>, StoreError> {
        let due = std::mem::take(&mut gather.due);
        self.know_buckets(Kind::Record, &due)?;
        let flow = self.hand_out(&due, gather);
        if flow.is_err() {
            // There may be replies that nobody reads.
            self.link.hang_up();
        }
        flow
    }

    /// As [`Store::flush_due`]: while rows are read here, Redis looks for the names after them.
    fn hand_out(
        &mut self,
        mut due: &[Pointer],
        gather: &mut Gather<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let kind = Kind::Record;
        let mut ask = |store: &mut Self, at_once: &mut usize| {
            let (now, later) = due.split_at(due.len().min(*at_once));
            due = later;
            *at_once = (*at_once * 2).min(NAMES.1);
            if now.is_empty() { Ok(None) } else { store.ask_entries(kind, now).map(Some) }
        };
        let mut long = Vec::new();
        let mut ahead = ask(self, &mut gather.at_once)?;
        while let Some(asked) = ahead.take() {
            let entries = self.read_entries(asked)?;
            let mut found = self.matching(kind, &entries, gather.matches)?;
            while found.len() > PAGE {
                let later = found.split_off(PAGE);
                let asked = self.ask_rows(std::mem::replace(&mut found, later), NAME_GUESS)?;
                if hand_on(self.read_rows(asked)?, &mut long, gather.each).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let asked = self.ask_rows(found, NAME_GUESS)?;
            ahead = ask(self, &mut gather.at_once)?;
            if hand_on(self.read_rows(asked)?, &mut long, gather.each).is_break() {
                if let Some(asked) = ahead {
                    self.skip_entries(&asked)?;
                }
                return Ok(ControlFlow::Break(()));
            }
        }
        // Those that had to wait until there was nothing ahead.
        while !long.is_empty() {
            let later = long.split_off(long.len().min(PAGE));
            let page = std::mem::replace(&mut long, later);
            if rows(self.fetch_long(page)?).try_for_each(&mut *gather.each).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The records of these entries that match.
    fn matching(
        &mut self,
        kind: Kind,
        entries: &[Entry],
        matches: &dyn Fn(Rdata<'_>) -> bool,
    ) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for entry in entries {
            let position = Value::read(&entry.value).map(|value| value.log);
            let position = position.ok_or_else(|| StoreError::damaged("a bucket"))?;
            let partition = entry.partition;
            self.each_record(kind, entry, &mut |store, page| {
                for (stored, row) in page {
                    let fact = match &stored {
                        Stored::Fact(fact) => Cow::Borrowed(fact),
                        Stored::Long { .. } => {
                            Cow::Owned(store.complete(partition, stored.clone())?)
                        }
                    };
                    if matches!(&*fact, FactBuf::Record(rdata) if matches(rdata.as_rdata())) {
                        let owner = Owner::Logged(position);
                        found.push(Found { kind, partition, owner, stored, row });
                    }
                }
                Ok(true)
            })?;
        }
        Ok(found)
    }
}

/// Hands rows on; records with long names are put aside.
fn hand_on(fetched: Vec<Fetched>, long: &mut Vec<Found>, each: Each<'_>) -> ControlFlow<()> {
    for one in fetched {
        match one {
            Fetched::Row(row) => each(row)?,
            Fetched::Gone => {}
            Fetched::Long(found) => long.push(found),
        }
    }
    ControlFlow::Continue(())
}

/// The set of one target.
fn node(posting: Posting) -> Node {
    Node { key: posting.key, levels: posting.levels, upper: Upper::One(posting.upper) }
}

/// The children of a spread set that can hold what is looked for.
fn children(node: &Node) -> Vec<Node> {
    let Some((level, levels)) = node.levels.split_first() else { return Vec::new() };
    let (first, many) = match node.upper {
        Upper::One(upper) if level.shift >= 32 => (level.child(upper << 32), 1),
        Upper::Range(from, to) if level.shift >= 32 => {
            let below = level.shift - 32;
            let many = (to >> below) - (from >> below) + 1;
            // Within another parent the numbers may mean more than the range; the members tell.
            (level.child(from << 32), many.min(level.ways))
        }
        _ => (0, level.ways),
    };
    (first..first + many)
        .map(|number| number % level.ways)
        .map(|number| Node {
            key: format!("{}{}", node.key, level.suffix(number)),
            levels,
            upper: node.upper,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of the sets that are read for a range of the lower halves of addresses, when all are spread.
    fn read_for(from: u64, to: u64) -> (usize, Vec<String>) {
        let upper = Upper::Range(from, to);
        let mut nodes = vec![Node { key: "k".to_owned(), levels: V4_LEVELS, upper }];
        // As far as the /32 of an address.
        for _ in 0..3 {
            nodes = nodes.iter().flat_map(children).collect();
        }
        (nodes.len(), nodes.into_iter().map(|node| node.key).collect())
    }

    #[test]
    fn a_range_reads_only_the_sets_that_can_hold_it() {
        let (count, keys) = read_for(0x2f07, 0x2f07);
        assert_eq!((count, keys.first().map(String::as_str)), (1, Some("k2f07")));
        assert_eq!(read_for(0x0200, 0x02ff).0, 256);
        assert_eq!(read_for(0x0000, 0xffff).0, 65_536);
        for (from, to) in [(0x0210, 0x0420), (0x0fff, 0x1001), (0x00f0, 0xff0f), (0, 0x1000)] {
            let (_, keys) = read_for(from, to);
            for wanted in [from, to, u64::midpoint(from, to), from + 1, to - 1] {
                assert!(
                    keys.contains(&format!("k{wanted:04x}")),
                    "{wanted:x} of {from:x} to {to:x}"
                );
            }
        }
    }
}
