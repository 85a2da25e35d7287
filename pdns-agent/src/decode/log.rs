//! Log lines, independent of the format.
//!
//! Layer 3. `agent` reads logs of all formats in the same way: a [`LogDecoder`] for one format processes line
//! after line.

use super::{Line, Rejection, Tally, cof, suricata, zeek};
use crate::observation::Aggregated;
use memchr::memmem;

/// Program that writes a log, with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Zeek's dns.log, or our Zeek package's pdns.log.
    Zeek(zeek::Options),
    /// Suricata's eve.json.
    Suricata,
    /// Passive DNS from elsewhere: COF, or DNSDB's JSON.
    Cof,
}

impl Format {
    /// The command of `pdns-agent` for such logs.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Zeek(_) => "zeek",
            Self::Suricata => "suricata",
            Self::Cof => "cof",
        }
    }
}

/// The command of `pdns-agent` for a file, judging by its first line or another line of it; `None` if it is
/// unknown.
#[must_use]
pub fn command_for(line: &[u8]) -> Option<&'static str> {
    // pcap in both byte orders, in microseconds and nanoseconds, and pcapng.
    const CAPTURES: [&[u8]; 5] = [
        &[0xd4, 0xc3, 0xb2, 0xa1],
        &[0xa1, 0xb2, 0xc3, 0xd4],
        &[0x4d, 0x3c, 0xb2, 0xa1],
        &[0xa1, 0xb2, 0x3c, 0x4d],
        &[0x0a, 0x0d, 0x0d, 0x0a],
    ];
    let has = |word: &[u8]| memmem::find(line, word).is_some();
    if CAPTURES.iter().any(|magic| line.starts_with(magic)) {
        Some("pcap")
    } else if line.starts_with(b"{") {
        if has(b"\"event_type\"") && has(b"\"timestamp\"") {
            Some("suricata")
        } else if has(b"\"cond\"") || (has(b"\"rrname\"") && has(b"time_first\"")) {
            Some("cof")
        // Also in the forms of shippers: `id_orig_h`, or `orig_h` within `id`. Others remove addresses.
        } else if has(b"orig_h\"") || (has(b"\"ts\"") && (has(b"\"rrname\"") || has(b"\"query\"")))
        {
            Some("zeek")
        } else {
            None
        }
    } else {
        (line.starts_with(b"#separator ") || line.starts_with(b"#fields\t")).then_some("zeek")
    }
}

/// Reads the lines of one log in their order.
#[derive(Debug)]
pub enum LogDecoder {
    /// See [`Format::Zeek`].
    Zeek(Box<zeek::Decoder>),
    /// See [`Format::Suricata`].
    Suricata(Box<suricata::SuricataDecoder>),
    /// See [`Format::Cof`].
    Cof(Box<cof::CofDecoder>),
}

impl LogDecoder {
    /// A decoder at the start of a log.
    #[must_use]
    pub fn new(format: Format) -> Self {
        match format {
            Format::Zeek(options) => Self::Zeek(Box::new(zeek::Decoder::new(options))),
            Format::Suricata => Self::Suricata(Box::default()),
            Format::Cof => Self::Cof(Box::default()),
        }
    }

    /// Reads one line without its newline, and emits its observations.
    ///
    /// # Errors
    /// [`Rejection`] if the line is unusable; nothing is emitted then. It is counted, and reading continues.
    pub fn line(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Aggregated<'_>),
    ) -> Result<Line, Rejection> {
        match self {
            Self::Zeek(decoder) => decoder.line(line, emit),
            Self::Suricata(decoder) => decoder.line(line, emit),
            Self::Cof(decoder) => decoder.line(line, emit),
        }
    }

    /// Reads a line before the position of resumption for its effect on later lines; nothing is emitted or
    /// counted.
    pub fn skim(&mut self, line: &[u8]) {
        match self {
            Self::Zeek(decoder) => decoder.skim(line),
            Self::Suricata(decoder) => decoder.skim(line),
            // Each line is independent.
            Self::Cof(_) => {}
        }
    }

    /// Takes out the range of dns.log rows that pdns.log covers, according to the lines since the last call.
    pub fn take_coverage(&mut self) -> zeek::Coverage {
        match self {
            Self::Zeek(decoder) => decoder.take_coverage(),
            Self::Suricata(_) | Self::Cof(_) => zeek::Coverage::default(),
        }
    }

    /// Counts of all lines since the start.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        match self {
            Self::Zeek(decoder) => decoder.tally(),
            Self::Suricata(decoder) => decoder.tally(),
            Self::Cof(decoder) => decoder.tally(),
        }
    }
}
