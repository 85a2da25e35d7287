//! Patterns of Flex search, and the text they are compared with.
//!
//! A pattern matches presentation text: names with their final dot, RDATA as in a master file. A regular
//! expression may match anywhere in it, a glob has to match the whole text. Case does not matter.

use crate::serve::http_error::HttpError;
use regex::bytes::{Regex, RegexBuilder};

/// Maximum length of a pattern, in bytes.
const MAX_LENGTH: usize = 4_096;
/// Maximum size of a compiled expression, and of the cache that its search uses in addition, in bytes.
const MAX_COMPILED: usize = 4 << 20;
/// Maximum nesting depth of groups and repetitions.
const MAX_DEPTH: u32 = 64;

/// Syntax of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A regular expression. DNSDB's are POSIX expressions; the syntax here covers all of those except
    /// back-references.
    Regex,
    /// `*` is any text, `?` one character, `[a-z]` one of several.
    Glob,
}

/// The pattern to search for, with the one to exclude.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    include: Regex,
    exclude: Option<Regex>,
}

impl Pattern {
    pub(super) fn new(
        method: Method,
        include: &str,
        exclude: Option<&str>,
    ) -> Result<Self, HttpError> {
        let compile = |text: &str| match method {
            Method::Regex => compile(text, text),
            Method::Glob => compile(&expression(text)?, text),
        };
        Ok(Self { include: compile(include)?, exclude: exclude.map(compile).transpose()? })
    }

    pub(super) fn admits(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.include.is_match(text)
            && self.exclude.as_ref().is_none_or(|exclude| !exclude.is_match(text))
    }
}

fn compile(source: &str, typed: &str) -> Result<Regex, HttpError> {
    if typed.is_empty() || typed.len() > MAX_LENGTH {
        return Err(HttpError::bad(format!("a pattern has 1 to {MAX_LENGTH} bytes")));
    }
    RegexBuilder::new(source)
        .unicode(false)
        .case_insensitive(true)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_DEPTH)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => HttpError::bad(format!(
                "the pattern {typed:?} is too large: use smaller repetitions"
            )),
            error => {
                // The last line has the message, the lines before it a drawing of the position.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                HttpError::bad(format!("the pattern {typed:?} cannot be used: {reason}"))
            }
        })
}

/// Converts a glob to an expression.
fn expression(glob: &str) -> Result<String, HttpError> {
    let open = || HttpError::bad(format!("the pattern {glob:?} has a [ without its ]"));
    let mut out = String::from("(?s)^");
    let mut letters = glob.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                out.push('[');
                if letters.next_if(|&next| next == '!' || next == '^').is_some() {
                    out.push('^');
                }
                let mut is_first = true;
                loop {
                    match letters.next().ok_or_else(open)? {
                        ']' if !is_first => break,
                        '-' if !is_first => out.push('-'),
                        letter => literal(letter, &mut out),
                    }
                    is_first = false;
                }
                out.push(']');
            }
            // Escapes of presentation text are text: `\046` appears in the data exactly as here.
            letter => literal(letter, &mut out),
        }
    }
    out.push('$');
    Ok(out)
}

fn literal(letter: char, out: &mut String) {
    if letter.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(method: Method, pattern: &str, text: &str) -> bool {
        Pattern::new(method, pattern, None).unwrap().admits(text)
    }

    #[test]
    fn globs_match_the_whole_and_expressions_anywhere() {
        let glob = |pattern, text| admits(Method::Glob, pattern, text);
        assert!(glob("www.*", "www.example.com.") && !glob("ww", "www."));
        assert!(
            glob("*.example.com.", "www.example.com.")
                && !glob("*.example.com", "www.example.com.")
        );
        assert!(glob("?.EXAMPLE.[cn][oe]*.", "a.example.com.") && !glob("[!a].x.", "a.x."));
        assert!(glob("[]-]x.", "]x.") && glob("[a-c]*", "bx.") && !glob("[a-c]*", "x."));
        assert!(glob("a\\.b.*", "a\\.b.c.") && glob("(a+)|b.", "(a+)|b."));
        let regex = |pattern, text| admits(Method::Regex, pattern, text);
        assert!(regex("xampl", "www.example.com.") && !regex("^xampl", "example.com."));
        assert!(regex("^mail[0-9]+\\.example\\.(com|net)\\.$", "MAIL7.example.net."));
        assert!(regex("[[:digit:]]{3}", "a123.") && regex("v=spf1.*\"$", "\"v=spf1 -all\""));
        let without = Pattern::new(Method::Glob, "*.com.", Some("*.example.com.")).unwrap();
        assert!(without.admits("a.com.") && !without.admits("a.example.com."));
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_one_line() {
        for (method, pattern) in [
            (Method::Regex, ""),
            (Method::Regex, "("),
            (Method::Regex, "(a)\\1"),
            (Method::Regex, "(((a{100}){100}){100})"),
            (Method::Glob, "[a"),
            (Method::Glob, "[z-a]"),
            (Method::Regex, &"a".repeat(5_000)),
            (Method::Regex, &"(".repeat(100)),
        ] {
            let refused = Pattern::new(method, pattern, None).unwrap_err();
            assert_eq!(refused.status, 400);
            assert!(!refused.line().contains('\n'), "{}", refused.line());
        }
    }
}
