//! A word for who mistyped a command: it was looked up as a name, and nothing was found.

use super::args::Args;
use clap::CommandFactory as _;

/// The longest subject that is compared with commands.
const LONGEST: usize = 16;

/// The command that `subject` was probably meant to be.
#[must_use]
pub(super) fn command_like(subject: &str) -> Option<String> {
    // A name with a dot is hardly a command.
    if subject.contains('.') || subject.len() < 3 || subject.len() > LONGEST {
        return None;
    }
    let command = Args::command();
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let near = names.map(|name| (distance(subject, &name), name)).min()?;
    // One slip in a short word, two in a longer one.
    let allowed = if near.1.len() < 5 { 1 } else { 2 };
    (near.0 <= allowed).then_some(near.1)
}

/// Whether a word in front of others is more likely a command that does not exist than a name: `score 8.8.8.8`. Names with a dot,
/// addresses and patterns are not.
#[must_use]
pub(super) fn is_like_command(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|octet| octet.is_ascii_alphabetic() || b"-_".contains(&octet))
}

/// How many letters were left out, added, changed or swapped with their neighbour (the restricted
/// Damerau-Levenshtein distance).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &ours) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &theirs) in right.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let change = at(&above, column) + usize::from(ours != theirs);
            let mut least = change.min(at(&above, column + 1) + 1).min(at(&line, column) + 1);
            let swapped = row > 0
                && column > 0
                && left.get(row - 1) == Some(&theirs)
                && right.get(column - 1) == Some(&ours);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn distances() {
        for (left, right, want) in
            [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(left, right), want, "{left} {right}");
        }
    }
}
