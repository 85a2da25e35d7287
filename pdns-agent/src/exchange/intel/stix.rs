//! STIX 2.1 and 2.0: bundles, lists of objects, and TAXII 2.1 envelopes.
//!
//! Only indicators become indicators: an observable beside them says that something was seen, not that it is bad.
//! Relationships, markings and identities may come before the indicator or behind it. So indicators wait until the end,
//! up to a limit of memory; behind that, the earliest are handed out with what is known by then, and markings that are
//! not known by then count as the strongest restriction.

pub(super) mod pattern;
mod refs;
mod token;
mod value;

use super::item::{IntelItem, Place, SkipReason};
use super::json::{self, Consumer, Key, Step, is_true, list, text};
use super::sink::{Details, Refusal, Sink, Stop, Subjects, shown};
use super::when;
use crate::exchange::reason::{CONDITIONAL, PAGE};
use crate::indicator::MAX_CONFIDENCE;
use crate::query::typed_tag;
use crate::render::escape;
use crate::tag::{TagKind, TagSubject};
use refs::Refs;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};
use std::io::BufRead;

/// Memory for indicators that wait, in bytes.
const MAX_WAITING: usize = 16 << 20;
/// Maximum number of identifiers of revoked indicators that are kept.
const MAX_REVOKED: usize = 30_000;
/// Words of the vocabulary of indicator types, which STIX 2.0 has among the labels.
const TYPES: [&str; 8] = [
    "anomalous-activity",
    "anonymization",
    "benign",
    "compromised",
    "malicious-activity",
    "attribution",
    "unknown",
    "suspicious-activity",
];

/// Reads STIX.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut reader = Reader {
        sink,
        refs: Refs::default(),
        waiting: VecDeque::new(),
        size: 0,
        number: 0,
        revoked: HashSet::new(),
    };
    json::read(input, &mut reader)?;
    while let Some(waiting) = reader.waiting.pop_front() {
        reader.hand_out(waiting)?;
    }
    let producer = reader.refs.producer();
    reader.sink.summary.producer = producer;
    Ok(())
}

/// An indicator that waits for what else the file says.
struct Waiting {
    id: String,
    details: Details,
    subjects: Subjects,
    markings: Vec<String>,
    size: usize,
}

struct Reader<'s, 'o> {
    sink: &'s mut Sink<'o>,
    refs: Refs,
    waiting: VecDeque<Waiting>,
    size: usize,
    number: u64,
    /// Identifiers of revoked indicators: earlier versions may follow.
    revoked: HashSet<String>,
}

impl Consumer for Reader<'_, '_> {
    fn step(&self, path: &[Key]) -> Step {
        match path {
            [] => Step::Enter,
            [Key::Name(name)] => match name.as_str() {
                "objects" => Step::Enter,
                "more" | "next" => Step::Take,
                _ => Step::Ignore,
            },
            // Bundles in a list.
            [Key::Index(_), Key::Name(name)] if name == "objects" => Step::Enter,
            [.., Key::Index(_)] if path.len() <= 3 => Step::Take,
            _ => Step::Ignore,
        }
    }

    fn take(&mut self, path: &[Key], value: Value, is_cut: bool) -> Result<(), Stop> {
        match path {
            [Key::Name(name)] if name == "more" => self.sink.summary.more = is_true(Some(&value)),
            [Key::Name(_)] => self.sink.summary.next = json::scalar(&value),
            _ => {
                self.number += 1;
                if let Some(objects) = value.get("objects").and_then(Value::as_array) {
                    // A bundle within a list of bundles.
                    for object in objects {
                        self.object(object, is_cut)?;
                    }
                    return Ok(());
                }
                self.object(&value, is_cut)?;
            }
        }
        Ok(())
    }
}

impl Reader<'_, '_> {
    fn object(&mut self, object: &Value, is_cut: bool) -> Result<(), Stop> {
        let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind != "indicator" {
            self.refs.add(kind, object);
            return Ok(());
        }
        let id = text(object, "id").unwrap_or_default();
        let place = match id.as_str() {
            "" => Place::Number(self.number),
            id => Place::Object(shown(id)),
        };
        if is_cut {
            return self.sink.problem(place, "", "the object is too large");
        }
        if let Some(by) = object.get("created_by_ref").and_then(Value::as_str) {
            self.refs.created_by(by);
        }
        let is_revoked = is_true(object.get("revoked"));
        let subjects = self.subjects(object, &place, is_revoked)?;
        if is_revoked {
            return self.revoke(&id, subjects);
        }
        if subjects.is_empty() || self.revoked.contains(&id) {
            return Ok(());
        }
        let details = details(object, &id, &subjects);
        let markings = refs::markings(object);
        let size = details.size() + subjects.len() * 64 + id.len() + markings.len() * 96;
        self.size += size;
        self.waiting.push_back(Waiting { id, details, subjects, markings, size });
        while self.size > MAX_WAITING {
            let Some(first) = self.waiting.pop_front() else { break };
            self.hand_out(first)?;
        }
        Ok(())
    }

    /// The subjects of an indicator's pattern. What has none is reported, unless the indicator is revoked.
    fn subjects(
        &mut self,
        object: &Value,
        place: &Place,
        is_revoked: bool,
    ) -> Result<Subjects, Stop> {
        let pattern = object.get("pattern").and_then(Value::as_str).unwrap_or_default();
        let language = object.get("pattern_type").and_then(Value::as_str).unwrap_or("stix");
        if language != "stix" {
            if !is_revoked {
                self.sink.skip(SkipReason::PatternType)?;
            }
            return Ok(Vec::new());
        }
        let comparisons = match pattern::parse_pattern(pattern) {
            Ok(comparisons) => comparisons,
            Err(_) if is_revoked => return Ok(Vec::new()),
            Err(error) => {
                self.sink.problem(place.clone(), pattern, error.to_string())?;
                return Ok(Vec::new());
            }
        };
        let mut subjects = Vec::new();
        for comparison in &comparisons {
            for (text, result) in value::subjects(comparison, self.sink) {
                match result {
                    Ok(found) => subjects.extend(found),
                    Err(_) if is_revoked => {}
                    Err(refusal) => self.sink.refuse(place.clone(), &text, refusal)?,
                }
            }
        }
        // A pattern for a domain with all below it names the domain, too.
        let wide: HashSet<TagSubject> = subjects
            .iter()
            .filter(|(subject, is_conditional)| {
                matches!(subject, TagSubject::Below(_)) && !is_conditional
            })
            .map(|(subject, _)| subject.clone())
            .collect();
        subjects.retain(|(subject, _)| match subject {
            TagSubject::Name(name) => !wide.contains(&TagSubject::Below(name.clone())),
            _ => true,
        });
        Ok(subjects)
    }

    fn revoke(&mut self, id: &str, subjects: Subjects) -> Result<(), Stop> {
        // Other versions of the same object end with it.
        if self.revoked.len() < MAX_REVOKED && !id.is_empty() {
            self.revoked.insert(id.to_owned());
        }
        let size = &mut self.size;
        self.waiting.retain(|waiting| {
            let is_other = id.is_empty() || waiting.id != id;
            *size -= if is_other { 0 } else { waiting.size };
            is_other
        });
        let id = Some(id.to_owned()).filter(|id| !id.is_empty());
        if subjects.is_empty() {
            return self.sink.item(IntelItem::Revoked { id, subject: None });
        }
        for (subject, _) in subjects {
            self.sink.item(IntelItem::Revoked { id: id.clone(), subject: Some(subject) })?;
        }
        Ok(())
    }

    fn hand_out(&mut self, mut waiting: Waiting) -> Result<(), Stop> {
        self.size = self.size.saturating_sub(waiting.size);
        for label in self.refs.names_indicated(&waiting.id) {
            waiting.details.add_label(label);
        }
        for marking in &waiting.markings {
            if let Some(tlp) = self.refs.tlp(marking) {
                waiting.details.restrict(tlp);
            }
        }
        self.sink.indicators(waiting.subjects, &waiting.details)
    }
}

/// Facts that an indicator of these subjects states beside its pattern.
fn details(object: &Value, id: &str, subjects: &Subjects) -> Details {
    let mut details = Details::default();
    let time = |name| text(object, name).and_then(|text| when::seconds(&text));
    details.first = time("valid_from");
    details.until = time("valid_until");
    details.confidence = object
        .get("confidence")
        .and_then(Value::as_u64)
        .and_then(|number| u8::try_from(number).ok())
        .filter(|number| *number <= MAX_CONFIDENCE);
    // STIX 2.0 has the types among the labels.
    let has_types = !list(object, "indicator_types").is_empty();
    let types = if has_types { list(object, "indicator_types") } else { list(object, "labels") };
    let is = |wanted: &str| types.iter().any(|word| word == wanted);
    details.kind = match () {
        () if is("malicious-activity") || is("compromised") => None,
        () if is("benign") => Some(TagKind::Trust),
        () if is("anomalous-activity") => Some(TagKind::Interest),
        () => None,
    };
    for label in list(object, "labels").iter().filter_map(Value::as_str) {
        match label {
            CONDITIONAL => details.is_conditional = true,
            label if !has_types && TYPES.contains(&label) => {}
            label => details.add_label(label),
        }
    }
    // A name or a description that only repeats the subject is no note.
    let is_subject = |text: &str| {
        let subjects = subjects.iter().map(|(subject, _)| subject);
        let mut forms = subjects.flat_map(|subject| [subject.to_string(), typed_tag(subject)]);
        forms.any(|form| form.trim_start_matches('.') == text.trim_start_matches('.'))
    };
    let mut notes = ["description", "name"].into_iter().filter_map(|name| text(object, name));
    details.note = notes.find(|text| !is_subject(text)).unwrap_or_default();
    let references = list(object, "external_references").iter();
    let is_page = |reference: &&Value| text(reference, "source_name").as_deref() == Some(PAGE);
    let url = |reference: &Value| text(reference, "url");
    let urls = references.clone().filter(|one| !is_page(one)).filter_map(url);
    let ids = references.clone().filter_map(|reference| text(reference, "external_id"));
    let pages = references.filter(is_page).filter_map(url);
    details.reference = urls.chain(ids).chain(pages).next().unwrap_or_default();
    details.id = Some(escape(id).into_owned()).filter(|id| !id.is_empty());
    details
}

/// The result for one value of a comparison.
type ValueResult = (String, Result<Subjects, Refusal>);
