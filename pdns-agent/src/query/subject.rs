//! What is asked about: a name, all below a name, an address or a range of addresses.
//!
//! Part of `query`: the one place that reads a subject as a person types or pastes it.

use crate::name::{NameBuf, NameError};
use ipnet::IpNet;
use std::net::IpAddr;

/// The subject of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One name.
    Name(NameBuf),
    /// All names below this one, itself not.
    Below(NameBuf),
    /// All addresses from the first to the second, both of one family and within.
    Addresses(IpAddr, IpAddr),
}

/// Why text is no subject. The text is quoted, so that it cannot play with the terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Nothing but spaces.
    #[error("nothing to look up: give a name, an address, a prefix or a range")]
    Empty,
    /// An address with something else than a prefix length after its slash.
    #[error("{0:?} is no prefix: after the slash of an address comes a length of up to 32, or 128")]
    Prefix(String),
    /// A range with an end that is no address, with two families, or backwards.
    #[error("{0:?} is no range: give two addresses of one family, the lower first")]
    Range(String),
    /// A `*` that is not the whole of the first label.
    #[error(
        "{0:?} has its * in a place other than the front: '*.example.com' is all below example.com; \
         pdns find searches text; write \\* for the character itself"
    )]
    Star(String),
    /// Not a name in any of its forms.
    #[error("{text:?} is no domain name")]
    Name {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: NameError,
    },
    /// Unicode that has no form in the DNS.
    #[error("{0:?} is no internationalized domain name (UTS #46)")]
    Idn(String),
}

impl Subject {
    /// Reads a name (RFC 1035 escapes, any case, Unicode as UTS #46 has it), `*.` and a name, an
    /// address, `ADDRESS/LENGTH` (host bits are cleared) or `ADDRESS-ADDRESS`.
    ///
    /// A URL, a port and the `[.]` and `hxxp` of a report are taken off, since that is what one pastes.
    ///
    /// # Errors
    /// [`SubjectError`] says which rule the text breaks.
    pub fn parse(typed: &str) -> Result<Self, SubjectError> {
        let fanged = refang(typed.trim());
        let text = host_of(&fanged);
        if text.is_empty() {
            return Err(SubjectError::Empty);
        }
        if let Some(address) = address(text) {
            return Ok(Self::Addresses(address, address));
        }
        if let Some((head, tail)) = text.split_once('/')
            && let Some(base) = address(head)
        {
            let net = tail.parse().ok().and_then(|length| IpNet::new(base, length).ok());
            let net = net.ok_or_else(|| SubjectError::Prefix(text.to_owned()))?;
            return Ok(Self::Addresses(net.network(), net.broadcast()));
        }
        if let Some((head, tail)) = text.split_once('-')
            && let Some(from) = address(head.trim())
        {
            return match address(tail.trim()) {
                Some(to) if from.is_ipv4() == to.is_ipv4() && from <= to => {
                    Ok(Self::Addresses(from, to))
                }
                _ => Err(SubjectError::Range(text.to_owned())),
            };
        }
        match text.strip_prefix("*.") {
            Some(apex) => name(apex).map(Self::Below),
            None if text == "*" => name(".").map(Self::Below),
            None => name(text).map(Self::Name),
        }
    }
}

/// An address, in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// A name, from Unicode too.
fn name(text: &str) -> Result<NameBuf, SubjectError> {
    if has_star(text) {
        return Err(SubjectError::Star(text.to_owned()));
    }
    let ascii = if text.is_ascii() {
        text.to_owned()
    } else {
        idna::domain_to_ascii(text).map_err(|_| SubjectError::Idn(text.to_owned()))?
    };
    NameBuf::parse(&ascii).map_err(|cause| SubjectError::Name { text: text.to_owned(), cause })
}

/// Whether a `*` stands there without a backslash before it.
fn has_star(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|letter| {
        let star = letter == '*' && !escaped;
        escaped = letter == '\\' && !escaped;
        star
    })
}

/// Undoes what reports do so that nobody clicks: `hxxps://evil[.]example`.
fn refang(text: &str) -> String {
    let text =
        text.replace("[.]", ".").replace("(.)", ".").replace("[dot]", ".").replace("[:]", ":");
    match text.get(..4) {
        Some(head) if head.eq_ignore_ascii_case("hxxp") => {
            format!("http{}", text.get(4..).unwrap_or_default())
        }
        _ => text,
    }
}

/// The host of a URL, or the text as it is, in both cases without a port.
///
/// A slash without a scheme before it is kept below `arpa`, where RFC 2317 §4 has names with one.
fn host_of(text: &str) -> &str {
    let (host, is_url) = match text.split_once("://") {
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            (authority.rsplit('@').next().unwrap_or(authority), true)
        }
        None => (text, false),
    };
    let top = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let host = if is_url || top.eq_ignore_ascii_case("arpa") {
        host
    } else {
        match host.split_once('/') {
            Some((head, _)) if address(head).is_none() => head,
            _ => host,
        }
    };
    match host.rsplit_once(':') {
        Some((head, port))
            if port.bytes().all(|octet| octet.is_ascii_digit())
                && (!head.contains(':') || head.ends_with(']')) =>
        {
            head
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn is_name(text: &str, want: &str) {
        assert_eq!(
            Subject::parse(text),
            Ok(Subject::Name(NameBuf::parse(want).unwrap())),
            "{text}"
        );
    }

    #[track_caller]
    fn is_range(text: &str, from: &str, to: &str) {
        let want = Subject::Addresses(from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(Subject::parse(text), Ok(want), "{text}");
    }

    #[test]
    fn names() {
        is_name("Example.COM.", "example.com");
        is_name(" www.example.com ", "www.example.com");
        is_name("b\u{fc}cher.example", "xn--bcher-kva.example");
        is_name("a\\.b.example", "a\\.b.example");
        is_name("_dmarc.example.com", "_dmarc.example.com");
        is_name("x-1.example", "x-1.example");
        is_name("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa");
        is_name("\\*.example.com", "*.example.com");
        is_name("192.0.2.7.", "192.0.2.7");
        is_name(".", ".");
    }

    #[test]
    fn what_is_pasted_is_trimmed() {
        is_name("https://user:secret@www.example.com:8443/login?x=1#y", "www.example.com");
        is_name("hxxps://evil[.]example/path", "evil.example");
        is_name("example.com:443", "example.com");
        is_name("example.com/login", "example.com");
        is_range("http://[2001:db8::1]:80/", "2001:db8::1", "2001:db8::1");
        is_range("192.0.2.1:53", "192.0.2.1", "192.0.2.1");
        is_range("192[.]0[.]2[.]1", "192.0.2.1", "192.0.2.1");
    }

    #[test]
    fn below() {
        let below = |text| match Subject::parse(text) {
            Ok(Subject::Below(name)) => name.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(below("*.example.com"), "example.com");
        assert_eq!(below("*.b\u{fc}cher.example"), "xn--bcher-kva.example");
        assert_eq!(below("*"), ".");
        assert_eq!(below("*."), ".");
    }

    #[test]
    fn addresses() {
        is_range("192.0.2.7", "192.0.2.7", "192.0.2.7");
        is_range("192.0.2.0/24", "192.0.2.0", "192.0.2.255");
        is_range("192.0.2.77/24", "192.0.2.0", "192.0.2.255");
        is_range("192.0.2.1/32", "192.0.2.1", "192.0.2.1");
        is_range("0.0.0.0/0", "0.0.0.0", "255.255.255.255");
        is_range("192.0.2.10-192.0.2.40", "192.0.2.10", "192.0.2.40");
        is_range("192.0.2.10 - 192.0.2.40", "192.0.2.10", "192.0.2.40");
        is_range("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
        is_range("2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff");
        is_range("[2001:db8::1]", "2001:db8::1", "2001:db8::1");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let refused = |text: &str| Subject::parse(text).unwrap_err();
        assert_eq!(refused("  "), SubjectError::Empty);
        assert!(matches!(refused("192.0.2.0/33"), SubjectError::Prefix(_)));
        assert!(matches!(refused("192.0.2.0/x"), SubjectError::Prefix(_)));
        assert!(matches!(refused("192.0.2.9-192.0.2.1"), SubjectError::Range(_)));
        assert!(matches!(refused("192.0.2.9-2001:db8::1"), SubjectError::Range(_)));
        assert!(matches!(refused("192.0.2.9-40"), SubjectError::Range(_)));
        assert!(matches!(refused("www.*"), SubjectError::Star(_)));
        assert!(matches!(refused("*foo.example"), SubjectError::Star(_)));
        assert!(matches!(refused("a..b"), SubjectError::Name { .. }));
        assert!(matches!(
            refused("a\u{202e}.\u{ff0e}x"),
            SubjectError::Idn(_) | SubjectError::Name { .. }
        ));
    }

    #[test]
    fn an_error_cannot_play_with_the_terminal() {
        let error = Subject::parse("\u{1b}[2J..").unwrap_err().to_string();
        assert!(error.chars().all(|letter| !letter.is_control()), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            drop(Subject::parse(&text));
        }
    }
}
