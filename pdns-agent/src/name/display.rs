//! Names for display: unusual octets escaped, and the Unicode form of A-labels with a warning if it imitates
//! another name.
//!
//! Layer 0, part of `name`. A Unicode form is displayed next to a name, never instead of it, and contains no
//! invisible characters and none that change the text direction. Scripts and look-alikes follow Unicode's UTS
//! #39.

use super::{Name, push_decimal};
use std::borrow::Cow;
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::MixedScript as _;

/// Lengths of hexadecimal digests, which a label can also have.
const DIGESTS: [usize; 5] = [32, 40, 56, 64, 128];
/// Scripts written from right to left; their letters reorder neighbouring text on a terminal.
const RIGHT_TO_LEFT: [Script; 9] = [
    Script::Arabic,
    Script::Hebrew,
    Script::Syriac,
    Script::Thaana,
    Script::Nko,
    Script::Samaritan,
    Script::Mandaic,
    Script::Adlam,
    Script::Hanifi_Rohingya,
];

/// Returns true for a character that is invisible or changes how its neighbours are displayed.
#[must_use]
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{10ffff}')
}

/// Returns the name with every octet except letters, digits, `-` and `_` as `\DDD`. The first octet is
/// escaped as well if the text could otherwise be read as a number or a digest, or ends in a number like an
/// address.
#[must_use]
pub fn escaped(name: Name<'_>) -> Cow<'_, str> {
    let text = name.as_str();
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let mut is_first_odd = is_like_number(text);
    if !is_first_odd && text.bytes().all(is_host) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut octets = text.bytes().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' if octets.peek().is_some_and(u8::is_ascii_digit) => out.push('\\'),
            b'\\' => push_decimal(octets.next().unwrap_or(b'\\'), &mut out),
            octet if is_host(octet) && !is_first_odd => out.push(char::from(octet)),
            octet => push_decimal(octet, &mut out),
        }
        is_first_odd = false;
    }
    Cow::Owned(out)
}

/// Returns true if the text of a name could be read as a number, a digest, an address or a range.
fn is_like_number(text: &str) -> bool {
    let is_number = |text: &str| {
        !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-')
    };
    let top = text.rsplit('.').next().unwrap_or_default();
    let is_address =
        (!top.is_empty() && top.bytes().all(|octet| octet.is_ascii_digit())) || ends_in_hex(text);
    let is_digest =
        DIGESTS.contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    // `192.0.2.7-` is a range that lacks its end.
    let is_range = text.contains('-') && !text.bytes().any(|octet| octet.is_ascii_alphabetic());
    is_number(text) || is_address || is_digest || is_range
}

/// Returns true if the text of a name ends in a hexadecimal number, like some addresses and ranges:
/// `0xc0.0.2.0x42`, `192.0.2.1-0xc0000242`. `0x` alone is zero.
#[must_use]
pub fn ends_in_hex(text: &str) -> bool {
    let last = text.rsplit(['.', '-']).next().unwrap_or_default();
    last.strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// The Unicode form of a name with A-labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicode {
    /// The name with its A-labels decoded.
    pub text: String,
    /// The scripts of its letters outside ASCII, such as `Cyrillic`, or of all letters if a label mixes
    /// scripts.
    pub scripts: String,
    /// Reason to suspect that the name imitates another.
    pub warning: Option<String>,
    /// True if it contains letters written from right to left.
    pub is_right_to_left: bool,
}

impl Unicode {
    /// The form for a terminal, in parentheses: right-to-left text is only mentioned, not shown.
    #[must_use]
    pub fn note(&self) -> String {
        let text = if self.is_right_to_left { &self.scripts } else { &self.text };
        match &self.warning {
            Some(warning) => format!("({text}: {warning})"),
            None => format!("({text})"),
        }
    }
}

/// The Unicode form of a name; `None` if it has no A-label, or an invalid one (UTS #46).
#[must_use]
pub fn unicode(name: Name<'_>) -> Option<Unicode> {
    let name = name.as_str();
    if !name.starts_with("xn--") && !name.contains(".xn--") || name.contains('\\') {
        return None;
    }
    let (mut labels, mut scripts, mut warning) = (Vec::new(), Vec::new(), None);
    for label in name.split('.') {
        if !label.starts_with("xn--") {
            labels.push(label.to_owned());
            continue;
        }
        let (text, valid) = idna::domain_to_unicode(label);
        if valid.is_err() || text.is_ascii() || text.chars().any(is_hidden) {
            return None;
        }
        let is_mixed = !text.is_single_script();
        let of_label = scripts_of(&text, is_mixed);
        if is_mixed {
            warning.get_or_insert_with(|| format!("mixes {}", of_label.join(" and ")));
        } else if let Some(like) = look_alike(&text) {
            warning.get_or_insert_with(|| format!("looks like {like}"));
        }
        scripts.extend(of_label);
        labels.push(text);
    }
    scripts.sort_unstable();
    scripts.dedup();
    let is_right_to_left = name_has(&labels, &RIGHT_TO_LEFT);
    Some(Unicode {
        text: labels.join("."),
        scripts: scripts.join(" and "),
        warning,
        is_right_to_left,
    })
}

fn name_has(labels: &[String], scripts: &[Script]) -> bool {
    labels.iter().flat_map(|label| label.chars()).any(|letter| scripts.contains(&letter.script()))
}

/// The scripts of a label's letters; letters in ASCII count only if `all` is set.
fn scripts_of(label: &str, all: bool) -> Vec<&'static str> {
    let letters = label.chars().filter(|letter| all || !letter.is_ascii());
    let mut scripts: Vec<&'static str> = letters
        .map(|letter| letter.script())
        .filter(|script| !matches!(script, Script::Common | Script::Inherited))
        .map(Script::full_name)
        .collect();
    scripts.sort_unstable();
    scripts.dedup();
    scripts
}

/// The ASCII label that a label in a single script is easily mistaken for, if any.
fn look_alike(label: &str) -> Option<String> {
    let mut like = String::new();
    for letter in label.chars() {
        if letter.is_ascii() {
            like.push(letter);
        } else {
            let mut text = [0; 4];
            like.extend(unicode_security::skeleton(letter.encode_utf8(&mut text)));
        }
    }
    let is_label = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    like.bytes().all(is_label).then(|| like.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<Unicode> {
        unicode(Name::from_canonical(name).unwrap())
    }

    #[test]
    fn one_script_is_shown_without_a_warning() {
        let found = of("www.xn--bcher-kva.example").unwrap();
        assert_eq!(found.text, "www.b\u{fc}cher.example");
        assert_eq!((found.scripts.as_str(), found.warning), ("Latin", None));
        let found = of("xn--e1afmkfd.xn--p1ai").unwrap();
        assert_eq!(found.note(), "(\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.\u{440}\u{444})");
        assert_eq!((found.scripts.as_str(), found.warning), ("Cyrillic", None));
        let found = of("xn--wgv71a119e.jp").unwrap();
        assert_eq!((found.scripts.as_str(), found.warning), ("Han", None));
        // Japanese combines three scripts with Latin.
        assert_eq!(of("xn--eckwd4c7cu47r2wf.jp").unwrap().warning, None);
    }

    #[test]
    fn an_imitation_has_a_warning() {
        let warning = |name: &str| of(name).unwrap().warning.unwrap_or_default();
        assert_eq!(warning("xn--pypal-4ve.com"), "mixes Cyrillic and Latin");
        assert_eq!(warning("www.xn--pypl-53dc.com"), "mixes Cyrillic and Latin");
        // All letters are Cyrillic.
        assert_eq!(warning("xn--80ak6aa92e.com"), "looks like apple");
        assert_eq!(warning("xn--ggle-55da.com"), "mixes Cyrillic and Latin");
    }

    #[test]
    fn text_from_right_to_left_is_only_named_on_a_terminal() {
        let found = of("xn--4dbrk0ce.example").unwrap();
        assert!(found.is_right_to_left);
        assert_eq!(found.note(), "(Hebrew)");
    }

    #[test]
    fn what_is_not_valid_or_not_visible_has_no_form() {
        for name in
            ["www.example.com", "xn--zzzzzzzz9.example", "xn--a\\.b.example", "xn--.example"]
        {
            assert_eq!(of(name), None, "{name}");
        }
        // A zero width joiner between Latin letters.
        assert_eq!(
            of("xn--ab-0ea.example").filter(|found| found.text.chars().any(is_hidden)),
            None
        );
    }

    #[test]
    fn odd_octets_are_escaped() {
        let check = |name: &str, want: &str| {
            assert_eq!(escaped(Name::from_canonical(name).unwrap()), want);
        };
        check("www.example.com", "www.example.com");
        check("a\\.b\\\\c.example", "a\\046b\\092c.example");
        check("*.example", "\\042.example");
        check("http//www.example.net", "http\\047\\047www.example.net");
        check("192.0.2.7", "\\04992.0.2.7");
        check("443", "\\05243");
        check("\\000a.example", "\\000a.example");
    }
}
