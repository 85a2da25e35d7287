//! JSON lines: an object per subject, with the verdict, all reasons, and what was seen.

use super::PageUrl;
use super::reason::note;
use crate::indicator::Indicator;
use crate::query::{ExportItem, typed_tag};
use crate::render::{ascii_json, iso};
use crate::tag::{Tag, TagSubject};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Writes a subject: `{"subject":".bad.example","form":"domain","verdict":"threat","confidence":100,"tlp":"amber",...}`.
/// What stands beside the verdict sums the reasons up. Times are RFC 3339 in UTC. `count`, `time_first` and `time_last` cover at most the records that an export reads.
pub(super) fn line(
    listed: &ExportItem<'_>,
    page: Option<&PageUrl>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let form = match &listed.subject {
        TagSubject::Name(_) => "name",
        TagSubject::Below(_) => "domain",
        TagSubject::Net(net) if net.prefix_len() == net.max_prefix_len() => "address",
        TagSubject::Net(_) => "prefix",
    };
    let (first, last) = listed.times();
    let mut object = json!({
        "subject": typed_tag(&listed.subject),
        "form": form,
        "verdict": listed.kind().name(),
        "conditional": listed.is_conditional(),
        "confidence": listed.confidence,
        "tlp": listed.tlp.name(),
        "labels": listed.labels(),
        "reference": listed.reference(),
        "note": note(listed),
        "first_listed": iso(first),
        "last_listed": iso(last),
        "valid_until": listed.valid_until().map(iso),
        "tags": listed.tags.iter().map(|tag| of_tag(tag)).collect::<Vec<_>>(),
        "indicators": listed.indicators.iter().map(of_indicator).collect::<Vec<_>>(),
    });
    if let (Some(seen), Some(object)) = (&listed.seen, object.as_object_mut()) {
        let seen = json!({
            "count": seen.count,
            "time_first": iso(seen.time_first),
            "time_last": iso(seen.time_last),
            "sensors": seen.sensors,
        });
        object.insert("seen".to_owned(), seen);
    }
    if let (Some(page), Some(object)) = (page, object.as_object_mut()) {
        object.insert("url".to_owned(), page.of(&listed.subject).into());
    }
    ascii_json(&object, out)?;
    out.write_all(b"\n")
}

fn of_tag(tag: &Tag) -> Value {
    json!({
        "kind": tag.kind.name(),
        "subject": tag.subject.to_string(),
        "note": tag.note,
        "source": tag.source,
        "author": tag.author,
        "time": iso(tag.time),
    })
}

fn of_indicator(one: &Indicator) -> Value {
    json!({
        "kind": one.kind.name(),
        "subject": one.subject.to_string(),
        "source": one.source,
        "confidence": one.confidence,
        "first_listed": iso(one.first_listed),
        "last_listed": iso(one.last_listed),
        "valid_until": one.valid_until.map(iso),
        "labels": one.labels,
        "reference": one.reference,
        "note": one.note,
        "tlp": one.tlp.map(crate::indicator::Tlp::name),
        "is_conditional": one.is_conditional,
    })
}
