//! The subject of a tag: only certain readings, and only subjects that a single tag can have.
//!
//! Part of the subject parser. A name may stand for everything below it, and a range of addresses must be a
//! prefix.

use super::{Certainty, Purpose, Subject, SubjectError, read_list};
use crate::tag::TagSubject;

/// The names that a plain name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The name alone.
    Exact,
    /// The name and all names below it.
    Below,
}

/// Reason why text cannot be tagged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagSubjectError {
    /// Not a subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The set of all names.
    #[error("a tag on all names says nothing: give a domain")]
    All,
    /// A range that is not a prefix.
    #[error("it is a range: tag an address or a prefix such as 192.0.2.0/24")]
    Range,
    /// A range of more addresses than one judgement can be about.
    #[error("it is a range of more addresses than a /9, or a /24 of IPv6")]
    WideRange,
}

/// The parts of a list, each with its subject, and true if it is in the exact notation.
pub type TaggedParts = Vec<(String, TagSubject, bool)>;

/// Reads one subject; `scope` is the meaning of a plain name, which is the name alone by default.
///
/// # Errors
/// [`TagSubjectError`] says which rule the text breaks.
pub fn tag_subject(text: &str, scope: Option<Scope>) -> Result<TagSubject, TagSubjectError> {
    tag_subject_for(text, scope, Purpose::Store)
}

/// Like [`tag_subject`], for another purpose: the tags of a subject are only queried.
///
/// # Errors
/// As [`tag_subject`].
pub fn tag_subject_for(
    text: &str,
    scope: Option<Scope>,
    purpose: Purpose,
) -> Result<TagSubject, TagSubjectError> {
    of(Subject::read(text, purpose)?.subject, scope)
}

/// Reads the subjects of a list, each with true if it was in the exact notation.
///
/// # Errors
/// The part that cannot be tagged, and why.
pub fn tag_subjects(
    text: &str,
    scope: Option<Scope>,
) -> Result<TaggedParts, (String, TagSubjectError)> {
    let readings = read_list(text, Purpose::Store).map_err(|(part, error)| (part, error.into()))?;
    let tagged = readings.into_iter().map(|(part, reading)| {
        let part = part.trim().to_owned();
        match of(reading.subject, scope) {
            Ok(subject) => Ok((part, subject, reading.certainty == Certainty::AsTyped)),
            Err(error) => Err((part, error)),
        }
    });
    tagged.collect()
}

/// The subject of a tag for a subject that was read.
pub(super) fn of(subject: Subject, scope: Option<Scope>) -> Result<TagSubject, TagSubjectError> {
    match subject {
        Subject::Name(name) if scope != Some(Scope::Below) => Ok(TagSubject::Name(name)),
        // Tags have no subject for a domain without its own name.
        Subject::Name(name) | Subject::Below(name) | Subject::AtOrBelow(name) => {
            if name.as_name().is_root() {
                return Err(TagSubjectError::All);
            }
            Ok(TagSubject::Below(name))
        }
        Subject::Addresses(..) => {
            subject.as_prefix().map(TagSubject::Net).ok_or(TagSubjectError::Range)
        }
    }
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
        check("\"quoted.example.com\"", None, "quoted.example.com");
        check("b\u{fc}cher.example", None, "xn--bcher-kva.example");
        check("192.0.2.77/24", None, "192.0.2.0/24");
        check("192.0.2.0-192.0.2.127", None, "192.0.2.0/25");
        check("192.0.2.7", Some(Scope::Below), "192.0.2.7");
        check("192.0.2.7:443", None, "192.0.2.7");
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
        assert!(matches!(refused("192.0.2.1-192.0.2.9"), TagSubjectError::Range));
        assert!(matches!(
            refused("0.0.0.0 evil.example"),
            TagSubjectError::Subject(SubjectError::Words)
        ));
        assert!(matches!(refused("a..b"), TagSubjectError::Subject(_)));
        assert!(matches!(refused("..b"), TagSubjectError::Subject(_)));
        assert!(matches!(refused(" "), TagSubjectError::Subject(SubjectError::Empty)));
    }

    #[test]
    fn what_can_never_match_or_is_a_guess_is_refused() {
        for typed in [
            "]e.example.com",
            "\"quoted.example.com",
            "192.0.2.1|443",
            "fe80::1%eth0",
            "192.0.2.066",
            "someone@evil.example",
            "evil.example\\path",
            "{",
            "}",
            "{{7*7}}.example",
            "a=b.example",
            "443",
            "d41d8cd98f00b204e9800998ecf8427e",
            "1.2.3.4.5",
            "/gate.php?x=",
            "http//www.example.net",
            "sha256:ab",
            "\"type\": \"domain\",",
        ] {
            assert!(tag_subject(typed, None).is_err(), "{typed}: {:?}", tag_subject(typed, None));
        }
    }
}
