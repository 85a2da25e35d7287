//! Errors in a TOML file, formatted as one line.
//!
//! The parser's own message shows the position in a drawing of several lines, which does not fit into a log.

/// Line and column of an error in `text`, and its description.
#[must_use]
pub(crate) fn toml_error(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', "; ");
    let before = error.span().and_then(|place| text.get(..place.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}: {message}")
        }
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_place() {
        for (text, want) in [
            ("a = 1\n[x\n", "line 2, column "),
            ("b = 'ä\n", "line 1, column "),
            ("a = 'x'\n", "line 1, column 5: invalid type"),
        ] {
            let error = toml::from_str::<std::collections::BTreeMap<String, u8>>(text).unwrap_err();
            let told = toml_error(text, &error);
            assert!(told.starts_with(want) && !told.contains('\n'), "{told}");
        }
    }
}
