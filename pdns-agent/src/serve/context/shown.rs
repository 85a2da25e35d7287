//! Text of others, made fit to be shown: notes and sources.
//!
//! Part of the page. The templates escape what means something to HTML; here goes what a browser shows and a reader
//! does not see: marks that turn the direction of text, and characters without width.

use crate::name::display::is_hidden;

/// Text in which nothing is invisible and nothing moves other text.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) { out.extend(letter.escape_unicode()) } else { out.push(letter) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_hidden() {
        assert_eq!(visible("caf\u{e9} <b>"), "caf\u{e9} <b>");
        assert_eq!(visible("a\u{202e}b\u{200b}\n\u{1b}"), "a\\u{202e}b\\u{200b}\\u{a}\\u{1b}");
    }
}
