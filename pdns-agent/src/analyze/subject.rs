//! The part of a name that is scored: the label below the public suffix, which its owner chose.
//!
//! Zones of dynamic DNS count as suffixes, too: their users choose the label below.

use crate::name::suffix::registrable;
use crate::name::{Name, ancestors};
use hashbrown::HashSet;
use std::sync::LazyLock;

/// Labels of at most this many octets are too short to judge.
pub const SHORT: usize = 5;

/// Zones whose names belong to anyone (maltrail, MIT; see NOTICE).
static DYNAMIC: LazyLock<HashSet<&'static str, super::vocabulary::Mixer>> = LazyLock::new(|| {
    include_str!("dynamic_dns.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// The zone of dynamic DNS that a name lies below.
#[must_use]
pub fn dynamic_zone(name: Name<'_>) -> Option<Name<'_>> {
    let mut above = ancestors(name).skip(1).filter(|zone| DYNAMIC.contains(zone));
    above.next().and_then(|zone| Name::from_canonical(zone).ok())
}

/// The registrable domain of a name, or the name itself if it is a public suffix. Zones of dynamic DNS count as
/// suffixes.
#[must_use]
pub fn scored_domain(name: Name<'_>) -> Name<'_> {
    Scored::new(name).registrable
}

/// Octets of a label, in lower case and without escapes.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    octets: [u8; super::symbols::MAX_LABEL],
    length: usize,
}

impl Label {
    /// Takes the escapes of canonical text off.
    pub(crate) fn new(text: &str) -> Self {
        let mut label = Self { octets: [0; super::symbols::MAX_LABEL], length: 0 };
        let mut rest = text.bytes();
        while let Some(mut octet) = rest.next() {
            if octet == b'\\' {
                octet = escaped(&mut rest);
            }
            let Some(place) = label.octets.get_mut(label.length) else { break };
            *place = octet.to_ascii_lowercase();
            label.length += 1;
        }
        label
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn is_idn(&self) -> bool {
        self.octets().starts_with(b"xn--")
    }
}

/// The octet that the rest of `\DDD` or `\X` stands for.
pub(crate) fn escaped(rest: &mut impl Iterator<Item = u8>) -> u8 {
    let Some(first) = rest.next() else { return b'\\' };
    if !first.is_ascii_digit() {
        return first;
    }
    let mut digits = [first, rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')].into_iter();
    let value = digits.try_fold(0_u16, |value, digit| {
        Some(value * 10 + u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))
    });
    value.and_then(|value| u8::try_from(value).ok()).unwrap_or(b'?')
}

/// The scored part of a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored<'n> {
    /// The registrable domain, or the name itself if it is a public suffix.
    pub(crate) registrable: Name<'n>,
    /// Its first label, as text; empty for the root.
    pub(crate) label: &'n str,
}

impl<'n> Scored<'n> {
    /// Finds the registrable domain of a name.
    pub(crate) fn new(name: Name<'n>) -> Self {
        let mut domain = registrable(name).unwrap_or(name);
        let labels = domain.labels().count();
        if DYNAMIC.contains(domain.as_str()) && name.as_str().len() > domain.as_str().len() {
            domain = name.suffix(labels + 1);
        }
        let label = if domain.is_root() { "" } else { domain.labels().next().unwrap_or_default() };
        Self { registrable: domain, label }
    }
}

/// The domain whose owner chose its first label: the registrable domain, or the name below a zone of dynamic DNS. A
/// public suffix has none.
#[must_use]
pub fn owned_domain(name: Name<'_>) -> Option<Name<'_>> {
    registrable(name).map(|_| Scored::new(name).registrable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;

    #[track_caller]
    fn check(name: &str, registrable: &str, label: &str) {
        let name = NameBuf::parse(name).unwrap();
        let scored = Scored::new(name.as_name());
        assert_eq!((scored.registrable.as_str(), scored.label), (registrable, label));
    }

    #[test]
    fn the_label_is_the_one_that_the_owner_chose() {
        check("www.Example.com", "example.com", "example");
        check("a.b.example.co.uk", "example.co.uk", "example");
        check("co.uk", "co.uk", "co");
        check(".", ".", "");
        check("xq7.mooo.com", "xq7.mooo.com", "xq7");
        check("a.xq7.mooo.com", "xq7.mooo.com", "xq7");
        check("mooo.com", "mooo.com", "mooo");
    }

    #[test]
    fn escapes_are_one_octet() {
        let name = NameBuf::parse("a\\.b\\000\\255.com").unwrap();
        let label = Label::new(Scored::new(name.as_name()).label);
        assert_eq!(label.octets(), b"a.b\x00\xff");
        assert_eq!(Label::new("\\").octets(), b"\\");
        assert_eq!(Label::new("\\9").octets(), b"?");
        assert_eq!(Label::new(&"a".repeat(300)).octets().len(), 63);
    }
}
