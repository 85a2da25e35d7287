//! Names that look like a tunnel and are none: reputation look-ups, block lists, certificates, mail, reverse zones.

use crate::name::{Name, NameBuf, ancestors};
use std::collections::HashMap;

/// The list that comes with the program.
const SHIPPED: &str = include_str!("exempt.txt");
/// Maximum number of entries.
const MAX_ENTRIES: usize = 100_000;

/// Longest label, in octets of text, beside a label that is exempt.
const MAX_PLAIN: usize = 40;

/// Zones and labels that are exempt, each with its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempts {
    zones: HashMap<NameBuf, String>,
    labels: HashMap<String, String>,
}

/// Reason why text is not a valid list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ExemptError {
    /// Line number, from 1.
    pub line: usize,
    /// The reason.
    pub reason: &'static str,
}

impl Exempts {
    /// The list that comes with the program.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a test reads the same text")]
    pub fn shipped() -> Self {
        Self::parse(SHIPPED).expect("the list that is shipped is valid")
    }

    /// Parses a list: a class and a zone (`.example.com`, which stands for all names at or below it) or a label
    /// (`_label`, which stands for all names with it), separated by blanks; `#` begins a comment.
    ///
    /// # Errors
    /// [`ExemptError`] for the first invalid line.
    pub fn parse(text: &str) -> Result<Self, ExemptError> {
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let fail = |reason| ExemptError { line: number, reason };
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            let (Some(class), Some(entry), None) = (words.next(), words.next(), words.next())
            else {
                return Err(fail("give a class, and a zone such as .example.com or a label"));
            };
            if !class.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-') {
                return Err(fail("a class has only lower-case letters and hyphens"));
            }
            if list.zones.len() + list.labels.len() >= MAX_ENTRIES {
                return Err(fail("more than 100,000 entries"));
            }
            if let Some(zone) = entry.strip_prefix('.') {
                let zone = NameBuf::parse(zone).map_err(|_| fail("not a valid zone"))?;
                if zone.as_name().is_root() {
                    return Err(fail("the root would exempt every name"));
                }
                list.zones.insert(zone, class.to_owned());
            } else {
                let label = NameBuf::parse(entry).map_err(|_| fail("not a valid label"))?;
                if label.as_name().labels().count() != 1 {
                    return Err(fail("a zone begins with a dot, a label has none"));
                }
                list.labels.insert(label.as_str().to_owned(), class.to_owned());
            }
        }
        Ok(list)
    }

    /// The class for which a name is exempt.
    #[must_use]
    pub fn class(&self, name: Name<'_>) -> Option<&str> {
        // A label could be put into every name of a tunnel, beside long ones that carry the data.
        let is_plain = || name.labels().all(|label| label.len() <= MAX_PLAIN);
        let of_label =
            || name.labels().find_map(|label| self.labels.get(label)).filter(|_| is_plain());
        self.zone_class(name).or_else(|| of_label().map(String::as_str))
    }

    /// The class for which a domain with all names below it is exempt.
    #[must_use]
    pub fn zone_class(&self, domain: Name<'_>) -> Option<&str> {
        let zones = ancestors(domain).filter_map(|text| Name::from_canonical(text).ok());
        let mut found = zones.filter_map(|zone| self.zones.get(&zone.to_buf()));
        found.next().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn names_are_exempt_by_zone_and_by_label() {
        let list = Exempts::shipped();
        for (exempt, class) in [
            ("abc.def.sophosxl.net", Some("antivirus")),
            ("2.0.0.127.zen.spamhaus.org", Some("blocklist")),
            ("_acme-challenge.www.example.com", Some("certificate")),
            ("s1._domainkey.example.com", Some("mail")),
            ("1._er.1.example.com.7._er.agent.example", Some("error-report")),
            ("4.3.2.1.in-addr.arpa", Some("reverse")),
            ("xsophosxl.net", None),
            ("www.example.com", None),
            (".", None),
        ] {
            assert_eq!(list.class(name(exempt).as_name()), class, "{exempt}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [
            ("a .example.com\nb\n", 2),
            ("a .\n", 1),
            ("a b.example\n", 1),
            ("\nA .example.com\n", 2),
            ("a .a..b\n", 1),
            ("a .example.com c\n", 1),
        ] {
            assert_eq!(Exempts::parse(text).unwrap_err().line, line, "{text:?}");
        }
        assert_eq!(Exempts::parse("# nothing\n\n"), Ok(Exempts::default()));
        let lines: Vec<String> =
            (0..=MAX_ENTRIES).map(|at| format!("a .z{at}.example\n")).collect();
        let long = lines.concat();
        assert_eq!(Exempts::parse(&long).unwrap_err().line, MAX_ENTRIES + 1);
    }
}
