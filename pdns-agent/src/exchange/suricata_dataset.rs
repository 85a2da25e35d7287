//! Suricata's data sets of type string: the Base64 of a buffer's octets on each line (rules/datasets in its user
//! guide).
//!
//! The buffer is `dns.query`: labels joined with dots, without a final one. Names are in lower case, as in pdns;
//! Suricata 7 compares octet for octet, Suricata 8 has `to_lowercase`.

use crate::tag::TagSubject;
use base64ct::{Base64, Encoding as _};
use std::io::{self, Write};

/// Writes a name; other subjects have no line.
pub(super) fn line(subject: &TagSubject, out: &mut dyn Write) -> io::Result<()> {
    let TagSubject::Name(name) = subject else { return Ok(()) };
    let mut octets = Vec::new();
    name.as_name().write_dotted(&mut octets);
    writeln!(out, "{}", Base64::encode_string(&octets))
}
