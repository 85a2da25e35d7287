//! The labels of a name in canonical text, from either end.
//!
//! Layer 0, part of `name`. A dot after an odd number of backslashes belongs to a label.

/// Labels, left to right; see [`super::Name::labels`].
#[derive(Clone, Debug)]
pub(super) struct Labels<'a> {
    /// Remaining text, without the dot at either end; `None` once exhausted.
    rest: Option<&'a str>,
    /// True if the text contains any escape.
    escaped: bool,
}

impl<'a> Labels<'a> {
    /// The labels of canonical text; the empty text has none.
    pub(super) fn new(text: &'a str) -> Self {
        let escaped = memchr::memchr(b'\\', text.as_bytes()).is_some();
        Self { rest: Some(text).filter(|text| !text.is_empty()), escaped }
    }

    /// Returns true if the dot at `at` separates two labels.
    fn is_separator(&self, text: &str, at: usize) -> bool {
        let head = text.as_bytes().get(..at).unwrap_or_default();
        !self.escaped || head.iter().rev().take_while(|&&octet| octet == b'\\').count() % 2 == 0
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let mut dots = memchr::memchr_iter(b'.', text.as_bytes());
        let cut = dots.find(|&at| self.is_separator(text, at));
        self.rest = cut.and_then(|at| text.get(at + 1..));
        Some(cut.and_then(|at| text.get(..at)).unwrap_or(text))
    }
}

impl DoubleEndedIterator for Labels<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let text = self.rest?;
        let mut dots = memchr::memrchr_iter(b'.', text.as_bytes());
        let cut = dots.find(|&at| self.is_separator(text, at));
        self.rest = cut.and_then(|at| text.get(..at));
        Some(cut.and_then(|at| text.get(at + 1..)).unwrap_or(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dots_within_labels_are_theirs() {
        let labels: Vec<&str> = Labels::new(r"a\.b.c\\.d").collect();
        assert_eq!(labels, [r"a\.b", r"c\\", "d"]);
        assert_eq!(Labels::new("").count(), 0);
    }

    proptest! {
        #[test]
        fn both_ends_tell_the_same(text in r"([a-c]|\\\.|\\\\|\\000|\.){0,20}") {
            // Reference implementation: reads octet by octet.
            let (mut plain, mut escaped) = (vec![String::new()], false);
            for letter in text.chars() {
                if letter == '.' && !escaped {
                    plain.push(String::new());
                    continue;
                }
                escaped = letter == '\\' && !escaped;
                plain.last_mut().unwrap().push(letter);
            }
            prop_assume!(!text.is_empty() && !text.ends_with('.'));
            let forth: Vec<&str> = Labels::new(&text).collect();
            let mut back: Vec<&str> = Labels::new(&text).rev().collect();
            back.reverse();
            prop_assert_eq!(&forth, &back);
            prop_assert_eq!(forth, plain);
        }
    }
}
