//! The threats on addresses, for whoever asks which is nearest, and nothing else.
//!
//! A [`TagSet`] holds all that feeds say of an address: labels, references and notes, some hundred octets for each of
//! millions. Here an address takes about twenty. Trust is held, too, since it overrides threats. Interest overrides nothing,
//! and what the judge says is no evidence.

use super::{RankedTag, distance, nearest};
use crate::indicator::JUDGE_SOURCE;
use crate::query::tags::{Bits, Nets, TagSet, now};
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
use ipnet::IpNet;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Threats on addresses and prefixes, with what overrides them.
#[derive(Clone, Debug, Default)]
pub struct Threats {
    v4: Family<u32>,
    v6: Family<u128>,
    /// Origins: feeds, and authors of tags.
    authors: Vec<String>,
}

/// Those of one family of addresses.
#[derive(Clone, Debug)]
struct Family<A> {
    nets: Nets<A>,
    /// Time and number of the author of each.
    said: Vec<(u32, u32)>,
}

impl<A: Bits> Default for Family<A> {
    fn default() -> Self {
        Self { nets: Nets::of_rows(&[]), said: Vec::new() }
    }
}

/// A threat with its distance from an address.
#[derive(Clone, Debug, PartialEq)]
pub struct NearThreat<'t> {
    /// The address or prefix that is a threat.
    pub subject: TagSubject,
    /// Its feed, or the author of its tag.
    pub author: &'t str,
    /// Since when, in seconds since the epoch; 0 if that is not known.
    pub since: u32,
    /// Its address, or the nearest address of its prefix.
    pub address: IpAddr,
    /// The square of the distance.
    pub square: u64,
    /// Number of leading bits that the two addresses share.
    pub shared: u8,
}

impl NearThreat<'_> {
    /// Returns the distance.
    #[must_use]
    pub fn distance(&self) -> f64 {
        distance(self.square)
    }
}

/// A row of one family: first address, length, kind, whether an analyst said it, author and time.
type Row<A> = (A, u8, TagKind, bool, u32, u32);

/// Collects tags, in any order.
#[derive(Default)]
struct Collected {
    v4: Vec<Row<u32>>,
    v6: Vec<Row<u128>>,
    authors: BTreeMap<String, u32>,
}

impl Collected {
    fn add(&mut self, tag: &Tag) {
        if tag.kind.opposite().is_none() || tag.source == JUDGE_SOURCE {
            return;
        }
        let Some(net) = tag.subject.net() else { return };
        let author = tag.said_by();
        let next = u32::try_from(self.authors.len()).unwrap_or(u32::MAX);
        let author = match self.authors.get(author) {
            Some(&number) => number,
            None => *self.authors.entry(author.to_owned()).or_insert(next),
        };
        let (kind, is_own, time) = (tag.kind, tag.is_own(), tag.time);
        if let Some((start, length)) = u32::of(net) {
            self.v4.push((start, length, kind, is_own, author, time));
        } else if let Some((start, length)) = u128::of(net) {
            self.v6.push((start, length, kind, is_own, author, time));
        }
    }

    fn into_threats(self) -> Threats {
        let mut authors: Vec<(String, u32)> = self.authors.into_iter().collect();
        authors.sort_unstable_by_key(|(_, number)| *number);
        let authors: Vec<String> = authors.into_iter().map(|(author, _)| author).collect();
        let (v4, v6) = (family(self.v4, &authors), family(self.v6, &authors));
        Threats { v4, v6, authors }
    }
}

/// Sorts rows as a [`TagSet`] does: by prefix and kind, and what both share by author.
fn family<A: Bits>(mut rows: Vec<Row<A>>, authors: &[String]) -> Family<A> {
    let name = |author: u32| authors.get(author as usize);
    rows.sort_unstable_by(|one, other| {
        let key = |row: &Row<A>| (row.0, row.1, row.2);
        let rest = |row: &Row<A>| (row.3, row.5);
        (key(one).cmp(&key(other)))
            .then_with(|| name(one.4).cmp(&name(other.4)))
            .then_with(|| rest(one).cmp(&rest(other)))
    });
    let said = rows.iter().map(|&(.., author, time)| (time, author)).collect();
    Family { nets: Nets::of_rows(&rows), said }
}

impl<A: super::Point> Family<A> {
    fn near<'t>(
        &self,
        authors: &'t [String],
        from: A,
        limit: usize,
    ) -> impl Iterator<Item = NearThreat<'t>> {
        let (found, _) = nearest(&self.nets, from, Some(TagKind::Threat), limit);
        found.into_iter().filter_map(|placed| {
            let RankedTag { square, shared: Reverse(shared), place, there } = placed;
            let net = self.nets.at(place)?;
            let subject = IpNet::new(net.start.address(), net.length).ok()?;
            let &(since, author) = self.said.get(place)?;
            let author = authors.get(author as usize)?;
            let subject = TagSubject::Net(subject);
            Some(NearThreat { subject, author, since, address: there, square, shared })
        })
    }
}

impl Threats {
    /// Reads those of a store.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn load(store: &mut Reader<'_>) -> Result<Self, StoreError> {
        let mut collected = Collected::default();
        for tag in &store.tags()?.tags {
            collected.add(tag);
        }
        store.all_indicators(now(), &mut |indicator| {
            if indicator.subject.net().is_some() {
                collected.add(&Tag::from(indicator));
            }
        })?;
        Ok(collected.into_threats())
    }

    /// Those of a set of tags.
    #[must_use]
    pub fn of(tags: &TagSet) -> Self {
        let mut collected = Collected::default();
        for tag in tags.tags() {
            collected.add(tag);
        }
        collected.into_threats()
    }

    /// The threats nearest to an address, at most `limit`, as [`super::near`] finds them.
    #[must_use]
    pub fn near(&self, address: IpAddr, limit: usize) -> Vec<NearThreat<'_>> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.near(&self.authors, address.to_bits(), limit).collect(),
            IpAddr::V6(address) => self.v6.near(&self.authors, address.to_bits(), limit).collect(),
        }
    }
}
