//! Readers of threat intelligence: bytes in, indicators and problems out.
//!
//! The inverse of the writers beside it. A reader sees neither the store nor the file: the caller opens and unpacks it.
//! All of them stream, so that memory does not grow with the file, and none stops at an invalid entry: each has a
//! place and a reason. Only a file that cannot be read on, such as truncated JSON, is an error, and what came before
//! it was handed out by then. Text of subjects is read by the one subject parser, `query::subject`.

mod adblock;
mod columns;
mod csv;
mod detect;
mod format;
mod hosts;
mod html;
mod item;
mod json;
mod lines;
mod list;
mod maltrail;
mod misp;
mod openioc;
mod prose;
mod records;
mod rpz;
mod sink;
mod stix;
mod suricata;
mod when;
mod zeek;

pub use columns::{ColumnRef, Columns, SUBJECT_COLUMNS};
pub use detect::detect;
pub use format::{FORMATS, IntelFormat, IntelFormatInfo, UnknownIntelFormat};
pub use hosts::{LOCAL_NAMES, SINK_ADDRESSES};
pub use item::{IntelItem, IntelProblem, IntelSummary, Place, SkipReason};
pub use prose::{Extracted, Form, extract};
pub use records::Pointers;
pub use stix::pattern::{Comparison, Operator, PatternError, parse_pattern};

use crate::query::Scope;
use crate::tag::TagKind;
use sink::{Sink, Stop};
use std::io::{self, BufRead, Read as _};
use std::ops::ControlFlow;

/// Longest line that is read, in bytes; longer ones are problems.
pub const MAX_LINE: usize = 1 << 20;
/// Bytes at the start of a file by which its format is detected.
const HEAD: u64 = 16 << 10;
/// Name of data of an unknown type.
const BINARY: &str = "binary data";

/// Wishes of a caller about a file.
#[derive(Clone, Debug)]
pub struct IntelOptions {
    /// Format of the file; detected if it is not given.
    pub format: Option<IntelFormat>,
    /// Name of the file, which helps to detect the format.
    pub file_name: Option<String>,
    /// Kind of the indicators for which the file has none.
    pub kind: Option<TagKind>,
    /// Meaning of a plain name in lists: by default the name alone.
    pub scope: Option<Scope>,
    /// True if a URL stands for its host; otherwise URLs are skipped.
    pub url_hosts: bool,
    /// Columns of a CSV file, where their names do not tell.
    pub columns: Columns,
    /// Members of JSON records, where their names do not tell.
    pub pointers: Pointers,
    /// True if MISP attributes that are not meant for detection (`to_ids`) are read as well.
    pub all_attributes: bool,
    /// Longest line, in bytes.
    pub max_line: usize,
}

impl Default for IntelOptions {
    fn default() -> Self {
        Self {
            format: None,
            file_name: None,
            kind: None,
            scope: None,
            url_hosts: false,
            columns: Columns::default(),
            pointers: Pointers::default(),
            all_attributes: false,
            max_line: MAX_LINE,
        }
    }
}

/// Reason why a file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum IntelError {
    /// The input failed.
    #[error("cannot read the input")]
    Io(#[from] io::Error),
    /// Compressed input.
    #[error("it is compressed with gzip: unpack it first")]
    Compressed,
    /// Text in UTF-16.
    #[error("it is UTF-16: convert it first, such as with iconv -f UTF-16 -t UTF-8")]
    Utf16,
    /// Something other than text.
    #[error("it is not text, but {0}")]
    Binary(&'static str),
    /// A PDF document.
    #[error("it is a PDF: convert it to text first, such as with pdftotext")]
    Pdf,
    /// STIX 1.x.
    #[error("it is STIX 1.x, which is XML: convert it to STIX 2.1 with stix2-elevator first")]
    Stix1,
    /// Invalid JSON.
    #[error("invalid JSON in line {line}, column {column}: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The parser's reason.
        reason: String,
    },
    /// Invalid XML.
    #[error("invalid XML at byte {at}: {reason}")]
    Xml {
        /// Offset in the file, in bytes.
        at: u64,
        /// The parser's reason, escaped.
        reason: String,
    },
    /// A file that lacks what its format requires.
    #[error("not a {format} file: {reason}")]
    Format {
        /// Name of the format.
        format: &'static str,
        /// The missing part.
        reason: String,
    },
    /// A column that the file does not have.
    #[error("it has no column {0:?}")]
    NoColumn(String),
}

/// Reads indicators until the end, or until `each` breaks.
///
/// # Errors
/// [`IntelError`] when the file cannot be read to its end; entries before that place were given to `each`.
pub fn read_intel(
    input: &mut dyn BufRead,
    options: &IntelOptions,
    each: &mut dyn FnMut(IntelItem) -> ControlFlow<()>,
) -> Result<IntelSummary, IntelError> {
    let head = text_head(input)?;
    let is_prose = options.format.is_none_or(IntelFormat::is_prose);
    if is_prose && crate::source::has_binary(&head) {
        return Err(IntelError::Binary(BINARY));
    }
    let file_name = options.file_name.as_deref().unwrap_or_default();
    let format = options.format.unwrap_or_else(|| detect(&head, file_name));
    if detect::is_stix1(&head) {
        return Err(IntelError::Stix1);
    }
    let is_json = detect::is_json(&head);
    let mut input = head.as_slice().chain(input);
    let mut sink = Sink::new(options, format, each);
    let result = read(&mut input, is_json, &mut sink);
    match result {
        Ok(()) => {}
        Err(Stop::Caller) => sink.summary.is_stopped = true,
        Err(Stop::Failed(error)) => return Err(error),
    }
    Ok(sink.summary)
}

fn read(input: &mut dyn BufRead, is_json: bool, sink: &mut Sink<'_>) -> Result<(), Stop> {
    use IntelFormat as Is;
    match sink.summary.format {
        Is::Stix => stix::read(input, sink),
        Is::Misp => misp::read(input, sink),
        Is::OpenIoc => openioc::read(input, sink),
        Is::ZeekIntel => zeek::read(input, sink),
        Is::SuricataDataset => suricata::read_dataset(input, sink),
        Is::SuricataIprep => suricata::read_iprep(input, sink),
        Is::Rpz => rpz::read(input, sink),
        Is::Hosts => hosts::read(input, sink),
        Is::Adblock => adblock::read(input, sink),
        Is::List => list::read(input, sink),
        Is::Ipsum => list::read_ipsum(input, sink),
        Is::Maltrail => maltrail::read(input, sink),
        Is::Urlhaus | Is::Threatfox | Is::Feodo | Is::Jsonl if is_json => {
            records::read(input, sink)
        }
        Is::Csv | Is::Urlhaus | Is::Threatfox | Is::Feodo => csv::read(input, sink),
        Is::Jsonl => records::read(input, sink),
        Is::Text => prose::read(input, false, sink),
        Is::Html => prose::read(input, true, sink),
    }
}

/// Reads the first bytes, and refuses files that are known not to be plain text.
fn text_head(input: &mut dyn BufRead) -> Result<Vec<u8>, IntelError> {
    let mut head = Vec::new();
    input.take(HEAD).read_to_end(&mut head)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Err(IntelError::Compressed);
    }
    if head.starts_with(b"%PDF-") {
        return Err(IntelError::Pdf);
    }
    if crate::source::is_utf16(&head) {
        return Err(IntelError::Utf16);
    }
    match crate::source::marked_binary(&head) {
        Some(what) => Err(IntelError::Binary(what)),
        None => Ok(head),
    }
}

#[cfg(test)]
mod tests;
