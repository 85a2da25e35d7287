//! Zeek's JSON writer: one object per line, unset columns omitted or null.
//!
//! The format is defined by src/threading/formatters/JSON.cc. Octets that are not text appear as `\xHH`
//! within the decoded string (policy HEX, the default and the only one before Zeek 9) or as a character from
//! U+F0000 to U+F00FF (policy PUA). HEX cannot distinguish an octet from the same four characters in the
//! original; they are read as the octet, which is what Zeek writes.

use super::clock;
use super::row::{Columns, LogColumn, Query, RawValue, Row};
use super::tsv::is_dns_path;
use crate::decode::Rejection;
use crate::hex;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads one object; `None` if it is a record of another log. Its vectors are written to `columns`, and so is
/// its query if it contains escapes.
///
/// # Errors
/// [`Rejection::Json`], or [`Rejection::BadField`] if a column of a DNS record has the wrong shape.
pub(super) fn row<'l>(line: &'l [u8], columns: &mut Columns) -> Result<Option<Row<'l>>, Rejection> {
    let mut object = LineObject::default();
    let mut json = serde_json::Deserializer::from_slice(line);
    let record = Cell { role: Role::Record, object: &mut object, columns };
    record.deserialize(&mut json).map_err(|_| Rejection::Json)?;
    json.end().map_err(|_| Rejection::Json)?;
    if !object.is_dns.unwrap_or(object.has_dns_column) {
        return Ok(None);
    }
    if object.is_misshapen { Err(Rejection::BadField) } else { Ok(Some(object.row)) }
}

/// State while reading an object.
#[derive(Default)]
struct LineObject<'l> {
    row: Row<'l>,
    /// True if `_path` names a DNS log; `None` if it is missing.
    is_dns: Option<bool>,
    /// True if there is a column that only DNS records have.
    has_dns_column: bool,
    /// True if a column has a value of an impossible shape. This is ignored if the record turns out to belong
    /// to another log.
    is_misshapen: bool,
}

/// Meaning of a value, by its position.
#[derive(Clone, Copy)]
enum Role {
    /// The whole object.
    Record,
    /// A column.
    Column(LogColumn),
    /// An element of `answers`.
    Answer,
    /// An element of `rdata`.
    Datum,
    /// An element of `TTLs`.
    Ttl,
    /// `_path`, the name of the log.
    Path,
    /// `id`, if a shipper has combined the `id.` columns into an object.
    Id,
}

/// Reads one value into its place.
struct Cell<'s, 'l> {
    role: Role,
    object: &'s mut LineObject<'l>,
    columns: &'s mut Columns,
}

impl<'l> Cell<'_, 'l> {
    /// A value that is neither text, array nor object.
    fn scalar(self, value: RawValue<'l>) {
        let is_set = value.is_set();
        match self.role {
            Role::Column(LogColumn::Query) => {
                self.object.row.query = Query::Unset;
                self.object.is_misshapen |= is_set;
            }
            Role::Column(LogColumn::Answers | LogColumn::Ttls | LogColumn::Rdata) => {
                self.object.is_misshapen |= is_set;
            }
            Role::Column(field) => {
                if let Some(slot) = self.object.row.slot(field) {
                    *slot = value;
                }
            }
            Role::Answer => {
                self.columns.answers.push_unset();
                self.object.is_misshapen |= is_set;
            }
            Role::Datum => {
                self.columns.rdata.push_unset();
                self.object.is_misshapen |= is_set;
            }
            Role::Ttl => self.columns.answers.push_ttl(clock::ttl(value)),
            Role::Path if is_set => self.object.is_dns = Some(false),
            Role::Record => self.object.is_misshapen = true,
            Role::Path | Role::Id => {}
        }
    }

    /// Processes text; `in_line` if it appears unchanged in the line.
    fn text(self, text: &str, in_line: Option<&'l str>) {
        match self.role {
            Role::Column(LogColumn::Query) => match in_line {
                Some(text) if is_plain(text) => {
                    self.object.row.query = Query::InLine(text.as_bytes());
                }
                _ => {
                    self.columns.query.clear();
                    octets(text, &mut self.columns.query);
                    self.object.row.query = Query::Unescaped;
                }
            },
            Role::Answer => self.columns.answers.push_with(|out| octets(text, out)),
            // It contains nothing that needs an escape.
            Role::Datum => {
                self.columns.rdata.push_with(|out| out.extend_from_slice(text.as_bytes()));
            }
            Role::Path => self.object.is_dns = Some(is_dns_path(text.as_bytes())),
            _ => self.scalar(in_line.map_or(RawValue::Odd, |text| RawValue::Text(text.as_bytes()))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.role {
            Role::Record => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Cell<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log record")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(RawValue::Unset);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(RawValue::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(RawValue::Unsigned(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(RawValue::Negative(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(RawValue::Float(value));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.text(text, Some(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text(text, None);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { role, object, columns } = self;
        let role = match role {
            Role::Column(LogColumn::Answers) => {
                columns.answers.clear_answers();
                Role::Answer
            }
            Role::Column(LogColumn::Ttls) => {
                columns.answers.clear_ttls();
                Role::Ttl
            }
            Role::Column(LogColumn::Rdata) => {
                columns.rdata.clear();
                Role::Datum
            }
            _ => {
                Self { role, object, columns }.scalar(RawValue::Odd);
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            }
        };
        while seq.next_element_seed(Cell { role, object, columns })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { role, object, columns } = self;
        let within_id = match role {
            Role::Record => false,
            Role::Id => true,
            _ => {
                Self { role, object, columns }.scalar(RawValue::Odd);
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(());
            }
        };
        while let Some(role) = map.next_key_seed(JsonKey { within_id })? {
            let Some(role) = role else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            object.has_dns_column |= matches!(
                role,
                Role::Column(
                    LogColumn::Query | LogColumn::Qtype | LogColumn::Rcode | LogColumn::Rrname
                )
            );
            map.next_value_seed(Cell { role, object, columns })?;
        }
        Ok(())
    }
}

/// Reads a key of the object, or of `id` within it; `None` for an irrelevant one.
struct JsonKey {
    within_id: bool,
}

impl<'de> DeserializeSeed<'de> for JsonKey {
    type Value = Option<Role>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for JsonKey {
    type Value = Option<Role>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<Role>, E> {
        Ok(match (self.within_id, key) {
            (true, "orig_p") => Some(Role::Column(LogColumn::OrigPort)),
            (true, "resp_p") => Some(Role::Column(LogColumn::RespPort)),
            (true, _) => None,
            (false, "_path") => Some(Role::Path),
            (false, "id") => Some(Role::Id),
            (false, _) => LogColumn::named(key.as_bytes()).map(Role::Column),
        })
    }
}

/// Returns true if decoded text contains no octet that Zeek had to encode.
fn is_plain(text: &str) -> bool {
    // U+F0000 to U+F00FF begin with this octet in UTF-8.
    memchr::memchr2(b'\\', 0xf3, text.as_bytes()).is_none()
}

/// Appends the octets represented by decoded text.
fn octets(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr2(b'\\', 0xf3, rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (octet, width) = match escape {
            [b'\\', b'x', high, low, ..] => match (hex::digit(*high), hex::digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            // U+F0000 plus an octet is 11110011 10110000 100000hh 10llllll.
            [0xf3, 0xb0, high @ 0x80..=0x83, low @ 0x80..=0xbf, ..] => {
                ((high & 0x03) << 6 | (low & 0x3f), 4)
            }
            [first, ..] => (*first, 1),
            [] => return,
        };
        out.push(octet);
        rest = escape.get(width..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn stands_for(text: &str, want: &[u8]) {
        let mut out = Vec::new();
        octets(text, &mut out);
        assert_eq!(out, want);
        assert!(
            is_plain(text) == (text.as_bytes() == want) || text.contains('\\') || !is_plain(text)
        );
    }

    #[test]
    fn text_stands_for_octets() {
        stands_for("a.example", b"a.example");
        stands_for("b\u{fc}cher", "b\u{fc}cher".as_bytes());
        stands_for("a\\x07\\xFF\\x5cx41", b"a\x07\xff\\x41");
        stands_for("\\xg0\\x4", b"\\xg0\\x4");
        stands_for("\u{f0000}\u{f0007}\u{f00ff}", b"\x00\x07\xff");
        stands_for("\u{f0100}\u{fffff}", "\u{f0100}\u{fffff}".as_bytes());
    }

    #[test]
    fn columns_may_be_flat_renamed_or_nested() {
        for line in [
            r#"{"id.orig_p":1,"id.resp_p":53,"query":"a"}"#,
            r#"{"id_orig_p":1,"id_resp_p":53,"query":"a"}"#,
            r#"{"id":{"orig_h":"192.0.2.1","orig_p":1,"resp_p":53},"query":"a"}"#,
        ] {
            let row = row(line.as_bytes(), &mut Columns::default()).unwrap().unwrap();
            assert_eq!((row.orig_p.number(), row.resp_p.number()), (Ok(Some(1)), Ok(Some(53))));
        }
    }

    #[test]
    fn records_of_other_logs_are_told() {
        let is_dns =
            |line: &str| row(line.as_bytes(), &mut Columns::default()).map(|row| row.is_some());
        assert_eq!(is_dns(r#"{"_path":"dns","ts":1}"#), Ok(true));
        assert_eq!(is_dns(r#"{"_path":"json_streaming_dns"}"#), Ok(true));
        assert_eq!(is_dns(r#"{"_path":"conn","query":"a"}"#), Ok(false));
        assert_eq!(is_dns(r#"{"_path":null,"rcode":0,"x":[{"y":{}}]}"#), Ok(true));
        assert_eq!(is_dns(r#"{"ts":1,"id":null}"#), Ok(false));
        assert_eq!(is_dns("{}"), Ok(false));
        assert_eq!(is_dns(r#"{"_path":"x509","id":"F1","query":[1],"answers":{}}"#), Ok(false));
        for bad in ["", "{", "{}x", "[]", "1", r#"{"query":"\udb80"}"#] {
            assert_eq!(is_dns(bad), Err(Rejection::Json), "{bad}");
        }
        for bad in
            [r#"{"query":1}"#, r#"{"answers":"a","qtype":1}"#, r#"{"answers":[1],"rcode":0}"#]
        {
            assert_eq!(is_dns(bad), Err(Rejection::BadField), "{bad}");
        }
    }
}
