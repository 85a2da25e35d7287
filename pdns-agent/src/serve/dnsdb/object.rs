//! A result as JSON.

use crate::hex;
use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use crate::rdata::{FinalDot, RdataBuf};
use crate::rr::RrType;
use serde::{Serialize, Serializer};

/// Count and times of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) count: u64,
    /// True if the counter of one of its records is saturated.
    pub(super) is_lower_bound: bool,
    pub(super) time_first: u32,
    pub(super) time_last: u32,
}

impl From<&Seen> for Sums {
    fn from(seen: &Seen) -> Self {
        let Seen { count, time_first, time_last, .. } = *seen;
        let is_lower_bound = seen.is_count_saturated();
        Self { count, is_lower_bound, time_first, time_last }
    }
}

impl Sums {
    /// Adds another result: sums the counts and extends the time span.
    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.widen(other);
    }

    /// Adds another record of the same RRset; the count is the largest of its records.
    pub(super) fn join(&mut self, other: Self) {
        self.count = self.count.max(other.count);
        self.widen(other);
    }

    /// Returns the mark of a lower bound, if keys of our own are wanted.
    fn bound(self, style: Style) -> Option<bool> {
        (style.own_keys && self.is_lower_bound).then_some(true)
    }

    /// Extends the time span to cover both.
    fn widen(&mut self, other: Self) {
        self.is_lower_bound |= other.is_lower_bound;
        self.time_first = self.time_first.min(other.time_first);
        self.time_last = self.time_last.max(other.time_last);
    }
}

/// A result: an RRset, a record, or a match of a pattern.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) sums: Sums,
    /// True if `sums` are shown.
    pub(super) is_verbose: bool,
    pub(super) rrname: Option<NameBuf>,
    pub(super) rrtype: RrType,
    pub(super) bailiwick: Option<NameBuf>,
    pub(super) rdata: Data,
}

/// The right-hand side of a result.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// None: the search was for names.
    None,
    /// The RDATA of an RRset.
    Set(Vec<RdataBuf>),
    /// The RDATA of one record.
    One(RdataBuf),
    /// A match of a pattern: the text and the octets.
    Found(String, Box<[u8]>),
}

/// Output options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Times as RFC 3339 text.
    pub(super) human: bool,
    /// Write the RDATA of a single record as an array as well (version 2).
    pub(super) arrays: bool,
    /// Include keys that DNSDB does not have. Clients such as misp-modules fail on unknown keys.
    pub(super) own_keys: bool,
}

impl Object {
    /// Appends the result without a line feed.
    pub(super) fn write(&self, style: Style, out: &mut Vec<u8>) {
        let shown = self.is_verbose.then_some(self.sums);
        let text = |rdata: &RdataBuf| rdata.as_rdata().to_text(FinalDot::With);
        let (mut rdata, mut raw_rdata) = (None, None);
        let is_partial = match &self.rdata {
            Data::Set(set) => set.iter().any(|rdata| rdata.partial),
            Data::One(one) => one.partial,
            Data::None | Data::Found(..) => false,
        };
        match &self.rdata {
            Data::None => {}
            Data::Set(set) => rdata = Some(Texts::Many(set.iter().map(text).collect())),
            Data::One(one) if style.arrays => rdata = Some(Texts::Many(vec![text(one)])),
            Data::One(one) => rdata = Some(Texts::One(text(one))),
            Data::Found(text, octets) => {
                rdata = Some(Texts::One(text.clone()));
                raw_rdata = Some(hex::encode(octets).to_ascii_uppercase());
            }
        }
        let line = JsonLine {
            count: shown.map(|sums| sums.count),
            num_results: None,
            time_first: shown.map(|sums| Time(sums.time_first, style.human)),
            time_last: shown.map(|sums| Time(sums.time_last, style.human)),
            rrname: self.rrname.as_ref().map(|name| dotted(name.as_name())),
            rrtype: Some(self.rrtype.to_string()),
            bailiwick: self.bailiwick.as_ref().map(|name| dotted(name.as_name())),
            rdata,
            raw_rdata,
            pdns_partial: (style.own_keys && is_partial).then_some(true),
            pdns_count_is_lower_bound: self
                .is_verbose
                .then_some(self.sums)
                .and_then(|sums| sums.bound(style)),
        };
        line.write(out);
    }
}

/// Appends a summary.
pub(super) fn write_summary(sums: Sums, results: u64, style: Style, out: &mut Vec<u8>) {
    let line = JsonLine {
        count: Some(sums.count),
        num_results: Some(results),
        time_first: Some(Time(sums.time_first, style.human)),
        time_last: Some(Time(sums.time_last, style.human)),
        pdns_count_is_lower_bound: sums.bound(style),
        ..JsonLine::default()
    };
    line.write(out);
}

/// Returns a name with its final dot.
pub(super) fn dotted(name: Name<'_>) -> String {
    if name.is_root() { ".".to_owned() } else { format!("{}.", name.as_str()) }
}

/// The fields in the order in which DNSDB has them.
#[derive(Default, Serialize)]
struct JsonLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_results: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_first: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_last: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rrname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rrtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bailiwick: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rdata: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_rdata: Option<String>,
    /// Our own, on request: only the host of an RDATA is known, and its numbers are not (as in our COF).
    #[serde(skip_serializing_if = "Option::is_none")]
    pdns_partial: Option<bool>,
    /// Our own, on request: the count exceeds the store's maximum (as in our COF).
    #[serde(skip_serializing_if = "Option::is_none")]
    pdns_count_is_lower_bound: Option<bool>,
}

impl JsonLine {
    fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a Vec takes any text");
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// Seconds since the epoch, with true to write them as text.
struct Time(u32, bool);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.1 {
            return serializer.serialize_u32(self.0);
        }
        let time = jiff::Timestamp::from_second(i64::from(self.0)).unwrap_or_default();
        serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(rdata: Data) -> Object {
        let name = |text| NameBuf::parse(text).ok();
        Object {
            sums: Sums {
                count: 7,
                is_lower_bound: false,
                time_first: 1_700_000_000,
                time_last: 1_700_000_100,
            },
            is_verbose: true,
            rrname: name("www.example.com"),
            rrtype: RrType::A,
            bailiwick: name("example.com"),
            rdata,
        }
    }

    #[track_caller]
    fn check(object: &Object, style: Style, want: &str) {
        let mut out = Vec::new();
        object.write(style, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn results_are_written_as_clients_read_them() {
        let rdata = RdataBuf { rrtype: RrType::A, octets: [192, 0, 2, 1].into(), partial: false };
        let style = Style { human: false, arrays: true, own_keys: false };
        let set = object(Data::Set(vec![rdata.clone()]));
        check(
            &set,
            style,
            r#"{"count":7,"time_first":1700000000,"time_last":1700000100,"rrname":"www.example.com.","rrtype":"A","bailiwick":"example.com.","rdata":["192.0.2.1"]}"#,
        );
        let one = Object { bailiwick: None, ..object(Data::One(rdata)) };
        check(
            &one,
            Style { human: true, arrays: false, own_keys: false },
            r#"{"count":7,"time_first":"2023-11-14T22:13:20Z","time_last":"2023-11-14T22:15:00Z","rrname":"www.example.com.","rrtype":"A","rdata":"192.0.2.1"}"#,
        );
        let found = Object {
            rrname: None,
            bailiwick: None,
            is_verbose: false,
            rrtype: RrType(65_280),
            ..object(Data::Found("\\# 1 FF".to_owned(), [255].into()))
        };
        check(&found, style, r#"{"rrtype":"TYPE65280","rdata":"\\# 1 FF","raw_rdata":"FF"}"#);
        let partial = RdataBuf { rrtype: RrType::A, octets: [192, 0, 2, 1].into(), partial: true };
        let mut at_limit = object(Data::Set(vec![partial]));
        at_limit.sums.is_lower_bound = true;
        check(
            &at_limit,
            style,
            r#"{"count":7,"time_first":1700000000,"time_last":1700000100,"rrname":"www.example.com.","rrtype":"A","bailiwick":"example.com.","rdata":["192.0.2.1"]}"#,
        );
        check(
            &at_limit,
            Style { own_keys: true, ..style },
            r#"{"count":7,"time_first":1700000000,"time_last":1700000100,"rrname":"www.example.com.","rrtype":"A","bailiwick":"example.com.","rdata":["192.0.2.1"],"pdns_partial":true,"pdns_count_is_lower_bound":true}"#,
        );
        let mut out = Vec::new();
        write_summary(set.sums, 3, style, &mut out);
        assert_eq!(
            out,
            br#"{"count":7,"num_results":3,"time_first":1700000000,"time_last":1700000100}"#
        );
    }
}
