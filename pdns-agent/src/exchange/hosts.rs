//! A hosts file: listed names have the address 0.0.0.0.
//!
//! Readers look only for the exact name, so names below a domain are listed one by one. Trusted subjects and addresses
//! have no form in it.

use super::host_name::is_plain;
use crate::query::ExportItem;
use crate::tag::TagSubject;
use std::io::{self, Write};

/// Returns true if the file can hold a subject.
pub(super) fn admits(listed: &ExportItem<'_>) -> bool {
    matches!(&listed.subject, TagSubject::Name(name) if is_plain(name.as_name()))
        && !listed.is_trusted()
}

/// Writes a name.
pub(super) fn line(listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
    let TagSubject::Name(name) = &listed.subject else { return Ok(()) };
    writeln!(out, "0.0.0.0 {name}")
}
