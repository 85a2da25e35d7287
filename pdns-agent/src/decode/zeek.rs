//! Zeek's `dns.log`, and `pdns.log` of our Zeek package, as TSV or JSON, line by line.
//!
//! Layer 3. [`Decoder::line`] takes a line from `source` and emits what it says. The format is told from
//! each line alone: `{` begins JSON, `#` a directive, all else is a row under the header so far. So a
//! file may change its format, and a log of another kind does no harm.
//!
//! ```text
//! line -> tsv | json -> row (values as they stand) -> infer (owners, types, outcome) -> sightings
//!                                                  -> package (exact)                ->
//! ```
//!
//! Columns of dns.log are described in Zeek's scripts/base/protocols/dns/main.zeek, record `DNS::Info`; those of
//! pdns.log in our zeek/scripts/main.zeek, record `PDNS::Info`.
//!
//! Both logs tell of the same traffic. The package marks each row of dns.log of which pdns.log tells, in a column
//! `pdns`, and a marked row is passed over. Each row speaks for itself, so the order in which logs are read, their
//! rotation, and a restart of Zeek or of the agent make no difference; rows of a Zeek without the package count as
//! ever.

use super::{Filter, Line, Rejection, Tally};
use crate::observation::{Observation, Sightings};
pub use coverage::Coverage;
use row::{Columns, Query, Row};

mod answers;
mod clock;
mod coverage;
mod emitted;
mod infer;
mod json;
mod package;
mod rdata;
mod row;
mod tsv;

/// What to take from a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also take `NetBIOS` (port 137), mDNS (5353) and LLMNR (5355), whose names hold on one link only.
    pub keep_multicast: bool,
    /// Take the rows of dns.log that are marked to be in pdns.log as well, and none of pdns.log.
    pub no_pdns_log: bool,
}

/// Reads the lines of one log in their order.
#[derive(Debug, Default)]
pub struct Decoder {
    options: Options,
    header: tsv::Header,
    columns: Columns,
    scratch: infer::Scratch,
    package: package::Scratch,
    tally: Tally,
    coverage: Coverage,
}

impl Decoder {
    /// A decoder at the start of a log.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Reads one line without its newline; a carriage return at its end is passed over.
    ///
    /// Emits the records in the order of the answers, then a negative answer if the line is one, all
    /// with one time; of pdns.log the one record or negative answer that a line tells. Nothing is emitted when the line is rejected. Memory is kept for the next line,
    /// as much as the longest line took.
    ///
    /// # Errors
    /// [`Rejection`] when the line cannot be used. It is counted, and reading goes on.
    pub fn line(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Sightings<'_>),
    ) -> Result<Line, Rejection> {
        let ending = self.decode(line, emit);
        self.tally.count(ending);
        ending
    }

    /// Takes in what a line before the point of resumption says of the log's form; nothing is
    /// emitted or counted.
    pub fn skim(&mut self, line: &[u8]) {
        let line = trimmed(line);
        match line.first() {
            Some(b'#') => self.header.directive(line),
            Some(b'{') => {}
            // In the writer's `tsv` mode the first line is the header and has no mark.
            Some(_) if !self.header.is_known() => drop(self.header.bare(line)),
            _ => {}
        }
    }

    /// What became of all lines since the start or the last [`Decoder::take_tally`].
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Moves the tally out; counting begins again at nothing.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Moves out how far the lines of pdns.log among those that were read cover the others.
    pub fn take_coverage(&mut self) -> Coverage {
        std::mem::take(&mut self.coverage)
    }

    fn decode(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Sightings<'_>),
    ) -> Result<Line, Rejection> {
        let line = trimmed(line);
        if line.first() == Some(&b'#') {
            self.header.directive(line);
            return Ok(Line::Directive);
        }
        self.columns.clear();
        let mut row = Row::default();
        match line.iter().find(|octet| !octet.is_ascii_whitespace()) {
            None => return Ok(Line::Blank),
            Some(b'{') => match json::row(line, &mut self.columns)? {
                Some(object) => row = object,
                None => return Ok(Line::OtherRecord),
            },
            Some(_) => match self.header.row(line, &mut row, &mut self.columns)? {
                tsv::Parsed::Row => {}
                tsv::Parsed::Other => return Ok(Line::OtherRecord),
                tsv::Parsed::Header => return Ok(Line::Directive),
            },
        }
        let filter = self.options.filter(&row)?;
        self.note_coverage(&row, filter);
        if let Some(filter) = filter {
            return Ok(Line::Filtered(filter));
        }
        if row.is_of_package() {
            package::read(&row, &self.columns.rdata, &mut self.package, &mut self.tally, emit)?;
            return Ok(Line::Counted);
        }
        let query = match row.query {
            Query::Unset => return Err(Rejection::NoQuery),
            Query::InLine(query) => query,
            Query::Unescaped => &self.columns.query,
        };
        let context = infer::Context { row: &row, query, at: clock::seconds(row.ts)? };
        let answers = &self.columns.answers;
        let mut emit = |observation: Observation<'_>| emit(Sightings::from(observation));
        infer::infer(&context, answers, &mut self.scratch, &mut self.tally, &mut emit)?;
        Ok(Line::Counted)
    }

    /// Notes what a row means for the coverage of dns.log by pdns.log.
    fn note_coverage(&mut self, row: &Row<'_>, filter: Option<Filter>) {
        let Ok(first) = clock::seconds(row.ts) else { return };
        if filter == Some(Filter::InPdnsLog) {
            self.coverage.mark(first);
        } else if row.is_of_package() && filter != Some(Filter::PdnsLog) {
            let last = clock::seconds(row.package.last).unwrap_or(first);
            self.coverage.extend(first, last.max(first));
        }
    }
}

impl Options {
    /// Why a row is not to be taken, if so.
    fn filter(self, row: &Row<'_>) -> Result<Option<Filter>, Rejection> {
        if row.is_of_package() {
            if self.no_pdns_log {
                return Ok(Some(Filter::PdnsLog));
            }
            let is_internet = row.package.rrclass.number()?.is_none_or(|class| class == 1);
            return Ok((!is_internet).then_some(Filter::Class));
        }
        if !self.no_pdns_log && row.marked.is_true()? {
            return Ok(Some(Filter::InPdnsLog));
        }
        if row.opcode.number()?.is_some_and(|opcode| opcode != 0) {
            return Ok(Some(Filter::Opcode));
        }
        let ports = [row.resp_p.number()?, row.orig_p.number()?];
        let [server, client] = ports.map(|port| matches!(port, Some(137 | 5353 | 5355)));
        // A client may have chosen such a port for an ordinary query.
        let is_multicast = server || (client && !matches!(ports, [Some(53), _]));
        if is_multicast && !self.keep_multicast {
            return Ok(Some(Filter::Port));
        }
        // In mDNS the first bit of a class asks for a unicast reply (RFC 6762 §5.4).
        let class_bits = if ports.contains(&Some(5353)) { 0x7fff } else { 0xffff };
        Ok((!row.is_internet(class_bits)?).then_some(Filter::Class))
    }
}

/// A line without the carriage return that a file from elsewhere may have.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
