//! Names as letters, so that what a search must find can be said without text and escapes.

use pdns_agent::name::{Name, NameBuf};
use pdns_agent::query::{Pattern, Text, Word};

/// A name as its octets, with `None` between labels.
pub(super) fn letters(name: Name<'_>) -> Vec<Option<u8>> {
    let mut letters = Vec::new();
    let mut text = name.as_str().bytes();
    while let Some(octet) = text.next() {
        letters.push(match octet {
            b'.' => None,
            b'\\' => {
                let first = text.next().unwrap();
                let more = text.clone();
                let digits: Vec<u8> =
                    std::iter::once(first).chain(more).take_while(u8::is_ascii_digit).collect();
                if digits.is_empty() {
                    Some(first)
                } else {
                    text.nth(1);
                    std::str::from_utf8(&digits[..3]).unwrap().parse().ok()
                }
            }
            _ => Some(octet),
        });
    }
    letters
}

/// Letters as one may type them.
pub(super) fn typed(letters: &[Option<u8>]) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    let show = |letter: &Option<u8>| match letter {
        None => ".".to_owned(),
        Some(octet) if plain(*octet) => char::from(*octet).to_ascii_uppercase().to_string(),
        Some(octet) => format!("\\{octet:03}"),
    };
    letters.iter().map(show).collect()
}

/// What of [`Text`] must hold, in letters.
#[derive(Clone, Debug, Default)]
pub(super) struct Letters {
    pub(super) starts: Vec<Option<u8>>,
    pub(super) ends: Vec<Option<u8>>,
    pub(super) contains: Vec<Vec<Option<u8>>>,
    pub(super) below: Option<NameBuf>,
}

impl Letters {
    pub(super) fn text(&self) -> Text {
        let word = |letters: &Vec<Option<u8>>| {
            (!letters.is_empty()).then(|| Word::parse(&typed(letters)).unwrap())
        };
        Text {
            starts: word(&self.starts),
            ends: word(&self.ends),
            contains: self.contains.iter().filter_map(word).collect(),
            below: self.below.clone(),
            ..Text::default()
        }
    }

    /// The same, said with globs.
    pub(super) fn globs(&self) -> Text {
        let mut globs = Vec::new();
        if !self.starts.is_empty() {
            globs.push(format!("{}*", typed(&self.starts)));
        }
        // A final dot is taken off, which is no end that a name has.
        let ends = (self.ends.last() != Some(&None)).then_some(&self.ends);
        if let Some(ends) = ends.filter(|ends| !ends.is_empty()) {
            globs.push(format!("*{}", typed(ends)));
        }
        let words = self.contains.iter().filter(|word| !word.is_empty());
        globs.extend(words.map(|word| format!("*{}*", typed(word))));
        let patterns = globs.iter().map(|glob| Pattern::glob(glob).unwrap()).collect();
        let Text { ends: word, below, .. } = self.text();
        let ends = word.filter(|_| ends.is_none());
        Text { patterns, ends, below, ..Text::default() }
    }

    pub(super) fn admits(&self, name: &NameBuf) -> bool {
        let letters = letters(name.as_name());
        let labels = |name: &NameBuf| name.as_name().labels().map(str::to_owned).collect();
        letters.starts_with(&self.starts)
            && letters.ends_with(&self.ends)
            && self.contains.iter().all(|word| {
                word.is_empty() || letters.windows(word.len()).any(|letters| letters == word)
            })
            && self.below.as_ref().is_none_or(|apex| {
                let (name, apex): (Vec<String>, Vec<String>) = (labels(name), labels(apex));
                name.len() > apex.len() && name.ends_with(&apex)
            })
    }
}
