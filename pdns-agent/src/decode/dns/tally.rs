//! Counts of DNS messages, by outcome and reason.

use crate::decode::Counter;
use serde::{Deserialize, Serialize};
use std::fmt;

reasons! {
    /// Reason why a whole message was not read.
    DnsRejection {
        /// Fewer than the 12 octets of a header (RFC 1035 §4.1.1).
        ShortHeader = "short_header", "shorter than a header";
        /// More than one question, which has no defined meaning (RFC 9619).
        QuestionCount = "question_count", "more than one question";
        /// A query without a question, or a response without one that matches no known question.
        NoQuestion = "no_question", "no question";
        /// The question's name is invalid, or the message ends within it.
        Question = "question", "the question cannot be read";
        /// The time of the packet does not fit 32 bits of seconds since 1970.
        TimeRange = "time_range", "the time lies before 1970 or after 2106";
    }
}

reasons! {
    /// Reason why a valid message is not passive DNS.
    DnsFilter {
        /// An opcode other than QUERY (RFC 1035 §4.1.1).
        Opcode = "opcode", "opcode other than query";
        /// A class other than IN.
        Class = "class", "class other than internet";
        /// A query of mDNS, LLMNR or `NetBIOS`, which need not be answered.
        MulticastQuery = "multicast_query", "query of mDNS, LLMNR or NetBIOS";
        /// A copy of a message received at most 50 ms before, for example from a mirror of both directions.
        Duplicate = "duplicate", "another copy of the same packet";
        /// An unsolicited response, if those are to be dropped.
        Unsolicited = "unsolicited", "unsolicited response";
    }
}

reasons! {
    /// Reason why a record, or the outcome, of a response was omitted.
    DnsOmission {
        /// A class other than IN.
        Class = "class", "class other than internet";
        /// A record of the protocol itself: message signatures, types that only occur in questions.
        Meta = "meta", "a record of the protocol";
        /// The server is not responsible for this owner, judging by the question.
        OutOfBailiwick = "out_of_bailiwick", "out of bailiwick";
        /// The RDATA does not fit its type.
        Undecodable = "undecodable", "the RDATA cannot be read";
        /// The same record again within one message: identical records count once (RFC 2181 §5).
        Repeated = "repeated", "repeated within one message";
        /// The message is truncated or malformed, and the rest was skipped; counted once per message.
        RestUnreadable = "rest_unreadable", "the rest of the message cannot be read";
        /// No answer, but the message is incomplete, so no conclusion is possible.
        Truncated = "truncated", "no answer in a truncated message";
        /// A delegation, which is not an answer (RFC 1034 §4.3.2).
        Referral = "referral", "a referral";
        /// No error and no answer: possibly no data, or a referral.
        NodataOrReferral = "nodata_or_referral", "no data or a referral";
        /// Statement about the end of a chain that leads out of the server's bailiwick.
        ChainCut = "chain_cut", "the chain leads out of bailiwick";
        /// Logs only: the RDATA is not in the log.
        RdataNotInLog = "rdata_not_in_log", "the log does not hold the RDATA";
        /// Logs only: the owner exceeds the limits of RFC 1035 §2.3.4.
        BadName = "bad_name", "the owner is not a domain name";
        /// Logs only: the owner, or the end of the RDATA, is unknown.
        Ambiguous = "ambiguous", "owner or RDATA cannot be told";
        /// A question that was still open when the capture ended.
        CaptureEnded = "capture_ended", "the capture ended before the answer was due";
    }
}

/// Counts of DNS messages and of the records within them, by outcome.
///
/// Invariant: each message is counted once under `messages`, and once under its ending or as waiting, see
/// [`DnsTally::endings`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsTally {
    /// All messages.
    pub messages: u64,
    /// Responses that were read.
    pub counted: u64,
    /// Queries that were read.
    pub queries: u64,
    /// Messages that were filtered out.
    pub filtered: Counter<DnsFilter>,
    /// Messages that were rejected.
    pub rejected: Counter<DnsRejection>,
    /// Observations of records.
    pub records: u64,
    /// Observations of negative answers, including unanswered questions.
    pub negatives: u64,
    /// Records and outcomes that were omitted.
    pub omitted: Counter<DnsOmission>,
    /// Counted responses that were unsolicited.
    pub unsolicited: u64,
    /// Queries that repeated one whose answer was still expected.
    pub retransmissions: u64,
    /// Responses currently waiting for their query.
    pub waiting: u64,
    /// Responses that were read before their waiting time was over, for lack of room.
    pub hurried: u64,
    /// Questions currently open.
    pub pending: u64,
    /// Questions that were evicted before they expired, for lack of room.
    pub evicted: u64,
}

/// Classification of a message that was not rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A response that was read, whether or not it produced an observation.
    Response,
    /// A query.
    Query,
    /// A response that waits for its query: it gets one of the other endings later.
    Waiting,
    /// A message that is filtered out.
    Filtered(DnsFilter),
}

impl DnsTally {
    /// Counts one message under its ending, or as waiting.
    pub fn count(&mut self, ending: Result<Ending, DnsRejection>) {
        self.messages += 1;
        self.settle(ending);
    }

    /// Counts the ending of a message that has waited. The waiting ones are counted where they are kept.
    pub(super) fn settle(&mut self, ending: Result<Ending, DnsRejection>) {
        match ending {
            Ok(Ending::Waiting) => {}
            Ok(Ending::Response) => self.counted += 1,
            Ok(Ending::Query) => self.queries += 1,
            Ok(Ending::Filtered(filter)) => self.filtered.add(filter),
            Err(rejection) => self.rejected.add(rejection),
        }
    }

    /// Counts one omitted record or outcome.
    pub fn omit(&mut self, omission: DnsOmission) {
        self.omitted.add(omission);
    }

    /// The sum of all endings and waiting messages, equal to `messages`.
    #[must_use]
    pub fn endings(&self) -> u64 {
        self.counted + self.queries + self.waiting + self.filtered.total() + self.rejected.total()
    }

    /// Adds another tally to this one.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.messages, other.messages),
            (&mut self.counted, other.counted),
            (&mut self.queries, other.queries),
            (&mut self.records, other.records),
            (&mut self.negatives, other.negatives),
            (&mut self.unsolicited, other.unsolicited),
            (&mut self.retransmissions, other.retransmissions),
            (&mut self.waiting, other.waiting),
            (&mut self.hurried, other.hurried),
            (&mut self.pending, other.pending),
            (&mut self.evicted, other.evicted),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.filtered.merge(&other.filtered);
        self.rejected.merge(&other.rejected);
        self.omitted.merge(&other.omitted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_keep_their_form() {
        let mut left = DnsTally { pending: 2, ..DnsTally::default() };
        left.count(Ok(Ending::Response));
        left.count(Err(DnsRejection::Question));
        left.omit(DnsOmission::Meta);
        let mut right = DnsTally { pending: 3, ..DnsTally::default() };
        right.count(Err(DnsRejection::Question));
        right.count(Ok(Ending::Filtered(DnsFilter::Opcode)));
        right.count(Ok(Ending::Query));
        left.merge(&right);
        assert_eq!((left.messages, left.endings(), left.pending), (5, 5, 5));
        let text = serde_json::to_string(&left).unwrap();
        assert!(text.contains(r#""rejected":{"question":2}"#), "{text}");
        assert_eq!(serde_json::from_str::<DnsTally>(&text).unwrap(), left);
        assert_eq!(serde_json::from_str::<DnsTally>("{}").unwrap(), DnsTally::default());
    }
}
