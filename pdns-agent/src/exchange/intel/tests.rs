//! Readers against small files of every format, with what is expected of each entry.

mod detection;
mod hostile;
mod json_formats;
mod line_formats;

use super::{IntelError, IntelFormat, IntelItem, IntelOptions, IntelSummary, read_intel};
use crate::indicator::ListedIndicator;
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// All entries of a file.
pub(super) struct Read {
    pub(super) items: Vec<IntelItem>,
    pub(super) summary: IntelSummary,
}

impl Read {
    pub(super) fn indicators(&self) -> Vec<&ListedIndicator> {
        let items = self.items.iter().filter_map(|item| match item {
            IntelItem::Indicator(indicator) => Some(indicator),
            _ => None,
        });
        items.collect()
    }

    /// The entries in short: `SUBJECT [KIND] [N%] [labels] [conditional]`, `- SUBJECT`, `! PROBLEM`, `~ SKIPPED`.
    pub(super) fn short(&self) -> Vec<String> {
        self.items.iter().map(short).collect()
    }
}

pub(super) fn short(item: &IntelItem) -> String {
    match item {
        IntelItem::Indicator(indicator) => {
            let mut text = indicator.subject.to_string();
            if let Some(kind) = indicator.kind {
                write!(text, " {kind}").unwrap();
            }
            if let Some(confidence) = indicator.confidence {
                write!(text, " {confidence}%").unwrap();
            }
            if let Some(tlp) = indicator.tlp {
                write!(text, " tlp:{tlp}").unwrap();
            }
            if !indicator.labels.is_empty() {
                write!(text, " [{}]", indicator.labels.join(", ")).unwrap();
            }
            if indicator.is_conditional {
                text.push_str(" if");
            }
            text
        }
        IntelItem::Revoked { id, subject } => {
            let subject = subject.as_ref().map(ToString::to_string);
            format!("- {} {}", subject.unwrap_or_default(), id.clone().unwrap_or_default())
        }
        IntelItem::Problem(problem) => format!("! {problem}"),
        IntelItem::Skipped(reason) => format!("~ {reason}"),
    }
}

pub(super) fn try_read(
    input: &[u8],
    options: &IntelOptions,
) -> (Vec<IntelItem>, Result<IntelSummary, IntelError>) {
    let mut items = Vec::new();
    let result = read_intel(&mut &*input, options, &mut |item| {
        items.push(item);
        ControlFlow::Continue(())
    });
    (items, result)
}

pub(super) fn read_with(input: &[u8], options: &IntelOptions) -> Read {
    let (items, result) = try_read(input, options);
    Read { items, summary: result.unwrap() }
}

/// Reads a file whose format is detected, and which must be this one.
#[track_caller]
pub(super) fn read_as(format: IntelFormat, input: &str) -> Read {
    let read = read_with(input.as_bytes(), &IntelOptions::default());
    assert_eq!(read.summary.format, format);
    read
}

/// Checks the entries of a file, in short.
#[track_caller]
pub(super) fn check(format: IntelFormat, input: &str, want: &[&str]) {
    assert_eq!(read_as(format, input).short(), want);
}
