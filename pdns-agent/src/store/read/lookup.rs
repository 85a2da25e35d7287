//! Look-ups by owner name, by address, and by target name.
//!
//! Results come in pages, through a callback that says whether to continue; little is kept besides the names already
//! seen. Sets of pointers are read here, and followed in `store/read/pointers.rs`.

use crate::name::{Name, NameBuf, suffix};
use crate::rdata::{self, Rdata, Target};
use crate::record::StoredRecord;
use crate::store::layout::keys::{Kind, Pointer};
use crate::store::layout::posting::{HASH_LEVELS, Level, Posting, V4_LEVELS};
use crate::store::read::buckets::BucketEntry;
use crate::store::read::pointers::{PointerReader, Wanted};
use crate::store::read::rows::{Found, Owner, PAGE};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use redis::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// Callback for records, until it breaks.
pub type Each<'a> = &'a mut dyn FnMut(StoredRecord) -> ControlFlow<()>;

/// Number of sets read in one pipeline.
const SETS: usize = 256;
/// Number of sets read in the first pipeline: clients that want only a few rows wait for a few sets, large as they
/// may be.
const FIRST_SETS: usize = 8;

/// A name that was looked up: its entries, and the pointers to the records that target it.
pub struct NameLookup {
    name: NameBuf,
    record: Option<BucketEntry>,
    negative: Option<BucketEntry>,
    node: Node,
    /// Members of the set, or the first of them.
    members: Value,
    /// Sums of what is not kept below its registrable domain, if the name may be one of those.
    unkept: Vec<StoredRecord>,
}

impl NameLookup {
    /// The name that was looked up.
    #[must_use]
    pub fn name(&self) -> &NameBuf {
        &self.name
    }
}

/// A set to read: its key, the levels below it, and the members to look for.
struct Node {
    key: String,
    levels: &'static [Level],
    upper: Upper,
}

/// Condition on the upper part of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upper {
    /// This value.
    One(u64),
    /// From the first to the second value; only for a part of an address, not for a hash.
    Range(u64, u64),
    /// Any value.
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

impl Reader<'_> {
    /// Looks up a name, with a single request if that suffices, to prepare reading its records, its negative answers
    /// (if wanted) and the records that target it.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn lookup_name(
        &mut self,
        name: Name<'_>,
        negative: bool,
    ) -> Result<NameLookup, StoreError> {
        let node = node(Posting::name(name, &self.store.keys, &self.store.router));
        let mut packed = Pipeline::default();
        pack_set(&mut packed, &node, b"0");
        let domain = suffix::registrable(name).map(Name::to_buf);
        if let Some(domain) = &domain {
            self.pack_unkept(&mut packed, domain);
        }
        let kinds = [Kind::Record, Kind::Negative];
        let kinds = if negative { &kinds[..] } else { &kinds[..1] };
        let (entries, replies) = self.entries_and(name, kinds, packed)?;
        let mut entries = entries.into_iter();
        let (record, negative) = (entries.next().flatten(), entries.next().flatten());
        let mut replies = replies.into_iter();
        let members = replies.next().ok_or(StoreError::Reply)?;
        let unkept = match (&domain, replies.next()) {
            (Some(domain), Some(sums)) => {
                let is_of_domain = name == domain.as_name()
                    || name.as_str().strip_prefix("*.") == Some(domain.as_str());
                let is_missing = |kind: &Kind| match kind {
                    Kind::Record => record.is_none(),
                    Kind::Negative => negative.is_none(),
                };
                let wanted = kinds.iter().filter(|kind| is_of_domain || is_missing(kind));
                let kinds: Vec<Kind> = wanted.copied().collect();
                self.unkept_below(domain, &kinds, sums)?
            }
            _ => Vec::new(),
        };
        Ok(NameLookup { name: name.to_buf(), record, negative, node, members, unkept })
    }

    /// Returns what is not kept of a kind: of the domain that was looked up, or of that of a name which is not stored and
    /// may be among them.
    pub fn own_unkept<'a>(
        &self,
        about: &'a NameLookup,
        kind: Kind,
    ) -> impl Iterator<Item = &'a StoredRecord> {
        about.unkept.iter().filter(move |record| Kind::of(&record.fact) == kind)
    }

    /// Reads the records of a name that was looked up.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn own_records(&mut self, about: &NameLookup, each: Each<'_>) -> Result<(), StoreError> {
        self.rows_of(Kind::Record, about.name.as_name(), about.record.as_ref(), each)
    }

    /// Reads the negative answers to queries for a name that was looked up.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn own_negatives(&mut self, about: &NameLookup, each: Each<'_>) -> Result<(), StoreError> {
        self.rows_of(Kind::Negative, about.name.as_name(), about.negative.as_ref(), each)
    }

    /// Reads the records that target a name that was looked up, as defined by [`Rdata::target`]. If `each` is likely
    /// to break after `most` rows, no more are requested ahead.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn records_targeting(
        &mut self,
        about: &NameLookup,
        most: usize,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let matches = points_at(about.name.as_name());
        let wanted = Wanted { matches: &matches, long: rdata::may_point_at_name, most };
        let mut gather = PointerReader::new(wanted, each);
        match self.members(&about.node, about.members.clone(), &mut gather)? {
            Members::Break => Ok(()),
            Members::All => self.follow_pending(&mut gather).map(|_| ()),
            Members::Spread => self.gather(children(&about.node), gather),
        }
    }

    /// Reads the records of one owner name.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn records_by_name(&mut self, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        self.all_of(Kind::Record, name, each)
    }

    /// Reads the negative answers to queries for one name.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn negatives_by_name(&mut self, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        self.all_of(Kind::Negative, name, each)
    }

    fn all_of(&mut self, kind: Kind, name: Name<'_>, each: Each<'_>) -> Result<(), StoreError> {
        let (entries, _) = self.entries_and(name, &[kind], Pipeline::default())?;
        let entry = entries.into_iter().flatten().next();
        self.rows_of(kind, name, entry.as_ref(), each)
    }

    /// Reads the records of several names: name by name in the given order, those of one name in no particular order.
    /// For a search with many matches, which would otherwise send a request for each.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn records_by_names(
        &mut self,
        names: &[NameBuf],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        self.rows_by_names(&[Kind::Record], names, each)
    }

    /// Reads the rows of several names and of these kinds, like [`Reader::records_by_names`].
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn rows_by_names(
        &mut self,
        kinds: &[Kind],
        names: &[NameBuf],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let mut flow = ControlFlow::Continue(());
        for names in names.chunks(PAGE) {
            let mut found = Vec::new();
            let mut entries = Vec::with_capacity(names.len() * kinds.len());
            for &kind in kinds {
                let of_kind = names.iter().zip(self.entries_of(kind, names)?).enumerate();
                entries.extend(of_kind.map(|(at, (name, entry))| (at, kind, name, entry)));
            }
            // Stable: the kinds of a name keep their order.
            entries.sort_by_key(|&(at, ..)| at);
            for (_, kind, name, entry) in entries {
                let Some(entry) = entry else { continue };
                let volume = entry.volume;
                self.for_each_record(kind, &entry, &mut |store, page| {
                    found.extend(page.into_iter().map(|(stored, row)| {
                        let owner = Owner::Known(name.clone());
                        Found { kind, volume, owner, stored, row }
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

    fn rows_of(
        &mut self,
        kind: Kind,
        name: Name<'_>,
        entry: Option<&BucketEntry>,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let Some(entry) = entry else { return Ok(()) };
        let volume = entry.volume;
        self.for_each_record(kind, entry, &mut |store, page| {
            let found = page
                .into_iter()
                .map(|(stored, row)| {
                    let owner = Owner::Known(name.to_buf());
                    Found { kind, volume, owner, stored, row }
                })
                .collect();
            Ok(store.fetch(found)?.into_iter().try_for_each(&mut *each).is_continue())
        })?;
        Ok(())
    }

    /// Reads records like [`Reader::records_targeting`], for a name of which nothing else is needed.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn records_targeting_name(
        &mut self,
        name: Name<'_>,
        most: usize,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let node = node(Posting::name(name, &self.store.keys, &self.store.router));
        let matches = points_at(name);
        let wanted = Wanted { matches: &matches, long: rdata::may_point_at_name, most };
        self.gather(vec![node], PointerReader::new(wanted, each))
    }

    /// Reads the records whose RDATA is an address from `from` to `to`, both included. If `each` is likely to break
    /// after `most` rows, no more are requested ahead.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn records_by_address_range(
        &mut self,
        from: IpAddr,
        to: IpAddr,
        most: usize,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.of_v4(from, to, most, each),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.of_v6(from, to, most, each),
            _ => Ok(()),
        }
    }

    /// Reads the records with exactly these octets as RDATA, of types that refer to neither a host nor an address.
    ///
    /// # Errors
    /// As [`Reader::lookup_name`].
    pub fn records_by_rdata(&mut self, octets: &[u8], each: Each<'_>) -> Result<(), StoreError> {
        let posting = Posting::octets(octets, &self.store.keys, &self.store.router);
        let matches = |rdata: Rdata<'_>| rdata.octets == octets;
        let wanted = Wanted { matches: &matches, long: |_| true, most: usize::MAX };
        self.gather(vec![node(posting)], PointerReader::new(wanted, each))
    }

    /// Reads the records of the names that these pointers may refer to, name by name.
    pub(in crate::store) fn records_by_pointers(
        &mut self,
        pointers: Vec<Pointer>,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let wanted = Wanted { matches: &|_| true, long: |_| true, most: usize::MAX };
        let mut gather = PointerReader::new(wanted, each);
        for pointer in pointers {
            gather.push(pointer);
        }
        self.follow_pending(&mut gather).map(|_| ())
    }

    fn of_v4(
        &mut self,
        from: Ipv4Addr,
        to: Ipv4Addr,
        most: usize,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let matches = |rdata: Rdata<'_>| match rdata.target() {
            Target::V4(address) => (from..=to).contains(&address),
            _ => false,
        };
        let wanted = Wanted { matches: &matches, long: |_| false, most };
        let mut gather = PointerReader::new(wanted, each);
        if from == to {
            let posting = Posting::v4(from, &self.store.keys);
            return self.gather(vec![node(posting)], gather);
        }
        let nets: Vec<u32> = (from.to_bits() >> 16..=to.to_bits() >> 16).collect();
        for nets in nets.chunks(SETS) {
            let nodes = nets.iter().map(|&net| {
                // The part of the range that lies in this /16.
                let low = from.to_bits().max(net << 16) & 0xffff;
                let high = to.to_bits().min(net << 16 | 0xffff) & 0xffff;
                let upper = Upper::Range(low.into(), high.into());
                Node { key: self.store.keys.v4(net), levels: V4_LEVELS, upper }
            });
            let nodes = nodes.collect();
            if self.walk(nodes, &mut gather)?.is_break() {
                return Ok(());
            }
        }
        self.follow_pending(&mut gather).map(|_| ())
    }

    fn of_v6(
        &mut self,
        from: Ipv6Addr,
        to: Ipv6Addr,
        most: usize,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let matches = |rdata: Rdata<'_>| match rdata.target() {
            Target::V6(address) => (from..=to).contains(&address),
            _ => false,
        };
        let wanted = Wanted { matches: &matches, long: |_| false, most };
        let mut gather = PointerReader::new(wanted, each);
        if from == to {
            let posting = Posting::v6(from, &self.store.keys, &self.store.router);
            return self.gather(vec![node(posting)], gather);
        }
        let net = |address: Ipv6Addr| u64::try_from(address.to_bits() >> 80).unwrap_or(0);
        let (first, last) = (net(from), net(to));
        // One directory suffices if both ends have the first three octets in common.
        let directories = if first >> 24 == last >> 24 {
            let octet = u8::try_from(first >> 24 & 0xff).unwrap_or(0);
            octet..=octet
        } else {
            0..=u8::MAX
        };
        // One after the other: a store may have millions of /48 networks.
        for octet in directories {
            let members =
                self.store.client.ask(&[b"SMEMBERS", self.store.keys.v6_nets(octet).as_bytes()])?;
            let mut nets: Vec<u64> = reply::list(members)?
                .iter()
                .filter_map(|member| u64::try_from(reply::integer(member).ok()?).ok())
                .filter(|net| (first..=last).contains(net))
                .collect();
            nets.sort_unstable();
            for nets in nets.chunks(SETS) {
                let nodes = nets.iter().map(|&net| Node {
                    key: self.store.keys.v6(net),
                    levels: HASH_LEVELS,
                    upper: Upper::Any,
                });
                let nodes = nodes.collect();
                if self.walk(nodes, &mut gather)?.is_break() {
                    return Ok(());
                }
            }
        }
        self.follow_pending(&mut gather).map(|_| ())
    }

    /// Reads sets, and passes on the records that they point at.
    fn gather(
        &mut self,
        nodes: Vec<Node>,
        mut gather: PointerReader<'_>,
    ) -> Result<(), StoreError> {
        if self.walk(nodes, &mut gather)?.is_continue() {
            return self.follow_pending(&mut gather).map(|_| ());
        }
        Ok(())
    }

    /// Reads sets and, if they are spread, their children.
    fn walk(
        &mut self,
        mut nodes: Vec<Node>,
        gather: &mut PointerReader<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut at_once = FIRST_SETS;
        while !nodes.is_empty() {
            let batch: Vec<Node> = nodes.drain(..nodes.len().min(at_once)).collect();
            // More at once as long as they hold little.
            let (sets, met) = (batch.len(), gather.met());
            let mut packed = Pipeline::default();
            for node in &batch {
                pack_set(&mut packed, node, b"0");
            }
            let answers = self.store.client.call(&packed)?;
            for (node, answer) in batch.into_iter().zip(answers) {
                match self.members(&node, answer, gather)? {
                    Members::Break => return Ok(ControlFlow::Break(())),
                    Members::All => {}
                    Members::Spread => {
                        at_once = FIRST_SETS;
                        // Children before the sets still waiting, so that few are open at a time.
                        let rest = std::mem::replace(&mut nodes, children(&node));
                        nodes.extend(rest);
                    }
                }
            }
            if sets == at_once && gather.met() - met < PAGE {
                at_once = (at_once * 4).min(SETS);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Processes the members of a set, of which `answer` holds the first.
    fn members(
        &mut self,
        node: &Node,
        mut answer: Value,
        gather: &mut PointerReader<'_>,
    ) -> Result<Members, StoreError> {
        let mut members = Members::All;
        loop {
            let mut parts = reply::list(answer)?.into_iter();
            let cursor = reply::octets(parts.next().ok_or(StoreError::Reply)?)?;
            for member in reply::list(parts.next().ok_or(StoreError::Reply)?)? {
                // Members that are not numbers were not written by pdns.
                let Ok(member) = reply::integer(&member) else { continue };
                match u64::try_from(member) {
                    Ok(member) if node.upper.admits(member >> 32) => {
                        let pointer = u32::try_from(member & 0xffff_ffff).unwrap_or(0);
                        gather.push(Pointer(pointer));
                    }
                    Ok(_) => {}
                    Err(_) => members = Members::Spread,
                }
            }
            if gather.is_full() && self.follow_pending(gather)?.is_break() {
                return Ok(Members::Break);
            }
            if cursor == b"0" {
                return Ok(members);
            }
            let mut packed = Pipeline::default();
            pack_set(&mut packed, node, &cursor);
            answer = self.store.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        }
    }
}

/// Result of reading the members of a set.
enum Members {
    /// All members were read.
    All,
    /// As [`Members::All`], and more lie in the set's children.
    Spread,
    /// Whoever takes rows has enough.
    Break,
}

/// Packs the command that reads some members of a set.
fn pack_set(packed: &mut Pipeline, node: &Node, cursor: &[u8]) {
    packed.command(&[b"SSCAN", node.key.as_bytes(), cursor, b"COUNT", b"1000"]);
}

/// Returns a predicate for RDATA that targets a name.
fn points_at(name: Name<'_>) -> impl Fn(Rdata<'_>) -> bool {
    move |rdata| matches!(rdata.target(), Target::Name(target) if target.as_name() == name)
}

/// Returns the set of one target.
fn node(posting: Posting) -> Node {
    Node { key: posting.key, levels: posting.levels, upper: Upper::One(posting.upper) }
}

/// Returns the children of a spread set that can hold matching members.
fn children(node: &Node) -> Vec<Node> {
    let Some((level, levels)) = node.levels.split_first() else { return Vec::new() };
    let (first, many) = match node.upper {
        Upper::One(upper) if level.shift >= 32 => (level.child(upper << 32), 1),
        Upper::Range(from, to) if level.shift >= 32 => {
            let below = level.shift - 32;
            let many = (to >> below) - (from >> below) + 1;
            // In another parent, the numbers may cover more than the range; the members decide.
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

    /// Returns the keys of the sets that are read for a range of the lower halves of addresses, if all are spread.
    fn read_for(from: u64, to: u64) -> (usize, Vec<String>) {
        let upper = Upper::Range(from, to);
        let mut nodes = vec![Node { key: "k".to_owned(), levels: V4_LEVELS, upper }];
        // Up to the /32 of an address.
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
