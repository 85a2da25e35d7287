//! `pdns squats`: names that imitate a domain, among those that were seen or among all that would.

use super::args::analyze::Squats;
use super::classify::name;
use super::query_args::LIMIT;
use super::{CliError, Found, Terminal, cannot, open};
use crate::analyze::{MAX_SQUATS, MimicKind, NoSquats, PossibleSquats, imitable, squats};
use crate::config::score::ScoreFiles;
use crate::name::{Name, NameBuf, suffix};
use crate::query::{SquatQuery, seen_squats};
use crate::render::{Format, Judgements};
use crate::store::Options;

/// Prints the names in the store that imitate a domain.
pub(super) fn seen(
    asked: &Squats,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let domain = domain(asked, terminal)?;
    if let Err(cause @ NoSquats::InvalidIdn) = imitable(domain.as_name()) {
        return Err(CliError::NoSquats(domain, cause));
    }
    let never = |kind: MimicKind| {
        let why = "their likeness stays below 80; pdns mimics compares single names";
        (!kind.may_be_worth_a_look()).then_some(why)
    };
    check_kinds(asked, "shown", &never, terminal)?;
    let lists = ScoreFiles::default().lists()?;
    let format = terminal.format(asked.format, Format::Json);
    let limit = asked.limit.limit.unwrap_or(LIMIT);
    let query =
        SquatQuery { domain: domain.as_name(), kinds: &asked.kind, with_own: asked.own, limit };
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let found = seen_squats(&mut store, &lists, &query).map_err(cannot("read the store"))?;
    let mut answer = Judgements::new(format, terminal.look(Vec::new()));
    for squat in &found.squats {
        answer.seen_squat(squat, domain.as_name(), terminal.out).map_err(CliError::Output)?;
    }
    answer.end(terminal.out).map_err(CliError::Output)?;
    note_cut(found.cut, limit, terminal);
    if found.own > 0 {
        let names = if found.own == 1 { "name belongs" } else { "names belong" };
        terminal.say(format_args!(
            "{} more {names} to the owner of {domain}, by what the store has; --own shows them",
            found.own
        ));
    }
    if found.squats.is_empty() {
        for warning in store.eviction_warnings().map_err(cannot("read the state of the store"))? {
            terminal.say(format_args!("{warning}"));
        }
        return Ok(Found::Nothing);
    }
    Ok(Found::Something)
}

/// Prints names that would imitate a domain.
pub(super) fn possible(asked: &Squats, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    let domain = domain(asked, terminal)?;
    check_kinds(asked, "listed", &MimicKind::unlisted, terminal)?;
    let PossibleSquats { all, is_cut } =
        squats(domain.as_name()).map_err(|cause| CliError::NoSquats(domain.clone(), cause))?;
    let format = terminal.format(asked.format, Format::Json);
    let limit = asked.limit.limit.unwrap_or(0);
    let mut answer = Judgements::new(format, terminal.look(Vec::new()));
    let is_asked = |kind: MimicKind| asked.kind.is_empty() || asked.kind.contains(&kind);
    let mut shown = 0;
    for squat in all.iter().filter(|squat| is_asked(squat.kind)) {
        if limit > 0 && shown >= limit {
            answer.end(terminal.out).map_err(CliError::Output)?;
            note_cut(true, limit, terminal);
            return Ok(Found::Something);
        }
        shown += 1;
        answer.squat(squat, terminal.out).map_err(CliError::Output)?;
    }
    answer.end(terminal.out).map_err(CliError::Output)?;
    if is_cut && is_asked(MimicKind::Homoglyph) {
        terminal.say(format_args!(
            "not all are listed: {domain} has more than {MAX_SQUATS}; of those with two look-alike characters exchanged, \
             the rest is left out"
        ));
    }
    Ok(if shown > 0 { Found::Something } else { Found::Nothing })
}

/// Says of which of the kinds that are asked for there can be nothing, and why. If those are all, that is an error.
fn check_kinds(
    asked: &Squats,
    act: &str,
    why_not: &dyn Fn(MimicKind) -> Option<&'static str>,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let reasons: Vec<String> = asked
        .kind
        .iter()
        .filter_map(|kind| Some(format!("{kind} names cannot be {act}: {}", why_not(*kind)?)))
        .collect();
    if !reasons.is_empty() && reasons.len() == asked.kind.len() {
        return Err(CliError::NoSuchSquats(reasons.join("; ")));
    }
    for reason in reasons {
        terminal.say(format_args!("{reason}"));
    }
    Ok(())
}

fn note_cut(is_cut: bool, limit: usize, terminal: &mut Terminal<'_>) {
    if is_cut {
        let names = if limit == 1 { "name" } else { "names" };
        terminal.say(format_args!(
            "cut off after {limit} {names}, there are more; --limit N or --limit 0 shows them"
        ));
    }
}

/// Reads the domain. Only a registrable domain can be imitated; of a name below one the domain is taken, and that is said.
fn domain(asked: &Squats, terminal: &mut Terminal<'_>) -> Result<NameBuf, CliError> {
    let typed = name(&asked.domain)?;
    let domain = suffix::registrable(typed.as_name()).map(Name::to_buf);
    let domain = domain.ok_or_else(|| CliError::NoDomain(typed.clone()))?;
    if domain != typed {
        terminal.say(format_args!("names that imitate {domain}, the domain of {typed}"));
    }
    Ok(domain)
}
