//! Nouns after numbers.

/// Returns the form of a noun that fits a number: `1 file`, `2 files`.
#[must_use]
pub fn noun<'n>(count: u64, one: &'n str, many: &'n str) -> &'n str {
    if count == 1 { one } else { many }
}

/// Formats a number with its noun.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", noun(count, one, many))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_nothing_else_is() {
        let said = [0, 1, 2].map(|count| counted(count, "file", "files"));
        assert_eq!(said, ["0 files", "1 file", "2 files"]);
    }
}
