//! From a name to the names that would imitate it, by the rules of dnstwist (elceef/dnstwist, Apache-2.0, whose code is not
//! used), plus two words around the name and homophones.
//!
//! Labels of other domains ([`MimicKind::Levelsquat`]) cannot be listed: the other domain may be any.

use super::glyph::looks;
use super::index::suffix;
use super::tables::{CYRILLIC, GLYPHS, KEYS, LETTERS, PAIRED, SOUNDS, SUFFIXES};
use super::{KEYWORDS, MimicKind};
use crate::analyze::subject::{Label, Scored};
use crate::name::suffix::{has_listed, registrable};
use crate::name::{MAX_LABEL, Name, NameBuf};
use std::collections::BTreeSet;

/// Largest number of names; two exchanged look-alikes in a label of some 50 letters make more.
pub const MAX_SQUATS: usize = 200_000;

/// A name that would imitate another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Squat {
    /// The way.
    pub kind: MimicKind,
    /// The name.
    pub name: NameBuf,
}

/// The names that would imitate a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PossibleSquats {
    /// The names, by kind.
    pub all: Vec<Squat>,
    /// True if there are more than [`MAX_SQUATS`]. Those that are left out have two exchanged look-alikes, and are of kind
    /// [`MimicKind::Homoglyph`].
    pub is_cut: bool,
}

/// Collects names, each once, by the first kind that makes it.
struct Squats<'n> {
    suffix: &'n str,
    label: &'n str,
    seen: BTreeSet<String>,
    all: Vec<Squat>,
    is_cut: bool,
}

/// Reason why nothing that would imitate a domain can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSquats {
    /// A public suffix, or the root.
    #[error("it is not below a public suffix")]
    NoDomain,
    /// A label that begins like an internationalised one, and is none.
    #[error("its label begins with xn--, but is not a valid internationalized one (UTS #46)")]
    InvalidIdn,
    /// Letters of another script.
    #[error("its letters look like none of a to z")]
    OtherLetters,
    /// Characters that no host name has.
    #[error(
        "its label has characters that no host name has, so that nobody can register one like it"
    )]
    NoHostName,
}

/// The label of the registrable domain of a name as it looks, and whether it is internationalised.
fn imitated(name: Name<'_>) -> Result<(String, bool), NoSquats> {
    let scored = Scored::new(name);
    let label = Label::new(scored.label);
    let looks = looks(label.octets());
    if looks.text.is_empty() || suffix(scored.registrable).is_empty() {
        return Err(NoSquats::NoDomain);
    }
    if looks.text.starts_with(b"xn--") {
        return Err(NoSquats::InvalidIdn);
    }
    let is_host = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    match String::from_utf8(looks.text) {
        Ok(text) if text.as_bytes().iter().all(is_host) => Ok((text, looks.is_idn)),
        _ if looks.is_idn => Err(NoSquats::OtherLetters),
        _ => Err(NoSquats::NoHostName),
    }
}

/// Says why [`squats`] lists nothing for a name, if so.
///
/// # Errors
/// [`NoSquats`] for a domain that nothing would imitate.
pub fn imitable(name: Name<'_>) -> Result<(), NoSquats> {
    imitated(name).map(drop)
}

/// The names that would imitate the registrable domain of a name; at most [`MAX_SQUATS`]. Of a label in Unicode, those that
/// would imitate what it looks like.
///
/// # Errors
/// [`NoSquats`] for a domain that nothing would imitate.
pub fn squats(name: Name<'_>) -> Result<PossibleSquats, NoSquats> {
    let (text, is_idn) = imitated(name)?;
    let scored = Scored::new(name);
    let (text, suffix) = (text.as_str(), suffix(scored.registrable));
    let mut squats = Squats {
        suffix,
        label: text,
        seen: BTreeSet::from([scored.registrable.to_string()]),
        all: Vec::new(),
        is_cut: false,
    };
    if is_idn {
        squats.put_name(MimicKind::Homoglyph, &format!("{text}.{suffix}"));
    }
    squats.edits();
    squats.words();
    squats.suffixes();
    squats.cyrillic();
    squats.sounds();
    squats.look_alikes();
    let Squats { mut all, is_cut, .. } = squats;
    all.sort_unstable();
    Ok(PossibleSquats { all, is_cut })
}

impl Squats<'_> {
    /// Adds a name, unless it is invalid or known.
    fn put_name(&mut self, kind: MimicKind, name: &str) {
        let is_valid = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !name.split('.').all(is_valid) || self.seen.contains(name) {
            return;
        }
        if let Ok(parsed) = NameBuf::parse(name) {
            if self.all.len() >= MAX_SQUATS {
                self.is_cut = true;
                return;
            }
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
        // The dot before the suffix is left out, or a suffix is left behind it: `.om` of `.com`.
        for (at, _) in suffix.char_indices().skip(1) {
            let (before, behind) = suffix.split_at_checked(at).unwrap_or_default();
            let moved = format!(
                "{label}{}.{}",
                before.trim_end_matches('.'),
                behind.trim_start_matches('.')
            );
            let is_domain = |name: &NameBuf| {
                has_listed(name.as_name()) && registrable(name.as_name()) == Some(name.as_name())
            };
            if NameBuf::parse(&moved).is_ok_and(|name| is_domain(&name)) {
                self.put_name(MimicKind::Various, &moved);
            }
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

    /// All of the label in Cyrillic.
    fn cyrillic(&mut self) {
        let known = |octet: u8| {
            CYRILLIC.iter().find(|(latin, _)| *latin == octet).map(|(_, letter)| *letter)
        };
        let whole: Option<String> = self.label.bytes().map(known).collect();
        if let Some(text) = whole {
            self.put_unicode(MimicKind::Cyrillic, &text);
        }
    }

    /// Adds a label that may be Unicode.
    fn put_unicode(&mut self, kind: MimicKind, text: &str) {
        if text.is_ascii() {
            self.put(kind, text);
        } else if let Ok(label) = idna::domain_to_ascii(text) {
            self.put(kind, &label);
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

    /// One or two characters that look alike, in ASCII or Unicode.
    fn look_alikes(&mut self) {
        let once = looking_alike(self.label);
        for text in &once {
            self.put_unicode(MimicKind::Homoglyph, text);
        }
        for text in &once {
            for text in looking_alike(text) {
                self.put_unicode(MimicKind::Homoglyph, &text);
                if self.is_cut {
                    return;
                }
            }
        }
    }
}

/// A text with one character, or two, or the same one twice in a row, exchanged for what looks alike.
fn looking_alike(text: &str) -> Vec<String> {
    let ascii =
        GLYPHS.iter().flat_map(|(from, all)| all.iter().map(|to| (*from, (*to).to_owned())));
    let unicode =
        LETTERS.iter().flat_map(|(from, all)| all.chars().map(|to| (*from, to.to_string())));
    let mut changed = Vec::new();
    for (from, to) in ascii.chain(unicode) {
        changed.extend(replaced(text, from, &to));
        if from.len() == 1 {
            changed.extend(replaced(text, &from.repeat(2), &to.repeat(2)));
        }
    }
    changed
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
    use super::super::{KINDS, MimicIndex};
    use super::*;

    fn made(name: &str) -> Vec<(String, MimicKind)> {
        let name = NameBuf::parse(name).unwrap();
        squats(name.as_name())
            .unwrap()
            .all
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
    fn each_kind_is_listed_or_says_why_it_is_not() {
        let names = ["facebook.com", "my-bank.co.uk", "costco.com"];
        let all: BTreeSet<MimicKind> =
            names.iter().flat_map(|name| made(name)).map(|(_, kind)| kind).collect();
        for kind in KINDS {
            assert_eq!(all.contains(kind), kind.unlisted().is_none(), "{kind}");
        }
    }

    #[test]
    fn the_dot_before_a_suffix_may_move_or_be_left_out() {
        let all = made("bbc.co.uk");
        assert!(all.contains(&("bbcco.uk".to_owned(), MimicKind::Various)));
        assert!(all.iter().any(|(name, _)| name == "bbc.uk"));
    }

    #[test]
    fn what_imitates_is_found_again() {
        let target = NameBuf::parse("paypal.com").unwrap();
        let index = MimicIndex::new(&[NameBuf::parse("example.org").unwrap(), target.clone()]);
        let all = squats(target.as_name()).unwrap().all;
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
    fn odd_names_are_refused_or_make_valid_names() {
        for (name, why) in [
            (".", NoSquats::NoDomain),
            ("com", NoSquats::NoDomain),
            ("a\\.b.example", NoSquats::NoHostName),
            ("\\000.example", NoSquats::NoHostName),
            ("xn--a.com", NoSquats::InvalidIdn),
            // In Chinese.
            ("xn--fiqs8s.com", NoSquats::OtherLetters),
        ] {
            let name = NameBuf::parse(name).unwrap();
            assert_eq!(squats(name.as_name()), Err(why), "{name}");
        }
        assert!(made("a.example").len() > 100);
    }

    #[test]
    fn what_is_left_out_is_told_and_has_two_look_alikes() {
        let of = |label: &str| {
            let name = NameBuf::parse(&format!("{label}.com")).unwrap();
            squats(name.as_name()).unwrap()
        };
        assert!(!of("mercedes-benz").is_cut);
        let label = "b".repeat(45);
        let found = of(&label);
        assert!(found.is_cut);
        assert_eq!(found.all.len(), MAX_SQUATS);
        let listed: BTreeSet<String> =
            found.all.iter().map(|squat| squat.name.to_string()).collect();
        for text in looking_alike(&label) {
            let Ok(text) = idna::domain_to_ascii(&text) else { continue };
            let is_listed = listed.contains(&format!("{text}.com"));
            assert!(is_listed || text.len() > MAX_LABEL, "{text}");
        }
    }
}
