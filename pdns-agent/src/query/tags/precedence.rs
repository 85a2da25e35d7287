//! Precedence of tags and indicators: analysts before feeds, and within each nearer before wider; at each end of a
//! record separately.
//!
//! Part of [`super::TagSet`]. Everything that shows, filters, exports or compares by tags uses [`effective`].
//! `docs/tags-and-intel.md` has the rule as a table of examples, which a test reads from there.

use crate::name::{Name, NameBuf, ancestors, suffix};
use crate::tag::{Tag, TagKind, TagSubject};
use std::collections::HashSet;

/// An end of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The owner name.
    Rrname,
    /// The address or name in its RDATA.
    Rdata,
}

impl End {
    /// Returns its name, which is the same in every format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rrname => "rrname",
            Self::Rdata => "rdata",
        }
    }
}

/// The tags in effect on both ends of a record, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowTags<'t> {
    /// Tags of the owner name.
    pub rrname: Vec<&'t Tag>,
    /// Tags of the address or name in the RDATA.
    pub rdata: Vec<&'t Tag>,
}

impl<'t> RowTags<'t> {
    /// Returns true if neither end has a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rrname.is_empty() && self.rdata.is_empty()
    }

    /// Returns the tags of one end.
    #[must_use]
    pub fn at(&self, end: End) -> &[&'t Tag] {
        match end {
            End::Rrname => &self.rrname,
            End::Rdata => &self.rdata,
        }
    }

    /// Returns all tags with their end; a tag that is in effect on both ends occurs twice.
    pub fn each(&self) -> impl Iterator<Item = (End, &'t Tag)> {
        let of = |end| self.at(end).iter().map(move |&tag| (end, tag));
        of(End::Rrname).chain(of(End::Rdata))
    }
}

/// Rules for the effect of tags and indicators, besides those that always hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagRules {
    /// Domains of clouds and hosting companies: below them, trust in something wider does not silence indicators.
    pub never_silence: HashSet<NameBuf>,
}

impl TagRules {
    /// Returns true if an analyst's trust reaches a name below it: no public suffix (a shop or a blog below it is
    /// somebody else's) and no domain of [`TagRules::never_silence`] lies between the two.
    fn reaches(&self, trust: &TagSubject, name: Name<'_>) -> bool {
        let TagSubject::Below(apex) = trust else { return true };
        let above = ancestors(name).skip(1).filter_map(|text| Name::from_canonical(text).ok());
        let mut between = above.take_while(|above| above.is_at_or_below(apex.as_name()));
        !between
            .any(|above| suffix::is_public(above) || self.never_silence.contains(&above.to_buf()))
    }
}

/// Selects the tags in effect from all that apply to something, given nearest first. `name` is the name that they
/// apply to, if it is one.
pub(super) fn effective<'t>(
    tags: Vec<&'t Tag>,
    name: Option<Name<'_>>,
    rules: &TagRules,
) -> Vec<&'t Tag> {
    let is_in_effect = |tag: &&Tag| overriding(tag, &tags, name, rules).is_none();
    if tags.len() <= 1 {
        return tags;
    }
    tags.iter().copied().filter(is_in_effect).collect()
}

/// Returns the tag that overrides `tag`, from all that apply to the same thing, given nearest first.
///
/// Interest is never overridden. Otherwise:
///
/// 1. The nearest threat or trust of an analyst overrides the opposite, of analysts and of feeds. Trust reaches only so
///    far, see [`TagRules`]; below that, the threat of a feed overrides it.
/// 2. Without one, a threat of a feed overrides the trust of feeds, which is evidence and silences nothing.
pub(super) fn overriding<'t>(
    tag: &Tag,
    nearest_first: &[&'t Tag],
    name: Option<Name<'_>>,
    rules: &TagRules,
) -> Option<&'t Tag> {
    let opposite = tag.kind.opposite()?;
    let own = nearest_first.iter().find(|tag| tag.is_own() && tag.kind.opposite().is_some());
    let feed_threat = || {
        let is_threat = |other: &&&Tag| {
            other.kind == TagKind::Threat
                && !other.is_own()
                && overriding(other, nearest_first, name, rules).is_none()
        };
        nearest_first.iter().find(is_threat).copied()
    };
    if tag.is_own() {
        let own = own.copied().filter(|own| own.kind == opposite);
        let is_beyond = || {
            tag.kind == TagKind::Trust
                && name.is_some_and(|name| !rules.reaches(&tag.subject, name))
        };
        return own.or_else(|| feed_threat().filter(|_| is_beyond()));
    }
    if let Some(&own) = own {
        let silenced = match tag.subject.name().map(|name| name.as_name()) {
            Some(listed) if tag.subject.is_within(&own.subject) => Some(listed),
            _ => name,
        };
        let is_reached = own.kind == TagKind::Threat
            || silenced.is_none_or(|silenced| rules.reaches(&own.subject, silenced));
        if is_reached {
            return (own.kind == opposite).then_some(own);
        }
    }
    if tag.kind == TagKind::Threat { None } else { feed_threat() }
}
