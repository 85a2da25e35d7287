//! A filter for the names of a whole store: which lines of text may imitate one protected name.
//!
//! Names pass here at some ten nanoseconds each; only the few that pass are compared by [`super::MimicIndex::find`], which
//! needs the suffix list and takes microseconds. Every name that is at least [`super::MIMIC_LIMIT`] alike passes (a property
//! test compares both); others may.
//!
//! Such a likeness takes one of four forms. The protected label is within the name, without dots and hyphens: an automaton
//! finds that. Or the label is one edit away, or looks the same, both below the same suffix. Or something that looks the same
//! stands beside common words: of look-alike characters only the class counts, and a class once however often it is repeated,
//! so that a second automaton finds all of them. Or the name has a label in Unicode, and anything may be.

use super::KEYWORDS;
use super::find::LOOKED_FOR;
use super::glyph::{look_alike_classes, looks};
use super::index::suffix;
use super::words::runs;
use crate::analyze::subject::{Label, Scored, escaped};
use crate::name::Name;
use memchr::{memchr, memchr_iter, memmem, memrchr};

/// Ways of the bytes of a name through an automaton: the next state for each state and byte. The last state is kept.
struct Automaton {
    next: Vec<[u8; 256]>,
}

impl Automaton {
    /// Finds a pattern in text of which `read` gives the symbol of each byte; bytes without a symbol are passed over.
    /// With `is_collapsed` equal symbols in a row count as one, in the pattern, too.
    fn new(pattern: &[u8], read: impl Fn(u8) -> Option<u8>, is_collapsed: bool) -> Self {
        let mut next = vec![[0; 256]; pattern.len() + 1];
        // Longest end of what was read that begins the pattern (Knuth, Morris and Pratt 1977), by trial: patterns are
        // shorter than a label.
        let longest = |text: &[u8]| {
            (0..=text.len().min(pattern.len()))
                .rev()
                .find(|&length| text.ends_with(pattern.get(..length).unwrap_or_default()))
                .unwrap_or(0)
        };
        for (state, row) in next.iter_mut().enumerate() {
            let seen = pattern.get(..state).unwrap_or_default();
            for (byte, to) in (0..=u8::MAX).zip(row.iter_mut()) {
                let state = match read(byte) {
                    _ if state == pattern.len() => state,
                    None => state,
                    Some(symbol) if is_collapsed && seen.last() == Some(&symbol) => state,
                    Some(symbol) => longest(&[seen, &[symbol]].concat()),
                };
                *to = u8::try_from(state).unwrap_or(0);
            }
        }
        Self { next }
    }

    fn step(&self, state: u8, byte: u8) -> u8 {
        self.next.get(usize::from(state)).map_or(0, |row| at(row, byte))
    }

    fn has_found(&self, state: u8) -> bool {
        usize::from(state) + 1 == self.next.len()
    }
}

/// Writes a line without its escapes; false if there are none. A dot within a label becomes something that divides nothing.
fn unescape(line: &[u8], octets: &mut Vec<u8>) -> bool {
    if memchr(b'\\', line).is_none() {
        return false;
    }
    octets.clear();
    let mut rest = line.iter().copied();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => Some(escaped(&mut rest)).filter(|octet| *octet != b'.').unwrap_or(0),
            octet => octet,
        });
    }
    true
}

fn at(table: &[u8; 256], byte: u8) -> u8 {
    table.get(usize::from(byte)).copied().unwrap_or(0)
}

/// The filter for one protected name.
pub struct Screen {
    /// The protected name, which with all below it imitates nobody.
    protected: Box<[u8]>,
    /// Its label as it looks.
    own: Box<[u8]>,
    /// The dot and what is behind the label.
    suffix: Box<[u8]>,
    /// Class of each byte; bytes that look like nothing else are their own.
    classes: [u8; 256],
    /// The classes of the label without hyphens, each once in a row.
    own_classes: Box<[u8]>,
    within: Automaton,
    alike: Option<Automaton>,
}

impl Screen {
    /// A filter for the registrable domain of a name; `None` if it has none.
    #[must_use]
    pub fn new(name: Name<'_>) -> Option<Self> {
        let scored = Scored::new(name);
        let own = looks(Label::new(scored.label).octets()).text;
        let behind = suffix(scored.registrable);
        if own.is_empty() || behind.is_empty() {
            return None;
        }
        let classes = look_alike_classes();
        let class = |byte: u8| at(&classes, byte);
        let letters = own.iter().filter(|&&byte| byte != b'-');
        let mut own_classes: Vec<u8> = letters.map(|&byte| class(byte)).collect();
        own_classes.dedup();
        let is_passed_over = |byte: u8| b".-".contains(&byte);
        let plain: Vec<u8> = own.iter().copied().filter(|&byte| !is_passed_over(byte)).collect();
        let within = Automaton::new(&plain, |byte| (!is_passed_over(byte)).then_some(byte), false);
        let alike = (own.len() >= LOOKED_FOR).then(|| {
            Automaton::new(&own_classes, |byte| (byte != b'-').then(|| class(byte)), true)
        });
        Some(Self {
            protected: scored.registrable.as_str().as_bytes().into(),
            own: own.into(),
            suffix: format!(".{behind}").into_bytes().into(),
            classes,
            own_classes: own_classes.into(),
            within,
            alike,
        })
    }

    /// Passes the lines of a block that may imitate the protected name to `each`. A block has a newline behind each name,
    /// in canonical text.
    pub fn search<'b>(&self, block: &'b [u8], each: &mut dyn FnMut(&'b [u8])) {
        let mut octets = Vec::new();
        let mut unicode = memmem::find_iter(block, b"xn--").peekable();
        let mut start = 0;
        for end in memchr_iter(b'\n', block) {
            let line = block.get(start..end).unwrap_or_default();
            let mut is_unicode = false;
            while unicode.next_if(|&at| at < end).is_some() {
                is_unicode = true;
            }
            let passes = is_unicode || self.may_imitate(line) || {
                // Labels are compared without escapes, which are longer than what they stand for.
                unescape(line, &mut octets) && self.may_imitate(&octets)
            };
            if passes && !self.is_protected(line) {
                each(line);
            }
            start = end + 1;
        }
    }

    fn is_protected(&self, line: &[u8]) -> bool {
        // A dot behind an odd number of backslashes is one within a label.
        let is_divided = |rest: &[u8]| {
            rest.strip_suffix(b".").is_some_and(|label| {
                label.iter().rev().take_while(|octet| **octet == b'\\').count() % 2 == 0
            })
        };
        line.strip_suffix(&*self.protected).is_some_and(|rest| rest.is_empty() || is_divided(rest))
    }

    fn may_imitate(&self, line: &[u8]) -> bool {
        let (mut within, mut alike) = (0, 0);
        match &self.alike {
            Some(classes) => {
                for &byte in line {
                    within = self.within.step(within, byte);
                    alike = classes.step(alike, byte);
                }
                if classes.has_found(alike) && self.has_alike_beside_words(line) {
                    return true;
                }
            }
            None => within = line.iter().fold(0, |state, &byte| self.within.step(state, byte)),
        }
        self.within.has_found(within)
            || line.strip_suffix(&*self.suffix).is_some_and(|before| {
                let begin = memrchr(b'.', before).map_or(0, |at| at + 1);
                let label = before.get(begin..).unwrap_or_default();
                self.is_one_edit_away(label) || self.looks_alike(label)
            })
    }

    /// The parts before and behind an edit are as they were, and at least one of them is half of the label.
    fn is_one_edit_away(&self, label: &[u8]) -> bool {
        let half = self.own.len() / 2;
        label.len().abs_diff(self.own.len()) <= 1
            && (label.starts_with(self.own.get(..half).unwrap_or_default())
                // An exchange of the two in the middle changes one in each half.
                || label.ends_with(self.own.get(half + 1..).unwrap_or_default()))
    }

    /// Both have the same classes in the same order, hyphens aside.
    fn looks_alike(&self, text: &[u8]) -> bool {
        let mut left = self.own_classes.iter();
        let mut last = None;
        for &byte in text.iter().filter(|&&byte| byte != b'-') {
            let class = at(&self.classes, byte);
            if last == Some(class) {
                continue;
            }
            if left.next() != Some(&class) {
                return false;
            }
            last = Some(class);
        }
        left.next().is_none()
    }

    /// Some label, or parts of it between hyphens, look like the protected one, perhaps with a common word before or
    /// behind it.
    fn has_alike_beside_words(&self, line: &[u8]) -> bool {
        let is_alike = |text: &[u8]| text.len() >= LOOKED_FOR && self.looks_alike(text);
        line.split(|&byte| byte == b'.').any(|label| {
            runs(label).any(|(_, text)| is_alike(text))
                || KEYWORDS.iter().any(|word| {
                    let word = word.as_bytes();
                    label.strip_prefix(word).is_some_and(is_alike)
                        || label.strip_suffix(word).is_some_and(is_alike)
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{MIMIC_LIMIT, MimicIndex, squats};
    use crate::name::NameBuf;
    use proptest::prelude::*;

    fn read(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    fn passes(screen: &Screen, name: &NameBuf) -> bool {
        let block = format!("before.example\n{name}\nbehind.example\n");
        let mut passed = false;
        screen.search(block.as_bytes(), &mut |line| {
            passed |= line == name.as_str().as_bytes();
        });
        passed
    }

    const PROTECTED: [&str; 9] = [
        "paypal.com",
        "microsoft.com",
        "google.co.uk",
        "hbo.com",
        "ing.nl",
        "my-bank.example",
        "x.com",
        "rnmw1l0.net",
        "xn--bcher-kva.de",
    ];

    #[test]
    fn each_squat_that_is_alike_passes() {
        for protected in PROTECTED {
            let protected = read(protected);
            let index = MimicIndex::new(std::slice::from_ref(&protected));
            let screen = Screen::new(protected.as_name()).unwrap();
            let (mut alike, mut all) = (0, 0);
            for squat in squats(protected.as_name()).unwrap().all {
                let found = index.find(squat.name.as_name());
                all += 1;
                if found.first().is_some_and(|mimic| mimic.score >= MIMIC_LIMIT) {
                    alike += 1;
                    assert!(passes(&screen, &squat.name), "{} of {protected}", squat.name);
                }
            }
            assert!(alike > 100, "{alike} of {all} squats of {protected} are alike");
            assert!(!passes(&screen, &protected));
            assert!(!passes(&screen, &read(&format!("www.{protected}"))));
        }
    }

    #[test]
    fn the_automata_find_what_is_within_a_name() {
        let screen = Screen::new(read("paypal.com").as_name()).unwrap();
        for name in [
            "pay-pal.com",
            "a.paypal.com.b.example",
            "pay.pal.example.net",
            "paypa1-login.top",
            "securepaypai.net",
            "ppaypal.com",
            "papyal.com",
            "xn--anything.com",
            "PAYPALX.com",
            // Octets that have escapes.
            "pay\\032pal.com",
            "payp\\000l.com",
            "paypal\\010.com",
            "\\.paypal.com",
            "pay\\.pal.com",
            "paypa\\255.com",
            "x\\000y.paypal.com.b.example",
            "pay-pa1-login.top",
        ] {
            assert!(passes(&screen, &read(name)), "{name}");
        }
        for name in ["papal.net", "paypa.org", "example.com", "paper-pal.example", "com"] {
            assert!(!passes(&screen, &read(name)), "{name}");
        }
        assert!(Screen::new(read("com").as_name()).is_none());
    }

    /// Text near a protected label: changed, and with words and labels around it.
    fn near(protected: &'static str) -> impl Strategy<Value = String> {
        let (label, suffix) = protected.split_once('.').unwrap();
        let change = prop_oneof![
            (0..label.len(), "[a-z0-9-]")
                .prop_map(move |(at, with)| { label[..at].to_owned() + &with + &label[at + 1..] }),
            (0..=label.len(), "[a-z0-9.-]|nn|rn|cl|vv|lb|dl|lc|\\\\000|\\\\255|\\\\\\.")
                .prop_map(move |(at, with)| label[..at].to_owned() + &with + &label[at..]),
            (0..label.len()).prop_map(move |at| label[..at].to_owned() + &label[at + 1..]),
            (0..label.len(), 0..label.len(), "[a-z0-9]|nn|rn|cl|vv|lb|dl|lc").prop_map(
                move |(a, b, with)| {
                    let changed = label[..a].to_owned() + &with + &label[a + 1..];
                    let at = b.min(changed.len().saturating_sub(1));
                    let one = changed.replace('o', "0").replace('l', "1");
                    if a == b { one } else { changed[..at].to_owned() + &with + &changed[at + 1..] }
                }
            ),
            Just(label.to_owned()),
        ];
        let before = prop_oneof![
            Just(String::new()),
            proptest::sample::select(KEYWORDS).prop_map(str::to_owned),
            proptest::sample::select(KEYWORDS).prop_map(|word| format!("{word}-")),
            "[a-z]{1,6}[.-]?",
        ];
        let behind = prop_oneof![
            Just(String::new()),
            proptest::sample::select(KEYWORDS).prop_map(str::to_owned),
            proptest::sample::select(KEYWORDS).prop_map(|word| format!("-{word}")),
            Just("s".to_owned()),
            Just("es".to_owned()),
            "[.-]?[a-z]{1,6}",
        ];
        let suffix = prop_oneof![
            3 => Just(suffix.to_owned()),
            1 => proptest::sample::select(&["com", "top", "co.uk", "example.net", "blogspot.com"][..])
                .prop_map(str::to_owned),
            1 => Just(format!("{suffix}.example.top")),
        ];
        (before, change, behind, suffix)
            .prop_map(|(before, label, behind, suffix)| format!("{before}{label}{behind}.{suffix}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_alike_passes(
            (protected, name) in proptest::sample::select(
                &["paypal.com", "microsoft.com", "hbo.com", "my-bank.example"][..]
            ).prop_flat_map(|protected| (Just(protected), near(protected)))
        ) {
            let Ok(name) = NameBuf::parse(&name) else { return Ok(()) };
            thread_local! {
                static MADE: std::cell::RefCell<std::collections::HashMap<&'static str, (MimicIndex, Screen)>> =
                    std::cell::RefCell::default();
            }
            MADE.with_borrow_mut(|made| {
                let (index, screen) = made.entry(protected).or_insert_with(|| {
                    let protected = read(protected);
                    let screen = Screen::new(protected.as_name()).unwrap();
                    (MimicIndex::new(&[protected]), screen)
                });
                let found = index.find(name.as_name());
                let is_alike = found.first().is_some_and(|mimic| mimic.score >= MIMIC_LIMIT);
                prop_assert!(!is_alike || passes(screen, &name), "{name} of {protected}: {found:?}");
                Ok(())
            })?;
        }
    }
}
