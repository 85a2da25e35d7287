//! Builds the data of a page from a request.
//!
//! Part of the page. The sections are read one after another on the query's thread; each of them is bounded.

use super::page::{Context, Form, NearThreat, OneSection, PageFrame, Start};
use super::parse_value::{ClickedValue, typed};
use super::sanitize::visible;
use super::score_card::ScoreCard;
use super::timeline::{Axis, Time, grouped};
use super::view::{Link, RecordTable, Vicinity, badges, judgement, past, table, vicinity};
use crate::name::display::unicode;
use crate::query::{
    self, AssessError, Cursor, Depth, Profile, ProfileQuery, Scorer, Section, Sections, Subject,
    TagSet, own_subjects, read_section, subjects_of_row, wider,
};
use crate::render::percent;
use crate::render::words;
use crate::serve::pages::hunt::HuntUrl;
use crate::serve::stream::Out;
use crate::store::{MAX_HISTORY, Reader, StoreError};
use crate::tag::TagSubject;
use std::ops::ControlFlow;

/// Number of tag changes shown on the start page.
const LATEST: usize = 10;

/// Parameters of a page request.
pub(super) struct PageRequest {
    pub(super) asked: ClickedValue,
    /// The field of the log that was clicked.
    pub(super) field: Option<String>,
    /// The time of the event that was clicked.
    pub(super) at: Option<u32>,
    /// Message about the change that the visitor has just made.
    pub(super) done: Option<String>,
    /// Token for the form that sets tags.
    pub(super) token: Option<String>,
}

/// Everything besides the store that a page rests on.
pub(super) struct Around<'a> {
    /// The tags among which the nearest threat is sought.
    pub(super) threats: &'a TagSet,
    pub(super) scorer: &'a Scorer,
    /// The time of the score, in seconds since 1970.
    pub(super) now: u32,
}

/// Builds the page of a subject.
pub(super) fn context(
    store: &mut Reader<'_>,
    visit: PageRequest,
    around: &Around<'_>,
    hunt: Option<&HuntUrl>,
    out: &Out,
) -> Result<Context, StoreError> {
    let subject = &visit.asked.subject;
    let stop = || out.check().is_err();
    let query = ProfileQuery { subject, at: visit.at, stop: &stop };
    let profile = query::profile(store, around.threats, &query)?;
    let score = match query::assess(store, around.scorer, subject, around.now) {
        Ok(assessed) => Some(ScoreCard::new(&assessed)),
        Err(AssessError::NoScore(_)) => None,
        Err(AssessError::Store(error)) => return Err(error),
    };
    let text = subject.to_string();
    let mut axis = Axis::marked(visit.at);
    if let Some((first, last)) = profile.span() {
        axis.add(first, last);
    }
    let own_subjects = own_subjects(subject);
    let rows = &profile.of_rows;
    let (in_effect, _) = profile.tags_by_effect();
    let mut said: Vec<String> = visit.done.into_iter().collect();
    said.extend(words::event(visit.field.as_deref(), visit.at, &profile.records, &grouped));
    let token = visit.token.filter(|_| !own_subjects.is_empty());
    Ok(Context {
        frame: PageFrame { title: text.clone(), asked: typed(subject) },
        sort: subject.sort(),
        unicode: subject.name().and_then(|name| unicode(name.as_name())),
        badges: badges(&in_effect),
        summary: words::summary(&profile, &grouped),
        said,
        others: visit.asked.others.iter().map(Link::subject).collect(),
        pivots: wider(subject).iter().map(Link::subject).collect(),
        cof: format!("/pdns/query/{}", percent(&typed(subject))),
        hunt: hunt.map(|hunt| hunt.of(subject)),
        tables: sections(&profile, &axis, rows),
        vicinities: vicinities(&profile, rows),
        near: nearest(&profile),
        score,
        tags: profile.tags.iter().map(|applied| judgement(applied, &own_subjects)).collect(),
        history: profile.changes.latest.iter().map(past).collect(),
        history_note: words::changes_left_out(&profile.changes, MAX_HISTORY, &grouped),
        form: token.map(|token| Form {
            token,
            subject: typed(subject),
            has_below: matches!(subject, Subject::Name(_)),
        }),
        subject: text,
    })
}

/// Builds a page of one section.
pub(super) fn section(
    store: &mut Reader<'_>,
    subject: &Subject,
    section: Section,
    after: Option<Cursor>,
    out: &Out,
) -> Result<OneSection, StoreError> {
    let sections = Sections::open(store, subject, section == Section::Negatives)?;
    let stop = || out.check().is_err();
    let rows = read_section(store, &sections, section, Depth::Page(after), &stop)?;
    let mut axis = Axis::default();
    for row in &rows.rows {
        axis.add(row.seen.time_first, row.seen.time_last);
    }
    let text = subject.to_string();
    let shown: Vec<TagSubject> = rows.rows.iter().flat_map(subjects_of_row).collect();
    let tags = TagSet::of_subjects(store, &shown)?;
    let mut table =
        table(section, words::section_title(subject, section), subject, &rows, &axis, &tags);
    table.more = None;
    if rows.extent.is_whole() {
        table.left_out = String::new();
    }
    let next = rows.next.map(|next| {
        let (q, show) = (percent(&typed(subject)), section.name());
        format!("/context?q={q}&show={show}&after={}", next.number())
    });
    Ok(OneSection {
        frame: PageFrame { title: text, asked: typed(subject) },
        subject: Link::subject(subject),
        table,
        next,
        is_late: rows.is_late,
    })
}

/// Builds the start page.
pub(super) fn start(store: &mut Reader<'_>) -> Result<Start, StoreError> {
    let summary = store.summary()?;
    let mut latest = Vec::new();
    store.tag_history(&mut |event| {
        latest.push(past(&event));
        if latest.len() < LATEST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let written = summary.sources.iter().map(|(_, source)| source.updated).max();
    Ok(Start {
        frame: PageFrame { title: "Passive DNS".to_owned(), asked: String::new() },
        numbers: vec![
            ("names", grouped(summary.names)),
            ("records", grouped(summary.records)),
            ("negative answers", grouped(summary.negatives)),
            ("sensors", grouped(summary.sensor_names().count() as u64)),
            ("MiB in Redis", grouped(summary.capacity.used >> 20)),
        ],
        warnings: summary.warnings(),
        written: written.and_then(|at| u32::try_from(at).ok()).filter(|&at| at > 0).map(Time::of),
        latest,
    })
}

/// Returns the tables that have rows.
fn sections(profile: &Profile, axis: &Axis, tags: &TagSet) -> Vec<RecordTable> {
    let subject = &profile.subject;
    let read = [&profile.records, &profile.pointing, &profile.negatives];
    let mut tables: Vec<RecordTable> = Section::ALL
        .into_iter()
        .zip(read)
        .filter(|(_, rows)| !rows.rows.is_empty())
        .map(|(section, rows)| {
            table(section, words::section_title(subject, section), subject, rows, axis, tags)
        })
        .collect();
    let reverse = &profile.reverse;
    if !reverse.rows.is_empty() {
        let mut axis = *axis;
        for row in &reverse.rows {
            axis.add(row.seen.time_first, row.seen.time_last);
        }
        let title = "Its reverse name (PTR)";
        let made = table(Section::Records, title, subject, reverse, &axis, tags);
        tables.push(RecordTable { id: "reverse", more: None, ..made });
    }
    tables
}

fn vicinities(profile: &Profile, tags: &TagSet) -> Vec<Vicinity> {
    let title = |near| words::neighbourhood_title(&profile.subject, near);
    profile.neighbourhoods.iter().map(|near| vicinity(title(near), near, tags)).collect()
}

/// Returns the threat nearest to the addresses of the subject.
fn nearest(profile: &Profile) -> Option<NearThreat> {
    let nearest = profile.nearest.as_ref()?;
    let (from, near) = (nearest.from, nearest.near());
    let compared = words::compared(nearest, profile.records.extent, &grouped);
    let threat = Link::tagged(&near.tag.subject);
    let at = near.address.to_string();
    Some(NearThreat {
        from: Link::address(from),
        at: if at == threat.text { String::new() } else { at },
        threat,
        distance: format!("{:.1}", near.distance()),
        shared: near.shared,
        note: visible(&near.tag.note),
        is_part: compared.is_some(),
        compared: compared.map(|text| format!("{text}.")).unwrap_or_default(),
    })
}
