//! The subject of a look-up or a tag: a name, the names below it, an address, a prefix or a range.
//!
//! Part of `query`. This is the only place where text that a person types or pastes, or that a list contains,
//! becomes a subject: for look-ups, tags, imports, pages and the API alike. Text in the exact notation is read
//! first; otherwise the decoration that reports and browsers put around a subject is removed (`defang`, `url`)
//! and the rest is read in the exact notation. A [`Reading`] tells which of the two applied, and [`Purpose`]
//! how much may be guessed: subjects to be stored must be certain.
//!
//! The exact notation: a name with RFC 1035 escapes; `*.` and a name for everything below it; `.` and a name
//! for the name and everything below it; an address, `ADDRESS/LENGTH` or `ADDRESS-ADDRESS`.

mod address;
mod defang;
mod list;
mod listed;
mod printed;
mod tagged;
mod url;

pub use list::{MAX_LISTED, Readings, is_comment, parts, read_list, without_comment};
pub use listed::{ListedSubjects, WrittenAs, listed_subjects, refang};
pub use printed::{printed, printed_name, typed_name, typed_tag};
pub use tagged::{Scope, TagSubjectError, TaggedParts, tag_subject, tag_subject_for, tag_subjects};

use crate::name::{NameBuf, NameError};
use ipnet::IpNet;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// Lengths of hexadecimal digests, which are not taken for names although they could be.
const DIGESTS: [usize; 5] = [32, 40, 56, 64, 128];
/// Punctuation that is accepted in look-ups of names as shown, although no host name contains it.
const SHOWN: &str = "!$&+=^{}~%";

/// The subject of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One name.
    Name(NameBuf),
    /// All names below this one, excluding it: `*.example.com`.
    Below(NameBuf),
    /// This name and all names below it: `.example.com`.
    AtOrBelow(NameBuf),
    /// All addresses from the first to the second, inclusive, both of one family. IPv4 addresses also cover
    /// their IPv4-mapped IPv6 forms (RFC 4291 §2.5.5.2).
    Addresses(IpAddr, IpAddr),
}

/// The purpose for which a subject is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A person asks for it, and sees how it was understood.
    LookUp,
    /// The value of any field of a log, which need not be a subject at all.
    Click,
    /// Stored and passed on to other programs, so nothing is guessed.
    Store,
}

/// The certainty of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The text is a subject in the exact notation.
    AsTyped,
    /// Something was removed or completed in the only possible way.
    Cleaned,
    /// The text could mean something else as well.
    Guessed,
}

/// A subject, and the certainty that it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The subject.
    pub subject: Subject,
    /// The certainty.
    pub certainty: Certainty,
}

/// Reason why text is not a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Nothing but spaces and punctuation.
    #[error("there is nothing in it; give a name, an address, a prefix or a range")]
    Empty,
    /// Text of several words.
    #[error(
        "it has several words; give one name, address or prefix, or several with commas between"
    )]
    Words,
    /// An address with an invalid prefix length or netmask.
    #[error("the prefix length after an address is 0 to 32, or 0 to 128 for IPv6, or a netmask")]
    Prefix,
    /// A range with an end that is not an address, with two families, or backwards.
    #[error("a range is two addresses of one family with - between, the lower one first")]
    Range,
    /// Numbers with dots that are not an address.
    #[error(
        "it ends in a number, but an IPv4 address is four numbers from 0 to 255 (for the name, write its first digit as \\DDD)"
    )]
    Numbers,
    /// A number or a digest.
    #[error(
        "it is a number or a hash, not a name (for the name, write its first character as \\DDD)"
    )]
    Opaque,
    /// A `*` in another place than the front.
    #[error(
        "a * stands in front of a name or at the end of an IPv4 address: '*.example.com' is all below \
         example.com; pdns find searches text; \\* is the character itself"
    )]
    Star,
    /// A character that no host name contains.
    #[error("a name does not contain {0:?} (for the character itself, write \\{code:03})", code = u32::from(*.0))]
    Character(char),
    /// A letter after a backslash.
    #[error("a backslash is followed by punctuation or three decimal digits")]
    Escape,
    /// Not a name in any of its forms.
    #[error("it is not a valid domain name")]
    Name(#[source] NameError),
    /// Unicode that has no form in the DNS.
    #[error("it is not a valid internationalized domain name (UTS #46)")]
    Idn,
    /// A URL or a path without a valid host.
    #[error("it has no valid host in front")]
    Host,
    /// A reading that is not certain enough to be stored.
    #[error("it may mean {0}, which is not certain enough to be stored: write that if you mean it")]
    Uncertain(String),
}

impl Subject {
    /// Reads text for [`Purpose::LookUp`].
    ///
    /// # Errors
    /// [`SubjectError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        Self::read(text, Purpose::LookUp).map(|reading| reading.subject)
    }

    /// Reads one subject.
    ///
    /// # Errors
    /// [`SubjectError`] says which rule the text breaks.
    pub fn read(text: &str, purpose: Purpose) -> Result<Reading, SubjectError> {
        let text = text.trim();
        if let Some(decoded) = url::percent_encoded(text) {
            let reading = Self::read(&decoded, purpose)?;
            if purpose == Purpose::Store && !decoded.contains("://") {
                return Err(SubjectError::Uncertain(reading.subject.to_string()));
            }
            return Ok(Reading { certainty: reading.certainty.max(Certainty::Cleaned), ..reading });
        }
        let reading = exact(text, purpose).or_else(|error| match error {
            // Text that begins as an address is nothing else.
            SubjectError::Prefix | SubjectError::Range => Err(error),
            error => cleaned(text, purpose, error),
        })?;
        if purpose == Purpose::Store && reading.certainty == Certainty::Guessed {
            return Err(SubjectError::Uncertain(reading.subject.to_string()));
        }
        Ok(reading)
    }

    /// Returns the name at or below which the subject lies; `None` for addresses.
    #[must_use]
    pub fn name(&self) -> Option<&NameBuf> {
        match self {
            Self::Name(name) | Self::Below(name) | Self::AtOrBelow(name) => Some(name),
            Self::Addresses(..) => None,
        }
    }

    /// Returns the kind of subject in words.
    #[must_use]
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Below(_) => "names below",
            Self::AtOrBelow(_) => "name and names below",
            Self::Addresses(from, to) if from == to => "address",
            Self::Addresses(..) if self.as_prefix().is_some() => "prefix",
            Self::Addresses(..) => "range",
        }
    }

    /// Returns the prefix with exactly the addresses of the subject: one of full length for a single address;
    /// `None` for names, and for a range that no prefix equals. The prefix of IPv4-mapped IPv6 addresses is an
    /// IPv4 prefix.
    #[must_use]
    pub fn as_prefix(&self) -> Option<IpNet> {
        let Self::Addresses(from, to) = self else { return None };
        let (from, to) = address::canonical(*from, *to);
        let shared = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
            (IpAddr::V6(from), IpAddr::V6(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
            _ => return None,
        };
        let net = IpNet::new(from, u8::try_from(shared).ok()?).ok()?;
        (net.network() == from && net.broadcast() == to).then_some(net)
    }
}

/// The addresses of a prefix.
impl From<IpNet> for Subject {
    fn from(net: IpNet) -> Self {
        Self::Addresses(net.network(), net.broadcast())
    }
}

/// Writes the exact notation, so that the text can be typed and is read back as the same subject.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&printed(self))
    }
}

/// Reads the exact notation.
fn exact(text: &str, purpose: Purpose) -> Result<Reading, SubjectError> {
    if text.is_empty() {
        return Err(SubjectError::Empty);
    }
    if let Some(((from, to), certainty)) = address::read(text)? {
        return Ok(Reading { subject: Subject::Addresses(from, to), certainty });
    }
    let ascii = ascii(text)?;
    if ascii != text {
        let reading = exact(&ascii, purpose)?;
        let certainty = reading.certainty.max(Certainty::Cleaned);
        return Ok(Reading { certainty, ..reading });
    }
    let subject = match text {
        "*" | "*." => Subject::Below(name(".", purpose)?),
        "." => Subject::Name(name(".", purpose)?),
        _ => match (text.strip_prefix("*."), text.strip_prefix('.')) {
            (Some("."), _) | (_, Some(".")) => {
                return Err(SubjectError::Name(NameError::EmptyLabel));
            }
            (Some(apex), _) => Subject::Below(name(apex, purpose)?),
            (_, Some(apex)) => Subject::AtOrBelow(name(apex, purpose)?),
            _ => Subject::Name(name(text, purpose)?),
        },
    };
    Ok(Reading { subject, certainty: Certainty::AsTyped })
}

/// Removes the decoration around a subject and reads the rest; `error` is the reason why the text as a whole
/// was refused.
fn cleaned(text: &str, purpose: Purpose, error: SubjectError) -> Result<Reading, SubjectError> {
    let (bare, mut certainty) = defang::clean(text);
    if bare.is_empty() {
        return Err(SubjectError::Empty);
    }
    let host = if bare == text {
        url::host(&bare)
    } else {
        match exact(&bare, purpose) {
            Ok(reading) if is_root(&reading.subject) => return Err(error),
            Ok(reading) => {
                return Ok(Reading { certainty: certainty.max(reading.certainty), ..reading });
            }
            Err(error @ (SubjectError::Prefix | SubjectError::Range)) => return Err(error),
            Err(_) => url::host(&bare),
        }
    };
    let host = match host {
        Ok(host) => host,
        // The text does not look like a URL: the reason lies in the text itself.
        Err(SubjectError::Host) if !bare.contains(['/', '\\', '?', '#', '@', ':', '|']) => {
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    certainty = certainty.max(host.certainty);
    if host.text == text {
        return Err(error);
    }
    let reading = exact(&host.text, purpose)?;
    // A part of a URL does not mean the root, or all names.
    if is_root(&reading.subject) {
        return Err(SubjectError::Host);
    }
    Ok(Reading { certainty: certainty.max(reading.certainty).max(Certainty::Cleaned), ..reading })
}

fn is_root(subject: &Subject) -> bool {
    subject.name().is_some_and(|name| name.as_name().is_root())
}

/// The ASCII form of text with Unicode in it (UTS #46).
fn ascii(text: &str) -> Result<Cow<'_, str>, SubjectError> {
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    if text.contains(['\\', '/', '?', '#', '@', ':'])
        || text.contains(char::is_whitespace)
        || text.contains(defang::QUOTES)
    {
        return Err(SubjectError::Idn);
    }
    let (head, rest) = match text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        Some(rest) => text.split_at(text.len() - rest.len()),
        None => ("", text),
    };
    let ascii = idna::domain_to_ascii(rest).map_err(|_| SubjectError::Idn)?;
    if ascii.is_empty() {
        return Err(SubjectError::Empty);
    }
    Ok(Cow::Owned(format!("{head}{ascii}")))
}

/// Reads an ASCII name.
fn name(text: &str, purpose: Purpose) -> Result<NameBuf, SubjectError> {
    let has_escape = text.contains('\\');
    let may_have_slash = text.contains('/') && url::is_slash_in_name(text, purpose);
    if defang::is_defanged(text) {
        return Err(SubjectError::Escape);
    }
    let is_dotted = text.trim_matches('.').contains('.');
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(letter) if letter.is_ascii_alphabetic() || letter == '/' => {
                    return Err(SubjectError::Escape);
                }
                _ => {}
            },
            letter if letter.is_ascii_alphanumeric() || "-_.".contains(letter) => {}
            '*' if has_escape => {}
            '*' => return Err(SubjectError::Star),
            '/' if may_have_slash => {}
            // A user who writes escapes knows which characters need one.
            letter if has_escape && letter.is_ascii_punctuation() && !"/:,?#@".contains(letter) => {
            }
            letter if purpose == Purpose::LookUp && SHOWN.contains(letter) => {}
            // Beside a dot it is more likely a name than an expression.
            letter if purpose == Purpose::Click && is_dotted && SHOWN.contains(letter) => {}
            letter if letter.is_whitespace() => return Err(SubjectError::Words),
            letter => return Err(SubjectError::Character(letter)),
        }
    }
    if !has_escape && !may_have_slash {
        if is_number_or_digest(text) {
            return Err(SubjectError::Opaque);
        }
        let is_number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        // No host name ends in a number, but names in the DNS do.
        let is_all = text.split('.').all(is_number);
        if !last.is_empty() && is_number(last) && (is_all || purpose == Purpose::Store) {
            return Err(SubjectError::Numbers);
        }
    }
    NameBuf::parse(text).map_err(SubjectError::Name)
}

/// Returns true if text is a number or a digest, which is hardly meant as a name although it could be one.
fn is_number_or_digest(value: &str) -> bool {
    let is_number = value.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-');
    let is_digest =
        DIGESTS.contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_number || is_digest
}

#[cfg(test)]
mod tests;
