//! Records with named members: JSON, one per line, in an array, or keyed by an identifier as abuse.ch has them; and the
//! rows of CSV files.

use super::columns::{Role, key};
use super::item::{Place, SkipReason};
use super::json::{self, Consumer, Key, Step};
use super::lines::Lines;
use super::sink::{Details, Sink, Stop, Wanted, confidence};
use super::{IntelFormat, when};
use crate::indicator::Tlp;
use crate::tag::TagKind;
use serde_json::Value;
use std::io::{BufRead, Read as _};

/// Most subjects of one record.
const MAX_SUBJECTS: usize = 1_000;
/// Values of CSV files and JSON that stand for none.
const EMPTY: [&str; 7] = ["", "-", "none", "null", "n/a", "unknown", "nan"];

/// JSON Pointers (RFC 6901) to members of records, where their names do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointers {
    /// Subject, or a list of them.
    pub subject: Option<String>,
    /// Confidence.
    pub confidence: Option<String>,
    /// Labels: a list, or text separated by commas.
    pub labels: Option<String>,
    /// Reference.
    pub reference: Option<String>,
    /// Time from which the source lists the subject.
    pub first: Option<String>,
    /// Last time the source saw it active.
    pub last: Option<String>,
}

impl Pointers {
    fn given(&self, role: Role) -> Option<&str> {
        match role {
            Role::Subject => self.subject.as_deref(),
            Role::Confidence => self.confidence.as_deref(),
            Role::Labels => self.labels.as_deref(),
            Role::Reference => self.reference.as_deref(),
            Role::First => self.first.as_deref(),
            Role::Last => self.last.as_deref(),
            _ => None,
        }
    }
}

/// One record, by the roles of its members.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) subjects: Vec<String>,
    pub(super) details: Details,
}

impl Record {
    /// Adds a member; the first of several counts, but for labels and subjects.
    pub(super) fn add(&mut self, role: Role, text: &str) {
        let text = text.trim();
        if EMPTY.contains(&text.to_ascii_lowercase().as_str()) {
            return;
        }
        let details = &mut self.details;
        let or = |old: Option<u32>| old.or_else(|| when::seconds(text));
        match role {
            Role::Subject if self.subjects.len() < MAX_SUBJECTS => {
                self.subjects.push(text.to_owned());
            }
            Role::Kind => details.kind = details.kind.or_else(|| kind(text)),
            Role::Confidence => details.confidence = details.confidence.or(confidence(text)),
            Role::Labels => text.split([',', ';', '|']).for_each(|label| {
                let label = label.trim();
                if !EMPTY.contains(&label.to_ascii_lowercase().as_str()) {
                    details.add_label(label);
                }
            }),
            Role::Reference if details.reference.is_empty() => {
                text.clone_into(&mut details.reference);
            }
            Role::Note if details.note.is_empty() => text.clone_into(&mut details.note),
            Role::Subject | Role::Reference | Role::Note => {}
            Role::First => details.first = or(details.first),
            Role::Last => details.last = or(details.last),
            Role::Until => details.until = or(details.until),
            Role::Id => {
                details.id.get_or_insert_with(|| text.to_owned());
            }
            Role::Tlp => {
                // A restriction that is not understood is taken for the strongest.
                details.restrict(text.parse().unwrap_or(Tlp::Red));
            }
            Role::Port => details.is_conditional |= text != "0",
            Role::Conditional => details.is_conditional |= text.eq_ignore_ascii_case("true"),
        }
    }

    /// Hands out the indicators of the record; `text` is the record as written.
    pub(super) fn hand_out(
        self,
        place: &Place,
        text: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        if self.subjects.is_empty() {
            return sink.problem(place.clone(), text, "it has no subject");
        }
        for subject in &self.subjects {
            let scope = sink.options.scope;
            sink.value(place.clone(), subject, Wanted::Any, scope, &self.details)?;
        }
        Ok(())
    }
}

/// Reads JSON records.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let most = u64::try_from(sink.options.max_line).unwrap_or(u64::MAX);
    let mut first = Vec::new();
    (&mut *input).take(most).read_until(b'\n', &mut first)?;
    let is_by_line = std::str::from_utf8(&first).is_ok_and(|line| {
        let line = line.trim_start_matches('\u{feff}').trim();
        line.is_empty() || line.starts_with('{') && is_record(line, sink)
    });
    let mut input = first.as_slice().chain(input);
    if is_by_line {
        return read_lines(&mut input, sink);
    }
    json::read(&mut input, &mut Records { sink, number: 0 })
}

/// True for a line that is an object with members of its own, not one that holds a list of records.
fn is_record(line: &str, sink: &Sink<'_>) -> bool {
    let Ok((value, false)) = json::element(line) else { return false };
    let is_pointed = |pointer: &String| value.pointer(pointer).is_some();
    sink.options.pointers.subject.as_ref().is_some_and(is_pointed)
        || value.as_object().is_some_and(|members| {
            members.keys().any(|name| Role::Subject.names().contains(&key(name).as_str()))
        })
}

fn read_lines(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        let text = line.text.trim();
        if text.is_empty() {
            continue;
        }
        match json::element(text) {
            Ok((value, _)) => record(&line.place(), &value, None, sink)?,
            Err(reason) => {
                sink.problem(line.place(), text, format!("invalid JSON: {reason}"))?;
            }
        }
    }
    Ok(())
}

struct Records<'s, 'o> {
    sink: &'s mut Sink<'o>,
    number: u64,
}

impl Consumer for Records<'_, '_> {
    fn step(&self, path: &[Key]) -> Step {
        match path {
            [.., Key::Index(_)] => Step::Take,
            _ if path.len() < 3 => Step::Enter,
            _ => Step::Ignore,
        }
    }

    fn take(&mut self, path: &[Key], value: Value, _is_cut: bool) -> Result<(), Stop> {
        self.number += 1;
        let id = match path {
            // Records keyed by a number.
            [.., Key::Name(id), _] if id.bytes().all(|octet| octet.is_ascii_digit()) => {
                Some(id.as_str())
            }
            _ => None,
        };
        record(&Place::Number(self.number), &value, id, self.sink)
    }
}

/// Hands out the indicators of a JSON record.
fn record(place: &Place, value: &Value, id: Option<&str>, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut record = Record::default();
    match value {
        Value::String(text) => record.add(Role::Subject, text),
        Value::Object(members) => {
            let pointers = &sink.options.pointers;
            for role in Role::ALL {
                // A host name there is only what the address had in its PTR record.
                let is_feodo = sink.summary.format == IntelFormat::Feodo && role == Role::Subject;
                let known = is_feodo.then_some("/ip_address");
                if let Some(pointer) = pointers.given(role).or(known) {
                    value
                        .pointer(pointer)
                        .into_iter()
                        .for_each(|value| add(&mut record, role, value));
                    continue;
                }
                let is_given = |value: &&Value| !value.is_null() && *value != "";
                let named = role.names().iter().filter_map(|known| {
                    let exact = members.get(*known).filter(is_given);
                    exact.or_else(|| {
                        let other = members.iter().find(|(name, _)| key(name) == *known);
                        other.map(|(_, value)| value).filter(is_given)
                    })
                });
                let most = if role.is_many() { usize::MAX } else { 1 };
                named.take(most).for_each(|value| add(&mut record, role, value));
            }
            if let Some(Value::String(kind)) = members.get("ioc_type")
                && kind.ends_with("_hash")
            {
                return sink.skip(SkipReason::Hash);
            }
        }
        // A nested list, or a bare number.
        _ => {}
    }
    if let Some(id) = id {
        record.add(Role::Id, id);
    }
    record.hand_out(place, &value.to_string(), sink)
}

/// Adds the texts of a member: a scalar, or the scalars of a list.
fn add(record: &mut Record, role: Role, value: &Value) {
    match value {
        Value::Array(values) if role == Role::Labels => {
            // Each is one, whatever is in it.
            let labels = values.iter().filter_map(json::scalar);
            labels.for_each(|label| record.details.add_label(&label));
        }
        Value::Array(values) => {
            values.iter().filter_map(json::scalar).for_each(|text| record.add(role, &text));
        }
        value => {
            if let Some(text) = json::scalar(value) {
                record.add(role, &text);
            }
        }
    }
}

/// The kind that a word stands for; `None` if it is not about that.
fn kind(text: &str) -> Option<TagKind> {
    const GOOD: [&str; 8] =
        ["benign", "good", "clean", "safe", "trusted", "whitelist", "allowlist", "allow"];
    let word = text.to_ascii_lowercase();
    text.parse().ok().or_else(|| GOOD.contains(&word.as_str()).then_some(TagKind::Trust))
}
