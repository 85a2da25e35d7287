//! One line of a list: its subjects and their tags.

use super::Defaults;
use super::head::{Column, Head, no_column};
use crate::cli::query_args::{UsageError, quoted};
use crate::exchange::intel::{LOCAL_NAMES, SINK_ADDRESSES};
use crate::query::{
    SubjectError, TagSubjectError, TimeParseError, TimeSpec, is_comment, parts, tag_subject,
    tag_subjects, without_comment,
};
use crate::tag::{LongText, Tag, TagSubject, UnknownTagKind};

/// The separator between the columns of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Character(u8),
    Blanks,
}

impl Separator {
    /// Returns the separator of a line.
    pub(super) fn of(line: &str) -> Self {
        let (mut comma, mut semicolon, mut escaped) = (false, false, false);
        for letter in line.chars() {
            match letter {
                '\t' => return Self::Character(b'\t'),
                ',' if !escaped => comma = true,
                ';' if !escaped => semicolon = true,
                _ => {}
            }
            escaped = letter == '\\' && !escaped;
        }
        match (comma, semicolon) {
            (true, _) => Self::Character(b','),
            (_, true) => Self::Character(b';'),
            _ => Self::Blanks,
        }
    }
}

/// The reason for which a line is not a tag.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    #[error("a quoted value does not end on the line")]
    Quote,
    #[error("it has {found} values and the head names {named} columns")]
    Values { found: usize, named: usize },
    #[error("it has several values, of which the first is not a name or an address: give --column")]
    Several,
    #[error("it has no column {0}")]
    Column(String),
    #[error("the column kind is empty: fill it in, or give --kind")]
    NoKind,
    #[error("the time cannot be read")]
    Time(#[source] TimeParseError),
    #[error("it is not UTF-8")]
    Text,
    #[error("cannot tell what {0} is")]
    Subject(String, #[source] TagSubjectError),
    #[error(transparent)]
    Kind(#[from] UnknownTagKind),
    #[error(transparent)]
    Long(#[from] LongText),
}

impl BadLine {
    /// Returns a description that is the same for all lines with the same fault.
    pub(super) fn sort(&self) -> &'static str {
        use TagSubjectError as On;
        match self {
            Self::Quote => "a quoted value does not end on the line",
            Self::Values { .. } => "another number of values than the head has",
            Self::Several => "several values, of which the first is not a name or an address",
            Self::Column(_) => "too few columns",
            Self::NoKind => "no kind",
            Self::Time(_) => "a time that cannot be read",
            Self::Text => "not UTF-8",
            Self::Subject(_, On::All) => "all names",
            Self::Subject(_, On::Range) => "a range that is not a prefix",
            Self::Subject(_, On::WideRange) => "a range that is too wide",
            Self::Subject(_, On::Subject(error)) => match error {
                SubjectError::Opaque => "a number or a hash",
                SubjectError::Words => "several words",
                SubjectError::Character(_) => "a character that no name has",
                SubjectError::Uncertain(_) => "a guess",
                SubjectError::Host => "a path or a URL without a host",
                _ => "not a name, address or prefix",
            },
            Self::Kind(_) => "an unknown kind",
            Self::Long(_) => "text that is too long",
        }
    }
}

/// Reader for the lines of one file.
pub(super) struct Lines<'d> {
    file: &'d str,
    defaults: &'d Defaults,
    head: Option<Head>,
    /// The last comment, which may be the header.
    comment: Option<String>,
    is_first: bool,
    count: u64,
}

impl<'d> Lines<'d> {
    pub(super) fn new(file: &'d str, defaults: &'d Defaults) -> Self {
        Self { file, defaults, head: None, comment: None, is_first: true, count: 0 }
    }

    /// Returns the number of lines that are not empty, a comment or the header.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Parses the tags of a line; none for an empty line, a comment or the header.
    ///
    /// # Errors
    /// [`UsageError`] for faults that make all lines invalid.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Result<Vec<Tag>, BadLine>, UsageError> {
        let Ok(text) = std::str::from_utf8(line) else {
            self.count += 1;
            return Ok(Err(BadLine::Text));
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        if is_comment(text) {
            self.comment =
                Some(text.trim_start_matches(['#', ';', '!', '/', ' ', '\t']).to_owned());
            return Ok(Ok(Vec::new()));
        }
        if std::mem::take(&mut self.is_first) {
            if let Some(format) = foreign(text) {
                return Err(UsageError::Format { file: self.file.to_owned(), format });
            }
            let wanted = self.defaults.column.as_deref();
            if let Some(head) = Head::read(text, self.file, wanted)? {
                self.head = Some(head);
                return Ok(Ok(Vec::new()));
            }
            self.head = self.commented_head(text, wanted)?;
            if let Some(wanted) = wanted
                && self.head.is_none()
                && wanted.parse::<usize>().ok().is_none_or(|number| number == 0)
            {
                return Err(no_column(self.file, wanted));
            }
        }
        self.count += 1;
        let has_kinds = self.head.as_ref().is_some_and(|head| head.columns.contains(&Column::Kind));
        if self.defaults.kind.is_none() && !has_kinds {
            return Err(UsageError::NoKindOf(self.file.to_owned()));
        }
        Ok(match &self.head {
            Some(head) if head.is_ours || has_all(text, head) => {
                of_columns(text, head, self.defaults).map(|tag| vec![tag])
            }
            _ => of_list(text, self.defaults),
        })
    }

    /// Parses the last comment before the data as a header, if it has the right number of columns.
    fn commented_head(&self, text: &str, wanted: Option<&str>) -> Result<Option<Head>, UsageError> {
        let Some(comment) = &self.comment else { return Ok(None) };
        let separator = Separator::of(comment);
        let count = |line: &str| fields(line, separator).map_or(0, |fields| fields.len());
        if separator == Separator::Blanks || count(comment) < 2 || count(comment) != count(text) {
            return Ok(None);
        }
        Head::read(comment, self.file, wanted)
    }
}

/// Returns true if a line has a value for each column of a feed.
fn has_all(line: &str, head: &Head) -> bool {
    fields(line, head.separator).map_or(true, |values| values.len() >= head.columns.len())
}

/// Returns the format of a file that is not a list, judging by its first line.
fn foreign(text: &str) -> Option<&'static str> {
    let json = ["{", "[{", "[\""];
    match text {
        "[" => Some("JSON"),
        _ if json.iter().any(|start| text.starts_with(start)) && !text.starts_with("{.") => {
            Some("JSON")
        }
        _ if text.starts_with("<?xml") => Some("XML"),
        _ if text.starts_with("<!")
            || text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("<html")) =>
        {
            Some("HTML")
        }
        _ => None,
    }
}

/// Splits a line into values.
///
/// # Errors
/// [`BadLine`] for an unterminated quote.
pub(super) fn fields(line: &str, separator: Separator) -> Result<Vec<String>, BadLine> {
    let Separator::Character(delimiter) = separator else {
        return Ok(line.split_whitespace().map(str::to_owned).collect());
    };
    // Some feeds have a space before each quote.
    let line = line.replace("\", \"", "\",\"");
    // The parser reads an unterminated quote up to the end of its input.
    if line.bytes().filter(|&octet| octet == b'"').count() % 2 == 1 {
        return Err(BadLine::Quote);
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .buffer_capacity(line.len() + 1)
        .from_reader(line.as_bytes());
    let record = reader.records().next().transpose().map_err(|_| BadLine::Text)?;
    Ok(record.iter().flatten().map(str::to_owned).collect())
}

/// Builds the tag of a line under a header.
fn of_columns(line: &str, head: &Head, defaults: &Defaults) -> Result<Tag, BadLine> {
    let values = fields(line, head.separator)?;
    if head.is_ours && values.len() != head.columns.len() {
        return Err(BadLine::Values { found: values.len(), named: head.columns.len() });
    }
    let value = |wanted: Column| {
        let at = head.columns.iter().position(|&column| column == wanted)?;
        values.get(at).map(|value| plain(value.trim())).filter(|value| !value.is_empty())
    };
    let given =
        |wanted, otherwise: &String| value(wanted).map_or_else(|| otherwise.clone(), str::to_owned);
    let kind = match (value(Column::Kind).map(str::parse), defaults.kind) {
        (Some(Ok(kind)), _) => kind,
        // A feed may mean something else by the word.
        (Some(Err(_)), Some(kind)) if !head.is_ours => kind,
        (Some(Err(error)), _) => return Err(error.into()),
        (None, kind) => kind.ok_or(BadLine::NoKind)?,
    };
    let time = match value(Column::Time) {
        Some(time) => TimeSpec::parse(time, defaults.now).map_err(BadLine::Time)?.start,
        None => defaults.now,
    };
    let typed = value(Column::Subject).unwrap_or_default();
    let subject = tag_subject(typed, defaults.scope)
        .map_err(|error| BadLine::Subject(quoted(typed), error))?;
    let note = if head.is_ours || defaults.note.is_empty() {
        given(Column::Note, &defaults.note)
    } else {
        defaults.note.clone()
    };
    let tag = Tag {
        subject,
        kind,
        note,
        source: given(Column::Source, &defaults.source),
        author: given(Column::Author, &defaults.author),
        time,
        listing: None,
    };
    tag.check()?;
    Ok(tag)
}

/// Builds the tags of a line of a list without a header.
fn of_list(line: &str, defaults: &Defaults) -> Result<Vec<Tag>, BadLine> {
    let kind = defaults.kind.ok_or(BadLine::NoKind)?;
    let tags = subjects(without_comment(line), defaults)?.into_iter().map(|subject| {
        let tag = Tag {
            note: defaults.note.clone(),
            source: defaults.source.clone(),
            author: defaults.author.clone(),
            time: defaults.now,
            ..Tag::new(kind, subject)
        };
        tag.check()?;
        Ok(tag)
    });
    tags.collect()
}

/// Parses the subjects of a line of a list: the whole line, each of several, the names of a hosts file, or the first
/// value.
fn subjects(line: &str, defaults: &Defaults) -> Result<Vec<TagSubject>, BadLine> {
    let of = |text: &str| {
        tag_subject(text, defaults.scope).map_err(|error| BadLine::Subject(quoted(text), error))
    };
    let values = fields(line, Separator::of(line))?;
    if let Some(column) = &defaults.column {
        let at = column.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let value = at.and_then(|at| values.get(at));
        return of(value.ok_or_else(|| BadLine::Column(column.clone()))?)
            .map(|subject| vec![subject]);
    }
    if let [sink, names @ ..] = values.as_slice()
        && SINK_ADDRESSES.contains(&sink.as_str())
        && !names.is_empty()
    {
        let names =
            names.iter().filter(|name| !LOCAL_NAMES.contains(&name.to_ascii_lowercase().as_str()));
        let names = names.filter(|name| !SINK_ADDRESSES.contains(&name.as_str()));
        return names.map(|name| of(name)).collect();
    }
    // If there are several parts, each must look like a subject; otherwise they are columns.
    let is_one_or_all = parts(line).len() < 2
        || values.iter().all(|value| value.trim().is_empty() || value.contains(['.', ':']));
    match tag_subjects(line, defaults.scope) {
        Ok(subjects) if is_one_or_all => {
            Ok(subjects.into_iter().map(|(_, subject, _)| subject).collect())
        }
        result => match (values.as_slice(), result) {
            ([first, _, ..], _) if first.contains(['.', ':']) => match of(first)? {
                TagSubject::Name(name) if !name.as_str().contains('.') => Err(BadLine::Several),
                subject => Ok(vec![subject]),
            },
            ([_, _, ..], _) | (_, Ok(_)) => Err(BadLine::Several),
            (_, Err((part, error))) => Err(BadLine::Subject(quoted(&part), error)),
        },
    }
}

/// Removes the mark that [`crate::render`] puts before values which a spreadsheet would read as a formula.
fn plain(value: &str) -> &str {
    match value.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => value,
    }
}

#[cfg(test)]
mod tests;
