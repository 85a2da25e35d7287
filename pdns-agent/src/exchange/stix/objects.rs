//! STIX objects, each with the UUID in its identifier.

use super::ids::Identity;
use super::pattern;
use crate::exchange::PageUrl;
use crate::exchange::reason::{CONDITIONAL, PAGE, note};
use crate::exchange::uuid::Uuid;
use crate::indicator::{Indicator, Sighting};
use crate::query::{ExportItem, typed_tag};
use crate::rdata::{FinalDot, Rdata};
use crate::record::StoredRecord;
use crate::render::iso;
use crate::tag::TagKind;
use serde_json::{Value, json};

/// The highest number of a sighting or of observed data (STIX 2.1 §4.14, §5.2).
const MAX_COUNT: u64 = 999_999_999;

/// A time with milliseconds, as properties common to all objects have it.
pub(super) fn time(at: u32) -> String {
    iso(at).replace('Z', ".000Z")
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// The indicator of a subject.
pub(super) fn indicator(
    identity: &Identity,
    listed: &ExportItem<'_>,
    marking: &str,
    page: Option<&PageUrl>,
) -> (Uuid, Value) {
    let kind = listed.kind();
    let uuid = identity.indicator(&listed.subject, kind);
    let (first, last) = listed.times();
    let kind_of_indicator = match kind {
        TagKind::Threat => "malicious-activity",
        TagKind::Interest => "anomalous-activity",
        TagKind::Trust => "benign",
    };
    let mut labels = listed.labels();
    if listed.is_conditional() {
        labels.insert(CONDITIONAL);
    }
    // An object should have a description; one that repeats the name says that there is no note.
    let name = typed_tag(&listed.subject);
    let description = Some(note(listed)).filter(|note| !note.is_empty());
    let mut object = json!({
        "type": "indicator",
        "spec_version": "2.1",
        "id": format!("indicator--{uuid}"),
        "created_by_ref": identity.id(),
        "created": time(first),
        "modified": time(last),
        "name": name,
        "description": description.as_ref().unwrap_or(&name),
        "indicator_types": [kind_of_indicator],
        "pattern": pattern::of(&listed.subject),
        "pattern_type": "stix",
        "pattern_version": "2.1",
        "valid_from": time(first),
        "confidence": listed.confidence,
        "object_marking_refs": [marking],
    });
    // The list must not be empty.
    if !labels.is_empty() {
        set(&mut object, "labels", json!(labels));
    }
    if let Some(until) = listed.valid_until().filter(|until| *until > first) {
        set(&mut object, "valid_until", time(until).into());
    }
    let mut references: Vec<Value> = listed.indicators.iter().map(source).collect();
    if let Some(page) = page {
        references.push(json!({ "source_name": PAGE, "url": page.of(&listed.subject) }));
    }
    if !references.is_empty() {
        set(&mut object, "external_references", references.into());
    }
    (uuid, object)
}

/// The source of an indicator, with its reference.
fn source(one: &Indicator) -> Value {
    let name = if one.source.is_empty() { "unknown" } else { &one.source };
    match one.reference.as_str() {
        "" => json!({ "source_name": name, "description": "listed without a reference" }),
        // A URL from a feed may be none by the rules of RFC 3986.
        reference => json!({ "source_name": name, "external_id": reference }),
    }
}

/// A record as observed data.
pub(super) fn observed_data(
    identity: &Identity,
    record: &StoredRecord,
    rdata: Rdata<'_>,
    refs: &[&str],
    marking: &str,
) -> (Uuid, Value) {
    let seen = &record.seen;
    let uuid = identity.uuid(&json!({
        "rrname": record.rrname.as_str(),
        "rrtype": rdata.rrtype.to_string(),
        "rdata": rdata.to_text(FinalDot::Without),
    }));
    let object = json!({
        "type": "observed-data",
        "spec_version": "2.1",
        "id": format!("observed-data--{uuid}"),
        "created_by_ref": identity.id(),
        "created": time(seen.time_first),
        "modified": time(seen.time_last.max(seen.time_first)),
        "first_observed": time(seen.time_first),
        "last_observed": time(seen.time_last.max(seen.time_first)),
        "number_observed": seen.count.clamp(1, MAX_COUNT),
        "object_refs": refs,
        "object_marking_refs": [marking],
    });
    (uuid, object)
}

/// A relationship: source, type, target.
pub(super) fn relationship(
    identity: &Identity,
    [source, kind, target]: [&str; 3],
    (created, modified): (u32, u32),
    marking: &str,
) -> (Uuid, Value) {
    let uuid = identity.uuid(&json!({ "source": source, "relationship": kind, "target": target }));
    let object = json!({
        "type": "relationship",
        "spec_version": "2.1",
        "id": format!("relationship--{uuid}"),
        "created_by_ref": identity.id(),
        "created": time(created),
        "modified": time(modified.max(created)),
        "relationship_type": kind,
        "source_ref": source,
        "target_ref": target,
        "object_marking_refs": [marking],
    });
    (uuid, object)
}

/// Adds the time in which a relationship held. It must not stop when it starts.
pub(super) fn set_span(relationship: &mut Value, (first, last): (u32, u32)) {
    set(relationship, "start_time", time(first).into());
    if last > first {
        set(relationship, "stop_time", time(last).into());
    }
}

/// A sighting of an indicator by the identity.
pub(super) fn sighting(
    identity: &Identity,
    of: &str,
    seen: &Sighting,
    observed: &[String],
    marking: Option<&str>,
) -> (Uuid, Value) {
    let uuid = identity.uuid(&json!({ "sighting": of }));
    let last = seen.time_last.max(seen.time_first);
    let mut object = json!({
        "type": "sighting",
        "spec_version": "2.1",
        "id": format!("sighting--{uuid}"),
        "created_by_ref": identity.id(),
        "created": time(seen.time_first),
        "modified": time(last),
        "first_seen": time(seen.time_first),
        "last_seen": time(last),
        "count": seen.count.min(MAX_COUNT),
        "sighting_of_ref": of,
        "where_sighted_refs": [identity.id()],
    });
    if !observed.is_empty() {
        set(&mut object, "observed_data_refs", observed.into());
    }
    if let Some(marking) = marking {
        set(&mut object, "object_marking_refs", json!([marking]));
    }
    (uuid, object)
}
