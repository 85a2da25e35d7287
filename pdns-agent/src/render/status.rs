//! The state of the store, in every format.

use super::json::{Object, iso};
use super::paragraph::paragraph;
use super::plural::counted as number_of;
use super::{Format, RenderOptions, csv, escape, sensor_list, table, utc};
use crate::decode::packets::PacketTally;
use crate::hex;
use crate::store::{SourceState, Summary};
use std::io::{self, Write};

/// Maximum number of logs shown unless all are requested: a year of hourly logs has 8,760.
const LISTED: usize = 10;

/// Writes the state of the store; `facts` (data of the caller: version, store, prefix) come first.
///
/// A table has the store's statistics, then a line for each of the most recently written logs; with `verbose` all
/// logs, and the counters of each. COF and JSON are one JSON object; CSV and plain are one line per value. They too
/// have all logs only with `verbose`, and report the number left out.
///
/// # Errors
/// Errors of the writer.
pub fn status(
    summary: &Summary,
    facts: &[(&str, String)],
    verbose: bool,
    format: Format,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table => people(summary, facts, verbose, look, out),
        Format::Cof | Format::Json => json(summary, facts, verbose, out),
        Format::Csv => {
            let mut lines = csv::writer(out);
            lines.write_record(["field", "value"])?;
            for (name, value) in pairs(summary, facts, verbose) {
                lines.write_record([csv::safe(&name), csv::safe(&value)])?;
            }
            lines.flush()
        }
        Format::Plain => {
            for (name, value) in pairs(summary, facts, verbose) {
                writeln!(out, "{}\t{}", escape(&name), escape(&value))?;
            }
            Ok(())
        }
    }
}

/// Returns the store's statistics.
fn numbers(summary: &Summary) -> [(&'static str, u64); 14] {
    [
        ("schema", summary.schema.into()),
        ("partitions", summary.partitions.into()),
        ("names", summary.names),
        ("records", summary.records),
        ("negative_names", summary.negative_names),
        ("negatives", summary.negatives),
        ("names_not_kept", summary.unkept_names),
        ("domains_of_names_not_kept", summary.unkept_domains),
        ("tags", summary.tags),
        ("indicators", summary.indicators),
        ("memory", summary.capacity.used),
        ("memory_limit", summary.capacity.limit),
        ("evicted_keys", summary.capacity.evicted),
        ("logs", summary.sources.len() as u64),
    ]
}

/// Returns the logs that are shown, and the number of those that are not.
fn listed(summary: &Summary, verbose: bool) -> (&[([u8; 16], SourceState)], usize) {
    let all = summary.sources.as_slice();
    let shown = if verbose { all } else { all.get(..LISTED).unwrap_or(all) };
    (shown, all.len() - shown.len())
}

/// Returns the fields of one log.
fn source((id, source): &([u8; 16], SourceState)) -> [(&'static str, String); 8] {
    [
        ("id", hex::encode(id)),
        ("path", source.path.clone()),
        ("sensor", source.sensor.clone()),
        ("state", state(source).to_owned()),
        ("position", source.acknowledged.to_string()),
        ("live", source.live.to_string()),
        ("updated", utc(updated(source))),
        ("tally", source.tally.to_string()),
    ]
}

/// Describes whether a log is complete or still growing.
fn state(source: &SourceState) -> &'static str {
    if source.complete { "complete" } else { "open" }
}

fn updated(source: &SourceState) -> u32 {
    u32::try_from(source.updated).unwrap_or(u32::MAX)
}

/// Fates of the packets of a capture: `seen` is the sum of the others.
fn ledger(tally: &PacketTally) -> serde_json::Value {
    serde_json::json!({
        "seen": tally.seen(), "refused": tally.refused(), "decoded": tally.decoded(),
        "rejected": tally.rejected(), "lost": tally.lost(), "waiting": tally.waiting(),
    })
}

fn pairs(summary: &Summary, facts: &[(&str, String)], verbose: bool) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    pairs.extend(numbers(summary).map(|(name, value)| (name.to_owned(), value.to_string())));
    pairs.extend(summary.sensor_names().map(|sensor| ("sensor".to_owned(), sensor.to_owned())));
    if let Some(note) = &summary.forgotten {
        pairs.extend([
            ("forgotten.time".to_owned(), utc(note.time)),
            ("forgotten.reason".to_owned(), note.reason.clone()),
            ("forgotten.records".to_owned(), note.records.to_string()),
            ("forgotten.negatives".to_owned(), note.negatives.to_string()),
        ]);
    }
    let (sources, left_out) = listed(summary, verbose);
    for (at, state) in sources.iter().enumerate() {
        pairs.extend(source(state).map(|(name, value)| (format!("source.{at}.{name}"), value)));
    }
    pairs.push(("sources_left_out".to_owned(), left_out.to_string()));
    let warnings = summary.warnings();
    pairs.extend(warnings.into_iter().map(|warning| ("warning".to_owned(), warning)));
    pairs.extend(summary.advice.iter().map(|advice| ("advice".to_owned(), advice.clone())));
    pairs
}

fn json(
    summary: &Summary,
    facts: &[(&str, String)],
    verbose: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (sources, left_out) = listed(summary, verbose);
    let sources: Vec<serde_json::Value> = sources
        .iter()
        .map(|(id, source)| {
            serde_json::json!({
                "id": hex::encode(id), "path": source.path, "sensor": source.sensor, "state": state(source),
                "position": source.acknowledged, "live": source.live, "updated": source.updated,
                "updated_iso": iso(updated(source)), "tally": source.tally,
                "ledger": packets(source).map(|tally| ledger(&tally)),
            })
        })
        .collect();
    let mut object = Object::begin(out)?;
    for (name, value) in facts {
        object.field(name, value)?;
    }
    for (name, value) in numbers(summary) {
        object.field(name, &value)?;
    }
    object.field("sensors", &summary.sensor_names().collect::<Vec<_>>())?;
    object.field("forgotten", &summary.forgotten)?;
    object.field("sources", &sources)?;
    object.field("sources_left_out", &left_out)?;
    object.field("warnings", &summary.warnings())?;
    object.field("advice", &summary.advice)?;
    object.end()
}

/// Note on a limit of logs that captures do not have.
const LOGS_COUNT_COPIES: &str = "note: dns.log and eve.json do not show when a mirror port delivers a packet twice; such packets count twice";

fn people(
    summary: &Summary,
    facts: &[(&str, String)],
    verbose: bool,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut line = |name: &str, value: &str| {
        let name = name.replace('_', " ");
        writeln!(out, "{}", format!("{name:<16}{}", escape(value)).trim_end())
    };
    for (name, value) in facts {
        line(name, value)?;
    }
    for (name, value) in numbers(summary) {
        if name == "domains_of_names_not_kept"
            || value == 0 && matches!(name, "tags" | "indicators" | "names_not_kept")
        {
            continue;
        }
        let value = match name {
            "memory_limit" if value == 0 => "none".to_owned(),
            "memory" | "memory_limit" => bytes(value),
            "names_not_kept" => {
                let domains = summary.unkept_domains;
                format!("about {value}, below {}", number_of(domains, "domain", "domains"))
            }
            _ => value.to_string(),
        };
        line(name, &value)?;
    }
    if let Some(note) = &summary.forgotten {
        let records = number_of(note.records, "record", "records");
        let negatives = number_of(note.negatives, "negative answer", "negative answers");
        let why = match note.reason.as_str() {
            "memory" => ", by the rules and for want of memory",
            "rules" => ", by the rules",
            _ => "",
        };
        line("forgotten last", &format!("{records} and {negatives} on {}{why}", utc(note.time)))?;
    }
    line("sensors", &sensor_list(summary.sensor_names()))?;
    let (sources, left_out) = listed(summary, verbose);
    if verbose {
        for (_, source) in sources {
            counted(source, out)?;
        }
    } else if !sources.is_empty() {
        writeln!(out)?;
        let folder = folder(sources, look);
        let rows = sources.iter().map(|(_, source)| {
            vec![
                utc(updated(source)) + "Z",
                state(source).to_owned(),
                if source.live { "live".to_owned() } else { source.acknowledged.to_string() },
                source.sensor.clone(),
                below(&source.path, folder).to_owned(),
            ]
        });
        // A path is useful only in one piece: if it is too long, the terminal breaks the line.
        let whole = RenderOptions { width: None, ..look.clone() };
        let heads = ["WRITTEN (UTC)", "STATE", "POSITION", "SENSOR", "LOG"];
        table::text(&heads, rows.collect(), &whole, out)?;
        if !folder.is_empty() {
            writeln!(out, "below {}", escape(folder))?;
        }
        if left_out > 0 {
            writeln!(out, "and {left_out} more, written before these; --verbose lists all")?;
        }
        captures(sources, folder, &whole, out)?;
        if sources.iter().any(|(_, source)| !source.reader.is_empty()) {
            writeln!(out)?;
            paragraph(look, out, LOGS_COUNT_COPIES)?;
        }
    }
    for warning in summary.warnings() {
        writeln!(out)?;
        paragraph(look, out, &format!("warning: {warning}"))?;
    }
    for advice in &summary.advice {
        writeln!(out)?;
        paragraph(look, out, &format!("advice: {advice}"))?;
    }
    Ok(())
}

/// Returns the folder that contains all logs, with its final slash, if lines would not fit with it; empty otherwise.
fn folder<'s>(sources: &'s [([u8; 16], SourceState)], look: &RenderOptions) -> &'s str {
    let Some(((_, first), rest)) = sources.split_first() else { return "" };
    let longest = sources.iter().map(|(_, source)| source.path.len()).max().unwrap_or(0);
    // The other columns take about half of a terminal's 80.
    if look.width.is_none_or(|width| longest + 45 <= usize::from(width)) {
        return "";
    }
    let mut folder = first.path.rfind('/').map_or("", |at| first.path.get(..=at).unwrap_or(""));
    for (_, source) in rest {
        while !source.path.starts_with(folder) {
            let parent = folder.trim_end_matches('/').rfind('/');
            folder = parent.map_or("", |at| folder.get(..=at).unwrap_or(""));
        }
    }
    // The root directory is of no use.
    if folder.len() > 1 { folder } else { "" }
}

/// Returns the part of a path below a folder.
fn below<'p>(path: &'p str, folder: &str) -> &'p str {
    path.strip_prefix(folder).unwrap_or(path)
}

/// Prints the accounting of each capture's packets, so that no loss goes unreported.
fn captures(
    sources: &[([u8; 16], SourceState)],
    folder: &str,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows = Vec::new();
    for (_, source) in sources {
        let Some(tally) = packets(source) else { continue };
        let numbers = [
            tally.seen(),
            tally.refused(),
            tally.decoded(),
            tally.rejected(),
            tally.lost(),
            tally.waiting(),
        ];
        let mut row = vec![source.sensor.clone(), below(&source.path, folder).to_owned()];
        row.extend(numbers.map(|number| number.to_string()));
        rows.push(row);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let heads =
        ["SENSOR", "PACKETS OF", "SEEN", "NOT DNS", "DECODED", "REJECTED", "LOST", "WAITING"];
    writeln!(out)?;
    table::text(&heads, rows, look, out)
}

/// Returns the packet counters of a capture; `None` for a log.
fn packets(source: &SourceState) -> Option<PacketTally> {
    source.tally.get("packets")?;
    serde_json::from_value(source.tally.clone()).ok()
}

/// Writes the fields of one log, with all its counters.
fn counted(source: &SourceState, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{}", escape(&source.path))?;
    writeln!(
        out,
        "    {}, {} {}, last written {}Z, sensor {}",
        state(source),
        source.acknowledged,
        if source.live { "batches written" } else { "bytes read" },
        utc(updated(source)),
        escape(&source.sensor)
    )?;
    let mut counts = Vec::new();
    flatten("", &source.tally, &mut counts);
    if counts.is_empty() { Ok(()) } else { writeln!(out, "    {}", escape(&counts.join(", "))) }
}

/// Lists the numbers in a tally that are not zero, each after its name.
fn flatten(name: &str, tally: &serde_json::Value, counts: &mut Vec<String>) {
    match tally {
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{field}"), value, counts);
            }
        }
        serde_json::Value::Number(number) if number.as_u64() != Some(0) => {
            counts.push(format!("{name} {number}"));
        }
        _ => {}
    }
}

/// Formats a number of bytes in the largest binary unit that leaves at least one.
fn bytes(count: u64) -> String {
    let (unit, shift) = match count {
        0x4000_0000.. => ("GiB", 30),
        0x10_0000.. => ("MiB", 20),
        0x400.. => ("KiB", 10),
        _ => return format!("{count} B"),
    };
    let tenths = (u128::from(count) * 10) >> shift;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
