//! `pdns tag`: the organisation's own assessment of names and addresses.

mod import;

use super::answer::Output;
use super::args::RowOptions;
use super::args::tag::{Reach, TagCommand, TagWords};
use super::query_args::{LIMIT, UsageError, quoted};
use super::{CliError, Found, Terminal, cannot, open};
use crate::name::{display::unicode, suffix};
use crate::query::{Page, Purpose, Scope, tag_subject_for, tag_subjects};
use crate::render::{Format, Item};
use crate::store::{MAX_HISTORY, Options};
use crate::tag::{Tag, TagChange, TagKind, TagOutcome, TagSubject};
use ipnet::IpNet;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;

/// Number of changes made together.
const BATCH: usize = 1_000;

/// Runs a command on tags.
pub(super) fn run(
    command: &TagCommand,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    match command {
        TagCommand::Set { kind, subjects, words, reach } => {
            set(*kind, subjects, words, *reach, options, terminal)
        }
        TagCommand::Clear { words, source, note, author, reach } => {
            let asked = Clearing {
                source: source.as_deref(),
                note,
                author: said_by(author.as_ref(), terminal),
                reach: *reach,
            };
            clear(words, &asked, options, terminal)
        }
        TagCommand::List { kind, under, source, paging } => {
            let rows = RowOptions::from(paging);
            list(*kind, under.as_deref(), source.as_deref(), &rows, options, terminal)
        }
        TagCommand::History { subject, paging } => {
            history(subject.as_deref(), &RowOptions::from(paging), options, terminal)
        }
        TagCommand::Import { file, kind, column, dry_run, replace, words, reach } => {
            let defaults = import::Defaults {
                kind: *kind,
                scope: reach.scope(),
                note: words.note.clone(),
                source: words.source.clone(),
                author: said_by(words.author.as_ref(), terminal),
                now: terminal.now,
                column: column.clone(),
                is_dry: *dry_run,
                replaces: *replace,
            };
            import::run(file, &defaults, options, terminal)
        }
    }
}

/// Parses a subject whose tags are requested.
pub(super) fn subject(typed: &str, scope: Option<Scope>) -> Result<TagSubject, UsageError> {
    tag_subject_for(typed, scope, Purpose::LookUp)
        .map_err(|cause| UsageError::TagSubject { text: quoted(typed), cause })
}

/// Parses the subjects whose tags are set or cleared, and reports what each was read as.
fn subjects(
    typed: &[String],
    scope: Option<Scope>,
    terminal: &mut Terminal<'_>,
) -> Result<Vec<TagSubject>, UsageError> {
    let mut subjects = Vec::new();
    for typed in typed {
        let read = tag_subjects(typed, scope)
            .map_err(|(part, cause)| UsageError::TagSubject { text: quoted(&part), cause })?;
        for (part, subject, is_as_typed) in read {
            let is_wildcard = matches!(subject, TagSubject::Below(_)) && part.starts_with('*');
            if !is_as_typed || is_wildcard {
                terminal.say(format_args!("read {} as {subject}", quoted(&part)));
            }
            let form = subject.name().and_then(|name| unicode(name.as_name()));
            if let Some(warning) = form.and_then(|form| form.warning) {
                terminal.say(format_args!("{subject} {warning}: it may imitate another name"));
            }
            subjects.push(subject);
        }
    }
    Ok(subjects)
}

/// Describes the extent of a subject that covers so much that it may be a mistake.
fn wide(subject: &TagSubject) -> Option<String> {
    match subject {
        TagSubject::Net(IpNet::V4(net)) if net.prefix_len() == 0 => {
            Some("every IPv4 address".to_owned())
        }
        TagSubject::Net(IpNet::V4(net)) if net.prefix_len() < 8 => {
            Some(format!("{} IPv4 addresses", 1_u64 << (32 - net.prefix_len())))
        }
        TagSubject::Net(IpNet::V6(net)) if net.prefix_len() == 0 => {
            Some("every IPv6 address".to_owned())
        }
        TagSubject::Net(IpNet::V6(net)) if net.prefix_len() < 19 => {
            Some("more IPv6 addresses than any one network has".to_owned())
        }
        TagSubject::Below(name) if suffix::is_public(name.as_name()) => {
            Some("all domains below a public suffix".to_owned())
        }
        _ => None,
    }
}

/// Returns the author: the given name, the login user, also behind sudo, or the account of the process.
pub(super) fn said_by(named: Option<&String>, terminal: &Terminal<'_>) -> String {
    let logged_in = || {
        let names = ["SUDO_USER", "USER", "LOGNAME"].iter();
        names.filter_map(|name| (terminal.env)(name)).find(|name| !name.is_empty())
    };
    named.cloned().or_else(logged_in).or_else(account).unwrap_or_default()
}

/// Returns the name of the account that this process runs under, or its number.
fn account() -> Option<String> {
    let uid = fs::metadata("/proc/self").ok()?.uid();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("uid {uid}")))
}

fn set(
    kind: TagKind,
    subjects: &[String],
    words: &TagWords,
    reach: Reach,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let author = said_by(words.author.as_ref(), terminal);
    let mut changes = Vec::new();
    for subject in self::subjects(subjects, reach.scope(), terminal)? {
        if let Some(extent) = wide(&subject) {
            terminal.say(format_args!("note: {subject} covers {extent}"));
        }
        let tag = Tag {
            subject,
            kind,
            note: words.note.clone(),
            source: words.source.clone(),
            author: author.clone(),
            time: terminal.now,
            listing: None,
        };
        tag.check().map_err(UsageError::LongText)?;
        changes.push(TagChange::Set(tag));
    }
    let outcomes = open(options)?.tags().change(&changes).map_err(cannot("set the tags"))?;
    let mut tally = Tally::default();
    for (change, outcome) in changes.iter().zip(outcomes) {
        tally.add(change, outcome, terminal);
    }
    tally.tell(false, terminal);
    Ok(Found::Something)
}

/// Counts of the outcomes of many changes.
#[derive(Default)]
struct Tally {
    set: u64,
    changed: u64,
    same: u64,
    /// Lines of a file that repeat an earlier line.
    repeated: u64,
    told: u64,
    cleared: u64,
    /// Lines whose subject another source has tagged.
    kept: u64,
}

impl Tally {
    /// Maximum number of replaced tags that are reported one by one.
    const TOLD: u64 = 20;

    /// Counts a line of a file.
    fn add_line(
        &mut self,
        change: &TagChange,
        outcome: TagOutcome,
        is_repeated: bool,
        terminal: &mut Terminal<'_>,
    ) {
        match outcome {
            TagOutcome::Same if is_repeated => self.repeated += 1,
            outcome => self.add(change, outcome, terminal),
        }
    }

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
            TagOutcome::Cleared => self.cleared += 1,
        }
    }

    /// Reports what was done, or would be.
    fn tell(&self, is_dry: bool, terminal: &mut Terminal<'_>) {
        let tags = if self.set == 1 { "tag" } else { "tags" };
        let some = |number: u64, words: &str| {
            if number > 0 { format!(", {number} {words}") } else { String::new() }
        };
        let (changed, same) = (some(self.changed, "changed"), some(self.same, "as before"));
        let kept = some(self.kept, "kept as another source has them");
        let repeated = some(self.repeated, "repeated in the file");
        let told = if self.told > Self::TOLD { self.told } else { 0 };
        let told = some(told, "ended a tag of the opposite kind");
        let cleared = some(self.cleared, "cleared");
        let would = if is_dry { "would be " } else { "" };
        terminal.say(format_args!(
            "{} {tags} {would}set{changed}{same}{kept}{repeated}{told}{cleared}",
            self.set
        ));
    }
}

/// Conditions on the tags to clear besides their subjects, and the entry for the history.
struct Clearing<'c> {
    source: Option<&'c str>,
    note: &'c str,
    author: String,
    reach: Reach,
}

/// Clears tags. The first word is a kind if more words follow, or if a source is given.
fn clear(
    words: &[String],
    asked: &Clearing<'_>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (kind, typed) = match words {
        [first, rest @ ..] => match (first.parse::<TagKind>(), rest) {
            (Ok(kind), []) if asked.source.is_none() => {
                return Err(UsageError::ClearNothing(kind).into());
            }
            (Ok(kind), rest) => (Some(kind), rest),
            (Err(_), _) => (None, words),
        },
        [] if asked.source.is_none() => return Err(UsageError::ClearWhat.into()),
        [] => (None, words),
    };
    let scope = asked.reach.scope();
    let subjects: Vec<TagSubject> = subjects(typed, scope, terminal)?
        .into_iter()
        .flat_map(|subject| match &subject {
            // A plain name: clears its own tags, and those on it and all below it.
            TagSubject::Name(name) if scope.is_none() && !name.as_name().is_root() => {
                let below = TagSubject::Below(name.clone());
                vec![subject, below]
            }
            _ => vec![subject],
        })
        .collect();
    let mut store = open(options)?;
    let kinds = kind.map_or_else(|| TagKind::ALL.to_vec(), |kind| vec![kind]);
    let chosen: Vec<(TagKind, TagSubject)> = match asked.source {
        Some(source) => {
            let tags = store.reader().tags().map_err(cannot("read the tags"))?.tags.into_iter();
            let is_chosen = |tag: &Tag| {
                tag.source == source
                    && kinds.contains(&tag.kind)
                    && (typed.is_empty() || subjects.contains(&tag.subject))
            };
            tags.filter(is_chosen).map(|tag| (tag.kind, tag.subject)).collect()
        }
        None => subjects
            .iter()
            .flat_map(|subject| kinds.iter().map(|&kind| (kind, subject.clone())))
            .collect(),
    };
    let mut changes = Vec::new();
    for (kind, subject) in chosen {
        let tag = Tag {
            note: asked.note.to_owned(),
            author: asked.author.clone(),
            time: terminal.now,
            ..Tag::new(kind, subject)
        };
        tag.check().map_err(UsageError::LongText)?;
        changes.push(TagChange::Clear(tag));
    }
    let mut cleared = 0;
    for changes in changes.chunks(BATCH) {
        let outcomes = store.tags().change(changes).map_err(cannot("clear the tags"))?;
        cleared += outcomes.iter().filter(|&&outcome| outcome == TagOutcome::Cleared).count();
    }
    let tags = if cleared == 1 { "tag" } else { "tags" };
    terminal.say(format_args!("{cleared} {tags} cleared"));
    Ok(if cleared > 0 { Found::Something } else { Found::Nothing })
}

/// Lists tags.
fn list(
    kind: Option<TagKind>,
    under: Option<&str>,
    source: Option<&str>,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let under = under.map(|typed| subject(typed, Some(Scope::Below))).transpose()?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Json, terminal)?;
    let tags = store.tags().map_err(cannot("read the tags"))?.tags;
    let wanted = |tag: &&Tag| {
        kind.is_none_or(|kind| tag.kind == kind)
            && source.is_none_or(|source| tag.source == source)
            && under.as_ref().is_none_or(|under| tag.subject.is_within(under))
    };
    let mut page = Page::default();
    for tag in tags.iter().filter(wanted) {
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

/// Prints the history of tags.
fn history(
    of: Option<&str>,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let of = of.map(|typed| subject(typed, Some(Scope::Below))).transpose()?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Json, terminal)?;
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
