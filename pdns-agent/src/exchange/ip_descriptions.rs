//! `ip-descriptions.csv` of Security Onion (2.4.120 and later): a line of text beside an IPv4 address.
//!
//! SOC shows it next to the address everywhere. It is CSV with the header `IP,Description`; its reader keeps only
//! IPv4, and the last line of each address.

use super::reason::words;
use crate::query::{Described, TagSet};
use crate::render::{escape, safe_cell};
use crate::tag::{Tag, TagKind};
use std::io::{self, Write};

const HEAD: &str = "IP,Description";
/// Maximum length of a description, in characters: it stands in a table beside others.
const MAX_DESCRIPTION: usize = 200;

/// Writes the first line.
pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEAD}")
}

/// Writes the line of an address and returns whether there was anything to say about it: `[threat] evil.example: note`.
/// Tags on the address itself come first, and say so: `[trust] address: note; [threat] evil.example`.
pub(super) fn line(described: &Described, set: &TagSet, out: &mut dyn Write) -> io::Result<bool> {
    let on_address = set.of_address(described.address.into());
    let mut parts = Vec::new();
    if !on_address.is_empty() {
        parts.push(part("address", &on_address));
    }
    if let Some(name) = &described.name {
        parts.push(part(name.as_str(), &set.of_name(name.as_name())));
    }
    let text: String = parts.join("; ").chars().take(MAX_DESCRIPTION).collect();
    let text = text.trim_end();
    if text.is_empty() {
        return Ok(false);
    }
    let cell = safe_cell(text);
    let cell = if cell.contains([',', ';', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    };
    writeln!(out, "{},{cell}", described.address)?;
    Ok(true)
}

/// Formats one end of the record, with the tags on it and the first note among them.
fn part(end: &str, tags: &[&Tag]) -> String {
    let kinds = TagKind::ALL.into_iter().filter(|&kind| tags.iter().any(|tag| tag.kind == kind));
    let mut text = String::new();
    for kind in kinds {
        text.extend(["[", kind.name(), "] "]);
    }
    text += end;
    let note = tags.iter().map(|tag| words(&tag.note)).find(|note| !note.is_empty());
    if let Some(note) = note {
        text += ": ";
        text += &escape(&note);
    }
    text
}
