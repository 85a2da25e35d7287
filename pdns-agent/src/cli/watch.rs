//! `pdns watch`: shows names and records that are seen for the first time, until it is stopped.

use super::answer::Output;
use super::args::RowOptions;
use super::args::tag::WatchArgs;
use super::{CliError, Found, Terminal, cannot, open};
use crate::query::{Polled, Watch};
use crate::render::{Format, Item};
use crate::store::{Options, Reader, StoreError};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Interval at which signals are checked.
const NAP: Duration = Duration::from_millis(50);

/// Follows new names, and with `--records` new records.
pub(super) fn run(
    args: &WatchArgs,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let rows = RowOptions { fences: args.fences.clone(), ..RowOptions::from(&args.paging) };
    let filter = rows.filter(terminal.now)?;
    let text =
        super::query_args::text(args.starts.as_deref(), args.ends.as_deref(), &args.contains)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(CliError::Signal)?;
    }
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut watch =
        Watch::begin(&mut store, text, filter, args.records).map_err(cannot("read the store"))?;
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    answer.say(format_args!("watching for what is new; Ctrl-C ends"));
    let interval = Duration::from_secs(args.interval.into());
    let limit = rows.limit.unwrap_or(0) as u64;
    let mut away = false;
    while !stop.load(Ordering::Relaxed) {
        let looked = Instant::now();
        match look(&mut watch, &mut store, &mut answer, limit, &stop) {
            Ok(polled) => {
                if std::mem::take(&mut away) {
                    answer.say(format_args!("the store is back"));
                }
                if polled == Polled::Lost {
                    answer.say(format_args!(
                        "the store lost what it had not on disk yet; what is new from here on is shown"
                    ));
                }
                answer.check()?;
                answer.page()?;
                if polled == Polled::Enough {
                    break;
                }
            }
            // Errors that are worth waiting out.
            Err(error) if error.is_transient() || matches!(error, StoreError::Refused(_)) => {
                if !std::mem::replace(&mut away, true) {
                    answer.say(format_args!("waiting for the store: {error}"));
                }
            }
            Err(cause) => return Err(CliError::Store { act: "go on watching", cause }),
        }
        while !stop.load(Ordering::Relaxed) && looked.elapsed() < interval {
            thread::sleep(NAP.min(interval.saturating_sub(looked.elapsed())));
        }
    }
    answer.end().map(|_| Found::Something)
}

/// Shows what is new since the last call.
fn look(
    watch: &mut Watch,
    store: &mut Reader<'_>,
    answer: &mut Output<'_, '_>,
    limit: u64,
    stop: &AtomicBool,
) -> Result<Polled, StoreError> {
    answer.set_tags(watch.refresh(store)?);
    watch.poll(store, &mut |row| {
        let flow = answer.item(&Item::Record(&row));
        let enough = (limit > 0 && answer.items() >= limit) || stop.load(Ordering::Relaxed);
        if enough { std::ops::ControlFlow::Break(()) } else { flow }
    })
}
