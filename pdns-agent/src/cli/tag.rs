//! `pdns tag`: what the organisation itself says of names and addresses.

mod import;

use super::answer::Answer;
use super::args::Rows;
use super::args::tag::{Reach, TagCommand, Words};
use super::resolve::{LIMIT, UsageError};
use super::{CliError, Found, Terminal, cannot, open};
use crate::query::{Page, Scope, tag_subject};
use crate::render::{Format, Item};
use crate::store::{MAX_HISTORY, Options, Tag, TagChange, TagKind, TagOutcome, TagSubject};
use std::ops::ControlFlow;

/// Runs a command on tags.
pub(super) fn run(
    command: &TagCommand,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    match command {
        TagCommand::Set { kind, subjects, words, reach } => {
            rows.allow("tag set", &[])?;
            set(*kind, subjects, words, *reach, options, terminal)
        }
        TagCommand::Clear { words, note, author, reach } => {
            rows.allow("tag clear", &[])?;
            let author = said_by(author.as_ref(), terminal);
            clear(words, note, &author, *reach, options, terminal)
        }
        TagCommand::List { kind, under } => {
            rows.allow("tag list", &["--limit", "--format"])?;
            list(*kind, under.as_deref(), rows, options, terminal)
        }
        TagCommand::History { subject } => {
            rows.allow("tag history", &["--limit", "--format"])?;
            history(subject.as_deref(), rows, options, terminal)
        }
        TagCommand::Import { file, kind, words, reach } => {
            rows.allow("tag import", &[])?;
            let defaults = import::Defaults {
                kind: *kind,
                scope: reach.scope(),
                note: words.note.clone(),
                source: words.source.clone(),
                author: said_by(words.author.as_ref(), terminal),
                now: terminal.now,
            };
            import::run(file, &defaults, options, terminal)
        }
    }
}

/// Reads what is typed as a subject.
pub(super) fn subject(typed: &str, scope: Option<Scope>) -> Result<TagSubject, UsageError> {
    tag_subject(typed, scope).map_err(UsageError::TagSubject)
}

/// Who says so: who was named, or who is logged in, also behind sudo.
fn said_by(named: Option<&String>, terminal: &Terminal<'_>) -> String {
    let logged_in = || {
        let names = ["SUDO_USER", "USER", "LOGNAME"].iter();
        names.filter_map(|name| (terminal.env)(name)).find(|name| !name.is_empty())
    };
    named.cloned().or_else(logged_in).unwrap_or_default()
}

fn set(
    kind: TagKind,
    subjects: &[String],
    words: &Words,
    reach: Reach,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let author = said_by(words.author.as_ref(), terminal);
    let mut changes = Vec::new();
    for typed in subjects {
        let tag = Tag {
            subject: subject(typed, reach.scope())?,
            kind,
            note: words.note.clone(),
            source: words.source.clone(),
            author: author.clone(),
            time: terminal.now,
        };
        tag.check().map_err(UsageError::LongText)?;
        changes.push(TagChange::Set(tag));
    }
    let outcomes = open(options)?.change_tags(&changes).map_err(cannot("set the tags"))?;
    let mut tally = Tally::default();
    for (change, outcome) in changes.iter().zip(outcomes) {
        tally.add(change, outcome, terminal);
    }
    tally.tell(terminal);
    Ok(Found::Something)
}

/// What came of many changes, in numbers.
#[derive(Default)]
struct Tally {
    set: u64,
    changed: u64,
    same: u64,
    told: u64,
}

impl Tally {
    /// The most displaced tags that are told one by one.
    const TOLD: u64 = 20;

    fn add(&mut self, change: &TagChange, outcome: TagOutcome, terminal: &mut Terminal<'_>) {
        match outcome {
            TagOutcome::New => self.set += 1,
            TagOutcome::Changed => self.changed += 1,
            TagOutcome::Same => self.same += 1,
            TagOutcome::Displaced => {
                self.set += 1;
                self.told += 1;
                if let TagChange::Set(tag) = change
                    && let Some(other) = tag.kind.opposite()
                    && self.told <= Self::TOLD
                {
                    terminal.say(format_args!(
                        "{} was tagged as {other}, which ends now that it is tagged as {}",
                        tag.subject, tag.kind
                    ));
                }
            }
            TagOutcome::Cleared => {}
        }
    }

    fn tell(&self, terminal: &mut Terminal<'_>) {
        let tags = if self.set == 1 { "tag" } else { "tags" };
        let some = |number: u64, words: &str| {
            if number > 0 { format!(", {number} {words}") } else { String::new() }
        };
        let (changed, same) = (some(self.changed, "changed"), some(self.same, "as before"));
        let told = if self.told > Self::TOLD { self.told } else { 0 };
        let told = some(told, "ended a tag of the opposite kind");
        terminal.say(format_args!("{} {tags} set{changed}{same}{told}", self.set));
    }
}

/// Takes tags off. The first word is a kind when more words follow.
fn clear(
    words: &[String],
    note: &str,
    author: &str,
    reach: Reach,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (kind, subjects) = match words {
        [first, rest @ ..] => match (first.parse::<TagKind>(), rest) {
            (Ok(kind), []) => return Err(UsageError::ClearNothing(kind).into()),
            (Ok(kind), rest) => (Some(kind), rest),
            (Err(_), _) => (None, words),
        },
        [] => (None, words),
    };
    let kinds = kind.map_or_else(|| TagKind::ALL.to_vec(), |kind| vec![kind]);
    let mut changes = Vec::new();
    for typed in subjects {
        let mut subjects = vec![subject(typed, reach.scope())?];
        // A plain name: off the name, and off all below it.
        if let (None, [TagSubject::Name(name)]) = (reach.scope(), subjects.as_slice())
            && !name.as_name().is_root()
        {
            subjects.push(TagSubject::Below(name.clone()));
        }
        for subject in subjects {
            for &kind in &kinds {
                let tag = Tag {
                    note: note.to_owned(),
                    author: author.to_owned(),
                    time: terminal.now,
                    ..Tag::new(kind, subject.clone())
                };
                tag.check().map_err(UsageError::LongText)?;
                changes.push(TagChange::Clear(tag));
            }
        }
    }
    let outcomes = open(options)?.change_tags(&changes).map_err(cannot("clear the tags"))?;
    let cleared = outcomes.iter().filter(|&&outcome| outcome == TagOutcome::Cleared).count();
    let tags = if cleared == 1 { "tag" } else { "tags" };
    terminal.say(format_args!("{cleared} {tags} cleared"));
    Ok(if cleared > 0 { Found::Something } else { Found::Nothing })
}

/// Lists tags.
fn list(
    kind: Option<TagKind>,
    under: Option<&str>,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let under = under.map(|typed| subject(typed, Some(Scope::Below))).transpose()?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let mut store = open(options)?;
    let mut answer = Answer::new(&mut store, rows.format(), Format::Json, terminal)?;
    let tags = answer.tags();
    let wanted = |tag: &&Tag| {
        kind.is_none_or(|kind| tag.kind == kind)
            && under.as_ref().is_none_or(|under| tag.subject.is_within(under))
    };
    let mut page = Page::default();
    for tag in tags.tags().iter().filter(wanted) {
        if limit > 0 && page.shown >= limit as u64 {
            page.cut = true;
            break;
        }
        page.shown += 1;
        if answer.item(&Item::Tag(tag)).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.note(page, false, None);
    answer.end()
}

/// Shows what happened to tags.
fn history(
    of: Option<&str>,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let of = of.map(|typed| subject(typed, Some(Scope::Below))).transpose()?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let mut store = open(options)?;
    let mut answer = Answer::new(&mut store, rows.format(), Format::Json, terminal)?;
    let mut page = Page::default();
    let dropped = store
        .tag_history(&mut |event| {
            if of.as_ref().is_some_and(|of| !event.tag.subject.is_within(of)) {
                return ControlFlow::Continue(());
            }
            if limit > 0 && page.shown >= limit as u64 {
                page.cut = true;
                return ControlFlow::Break(());
            }
            page.shown += 1;
            answer.item(&Item::TagEvent(&event))
        })
        .map_err(cannot("read the history of the tags"))?;
    answer.check()?;
    answer.note(page, false, None);
    if dropped > 0 && !page.cut {
        answer.remark(format!(
            "the {dropped} oldest entries are gone: the history keeps {MAX_HISTORY}"
        ));
    }
    answer.end()
}
