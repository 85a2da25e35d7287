//! Conditions on the reasons why a subject is listed, and on sharing it.
//!
//! Part of [`super::tag_export`].

use super::ExportItem;
use crate::indicator::{Indicator, Tlp};
use crate::tag::{Tag, TagSubject};

/// Conditions on listed subjects; the default lets every subject pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportConditions {
    /// Sources of which at least one must be a reason; empty for any.
    pub sources: Vec<String>,
    /// Minimum confidence of the verdict.
    pub confidence_min: u8,
    /// A reason must have been set or listed at this second or later.
    pub listed_after: Option<u32>,
    /// True for subjects that the store has records of.
    pub only_seen: bool,
    /// Subjects with a stronger restriction are held back.
    pub max_tlp: Tlp,
    /// Restriction of reasons that have none.
    pub default_tlp: Tlp,
}

impl Default for ExportConditions {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            confidence_min: 0,
            listed_after: None,
            only_seen: false,
            max_tlp: Tlp::Red,
            default_tlp: Tlp::Amber,
        }
    }
}

impl ExportConditions {
    fn admits_reason(&self, source: &str, time: u32) -> bool {
        (self.sources.is_empty() || self.sources.iter().any(|wanted| wanted == source))
            && self.listed_after.is_none_or(|after| time >= after)
    }

    /// Makes an item of a subject and those reasons that pass; `None` if none does, or the confidence is too low.
    pub(super) fn item<'t>(
        &self,
        subject: TagSubject,
        tags: Vec<&'t Tag>,
        indicators: Vec<Indicator>,
    ) -> Option<ExportItem<'t>> {
        let (mut tags, mut indicators) = (tags, indicators);
        tags.retain(|tag| self.admits_reason(&tag.source, tag.time));
        indicators.retain(|one| self.admits_reason(&one.source, one.last_listed));
        if tags.is_empty() && indicators.is_empty() {
            return None;
        }
        let item = ExportItem::new(subject, tags, indicators, self.default_tlp);
        Some(item).filter(|item| item.confidence >= self.confidence_min)
    }
}
