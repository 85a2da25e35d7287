//! Subjects of tags, one after another, for lists that other programs use.
//!
//! Part of `query`; `exchange` writes the lists. Some programs accept names but no domains. For a tag on a name
//! and everything below it, they get the names below it that the store has. Names and addresses are left out if
//! a nearer tag says the opposite: users who trust one name below a bad domain, or one address within a bad
//! prefix, want no alarm for it.

mod conditions;
mod except;
mod item;
mod sighting;

use super::{TagSet, Text, subjects_of_row};
use crate::indicator::{Indicator, Tlp};
use crate::name::{Name, NameBuf};
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
pub use conditions::ExportConditions;
pub use except::Exception;
use except::Exceptions;
pub use item::ExportItem;
pub use sighting::MAX_RECORDS;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

/// Maximum number of names below one domain.
pub const MAX_BELOW: usize = 10_000;
/// Maximum number of names below all domains, about 30 MB of them.
pub const MAX_FOUND: usize = 500_000;
/// Maximum number of domains to search for one by one; for more, all names are read once.
const ONE_BY_ONE: usize = 32;

/// Data about a subject that is looked up in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExportDetail {
    /// Nothing.
    Subject,
    /// The sum of its records ([`ExportItem::seen`]).
    Seen,
    /// Its records, too ([`ExportItem::records`]).
    Records,
}

/// Selection of the subjects to list.
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a format")]
pub struct ExportSpec<'w> {
    /// Kinds of tags; a subject needs a tag of one of them.
    pub kinds: &'w [TagKind],
    /// True to list trusted subjects in any case, as exceptions to the others. Of the conditions, only that on sharing
    /// applies to them: a list for others does not tell what an analyst trusts, unless it may.
    pub adds_trusted: bool,
    /// True to list the names below a domain instead of the domain.
    pub expand: bool,
    /// True to split prefixes around the parts of them that have the opposite tag.
    pub split: bool,
    /// True if the list can say that a source states further conditions. Others have no conditional reasons.
    pub takes_conditional: bool,
    /// Condition of the list's format; for expanded domains it applies to the names.
    pub admits: &'w dyn Fn(&ExportItem<'_>) -> bool,
    /// Further conditions.
    pub conditions: &'w ExportConditions,
    /// Data to look up.
    pub detail: ExportDetail,
    /// Maximum number of subjects; 0 for all.
    pub limit: usize,
}

/// Summary of a finished list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// Number of subjects returned.
    pub shown: u64,
    /// True if the limit left subjects out.
    pub cut: bool,
    /// Number of subjects that the list format cannot hold.
    pub left_out: u64,
    /// Number of subjects that were left out since all reasons for them are conditional.
    pub conditional: u64,
    /// Number of subjects that were held back because of their restriction on sharing, and the strongest of these.
    pub held_back: Option<(u64, Tlp)>,
    /// Of these, the number of trusted subjects that are exceptions to others.
    pub held_exceptions: u64,
    /// Number of domains that have more names below them than were returned, and one of them.
    pub too_many: Option<(u64, NameBuf)>,
    /// Number of listed domains and prefixes that cover subjects with the opposite tag, and one of them. `None`
    /// if domains and prefixes are split up, or if those subjects are listed as well.
    pub exceptions: Option<(u64, Exception)>,
}

/// The names found below one domain.
#[derive(Default)]
struct NamesBelow {
    names: BTreeSet<NameBuf>,
    cut: bool,
}

/// Passes subjects to the callback: first the tagged subjects in order, then the names found below domains,
/// domain by domain in text order.
///
/// # Errors
/// [`StoreError`] when the store cannot be read; subjects may have been returned before.
pub fn export_tags(
    store: &mut Reader<'_>,
    set: &TagSet,
    wanted: &ExportSpec<'_>,
    each: &mut dyn FnMut(&ExportItem<'_>) -> ControlFlow<()>,
) -> Result<ExportSummary, StoreError> {
    let looks_up = wanted.detail > ExportDetail::Subject || wanted.conditions.only_seen;
    let sensors = if looks_up { store.sensors()? } else { Vec::new() };
    let mut kinds = wanted.kinds.to_vec();
    if wanted.adds_trusted && !kinds.contains(&TagKind::Trust) {
        kinds.push(TagKind::Trust);
    }
    let kinds = kinds.as_slice();
    let listing = ExportSummary::default();
    let mut out = Emitter { set, store, sensors, wanted, listing, each };
    let exceptions = Exceptions::new(set);
    let mut domains = Vec::new();
    for tags in set.tags().chunk_by(|one, other| one.subject == other.subject) {
        let subject = tags.first().map(|tag| &tag.subject);
        // What a feed trusts is no exception to what others say.
        let is_wanted = |tag: &&Tag| {
            if tag.is_own() { kinds.contains(&tag.kind) } else { wanted.kinds.contains(&tag.kind) }
        };
        let mut tags: Vec<&Tag> = tags.iter().filter(is_wanted).collect();
        // Of what feeds say, only what is in effect is listed.
        if let Some(subject) = subject
            && tags.iter().any(|tag| !tag.is_own())
        {
            let all = set.all_of_subject(subject);
            tags.retain(|tag| tag.is_own() || set.overriding(tag, &all, subject).is_none());
        }
        let Some(subject) = subject.filter(|_| !tags.is_empty()) else { continue };
        let flow = match subject {
            TagSubject::Below(apex) if wanted.expand => {
                domains.push(apex);
                let is_listed =
                    ruling(set, apex.as_name(), kinds).is_none_or(|tag| tag.subject != *subject);
                if is_listed {
                    continue;
                }
                let name = TagSubject::Name(apex.clone());
                let tags = in_effect(set, &name, kinds);
                out.hand(name, tags)?
            }
            TagSubject::Name(_) if wanted.expand => {
                out.hand(subject.clone(), in_effect(set, subject, kinds))?
            }
            TagSubject::Net(net) if wanted.split => {
                let tags = in_effect(set, subject, kinds);
                let mut flow = ControlFlow::Continue(());
                for (part, tags) in exceptions.split(*net, &tags) {
                    let subject = TagSubject::Net(part);
                    // A part with a wanted tag of its own is listed for that.
                    let is_own = |tag: &&Tag| tag.subject == subject && kinds.contains(&tag.kind);
                    if part != *net && set.all_of_subject(&subject).iter().any(is_own) {
                        continue;
                    }
                    flow = out.hand(subject, tags)?;
                    if flow.is_break() {
                        break;
                    }
                }
                flow
            }
            _ => {
                let shown = out.listing.shown;
                let exception = exceptions.within(subject, &tags, kinds);
                let flow = out.hand(subject.clone(), tags)?;
                if out.listing.shown > shown {
                    out.listing.except(exception);
                }
                flow
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
    let (found, most) = search(out.store, set, &domains, kinds, room.min(MAX_FOUND))?;
    for (place, apex) in domains.into_iter().enumerate() {
        let Some(found) = found.get(&place) else { continue };
        if found.cut {
            let count = out.listing.too_many.take().map_or(0, |(count, _)| count);
            out.listing.too_many = Some((count + 1, apex.clone()));
        }
        for name in found.names.iter().take(most) {
            let subject = TagSubject::Name(name.clone());
            let tags = in_effect(set, &subject, kinds);
            if out.hand(subject, tags)?.is_break() {
                return Ok(out.listing);
            }
        }
    }
    Ok(out.listing)
}

impl ExportSummary {
    /// Counts a listed subject that covers another with the opposite tag.
    fn except(&mut self, found: Option<Exception>) {
        let Some(found) = found else { return };
        match &mut self.exceptions {
            Some((count, _)) => *count += 1,
            none => *none = Some((1, found)),
        }
    }
}

/// Applies the conditions and the limit to subjects, looks them up, and passes them on.
struct Emitter<'w, 'e, 's> {
    set: &'w TagSet,
    store: &'e mut Reader<'s>,
    sensors: Vec<String>,
    wanted: &'w ExportSpec<'w>,
    listing: ExportSummary,
    each: &'e mut dyn FnMut(&ExportItem<'_>) -> ControlFlow<()>,
}

impl Emitter<'_, '_, '_> {
    /// Returns true if nothing that applies to an end of a record has a restriction that holds it back.
    fn may_show(&self, end: &TagSubject) -> bool {
        let conditions = self.wanted.conditions;
        self.set.all_of_subject(end).iter().all(|tag| {
            let tlp = tag.listing.as_ref().and_then(|listing| listing.tlp);
            tlp.unwrap_or(conditions.default_tlp) <= conditions.max_tlp
        })
    }

    fn hand(
        &mut self,
        subject: TagSubject,
        tags: Vec<&Tag>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (wanted, conditions) = (self.wanted, self.wanted.conditions);
        let (tags, listed): (Vec<&Tag>, Vec<&Tag>) = tags.into_iter().partition(|tag| tag.is_own());
        let mut indicators: Vec<Indicator> =
            listed.into_iter().filter_map(Indicator::of_tag).collect();
        let all = (!wanted.takes_conditional && indicators.iter().any(|one| one.is_conditional))
            .then(|| (subject.clone(), tags.clone(), indicators.clone()));
        if all.is_some() {
            indicators.retain(|one| !one.is_conditional);
        }
        let is_trusted = tags.iter().any(|tag| tag.kind == TagKind::Trust);
        let is_exception =
            is_trusted && wanted.adds_trusted && !wanted.kinds.contains(&TagKind::Trust);
        let item = if is_exception {
            Some(ExportItem::new(subject, tags, indicators, conditions.default_tlp))
        } else {
            conditions.item(subject, tags, indicators)
        };
        let Some(mut item) = item else {
            let all = all.and_then(|(subject, tags, all)| conditions.item(subject, tags, all));
            self.listing.conditional += u64::from(all.is_some_and(|all| (wanted.admits)(&all)));
            return Ok(ControlFlow::Continue(()));
        };
        if !(wanted.admits)(&item) {
            self.listing.left_out += 1;
            return Ok(ControlFlow::Continue(()));
        }
        if item.tlp > conditions.max_tlp {
            self.listing.held_exceptions += u64::from(is_exception);
            let (count, strongest) = self.listing.held_back.unwrap_or((0, item.tlp));
            self.listing.held_back = Some((count + 1, strongest.max(item.tlp)));
            return Ok(ControlFlow::Continue(()));
        }
        let is_full = wanted.limit > 0 && self.listing.shown >= wanted.limit as u64;
        let only_seen = conditions.only_seen && !is_exception;
        if (wanted.detail > ExportDetail::Subject && !is_full) || only_seen {
            let keeps = wanted.detail == ExportDetail::Records;
            sighting::look_up(self.store, &self.sensors, keeps, &mut item)?;
            item.records.retain(|row| subjects_of_row(row).all(|end| self.may_show(&end)));
        }
        if only_seen && item.seen.is_none() {
            return Ok(ControlFlow::Continue(()));
        }
        if is_full {
            self.listing.cut = true;
            return Ok(ControlFlow::Break(()));
        }
        self.listing.shown += 1;
        Ok((self.each)(&item))
    }
}

/// Returns the nearest tag of these kinds that is in effect on a name.
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

/// Returns the first names below each domain, by the domain's index, and the maximum number of names per domain
/// that keeps the total within `room`. The selection depends only on the names, not on the order in which they
/// are read.
fn search(
    store: &mut Reader<'_>,
    set: &TagSet,
    domains: &[&NameBuf],
    kinds: &[TagKind],
    room: usize,
) -> Result<(HashMap<usize, NamesBelow>, usize), StoreError> {
    let places: HashMap<&NameBuf, usize> =
        domains.iter().enumerate().map(|(place, &apex)| (apex, place)).collect();
    let mut found: HashMap<usize, NamesBelow> = HashMap::new();
    let (mut total, mut most) = (0, MAX_BELOW.min(room));
    let mut take = |name: Name<'_>| {
        let Some(TagSubject::Below(apex)) = ruling(set, name, kinds).map(|tag| &tag.subject) else {
            return;
        };
        // The domain itself was listed with its tag.
        let Some(&place) = places.get(apex).filter(|_| apex.as_name() != name) else { return };
        let below = found.entry(place).or_default();
        let name = name.to_buf();
        // With nested domains a name is read twice.
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
