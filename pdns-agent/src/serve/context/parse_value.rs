//! Reading of the clicked value: any field of a log, and the subjects in it that can be looked up.
//!
//! Part of the page. Security Onion puts the clicked value into a link: a name, an address, a URL, a list
//! separated by commas, but also a number, a hash or a user name. [`Subject::read`] does the reading itself.

use crate::name::NameBuf;
use crate::query::{Purpose, Subject, parts, typed_name};
use crate::render::percent;
use crate::serve::part::decode;
use std::net::IpAddr;

/// Maximum number of subjects in a list; the rest is ignored.
const MAX_LISTED: usize = 32;

/// The clicked subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClickedValue {
    /// The subject to show.
    pub(super) subject: Subject,
    /// The other subjects of a list, in order.
    pub(super) others: Vec<Subject>,
}

impl ClickedValue {
    /// Reads a value; returns `None` if it contains nothing that can be looked up.
    pub(super) fn read(value: &str) -> Option<Self> {
        let mut found: Vec<Subject> = Vec::new();
        // Brackets around all of it are left over from a JSON list; otherwise they belong to an IPv6 address.
        let value = match value.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(list) if list.contains(',') => list,
            _ => value,
        };
        for part in parts(value) {
            if let Ok(reading) = Subject::read(&part, Purpose::Click)
                && !found.contains(&reading.subject)
            {
                found.push(reading.subject);
            }
            if found.len() >= MAX_LISTED {
                break;
            }
        }
        let mut found = found.into_iter();
        Some(Self { subject: found.next()?, others: found.collect() })
    }

    /// Reads the part of a path after `/context/`.
    pub(super) fn of_path(tail: &str) -> Option<Self> {
        let value = decode(tail).ok()?;
        // A proxy that merges slashes leaves only one of the two after a scheme.
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

/// Returns a subject in a form that [`ClickedValue::read`] reads as the same subject, whatever it contains.
pub(super) fn typed(subject: &Subject) -> String {
    let lead = match subject {
        Subject::Name(_) => "",
        Subject::Below(apex) if apex.as_name().is_root() => return "*".to_owned(),
        Subject::Below(_) => "*.",
        Subject::AtOrBelow(_) => ".",
        Subject::Addresses(..) => return subject.to_string(),
    };
    format!("{lead}{}", subject.name().map(typed_name).unwrap_or_default())
}

/// Returns the path of a subject's page.
pub(super) fn path_of(subject: &Subject) -> String {
    let text = typed(subject);
    // Browsers remove path segments that consist only of dots.
    let head = if text.bytes().all(|octet| octet == b'.') { "/context?q=" } else { "/context/" };
    format!("{head}{}", percent(&text))
}

/// Returns the path of a name's page.
pub(super) fn name_path(name: &NameBuf) -> String {
    path_of(&Subject::Name(name.clone()))
}

/// Returns the path of an address's page.
pub(super) fn address_path(address: IpAddr) -> String {
    path_of(&Subject::Addresses(address, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: &str, want: &[&str]) {
        let read = ClickedValue::read(value);
        let shown: Vec<String> = read
            .iter()
            .flat_map(|asked| std::iter::once(&asked.subject).chain(&asked.others))
            .map(ToString::to_string)
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
            let asked = ClickedValue::read(text).unwrap();
            let path = path_of(&asked.subject);
            assert_eq!(
                ClickedValue::of_path(path.strip_prefix("/context/").unwrap()),
                Some(asked),
                "{path}"
            );
        }
        assert_eq!(
            ClickedValue::of_path("https:/evil.example/x"),
            ClickedValue::read("evil.example")
        );
        assert_eq!(ClickedValue::of_path("2001%3Adb8%3A%3A1"), ClickedValue::read("2001:db8::1"));
        assert_eq!(ClickedValue::of_path("%zz"), None);
        assert_eq!(path_of(&ClickedValue::read(".").unwrap().subject), "/context?q=.");
    }

    proptest! {
        #[test]
        fn any_value_is_read_or_not(value in ".{0,80}") {
            if let Some(asked) = ClickedValue::read(&value) {
                let again = ClickedValue::read(&typed(&asked.subject)).map(|read| read.subject);
                prop_assert_eq!(again, Some(asked.subject));
            }
        }

        #[test]
        fn every_name_can_be_asked_for(octets in prop::collection::vec(any::<u8>(), 1..20)) {
            let wire = [&[u8::try_from(octets.len()).unwrap()], octets.as_slice(), b"\x02ab\0"].concat();
            let (name, _) = NameBuf::from_wire(&wire).unwrap();
            for subject in
                [Subject::Name(name.clone()), Subject::Below(name.clone()), Subject::AtOrBelow(name)]
            {
                let path = path_of(&subject);
                let read = ClickedValue::of_path(path.strip_prefix("/context/").unwrap());
                prop_assert_eq!(read, Some(ClickedValue { subject: subject.clone(), others: Vec::new() }));
                let tag = crate::query::own_tag_subject(&subject).unwrap();
                prop_assert_eq!(crate::query::tag_subject(&crate::query::typed_tag(&tag), None), Ok(tag));
            }
        }
    }
}
