//! `pdns tag import`: the tags of a list or a CSV file.
//!
//! The file is read line by line (`line`) and the tags are set by the thousand, so that a list of any length takes
//! little memory. An invalid line does not affect the others; lines with the same fault are reported together.

mod head;
mod line;

use super::{Tally, wide};
use crate::causes::with_causes;
use crate::cli::lists::{next_line, utf16};
use crate::cli::query_args::UsageError;
use crate::cli::{CliError, Found, Terminal, cannot, open};
use crate::query::Scope;
use crate::source::{is_utf16, open_unpacked};
use crate::store::{Options, Store};
use crate::tag::{Tag, TagChange, TagKind, TagOutcome, TagSubject};
use line::{BadLine, Lines};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// The first bytes of what gzip writes.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// Tags that go in together.
const BATCH: usize = 1_000;
/// Maximum number of invalid lines with the same fault that are reported one by one; the rest are counted.
const TOLD: u64 = 5;

/// Values for lines that lack their own.
pub(super) struct Defaults {
    pub(super) kind: Option<TagKind>,
    pub(super) scope: Option<Scope>,
    pub(super) note: String,
    pub(super) source: String,
    pub(super) author: String,
    pub(super) now: u32,
    /// The column with the subjects, as typed.
    pub(super) column: Option<String>,
    /// True for a dry run.
    pub(super) is_dry: bool,
    /// True if tags from the source that are no longer listed are cleared.
    pub(super) replaces: bool,
}

/// Reads a file, or standard input, and sets its tags.
pub(super) fn run(
    file: &str,
    defaults: &Defaults,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    if defaults.replaces && defaults.source.is_empty() {
        return Err(UsageError::ReplaceWhat.into());
    }
    if file == "-" {
        return import("standard input", None, defaults, options, terminal);
    }
    let opened = open_unpacked(Path::new(file))
        .map_err(|cause| CliError::File { path: file.to_owned(), cause })?;
    import(file, Some(&mut BufReader::new(opened)), defaults, options, terminal)
}

fn import(
    file: &str,
    mut reader: Option<&mut dyn BufRead>,
    defaults: &Defaults,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut store = open(options)?;
    let mut changes = Changes::new(&mut store, defaults)?;
    let mut lines = Lines::new(file, defaults);
    let (mut number, mut bad) = (0_u64, Bad::default());
    loop {
        let line = match &mut reader {
            Some(reader) => next_line(*reader),
            None => next_line(terminal.input),
        };
        let failed = |cause| CliError::File { path: file.to_owned(), cause };
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(cause) => {
                // The lines before are tags by now, which must not go unsaid.
                changes.flush(&mut store, terminal)?;
                bad.tell(terminal);
                changes.tally.tell(defaults.is_dry, terminal);
                return Err(failed(cause));
            }
        };
        if number == 0 && is_utf16(&line) {
            return Err(failed(utf16()));
        }
        if number == 0 && line.starts_with(GZIP) {
            return Err(failed(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is compressed with gzip; unpack it first: zcat FILE | pdns tag import -",
            )));
        }
        number += 1;
        match lines.read(&line)? {
            Ok(tags) => {
                for tag in tags {
                    changes.set(&mut store, tag, terminal)?;
                }
            }
            Err(error) => bad.add(file, number, &error, terminal),
        }
    }
    changes.flush(&mut store, terminal)?;
    bad.tell(terminal);
    let listed = lines.count();
    if defaults.replaces {
        if changes.listed.is_empty() {
            let source = &defaults.source;
            terminal.say(format_args!(
                "{file} lists nothing, so the tags from {source} stay; pdns tag clear --source {source} clears them"
            ));
        } else {
            changes.replace(&mut store, defaults, terminal)?;
        }
    }
    changes.tally.tell(defaults.is_dry, terminal);
    match bad.lines {
        0 if listed > 0 => Ok(Found::Something),
        0 => Ok(Found::Nothing),
        bad => Err(CliError::BadLines { bad, lines: listed, is_dry: defaults.is_dry }),
    }
}

/// Changes to be made in the store, or only counted.
struct Changes<'d> {
    defaults: &'d Defaults,
    due: Vec<TagChange>,
    /// For each pending change, true if an earlier line of the file set the same tag.
    is_repeated: Vec<bool>,
    /// Tags that cover very much.
    wide: u64,
    tally: Tally,
    /// Tags listed in the file.
    listed: HashSet<(TagSubject, TagKind)>,
    /// The tags as they were before the import; where nothing is to be changed, as they would be.
    known: BTreeMap<(TagSubject, TagKind), Tag>,
}

impl<'d> Changes<'d> {
    fn new(store: &mut Store, defaults: &'d Defaults) -> Result<Self, CliError> {
        let needs_known = defaults.is_dry || !defaults.source.is_empty();
        let known = if needs_known {
            let tags = store.reader().tags().map_err(cannot("read the tags"))?.tags;
            tags.into_iter().map(|tag| ((tag.subject.clone(), tag.kind), tag)).collect()
        } else {
            BTreeMap::new()
        };
        let (due, tally, listed) = (Vec::new(), Tally::default(), HashSet::new());
        Ok(Self { defaults, due, is_repeated: Vec::new(), wide: 0, tally, listed, known })
    }

    fn set(
        &mut self,
        store: &mut Store,
        tag: Tag,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), CliError> {
        let is_repeated = !self.listed.insert((tag.subject.clone(), tag.kind));
        if self.belongs_to_another(&tag) {
            self.tally.kept += 1;
            return Ok(());
        }
        if let Some(extent) = wide(&tag.subject).filter(|_| !is_repeated) {
            self.wide += 1;
            if self.wide <= TOLD {
                terminal.say(format_args!("note: {} covers {extent}", tag.subject));
            }
        }
        if self.defaults.is_dry {
            let outcome = self.outcome(&tag);
            let change = TagChange::Set(tag);
            self.tally.add_line(&change, outcome, is_repeated, terminal);
            return Ok(());
        }
        self.due.push(TagChange::Set(tag));
        self.is_repeated.push(is_repeated);
        if self.due.len() >= BATCH { self.flush(store, terminal) } else { Ok(()) }
    }

    /// True if the subject has such a tag, or the opposite one, from another source than that of the import: what
    /// somebody judged stays when a feed says something else.
    fn belongs_to_another(&self, tag: &Tag) -> bool {
        let source = &self.defaults.source;
        if source.is_empty() || tag.source != *source {
            return false;
        }
        let kinds = [Some(tag.kind), tag.kind.opposite()];
        kinds.into_iter().flatten().any(|kind| {
            let known = self.known.get(&(tag.subject.clone(), kind));
            known.is_some_and(|known| known.source != *source)
        })
    }

    /// Outcome that setting a tag would have.
    fn outcome(&mut self, tag: &Tag) -> TagOutcome {
        let key = (tag.subject.clone(), tag.kind);
        let other = tag.kind.opposite().map(|kind| (tag.subject.clone(), kind));
        let displaced = other.and_then(|other| self.known.remove(&other)).is_some();
        let is_same = |old: &Tag| {
            (&old.note, &old.source, &old.author) == (&tag.note, &tag.source, &tag.author)
        };
        match self.known.insert(key, tag.clone()) {
            _ if displaced => TagOutcome::Displaced,
            None => TagOutcome::New,
            Some(old) if is_same(&old) => TagOutcome::Same,
            Some(_) => TagOutcome::Changed,
        }
    }

    fn flush(&mut self, store: &mut Store, terminal: &mut Terminal<'_>) -> Result<(), CliError> {
        let outcomes = store.tags().change(&self.due).map_err(cannot("set the tags"))?;
        let lines = self.due.drain(..).zip(self.is_repeated.drain(..));
        for ((change, is_repeated), outcome) in lines.zip(outcomes) {
            self.tally.add_line(&change, outcome, is_repeated, terminal);
        }
        Ok(())
    }

    /// Clears tags that the source no longer lists.
    fn replace(
        &mut self,
        store: &mut Store,
        defaults: &Defaults,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), CliError> {
        // A tag of the opposite kind was ended by the one that is listed.
        let is_ended = |(subject, kind): &(TagSubject, TagKind)| {
            let opposite = kind.opposite().map(|kind| (subject.clone(), kind));
            opposite.is_some_and(|opposite| self.listed.contains(&opposite))
        };
        let gone = std::mem::take(&mut self.known).into_iter().filter(|(key, tag)| {
            tag.source == defaults.source && !self.listed.contains(key) && !is_ended(key)
        });
        let gone = gone.map(|((subject, kind), _)| Tag {
            note: "not listed any more".to_owned(),
            source: defaults.source.clone(),
            author: defaults.author.clone(),
            time: defaults.now,
            ..Tag::new(kind, subject)
        });
        let gone: Vec<TagChange> = gone.map(TagChange::Clear).collect();
        for changes in gone.chunks(BATCH) {
            if defaults.is_dry {
                self.tally.cleared += changes.len() as u64;
                continue;
            }
            let outcomes = store.tags().change(changes).map_err(cannot("clear the tags"))?;
            for (change, outcome) in changes.iter().zip(outcomes) {
                self.tally.add(change, outcome, terminal);
            }
        }
        Ok(())
    }
}

/// Invalid lines, by their fault.
#[derive(Default)]
struct Bad {
    lines: u64,
    by_reason: HashMap<&'static str, u64>,
}

impl Bad {
    fn add(&mut self, file: &str, number: u64, error: &BadLine, terminal: &mut Terminal<'_>) {
        self.lines += 1;
        let count = self.by_reason.entry(error.sort()).or_default();
        *count += 1;
        if *count <= TOLD {
            let text = with_causes(error);
            terminal.say(format_args!("{file}, line {number} is skipped: {text}"));
        }
    }

    /// Reports the number of those not reported one by one.
    fn tell(&self, terminal: &mut Terminal<'_>) {
        let mut reasons: Vec<_> =
            self.by_reason.iter().filter(|(_, count)| **count > TOLD).collect();
        reasons.sort_unstable();
        for (reason, count) in reasons {
            let more = count - TOLD;
            let lines = if more == 1 { "line is" } else { "lines are" };
            terminal.say(format_args!("{more} more {lines} skipped: {reason}"));
        }
    }
}
