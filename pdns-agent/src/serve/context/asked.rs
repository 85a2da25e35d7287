//! What a click hands over: a value of any field of a log, and what of it can be looked up.
//!
//! Part of the page. Security Onion puts the clicked value into a link: a name, an address, a URL, a list with commas
//! between, and just as well a number, a hash or a user's name. The reading itself is [`Subject::parse`].

use crate::name::NameBuf;
use crate::query::{Subject, escaped_labels, is_number_or_digest, typed_name};
use crate::render::percent;
use crate::serve::part::decode;
use crate::store::TagSubject;
use ipnet::IpNet;
use std::net::IpAddr;

/// The most subjects of a list; the rest is passed over.
const MAX_LISTED: usize = 32;
/// Quotes that stand around a value, or around each of a list.
const QUOTES: [char; 6] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{b4}'];

/// What was clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The subject that is shown.
    pub(super) subject: Subject,
    /// The others of a list, in its order.
    pub(super) others: Vec<Subject>,
}

impl Asked {
    /// Reads a value; `None` when nothing in it can be looked up.
    pub(super) fn read(value: &str) -> Option<Self> {
        let mut found: Vec<Subject> = Vec::new();
        for part in parts(value) {
            if let Some(subject) = subject(part)
                && !found.contains(&subject)
            {
                found.push(subject);
            }
            if found.len() >= MAX_LISTED {
                break;
            }
        }
        let mut found = found.into_iter();
        Some(Self { subject: found.next()?, others: found.collect() })
    }

    /// Reads what follows `/context/` in a path.
    pub(super) fn of_path(tail: &str) -> Option<Self> {
        let value = decode(tail).ok()?;
        // A proxy that merges slashes leaves one of the two behind a scheme.
        let value = match value.split_once(":/") {
            Some((scheme, rest)) if !rest.starts_with('/') && is_scheme(scheme) => {
                format!("{scheme}://{rest}")
            }
            _ => value,
        };
        Self::read(&value)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
}

/// The parts of a list, or the value as it is: `192.0.2.0,24` is a prefix, as DNSDB writes it.
fn parts(value: &str) -> Vec<&str> {
    let is_prefix = |(head, length): (&str, &str)| {
        head.trim().parse::<IpAddr>().is_ok() && length.trim().parse::<u8>().is_ok()
    };
    if value.split_once(',').is_some_and(is_prefix) {
        return vec![value];
    }
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in value.match_indices(',') {
        let (head, rest) = (value.get(start..at).unwrap_or_default(), value.get(at + 1..));
        let next = rest.and_then(|rest| rest.split(',').next()).unwrap_or_default();
        // A comma within a URL ends nothing, unless another URL follows.
        if !head.contains("://") || next.contains("://") {
            parts.push(head);
            start = at + 1;
        }
    }
    parts.push(value.get(start..).unwrap_or_default());
    parts
}

/// The subject in one value, if there is any.
fn subject(value: &str) -> Option<Subject> {
    let value =
        value.trim_matches(|letter: char| letter.is_whitespace() || QUOTES.contains(&letter));
    // What is left of a list in JSON. Brackets around all of it belong to an IPv6 address.
    let value = match (value.strip_prefix('['), value.strip_suffix(']')) {
        (Some(rest), None) if !value.contains(']') => rest,
        (None, Some(rest)) if !value.contains('[') => rest,
        _ => value,
    };
    let value =
        value.trim_matches(|letter: char| letter.is_whitespace() || QUOTES.contains(&letter));
    let value = value.strip_prefix("//").unwrap_or(value);
    // The host of an e-mail address.
    let value = match value.rsplit_once('@') {
        Some((_, host)) if !value.contains("://") && !value.contains('\\') => host,
        _ => value,
    };
    if value.is_empty() || value.contains(char::is_whitespace) || is_number_or_digest(value) {
        return None;
    }
    // A name can have such octets; who means it writes one of them as `\DDD`, as our links do.
    let is_odd = |letter: char| letter.is_ascii_punctuation() && !"-_.*/:[](),".contains(letter);
    if value.contains(is_odd) && !value.contains("://") && !value.contains('\\') {
        return None;
    }
    let value = match value.split_once(',') {
        Some((head, length)) => format!("{}/{}", head.trim(), length.trim()),
        None => value.to_owned(),
    };
    match Subject::parse(&value).ok()? {
        // The root is a name, and what one clicks is not meant as it.
        Subject::Name(name) if name.as_name().is_root() && value != "." => None,
        // A drive and its path, a digest and its kind.
        Subject::Name(name) if value.contains(':') && name.as_str().contains(':') => None,
        subject => Some(subject),
    }
}

/// A subject as it is shown.
pub(super) fn text_of(subject: &Subject) -> String {
    match subject {
        // Unescaped it would read as all below.
        Subject::Name(name) if name.as_str().starts_with('*') => format!("\\{name}"),
        Subject::Name(name) => name.to_string(),
        Subject::Below(apex) if apex.as_name().is_root() => "*".to_owned(),
        Subject::Below(apex) => format!("*.{apex}"),
        Subject::Addresses(from, to) if from == to => from.to_string(),
        Subject::Addresses(from, to) => match net_of(*from, *to) {
            Some(net) => net.to_string(),
            None => format!("{from}-{to}"),
        },
    }
}

/// A subject so that [`Asked::read`] makes the same of it, whatever is in it: as it is shown, but for octets of a name
/// that would be taken for something else (a comma, a slash, a quote), which are `\DDD`.
pub(super) fn typed(subject: &Subject) -> String {
    match subject {
        Subject::Name(name) => typed_name(name),
        Subject::Below(apex) if apex.as_name().is_root() => "*".to_owned(),
        Subject::Below(apex) => format!("*.{}", escaped_labels(apex)),
        Subject::Addresses(..) => text_of(subject),
    }
}

/// The prefix that a range is, if it is one.
pub(super) fn net_of(from: IpAddr, to: IpAddr) -> Option<IpNet> {
    let shared = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
        (IpAddr::V6(from), IpAddr::V6(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
        _ => return None,
    };
    let net = IpNet::new(from, u8::try_from(shared).ok()?).ok()?;
    (net.network() == from && net.broadcast() == to).then_some(net)
}

/// What a tag on the subject would be on; `None` for a range and for all names.
pub(super) fn tag_of(subject: &Subject) -> Option<TagSubject> {
    match subject {
        Subject::Name(name) => Some(TagSubject::Name(name.clone())),
        Subject::Below(apex) if apex.as_name().is_root() => None,
        Subject::Below(apex) => Some(TagSubject::Below(apex.clone())),
        Subject::Addresses(from, to) => {
            net_of(from.to_canonical(), to.to_canonical()).map(TagSubject::Net)
        }
    }
}

/// The path of a subject's own page.
pub(super) fn path_of(subject: &Subject) -> String {
    let text = typed(subject);
    // Browsers take away a part of a path that is nothing but dots.
    let head = if text.bytes().all(|octet| octet == b'.') { "/context?q=" } else { "/context/" };
    format!("{head}{}", percent(&text))
}

/// The path of a name's page.
pub(super) fn name_path(name: &NameBuf) -> String {
    path_of(&Subject::Name(name.clone()))
}

/// The path of an address's page.
pub(super) fn address_path(address: IpAddr) -> String {
    path_of(&Subject::Addresses(address, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: &str, want: &[&str]) {
        let read = Asked::read(value);
        let shown: Vec<String> = read
            .iter()
            .flat_map(|asked| std::iter::once(&asked.subject).chain(&asked.others))
            .map(text_of)
            .collect();
        assert_eq!(shown, want, "{value:?}");
    }

    #[test]
    fn what_is_clicked_is_read() {
        check("www.Example.com.", &["www.example.com"]);
        check(" \"www.example.com\" ", &["www.example.com"]);
        check("https://user:secret@www.example.com:8443/a?b=c,d#e", &["www.example.com"]);
        check("//www.example.com/x", &["www.example.com"]);
        check("2001:db8::1", &["2001:db8::1"]);
        check("[2001:db8::1]:443", &["2001:db8::1"]);
        check("192.0.2.7:53", &["192.0.2.7"]);
        check("192.0.2.0/24", &["192.0.2.0/24"]);
        check("192.0.2.0,24", &["192.0.2.0/24"]);
        check("192.0.2.1-192.0.2.9", &["192.0.2.1-192.0.2.9"]);
        check("*.example.com", &["*.example.com"]);
        check("\\*.example.com", &["\\*.example.com"]);
        check("someone@mail.example", &["mail.example"]);
        check("hxxp://evil[.]example/", &["evil.example"]);
        check(
            "a.example, 192.0.2.1,a.example,77,'b.example'",
            &["a.example", "192.0.2.1", "b.example"],
        );
        check("[\"a.example\",\"b.example\"]", &["a.example", "b.example"]);
    }

    #[test]
    fn what_is_no_subject_is_none() {
        for value in [
            "",
            " ",
            ",",
            "443",
            "-",
            "a user",
            "/var/log/x",
            "C:\\Windows",
            "a..b",
            "d41d8cd98f00b204e9800998ecf8427e",
            "192.0.2.0/77",
            "<b>x.y</b>",
            "a=b",
            "sha256:ab",
            "x\u{0}y..",
        ] {
            check(value, &[]);
        }
    }

    #[test]
    fn paths_are_read_back() {
        for text in [
            "www.example.com",
            "*.example.com",
            "\\*.example.com",
            "2001:db8::/32",
            "192.0.2.7",
            "0/25.2.0.192.in-addr.arpa",
            "hxxp.example",
            "\\049.0.2.7",
            "\\0523",
            "a\\.b\\\\c\\034.example",
            "192.0.2.1-192.0.2.9",
        ] {
            let asked = Asked::read(text).unwrap();
            let path = path_of(&asked.subject);
            assert_eq!(
                Asked::of_path(path.strip_prefix("/context/").unwrap()),
                Some(asked),
                "{path}"
            );
        }
        assert_eq!(Asked::of_path("https:/evil.example/x"), Asked::read("evil.example"));
        assert_eq!(Asked::of_path("2001%3Adb8%3A%3A1"), Asked::read("2001:db8::1"));
        assert_eq!(Asked::of_path("%zz"), None);
        assert_eq!(path_of(&Asked::read(".").unwrap().subject), "/context?q=.");
    }

    proptest! {
        #[test]
        fn any_value_is_read_or_not(value in ".{0,80}") {
            if let Some(asked) = Asked::read(&value) {
                let again = Asked::read(&typed(&asked.subject)).map(|read| read.subject);
                prop_assert_eq!(again, Some(asked.subject));
            }
        }

        #[test]
        fn every_name_can_be_asked_for(octets in prop::collection::vec(any::<u8>(), 1..20)) {
            let wire = [&[u8::try_from(octets.len()).unwrap()], octets.as_slice(), b"\x02ab\0"].concat();
            let (name, _) = NameBuf::from_wire(&wire).unwrap();
            for subject in [Subject::Name(name.clone()), Subject::Below(name)] {
                let path = path_of(&subject);
                let read = Asked::of_path(path.strip_prefix("/context/").unwrap());
                prop_assert_eq!(read, Some(Asked { subject: subject.clone(), others: Vec::new() }));
                let tag = tag_of(&subject).unwrap();
                prop_assert_eq!(crate::query::tag_subject(&crate::query::typed_tag(&tag), None), Ok(tag));
            }
        }
    }
}
