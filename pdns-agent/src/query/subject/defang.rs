//! Removal of the decoration that reports, mails and spreadsheets put around names and addresses: brackets
//! against accidental clicks, quotes, punctuation, and invisible characters.
//!
//! Part of the subject parser.

use super::Certainty;
use crate::name::display::is_hidden;
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// Punctuation that ends a clause, and is never the end of a subject.
const ENDS: [char; 9] = [',', ';', ':', '!', '.', '\u{2026}', '\u{3002}', '?', '&'];
/// Quotation marks.
pub(super) const QUOTES: [char; 13] = [
    '"', '\'', '`', '\u{b4}', '\u{ab}', '\u{bb}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201c}',
    '\u{201d}', '\u{201e}', '\u{ff02}',
];
/// Brackets that stand around a subject, or around a part of it.
const BRACKETS: [(char, char); 4] = [('[', ']'), ('(', ')'), ('{', '}'), ('<', '>')];

fn pattern(source: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "a constant, compiled by a test")]
    Regex::new(source).expect("a valid pattern")
}

/// `[.]`, `(dot)`, `{://}` and the like, with blanks around.
static BRACKETED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i-u)[ \t]*[\[({<][ \t]*(\.|dot|at|@|:|::|://|:/|/|//|-|_)[ \t]*[\])}>][ \t]*")
});
/// `evil[.example`, `evil.]example`.
static HALF: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?-u)([0-9A-Za-z_-])(?:[\[({<]\.|\.[\])}>])([0-9A-Za-z_-])"));
/// `evil dot example`.
static SPOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i-u)[ \t]+dot[ \t]+"));

/// Returns the text without decoration, and the certainty of that.
pub(super) fn clean(text: &str) -> (String, Certainty) {
    let seen = seen(text);
    let fanged = fang(seen.trim());
    let (bare, is_unpaired) = unwrap(&fanged);
    let certainty = match (bare == text, is_unpaired) {
        (_, true) => Certainty::Guessed,
        (true, _) => Certainty::AsTyped,
        (false, _) => Certainty::Cleaned,
    };
    (bare.to_owned(), certainty)
}

/// Returns true if text has a defanged dot, so that it is not a name as it stands.
pub(super) fn is_defanged(text: &str) -> bool {
    if !text.contains(['\\', '[', '(', '{', '<', ']', ')', '}', '>']) {
        return false;
    }
    has_defanged_dot(text) || BRACKETED.is_match(text) || HALF.is_match(text)
}

/// Returns true if the only dots are `\.`, as in an expression, and they are not within a label.
fn has_defanged_dot(text: &str) -> bool {
    let (mut escaped, mut found) = (false, false);
    for letter in text.chars() {
        match letter {
            '.' if escaped => found = true,
            '.' => return false,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    found
}

/// Removes invisible characters, and replaces unusual blanks and dots by plain ones.
fn seen(text: &str) -> String {
    let letters = text.chars().filter_map(|letter| match letter {
        letter if letter.is_whitespace() => Some(' '),
        letter if is_hidden(letter) && !letter.is_control() => None,
        // As in UTS #46; addresses may contain them, too.
        '\u{3002}' | '\u{ff61}' => Some('.'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0),
        letter => Some(letter),
    });
    letters.collect()
}

/// Undoes defanging in prose, where the word "dot" may be meant. Blanks at the ends stay: the text may go on there.
pub(super) fn fang_prose(text: &str) -> String {
    unbracketed(&seen(text))
}

/// Undoes defanging, which prevents accidental clicks.
fn fang(text: &str) -> String {
    let text = SPOKEN.replace_all(&unbracketed(text), ".").into_owned();
    if has_defanged_dot(&text) { text.replace("\\.", ".") } else { text }
}

/// Replaces `[.]`, `(dot)`, `[.` and the like by what they stand for.
fn unbracketed(text: &str) -> String {
    let mut text = text.replace("\\/", "/");
    let before = text.clone();
    text = BRACKETED
        .replace_all(&before, |captures: &Captures<'_>| {
            let whole = captures.get(0).map_or("", |found| found.as_str());
            let start = captures.get(0).map_or(0, |found| found.start());
            let inner = captures.get(1).map_or("", |found| found.as_str());
            let follows = before.get(..start).unwrap_or_default();
            match inner.to_ascii_lowercase().as_str() {
                // A `[::]` at the front is an address.
                "::" if !follows.ends_with(|letter: char| letter.is_ascii_hexdigit()) => {
                    whole.to_owned()
                }
                "dot" => ".".to_owned(),
                "at" => "@".to_owned(),
                other => other.to_owned(),
            }
        })
        .into_owned();
    // Twice, because matches that share a one-letter label overlap.
    for _ in 0..2 {
        text = HALF.replace_all(&text, "$1.$2").into_owned();
    }
    text
}

/// Removes quotes, brackets and punctuation around text; also returns true if one of them had no partner.
fn unwrap(text: &str) -> (&str, bool) {
    let (mut text, mut is_unpaired) = (text, false);
    loop {
        let before = text;
        text = text.trim();
        // From "Name <user@host>", keep the part within.
        if let (Some(text_within), true) = (text.strip_suffix('>'), text.contains('@'))
            && let Some((_, address)) = text_within.rsplit_once('<')
        {
            text = address;
        }
        text = text.trim_end_matches(ENDS).trim();
        if text.len() < before.len() && before.ends_with("\\.") {
            text = before;
        }
        let quoted = text.trim_start_matches(QUOTES);
        let inner = quoted.trim_end_matches(QUOTES);
        is_unpaired |= (quoted.len() < text.len()) != (inner.len() < quoted.len());
        text = inner;
        for (open, close) in BRACKETS {
            let (opened, closed) = (text.matches(open).count(), text.matches(close).count());
            match (text.strip_prefix(open), text.strip_suffix(close)) {
                (Some(_), Some(_)) if text.len() > 1 && opened == closed => {
                    text = text.get(1..text.len() - 1).unwrap_or_default();
                }
                (Some(rest), _) if opened > closed => (text, is_unpaired) = (rest, true),
                (_, Some(rest)) if closed > opened => (text, is_unpaired) = (rest, true),
                (Some(rest), None) if opened > 0 && closed == 0 => {
                    (text, is_unpaired) = (rest, true);
                }
                _ => {}
            }
        }
        if text.starts_with(']') && !text.contains('[') {
            (text, is_unpaired) = (text.trim_start_matches(']'), true);
        }
        if text == before {
            return (text, is_unpaired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_so_that_nobody_clicks_is_undone() {
        for text in [
            "evil[.]example[.]com",
            "evil[DOT]example[dot]com",
            "evil(dot)example(.)com",
            "evil{.}example{dot}com",
            "evil<.>example<dot>com",
            "evil[.example[.com",
            "evil.]example.)com",
            "evil\\.example\\.com",
            "evil [.] example [.] com",
            "evil dot example DOT com",
            "evil\u{200b}.exa\u{ad}mple.com",
            "\u{201c}evil.example.com\u{201d},",
            "(<evil.example.com>);",
            "evil\u{3002}example\u{ff0e}com.",
        ] {
            assert_eq!(clean(text).0, "evil.example.com", "{text}");
        }
        assert_eq!(clean("2001[:]db8[::]66").0, "2001:db8::66");
        assert_eq!(clean("hxxps[://]a[.]example[/]x").0, "hxxps://a.example/x");
        assert_eq!(clean("http://[::]/").0, "http://[::]/");
        assert_eq!(clean("a[at]b[.]example").0, "a@b.example");
        assert_eq!(clean("https:\\/\\/a.example\\/x").0, "https://a.example/x");
        assert_eq!(clean("a\\.b.example").0, "a\\.b.example");
    }

    #[test]
    fn what_has_no_partner_is_a_guess() {
        let certainty = |text| clean(text).1;
        assert_eq!(certainty("\"a.example\""), Certainty::Cleaned);
        assert_eq!(certainty("a.example,"), Certainty::Cleaned);
        assert_eq!(certainty("]e.example.com"), Certainty::Guessed);
        assert_eq!(certainty("\"a.example"), Certainty::Guessed);
        assert_eq!(certainty("a.example)"), Certainty::Guessed);
        assert_eq!(certainty("[a.example"), Certainty::Guessed);
    }
}
