//! From a name to the names that would imitate it, by the rules of dnstwist (elceef/dnstwist, Apache-2.0, whose code is not
//! used), plus two words around the name and homophones.
//!
//! Labels of other domains ([`MimicKind::Levelsquat`]) cannot be listed: the other domain may be any.

use super::glyph::looks;
use super::index::suffix;
use super::{KEYWORDS, MimicKind};
use crate::analyze::subject::{Label, Scored};
use crate::name::{MAX_LABEL, Name, NameBuf};
use std::collections::BTreeSet;

/// Largest number of names; two exchanged look-alikes in a long label make more.
pub(super) const MAX_SQUATS: usize = 200_000;

/// Neighbours on keyboards, in English, German and French layout.
const KEYS: &[(u8, &[u8])] = &[
    (b'1', b"2q0"),
    (b'2', b"13wqaz"),
    (b'3', b"24ewze"),
    (b'4', b"35rer"),
    (b'5', b"46trt"),
    (b'6', b"57ytzy"),
    (b'7', b"68uyzu"),
    (b'8', b"79iui"),
    (b'9', b"80oio"),
    (b'0', b"9po1"),
    (b'a', b"qwszy2"),
    (b'b', b"vghn"),
    (b'c', b"xdfv"),
    (b'd', b"serfcx"),
    (b'e', b"34rdswz"),
    (b'f', b"drtgvc"),
    (b'g', b"ftyhbvz"),
    (b'h', b"gyujnbz"),
    (b'i', b"89okju"),
    (b'j', b"huikmn"),
    (b'k', b"ijolm"),
    (b'l', b"kopm"),
    (b'm', b"njklp"),
    (b'n', b"bhjm"),
    (b'o', b"90plki"),
    (b'p', b"0lom"),
    (b'q', b"12wasz"),
    (b'r', b"45tfde"),
    (b's', b"awedxzqy"),
    (b't', b"56ygfrz"),
    (b'u', b"78ijhyz"),
    (b'v', b"cfgb"),
    (b'w', b"23esaqx"),
    (b'x', b"zsdcyw"),
    (b'y', b"67uhgtasx"),
    (b'z', b"asx67uhgt23se"),
];

/// ASCII texts that look like a character or two (dnstwist's table).
const GLYPHS: &[(&str, &[&str])] = &[
    ("0", &["o"]),
    ("1", &["l", "i"]),
    ("3", &["8"]),
    ("6", &["9"]),
    ("8", &["3"]),
    ("9", &["6"]),
    ("b", &["d", "lb"]),
    ("c", &["e"]),
    ("d", &["b", "cl", "dl"]),
    ("e", &["c"]),
    ("g", &["q"]),
    ("h", &["lh"]),
    ("i", &["1", "l"]),
    ("k", &["lc"]),
    ("l", &["1", "i"]),
    ("m", &["n", "nn", "rn", "rr"]),
    ("n", &["m", "r"]),
    ("o", &["0"]),
    ("q", &["g"]),
    ("u", &["v"]),
    ("v", &["u"]),
    ("w", &["vv"]),
    ("rn", &["m"]),
    ("cl", &["d"]),
];

/// Words that are put together in pairs.
const PAIRED: &[&str] = &[
    "account", "auth", "billing", "confirm", "help", "login", "mail", "my", "online", "pay",
    "portal", "recovery", "secure", "security", "service", "shop", "signin", "support", "update",
    "verify", "wallet", "web",
];

/// Unicode letters that look like a character, of which registries allow some.
const LETTERS: &[(char, &str)] = &[
    ('a', "àáâãäåāăąạảаα"),
    ('b', "ḃƀɓьв"),
    ('c', "çćĉċčсϲ"),
    ('d', "ďđḍԁ"),
    ('e', "èéêëēĕėęěẹе"),
    ('f', "ƒḟ"),
    ('g', "ĝğġģɡ"),
    ('h', "ĥħḥһ"),
    ('i', "ìíîïĩīĭįıіι"),
    ('j', "ĵјϳ"),
    ('k', "ķкκ"),
    ('l', "ĺļľłḷӏ"),
    ('m', "ṁṃм"),
    ('n', "ñńņňṇпη"),
    ('o', "òóôõöøōŏőọоο"),
    ('p', "ṗрρ"),
    ('q', "ԛɋ"),
    ('r', "ŕŗřг"),
    ('s', "śŝşšșѕ"),
    ('t', "ţťŧțтτ"),
    ('u', "ùúûüũūŭůűųυ"),
    ('v', "ṽѵν"),
    ('w', "ŵẁẃẅѡԝ"),
    ('x', "ẋхχ"),
    ('y', "ýÿŷуγ"),
    ('z', "źżžẓᴢ"),
];

/// Cyrillic letters that look like Latin ones.
const CYRILLIC: &[(u8, char)] = &[
    (b'a', 'а'),
    (b'b', 'ь'),
    (b'c', 'с'),
    (b'd', 'ԁ'),
    (b'e', 'е'),
    (b'g', 'ԍ'),
    (b'h', 'һ'),
    (b'i', 'і'),
    (b'j', 'ј'),
    (b'k', 'к'),
    (b'l', 'ӏ'),
    (b'm', 'м'),
    (b'o', 'о'),
    (b'p', 'р'),
    (b'q', 'ԛ'),
    (b's', 'ѕ'),
    (b't', 'т'),
    (b'v', 'ѵ'),
    (b'w', 'ԝ'),
    (b'x', 'х'),
    (b'y', 'у'),
];

/// Spellings of one sound.
const SOUNDS: &[(&str, &str)] = &[
    ("c", "k"),
    ("ck", "k"),
    ("ph", "f"),
    ("s", "z"),
    ("x", "ks"),
    ("qu", "kw"),
    ("ee", "ea"),
    ("oo", "u"),
    ("ay", "ai"),
    ("y", "ie"),
    ("er", "or"),
    ("ce", "se"),
    ("two", "2"),
    ("to", "2"),
    ("for", "4"),
    ("four", "4"),
    ("ate", "8"),
    ("you", "u"),
];

/// Suffixes under which a name is imitated most (dnstwist's list of abused ones, and common ones).
const SUFFIXES: &[&str] = &[
    "com", "net", "org", "info", "biz", "co", "io", "app", "dev", "online", "site", "top", "xyz",
    "shop", "store", "click", "live", "club", "icu", "vip", "buzz", "cyou", "link", "work", "ru",
    "cn", "de", "uk", "co.uk", "fr", "it", "nl", "pl", "eu", "us", "ca", "in", "br", "com.br",
    "jp", "au", "com.au", "me", "tv", "cc", "cf", "ga", "gq", "ml", "tk", "pw", "su", "ws",
    "support", "services", "space", "website", "tech", "pro", "mobi", "name", "cloud", "world",
    "today", "life", "fun",
];

/// A name that would imitate another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Squat {
    /// The way.
    pub kind: MimicKind,
    /// The name.
    pub name: NameBuf,
}

/// Collects names, each once, by the first kind that makes it.
struct Squats<'n> {
    suffix: &'n str,
    label: &'n str,
    seen: BTreeSet<String>,
    all: Vec<Squat>,
}

/// The names that would imitate the registrable domain of a name, by kind; at most 200,000.
#[must_use]
pub fn squats(name: Name<'_>) -> Vec<Squat> {
    let scored = Scored::new(name);
    let label = Label::new(scored.label);
    let is_host = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    // Of a label in Unicode, those that would imitate what it looks like.
    let looks = looks(label.octets());
    let Some(text) = std::str::from_utf8(&looks.text)
        .ok()
        .filter(|text| text.bytes().all(|octet| is_host(&octet)))
    else {
        return Vec::new();
    };
    let suffix = suffix(scored.registrable);
    if text.is_empty() || suffix.is_empty() || text.starts_with("xn--") {
        return Vec::new();
    }
    let mut squats = Squats {
        suffix,
        label: text,
        seen: BTreeSet::from([scored.registrable.to_string()]),
        all: Vec::new(),
    };
    if looks.is_idn {
        squats.put_name(MimicKind::Homoglyph, &format!("{text}.{suffix}"));
    }
    squats.edits();
    squats.words();
    squats.suffixes();
    squats.unicode();
    squats.sounds();
    squats.glyphs();
    squats.all.sort_unstable();
    squats.all
}

impl Squats<'_> {
    /// Adds a name, unless it is invalid or known.
    fn put_name(&mut self, kind: MimicKind, name: &str) {
        let is_valid = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if self.all.len() >= MAX_SQUATS
            || !name.split('.').all(is_valid)
            || self.seen.contains(name)
        {
            return;
        }
        if let Ok(parsed) = NameBuf::parse(name) {
            self.seen.insert(name.to_owned());
            self.all.push(Squat { kind, name: parsed });
        }
    }

    fn put(&mut self, kind: MimicKind, label: &str) {
        self.put_name(kind, &format!("{label}.{}", self.suffix));
    }

    /// The label cut in two at each place, the ends included.
    fn cuts(&self) -> Vec<(String, String)> {
        let places = 0..=self.label.len();
        let cut = |at| self.label.split_at_checked(at).map(|(a, b)| (a.to_owned(), b.to_owned()));
        places.filter_map(cut).collect()
    }

    /// Single edits.
    fn edits(&mut self) {
        let cuts = self.cuts();
        let length = self.label.len();
        let alphabet = || (b'a'..=b'z').chain(b'0'..=b'9').map(char::from);
        for added in alphabet() {
            let whole = format!("{}{added}", self.label);
            self.put(MimicKind::Addition, &whole);
        }
        for (before, behind) in &cuts {
            let mut rest = behind.chars();
            let Some(char) = rest.next() else { continue };
            let rest = rest.as_str();
            if char == '-' {
                for added in alphabet() {
                    self.put(MimicKind::Addition, &format!("{before}{added}{behind}"));
                }
            }
            if !before.is_empty() {
                self.put(MimicKind::Hyphenation, &format!("{before}-{behind}"));
                if char != '-' && !before.ends_with('-') {
                    let name = format!("{before}.{behind}.{}", self.suffix);
                    self.put_name(MimicKind::Subdomain, &name);
                }
            }
            if char == '-' {
                self.put(MimicKind::Hyphenation, &format!("{before}{rest}"));
            }
            self.put(MimicKind::Omission, &format!("{before}{rest}"));
            self.put(MimicKind::Repetition, &format!("{before}{char}{behind}"));
            if let Some(next) = rest.chars().next() {
                let tail = rest.get(next.len_utf8()..).unwrap_or_default();
                self.put(MimicKind::Transposition, &format!("{before}{next}{char}{tail}"));
            }
            if "aeiou".contains(char) {
                for vowel in "aeiou".chars() {
                    self.put(MimicKind::VowelSwap, &format!("{before}{vowel}{rest}"));
                }
            }
            if before.len() >= 2 && before.len() + 2 < length {
                let plural = if "sxz".contains(char) { "es" } else { "s" };
                self.put(MimicKind::Plural, &format!("{before}{char}{plural}{rest}"));
            }
            for bit in 0..8 {
                let flipped = char::from(char as u8 ^ 1 << bit);
                if flipped.is_ascii_lowercase() || flipped.is_ascii_digit() || flipped == '-' {
                    self.put(MimicKind::Bitsquatting, &format!("{before}{flipped}{rest}"));
                }
            }
            let keys = KEYS.iter().find(|(key, _)| char::from(*key) == char);
            for &key in keys.map_or(&[][..], |(_, keys)| keys) {
                let key = char::from(key);
                self.put(MimicKind::Replacement, &format!("{before}{key}{rest}"));
                if !rest.is_empty() {
                    self.put(MimicKind::Insertion, &format!("{before}{key}{behind}"));
                    self.put(MimicKind::Insertion, &format!("{before}{char}{key}{rest}"));
                }
            }
        }
        let plural = if self.label.ends_with(['s', 'x', 'z']) { "es" } else { "s" };
        let whole = format!("{}{plural}", self.label);
        self.put(MimicKind::Plural, &whole);
    }

    /// Words before and behind the label.
    fn words(&mut self) {
        let label = self.label;
        for word in KEYWORDS {
            for text in [
                format!("{label}-{word}"),
                format!("{label}{word}"),
                format!("{word}-{label}"),
                format!("{word}{label}"),
            ] {
                self.put(MimicKind::Dictionary, &text);
            }
        }
        for first in PAIRED {
            for second in PAIRED.iter().filter(|second| *second != first) {
                self.put(MimicKind::Combosquat, &format!("{label}-{first}-{second}"));
            }
        }
    }

    /// Other suffixes, and the suffix as a part of the label.
    fn suffixes(&mut self) {
        let (label, suffix) = (self.label, self.suffix);
        let joined: String = suffix.chars().filter(|char| *char != '.').collect();
        for other in SUFFIXES {
            self.put_name(MimicKind::TldSwap, &format!("{label}.{other}"));
        }
        if let Some((_, last)) = suffix.rsplit_once('.') {
            self.put_name(MimicKind::Various, &format!("{label}.{last}"));
        }
        for text in [
            format!("{label}{joined}"),
            format!("{label}-{joined}"),
            format!("www{label}"),
            format!("www-{label}"),
        ] {
            self.put(MimicKind::Various, &text);
            self.put_name(MimicKind::Various, &format!("{text}.com"));
        }
    }

    /// Letters outside ASCII: all of the label in Cyrillic, or one letter.
    fn unicode(&mut self) {
        let known = |octet: u8| {
            CYRILLIC.iter().find(|(latin, _)| *latin == octet).map(|(_, letter)| *letter)
        };
        let whole: Option<String> = self.label.bytes().map(known).collect();
        let mut texts: Vec<(MimicKind, String)> =
            whole.map(|text| (MimicKind::Cyrillic, text)).into_iter().collect();
        for (before, behind) in self.cuts() {
            let mut rest = behind.chars();
            let Some(char) = rest.next() else { continue };
            let letters =
                LETTERS.iter().find(|(latin, _)| *latin == char).map_or("", |(_, letters)| letters);
            texts.extend(letters.chars().map(|letter| {
                (MimicKind::Homoglyph, format!("{before}{letter}{}", rest.as_str()))
            }));
        }
        for (kind, text) in texts {
            if let Ok(label) = idna::domain_to_ascii(&text) {
                self.put(kind, &label);
            }
        }
    }

    fn sounds(&mut self) {
        for &(one, other) in SOUNDS {
            for (from, to) in [(one, other), (other, one)] {
                for text in replaced(self.label, from, to) {
                    self.put(MimicKind::Soundsquat, &text);
                }
            }
        }
    }

    /// One or two look-alikes in ASCII.
    fn glyphs(&mut self) {
        let change = |text: &str| -> Vec<String> {
            let pairs =
                GLYPHS.iter().flat_map(|(from, all)| all.iter().map(move |to| (*from, *to)));
            pairs.flat_map(|(from, to)| replaced(text, from, to)).collect()
        };
        let once = change(self.label);
        for text in &once {
            self.put(MimicKind::Homoglyph, text);
        }
        for text in &once {
            if self.all.len() >= MAX_SQUATS {
                return;
            }
            for text in change(text) {
                self.put(MimicKind::Homoglyph, &text);
            }
        }
    }
}

/// A text with each occurrence of a part replaced, one at a time.
fn replaced(text: &str, from: &str, to: &str) -> Vec<String> {
    let place = |(at, _): (usize, &str)| {
        let (before, behind) = (text.get(..at)?, text.get(at + from.len()..)?);
        Some(format!("{before}{to}{behind}"))
    };
    text.match_indices(from).filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::super::MimicIndex;
    use super::*;

    fn made(name: &str) -> Vec<(String, MimicKind)> {
        let name = NameBuf::parse(name).unwrap();
        squats(name.as_name())
            .into_iter()
            .map(|squat| (squat.name.to_string(), squat.kind))
            .collect()
    }

    #[test]
    fn every_kind_is_made() {
        let all = made("www.paypal.com");
        for (name, kind) in [
            ("paypalz.com", MimicKind::Addition),
            ("qaypal.com", MimicKind::Bitsquatting),
            ("paypal-login-account.com", MimicKind::Combosquat),
            ("xn--80aa0cbo65f.com", MimicKind::Cyrillic),
            ("paypal-login.com", MimicKind::Dictionary),
            ("paypa1.com", MimicKind::Homoglyph),
            ("pay-pal.com", MimicKind::Hyphenation),
            ("pqaypal.com", MimicKind::Insertion),
            ("payal.com", MimicKind::Omission),
            ("payspal.com", MimicKind::Plural),
            ("payppal.com", MimicKind::Repetition),
            ("oaypal.com", MimicKind::Replacement),
            ("pay.pal.com", MimicKind::Subdomain),
            ("paypal.net", MimicKind::TldSwap),
            ("payapl.com", MimicKind::Transposition),
            ("paypalcom.com", MimicKind::Various),
            ("peypal.com", MimicKind::VowelSwap),
        ] {
            assert!(
                all.contains(&(name.to_owned(), kind)),
                "{name} {kind}: {:?}",
                all.iter().find(|one| one.0 == name)
            );
        }
        let sounds_alike = made("www.facebook.com");
        assert!(
            sounds_alike.iter().any(|(_, kind)| *kind == MimicKind::Soundsquat),
            "{sounds_alike:?}"
        );
        assert!(!all.iter().any(|(name, _)| name == "paypal.com"));
    }

    #[test]
    fn what_imitates_is_found_again() {
        let target = NameBuf::parse("paypal.com").unwrap();
        let index = MimicIndex::new(&[NameBuf::parse("example.org").unwrap(), target.clone()]);
        let all = squats(target.as_name());
        let is_found = |squat: &&Squat| {
            index
                .find(squat.name.as_name())
                .first()
                .is_some_and(|mimic| mimic.target == "paypal.com")
        };
        let found = all.iter().filter(is_found).count();
        assert!(found * 100 >= all.len() * 95, "{found} of {}", all.len());
        for name in ["paypal.com", "www.paypal.com", "example.org", "org", ".", "wikipedia.org"] {
            let name = NameBuf::parse(name).unwrap();
            assert!(index.find(name.as_name()).is_empty(), "{name}");
        }
    }

    #[test]
    fn odd_names_make_nothing_or_valid_names() {
        for name in [".", "com", "a\\.b.example", "\\000.example"] {
            assert_eq!(made(name), [], "{name}");
        }
        let long = format!("{}.example", "m".repeat(63));
        assert!(made(&long).len() <= MAX_SQUATS);
        assert!(made("a.example").len() > 100);
    }
}
