//! Notes on facts that a list itself does not show.

use crate::query::{Exception, ExportSummary, MAX_BELOW};
use crate::render::counted;

/// Returns the notes on a list; `too_long` subjects have too long a name for its zone.
pub(super) fn notes(listing: &ExportSummary, too_long: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if listing.left_out > 0 {
        let have = if listing.left_out == 1 { "subject has" } else { "subjects have" };
        notes.push(format!("{} {have} no form in this list", listing.left_out));
    }
    if listing.conditional > 0 {
        let (are, they) = match listing.conditional {
            1 => ("subject is", "it is a threat"),
            _ => ("subjects are", "they are threats"),
        };
        notes.push(format!(
            "{} {are} left out: {they} only under further conditions, such as a port, which this list cannot state",
            listing.conditional
        ));
    }
    if too_long > 0 {
        let have = if too_long == 1 { "subject has" } else { "subjects have" };
        notes.push(format!("{too_long} {have} a name that is too long for this zone"));
    }
    if let Some((count, strongest)) = listing.held_back {
        let (are, them) = if count == 1 { ("subject is", "it") } else { ("subjects are", "them") };
        notes.push(format!(
            "{count} {are} held back because of TLP; --max-tlp {strongest} includes {them}, and default_tlp in \
             pdns.toml is for what has none"
        ));
    }
    if listing.held_exceptions > 0 {
        let are = if listing.held_exceptions == 1 { "is" } else { "are" };
        notes.push(format!(
            "{} of them {are} trusted: not excepted from listed domains and prefixes around it",
            listing.held_exceptions
        ));
    }
    if listing.cut {
        notes.push(format!(
            "cut off after {} lines; --limit N or --limit 0 lists more",
            listing.shown
        ));
    }
    if let Some((subjects, one)) = &listing.exceptions {
        let Exception { listed, within, kind } = one;
        let more = match subjects - 1 {
            0 => String::new(),
            more => format!("; {} likewise", counted(more, "other subject", "other subjects")),
        };
        notes.push(format!(
            "{listed} is listed whole, although {within} within it is tagged {kind}{more}"
        ));
    }
    if let Some((domains, one)) = &listing.too_many {
        let domains = match domains {
            1 => format!("below {one} there are more names than are listed"),
            more => {
                format!("below {more} domains such as {one} there are more names than are listed")
            }
        };
        notes.push(format!("{domains}; no more than {MAX_BELOW} of each can be"));
    }
    notes
}
