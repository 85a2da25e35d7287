//! `pdns intel extract`: the names and addresses in a text.

use super::input;
use crate::cli::answer::Output;
use crate::cli::{CliError, Found, Terminal, open};
use crate::exchange::intel::{Extracted, Form, extract};
use crate::render::{Cell, CellValue, Format, Item};
use crate::store::Options;
use std::io::BufRead;
use std::ops::ControlFlow;

/// Prints what is found, with the lines.
pub(super) fn run(
    file: &str,
    format: Option<Format>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut found: Vec<Extracted> = Vec::new();
    let mut take = |one: Extracted| {
        found.push(one);
        ControlFlow::Continue(())
    };
    let failed = |cause| CliError::Intel { file: file.to_owned(), cause };
    if file == "-" {
        let is_html = looks_like_html(terminal.input);
        extract(terminal.input, is_html, &mut take).map_err(failed)?;
    } else {
        let mut reader = input::open(file)?;
        let is_html = looks_like_html(reader.as_mut());
        extract(reader.as_mut(), is_html, &mut take).map_err(failed)?;
    }
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, format, Format::Json, terminal)?;
    for one in &found {
        let form = match one.form {
            Form::Subject => "",
            Form::Url => "URL",
            Form::Mail => "mail address",
        };
        let cells = [
            Cell::new("LINE", "line", CellValue::Number(one.line)),
            Cell::new("SUBJECT", "subject", CellValue::Text(one.indicator.subject.to_string())),
            Cell::new("OF A", "of", CellValue::Text(form.to_owned())),
            Cell::new("DEFANGED", "defanged", CellValue::Flag(one.is_defanged)),
            Cell::new("TEXT", "context", CellValue::Text(one.context.clone())),
        ];
        if answer.item(&Item::Cells(&cells)).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.end()
}

/// Returns true if the text begins like a page.
fn looks_like_html(input: &mut dyn BufRead) -> bool {
    let head = input.fill_buf().unwrap_or_default();
    let head = String::from_utf8_lossy(head.get(..head.len().min(2_048)).unwrap_or_default());
    let head = head.to_ascii_lowercase();
    ["<!doctype html", "<html", "<body", "<head"].iter().any(|tag| head.contains(tag))
}
