//! `pdns show`: everything known about a subject.

use super::answer::{render_options, taken_for};
use super::args::Show;
use super::query_args::{UsageError, subjects};
use super::score::score_of;
use super::{CliError, Found, Terminal, cannot, open};
use crate::config::score::ScoreFiles;
use crate::query::{self, ProfileQuery, TagSet, Threats, scored_subject};
use crate::render::{self, Format};
use crate::store::{MAX_HISTORY, Options};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Prints the profile of one subject.
pub(super) fn show(
    asked: &Show,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut read = subjects(&asked.subject)?.into_iter();
    let (Some((text, reading)), None) = (read.next(), read.next()) else {
        return Err(UsageError::OneSubject(asked.subject.clone()).into());
    };
    let format = terminal.format(asked.format, Format::Json);
    let mut opened = open(options)?;
    let mut store = opened.reader();
    taken_for(&text, &reading, terminal);
    let look = render_options(&mut store, terminal)?;
    let mut scorer = ScoreFiles::default().scorer()?;
    let threats = TagSet::of_addresses(&mut store).map_err(cannot("read the tags"))?;
    let end = asked.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let stop = || end.is_some_and(|end| Instant::now() >= end);
    let query = ProfileQuery { subject: &reading.subject, at: None, stop: &stop };
    let profile = query::profile(&mut store, &threats, &query).map_err(cannot("read the store"))?;
    let score = match scored_subject(&reading.subject) {
        // Without time left, there is no score.
        Ok(subject) if !stop() => {
            scorer
                .refresh_with(&mut store, Arc::new(Threats::of(&threats)))
                .map_err(cannot("read the store"))?;
            Some(score_of(&mut store, &scorer, &subject, terminal.now)?)
        }
        _ => None,
    };
    render::profile(&profile, score.as_ref(), MAX_HISTORY, format, &look, terminal.out)
        .map_err(CliError::Output)?;
    terminal.say_problems(look.networks.as_deref());
    if stop() {
        terminal.say(format_args!("time ran out; rows are missing"));
    }
    Ok(if profile.is_empty() { Found::Nothing } else { Found::Something })
}
