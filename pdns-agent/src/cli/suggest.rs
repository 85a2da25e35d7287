//! Suggestions for mistyped commands, which are looked up as names and not found.

use super::args::Args;
use super::query_args::UsageError;
use clap::CommandFactory as _;
use strsim::osa_distance;

/// Maximum length of a subject that is compared with commands.
const LONGEST: usize = 16;

/// Returns the command that `subject` was probably meant to be.
#[must_use]
pub(super) fn command_like(subject: &str) -> Option<String> {
    // A name with a dot is unlikely to be a command.
    if subject.contains('.') || subject.len() < 3 || subject.len() > LONGEST {
        return None;
    }
    let command = Args::command();
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let near = names.map(|name| (osa_distance(subject, &name), name)).min()?;
    // One typo in a short word, two in a longer one.
    let allowed = if near.1.len() < 5 { 1 } else { 2 };
    (near.0 <= allowed).then_some(near.1)
}

/// Returns true for a command.
#[must_use]
pub(super) fn is_command(word: &str) -> bool {
    // Most words are names with dots, for which the commands need not be built.
    is_like_command(word)
        && Args::command().get_subcommands().any(|command| command.get_name() == word)
}

/// Returns true for a word in front of others that is more likely a command that does not exist than a name: `score 8.8.8.8`.
/// Names with a dot, addresses and patterns are not.
#[must_use]
pub(super) fn is_like_command(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|octet| octet.is_ascii_alphabetic() || b"-_".contains(&octet))
}

/// An explanation of a command line with an unknown flag, if its first word is not a command but is used as one.
#[must_use]
pub fn explain_unknown_flag(words: &[String]) -> Option<String> {
    let command = Args::command();
    let has_value = |word: &str| {
        let flag = command.get_arguments().find(|flag| {
            let long = flag.get_long().map(|long| format!("--{long}"));
            let short = flag.get_short().map(|short| format!("-{short}"));
            long.as_deref() == Some(word) || short.as_deref() == Some(word)
        });
        flag.is_some_and(|flag| flag.get_action().takes_values())
    };
    let (mut first, mut is_value) = (None, false);
    for word in words {
        if !std::mem::take(&mut is_value) && !word.starts_with('-') {
            first = Some(word);
            break;
        }
        is_value = has_value(word);
    }
    let first = first.filter(|first| !is_command(first))?;
    let like = command_like(first)?;
    Some(UsageError::Command { word: first.clone(), like: Some(like) }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_a_mistyped_command_is_explained() {
        let explain = |line: &str| {
            explain_unknown_flag(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        };
        let told = explain("fnd --contains x").unwrap();
        assert!(told.contains("\"fnd\"") && told.contains("pdns find"), "{told}");
        assert_eq!(explain("--redis redis://h -f json fnd --contains x"), Some(told));
        assert_eq!(explain("find --containz x"), None);
        assert_eq!(explain("www.example.com --contains x"), None);
    }

    #[test]
    fn slips_are_seen() {
        let like = |subject| command_like(subject);
        assert_eq!(like("stauts").as_deref(), Some("status"));
        assert_eq!(like("statsu").as_deref(), Some("status"));
        assert_eq!(like("unaswered").as_deref(), Some("unanswered"));
        assert_eq!(like("fnd").as_deref(), Some("find"));
        assert_eq!(like("tpo").as_deref(), Some("top"));
        assert_eq!(like("localhost"), None);
        assert_eq!(like("wpad"), None);
        assert_eq!(like("status.example"), None);
        assert_eq!(like("printer"), None);
    }
}
