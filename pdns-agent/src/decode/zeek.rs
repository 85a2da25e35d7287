//! Zeek's `dns.log`, and our Zeek package's `pdns.log`, as TSV or JSON, line by line.
//!
//! Layer 3. [`Decoder::line`] reads a line from `source` and emits its observations. The format is detected
//! from each line alone: `{` begins JSON, `#` a directive, everything else is a row under the current header.
//! A file may therefore change its format, and a log of another kind does no harm.
//!
//! ```text
//! line -> tsv | json -> row (raw values) -> infer (owners, types, outcome) -> observations
//!                                        -> package (exact)                ->
//! ```
//!
//! The columns of dns.log are described in Zeek's scripts/base/protocols/dns/main.zeek, record `DNS::Info`;
//! those of pdns.log in our zeek/scripts/main.zeek, record `PDNS::Info`.
//!
//! Both logs cover the same traffic. The package marks each row of dns.log whose content is in pdns.log, in a
//! column `pdns`, and marked rows are skipped. Each row is independent, so the order in which logs are read,
//! their rotation, and a restart of Zeek or the agent make no difference; rows of a Zeek without the package
//! count as before.

use super::{Filter, Line, Rejection, Tally};
use crate::observation::{Aggregated, Observation};
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

/// Options for reading a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also use `NetBIOS` (port 137), mDNS (5353) and LLMNR (5355), whose names are only valid on one link.
    pub keep_multicast: bool,
    /// Use the rows of dns.log that are marked as also in pdns.log, and none of pdns.log.
    pub no_pdns_log: bool,
}

/// Reads the lines of one log in order.
#[derive(Debug, Default)]
pub struct Decoder {
    options: Options,
    header: tsv::Header,
    columns: Columns,
    scratch: infer::Scratch,
    package: package::LineBuffers,
    tally: Tally,
    coverage: Coverage,
}

impl Decoder {
    /// A decoder at the start of a log.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Reads one line without its newline; ignores a carriage return at its end.
    ///
    /// Emits the records in the order of the answers, then a negative answer if the line is one, all with the
    /// same time; for pdns.log, the one record or negative answer of the line. Nothing is emitted if the line
    /// is rejected. Memory is kept for the next line, as much as the longest line needed.
    ///
    /// # Errors
    /// [`Rejection`] if the line is unusable. It is counted, and reading continues.
    pub fn line(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Aggregated<'_>),
    ) -> Result<Line, Rejection> {
        let ending = self.decode(line, emit);
        self.tally.count(ending);
        ending
    }

    /// Reads a line before the position of resumption for its effect on the log's format; nothing is emitted
    /// or counted.
    pub fn skim(&mut self, line: &[u8]) {
        let line = trimmed(line);
        match line.first() {
            Some(b'#') => self.header.directive(line),
            Some(b'{') => {}
            // In the writer's `tsv` mode the first line is the header, without a mark.
            Some(_) if !self.header.is_known() => drop(self.header.bare(line)),
            _ => {}
        }
    }

    /// Counts of all lines since the start or the last [`Decoder::take_tally`].
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes the tally out and resets it.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Takes out the extent to which the lines of pdns.log read so far cover the others.
    pub fn take_coverage(&mut self) -> Coverage {
        std::mem::take(&mut self.coverage)
    }

    fn decode(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Aggregated<'_>),
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
        let context = infer::RowContext { row: &row, query, at: clock::seconds(row.ts)? };
        let answers = &self.columns.answers;
        let mut emit = |observation: Observation<'_>| emit(Aggregated::from(observation));
        infer::infer(&context, answers, &mut self.scratch, &mut self.tally, &mut emit)?;
        Ok(Line::Counted)
    }

    /// Records the effect of a row on the coverage of dns.log by pdns.log.
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
    /// Reason why a row is filtered out, if it is.
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
        // In mDNS the first bit of the class requests a unicast reply (RFC 6762 §5.4).
        let class_bits = if ports.contains(&Some(5353)) { 0x7fff } else { 0xffff };
        Ok((!row.is_internet(class_bits)?).then_some(Filter::Class))
    }
}

/// Removes the carriage return from a line, which a file from elsewhere may have.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
