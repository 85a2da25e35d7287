//! What a tag is on, as it is typed.
//!
//! Part of `query`: as a look-up takes it, but for two things: a name may stand for all below it, and a range of addresses is
//! not one subject.

use super::subject::{Subject, SubjectError};
use crate::store::TagSubject;
use ipnet::IpNet;
use std::net::IpAddr;

/// What a plain name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For itself.
    Exact,
    /// For itself and all names below it.
    Below,
}

/// Why text is nothing that can be tagged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagSubjectError {
    /// No subject at all.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Text of several words, as in a hosts file.
    #[error("{0:?} has a space in it: give one name, address or prefix a line")]
    Space(String),
    /// All names there are.
    #[error("a tag on all names says nothing: give a domain")]
    All,
    /// A range that is no prefix.
    #[error("{0:?} is no prefix: tag an address or a prefix such as 192.0.2.0/24")]
    Range(String),
}

/// Reads a subject: what a plain name stands for is said by `scope`, or it stands for itself.
///
/// # Errors
/// [`TagSubjectError`] says which rule the text breaks.
pub fn tag_subject(typed: &str, scope: Option<Scope>) -> Result<TagSubject, TagSubjectError> {
    let typed = typed.trim();
    if typed.contains(char::is_whitespace) {
        return Err(TagSubjectError::Space(typed.to_owned()));
    }
    // `.example.com`, as some lists have it.
    let (text, dotted) = match typed.strip_prefix('.') {
        Some(rest) if !rest.is_empty() => (rest, true),
        _ => (typed, false),
    };
    let below = |name: crate::name::NameBuf| {
        if name.as_name().is_root() {
            Err(TagSubjectError::All)
        } else {
            Ok(TagSubject::Below(name))
        }
    };
    match Subject::parse(text)? {
        Subject::Name(name) if dotted || scope == Some(Scope::Below) => below(name),
        Subject::Name(name) => Ok(TagSubject::Name(name)),
        Subject::Below(name) => below(name),
        Subject::Addresses(from, to) => {
            let net = net(from.to_canonical(), to.to_canonical());
            net.map(TagSubject::Net).ok_or_else(|| TagSubjectError::Range(typed.to_owned()))
        }
    }
}

/// The prefix that a range is, if it is one.
fn net(from: IpAddr, to: IpAddr) -> Option<IpNet> {
    let shared = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
        (IpAddr::V6(from), IpAddr::V6(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
        _ => return None,
    };
    let net = IpNet::new(from, u8::try_from(shared).ok()?).ok()?;
    (net.network() == from && net.broadcast() == to).then_some(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, scope: Option<Scope>, want: &str) {
        assert_eq!(tag_subject(typed, scope).unwrap().to_string(), want, "{typed}");
    }

    #[test]
    fn subjects() {
        check("WWW.Example.com.", None, "www.example.com");
        check("example.com", Some(Scope::Below), ".example.com");
        check("*.example.com", Some(Scope::Exact), ".example.com");
        check(".example.com", None, ".example.com");
        check("\\*.example.com", None, "\\*.example.com");
        check("hxxps://evil[.]example/path", None, "evil.example");
        check("b\u{fc}cher.example", None, "xn--bcher-kva.example");
        check("192.0.2.77/24", None, "192.0.2.0/24");
        check("192.0.2.0-192.0.2.127", None, "192.0.2.0/25");
        check("192.0.2.7", Some(Scope::Below), "192.0.2.7");
        check("::ffff:192.0.2.7", None, "192.0.2.7");
        check("::ffff:192.0.2.0/120", None, "192.0.2.0/24");
        check("0.0.0.0/0", None, "0.0.0.0/0");
        check("2001:db8::/32", None, "2001:db8::/32");
        check(".", None, ".");
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        let refused = |typed: &str| tag_subject(typed, None).unwrap_err();
        assert_eq!(refused("*"), TagSubjectError::All);
        assert_eq!(tag_subject(".", Some(Scope::Below)), Err(TagSubjectError::All));
        assert!(matches!(refused("192.0.2.1-192.0.2.9"), TagSubjectError::Range(_)));
        assert!(matches!(refused("0.0.0.0 evil.example"), TagSubjectError::Space(_)));
        assert!(matches!(refused("a..b"), TagSubjectError::Subject(_)));
        assert!(matches!(refused("..b"), TagSubjectError::Subject(_)));
        assert!(matches!(refused(" "), TagSubjectError::Subject(SubjectError::Empty)));
    }
}
