//! The way of every entry from a reader to the caller: text becomes subjects, or a reason why not.

use super::item::{IntelItem, IntelProblem, IntelSummary, Place, SkipReason};
use super::{IntelError, IntelFormat, IntelOptions};
use crate::indicator::{ListedIndicator, MAX_CONFIDENCE, Tlp};
use crate::query::{
    ListedSubjects, Scope, SubjectError, TagSubjectError, WrittenAs, listed_subjects,
};
use crate::render::escape;
use crate::tag::{MAX_NOTE, TagKind, TagSubject};
use std::io;
use std::ops::ControlFlow;

/// Longest text of a problem, in characters.
const MAX_SHOWN: usize = 80;
/// Longest label, reference or identifier, in bytes; longer ones are cut.
const MAX_TEXT: usize = 400;
/// Maximum number of labels of an indicator.
const MAX_LABELS: usize = 32;
/// Lengths of hexadecimal digests.
const DIGESTS: [usize; 6] = [32, 40, 56, 64, 96, 128];

/// Reason why a reader stops before the end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The caller wants no more.
    Caller,
    /// The file cannot be read on.
    Failed(IntelError),
}

impl From<IntelError> for Stop {
    fn from(error: IntelError) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(IntelError::Io(error))
    }
}

/// Requirement for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Name,
    Address,
    /// A URL, also one without a scheme.
    Url,
}

/// Facts that a file states of a value, beside the subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    pub(super) kind: Option<TagKind>,
    pub(super) confidence: Option<u8>,
    pub(super) first: Option<u32>,
    pub(super) last: Option<u32>,
    pub(super) until: Option<u32>,
    pub(super) labels: Vec<String>,
    pub(super) reference: String,
    pub(super) note: String,
    pub(super) tlp: Option<Tlp>,
    pub(super) id: Option<String>,
    pub(super) is_conditional: bool,
}

impl Details {
    /// Adds a label, cleaned; none if it is empty or there are too many.
    pub(super) fn add_label(&mut self, label: &str) {
        let label = clean(label, MAX_TEXT);
        if !label.is_empty() && self.labels.len() < MAX_LABELS {
            self.labels.push(label);
        }
    }

    /// Adds a restriction: of several, the strictest holds.
    pub(super) fn restrict(&mut self, tlp: Tlp) {
        self.tlp = self.tlp.max(Some(tlp));
    }

    /// Estimated size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.reference, &self.note].map(String::len);
        let labels = self.labels.iter().map(|label| label.len() + size_of::<String>());
        let id = self.id.as_ref().map_or(0, String::len);
        size_of::<Self>() + texts.iter().sum::<usize>() + labels.sum::<usize>() + id
    }

    /// The indicator for a subject.
    fn indicator(&self, subject: TagSubject, is_conditional: bool) -> ListedIndicator {
        let mut labels = self.labels.clone();
        labels.sort_unstable();
        labels.dedup();
        ListedIndicator {
            kind: self.kind,
            confidence: self.confidence,
            first_listed: self.first,
            last_listed: self.last,
            valid_until: self.until,
            labels,
            reference: clean(&self.reference, MAX_TEXT),
            note: clean(&self.note, MAX_NOTE),
            tlp: self.tlp,
            id: self.id.as_deref().map(|id| clean(id, MAX_TEXT)).filter(|id| !id.is_empty()),
            is_conditional: self.is_conditional || is_conditional,
            ..ListedIndicator::new(subject)
        }
    }
}

/// Reason why a value has no subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Skip(SkipReason),
    Problem(String),
}

impl From<SkipReason> for Refusal {
    fn from(reason: SkipReason) -> Self {
        Self::Skip(reason)
    }
}

/// Subjects, and true for those on which there are further conditions.
pub(super) type Subjects = Vec<(TagSubject, bool)>;

/// The receiver of all entries.
pub(super) struct Sink<'s> {
    pub(super) options: &'s IntelOptions,
    pub(super) summary: IntelSummary,
    each: &'s mut dyn FnMut(IntelItem) -> ControlFlow<()>,
}

impl<'s> Sink<'s> {
    pub(super) fn new(
        options: &'s IntelOptions,
        format: IntelFormat,
        each: &'s mut dyn FnMut(IntelItem) -> ControlFlow<()>,
    ) -> Self {
        Self { options, summary: IntelSummary::new(format), each }
    }

    /// Hands out an entry.
    pub(super) fn item(&mut self, item: IntelItem) -> Result<(), Stop> {
        match &item {
            IntelItem::Indicator(_) => self.summary.indicators += 1,
            IntelItem::Revoked { .. } => self.summary.revoked += 1,
            IntelItem::Problem(_) => self.summary.problems += 1,
            IntelItem::Skipped(reason) => *self.summary.skipped.entry(*reason).or_default() += 1,
        }
        match (self.each)(item) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Caller),
        }
    }

    pub(super) fn skip(&mut self, reason: SkipReason) -> Result<(), Stop> {
        self.item(IntelItem::Skipped(reason))
    }

    pub(super) fn problem(
        &mut self,
        place: Place,
        text: &str,
        reason: impl Into<String>,
    ) -> Result<(), Stop> {
        let (text, reason) = (shown(text), reason.into());
        self.item(IntelItem::Problem(IntelProblem { place, text, reason }))
    }

    pub(super) fn refuse(
        &mut self,
        place: Place,
        text: &str,
        refusal: Refusal,
    ) -> Result<(), Stop> {
        match refusal {
            Refusal::Skip(reason) => self.skip(reason),
            Refusal::Problem(reason) => self.problem(place, text, reason),
        }
    }

    /// Hands out an indicator for each subject.
    pub(super) fn indicators(&mut self, subjects: Subjects, details: &Details) -> Result<(), Stop> {
        for (subject, is_conditional) in subjects {
            let mut indicator = details.indicator(subject, is_conditional);
            indicator.kind = indicator.kind.or(self.options.kind);
            self.item(IntelItem::Indicator(indicator))?;
        }
        Ok(())
    }

    /// Reads a value and hands out its indicators, or the reason why it has none.
    pub(super) fn value(
        &mut self,
        place: Place,
        text: &str,
        wanted: Wanted,
        scope: Option<Scope>,
        details: &Details,
    ) -> Result<(), Stop> {
        match self.subjects(text, wanted, scope) {
            Ok(subjects) => self.indicators(subjects, details),
            Err(refusal) => self.refuse(place, text, refusal),
        }
    }

    /// Reads the subjects of a value.
    pub(super) fn subjects(
        &self,
        text: &str,
        wanted: Wanted,
        scope: Option<Scope>,
    ) -> Result<Subjects, Refusal> {
        let text = text.trim();
        let ListedSubjects { subjects, written_as } =
            listed_subjects(text, scope).map_err(|error| refusal(text, &error))?;
        let is_conditional = match written_as {
            _ if wanted == Wanted::Url && self.options.url_hosts => true,
            WrittenAs::Url if self.options.url_hosts => true,
            _ if wanted == Wanted::Url => return Err(SkipReason::Url.into()),
            WrittenAs::Url => return Err(SkipReason::Url.into()),
            WrittenAs::HostPort => true,
            WrittenAs::Subject => false,
        };
        for subject in &subjects {
            check(subject, wanted)?;
        }
        Ok(subjects.into_iter().map(|subject| (subject, is_conditional)).collect())
    }
}

/// Refuses subjects of another sort than the file says, and those that no feed means.
fn check(subject: &TagSubject, wanted: Wanted) -> Result<(), Refusal> {
    match subject {
        TagSubject::Net(_) if wanted == Wanted::Name => {
            Err(Refusal::Problem("it is an address, but the file calls it a name".to_owned()))
        }
        TagSubject::Net(net) if net.prefix_len() == 0 => {
            Err(Refusal::Problem("it covers all addresses".to_owned()))
        }
        TagSubject::Name(_) | TagSubject::Below(_) if wanted == Wanted::Address => {
            Err(Refusal::Problem("it is a name, but the file calls it an address".to_owned()))
        }
        TagSubject::Name(name) if !name.as_str().contains('.') || name.as_name().is_root() => {
            match name.as_str() {
                "localhost" => Err(SkipReason::Local.into()),
                _ => Err(Refusal::Problem(
                    "it is a single label (for a top-level domain, write a dot before it)"
                        .to_owned(),
                )),
            }
        }
        _ => Ok(()),
    }
}

/// The reason why a text is not a subject, in the terms of a file.
fn refusal(text: &str, error: &TagSubjectError) -> Refusal {
    let is_mail = || {
        let mut parts = text.split('@');
        let [Some(user), Some(host), None] = [parts.next(), parts.next(), parts.next()] else {
            return false;
        };
        !user.is_empty() && host.contains('.') && !text.contains(['/', ' '])
    };
    match error {
        TagSubjectError::Subject(SubjectError::Star) => SkipReason::Wildcard.into(),
        TagSubjectError::Subject(SubjectError::Opaque) if is_digest(text) => {
            SkipReason::Hash.into()
        }
        TagSubjectError::Subject(_) if text.starts_with('/') && !text.starts_with("//") => {
            SkipReason::Path.into()
        }
        TagSubjectError::Subject(_) if is_mail() => SkipReason::Mail.into(),
        error => Refusal::Problem(error.to_string()),
    }
}

pub(super) fn is_digest(text: &str) -> bool {
    DIGESTS.contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// Text for a problem: escaped, and shortened if necessary.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", escape(text.get(..end).unwrap_or_default())),
        None => escape(text).into_owned(),
    }
}

/// Free text on one line, of at most so many bytes.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut out = String::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > most {
            out.truncate(out.floor_char_boundary(most));
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Reads a confidence: 0 to 100, a fraction with a point, or a word of the low-medium-high scale (STIX 2.1 appendix A).
pub(super) fn confidence(text: &str) -> Option<u8> {
    let text = text.trim().trim_end_matches('%').trim_end();
    if let Ok(number) = text.parse::<u8>() {
        return (number <= MAX_CONFIDENCE).then_some(number);
    }
    if let Ok(number) = text.parse::<f64>() {
        let percent = if number <= 1.0 { number * 100.0 } else { number };
        return (0..=MAX_CONFIDENCE).find(|whole| (f64::from(*whole) - percent).abs() <= 0.5);
    }
    match text.to_ascii_lowercase().as_str() {
        "none" => Some(0),
        "low" => Some(15),
        "med" | "medium" | "moderate" => Some(50),
        "high" => Some(85),
        _ => None,
    }
}
