//! A file of Zeek's Intel framework: a header that names the fields, then an indicator per line, separated by tabs.
//!
//! Zeek's reader takes `-` for an unset field, `(empty)` for an empty one, a line that begins with `#` for a comment,
//! and `\xHH` for an octet. Security Onion's salt first renders the file as a template, where `{{`, `{%` and `{#`
//! would run. So backslashes, braces and everything outside printable ASCII are written as `\xHH`, and so is the
//! first character of an indicator unless it is a letter or digit: Zeek decodes them to the original octets.

use super::PageUrl;
use super::reason::reasons;
use crate::query::ExportItem;
use crate::tag::{TagKind, TagSubject};
use std::io::{self, Write};

/// `meta.source` of every line, by which readers of the file recognise ours.
const SOURCE: &str = "pdns";
const FIELDS: &str =
    "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\tmeta.do_notice";

/// Writes the first line.
pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{FIELDS}")
}

/// Writes a name, an address or a prefix; a domain with all below it has no line.
pub(super) fn line(
    listed: &ExportItem<'_>,
    page: Option<&PageUrl>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (indicator, kind) = match &listed.subject {
        TagSubject::Name(name) => {
            let mut octets = Vec::new();
            name.as_name().write_dotted(&mut octets);
            (indicator(&octets), "Intel::DOMAIN")
        }
        TagSubject::Net(net) => match listed.subject.as_address() {
            Some(address) => (address.to_string(), "Intel::ADDR"),
            None => (net.to_string(), "Intel::SUBNET"),
        },
        TagSubject::Below(_) => return Ok(()),
    };
    let said = escape(reasons(listed, true).as_bytes());
    let url = page.map_or("-".to_owned(), |page| page.of(&listed.subject));
    // Subjects of interest, trusted ones, and those that are a threat only together with something else belong in
    // intel.log without an alarm.
    let is_alarm = listed.kind() == TagKind::Threat && !listed.is_conditional();
    let notice = if is_alarm { "T" } else { "F" };
    writeln!(out, "{indicator}\t{kind}\t{SOURCE}\t{said}\t{url}\t{notice}")
}

/// Encodes an indicator so that Zeek takes it for nothing else.
fn indicator(octets: &[u8]) -> String {
    match octets.split_first() {
        Some((&first, rest)) if !first.is_ascii_alphanumeric() && first != b'_' => {
            format!("\\x{first:02x}{}", escape(rest).replace(' ', "\\x20"))
        }
        _ => escape(octets).replace(' ', "\\x20"),
    }
}

/// Encodes octets for Zeek's reader.
fn escape(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            b' ' => text.push(' '),
            octet if octet.is_ascii_graphic() && !b"\\{}".contains(&octet) => {
                text.push(char::from(octet));
            }
            octet => text.extend(format!("\\x{octet:02x}").chars()),
        }
    }
    text
}
