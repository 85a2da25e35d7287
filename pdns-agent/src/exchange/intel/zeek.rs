//! Files of Zeek's Intel framework: `#fields` names the columns, which tabs separate, in any order.
//!
//! `-` is an unset value, `\xHH` an octet. A name stands for itself alone.

use super::IntelError;
use super::item::SkipReason;
use super::lines::Lines;
use super::sink::{Details, Sink, Stop, Wanted, confidence};
use crate::hex;
use std::io::BufRead;

/// Reads a file.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    let mut fields: Vec<String> = Vec::new();
    while let Some(line) = lines.next(sink)? {
        let text = &line.text;
        if let Some(names) = text.strip_prefix("#fields") {
            fields = names.split_whitespace().map(str::to_owned).collect();
            for required in ["indicator", "indicator_type"] {
                if !fields.iter().any(|field| field == required) {
                    return Err(missing(&format!("#fields does not name {required}")).into());
                }
            }
            continue;
        }
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        if fields.is_empty() {
            return Err(missing("the line with #fields is missing").into());
        }
        let values: Vec<&str> = text.split('\t').collect();
        let value = |name: &str| {
            let at = fields.iter().position(|field| field == name)?;
            let value = values.get(at).filter(|value| !["-", "(empty)", ""].contains(value))?;
            Some(unescaped(value))
        };
        let (Some(indicator), Some(kind)) = (value("indicator"), value("indicator_type")) else {
            sink.problem(
                line.place(),
                text,
                "it lacks the indicator or its type (are there tabs?)",
            )?;
            continue;
        };
        let wanted = match kind.strip_prefix("Intel::").unwrap_or(&kind) {
            "DOMAIN" => Wanted::Name,
            "ADDR" | "SUBNET" => Wanted::Address,
            "URL" => Wanted::Url,
            "EMAIL" => {
                sink.skip(SkipReason::Mail)?;
                continue;
            }
            "FILE_HASH" | "CERT_HASH" | "PUBKEY_HASH" => {
                sink.skip(SkipReason::Hash)?;
                continue;
            }
            "SOFTWARE" | "USER_NAME" | "FILE_NAME" => {
                sink.skip(SkipReason::OtherType)?;
                continue;
            }
            _ => {
                sink.problem(line.place(), &kind, "unknown type of indicator")?;
                continue;
            }
        };
        if sink.summary.producer.is_none() {
            sink.summary.producer = value("meta.source");
        }
        // `meta.if_in` restricts an indicator to one place in the traffic.
        let is_conditional = value("meta.if_in").is_some();
        let details = Details {
            is_conditional,
            note: value("meta.desc").unwrap_or_default(),
            reference: value("meta.url").unwrap_or_default(),
            confidence: value("meta.confidence").and_then(|text| confidence(&text)),
            ..Details::default()
        };
        sink.value(line.place(), &indicator, wanted, None, &details)?;
    }
    Ok(())
}

fn missing(reason: &str) -> IntelError {
    IntelError::Format { format: "zeek-intel", reason: reason.to_owned() }
}

/// Decodes `\xHH`. What is not UTF-8 then is replaced, so that no subject comes of it.
fn unescaped(text: &str) -> String {
    if !text.contains("\\x") {
        return text.to_owned();
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&octet, tail)) = rest.split_first() {
        let decoded = match tail {
            [b'x', high, low, after @ ..] if octet == b'\\' => {
                let digits = hex::digit(*high).zip(hex::digit(*low));
                digits.map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (octet, after) = decoded.unwrap_or((octet, tail));
        out.push(octet);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}
