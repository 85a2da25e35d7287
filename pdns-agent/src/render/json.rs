//! One JSON object a line, with all that is known. Times stand there twice: as seconds, and as RFC 3339
//! under the same name with `_iso`.

use super::field::{Value, fields};
use super::{Item, Look, Renderer, date, utc};
use std::io::{self, Write};

/// Writes `{"name":value,...}` and a line feed, field by field, in the order given.
pub(super) struct Object<'o> {
    out: &'o mut dyn Write,
    first: bool,
}

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut dyn Write) -> io::Result<Self> {
        out.write_all(b"{")?;
        Ok(Self { out, first: true })
    }

    /// Writes one field; what holds quotes or control characters is encoded.
    pub(super) fn field(&mut self, name: &str, value: &impl serde::Serialize) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *self.out, name)?;
        self.out.write_all(b":")?;
        serde_json::to_writer(&mut *self.out, value)?;
        Ok(())
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.out.write_all(b"}\n")
    }
}

/// The JSON renderer.
pub(super) struct Json {
    look: Look,
}

impl Json {
    pub(super) fn new(look: Look) -> Self {
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
                Value::Time(at) => {
                    object.field(name, &at)?;
                    object.field(&format!("{name}_iso"), &iso(at))?;
                }
                Value::Day(day) => object.field(name, &date(day))?,
                Value::Flag(flag) => object.field(name, &flag)?,
                Value::List(list) => object.field(name, &list)?,
                Value::Absent => {}
            }
        }
        object.end()
    }
}

/// RFC 3339, of seconds since the epoch.
pub(super) fn iso(at: u32) -> String {
    utc(at).replace(' ', "T") + "Z"
}
