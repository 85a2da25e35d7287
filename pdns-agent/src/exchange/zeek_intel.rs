//! A file of Zeek's Intel framework: a head that names the fields, then an indicator a line, TABs between.
//!
//! Zeek's reader takes `-` for a field that is not set, `(empty)` for one that is empty, a line with `#` in front for a
//! comment, and `\xHH` for an octet. Security Onion's salt renders the file as a template first, where `{{`, `{%`
//! and `{#` would run. So backslashes, braces and all that is not printable ASCII are written as `\xHH`, and so is whatever
//! stands at the start of an indicator and is no letter or digit: in Zeek there are the octets as they were.

use super::{PageUrl, words};
use crate::query::Listed;
use crate::tag::{Tag, TagKind, TagSubject};
use std::io::{self, Write};

/// `meta.source` of every line: who reads the file knows ours by it.
const SOURCE: &str = "pdns";
const FIELDS: &str =
    "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\tmeta.do_notice";

/// The first line.
pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{FIELDS}")
}

/// A name, an address or a prefix; a domain with all below it has no line.
pub(super) fn line(
    listed: &Listed<'_>,
    page: Option<&PageUrl>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (indicator, kind) = match &listed.subject {
        TagSubject::Name(name) => {
            let mut octets = Vec::new();
            name.as_name().write_dotted(&mut octets);
            (indicator(&octets), "Intel::DOMAIN")
        }
        TagSubject::Net(net) if net.prefix_len() == net.max_prefix_len() => {
            (net.addr().to_string(), "Intel::ADDR")
        }
        TagSubject::Net(net) => (net.to_string(), "Intel::SUBNET"),
        TagSubject::Below(_) => return Ok(()),
    };
    let said: Vec<String> = listed.tags.iter().map(|tag| said(tag, &listed.subject)).collect();
    let said = escape(said.join("; ").as_bytes());
    let url = page.map_or("-".to_owned(), |page| page.of(&listed.subject));
    // Who lists what is of interest, or trusted, wants it in intel.log and no alarm.
    let is_threat = listed.tags.iter().any(|tag| tag.kind == TagKind::Threat);
    let notice = if is_threat { "T" } else { "F" };
    writeln!(out, "{indicator}\t{kind}\t{SOURCE}\t{said}\t{url}\t{notice}")
}

/// What a tag says: kind, the domain that it is on, note, author and source.
fn said(tag: &Tag, subject: &TagSubject) -> String {
    let on = if tag.subject == *subject { String::new() } else { format!(" on {}", tag.subject) };
    let note = match words(&tag.note) {
        note if note.is_empty() => note,
        note => format!(": {note}"),
    };
    let by: Vec<String> = [&tag.author, &tag.source].map(|text| words(text)).into();
    let by: Vec<String> = by.into_iter().filter(|text| !text.is_empty()).collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    format!("{}{on}{note}{by}", tag.kind)
}

/// An indicator that Zeek takes for nothing else.
fn indicator(octets: &[u8]) -> String {
    match octets.split_first() {
        Some((&first, rest)) if !first.is_ascii_alphanumeric() && first != b'_' => {
            format!("\\x{first:02x}{}", escape(rest).replace(' ', "\\x20"))
        }
        _ => escape(octets).replace(' ', "\\x20"),
    }
}

/// Octets as Zeek's reader takes them.
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
