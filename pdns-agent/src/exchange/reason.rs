//! The reasons why a subject is listed, in words.

use crate::indicator::Indicator;
use crate::query::ExportItem;
use crate::tag::{Tag, TagSubject};

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
    described(one.kind.name(), on, &said.join(": "), &[&one.source])
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
