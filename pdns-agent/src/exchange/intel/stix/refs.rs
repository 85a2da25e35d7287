//! Statements of other objects about indicators: relationships, markings and identities. All maps are bounded.

use crate::exchange::intel::json::text;
use crate::exchange::intel::sink::clean;
use crate::indicator::Tlp;
use serde_json::Value;
use std::collections::HashMap;

/// Maximum number of markings of one object.
const MAX_MARKINGS: usize = 8;
/// Maximum number of entries in each map.
const MAX_ENTRIES: usize = 30_000;
/// Maximum number of objects that one indicator indicates.
const MAX_TARGETS: usize = 16;
/// Longest identifier and name, in bytes.
const MAX_ID: usize = 120;

/// Types of objects whose names are labels.
const NAMED: [&str; 7] = [
    "malware",
    "campaign",
    "intrusion-set",
    "threat-actor",
    "tool",
    "attack-pattern",
    "infrastructure",
];
/// The identifiers of TLP: 1.0 and 2.0 (FIRST, and STIX 2.1 §7.2.1.4).
const MARKINGS: [(&str, Tlp); 9] = [
    ("marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", Tlp::Clear),
    ("marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", Tlp::Green),
    ("marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", Tlp::Amber),
    ("marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", Tlp::Red),
    ("marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", Tlp::Clear),
    ("marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", Tlp::Green),
    ("marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", Tlp::Amber),
    ("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", Tlp::AmberStrict),
    ("marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", Tlp::Red),
];

/// Facts that were read of the other objects.
#[derive(Default)]
pub(super) struct Refs {
    /// Names of malware and the like, by identifier.
    names: HashMap<String, String>,
    /// Objects that an indicator indicates.
    targets: HashMap<String, Vec<String>>,
    /// Restrictions of the markings in the file; `None` for those that say nothing of sharing.
    markings: HashMap<String, Option<Tlp>>,
    identities: HashMap<String, String>,
    /// First identity in the file.
    first: Option<String>,
    /// Creator of the first indicator that states one.
    maker: Option<String>,
}

impl Refs {
    /// Notes an object that is not an indicator.
    pub(super) fn add(&mut self, kind: &str, object: &Value) {
        let Some(id) = text(object, "id").filter(|id| id.len() <= MAX_ID) else { return };
        match kind {
            "relationship" => self.relate(object),
            "marking-definition" if self.markings.len() < MAX_ENTRIES => {
                self.markings.insert(id, restriction(object));
            }
            "identity" => {
                let Some(name) = text(object, "name") else { return };
                let name = clean(&name, MAX_ID);
                if self.identities.len() < MAX_ENTRIES {
                    self.first.get_or_insert_with(|| name.clone());
                    self.identities.insert(id, name);
                }
            }
            kind if NAMED.contains(&kind) && self.names.len() < MAX_ENTRIES => {
                if let Some(name) = text(object, "name") {
                    self.names.insert(id, clean(&name, MAX_ID));
                }
            }
            _ => {}
        }
    }

    fn relate(&mut self, object: &Value) {
        if text(object, "relationship_type").as_deref() != Some("indicates") {
            return;
        }
        let (Some(source), Some(target)) = (text(object, "source_ref"), text(object, "target_ref"))
        else {
            return;
        };
        let is_new = !self.targets.contains_key(&source);
        if source.len().max(target.len()) > MAX_ID || is_new && self.targets.len() >= MAX_ENTRIES {
            return;
        }
        let targets = self.targets.entry(source).or_default();
        if targets.len() < MAX_TARGETS {
            targets.push(target);
        }
    }

    pub(super) fn created_by(&mut self, id: &str) {
        if self.maker.is_none() && id.len() <= MAX_ID {
            self.maker = Some(id.to_owned());
        }
    }

    /// The names of what an indicator indicates.
    pub(super) fn names_indicated(&self, id: &str) -> impl Iterator<Item = &str> {
        let targets = self.targets.get(id).map_or(&[][..], Vec::as_slice);
        targets.iter().filter_map(|target| self.names.get(target)).map(String::as_str)
    }

    /// The restriction that a marking stands for; `None` if it says nothing of sharing. A marking that the file does not
    /// define may forbid everything, so it counts as the strongest.
    pub(super) fn tlp(&self, id: &str) -> Option<Tlp> {
        let known = MARKINGS.iter().find(|(known, _)| *known == id).map(|&(_, tlp)| tlp);
        known.or_else(|| self.markings.get(id).copied().unwrap_or(Some(Tlp::Red)))
    }

    /// Name of the organisation that made the indicators.
    pub(super) fn producer(&self) -> Option<String> {
        let maker = self.maker.as_ref().and_then(|maker| self.identities.get(maker));
        maker.or(self.first.as_ref()).cloned()
    }
}

/// The restriction that a marking definition states: `definition.tlp`, or the extension for TLP 2.0. A statement, such
/// as a copyright, is none. Any other language of restrictions is not understood, and counts as the strongest.
fn restriction(object: &Value) -> Option<Tlp> {
    let definition = object.get("definition");
    let of_extension = || {
        let extensions = object.get("extensions")?.as_object()?;
        extensions.values().find_map(|extension| text(extension, "tlp_2_0"))
    };
    let tlp = definition.and_then(|definition| text(definition, "tlp")).or_else(of_extension);
    let is_statement = text(object, "definition_type").as_deref() == Some("statement")
        && object.get("extensions").is_none();
    match tlp {
        None if is_statement => None,
        tlp => Some(tlp.and_then(|tlp| tlp.parse().ok()).unwrap_or(Tlp::Red)),
    }
}

/// The markings of an object. A marking of a part of it counts for all of it.
pub(super) fn markings(object: &Value) -> Vec<String> {
    let of_parts = match object.get("granular_markings") {
        Some(Value::Array(parts)) => parts.as_slice(),
        _ => &[],
    };
    // The language of a part is no restriction.
    let of_parts = of_parts.iter().filter(|part| part.get("lang").is_none());
    let of_parts = of_parts.map(|part| part.get("marking_ref").unwrap_or(&Value::Null));
    let own: Vec<&Value> = match object.get("object_marking_refs") {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(other) => vec![other],
    };
    // What is no identifier stays as an unknown one, and so does what is behind the most.
    let id = |marking: &Value| match marking.as_str() {
        Some(id) if id.len() <= MAX_ID => id.to_owned(),
        _ => String::new(),
    };
    let mut all: Vec<String> = own.into_iter().chain(of_parts).map(id).collect();
    all.sort_unstable();
    all.dedup();
    if all.len() > MAX_MARKINGS {
        all.truncate(MAX_MARKINGS);
        all.push(String::new());
    }
    all
}
