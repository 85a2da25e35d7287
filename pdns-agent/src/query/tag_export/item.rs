//! One subject of a list, with the reasons why it is listed.
//!
//! Part of [`super::tag_export`].

use crate::indicator::{Indicator, MAX_CONFIDENCE, Sighting, Tlp};
use crate::record::StoredRecord;
use crate::tag::{Tag, TagKind, TagSubject};
use std::collections::BTreeSet;

/// A subject to list, with the reasons and what the store has seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportItem<'t> {
    /// The subject to list.
    pub subject: TagSubject,
    /// Tags that are reasons, worst kind first. They may be tags on a domain above the subject.
    pub tags: Vec<&'t Tag>,
    /// Indicators that are reasons. There is at least one tag or indicator.
    pub indicators: Vec<Indicator>,
    /// The sum of its records in the store; `None` if it was not looked up, or there is nothing.
    pub seen: Option<Sighting>,
    /// Records of the subject, latest seen first; at most [`super::MAX_RECORDS`], and none unless they were asked for.
    pub records: Vec<StoredRecord>,
    /// The strongest restriction on sharing among the reasons.
    pub tlp: Tlp,
    /// Confidence of the verdict, 0 to [`MAX_CONFIDENCE`].
    pub confidence: u8,
}

impl<'t> ExportItem<'t> {
    /// A subject that nothing was looked up for. A tag has no restriction of its own, nor have some indicators:
    /// `default_tlp` applies to them. What an analyst says is sure.
    #[must_use]
    pub fn new(
        subject: TagSubject,
        tags: Vec<&'t Tag>,
        indicators: Vec<Indicator>,
        default_tlp: Tlp,
    ) -> Self {
        let of_tags = tags.first().map(|_| default_tlp);
        let of_indicators = indicators.iter().map(|one| one.tlp.unwrap_or(default_tlp));
        let tlp = of_indicators.chain(of_tags).max().unwrap_or(default_tlp);
        let confidence = match tags.first() {
            Some(_) => MAX_CONFIDENCE,
            None => indicators.iter().map(|one| one.confidence_now).max().unwrap_or(0),
        };
        Self { subject, tags, indicators, seen: None, records: Vec::new(), tlp, confidence }
    }

    /// The kind of the verdict: what analysts say before what sources say, and of these the worst.
    #[must_use]
    pub fn kind(&self) -> TagKind {
        let of_tags = self.tags.iter().map(|tag| tag.kind).min();
        let of_indicators = self.indicators.iter().map(|one| one.kind).min();
        of_tags.or(of_indicators).unwrap_or(TagKind::Interest)
    }

    /// Returns true if analysts trust the subject, or, where they say nothing, sources do and none calls it a threat.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        if self.tags.is_empty() {
            return self.kind() == TagKind::Trust;
        }
        self.tags.iter().any(|tag| tag.kind == TagKind::Trust)
    }

    /// Returns true if the verdict holds only under further conditions: each reason for it has some.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        let kind = self.kind();
        let mut reasons = self.indicators.iter().filter(|one| one.kind == kind);
        self.tags.is_empty() && reasons.all(|one| one.is_conditional)
    }

    /// The labels of all reasons, sorted, each once.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<&str> {
        let labels = self.indicators.iter().flat_map(|one| &one.labels).map(String::as_str);
        labels.filter(|label| !label.is_empty()).collect()
    }

    /// The first reference among the reasons; empty if there is none.
    #[must_use]
    pub fn reference(&self) -> &str {
        let mut references = self.indicators.iter().map(|one| one.reference.as_str());
        references.find(|reference| !reference.is_empty()).unwrap_or_default()
    }

    /// The time when all reasons have ended, in seconds since the epoch; `None` if one of them has no end, such as a tag.
    #[must_use]
    pub fn valid_until(&self) -> Option<u32> {
        if !self.tags.is_empty() {
            return None;
        }
        let ends: Option<Vec<u32>> = self.indicators.iter().map(|one| one.valid_until).collect();
        ends?.into_iter().max()
    }

    /// The times of the earliest and of the latest reason, in seconds since the epoch.
    #[must_use]
    pub fn times(&self) -> (u32, u32) {
        let of_tags = self.tags.iter().map(|tag| (tag.time, tag.time));
        let of_indicators = self.indicators.iter().map(|one| (one.first_listed, one.last_listed));
        let times =
            of_tags.chain(of_indicators).reduce(|(first, last), (other_first, other_last)| {
                (first.min(other_first), last.max(other_last))
            });
        times.map_or((0, 0), |(first, last)| (first, last.max(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indicator(kind: TagKind, confidence: u8, tlp: Option<Tlp>) -> Indicator {
        Indicator {
            source: "feed".to_owned(),
            subject: TagSubject::Net("192.0.2.7/32".parse().unwrap()),
            kind,
            confidence,
            confidence_now: confidence,
            first_listed: 100,
            last_listed: 200,
            valid_until: None,
            labels: Vec::new(),
            reference: String::new(),
            note: String::new(),
            tlp,
            is_conditional: false,
        }
    }

    #[test]
    fn the_strongest_restriction_and_the_analysts_word_count() {
        let subject = TagSubject::Net("192.0.2.7/32".parse().unwrap());
        let item =
            |tags, indicators| ExportItem::new(subject.clone(), tags, indicators, Tlp::Amber);
        let feeds = vec![
            indicator(TagKind::Threat, 40, Some(Tlp::Green)),
            indicator(TagKind::Interest, 60, Some(Tlp::Clear)),
        ];
        let one = item(Vec::new(), feeds.clone());
        assert_eq!((one.tlp, one.confidence, one.kind()), (Tlp::Green, 60, TagKind::Threat));
        assert_eq!(one.times(), (100, 200));
        let tag = Tag { time: 50, ..Tag::new(TagKind::Trust, subject.clone()) };
        let one = item(vec![&tag], feeds);
        assert_eq!((one.tlp, one.confidence, one.kind()), (Tlp::Amber, 100, TagKind::Trust));
        assert!(one.is_trusted());
        assert_eq!(one.times(), (50, 200));
        let one = item(Vec::new(), vec![indicator(TagKind::Threat, 40, None)]);
        assert_eq!(one.tlp, Tlp::Amber);
    }
}
