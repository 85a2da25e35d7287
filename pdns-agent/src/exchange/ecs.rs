//! Events of `pdns judge`: JSON objects in the fields of the Elastic Common Schema (ECS) 8.17.
//!
//! Two data sets: `pdns.first_seen` for a name that was never seen before, and `pdns.verdict` for an alert. Names from the
//! wire are in presentation form, so that an event is printable ASCII whatever they hold.

use super::PageUrl;
use crate::analyze::Band;
use crate::name::{Name, NameBuf, suffix};
use crate::rdata::{FinalDot, Target};
use crate::record::{FactBuf, StoredRecord};
use crate::render::{ascii_json, iso};
use crate::tag::{Tag, TagSubject};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Version of the schema.
const ECS: &str = "8.17.0";
/// Largest number of answers, and of related names and addresses, in one event.
const MAX_LISTED: usize = 100;

/// A data set of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dataset {
    /// A name that was never seen before.
    FirstSeen,
    /// An alert.
    Verdict,
}

impl Dataset {
    /// All data sets.
    pub const ALL: [Self; 2] = [Self::FirstSeen, Self::Verdict];

    /// `event.dataset` without `pdns.`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstSeen => "first_seen",
            Self::Verdict => "verdict",
        }
    }
}

/// Subject of an event.
#[derive(Clone, Debug)]
pub struct EcsSubject<'e> {
    /// The name.
    pub name: Name<'e>,
    /// Its records or failed queries, as far as they are known.
    pub records: &'e [StoredRecord],
    /// Names of the store's sensors, by their number.
    pub sensors: &'e [String],
    /// Time when it was seen first, in seconds since the epoch.
    pub time: u32,
    /// Tags in effect on it and its addresses.
    pub tags: &'e [&'e Tag],
}

/// Further fields of an alert.
#[derive(Clone, Debug)]
pub struct EcsVerdict<'e> {
    /// Risk score, from 0 to 100.
    pub score: u8,
    /// Word for the kind of verdict.
    pub class: &'e str,
    /// One sentence.
    pub message: &'e str,
    /// Other names that the verdict is about.
    pub others: &'e [NameBuf],
    /// Address that the names of a set share.
    pub address: Option<std::net::IpAddr>,
    /// Identifier of the model.
    pub model: &'e str,
    /// The tag that was hit, if the alert is a hit.
    pub hit: Option<&'e Tag>,
}

/// Fields that all events of a judge share.
#[derive(Clone, Debug)]
pub struct EcsContext {
    /// URL of `pdns serve`.
    pub page: Option<PageUrl>,
    /// The time now, in seconds since the epoch.
    pub now: u32,
}

impl EcsContext {
    /// The event for a name that was never seen before: one line with a line feed.
    #[must_use]
    pub fn first_seen(&self, id: &str, subject: &EcsSubject<'_>) -> String {
        line(&self.event(id, Dataset::FirstSeen, subject))
    }

    /// The event for an alert: one line with a line feed.
    #[must_use]
    pub fn verdict(&self, id: &str, subject: &EcsSubject<'_>, verdict: &EcsVerdict<'_>) -> String {
        let mut event = self.event(id, Dataset::Verdict, subject);
        let mut set = |field: &str, value: Value| {
            event.insert(field.to_owned(), value);
        };
        set("message", verdict.message.into());
        set(
            "rule",
            json!({
                "name": format!("pdns-judge {}", verdict.class),
                "category": Band::new(verdict.score).as_str(),
                "ruleset": "pdns-judge",
                "version": verdict.model,
            }),
        );
        let listed = verdict.hit.and_then(|hit| hit.listing.as_deref());
        let is_address = verdict.hit.is_some_and(|hit| hit.subject.net().is_some());
        let mut indicator = Map::new();
        let kind = match verdict.hit.map(|hit| &hit.subject) {
            Some(TagSubject::Net(net)) if net.addr().is_ipv4() => "ipv4-addr",
            Some(TagSubject::Net(_)) => "ipv6-addr",
            _ => "domain-name",
        };
        indicator.insert("type".to_owned(), kind.into());
        let name = match verdict.hit {
            Some(hit) => hit.subject.to_string().trim_start_matches('.').to_owned(),
            None => subject.name.as_str().to_owned(),
        };
        let single = verdict.hit.and_then(|hit| hit.subject.as_address());
        match single {
            Some(address) => indicator.insert("ip".to_owned(), address.to_string().into()),
            None if is_address => None,
            None => indicator.insert("name".to_owned(), name.into()),
        };
        let provider = match verdict.hit {
            None => "pdns-judge",
            Some(hit) if hit.is_own() => "analyst",
            Some(hit) => &hit.source,
        };
        indicator.insert("provider".to_owned(), provider.into());
        let (first, last) = match (verdict.hit, listed) {
            (Some(hit), Some(listed)) => (hit.time, listed.last_listed),
            (Some(hit), None) => (hit.time, hit.time),
            (None, _) => (subject.time, subject.time),
        };
        indicator.insert("first_seen".to_owned(), iso(first).into());
        indicator.insert("last_seen".to_owned(), iso(last).into());
        set("threat", json!({ "indicator": indicator }));
        let reference = self.reference(subject);
        let own = event.entry("event").or_insert_with(|| json!({}));
        if let Value::Object(own) = own {
            own.insert("kind".to_owned(), "alert".into());
            own.insert("category".to_owned(), json!(["threat"]));
            own.insert("type".to_owned(), json!(["indicator"]));
            own.insert("risk_score".to_owned(), verdict.score.into());
            if let Some(reference) = reference {
                own.insert("reference".to_owned(), reference.into());
            }
        }
        if let Some(Value::Object(related)) = event.get_mut("related") {
            add(related, "hosts", verdict.others.iter().map(|name| name.as_str().to_owned()));
            add(related, "ip", verdict.address.iter().map(ToString::to_string));
        }
        line(&event)
    }

    fn event(&self, id: &str, dataset: Dataset, subject: &EcsSubject<'_>) -> Map<String, Value> {
        let name = subject.name.as_str();
        let mut dns = Map::new();
        let kinds: BTreeSet<String> =
            subject.records.iter().map(|row| row.fact.as_fact().rrtype().to_string()).collect();
        let mut question = json!({ "name": name });
        if let (Some(kind), Value::Object(question)) = (kinds.first(), &mut question) {
            question.insert("type".to_owned(), kind.as_str().into());
        }
        if let (Some(domain), Value::Object(question)) =
            (suffix::registrable(subject.name), &mut question)
        {
            let domain = domain.as_str();
            question.insert("registered_domain".to_owned(), domain.into());
            if let Some((_, suffix)) = domain.split_once('.') {
                question.insert("top_level_domain".to_owned(), suffix.into());
            }
            let below = name.strip_suffix(domain).map(|text| text.trim_end_matches('.'));
            if let Some(below) = below.filter(|below| !below.is_empty()) {
                question.insert("subdomain".to_owned(), below.into());
            }
        }
        dns.insert("question".to_owned(), question);
        // The field of Security Onion.
        dns.insert("query".to_owned(), json!({ "name": name }));
        let (mut answers, mut addresses, mut hosts) =
            (Vec::new(), BTreeSet::new(), BTreeSet::new());
        hosts.insert(name.to_owned());
        for row in subject.records.iter().filter(|row| row.unkept.is_none()).take(MAX_LISTED) {
            let FactBuf::Record(rdata) = &row.fact else {
                if let FactBuf::Negative { outcome, .. } = &row.fact {
                    dns.insert("response_code".to_owned(), outcome.to_string().into());
                }
                continue;
            };
            let data = rdata.as_rdata().to_text(FinalDot::Without);
            let mut answer = json!({
                "name": row.rrname.as_str(),
                "type": rdata.rrtype.to_string(),
                "data": data,
            });
            if let (true, Value::Object(answer)) =
                (row.seen.ttl_last != crate::observation::Seen::NO_TTL, &mut answer)
            {
                answer.insert("ttl".to_owned(), row.seen.ttl_last.into());
            }
            answers.push(answer);
            match rdata.as_rdata().target() {
                Target::V4(address) => addresses.insert(address.to_string()),
                Target::V6(address) => addresses.insert(address.to_string()),
                Target::Name(target) => hosts.insert(target.as_str().to_owned()),
                Target::Octets => false,
            };
        }
        if !answers.is_empty() {
            dns.insert("answers".to_owned(), answers.into());
        }
        if !addresses.is_empty() {
            dns.insert("resolved_ip".to_owned(), json!(addresses));
        }
        let mut related = Map::new();
        add(&mut related, "hosts", hosts.into_iter());
        add(&mut related, "ip", addresses.into_iter());
        let mut event = Map::new();
        event.insert("@timestamp".to_owned(), iso(subject.time).into());
        event.insert("ecs".to_owned(), json!({ "version": ECS }));
        event.insert(
            "event".to_owned(),
            json!({
                "kind": "event",
                "category": ["network"],
                "type": ["info"],
                "dataset": format!("pdns.{}", dataset.name()),
                "module": "pdns",
                "id": id,
                "created": iso(self.now),
            }),
        );
        event.insert("dns".to_owned(), Value::Object(dns));
        event.insert("related".to_owned(), Value::Object(related));
        let sensors = sensors(subject);
        if !sensors.is_empty() {
            event.insert("observer".to_owned(), json!({ "name": sensors }));
        }
        let tags: BTreeSet<String> = subject
            .tags
            .iter()
            .filter(|tag| !tag.is_of_judge())
            .map(|tag| format!("pdns-{}", tag.kind))
            .collect();
        if !tags.is_empty() {
            event.insert("tags".to_owned(), json!(tags));
        }
        if let Some(url) = self.reference(subject) {
            event.insert("labels".to_owned(), json!({ "pdns_url": url }));
        }
        event
    }

    fn reference(&self, subject: &EcsSubject<'_>) -> Option<String> {
        let name = TagSubject::Name(subject.name.to_buf());
        self.page.as_ref().map(|page| page.of(&name))
    }
}

/// Adds texts to a list of an object, up to the largest number.
fn add(object: &mut Map<String, Value>, field: &str, texts: impl Iterator<Item = String>) {
    let list = object.entry(field).or_insert_with(|| json!([]));
    let Value::Array(list) = list else { return };
    for text in texts {
        if list.len() < MAX_LISTED && !list.iter().any(|known| known == &text) {
            list.push(text.into());
        }
    }
    if list.is_empty() {
        object.remove(field);
    }
}

/// The sensors that saw any of the records.
fn sensors(subject: &EcsSubject<'_>) -> BTreeSet<String> {
    let names = subject.records.iter().flat_map(|record| record.sensors.names(subject.sensors));
    names.map(str::to_owned).collect()
}

fn line(event: &Map<String, Value>) -> String {
    let mut line = Vec::new();
    // Writing to memory cannot fail.
    drop(ascii_json(event, &mut line));
    line.push(b'\n');
    String::from_utf8(line).unwrap_or_default()
}
