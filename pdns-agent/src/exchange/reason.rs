//! The reasons why a subject is listed, in words, and the words by which our own lists are recognized.

use crate::indicator::Indicator;
use crate::query::ExportItem;
use crate::tag::{Tag, TagSubject};

/// Mark of an indicator that holds only under further conditions: a label in STIX, a tag in MISP.
pub(super) const CONDITIONAL: &str = "pdns:conditional";

/// Tag in MISP of a name that stands for all names below it, too.
pub(super) const BELOW: &str = "pdns:below";
/// Start of the comment on such an attribute.
pub(super) const BELOW_COMMENT: &str = "and all names below it";
/// Start of the tag in MISP with the confidence, which follows in quotes.
pub(super) const CONFIDENCE: &str = "pdns:confidence=";
/// Start of the tag in MISP with a label that has a colon, which follows in quotes.
pub(super) const LABEL: &str = "pdns:label=";
/// Name of the source of links to pages of our own, in STIX.
pub(super) const PAGE: &str = "pdns";

/// Joins the words of a text on one line: words end at spaces and control characters.
pub(super) fn words(text: &str) -> String {
    let words = text.split(|char: char| char.is_whitespace() || char.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Describes all reasons: `threat: note (anna); interest on .bad.example (feed)`. Names of analysts are for the site
/// itself; they are left out unless `with_authors`.
pub(super) fn reasons(listed: &ExportItem<'_>, with_authors: bool) -> String {
    let tags = listed.tags.iter().map(|tag| of_tag(tag, &listed.subject, with_authors));
    let indicators = listed.indicators.iter().map(|one| of_indicator(one, &listed.subject));
    tags.chain(indicators).collect::<Vec<_>>().join("; ")
}

/// Describes a tag: kind, the domain that it is on, note, author and source.
fn of_tag(tag: &Tag, subject: &TagSubject, with_authors: bool) -> String {
    let author = if with_authors { tag.author.as_str() } else { "" };
    let on = (tag.subject != *subject).then_some(&tag.subject);
    described(tag.kind.name(), on, &tag.note, &[author, &tag.source])
}

/// Describes an indicator: kind, the domain that it is on, labels, note and source.
fn of_indicator(one: &Indicator, subject: &TagSubject) -> String {
    let on = (one.subject != *subject).then_some(&one.subject);
    let labels = one.labels.join(", ");
    let said: Vec<&str> =
        [labels.as_str(), &one.note].into_iter().filter(|text| !text.is_empty()).collect();
    let condition = if one.is_conditional { "conditional " } else { "" };
    described(&format!("{condition}{}", one.kind), on, &said.join(": "), &[&one.source])
}

/// The note on a subject for formats that have other fields for the rest: of a single reason its note, which may be
/// empty; of several, all reasons.
pub(super) fn note(listed: &ExportItem<'_>) -> String {
    match (listed.tags.as_slice(), listed.indicators.as_slice()) {
        ([tag], []) if tag.subject == listed.subject => words(&tag.note),
        ([], [one]) if one.subject == listed.subject => words(&one.note),
        _ => reasons(listed, false),
    }
}

fn described(kind: &str, on: Option<&TagSubject>, note: &str, by: &[&str]) -> String {
    let on = on.map(|on| format!(" on {on}")).unwrap_or_default();
    let note = match words(note) {
        note if note.is_empty() => note,
        note => format!(": {note}"),
    };
    let by: Vec<String> =
        by.iter().map(|text| words(text)).filter(|text| !text.is_empty()).collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    format!("{kind}{on}{note}{by}")
}
