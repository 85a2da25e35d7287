//! Text of others, made fit to be shown: notes, and the Unicode form of names.
//!
//! Part of the page. The templates escape what means something to HTML; here goes what a browser shows and a reader
//! does not see: marks that turn the direction of text, and characters without width.

/// Text in which nothing is invisible and nothing moves other text.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) { out.extend(letter.escape_unicode()) } else { out.push(letter) }
    }
    out
}

fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{10ffff}')
}

/// Scripts whose letters may stand beside an A-label, by the ranges of their letters.
const SCRIPTS: &[(&str, &[(char, char)])] = &[
    ("Latin", &[('\u{e0}', '\u{f6}'), ('\u{f8}', '\u{17f}'), ('\u{1e00}', '\u{1eff}')]),
    ("Greek", &[('\u{370}', '\u{3ff}')]),
    ("Cyrillic", &[('\u{400}', '\u{4ff}')]),
    ("Armenian", &[('\u{530}', '\u{58f}')]),
    ("Hebrew", &[('\u{5d0}', '\u{5ea}')]),
    ("Arabic", &[('\u{620}', '\u{64a}'), ('\u{671}', '\u{6d3}')]),
    ("Devanagari", &[('\u{900}', '\u{97f}')]),
    ("Thai", &[('\u{e00}', '\u{e7f}')]),
    ("Georgian", &[('\u{10d0}', '\u{10ff}')]),
    ("Japanese", &[('\u{3005}', '\u{3007}'), ('\u{3040}', '\u{30ff}'), ('\u{4e00}', '\u{9fff}')]),
    ("Han", &[('\u{4e00}', '\u{9fff}')]),
    ("Korean", &[('\u{ac00}', '\u{d7a3}')]),
];

/// The Unicode form of a name in canonical text, with its script: `("bücher.example", "Latin")`.
///
/// `None` when it has none, or when a label of it mixes scripts: such a name is made to be taken for another. It is
/// to be shown beside the A-labels and never in their place, since a whole label can look like Latin, too.
pub(super) fn unicode(name: &str) -> Option<(String, &'static str)> {
    if !name.starts_with("xn--") && !name.contains(".xn--") || name.contains('\\') {
        return None;
    }
    let mut shown = Vec::new();
    let mut script = None;
    for label in name.split('.') {
        if !label.starts_with("xn--") {
            shown.push(label.to_owned());
            continue;
        }
        let (text, valid) = idna::domain_to_unicode(label);
        valid.ok()?;
        let of_label = script_of(&text)?;
        if script.is_some_and(|script| script != of_label) {
            return None;
        }
        script = Some(of_label);
        shown.push(text);
    }
    Some((shown.join("."), script?))
}

/// The one script of a label. Only Latin letters stand beside ASCII ones.
fn script_of(label: &str) -> Option<&'static str> {
    let fits = |(name, ranges): &&(&'static str, &[(char, char)])| {
        let within = |letter: char| ranges.iter().any(|&(from, to)| (from..=to).contains(&letter));
        let is_neutral = |letter: char| letter.is_ascii_digit() || letter == '-';
        let is_latin = |letter: char| *name == "Latin" && letter.is_ascii_lowercase();
        label.chars().all(|letter| within(letter) || is_neutral(letter) || is_latin(letter))
    };
    SCRIPTS.iter().find(fits).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_hidden() {
        assert_eq!(visible("caf\u{e9} <b>"), "caf\u{e9} <b>");
        assert_eq!(visible("a\u{202e}b\u{200b}\n\u{1b}"), "a\\u{202e}b\\u{200b}\\u{a}\\u{1b}");
    }

    #[test]
    fn one_script_is_shown_and_a_mix_is_not() {
        let check = |name: &str, want: Option<(&str, &'static str)>| {
            let want = want.map(|(text, script)| (text.to_owned(), script));
            assert_eq!(unicode(name), want, "{name}");
        };
        check("www.xn--bcher-kva.example", Some(("www.b\u{fc}cher.example", "Latin")));
        check(
            "xn--e1afmkfd.xn--p1ai",
            Some(("\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.\u{440}\u{444}", "Cyrillic")),
        );
        // "paypal" with two Cyrillic letters.
        check("xn--pypl-53dc.com", None);
        check("xn--bcher-kva.xn--p1ai", None);
        check("xn--zzzzzzzz9.example", None);
        check("www.example.com", None);
        check("xn--a\\.b.example", None);
    }
}
