//! The subjects of one value in a file of indicators, and the form in which the value was written.
//!
//! Part of the subject parser. A person tags one subject; a feed also lists ranges, `host:port` and URLs, which say
//! less, or more, than the host alone.

use super::tagged::of;
use super::{Purpose, Scope, Subject, SubjectError, TagSubjectError, defang, exact, url};
use crate::tag::TagSubject;
use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};
use std::net::IpAddr;

/// Most addresses of a range, as powers of two: those of the widest prefixes that the quality gate accepts. Its parts may
/// be narrow enough each.
const WIDEST_V4: u32 = 23;
const WIDEST_V6: u32 = 104;
/// Maximum number of prefixes that a range may be split into. A range of IPv4 addresses needs at most 44.
const MAX_PREFIXES: usize = 64;

/// The form in which the subject of an indicator is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenAs {
    /// A name, an address, a prefix or a range, maybe defanged or quoted.
    Subject,
    /// A host and a port: `evil.example:443`.
    HostPort,
    /// A URL, or a host with a path.
    Url,
}

/// The subjects of one value: several for a range that is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSubjects {
    /// The subjects.
    pub subjects: Vec<TagSubject>,
    /// The form of the value.
    pub written_as: WrittenAs,
}

/// Reads one value of a file of indicators; `scope` is the meaning of a plain name, by default the name alone.
///
/// # Errors
/// As [`super::tag_subject`], but for a range, which is split into prefixes; [`TagSubjectError::Range`] for one that
/// needs too many, and [`TagSubjectError::WideRange`].
pub fn listed_subjects(
    text: &str,
    scope: Option<Scope>,
) -> Result<ListedSubjects, TagSubjectError> {
    let text = text.trim();
    let subject = Subject::read(text, Purpose::Store)?.subject;
    let written_as = written_as(text);
    let subjects = match subject {
        Subject::Addresses(from, to) if subject.as_prefix().is_none() => prefixes(from, to)?,
        subject => vec![of(subject, scope)?],
    };
    Ok(ListedSubjects { subjects, written_as })
}

/// Returns text in which brackets and words against accidental clicks are undone, wherever they stand: for prose.
#[must_use]
pub fn refang(text: &str) -> String {
    defang::fang_prose(text)
}

/// The form of a text that was read as a subject.
fn written_as(text: &str) -> WrittenAs {
    if let Some(decoded) = url::percent_encoded(text) {
        return written_as(decoded.trim());
    }
    if exact(text, Purpose::Store).is_ok() {
        return WrittenAs::Subject;
    }
    let (bare, _) = defang::clean(text);
    match exact(&bare, Purpose::Store) {
        Ok(_) | Err(SubjectError::Prefix | SubjectError::Range) => WrittenAs::Subject,
        Err(_) if url::is_url(&bare) => WrittenAs::Url,
        Err(_) => WrittenAs::HostPort,
    }
}

/// Splits a range into the fewest prefixes.
fn prefixes(from: IpAddr, to: IpAddr) -> Result<Vec<TagSubject>, TagSubjectError> {
    let subnets = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            if to.to_bits().saturating_sub(from.to_bits()) >> WIDEST_V4 > 0 {
                return Err(TagSubjectError::WideRange);
            }
            IpSubnets::from(Ipv4Subnets::new(from, to, 0))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            if to.to_bits().saturating_sub(from.to_bits()) >> WIDEST_V6 > 0 {
                return Err(TagSubjectError::WideRange);
            }
            IpSubnets::from(Ipv6Subnets::new(from, to, 0))
        }
        _ => return Err(TagSubjectError::Range),
    };
    let prefixes: Vec<IpNet> = subnets.take(MAX_PREFIXES + 1).collect();
    if prefixes.len() > MAX_PREFIXES {
        return Err(TagSubjectError::Range);
    }
    Ok(prefixes.into_iter().map(TagSubject::Net).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, written_as: WrittenAs, want: &[&str]) {
        let listed = listed_subjects(text, None).unwrap();
        let subjects: Vec<String> = listed.subjects.iter().map(ToString::to_string).collect();
        assert_eq!(subjects, want, "{text}");
        assert_eq!(listed.written_as, written_as, "{text}");
    }

    #[test]
    fn the_forms_of_feeds_are_told_apart() {
        use WrittenAs::{HostPort, Subject, Url};
        check("evil.example", Subject, &["evil.example"]);
        check(" evil[.]example. ", Subject, &["evil.example"]);
        check("e\u{200b}vil.example", Subject, &["evil.example"]);
        check(".evil.example", Subject, &[".evil.example"]);
        check("*.evil.example", Subject, &[".evil.example"]);
        check("evil.example:8080", HostPort, &["evil.example"]);
        check("192.0.2.1:8080", HostPort, &["192.0.2.1"]);
        check("[2001:db8::1]:8080", HostPort, &["2001:db8::1"]);
        check("[2001:db8::1]", Subject, &["2001:db8::1"]);
        check("192.0.2.0/24", Subject, &["192.0.2.0/24"]);
        check("192.0.2.0-192.0.2.255", Subject, &["192.0.2.0/24"]);
        check("192.0.2.1 - 192.0.2.2", Subject, &["192.0.2.1", "192.0.2.2"]);
        check("hxxps://evil[.]example/x", Url, &["evil.example"]);
        check("http://192.0.2.1:80/x", Url, &["192.0.2.1"]);
        check("evil.example/gate.php", Url, &["evil.example"]);
        check("//evil.example", Url, &["evil.example"]);
        check("http%3A%2F%2Fevil.example%2Fx", Url, &["evil.example"]);
    }

    #[test]
    fn a_range_wider_than_a_prefix_may_be_is_refused_as_a_whole() {
        for wide in ["8.0.0.0-8.255.255.254", "0.0.0.1-255.255.255.254", "2a00::1-2a00:ffff::"] {
            assert_eq!(listed_subjects(wide, None), Err(TagSubjectError::WideRange), "{wide}");
        }
        assert!(listed_subjects("8.0.0.0-8.127.255.255", None).is_ok());
    }

    #[test]
    fn a_range_that_needs_too_many_prefixes_is_refused() {
        let widest = listed_subjects("8.0.0.1-8.127.255.254", None).unwrap();
        assert_eq!(widest.subjects.len(), 44);
        let wide = "2a00::1-2a00:ff:ffff:ffff:ffff:ffff:ffff:fffe";
        assert_eq!(listed_subjects(wide, None), Err(TagSubjectError::Range));
    }
}
