//! The host of a URL, of a mail address, or of text with a port or a path.
//!
//! Part of the subject parser. A scheme counts only at the start of the text, and the host ends at the first
//! `/`, `?` or `#`, as in the URL standard of browsers (<https://url.spec.whatwg.org>), which treat `\` as `/`
//! if they know the scheme.

use super::{Certainty, Purpose, SubjectError, address};
use crate::percent;
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The host found in a text.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) text: String,
    pub(super) certainty: Certainty,
}

/// Schemes after which browsers expect a host, however many slashes follow, and their defanged forms in
/// reports.
const KNOWN: [&str; 15] = [
    "http", "https", "ws", "wss", "ftp", "hxxp", "hxxps", "hxtp", "hxtps", "h**p", "h**ps", "htxp",
    "fxp", "meow", "meows",
];

/// Extracts the host from text.
///
/// # Errors
/// [`SubjectError::Host`] when there is none.
pub(super) fn host(text: &str) -> Result<Host, SubjectError> {
    if let Some((scheme, rest)) = scheme(text) {
        let scheme = scheme.to_ascii_lowercase();
        if KNOWN.contains(&scheme.as_str()) {
            let rest = rest.trim_start_matches(['/', '\\']);
            return authority(before(rest, &['/', '\\', '?', '#']), true);
        }
        if scheme == "mailto" {
            return mail(rest);
        }
        if let Some(rest) = rest.strip_prefix("//") {
            return authority(before(rest, &['/', '?', '#']), false);
        }
    }
    bare(text)
}

/// Returns true if a text with a host in it has a scheme, a path or a query beside host and port.
pub(super) fn is_url(text: &str) -> bool {
    let has_scheme = scheme(text).is_some_and(|(scheme, rest)| {
        rest.starts_with("//") || KNOWN.contains(&scheme.to_ascii_lowercase().as_str())
    });
    has_scheme || text.contains(['/', '\\', '?', '#'])
}

/// Splits a URL into its scheme and the text after the colon. A host before a port is not a scheme.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-*".contains(&octet));
    is_scheme.then_some((scheme, rest))
}

fn before<'t>(text: &'t str, ends: &[char]) -> &'t str {
    text.split(ends).next().unwrap_or_default()
}

/// Extracts the host from text without a scheme: `//host/path`, `host:port`, `user@host`, `host|port`.
fn bare(text: &str) -> Result<Host, SubjectError> {
    let text = text.strip_prefix("//").or_else(|| text.strip_prefix("\\\\")).unwrap_or(text);
    let mut certainty = Certainty::Cleaned;
    let mut head = before(text, &['/', '?', '#']);
    if head.len() < text.len() && text.get(head.len()..).is_some_and(|rest| rest.starts_with('/')) {
        // Without a dot or a port, it is part of a name or a path rather than a host.
        let is_host = head.contains(['.', ':']) && !head.starts_with('.');
        if !is_host {
            return Err(if head.is_empty() {
                SubjectError::Host
            } else {
                SubjectError::Character('/')
            });
        }
    }
    if head.contains('@') {
        return mail(head);
    }
    if let Some((at, _)) = head.match_indices('\\').find(|(at, _)| is_path(head, *at)) {
        (head, certainty) = (head.get(..at).unwrap_or_default(), Certainty::Guessed);
    }
    if let Some((host, _)) = head.split_once('|') {
        (head, certainty) = (host, Certainty::Guessed);
    }
    let host = authority(head, false)?;
    Ok(Host { certainty: certainty.max(host.certainty), ..host })
}

/// Returns true if the backslash at `at` separates a path: a letter follows it, and the text before it can be a
/// host.
fn is_path(text: &str, at: usize) -> bool {
    let (head, tail) = text.split_at(at);
    head.contains('.')
        && tail
            .get(1..)
            .is_none_or(|rest| !rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// Extracts the host of a mail address.
fn mail(text: &str) -> Result<Host, SubjectError> {
    let address = before(text, &['/', '?', '#', ',', ';']);
    let (user, host) = address.rsplit_once('@').ok_or(SubjectError::Host)?;
    if user.contains(char::is_whitespace) {
        return Err(SubjectError::Words);
    }
    Ok(Host { certainty: Certainty::Guessed, ..authority(host, false)? })
}

/// Extracts the host of an authority (RFC 3986 §3.2), without user and port; parses it as browsers do if the
/// scheme is known.
fn authority(text: &str, is_known: bool) -> Result<Host, SubjectError> {
    let text = if is_known { text.rsplit('@').next().unwrap_or(text) } else { text };
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, rest)) => {
            let inside = inside.split('%').next().unwrap_or_default();
            if inside.parse::<Ipv6Addr>().is_err() {
                return Err(SubjectError::Host);
            }
            (inside, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let is_port = port.is_some_and(|port| port.bytes().all(|octet| octet.is_ascii_digit()));
    if host.is_empty() || !is_port {
        return Err(SubjectError::Host);
    }
    let mut text = if is_known { decoded(host)? } else { Cow::Borrowed(host) };
    if is_known && let Some(address) = address::of_url(&text) {
        text = Cow::Owned(address.to_string());
    }
    Ok(Host { text: text.into_owned(), certainty: Certainty::Cleaned })
}

/// Text without the percent escapes of its first component: `https%3A%2F%2Fevil.example%2Fx`, `evil%2Eexample`. None
/// without any. Text that was escaped several times, as of a link in a link, is unescaped as often.
pub(super) fn percent_encoded(text: &str) -> Option<String> {
    /// The most times that text was escaped.
    const DEPTH: usize = 4;
    let has_escape = |text: &str| {
        let first = before(text, &['/', '?', '#', ':', '\\']);
        first.split('%').skip(1).any(|rest| {
            matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
        })
    };
    if !has_escape(text) {
        return None;
    }
    let mut text = text.to_owned();
    for _ in 0..DEPTH {
        if !has_escape(&text) {
            break;
        }
        // What is not UTF-8 stays visible.
        text = String::from_utf8_lossy(&percent::decode(&text).0).into_owned();
    }
    Some(text)
}

/// Decodes the percent escapes of a host.
fn decoded(host: &str) -> Result<Cow<'_, str>, SubjectError> {
    if !host.contains('%') {
        return Ok(Cow::Borrowed(host));
    }
    let (bytes, is_broken) = percent::decode(host);
    let text = String::from_utf8(bytes).ok().filter(|_| !is_broken);
    text.map(Cow::Owned).ok_or(SubjectError::Host)
}

/// Returns true if the slashes in text belong to a name: below `in-addr.arpa` (RFC 2317 §4), or, unless the
/// name is to be stored, if no host stands before the first slash.
pub(super) fn is_slash_in_name(text: &str, purpose: Purpose) -> bool {
    let head = before(text, &['/']);
    let is_reverse = text.trim_end_matches('.').to_ascii_lowercase().ends_with(".in-addr.arpa")
        && head.rsplit('.').next().is_some_and(|label| {
            !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_digit())
        });
    is_reverse
        || purpose != Purpose::Store
            && !head.is_empty()
            && !head.contains('.')
            && text.contains('.')
}
