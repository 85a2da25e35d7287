//! Precedence of tags: nearer before wider, at each end of a record separately.
//!
//! Part of [`super::TagSet`]. Everything that shows, filters, exports or compares by tags uses [`effective`].
//! `docs/tags-and-intel.md` has the rule as a table of examples, which a test reads from there.

use crate::tag::{Tag, TagKind};

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

/// Returns the kind that decides between threat and trust: the kind of the nearest tag that is one of them.
fn verdict(tags: &[&Tag]) -> Option<TagKind> {
    tags.iter().map(|tag| tag.kind).find(|kind| kind.opposite().is_some())
}

/// Selects the tags in effect from all that apply to something, given nearest first: of threat and trust only
/// the kind of the nearest. Interest is independent of both.
pub(super) fn effective(mut tags: Vec<&Tag>) -> Vec<&Tag> {
    let overridden = verdict(&tags).and_then(TagKind::opposite);
    tags.retain(|tag| Some(tag.kind) != overridden);
    tags
}

/// Returns true if a nearer tag that applies to the same thing overrides `tag`.
#[must_use]
pub fn is_overridden(tag: &Tag, nearest_first: &[&Tag]) -> bool {
    verdict(nearest_first).and_then(TagKind::opposite) == Some(tag.kind)
}
