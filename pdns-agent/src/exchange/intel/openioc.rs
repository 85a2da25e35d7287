//! OpenIOC 1.0: XML whose `Indicator` elements join `IndicatorItem` elements by OR or AND.
//!
//! Document types are ignored, so entities other than those of XML itself expand to nothing.

use super::IntelError;
use super::item::{Place, SkipReason};
use super::sink::{Details, Refusal, Sink, Stop, Wanted, shown};
use super::when;
use crate::query::Scope;
use crate::render::escape;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use std::io::{self, BufRead, Read};

/// Longest markup or text between two tags, in bytes.
const MAX_RUN: usize = 1 << 20;
/// Longest text that is kept.
const MAX_KEPT: usize = 16 << 10;
/// Deepest nesting of elements.
const MAX_DEPTH: usize = 256;

/// Terms with a name, an address or a URL as their content.
const TERMS: [(&str, Wanted); 13] = [
    ("Network/DNS", Wanted::Name),
    ("Network/URI", Wanted::Url),
    ("PortItem/remoteIP", Wanted::Address),
    ("PortItem/localIP", Wanted::Address),
    ("RouteEntryItem/Destination", Wanted::Address),
    ("UrlHistoryItem/HostName", Wanted::Any),
    ("UrlHistoryItem/URL", Wanted::Url),
    ("DnsEntryItem/Host", Wanted::Any),
    ("DnsEntryItem/RecordName", Wanted::Any),
    ("DnsEntryItem/RecordData/Host", Wanted::Any),
    ("DnsEntryItem/RecordData/IPv4Address", Wanted::Address),
    ("FormHistoryItem/HostName", Wanted::Any),
    ("CookieHistoryItem/HostName", Wanted::Any),
];

/// Reads a file.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut reader = Reader::from_reader(ShortRuns { input, run: 0 });
    let mut state = State::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer);
        let at = reader.buffer_position();
        let event = event.map_err(|error| failed(at, &error.to_string()))?;
        match event {
            Event::Start(start) => state.open(&start, at)?,
            Event::Empty(start) => {
                state.open(&start, at)?;
                state.close(sink)?;
            }
            Event::End(_) => state.close(sink)?,
            Event::Text(text) => state.push(&text),
            Event::CData(text) => state.push(&text),
            Event::GeneralRef(reference) => state.push(&resolved(&reference)),
            Event::Eof if state.open.is_empty() => return Ok(()),
            Event::Eof => return Err(failed(at, "the file ends within an element").into()),
            _ => {}
        }
    }
}

fn failed(at: u64, reason: &str) -> IntelError {
    IntelError::Xml { at, reason: shown(reason) }
}

/// The character of a reference; none for an entity of the document's own.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(letter)) = reference.resolve_char_ref() {
        return letter.to_string();
    }
    let letter = match &**reference {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    };
    letter.to_owned()
}

/// One `IndicatorItem`.
#[derive(Default)]
struct IocItem {
    id: String,
    condition: String,
    search: String,
    content: String,
    is_negated: bool,
}

#[derive(Default)]
struct State {
    /// Open elements.
    open: Vec<String>,
    /// For each open `Indicator`, true if it joins by AND.
    operators: Vec<bool>,
    text: String,
    item: IocItem,
    details: Details,
    number: u64,
}

impl State {
    fn open(&mut self, start: &BytesStart<'_>, at: u64) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(failed(at, "the elements are nested too deep").into());
        }
        let name = start.local_name().as_ref().to_owned();
        let attribute = |wanted: &str| {
            let found = start
                .attributes()
                .flatten()
                .find(|attribute| attribute.key.local_name().as_ref() == wanted);
            found.map(|attribute| attribute.value.into_owned())
        };
        match name.as_str() {
            "ioc" | "OpenIOC" => {
                self.details = Details::default();
                self.details.reference = attribute("id").unwrap_or_default();
                self.details.first =
                    attribute("last-modified").and_then(|time| when::seconds(&time));
            }
            "Indicator" => {
                let operator = attribute("operator").unwrap_or_default();
                self.operators.push(operator.eq_ignore_ascii_case("AND"));
            }
            "IndicatorItem" => {
                self.number += 1;
                let negate = attribute("negate").unwrap_or_default();
                self.item = IocItem {
                    id: attribute("id").unwrap_or_default(),
                    condition: attribute("condition").unwrap_or_default(),
                    is_negated: negate.eq_ignore_ascii_case("true"),
                    ..IocItem::default()
                };
            }
            "Context" => self.item.search = attribute("search").unwrap_or_default(),
            _ => {}
        }
        self.text.clear();
        self.open.push(name);
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if self.text.len() + text.len() <= MAX_KEPT {
            self.text.push_str(text);
        }
    }

    fn close(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let Some(name) = self.open.pop() else { return Ok(()) };
        let text = std::mem::take(&mut self.text);
        match name.as_str() {
            "Content" => self.item.content = text,
            "short_description" => text.trim().clone_into(&mut self.details.note),
            "authored_by" if sink.summary.producer.is_none() => {
                let author = escape(text.trim()).into_owned();
                sink.summary.producer = Some(author).filter(|author| !author.is_empty());
            }
            "Indicator" => {
                self.operators.pop();
            }
            "IndicatorItem" => self.item(sink)?,
            _ => {}
        }
        Ok(())
    }

    fn item(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let item = std::mem::take(&mut self.item);
        let place = match item.id.as_str() {
            "" => Place::Number(self.number),
            id => Place::Object(shown(id)),
        };
        let Some((_, wanted)) = TERMS.iter().find(|(term, _)| *term == item.search) else {
            let search = item.search.to_ascii_lowercase();
            let is_hash =
                ["md5sum", "sha1sum", "sha256sum"].iter().any(|end| search.ends_with(end));
            let is_mail = search.starts_with("email/");
            return sink.skip(match (is_hash, is_mail) {
                (true, _) => SkipReason::Hash,
                (_, true) => SkipReason::Mail,
                _ => SkipReason::OtherType,
            });
        };
        let condition = item.condition.to_ascii_lowercase();
        // The content is a part of a name: what lies below it is meant at least.
        let scope = match condition.as_str() {
            _ if item.is_negated || condition.ends_with("not") => {
                return sink.skip(SkipReason::Negated);
            }
            "is" | "" => None,
            "contains" | "ends-with" => Some(Scope::Below),
            "matches" => return sink.skip(SkipReason::Regex),
            _ => {
                return sink.refuse(
                    place,
                    &item.condition,
                    Refusal::Problem("unknown condition".to_owned()),
                );
            }
        };
        let mut details = self.details.clone();
        details.is_conditional = self.operators.contains(&true);
        details.id = Some(item.id).filter(|id| !id.is_empty());
        sink.value(place, &item.content, *wanted, scope, &details)
    }
}

/// XML in which no more than [`MAX_RUN`] bytes lie between two angle brackets.
struct ShortRuns<'r> {
    input: &'r mut dyn BufRead,
    run: usize,
}

impl Read for ShortRuns<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for ShortRuns<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.run > MAX_RUN {
            let reason = "the text between two tags is too long";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Ok(octets) = self.input.fill_buf() {
            let octets = octets.get(..count).unwrap_or(octets);
            self.run = match octets.iter().rposition(|octet| b"<>".contains(octet)) {
                Some(at) => octets.len() - at,
                None => self.run + octets.len(),
            };
        }
        self.input.consume(count);
    }
}
