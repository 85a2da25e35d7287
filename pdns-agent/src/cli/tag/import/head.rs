//! The header of a CSV file: the meaning of its columns.
//!
//! Our own files name all their columns. Feeds name one with the subjects, and possibly others with the reason.

use super::super::super::query_args::UsageError;
use super::line::{Separator, fields};
use crate::exchange::intel::SUBJECT_COLUMNS;
use crate::query::{Purpose, Subject};

/// A known column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Subject,
    Kind,
    Note,
    Source,
    Author,
    Time,
    /// Any other column of a feed, or of an exported list.
    Other,
}

/// Our own columns.
const COLUMNS: [(&str, Column); 6] = [
    ("subject", Column::Subject),
    ("kind", Column::Kind),
    ("note", Column::Note),
    ("source", Column::Source),
    ("author", Column::Author),
    ("time", Column::Time),
];
/// Columns of `pdns export --format csv` that only indicators have.
const OF_INDICATORS: [&str; 7] =
    ["confidence", "labels", "reference", "tlp", "conditional", "last_listed", "valid_until"];
/// Names that feeds use for the column with the reason.
const REASONS: [&str; 11] = [
    "malware",
    "malware_printable",
    "malware_family",
    "family",
    "threat",
    "threat_type",
    "description",
    "comment",
    "reason",
    "category",
    "tags",
];

/// The header of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) columns: Vec<Column>,
    pub(super) separator: Separator,
    /// True for one of our files, with a value in each column of each line.
    pub(super) is_ours: bool,
}

impl Head {
    /// Parses a header; `None` if the line is not one. `wanted` is the column with the subjects, as typed.
    ///
    /// # Errors
    /// [`UsageError`] for a column that is missing, or that tags do not have.
    pub(super) fn read(
        line: &str,
        file: &str,
        wanted: Option<&str>,
    ) -> Result<Option<Self>, UsageError> {
        let separator = Separator::of(line);
        let Ok(names) = fields(line, separator) else { return Ok(None) };
        let names: Vec<String> = names.iter().map(|name| key(name)).collect();
        if let Some(wanted) = wanted
            && let Some(at) = names.iter().position(|name| *name == key(wanted))
        {
            return Ok(Some(Self::of_feed(&names, at, separator)));
        }
        if wanted.is_none() && names.iter().any(|name| name == "subject") {
            let column = |name: &String| {
                let known = COLUMNS.iter().find(|(known, _)| known == name);
                let known = known.map(|&(_, column)| column);
                let other = || OF_INDICATORS.contains(&name.as_str()).then_some(Column::Other);
                known.or_else(other).ok_or_else(|| UsageError::Column {
                    file: file.to_owned(),
                    column: name.clone(),
                })
            };
            let columns = names.iter().map(column).collect::<Result<_, _>>()?;
            return Ok(Some(Self { columns, separator, is_ours: true }));
        }
        // A line with a name or an address in it is data.
        let is_data = |name: &String| {
            name.contains(['.', ':']) && Subject::read(name, Purpose::Store).is_ok()
        };
        let known =
            SUBJECT_COLUMNS.iter().find_map(|known| names.iter().position(|name| name == known));
        match (known, wanted) {
            (Some(at), None) if !names.iter().any(is_data) => {
                Ok(Some(Self::of_feed(&names, at, separator)))
            }
            (Some(_), Some(wanted)) if !names.iter().any(is_data) => {
                let at = wanted.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                match at.filter(|&at| at < names.len()) {
                    Some(at) => Ok(Some(Self::of_feed(&names, at, separator))),
                    None => Err(no_column(file, wanted)),
                }
            }
            _ => Ok(None),
        }
    }

    fn of_feed(names: &[String], subject: usize, separator: Separator) -> Self {
        let mut columns = vec![Column::Other; names.len()];
        let reason = REASONS.iter().find_map(|known| names.iter().position(|name| name == known));
        let kind = names.iter().position(|name| name == "kind");
        for (at, column) in
            [(kind, Column::Kind), (reason, Column::Note), (Some(subject), Column::Subject)]
        {
            if let Some(slot) = at.and_then(|at| columns.get_mut(at)) {
                *slot = column;
            }
        }
        Self { columns, separator, is_ours: false }
    }
}

/// Returns the error for a column that is missing in a file.
pub(super) fn no_column(file: &str, column: &str) -> UsageError {
    UsageError::NoColumn { file: file.to_owned(), column: column.to_owned() }
}

/// Normalises the name of a column, so that different spellings are equal.
fn key(name: &str) -> String {
    let name = name.trim().trim_matches(['"', '\'', '#']).trim();
    name.to_ascii_lowercase().replace([' ', '-'], "_")
}
