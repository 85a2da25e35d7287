//! A file for Unbound's `include`: listed domains get NXDOMAIN.
//!
//! A local zone of Unbound always covers all below its name, and the longest match counts. So a threat on a single name
//! has no form in it; a trusted name has, since it is worse to block what is trusted than to let names below it pass.

use super::host_name::{is_wildcard, master_file};
use crate::name::Name;
use crate::query::ExportItem;
use crate::tag::TagSubject;
use std::collections::HashSet;
use std::io::{self, Write};

/// A file in progress.
#[derive(Default)]
pub(super) struct LocalZones {
    /// Names that have a zone; a second one would replace the first.
    names: HashSet<String>,
}

/// Returns true if the file can hold a subject.
pub(super) fn admits(listed: &ExportItem<'_>) -> bool {
    let fits = |name: Name<'_>| !name.is_root() && !is_wildcard(name);
    match &listed.subject {
        TagSubject::Below(name) => fits(name.as_name()),
        TagSubject::Name(name) => listed.is_trusted() && fits(name.as_name()),
        TagSubject::Net(_) => false,
    }
}

impl LocalZones {
    /// Writes the head.
    pub(super) fn begin(out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "server:")
    }

    /// Writes a domain.
    pub(super) fn item(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Some(name) = listed.subject.name() else { return Ok(()) };
        let name = master_file(name.as_name());
        if self.names.contains(&name) {
            return Ok(());
        }
        let how = if listed.is_trusted() { "transparent" } else { "always_nxdomain" };
        writeln!(out, "local-zone: \"{name}.\" {how}")?;
        self.names.insert(name);
        Ok(())
    }
}
