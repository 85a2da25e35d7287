//! A MISP event of all subjects, and the files of a MISP feed with this event.
//!
//! Each subject is an attribute, each of its records an object of the template `passive-dns`. The event has the same
//! UUID each time, and so have its attributes and objects, so that MISP updates the event that it knows. A feed is a
//! directory of `manifest.json`, `hashes.csv` and a file `UUID.json` per event.
//!
//! For what an attribute has no member for, such as the kind or the confidence, there are tags in a namespace of our own
//! (`pdns:`), which the reader beside knows. References and ends have no place.

use super::host_name::is_plain;
use super::reason::{BELOW, BELOW_COMMENT, CONDITIONAL, CONFIDENCE, LABEL, note};
use super::stix::Identity;
use crate::indicator::Tlp;
use crate::name::suffix;
use crate::observation::Fact;
use crate::query::{DAY, ExportItem};
use crate::rdata::FinalDot;
use crate::record::StoredRecord;
use crate::render::{ascii_json, date, iso};
use crate::tag::{TagKind, TagSubject};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write};

/// The template of objects (misp-objects, `passive-dns`).
const TEMPLATE: &str = "b77b7b1c-66ab-4a41-8da4-83810f6d2d6c";
/// Its version.
const TEMPLATE_VERSION: &str = "5";
/// Title of the event.
const INFO: &str = "Names and addresses from passive DNS";

/// An event in progress.
pub(super) struct Event {
    identity: Identity,
    uuid: String,
    /// Names of the sensors by their number.
    sensors: Vec<String>,
    /// Attributes, which stand behind the objects.
    attributes: Vec<u8>,
    objects: HashSet<String>,
    hashes: Vec<[u8; 16]>,
    tlp: Tlp,
    /// The time of the latest reason.
    time: u32,
}

/// The UUID of the event that an identity exports.
fn event_uuid(identity: &Identity) -> String {
    identity.uuid(&json!({ "event": "export" })).to_string()
}

/// The name of the event's file in a feed.
pub(super) fn file_name(identity: &str) -> String {
    format!("{}.json", event_uuid(&Identity::new(identity)))
}

/// Returns true if an event can hold a subject: MISP refuses attributes that are not valid.
pub(super) fn admits(subject: &TagSubject) -> bool {
    subject.name().is_none_or(|name| is_plain(name.as_name()) && name.as_str().contains('.'))
}

impl Event {
    /// Creates an event of the identity with this name.
    pub(super) fn new(identity: &str, sensors: Vec<String>) -> Self {
        let identity = Identity::new(identity);
        Self {
            uuid: event_uuid(&identity),
            identity,
            sensors,
            attributes: Vec::new(),
            objects: HashSet::new(),
            hashes: Vec::new(),
            tlp: Tlp::Clear,
            time: 0,
        }
    }

    /// Writes the head.
    pub(super) fn begin(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{\"Event\":{\"Object\":[")
    }

    /// Writes the records of a subject, and keeps its attribute.
    pub(super) fn item(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (_, time) = listed.times();
        (self.tlp, self.time) = (self.tlp.max(listed.tlp), self.time.max(time));
        let attribute = self.attribute(listed, time);
        if !self.attributes.is_empty() {
            self.attributes.extend_from_slice(b",\n");
        }
        ascii_json(&attribute, &mut self.attributes)?;
        for record in &listed.records {
            let Some((uuid, object)) = self.object(record) else { continue };
            let is_first = self.objects.is_empty();
            if self.objects.insert(uuid) {
                out.write_all(if is_first { b"\n" } else { b",\n" })?;
                ascii_json(&object, out)?;
            }
        }
        Ok(())
    }

    /// Writes the attributes and what is known of the event at its end.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"],\n\"Attribute\":[\n")?;
        out.write_all(&std::mem::take(&mut self.attributes))?;
        out.write_all(b"]")?;
        let mut rest = self.summary();
        if let Some(rest) = rest.as_object_mut() {
            rest.insert("uuid".to_owned(), self.uuid.clone().into());
            rest.insert("published".to_owned(), true.into());
            // The organisation alone, until the reader says otherwise.
            rest.insert("distribution".to_owned(), "0".into());
            rest.insert("publish_timestamp".to_owned(), self.time.to_string().into());
            for (name, value) in rest {
                out.write_all(b",\n")?;
                ascii_json(name, out)?;
                out.write_all(b":")?;
                ascii_json(value, out)?;
            }
        }
        out.write_all(b"}}\n")
    }

    /// Writes the feed's `manifest.json`: the event, unless there is nothing in it.
    pub(super) fn manifest(&self, out: &mut dyn Write) -> io::Result<()> {
        let manifest = if self.hashes.is_empty() {
            json!({})
        } else {
            json!({ self.uuid.as_str(): self.summary() })
        };
        ascii_json(&manifest, out)?;
        out.write_all(b"\n")
    }

    /// Writes the feed's `hashes.csv`: the MD5 of each value and the event that has it.
    pub(super) fn hashes(&self, out: &mut dyn Write) -> io::Result<()> {
        for hash in &self.hashes {
            writeln!(out, "{},{}", crate::hex::encode(hash), self.uuid)?;
        }
        Ok(())
    }

    /// The manifest's entry of the event.
    fn summary(&self) -> Value {
        json!({
            "info": INFO,
            "Orgc": {
                "name": self.identity.name(),
                "uuid": self.identity.own_uuid().to_string(),
            },
            "Tag": [tag(self.tlp)],
            "date": date(self.time / DAY),
            "analysis": "2",
            "threat_level_id": "4",
            "timestamp": self.time.to_string(),
        })
    }

    fn attribute(&mut self, listed: &ExportItem<'_>, time: u32) -> Value {
        let (kind, value) = match &listed.subject {
            TagSubject::Name(name) => {
                let is_domain = suffix::registrable(name.as_name()) == Some(name.as_name());
                (if is_domain { "domain" } else { "hostname" }, name.to_string())
            }
            TagSubject::Below(name) => ("domain", name.to_string()),
            TagSubject::Net(net) if net.prefix_len() == net.max_prefix_len() => {
                ("ip-dst", net.addr().to_string())
            }
            TagSubject::Net(net) => ("ip-dst", net.to_string()),
        };
        self.hashes.push(Md5::digest(value.as_bytes()).into());
        let note = note(listed);
        let comment = match &listed.subject {
            TagSubject::Below(_) if note.is_empty() => BELOW_COMMENT.to_owned(),
            TagSubject::Below(_) => format!("{BELOW_COMMENT}; {note}"),
            _ => note,
        };
        let verdict = listed.kind();
        let uuid = self.identity.indicator(&listed.subject, verdict);
        let mut attribute = json!({
            "uuid": uuid.to_string(),
            "type": kind,
            "category": "Network activity",
            // What MISP hands to sensors and firewalls.
            "to_ids": verdict == TagKind::Threat && !listed.is_conditional(),
            "value": value,
            "comment": comment,
            "timestamp": time.to_string(),
            "distribution": "5",
            "disable_correlation": false,
            "Tag": tags(listed),
        });
        if let (Some(seen), Some(attribute)) = (&listed.seen, attribute.as_object_mut()) {
            attribute.insert("first_seen".to_owned(), iso(seen.time_first).into());
            attribute
                .insert("last_seen".to_owned(), iso(seen.time_last.max(seen.time_first)).into());
        }
        attribute
    }

    /// A record as an object of the template `passive-dns`.
    fn object(&self, record: &StoredRecord) -> Option<(String, Value)> {
        let Fact::Record(rdata) = record.fact.as_fact() else { return None };
        let seen = &record.seen;
        let (rrname, rrtype) = (record.rrname.to_string(), rdata.rrtype.to_string());
        let text = rdata.to_text(FinalDot::Without);
        let key = json!({ "rrname": rrname, "rrtype": rrtype, "rdata": text });
        let uuid = self.identity.uuid(&key).to_string();
        let last = seen.time_last.max(seen.time_first);
        let mut fields = vec![
            ("rrname", "text", rrname),
            ("rrtype", "text", rrtype),
            ("rdata", "text", text),
            ("time_first", "datetime", iso(seen.time_first)),
            ("time_last", "datetime", iso(last)),
            ("count", "counter", seen.count.to_string()),
        ];
        let sensors: Vec<&str> = record.sensors.names(&self.sensors).collect();
        if !sensors.is_empty() {
            fields.push(("sensor_id", "text", sensors.join(",")));
        }
        let attributes: Vec<Value> = fields
            .into_iter()
            .map(|(relation, kind, value)| {
                let own = self.identity.uuid(&json!({ "object": uuid, "relation": relation }));
                json!({
                    "uuid": own.to_string(),
                    "type": kind,
                    "category": "Other",
                    "object_relation": relation,
                    "to_ids": false,
                    "value": value,
                    "timestamp": last.to_string(),
                    "distribution": "5",
                    "disable_correlation": !matches!(relation, "rrname" | "rdata"),
                })
            })
            .collect();
        let object = json!({
            "uuid": uuid,
            "name": "passive-dns",
            "meta-category": "network",
            "template_uuid": TEMPLATE,
            "template_version": TEMPLATE_VERSION,
            "timestamp": last.to_string(),
            "distribution": "5",
            "first_seen": iso(seen.time_first),
            "last_seen": iso(last),
            "Attribute": attributes,
        });
        Some((uuid, object))
    }
}

/// The tags of an attribute.
fn tags(listed: &ExportItem<'_>) -> Vec<Value> {
    let mut names = vec![format!("pdns:{}", listed.kind())];
    if matches!(listed.subject, TagSubject::Below(_)) {
        names.push(BELOW.to_owned());
    }
    if listed.is_conditional() {
        names.push(CONDITIONAL.to_owned());
    }
    names.push(format!("{CONFIDENCE}\"{}\"", listed.confidence));
    let sources: BTreeSet<&str> = listed.indicators.iter().map(|one| one.source.as_str()).collect();
    names.extend(sources.iter().map(|source| format!("pdns:source=\"{source}\"")));
    // A name with a colon would belong to a taxonomy.
    let name = |label: &str| {
        if label.contains(':') { format!("{LABEL}\"{label}\"") } else { label.to_owned() }
    };
    names.extend(listed.labels().into_iter().map(name));
    let own = names.into_iter().map(|name| json!({ "name": name, "colour": "#4f5d75" }));
    std::iter::once(tag(listed.tlp)).chain(own).collect()
}

/// A restriction as MISP's taxonomy `tlp` has it.
fn tag(tlp: Tlp) -> Value {
    let colour = match tlp {
        Tlp::Clear => "#ffffff",
        Tlp::Green => "#339900",
        Tlp::Amber | Tlp::AmberStrict => "#ffc000",
        Tlp::Red => "#cc0033",
    };
    json!({ "name": format!("tlp:{tlp}"), "colour": colour })
}
