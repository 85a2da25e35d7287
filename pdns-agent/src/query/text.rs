//! Search for text in names.
//!
//! Part of `query`. The store returns all names as blocks of newline-terminated canonical text. One word is
//! searched for in the whole block at once, and only lines that contain it are examined.

use super::pattern::Pattern;
use super::word::Word;
use crate::name::{Name, NameBuf};
use memchr::{memchr, memmem, memrchr};
use std::ops::ControlFlow;

/// Conditions on the text of a name; all must be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The name starts with this word.
    pub starts: Option<Word>,
    /// The name ends with this word.
    pub ends: Option<Word>,
    /// The name contains each of these words.
    pub contains: Vec<Word>,
    /// The name matches each of these patterns.
    pub patterns: Vec<Pattern>,
    /// The name lies below this one.
    pub below: Option<NameBuf>,
    /// The name is this one or lies below it.
    pub at_or_below: Option<NameBuf>,
}

impl Text {
    /// Returns true if there are no conditions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns a name that all matching names are at or below, if there is one: the store can then search only
    /// a part of itself.
    #[must_use]
    pub fn apex(&self) -> Option<NameBuf> {
        let of_ends = || {
            let ends = self.ends.as_ref()?.as_str();
            // Only a whole label is certain: `example.com` also ends `anexample.com`.
            NameBuf::parse(ends.strip_prefix('.')?).ok()
        };
        let of_patterns = || self.patterns.iter().find_map(Pattern::apex);
        let apex = self.below.as_ref().or(self.at_or_below.as_ref()).cloned();
        apex.or_else(of_ends).or_else(of_patterns)
    }

    /// Returns true if the name passes.
    #[must_use]
    pub fn admits(&self, name: Name<'_>) -> bool {
        self.patterns.iter().all(|pattern| pattern.admits(name.as_str())) && self.words_admit(name)
    }

    /// Like [`Text::admits`], but without the patterns.
    fn words_admit(&self, name: Name<'_>) -> bool {
        let text = name.as_str();
        self.starts.as_ref().is_none_or(|word| text.starts_with(word.as_str()))
            && self.ends.as_ref().is_none_or(|word| ends(text, word.as_str()))
            && self.contains.iter().all(|word| contains(text, word.as_str()))
            && self
                .below
                .as_ref()
                .is_none_or(|apex| name != apex.as_name() && name.is_at_or_below(apex.as_name()))
            && self.at_or_below.as_ref().is_none_or(|apex| name.is_at_or_below(apex.as_name()))
    }

    /// Calls `each` for every name in `block` that passes, until it breaks.
    ///
    /// A line that is not a canonical name is skipped; `pdns admin verify` checks the text of the store.
    pub fn search<'b>(
        &self,
        block: &'b [u8],
        each: &mut dyn FnMut(Name<'b>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.search_lines(block, &mut |line| {
            self.read(line).map_or(ControlFlow::Continue(()), &mut *each)
        })
    }

    /// Reads the name on a line that [`Text::search_lines`] found; returns `None` if it does not pass.
    pub(super) fn read<'b>(&self, line: &'b [u8]) -> Option<Name<'b>> {
        let line = std::str::from_utf8(line).ok().filter(|line| self.may_admit(line))?;
        Name::from_canonical(line).ok().filter(|name| self.words_admit(*name))
    }

    /// Like [`Text::search`], but passes on lines that may still fail: examining a whole line costs more than
    /// seeing that it comes too late in an order.
    #[inline]
    pub(super) fn search_lines<'b>(
        &self,
        block: &'b [u8],
        each: &mut impl FnMut(&'b [u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let needle = memmem::Finder::new(self.needle());
        let lead = self.patterns.first().filter(|_| needle.needle().is_empty());
        let mut at = 0;
        while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
            let found = match lead {
                Some(pattern) => pattern.find(block, at),
                None => needle.find(rest).map(|found| at + found),
            };
            let Some(found) = found.filter(|&found| found < block.len()) else { break };
            let start =
                block.get(..found).and_then(|head| memrchr(b'\n', head)).map_or(0, |at| at + 1);
            let after = block.get(found..).unwrap_or_default();
            let end = memchr(b'\n', after).map_or(block.len(), |length| found + length);
            each(block.get(start..end).unwrap_or_default())?;
            at = end + 1;
        }
        ControlFlow::Continue(())
    }

    /// Returns the longest text that every matching name contains; empty if there is none.
    fn needle(&self) -> &str {
        let words = self.starts.iter().chain(&self.ends).chain(&self.contains).map(Word::as_str);
        let apex = self.below.iter().map(NameBuf::as_str).filter(|apex| *apex != ".");
        words.chain(apex).max_by_key(|word| word.len()).unwrap_or_default()
    }

    /// Returns false if a line fails a condition that needs no parsed name: its ends or the patterns.
    fn may_admit(&self, line: &str) -> bool {
        self.starts.as_ref().is_none_or(|word| line.starts_with(word.as_str()))
            && self.ends.as_ref().is_none_or(|word| line.ends_with(word.as_str()))
            && self
                .below
                .as_ref()
                .is_none_or(|apex| apex.as_name().is_root() || line.ends_with(apex.as_str()))
            && self.patterns.iter().all(|pattern| pattern.admits(line))
    }
}

/// Returns true if canonical text ends with a word. The first dot of the word must separate labels in the text,
/// as every dot of a word does.
fn ends(text: &str, word: &str) -> bool {
    text.ends_with(word) && !is_within_escape(text, text.len() - word.len())
}

/// Returns true if canonical text contains a word.
fn contains(text: &str, word: &str) -> bool {
    let mut from = 0;
    while let Some(at) =
        text.as_bytes().get(from..).and_then(|rest| memmem::find(rest, word.as_bytes()))
    {
        if !is_within_escape(text, from + at) {
            return true;
        }
        // A match within an escape may overlap with one that begins after it.
        from += at + 1;
    }
    false
}

/// Returns true if `at` lies between the backslash and the end of an escape: `a\.b` has no dot between labels,
/// and `a\032b` no digits.
fn is_within_escape(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let digits = before.iter().rev().take(2).take_while(|octet| octet.is_ascii_digit()).count();
    (0..=digits).any(|digits| {
        let head = before.get(..before.len() - digits).unwrap_or_default();
        // Two backslashes are a literal one.
        head.iter().rev().take_while(|&&octet| octet == b'\\').count() % 2 == 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::WordError;
    use proptest::prelude::*;

    const BLOCK: &[u8] = b"example.com\nwww.example.com\nbadexample.com\na\\.example.com\n\
        my\\032shop.example\n.\nx.www.example.com\ncom.example.com.net\n";

    #[track_caller]
    fn check(text: &Text, want: &[&str]) {
        let mut found = Vec::new();
        let flow = text.search(BLOCK, &mut |name| {
            found.push(name.as_str());
            ControlFlow::Continue(())
        });
        assert_eq!(flow, ControlFlow::Continue(()));
        assert_eq!(found, want);
    }

    fn word(text: &str) -> Word {
        Word::parse(text).unwrap()
    }

    #[test]
    fn words_are_canonical_pieces() {
        assert_eq!(word("My Shop").as_str(), "my\\032shop");
        assert_eq!(word(".Example.").as_str(), ".example.");
        assert_eq!(word("a\\.b").as_str(), "a\\.b");
        assert_eq!(word("user@").as_str(), "user\\@");
        assert_eq!(word("..").as_str(), "..");
        assert_eq!(word("\u{fc}").as_str(), "\\195\\188");
        assert_eq!(Word::parse(""), Err(WordError::Empty));
        assert!(Word::parse(&"a".repeat(64)).is_err());
        assert!(Word::parse("\\9").is_err());
    }

    #[test]
    fn ends_is_text_and_below_is_labels() {
        check(
            &Text { ends: Some(word("example.com")), ..Text::default() },
            &[
                "example.com",
                "www.example.com",
                "badexample.com",
                "a\\.example.com",
                "x.www.example.com",
            ],
        );
        let below = NameBuf::parse("example.com").unwrap();
        check(
            &Text { below: Some(below), ..Text::default() },
            &["www.example.com", "x.www.example.com"],
        );
        check(
            &Text {
                below: Some(Name::ROOT.to_buf()),
                contains: vec![word("net")],
                ..Text::default()
            },
            &["com.example.com.net"],
        );
    }

    #[test]
    fn starts_contains_and_all_together() {
        check(&Text { starts: Some(word("www")), ..Text::default() }, &["www.example.com"]);
        check(&Text { starts: Some(word("example")), ..Text::default() }, &["example.com"]);
        check(&Text { contains: vec![word("y s")], ..Text::default() }, &["my\\032shop.example"]);
        check(
            &Text {
                contains: vec![word("www"), word("x.")],
                ends: Some(word(".com")),
                ..Text::default()
            },
            &["x.www.example.com"],
        );
    }

    #[test]
    fn no_condition_is_every_name_and_a_break_ends_it() {
        let mut count = 0;
        let flow = Text::default().search(BLOCK, &mut |_| {
            count += 1;
            if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((flow, count), (ControlFlow::Break(()), 3));
    }

    #[test]
    fn escapes_are_one_letter() {
        check(
            &Text { ends: Some(word(".example.com")), ..Text::default() },
            &["www.example.com", "x.www.example.com"],
        );
        check(&Text { contains: vec![word("032")], ..Text::default() }, &[]);
        for (text, at, want) in [
            ("a\\.b", 2, true),
            ("a\\.b", 3, false),
            ("\\\\.b", 2, false),
            ("\\\\\\.b", 3, true),
            ("\\0329", 3, true),
            ("\\0329", 4, false),
            ("\\\\032", 3, false),
            ("123", 2, false),
        ] {
            assert_eq!(is_within_escape(text, at), want, "{text} at {at}");
        }
    }

    #[test]
    fn patterns_find_names_with_and_without_words() {
        let pattern = |typed| vec![Pattern::regex(typed).unwrap()];
        let www = ["www.example.com", "x.www.example.com"];
        check(&Text { patterns: pattern("www"), ..Text::default() }, &www);
        check(&Text { patterns: pattern("(^|\\.)www\\..*com$"), ..Text::default() }, &www);
        check(
            &Text {
                patterns: pattern("^[^.]+\\.[^.]+$"),
                ends: Some(word("com")),
                ..Text::default()
            },
            &["example.com", "badexample.com"],
        );
        check(
            &Text {
                patterns: vec![Pattern::glob("*.com").unwrap(), Pattern::glob("x*").unwrap()],
                ..Text::default()
            },
            &["x.www.example.com"],
        );
        check(&Text { patterns: pattern("^\\.$"), ..Text::default() }, &["."]);
        check(
            &Text { patterns: pattern("$"), contains: vec![word("net")], ..Text::default() },
            &["com.example.com.net"],
        );
        let mut all = 0;
        let flow = Text { patterns: pattern("x*"), ..Text::default() }.search(BLOCK, &mut |_| {
            all += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((flow, all), (ControlFlow::Continue(()), 8));
    }

    #[test]
    fn an_apex_is_known_only_at_a_label() {
        let apex = |ends| Text { ends: Some(word(ends)), ..Text::default() }.apex();
        assert_eq!(apex("example.com"), None);
        assert_eq!(apex(".example.com"), NameBuf::parse("example.com").ok());
    }

    proptest! {
        #[test]
        fn search_agrees_with_a_plain_filter(
            names in prop::collection::vec("[a-c]{1,3}(\\.[a-c]{1,2}){0,2}", 0..20),
            starts in prop::option::of("[a-c.]{1,2}"), ends in prop::option::of("[a-c.]{1,3}"),
            contains in prop::collection::vec("[a-c.]{1,2}", 0..2),
        ) {
            let text = Text {
                starts: starts.as_deref().map(word),
                ends: ends.as_deref().map(word),
                contains: contains.iter().map(|text| word(text)).collect(),
                ..Text::default()
            };
            let block = names.join("\n");
            let mut found = Vec::new();
            let flow = text.search(block.as_bytes(), &mut |name| {
                found.push(name.as_str().to_owned());
                ControlFlow::Continue(())
            });
            prop_assert_eq!(flow, ControlFlow::Continue(()));
            let want: Vec<_> = names.into_iter().filter(|name| {
                starts.as_ref().is_none_or(|word| name.starts_with(word.as_str()))
                    && ends.as_ref().is_none_or(|word| name.ends_with(word.as_str()))
                    && contains.iter().all(|word| name.contains(word.as_str()))
            }).collect();
            prop_assert_eq!(found, want);
        }
    }
}
