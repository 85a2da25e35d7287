//! The most relevant name of each IPv4 address, for lists that put names beside addresses.
//!
//! Part of `query`. Addresses with a tag on either end of a record come first, then those with the highest
//! counts. The sums by address select them; one more pass over the records finds the names. Only the addresses
//! to return are held in memory.

use super::{
    By, Fence, Filter, GroupKey, GroupSort, Grouping, MAX_SORTED, TagFilter, TagSet, groups,
};
use crate::name::NameBuf;
use crate::rr::RrType;
use crate::store::{Kind, Reader, StoreError};
use crate::tag::TagKind;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Maximum number of described addresses.
pub const MAX_DESCRIBED: usize = MAX_SORTED;

/// An address with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The address.
    pub address: Ipv4Addr,
    /// The best name: a tagged one before an untagged one, then the one with the highest count, then the one
    /// seen last. `None` for a tagged address without records; such addresses are included only if the query
    /// has no time span.
    pub name: Option<NameBuf>,
}

/// Rank of a name; lower is better.
type Rank = (usize, Reverse<u64>, Reverse<u32>);

/// Returns addresses and their names in address order, at most `limit` of them (up to [`MAX_DESCRIBED`]), and
/// true if there are more. With `kinds`, only those with such a tag on the address or on a name.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn described(
    store: &mut Reader<'_>,
    filter: &Filter,
    kinds: &[TagKind],
    limit: usize,
) -> Result<(Vec<Described>, bool), StoreError> {
    let limit = limit.min(MAX_DESCRIBED);
    let set = if filter.tags.is_empty() {
        Arc::new(TagSet::load(store)?)
    } else {
        Arc::clone(&filter.tags)
    };
    let filter = Filter { rrtypes: vec![RrType::A], tags: Arc::clone(&set), ..filter.clone() };
    let mut chosen = Chosen { names: BTreeMap::new(), limit, cut: false };
    let is_wanted = |kind| kinds.is_empty() || kinds.contains(&kind);
    // An address that was never seen was not seen in any time span.
    let is_any_time = filter.fence == Fence::default();
    for tag in set.tags().iter().filter(|tag| is_any_time && is_wanted(tag.kind)) {
        if let Some(IpAddr::V4(address)) = tag.subject.as_address() {
            chosen.add(address);
        }
    }
    let tagged: Vec<Option<TagFilter>> = match kinds {
        _ if set.is_empty() => Vec::new(),
        [] => vec![Some(TagFilter::Any)],
        kinds => kinds.iter().map(|&kind| Some(TagFilter::Kind(kind))).collect(),
    };
    let all = kinds.is_empty().then_some(None);
    for tag in tagged.into_iter().chain(all) {
        let filter = Filter { tag, ..filter.clone() };
        let grouping = Grouping { by: By::Addresses, kind: Kind::Record, filter, first_on: None };
        // The sums may return each of the addresses chosen before again.
        let wanted = (limit + 1).min(MAX_SORTED);
        let (page, _) = groups(store, &grouping, GroupSort::Count, wanted, &mut |group| {
            if let GroupKey::Address(IpAddr::V4(address)) = group.key {
                chosen.add(address);
            }
            ControlFlow::Continue(())
        })?;
        chosen.cut |= page.cut;
    }
    chosen.name(store, &filter, &set, kinds)?;
    let Chosen { names, cut, .. } = chosen;
    let described = names.into_iter().map(|(address, best)| {
        let name = best.map(|(_, name)| name);
        Described { address, name }
    });
    Ok((described.collect(), cut))
}

/// The chosen addresses, with the best name of each so far.
struct Chosen {
    names: BTreeMap<Ipv4Addr, Option<(Rank, NameBuf)>>,
    limit: usize,
    cut: bool,
}

impl Chosen {
    fn add(&mut self, address: Ipv4Addr) {
        if self.names.len() < self.limit || self.names.contains_key(&address) {
            self.names.entry(address).or_default();
        } else {
            self.cut = true;
        }
    }

    /// Reads all records once to find the best names.
    fn name(
        &mut self,
        store: &mut Reader<'_>,
        filter: &Filter,
        set: &TagSet,
        kinds: &[TagKind],
    ) -> Result<(), StoreError> {
        if self.names.is_empty() {
            return Ok(());
        }
        let is_wanted = |kind| kinds.is_empty() || kinds.contains(&kind);
        store.scan_records(Kind::Record, &mut |row| {
            if let Some(IpAddr::V4(address)) = row.address()
                && let Some(best) = self.names.get_mut(&address)
                && filter.admits(&row)
            {
                let tags = set.of_name(row.rrname.as_name()).into_iter();
                let kind = tags.map(|tag| tag.kind).filter(|&kind| is_wanted(kind)).min();
                let place = kind.map_or(TagKind::ALL.len(), |kind| kind as usize);
                let rank = (place, Reverse(row.seen.count), Reverse(row.seen.time_last));
                let is_better =
                    best.as_ref().is_none_or(|(known, name)| (&rank, &row.rrname) < (known, name));
                if is_better {
                    *best = Some((rank, row.rrname));
                }
            }
            ControlFlow::Continue(())
        })
    }
}
