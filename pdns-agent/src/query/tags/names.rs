//! Index of tags by name.
//!
//! Part of [`super::TagSet`]. The tables hold indexes into the tags, not texts.

use crate::tag::{Tag, TagSubject};
use hashbrown::HashTable;
use std::hash::{BuildHasher as _, RandomState};

/// Index of the first tag on each name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Tags on the name itself.
    own: HashTable<u32>,
    /// Tags on the name and everything below it.
    below: HashTable<u32>,
    hasher: RandomState,
}

impl Names {
    /// Indexes tags, which must be in order.
    pub(super) fn of(tags: &[Tag]) -> Self {
        let own = tags.partition_point(|tag| matches!(tag.subject, TagSubject::Name(_)));
        let all = tags.partition_point(|tag| !matches!(tag.subject, TagSubject::Net(_)));
        let mut names = Self {
            own: HashTable::with_capacity(own),
            below: HashTable::with_capacity(all - own),
            hasher: RandomState::new(),
        };
        let mut last = None;
        for (place, tag) in (0..).zip(tags.iter().take(all)) {
            // Further kinds of tags on the same subject follow the first.
            if last.replace(&tag.subject) == Some(&tag.subject) {
                continue;
            }
            let Some((is_below, text)) = name(tag) else { continue };
            let hash = names.hasher.hash_one(text);
            let table = if is_below { &mut names.below } else { &mut names.own };
            // The table has room for all of them.
            table.insert_unique(hash, place, |_| hash);
        }
        names
    }

    /// Returns the tags on a name itself.
    pub(super) fn own<'s>(&self, tags: &'s [Tag], text: &str) -> &'s [Tag] {
        self.find(&self.own, false, tags, text)
    }

    /// Returns the tags on a name and everything below it.
    pub(super) fn below<'s>(&self, tags: &'s [Tag], text: &str) -> &'s [Tag] {
        self.find(&self.below, true, tags, text)
    }

    /// Returns true if any tag is on a name and everything below it.
    pub(super) fn has_below(&self) -> bool {
        !self.below.is_empty()
    }

    fn find<'s>(
        &self,
        table: &HashTable<u32>,
        is_below: bool,
        tags: &'s [Tag],
        text: &str,
    ) -> &'s [Tag] {
        if table.is_empty() {
            return &[];
        }
        let is_it = |tag: &Tag| name(tag) == Some((is_below, text));
        let is_at = |place: &u32| tags.get(*place as usize).is_some_and(is_it);
        let Some(&first) = table.find(self.hasher.hash_one(text), is_at) else { return &[] };
        let rest = tags.get(first as usize..).unwrap_or_default();
        let count = rest.iter().take_while(|tag| is_it(tag)).count();
        rest.get(..count).unwrap_or_default()
    }
}

/// Returns the name that a tag is on, with true if the tag also covers everything below it.
fn name(tag: &Tag) -> Option<(bool, &str)> {
    match &tag.subject {
        TagSubject::Name(name) => Some((false, name.as_str())),
        TagSubject::Below(name) => Some((true, name.as_str())),
        TagSubject::Net(_) => None,
    }
}
