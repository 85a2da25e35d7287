//! The subjects of tags, one after the other, for lists that other programs keep.
//!
//! Part of `query`; `exchange` writes what comes out. Programs that know names and no domains are given, for a tag on a
//! name with all below it, the names below it that the store has. Names and addresses for which a nearer tag says the
//! opposite are left out: whoever trusts one name below a bad domain, or one address within a bad prefix, wants no
//! alarm for it.

mod except;

use super::{TagSet, Text};
use crate::name::{Name, NameBuf};
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
pub use except::Exception;
use except::Exceptions;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

/// The most names below one domain.
pub const MAX_BELOW: usize = 10_000;
/// The most names below all domains, some 30 MB of them.
pub const MAX_FOUND: usize = 500_000;
/// So many domains are searched for one by one; for more, all names are read once.
const ONE_BY_ONE: usize = 32;

/// Which subjects are wanted.
pub struct Wanted<'w> {
    /// Those with a tag of one of these kinds.
    pub kinds: &'w [TagKind],
    /// Whether names below a domain are wanted in place of the domain.
    pub expand: bool,
    /// What else a subject must be; it is asked of names for domains when those are expanded.
    pub admits: &'w dyn Fn(&TagSubject) -> bool,
    /// The most subjects; 0 for all.
    pub limit: usize,
}

/// A subject on its way into a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'t> {
    /// What is to be listed.
    pub subject: TagSubject,
    /// The tags that are the reason, worst kind first; never none. Their subject may be a domain above.
    pub tags: Vec<&'t Tag>,
}

/// How a list ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Subjects handed out.
    pub shown: u64,
    /// The limit left some out.
    pub cut: bool,
    /// Subjects that the list cannot hold.
    pub left_out: u64,
    /// Domains that have more names below them than were handed out, and one of them.
    pub too_many: Option<(u64, NameBuf)>,
    /// Listed domains and prefixes that cover subjects with the opposite tag, and one of them. None where the domains
    /// and prefixes are split up, or where those subjects are listed as well.
    pub exceptions: Option<(u64, Exception)>,
}

/// The names found below one domain.
#[derive(Default)]
struct Found {
    names: BTreeSet<NameBuf>,
    cut: bool,
}

/// Hands out subjects: first those that tags name, in their order, then the names found below domains, domain by domain in
/// order of their text.
///
/// # Errors
/// [`StoreError`] when the store cannot be read; subjects may have been handed out before.
pub fn listed(
    store: &mut Reader<'_>,
    set: &TagSet,
    wanted: &Wanted<'_>,
    each: &mut dyn FnMut(&Listed<'_>) -> ControlFlow<()>,
) -> Result<Listing, StoreError> {
    let mut out = Out { wanted, listing: Listing::default(), each };
    let exceptions = Exceptions::new(set);
    let mut domains = Vec::new();
    for tags in set.tags().chunk_by(|one, other| one.subject == other.subject) {
        let subject = tags.first().map(|tag| &tag.subject);
        let tags: Vec<&Tag> = tags.iter().filter(|tag| wanted.kinds.contains(&tag.kind)).collect();
        let Some(subject) = subject.filter(|_| !tags.is_empty()) else { continue };
        let flow = match subject {
            TagSubject::Below(apex) if wanted.expand => {
                domains.push(apex);
                let is_listed = ruling(set, apex.as_name(), wanted.kinds)
                    .is_none_or(|tag| tag.subject != *subject);
                if is_listed {
                    continue;
                }
                let name = TagSubject::Name(apex.clone());
                let tags = in_effect(set, &name, wanted.kinds);
                out.hand(&Listed { subject: name, tags })
            }
            TagSubject::Name(_) if wanted.expand => {
                let tags = in_effect(set, subject, wanted.kinds);
                out.hand(&Listed { subject: subject.clone(), tags })
            }
            TagSubject::Net(net) if wanted.expand => {
                let tags = in_effect(set, subject, wanted.kinds);
                let parts = exceptions.split(*net, &tags);
                parts.into_iter().try_for_each(|(part, tags)| {
                    let subject = TagSubject::Net(part);
                    // A part with a wanted tag of its own is listed for that.
                    let is_own =
                        |tag: &&Tag| tag.subject == subject && wanted.kinds.contains(&tag.kind);
                    if part != *net && set.all_of_subject(&subject).iter().any(is_own) {
                        return ControlFlow::Continue(());
                    }
                    out.hand(&Listed { subject, tags })
                })
            }
            _ => {
                out.listing.except(exceptions.within(subject, &tags, wanted.kinds));
                out.hand(&Listed { subject: subject.clone(), tags })
            }
        };
        if flow.is_break() {
            return Ok(out.listing);
        }
    }
    if domains.is_empty() {
        return Ok(out.listing);
    }
    let room = match wanted.limit {
        0 => MAX_FOUND,
        limit => limit.saturating_sub(usize::try_from(out.listing.shown).unwrap_or(usize::MAX)),
    };
    let (found, most) = search(store, set, &domains, wanted.kinds, room.min(MAX_FOUND))?;
    for (place, apex) in domains.into_iter().enumerate() {
        let Some(found) = found.get(&place) else { continue };
        if found.cut {
            let count = out.listing.too_many.take().map_or(0, |(count, _)| count);
            out.listing.too_many = Some((count + 1, apex.clone()));
        }
        for name in found.names.iter().take(most) {
            let subject = TagSubject::Name(name.clone());
            let tags = in_effect(set, &subject, wanted.kinds);
            if out.hand(&Listed { subject, tags }).is_break() {
                return Ok(out.listing);
            }
        }
    }
    Ok(out.listing)
}

impl Listing {
    /// Counts a listed subject that covers another with the opposite tag.
    fn except(&mut self, found: Option<Exception>) {
        let Some(found) = found else { return };
        match &mut self.exceptions {
            Some((count, _)) => *count += 1,
            none => *none = Some((1, found)),
        }
    }
}

/// Subjects on their way out.
struct Out<'w, 'e> {
    wanted: &'w Wanted<'w>,
    listing: Listing,
    each: &'e mut dyn FnMut(&Listed<'_>) -> ControlFlow<()>,
}

impl Out<'_, '_> {
    fn hand(&mut self, listed: &Listed<'_>) -> ControlFlow<()> {
        if !(self.wanted.admits)(&listed.subject) {
            self.listing.left_out += 1;
            return ControlFlow::Continue(());
        }
        if self.wanted.limit > 0 && self.listing.shown >= self.wanted.limit as u64 {
            self.listing.cut = true;
            return ControlFlow::Break(());
        }
        self.listing.shown += 1;
        (self.each)(listed)
    }
}

/// The nearest tag of these kinds that is in effect on a name.
fn ruling<'t>(set: &'t TagSet, name: Name<'_>, kinds: &[TagKind]) -> Option<&'t Tag> {
    set.of_name(name).into_iter().find(|tag| kinds.contains(&tag.kind))
}

/// The tags of these kinds that are in effect on all of a subject, worst kind first.
fn in_effect<'t>(set: &'t TagSet, subject: &TagSubject, kinds: &[TagKind]) -> Vec<&'t Tag> {
    let mut tags = set.of_subject(subject);
    tags.retain(|tag| kinds.contains(&tag.kind));
    tags.sort_by_key(|tag| tag.kind);
    tags
}

/// The first names below each domain, by its place, and how many of each may be had so that there are no more than `room` in
/// all. Which these are depends on the names alone and not on the order they are read in.
fn search(
    store: &mut Reader<'_>,
    set: &TagSet,
    domains: &[&NameBuf],
    kinds: &[TagKind],
    room: usize,
) -> Result<(HashMap<usize, Found>, usize), StoreError> {
    let places: HashMap<&NameBuf, usize> =
        domains.iter().enumerate().map(|(place, &apex)| (apex, place)).collect();
    let mut found: HashMap<usize, Found> = HashMap::new();
    let (mut total, mut most) = (0, MAX_BELOW.min(room));
    let mut take = |name: Name<'_>| {
        let Some(TagSubject::Below(apex)) = ruling(set, name, kinds).map(|tag| &tag.subject) else {
            return;
        };
        // The domain itself was handed out by its tag.
        let Some(&place) = places.get(apex).filter(|_| apex.as_name() != name) else { return };
        let below = found.entry(place).or_default();
        let name = name.to_buf();
        // Domains within domains have a name read twice.
        if below.names.contains(&name) {
            return;
        }
        if below.names.len() >= most {
            below.cut = true;
            match below.names.last() {
                Some(last) if *last > name => {}
                _ => return,
            }
        }
        below.names.insert(name);
        total += 1;
        if below.names.len() > most {
            below.names.pop_last();
            total -= 1;
        }
        while total > room && most > 1 {
            most /= 2;
            for below in found.values_mut().filter(|below| below.names.len() > most) {
                below.cut = true;
                while below.names.len() > most {
                    below.names.pop_last();
                    total -= 1;
                }
            }
        }
    };
    let searches: Vec<Text> = if domains.len() > ONE_BY_ONE {
        vec![Text::default()]
    } else {
        let below = |apex: &NameBuf| Text { below: Some(apex.clone()), ..Text::default() };
        domains.iter().map(|&apex| below(apex)).collect()
    };
    for text in &searches {
        let apex = text.apex();
        store.names(apex.as_ref().map(NameBuf::as_name), &mut |block| {
            text.search(block, &mut |name| {
                take(name);
                ControlFlow::Continue(())
            })
        })?;
    }
    Ok((found, most))
}
