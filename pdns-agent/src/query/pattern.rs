//! Patterns for names: globs and regular expressions, matched against whole blocks of names at once.
//!
//! Part of `query`. A pattern matches a name as it is shown: lower case, RFC 1035 escapes, no final dot. Blocks
//! have a newline after each name, so an expression is rewritten to match within one line. One search over a
//! block then finds the next matching name, and the literals of the expression speed it up.

use super::word::{Word, WordError};
use crate::name::NameBuf;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look,
    Repetition,
};

/// Maximum length of a pattern, in bytes.
const MAX_LENGTH: usize = 4_096;
/// Maximum size of a compiled expression, and of the cache that its search uses in addition, in bytes.
const MAX_COMPILED: usize = 4 << 20;
/// Maximum nesting depth of groups and repetitions.
const MAX_DEPTH: u32 = 64;
/// Any text, in whole characters: an escape is never split.
const ANY: &str = r"(?:[^\\]|\\[0-9]{3}|\\[^0-9])*";
/// One octet of a label as shown: the character itself or an escape.
const OCTET: &str = r"(?:[^\\.]|\\[0-9]{3}|\\[^0-9])";

/// A condition on the whole text of a name.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// The text that every matching name ends with, if known.
    tail: Option<Word>,
}

/// Reason why text is not a valid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No text.
    #[error("the pattern is empty")]
    Empty,
    /// Text longer than any meaningful pattern.
    #[error("the pattern is longer than {MAX_LENGTH} bytes")]
    Long,
    /// Not a valid expression.
    #[error("{text:?} is no regular expression: {cause}")]
    Regex {
        /// The text as typed.
        text: String,
        /// The error in it.
        cause: String,
    },
    /// An expression whose compiled form is too large.
    #[error("{0:?} takes too much memory: use fewer or smaller repetitions")]
    Large(String),
    /// A `[` without its `]`, or with nothing between them.
    #[error("{0:?} has a [ without a ] that ends it: write \\[ for the character itself")]
    Bracket(String),
    /// Text between wildcards that no name can contain.
    #[error(transparent)]
    Word(#[from] WordError),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Parses a regular expression (the syntax of the `regex` crate, without Unicode classes). It may match
    /// anywhere in a name, case-insensitively; `^` and `$` are the ends of the name.
    ///
    /// # Errors
    /// [`PatternError`] when the expression is not valid or too large.
    pub fn regex(typed: &str) -> Result<Self, PatternError> {
        if typed.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Self { regex: compile(typed, typed)?, tail: None })
    }

    /// Parses a glob that must match the whole name: `*` is any text including dots, `?` one character of a
    /// label, `[a-f0-9]` one of several, `[!a]` any other; a backslash makes the next character literal.
    ///
    /// # Errors
    /// [`PatternError`] when the glob is not valid, or when no name can match it.
    pub fn glob(typed: &str) -> Result<Self, PatternError> {
        if typed.is_empty() {
            return Err(PatternError::Empty);
        }
        if typed.len() > MAX_LENGTH {
            return Err(PatternError::Long);
        }
        let pieces = pieces(without_final_dot(typed))?;
        let mut source = String::from("^");
        let mut tail = None;
        for piece in pieces {
            tail = None;
            match piece {
                GlobPiece::Text(text) => {
                    let word = Word::parse(&text)?;
                    source.push_str(&regex::escape(word.as_str()));
                    tail = Some(word);
                }
                GlobPiece::Any => source.push_str(ANY),
                GlobPiece::One => source.push_str(OCTET),
                GlobPiece::Class(class) => source.push_str(&class),
            }
        }
        source.push('$');
        Ok(Self { regex: compile(&source, typed)?, tail })
    }

    /// Returns a name that all matching names are at or below, if there is one.
    pub(super) fn apex(&self) -> Option<NameBuf> {
        NameBuf::parse(self.tail.as_ref()?.as_str().strip_prefix('.')?).ok()
    }

    /// Returns true if the text of a name matches.
    pub(super) fn admits(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }

    /// Returns the start of the first match at or after `from` in a block of names.
    pub(super) fn find(&self, block: &[u8], from: usize) -> Option<usize> {
        self.regex.find_at(block, from).map(|found| found.start())
    }
}

/// A part of a glob.
enum GlobPiece {
    /// Text as typed.
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
    /// `[...]`, as an expression.
    Class(String),
}

fn without_final_dot(typed: &str) -> &str {
    match typed.strip_suffix('.') {
        Some(head) if !head.is_empty() && !head.ends_with(['\\', '.']) => head,
        _ => typed,
    }
}

fn pieces(typed: &str) -> Result<Vec<GlobPiece>, PatternError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut letters = typed.chars();
    while let Some(letter) = letters.next() {
        let piece = match letter {
            '\\' => {
                text.push('\\');
                text.extend(letters.next());
                continue;
            }
            '*' => GlobPiece::Any,
            '?' => GlobPiece::One,
            '[' => GlobPiece::Class(class(&mut letters, typed)?),
            other => {
                text.push(other);
                continue;
            }
        };
        if !text.is_empty() {
            pieces.push(GlobPiece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece);
    }
    if !text.is_empty() {
        pieces.push(GlobPiece::Text(text));
    }
    Ok(pieces)
}

/// Converts the rest of `[...]` to an expression; characters in it are literal except a `-` between two.
fn class(letters: &mut std::str::Chars<'_>, typed: &str) -> Result<String, PatternError> {
    let bracket = || PatternError::Bracket(typed.to_owned());
    let mut out = String::from("[");
    let mut first = true;
    loop {
        let letter = letters.next().ok_or_else(bracket)?;
        match letter {
            '!' | '^' if first && out.len() == 1 => {
                // Also excludes the dots and backslashes that the shown text contains besides the characters of
                // a label.
                out.push_str("^.\\\\");
                continue;
            }
            ']' if first => return Err(bracket()),
            ']' => break,
            '-' if !first => out.push('-'),
            '\\' => push_literal(letters.next().ok_or_else(bracket)?, &mut out),
            other => push_literal(other, &mut out),
        }
        first = false;
    }
    out.push(']');
    Ok(out)
}

fn push_literal(letter: char, out: &mut String) {
    if letter.is_ascii() && !letter.is_ascii_alphanumeric() {
        out.push('\\');
    }
    out.push(letter);
}

/// Compiles an expression so that a match stays within one line of a block.
fn compile(source: &str, typed: &str) -> Result<Regex, PatternError> {
    if typed.len() > MAX_LENGTH {
        return Err(PatternError::Long);
    }
    let wrong = |cause: String| PatternError::Regex { text: typed.to_owned(), cause };
    let parsed = ParserBuilder::new()
        .nest_limit(MAX_DEPTH)
        .multi_line(true)
        .case_insensitive(true)
        .unicode(false)
        .utf8(false)
        .build()
        .parse(source)
        .map_err(|error| wrong(reason(&error)))?;
    let source = within_a_line(parsed).to_string();
    RegexBuilder::new(&source)
        .unicode(false)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::Large(typed.to_owned()),
            other => wrong(other.to_string().lines().last().unwrap_or_default().to_owned()),
        })
}

/// Returns the error message without the drawing of its position.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it cannot be read".to_owned(),
    }
}

/// Returns the same expression for text without newlines; the ends of the text become the ends of a line.
fn within_a_line(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => Hir::fail(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(Class::Bytes(mut class)) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Look(Look::Start | Look::StartCRLF) => Hir::look(Look::StartLF),
        HirKind::Look(Look::End | Look::EndCRLF) => Hir::look(Look::EndLF),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(repetition) => {
            let Repetition { min, max, greedy, sub } = repetition;
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(within_a_line(*sub)) })
        }
        HirKind::Capture(capture) => within_a_line(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(within_a_line).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(within_a_line).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &Pattern, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(pattern.admits(text), "{text} and {pattern:?}");
        }
        for text in no {
            assert!(!pattern.admits(text), "{text} and {pattern:?}");
        }
    }

    #[test]
    fn globs_match_the_whole_name() {
        let glob = |typed| Pattern::glob(typed).unwrap();
        check(
            &glob("*.Example.com."),
            &["www.example.com", "a.b.example.com"],
            &["example.com", "www.example.com.net", "badexample.com", "a\\.example.com"],
        );
        check(
            &glob("w?.example"),
            &["ww.example", "w\\032.example", "w\\..example"],
            &["w..example", "www.example"],
        );
        check(
            &glob("h[0-9].d[!a-c].*"),
            &["h1.dx.example"],
            &["hx.dx.example", "h1.db.example", "h1.d..x"],
        );
        check(&glob("a\\*b"), &["a*b"], &["axb"]);
        check(&glob("my shop.*"), &["my\\032shop.example"], &["my-shop.example"]);
        check(&glob("[a\\]-]x"), &["]x", "-x", "ax"], &["\\x"]);
        assert_eq!(glob("*.example.com").apex(), NameBuf::parse("example.com").ok());
        assert_eq!(glob("*example.com").apex(), None);
        assert_eq!(glob("*.example.*").apex(), None);
    }

    #[test]
    fn expressions_are_of_any_case_and_know_the_ends_of_a_name() {
        let regex = |typed| Pattern::regex(typed).unwrap();
        check(&regex("^WWW\\d+\\."), &["www12.example"], &["www.example", "a.www1.example"]);
        check(&regex("\\Aa.*z\\z"), &["abcz"], &["ba.z", "a.zb"]);
        check(&regex("^[^.]{20,}\\.com$"), &["abcdefghijabcdefghij.com"], &["abcdefghij.com"]);
        check(&regex("(login|secure)-\\w+"), &["x.login-a.example"], &["login.example"]);
    }

    #[test]
    fn a_match_never_leaves_its_line() {
        for typed in ["a[^b]*c", "a\\Wc", "(?s)a.c", "a\\s+c", "a\\nc", "a(?:\\n|x)*c"] {
            let pattern = Pattern::regex(typed).unwrap();
            let block = b"a\nc\n";
            assert_eq!(pattern.find(block, 0), None, "{typed}");
        }
        assert_eq!(Pattern::regex("\\Ab").unwrap().find(b"ab\nb\n", 0), Some(3));
        assert_eq!(Pattern::regex("a\\z").unwrap().find(b"ab\na\nb\n", 0), Some(3));
    }

    #[test]
    fn what_is_wrong_is_told_in_a_sentence() {
        for typed in ["(", "[z-a]", "a{2,1}", "\\p{Greek}", "(?<n", "*"] {
            let error = Pattern::regex(typed).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.contains("no regular expression"), "{error}");
        }
        assert!(matches!(Pattern::regex("(a{1000}){1000}"), Err(PatternError::Large(_))));
        assert!(matches!(Pattern::regex(&"(".repeat(5_000)), Err(PatternError::Long)));
        assert!(Pattern::regex(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
        assert_eq!(Pattern::regex(""), Err(PatternError::Empty));
        assert!(matches!(Pattern::glob("a[b"), Err(PatternError::Bracket(_))));
        assert!(matches!(Pattern::glob("a[]"), Err(PatternError::Bracket(_))));
        assert!(matches!(Pattern::glob("[z-a]"), Err(PatternError::Regex { .. })));
        assert!(matches!(Pattern::glob("\\9*"), Err(PatternError::Word(_))));
    }
}
