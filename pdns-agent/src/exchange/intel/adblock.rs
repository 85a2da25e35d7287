//! Rules of ad blockers and of AdGuard's DNS server (<https://adguard.com/kb/general/ad-filtering/create-own-filters>).
//!
//! `||HOST^` blocks a host and all below it, `@@||HOST^` excepts it. Rules about parts of pages, paths and patterns
//! are skipped.

use super::item::SkipReason;
use super::lines::{Line, Lines};
use super::list;
use super::sink::{Details, Sink, Stop, Wanted};
use crate::query::Scope;
use crate::tag::TagKind;
use std::io::BufRead;

/// Marks of rules about the parts of a page.
const COSMETIC: [&str; 8] = ["##", "#@#", "#?#", "#@?#", "#$#", "#@$#", "#%#", "$$"];
/// Options that do not restrict a rule to some requests.
const UNCONDITIONAL: [&str; 5] = ["important", "all", "document", "doc", "popup"];

/// Reads rules.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        read_rule(&line, sink)?;
    }
    Ok(())
}

fn read_rule(line: &Line, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let text = line.text.trim();
    if text.starts_with("!#include") || text.starts_with("%include ") {
        return sink.problem(
            line.place(),
            text,
            "other lists are not included: import them one by one",
        );
    }
    if text.is_empty() || text.starts_with('!') || text.starts_with("[Ad") || text.starts_with("# ")
    {
        return Ok(());
    }
    if COSMETIC.iter().any(|mark| text.contains(mark)) {
        return sink.skip(SkipReason::Cosmetic);
    }
    let (rule, kind) = match text.strip_prefix("@@") {
        Some(rule) => (rule, Some(TagKind::Trust)),
        None => (text, None),
    };
    if rule.starts_with('/') {
        return sink.skip(SkipReason::Regex);
    }
    let Some(rule) = rule.strip_prefix("||") else {
        if let Some(url) = rule.strip_prefix('|') {
            return sink.value(
                line.place(),
                url,
                Wanted::Url,
                None,
                &Details { kind, ..Details::default() },
            );
        }
        // DNS filters also have lines of hosts files and of plain lists.
        if kind.is_none() && !rule.contains(['^', '$', '|', '/', '=']) {
            return list::read_line(line, sink);
        }
        return sink.skip(SkipReason::Wildcard);
    };
    let (pattern, options) = rule.split_once('$').unwrap_or((rule, ""));
    let is_conditional =
        options.split(',').any(|option| !option.is_empty() && !UNCONDITIONAL.contains(&option));
    if options.split(',').any(|option| option == "badfilter") {
        // It takes back another rule.
        return sink.skip(SkipReason::OtherType);
    }
    let host = pattern.trim_end_matches(['|', '^']);
    let details = Details { kind, is_conditional, ..Details::default() };
    let host = host.strip_prefix("*.").unwrap_or(host);
    if host.contains(['*', '^']) {
        return sink.skip(SkipReason::Wildcard);
    }
    sink.value(line.place(), host, Wanted::Any, Some(Scope::Below), &details)
}
