//! The common part of import and refresh: reading documents through the quality gate into an import, and telling what was
//! rejected.

use super::input::Digesting;
use crate::bounded_file::read_text_file;
use crate::cli::query_args::UsageError;
use crate::cli::{CliError, Terminal, cannot};
use crate::exchange::intel::{
    IntelError, IntelFormat, IntelItem, IntelOptions, SkipReason, read_intel,
};
use crate::indicator::{ListedIndicator, Tlp};
use crate::query::{Gate, GateReason, TagRules};
use crate::render::counted;
use crate::store::{IndicatorImport, Reader, StoreError};
use crate::tag::{TagKind, TagSubject};
use ring::digest::{Context, SHA256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Default top list.
const TOP: &str = "/etc/pdns/top.txt";
/// Default list of what is never a threat.
const NEVER: &str = "/etc/pdns/never.txt";
/// Rejected lines that are shown one by one.
const TOLD: u64 = 10;
/// Examples of each reason of the gate.
const EXAMPLES: usize = 3;
/// Largest list of names for the gate, in MiB.
const MAX_LIST: u64 = 256;

/// Makes the gate from the tags of the store and the lists of the operator. Also returns a digest of all of them.
pub(super) fn gate(
    store: &mut Reader<'_>,
    top: Option<&PathBuf>,
    never: Option<&PathBuf>,
) -> Result<(Gate, String), CliError> {
    let tags = store.tags().map_err(cannot("read the tags"))?.tags;
    let rules = TagRules::of_store(store);
    let mut gate = Gate::new(&tags, &rules);
    let mut digest = Context::new(&SHA256);
    // Both are in order: the tags by subject, the domains as made so here.
    for tag in tags.iter().filter(|tag| tag.is_own() && tag.kind.opposite().is_some()) {
        digest.update(format!("{} {}\n", tag.kind, tag.subject).as_bytes());
    }
    let hosting: BTreeSet<_> = rules.never_silence.iter().collect();
    digest.update(format!("{hosting:?}").as_bytes());
    if let Some((path, text)) = list(top, TOP)? {
        digest.update(text.as_bytes());
        gate.add_top(&text).map_err(|cause| UsageError::GateList { path, cause })?;
    }
    if let Some((path, text)) = list(never, NEVER)? {
        digest.update(text.as_bytes());
        gate.add_never(&text).map_err(|cause| UsageError::GateList { path, cause })?;
    }
    Ok((gate, crate::hex::encode(digest.finish().as_ref())))
}

/// Reads a list; a default one only if it exists.
fn list(path: Option<&PathBuf>, default: &str) -> Result<Option<(String, String)>, CliError> {
    let path = match path {
        Some(path) => path.as_path(),
        None if Path::new(default).exists() => Path::new(default),
        None => return Ok(None),
    };
    let shown = path.display().to_string();
    let failed = |cause| CliError::File { path: shown.clone(), cause };
    let text = read_text_file(path, MAX_LIST).map_err(failed)?;
    Ok(Some((shown, text)))
}

/// Values for indicators of which the file says nothing.
pub(super) struct Defaults {
    pub(super) kind: TagKind,
    pub(super) confidence: u8,
    pub(super) tlp: Option<Tlp>,
    pub(super) labels: Vec<String>,
    pub(super) now: u32,
}

/// Destination of accepted indicators.
pub(super) enum Target<'i, 's> {
    /// Into an import.
    Import(&'i mut IndicatorImport<'s>),
    /// Nowhere: a dry run.
    Nowhere,
}

/// Counts of the entries of all documents of an import, by what became of them.
pub(super) struct Reading {
    digest: Context,
    /// Number of accepted indicators.
    pub(super) accepted: u64,
    /// Number of indicators that were taken back.
    revoked: u64,
    /// Lines that cannot be read.
    pub(super) problems: u64,
    told: Vec<String>,
    gated: BTreeMap<GateReasonKind, (u64, Vec<String>)>,
    skipped: BTreeMap<SkipReason, u64>,
    /// Entries that had ended already.
    ended: u64,
    conditional: u64,
    /// Subjects that were accepted, to be looked for in the store.
    pub(super) subjects: Vec<TagSubject>,
    /// Kinds and the sources' own identifiers, if they are kept for sightings.
    pub(super) ids: Option<HashMap<TagSubject, (TagKind, Option<String>)>>,
    /// Format of prose, if it was recognized rather than given.
    guessed: Option<IntelFormat>,
    /// The strongest restriction of them.
    pub(super) tlp: Option<Tlp>,
}

/// Reasons of the gate are counted by their kind.
type GateReasonKind = &'static str;

impl Reading {
    /// Nothing read yet; `keeps_ids` keeps the identifiers of all indicators.
    pub(super) fn new(keeps_ids: bool) -> Self {
        Self {
            ids: keeps_ids.then(HashMap::new),
            tlp: None,
            guessed: None,
            digest: Context::new(&SHA256),
            accepted: 0,
            revoked: 0,
            problems: 0,
            told: Vec::new(),
            gated: BTreeMap::new(),
            skipped: BTreeMap::new(),
            ended: 0,
            conditional: 0,
            subjects: Vec::new(),
        }
    }
}

/// Reason why a document was not read to its end.
pub(super) enum ReadFailure {
    /// The document.
    Document(IntelError),
    /// The store.
    Store(CliError),
}

impl Reading {
    /// Reads one document. `full` is called when many subjects have been collected, to look for them in the store.
    pub(super) fn read(
        &mut self,
        input: &mut dyn BufRead,
        options: &IntelOptions,
        gate: &Gate,
        defaults: &Defaults,
        target: &mut Target<'_, '_>,
        full: &mut dyn FnMut(&mut Vec<TagSubject>) -> Result<(), CliError>,
    ) -> Result<(), ReadFailure> {
        let mut failed = None;
        let mut digest = self.digest.clone();
        let read = {
            let mut input = Digesting::new(input, &mut digest);
            read_intel(&mut input, options, &mut |item| match self
                .take(item, gate, defaults, target, full)
            {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            })
        };
        self.digest = digest;
        match (failed, read) {
            (Some(error), _) => Err(ReadFailure::Store(error)),
            (None, Err(error)) => Err(ReadFailure::Document(error)),
            (None, Ok(summary)) => {
                let is_guess = options.format.is_none() && summary.format.is_prose();
                self.guessed = self.guessed.or(is_guess.then_some(summary.format));
                Ok(())
            }
        }
    }

    fn take(
        &mut self,
        item: IntelItem,
        gate: &Gate,
        defaults: &Defaults,
        target: &mut Target<'_, '_>,
        full: &mut dyn FnMut(&mut Vec<TagSubject>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match item {
            IntelItem::Indicator(listed) => {
                self.accept(listed, gate, defaults, target)?;
                if self.subjects.len() >= super::seen::TOGETHER {
                    full(&mut self.subjects)?;
                }
            }
            IntelItem::Revoked { subject: Some(subject), .. } => {
                self.revoked += 1;
                if let Target::Import(import) = target {
                    import.revoke(&subject).map_err(cannot("import the indicators"))?;
                }
            }
            IntelItem::Revoked { .. } => self.revoked += 1,
            IntelItem::Problem(problem) => {
                self.problems += 1;
                if self.problems <= TOLD {
                    self.told.push(problem.to_string());
                }
            }
            IntelItem::Skipped(reason) => *self.skipped.entry(reason).or_default() += 1,
        }
        Ok(())
    }

    fn accept(
        &mut self,
        mut listed: ListedIndicator,
        gate: &Gate,
        defaults: &Defaults,
        target: &mut Target<'_, '_>,
    ) -> Result<(), CliError> {
        if listed.valid_until.is_some_and(|until| until <= defaults.now) {
            self.ended += 1;
            return Ok(());
        }
        let kind = listed.kind.unwrap_or(defaults.kind);
        let refusal = match kind {
            TagKind::Threat => gate.rejects(&listed.subject),
            // Trust in all of com, or in half of all addresses, says nothing, and would hide much.
            TagKind::Trust | TagKind::Interest => gate
                .rejects(&listed.subject)
                .filter(|reason| matches!(reason, GateReason::PublicSuffix | GateReason::TooWide)),
        };
        if let Some(reason) = refusal {
            let (count, examples) = self.gated.entry(words(&reason)).or_default();
            *count += 1;
            if examples.len() < EXAMPLES {
                examples.push(listed.subject.to_string());
            }
            return Ok(());
        }
        listed.kind = Some(kind);
        listed.confidence.get_or_insert(defaults.confidence);
        listed.tlp = listed.tlp.or(defaults.tlp);
        for label in &defaults.labels {
            if let Err(at) = listed.labels.binary_search(label) {
                listed.labels.insert(at, label.clone());
            }
        }
        self.conditional += u64::from(listed.is_conditional);
        if let Target::Import(import) = target {
            import.add(&listed).map_err(cannot("import the indicators"))?;
        }
        self.accepted += 1;
        self.tlp = self.tlp.max(listed.tlp);
        if let Some(ids) = &mut self.ids {
            ids.entry(listed.subject.clone()).or_insert((kind, listed.id));
        }
        self.subjects.push(listed.subject);
        Ok(())
    }

    /// Returns the number of entries that were rejected: not readable, or refused by the gate.
    pub(super) fn rejected(&self) -> u64 {
        self.problems + self.gated.values().map(|(count, _)| count).sum::<u64>()
    }

    /// Returns the digest of all documents so far, in hex.
    pub(super) fn digest(&self) -> String {
        crate::hex::encode(self.digest.clone().finish().as_ref())
    }

    /// Tells what was not taken, and why.
    pub(super) fn tell(&self, what: &str, terminal: &mut Terminal<'_>) {
        if let Some(format) = self.guessed {
            terminal.say(format_args!(
                "{what}: read as {}, in which only what looks like a name or an address counts; --format names another",
                format.name()
            ));
        }
        for problem in &self.told {
            terminal.say(format_args!("{what}: {problem}"));
        }
        if self.problems > TOLD {
            let more = counted(self.problems - TOLD, "more line", "more lines");
            terminal.say(format_args!("{what}: {more} that cannot be read"));
        }
        for (reason, (count, examples)) in &self.gated {
            let more = if *count > examples.len() as u64 { ", ..." } else { "" };
            terminal.say(format_args!(
                "{what}: {count} not accepted, {reason}: {}{more}",
                examples.join(", ")
            ));
        }
        for (reason, count) in &self.skipped {
            let hint = match reason {
                SkipReason::Url => " (--url-hosts takes their hosts)",
                SkipReason::NotForDetection => " (--all-attributes takes them)",
                _ => "",
            };
            terminal.say(format_args!("{what}: {count} {reason} left out{hint}"));
        }
        for (count, text) in [
            (self.ended, "have ended already and are left out"),
            (self.revoked, "were taken back by the source"),
            (self.conditional, "hold only under further conditions, such as a port"),
        ] {
            if count > 0 {
                terminal.say(format_args!("{what}: {count} {text}"));
            }
        }
    }
}

/// The reason of the gate without its details.
fn words(reason: &GateReason) -> GateReasonKind {
    match reason {
        GateReason::SpecialUse(_) => "for special use",
        GateReason::PublicSuffix => "public suffixes",
        GateReason::Hosting(_) => "domains below which everybody can have a name",
        GateReason::TooWide => "prefixes that are too wide",
        GateReason::Top => "on the top list",
        GateReason::Never(_) => "on a list of what is never a threat",
        GateReason::Trusted(_) => "trusted by an analyst",
    }
}

/// Wraps an error of an import.
pub(super) fn importing(cause: StoreError) -> CliError {
    cannot("import the indicators")(cause)
}
