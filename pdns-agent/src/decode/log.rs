//! The lines of a log, whoever wrote it.
//!
//! Layer 3. `agent` reads logs of all formats in one way: a [`Decoder`] of one format takes line after line.

use super::{Line, Rejection, Tally, suricata, zeek};
use crate::observation::Sightings;

/// Who writes a log, and what to take from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Zeek's dns.log, or pdns.log of our Zeek package.
    Zeek(zeek::Options),
    /// Suricata's eve.json.
    Suricata,
}

/// Reads the lines of one log in their order.
#[derive(Debug)]
pub enum Decoder {
    /// As [`Format::Zeek`].
    Zeek(Box<zeek::Decoder>),
    /// As [`Format::Suricata`].
    Suricata(Box<suricata::Decoder>),
}

impl Decoder {
    /// A decoder at the start of a log.
    #[must_use]
    pub fn new(format: Format) -> Self {
        match format {
            Format::Zeek(options) => Self::Zeek(Box::new(zeek::Decoder::new(options))),
            Format::Suricata => Self::Suricata(Box::default()),
        }
    }

    /// Reads one line without its newline, and emits what it says.
    ///
    /// # Errors
    /// [`Rejection`] when the line cannot be used; then nothing is emitted. It is counted, and reading goes on.
    pub fn line(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Sightings<'_>),
    ) -> Result<Line, Rejection> {
        match self {
            Self::Zeek(decoder) => decoder.line(line, emit),
            Self::Suricata(decoder) => decoder.line(line, emit),
        }
    }

    /// Takes in what a line before the point of resumption says of the log's form; nothing is emitted or counted.
    pub fn skim(&mut self, line: &[u8]) {
        match self {
            Self::Zeek(decoder) => decoder.skim(line),
            // Each line speaks for itself.
            Self::Suricata(_) => {}
        }
    }

    /// Moves out how far pdns.log covers the rows of dns.log, of the lines since the last call.
    pub fn take_coverage(&mut self) -> zeek::Coverage {
        match self {
            Self::Zeek(decoder) => decoder.take_coverage(),
            Self::Suricata(_) => zeek::Coverage::default(),
        }
    }

    /// What became of all lines since the start.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        match self {
            Self::Zeek(decoder) => decoder.tally(),
            Self::Suricata(decoder) => decoder.tally(),
        }
    }
}
