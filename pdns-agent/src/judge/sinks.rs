//! Where events go: a rotating file, the system log, a web hook; standard output if none is set.
//!
//! The file and the spool of the web hook must take an event before the position moves behind it. The system log is
//! told once, and what it does not take is counted.

mod file;
mod spool;
mod syslog;
mod webhook;

use super::settings::JudgeSettings;
use super::state::Counters;
use crate::exchange::Dataset;
use crate::outgoing::OutgoingError;
use file::RotatingFile;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use syslog::Syslog;
use webhook::Webhook;

/// Events cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file of events or of the spool.
    #[error("cannot write events to {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The file of events is a directory, a device or a pipe.
    #[error("judge.file: path is {}, which is not a regular file: give the path of a file", .0.display())]
    NotRegular(PathBuf),
    /// Standard output.
    #[error("cannot write events")]
    Output(#[source] io::Error),
    /// The settings of the web hook.
    #[error("cannot use the web hook")]
    Webhook(#[source] OutgoingError),
}

fn at(path: &Path) -> impl Fn(io::Error) -> SinkError {
    move |cause| SinkError::File { path: path.to_owned(), cause }
}

/// Number of events of a step that each sink has.
#[derive(Default)]
pub(super) struct Taken {
    file: usize,
    webhook: usize,
}

/// All sinks of a judge.
pub(super) struct Sinks<'o> {
    file: Option<(RotatingFile, Vec<Dataset>)>,
    syslog: Option<(Syslog, Vec<Dataset>)>,
    webhook: Option<(Webhook, Vec<Dataset>)>,
    output: Option<&'o mut dyn Write>,
}

impl<'o> Sinks<'o> {
    /// Opens the sinks; events go to `output` if there are none. `env` looks up an environment variable.
    pub(super) fn open(
        settings: &JudgeSettings,
        env: &dyn Fn(&str) -> Option<String>,
        output: &'o mut dyn Write,
    ) -> Result<Self, SinkError> {
        let file = settings.file.as_ref().map(|file| {
            // A device takes everything and keeps nothing, and none of them can be rotated.
            if std::fs::metadata(&file.path).is_ok_and(|found| !found.is_file()) {
                return Err(SinkError::NotRegular(file.path.clone()));
            }
            let opened = RotatingFile::open(&file.path, file.most, file.keep);
            opened.map(|opened| (opened, file.datasets.clone())).map_err(at(&file.path))
        });
        let syslog = settings
            .syslog
            .as_ref()
            .map(|syslog| (Syslog::new(&syslog.socket, syslog.facility), syslog.datasets.clone()));
        let webhook = settings
            .webhook
            .as_ref()
            .map(|hook| Webhook::start(hook, env).map(|opened| (opened, hook.datasets.clone())));
        let (file, webhook) = (file.transpose()?, webhook.transpose()?);
        let has_none = file.is_none() && syslog.is_none() && webhook.is_none();
        Ok(Self { file, syslog, webhook, output: has_none.then_some(output) })
    }

    /// Returns true if any sink takes events of a data set.
    pub(super) fn takes(&self, dataset: Dataset) -> bool {
        let of = |datasets: &Vec<Dataset>| datasets.contains(&dataset);
        self.output.is_some()
            || self.file.as_ref().is_some_and(|(_, datasets)| of(datasets))
            || self.syslog.as_ref().is_some_and(|(_, datasets)| of(datasets))
            || self.webhook.as_ref().is_some_and(|(_, datasets)| of(datasets))
    }

    /// Writes events: lines with their line feeds. `taken` says what each sink has of these events, nothing at first:
    /// after an error, the same call goes on with what is left.
    pub(super) fn write(
        &mut self,
        events: &[(Dataset, String)],
        taken: &mut Taken,
    ) -> Result<(), SinkError> {
        let lines = |datasets: &[Dataset], taken: usize| {
            let datasets = datasets.to_vec();
            let wanted = events.iter().filter(move |(dataset, _)| datasets.contains(dataset));
            wanted.skip(taken).map(|(_, line)| line.as_str())
        };
        if let Some((file, datasets)) = &mut self.file {
            let (count, written) = file.write(lines(datasets, taken.file));
            taken.file += count;
            written.map_err(at(&file.path))?;
        }
        if let Some((hook, datasets)) = &mut self.webhook {
            let (count, pushed) = hook.push(lines(datasets, taken.webhook));
            taken.webhook += count;
            pushed?;
        }
        if let Some((syslog, datasets)) = &mut self.syslog {
            for (_, line) in events.iter().filter(|(dataset, _)| datasets.contains(dataset)) {
                syslog.send(line);
            }
        }
        if let Some(output) = &mut self.output {
            for (_, line) in events {
                output.write_all(line.as_bytes()).map_err(SinkError::Output)?;
            }
            output.flush().map_err(SinkError::Output)?;
        }
        Ok(())
    }

    /// True if something was dropped since the last [`Sinks::count`].
    pub(super) fn has_dropped(&self) -> bool {
        self.webhook.as_ref().is_some_and(|(hook, _)| hook.has_dropped())
            || self.syslog.as_ref().is_some_and(|(syslog, _)| syslog.has_dropped())
    }

    /// Adds what was dropped since the last call.
    pub(super) fn count(&mut self, counters: &mut Counters) {
        if let Some((hook, _)) = &self.webhook {
            counters.webhook_dropped += hook.take_dropped();
        }
        if let Some((syslog, _)) = &mut self.syslog {
            counters.syslog_dropped += syslog.take_dropped();
        }
    }

    /// Waits until the web hook has everything, or fails, at most so long.
    pub(super) fn drain(&self, most: std::time::Duration) {
        if let Some((hook, _)) = &self.webhook {
            hook.drain(most);
        }
    }
}
