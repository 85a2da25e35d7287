//! Conversion of a source's data into observations.
//!
//! Layer 3. `source` delivers bytes, this module emits [`Observation`]s, and does no I/O itself. Unusable
//! input is not an error: it is a [`Rejection`], a [`Filter`] or an [`Omission`], counted in a [`Tally`] so
//! that an operator sees how much was left out and why.
//!
//! [`Observation`]: crate::observation::Observation

pub use counter::Counter;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Defines a closed set of reasons; each has a metric label and a phrase for people.
macro_rules! reasons {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal, $phrase:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $label)] $variant,)*
        }

        impl $name {
            /// All reasons, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of a metric label: lower case, words joined by `_`.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $phrase),* })
            }
        }
    };
}

// After the macro, which they use.
pub mod cof;
mod counter;
pub mod dns;
pub mod log;
pub mod packets;
pub mod suricata;
pub mod wire;
pub mod zeek;

reasons! {
    /// Reason why a whole line was rejected.
    Rejection {
        /// A row came before any header that names its columns.
        NoHeader = "no_header", "no header names the columns";
        /// The header is for DNS, but lacks `ts` or `query` or has an empty separator.
        UnusableHeader = "unusable_header", "the header lacks ts, query or a separator";
        /// The row has more or fewer columns than the header: it was truncated, or the header was lost.
        ColumnCount = "column_count", "the number of columns is not that of the header";
        /// The line is not a JSON object, or a vector in it is not an array.
        Json = "json", "not a JSON object of a log record";
        /// A number or truth value cannot be parsed or is out of range.
        BadField = "bad_field", "a number or truth value cannot be read";
        /// A Suricata answer lacks `flags`, without which nobody knows who answered: a shipper removed them.
        NoFlags = "no_flags", "the answer lacks dns.flags, which whatever filters or ships eve.json has to keep";
        /// The time is missing or cannot be parsed.
        BadTime = "bad_time", "the time is missing or cannot be read";
        /// The time does not fit 32 bits of seconds since 1970.
        TimeRange = "time_range", "the time lies before 1970 or after 2106";
        /// More than one question, which has no defined meaning (RFC 9619).
        QuestionCount = "question_count", "more than one question";
        /// The last time lies before the first.
        TimeOrder = "time_order", "the last time lies before the first";
        /// `rrname`, `rrtype` or `rdata` is missing.
        MissingField = "missing_field", "rrname, rrtype or rdata is missing";
        /// The record type is neither a mnemonic nor a number of 16 bits.
        BadType = "bad_type", "the record type is not known";
        /// The RDATA is not that of a record of this type.
        BadRdata = "bad_rdata", "the RDATA cannot be read";
        /// There is no name in the query or the answer.
        NoQuery = "no_query", "no query name";
        /// The query exceeds the limits of RFC 1035 §2.3.4.
        BadName = "bad_name", "the owner or query is not a domain name";
    }
}

reasons! {
    /// Reason why a valid line is not passive DNS.
    Filter {
        /// `NetBIOS` (137), mDNS (5353) or LLMNR (5355).
        Port = "port", "NetBIOS, mDNS or LLMNR";
        /// An opcode other than QUERY (RFC 1035 §4.1.1).
        Opcode = "opcode", "opcode other than query";
        /// A class other than IN.
        Class = "class", "class other than internet";
        /// A query logged separately from its answer.
        Query = "query", "queries, whose answers have lines of their own";
        /// A Suricata DNS event of a version other than 2 and 3.
        Version = "version", "DNS events of another version than 2 and 3";
        /// A row of dns.log that is in the Zeek package's pdns.log with more detail.
        InPdnsLog = "in_pdns_log", "pdns.log has it, too";
        /// A row of pdns.log, although dns.log is to be read instead.
        PdnsLog = "pdns_log", "of pdns.log, which is not asked for";
    }
}

reasons! {
    /// Reason why an answer or the outcome of a counted line was omitted.
    Omission {
        /// The log only says that such a record existed.
        RdataNotInLog = "rdata_not_in_log", "the log does not hold the RDATA";
        /// The text of the RDATA cannot be parsed.
        Undecodable = "undecodable", "the RDATA cannot be read";
        /// The answer exceeds the limits of RFC 1035 §2.3.4.
        BadName = "bad_name", "the answer is not a domain name";
        /// Owner or type cannot be determined with certainty.
        Ambiguous = "ambiguous", "owner or type cannot be told";
        /// A part of a dynamic update, which is not an answer.
        DynamicUpdate = "dynamic_update", "part of a dynamic update";
        /// The same record again within one line: identical records count once (RFC 2181 §5).
        Repeated = "repeated", "repeated within one answer";
        /// The server is not responsible for this owner, judging by the question.
        OutOfBailiwick = "out_of_bailiwick", "out of bailiwick";
        /// A negative answer to a question of unknown type.
        NoQtype = "no_qtype", "negative answer without a query type";
        /// No error and no answer in the log, but there was an answer that is not logged.
        AnswerNotInLog = "answer_not_in_log", "the log does not hold the answer";
        /// No error and no answer: possibly no data, a referral, or a truncated message.
        NodataOrReferral = "nodata_or_referral", "no data, a referral or a truncated answer";
        /// A record of the protocol itself: message signatures, types that only occur in questions.
        Meta = "meta", "a record of the protocol";
        /// No answer, but the message is incomplete, so no conclusion is possible.
        Truncated = "truncated", "no answer in a truncated message";
        /// A delegation, which is not an answer (RFC 1034 §4.3.2).
        Referral = "referral", "a referral";
        /// Statement about the end of a chain that leads out of the server's bailiwick, or to an unknown end.
        ChainCut = "chain_cut", "the chain leads out of bailiwick or is not told";
    }
}

/// Classification of a line that was not rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// A DNS record, whether or not it produced an observation.
    Counted,
    /// A line that describes the log and was processed.
    Directive,
    /// An empty line.
    Blank,
    /// A record of another kind of log.
    OtherRecord,
    /// A DNS record that is filtered out.
    Filtered(Filter),
}

/// Counts of lines and of the answers within them, by outcome.
///
/// Invariant: each line is counted once under `lines` and once under its ending, see [`Tally::endings`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// All lines.
    pub lines: u64,
    /// Lines that ended as [`Line::Counted`].
    pub counted: u64,
    /// Lines that ended as [`Line::Directive`].
    pub directives: u64,
    /// Lines that ended as [`Line::Blank`].
    pub blank: u64,
    /// Lines that ended as [`Line::OtherRecord`].
    pub other_records: u64,
    /// Lines that ended as [`Line::Filtered`].
    pub filtered: Counter<Filter>,
    /// Lines that were rejected.
    pub rejected: Counter<Rejection>,
    /// Observations of records.
    pub records: u64,
    /// Observations of negative answers.
    pub negatives: u64,
    /// Omitted answers and outcomes of counted lines.
    pub omitted: Counter<Omission>,
    /// Counted lines whose TTLs were dropped because their number differs from that of the answers, or because they
    /// contradict each other.
    pub ttl_mismatches: u64,
}

impl Tally {
    /// Returns true if any line was of the decoder's kind, even if it was filtered out.
    #[must_use]
    pub fn has_taken(&self) -> bool {
        self.counted > 0 || !self.filtered.is_empty()
    }

    /// Counts one line under its ending.
    pub fn count(&mut self, ending: Result<Line, Rejection>) {
        self.lines += 1;
        match ending {
            Ok(Line::Counted) => self.counted += 1,
            Ok(Line::Directive) => self.directives += 1,
            Ok(Line::Blank) => self.blank += 1,
            Ok(Line::OtherRecord) => self.other_records += 1,
            Ok(Line::Filtered(filter)) => self.filtered.add(filter),
            Err(rejection) => self.rejected.add(rejection),
        }
    }

    /// Counts one omitted answer or outcome.
    pub fn omit(&mut self, omission: Omission) {
        self.omitted.add(omission);
    }

    /// The sum of all endings, equal to `lines`.
    #[must_use]
    pub fn endings(&self) -> u64 {
        self.counted
            + self.directives
            + self.blank
            + self.other_records
            + self.filtered.total()
            + self.rejected.total()
    }

    /// Adds another tally to this one.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
        self.filtered.merge(&other.filtered);
        self.rejected.merge(&other.rejected);
        self.omitted.merge(&other.omitted);
    }

    /// Subtracts an earlier state of this tally.
    pub fn subtract(&mut self, earlier: &Self) {
        self.combine(earlier, u64::saturating_sub);
        self.filtered.subtract(&earlier.filtered);
        self.rejected.subtract(&earlier.rejected);
        self.omitted.subtract(&earlier.omitted);
    }

    /// Combines the plain counts.
    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        for (count, other) in [
            (&mut self.lines, other.lines),
            (&mut self.counted, other.counted),
            (&mut self.directives, other.directives),
            (&mut self.blank, other.blank),
            (&mut self.other_records, other.other_records),
            (&mut self.records, other.records),
            (&mut self.negatives, other.negatives),
            (&mut self.ttl_mismatches, other.ttl_mismatches),
        ] {
            *count = with(*count, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_snake_case_and_unlike() {
        let labels: Vec<&str> = Rejection::ALL.iter().map(|reason| reason.label()).collect();
        for (at, label) in labels.iter().enumerate() {
            assert!(label.bytes().all(|octet| octet == b'_' || octet.is_ascii_lowercase()));
            assert!(!labels[..at].contains(label));
        }
        assert_eq!(Rejection::NoQuery.to_string(), "no query name");
    }

    #[test]
    fn tallies_add_up_and_keep_their_form() {
        let mut left = Tally::default();
        left.count(Ok(Line::Counted));
        left.count(Err(Rejection::Json));
        left.omit(Omission::Ambiguous);
        let mut right = Tally::default();
        right.count(Err(Rejection::Json));
        right.count(Ok(Line::Filtered(Filter::Port)));
        left.merge(&right);
        assert_eq!((left.lines, left.endings(), left.rejected[&Rejection::Json]), (4, 4, 2));
        let text = serde_json::to_string(&left).unwrap();
        assert!(text.contains(r#""rejected":{"json":2}"#), "{text}");
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), left);
        assert_eq!(serde_json::from_str::<Tally>("{}").unwrap(), Tally::default());
    }
}
