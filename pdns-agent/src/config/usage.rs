//! Parses the command line; a mistake becomes one sentence, like all other errors.
//!
//! Used by both binaries. clap's message for a mistake has several lines and contains the arguments
//! unescaped: pasted text could move the cursor.

use crate::render::escape;
use clap::error::ErrorKind;
use std::io::{self, Write as _};

/// Reason why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help or version, as requested: for standard output, and not a failure.
    Shown(String),
    /// No command was given: help for standard error.
    Needed(String),
    /// A mistake, described in one sentence.
    Mistake(String),
}

impl Refusal {
    /// Prints it in the name of `program`, and returns the exit status.
    #[must_use]
    pub fn print(&self, program: &str) -> u8 {
        let (printed, status) = match self {
            Self::Shown(text) => (io::stdout().write_all(text.as_bytes()), 0),
            Self::Needed(text) => (io::stderr().write_all(text.as_bytes()), 2),
            Self::Mistake(sentence) => (writeln!(io::stderr(), "{program}: {sentence}"), 2),
        };
        // If the output is closed, the error cannot be reported.
        drop(printed);
        status
    }
}

/// Reads the command line of this process.
///
/// # Errors
/// [`Refusal`], with the text to print.
pub fn parse<P: clap::Parser>() -> Result<P, Refusal> {
    parse_from(std::env::args_os())
}

fn parse_from<P: clap::Parser>(
    words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<P, Refusal> {
    P::try_parse_from(words).map_err(|error| {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Shown(text),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Refusal::Needed(text),
            _ => Refusal::Mistake(sentence(&text)),
        }
    })
}

/// clap's message for a mistake, without the usage part.
fn sentence(text: &str) -> String {
    let text = text.trim_start_matches("error: ");
    let end =
        ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    let lines = text.get(..end.unwrap_or(text.len())).unwrap_or(text).lines();
    let mut sentence = String::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        if !sentence.is_empty() {
            // Values continue the previous line; a tip is a separate clause.
            sentence.push_str(if line.starts_with("tip:") { "; " } else { " " });
        }
        sentence.push_str(line);
    }
    escape(&sentence).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;

    #[track_caller]
    fn check(line: &str, want: &str) {
        let words = std::iter::once("pdns").chain(line.split(' '));
        let refusal = parse_from::<Args>(words).expect_err(line);
        assert_eq!(refusal, Refusal::Mistake(want.to_owned()));
    }

    #[test]
    fn a_mistake_is_one_sentence() {
        check(
            "x --sort best",
            "invalid value 'best' for '--sort <ORDER>' [possible values: count, first, last, name, ttl]",
        );
        check(
            "--nosuch",
            "unexpected argument '--nosuch' found; tip: to pass '--nosuch' as a value, use '-- --nosuch'",
        );
        check("lookup", "the following required arguments were not provided: <SUBJECT>...");
        check(
            "x --limit a\u{202e}",
            "invalid value 'a\\u{202e}' for '--limit <N>': give a number of rows, or 0 for all",
        );
        check(
            "find --ttl -1",
            "invalid value '-1' for '--ttl <SECONDS>': give a number of seconds",
        );
    }

    #[test]
    fn help_is_no_mistake() {
        for (line, shown) in [("-h", true), ("--version", true), ("admin", false)] {
            let refusal = parse_from::<Args>(["pdns", line]).expect_err(line);
            assert_eq!(matches!(refusal, Refusal::Shown(_)), shown, "{line}");
            assert_eq!(matches!(refusal, Refusal::Needed(_)), !shown, "{line}");
        }
    }
}
