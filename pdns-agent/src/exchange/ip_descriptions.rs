//! `ip-descriptions.csv` of Security Onion (2.4.120 and later): a line of text beside an IPv4 address.
//!
//! SOC shows it wherever the address stands. It is CSV with the head `IP,Description`; its reader keeps IPv4 alone and the last
//! line of each address.

use super::words;
use crate::query::{Described, TagSet};
use crate::render::{escape, safe_cell};
use crate::tag::{Tag, TagKind};
use std::io::{self, Write};

const HEAD: &str = "IP,Description";
/// The longest description, in characters: it stands in a table beside others.
const MAX_DESCRIPTION: usize = 200;

/// The first line.
pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEAD}")
}

/// An address: `[threat] evil.example: note`; whether there was anything to say of it.
pub(super) fn line(described: &Described, set: &TagSet, out: &mut dyn Write) -> io::Result<bool> {
    let mut tags = set.of_address(described.address.into());
    if let Some(name) = &described.name {
        tags.extend(set.of_name(name.as_name()));
    }
    let text = description(described, &tags);
    if text.is_empty() {
        return Ok(false);
    }
    let cell = safe_cell(&text);
    let cell = if cell.contains([',', ';', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    };
    writeln!(out, "{},{cell}", described.address)?;
    Ok(true)
}

fn description(described: &Described, tags: &[&Tag]) -> String {
    let kinds = TagKind::ALL.into_iter().filter(|&kind| tags.iter().any(|tag| tag.kind == kind));
    let mut text = String::new();
    for kind in kinds {
        text.extend(["[", kind.name(), "] "]);
    }
    text += described.name.as_ref().map_or("", |name| name.as_str());
    let note = tags.iter().map(|tag| words(&tag.note)).find(|note| !note.is_empty());
    if let Some(note) = note {
        text += if described.name.is_some() { ": " } else { "" };
        text += &escape(&note);
    }
    text.chars().take(MAX_DESCRIPTION).collect::<String>().trim_end().to_owned()
}
