//! Response policy zones (draft-vixie-dnsop-dns-rpz): zone files whose owners are triggers.
//!
//! `NAME` and `*.NAME` trigger on queries, `LENGTH.REVERSED.rpz-ip` on addresses in answers. The action
//! `CNAME rpz-passthru.` means trust; all others block. Directives that bring in what is not in the file, and lines that are
//! no records, are reported.

use super::item::{Place, SkipReason};
use super::lines::{Line, Lines};
use super::sink::{Details, Sink, Stop, Wanted};
use crate::rr::RrType;
use crate::tag::TagKind;
use std::io::BufRead;

/// Maximum number of lines that parentheses may span.
const MAX_SPAN: usize = 100;

/// State of a zone file (RFC 1035 §5.1).
#[derive(Default)]
struct Zone {
    /// Origin for relative names, without the final dot.
    origin: Option<String>,
    /// Name of the zone, without the final dot.
    apex: Option<String>,
    /// Owner of the last record, absolute if an origin is known.
    owner: String,
    /// Last trigger that was handed out: a trigger may have several records.
    last: String,
}

/// Reads a zone.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    let mut zone = Zone::default();
    while let Some(line) = lines.next(sink)? {
        let place = line.place();
        let has_owner = !line.text.starts_with([' ', '\t']);
        let mut depth = 0_i32;
        let mut words = words(&line.text, &mut depth);
        let mut spanned: Vec<Line> = Vec::new();
        while depth > 0 && spanned.len() < MAX_SPAN {
            let Some(next) = lines.next(sink)? else { break };
            words.extend(self::words(&next.text, &mut depth));
            spanned.push(next);
        }
        if depth > 0 {
            // What it would swallow are records of their own.
            lines.put_back(spanned);
            sink.problem(place, &line.text, "a parenthesis is not closed")?;
            continue;
        }
        if !words.is_empty() {
            zone.record(&place, &words, has_owner, sink)?;
        }
    }
    Ok(())
}

/// The words of a line without its comment; `depth` counts open parentheses.
fn words(line: &str, depth: &mut i32) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        let is_plain = escaped || quoted && letter != '"';
        escaped = letter == '\\' && !escaped;
        match letter {
            letter if is_plain => word.push(letter),
            ';' => break,
            '"' => quoted = !quoted,
            '(' | ')' => {
                *depth += if letter == '(' { 1 } else { -1 };
                words.push(std::mem::take(&mut word));
            }
            letter if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Zone {
    fn record(
        &mut self,
        place: &Place,
        words: &[String],
        has_owner: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        let mut rest = words.iter().map(String::as_str);
        let first = words.first().map_or("", String::as_str);
        if has_owner && first.starts_with('$') {
            return self.directive(place, words, sink);
        }
        if has_owner {
            self.owner = self.absolute(first);
            rest.next();
        }
        let rtype = rest.find(|word| !is_ttl_or_class(word)).unwrap_or_default();
        let rtype = rtype.to_ascii_uppercase();
        let data = rest.next().unwrap_or_default();
        match rtype.as_str() {
            "SOA" => {
                self.apex = Some(self.owner.clone());
                self.origin.get_or_insert_with(|| self.owner.clone());
                return Ok(());
            }
            "NS" | "DNSKEY" | "RRSIG" | "NSEC" | "NSEC3" | "NSEC3PARAM" | "DS" => return Ok(()),
            "" => return sink.problem(place.clone(), &words.join(" "), "it has no record type"),
            rtype if rtype.parse::<RrType>().is_err() => {
                return sink.problem(
                    place.clone(),
                    &words.join(" "),
                    "it has no valid record type",
                );
            }
            _ if data.is_empty() => {
                return sink.problem(place.clone(), &words.join(" "), "the record has no data");
            }
            _ => {}
        }
        let Some(trigger) = self.trigger() else { return Ok(()) };
        let is_passthru = rtype == "CNAME"
            && (data.trim_end_matches('.').eq_ignore_ascii_case("rpz-passthru")
                || data.trim_end_matches('.').eq_ignore_ascii_case(&trigger));
        if std::mem::replace(&mut self.last, trigger.clone()) == trigger {
            return Ok(());
        }
        let details = Details { kind: is_passthru.then_some(TagKind::Trust), ..Details::default() };
        let lower = trigger.to_ascii_lowercase();
        if let Some(address) = lower.strip_suffix(".rpz-ip") {
            return match prefix(address) {
                Some(prefix) => sink.value(place.clone(), &prefix, Wanted::Address, None, &details),
                None => sink.problem(place.clone(), &trigger, "it is not an rpz-ip trigger"),
            };
        }
        if [".rpz-nsdname", ".rpz-nsip", ".rpz-client-ip"].iter().any(|end| lower.ends_with(end)) {
            return sink.skip(SkipReason::OtherTrigger);
        }
        sink.value(place.clone(), &trigger, Wanted::Name, None, &details)
    }

    /// Reads a directive (RFC 1035 §5.1, RFC 2308 §4).
    fn directive(
        &mut self,
        place: &Place,
        words: &[String],
        sink: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        let name = words.first().map_or("", String::as_str).to_ascii_uppercase();
        let reason = match (name.as_str(), words.get(1)) {
            ("$ORIGIN", Some(origin)) => {
                self.origin = Some(self.absolute(origin));
                return Ok(());
            }
            ("$TTL", Some(_)) => return Ok(()),
            ("$ORIGIN" | "$TTL", None) => "the directive has no value",
            ("$INCLUDE", _) => "other files are not included: import them one by one",
            ("$GENERATE", _) => "generated records are not supported",
            _ => "unknown directive",
        };
        sink.problem(place.clone(), &words.join(" "), reason)
    }

    /// A name with the origin, without the final dot.
    fn absolute(&self, name: &str) -> String {
        let origin = self.origin.as_deref().unwrap_or_default();
        match (name, name.strip_suffix('.')) {
            ("@", _) => origin.to_owned(),
            (_, Some(absolute)) if !absolute.ends_with('\\') => absolute.to_owned(),
            _ if origin.is_empty() => name.to_owned(),
            _ => format!("{name}.{origin}"),
        }
    }

    /// The owner relative to the zone; `None` for the zone itself.
    fn trigger(&self) -> Option<String> {
        let zone = self.apex.as_deref().or(self.origin.as_deref()).unwrap_or_default();
        if zone.is_empty() {
            return Some(self.owner.clone()).filter(|owner| !owner.is_empty() && owner != "@");
        }
        let at = self.owner.len().checked_sub(zone.len())?;
        let (head, tail) = self.owner.split_at_checked(at)?;
        if !tail.eq_ignore_ascii_case(zone) {
            return Some(self.owner.clone());
        }
        match head.strip_suffix('.') {
            Some(trigger) => Some(trigger.to_owned()),
            None if head.is_empty() => None,
            None => Some(self.owner.clone()),
        }
    }
}

/// The words of a record from its type on; `None` if there is none of this type.
fn record<'w>(words: &'w [String], rtype: &str) -> Option<&'w [String]> {
    let at = words.iter().position(|word| word.eq_ignore_ascii_case(rtype))?;
    let before = words.get(..at)?;
    // The first may be the owner.
    before.iter().skip(1).all(|word| is_ttl_or_class(word)).then_some(words.get(at..)?)
}

/// True for the SOA record that a zone begins with. Prose may have the word, but not a serial number behind two names.
pub(super) fn is_soa(line: &str) -> bool {
    let mut depth = 0;
    let words = words(line, &mut depth);
    match record(&words, "SOA") {
        Some([_, _, _, serial, ..]) => serial.bytes().all(|octet| octet.is_ascii_digit()),
        Some([_, _, _]) => depth > 0,
        _ => false,
    }
}

/// True for a record that is an alias, as nearly all records of a policy are.
pub(super) fn is_policy(line: &str) -> bool {
    matches!(record(&words(line, &mut 0), "CNAME"), Some([_, _]))
}

/// True for a TTL such as `60` or `1h`, and for a class.
fn is_ttl_or_class(word: &str) -> bool {
    let is_ttl = word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .bytes()
            .all(|octet| octet.is_ascii_digit() || b"smhdw".contains(&octet.to_ascii_lowercase()));
    is_ttl || ["IN", "CH", "HS"].iter().any(|class| word.eq_ignore_ascii_case(class))
}

/// The prefix of a trigger: `24.0.2.0.192`, `32.zz.db8.2001`, where `zz` stands for `::`.
fn prefix(trigger: &str) -> Option<String> {
    let mut labels = trigger.split('.');
    let length = labels.next()?.parse::<u8>().ok()?;
    let parts: Vec<&str> = labels.rev().collect();
    if parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok()) {
        return Some(format!("{}/{length}", parts.join(".")));
    }
    let text = parts.join(":");
    let text = match text.as_str() {
        "zz" => "::".to_owned(),
        text if text.starts_with("zz:") => text.replacen("zz:", "::", 1),
        text if text.ends_with(":zz") => text.replacen(":zz", "::", 1),
        text => text.replacen(":zz:", "::", 1),
    };
    Some(format!("{text}/{length}"))
}
