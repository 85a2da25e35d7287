//! Shape of an event: the parts of its JSON that are used, borrowed where possible.
//!
//! Under `suricata`. Values are parsed here and interpreted elsewhere. `serde_json` rejects nesting deeper
//! than 128; the number of records is limited while parsing, so a line needs as much memory as a message.

use crate::hex;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::borrow::Cow;
use std::fmt;

/// Maximum number of records of a section. A message of 65,535 octets has at most 5,955; more entries can
/// only be strings of TXT records, and that many are meaningless.
const MOST_RECORDS: usize = 6_000;

/// Text, without its JSON escapes.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'l>(#[serde(borrow)] pub(super) Cow<'l, str>);

impl Text<'_> {
    /// Returns true if a name is the root, or missing, which looks the same.
    pub(super) fn is_root(&self) -> bool {
        matches!(&*self.0, "" | ".")
    }

    /// The octets represented. Suricata writes octets that are not UTF-8 as ASCII, those from 128 on as
    /// `\xhh`.
    pub(super) fn octets(&self) -> Cow<'_, [u8]> {
        let text = self.0.as_bytes();
        if memchr::memchr(b'\\', text).is_none() || !text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let mut octets = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&first, after)) = rest.split_first() {
            let high = match rest {
                [b'\\', b'x', high @ (b'8'..=b'9' | b'a'..=b'f'), low, ..] => {
                    lower_hex(*high).zip(lower_hex(*low)).map(|(high, low)| high << 4 | low)
                }
                _ => None,
            };
            octets.push(high.unwrap_or(first));
            rest = if high.is_some() { rest.get(4..).unwrap_or_default() } else { after };
        }
        Cow::Owned(octets)
    }
}

/// The value of a hexadecimal digit, in lower case as Suricata writes it.
pub(super) fn lower_hex(digit: u8) -> Option<u8> {
    hex::digit(digit).filter(|_| !digit.is_ascii_uppercase())
}

/// The type of any event.
#[derive(Deserialize)]
pub(super) struct EventKind<'l> {
    #[serde(borrow)]
    pub(super) event_type: Option<Text<'l>>,
}

/// A DNS event.
#[derive(Deserialize)]
pub(super) struct Event<'l> {
    #[serde(borrow)]
    pub(super) timestamp: Option<Text<'l>>,
    pub(super) flow_id: Option<u64>,
    pub(super) src_port: Option<u16>,
    pub(super) dest_port: Option<u16>,
    #[serde(borrow)]
    pub(super) dns: Option<Dns<'l>>,
}

/// Its DNS part.
#[derive(Deserialize)]
pub(super) struct Dns<'l> {
    pub(super) version: Option<u64>,
    pub(super) id: Option<u64>,
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<Text<'l>>,
    #[serde(borrow)]
    pub(super) flags: Option<Text<'l>>,
    /// The name in the question, in version 2.
    #[serde(borrow)]
    pub(super) rrname: Option<Text<'l>>,
    /// The type in the question, in version 2.
    #[serde(borrow)]
    pub(super) rrtype: Option<Text<'l>>,
    #[serde(default)]
    pub(super) rrname_truncated: bool,
    /// The questions, in version 3.
    #[serde(default, borrow)]
    pub(super) queries: List<LoggedQuery<'l>>,
    #[serde(borrow)]
    pub(super) answers: Option<List<RecordEntry<'l>>>,
    #[serde(default, borrow)]
    pub(super) authorities: List<RecordEntry<'l>>,
    #[serde(default, borrow)]
    pub(super) additionals: List<RecordEntry<'l>>,
    /// The answers by type, without owners and TTLs.
    #[serde(borrow)]
    pub(super) grouped: Option<Groups<'l>>,
}

impl Dns<'_> {
    pub(super) fn is_query(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| matches!(&*kind.0, "query" | "request"))
    }

    pub(super) fn is_answer(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| matches!(&*kind.0, "answer" | "response"))
    }
}

/// A question.
#[derive(Deserialize)]
pub(super) struct LoggedQuery<'l> {
    #[serde(borrow)]
    pub(super) rrname: Option<Text<'l>>,
    #[serde(borrow)]
    pub(super) rrtype: Option<Text<'l>>,
    #[serde(default)]
    pub(super) rrname_truncated: bool,
}

/// A record, or one string of a TXT record.
#[derive(Deserialize)]
pub(super) struct RecordEntry<'l> {
    #[serde(borrow)]
    pub(super) rrname: Option<Text<'l>>,
    #[serde(borrow)]
    pub(super) rrtype: Option<Text<'l>>,
    pub(super) ttl: Option<u32>,
    #[serde(borrow)]
    pub(super) rdata: Option<Text<'l>>,
    #[serde(alias = "soa", alias = "srv", alias = "sshfp", borrow)]
    pub(super) fields: Option<Box<Fields<'l>>>,
    #[serde(default)]
    pub(super) rrname_truncated: bool,
    #[serde(default)]
    pub(super) rdata_truncated: bool,
}

/// RDATA split into fields: SOA, SRV and SSHFP.
#[derive(Deserialize)]
pub(super) struct Fields<'l> {
    #[serde(borrow)]
    pub(super) mname: Option<Text<'l>>,
    #[serde(borrow)]
    pub(super) rname: Option<Text<'l>>,
    pub(super) serial: Option<u32>,
    pub(super) refresh: Option<u32>,
    pub(super) retry: Option<u32>,
    pub(super) expire: Option<u32>,
    pub(super) minimum: Option<u32>,
    pub(super) priority: Option<u16>,
    pub(super) weight: Option<u16>,
    pub(super) port: Option<u16>,
    /// The host of SRV; the manual calls it `target`.
    #[serde(alias = "target", borrow)]
    pub(super) name: Option<Text<'l>>,
    #[serde(borrow)]
    pub(super) fingerprint: Option<Text<'l>>,
    pub(super) algo: Option<u8>,
    #[serde(rename = "type")]
    pub(super) kind: Option<u8>,
    #[serde(default)]
    pub(super) mname_truncated: bool,
    #[serde(default)]
    pub(super) rname_truncated: bool,
}

/// A value among the answers of one type.
pub(super) enum Datum<'l> {
    Text(Text<'l>),
    Fields(Box<Fields<'l>>),
}

/// A list of at most [`MOST_RECORDS`] items.
pub(super) struct List<T>(pub(super) Vec<T>);

/// The answers grouped by type, in packet order within a type.
pub(super) struct Groups<'l>(pub(super) Vec<(Text<'l>, List<Datum<'l>>)>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if list.len() == MOST_RECORDS {
                        return Err(A::Error::custom("more records than a message can have"));
                    }
                    list.push(element);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(Elements(std::marker::PhantomData))
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Groups<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Groups<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists by type")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Groups<'de>, A::Error> {
                let mut groups: Vec<(Text<'de>, List<Datum<'de>>)> = Vec::new();
                let mut records = 0;
                while let Some((rrtype, list)) = map.next_entry::<Text<'de>, List<Datum<'de>>>()? {
                    // A type without records also takes room.
                    records += list.0.len().max(1);
                    let is_again = groups.iter().any(|(other, _)| other.0 == rrtype.0);
                    if is_again || records > MOST_RECORDS {
                        return Err(A::Error::custom("a type twice, or too many records"));
                    }
                    groups.push((rrtype, list));
                }
                Ok(Groups(groups))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Datum<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Datum<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or an object")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Datum<'de>, E> {
                Ok(Datum::Text(Text(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Datum<'de>, E> {
                Ok(Datum::Text(Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Datum<'de>, A::Error> {
                let fields = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Datum::Fields(Box::new(fields)))
            }
        }
        deserializer.deserialize_any(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_for_octets() {
        let check = |text: &str, want: &[u8]| {
            assert_eq!(&*Text(Cow::Borrowed(text)).octets(), want, "{text}");
        };
        check("a.example", b"a.example");
        check("a\\xf2b\\x80", b"a\xf2b\x80");
        check("\\x7f\\xF2\\xg0\\x", b"\\x7f\\xF2\\xg0\\x");
        // Valid UTF-8 contains no escaped octets.
        check("\u{fc}\\xf2", "\u{fc}\\xf2".as_bytes());
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let line = r#"{"rrname":"a.example","rrtype":"\u0041"}"#;
        let query: LoggedQuery<'_> = serde_json::from_str(line).unwrap();
        assert!(matches!(query.rrname, Some(Text(Cow::Borrowed("a.example")))));
        assert!(matches!(query.rrtype, Some(Text(Cow::Owned(text))) if text == "A"));
    }

    #[test]
    fn lists_are_bounded() {
        let list = |records: usize| format!("[{}0]", "0,".repeat(records - 1));
        assert!(serde_json::from_str::<List<u8>>(&list(MOST_RECORDS)).is_ok());
        assert!(serde_json::from_str::<List<u8>>(&list(MOST_RECORDS + 1)).is_err());
        let groups = |json: &str| serde_json::from_str::<Groups<'_>>(json).is_ok();
        assert!(groups(r#"{"A":["192.0.2.1"],"SOA":[{"mname":"a"}]}"#));
        assert!(!groups(r#"{"A":[],"A":[]}"#) && !groups(r#"{"A":[1]}"#) && !groups("[]"));
    }
}
