//! `pdns judge`: judges new names until it is stopped, or shows how far it is.

use super::args::judge::Judge;
use super::{CliError, Found, Terminal, cannot, classify, clock, open, this_process};
use crate::analyze::WINDOW;
use crate::config::score::{ScoreFiles, protected};
use crate::judge::{FirstSeen, JudgeSettings, Knowledge, Mode, State, Summary, run};
use crate::query::DAY;
use crate::render::{Format, counted, iso};
use crate::store::Options;
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Runs the judge, or shows its state.
pub(super) fn judge(
    asked: &Judge,
    settings: Option<JudgeSettings>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    if asked.status {
        return status(asked, options, terminal);
    }
    let mut settings = settings.unwrap_or_default();
    if !asked.protect.is_empty() {
        settings.protect.clone_from(&asked.protect);
    }
    if asked.listen.is_some() {
        settings.listen.clone_from(&asked.listen);
    }
    settings.first_seen = match asked.first_seen.as_deref() {
        Some("names") => FirstSeen::Names,
        Some("domains") => FirstSeen::Domains,
        Some(_) => FirstSeen::Nothing,
        None => settings.first_seen,
    };
    let files = ScoreFiles { protect: settings.protect.first().cloned(), ..ScoreFiles::default() };
    let mut scorer = files.scorer()?;
    if settings.protect.len() > 1 {
        scorer.mimics = Arc::new(protected(&settings.protect)?);
    }
    if let Some(model) = asked.model.as_deref().or(settings.model.as_deref()) {
        scorer.model = Arc::new(classify::model(Some(model))?);
    }
    let knowledge = Knowledge { scorer };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(CliError::Signal)?;
    }
    super::serve::log();
    let holder = this_process();
    let mode = Mode { once: asked.once, all: asked.all, wait: asked.wait };
    let summary = run(
        options,
        &settings,
        &knowledge,
        mode,
        &holder,
        &stop,
        &clock,
        terminal.env,
        terminal.out,
    )?;
    say(&summary, asked, terminal);
    Ok(Found::Something)
}

fn say(summary: &Summary, asked: &Judge, terminal: &mut Terminal<'_>) {
    if summary.is_first && !asked.all {
        terminal.say(format_args!(
            "the first start on this store: names that are new from now on are judged; --all judges those that it has"
        ));
    }
    if asked.all {
        terminal.say(format_args!(
            "hits on tags and feeds are sought among new names; pdns find --tag threat shows those that the store had"
        ));
    }
    let counters = &summary.counters;
    let names = counted(counters.names + counters.failed, "name", "names");
    let domains = match summary.domains {
        0 => String::new(),
        domains => format!(" of {}", counted(domains, "domain", "domains")),
    };
    let alerts = counted(counters.alerts, "alert", "alerts");
    terminal.say(format_args!(
        "judged {names}{domains}: {alerts}, {} not raised, {} kept",
        counters.not_raised, counters.kept
    ));
}

/// Shows how far the judge is, and its day.
fn status(
    asked: &Judge,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut store = open(options)?;
    let (state, lease) = store.reader().judge().map_err(cannot("read the state of the judge"))?;
    let Some(state) = state.and_then(|state| State::decode(&state)) else {
        terminal.say(format_args!("no judge has worked on this store"));
        return Ok(Found::Nothing);
    };
    let holder = lease.filter(|(_, ends)| *ends > terminal.now).map(|(holder, _)| holder);
    let today = state.budget.counts(terminal.now / DAY);
    let format = terminal.format(asked.format, Format::Json);
    if format == Format::Json {
        let classes: Map<String, Value> = state
            .budget
            .thresholds()
            .map(|(class, threshold)| {
                let of_today = today.iter().find(|(of, ..)| *of == class);
                let (raised, not_raised) =
                    of_today.map_or((0, 0), |(_, one, other)| (*one, *other));
                let counts = json!({ "threshold": (threshold * 10.0).round() / 10.0,
                    "raised_today": raised, "not_raised_today": not_raised });
                (class.as_str().to_owned(), counts)
            })
            .collect();
        let counters: Map<String, Value> = state
            .counters
            .each()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        let object = json!({
            "holder": holder, "updated": iso(state.updated), "model": state.model,
            "left_bytes": state.left, "classes": classes, "counters": counters,
        });
        writeln!(terminal.out, "{object}").map_err(CliError::Output)?;
        return Ok(Found::Something);
    }
    let mut line = |name: &str, text: &str| {
        writeln!(terminal.out, "{name:<18}{text}").map_err(CliError::Output)
    };
    line("judge", holder.as_deref().unwrap_or("none is running"))?;
    line("last change", &iso(state.updated))?;
    line("left", &format!("{} of names", counted(state.left, "byte", "bytes")))?;
    line("model", &state.model)?;
    for (class, threshold) in state.budget.thresholds() {
        let of_today = today.iter().find(|(of, ..)| *of == class);
        let (raised, not_raised) = of_today.map_or((0, 0), |(_, one, other)| (*one, *other));
        let text =
            format!("today {raised} raised, {not_raised} not raised; threshold {threshold:.1}");
        line(class.as_str(), &text)?;
    }
    line("since the start", &format!("of the first judge; thresholds follow {WINDOW} days"))?;
    for (name, count) in state.counters.each() {
        line(&format!("  {}", name.replace('_', " ")), &count.to_string())?;
    }
    Ok(Found::Something)
}
