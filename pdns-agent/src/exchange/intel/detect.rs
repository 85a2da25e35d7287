//! The format of a file, by its first bytes and its name.

use super::IntelFormat;
use super::columns::{Role, key};
use super::csv::{fields, separator};
use super::hosts::{self, LOCAL_NAMES, SINK_ADDRESSES};
use super::list::content;
use super::rpz;
use super::suricata::decoded;
use crate::query::listed_subjects;
use std::net::IpAddr;

/// Lines that are looked at.
const LINES: usize = 200;

/// Returns the format of a file; text if nothing else fits.
#[must_use]
pub fn detect(first_bytes: &[u8], file_name: &str) -> IntelFormat {
    let text = String::from_utf8_lossy(first_bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let end = file_name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if text.starts_with('<') {
        return markup(text);
    }
    if is_json(first_bytes) {
        return json(text);
    }
    match end.as_str() {
        "html" | "htm" => return IntelFormat::Html,
        "ioc" => return IntelFormat::OpenIoc,
        "rpz" => return IntelFormat::Rpz,
        _ => {}
    }
    lines(text, &end)
}

/// True for a JSON document.
pub(super) fn is_json(first_bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(first_bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let second = text.get(1..).map_or("", str::trim_start);
    // `[Adblock Plus 2.0]` and `{.}` are not.
    match text.as_bytes().first() {
        Some(b'{') => second.is_empty() || second.starts_with(['"', '}']),
        Some(b'[') => second.is_empty() || second.starts_with(['{', '[', '"', ']']),
        _ => false,
    }
}

/// True for STIX 1.x.
pub(super) fn is_stix1(first_bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(first_bytes);
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
        && ["STIX_Package", "http://stix.mitre.org/", "Observables cybox_major_version"]
            .iter()
            .any(|mark| text.contains(mark))
}

fn markup(text: &str) -> IntelFormat {
    let lower = text.to_ascii_lowercase();
    if ["<ioc ", "<ioc>", "<openioc", "schemas.mandiant.com"].iter().any(|it| lower.contains(it)) {
        return IntelFormat::OpenIoc;
    }
    IntelFormat::Html
}

fn json(text: &str) -> IntelFormat {
    let has = |name: &str| text.contains(&format!("\"{name}\""));
    let is_stix = has("bundle")
        || has("spec_version")
        || has("objects") && (has("more") || text.contains("--"))
        || has("pattern_type");
    if is_stix {
        IntelFormat::Stix
    } else if has("Event") || has("Orgc") || has("Attribute") && has("to_ids") {
        IntelFormat::Misp
    } else if has("ioc_value") || has("threat_type_desc") {
        IntelFormat::Threatfox
    } else if has("urlhaus_link") || has("urlhaus_reference") {
        IntelFormat::Urlhaus
    } else if has("ip_address") && has("malware") && has("port") {
        IntelFormat::Feodo
    } else {
        IntelFormat::Jsonl
    }
}

/// Counts of lines that fit a format.
#[derive(Default)]
struct Counts {
    data: usize,
    sinks: usize,
    /// Settings of dnsmasq or Unbound, which may stand around their rules.
    settings: usize,
    /// An address and names.
    mapped: usize,
    /// The own names of a machine, which begin a hosts file.
    local: usize,
    adblock: usize,
    counted: usize,
    rated: usize,
    encoded: usize,
    policies: usize,
    separated: usize,
    subjects: usize,
}

fn lines(text: &str, end: &str) -> IntelFormat {
    let mut counts = Counts::default();
    let mut first: Option<&str> = None;
    let (mut has_maltrail, mut has_ipsum, mut header) = (false, false, None);
    for line in text.lines().take(LINES) {
        let line = line.trim_end();
        if line.starts_with("#fields") {
            return IntelFormat::ZeekIntel;
        }
        let directive = line.split_whitespace().next().unwrap_or_default();
        let is_zone = ["$TTL", "$ORIGIN"].iter().any(|one| directive.eq_ignore_ascii_case(one));
        if is_zone || rpz::is_soa(line) {
            return IntelFormat::Rpz;
        }
        has_maltrail |= line.starts_with("# Reference: ") || line.contains("Maltrail developers");
        has_ipsum |= line.starts_with('#') && line.contains("IPsum");
        header = header.or_else(|| abuse_ch(line));
        let is_rule = ["||", "@@||"].iter().any(|start| line.starts_with(start))
            || line.starts_with("[Adblock");
        counts.adblock += usize::from(is_rule);
        let Some(data) = content(line) else { continue };
        first.get_or_insert(data);
        counts.add(data);
    }
    if let Some(format) = header {
        return format;
    }
    if has_maltrail {
        return IntelFormat::Maltrail;
    }
    let most = |count: usize| count * 5 >= counts.data * 4 && count > 0;
    if has_ipsum && most(counts.counted) {
        return IntelFormat::Ipsum;
    }
    if counts.adblock * 2 > counts.data && counts.adblock > 0 {
        return IntelFormat::Adblock;
    }
    if most(counts.policies) {
        return IntelFormat::Rpz;
    }
    if counts.is_hosts() {
        return IntelFormat::Hosts;
    }
    if most(counts.rated) {
        return IntelFormat::SuricataIprep;
    }
    if most(counts.encoded) {
        return IntelFormat::SuricataDataset;
    }
    let is_header = first.is_some_and(|line| {
        let names = fields(line, separator(line)).unwrap_or_default();
        names.len() > 1
            && names.iter().any(|name| Role::Subject.names().contains(&key(name).as_str()))
    });
    if is_header || ["csv", "tsv"].contains(&end) && counts.separated > 0 || most(counts.separated)
    {
        return IntelFormat::Csv;
    }
    if most(counts.counted) && counts.counted < counts.subjects + 1 && has_ipsum {
        return IntelFormat::Ipsum;
    }
    // In a list, most lines have a subject and little else.
    if counts.subjects * 2 > counts.data || counts.data == 0 && end != "md" {
        return IntelFormat::List;
    }
    IntelFormat::Text
}

/// The format by a header of abuse.ch, which is a comment.
fn abuse_ch(line: &str) -> Option<IntelFormat> {
    let lower = line.to_ascii_lowercase();
    if !lower.contains(',') {
        return None;
    }
    if lower.contains("urlhaus_link") {
        Some(IntelFormat::Urlhaus)
    } else if lower.contains("ioc_value") && lower.contains("threat_type") {
        Some(IntelFormat::Threatfox)
    } else if lower.contains("dst_ip") && lower.contains("c2_status") {
        Some(IntelFormat::Feodo)
    } else {
        None
    }
}

impl Counts {
    /// True for a file that blocks names, even a single one: most lines do, or the others are those that are usual
    /// around them.
    fn is_hosts(&self) -> bool {
        self.sinks * 2 > self.data
            || self.sinks > 0 && self.sinks + self.settings == self.data
            || self.local > 0 && self.mapped * 5 >= self.data * 4
    }

    fn add(&mut self, data: &str) {
        self.data += 1;
        let words: Vec<&str> = data.split_whitespace().collect();
        let first = words.first().copied().unwrap_or_default();
        let is_address = |word: &str| word.parse::<IpAddr>().is_ok();
        let is_number = |word: &str| word.parse::<u32>().is_ok();
        let names = words.get(1..).unwrap_or_default();
        let is_sink = SINK_ADDRESSES.contains(&first) && !names.is_empty();
        let is_rule = hosts::is_rule(data);
        self.sinks += usize::from(is_sink || is_rule);
        self.settings += usize::from(!is_rule && hosts::is_setting(data));
        // The zone of a link-local address: `fe80::1%lo0`.
        let is_mapped = is_address(first.split('%').next().unwrap_or_default())
            && names.iter().any(|name| name.contains(|letter: char| letter.is_alphabetic()));
        self.mapped += usize::from(is_mapped);
        let is_local = |name: &&str| LOCAL_NAMES.contains(name);
        self.local += usize::from(is_sink && names.iter().any(is_local));
        let is_counted =
            matches!(words.as_slice(), [word, number] if is_address(word) && is_number(number));
        self.counted += usize::from(is_counted);
        self.policies += usize::from(rpz::is_policy(data));
        let values: Vec<&str> = data.split(',').map(str::trim).collect();
        let is_rated = matches!(values.as_slice(), [address, category, score]
            if listed_subjects(address, None).is_ok() && is_number(category) && is_number(score));
        self.rated += usize::from(is_rated);
        let encoded = values.first().filter(|value| !value.contains('.') && value.len() > 3);
        let is_encoded = encoded.and_then(|value| decoded(value)).is_some_and(|name| {
            name.contains('.') && name.chars().all(|letter| letter.is_ascii_graphic())
        });
        self.encoded += usize::from(is_encoded);
        let is_separated = words.len() < 2 * values.len()
            && fields(data, separator(data)).is_some_and(|values| {
                values.len() > 1
                    && values.iter().any(|value| {
                        value.contains(['.', ':']) && listed_subjects(value, None).is_ok()
                    })
                    && !values.iter().all(|value| value.trim().contains(['.', ':']))
            });
        self.separated += usize::from(is_separated || data.contains('\t') && !is_counted);
        // `http://...` or a subject, maybe with a column behind it.
        let is_subject = first.contains(['.', ':'])
            && words.len() < 4
            && first
                .split([',', ';'])
                .all(|part| part.is_empty() || listed_subjects(part, None).is_ok());
        self.subjects += usize::from(is_subject);
    }
}
