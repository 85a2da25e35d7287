//! Suricata's reputation of addresses: lines of `ip,category,score`, and the file of categories `id,short name,
//! description` (reputation/ipreputation in its user guide).

use crate::indicator::MAX_CONFIDENCE;
use crate::query::ExportItem;
use crate::tag::{TagKind, TagSubject};
use std::io::{self, Write};

/// The highest score; 0 would mean that there is none.
const MAX_SCORE: u32 = 127;

/// The category of a kind: number and short name, by which rules name it.
pub(super) fn category(kind: TagKind) -> (u8, &'static str) {
    match kind {
        TagKind::Threat => (1, "pdns-threat"),
        TagKind::Interest => (2, "pdns-interest"),
        TagKind::Trust => (3, "pdns-trust"),
    }
}

/// Writes an address or prefix; other subjects have no line.
pub(super) fn line(listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
    let TagSubject::Net(net) = &listed.subject else { return Ok(()) };
    let (number, _) = category(listed.kind());
    let score = u32::from(listed.confidence) * MAX_SCORE / u32::from(MAX_CONFIDENCE);
    let score = score.clamp(1, MAX_SCORE);
    if net.prefix_len() == net.max_prefix_len() {
        writeln!(out, "{},{number},{score}", net.addr())
    } else {
        writeln!(out, "{net},{number},{score}")
    }
}

/// Writes the file of categories.
pub(super) fn categories(out: &mut dyn Write) -> io::Result<()> {
    for kind in TagKind::ALL {
        let (number, name) = category(kind);
        writeln!(out, "{number},{name},tagged as {kind} in pdns")?;
    }
    Ok(())
}
