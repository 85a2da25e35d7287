//! The state of the store, in every format.

use super::json::{Object, iso};
use super::{Format, Look, csv, escape, table, utc};
use crate::store::{SourceState, Summary};
use std::io::{self, Write};

/// Writes the state of the store; `facts` (what the caller knows: version, store, prefix) come first.
///
/// A table has the store's numbers, then a line for each log; with `verbose` also what was counted on
/// each. COF and JSON are one JSON object; CSV and plain are one line for each value.
///
/// # Errors
/// What the writer says.
pub fn status(
    summary: &Summary,
    facts: &[(&str, String)],
    verbose: bool,
    format: Format,
    look: &Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table => people(summary, facts, verbose, look, out),
        Format::Cof | Format::Json => json(summary, facts, out),
        Format::Csv => {
            let mut lines = csv::writer(out);
            lines.write_record(["field", "value"])?;
            for (name, value) in pairs(summary, facts) {
                lines.write_record([csv::safe(name), csv::safe(value)])?;
            }
            lines.flush()
        }
        Format::Plain => {
            for (name, value) in pairs(summary, facts) {
                writeln!(out, "{}\t{}", escape(&name), escape(&value))?;
            }
            Ok(())
        }
    }
}

/// The store's numbers.
fn numbers(summary: &Summary) -> [(&'static str, u64); 7] {
    [
        ("schema", summary.schema.into()),
        ("partitions", summary.partitions.into()),
        ("names", summary.names),
        ("records", summary.records),
        ("negative_names", summary.negative_names),
        ("negatives", summary.negatives),
        ("memory", summary.memory),
    ]
}

/// What is known of one log.
fn source((id, source): &([u8; 16], SourceState)) -> [(&'static str, String); 7] {
    [
        ("id", hex(id)),
        ("path", source.path.clone()),
        ("sensor", source.sensor.clone()),
        ("state", state(source).to_owned()),
        ("position", source.acknowledged.to_string()),
        ("updated", utc(updated(source))),
        ("tally", source.tally.to_string()),
    ]
}

/// Whether more is expected of a log.
fn state(source: &SourceState) -> &'static str {
    if source.complete { "complete" } else { "open" }
}

fn updated(source: &SourceState) -> u32 {
    u32::try_from(source.updated).unwrap_or(u32::MAX)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn pairs(summary: &Summary, facts: &[(&str, String)]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        facts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    pairs.extend(numbers(summary).map(|(name, value)| (name.to_owned(), value.to_string())));
    pairs.extend(summary.sensors.iter().map(|sensor| ("sensor".to_owned(), sensor.clone())));
    for (at, state) in summary.sources.iter().enumerate() {
        pairs.extend(source(state).map(|(name, value)| (format!("source.{at}.{name}"), value)));
    }
    pairs.extend(summary.advice.iter().map(|advice| ("advice".to_owned(), advice.clone())));
    pairs
}

fn json(summary: &Summary, facts: &[(&str, String)], out: &mut dyn Write) -> io::Result<()> {
    let sources: Vec<serde_json::Value> = summary
        .sources
        .iter()
        .map(|(id, source)| {
            serde_json::json!({
                "id": hex(id), "path": source.path, "sensor": source.sensor, "state": state(source),
                "position": source.acknowledged, "updated": source.updated,
                "updated_iso": iso(updated(source)), "tally": source.tally,
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
    object.field("sensors", &summary.sensors)?;
    object.field("sources", &sources)?;
    object.field("advice", &summary.advice)?;
    object.end()
}

fn people(
    summary: &Summary,
    facts: &[(&str, String)],
    verbose: bool,
    look: &Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (name, value) in facts {
        writeln!(out, "{}", format!("{name:<12}{}", escape(value)).trim_end())?;
    }
    for (name, value) in numbers(summary) {
        if name == "memory" {
            writeln!(out, "{name:<12}{}", bytes(value))?;
        } else {
            writeln!(out, "{name:<12}{value}")?;
        }
    }
    writeln!(out, "{:<12}{}", "sensors", escape(&summary.sensors.join(", ")))?;
    if !summary.sources.is_empty() {
        writeln!(out)?;
        let rows = summary.sources.iter().map(|(_, source)| {
            let mut row = vec![
                source.path.clone(),
                source.sensor.clone(),
                state(source).to_owned(),
                source.acknowledged.to_string(),
                utc(updated(source)) + "Z",
            ];
            if verbose {
                row.push(source.tally.to_string());
            }
            row
        });
        let heads: &[&str] = &["SOURCE", "SENSOR", "STATE", "POSITION", "UPDATED (UTC)", "COUNTED"];
        let heads =
            if verbose { heads } else { heads.split_last().map_or(heads, |(_, rest)| rest) };
        table::text(heads, rows.collect(), look, out)?;
    }
    for advice in &summary.advice {
        writeln!(out, "\nadvice: {}", escape(advice))?;
    }
    Ok(())
}

/// A number of bytes in the largest binary unit that leaves at least one.
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
