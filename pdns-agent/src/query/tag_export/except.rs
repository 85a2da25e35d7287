//! Subjects within a listed domain or prefix that have the opposite tag.
//!
//! Part of [`super::tag_export`]. A program that alarms on a prefix cannot handle exceptions, so the prefix is
//! split into those that remain without them.

use crate::name::ancestors;
use crate::query::TagSet;
use crate::tag::{Tag, TagKind, TagSubject};
use ipnet::IpNet;
use std::cell::OnceCell;
use std::collections::HashMap;

/// A listed subject, and a subject within it that has the opposite tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The listed subject.
    pub listed: TagSubject,
    /// The subject within it.
    pub within: TagSubject,
    /// The kind of its tag.
    pub kind: TagKind,
}

/// Tags of a set that may be exceptions to other tags.
pub(super) struct Exceptions<'t> {
    set: &'t TagSet,
    /// Names tagged as threat or trust, by each domain above the name; the first of each kind. Lists that split
    /// domains up never need them.
    names: OnceCell<HashMap<(&'t str, TagKind), &'t TagSubject>>,
    /// Prefixes tagged as threat or trust, IPv4 first, in order.
    nets: Vec<(IpNet, TagKind)>,
}

impl<'t> Exceptions<'t> {
    pub(super) fn new(set: &'t TagSet) -> Self {
        let judged = set.tags().iter().filter(|tag| tag.kind.opposite().is_some());
        let nets = judged.filter_map(|tag| Some((tag.subject.net()?, tag.kind)));
        let mut nets: Vec<(IpNet, TagKind)> = nets.collect();
        nets.sort_unstable();
        Self { set, names: OnceCell::new(), nets }
    }

    fn names(&self) -> &HashMap<(&'t str, TagKind), &'t TagSubject> {
        self.names.get_or_init(|| {
            let mut names = HashMap::new();
            for tag in self.set.tags().iter().filter(|tag| tag.kind.opposite().is_some()) {
                let Some(name) = tag.subject.name() else { continue };
                // A tag on a name is nearer to it than a tag on the domain of the same name.
                let skip = usize::from(matches!(tag.subject, TagSubject::Below(_)));
                for apex in ancestors(name.as_name()).skip(skip) {
                    names.entry((apex, tag.kind)).or_insert(&tag.subject);
                }
            }
            names
        })
    }

    /// Returns a subject within a listed one that has the opposite tag, unless subjects with such tags are
    /// listed as well.
    pub(super) fn within(
        &self,
        listed: &TagSubject,
        tags: &[&Tag],
        kinds: &[TagKind],
    ) -> Option<Exception> {
        let kind = opposite(tags).filter(|kind| !kinds.contains(kind))?;
        let within = match listed {
            TagSubject::Name(_) => return None,
            TagSubject::Below(apex) => (*self.names().get(&(apex.as_str(), kind))?).clone(),
            TagSubject::Net(net) => TagSubject::Net(self.inside(*net, kind).next()?),
        };
        Some(Exception { listed: listed.clone(), within, kind })
    }

    /// Splits `net` into prefixes, each with those of `tags` that no longer prefix overrides there. Prefixes
    /// without any remaining tag are left out.
    pub(super) fn split<'a>(&self, net: IpNet, tags: &[&'a Tag]) -> Vec<(IpNet, Vec<&'a Tag>)> {
        let holes: Vec<IpNet> = match opposite(tags) {
            None => Vec::new(),
            Some(kind) => self.inside(net, kind).collect(),
        };
        let mut parts = Vec::new();
        subtract(net, &holes, &mut |part| parts.push((part, tags.to_vec())));
        let left: Vec<&Tag> =
            tags.iter().copied().filter(|tag| tag.kind.opposite().is_none()).collect();
        if !left.is_empty() {
            parts.extend(IpNet::aggregate(&holes).into_iter().map(|hole| (hole, left.clone())));
        }
        parts
    }

    /// Returns the longer prefixes within `net` that have a tag of this kind, in order.
    fn inside(&self, net: IpNet, kind: TagKind) -> impl Iterator<Item = IpNet> {
        let from = self.nets.partition_point(|(known, _)| *known < net);
        let rest = self.nets.get(from..).unwrap_or_default();
        rest.iter()
            .take_while(move |(known, _)| net.contains(known))
            .filter(move |(known, of)| *of == kind && *known != net)
            .map(|&(known, _)| known)
    }
}

/// Returns the kind that contradicts one of these tags.
fn opposite(tags: &[&Tag]) -> Option<TagKind> {
    tags.iter().find_map(|tag| tag.kind.opposite())
}

/// Passes the fewest prefixes that cover `net` without the addresses of `holes` to `each`, in order.
fn subtract(net: IpNet, holes: &[IpNet], each: &mut impl FnMut(IpNet)) {
    if holes.iter().any(|hole| hole.contains(&net)) {
        return;
    }
    let inside: Vec<IpNet> = holes.iter().copied().filter(|hole| net.contains(hole)).collect();
    if inside.is_empty() {
        return each(net);
    }
    for half in net.subnets(net.prefix_len() + 1).into_iter().flatten() {
        subtract(half, &inside, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::Ipv4Net;

    fn left(net: &str, holes: &[&str]) -> Vec<String> {
        let holes: Vec<IpNet> = holes.iter().map(|hole| hole.parse().unwrap()).collect();
        let mut parts = Vec::new();
        subtract(net.parse().unwrap(), &holes, &mut |part| parts.push(part.to_string()));
        parts
    }

    #[test]
    fn what_is_left_of_a_prefix_is_all_but_the_holes() {
        assert_eq!(left("192.0.2.0/24", &[]), ["192.0.2.0/24"]);
        assert_eq!(
            left("192.0.2.0/29", &["192.0.2.5/32"]),
            ["192.0.2.0/30", "192.0.2.4/32", "192.0.2.6/31"]
        );
        assert_eq!(left("192.0.2.0/24", &["192.0.2.0/25", "192.0.2.128/25"]), [""; 0]);
        assert_eq!(left("0.0.0.0/0", &["0.0.0.0/1"]), ["128.0.0.0/1"]);
        assert_eq!(left("::/0", &["8000::/1", "4000::/2"]), ["::/2"]);
        assert_eq!(left("2001:db8::/126", &["2001:db8::3/128"]).len(), 2);
        assert_eq!(left("255.255.255.254/31", &["255.255.255.255/32"]), ["255.255.255.254/32"]);
    }

    #[test]
    fn every_address_is_in_one_part_or_in_a_hole() {
        let net: Ipv4Net = "10.1.0.0/22".parse().unwrap();
        let holes: Vec<IpNet> =
            ["10.1.0.7/32", "10.1.1.0/26", "10.1.1.3/32", "10.1.3.254/31", "10.2.0.0/16"]
                .map(|hole| hole.parse().unwrap())
                .into();
        let mut parts = Vec::new();
        subtract(net.into(), &holes, &mut |part| parts.push(part));
        for bits in net.network().to_bits()..=net.broadcast().to_bits() {
            let address = std::net::IpAddr::V4(bits.into());
            let is_hole = holes.iter().any(|hole| hole.contains(&address));
            let count = parts.iter().filter(|part| part.contains(&address)).count();
            assert_eq!(count, usize::from(!is_hole), "{address}");
        }
        assert!(parts.iter().all(|part| IpNet::V4(net).contains(part)));
    }
}
