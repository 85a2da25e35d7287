//! A file for dnsmasq's `conf-file` or `servers-file`: listed domains get NXDOMAIN.
//!
//! An option of dnsmasq always stands for a domain with all below it, and the longest match counts. So a threat on a
//! single name has no form in it; a trusted name has, since it is worse to block what is trusted than to let names
//! below it pass.

use super::host_name::is_plain;
use crate::query::ExportItem;
use crate::tag::TagSubject;
use std::io::{self, Write};

/// Returns true if the file can hold a subject.
pub(super) fn admits(listed: &ExportItem<'_>) -> bool {
    match &listed.subject {
        TagSubject::Below(name) => is_plain(name.as_name()),
        TagSubject::Name(name) => listed.is_trusted() && is_plain(name.as_name()),
        TagSubject::Net(_) => false,
    }
}

/// Writes a domain.
pub(super) fn line(listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some(name) = listed.subject.name() else { return Ok(()) };
    if listed.is_trusted() {
        // `#` stands for the usual servers.
        writeln!(out, "server=/{name}/#")
    } else {
        writeln!(out, "address=/{name}/")
    }
}
