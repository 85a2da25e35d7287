//! Names in the files of resolvers.

use crate::name::{MAX_WIRE, Name};

/// Returns true if a name consists of letters, digits, hyphens and underscores. Programs differ in how they read, and
/// whether they refuse, anything else.
pub(super) fn is_plain(name: Name<'_>) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    !name.is_root() && name.as_str().bytes().all(fits)
}

/// Returns true if a name is one of a host (RFC 1123 §2.1): labels of letters, digits and hyphens, with no hyphen at
/// either end.
pub(super) fn is_host(name: Name<'_>) -> bool {
    let fits = |label: &str| {
        label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    !name.is_root() && name.labels().all(fits)
}

/// Returns true if the first label is `*`, which DNS itself takes for a wildcard (RFC 4592 §2.1.1).
pub(super) fn is_wildcard(name: Name<'_>) -> bool {
    name.labels().next() == Some("*")
}

/// The name for a master file (RFC 1035 §5.1), without a final dot: all but letters, digits, hyphens and underscores as
/// `\DDD`.
pub(super) fn master_file(name: Name<'_>) -> String {
    if is_plain(name) {
        return name.as_str().to_owned();
    }
    let mut out = String::new();
    for label in labels(name) {
        if !out.is_empty() {
            out.push('.');
        }
        for octet in label {
            if octet.is_ascii_alphanumeric() || b"-_".contains(&octet) {
                out.push(char::from(octet));
            } else {
                out.extend(format!("\\{octet:03}").chars());
            }
        }
    }
    out
}

/// The octets of the labels.
fn labels(name: Name<'_>) -> Vec<Vec<u8>> {
    let mut wire = Vec::with_capacity(MAX_WIRE);
    name.write_wire(&mut wire);
    let mut labels = Vec::new();
    let mut rest = wire.as_slice();
    while let Some((&length, tail)) = rest.split_first() {
        let Some((label, after)) = tail.split_at_checked(length.into()) else { break };
        if label.is_empty() {
            break;
        }
        labels.push(label.to_vec());
        rest = after;
    }
    labels
}

/// The number of octets of a name on the wire.
pub(super) fn wire_length(name: Name<'_>) -> usize {
    let mut wire = Vec::with_capacity(MAX_WIRE);
    name.write_wire(&mut wire);
    wire.len()
}
