//! Precedence among tags: nearer before wider, at each end of a record separately.
//!
//! Part of [`super::TagSet`]. Everything that shows, filters, exports or compares by tags goes through [`effective`]. The
//! `docs/tags-and-intel.md` has the rule as a table of examples, and a test reads them from there.

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
    /// Its name, as every format has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rrname => "rrname",
            Self::Rdata => "rdata",
        }
    }
}

/// The tags in effect on both ends of a record, the nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowTags<'t> {
    /// Those of the owner name.
    pub rrname: Vec<&'t Tag>,
    /// Those of the address or name in the RDATA.
    pub rdata: Vec<&'t Tag>,
}

impl<'t> RowTags<'t> {
    /// Whether neither end has a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rrname.is_empty() && self.rdata.is_empty()
    }

    /// The tags of one end.
    #[must_use]
    pub fn at(&self, end: End) -> &[&'t Tag] {
        match end {
            End::Rrname => &self.rrname,
            End::Rdata => &self.rdata,
        }
    }

    /// All of them with their end; a tag that is in effect on both ends comes twice.
    pub fn each(&self) -> impl Iterator<Item = (End, &'t Tag)> {
        let of = |end| self.at(end).iter().map(move |&tag| (end, tag));
        of(End::Rrname).chain(of(End::Rdata))
    }
}

/// The kind that decides between threat and trust: that of the nearest tag which is one of them.
fn verdict(tags: &[&Tag]) -> Option<TagKind> {
    tags.iter().map(|tag| tag.kind).find(|kind| kind.opposite().is_some())
}

/// The tags in effect among all that hold for something, given nearest first: of threat and trust only the kind of
/// the nearest. Interest stands beside either.
pub(super) fn effective(mut tags: Vec<&Tag>) -> Vec<&Tag> {
    let overridden = verdict(&tags).and_then(TagKind::opposite);
    tags.retain(|tag| Some(tag.kind) != overridden);
    tags
}

/// Whether a nearer tag among those that hold for the same thing overrides `tag`.
#[must_use]
pub fn is_overridden(tag: &Tag, nearest_first: &[&Tag]) -> bool {
    verdict(nearest_first).and_then(TagKind::opposite) == Some(tag.kind)
}
