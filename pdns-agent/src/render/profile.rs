//! Profiles: for a terminal in the order of the page, and as one JSON object.

pub(crate) mod words;

use super::json::Object;
use super::paragraph::paragraph;
use super::table::{Column, Kind, lines};
use super::{Format, Item, RenderOptions, escape, score, utc};
use crate::enrich::Network;
use crate::name::display::unicode;
use crate::query::{
    Assessment, NearestThreat, Neighbourhood, NewName, Profile, Section, SectionReading, Subject,
    printed_name, wider,
};
use crate::tag::Tag;
use serde::Serialize;
use std::io::{self, Write};
use std::sync::Arc;

/// Writes a profile, and the score of its subject, if it has one. `kept` is the number of tag changes that a store keeps. Formats other than [`Format::Json`] are
/// rendered like [`Format::Table`].
///
/// # Errors
/// Errors of the writer.
pub fn profile(
    profile: &Profile,
    score: Option<&Assessment>,
    kept: u32,
    format: Format,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let look = RenderOptions { tags: Arc::clone(&profile.of_rows), ..look.clone() };
    match format {
        Format::Json => json(profile, score, &look, out),
        _ => terminal(profile, score, kept, &look, out),
    }
}

/// Returns the sections with their names.
fn sections(profile: &Profile) -> [(Section, &SectionReading); 3] {
    let [records, pointing, negatives] = Section::ALL;
    [(records, &profile.records), (pointing, &profile.pointing), (negatives, &profile.negatives)]
}

/// Writes paragraphs and tables.
fn terminal(
    profile: &Profile,
    score: Option<&Assessment>,
    kept: u32,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let subject = &profile.subject;
    let digits = |number: u64| number.to_string();
    let form = subject.name().and_then(|name| unicode(name.as_name()));
    let form = form.map(|form| format!(" {}", form.note())).unwrap_or_default();
    title(look, out, &format!("{subject}{form} ({})", subject.sort()))?;
    paragraph(look, out, &words::summary(profile, &digits))?;
    if let Some(network) = network(subject, look).filter(|network| !network.is_empty()) {
        paragraph(look, out, &format!("Its network is {}.", escape(&network.to_string())))?;
    }
    if let Some(score) = score {
        heading(look, out, &format!("Score {}", score::headline(score)), "")?;
        score::short_body(score, look, out)?;
    }
    let (tags, overridden) = profile.tags_by_effect();
    for (title, tags) in [("Tags", tags), ("Tags that another overrides", overridden)] {
        let own: Vec<&Tag> = tags.into_iter().filter(|tag| tag.is_own()).collect();
        if !own.is_empty() {
            heading(look, out, title, "")?;
            items(look, out, own.into_iter().map(Item::Tag))?;
        }
    }
    if profile.tags.iter().any(|applied| !applied.tag.is_own()) {
        heading(look, out, "Indicators", "")?;
        items(look, out, indicators(profile))?;
    }
    for (section, read) in sections(profile) {
        if !read.rows.is_empty() {
            let title = words::section_title(subject, section);
            heading(look, out, title, &words::left_out(read, &digits))?;
            let is_own = section != Section::Pointing && subject.name().is_some();
            let look = RenderOptions { hides_owner: is_own, ..look.clone() };
            items(&look, out, read.rows.iter().map(Item::Record))?;
        }
    }
    if !profile.reverse.rows.is_empty() {
        let left_out = words::left_out(&profile.reverse, &digits);
        heading(look, out, "Its reverse name (PTR)", &left_out)?;
        let look = &RenderOptions { hides_owner: true, ..look.clone() };
        items(look, out, profile.reverse.rows.iter().map(Item::Record))?;
    }
    for near in &profile.neighbourhoods {
        if near.names == 0 && near.extent.is_whole() {
            continue;
        }
        let title = format!("{} {}", words::neighbourhood_title(subject, near), near.whole);
        heading(look, out, &title, &words::neighbourhood_extent(near, &digits))?;
        neighbours(look, out, &near.newest)?;
    }
    if let Some(nearest) = &profile.nearest {
        heading(look, out, "Nearest threat", "")?;
        paragraph(look, out, &nearest_threat(nearest, profile))?;
    }
    if !profile.changes.latest.is_empty() {
        let left_out = words::changes_left_out(&profile.changes, kept, &digits);
        heading(look, out, "Changes of its tags", &left_out)?;
        items(look, out, profile.changes.latest.iter().map(Item::TagEvent))?;
    }
    let wider: Vec<String> = wider(subject).iter().map(ToString::to_string).collect();
    if !wider.is_empty() {
        heading(look, out, "See also", "")?;
        paragraph(look, out, &wider.join("  "))?;
    }
    Ok(())
}

/// Returns the indicators that apply, each with the tag that overrides it.
fn indicators(profile: &Profile) -> impl Iterator<Item = Item<'_>> {
    let listed = profile.tags.iter().filter(|applied| !applied.tag.is_own());
    listed.map(|applied| Item::Indicator(&applied.tag, applied.overridden_by.as_ref()))
}

/// Returns the sentence about the nearest threat.
fn nearest_threat(nearest: &NearestThreat, profile: &Profile) -> String {
    let (from, near) = (nearest.from, nearest.near());
    let at = near.address.to_string();
    let threat = near.tag.subject.to_string();
    let at = if at == threat { String::new() } else { format!(", at {at},") };
    let note = match near.tag.note.as_str() {
        "" => String::new(),
        note => format!(": {note}"),
    };
    let part = words::compared(nearest, profile.records.extent, &|number| number.to_string());
    let part = part.map(|part| format!("; {part}")).unwrap_or_default();
    format!(
        "{threat}{at} is {:.1} from {from} (same /{}){note}{part}",
        near.distance(),
        near.shared
    )
}

/// Writes the first line, bold if the options say so.
fn title(look: &RenderOptions, out: &mut dyn Write, text: &str) -> io::Result<()> {
    let (on, off) = if look.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    writeln!(out, "{on}{}{off}", printable(text))
}

/// Escapes text for a terminal: only the Unicode form of a name may have letters outside ASCII.
fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) { escape(text).into_owned() } else { text.to_owned() }
}

fn heading(look: &RenderOptions, out: &mut dyn Write, text: &str, note: &str) -> io::Result<()> {
    writeln!(out)?;
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    title(look, out, &format!("{text}{note}"))
}

fn items<'a>(
    look: &RenderOptions,
    out: &mut dyn Write,
    items: impl Iterator<Item = Item<'a>>,
) -> io::Result<()> {
    let mut renderer = Format::Table.renderer(RenderOptions { bold: false, ..look.clone() });
    for item in items {
        renderer.item(&item, out)?;
    }
    renderer.end(out)
}

/// Writes the names of a neighbourhood in columns.
fn neighbours(look: &RenderOptions, out: &mut dyn Write, newest: &[NewName]) -> io::Result<()> {
    if newest.is_empty() {
        return Ok(());
    }
    let columns: [Column; 3] =
        [("RRNAME", Kind::Text), ("ADDRESS", Kind::Text), ("FIRST (UTC)", Kind::Time)];
    let rows = newest.iter().map(|one| {
        let address = one.address.map(|address| address.to_string()).unwrap_or_default();
        vec![printed_name(&one.name), address, utc(one.first) + "Z"]
    });
    lines(&columns, rows.collect(), &RenderOptions { bold: false, ..look.clone() }, out)
}

/// The totals of a section in JSON.
#[derive(Serialize)]
struct SectionSums {
    rows_read: usize,
    complete: bool,
    count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    count_is_lower_bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_first: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_last: Option<u32>,
}

/// A neighbourhood in JSON.
#[derive(Serialize)]
struct NeighbourhoodJson {
    within: String,
    names: u64,
    complete: bool,
    /// The newest of all names.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<Vec<NewNameJson>>,
    /// The newest of those that were read, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    some: Option<Vec<NewNameJson>>,
}

#[derive(Serialize)]
struct NewNameJson {
    rrname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    time_first: u32,
}

impl NeighbourhoodJson {
    fn new(near: &Neighbourhood) -> Self {
        let newest = near.newest.iter().map(|one| NewNameJson {
            rrname: one.name.to_string(),
            address: one.address.map(|address| address.to_string()),
            time_first: one.first,
        });
        let (names, complete) = (newest.collect(), near.extent.is_whole());
        let (newest, some) = if complete { (Some(names), None) } else { (None, Some(names)) };
        Self { within: near.whole.to_string(), names: near.names, complete, newest, some }
    }
}

/// Returns what tables say of a subject that is one address.
fn network(subject: &Subject, look: &RenderOptions) -> Option<Network> {
    match subject {
        Subject::Addresses(from, to) if from == to => look.network(Some(*from)),
        _ => None,
    }
}

/// Writes one object with everything.
fn json(
    profile: &Profile,
    score: Option<&Assessment>,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let subject = &profile.subject;
    let mut object = Object::begin(out)?;
    object.field("subject", &subject.to_string())?;
    object.field("sort", &subject.sort())?;
    if let Some(form) = subject.name().and_then(|name| unicode(name.as_name())) {
        object.field("unicode", &form.text)?;
        if let Some(warning) = form.warning {
            object.field("warning", &warning)?;
        }
    }
    if let Some(network) = network(subject, look) {
        object.field("as_number", &network.asn)?;
        object.field("as_organization", &network.organisation.as_deref())?;
        object.field("country_code", &network.country())?;
    }
    let is_tree = matches!(subject, Subject::Below(_) | Subject::AtOrBelow(_));
    let is_whole = sections(profile).iter().all(|(_, read)| read.extent.is_whole());
    // Of a part, or of one name of many, they would be wrong.
    if let Some((first, last)) = profile.span().filter(|_| is_whole && !is_tree) {
        object.field("time_first", &first)?;
        object.field("time_last", &last)?;
    }
    if let Some(score) = score {
        object.object("score", &score::line(score)?)?;
    }
    let (mut tags, mut overridden) = profile.tags_by_effect();
    tags.retain(|tag| tag.is_own());
    overridden.retain(|tag| tag.is_own());
    object.items("tags", &encoded(look, tags.into_iter().map(Item::Tag))?)?;
    object.items("tags_overridden", &encoded(look, overridden.into_iter().map(Item::Tag))?)?;
    object.items("indicators", &encoded(look, indicators(profile))?)?;
    let reverse = [("reverse", &profile.reverse)];
    let named = sections(profile).map(|(section, read)| (section.name(), read));
    if let Subject::AtOrBelow(name) = subject {
        // The names below are among the neighbourhoods.
        object.field("records_of", &name.to_string())?;
    }
    let has_sections = !matches!(subject, Subject::Below(_));
    for (name, read) in named.into_iter().chain(reverse).filter(|_| has_sections) {
        let rows = encoded(look, read.rows.iter().map(Item::Record))?;
        let sums = SectionSums {
            rows_read: read.read,
            complete: read.extent.is_whole(),
            count: read.count,
            count_is_lower_bound: read.is_least,
            time_first: read.first,
            time_last: read.last,
        };
        object.items(name, &rows)?;
        object.field(&format!("{name}_sums"), &sums)?;
    }
    let near: Vec<_> = profile.neighbourhoods.iter().map(NeighbourhoodJson::new).collect();
    object.field("neighbourhoods", &near)?;
    if let Some(nearest) = &profile.nearest {
        let NearestThreat { from, compared, addresses, .. } = nearest;
        let near = nearest.near();
        object.object("nearest_threat", &encoded(look, [Item::Near(&near, None)].into_iter())?)?;
        object.field("nearest_threat_from", &from.to_string())?;
        object.field("addresses", addresses)?;
        object.field("addresses_compared", compared)?;
    }
    let changes = profile.changes.latest.iter().map(Item::TagEvent);
    object.items("tag_changes", &encoded(look, changes)?)?;
    object.field("tag_changes_count", &profile.changes.count)?;
    let wider: Vec<String> = wider(subject).iter().map(ToString::to_string).collect();
    object.field("see_also", &wider)?;
    object.end()
}

/// Encodes items as JSON objects, one per line.
fn encoded<'a>(look: &RenderOptions, items: impl Iterator<Item = Item<'a>>) -> io::Result<Vec<u8>> {
    let mut renderer = Format::Json.renderer(look.clone());
    let mut lines = Vec::new();
    for item in items {
        renderer.item(&item, &mut lines)?;
    }
    renderer.end(&mut lines)?;
    Ok(lines)
}
