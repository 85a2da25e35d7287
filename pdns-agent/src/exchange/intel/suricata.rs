//! Suricata's data sets (Base64 of a string per line, maybe with a reputation behind it; or plain addresses), and its
//! IP reputation lists (`ADDRESS,CATEGORY,SCORE`, with a score of 1 to 127).
//!
//! A string with a dot in front stands for a name and everything below it, as with `dotprefix`.

use super::item::SkipReason;
use super::lines::Lines;
use super::sink::{Details, Sink, Stop, Wanted, is_digest};
use base64ct::{Base64, Base64Unpadded, Encoding as _};
use std::io::BufRead;

/// Highest score of a reputation list.
const MAX_SCORE: u32 = 127;

/// Reads a data set.
pub(super) fn read_dataset(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let value = text.split(',').next().unwrap_or_default().trim();
        if value.contains(['.', ':']) {
            sink.value(line.place(), value, Wanted::Address, None, &Details::default())?;
            continue;
        }
        if is_digest(value) {
            sink.skip(SkipReason::Hash)?;
            continue;
        }
        match decoded(value) {
            Some(name) => {
                let scope = sink.options.scope;
                sink.value(line.place(), &name, Wanted::Any, scope, &Details::default())?;
            }
            None => sink.problem(line.place(), text, "it is not the Base64 of text")?,
        }
    }
    Ok(())
}

/// The text that a line of a data set encodes.
pub(super) fn decoded(line: &str) -> Option<String> {
    let octets = Base64::decode_vec(line).or_else(|_| Base64Unpadded::decode_vec(line)).ok()?;
    String::from_utf8(octets).ok()
}

/// Reads a reputation list.
pub(super) fn read_iprep(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        let text = line.text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let values: Vec<&str> = text.split(',').map(str::trim).collect();
        let &[address, category, score] = values.as_slice() else {
            sink.problem(line.place(), text, "it is not an address, a category and a score")?;
            continue;
        };
        let score = score.parse::<u32>().ok().filter(|score| *score <= MAX_SCORE);
        let Some(score) = score else {
            sink.problem(line.place(), text, "the score is not a number from 0 to 127")?;
            continue;
        };
        let details = Details {
            confidence: u8::try_from(score * 100 / MAX_SCORE).ok(),
            note: format!("category {category}"),
            ..Details::default()
        };
        sink.value(line.place(), address, Wanted::Address, None, &details)?;
    }
    Ok(())
}
