//! `pdns admin forget`: what goes is shown first, and asked about.

use super::args::forget::{ForgetArgs, OriginArg};
use super::{CliError, Found, Terminal, UsageError, cannot, clock, open, this_process};
use crate::query::{TagSet, TimeSpec};
use crate::render::counted;
use crate::retention::{Criteria, Origin, Retention, cut, is_nearly_full, is_protected, of_sum};
use crate::store::{Candidate, ForgetNote, ForgetTally, Forgetting, Kind, Options, Store};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Times that records are forgotten for want of memory: how much each of them frees is known only afterwards.
const ROUNDS: usize = 3;

/// The store, and a process that forgets.
struct Run {
    store: Store,
    holder: String,
    stop: Arc<AtomicBool>,
}

/// The records that go: those that are selected, unless they have one of the tags.
struct Chosen<'c> {
    selects: &'c dyn Fn(&Candidate<'_>) -> bool,
    tags: Option<&'c TagSet>,
}

/// Forgets what was asked for.
pub(super) fn forget(
    asked: &ForgetArgs,
    retention: Option<Retention>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let now = terminal.now;
    let rules = match (asked.rules, retention.filter(|rules| !rules.is_empty())) {
        (true, None) => return Err(UsageError::NoRetention.into()),
        (true, rules) => rules,
        (false, _) => None,
    };
    if !asked.dry_run && !asked.yes && !terminal.is_watched {
        return Err(UsageError::NotAsked.into());
    }
    let mut store = open(options)?;
    let criteria = criteria(asked, &mut store, now)?;
    if rules.is_none() && criteria.is_empty() {
        return Err(UsageError::NothingToForget.into());
    }
    let most = rules.and_then(|rules| rules.max_memory);
    let keeps_tagged = rules.map_or(!asked.tagged, |rules| !rules.forgets_tagged);
    let selects = |one: &Candidate<'_>| match &rules {
        Some(rules) => rules.selects(one, now),
        None => criteria.selects(one),
    };
    let mut run = Run { store, holder: this_process(), stop: Arc::default() };
    if !asked.yes {
        let tags = tags_of(&mut run)?;
        let chosen = Chosen { selects: &selects, tags: keeps_tagged.then_some(&tags) };
        let mut trial = ForgetTally::default();
        run.go(&chosen, true, &mut trial, terminal)?;
        say_trial(&trial, &mut run.store, terminal)?;
        if let Some(most) = most {
            say_memory(most, &mut run.store, terminal)?;
        }
        let is_nothing = trial.records + trial.negatives + trial.sums == 0;
        if asked.dry_run || (is_nothing && most.is_none()) || !confirmed(terminal)? {
            return Ok(Found::Something);
        }
    }
    // Until here nothing was changed, and an interrupt ends the process at once.
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&run.stop)).map_err(CliError::Signal)?;
    }
    // Somebody may have thought about the question for long.
    let tags = tags_of(&mut run)?;
    let chosen = Chosen { selects: &selects, tags: keeps_tagged.then_some(&tags) };
    let before = used(&mut run.store)?;
    let mut tally = ForgetTally::default();
    let mut forgotten = run.go(&chosen, false, &mut tally, terminal);
    let mut note = ForgetNote {
        time: now,
        reason: if rules.is_some() { "rules" } else { "command" }.to_owned(),
        records: tally.records,
        negatives: tally.negatives,
        is_short: false,
    };
    if forgotten.is_ok() || tally != ForgetTally::default() {
        say(&tally, "", terminal);
    }
    if let Some(most) = most
        && forgotten.is_ok()
    {
        forgotten = keep_budget(&mut run, &tags, most, &mut note, terminal);
    }
    // After an error, too: what is gone is gone.
    if note.records + note.negatives > 0 || note.is_short {
        let noted = run.store.note_forgotten(&note).map_err(cannot("note what was forgotten"));
        forgotten = forgotten.and(noted);
    }
    forgotten?;
    if let (Some(before), Some(after)) = (before, used(&mut run.store)?)
        && tally.records + tally.negatives > 0
    {
        terminal.say(format_args!(
            "Redis uses {} MiB of memory now, and used {} MiB before",
            after >> 20,
            before >> 20
        ));
    }
    if run.stop.load(Ordering::Relaxed) {
        return Err(CliError::ForgettingStopped);
    }
    Ok(Found::Something)
}

fn tags_of(run: &mut Run) -> Result<TagSet, CliError> {
    TagSet::load(&mut run.store.reader()).map_err(cannot("read the tags"))
}

/// Forgets the least valuable records while the memory is nearly used up.
fn keep_budget(
    run: &mut Run,
    tags: &TagSet,
    most: u64,
    note: &mut ForgetNote,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let now = terminal.now;
    for _ in 0..ROUNDS {
        let Some(used) = used(&mut run.store)? else { return Err(UsageError::NoMemory.into()) };
        if !is_nearly_full(most, used) || run.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = cut(&mut run.store.reader(), most, used, now);
        let Some(cut) = found.map_err(cannot("weigh the records"))? else { break };
        terminal.say(format_args!(
            "Redis uses {} of {} MiB of memory: the least valuable records go",
            used >> 20,
            most >> 20
        ));
        let selects = |one: &Candidate<'_>| cut.selects(one);
        let chosen = Chosen { selects: &selects, tags: Some(tags) };
        let mut tally = ForgetTally::default();
        let forgotten = run.go(&chosen, false, &mut tally, terminal);
        say(&tally, " for want of memory", terminal);
        "memory".clone_into(&mut note.reason);
        note.records += tally.records;
        note.negatives += tally.negatives;
        forgotten?;
        if tally.records + tally.negatives == 0 {
            break;
        }
    }
    let used = used(&mut run.store)?.unwrap_or(0);
    note.is_short = is_nearly_full(most, used);
    if note.is_short {
        terminal.say(format_args!(
            "Redis still uses {} of {} MiB of memory: what is left is tagged or was first seen in the last 7 days, or the \
             memory is used by something else",
            used >> 20,
            most >> 20
        ));
    }
    Ok(())
}

impl Run {
    fn go(
        &mut self,
        chosen: &Chosen<'_>,
        is_trial: bool,
        tally: &mut ForgetTally,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), CliError> {
        let (stop, is_watched) = (Arc::clone(&self.stop), terminal.is_watched);
        let Chosen { selects, tags } = *chosen;
        let keep = |one: &Candidate<'_>| !selects(one) || is_protected(tags, one);
        let err = &mut *terminal.err;
        let mut progress = |done: u16, all: u16| {
            if is_watched {
                let end = if done >= all { "\n" } else { "" };
                drop(write!(err, "\rforget: part {done} of {all}{end}").and_then(|()| err.flush()));
            }
        };
        let mut how = Forgetting {
            keep: &keep,
            keep_sum: &|sum| of_sum(sum, keep),
            is_trial,
            holder: &self.holder,
            clock: &clock,
            is_stopped: &|| stop.load(Ordering::Relaxed),
            progress: &mut progress,
        };
        self.store.forget(&mut how, tally).map_err(cannot("forget records"))
    }
}

fn criteria(asked: &ForgetArgs, store: &mut Store, now: u32) -> Result<Criteria, CliError> {
    let flag = "--last-before";
    let last_before = asked.last_before.as_deref().map(|text| TimeSpec::parse(text, now));
    let last_before = last_before.transpose().map_err(|cause| UsageError::When { flag, cause })?;
    let only_sensor = match &asked.only_sensor {
        None => None,
        Some(name) => {
            let names = store.reader().sensors().map_err(cannot("read the sensors"))?;
            let number = names.iter().position(|known| known == name);
            let number = number.and_then(|number| u16::try_from(number).ok());
            Some(number.ok_or_else(|| UsageError::NoSensor(name.clone()))?)
        }
    };
    Ok(Criteria {
        last_before: last_before.map(|time| time.start),
        rrtypes: asked.rrtype.clone(),
        below: asked.below.clone(),
        nets: asked.address.clone(),
        origin: asked.origin.map(|origin| match origin {
            OriginArg::Exact => Origin::Exact,
            OriginArg::Inferred => Origin::Inferred,
            OriginArg::Imported => Origin::Imported,
        }),
        most_count: asked.most_count,
        only_sensor,
        kind: match (asked.negative, asked.records) {
            (true, _) => Some(Kind::Negative),
            (_, true) => Some(Kind::Record),
            _ => None,
        },
    })
}

/// Bytes that Redis uses, if this user may know.
fn used(store: &mut Store) -> Result<Option<u64>, CliError> {
    let capacity = store.capacity().map_err(cannot("read the memory of Redis"))?;
    Ok(capacity.map(|capacity| capacity.used))
}

fn sentence(tally: &ForgetTally) -> String {
    let mut parts = vec![
        counted(tally.records, "record", "records"),
        counted(tally.negatives, "negative answer", "negative answers"),
    ];
    if tally.sums > 0 {
        let (one, many) = ("sum of names not kept", "sums of names not kept");
        parts.push(counted(tally.sums, one, many));
    }
    parts.join(", ")
}

fn say(tally: &ForgetTally, why: &str, terminal: &mut Terminal<'_>) {
    if tally.records + tally.negatives + tally.sums == 0 {
        terminal.say(format_args!("nothing to forget{why}: {} kept", tally.kept));
        return;
    }
    terminal.say(format_args!(
        "forgotten{why}: {}, with all of {}; {} kept",
        sentence(tally),
        counted(tally.names, "name", "names"),
        tally.kept
    ));
}

fn say_trial(
    tally: &ForgetTally,
    store: &mut Store,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    if tally.records + tally.negatives + tally.sums == 0 {
        terminal.say(format_args!("nothing to forget: {} kept", tally.kept));
        return Ok(());
    }
    let all = u128::from(tally.octets + tally.octets_kept).max(1);
    let freed = used(store)?.map(|used| u128::from(used) * u128::from(tally.octets) / all);
    let freed = freed.map_or(String::new(), |freed| {
        format!("; about {} MiB of memory would be free", freed.div_ceil(1 << 20))
    });
    terminal.say(format_args!(
        "to be forgotten: {}, with all of {}; {} kept{freed}",
        sentence(tally),
        counted(tally.names, "name", "names"),
        tally.kept
    ));
    Ok(())
}

fn say_memory(most: u64, store: &mut Store, terminal: &mut Terminal<'_>) -> Result<(), CliError> {
    let Some(used) = used(store)? else { return Ok(()) };
    let then = if is_nearly_full(most, used) {
        "then the least valuable records go until enough is free"
    } else {
        "no record has to go for want of it"
    };
    terminal.say(format_args!("Redis uses {} of {} MiB of memory: {then}", used >> 20, most >> 20));
    Ok(())
}

/// Asks whether to go on.
fn confirmed(terminal: &mut Terminal<'_>) -> Result<bool, CliError> {
    drop(write!(terminal.err, "forget them for good? [y/N] ").and_then(|()| terminal.err.flush()));
    let mut answer = String::new();
    terminal.input.read_line(&mut answer).map_err(CliError::Input)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
