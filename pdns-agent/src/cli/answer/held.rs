//! Items of an answer that are held back until their tags are looked up together.

use crate::name::{Name, NameBuf};
use crate::query::{Group, GroupKey, NameSum, subjects_of_row};
use crate::record::StoredRecord;
use crate::render::{Item, Mark};
use crate::tag::TagSubject;

/// An item that is held back.
pub(super) enum HeldItem {
    Record(StoredRecord),
    Marked(StoredRecord, Mark, String),
    Sum(NameSum),
    Group(Group, &'static str),
    New(NameBuf, u32),
}

impl HeldItem {
    /// Copies an item that tags are shown beside; `None` for others.
    pub(super) fn of(item: &Item<'_>) -> Option<Self> {
        match *item {
            Item::Record(row) => Some(Self::Record(row.clone())),
            Item::Marked { row, name, mark } => {
                Some(Self::Marked(row.clone(), name, mark.to_owned()))
            }
            Item::Sum(sum) => Some(Self::Sum(sum.clone())),
            Item::Group { group, by } => Some(Self::Group(group.clone(), by)),
            Item::New { rrname, time_first } => {
                let name = Name::from_canonical(rrname).ok()?;
                Some(Self::New(name.to_buf(), time_first))
            }
            _ => None,
        }
    }

    pub(super) fn item(&self) -> Item<'_> {
        match self {
            Self::Record(row) => Item::Record(row),
            Self::Marked(row, name, mark) => Item::Marked { row, name: *name, mark },
            Self::Sum(sum) => Item::Sum(sum),
            Self::Group(group, by) => Item::Group { group, by },
            Self::New(name, time_first) => {
                Item::New { rrname: name.as_str(), time_first: *time_first }
            }
        }
    }

    /// Returns the subjects whose tags are shown beside the item.
    pub(super) fn tag_subjects(&self) -> Vec<TagSubject> {
        match self {
            Self::Record(row) | Self::Marked(row, ..) => subjects_of_row(row).collect(),
            Self::Sum(sum) => vec![TagSubject::Name(sum.rrname.clone())],
            Self::Group(group, _) => match &group.key {
                GroupKey::Name(name) => vec![TagSubject::Name(name.clone())],
                GroupKey::Address(address) => vec![TagSubject::address(*address)],
                GroupKey::RrType(_) | GroupKey::Depth(_) => Vec::new(),
            },
            Self::New(name, _) => vec![TagSubject::Name(name.clone())],
        }
    }
}
