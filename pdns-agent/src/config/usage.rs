//! Parses the command line; a mistake becomes one sentence, like all other errors.
//!
//! Used by both binaries. clap's message for a mistake has several lines and contains the arguments
//! unescaped: pasted text could move the cursor.

use super::exit;
use crate::render::escape;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
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
            Self::Needed(text) => (io::stderr().write_all(text.as_bytes()), exit::USAGE),
            Self::Mistake(sentence) => {
                (writeln!(io::stderr(), "{program}: {sentence}"), exit::USAGE)
            }
        };
        // If the output is closed, the error cannot be reported.
        drop(printed);
        status
    }
}

/// Explains a command line with an unknown flag, if it has an explanation that clap does not.
pub type Explain<'e> = dyn Fn(&[String]) -> Option<String> + 'e;

/// Reads the command line of this process.
///
/// # Errors
/// [`Refusal`], with the text to print.
pub fn parse<P: clap::Parser>(explain: &Explain<'_>) -> Result<P, Refusal> {
    parse_from(&std::env::args_os().collect::<Vec<_>>(), explain)
}

fn parse_from<P: clap::Parser>(words: &[OsString], explain: &Explain<'_>) -> Result<P, Refusal> {
    P::try_parse_from(words).map_err(|error| {
        if error.kind() == ErrorKind::UnknownArgument {
            let typed = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
            if let Some(text) = explain(&typed.collect::<Vec<_>>()) {
                return Refusal::Mistake(escape(&text).into_owned());
            }
        }
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Shown(text),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Refusal::Needed(text),
            ErrorKind::UnknownArgument => Refusal::Mistake(unknown_flag(&error, &text)),
            _ => Refusal::Mistake(sentence(&text)),
        }
    })
}

/// The message for a flag that a command does not have.
fn unknown_flag(error: &clap::Error, text: &str) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        _ => None,
    };
    let usage = text.split_once("Usage:").map_or("", |(_, usage)| usage);
    let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-', '.']));
    let command = words.collect::<Vec<_>>().join(" ");
    let Some(flag) = context(ContextKind::InvalidArg).filter(|_| !command.is_empty()) else {
        return sentence(text);
    };
    if !flag.starts_with('-') {
        return escape(&format!("{command} does not take {flag:?} here ({command} --help)"))
            .into_owned();
    }
    let like = context(ContextKind::SuggestedArg);
    let like = like.map_or_else(
        || format!(" ({command} --help lists those that it has)"),
        |like| format!(" (did you mean {like}?)"),
    );
    escape(&format!("{command} has no flag {flag}{like}")).into_owned()
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
        let words = std::iter::once("pdns").chain(line.split(' ')).map(OsString::from);
        let refusal = parse_from::<Args>(&words.collect::<Vec<_>>(), &|_| None).expect_err(line);
        assert_eq!(refusal, Refusal::Mistake(want.to_owned()));
    }

    #[test]
    fn a_mistake_is_one_sentence() {
        check(
            "x --sort best",
            "invalid value 'best' for '--sort <ORDER>' [possible values: count, first, last, name, ttl]",
        );
        check("--nosuch", "pdns has no flag --nosuch (pdns --help lists those that it has)");
        check(
            "status --limit 3",
            "pdns status has no flag --limit (pdns status --help lists those that it has)",
        );
        check("tag list --limt 3", "pdns tag list has no flag --limt (did you mean --limit?)");
        check("find --contains a b", "pdns find does not take \"b\" here (pdns find --help)");
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
            let refusal =
                parse_from::<Args>(&["pdns", line].map(OsString::from), &|_| None).expect_err(line);
            assert_eq!(matches!(refusal, Refusal::Shown(_)), shown, "{line}");
            assert_eq!(matches!(refusal, Refusal::Needed(_)), !shown, "{line}");
        }
    }
}
