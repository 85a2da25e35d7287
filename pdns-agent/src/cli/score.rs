//! `pdns score`: how probable it is that a name or address is a threat, with reasons.

use super::args::ByName;
use super::args::analyze::Score;
use super::lists::next_text;
use super::query_args::{UsageError, subjects};
use super::{CliError, Found, Terminal, cannot, moment, open};
use crate::causes::with_causes;
use crate::query::{
    self, AssessError, Assessment, NewScores, Scorer, Subject, is_comment, score_new,
    scored_subject,
};
use crate::render::{Format, Scores, counted};
use crate::store::{Options, Reader};

/// Scores subjects, or new names.
pub(super) fn score(
    asked: &Score,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    if asked.new && !asked.subjects.is_empty() {
        return Err(UsageError::NewAndSubjects.into());
    }
    let from_input = matches!(asked.subjects.as_slice(), [only] if only == "-");
    // All subjects must be valid before the first one is scored.
    let mut scored = Vec::new();
    for text in asked.subjects.iter().filter(|_| !from_input) {
        scored.extend(read(text, terminal)?);
    }
    let since = moment("--since", &asked.since, terminal.now)?.start;
    let mut scorer = asked.files.scorer()?;
    let format = terminal.format(asked.format, Format::Json);
    let mut opened = open(options)?;
    let mut store = opened.reader();
    scorer.refresh(&mut store).map_err(cannot("read the tags"))?;
    let look = terminal.look(Vec::new());
    let mut answer = Scores::new(format, look, asked.brief || asked.new);
    let mut out = Output { answer: &mut answer, least: asked.least, shown: 0 };
    if asked.new {
        new(asked, since, &scorer, &mut store, &mut out, terminal)?;
    } else if from_input {
        lines(&scorer, &mut store, &mut out, terminal)?;
    } else {
        for subject in &scored {
            one(subject, &scorer, &mut store, &mut out, terminal)?;
        }
        answer.end(terminal.out).map_err(CliError::Output)?;
        return Ok(Found::Something);
    }
    let found = if out.shown > 0 { Found::Something } else { Found::Nothing };
    answer.end(terminal.out).map_err(CliError::Output)?;
    Ok(found)
}

/// The scores to write.
struct Output<'a> {
    answer: &'a mut Scores,
    /// Lower scores are left out.
    least: u8,
    shown: u64,
}

/// Reads the subjects in a text. If all names below one are meant, only that one is scored, and that is said.
fn read(text: &str, terminal: &mut Terminal<'_>) -> Result<Vec<Subject>, CliError> {
    let mut found = Vec::new();
    for (_, reading) in subjects(text)? {
        let scored = scored_subject(&reading.subject)?;
        if let Subject::Below(name) | Subject::AtOrBelow(name) = &reading.subject {
            terminal.say(format_args!("{} is scored as {name} alone", reading.subject));
        }
        found.push(scored);
    }
    Ok(found)
}

/// Scores one subject.
fn one(
    subject: &Subject,
    scorer: &Scorer,
    store: &mut Reader<'_>,
    out: &mut Output<'_>,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let assessed = score_of(store, scorer, subject, terminal.now)?;
    if assessed.ledger.score >= out.least {
        out.shown += 1;
        out.answer.add(&assessed, terminal.out).map_err(CliError::Output)?;
    }
    Ok(())
}

/// Scores one subject, with errors as the commands have them.
pub(super) fn score_of(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    subject: &Subject,
    now: u32,
) -> Result<Assessment, CliError> {
    query::assess(store, scorer, subject, now).map_err(failed)
}

fn failed(error: AssessError) -> CliError {
    match error {
        AssessError::NoScore(error) => error.into(),
        AssessError::Store(cause) => cannot("read the store")(cause),
    }
}

/// Scores the subjects on standard input. An invalid line is reported and skipped.
fn lines(
    scorer: &Scorer,
    store: &mut Reader<'_>,
    out: &mut Output<'_>,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let (mut number, mut skipped) = (0, 0);
    while let Some(text) = next_text(terminal.input, &mut number)? {
        if text.is_empty() || is_comment(&text) {
            continue;
        }
        match read(&text, terminal) {
            Ok(subjects) => {
                for subject in &subjects {
                    one(subject, scorer, store, out, terminal)?;
                }
            }
            Err(error) => {
                skipped += 1;
                let why = with_causes(&error);
                terminal.say(format_args!("line {number} skipped: {why}"));
            }
        }
    }
    if skipped > 0 {
        out.answer.end(terminal.out).map_err(CliError::Output)?;
        return Err(CliError::Lines(skipped));
    }
    Ok(())
}

/// Scores what is new.
fn new(
    asked: &Score,
    since: u32,
    scorer: &Scorer,
    store: &mut Reader<'_>,
    out: &mut Output<'_>,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let by_domain = asked.by == ByName::Domains;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let query = NewScores { since, by_domain, limit, now: terminal.now };
    let found = score_new(store, scorer, &query).map_err(failed)?;
    let scores = found.scores.iter().filter(|one| one.ledger.score >= out.least);
    for assessed in scores {
        out.shown += 1;
        out.answer.add(assessed, terminal.out).map_err(CliError::Output)?;
    }
    let what = if by_domain { "domains" } else { "names" };
    out.answer.end(terminal.out).map_err(CliError::Output)?;
    let (new, read) = (found.new, found.read);
    if found.crowded_out > 0 {
        let names = counted(found.crowded_out, "name", "names");
        terminal.say(format_args!("{names} left out: 3 of each domain are shown"));
    }
    if new > read {
        terminal.say(format_args!(
            "{new} new {what}; the store was read for {read} that stood out by text, tags and lists, and only these are ranked"
        ));
    } else {
        terminal.say(format_args!("{new} new {what}, {} shown", out.shown));
    }
    Ok(())
}

impl From<query::NoScore> for CliError {
    fn from(error: query::NoScore) -> Self {
        UsageError::NoScore(error).into()
    }
}
