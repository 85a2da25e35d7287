//! MISP events: one, a list, or the answer of its REST interface; also lists of attributes.
//!
//! What an event says of all its attributes, such as its TLP tag, follows them. So indicators wait for the end of the
//! event, up to a limit of memory.

use super::item::{IntelItem, Place, SkipReason};
use super::json::{self, Consumer, Key, Step, is_true, list, text};
use super::sink::{Details, Refusal, Sink, Stop, Subjects, Wanted, confidence, shown};
use super::when;
use crate::exchange::reason::{BELOW, BELOW_COMMENT, CONDITIONAL, CONFIDENCE, LABEL};
use crate::indicator::Tlp;
use crate::query::Scope;
use crate::tag::TagKind;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::BufRead;

/// Memory for indicators that wait, in bytes.
const MAX_WAITING: usize = 20 << 20;
/// Parts of the types of galaxies whose clusters are not malware, tools or actors.
const NOT_NAMES: [&str; 6] =
    ["attack-pattern", "course-of-action", "country", "sector", "target", "region"];

/// Reads events.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut reader =
        Reader { sink, event: Event::default(), waiting: VecDeque::new(), size: 0, number: 0 };
    json::read(input, &mut reader)?;
    reader.end_event()
}

/// Facts that an event states of all its attributes.
#[derive(Default)]
struct Event {
    info: String,
    uuid: String,
    marks: Details,
}

struct Waiting {
    details: Details,
    subjects: Subjects,
    size: usize,
}

struct Reader<'s, 'o> {
    sink: &'s mut Sink<'o>,
    event: Event,
    waiting: VecDeque<Waiting>,
    size: usize,
    number: u64,
}

impl Consumer for Reader<'_, '_> {
    fn step(&self, path: &[Key]) -> Step {
        match path {
            // The document, and an event in a list.
            [] | [Key::Index(_)] => Step::Enter,
            [.., Key::Name(parent), Key::Index(_)] => match parent.as_str() {
                "Attribute" | "Object" | "Tag" | "Galaxy" => Step::Take,
                "response" | "Event" => Step::Enter,
                _ => Step::Ignore,
            },
            [.., Key::Name(name)] => match name.as_str() {
                "response" | "Event" | "Attribute" | "Object" | "Tag" | "Galaxy" => Step::Enter,
                "info" | "uuid" | "Orgc" => Step::Take,
                _ => Step::Ignore,
            },
            [.., Key::Index(_)] => Step::Ignore,
        }
    }

    fn take(&mut self, path: &[Key], value: Value, is_cut: bool) -> Result<(), Stop> {
        match path {
            [.., Key::Name(parent), Key::Index(_)] => match parent.as_str() {
                "Attribute" => self.attribute(&value, is_cut)?,
                "Object" => self.object(&value, is_cut)?,
                "Tag" => add_tag(&value, &mut self.event.marks),
                _ => add_galaxy(&value, &mut self.event.marks),
            },
            [.., Key::Name(name)] => match (name.as_str(), json::scalar(&value)) {
                ("info", Some(text)) => self.event.info = text,
                ("uuid", Some(text)) => self.event.uuid = text,
                ("Orgc", _) if self.sink.summary.producer.is_none() => {
                    self.sink.summary.producer = text(&value, "name");
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self, path: &[Key]) -> Result<(), Stop> {
        match path {
            [.., Key::Name(name)] if name == "Event" => self.end_event(),
            // An event in a list that has no member "Event" around it.
            [Key::Index(_)] => self.end_event(),
            [.., Key::Name(parent), Key::Index(_)] if parent == "response" => self.end_event(),
            _ => Ok(()),
        }
    }
}

impl Reader<'_, '_> {
    fn object(&mut self, object: &Value, is_cut: bool) -> Result<(), Stop> {
        let is_deleted = is_true(object.get("deleted"));
        for attribute in list(object, "Attribute") {
            self.read_attribute(attribute, is_deleted)?;
        }
        if is_cut {
            let place = self.place(object);
            self.sink.problem(place, "", "the object is too large; its rest is skipped")?;
        }
        Ok(())
    }

    fn attribute(&mut self, attribute: &Value, is_cut: bool) -> Result<(), Stop> {
        if is_cut {
            let place = self.place(attribute);
            return self.sink.problem(place, "", "the attribute is too large");
        }
        self.read_attribute(attribute, false)
    }

    fn place(&mut self, value: &Value) -> Place {
        match text(value, "uuid") {
            Some(uuid) => Place::Object(shown(&uuid)),
            None => Place::Number(self.number),
        }
    }

    fn read_attribute(&mut self, attribute: &Value, is_deleted: bool) -> Result<(), Stop> {
        self.number += 1;
        let place = self.place(attribute);
        let kind = text(attribute, "type").unwrap_or_default();
        let value = text(attribute, "value").unwrap_or_default();
        let is_below =
            list(attribute, "Tag").iter().any(|tag| text(tag, "name").as_deref() == Some(BELOW));
        let scope = is_below.then_some(Scope::Below);
        if is_deleted || is_true(attribute.get("deleted")) {
            return self.revoke(attribute, &kind, &value, scope);
        }
        let mut details = details(attribute);
        if is_below && let Some(note) = details.note.strip_prefix(BELOW_COMMENT) {
            let note = note.strip_prefix("; ").unwrap_or(note);
            details.note = String::from(note);
        }
        // Our own export says for each attribute what it means.
        let is_meant = is_true(attribute.get("to_ids")) || details.kind.is_some();
        if !is_meant && !self.sink.options.all_attributes {
            return self.sink.skip(SkipReason::NotForDetection);
        }
        match subjects(&kind, &value, scope, self.sink) {
            Ok(subjects) => self.wait(subjects, details),
            Err(refusal) => self.sink.refuse(place, &value, refusal),
        }
    }

    fn revoke(
        &mut self,
        attribute: &Value,
        kind: &str,
        value: &str,
        scope: Option<Scope>,
    ) -> Result<(), Stop> {
        let id = text(attribute, "uuid");
        match subjects(kind, value, scope, self.sink) {
            Ok(subjects) => subjects.into_iter().try_for_each(|(subject, _)| {
                self.sink.item(IntelItem::Revoked { id: id.clone(), subject: Some(subject) })
            }),
            // It never was an indicator here.
            Err(_) => Ok(()),
        }
    }

    fn wait(&mut self, subjects: Subjects, details: Details) -> Result<(), Stop> {
        let size = details.size() + subjects.len() * 64;
        self.size += size;
        self.waiting.push_back(Waiting { details, subjects, size });
        while self.size > MAX_WAITING {
            let Some(first) = self.waiting.pop_front() else { break };
            self.hand_out(first)?;
        }
        Ok(())
    }

    fn end_event(&mut self) -> Result<(), Stop> {
        while let Some(waiting) = self.waiting.pop_front() {
            self.hand_out(waiting)?;
        }
        self.event = Event::default();
        Ok(())
    }

    fn hand_out(&mut self, waiting: Waiting) -> Result<(), Stop> {
        let Waiting { mut details, subjects, size } = waiting;
        self.size = self.size.saturating_sub(size);
        let marks = &self.event.marks;
        marks.labels.iter().for_each(|label| details.add_label(label));
        // An attribute's own restriction takes the place of the event's.
        details.tlp = details.tlp.or(marks.tlp);
        details.confidence = details.confidence.or(marks.confidence);
        // In our own export, an attribute without a note has none, and its event is all that was exported at once.
        if details.kind.is_none() {
            if details.note.is_empty() {
                details.note.clone_from(&self.event.info);
            }
            if details.reference.is_empty() {
                details.reference.clone_from(&self.event.uuid);
            }
        }
        self.sink.indicators(subjects, &details)
    }
}

/// The subjects of an attribute; `scope` is that of a name.
fn subjects(
    kind: &str,
    value: &str,
    scope: Option<Scope>,
    sink: &Sink<'_>,
) -> Result<Subjects, Refusal> {
    let split = || value.split_once('|').unwrap_or((value, ""));
    let one = |text: &str, wanted, is_conditional: bool| {
        let subjects = sink.subjects(text, wanted, scope)?;
        Ok(subjects.into_iter().map(|(subject, also)| (subject, also || is_conditional)).collect())
    };
    match kind {
        "domain" | "hostname" => one(value, Wanted::Name, false),
        "ip-src" | "ip-dst" => one(value, Wanted::Address, false),
        "ip-src|port" | "ip-dst|port" => one(split().0, Wanted::Address, true),
        "hostname|port" => one(split().0, Wanted::Name, true),
        "domain|ip" => {
            let (name, address) = split();
            let mut subjects: Subjects = one(name, Wanted::Name, true)?;
            subjects.extend(one(address, Wanted::Address, true)?);
            Ok(subjects)
        }
        "url" | "uri" => one(value, Wanted::Url, false),
        // A reference to a report.
        "link" => Err(SkipReason::Url.into()),
        "email" | "email-src" | "email-dst" => Err(SkipReason::Mail.into()),
        kind if is_hash(kind) => Err(SkipReason::Hash.into()),
        _ => Err(SkipReason::OtherType.into()),
    }
}

fn is_hash(kind: &str) -> bool {
    let starts = ["md5", "sha", "ssdeep", "imphash", "tlsh", "authentihash", "pehash", "vhash"];
    let parts = ["|md5", "|sha", "fingerprint", "|imphash", "|ssdeep", "|tlsh"];
    starts.iter().any(|start| kind.starts_with(start))
        || parts.iter().any(|part| kind.contains(part))
}

fn details(attribute: &Value) -> Details {
    let time = |name| text(attribute, name).and_then(|text| when::seconds(&text));
    let mut details = Details {
        first: time("first_seen").or_else(|| time("timestamp")),
        last: time("last_seen"),
        note: text(attribute, "comment").unwrap_or_default(),
        id: text(attribute, "uuid"),
        ..Details::default()
    };
    for tag in list(attribute, "Tag") {
        add_tag(tag, &mut details);
    }
    for galaxy in list(attribute, "Galaxy") {
        add_galaxy(galaxy, &mut details);
    }
    details
}

/// Adds what a tag says: a restriction, a confidence, or the name of malware or an actor.
fn add_tag(tag: &Value, details: &mut Details) {
    let Some(name) = text(tag, "name") else { return };
    let lower = name.to_ascii_lowercase();
    let quoted = || name.split_once("=\"").and_then(|(_, value)| value.strip_suffix('"'));
    if lower.starts_with("tlp:") {
        // A restriction that is not understood, such as tlp:unclear, is taken for the strongest.
        details.restrict(lower.parse().unwrap_or(Tlp::Red));
    } else if lower.starts_with("misp-galaxy:") && NOT_NAMES.iter().any(|part| lower.contains(part))
    {
        // How somebody attacks, or whom, names nothing.
    } else if lower.starts_with("misp-galaxy:")
        || lower.starts_with("malware_classification:")
        || lower.starts_with("ms-caro-malware")
    {
        if let Some(value) = quoted() {
            details.add_label(value);
        }
    } else if lower.starts_with("misp:confidence-level=") {
        details.confidence = match quoted() {
            Some("completely-confident") => Some(100),
            Some("usually-confident") => Some(75),
            Some("fairly-confident") => Some(50),
            Some("rarely-confident") => Some(25),
            Some("unconfident") => Some(0),
            _ => details.confidence,
        };
    } else if let Some(own) = lower.strip_prefix("pdns:") {
        let quoted = |start: &str| {
            name.strip_prefix(start)?.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
        };
        if let Ok(kind) = own.parse() {
            // Of several, the worst.
            details.kind = Some(details.kind.map_or(kind, |other: TagKind| other.min(kind)));
        } else if lower == CONDITIONAL {
            details.is_conditional = true;
        } else if let Some(number) = quoted(CONFIDENCE) {
            details.confidence = confidence(&number).or(details.confidence);
        } else if let Some(label) = quoted(LABEL) {
            details.add_label(&label);
        }
    } else if !lower.contains(':') {
        // A tag of no taxonomy is a label of the producer's own.
        details.add_label(&name);
    }
}

fn add_galaxy(galaxy: &Value, details: &mut Details) {
    let kind = text(galaxy, "type").unwrap_or_default();
    if NOT_NAMES.iter().any(|part| kind.contains(part)) {
        return;
    }
    let clusters = list(galaxy, "GalaxyCluster").iter().filter_map(|one| text(one, "value"));
    clusters.for_each(|value| details.add_label(&value));
}
