//! A bundle of sightings: what the store has seen of the indicators of others, for them to hear.

use super::ids::Identity;
use super::{marking, objects, put};
use crate::indicator::{Sighting, Tlp};
use crate::tag::{TagKind, TagSubject};
use std::collections::HashSet;
use std::io::{self, Write};

/// The indicator that was seen.
#[derive(Clone, Copy, Debug)]
pub struct SightingOf<'a> {
    /// Its STIX identifier, if its source has given one. Anything else, such as the UUID of a MISP attribute, counts
    /// as none: the sighting then is of the identifier that an export of our own has for subject and kind.
    pub id: Option<&'a str>,
    /// Its subject.
    pub subject: &'a TagSubject,
    /// Its kind.
    pub kind: TagKind,
}

/// A bundle of sightings in progress.
pub struct SightingBundle {
    identity: Identity,
    tlp: Tlp,
    written: HashSet<super::Uuid>,
}

impl SightingBundle {
    /// Creates a bundle of the identity with this name; `tlp` restricts the sharing of all sightings in it.
    #[must_use]
    pub fn new(identity: &str, tlp: Tlp) -> Self {
        Self { identity: Identity::new(identity), tlp, written: HashSet::new() }
    }

    /// Writes the head.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        let id = self.identity.uuid(&serde_json::json!({ "bundle": "sightings" }));
        write!(out, "{{\"type\":\"bundle\",\"id\":\"bundle--{id}\",\"objects\":[")?;
        put(&self.identity.object(), out, true)?;
        put(&marking::definition(self.tlp), out, false)
    }

    /// Writes the sighting of an indicator; a second one of the same indicator is left out.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn sighting(
        &mut self,
        of: &SightingOf<'_>,
        seen: &Sighting,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let own = || format!("indicator--{}", self.identity.indicator(of.subject, of.kind));
        let id = of.id.filter(|id| is_indicator(id)).map_or_else(own, str::to_owned);
        let marking = Some(marking::id(self.tlp));
        let (uuid, object) = objects::sighting(&self.identity, &id, seen, &[], marking);
        if self.written.insert(uuid) { put(&object, out, false) } else { Ok(()) }
    }

    /// Writes the end.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n]}\n")
    }
}

/// Returns true if text is the STIX identifier of an indicator.
fn is_indicator(text: &str) -> bool {
    let Some(uuid) = text.strip_prefix("indicator--") else { return false };
    let lengths = uuid.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && uuid.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}
