//! A line of named values that no type of its own stands for, such as a source of indicators.

use super::field::{Field, Value};
use super::table::{Column, Kind};
use super::utc;

/// One value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Head of the column in a table; empty to leave it out of tables.
    pub head: &'static str,
    /// Name of the value for programs.
    pub name: &'static str,
    /// The value.
    pub value: CellValue,
}

/// A value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellValue {
    /// Text; empty if there is none.
    Text(String),
    /// A number.
    Number(u64),
    /// A number, if there is one.
    OptionalNumber(Option<u64>),
    /// Seconds since the epoch; 0 if there is none.
    Time(u32),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
}

impl Cell {
    /// A cell with a value.
    #[must_use]
    pub fn new(head: &'static str, name: &'static str, value: CellValue) -> Self {
        Self { head, name, value }
    }
}

/// Returns the values for the formats that programs read.
pub(super) fn fields(cells: &[Cell]) -> Vec<Field<'_>> {
    cells.iter().map(|cell| (cell.name, value(&cell.value))).collect()
}

fn value(value: &CellValue) -> Value<'_> {
    match value {
        CellValue::Text(text) if text.is_empty() => Value::Absent,
        CellValue::Text(text) => Value::Text(text.as_str().into()),
        CellValue::Number(number) | CellValue::OptionalNumber(Some(number)) => {
            Value::Number(*number)
        }
        CellValue::OptionalNumber(None) | CellValue::Time(0) => Value::Absent,
        CellValue::Time(time) => Value::Time(*time),
        CellValue::Flag(flag) => Value::Flag(*flag),
        CellValue::List(list) if list.is_empty() => Value::Absent,
        CellValue::List(list) => {
            Value::List(list.iter().map(|text| text.as_str().into()).collect())
        }
    }
}

/// Returns the columns and cells of a table.
pub(super) fn line(cells: &[Cell]) -> (Vec<Column>, Vec<String>) {
    let shown = cells.iter().filter(|cell| !cell.head.is_empty());
    shown
        .map(|cell| {
            let (kind, text) = match &cell.value {
                CellValue::Text(text) => (Kind::Text, text.clone()),
                CellValue::Number(number) | CellValue::OptionalNumber(Some(number)) => {
                    (Kind::Number, number.to_string())
                }
                CellValue::OptionalNumber(None) => (Kind::Number, String::new()),
                CellValue::Time(0) => (Kind::Time, String::new()),
                CellValue::Time(time) => (Kind::Time, utc(*time) + "Z"),
                CellValue::Flag(flag) => (Kind::Fixed, if *flag { "yes" } else { "" }.to_owned()),
                CellValue::List(list) => (Kind::Text, list.join(", ")),
            };
            ((cell.head, kind), text)
        })
        .unzip()
}
