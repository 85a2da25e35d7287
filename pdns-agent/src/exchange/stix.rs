//! STIX 2.1: bundles of indicators with what the store has seen, and of sightings.
//!
//! Each subject is an indicator of the exporting identity. Its records are observed data on which it is based, each
//! with the cyber-observable objects (SCOs) of its two ends. All identifiers follow from the content, so that a later
//! export updates the objects of an earlier one instead of adding others. Objects are written as they come and held
//! nowhere; only their identifiers are, since a bundle should have each object once.

mod ids;
mod marking;
mod objects;
mod pattern;
mod sightings;

pub use sightings::{SightingBundle, SightingOf};

use super::PageUrl;
use super::host_name::is_host;
use super::uuid::Uuid;
use crate::indicator::Tlp;
use crate::observation::Fact;
use crate::query::ExportItem;
use crate::rdata::Target;
use crate::record::StoredRecord;
use crate::render::ascii_json;
use crate::rr::RrType;
use crate::tag::TagSubject;
pub(super) use ids::Identity;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{self, Write};

/// A bundle in progress.
pub(super) struct Bundle {
    identity: Identity,
    page: Option<PageUrl>,
    /// Objects that were written.
    written: HashSet<Uuid>,
    markings: HashSet<Tlp>,
}

impl Bundle {
    /// Creates a bundle of the identity with this name.
    pub(super) fn new(identity: &str, page: Option<PageUrl>) -> Self {
        let (written, markings) = (HashSet::new(), HashSet::new());
        Self { identity: Identity::new(identity), page, written, markings }
    }

    /// Writes the head and the identity. The bundle has the same identifier each time, so that an export that changed
    /// nothing is the same file.
    pub(super) fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let id = self.identity.uuid(&json!({ "bundle": "export" }));
        write!(out, "{{\"type\":\"bundle\",\"id\":\"bundle--{id}\",\"objects\":[")?;
        put(&self.identity.object(), out, true)
    }

    /// Writes the end.
    pub(super) fn end(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n]}\n")
    }

    /// Writes all objects of a subject.
    pub(super) fn item(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        let marking = self.marking(listed.tlp, out)?;
        self.observable(&listed.subject, marking, out)?;
        let (indicator, object) =
            objects::indicator(&self.identity, listed, marking, self.page.as_ref());
        let indicator_id = format!("indicator--{indicator}");
        self.put_once(indicator, &object, out)?;
        let (created, modified) = listed.times();
        let mut observed = Vec::new();
        for record in &listed.records {
            let Some(id) = self.record(record, marking, out)? else { continue };
            let based_on = [indicator_id.as_str(), "based-on", id.as_str()];
            let (relationship, object) =
                objects::relationship(&self.identity, based_on, (created, modified), marking);
            self.put_once(relationship, &object, out)?;
            observed.push(id);
        }
        if let Some(seen) = &listed.seen {
            let (id, object) =
                objects::sighting(&self.identity, &indicator_id, seen, &observed, Some(marking));
            self.put_once(id, &object, out)?;
        }
        Ok(())
    }

    /// Writes a record: its two ends, observed data, and for an address or an alias that the name resolves to it.
    /// Returns the identifier of the observed data.
    fn record(
        &mut self,
        record: &StoredRecord,
        marking: &str,
        out: &mut dyn Write,
    ) -> io::Result<Option<String>> {
        let Fact::Record(rdata) = record.fact.as_fact() else { return Ok(None) };
        let owner = TagSubject::Name(record.rrname.clone());
        let Some(owner) = self.observable(&owner, marking, out)? else { return Ok(None) };
        let target = match rdata.target() {
            Target::V4(address) => Some(TagSubject::Net(std::net::IpAddr::from(address).into())),
            Target::V6(address) => Some(TagSubject::Net(std::net::IpAddr::from(address).into())),
            Target::Name(name) => Some(TagSubject::Name(name)),
            Target::Octets => None,
        };
        let target = match target {
            Some(subject) => self.observable(&subject, marking, out)?,
            None => None,
        };
        let refs: Vec<&str> =
            [Some(owner.as_str()), target.as_deref()].into_iter().flatten().collect();
        let (id, object) = objects::observed_data(&self.identity, record, rdata, &refs, marking);
        self.put_once(id, &object, out)?;
        let resolves = [RrType::A, RrType::AAAA, RrType::CNAME].contains(&rdata.rrtype);
        if let Some(target) = target.filter(|_| resolves) {
            let resolves_to = [owner.as_str(), "resolves-to", target.as_str()];
            let times = (record.seen.time_first, record.seen.time_last);
            let (relationship, mut object) =
                objects::relationship(&self.identity, resolves_to, times, marking);
            objects::set_span(&mut object, times);
            self.put_once(relationship, &object, out)?;
        }
        Ok(Some(format!("observed-data--{id}")))
    }

    /// Writes the SCO of a subject, unless it was written, and returns its identifier. The value of a domain name must
    /// be a host name (STIX 2.1 §6.4.1), so that other names have none; their indicators and sightings need none.
    fn observable(
        &mut self,
        subject: &TagSubject,
        marking: &str,
        out: &mut dyn Write,
    ) -> io::Result<Option<String>> {
        if subject.name().is_some_and(|name| !is_host(name.as_name())) {
            return Ok(None);
        }
        let (kind, value) = ids::observable(subject);
        let id = ids::of_observable(&json!({ "value": value }));
        let full = format!("{kind}--{id}");
        let object = json!({
            "type": kind,
            "spec_version": "2.1",
            "id": full,
            "value": value,
            "object_marking_refs": [marking],
        });
        self.put_once(id, &object, out)?;
        Ok(Some(full))
    }

    /// Writes the definition of a restriction, unless it was written, and returns its identifier.
    fn marking(&mut self, tlp: Tlp, out: &mut dyn Write) -> io::Result<&'static str> {
        if self.markings.insert(tlp) {
            put(&marking::definition(tlp), out, false)?;
        }
        Ok(marking::id(tlp))
    }

    fn put_once(&mut self, id: Uuid, object: &Value, out: &mut dyn Write) -> io::Result<()> {
        if self.written.insert(id) { put(object, out, false) } else { Ok(()) }
    }
}

/// Writes an object on a line of its own.
fn put(object: &Value, out: &mut dyn Write, is_first: bool) -> io::Result<()> {
    out.write_all(if is_first { b"\n" } else { b",\n" })?;
    ascii_json(object, out)
}

#[cfg(test)]
mod tests;
