//! Sanitizing of text from others for display: notes and sources.
//!
//! Part of the page. The templates escape HTML; this module handles characters that browsers act on and readers
//! do not see: marks that change the direction of text, and characters without width.

use crate::name::display::is_hidden;

/// Removes invisible characters and those that move other text.
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
