//! The subjects of a comparison.

use super::ValueResult;
use super::pattern::{Comparison, Operator};
use crate::exchange::intel::item::SkipReason;
use crate::exchange::intel::sink::{Refusal, Sink, Wanted};

/// The subjects of each value, or why it has none.
pub(super) fn subjects(comparison: &Comparison, sink: &Sink<'_>) -> Vec<ValueResult> {
    let skipped = |reason: SkipReason| vec![(String::new(), Err(Refusal::Skip(reason)))];
    let (object, path) = (comparison.object.as_str(), comparison.path.as_str());
    let wanted = match (object, path) {
        ("domain-name", "value") => Wanted::Name,
        ("ipv4-addr" | "ipv6-addr", "value") => Wanted::Address,
        ("url", "value") => Wanted::Url,
        ("domain-name", path) if path.starts_with("resolves_to_refs[") => Wanted::Any,
        ("network-traffic", "dst_ref.value" | "src_ref.value") => Wanted::Any,
        ("email-addr" | "email-message", _) => return skipped(SkipReason::Mail),
        ("file" | "x509-certificate" | "artifact", path) if path.starts_with("hashes") => {
            return skipped(SkipReason::Hash);
        }
        _ => return skipped(SkipReason::OtherType),
    };
    if comparison.is_negated {
        return skipped(SkipReason::Negated);
    }
    match comparison.operator {
        Operator::Equal | Operator::In | Operator::IsSubset => {}
        Operator::Like => return like(comparison, wanted, sink),
        Operator::Matches => return matches(comparison, wanted, sink),
        Operator::Order | Operator::IsSuperset | Operator::Exists => {
            return skipped(SkipReason::OtherType);
        }
    }
    let values = comparison.values.iter().map(|value| {
        let result = sink.subjects(value, wanted, None);
        (value.clone(), conditional(result, comparison))
    });
    values.collect()
}

/// `%.example.com` is everything below a name, `192.0.2.%` a prefix, and a value without wildcards itself.
fn like(comparison: &Comparison, wanted: Wanted, sink: &Sink<'_>) -> Vec<ValueResult> {
    let values = comparison.values.iter().map(|value| {
        let plain = match (value.strip_prefix("%."), value.strip_suffix(".%"), wanted) {
            (Some(apex), _, Wanted::Name | Wanted::Any) => Some(format!("*.{apex}")),
            (_, Some(head), Wanted::Address) => Some(format!("{head}.*")),
            _ => Some(value.clone()),
        };
        // A wildcard for one character is hardly meant where a name has an underscore, but it is one.
        let plain = plain.filter(|plain| !plain.contains(['%', '_']));
        let result = match plain {
            Some(plain) => sink.subjects(&plain, wanted, None),
            None => Err(SkipReason::Wildcard.into()),
        };
        (value.clone(), conditional(result, comparison))
    });
    values.collect()
}

/// Heads of regular expressions for all names below one, which may have it as well.
const BELOW: [&str; 5] = ["^.+\\.", "^(.+\\.)?", "^(.*\\.)?", "^(?:.+\\.)?", "^(?:.*\\.)?"];

/// A regular expression that is only a name with all below it, as `LIKE` cannot say of names with an underscore.
fn matches(comparison: &Comparison, wanted: Wanted, sink: &Sink<'_>) -> Vec<ValueResult> {
    let values = comparison.values.iter().map(|value| {
        let result = match (literal_below(value), wanted) {
            (Some(apex), Wanted::Name) => sink.subjects(&format!("*.{apex}"), wanted, None),
            _ => Err(SkipReason::Regex.into()),
        };
        (value.clone(), conditional(result, comparison))
    });
    values.collect()
}

/// The name in a regular expression for all names below it.
fn literal_below(regex: &str) -> Option<String> {
    let tail = regex.strip_suffix('$')?;
    let tail = BELOW.iter().find_map(|head| tail.strip_prefix(head))?;
    let (mut name, mut letters) = (String::new(), tail.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => name.push(letters.next().filter(char::is_ascii_punctuation)?),
            letter if ".+*?()|[]{}^$".contains(letter) => return None,
            letter => name.push(letter),
        }
    }
    Some(name).filter(|name| !name.is_empty())
}

type Found = Result<super::Subjects, Refusal>;

fn conditional(result: Found, comparison: &Comparison) -> Found {
    result.map(|subjects| {
        let is_conditional = comparison.is_conditional;
        subjects.into_iter().map(|(subject, also)| (subject, also || is_conditional)).collect()
    })
}
