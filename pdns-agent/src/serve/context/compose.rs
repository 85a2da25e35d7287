//! One visit: from what was asked to what the templates show.
//!
//! Part of the page. The parts are read one after the other on the visit's thread, each of them bounded.

use super::around::{self, Around};
use super::asked::{Asked, tag_of, typed};
use super::hunt::HuntUrl;
use super::page::{Context, Form, Frame, NearThreat, OneSection, Start};
use super::read::{self, Depth, Reading, Section};
use super::shown::visible;
use super::summary::{event, of_first, summary};
use super::timeline::{Axis, Time, grouped};
use super::view::{Link, Table, Vicinity, badges, judgement, past, table, vicinity};
use crate::name::{Name, display::unicode, suffix};
use crate::query::{Cursor, Subject, TagSet, is_overridden, near, net_of};
use crate::record::StoredRecord;
use crate::render::percent;
use crate::serve::answer::Out;
use crate::store::{MAX_HISTORY, Reader, StoreError};
use crate::tag::{Tag, TagEvent, TagKind, TagSubject};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Changes of a subject's tags that are shown, and changes of all tags on the start page.
const PAST: (usize, usize) = (50, 10);
/// Addresses of a name from which the nearest threat is looked for; with 500,000 tags they take half a second.
const NEAR_FROM: usize = 256;

/// What a visitor asks for.
pub(super) struct Visit {
    pub(super) asked: Asked,
    /// The field of the log that was clicked.
    pub(super) field: Option<String>,
    /// The time of the event that was clicked.
    pub(super) at: Option<u32>,
    /// What the visitor just did.
    pub(super) done: Option<String>,
    /// For the form that sets tags.
    pub(super) token: Option<String>,
}

/// Makes the page of a subject.
pub(super) fn context(
    store: &mut Reader<'_>,
    visit: Visit,
    tags: &TagSet,
    hunt: Option<&HuntUrl>,
    out: &Out,
) -> Result<Context, StoreError> {
    let subject = &visit.asked.subject;
    let text = subject.to_string();
    let depth = Depth::Glance(visit.at);
    let mut glance = |section| read::section(store, subject, section, depth, out);
    let records = glance(Section::Records)?;
    let pointing = glance(Section::Pointing)?;
    let negatives = glance(Section::Negatives)?;
    let mut axis = Axis::marked(visit.at);
    for rows in [&records, &pointing, &negatives] {
        if let (Some(first), Some(last)) = (rows.first, rows.last) {
            axis.add(first, last);
        }
    }
    let nearby = surroundings(store, subject, &records)?;
    let tables = sections(store, subject, [&records, &pointing, &negatives], &axis, tags, out)?;
    let own_subjects = own_subjects(subject);
    let applying = applying(subject, tags);
    let in_effect: Vec<&Tag> =
        applying.iter().filter(|tag| !is_overridden(tag, &applying)).copied().collect();
    let (history, history_note) = history(store, &own_subjects)?;
    let mut said: Vec<String> = visit.done.into_iter().collect();
    said.extend(event(visit.field.as_deref(), visit.at, &records));
    let token = visit.token.filter(|_| !own_subjects.is_empty());
    Ok(Context {
        frame: Frame { title: text.clone(), asked: typed(subject) },
        sort: subject.sort(),
        unicode: subject.name().and_then(|name| unicode(name.as_name())),
        badges: badges(&in_effect),
        summary: summary(subject, &records, &pointing, &negatives, &nearby),
        said,
        others: visit.asked.others.iter().map(Link::subject).collect(),
        pivots: pivots(subject),
        cof: format!("/pdns/query/{}", percent(&typed(subject))),
        hunt: hunt.map(|hunt| hunt.of(subject)),
        tables,
        vicinities: vicinities(subject, &nearby, tags),
        near: nearest(subject, &records, tags),
        tags: applying.iter().map(|tag| judgement(tag, &own_subjects, &applying)).collect(),
        history: history.iter().map(past).collect(),
        history_note,
        form: token.map(|token| Form {
            token,
            subject: typed(subject),
            has_below: matches!(subject, Subject::Name(_)),
        }),
        subject: text,
    })
}

/// Makes a page of one section.
pub(super) fn section(
    store: &mut Reader<'_>,
    subject: &Subject,
    section: Section,
    after: Option<Cursor>,
    tags: &TagSet,
    out: &Out,
) -> Result<OneSection, StoreError> {
    let rows = read::section(store, subject, section, Depth::All(after), out)?;
    let mut axis = Axis::default();
    for row in &rows.rows {
        axis.add(row.seen.time_first, row.seen.time_last);
    }
    let text = subject.to_string();
    let mut table = table(section, title(subject, section), subject, &rows, &axis, tags);
    table.more = None;
    if rows.extent.is_whole() {
        table.left_out = String::new();
    }
    let next = rows.next.map(|next| {
        let (q, show) = (percent(&typed(subject)), section.name());
        format!("/context?q={q}&show={show}&after={}", next.number())
    });
    Ok(OneSection {
        frame: Frame { title: text, asked: typed(subject) },
        subject: Link::subject(subject),
        table,
        next,
        is_late: rows.is_late,
    })
}

/// Makes the start page.
pub(super) fn start(store: &mut Reader<'_>) -> Result<Start, StoreError> {
    let summary = store.summary()?;
    let mut latest = Vec::new();
    store.tag_history(&mut |event| {
        latest.push(past(&event));
        if latest.len() < PAST.1 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let written = summary.sources.iter().map(|(_, source)| source.updated).max();
    Ok(Start {
        frame: Frame { title: "Passive DNS".to_owned(), asked: String::new() },
        numbers: vec![
            ("names", grouped(summary.names)),
            ("records", grouped(summary.records)),
            ("negative answers", grouped(summary.negatives)),
            ("sensors", grouped(summary.sensors.len() as u64)),
            ("MiB in Redis", grouped(summary.capacity.used >> 20)),
        ],
        warnings: summary.capacity.warnings(),
        written: written.and_then(|at| u32::try_from(at).ok()).filter(|&at| at > 0).map(Time::of),
        latest,
    })
}

fn title(subject: &Subject, section: Section) -> &'static str {
    match (subject, section) {
        (Subject::Name(_) | Subject::AtOrBelow(_), Section::Records) => "What it resolved to",
        (_, Section::Records) => "Records that point here",
        (_, Section::Pointing) => "What points at it",
        (_, Section::Negatives) => "Negative answers",
    }
}

/// The tables that have rows.
fn sections(
    store: &mut Reader<'_>,
    subject: &Subject,
    rows: [&Reading; 3],
    axis: &Axis,
    tags: &TagSet,
    out: &Out,
) -> Result<Vec<Table>, StoreError> {
    let sections = [Section::Records, Section::Pointing, Section::Negatives];
    let mut tables: Vec<Table> = sections
        .into_iter()
        .zip(rows)
        .filter(|(_, rows)| !rows.rows.is_empty())
        .map(|(section, rows)| table(section, title(subject, section), subject, rows, axis, tags))
        .collect();
    if let Subject::Addresses(from, to) = subject
        && from == to
    {
        let reverse = read::reverse(store, *from, out)?;
        if !reverse.rows.is_empty() {
            let mut axis = *axis;
            for row in &reverse.rows {
                axis.add(row.seen.time_first, row.seen.time_last);
            }
            let title = "Its reverse name (PTR)";
            let made = table(Section::Records, title, subject, &reverse, &axis, tags);
            tables.push(Table { id: "reverse", more: None, ..made });
        }
    }
    Ok(tables)
}

/// What lies around the subject.
fn surroundings(
    store: &mut Reader<'_>,
    subject: &Subject,
    records: &Reading,
) -> Result<Vec<Around>, StoreError> {
    let mut found = Vec::new();
    match subject {
        Subject::Name(name) => {
            found.extend(around::under_domain(store, name.as_name(), records.read > 0)?);
            for net in around::prefixes(&records.rows) {
                found.push(around::in_prefix(store, net, &|row| row.rrname == *name)?);
            }
        }
        Subject::Below(apex) | Subject::AtOrBelow(apex) => {
            found.push(around::below(store, apex.clone())?);
        }
        Subject::Addresses(from, to) if from == to => {
            if let Some(net) = around::prefix(*from) {
                let is_own = |row: &StoredRecord| row.address() == Some(*from);
                found.push(around::in_prefix(store, net, &is_own)?);
            }
        }
        Subject::Addresses(..) => {}
    }
    Ok(found)
}

fn vicinities(subject: &Subject, nearby: &[Around], tags: &TagSet) -> Vec<Vicinity> {
    let title = |around: &Around| match (&around.whole, subject, around.extent.is_whole()) {
        (Subject::Below(_), Subject::Below(_) | Subject::AtOrBelow(_), true) => {
            "Newest names below"
        }
        (Subject::Below(_), _, true) => "Newest under",
        (Subject::Below(_), _, false) => "Names under",
        (_, _, true) => "Newest in",
        (_, _, false) => "Some names in",
    };
    nearby.iter().map(|around| vicinity(title(around), around, tags)).collect()
}

/// Subjects that hold this one.
fn pivots(subject: &Subject) -> Vec<Link> {
    let mut found = Vec::new();
    match subject {
        Subject::Name(name) | Subject::Below(name) | Subject::AtOrBelow(name) => {
            let name = name.as_name();
            let parent = name.suffix(name.labels().count().saturating_sub(1));
            let wider = [suffix::registrable(name), Some(parent)];
            let is_wider = |wider: &Name<'_>| *wider != name && !suffix::is_public(*wider);
            let mut wider: Vec<Name<'_>> = wider.into_iter().flatten().filter(is_wider).collect();
            wider.dedup();
            found.extend(wider.into_iter().map(|wider| Subject::Name(wider.to_buf())));
            if matches!(subject, Subject::Name(_)) {
                found.push(Subject::Below(name.to_buf()));
            } else {
                found.push(Subject::Name(name.to_buf()));
            }
        }
        Subject::Addresses(from, to) => {
            let net = net_of(*from, *to);
            let wider =
                if from == to { around::prefix(*from) } else { net.and_then(|net| net.supernet()) };
            found.extend(wider.map(|net| Subject::Addresses(net.network(), net.broadcast())));
        }
    }
    found.iter().map(Link::subject).collect()
}

/// What tags on this very page are on.
fn own_subjects(subject: &Subject) -> Vec<TagSubject> {
    let below = match subject {
        Subject::Name(name) if !name.as_name().is_root() => Some(TagSubject::Below(name.clone())),
        _ => None,
    };
    tag_of(subject).into_iter().chain(below).collect()
}

/// The tags that hold for the subject, overridden ones as well.
fn applying<'t>(subject: &Subject, tags: &'t TagSet) -> Vec<&'t Tag> {
    tag_of(subject).map(|subject| tags.all_of_subject(&subject)).unwrap_or_default()
}

/// The latest changes of the tags that hold for the subject, and what is missing of them.
fn history(
    store: &mut Reader<'_>,
    own: &[TagSubject],
) -> Result<(Vec<TagEvent>, String), StoreError> {
    let (mut found, mut count) = (Vec::new(), 0_u64);
    if own.is_empty() {
        return Ok((found, String::new()));
    }
    let holds = |subject: &TagSubject| own.iter().any(|own| own.is_within(subject));
    let dropped = store.tag_history_of(&holds, &mut |event| {
        count += 1;
        if found.len() < PAST.0 {
            found.push(event);
        }
        ControlFlow::Continue(())
    })?;
    let mut note = String::new();
    if count > found.len() as u64 {
        note = format!("The latest {} of {} changes.", found.len(), grouped(count));
    }
    if dropped > 0 {
        let (kept, gone) = (grouped(MAX_HISTORY.into()), grouped(dropped));
        note = format!(
            "{note} The store keeps the last {kept} changes of all tags; {gone} older ones are gone."
        );
    }
    Ok((found, note.trim_start().to_owned()))
}

/// The threat that is nearest to the subject's addresses.
fn nearest(subject: &Subject, records: &Reading, tags: &TagSet) -> Option<NearThreat> {
    let from: Vec<IpAddr> = match subject {
        Subject::Addresses(from, to) if from == to => vec![*from],
        Subject::Name(_) | Subject::AtOrBelow(_) => records.addresses.iter().copied().collect(),
        _ => Vec::new(),
    };
    let is_part = from.len() > NEAR_FROM || !records.extent.is_whole();
    let compared = match of_first(records.extent, "records") {
        _ if !is_part => String::new(),
        part => format!(
            "{} of the {} addresses{} were compared.",
            NEAR_FROM.min(from.len()),
            grouped(from.len() as u64),
            part.map(|part| format!(" {part}")).unwrap_or_default()
        ),
    };
    let found = from.into_iter().take(NEAR_FROM).filter_map(|address| {
        let (nearest, _) = near(tags, address, Some(TagKind::Threat), 1);
        nearest.into_iter().next().map(|near| (address, near))
    });
    let (address, near) = found
        .min_by_key(|(address, near)| (near.square, std::cmp::Reverse(near.shared), *address))?;
    let threat = Link::tagged(&near.tag.subject);
    let at = near.address.to_string();
    Some(NearThreat {
        from: Link::address(address),
        at: if at == threat.text { String::new() } else { at },
        threat,
        distance: format!("{:.1}", near.distance()),
        shared: near.shared,
        note: visible(&near.tag.note),
        is_part,
        compared,
    })
}
