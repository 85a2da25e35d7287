//! Trails of Maltrail: names, addresses, `ADDRESS:PORT`, prefixes and paths, one per line.
//!
//! `# Reference: URL` applies to the lines up to the next references, `# Aliases: NAME, NAME` to the whole trail.

use super::item::SkipReason;
use super::lines::Lines;
use super::list;
use super::sink::{Details, Sink, Stop, Wanted};
use std::io::BufRead;

/// Reads a trail.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    let (mut details, mut is_after_data) = (Details::default(), false);
    while let Some(line) = lines.next(sink)? {
        let text = line.text.trim();
        if let Some(comment) = text.strip_prefix('#') {
            let comment = comment.trim();
            if let Some(reference) = after(comment, "reference:") {
                // Of several references in a row, the first is the report.
                if is_after_data || details.reference.is_empty() {
                    reference.clone_into(&mut details.reference);
                }
                is_after_data = false;
            } else if let Some(aliases) = after(comment, "aliases:") {
                aliases.split(',').for_each(|alias| details.add_label(alias));
            }
            continue;
        }
        let Some(text) = list::content(text) else { continue };
        is_after_data = true;
        if text.contains(['(', ')', '[', ']', '*', '+', '^', '$', '|']) {
            sink.skip(SkipReason::Regex)?;
            continue;
        }
        sink.value(line.place(), text, Wanted::Any, sink.options.scope, &details)?;
    }
    Ok(())
}

/// The rest of a comment after a keyword.
fn after<'c>(comment: &'c str, keyword: &str) -> Option<&'c str> {
    let (head, rest) = comment.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(rest.trim())
}
