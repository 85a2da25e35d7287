//! Data for the templates: texts, links and bars.
//!
//! Part of the page. The templates escape all text; invisible characters in it are made visible here.

use super::parse_value::{address_path, name_path, path_of, typed};
use super::sanitize::visible;
use super::timeline::{Axis, Bar, Time, grouped};
use crate::indicator::Listing;
use crate::name::{NameBuf, display::Unicode, display::unicode};
use crate::observation::Seen;
use crate::query::typed_tag;
use crate::query::{
    AppliedTag, End, Neighbourhood, NewName, RowTags, Section, SectionReading, Subject, TagSet,
};
use crate::rdata::{FinalDot, Rdata, Target};
use crate::record::{FactBuf, StoredRecord};
use crate::render::{not_kept, percent, words};
use crate::rr::RrType;
use crate::tag::{Tag, TagEvent, TagKind, TagSubject};
use std::net::IpAddr;

/// Maximum number of RDATA characters in a cell; the rest is only counted.
const MAX_RDATA: usize = 320;

/// A link to another page of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) path: String,
    /// Its Unicode form, if it has one.
    pub(super) unicode: Option<Unicode>,
    /// True if it must not be broken across lines: an IPv4 address broken within a number reads as another one.
    pub(super) is_whole: bool,
}

impl Link {
    pub(super) fn name(name: &NameBuf) -> Self {
        let text = Subject::Name(name.clone()).to_string();
        let (path, unicode) = (name_path(name), unicode(name.as_name()));
        Self { text, path, unicode, is_whole: false }
    }

    fn below(apex: NameBuf) -> Self {
        let subject = Subject::Below(apex);
        let (text, path) = (subject.to_string(), path_of(&subject));
        Self { text, path, unicode: None, is_whole: false }
    }

    pub(super) fn address(address: IpAddr) -> Self {
        Self {
            text: address.to_string(),
            path: address_path(address),
            unicode: None,
            is_whole: address.is_ipv4(),
        }
    }

    pub(super) fn subject(subject: &Subject) -> Self {
        match subject {
            Subject::Name(name) => Self::name(name),
            subject => Self {
                text: subject.to_string(),
                path: path_of(subject),
                unicode: subject.name().and_then(|name| unicode(name.as_name())),
                is_whole: matches!(subject, Subject::Addresses(from, _) if from.is_ipv4()),
            },
        }
    }

    pub(super) fn tagged(subject: &TagSubject) -> Self {
        let asked = match subject {
            TagSubject::Name(name) => Subject::Name(name.clone()),
            TagSubject::Below(apex) => Subject::AtOrBelow(apex.clone()),
            TagSubject::Net(net) => Subject::from(*net),
        };
        Self::subject(&asked)
    }
}

/// A tag as a single word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) kind: &'static str,
    pub(super) title: String,
}

/// Returns the kinds among tags, each once.
pub(super) fn badges(tags: &[&Tag]) -> Vec<Badge> {
    let of = |kind: TagKind| {
        let first = tags.iter().find(|tag| tag.kind == kind)?;
        let note = if first.note.is_empty() { "" } else { ": " };
        let title = format!("{kind} by {}{note}{}", first.subject, visible(&first.note));
        Some(Badge { kind: kind.name(), title })
    };
    TagKind::ALL.into_iter().filter_map(of).collect()
}

/// A row of a table of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordLine {
    pub(super) rrtype: String,
    /// The owner name, unless it is the subject.
    pub(super) owner: Option<Link>,
    /// The RDATA or the outcome: the text before the link in it; `after` has the rest.
    pub(super) before: String,
    pub(super) link: Option<Link>,
    pub(super) after: String,
    pub(super) words: Vec<(&'static str, &'static str)>,
    pub(super) count: String,
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) ttl: String,
    /// The tags of the owner name, if it is shown.
    pub(super) owner_badges: Vec<Badge>,
    /// The tags of the address or name in the RDATA, if it is not the subject.
    pub(super) rdata_badges: Vec<Badge>,
    pub(super) bar: Bar,
}

impl RecordLine {
    /// Returns true if both sides of the record are shown.
    pub(super) fn has_both(&self) -> bool {
        self.owner.is_some()
            && (self.link.is_some() || !self.before.is_empty() || !self.after.is_empty())
    }
}

/// A table of records.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordTable {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) lines: Vec<RecordLine>,
    /// Both ends of the axis.
    pub(super) ends: Option<(Time, Time)>,
    /// Note on the rows that are left out.
    pub(super) left_out: String,
    /// Link to further rows.
    pub(super) more: Option<String>,
}

/// Builds the table of a section.
pub(super) fn table(
    section: Section,
    title: &str,
    subject: &Subject,
    rows: &SectionReading,
    axis: &Axis,
    tags: &TagSet,
) -> RecordTable {
    let lines: Vec<RecordLine> =
        rows.rows.iter().map(|row| line(subject, row, axis, tags)).collect();
    let left_out = words::left_out(rows, &grouped);
    let more = (!left_out.is_empty())
        .then(|| format!("/context?q={}&show={}", percent(&typed(subject)), section.name()));
    let ends = axis.ends().filter(|_| !lines.is_empty());
    RecordTable { id: section.name(), title: title.to_owned(), lines, ends, left_out, more }
}

fn line(subject: &Subject, row: &StoredRecord, axis: &Axis, tags: &TagSet) -> RecordLine {
    let seen = &row.seen;
    let is_own = *subject == Subject::Name(row.rrname.clone());
    let ends = tags.of_row(row);
    let (rrtype, (before, mut link, after)) = match &row.fact {
        fact if row.unkept.is_some() => {
            let outcome = match fact {
                FactBuf::Negative { outcome, .. } => format!("{outcome} "),
                FactBuf::Record(_) => String::new(),
            };
            let unkept = row.unkept.as_deref().map_or_else(String::new, not_kept);
            (fact.as_fact().rrtype().to_string(), (outcome + &unkept, None, String::new()))
        }
        FactBuf::Record(rdata) => (rdata.rrtype.to_string(), right_side(rdata.as_rdata())),
        FactBuf::Negative { qtype, outcome } => {
            (qtype.to_string(), (outcome.to_string(), None, String::new()))
        }
    };
    // Records that point at the subject need not repeat it in each line.
    if !is_own && before.is_empty() && after.is_empty() {
        link = link.filter(|link| link.path != path_of(subject));
    }
    RecordLine {
        rrtype,
        owner: (!is_own).then(|| match row.unkept_below() {
            Some(domain) => Link::below(domain),
            None => Link::name(&row.rrname),
        }),
        before,
        link,
        after,
        words: marks(row),
        count: if seen.is_count_saturated() {
            format!("at least {}", grouped(seen.count))
        } else {
            grouped(seen.count)
        },
        first: Time::of(seen.time_first),
        last: Time::of(seen.time_last),
        ttl: ttl(seen),
        owner_badges: if is_own { Vec::new() } else { end_badges(&ends, End::Rrname) },
        rdata_badges: if leads_here(subject, row) {
            Vec::new()
        } else {
            end_badges(&ends, End::Rdata)
        },
        bar: axis.bar(seen.time_first, seen.time_last),
    }
}

/// Returns the kinds in effect on one end of a record; their titles name that end.
fn end_badges(tags: &RowTags<'_>, end: End) -> Vec<Badge> {
    let mut made = badges(tags.at(end));
    for badge in &mut made {
        badge.title = format!("{}: {}", end.name(), badge.title);
    }
    made
}

/// Returns true if a record points at the subject of the page, whose tags are shown at the top.
fn leads_here(subject: &Subject, row: &StoredRecord) -> bool {
    let FactBuf::Record(rdata) = &row.fact else { return true };
    match (subject, rdata.as_rdata().target()) {
        (Subject::Addresses(from, to), Target::V4(_) | Target::V6(_)) => {
            let there = row.address().map(|address| address.to_canonical());
            from == to && there == Some(from.to_canonical())
        }
        (Subject::Name(name) | Subject::AtOrBelow(name), Target::Name(target)) => *name == target,
        _ => false,
    }
}

/// Splits RDATA at the name or address that it points at.
fn right_side(rdata: Rdata<'_>) -> (String, Option<Link>, String) {
    let text = rdata.to_text(FinalDot::Without);
    let (link, target, word) = match rdata.target() {
        Target::V4(address) => (Link::address(address.into()), address.to_string(), 0),
        Target::V6(address) => (Link::address(address.into()), address.to_string(), 0),
        Target::Name(name) if !name.as_name().is_root() => {
            let word = match rdata.rrtype {
                RrType::SRV => 3,
                RrType::MX
                | RrType::KX
                | RrType::AFSDB
                | RrType::RT
                | RrType::SVCB
                | RrType::HTTPS => 1,
                _ => 0,
            };
            (Link::name(&name), name.to_string(), word)
        }
        Target::Name(_) | Target::Octets => return (cut(text), None, String::new()),
    };
    // Names and addresses have no blank in their text.
    let start: usize = text.split(' ').take(word).map(|word| word.len() + 1).sum();
    let rest = text.get(start..).unwrap_or_default();
    match rest.strip_prefix(target.as_str()) {
        Some(after) if after.is_empty() || after.starts_with(' ') => {
            let before = text.get(..start).unwrap_or_default();
            let after = cut(after.to_owned());
            (before.to_owned(), Some(link), after)
        }
        // For example, an SRV record of which only the host is known.
        _ => (cut(text), None, String::new()),
    }
}

/// Shortens text to a bounded length; the text is printable ASCII.
fn cut(mut text: String) -> String {
    if text.len() > MAX_RDATA {
        let more = text.len() - MAX_RDATA;
        text.truncate(MAX_RDATA);
        text.push('\u{2026}');
        text = format!("{text} {} more characters", grouped(more as u64));
    }
    text
}

/// Returns further properties of a row, each with an explanation.
fn marks(row: &StoredRecord) -> Vec<(&'static str, &'static str)> {
    let mut words = Vec::new();
    if row.seen.flags == Seen::INFERRED {
        words.push(("inferred", "owner and type were worked out: the log told neither"));
    }
    if row.seen.flags == Seen::UNSOLICITED {
        words.push(("unsolicited", "seen only in responses that nobody was seen to ask for"));
    }
    if row.seen.is_imported() {
        words.push(("imported", "no sensor saw it: it comes from another passive DNS system"));
    }
    if row.unkept.is_none() && matches!(&row.fact, FactBuf::Record(rdata) if rdata.partial) {
        words.push(("partial", "the log told only the host of this record"));
    }
    words
}

fn ttl(seen: &Seen) -> String {
    match (seen.ttl_min, seen.ttl_max) {
        (Seen::NO_TTL, _) => String::new(),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least}\u{2013}{most}"),
    }
}

/// A neighbouring name, in a list.
#[derive(Clone, Debug)]
pub(super) struct Nearby {
    pub(super) name: Link,
    pub(super) address: Option<Link>,
    pub(super) first: Time,
    pub(super) name_badges: Vec<Badge>,
    pub(super) address_badges: Vec<Badge>,
}

/// A list of neighbours.
#[derive(Clone, Debug)]
pub(super) struct Vicinity {
    pub(super) title: &'static str,
    pub(super) whole: Link,
    pub(super) newest: Vec<Nearby>,
    pub(super) met: String,
}

/// Builds the list.
pub(super) fn vicinity(title: &'static str, around: &Neighbourhood, tags: &TagSet) -> Vicinity {
    let nearby = |neighbour: &NewName| {
        let address = neighbour.address;
        let rdata = address.map(|address| tags.of_address(address)).unwrap_or_default();
        let ends = RowTags { rrname: tags.of_name(neighbour.name.as_name()), rdata };
        Nearby {
            name: Link::name(&neighbour.name),
            address: address.map(Link::address),
            first: Time::of(neighbour.first),
            name_badges: end_badges(&ends, End::Rrname),
            address_badges: end_badges(&ends, End::Rdata),
        }
    };
    let met = words::neighbourhood_extent(around, &grouped);
    Vicinity {
        title,
        whole: Link::subject(&around.whole),
        newest: around.newest.iter().map(nearby).collect(),
        met,
    }
}

/// A tag with all details.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub(super) kind: &'static str,
    pub(super) on: Link,
    /// The subject in the form that is sent back; `None` if the tag is on something wider.
    pub(super) own: Option<String>,
    pub(super) act: &'static str,
    /// True if another tag overrides it.
    pub(super) is_overridden: bool,
    /// The subject of the tag that overrides it; empty if none does.
    pub(super) by: String,
    /// For an indicator: confidence, labels and validity; empty for a tag.
    pub(super) listing: String,
    pub(super) note: String,
    pub(super) source: String,
    pub(super) author: String,
    pub(super) time: Time,
}

/// Converts a tag; `own` has the tag subjects of the page itself.
pub(super) fn judgement(applied: &AppliedTag, own: &[TagSubject]) -> Judgement {
    let tag = &applied.tag;
    Judgement {
        kind: tag.kind.name(),
        on: Link::tagged(&tag.subject),
        // Only analysts' tags can be cleared here.
        own: (tag.is_own() && own.contains(&tag.subject)).then(|| typed_tag(&tag.subject)),
        act: "set",
        is_overridden: applied.overridden_by.is_some(),
        by: applied.overridden_by.as_ref().map(|by| by.subject.to_string()).unwrap_or_default(),
        listing: tag.listing.as_deref().map(words_of_listing).unwrap_or_default(),
        note: visible(&tag.note),
        source: visible(&tag.source),
        author: visible(&tag.author),
        time: Time::of(tag.time),
    }
}

/// Converts an entry of the history.
pub(super) fn past(event: &TagEvent) -> Judgement {
    let applied = AppliedTag { tag: event.tag.clone(), overridden_by: None };
    Judgement { act: event.act.name(), own: None, ..judgement(&applied, &[]) }
}

/// Describes what an indicator has besides a tag.
fn words_of_listing(listing: &Listing) -> String {
    visible(&crate::render::listing_words(listing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rrtype: RrType, octets: &[u8]) -> (String, Option<String>, String) {
        let (before, link, after) = right_side(Rdata { rrtype, octets, partial: false });
        (before, link.map(|link| link.path), after)
    }

    #[test]
    fn rdata_is_linked_where_it_leads() {
        let check = |rrtype, octets: &[u8], before: &str, path: &str, after: &str| {
            let path = (!path.is_empty()).then(|| path.to_owned());
            assert_eq!(shown(rrtype, octets), (before.to_owned(), path, after.to_owned()));
        };
        check(RrType::A, &[192, 0, 2, 7], "", "/context/192.0.2.7", "");
        check(RrType::CNAME, b"\x03www\x07example\x00", "", "/context/www.example", "");
        check(RrType::MX, b"\x00\x01\x011\x00", "1 ", "/context/%5C049", "");
        check(RrType::MX, b"\x00\x00\x00", "0 .", "", "");
        check(RrType::SRV, b"\x00\x01\x00\x02\x00\x03\x01h\x00", "1 2 3 ", "/context/h", "");
        check(RrType::TXT, b"\x03<b>", "\"<b>\"", "", "");
        let soa = [b"\x02ns\x00\x01h\x00".as_slice(), &[0; 20]].concat();
        check(RrType::SOA, &soa, "", "/context/ns", " h 0 0 0 0 0");
    }

    #[test]
    fn long_text_is_cut() {
        let text = cut("x".repeat(1_000));
        assert!(text.ends_with("\u{2026} 680 more characters") && text.len() < 400, "{text}");
    }
}
