//! JSON, one object per line, with all data. Times appear twice: as seconds, and in RFC 3339 under the same name with
//! `_iso`.

use super::field::{Value, fields};
use super::judged::{RelationJson, Wire};
use super::{Item, NameScores, RenderOptions, Renderer, date, utc};
use crate::query::TagSet;
use std::io::{self, Write};
use std::sync::Arc;

/// Writes `{"name":value,...}` and a line feed, field by field, in the given order.
pub(super) struct Object<'o> {
    out: &'o mut dyn Write,
    first: bool,
}

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut dyn Write) -> io::Result<Self> {
        out.write_all(b"{")?;
        Ok(Self { out, first: true })
    }

    /// Writes one field; quotes and control characters are encoded.
    pub(super) fn field(&mut self, name: &str, value: &impl serde::Serialize) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",")?;
        }
        self.value(name)?;
        self.out.write_all(b":")?;
        self.value(value)
    }

    /// Writes one field with an array of the objects in `lines`, one per line.
    pub(super) fn items(&mut self, name: &str, lines: &[u8]) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",")?;
        }
        self.value(name)?;
        self.out.write_all(b":[")?;
        for (at, line) in
            lines.split(|&octet| octet == b'\n').filter(|line| !line.is_empty()).enumerate()
        {
            if at > 0 {
                self.out.write_all(b",")?;
            }
            self.out.write_all(line)?;
        }
        self.out.write_all(b"]")
    }

    /// Writes one field whose value is the object in `line`.
    pub(super) fn object(&mut self, name: &str, line: &[u8]) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",")?;
        }
        self.value(name)?;
        self.out.write_all(b":")?;
        self.out.write_all(line.trim_ascii_end())
    }

    fn value(&mut self, value: &(impl serde::Serialize + ?Sized)) -> io::Result<()> {
        ascii(value, self.out)
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.out.write_all(b"}\n")
    }
}

/// Writes a value on one line, in printable ASCII.
pub(crate) fn ascii(
    value: &(impl serde::Serialize + ?Sized),
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut encoder = serde_json::Serializer::with_formatter(&mut *out, Ascii);
    Ok(value.serialize(&mut encoder)?)
}

/// Writes JSON in printable ASCII: some terminals obey characters that JSON allows, such as U+009B.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|letter: char| !letter.is_ascii() || letter == '\u{7f}') {
            let (plain, tail) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut letters = tail.chars();
            if let Some(letter) = letters.next() {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            rest = letters.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

/// The JSON renderer.
pub(super) struct Json {
    look: RenderOptions,
}

impl Json {
    pub(super) fn new(look: RenderOptions) -> Self {
        Self { look }
    }
}

impl Renderer for Json {
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut object = Object::begin(out)?;
        for (name, value) in fields(item, &self.look) {
            match value {
                Value::Text(text) => object.field(name, &text)?,
                Value::Number(number) => object.field(name, &number)?,
                Value::Count(number, is_least) => {
                    object.field(name, &number)?;
                    if is_least {
                        object.field(&format!("{name}_is_lower_bound"), &true)?;
                    }
                }
                Value::Time(at) => {
                    object.field(name, &at)?;
                    object.field(&format!("{name}_iso"), &iso(at))?;
                }
                Value::Day(day) => object.field(name, &date(day))?,
                Value::Flag(flag) => object.field(name, &flag)?,
                Value::List(list) => object.field(name, &list)?,
                Value::Sensors(names) => object.field(name, &names)?,
                // As many digits as in all other formats.
                Value::Decimal(number) => {
                    object.field(name, &((number * 10_000.0).round() / 10_000.0))?;
                }
                Value::Tags(tags) => {
                    let tags: Vec<Wire<'_>> = tags.into_iter().map(Wire::of).collect();
                    object.field(name, &tags)?;
                }
                Value::Relations(relations) => {
                    let relations: Vec<_> = relations.iter().map(RelationJson::of).collect();
                    object.field(name, &relations)?;
                }
                Value::Absent => {}
            }
        }
        object.end()
    }

    fn set_scores(&mut self, scores: &Arc<NameScores>) {
        self.look.scores = Some(Arc::clone(scores));
    }

    fn set_tags(&mut self, tags: &Arc<TagSet>) {
        self.look.tags = Arc::clone(tags);
    }
}

/// Formats seconds since the epoch in RFC 3339.
pub(crate) fn iso(at: u32) -> String {
    utc(at).replace(' ', "T") + "Z"
}
