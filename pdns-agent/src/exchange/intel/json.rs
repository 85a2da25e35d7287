//! JSON read as a stream: large arrays element by element, each within a budget.
//!
//! Members have no required types, so that one odd value does not end the file. Strings are cut before the parser sees
//! them, and an element that exceeds its budget loses the rest; the parser itself bounds the depth.

use super::IntelError;
use super::sink::Stop;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

/// Longest string, in bytes; the rest of a longer one is dropped.
const MAX_STRING: usize = 1 << 20;
/// Budget of an element, in bytes of memory.
const MAX_ELEMENT: usize = 4 << 20;
/// Estimated size of a value, beside its text.
const VALUE: usize = 64;

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name(String),
    Index(u64),
}

/// Treatment of the value at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Look at its members, if it has any.
    Enter,
    /// Take it as a whole.
    Take,
    Ignore,
}

/// A reader of one JSON format.
pub(super) trait Consumer {
    /// Decides on the value at a path; the empty path is the document.
    fn step(&self, path: &[Key]) -> Step;
    /// Receives a value; `is_cut` is true if it exceeded its budget.
    fn take(&mut self, path: &[Key], value: Value, is_cut: bool) -> Result<(), Stop>;
    /// Called at the end of an entered array or object.
    fn leave(&mut self, _path: &[Key]) -> Result<(), Stop> {
        Ok(())
    }
}

/// Reads the documents of a file: one, or several behind each other.
pub(super) fn read(input: &mut dyn BufRead, consumer: &mut dyn Consumer) -> Result<(), Stop> {
    let mut input = BufReader::new(ShortStrings::new(WithoutMark::new(input)));
    let mut walker = Walker { consumer, path: Vec::new(), stop: None };
    let mut json = serde_json::Deserializer::from_reader(&mut input);
    loop {
        let result = At(&mut walker).deserialize(&mut json);
        if let Some(stop) = walker.stop.take() {
            return Err(stop);
        }
        result.map_err(failed)?;
        match json.end() {
            Ok(()) => return Ok(()),
            Err(error) if error.is_io() => return Err(failed(error)),
            // Another document follows.
            Err(_) => {}
        }
    }
}

fn failed(error: serde_json::Error) -> Stop {
    let (line, column) = (error.line(), error.column());
    if error.is_io() {
        return Stop::Failed(IntelError::Io(error.into()));
    }
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
    Stop::Failed(IntelError::Json { line, column, reason })
}

/// Parses one element from text.
pub(super) fn element(text: &str) -> Result<(Value, bool), String> {
    let input = BufReader::new(ShortStrings::new(text.as_bytes()));
    let mut json = serde_json::Deserializer::from_reader(input);
    let mut budget = MAX_ELEMENT;
    let value = Bounded(&mut budget).deserialize(&mut json);
    let value = value.and_then(|value| json.end().map(|()| value));
    value
        .map(|value| (value, budget == 0))
        .map_err(|error| error.to_string().split(" at line ").next().unwrap_or_default().to_owned())
}

struct Walker<'c> {
    consumer: &'c mut dyn Consumer,
    path: Vec<Key>,
    stop: Option<Stop>,
}

impl Walker<'_> {
    fn keep<E: serde::de::Error>(&mut self, result: Result<(), Stop>) -> Result<(), E> {
        result.map_err(|stop| {
            self.stop = Some(stop);
            E::custom("stopped")
        })
    }
}

/// The value at the walker's path.
struct At<'a, 'c>(&'a mut Walker<'c>);

impl<'de> DeserializeSeed<'de> for At<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.0.consumer.step(&self.0.path) {
            Step::Ignore => from.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            Step::Enter => from.deserialize_any(self),
            Step::Take => {
                let mut budget = MAX_ELEMENT;
                let value = Bounded(&mut budget).deserialize(from)?;
                let result = self.0.consumer.take(&self.0.path, value, budget == 0);
                self.0.keep(result)
            }
        }
    }
}

impl<'de> Visitor<'de> for At<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            self.0.path.push(Key::Name(name));
            map.next_value_seed(At(&mut *self.0))?;
            self.0.path.pop();
        }
        let result = self.0.consumer.leave(&self.0.path);
        self.0.keep(result)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            self.0.path.push(Key::Index(index));
            if list.next_element_seed(At(&mut *self.0))?.is_none() {
                break;
            }
            self.0.path.pop();
            index += 1;
        }
        self.0.path.pop();
        let result = self.0.consumer.leave(&self.0.path);
        self.0.keep(result)
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A value within a budget, which is 0 when some of it was left out.
struct Bounded<'b>(&'b mut usize);

impl Bounded<'_> {
    fn pay(&mut self, size: usize) -> bool {
        *self.0 = self.0.saturating_sub(size + VALUE);
        *self.0 > 0
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<Value, D::Error> {
        if !self.pay(0) {
            from.deserialize_ignored_any(IgnoredAny)?;
            return Ok(Value::Null);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<Value, E> {
        if !self.pay(value.len()) {
            return Ok(Value::Null);
        }
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Bounded(&mut *self.0))? {
            if *self.0 > 0 {
                values.push(value);
            }
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let is_paid = self.pay(name.len());
            let value = map.next_value_seed(Bounded(&mut *self.0))?;
            if is_paid {
                members.insert(name, value);
            }
        }
        Ok(Value::Object(members))
    }
}

/// Input without a byte order mark.
struct WithoutMark<'r> {
    input: &'r mut dyn BufRead,
    is_checked: bool,
}

impl<'r> WithoutMark<'r> {
    fn new(input: &'r mut dyn BufRead) -> Self {
        Self { input, is_checked: false }
    }
}

impl Read for WithoutMark<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.is_checked {
            self.is_checked = true;
            let start = self.input.fill_buf()?;
            if start.starts_with("\u{feff}".as_bytes()) {
                self.input.consume(3);
            }
        }
        self.input.read(out)
    }
}

/// JSON whose strings are cut where they exceed [`MAX_STRING`].
struct ShortStrings<R> {
    input: R,
    /// Length of the string that is open, if one is.
    length: Option<usize>,
    is_escaped: bool,
    is_cut: bool,
    /// True if the last byte was a plain character of one byte, behind which a string can be cut.
    is_plain: bool,
}

impl<R: Read> ShortStrings<R> {
    fn new(input: R) -> Self {
        Self { input, length: None, is_escaped: false, is_cut: false, is_plain: false }
    }

    /// True if a byte stays.
    fn keeps(&mut self, octet: u8) -> io::Result<bool> {
        let Some(length) = &mut self.length else {
            if octet == b'"' {
                self.length = Some(0);
                self.is_cut = false;
            }
            return Ok(true);
        };
        *length += 1;
        let is_end = octet == b'"' && !self.is_escaped;
        let is_plain = octet.is_ascii() && octet != b'\\' && !self.is_escaped;
        // A digit may belong to an escape, and cutting between the halves of a surrogate pair breaks the string.
        let is_blank = octet == b' ' || octet.is_ascii_punctuation() && is_plain;
        if *length > MAX_STRING && !self.is_cut && !is_end {
            self.is_cut = self.is_plain && is_plain && (is_blank || octet > b'f');
            if *length > 2 * MAX_STRING && !self.is_cut {
                let reason = "a string is too long, and has no place to be cut";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        self.is_escaped = octet == b'\\' && !self.is_escaped;
        self.is_plain = is_plain && !octet.is_ascii_hexdigit();
        if is_end {
            self.length = None;
        }
        Ok(is_end || !self.is_cut)
    }
}

impl<R: Read> Read for ShortStrings<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.input.read(out)?;
            let mut kept = 0;
            for at in 0..read {
                let Some(&octet) = out.get(at) else { break };
                if self.keeps(octet)? {
                    if let Some(slot) = out.get_mut(kept) {
                        *slot = octet;
                    }
                    kept += 1;
                }
            }
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

/// The text of a member, also of a number or a boolean.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    scalar(value.get(name)?)
}

/// The text of a string, a number or a boolean.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// True for `true`, and for the texts that old exports have for it.
pub(super) fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        Some(Value::String(text)) => text == "1" || text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// The elements of a member that is a list.
pub(super) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
